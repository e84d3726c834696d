/* mortar/node.h - the batteries: a node with its threads, connections and one replica.
 *
 * Everything asynchronous exists twice: with a completion, and as a blocking call with a timeout.
 * An accepted call completes exactly once, also at timeout and close; a call that returns an error
 * never completes; per handle in order of submission where the outcome depends on it. Completions
 * come on the node's thread, or, with MORTAR_COMPLETE_QUEUE, from mortar_node_dispatch() on the
 * caller's, woken by the file descriptor mortar_node_fd().
 *
 * Memory:  replies belong to the callee of a completion for the call; a blocking call's result is
 *          released with mortar_result_release().
 * Threads: every function may be called from any thread. A blocking call on one of the node's own
 *          threads answers MORTAR_E_WRONG_THREAD. The library's threads block all signals.
 * Errors:  by name at each call; MORTAR_E_FAILED and MORTAR_E_CLOSED from all.
 *
 *     struct mortar_node *node;
 *     struct mortar_group *group;
 *     mortar_node_open(&(struct mortar_node_options){MORTAR_NODE_OPTIONS_INIT, .directory = "data",
 *                      .listen = "127.0.0.1:7400", .key_file = "group.key"}, &node);
 *     mortar_group_found(node, &(struct mortar_group_options){MORTAR_GROUP_OPTIONS_INIT,
 *                        .machine = &ops, .machine_state = &counter}, &group);
 *     mortar_group_execute(group, command, 1000, &result);
 */
#ifndef MORTAR_NODE_H
#define MORTAR_NODE_H

#include "mortar/core.h"
#include "mortar/machine.h"
#include "mortar/sync.h"
#include "mortar/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mortar_node;
struct mortar_group;

/* The allocator that a node uses when it is given none: malloc. */
MORTAR_API const struct mortar_allocator *mortar_default_allocator(void);

enum mortar_completion_mode { MORTAR_COMPLETE_CALLBACK = 0, MORTAR_COMPLETE_QUEUE = 1 };

enum mortar_log_level {
    MORTAR_LOG_ERROR = 0,
    MORTAR_LOG_WARNING = 1,
    MORTAR_LOG_INFO = 2,
    MORTAR_LOG_DEBUG = 3
};

/* A number that is 0 means its default, which stands last in its comment. */
struct mortar_node_options {
    uint32_t struct_bytes;
    const char
        *directory;     /* Required. Made if missing; holds identity.pem. One process at a time. */
    const char *listen; /* Required. "host:port", "[v6]:port"; port 0: any free one. */
    const char *advertise; /* What others are told to connect to; NULL: the listen address, or
                              nothing when that is a wildcard: then only we connect to them. */
    const char *peers;     /* "host:port,host:port": first contact only; NULL: none. */
    const char *key_file;  /* Required. Made by `mortar keygen`. */
    const char *network;   /* Name space; NULL: "default". */
    enum mortar_completion_mode completions;
    uint32_t completions_max;       /* Queue mode: waiting at most; 65536. */
    uint32_t handshake_ms;          /* TLS and bond together; 5000. */
    uint32_t half_open_max;         /* Links before their proof; 64. */
    uint32_t links_max;             /* All links; 256. */
    uint32_t heartbeat_ms;          /* Of an idle bond; 500. */
    uint32_t heartbeats_missed_max; /* Then the link is dead; 6. */
    uint32_t reconnect_ms_min;      /* Back-off, doubled up to the maximum; 50. */
    uint32_t reconnect_ms_max;      /* 2000 */
    uint64_t send_queue_bytes_max;  /* Per link; beyond: bulk is refused as BUSY; 64 MiB. */
    const struct mortar_allocator *allocator; /* NULL: malloc. */
    void (*log)(void *context, enum mortar_log_level level, const char *line);
    void (*on_fatal)(void *context, enum mortar_status status, const char *text);
    void *context;             /* Of log and on_fatal; both may run on any thread of the node. */
    struct mortar_trace trace; /* On the node's thread. */
};
#define MORTAR_NODE_OPTIONS_INIT .struct_bytes = (uint32_t)sizeof(struct mortar_node_options)

