/* mortar/sync.h - how a replica that lags catches up: the contract of sync methods (design 6).
 *
 * A method is a factory for two companions. The *provider* lives as long as the group, on every
 * member, the leader included, and serves state to those that lag. The *session* lives for one
 * catch-up episode on the lagging member and closes one gap. They talk in messages that only the
 * method understands; the runtime carries, bounds and checks them. The built-in methods use
 * nothing but this header.
 *
 * A session may be destroyed at any time (the group closes, the gap vanished); one that ends by
 * itself says READY or FAILED from poll(). While a session runs the log belongs to it: what the
 * leader sends goes to the tail range, and joins the log when the session is READY.
 *
 * Memory:  objects of a method are its own; messages and runs are shared by count.
 * Threads: everything here is called, and may be called, on the thread that owns the group, unless
 *          it is marked "any thread". Callbacks must return quickly: 200 us is the budget of
 *          receive and poll; who exceeds it is counted and traced. Long work is offloaded.
 * Errors:  by name at each call.
 *
 *     static const struct mortar_sync_method method = {
 *         MORTAR_SYNC_METHOD_INIT, .name = "pages", .epoch = 1,
 *         .provider = &pages_provider, .session = &pages_session};
 */
#ifndef MORTAR_SYNC_H
#define MORTAR_SYNC_H

#include "mortar/storage.h"
#include "mortar/trace.h"
#include "mortar/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mortar_sync;          /* What both companions may use. */
struct mortar_sync_provider; /* + what only a provider may. */
struct mortar_sync_session;  /* + what only a session may. */

#define MORTAR_SYNC_NO_PRUNE UINT64_MAX /* safe_to_prune_prefix: nothing may go. */

enum mortar_sync_poll {
    MORTAR_SYNC_PENDING = 0, /* Waits for a message, a wake-up or a finished job. */
    MORTAR_SYNC_AGAIN = 1,   /* Provider's READY: did something; poll again at once. */
    MORTAR_SYNC_READY = 2,   /* Session only: caught up to out_position. */
    MORTAR_SYNC_FAILED = 3   /* Session only: ended with out_reason. */
};

/* What a session is created for. */
struct mortar_sync_gap {
    struct mortar_position last; /* End of the local log. */
    struct mortar_position prev; /* The position before the arriving entries. */
    uint64_t leader_commit;
    struct mortar_bytes entries; /* Those that revealed the gap: a run, may be empty. They
                                         are in the tail range already, if it holds any. */
    uint32_t entries_count;
};

/* A message that arrived. Borrowed for the call; a method that keeps the bytes shares `buffer`. */
struct mortar_sync_incoming {
    struct mortar_member_id from;
    uint64_t session; /* The session that sent it, or that it answers. */
    struct mortar_bytes bytes;
    struct mortar_buffer *buffer; /* `bytes` lies in it. */
    enum mortar_lane lane;
};

struct mortar_sync_provider_ops {
    uint32_t struct_bytes;
    /* Required. Keeps `runtime` until destroy. */
    enum mortar_status (*create)(void *method, struct mortar_sync_provider *runtime,
                                 void **out_provider);
    void (*destroy)(void *provider);
    /* Required. True: handled. False: not mine, the session gets it. Any bytes may come. */
    bool (*receive)(void *provider, const struct mortar_sync_incoming *message);
    /* Required. PENDING or AGAIN. Called after events and wake-ups, not on every tick. */
    enum mortar_sync_poll (*poll)(void *provider);
    /* Optional. The highest index that may be pruned from the log, or MORTAR_SYNC_NO_PRUNE (also
     * without this member). The runtime never prunes above commit, what is applied, or a lease. */
    uint64_t (*safe_to_prune_prefix)(void *provider);
    /* Optional. The commit index advanced to `position`. */
    void (*committed)(void *provider, struct mortar_position position);
    /* Optional. The marker at `position` is reached: everything before it is applied, nothing after
     * it. The machine may be used here, and by jobs offloaded here, at exactly this position. */
    void (*marker)(void *provider, struct mortar_position position, struct mortar_bytes bytes);
};

