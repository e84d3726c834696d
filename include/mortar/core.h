/* mortar/core.h - the pure core: one replica of one group, events in, effects out. Unstable
 * until 1.0.
 *
 * For those with an event loop of their own (examples/own_loop.c). A core is passive: it owns no
 * thread, socket, file or clock. The host feeds it events and carries out what it asks for; the
 * node (mortar/node.h) and the simulator are two such hosts, running the same code.
 *
 * The host's duties:
 *   1. one mortar_core_tick() every tick_ms, with the time;
 *   2. bytes between members: mortar_core_link() when a connection of a lane stands or breaks
 *      (mortar_core_link_up() when the ends agreed on a version of the wire format),
 *      mortar_core_frame() for each whole frame that arrived; SEND effects go out in order, lane
 *      by lane; a host that cannot send drops the frame (the protocol lives with loss);
 *   3. work: WORK effects are run by mortar_core_work_run() where they say, those of one place in
 *      order, then handed back by mortar_core_work_done();
 *   4. after every event, or every batch of events: mortar_core_flush(), then effects are taken
 *      with mortar_core_next() until there is none;
 *   5. a storage that completes later: mortar_core_reap() when it says so.
 *
 * Memory:  from the allocator given, which works use on their threads too; frames and replies are
 *          shared by count.
 * Threads: one at a time, except mortar_core_work_run() and mortar_core_frame_check() (any).
 * Errors:  by name at each call. A failed storage makes every later request end with
 *          MORTAR_E_FAILED.
 *
 *     mortar_core_tick(core, now_ms(), wall_ms());
 *     mortar_core_flush(core);
 *     struct mortar_effect effect;
 *     while (mortar_core_next(core, &effect)) carry_out(&effect);
 */
#ifndef MORTAR_CORE_H
#define MORTAR_CORE_H

#include "mortar/machine.h"
#include "mortar/storage.h"
#include "mortar/sync.h"
#include "mortar/trace.h"
#include "mortar/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mortar_core;
struct mortar_work; /* A piece of work under way; owned by the core, lent to the host. */

#define MORTAR_PROMOTE_NOBODY UINT32_MAX

/* A number that is 0 means its default, which stands last in its comment. */
struct mortar_core_options {
    uint32_t struct_bytes;
    struct mortar_member_id self;
    struct mortar_group_id group;
    const char *network;       /* Name space; copied. */
    const char *address;       /* Where others reach us; copied; may be "". */
    uint64_t seed;             /* Same seed and events, same effects. */
    bool observer;             /* Join as an observer: a learner that refuses promotion. */
    uint32_t tick_ms;          /* Real length of a tick; 10. */
    uint32_t heartbeat_ticks;  /* 10 */
    uint32_t election_ticks;   /* Timeout is uniform in [this, 2 * this); 60. */
    uint32_t reluctant_factor; /* Leadership preference: 1 normal; else multiplies the timeout. */
    /* Promote learners up to 1, 3, 5 or 7 voters, or MORTAR_PROMOTE_NOBODY; 3. */
    uint32_t target_voters;
    uint32_t command_bytes_max;     /* 1 MiB; at most MORTAR_COMMAND_BYTES_LIMIT. */
    uint32_t requests_max;          /* Waiting at once; beyond: MORTAR_E_BUSY; 65536. */
    uint64_t uncommitted_bytes_max; /* 64 MiB */
    uint64_t window_bytes;          /* Appends in flight per follower; 4 MiB. */
    uint64_t resend_bytes;          /* More than that is missing: a session (6.2); 1 MiB. */
    uint64_t tail_bytes_max;        /* Budget of the tail range; 256 MiB. */
    uint64_t tail_window_bytes;     /* Live tail in flight per follower; 1 MiB. */
    uint64_t lease_bytes_max;       /* Most that one lease may hold back; 1 GiB. */
    uint32_t lease_ms;              /* A lease not renewed for so long ends; 10000. */
    uint32_t apply_bytes;           /* Commands in one apply run; 1 MiB. */
    uint32_t time_gap_ms;           /* Log time moves by at most this per entry; 10000. */
    struct mortar_trace trace;
    /* The host's clock in us, to count callbacks that exceed their budget; NULL: not counted. */
    uint64_t (*clock_us)(void *context);
    void *clock_context;
    /* The member whose place this one takes, as when its disk was lost: it joins as a learner, and
     * once it is whole, one joint change makes it what the other was and removes that. Refused with
     * MORTAR_E_ALIVE, and asked again, while the leader hears the other. All zero: nobody. Not for
     * an observer. */
    struct mortar_member_id replaces;
    /* Leader: a voter that was not heard for so long loses its place to a learner that is whole,
     * keeps up and came for nobody, by one joint change; one at a time. Without such a learner it
     * stays. If it comes back it is refused, and joins as a new member. Counts as two election
     * timeouts if it is less. 0: nobody is ever removed but by an operator. */
    uint32_t remove_gone_ms;
};
#define MORTAR_CORE_OPTIONS_INIT .struct_bytes = (uint32_t)sizeof(struct mortar_core_options)

