/* group/solo.h - one replica whose peers are played by the test: it writes their frames, and reads
 * what the replica sends.
 *
 * Peer 0 is the leader that the replica follows, once solo_follow() has led it; peer 1 is another
 * voter. `leader_log` is what peer 0 holds.
 *
 * Memory:  that of cluster.h, counted: solo_close() asserts that everything came back.
 * Threads: none. Errors: cmocka assertions.
 */
#ifndef TESTS_UNIT_GROUP_SOLO_H
#define TESTS_UNIT_GROUP_SOLO_H

#include "mortar/core.h"
#include "unit/group/cluster.h"
#include "wire/config.h"
#include "wire/message.h"

#define SOLO_PEERS     3u
#define SOLO_LOG_MAX   512u
#define SOLO_LOG_BYTES (1u << 20)
#define SOLO_SENT_MAX  512u
#define SOLO_DONE_MAX  64u
#define SOLO_LEADER    0u
#define SOLO_OTHER     1u
#define SOLO_STRANGER  2u

struct solo_sent {
    uint32_t to;
    uint8_t type;
    enum mortar_lane lane;
    struct mortar_buffer *frame;
};

struct solo {
    struct mortar_core *core;
    struct mortar_core_options tune; /* Taken by solo_open(); identity ignored. */
    struct mortar_storage (*wrap)(struct mortar_storage inner);
    struct mortar_member_id self;
    struct mortar_member_id peers[SOLO_PEERS];
    struct adder adder;
    uint64_t now_ms;
    uint64_t term; /* Of the leader. */

    /* The leader's log: records back to back, their ends and sums by index. */
    uint8_t records[SOLO_LOG_BYTES];
    size_t ends[SOLO_LOG_MAX];
    struct mortar_anchor_point points[SOLO_LOG_MAX];
    uint64_t last;

    struct solo_sent sent[SOLO_SENT_MAX];
    uint32_t sent_count;
    struct done_record done[SOLO_DONE_MAX];
    bool failed;
    struct mortar_work *held[64]; /* Works that wait, when hold_works. */
    uint32_t held_count;
    bool hold_works;
};

/* Opens a replica with scripted_method, linked to all peers. */
void solo_open(struct solo *solo);
void solo_close(struct solo *solo);
/* Makes it a voter of a group of three, following peer 0 in term 1; entries 1 and 2, which say so,
 * are committed. */
void solo_follow(struct solo *solo);
/* Adds an entry to the leader's log. */
void solo_add(struct solo *solo, uint64_t term, enum mortar_entry_kind kind,
              struct mortar_bytes bytes);
void solo_add_number(struct solo *solo, uint64_t term, uint64_t number);
/* Adds numbers until the log ends at `last`, each its own index. */
void solo_fill(struct solo *solo, uint64_t term, uint64_t last);
void solo_add_config(struct solo *solo, uint64_t term, const struct config *config);
/* The configuration of three voters: the replica and peers 0 and 1. */
struct config solo_config(const struct solo *solo);
/* The records first..last of the leader's log as a run in a buffer of its own. */
struct mortar_log_run solo_run(const struct solo *solo, uint64_t first, uint64_t last);
/* An append of the leader with the entries first..last; none when first > last, after first - 1.
 * `sync_base` not 0: in SYNC, the tail beginning there. Runs until nothing is left to do. */
void solo_append(struct solo *solo, uint64_t first, uint64_t last, uint64_t commit,
                 uint64_t sync_base);
struct append_request solo_append_of(const struct solo *solo, uint64_t first, uint64_t last,
                                     uint64_t commit, uint64_t sync_base);
/* Any message from any peer; answers what mortar_core_frame() did. */
enum mortar_status solo_receive(struct solo *solo, uint32_t from, enum message_type type,
                                const void *message);
enum mortar_status solo_receive_payload(struct solo *solo, uint32_t from, enum mortar_lane lane,
                                        uint8_t type, struct mortar_bytes payload);
/* A message of the sync method. */
enum mortar_status solo_receive_sync(struct solo *solo, uint32_t from, uint64_t session,
                                     uint64_t sequence, bool to_session, const char *text);
/* Flushes and takes effects until none is left. */
void solo_run_effects(struct solo *solo);
void solo_run_works(struct solo *solo);
void solo_tick(struct solo *solo, uint64_t ms);
/* The latest message of a type to a peer, its payload borrowed; false: none was sent. */
bool solo_last_sent(const struct solo *solo, uint32_t to, enum message_type type,
                    struct mortar_bytes *out_payload);
uint32_t solo_count_sent(const struct solo *solo, enum message_type type);
void solo_forget_sent(struct solo *solo);
struct mortar_core_status *solo_status(struct solo *solo);

#endif