struct mortar_sync_source_progress {
    struct mortar_member_id member;
    bool is_leader;
    bool dropped;   /* Its data failed; it is not asked again in this session. */
    uint64_t bytes; /* Verified. */
    uint64_t entries;
    uint64_t window_bytes;
    uint64_t latency_us; /* Smoothed, of one request. */
};

#define MORTAR_SYNC_REASON_BYTES 96
struct mortar_sync_progress {
    uint64_t entries_done;
    uint64_t entries_left;
    uint64_t bytes_done; /* Verified. */
    uint64_t bytes_left; /* An estimate until the plan is complete. */
    uint64_t bytes_held; /* In windows now: requested or held, not yet in the log (C7). */
    uint64_t bytes_held_max;
    uint64_t bytes_discarded; /* Arrived, and not used: late, duplicate, wrong. */
    uint32_t restarts;
    uint32_t source_count;
    struct mortar_sync_source_progress sources[MORTAR_MEMBERS_MAX];
    char waits_for[MORTAR_SYNC_REASON_BYTES]; /* Why it waits; empty while it moves. */
};

struct mortar_sync_session_ops {
    uint32_t struct_bytes;
    /* Required. Keeps `runtime` until destroy. */
    enum mortar_status (*create)(void *method, struct mortar_sync_session *runtime,
                                 const struct mortar_sync_gap *gap, void **out_session);
    void (*destroy)(void *session);
    /* Required. READY: the log ends at *out_position, which is committed or the tail's base. */
    enum mortar_sync_poll (*poll)(void *session, struct mortar_position *out_position,
                                  enum mortar_status *out_reason);
    /* Required. Any bytes may come. */
    void (*receive)(void *session, const struct mortar_sync_incoming *message);
    /* Optional. Entries first..last of the live tail stand in the tail range: no need to fetch or
     * keep them. */
    void (*buffer)(void *session, struct mortar_position before, uint64_t first, uint64_t last);
    /* Optional. What the status shows (C10). */
    void (*progress)(void *session, struct mortar_sync_progress *out_progress);
};

struct mortar_sync_method {
    uint32_t struct_bytes;
    const char *name; /* Part of the group id, with the epoch. 1..MORTAR_NAME_BYTES_MAX. */
    uint32_t epoch;
    uint32_t message_bytes_max; /* Of the bulk lane; the control lane's frame bounds its own. */
    const struct mortar_sync_provider_ops *provider;
    const struct mortar_sync_session_ops *session;
    void *context; /* `method` of the create calls. */
};
#define MORTAR_SYNC_METHOD_INIT                                                                    \
    .struct_bytes = (uint32_t)sizeof(struct mortar_sync_method),                                   \
    .message_bytes_max = 17u * 1024u * 1024u

/* ---- What both may use. "same": the answer is the same on all members at the same position;
 *      "own": it may differ between members. ---- */

MORTAR_API struct mortar_sync *mortar_sync_of_provider(struct mortar_sync_provider *provider);
MORTAR_API struct mortar_sync *mortar_sync_of_session(struct mortar_sync_session *session);

MORTAR_API struct mortar_member_id mortar_sync_local_id(const struct mortar_sync *sync); /* own */
MORTAR_API struct mortar_group_id mortar_sync_group_id(const struct mortar_sync *sync);  /* same */
MORTAR_API const char *mortar_sync_network_id(const struct mortar_sync *sync);           /* same */
MORTAR_API uint64_t mortar_sync_term(const struct mortar_sync *sync);                    /* own */
MORTAR_API struct mortar_position mortar_sync_committed(const struct mortar_sync *sync); /* own */
MORTAR_API uint64_t mortar_sync_applied(const struct mortar_sync *sync);                 /* own */
/* Host time in ms, monotone; for timeouts. own */
MORTAR_API uint64_t mortar_sync_now_ms(const struct mortar_sync *sync);
/* The allocator of the group. */
MORTAR_API const struct mortar_allocator *mortar_sync_allocator(const struct mortar_sync *sync);

/* Emits an event about `other` (NULL: none) to the trace of the group, if there is one. */
MORTAR_API void mortar_sync_trace(struct mortar_sync *sync, enum mortar_trace_kind kind,
                                  const struct mortar_member_id *other, uint64_t a, uint64_t b,
                                  uint64_t c, uint64_t d);

