/* group/internal.h - one replica of one group, from the inside.
 *
 * Who does what:
 *   core.c      life cycle, ticks, flush: the order in which the parts run
 *   inbox.c     frames in: decoding, parts, dispatch
 *   outbox.c    frames out: encoding, parts, what waits behind a save
 *   log.c       the storage: tokens and completions, the view that raft has of it
 *   restore.c   a log that survived the process before
 *   drive.c     steps raft and carries out its effects
 *   propose.c   commands become entries
 *   requests.c  who waits for what: local and forwarded requests
 *   client_requests.c   ... of client sessions; client_table.c   what was applied of them
 *   transfers.c   ... that a leader hand over
 *   reads.c     queries and read indexes
 *   apply.c     committed entries go to the machine; markers; the core state
 *   lease.c     what others' sessions hold back, and pruning
 *   sync.c, session.c, provider.c   the runtime of mortar/sync.h
 *   status.c    what can be seen; check.c: what must hold
 *   echo.c      with -Dwire_next=true: a wire version that is for tests only
 */
#ifndef GROUP_INTERNAL_H
#define GROUP_INTERNAL_H

#include "base/bug.h"
#include "base/mark.h"
#include "base/prng.h"
#include "group/client_table.h"
#include "group/echo.h"
#include "group/ring.h"
#include "mortar/core.h"
#include "raft/raft.h"
#include "wire/config.h"
#include "wire/frame.h"
#include "wire/message.h"

#define GROUP_PEERS_MAX     64u        /* Linked at once: members and those who ask to join. */
#define GROUP_PENDING_MAX   (1u << 20) /* Storage operations under way. */
#define GROUP_EFFECTS_MAX   (1u << 20)
#define GROUP_SEQUENCE_RING 64u /* Sync messages remembered per peer, against duplicates. */
#define SYNC_FRAME_HEADROOM (FRAME_HEADER_BYTES + SYNC_MESSAGE_BYTES)
#define MARKER_BYTES_MAX    4096u

/* ---- Peers ---- */

struct peer {
    struct mortar_member_id id;
    bool used;
    bool up[2];          /* By lane, */
    uint16_t version[2]; /* and the wire version that both ends speak there while it is up. */
    /* A long message that arrives in parts. */
    struct mortar_buffer *part_buffer; /* Payload of the whole message, without a header. */
    uint64_t part_number;
    uint32_t part_got;
    uint32_t part_total;
    uint8_t part_type;
    /* Sequence numbers of sync messages seen; 0: free. */
    uint64_t seen[GROUP_SEQUENCE_RING];
    uint32_t seen_next;
    /* Numbers of forwarded requests seen: the highest, and a bit for each of the 64 up to it. */
    uint64_t forward_top;
    uint64_t forward_window;
#ifdef MORTAR_WIRE_NEXT
    struct echo_counts echo;
#endif
};

/* ---- Storage operations under way, in order of submission ---- */

enum pending_kind {
    PENDING_APPEND, /* value: last index */
    PENDING_WRITE,  /* Truncate, prune, reset, tail: nothing waits for it by itself. */
    PENDING_SAVE,   /* value: term */
    PENDING_READ
};

typedef void pending_read_done(struct mortar_core *core, void *argument, enum mortar_status status,
                               const struct mortar_log_run *run);

struct pending {
    uint64_t token;
    enum pending_kind kind;
    uint64_t value;
    pending_read_done *done;
    void *argument;
};

/* ---- Work ---- */

enum work_kind { WORK_APPLY, WORK_QUERY, WORK_JOB };

/* What a run of entries did to the core state. */
struct apply_outcome {
    uint64_t applied; /* Last index dealt with. */
    uint64_t time_ms; /* Of that entry. */
    uint64_t commands;
    uint64_t command_bytes;
    uint64_t config_index;      /* Last configuration entry among them; 0: none. */
    bool config_founds;         /* It is the founding entry. */
    struct mortar_bytes config; /* Its payload, in the run. */
    bool paused;                /* The machine asked to come back later. */
};

