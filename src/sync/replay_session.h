/* sync/replay_session.h - the parts of one catch-up by log replay, and how they fit.
 *
 *     replay_session.c  life, phases, stalls, progress
 *     replay_lead.c     what the leader is asked: where logs agree (C3), and the plan
 *     replay_source.c   the members that serve: what they hold, windows, back-off, choice
 *     replay_fetch.c    the queue of ranges: asking, verifying, appending
 *
 * The plan gives points (position, log sum) that the leader vouches for, as far apart as the
 * fastest source sends in a quarter of a second, and at most batch_bytes: see replay_batch_bytes().
 * The range between two of them is a *chunk*: it is fetched from any source, verified on its own,
 * out of order, and appended in order.
 *
 *     WANTED -> ASKED -> ARRIVED -> VERIFYING -> VERIFIED -> (appended, gone)
 *       ^         |          ^----------+ |
 *       +---------+--- refused, late, wrong --- +
 *
 * Memory:  one block per session, one per chunk that is being verified; arrived messages are held
 *          by count, within the window.
 * Threads: the group's. Verification runs on a bulk thread and touches only its own block.
 */
#ifndef SYNC_REPLAY_SESSION_H
#define SYNC_REPLAY_SESSION_H

#include "base/bug.h"
#include "base/mark.h"
#include "mortar/sync.h"
#include "sync/replay_message.h"

#define REPLAY_CHUNKS_MAX       1024u /* Planned ahead. */
#define REPLAY_ASKS_MAX         2u    /* Sources that one chunk is asked from at once. */
#define REPLAY_SOURCE_ASKS_MAX  32u   /* Requests in flight to one source. */
#define REPLAY_APPENDS_PER_POLL 4u    /* Keeps a poll within its budget of time. */
#define REPLAY_TICK_MS          10u   /* Timeouts are looked at this often. */
#define REPLAY_NO_SOURCE        UINT8_MAX

enum replay_phase {
    REPLAY_PHASE_MATCH = 0, /* Finds the last place where the log is the leader's (C3). */
    REPLAY_PHASE_PLAN = 1,  /* Has no range to fetch; asks the leader what is missing. */
    REPLAY_PHASE_FETCH = 2, /* Fetches, verifies, appends; extends the plan as it goes. */
    REPLAY_PHASE_DONE = 3,
    REPLAY_PHASE_FAILED = 4
};

struct replay_ask {
    bool live;
    uint8_t source; /* Place in the table of sources. */
    uint32_t id;
    uint64_t sent_ms;
};

enum replay_chunk_state {
    REPLAY_CHUNK_WANTED = 0,    /* No ask is live. */
    REPLAY_CHUNK_ASKED = 1,     /* One ask is live, or more. */
    REPLAY_CHUNK_ARRIVED = 2,   /* Waits for a bulk thread. */
    REPLAY_CHUNK_VERIFYING = 3, /* On a bulk thread. */
    REPLAY_CHUNK_VERIFIED = 4   /* Equals the plan; waits for those before it. */
};

struct replay_chunk {
    struct mortar_anchor_point after;
    struct mortar_anchor_point end;
    uint32_t bytes; /* Of the records, by the plan. */
    enum replay_chunk_state state;
    struct replay_ask asks[REPLAY_ASKS_MAX];
    uint64_t wanted_ms;           /* Since when it is planned. */
    uint32_t tried;               /* Bit per source that failed to give it. */
    uint32_t owed;                /* Bit per source that was asked and has not answered. */
    uint8_t giver;                /* From ARRIVED on. */
    struct mortar_buffer *buffer; /* From ARRIVED on: ours, the run lies at `offset`. */
    size_t offset;
};

/* Planned ranges, in order and without holes: a ring. */
struct replay_queue {
    struct replay_chunk chunks[REPLAY_CHUNKS_MAX];
    uint32_t head;
    uint32_t count;
    uint64_t head_number;             /* Chunks are numbered for ever; this is the head's. */
    struct mortar_anchor_point start; /* Before the head. */
    uint64_t bytes;                   /* Of all chunks. */
};

