/* raft/raft.h - consensus of one group: events in, effects out (Ongaro's thesis).
 *
 * What it is: terms, votes, the leader's view of each follower, what is committed, who the
 * members are. What it is not: it holds no entries, sends nothing, saves nothing, reads no clock.
 * It looks at the log through `struct raft_log_view` and tells its owner (group/) what to do.
 *
 * The owner's duties, in order:
 *   1. carry out the effects of a step in order, before the next step;
 *   2. hold back every SEND behind a SAVE_VOTE until that save is durable, then give VOTE_STORED;
 *   3. after TRUNCATE and APPEND_* the log view shows the new log at once; when entries are
 *      durable, and the SAVE_VOTE before them (C3), give STORED; never for what was cut since;
 *   4. after a batch of events, give FLUSH until it yields no effect: appends are sent then, so
 *      that whatever came together leaves together.
 *
 * Memory:  one block, reserved at open; nothing is allocated afterwards.
 * Threads: none inside; calls must not overlap.
 * Errors:  only open can fail. Odd messages are ignored with a traced reason.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "mortar/trace.h"
#include "mortar/types.h"
#include "wire/config.h"
#include "wire/message.h"

/* The log as raft may see it; answers come from memory. */
struct raft_log_view {
    void *context;
    struct mortar_position (*last)(void *context);
    /* Everything up to here was pruned, or replaced by an installed state; (0,0) at first. */
    struct mortar_anchor_point (*base)(void *context);
    /* True for base.index <= index <= last.index. */
    bool (*term_at)(void *context, uint64_t index, uint64_t *out_term);
    /* The log sum at an index, for what the leader vouches for. As term_at. */
    bool (*sum_at)(void *context, uint64_t index, struct mortar_log_sum *out_sum);
    /* The last index of first..last whose records together take at most `bytes`, but at least
     * `first`. first and last are in the log (or in the tail range). */
    uint64_t (*cut)(void *context, uint64_t first, uint64_t last, uint64_t bytes);
    /* Bytes of the records first..last; 0 when first > last. */
    uint64_t (*bytes)(void *context, uint64_t first, uint64_t last);
    /* The tail range (design idea 4): false when none is open. */
    bool (*tail)(void *context, struct mortar_anchor_point *out_base,
                 struct mortar_position *out_last);
    bool (*tail_term_at)(void *context, uint64_t index, uint64_t *out_term);
    /* Bytes of records that the tail range may still take; NULL: no bound. */
    uint64_t (*tail_room)(void *context);
};

struct raft_options {
    struct mortar_member_id self;
    uint64_t seed;                  /* Same seed and events, same effects. */
    uint32_t election_ticks_min;    /* Timeout is uniform in [min, 2 * min), thesis 3.4. */
    uint32_t heartbeat_ticks;       /* < election_ticks_min. */
    uint32_t reluctant_factor;      /* >= 1: multiplies the election timeout. */
    uint32_t append_bytes;          /* Records in one append; one entry may be larger. */
    uint64_t window_bytes;          /* In flight per follower. */
    uint64_t resend_bytes;          /* More than this is missing: progress moves to SYNC (6.2). */
    uint64_t tail_window_bytes;     /* In flight per follower in SYNC. */
    uint64_t uncommitted_bytes_max; /* Beyond it proposals get MORTAR_E_BUSY. */
    uint32_t target_voters;         /* Promote whole learners up to this many voters; 0: never. */
    uint32_t remove_gone_ticks;     /* Swap out a voter that is silent for so long; 0: never. */
    struct mortar_trace trace;
};

/* What survived: for a new log all zero. */
struct raft_restored {
    uint64_t term;
    struct mortar_member_id voted_for;
    struct mortar_position voting; /* C12 */
    uint64_t commit_index;         /* At least the base. */
    uint64_t config_index;         /* 0: no configuration known. */
    struct config config;
};