/* Puts the default in place of every number that is 0, as open and tune do. */
MORTAR_API void mortar_core_options_complete(struct mortar_core_options *options);

/* Opens a replica over a storage, which it keeps and closes. `machine_ops` NULL: elects a leader
 * and nothing else. `method` must outlive the core.
 * A storage that survived a process gives back term, vote and log (thesis 3.8): the replica reads
 * its log first, and takes no part in anything before it has. Its machine begins anew and is given
 * all that is committed. A replica that comes back is the same member: mortar_core_join().
 *   MORTAR_E_INVALID, MORTAR_E_NO_MEMORY, MORTAR_E_CORRUPT (what was restored does not fit
 *   together), MORTAR_E_NOT_SUPPORTED (a log that was pruned: it needs a snapshot, part 4). On
 *   failure the storage is not closed. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_open(const struct mortar_allocator *allocator,
                 const struct mortar_core_options *options, const struct mortar_storage *storage,
                 const struct mortar_machine_ops *machine_ops, void *machine,
                 const struct mortar_sync_method *method, struct mortar_core **out_core);

/* Ends the replica: every open request gets a DONE effect with MORTAR_E_CLOSED first, taken by
 * mortar_core_next() between stop and close. No WORK may be outstanding at close. */
MORTAR_API void mortar_core_stop(struct mortar_core *core);
MORTAR_API void mortar_core_close(struct mortar_core *core); /* NULL is a no-op. */

/* Founds the group: entry 1 with the birth id and key, one voter, this member. The log time begins
 * with the wall clock of the last tick: tick once before.
 *   MORTAR_E_EXISTS   the log is not empty, or a configuration is known.
 *   MORTAR_E_INVALID  birth id or key is all zero. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_found(struct mortar_core *core, const struct mortar_birth_id *birth,
                  const uint8_t fingerprint_key[16]);

/* ---- Events ---- */

MORTAR_API void mortar_core_tick(struct mortar_core *core, uint64_t now_ms, uint64_t wall_ms);
MORTAR_API void mortar_core_link(struct mortar_core *core, const struct mortar_member_id *member,
                                 enum mortar_lane lane, bool up);
/* A lane stands, and `version` of the wire format is what both ends agreed to speak on it. For a
 * host that negotiates; mortar_core_link() takes the lowest version that this build speaks. */
MORTAR_API void mortar_core_link_up(struct mortar_core *core, const struct mortar_member_id *member,
                                    enum mortar_lane lane, uint16_t version);
/* Checks a whole frame (length, checksum, version, group). Any thread.
 *   MORTAR_E_CORRUPT, MORTAR_E_VERSION, MORTAR_E_TOO_LARGE, MORTAR_E_GROUP. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_frame_check(struct mortar_bytes frame, enum mortar_lane lane,
                        const struct mortar_group_id *group);
/* A frame that mortar_core_frame_check() passed, as a buffer of its own; shares it if it needs.
 * Checksums are not looked at again, so a frame that was not checked must not come here.
 * The host ends the link on
 *   MORTAR_E_PROTOCOL  its content breaks the protocol,
 *   MORTAR_E_VERSION   it is of a later version than was agreed on for this lane. */
MORTAR_API enum mortar_status mortar_core_frame(struct mortar_core *core,
                                                const struct mortar_member_id *from,
                                                enum mortar_lane lane, struct mortar_buffer *frame);
