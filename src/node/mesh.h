/* node/mesh.h - the bonds of one group: who is connected with whom, and how it stays so.
 *
 * Connects to every address that it hears of (options, configuration, gossip), accepts, proves, and
 * keeps one control link and one bulk link with each member. When both sides connect at once, the
 * link that the smaller peer id initiated stays. Carries frames; does not look into them.
 *
 *     link.c   one connection: handshake, frames, heartbeats, its end    (control thread)
 *     bulk.c   a bulk link after its handshake                            (bulk thread)
 *     bonds.c  which links make a bond, and which of two stays            (control thread)
 *     dial.c   addresses, back-off, gossip                                (control thread)
 *     mesh.c   life cycle, limits, counters, log lines                    (control thread)
 *
 * Memory:  one block per link, bond and address, all counted and bounded.
 * Threads: everything, and every callback, on the thread of the control loop, except
 *          mesh_bulk_start() and mesh_bulk_stop(), which run on the bulk loop.
 * Errors:  refused and broken links are counted by name and logged, once per peer and reason in
 *          REFUSAL_QUIET_MS.
 */
#ifndef NODE_MESH_H
#define NODE_MESH_H

#include "mortar/node.h"
#include "os/address.h"
#include "os/stream.h"
#include "wire/bond.h"

#define MESH_PEERS_MAX 64u /* Addresses that the options may name. */

struct mesh;

struct mesh_handler {
    /* A lane with `member` stands, and speaks `version` of the wire format; 0: it broke. Control
     * first when they come, last when they go. */
    void (*on_link)(void *context, const struct mortar_member_id *member, enum mortar_lane lane,
                    uint16_t version);
    /* A checked frame, borrowed. An error ends the link. */
    enum mortar_status (*on_frame)(void *context, const struct mortar_member_id *from,
                                   enum mortar_lane lane, struct mortar_buffer *frame);
    /* A line for people. From any thread of the node. */
    void (*log)(void *context, enum mortar_log_level level, const char *line);
    /* After mesh_end(): the last link is gone. */
    void (*on_gone)(void *context);
};

struct mesh_options {
    const struct mortar_allocator *allocator; /* Kept. */
    struct loop *control;
    struct loop *bulk;
    struct stream_options stream; /* Of every link; queued_bytes_max bounds what waits in one. */
    struct crypto *crypto;
    const struct key_file *keys; /* Copied. */
    struct mortar_group_id group;
    struct mortar_member_id self;
    uint8_t boot_nonce[BOND_NONCE_BYTES];
    struct bond_names names; /* With the advertised address. */
    struct address listens;  /* Never dialled. */
    struct address peers[MESH_PEERS_MAX];
    size_t peer_count;
    uint32_t links_max;
    uint32_t heartbeat_ms;
    uint32_t heartbeats_missed_max;
    uint32_t reconnect_ms_min;
    uint32_t reconnect_ms_max;
    uint64_t seed;                      /* Of the jitter. */
    const struct mesh_handler *handler; /* Kept. */
    void *context;
};

MORTAR_NODISCARD enum mortar_status mesh_open(const struct mesh_options *options,
                                              struct mesh **out_mesh);
/* On the bulk loop: before the first bulk link, and after the last. */
MORTAR_NODISCARD enum mortar_status mesh_bulk_start(struct mesh *mesh);
void mesh_bulk_stop(struct mesh *mesh);
/* Says good-bye to all; no more than on_gone is called. */
void mesh_end(struct mesh *mesh);
/* After on_gone and mesh_bulk_stop(). */
void mesh_free(struct mesh *mesh);

/* Takes a stream whose TLS handshake is done. */
void mesh_accept(struct mesh *mesh, struct stream *stream);
/* A connection ended before that. */
void mesh_note_refused(struct mesh *mesh, const char *remote, enum mortar_status reason,
                       const char *detail);

/* Connects where it is time to. Called every few milliseconds. */
void mesh_tick(struct mesh *mesh);

/* Takes `frame`; drops and counts it when there is no link or no room. */
void mesh_send(struct mesh *mesh, const struct mortar_member_id *to, enum mortar_lane lane,
               struct mortar_buffer *frame);

/* The members of the configuration now. */
void mesh_set_members(struct mesh *mesh, const struct bond_member *members, uint32_t count);
/* The birth id became known: peers with another one are refused from now on. */
void mesh_set_birth(struct mesh *mesh, const struct mortar_birth_id *birth);

/* Changes with every bond that comes or goes. */
uint64_t mesh_bonds_version(const struct mesh *mesh);
uint32_t mesh_bonds(const struct mesh *mesh, struct mortar_bond_status *out_bonds,
                    uint32_t capacity);
/* Adds what it counted; does not touch `core`. */
void mesh_metrics(const struct mesh *mesh, struct mortar_node_metrics *out_metrics);

/* Which of two live links of one lane stays: true when it is the newer. The side with the smaller
 * peer id decides; it keeps a link of its own making before one of the other's, and of two alike
 * the newer: whoever connects again holds the older for dead. */
bool mesh_newer_stays(bool self_is_smaller, bool older_is_ours, bool newer_is_ours);

#endif
