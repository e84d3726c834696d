#include "integration/raw_peer.h"

#include "node/group_identity.h"
#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

static enum mortar_status raw_hmac(void *context, struct mortar_bytes key,
                                   struct mortar_bytes message, uint8_t out_code[BOND_CODE_BYTES])
{
    return crypto_hmac_sha256(context, key, &message, 1, out_code);
}

static void raw_write(struct raw_link *link, const void *data, size_t bytes)
{
    const struct stream_part part = {.bytes = {data, bytes}};
    const enum mortar_status status = bytes > 0 ? stream_write(link->stream, &part, 1) : MORTAR_OK;
    if (status != MORTAR_OK && status != MORTAR_E_CLOSED) abort(); /* Not on the test's thread. */
}

void raw_handshake_init(struct raw_peer *peer, struct stream *stream, enum mortar_lane lane,
                        bool initiator, struct bond_handshake *out_handshake)
{
    struct bond_handshake_options options = {
        .initiator = initiator,
        .lane = lane,
        .version_max = peer->version_max,
        .group = peer->group,
        .self = peer->id,
        .boot_nonce = {1, 2, 3},
        .tls_peer = stream_peer_id(stream),
        .key_count = peer->keys.key_count,
        .crypto = {.hmac = raw_hmac, .context = peer->crypto},
    };
    memcpy(options.keys, peer->keys.keys, sizeof options.keys);
    if (stream_exporter(stream, BOND_EXPORTER_LABEL, options.exporter) != MORTAR_OK) abort();
    if (group_identity_names("default", &counting_machine, &options.names) != MORTAR_OK) abort();
    bond_handshake_init(out_handshake, &options);
}

static void raw_on_open(void *context, struct stream *stream)
{
    struct raw_link *const link = context;
    link->stream = stream;
    if (!link->silent) {
        uint8_t bytes[BOND_STEP_BYTES_MAX];
        struct writer out = writer_over(bytes, sizeof bytes);
        raw_handshake_init(link->peer, stream, link->lane, true, &link->handshake);
        bond_handshake_start(&link->handshake, &out);
        raw_write(link, out.data, out.bytes);
    }
    atomic_store(&link->is_open, true);
}