struct replay_source {
    struct mortar_member_id member;
    bool used;
    bool bonded;
    bool dropped;        /* Gave wrong data. */
    bool trails;         /* Was waited for in vain: it catches up itself. Until its word reaches
                            the plan's end. */
    bool known;          /* base_index and end_index are its word, and not refuted since. */
    bool asking;         /* An availability request is unanswered. */
    uint64_t base_index; /* It holds base_index + 1 .. end_index, all committed. */
    uint64_t end_index;
    uint64_t bonded_ms;
    uint64_t ask_at_ms; /* When its availability is asked next, if of interest. */
    uint32_t backoff_ms;
    uint64_t rest_until_ms; /* It is asked for nothing before. */
    uint32_t ids;           /* The last request id given out to it. */
    uint32_t in_flight_count;
    uint64_t in_flight_bytes;
    uint64_t window_bytes;
    uint64_t latency_us; /* Of a fetch, smoothed; 0: none measured. */
    uint64_t base_us;    /* Of the fastest answer of any kind; 0: none measured. */
    uint64_t asked_ms;   /* Since when its word is waited for; 0: it is not. */
    uint64_t rate; /* Bytes a second while something is in flight, smoothed; 0: none measured. */
    uint64_t sample_ms; /* When the measure under way began. */
    uint64_t sample_bytes;
    uint64_t
        overdue_ms;    /* When the oldest fetch left that was given up since the last answer; 0. */
    uint32_t timeouts; /* In a row. */
    uint64_t bytes;    /* Verified. */
    uint64_t entries;
};

enum replay_question { REPLAY_ASK_NOTHING = 0, REPLAY_ASK_MATCH = 1, REPLAY_ASK_PLAN = 2 };

/* What was asked of the leader (or, below its base, of a source). */
struct replay_lead {
    enum replay_question pending;
    struct mortar_member_id asked;
    uint32_t id;
    uint64_t sent_ms;
    uint64_t retry_ms; /* Nothing is asked before. */
    uint32_t backoff_ms;
    uint64_t commit;     /* The highest that a leader stated in an answer. */
    uint64_t match_low;  /* Here the logs agree. */
    uint64_t match_high; /* Above this they do not. */
    uint64_t match_points[REPLAY_MATCH_POINTS_MAX];
    uint32_t match_count;
};

/* Fetching what the leader has pruned: the source's plan is no one's word but its own, so nothing
 * is kept before the whole closes on the leader's base. */
struct replay_below {
    bool active;
    bool closing;                    /* All is verified: appending. */
    uint8_t source;                  /* REPLAY_NO_SOURCE: none chosen. */
    struct mortar_anchor_point base; /* The leader's. */
};

struct replay_session {
    struct mortar_sync_session *runtime;
    struct mortar_sync *sync;
    const struct mortar_allocator *allocator;
    const struct replay_method *method;
    struct mortar_replay_options options; /* As of the last poll. */
    uint64_t now_ms;                      /* As of the last call. */
    uint64_t started_ms;
    enum replay_phase phase;
    enum mortar_status failure;
    bool leader_known;
    struct mortar_member_id leader;
    uint64_t gap_commit;
    bool announced; /* The first availability request went to all. */
    struct replay_lead lead;
    struct replay_below below;
    struct replay_source sources[MORTAR_MEMBERS_MAX];
    struct replay_queue queue;
    uint32_t batch_bytes; /* What one request should take now. */
    bool ending;          /* No cancels are sent any more: one has said all. */
    uint64_t append_retry_ms;
    uint64_t progress_ms; /* Last verified progress. */
    uint64_t stalled_ms;  /* Last progress, or last time that something was done about a stall. */
    uint32_t stalls;      /* In a row. */
    uint32_t patience;    /* A stall is called one after stall_ms << patience; grows with each. */
    uint64_t entries_done;
    uint64_t bytes_done;
    uint64_t bytes_held;
    uint64_t bytes_held_max;
    uint64_t bytes_discarded;
    uint32_t restarts;
};

/* --- replay_session.c --- */

void replay_session_move(struct replay_session *session, enum replay_phase to);
void replay_session_fail(struct replay_session *session, enum mortar_status reason);
/* Something of use arrived: nothing is stalled yet. */
void replay_session_arrived(struct replay_session *session);
/* Something was verified. */
void replay_session_progressed(struct replay_session *session);
/* The end of the log: where fetching goes on. */
struct mortar_anchor_point replay_log_end(const struct replay_session *session);
/* What the log must reach; false: nothing is known yet. The sum is zero when not known. */
bool replay_target(const struct replay_session *session, struct mortar_anchor_point *out_target);

/* --- replay_lead.c --- */

void replay_lead_reset(struct replay_session *session);
void replay_match_step(struct replay_session *session);
/* Asks for (more of) the plan when that is due. */
void replay_plan_step(struct replay_session *session);
void replay_on_match(struct replay_session *session, const struct mortar_sync_incoming *message);
void replay_on_plan(struct replay_session *session, const struct mortar_sync_incoming *message);
/* Gives up what is being fetched below the leader's base. */
void replay_below_end(struct replay_session *session);

/* --- replay_source.c --- */