struct mortar_work {
    enum work_kind kind;
    enum mortar_work_place place;
    const struct mortar_machine_ops *machine_ops;
    void *machine;
    const struct mortar_allocator *allocator;
    union {
        struct {
            struct mortar_log_run run;
            struct mortar_group_id group;
            uint64_t installs; /* Of the core, when it was issued. */
            uint64_t committed;
            bool collect; /* Somebody waits for replies. */
            struct apply_outcome outcome;
            struct client_table *clients; /* The core's: this thread's while the run is applied. */
            uint8_t *replies; /* Per entry: 4 bytes length, bytes; or REPLY_STATUS and no bytes. */
            size_t replies_bytes;
            size_t replies_capacity;
            bool replies_lost; /* A reply found no memory. */
        } apply;
        struct {
            uint64_t serial;
            struct mortar_buffer *query;
            struct mortar_buffer *answer; /* 4 bytes length, bytes. */
            enum mortar_status status;
        } query;
        struct {
            struct mortar_sync *owner;
            uint64_t generation; /* Of the owner; another one: it was destroyed. */
            mortar_sync_job_run *run;
            mortar_sync_job_done *done;
            void *argument;
        } job;
    };
};

/* ---- Requests ---- */

enum request_state {
    REQUEST_QUEUED,    /* Not proposed, not sent. */
    REQUEST_PROPOSED,  /* In our log, as leader. A transfer: under way. */
    REQUEST_FORWARDED, /* Sent to a leader. */
    REQUEST_LIMBO      /* Was in our log, cut from it: may still be committed by others. */
};

struct request {
    struct request *next;
    struct request *previous;
    struct request *next_in_bucket; /* FORWARDED: of those whose forward_id falls together. */
    uint64_t serial;                /* In order of arrival. */
    uint64_t id;
    bool remote; /* Asked by another member. */
    struct mortar_member_id asker;
    enum mortar_request_kind kind;
    enum request_state state;
    enum mortar_entry_kind entry_kind; /* COMMAND, MARKER, CLIENT or CLIENT_COMMAND. */
    uint32_t sends; /* Of a client session: so often it was proposed or sent, with no word. */
    uint64_t deadline_ms;
    uint32_t count;
    struct mortar_buffer *items;
    struct mortar_position first;
    struct mortar_position last;
    uint64_t forward_id;
    struct mortar_member_id forwarded_to; /* A transfer under way: the leader that was asked. */
    /* Replies gathered so far. */
    struct mortar_buffer *replies;
    uint32_t replies_count;
    bool replies_lost;
    bool touched; /* Some of its entries were applied. */
};

/* Answers are found by forward_id, which rises by one: the chains of this table stay short. */
#define FORWARD_BUCKETS 4096u

struct request_list {
    struct request *head;
    struct request *tail;
    uint32_t count;
};

enum query_state {
    QUERY_NEW,
    QUERY_ROUND,  /* Leader: waits for its round to be confirmed. */
    QUERY_REMOTE, /* Follower: waits for the leader's index. */
    QUERY_APPLY,  /* Waits until `index` is applied. */
    QUERY_RUNNING
};

struct query {
    struct query *next;
    uint64_t id;
    enum query_state state;
    uint64_t deadline_ms;
    uint64_t round;
    uint64_t index;
    uint64_t read_id_first; /* Of the READ_REQUESTs that it shared with others, from the first to */
    uint64_t read_id;       /* the latest; any of their answers will do. 0: none to this leader. */
    uint64_t asked_ms;      /* When the latest left. */
    uint64_t serial;        /* Names its work: ids may be used again once a query has ended. */
    struct mortar_buffer *bytes;
};

/* Another member's read request, at the leader. */
struct remote_read {
    struct mortar_member_id from;
    uint64_t id;
    uint64_t round;
    uint64_t index;
    bool begun;
};

/* ---- Sync runtime ---- */

struct mortar_sync {
    struct mortar_core *core;
    bool is_session;
    bool alive;
    bool wake;
    uint64_t wake_at_ms; /* 0: none. */
    uint64_t generation; /* Never used twice in a core. */
};

struct mortar_sync_provider {
    struct mortar_sync base; /* First. */
    void *self;
};

struct mortar_sync_session {
    struct mortar_sync base; /* First. */
    void *self;
    uint64_t id;
    uint64_t needs; /* First index still wanted from others; 0: none. */
    uint64_t started_ms;
    /* Rate: bytes done at the last samples. */
    uint64_t sample_ms;
    uint64_t sample_bytes;
    uint64_t bytes_per_second;
    uint64_t tail_bytes;
    uint64_t tail_entries;
};