MORTAR_API void mortar_core_work_done(struct mortar_core *core, struct mortar_work *work);
MORTAR_API void mortar_core_reap(struct mortar_core *core);
MORTAR_API void mortar_core_flush(struct mortar_core *core);

/* ---- Requests. `id` is the caller's, unique among open ones; each accepted request ends in
 *      exactly one DONE effect. A refused one ends in none. ---- */

enum mortar_request_kind {
    MORTAR_REQUEST_EXECUTE = 1, /* DONE when the last command is applied, with replies. */
    MORTAR_REQUEST_FEED = 2,    /* DONE when the leader has assigned positions. */
    MORTAR_REQUEST_CHANGE = 3,  /* A membership change; DONE when it is committed. */
    MORTAR_REQUEST_CLIENT = 4,  /* Of a client session: mortar_core_session_*(). */
    MORTAR_REQUEST_TRANSFER = 5 /* By mortar_core_transfer() alone. */
};

/* `count` commands back to back, each 4 bytes length (little-endian) and the bytes; copied.
 *   MORTAR_E_BUSY       a queue is full.
 *   MORTAR_E_TOO_LARGE  a command is beyond command_bytes_max.
 *   MORTAR_E_INVALID    count is 0, or the items do not add up.
 *   MORTAR_E_NO_MEMORY, MORTAR_E_FAILED, MORTAR_E_REMOVED. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_submit(struct mortar_core *core, uint64_t id, enum mortar_request_kind kind,
                   struct mortar_bytes items, uint32_t count, uint32_t timeout_ms);

/* ---- Client sessions (C1; thesis 6.3) ----
 *
 * A session belongs to the group: every member knows it, and it outlives leaders. A command of a
 * session carries a sequence number, 1 and up, and is applied at most once, however often and
 * wherever it is submitted: what comes again is answered by the reply of the first time, at the
 * position of the first time. So a request of a session is sent again by itself, through changes of
 * leader, until there is a word on it or its time is up.
 *
 * Bounds: the last 64 replies and 8 KiB of them are kept for a session, less those that the client
 * says it has (`acked`); a group has 4096 sessions. A command whose reply is not kept any more ends
 * with MORTAR_UNKNOWN when it comes again. So: at most 64 commands of a session under way. Commands
 * submitted at one member, in order and without a failure between them, are applied in order.
 *
 * A session of which nothing was committed for its ttl expires, by log time: on all members at the
 * same position. MORTAR_E_SESSION: it is not known, was closed, or has expired; the command was not
 * applied, nor will it be. Where an earlier try of the same request may have been, it ends with
 * MORTAR_UNKNOWN instead.
 * Other completions and refusals: as mortar_core_submit(). */

struct mortar_session_command {
    uint64_t session;
    uint64_t sequence; /* From 1. */
    uint64_t acked;    /* Below `sequence`: its client has all replies up to here. */
    struct mortar_bytes bytes;
};

/* DONE: result.first.index is the session. MORTAR_E_BUSY: the group has too many. A request that
 * ends with MORTAR_UNKNOWN may have opened one, which expires. `ttl_ms` 1000..86400000. */
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_core_session_open(struct mortar_core *core,
                                                                        uint64_t id,
                                                                        uint64_t ttl_ms,
                                                                        uint32_t timeout_ms);
/* DONE: OK with one reply. Copies the command. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_session_execute(struct mortar_core *core, uint64_t id,
                            const struct mortar_session_command *command, uint32_t timeout_ms);
/* Does nothing but let it live on. */
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_core_session_keep(struct mortar_core *core,
                                                                        uint64_t id,
                                                                        uint64_t session,
                                                                        uint32_t timeout_ms);
/* What is still under way for it ends with MORTAR_E_SESSION or MORTAR_UNKNOWN. */
MORTAR_API MORTAR_NODISCARD enum mortar_status mortar_core_session_close(struct mortar_core *core,
                                                                         uint64_t id,
                                                                         uint64_t session,
                                                                         uint32_t timeout_ms);

enum mortar_read_mode {
    MORTAR_READ_LINEARIZABLE = 0, /* C2 */
    MORTAR_READ_LOCAL = 1         /* What this replica has applied, whatever that is. */
};
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_query(struct mortar_core *core, uint64_t id, enum mortar_read_mode mode,
                  struct mortar_bytes query, uint32_t timeout_ms);

