/* sync/replay_serve.h - the part of a provider that sends entries: a bounded queue of fetches, each
 * read from the log, copied into a message on a bulk thread, and sent.
 *
 *     QUEUED -> READING -> GATHERED -> COPYING -> (sent, or refused)
 *                  ^                      |
 *                  +----- more runs ------+
 *
 * Members take turns, so that one with a long queue does not hold up another. A fetch that has not
 * begun is dropped without an answer when nobody waits for it any more: its session cancelled it or
 * ended, another session of that member asks, or the member's bond is gone.
 *
 * Memory:  one block per fetch, and its message while it is being filled; both bounded by
 *          SERVES_MAX, SERVE_BYTES_PER_MEMBER and SERVE_BYTES_ACTIVE.
 * Threads: the group's; the copy alone runs on a bulk thread and touches nothing but its fetch.
 * Errors:  what cannot be served is answered with REFUSED.
 */
#ifndef SYNC_REPLAY_SERVE_H
#define SYNC_REPLAY_SERVE_H

#include "mortar/sync.h"
#include "sync/replay.h"
#include "sync/replay_message.h"

#define SERVES_MAX             256u                    /* Fetches, of all members together. */
#define SERVES_PER_MEMBER      64u                     /* Of one member. */
#define SERVE_BYTES_PER_MEMBER (32ull * 1024u * 1024u) /* Queued or under way; one always may. */
#define SERVE_BYTES_ACTIVE     (64ull * 1024u * 1024u) /* Under way, of all members together. */
#define SERVE_RUNS_MAX         16u                     /* Gathered before they are copied. */
#define SERVE_ENDED_MAX        64u                     /* Sessions remembered as ended. */

struct replay_serve;

struct replay_ended {
    struct mortar_member_id member;
    uint64_t session;
    bool said; /* By itself; else only another session of that member was heard. */
};

struct replay_server {
    struct mortar_sync *sync;
    const struct replay_method *method;
    struct replay_serve *serves[SERVES_MAX]; /* In order of arrival. */
    uint32_t count;
    uint64_t active_bytes; /* Of those that are not QUEUED. */
    int64_t allowance;     /* Bytes that may be sent now under the rate cap; negative: a debt. */
    uint64_t allowance_ms; /* When it was last counted. */
    struct mortar_member_id turn;               /* The member served last. */
    struct replay_ended ended[SERVE_ENDED_MAX]; /* A ring: what comes from them is late. */
    uint32_t ended_count;                       /* Ever put in. */
};

void replay_server_init(struct replay_server *server, struct mortar_sync *sync,
                        const struct replay_method *method);
/* Fetches whose copy runs now are freed when that ends. */
void replay_server_deinit(struct replay_server *server);
/* Queues the fetch, or answers that it is refused. */
void replay_server_on_fetch(struct replay_server *server, const struct mortar_member_id *from,
                            uint64_t session, const struct replay_fetch *fetch);
/* Drops what was queued for this session within the range; all of it: the session has ended. */
void replay_server_on_cancel(struct replay_server *server, const struct mortar_member_id *from,
                             uint64_t session, const struct replay_cancel *cancel);
/* Starts what may start now, tries again what found no room, and asks to be called again when
 * something waits for time alone. */
void replay_server_poll(struct replay_server *server);

#endif