/* Opens the directory, makes or reads the identity, listens, starts the threads.
 *   MORTAR_E_INVALID         an option is missing or out of range.
 *   MORTAR_E_LOCKED          another process uses the directory.
 *   MORTAR_E_PERMISSION      identity or key file cannot be read, or others may read it.
 *   MORTAR_E_CORRUPT         identity or key file is not what it should be.
 *   MORTAR_E_NOT_FOUND       there is no key file.
 *   MORTAR_E_ADDRESS, MORTAR_E_ADDRESS_IN_USE, MORTAR_E_IO, MORTAR_E_NO_MEMORY. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_node_open(const struct mortar_node_options *options, struct mortar_node **out_node);
/* What the last failed mortar_node_open() of this thread ran into, as a sentence for people. */
MORTAR_API const char *mortar_node_open_error(void);
/* Says good-bye to peers, for half a second at most, completes everything as CLOSED, ends the
 * threads. Waits for what cannot be stopped: a call of the machine or the sync method that runs,
 * and a name that the system is resolving. NULL is a no-op.
 * MORTAR_E_WRONG_THREAD: from one of its own threads; nothing was done. */
MORTAR_API enum mortar_status mortar_node_close(struct mortar_node *node);

MORTAR_API struct mortar_peer_id mortar_node_id(const struct mortar_node *node);
/* The address it listens on, with the real port. `out` holds MORTAR_ADDRESS_BYTES_MAX + 1. */
MORTAR_API void mortar_node_address(const struct mortar_node *node, char *out_address);

/* Queue mode: readable when mortar_node_dispatch() has something to do. */
MORTAR_API int mortar_node_fd(const struct mortar_node *node);
/* Runs up to `max` waiting completions here; answers how many. */
MORTAR_API uint32_t mortar_node_dispatch(struct mortar_node *node, uint32_t max);

struct mortar_bond_status {
    struct mortar_peer_id peer;
    struct mortar_member_id member;
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    bool control;
    bool bulk;
    uint64_t round_trip_us;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t queued_bytes;
};
/* Fills up to `capacity`, answers how many there are. */
MORTAR_API uint32_t mortar_node_bonds(struct mortar_node *node,
                                      struct mortar_bond_status *out_bonds, uint32_t capacity);

struct mortar_node_metrics {
    uint64_t links_accepted;
    uint64_t links_connected;
    uint64_t links_lost;
    uint64_t refused_half_open;
    uint64_t refused_tls;
    uint64_t refused_protocol;
    uint64_t refused_version;
    uint64_t refused_key;
    uint64_t refused_network;
    uint64_t refused_machine;
    uint64_t refused_sync;
    uint64_t refused_birth;
    uint64_t refused_copied;
    uint64_t handshake_timeouts;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t frames_dropped; /* A queue was full. */
    struct mortar_core_counters core;
};
MORTAR_API void mortar_node_metrics(struct mortar_node *node,
                                    struct mortar_node_metrics *out_metrics);

/* ---- Groups. One group per node in this version; a second gets MORTAR_E_NOT_SUPPORTED. ---- */

/* How a call ended; `result` is borrowed for the call, with its replies. On the node's thread it
 * must not take long: heartbeats wait for it. Where it may, use MORTAR_COMPLETE_QUEUE. */
typedef void mortar_completion(void *argument, const struct mortar_result *result);

struct mortar_group_options {
    uint32_t struct_bytes;
    const struct mortar_machine_ops *machine; /* NULL: elects a leader and nothing else. */
    void *machine_state;
    struct mortar_core_options core;      /* Tunables; identity fields are filled in by the node. */
    const struct mortar_storage *storage; /* NULL: the in-memory log. Taken on success. */
};
#define MORTAR_GROUP_OPTIONS_INIT                                                                  \
    .struct_bytes = (uint32_t)sizeof(struct mortar_group_options),                                 \
    .core = {MORTAR_CORE_OPTIONS_INIT}

/* Exactly once in a group's life: a group of one voter, with a random birth id. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_found(struct mortar_node *node, const struct mortar_group_options *options,
                   struct mortar_group **out_group);
/* Every other replica: contacts the peers, becomes a learner, syncs, is promoted when wanted.
 * Over the in-memory log it takes the place of the member that the directory held before (file
 * `member`), as if `core.replaces` named it; what `core.replaces` names goes first. Once removed,
 * the file names nobody. A storage of your own and an observer have no note.
 *   MORTAR_E_CORRUPT, MORTAR_E_PERMISSION  the note is damaged, or others may read it; the log
 *                                          names the file. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_join(struct mortar_node *node, const struct mortar_group_options *options,
                  struct mortar_group **out_group);
/* Leaves the configuration (a membership change), then completes: OK, also when it was out
 * already, or as mortar_group_change(). Close comes after it. */
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_group_leave(struct mortar_group *group,
                                                                  uint32_t timeout_ms);
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_group_leave_async(struct mortar_group *group,
                                                                        uint32_t timeout_ms,
                                                                        mortar_completion *done,
                                                                        void *argument);
/* Stops this replica; completes everything as CLOSED. A leader hands over first, where a voter is
 * ready to lead: mostly a few round trips, at most two election timeouts. Other threads that still
 * try the handle get CLOSED until the node is closed, which releases it. */