/* Membership changes, carried out together; the result is one entry, or two through a joint
 * configuration when the voters change. DONE with MORTAR_OK when it is committed; among others:
 *   MORTAR_E_EXISTS, MORTAR_E_NOT_FOUND, MORTAR_E_TOO_LARGE (more than MORTAR_MEMBERS_MAX),
 *   MORTAR_E_INVALID  no voter would be left, or a change does not fit the member's role.
 *   MORTAR_E_REMOVED  an id was removed before. The last 256 removed ids are refused: whoever
 *                     comes back draws a new one.
 *   MORTAR_E_ALIVE       REPLACE: the leader hears the member that is to go. REMOVE it instead.
 *   MORTAR_E_INCOMPLETE  REPLACE: the new member is not whole yet. */
enum mortar_change_kind {
    MORTAR_ADD_LEARNER = 1,
    MORTAR_ADD_OBSERVER = 2,
    MORTAR_PROMOTE = 3,
    MORTAR_DEMOTE = 4,
    MORTAR_REMOVE = 5,
    MORTAR_CHANGE_ADDRESS = 6,
    MORTAR_REPLACE = 7 /* A learner takes the role of `replaced`, which is removed. */
};
struct mortar_change {
    enum mortar_change_kind kind;
    struct mortar_member_id member;
    const char *address;              /* For ADD_* and CHANGE_ADDRESS; else NULL. */
    struct mortar_member_id replaced; /* For REPLACE. */
};
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_change(struct mortar_core *core, uint64_t id, const struct mortar_change *changes,
                   uint32_t count, uint32_t timeout_ms);

/* Asks the leader to hand over to `target`, or, where that is NULL, to the voter that lacks least
 * (thesis 3.10). The leader takes no commands meanwhile: they wait, and go to its successor, or go
 * on when it gives up, after an election timeout. A follower passes it on to the leader.
 * DONE comes with
 *   MORTAR_OK           the target leads, in a later term or already; for NULL: another one does.
 *   MORTAR_E_INVALID    the target is no voter, or is being removed; for NULL: there is no other.
 *   MORTAR_E_BUSY       the target is cut off, catching up, or too far behind, or a transfer is
 *                       under way; for NULL: nobody is ready. Nothing was changed.
 *   MORTAR_E_TIMEOUT    given up before the target was asked to take over. Nothing was changed.
 *   MORTAR_UNKNOWN      the target was asked, or another leader followed: it may lead yet.
 *   and MORTAR_E_NO_LEADER, as any request.
 * Returns: as mortar_core_submit(). */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_transfer(struct mortar_core *core, uint64_t id, const struct mortar_member_id *target,
                     uint32_t timeout_ms);

/* A node that is no member asks to become one, through any bond, again and again until it stands in
 * the configuration. */
MORTAR_API void mortar_core_join(struct mortar_core *core);

/* Forgets a request: its DONE comes with MORTAR_E_CANCELLED, or UNKNOWN for a command that was
 * sent. */
MORTAR_API void mortar_core_cancel(struct mortar_core *core, uint64_t id);

/* Changes tunables while running: all of the options but self, group, network, address, seed,
 * replaces, and the hooks (trace, clock), which are ignored.
 *   MORTAR_E_INVALID. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_core_tune(struct mortar_core *core, const struct mortar_core_options *options);

/* ---- Effects ---- */

enum mortar_work_place {
    MORTAR_WORK_APPLY = 0, /* The machine's thread. */
    MORTAR_WORK_BULK = 1   /* A bulk thread, lower priority. */
};

enum mortar_effect_type {
    MORTAR_EFFECT_SEND = 1,
    MORTAR_EFFECT_WORK = 2,
    MORTAR_EFFECT_DONE = 3,
    MORTAR_EFFECT_CHANGED = 4, /* The status may have changed; at most one per flush. */
    MORTAR_EFFECT_BIRTH = 5,   /* The birth id became known. */
    MORTAR_EFFECT_FAILED = 6   /* The storage failed; the replica is dead. */
};

struct mortar_result {
    enum mortar_status status;
    struct mortar_position first; /* EXECUTE, FEED, CHANGE: of the first command. A query: what
                                     it saw. */
    struct mortar_position last;
    uint32_t count;                /* Replies: EXECUTE one per command, a query one. */
    struct mortar_buffer *replies; /* Each 4 bytes length and the bytes; NULL when count is 0. The
                                      taker releases it. */
};