struct mortar_sync_message {
    const struct mortar_allocator *allocator;
    struct mortar_buffer *frame;
    uint64_t session;
    uint64_t sequence;
    uint64_t group_tag;
    enum mortar_lane lane;
    uint16_t version; /* That its frame is sealed in: the receiver is not known yet. */
    size_t capacity;
    bool to_session;
    bool sealed;
};

struct held_lease {
    struct mortar_member_id member;
    uint64_t session;
    uint64_t from_index;
    uint64_t bytes_max;
    uint64_t until_ms;
    bool ended; /* By its bound of bytes: remembered, so that it does not begin again. */
};

/* A configuration entry in the tail range: counts once the tail is adopted (C3). */
struct tail_config {
    uint64_t index;
    struct config config;
};
#define TAIL_CONFIGS_MAX 16u

/* An append whose records are being read. They leave in the order in which raft made them, also
 * when one needs more reads than the next. */
struct send_job {
    struct send_job *next;
    bool ready; /* All read. */
    struct mortar_member_id to;
    struct append_request append;
    uint64_t first;
    uint64_t last;
    struct mortar_buffer *frame; /* Header, message, records so far. */
    size_t bytes;
};

/* The core state at the applied position, but for the client sessions (C11). */
struct core_state {
    struct mortar_anchor_point applied;
    uint64_t time_ms;
    uint64_t config_index;
    struct config config;
    bool birth_known;
    struct mortar_birth_id birth;
    uint8_t fingerprint_key[16];
};

/* An append leads to a session's callback, which may write the log: two steps, one to spare. */
#define DRIVE_DEPTH_MAX 3u

struct mortar_core {
    struct mortar_allocator allocator;
    struct mortar_core_options options;
    char network[MORTAR_NAME_BYTES_MAX + 1];
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    uint64_t group_tag;
    struct prng prng;
    struct mortar_storage storage;
    const struct mortar_machine_ops *machine_ops;
    void *machine;
    const struct mortar_sync_method *method;
    struct raft *raft;
    struct raft_effects *raft_effects;   /* Scratch of DRIVE_DEPTH_MAX steps, */
    uint32_t drive_depth;                /* of which so many are under way. */
    const struct raft_event *raft_event; /* The event in hand. */
    struct mortar_buffer *raft_frame;    /* The frame that it came in; NULL: none. */
    size_t raft_entries_offset;          /* Of append_request.entries in raft_frame. */
    struct send_job *send_jobs;          /* The oldest first. */

    uint64_t now_ms;
    uint64_t wall_ms;
    uint64_t ticks;
    bool stopped;
    enum mortar_status failure; /* Not OK: the storage failed. */
    bool joining;
    bool wonders;      /* A member that has known no leader for long: was it removed meanwhile? */
    uint64_t led_tick; /* When it last knew one. */
    uint64_t join_tick;
    uint32_t join_turn;
    bool removed;
    bool changed;

    struct peer peers[GROUP_PEERS_MAX];
    uint64_t part_number;
    uint64_t sync_sequence;

    struct ring effects; /* struct mortar_effect */
    struct ring pending; /* struct pending */
    struct ring held;    /* struct mortar_effect: sends behind a save. */
    uint32_t saves_pending;
    uint64_t next_token;
    uint64_t stored; /* Durable up to here, in the log as it is now. */
    bool restoring;  /* The log that was there at the start is being read, */
    bool restore_reading;
    uint64_t restored; /* up to here. */
    struct mortar_position voting_saved;
    uint64_t log_time_ms; /* Of the newest entry ever appended here. */

    /* Requests. */
    struct request_list queued;
    struct request_list proposed; /* By rising index. */
    struct request_list forwarded;
    struct request_list limbo;
    struct request_list changes;   /* Membership changes in all states but FORWARDED. */
    struct request_list transfers; /* Of leadership, in all states but FORWARDED. */
    struct request *forward_buckets[FORWARD_BUCKETS];
    uint32_t requests_count;
    uint64_t next_serial;
    uint64_t next_forward_id;
    uint64_t route_retry_ms;                /* Whom we take for the leader cannot help before. */
    struct mortar_buffer *proposal_records; /* Room for those now being proposed together, */
    uint32_t proposal_count;                /* so many from the head of `queued`. */

    struct query *queries; /* In order of arrival. */
    struct query *queries_last;
    uint32_t queries_count;
    struct ring remote_reads; /* struct remote_read */
    uint64_t next_read_id;
    uint64_t confirmed_round;