/* The members that a bond stands with now; fills up to `capacity`, answers how many. own */
MORTAR_API uint32_t mortar_sync_bonds(const struct mortar_sync *sync,
                                      struct mortar_member_id *out_members, uint32_t capacity);

/* The configuration in force here, the latest in the log; a replica that has none yet knows nobody.
 * Fills up to `capacity`, answers how many. own */
struct mortar_sync_member {
    struct mortar_member_id id;
    bool voter_old; /* Votes in the old half of a joint configuration. */
    bool voter_new; /* Votes in the new half, or in a plain configuration. */
};
MORTAR_API uint32_t mortar_sync_members(const struct mortar_sync *sync,
                                        struct mortar_sync_member *out_members, uint32_t capacity);

/* The log: positions are `same` once committed, the extent is `own`. */
MORTAR_API struct mortar_anchor_point mortar_sync_log_base(const struct mortar_sync *sync);
MORTAR_API struct mortar_position mortar_sync_log_last(const struct mortar_sync *sync);
MORTAR_API bool mortar_sync_log_term_at(const struct mortar_sync *sync, uint64_t index,
                                        uint64_t *out_term);
MORTAR_API bool mortar_sync_log_sum_at(const struct mortar_sync *sync, uint64_t index,
                                       struct mortar_log_sum *out_sum);
MORTAR_API uint64_t mortar_sync_log_bytes(const struct mortar_sync *sync, uint64_t first,
                                          uint64_t last);
MORTAR_API uint64_t mortar_sync_log_cut(const struct mortar_sync *sync, uint64_t first,
                                        uint64_t last, uint64_t bytes);
/* Reads first.. (at most bytes_max, one record at least, not beyond last). `done` is called once,
 * later, with a run that it owns (releases run.buffer), or a status. It is not called after the
 * companion was destroyed.
 *   MORTAR_E_BUSY, MORTAR_E_NO_MEMORY, MORTAR_E_NOT_FOUND (not held). */
typedef void mortar_sync_read_done(void *argument, enum mortar_status status,
                                   const struct mortar_log_run *run);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_log_read(struct mortar_sync *sync, uint64_t first, uint64_t last, size_t bytes_max,
                     mortar_sync_read_done *done, void *argument);

/* The core state (configuration, client sessions, log time, log sum, birth id) as bytes; inside
 * `marker`, that of this very position, else that of what is applied. The same on every member at
 * the same position. Nothing is written where it takes more than `capacity`.
 *   MORTAR_E_NO_SPACE  out_bytes says how much it takes.
 *   MORTAR_E_BUSY      entries are being applied; never inside `marker`. */
MORTAR_API enum mortar_status mortar_sync_core_state(const struct mortar_sync *sync, void *out,
                                                     size_t capacity, size_t *out_bytes);

/* A message under way. `session`: the session that this answers, or 0 from a session (its own
 * number is put in). Data of `capacity` bytes is filled in by the caller, also on another thread;
 * then mortar_sync_message_seal() (any thread, once) and send. NULL: memory is short. */
struct mortar_sync_message;
MORTAR_API struct mortar_sync_message *mortar_sync_message_new(struct mortar_sync *sync,
                                                               uint64_t session,
                                                               enum mortar_lane lane,
                                                               size_t capacity);
MORTAR_API uint8_t *mortar_sync_message_data(struct mortar_sync_message *message);
/* Sets the size, writes header and checksum. Any thread. */
MORTAR_API void mortar_sync_message_seal(struct mortar_sync_message *message, size_t bytes);
MORTAR_API void mortar_sync_message_discard(struct mortar_sync_message *message); /* NULL: no-op */
/* Takes the sealed message whatever it answers.
 *   MORTAR_E_NOT_FOUND  no bond stands with `to`, or not on this lane yet: the bulk lane comes up
 *                       a moment after the control lane. A question that cannot be answered for
 *                       that is better refused than dropped: its asker would wait in vain.
 *   MORTAR_E_TOO_LARGE  beyond the lane's or the method's bound.
 *   MORTAR_E_BUSY       the queue towards `to` is full. */
