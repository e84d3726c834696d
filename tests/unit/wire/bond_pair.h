/* unit/wire/bond_pair.h - two handshakes and the link between them, for tests and fuzzing.
 *
 * Memory: one struct. Threads: one test. Errors: none. The HMAC here is a mere checksum.
 */
#ifndef MORTAR_TESTS_UNIT_WIRE_BOND_PAIR_H
#define MORTAR_TESTS_UNIT_WIRE_BOND_PAIR_H

#include "base/hash.h"
#include "unit/wire/samples.h"
#include "wire/bond_handshake.h"

#include <string.h>

/* Depends on every bit of key and message, as an HMAC does; anybody could forge it. */
static inline enum mortar_status pair_hmac(void *context, struct mortar_bytes key,
                                           struct mortar_bytes message,
                                           uint8_t out_code[BOND_CODE_BYTES])
{
    (void)context;
    for (uint64_t i = 0; i < 4; i++) {
        const uint64_t word = checksum_64(message, checksum_64(key, i));
        memcpy(out_code + 8 * i, &word, sizeof word);
    }
    return MORTAR_OK;
}

/* Node `number` of one group, talking to node `peer` over the connection `exporter`. */
static inline struct bond_handshake_options pair_options(uint8_t number, uint8_t peer,
                                                         bool initiator)
{
    struct bond_handshake_options options = {.initiator = initiator,
                                             .lane = MORTAR_LANE_CONTROL,
                                             .self = sample_member(number),
                                             .tls_peer = sample_member(peer).peer,
                                             .key_count = 1,
                                             .names = {.network = "net",
                                                       .machine = "lines",
                                                       .machine_epoch = 1,
                                                       .machine_version_min = 1,
                                                       .machine_version_max = 2,
                                                       .sync = "auto",
                                                       .sync_epoch = 1,
                                                       .birth = {{9, 9}},
                                                       .feature_level = number,
                                                       .address = "x:7400"},
                                             .known = {.count = 1},
                                             .crypto = {.hmac = pair_hmac}};
    memset(options.group.bytes, 0x67, sizeof options.group.bytes);
    memset(options.boot_nonce, number, sizeof options.boot_nonce);
    memset(options.exporter, 0xee, sizeof options.exporter);
    options.keys[0].generation = 1;
    memset(options.keys[0].bytes, 0x4b, sizeof options.keys[0].bytes);
    options.names.address[0] = (char)('a' + number);
    options.known.members[0].id = sample_member((uint8_t)(number + 50));
    return options;
}

struct pair_side {
    struct bond_handshake handshake;
    uint8_t sent[4 * BOND_STEP_BYTES_MAX]; /* All that this side ever wrote. */
    struct writer out;
    size_t delivered; /* Of `sent`. */
};

static inline void pair_side_init(struct pair_side *side,
                                  const struct bond_handshake_options *options)
{
    side->out = writer_over(side->sent, sizeof side->sent);
    side->delivered = 0;
    bond_handshake_init(&side->handshake, options);
    bond_handshake_start(&side->handshake, &side->out);
}

static inline bool pair_side_ended(const struct pair_side *side)
{
    return side->handshake.state == BOND_DONE || side->handshake.state == BOND_REFUSED;
}

/* The next frame that `from` wrote and nobody took. False: there is none. */
static inline bool pair_take(struct pair_side *from, struct frame_header *out_header,
                             struct mortar_bytes *out_payload)
{
    const uint8_t *const data = from->sent + from->delivered;
    const size_t left = from->out.bytes - from->delivered;
    const enum mortar_lane lane = from->handshake.options.lane;
    if (left == 0) return false;
    if (frame_header_decode((struct mortar_bytes){data, left}, lane, out_header) != MORTAR_OK) {
        return false;
    }
    const size_t bytes = FRAME_HEADER_BYTES + out_header->payload_bytes;
    if (frame_open((struct mortar_bytes){data, bytes}, lane, out_header, out_payload) !=
        MORTAR_OK) {
        return false;
    }
    from->delivered += bytes;
    return true;
}

/* Brings one frame over. False: none, or nobody listens. */
static inline bool pair_deliver(struct pair_side *from, struct pair_side *to)
{
    struct frame_header header;
    struct mortar_bytes payload;
    if (pair_side_ended(to) || !pair_take(from, &header, &payload)) return false;
    (void)bond_handshake_receive(&to->handshake, header.type, payload, &to->out);
    return true;
}

#endif