    /* Apply. */
    struct mortar_position committed;
    struct core_state state;
    struct client_table *clients; /* Part of it; the machine's thread has it while apply_running. */
    struct client_table *clients_retired; /* Of before an install, still with a run; NULL: none. */
    bool apply_reading;
    bool apply_running;
    uint64_t apply_retry_ms; /* After a pause; 0: none. */
    uint32_t work_outstanding;
    bool machine_held; /* An install replaces the state: no apply until it ends. */
    uint64_t installs; /* How many there were. */

    /* Sync. */
    uint64_t next_generation;
    struct mortar_sync_provider provider;
    bool provider_open;
    struct mortar_sync_session session;
    bool session_open;
    uint64_t session_retry_ms;
    struct ring tail_configs; /* struct tail_config */
    struct mortar_anchor_point vouched;
    uint64_t vouched_term;
    struct mortar_sync_status last_sync;
    enum mortar_status sync_ended;
    struct held_lease leases[MORTAR_MEMBERS_MAX];
    uint32_t lease_count;

    struct mortar_member_id last_leader;
    struct mortar_core_counters counters;
};

/* Memory. */
void *core_reserve(struct mortar_core *core, size_t bytes);
void core_release(struct mortar_core *core, void *block, size_t bytes);

/* trace */
void core_trace(struct mortar_core *core, enum mortar_trace_kind kind,
                const struct mortar_member_id *other, const uint64_t numbers[4]);