/* Follows the bonds: new ones are asked, the ranges of departed ones are free again. */
void replay_sources_observe(struct replay_session *session);
/* Asks those whose word is missing or too old. */
void replay_sources_ask(struct replay_session *session);
/* REPLAY_NO_SOURCE: not in the table. */
uint8_t replay_source_find(const struct replay_session *session,
                           const struct mortar_member_id *member);
/* The source to ask for `chunk`; REPLAY_NO_SOURCE: none now. `urgent`: one whose window is full
 * will do, as what fills it may be lost. */
uint8_t replay_source_pick(const struct replay_session *session, const struct replay_chunk *chunk,
                           bool urgent);
/* True if some source says that it holds the chunk. */
bool replay_sources_hold(const struct replay_session *session, const struct replay_chunk *chunk);
bool replay_source_room(const struct replay_session *session, const struct replay_source *source,
                        uint32_t bytes);
bool replay_rate_is_known(const struct replay_session *session);
/* What one request should take: what the fastest source gives in a quarter of a second. */
uint32_t replay_batch_bytes(const struct replay_session *session);
/* How long a fetch from this source may take by what was measured of it, with all that is in flight
 * there; 0: nothing was. */
uint64_t replay_source_expected_ms(const struct replay_source *source);
/* How long it is given for all that is in flight there before that counts as lost. */
uint64_t replay_source_patience_ms(const struct replay_source *source);
/* A request for the chunk leaves for this source, which owes it from now on. */
void replay_source_asked(struct replay_session *session, uint8_t place,
                         const struct replay_chunk *chunk);
/* True: no source has room for even the smallest request. */
bool replay_sources_full(const struct replay_session *session);
/* Its data was wrong: it serves this session no more. */
void replay_source_drop(struct replay_session *session, uint8_t place);
void replay_source_answered(struct replay_session *session, uint8_t place, uint64_t sent_ms,
                            uint32_t bytes);
/* The fetch sent at `sent_ms` is given up. */
void replay_source_timed_out(struct replay_session *session, uint8_t place, uint64_t sent_ms);
void replay_source_refused(struct replay_session *session, uint8_t place,
                           enum replay_refusal reason);
void replay_on_availability(struct replay_session *session,
                            const struct mortar_sync_incoming *message);

/* --- replay_fetch.c --- */

struct replay_chunk *replay_chunk_at(struct replay_session *session, uint32_t place);
/* Where the plan ends: the last chunk's end, or the queue's start. */
struct mortar_anchor_point replay_queue_end(const struct replay_session *session);
/* Adds a chunk behind the last; the queue is not full. */
void replay_queue_push(struct replay_session *session, const struct replay_plan_point *point);
/* Drops all chunks; the plan goes on from `start`. */
void replay_queue_clear(struct replay_session *session, struct mortar_anchor_point start);
/* Drops the last chunks that have not arrived, as far as they end beyond `index`, and unless `owed`
 * those that a source still owes: what is under way on a slow link would come in vain. */
void replay_queue_trim(struct replay_session *session, uint64_t index, bool owed);
/* Drops the last chunks that nobody was asked for, where they are far larger than one request
 * should be now: they are planned anew. */
void replay_queue_refine(struct replay_session *session);
/* The entries of the chunks that are verified. */
uint64_t replay_queue_verified(const struct replay_session *session);
/* Where the last of them ends; 0: none is. */
uint64_t replay_queue_verified_end(const struct replay_session *session);
/* True if a chunk in the queue came from `source`. */
bool replay_queue_has_giver(const struct replay_session *session, uint8_t source);
/* The source is gone: it owes nothing any more. */
void replay_queue_owed_end(struct replay_session *session, uint8_t source);
/* The place in the table of sources goes to another member. */
void replay_queue_forget_source(struct replay_session *session, uint8_t source);
/* Most bytes from the head to the last chunk asked for. */
uint64_t replay_span_max(const struct replay_session *session);
/* Tells all sources that owe something that this session wants nothing more. */
void replay_cancel_all(struct replay_session *session);
/* Ends all asks from `source`; its chunks are wanted again. */
void replay_asks_end(struct replay_session *session, uint8_t source, bool tried);
void replay_fetch_expire(struct replay_session *session);
void replay_fetch_schedule(struct replay_session *session);
/* Gives arrived chunks to bulk threads. */
void replay_fetch_verify(struct replay_session *session);
void replay_fetch_append(struct replay_session *session);
void replay_on_entries(struct replay_session *session, const struct mortar_sync_incoming *message);
void replay_on_refused(struct replay_session *session, const struct mortar_sync_incoming *message);

#endif