enum raft_event_type {
    RAFT_TICK,
    RAFT_RECEIVE,        /* A vote or append message. */
    RAFT_PROPOSE,        /* `count` commands (or markers) of `bytes` together. */
    RAFT_CHANGE,         /* A membership change. */
    RAFT_STORED,         /* Entries of the log are durable up to `index`. */
    RAFT_VOTE_STORED,    /* The last SAVE_VOTE of `term` is durable. */
    RAFT_FLUSH,          /* Send what can be sent. */
    RAFT_HEARD,          /* A part of a longer message of `from`, which leads `term` by its own word
                          (0: does not lead). */
    RAFT_TRANSFER,       /* Leader: hand over to `from`, or to anyone where that is all zero. */
    RAFT_LINK,           /* A bond came up or went down. */
    RAFT_SYNC_BEGUN,     /* A session runs: appends go to the tail range. */
    RAFT_SYNC_APPENDED,  /* The session appended verified, committed entries to the log, or cut or
                           reset it: look at the log view again. `config` entries come apart. */
    RAFT_SYNC_CONFIG,    /* A configuration entry among them, contiguous with the log. */
    RAFT_SYNC_COMMITTED, /* The session vouches that the group committed up to `index`. */
    RAFT_SYNC_ENDED      /* No session any more; the tail was adopted or dropped. */
};

struct raft_event {
    enum raft_event_type type;
    struct mortar_member_id from; /* RECEIVE, LINK, HEARD, TRANSFER */
    enum message_type message;    /* RECEIVE */
    union {
        struct vote_request vote_request;
        struct vote_reply vote_reply;
        struct timeout_now timeout_now;
        struct append_request append_request; /* Entries were verified against our own sums where
                                                 prev is in our log (or tail). */
        struct append_reply append_reply;
        struct {
            enum mortar_entry_kind kind;
            uint32_t count;
            uint64_t bytes;
        } propose;
        struct {
            const struct config_change *changes;
            uint32_t count;
        } change;
        uint64_t index; /* STORED, SYNC_COMMITTED */
        uint64_t term;  /* VOTE_STORED, HEARD */
        bool up;        /* LINK */
        struct {
            uint64_t index;
            const struct config *config;
        } config; /* SYNC_CONFIG */
    };
};

enum raft_effect_type {
    RAFT_SAVE_VOTE,
    RAFT_TRUNCATE,       /* Cut the log from `index` on. Never at or below the commit index. */
    RAFT_APPEND_OWN,     /* Leader: append `count` entries of `kind` at `position`. COMMAND and
                           MARKER: those just proposed. NOOP, CONFIG: made by raft. */
    RAFT_APPEND_FOREIGN, /* Follower: append the records of the request in hand from byte `offset`
                           on, `count` of them. */
    RAFT_SEND,           /* A message without entries. */
    RAFT_SEND_APPEND,    /* `append` with the records first..last of the log (none if first > last).
                           In SYNC too: they are in the leader's log. */
    RAFT_COMMIT,         /* Everything up to `position` is committed. */
    RAFT_ROLE,           /* Role, term or known leader changed. */
    RAFT_CONFIG,         /* Another configuration is in force (appended, reverted or committed). */
    RAFT_READ_CONFIRMED, /* Reads of rounds up to `round` may be answered (6.4). */
    RAFT_SYNC_OPEN,      /* Open a session: the leader said SYNC and we have a gap. */
    RAFT_TAIL_OPEN,      /* Open the tail range at `anchor`; an open one is dropped. */
    RAFT_TAIL_APPEND,    /* As APPEND_FOREIGN, into the tail. */
    RAFT_TAIL_TRUNCATE,  /* Cut the tail from `index` on. */
    RAFT_REMOVED,        /* Our removal is committed. */
    RAFT_TRANSFER_ENDED  /* Leader: gave up handing over, and goes on leading. */
};

struct raft_effect {
    enum raft_effect_type type;
    union {
        struct {
            uint64_t term;
            struct mortar_member_id voted_for;
        } save_vote;
        uint64_t index;
        struct {
            enum mortar_entry_kind kind;
            struct mortar_position position; /* Of the first. */
            uint32_t count;
            const struct config *config; /* kind CONFIG; valid until the next step. */
        } append_own;
        struct {
            struct mortar_position first;
            size_t offset; /* Into append_request.entries of the event in hand. */
            uint32_t count;
        } append_foreign;
        struct {
            struct mortar_member_id to;
            enum message_type message;
            union {
                struct vote_request vote_request;
                struct vote_reply vote_reply;
                struct timeout_now timeout_now;
                struct append_reply append_reply;
            };
        } send;
        struct {
            struct mortar_member_id to;
            struct append_request append; /* entries empty, count = last - first + 1 */
            uint64_t first;
            uint64_t last;
        } send_append;
        struct mortar_position position;
        struct {
            enum mortar_role role;
            uint64_t term;
            struct mortar_member_id leader; /* All zero: unknown. */
        } role;
        uint64_t round;
        bool told; /* TRANSFER_ENDED: the target was told, and may still stand for election. */
        struct {
            struct mortar_position prev;
            uint64_t leader_commit;
            uint64_t sync_id;
        } sync_open;
        struct mortar_anchor_point anchor;
    };
};