#define TRACE(core, kind, other, ...)                                                              \
    core_trace((core), MORTAR_TRACE_##kind, (other), (const uint64_t[4]){__VA_ARGS__})

/* core.c */
void core_fail(struct mortar_core *core, enum mortar_status status);

/* outbox.c */
/* Makes sure that `more` effects find a place beside those that are promised: one for each open
 * request and query, and the two that come once. Whoever accepts a request, or issues work, asks
 * first, so that no completion is ever lost for lack of memory. */
MORTAR_NODISCARD bool core_reserve_effects(struct mortar_core *core, uint32_t more);
void core_push_effect(struct mortar_core *core, const struct mortar_effect *effect);
struct peer *peer_find(struct mortar_core *core, const struct mortar_member_id *id);
struct peer *peer_make(struct mortar_core *core, const struct mortar_member_id *id);
void peer_forget_parts(struct peer *peer);
/* What may be said to that member, and by it; WIRE_VERSION_MIN when the lane is down. */
uint16_t peer_version(struct mortar_core *core, const struct mortar_member_id *id,
                      enum mortar_lane lane);
/* The lowest version of all links of that lane, as long as there is one. */
uint16_t peers_version_min(const struct mortar_core *core, enum mortar_lane lane);
/* Sends a message other than an append with entries; `message` points to the struct of `type`. */
void outbox_send(struct mortar_core *core, const struct mortar_member_id *to,
                 enum message_type type, const void *message);
/* Sends a payload that stands at frame + FRAME_HEADER_BYTES; takes the frame. Cut into parts when
 * it is longer than a control frame. `ordered`: waits behind saves. */
void outbox_send_frame(struct mortar_core *core, const struct mortar_member_id *to,
                       enum message_type type, struct mortar_buffer *frame, size_t payload_bytes,
                       bool ordered);
void outbox_release_held(struct mortar_core *core);

/* log.c */
void log_view_of(struct mortar_core *core, struct raft_log_view *out_view);
struct mortar_position log_last(const struct mortar_core *core);
struct mortar_anchor_point log_base(const struct mortar_core *core);
bool log_term_at(const struct mortar_core *core, uint64_t index, uint64_t *out_term);
bool log_sum_at(const struct mortar_core *core, uint64_t index, struct mortar_log_sum *out_sum);
/* Whether each configuration among the records can be read, and only entry 1 founds: asked before
 * records enter the log, so that whoever applies them need not. */
bool log_configs_are_sound(struct mortar_bytes records);
bool log_tail(const struct mortar_core *core, struct mortar_anchor_point *out_base,
              struct mortar_position *out_last);
/* Each submits and remembers; a refusal fails the core, except for reads. */
void log_append(struct mortar_core *core, enum mortar_log_range range,
                const struct mortar_log_run *run);
/* One entry that we made; false: no memory, nothing was done. */
MORTAR_NODISCARD bool log_append_entry(struct mortar_core *core, const struct mortar_entry *entry);
void log_truncate(struct mortar_core *core, enum mortar_log_range range, uint64_t from);
void log_save_vote(struct mortar_core *core, uint64_t term,
                   const struct mortar_member_id *voted_for);
void log_prune(struct mortar_core *core, uint64_t to);
void log_reset(struct mortar_core *core, const struct mortar_anchor_point *base);
void log_tail_open(struct mortar_core *core, const struct mortar_anchor_point *base);
void log_tail_adopt(struct mortar_core *core);
void log_tail_drop(struct mortar_core *core);
MORTAR_NODISCARD enum mortar_status log_read(struct mortar_core *core, uint64_t first,
                                             uint64_t last, size_t bytes_max,
                                             pending_read_done *done, void *argument);
/* Handles all completions that are ready; true when there was one. */
bool log_reap(struct mortar_core *core);

/* restore.c */
/* What raft begins with; notes what is committed. */
struct raft_restored restore_hard_state(struct mortar_core *core);
void restore_begin(struct mortar_core *core);
/* Reads on. While core->restoring the replica takes no part in anything. */
void restore_more(struct mortar_core *core);

/* drive.c */
enum mortar_status drive(struct mortar_core *core, const struct raft_event *event);
/* Reaps until nothing is left to reap. */
void drive_settle(struct mortar_core *core);

/* inbox.c: */
void inbox_append(struct mortar_core *core, const struct mortar_member_id *from,
                  struct append_request *message, struct mortar_buffer *frame,
                  size_t entries_offset);

/* propose.c */
void propose_queued(struct mortar_core *core);
void propose_own(struct mortar_core *core, enum mortar_entry_kind kind,
                 struct mortar_position position, const struct config *config);
void propose_requests(struct mortar_core *core, struct mortar_position position, uint32_t count);
void propose_time(struct mortar_core *core);
/* The clock for the next entry (5.1). */
uint64_t propose_clock(const struct mortar_core *core);

/* requests.c */
void requests_route(struct mortar_core *core);
void requests_on_forward(struct mortar_core *core, const struct mortar_member_id *from,
                         const struct forward_request *message);
void requests_on_reply(struct mortar_core *core, const struct mortar_member_id *from,
                       const struct forward_reply *message);
void requests_on_truncate(struct mortar_core *core, uint64_t from);
void requests_on_leader_lost(struct mortar_core *core);
void requests_on_applied(struct mortar_core *core, const struct mortar_work *work);
/* Entries up to `index` were passed without being applied here. */
void requests_on_installed(struct mortar_core *core, uint64_t index);
void requests_on_committed(struct mortar_core *core);
void requests_expire(struct mortar_core *core);
void requests_end_all(struct mortar_core *core, enum mortar_status status);
/* A transfer ends when a leader is known that was not asked for it, */
void requests_on_leader(struct mortar_core *core, const struct mortar_member_id *leader);
/* or when the leader that was asked, we, gives up. */
void requests_on_transfer_ended(struct mortar_core *core, bool told);
/* Whom it is to lead to; all zero: anyone. False: it names no member. */
bool request_target(const struct request *request, struct mortar_member_id *out_target);
/* Adds a request of the runtime itself (a marker). */
MORTAR_NODISCARD enum mortar_status requests_add_marker(struct mortar_core *core,
                                                        struct mortar_bytes marker);
/* Changes the state, and with it the list that the request stands in. */
void request_move(struct mortar_core *core, struct request *request, enum request_state state);
void request_finish(struct mortar_core *core, struct request *request, enum mortar_status status);
/* Adds a request that was made here. */
MORTAR_NODISCARD enum mortar_status
requests_add(struct mortar_core *core, const struct request *like, struct mortar_bytes items);
bool requests_wait_for_replies(const struct mortar_core *core);

/* reads.c */
void reads_flush(struct mortar_core *core);
void reads_on_confirmed(struct mortar_core *core, uint64_t round);
void reads_on_request(struct mortar_core *core, const struct mortar_member_id *from,
                      const struct read_request *message);
void reads_on_reply(struct mortar_core *core, const struct read_reply *message);
void reads_on_role(struct mortar_core *core);
void reads_on_work(struct mortar_core *core, struct mortar_work *work);
/* Links may have swallowed questions to the leader: they are asked again. */
void reads_on_leader_link(struct mortar_core *core);
void reads_cancel(struct mortar_core *core, uint64_t id);
void reads_expire(struct mortar_core *core);
void reads_end_all(struct mortar_core *core, enum mortar_status status);

/* apply.c */
void apply_more(struct mortar_core *core);
void apply_on_commit(struct mortar_core *core, struct mortar_position position);
void apply_on_work(struct mortar_core *core, struct mortar_work *work);
void apply_work_run(struct mortar_work *work);
void work_issue(struct mortar_core *core, struct mortar_work *work);
struct mortar_work *work_new(struct mortar_core *core, enum work_kind kind,
                             enum mortar_work_place place);
void work_free(struct mortar_core *core, struct mortar_work *work);
/* Bytes that it takes; nothing is written where they are more than `capacity`. */
size_t core_state_encode(const struct core_state *state, const struct client_table *clients,
                         void *out, size_t capacity);
/* Into an empty `clients`, which stays so on failure: MORTAR_E_CORRUPT, MORTAR_E_NO_MEMORY. */
MORTAR_NODISCARD enum mortar_status core_state_decode(struct mortar_bytes in,
                                                      struct core_state *out_state,
                                                      struct client_table *clients);
MORTAR_NODISCARD struct client_table *
core_client_table_new(struct mortar_core *core); /* NULL: no memory. */
void core_client_table_free(struct mortar_core *core, struct client_table *clients);

/* client_requests.c */
#define REPLY_STATUS   0xffff0000u /* In place of a reply's length: and the status. */
#define REPLY_REPEATED 0x80000000u /* With it: 16 bytes position stand before the bytes. */
/* Bytes of what stands behind a reply's head. */
static inline uint32_t reply_rest(uint32_t head)
{
    if (head >= REPLY_STATUS) return 0;
    return (head & REPLY_REPEATED) != 0 ? (head & ~REPLY_REPEATED) + 16u : head;
}
/* The payload of an item: of its kind, and sound. */
bool client_item_is_sound(enum mortar_entry_kind kind, struct mortar_bytes items);
/* A request of a client session may be sent again: what was applied is not applied twice. */
bool client_request_goes_on(const struct request *request);
/* What a request is told that was refused so: of the last try only that is true. */
enum mortar_status client_request_refusal(const struct request *request, enum mortar_status status);
/* What its entry came to, when that was applied. `reply` is one item of the work. */
void client_request_settle(struct mortar_core *core, struct request *request,
                           struct mortar_bytes reply, bool lost);
/* Its entry was passed by an install; false: the sessions tell nothing of it. */
bool client_request_installed(struct mortar_core *core, struct request *request);

/* lease.c */
void lease_on_message(struct mortar_core *core, const struct mortar_member_id *from,
                      const struct lease *message);
void lease_expire(struct mortar_core *core);
void lease_renew(struct mortar_core *core);
void lease_send_end(struct mortar_core *core);
void lease_prune(struct mortar_core *core);

/* sync.c, session.c, provider.c */
MORTAR_NODISCARD enum mortar_status provider_open(struct mortar_core *core);
void provider_close(struct mortar_core *core);
void session_open(struct mortar_core *core, struct mortar_position prev, uint64_t leader_commit,
                  struct mortar_bytes entries, uint32_t count);
void session_close(struct mortar_core *core, enum mortar_status reason);
/* The session says that it is done; its word is checked. */
void session_ready(struct mortar_core *core, struct mortar_position position);
void session_buffer(struct mortar_core *core, struct mortar_position before, uint64_t first,
                    uint64_t last, uint64_t bytes);
void sync_on_message(struct mortar_core *core, const struct mortar_member_id *from,
                     enum mortar_lane lane, const struct sync_message *message,
                     struct mortar_buffer *frame);
void sync_poll(struct mortar_core *core);
void sync_tick(struct mortar_core *core);
void sync_job_done(struct mortar_core *core, struct mortar_work *work);
/* The tail's configurations that count no more, or all of them count now. */
void session_cut_tail_configs(struct mortar_core *core, uint64_t from);
void session_note_tail(struct mortar_core *core, const struct mortar_log_run *run);
/* Times a callback against its budget. */
uint64_t sync_clock(const struct mortar_core *core);
void sync_budget(struct mortar_core *core, uint64_t call, uint64_t began_us);
/* Learns birth id and key from entry 1. */
void core_learn_found(struct mortar_core *core, struct mortar_bytes payload);
void status_sync(struct mortar_core *core, struct mortar_sync_status *out_status);

#endif