MORTAR_API enum mortar_status mortar_sync_send(struct mortar_sync *sync,
                                               const struct mortar_member_id *to,
                                               struct mortar_sync_message *message);
/* Small messages: copies `bytes`, control lane. Answers as above, and MORTAR_E_NO_MEMORY. */
MORTAR_API enum mortar_status mortar_sync_send_to(struct mortar_sync *sync,
                                                  const struct mortar_member_id *to,
                                                  uint64_t session, struct mortar_bytes bytes);
/* To all bonds, control lane; fills in whom it reached, answers how many. */
MORTAR_API uint32_t mortar_sync_broadcast(struct mortar_sync *sync, uint64_t session,
                                          struct mortar_bytes bytes,
                                          struct mortar_member_id *out_reached, uint32_t capacity);

/* Polls the companion soon. Any thread is not allowed: offload's `done` runs on the right one. */
MORTAR_API void mortar_sync_wake(struct mortar_sync *sync);
/* Polls it when the host time reaches `at_ms`; one such time is kept, the earliest. */
MORTAR_API void mortar_sync_wake_at(struct mortar_sync *sync, uint64_t at_ms);

/* Work elsewhere. `run` is called on the thread that `where` says, `done` afterwards on the
 * group's; when the companion was destroyed meanwhile, `done` is called with `destroyed` true and
 * must only free the argument.
 *   MORTAR_E_BUSY, MORTAR_E_NO_MEMORY, MORTAR_E_FAILED, MORTAR_E_INVALID (a provider asks for the
 *   machine alone): neither is called. */
enum mortar_sync_where {
    MORTAR_ON_BULK = 0,             /* A bulk thread; no machine. */
    MORTAR_ON_MACHINE_SHARED = 1,   /* The apply thread, in its order: reads the machine. From
                                        within `marker`: exactly at the marker. */
    MORTAR_ON_MACHINE_EXCLUSIVE = 2 /* The same, may replace the state (a session's install). */
};
typedef void mortar_sync_job_run(void *argument, void *machine); /* machine NULL on bulk. */
typedef void mortar_sync_job_done(void *argument, bool destroyed);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_offload(struct mortar_sync *sync, enum mortar_sync_where where,
                    mortar_sync_job_run *run, mortar_sync_job_done *done, void *argument);

/* The machine's vtable, to reach its save and load inside a job. NULL: no machine. */
struct mortar_machine_ops;
MORTAR_API const struct mortar_machine_ops *mortar_sync_machine_ops(const struct mortar_sync *sync);

/* ---- Session ---- */

MORTAR_API uint64_t mortar_sync_session_id(const struct mortar_sync_session *session);
/* False: no leader is known now. own */
MORTAR_API bool mortar_sync_session_leader(const struct mortar_sync_session *session,
                                           struct mortar_member_id *out_leader);
/* What the leader last vouched for: a committed position of its log and the sum there, in its
 * current term. False: nothing yet. own */
MORTAR_API bool mortar_sync_session_vouched(const struct mortar_sync_session *session,
                                            struct mortar_anchor_point *out_point);
/* Where the tail range begins, and what it holds. False: no tail is open. own */
MORTAR_API bool mortar_sync_session_tail(const struct mortar_sync_session *session,
                                         struct mortar_anchor_point *out_base,
                                         struct mortar_position *out_last);
/* The first index that the session still needs from others' logs: rides on the lease (C9). */
MORTAR_API void mortar_sync_session_needs(struct mortar_sync_session *session, uint64_t index);