/* Effects of one step, in order. At most RAFT_EFFECTS_MAX; FLUSH stops early when full. */
#define RAFT_EFFECTS_MAX 160u
struct raft_effects {
    uint32_t count;
    struct raft_effect items[RAFT_EFFECTS_MAX];
};

struct raft;

/* Reserves the block and starts as a follower.
 *   MORTAR_E_INVALID    an option is out of range.
 *   MORTAR_E_NO_MEMORY  the block could not be reserved. */
MORTAR_NODISCARD enum mortar_status raft_open(const struct mortar_allocator *allocator,
                                              const struct raft_options *options,
                                              const struct raft_log_view *log,
                                              const struct raft_restored *restored,
                                              struct raft **out_raft);
void raft_close(struct raft *raft); /* NULL is a no-op. */

/* Takes one event, appends effects to `out`, which must be empty.
 * PROPOSE, CHANGE and TRANSFER answer (all others give MORTAR_OK):
 *   MORTAR_E_NOT_LEADER  we do not lead.
 *   MORTAR_E_BUSY        uncommitted_bytes_max is reached, or the leader hands over, or is about to
 *                        step down. TRANSFER: the target, or each that could be, is not ready.
 *   MORTAR_E_INVALID     TRANSFER: the target is no voter that stays, or is ourselves.
 *   MORTAR_E_CHANGING    CHANGE: one is in progress, or no entry of this term is committed yet.
 *   and those of config_apply(). */
enum mortar_status raft_step(struct raft *raft, const struct raft_event *event,
                             struct raft_effects *out);

/* Begins a linearizable read (6.4): it may be answered once RAFT_READ_CONFIRMED has reached
 * `out_round`, from a state that contains `out_index`. The round leaves with the next FLUSH.
 *   MORTAR_E_NOT_LEADER
 *   MORTAR_E_BUSY  no entry of this term is committed yet: ask again after the next COMMIT. */
MORTAR_NODISCARD enum mortar_status raft_read_begin(struct raft *raft, uint64_t *out_round,
                                                    uint64_t *out_index);

/* Follower: changes of the tunables while running. Same checks as open. */
MORTAR_NODISCARD enum mortar_status raft_tune(struct raft *raft,
                                              const struct raft_options *options);

enum raft_progress_state { RAFT_PROBE = 0, RAFT_REPLICATE = 1, RAFT_SYNC = 2 };
struct raft_progress_view {
    struct mortar_member_id id;
    enum raft_progress_state state;
    uint64_t next;
    uint64_t match;
    uint64_t commit; /* As the member reported. */
    uint64_t inflight_bytes;
    uint64_t silent_ticks; /* Since its last message. */
    bool whole;
    uint64_t sync_id;
};

/* Inspection. */
enum mortar_role raft_role(const struct raft *raft);
uint64_t raft_term(const struct raft *raft);
struct mortar_member_id raft_voted_for(const struct raft *raft);
struct mortar_member_id raft_leader(const struct raft *raft);
uint64_t raft_commit_index(const struct raft *raft);
struct mortar_position raft_voting_position(const struct raft *raft);
const struct config *raft_config(const struct raft *raft); /* Latest in the log. */
uint64_t raft_config_index(const struct raft *raft);
const struct config *raft_committed_config(const struct raft *raft);
bool raft_syncing(const struct raft *raft);
uint64_t raft_sync_id(const struct raft *raft); /* Of the leader's episode; 0: none. */
bool raft_progress(const struct raft *raft, const struct mortar_member_id *id,
                   struct raft_progress_view *out_view);
/* Asserts every invariant; the simulator calls it after each step. */
void raft_check(const struct raft *raft);

#endif