MORTAR_API enum mortar_status mortar_group_close(struct mortar_group *group);

MORTAR_API struct mortar_group_id mortar_group_id(const struct mortar_group *group);
MORTAR_API struct mortar_member_id mortar_group_member_id(const struct mortar_group *group);

/* ---- Commands and queries ---- */

/* Reply `i` of a result; empty when there is none. */
MORTAR_API struct mortar_bytes mortar_result_reply(const struct mortar_result *result, uint32_t i);
MORTAR_API void mortar_result_release(struct mortar_result *result);

/* Executes commands, all or none submitted together; success means that every one of them was
 * committed at first..last and applied, and carries its replies (C1).
 * Completion: OK; MORTAR_UNKNOWN; MORTAR_E_BUSY (the leader's queue is full), MORTAR_E_LOST,
 * MORTAR_E_TIMEOUT, MORTAR_E_NO_LEADER (none of them was or will be executed); MORTAR_E_CLOSED,
 * MORTAR_E_FAILED, MORTAR_E_REMOVED.
 * Returns: MORTAR_E_BUSY, MORTAR_E_TOO_LARGE, MORTAR_E_INVALID, MORTAR_E_NO_MEMORY. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_execute_many_async(struct mortar_group *group, const struct mortar_bytes *commands,
                                uint32_t count, uint32_t timeout_ms, mortar_completion *done,
                                void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_execute_many(struct mortar_group *group, const struct mortar_bytes *commands,
                          uint32_t count, uint32_t timeout_ms, struct mortar_result *out_result);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_execute_async(struct mortar_group *group, struct mortar_bytes command,
                           uint32_t timeout_ms, mortar_completion *done, void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_execute(struct mortar_group *group, struct mortar_bytes command, uint32_t timeout_ms,
                     struct mortar_result *out_result);
/* The same, complete when the leader assigned positions: not yet committed, may still be lost. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_feed_many_async(struct mortar_group *group, const struct mortar_bytes *commands,
                             uint32_t count, uint32_t timeout_ms, mortar_completion *done,
                             void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_feed_many(struct mortar_group *group, const struct mortar_bytes *commands,
                       uint32_t count, uint32_t timeout_ms, struct mortar_result *out_result);
/* Queries the machine (C2). Completion: OK with one reply; MORTAR_E_TIMEOUT, MORTAR_E_NO_LEADER,
 * MORTAR_E_INCOMPLETE, MORTAR_E_NOT_SUPPORTED, or what the machine's query answered. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_query_async(struct mortar_group *group, struct mortar_bytes query,
                         enum mortar_read_mode mode, uint32_t timeout_ms, mortar_completion *done,
                         void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_group_query(struct mortar_group *group,
                                                                  struct mortar_bytes query,
                                                                  enum mortar_read_mode mode,
                                                                  uint32_t timeout_ms,
                                                                  struct mortar_result *out_result);

/* ---- Client sessions (C1; thesis 6.3; mortar/core.h says more) ----
 *
 * A command of a session is applied at most once, whatever happens to leaders and links on the way:
 * the call goes on by itself until there is a word on it or its time is up. So nearly every call
 * that would end with MORTAR_UNKNOWN outside of a session ends with its reply.
 *
 *     struct mortar_session *session;
 *     mortar_session_open(group, 0, 5000, &session);
 *     mortar_session_execute(session, command, 5000, &result);
 *     mortar_session_close(session, 1000);
 *
 * Calls of one handle are applied in the order in which they were made, as long as none of them
 * fails; up to 64 are under way. The handle must be closed before its group. Any thread; calls that
 * wait: not on the node's own threads (MORTAR_E_WRONG_THREAD). */
struct mortar_session;

/* Opens a session that expires when nothing of it was committed for `ttl_ms` (1000..86400000; 0:
 * 60000) of log time.
 * MORTAR_E_BUSY (the group has 4096), MORTAR_E_INVALID, or as mortar_group_execute(). */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_session_open(struct mortar_group *group, uint64_t ttl_ms, uint32_t timeout_ms,
                    struct mortar_session **out_session);
/* The session's number in the group. */
MORTAR_API uint64_t mortar_session_id(const struct mortar_session *session);
/* Executes one command. Completion: as mortar_group_execute(), with the position and the reply of
 * the one time that it was applied; MORTAR_E_SESSION: the session has expired, and the command was
 * not applied. MORTAR_UNKNOWN: it may have been, and a reply is not to be had.
 * Returns: MORTAR_E_BUSY (64 under way), MORTAR_E_TOO_LARGE, MORTAR_E_NO_MEMORY. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_session_execute_async(struct mortar_session *session, struct mortar_bytes command,
                             uint32_t timeout_ms, mortar_completion *done, void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_session_execute(struct mortar_session *session, struct mortar_bytes command,
                       uint32_t timeout_ms, struct mortar_result *out_result);
/* Does nothing but let it live on. MORTAR_E_SESSION: it has expired. */
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_session_keep(struct mortar_session *session,
                                                                   uint32_t timeout_ms);
