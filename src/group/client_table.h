/* group/client_table.h - client sessions of a group, part of its core state (C1, C11; thesis 6.3).
 *
 * For each session: which commands were applied, and what they answered, so that a command that
 * comes again is answered and not applied again. Only committed entries change it, in their order,
 * and it reads no clock but theirs, so that it is the same on all members.
 *
 *   admit() --APPLY--> the machine applies it --reply()--> settle()
 *      |                       \--- it paused: abandon(), and the entry comes again
 *      +--DUPLICATE: the reply of its first time; the others: refused, and why
 *
 * A session keeps at most CLIENT_REPLIES_MAX replies, and CLIENT_REPLY_BYTES_MAX bytes of them: a
 * client that has more commands under way than that loses the oldest replies, not the commands. A
 * sequence number at or below the floor is refused: its reply is gone, or it was never applied and
 * never will be.
 *
 * Memory:  from the allocator at open() and install, and nowhere else: what was admitted can always
 *          be kept.
 * Threads: one at a time: the machine's while a run of entries is applied, else the group's.
 * Errors:  by name; open() alone can find no memory, and changes nothing then.
 */
#ifndef GROUP_CLIENT_TABLE_H
#define GROUP_CLIENT_TABLE_H

#include "mortar/types.h"
#include "wire/client.h"

#define CLIENT_SESSIONS_MAX    4096u
#define CLIENT_REPLIES_MAX     64u
#define CLIENT_REPLY_BYTES_MAX 8192u

enum client_reply_state {
    CLIENT_REPLY_PENDING = 0, /* Admitted; the machine has not applied it yet. */
    CLIENT_REPLY_KEPT = 1,
    CLIENT_REPLY_DROPPED = 2 /* Applied; its bytes were too many to keep. */
};

struct client_reply {
    uint64_t sequence;
    struct mortar_position position; /* Of the entry that was applied. */
    enum client_reply_state state;
    uint32_t offset; /* In the session's bytes, */
    uint32_t bytes;  /* ... in the order of `sequence`. */
};

struct client_session {
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t last_ms; /* Log time of its last entry. */
    uint64_t floor;   /* Sequences up to here are gone. */
    uint32_t count;   /* Of `replies`, by rising sequence. */
    uint32_t pending; /* Of them: with the machine. */
    uint32_t bytes_used;
    struct client_reply replies[CLIENT_REPLIES_MAX];
    uint8_t bytes[CLIENT_REPLY_BYTES_MAX];
};

struct client_table {
    const struct mortar_allocator *allocator;
    uint32_t count;
    uint32_t capacity;
    struct client_session **sessions; /* By rising id. */
    uint64_t due_ms;                  /* No session expires before this log time. */
};

enum client_verdict {
    CLIENT_APPLY,     /* Its first time. */
    CLIENT_DUPLICATE, /* Applied before; the reply is there, or was dropped. */
    CLIENT_WAITS,     /* Ask again when the machine has applied what it was given: its first time
                         is there, or what could not be taken back if the machine paused. */
    CLIENT_UNKNOWN,   /* No such session: never opened, closed or expired. */
    CLIENT_GONE       /* At or below the floor. */
};

void client_table_init(struct client_table *clients, const struct mortar_allocator *allocator);
void client_table_deinit(struct client_table *clients);

/* True if a session ends by the log time of the next entry. */
static inline bool client_table_due(const struct client_table *clients, uint64_t time_ms)
{
    return time_ms > clients->due_ms;
}
void client_table_expire(struct client_table *clients, uint64_t time_ms);

/* MORTAR_E_BUSY (too many), MORTAR_E_NO_MEMORY. Ids rise. */
MORTAR_NODISCARD enum mortar_status client_table_open(struct client_table *clients, uint64_t id,
                                                      uint64_t ttl_ms, uint64_t time_ms);
/* Both: false, there is no such session. */
bool client_table_keep(struct client_table *clients, uint64_t id, uint64_t time_ms);
bool client_table_close(struct client_table *clients, uint64_t id);

/* Admits a command at `position`. *out_reply with APPLY and DUPLICATE alone. */
enum client_verdict client_table_admit(struct client_table *clients,
                                       const struct client_command *command,
                                       struct mortar_position position, uint64_t time_ms,
                                       const struct client_reply **out_reply);
/* What the machine answered to a command admitted; the last word counts. */
void client_table_settle(struct client_table *clients, uint64_t session, uint64_t sequence,
                         struct mortar_bytes reply);
/* The machine did not apply it: as if it had not been admitted. */
void client_table_abandon(struct client_table *clients, uint64_t session, uint64_t sequence);

/* NULL: unknown. */
const struct client_session *client_table_find(const struct client_table *clients, uint64_t id);
const struct client_reply *client_reply_find(const struct client_session *session,
                                             uint64_t sequence);
static inline struct mortar_bytes client_reply_bytes(const struct client_session *session,
                                                     const struct client_reply *reply)
{
    return (struct mortar_bytes){session->bytes + reply->offset, reply->bytes};
}

/* The same bytes on every member at the same position. Part of the core state:
 *
 *   4  count, then for each session by rising id:
 *      8 id  8 ttl_ms  8 last_ms  8 floor  4 replies, then for each by rising sequence:
 *         8 sequence  16 position  1 state (1 kept, 2 dropped)  4 length  the bytes
 *
 * `out` may be too small: then it has failed, and out->bytes is no size. */
size_t client_table_encoded_bytes(const struct client_table *clients);
void client_table_encode(const struct client_table *clients, struct writer *out);
/* Into an empty one. MORTAR_E_CORRUPT, MORTAR_E_NO_MEMORY: it stays empty. */
MORTAR_NODISCARD enum mortar_status client_table_decode(struct reader *in,
                                                        struct client_table *clients);

#endif
