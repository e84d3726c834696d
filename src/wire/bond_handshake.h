/* wire/bond_handshake.h - how two members prove to each other that they belong together (design 8).
 *
 * One machine per link, after TLS; it draws nothing, sends nothing, reads no clock. The owner gives
 * it what arrives, sends what it writes, and bounds the time.
 *
 *     initiator                                          responder
 *     WAIT_HELLO    --- HELLO ------------------------>   WAIT_HELLO
 *     WAIT_HELLO   <--------------------- HELLO ------    WAIT_PROOF
 *     WAIT_PROOF    --- PROOF ------------------------>   WAIT_PROOF
 *     WAIT_PROOF   <-------------- PROOF, NAMES ------    WAIT_NAMES
 *     WAIT_WELCOME  --- NAMES, WELCOME --------------->   DONE
 *     DONE         <------------------- WELCOME ------
 *
 * Any other frame ends the link with MORTAR_E_PROTOCOL; REFUSE, from either side at any time, with
 * what it says, also on a side that is DONE: its peer may have a limit of its own. Nothing is
 * compared before the proof but what TLS has shown already and what is needed to talk: versions,
 * lane, and whether the peer is this very node. A side gives its names only to one that has proved
 * that it knows an access key, and a failed proof says only "key".
 *
 * A proof is HMAC-SHA-256(access key; label, role, both peer ids, both group ids as sent, lane,
 * generation, TLS exporter of this connection). The exporter keeps it from being used on another
 * connection, the role from being reflected on this one.
 *
 * Memory:  one struct, about 21 KiB. It holds access keys: overwrite it when done.
 * Threads: calls on one machine must not overlap.
 * Errors:  data, not statuses: BOND_REFUSED, with a named status and a text to log.
 */
#ifndef WIRE_BOND_HANDSHAKE_H
#define WIRE_BOND_HANDSHAKE_H

#include "mortar/types.h"
#include "wire/bond.h"
#include "wire/frame.h"

#define BOND_EXPORTER_BYTES 32u
/* The label to ask the TLS exporter for (RFC 5705), with no context. */
#define BOND_EXPORTER_LABEL "EXPORTER-mortar-bond-1"

/* One step writes at most this much to its writer. */
#define BOND_STEP_BYTES_MAX                                                                        \
    (2u * FRAME_HEADER_BYTES + BOND_NAMES_BYTES_MAX + BOND_MEMBERS_BYTES_MAX)

struct bond_key {
    uint32_t generation;
    uint8_t bytes[BOND_KEY_BYTES];
};

/* Cryptography lives in os: HMAC-SHA-256. Required; does not block; called twice per handshake. A
 * failure refuses the link with the status given. */
struct bond_crypto {
    enum mortar_status (*hmac)(void *context, struct mortar_bytes key, struct mortar_bytes message,
                               uint8_t out_code[BOND_CODE_BYTES]);
    void *context;
};

struct bond_handshake_options {
    bool initiator; /* This side opened the connection. */
    enum mortar_lane lane;
    uint16_t version_min; /* 0: WIRE_VERSION_MIN. */
    uint16_t version_max; /* 0: WIRE_VERSION_MAX. */
    struct mortar_group_id group;
    struct mortar_member_id self;
    uint8_t boot_nonce[BOND_NONCE_BYTES];
    struct mortar_peer_id tls_peer; /* From the peer's certificate. */
    uint8_t exporter[BOND_EXPORTER_BYTES];
    struct bond_key keys[BOND_KEYS_MAX]; /* Newest first, generations strictly falling. */
    uint32_t key_count;                  /* 1..BOND_KEYS_MAX */
    struct bond_names names;
    struct bond_members known; /* For the WELCOME. */
    struct bond_crypto crypto;
};

enum bond_state {
    BOND_WAIT_HELLO,
    BOND_WAIT_PROOF,
    BOND_WAIT_NAMES,
    BOND_WAIT_WELCOME,
    BOND_DONE,
    BOND_REFUSED
};

/* What came out. The peer's fields are set as they become known, and count only once DONE. */
struct bond_peer {
    struct mortar_member_id member;
    uint8_t boot_nonce[BOND_NONCE_BYTES];
    uint16_t version;    /* Of the wire format: the highest that both speak. */
    uint32_t generation; /* Of the key by which the peer proved itself. */
    struct bond_names names;
    struct bond_members known;
};

struct bond_handshake {
    struct bond_handshake_options options;
    enum bond_state state;
    struct bond_hello hello_there;
    struct bond_peer peer;
    struct bond_refuse refusal; /* REFUSED: why, as seen from here. */
    bool refused_there;         /* REFUSED: the peer said so; `refusal` is what it said. */
};

/* Copies `options`. Asserts that they are sound. */
void bond_handshake_init(struct bond_handshake *handshake,
                         const struct bond_handshake_options *options);

/* Begins: the initiator writes its HELLO, the responder nothing. `out` has room for
 * BOND_STEP_BYTES_MAX, here and below; what it gets are whole sealed frames. */
void bond_handshake_start(struct bond_handshake *handshake, struct writer *out);

/* Takes the payload of one frame of `type`, as frame_open() gave it, in any state but DONE and
 * REFUSED. Answers the new state. On DONE and on REFUSED what was written is still to be sent, on
 * REFUSED the link then closed. */
enum bond_state bond_handshake_receive(struct bond_handshake *handshake, uint8_t type,
                                       struct mortar_bytes payload, struct writer *out);

/* Ends it from outside: a limit, a time-out, a copied directory, an admission that was denied. Also
 * in the state DONE. `text` is at most BOND_TEXT_BYTES_MAX bytes. */
void bond_handshake_refuse(struct bond_handshake *handshake, enum mortar_status status,
                           const char *text, struct writer *out);

#endif