/* Ends the session in the group, and the handle in any case but MORTAR_E_BUSY: a call of it is
 * under way. With `timeout_ms` 0 the group is not asked: the session expires. */
MORTAR_API enum mortar_status mortar_session_close(struct mortar_session *session,
                                                   uint32_t timeout_ms);

/* ---- Waiting ---- */

enum mortar_condition_kind {
    MORTAR_UNTIL_LEADER_ELECTED = 1, /* A leader is known. */
    MORTAR_UNTIL_LEADER_CHANGED = 2, /* Another leader than now is known. */
    MORTAR_UNTIL_LEADER_IS = 3,      /* .member leads. */
    MORTAR_UNTIL_IS_LEADER = 4,
    MORTAR_UNTIL_IS_FOLLOWER = 5, /* Does not lead, "no leader" included. */
    MORTAR_UNTIL_ONLINE = 6,      /* Leads, or agrees with the leader. */
    MORTAR_UNTIL_OFFLINE = 7,
    MORTAR_UNTIL_COMMITTED = 8, /* commit index >= .index */
    MORTAR_UNTIL_COMMIT_ADVANCED = 9,
    MORTAR_UNTIL_APPLIED = 10,     /* applied >= .index: read your writes. */
    MORTAR_UNTIL_LOG_REACHES = 11, /* last index >= .index */
    MORTAR_UNTIL_LOG_ADVANCED = 12,
    MORTAR_UNTIL_LOG_CHANGED = 13,  /* The last position differs. */
    MORTAR_UNTIL_LOG_REVERTED = 14, /* A suffix was cut. */
    MORTAR_UNTIL_VOTER = 15,        /* This member is a voter. */
    MORTAR_UNTIL_MEMBERS = 16,      /* .index members stand in the configuration. */
    MORTAR_UNTIL_VOTERS = 17,       /* .index voters stand in a configuration that is not joint. */
    MORTAR_UNTIL_BONDS_CHANGED = 18
};
struct mortar_condition {
    enum mortar_condition_kind kind;
    uint64_t index;
    struct mortar_member_id member;
};
/* Completes OK when the condition holds (position: commit index and term), MORTAR_E_TIMEOUT,
 * MORTAR_E_CLOSED. timeout_ms UINT32_MAX: for ever. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_wait_async(struct mortar_group *group, struct mortar_condition condition,
                        uint32_t timeout_ms, mortar_completion *done, void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_group_wait(struct mortar_group *group,
                                                                 struct mortar_condition condition,
                                                                 uint32_t timeout_ms);

/* ---- Members and status ---- */

MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_change_async(struct mortar_group *group, const struct mortar_change *changes,
                          uint32_t count, uint32_t timeout_ms, mortar_completion *done,
                          void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_change(struct mortar_group *group, const struct mortar_change *changes, uint32_t count,
                    uint32_t timeout_ms);

/* Asks the leader, whoever that is, to hand over to `target`, or, where that is NULL, to the voter
 * that lacks least (thesis 3.10). Commands wait meanwhile, for about an election timeout at most.
 * Completion: OK (the target leads; for NULL: another member than before), MORTAR_E_INVALID (the
 * target is no voter, or there is no other), MORTAR_E_BUSY (it is cut off, or catching up, or a
 * transfer is under way), MORTAR_E_TIMEOUT (given up; nothing was changed), MORTAR_UNKNOWN (the
 * target was asked, and may lead yet), MORTAR_E_NO_LEADER. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_transfer_async(struct mortar_group *group, const struct mortar_member_id *target,
                            uint32_t timeout_ms, mortar_completion *done, void *argument);
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_transfer(struct mortar_group *group, const struct mortar_member_id *target,
                      uint32_t timeout_ms);

MORTAR_API void mortar_group_status(struct mortar_group *group,
                                    struct mortar_core_status *out_status);
/* Changes tunables while running. requests_max takes effect up to twice its value at open.
 * MORTAR_E_INVALID. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_group_tune(struct mortar_group *group, const struct mortar_core_options *options);

/* ---- Keys ---- */

/* Writes a new key file (mode 0600): a birth key's hash and one access key, both random.
 *   MORTAR_E_EXISTS, MORTAR_E_IO, MORTAR_E_PERMISSION. */
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_key_generate(const char *path);

#ifdef __cplusplus
}
#endif
#endif
