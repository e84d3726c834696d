/* integration/raw_peer.h - a peer that says whatever a test wants: TLS by src/os, the handshake by
 * src/wire, and then any bytes.
 *
 * Memory:  malloc's; raw_begin has its raw_end.
 * Threads: the test's, and a loop of its own.
 * Errors:  failed checks.
 */
#ifndef INTEGRATION_RAW_PEER_H
#define INTEGRATION_RAW_PEER_H

#include "integration/node_place.h"
#include "node/key_file.h"
#include "os/identity.h"
#include "os/stream.h"
#include "wire/bond_handshake.h"

/* What a test may send before any of it is taken. */
#define RAW_QUEUED_BYTES_MAX (256u * 1024u * 1024u)

#define RAW_VERSIONS 4u

/* One identity with a control and a bulk link. */
struct raw_peer {
    struct crypto *crypto;
    struct identity *identity;
    struct tls *tls;
    struct loop *loop;
    struct key_file keys;
    struct mortar_member_id id;
    struct mortar_group_id group;
    struct address address;
    uint16_t version_max; /* Set before raw_connect(); 0: the newest of this build. */
    struct raw_link {
        struct raw_peer *peer;
        enum mortar_lane lane;
        bool silent; /* Says nothing after TLS. */
        struct stream *stream;
        struct bond_handshake handshake;
        uint8_t in[64 * 1024]; /* What came, not yet a whole frame. */
        size_t in_bytes;
        atomic_bool is_open;    /* TLS is done. */
        atomic_bool is_bonded;  /* The handshake is done. */
        atomic_bool is_refused; /* `refusal` is set. */
        atomic_bool is_closed;
        atomic_int reason; /* Why it closed. */
        /* How many frames of the group came in each version; the last: later ones. */
        atomic_uint heard[RAW_VERSIONS];
        struct bond_refuse refusal;
    } links[2];
};

/* A peer with the keys of `place` for the group of `member`. */
void raw_begin(struct raw_peer *peer, const struct place *place, const struct member *member);
void raw_end(struct raw_peer *peer);
/* The handshake of an open stream, as this peer begins it; on the thread of its loop. */
void raw_handshake_init(struct raw_peer *peer, struct stream *stream, enum mortar_lane lane,
                        bool initiator, struct bond_handshake *out_handshake);
/* Connects one lane; `silent`: TLS only. Answers at once. */
void raw_connect(struct raw_peer *peer, enum mortar_lane lane, bool silent);
/* Connects the lane and waits for its bond. */
void raw_bond(struct raw_peer *peer, enum mortar_lane lane);
void raw_send(struct raw_peer *peer, enum mortar_lane lane, const void *data, size_t bytes);
/* What the kernel took of it so far; 0 once it is closed. */
uint64_t raw_wire_out_bytes(struct raw_peer *peer, enum mortar_lane lane);
/* Waits for the end of the lane. */
void raw_expect_closed(struct raw_peer *peer, enum mortar_lane lane);

#endif
