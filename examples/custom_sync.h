/* custom_sync.h - a sync method of one's own, written with the public headers only.
 *
 * It is the classic scheme. The leader feeds a marker into the log every SNAPSHOT_ENTRIES entries.
 * At the marker every member takes a snapshot of its machine, at exactly the same position. A
 * member that lags asks who holds which snapshot, fetches the newest one that a majority vouches
 * for, loads it, fetches the entries after it, and is done. What lies behind the last snapshot but
 * one is pruned from the log.
 *
 *     lagging session (custom_sync_session.c)          providers (custom_sync_provider.c)
 *     ASKING     ---- which snapshots? ------------->  all
 *                <--- position, log sum, digest -----  until a majority says the same
 *     FETCHING   ---- part at offset? -------------->  one, followers first
 *     LOADING    the digest agrees: load, install
 *     COMPARING  ---- log sum at index? ------------>  leader: where do our logs part?
 *     REPLAYING  ---- entries from index? ---------->  one, followers first
 *     CHECKING   ---- log sum at index? ------------>  leader: is that run the group's?
 *
 * Memory:  a companion and its snapshots are malloc's; struct custom outlives the group.
 * Threads: those of mortar/sync.h; `lies` is set by any.
 * Errors:  those of mortar/sync.h.
 */
#ifndef EXAMPLES_CUSTOM_SYNC_H
#define EXAMPLES_CUSTOM_SYNC_H

#include "mortar/machine.h"
#include "mortar/sync.h"

#include <stdatomic.h>

enum {
    SNAPSHOT_ENTRIES = 20000,
    PART_BYTES = 256 * 1024,
    RUN_BYTES = 1024 * 1024,
    READS_MAX = 8,      /* Log reads of one provider under way; more requests are dropped. */
    ANSWER_MS = 500,    /* Then the request goes to another source. */
    GIVE_UP_MS = 20000, /* Without any verified progress the session fails. */
    SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024,
    DIGEST_BYTES = 32
};

enum note_kind {
    NOTE_ASK = 1,     /* Which snapshots do you hold? */
    NOTE_HAVE = 2,    /* One of them; bytes 0: none. */
    NOTE_GET = 3,     /* The part of snapshot `anchor` from `offset` on. */
    NOTE_PART = 4,    /* It follows the note; nothing follows: it is gone. */
    NOTE_GET_RUN = 5, /* Entries after anchor.position.index, up to `offset`. */
    NOTE_RUN = 6,     /* They follow the note; nothing follows: not held. */
    NOTE_GET_SUM = 7, /* Leader: the log sum at anchor.position.index? */
    NOTE_SUM = 8      /* bytes 0: not held, 1: held, 2: committed, too. */
};

/* Every message begins with one. The machines that Mortar runs on have one layout of it. */
struct note {
    uint64_t kind;
    uint64_t offset;
    uint64_t bytes;
    struct mortar_anchor_point anchor;
    uint8_t digest[DIGEST_BYTES];
};

/* The method's context: what each node has of its own. */
struct custom {
    const char *name; /* For what is printed. */
    atomic_bool lies; /* For the self-check: hands out damaged parts. */
};

/* A snapshot: 8 bytes size of the core state, the core state, the machine's stream. */
struct provider;
struct snapshot {
    struct provider *owner; /* Who takes it; NULL in a session. */
    struct mortar_anchor_point anchor;
    uint8_t *data;
    size_t bytes;
    size_t capacity;
    uint8_t digest[DIGEST_BYTES];
    enum mortar_status status;
    const struct mortar_machine_ops *ops;
};

/* A stream into, or out of, a snapshot. `stream` comes first, so that one leads to the other. */
struct snapshot_stream {
    struct mortar_stream stream;
    struct snapshot *snapshot;
    size_t at;
};

/* False: memory is short, or it would exceed SNAPSHOT_BYTES_MAX. */
bool snapshot_add(struct snapshot *snapshot, const void *data, size_t bytes);
bool snapshot_digest(const struct snapshot *snapshot, uint8_t out_digest[DIGEST_BYTES]);
struct snapshot_stream snapshot_stream(struct snapshot *snapshot, size_t at);

/* Splits a message; false: too short to be one. */
bool note_read(const struct mortar_sync_incoming *message, struct note *out_note,
               struct mortar_bytes *out_data);

extern const struct mortar_sync_provider_ops custom_provider_ops;
extern const struct mortar_sync_session_ops custom_session_ops;

#endif