struct mortar_effect {
    enum mortar_effect_type type;
    union {
        struct {
            struct mortar_member_id to;
            enum mortar_lane lane;
            struct mortar_buffer *frame; /* The host releases it. */
        } send;
        struct {
            enum mortar_work_place place;
            struct mortar_work *work;
        } work;
        struct {
            uint64_t id;
            struct mortar_result result;
        } done;
        struct mortar_birth_id birth;
        enum mortar_status failed;
    };
};

/* The next effect, in order; false: none. */
MORTAR_API bool mortar_core_next(struct mortar_core *core, struct mortar_effect *out_effect);

/* Runs a piece of work. Any thread. */
MORTAR_API void mortar_core_work_run(struct mortar_work *work);

/* ---- Inspection ---- */

struct mortar_member_status {
    struct mortar_member_id id;
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    bool voter;
    bool observer;
    bool leaving;
    bool linked; /* A control lane stands with it now. */
    /* As the leader sees it; zero elsewhere. */
    uint64_t match;
    uint64_t commit;
    uint32_t progress; /* 0 probe, 1 replicate, 2 sync */
    bool whole;
};

struct mortar_sync_status {
    bool active;
    uint64_t session;
    uint64_t started_ms; /* Host time. */
    uint64_t elapsed_ms;
    uint64_t bytes_per_second; /* Verified, over the last seconds. */
    uint64_t left_ms;          /* Estimate; UINT64_MAX: cannot be told. */
    uint64_t tail_bytes;       /* Live tail taken from the leader. */
    uint64_t tail_entries;
    struct mortar_sync_progress progress;
};

struct mortar_lease_status {
    struct mortar_member_id member;
    uint64_t session;
    uint64_t from_index;
    uint64_t held_bytes;
    uint64_t left_ms;
};

struct mortar_core_counters {
    uint64_t elections;
    uint64_t leader_changes;
    uint64_t commands_applied; /* By the machine here. */
    uint64_t bytes_applied;    /* Of those commands. */
    uint64_t appends_sent;
    uint64_t sessions_started;
    uint64_t sessions_done;
    uint64_t sessions_failed;
    uint64_t sync_bytes_received; /* Verified. */
    uint64_t sync_bytes_served;
    uint64_t tail_bytes_received;
    uint64_t frames_refused;
    uint64_t leases_ended;
    uint64_t budget_exceeded;
    uint64_t requests_busy;
};

struct mortar_core_status {
    enum mortar_role role;
    uint64_t term;
    bool leader_known;
    struct mortar_member_id leader;
    struct mortar_member_id self;
    bool member;  /* Stands in the latest configuration. */
    bool removed; /* Our removal is committed. */
    bool online;  /* Leads, or agrees with a leader and is not catching up. */
    bool birth_known;
    struct mortar_birth_id birth;
    struct mortar_anchor_point base;
    struct mortar_position last;
    uint64_t stored; /* Durable up to here. */
    struct mortar_position committed;
    uint64_t applied;
    uint64_t config_index;
    bool joint;
    uint32_t member_count;
    struct mortar_member_status members[MORTAR_MEMBERS_MAX];
    struct mortar_sync_status sync; /* The running session, or the last one (active false). */
    enum mortar_status sync_ended;  /* How the last session ended; OK: done, or none yet. */
    uint32_t lease_count;
    struct mortar_lease_status leases[MORTAR_MEMBERS_MAX];
    uint64_t log_bytes;
    uint64_t memory_bytes; /* Of the storage. */
    struct mortar_core_counters counters;
};
MORTAR_API void mortar_core_status(struct mortar_core *core, struct mortar_core_status *out_status);

/* The role alone, which costs nothing to ask for. */
MORTAR_API enum mortar_role mortar_core_role(const struct mortar_core *core);

/* The log sum at `index`, for judges and tools. False: not held. */
MORTAR_API bool mortar_core_log_sum(struct mortar_core *core, uint64_t index, uint64_t *out_term,
                                    struct mortar_log_sum *out_sum);

/* Asserts the invariants of all parts; the simulator calls it after each step. */
MORTAR_API void mortar_core_check(struct mortar_core *core);

#ifdef __cplusplus
}
#endif
#endif
