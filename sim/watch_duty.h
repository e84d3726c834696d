/* sim/watch_duty.h - shows the judges how a session deals with its sources and with what it has,
 * and when a leader changes the configuration (sim/check/duties.c).
 *
 * Memory: plain values in struct replica. Threads: one. Errors: none. */
#ifndef SIM_WATCH_DUTY_H
#define SIM_WATCH_DUTY_H

#include "mortar/sync.h"
#include "mortar/trace.h"

struct replica;

struct mortar_core_status;

/* What was seen of one replica. The session is the one that runs, or the last. */
struct duty {
    bool slow;                 /* Its checks were made slow: it may have had no room to ask. */
    uint64_t session_us;       /* When the session was opened, */
    uint64_t session_term;     /* ... in which term, */
    uint64_t session_to;       /* ... and what the leader had committed. */
    uint64_t fetch_us;         /* When it asked for a range last. */
    uint64_t stall_us;         /* When it called a stall first since then; 0: it did not. */
    uint64_t took;             /* Entries that went into the log. */
    uint64_t tail_base;        /* Of the tail opened last. */
    uint64_t tail_dropped;     /* Base of the tail dropped last, if none was opened since; 0. */
    bool tail_moved;           /* A tail was opened below the one before. */
    bool fetched;              /* It has asked for a range. */
    bool planned;              /* It knows what is missing, */
    uint64_t planned_us;       /* since then. */
    bool done;                 /* It has ended, and well. */
    uint64_t config;           /* A configuration that it put into its log as leader; 0: none, */
    uint64_t config_committed; /* and what was committed then. */
    uint64_t ends[3];    /* Leader: its log's end by now, and one and two election timeouts before;
                            0: it did not lead yet. */
    uint64_t ends_ticks; /* When the first was taken. */
};

void duty_trace(struct replica *replica, const struct mortar_trace_event *event);
/* Asks `to` for a range. */
void duty_fetch(struct replica *replica, const struct replica *to);
/* Its session has ended, in this step. */
void duty_session_end(struct replica *replica, const struct mortar_sync_progress *progress);
/* What it says is left, while it runs. */
void duty_session_left(struct replica *replica, const struct mortar_core_status *status);
/* After a step. */
void duty_step(struct replica *replica);

#endif