/* Writing the log: from create's return to destroy, else MORTAR_E_INVALID. All three show at once
 * in the questions above; durability follows by itself.
 * append: a run that continues the log and was verified against the group (C4); shares it.
 *   MORTAR_E_INVALID    does not continue the log, or has a newer term than this replica (C3).
 *   MORTAR_E_CORRUPT    not a run, or a configuration in it cannot be read.
 *   MORTAR_E_UNVERIFIED a sum is not that of its content (checked unless `verified`).
 *   MORTAR_E_BUSY, MORTAR_E_NO_MEMORY, MORTAR_E_FAILED. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_session_append(struct mortar_sync_session *session, const struct mortar_log_run *run,
                           bool verified);
/* Cuts the log from `from` on. MORTAR_E_INVALID: at or below the commit index (C3). */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_session_truncate(struct mortar_sync_session *session, uint64_t from);
/* After a state was loaded: the log becomes empty with its base at `anchor`, the core state is
 * taken over, commit and applied move to it (forward only), in one step (C11, C12).
 *   MORTAR_E_INVALID  behind the commit index.  MORTAR_E_CORRUPT  the core state's bytes.
 *   MORTAR_E_NO_MEMORY: nothing was changed. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_session_install(struct mortar_sync_session *session,
                            const struct mortar_anchor_point *anchor,
                            struct mortar_bytes core_state);
/* An exclusive job failed and left the state as it was: apply goes on from where it is. After an
 * exclusive job, and until this or an install, the replica neither applies nor answers queries; a
 * session that ends so leaves that to a later one's install. */
MORTAR_API void mortar_sync_session_machine_unchanged(struct mortar_sync_session *session);
/* The group committed up to `position`, which is in the log: it is applied from now on. Forward
 * only. MORTAR_E_INVALID: backwards, not in the log, or another term there. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_session_set_committed(struct mortar_sync_session *session,
                                  struct mortar_position position);

/* ---- Provider ---- */

MORTAR_API bool mortar_sync_provider_leader(const struct mortar_sync_provider *provider,
                                            struct mortar_member_id *out_leader); /* own */
MORTAR_API bool mortar_sync_provider_is_leader(const struct mortar_sync_provider *provider);
/* Proposes a marker entry: leader only, best effort; it may be lost with its leader.
 *   MORTAR_E_NOT_LEADER, MORTAR_E_BUSY, MORTAR_E_TOO_LARGE (4 KiB). */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_provider_feed_command(struct mortar_sync_provider *provider,
                                  struct mortar_bytes marker);

/* ---- Runs, for methods that move entries ---- */

/* Checks a run's shape, that it continues `after`, and each record's log sum; gives the position
 * and sum at its end. Any thread. MORTAR_E_CORRUPT, MORTAR_E_UNVERIFIED. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_log_run_verify(struct mortar_bytes run, const struct mortar_anchor_point *after,
                      uint32_t *out_count, struct mortar_anchor_point *out_last);

/* ---- Built in ---- */

/* A number that is 0 means its default, which stands last in its comment. */
struct mortar_replay_options {
    uint32_t struct_bytes;
    uint32_t batch_bytes;            /* Most in one request, less on slow links; 1 MiB. */
    uint32_t window_bytes;           /* Most in flight or held, all sources together; 32 MiB. */
    uint32_t source_window_bytes;    /* Most in flight from one source; 8 MiB. */
    uint32_t fetch_timeout_ms;       /* A request unanswered for so long goes elsewhere, later when
                                        its source is known to be slow; 2000. */
    uint32_t stall_ms;               /* No verified progress for so long: sources rotate, then the
                                        plan is made anew; 3000. */
    uint32_t give_up_ms;             /* No verified progress for so long: FAILED; 60000. */
    uint64_t serve_bytes_per_second; /* As a source: cap on what is served; 0: none. */
};
#define MORTAR_REPLAY_OPTIONS_INIT .struct_bytes = (uint32_t)sizeof(struct mortar_replay_options)

/* Puts the default in place of every number that is 0, as making and tuning do. */
MORTAR_API void mortar_replay_options_complete(struct mortar_replay_options *options);

/* Log replay (design 6.1.1): fetches missing entries from several members at once. Works with any
 * machine. Makes a method named "log-replay", epoch 1; options NULL: the defaults.
 *   MORTAR_E_INVALID, MORTAR_E_NO_MEMORY. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_log_replay(const struct mortar_allocator *allocator,
                       const struct mortar_replay_options *options,
                       struct mortar_sync_method **out_method);
/* Changes the options while sessions and providers run. Any thread. MORTAR_E_INVALID. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_sync_log_replay_tune(struct mortar_sync_method *method,
                            const struct mortar_replay_options *options);
/* When no group uses it any more. */
MORTAR_API void mortar_sync_log_replay_free(struct mortar_sync_method *method);

#ifdef __cplusplus
}
#endif
#endif