static void raw_on_frame(struct raw_link *link, const struct frame_header *header,
                         struct mortar_bytes payload)
{
    if (header->type < BOND_HELLO) {
        const uint16_t version =
            header->version < RAW_VERSIONS ? header->version : RAW_VERSIONS - 1;
        atomic_fetch_add(&link->heard[version], 1);
    }
    if (header->type == BOND_REFUSE && bond_refuse_decode(payload, &link->refusal) == MORTAR_OK) {
        atomic_store(&link->is_refused, true);
    }
    if (link->silent || link->handshake.state == BOND_DONE ||
        link->handshake.state == BOND_REFUSED) {
        return;
    }
    uint8_t bytes[BOND_STEP_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    if (bond_handshake_receive(&link->handshake, header->type, payload, &out) == BOND_DONE) {
        atomic_store(&link->is_bonded, true);
    }
    raw_write(link, out.data, out.bytes);
}

static void raw_on_buffer(void *context, struct stream *stream, uint8_t **out_data,
                          size_t *out_capacity)
{
    struct raw_link *const link = context;
    (void)stream;
    *out_data = link->in + link->in_bytes;
    *out_capacity = sizeof link->in - link->in_bytes;
}

/* Whole frames are looked at; one too long for the buffer is forgotten with all before it. */
static void raw_on_bytes(void *context, struct stream *stream, size_t bytes)
{
    struct raw_link *const link = context;
    (void)stream;
    link->in_bytes += bytes;
    size_t at = 0;
    while (link->in_bytes - at >= FRAME_HEADER_BYTES) {
        struct frame_header header;
        const struct mortar_bytes rest = {link->in + at, link->in_bytes - at};
        if (frame_header_decode(rest, link->lane, &header) != MORTAR_OK) break;
        const size_t whole = FRAME_HEADER_BYTES + header.payload_bytes;
        if (rest.bytes < whole) break;
        raw_on_frame(link, &header,
                     (struct mortar_bytes){rest.data + FRAME_HEADER_BYTES, header.payload_bytes});
        at += whole;
    }
    memmove(link->in, link->in + at, link->in_bytes - at);
    link->in_bytes -= at;
    if (link->in_bytes == sizeof link->in) link->in_bytes = 0;
}

static void raw_on_closed(void *context, struct stream *stream, enum mortar_status reason,
                          const char *detail)
{
    struct raw_link *const link = context;
    (void)stream;
    (void)detail;
    link->stream = NULL;
    atomic_store(&link->reason, (int)reason);
    atomic_store(&link->is_closed, true);
}

static const struct stream_handler raw_handler = {
    .on_open = raw_on_open,
    .on_buffer = raw_on_buffer,
    .on_bytes = raw_on_bytes,
    .on_closed = raw_on_closed,
};

void raw_begin(struct raw_peer *peer, const struct place *place, const struct member *member)
{
    struct detail detail;
    memset(peer, 0, sizeof *peer);
    assert_int_equal(crypto_open(NULL, &peer->crypto), MORTAR_OK);
    assert_int_equal(identity_generate(peer->crypto, &peer->identity), MORTAR_OK);
    assert_int_equal(tls_open(peer->crypto, peer->identity, &peer->tls), MORTAR_OK);
    assert_int_equal(key_file_read(place->key, &detail, &peer->keys), MORTAR_OK);
    assert_int_equal(loop_open(&(struct loop_options){.name = "raw"}, &peer->loop), MORTAR_OK);
    peer->id.peer = identity_peer_id(peer->identity);
    peer->id.store[0] = 7;
    peer->group = mortar_group_id(member->group);
    const struct mortar_bytes text = {(const uint8_t *)member->address, strlen(member->address)};
    assert_int_equal(address_parse(text, &peer->address), MORTAR_OK);
}

void raw_end(struct raw_peer *peer)
{
    loop_close(peer->loop);
    tls_close(peer->tls);
    identity_close(peer->identity);
    crypto_close(peer->crypto);
}

static void run_connect(void *context)
{
    struct raw_link *const link = context;
    struct stream_options options = stream_options_default(link->peer->tls);
    options.queued_bytes_max = RAW_QUEUED_BYTES_MAX;
    assert_int_equal(stream_connect(link->peer->loop, &options, &link->peer->address, &raw_handler,
                                    link, &link->stream),
                     MORTAR_OK);
}

void raw_connect(struct raw_peer *peer, enum mortar_lane lane, bool silent)
{
    struct raw_link *const link = &peer->links[lane];
    memset(link, 0, sizeof *link);
    link->peer = peer;
    link->lane = lane;
    link->silent = silent;
    loop_call(peer->loop, run_connect, link);
}

static bool is_set(void *context)
{
    return atomic_load((atomic_bool *)context);
}

void raw_bond(struct raw_peer *peer, enum mortar_lane lane)
{
    raw_connect(peer, lane, false);
    if (soon(is_set, &peer->links[lane].is_bonded)) return;
    fail_msg("no bond: %s", peer->links[lane].refusal.text);
}

struct sending {
    struct raw_link *link;
    const void *data;
    size_t bytes;
};

static void run_send(void *context)
{
    const struct sending *const sending = context;
    if (sending->link->stream) raw_write(sending->link, sending->data, sending->bytes);
}

void raw_send(struct raw_peer *peer, enum mortar_lane lane, const void *data, size_t bytes)
{
    struct sending sending = {&peer->links[lane], data, bytes};
    loop_call(peer->loop, run_send, &sending);
}

struct asking {
    struct raw_link *link;
    uint64_t bytes;
};

static void run_wire_out(void *context)
{
    struct asking *const asking = context;
    struct stream *const stream = asking->link->stream;
    asking->bytes = stream ? stream_counters_now(stream).wire_out_bytes : 0;
}

uint64_t raw_wire_out_bytes(struct raw_peer *peer, enum mortar_lane lane)
{
    struct asking asking = {.link = &peer->links[lane]};
    loop_call(peer->loop, run_wire_out, &asking);
    return asking.bytes;
}

void raw_expect_closed(struct raw_peer *peer, enum mortar_lane lane)
{
    assert_true(soon(is_set, &peer->links[lane].is_closed));
}
