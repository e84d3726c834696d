/* mortar/types.h - the few types that every other header shares.
 *
 * Positions in the log, identities, byte strings, the allocator, and the hooks.
 *
 * Conventions, said once for all headers: pointers are not NULL unless said; a pointer is
 * borrowed for the call ("keeps", "takes", "copies" say otherwise); outputs come last, are named
 * out_..., and stay untouched on failure; every public options struct and vtable begins with
 * struct_bytes, set by its _INIT macro, and a shorter one gets defaults for what it lacks.
 *
 * Memory:  plain values. struct mortar_bytes borrows.
 * Threads: plain values.
 * Errors:  none.
 */
#ifndef MORTAR_TYPES_H
#define MORTAR_TYPES_H

#include "mortar/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits of the protocol. */
#define MORTAR_MEMBERS_MAX             32  /* Members of one group, in any role. */
#define MORTAR_ADDRESS_BYTES_MAX       255 /* "host:port", without the closing zero. */
#define MORTAR_NAME_BYTES_MAX          63  /* Names of networks, machines, sync methods. */
#define MORTAR_COMMAND_BYTES_LIMIT     (16u * 1024u * 1024u) /* No option allows more. */
#define MORTAR_CONTROL_FRAME_BYTES_MAX (64u * 1024u)         /* C8. */

/* A borrowed byte string. `data` may be NULL only when `bytes` is 0. */
struct mortar_bytes {
    const uint8_t *data;
    size_t bytes;
};

/* A place in the log. Index 0 with term 0 is the sentinel before the first entry. An index
 * means nothing without its term. */
struct mortar_position {
    uint64_t index;
    uint64_t term;
};

/* The running digest of the log up to and including one entry (C4): sum(0) is all zero,
 * sum(i) = XXH3-128(sum(i-1), index, term, kind, time_ms, XXH3-128(bytes)). */
struct mortar_log_sum {
    uint64_t low;
    uint64_t high;
};

/* A position with the log sum there: what one replica can vouch for to another. */
struct mortar_anchor_point {
    struct mortar_position position;
    struct mortar_log_sum sum;
};

struct mortar_peer_id {
    uint8_t bytes[32]; /* Ed25519 public key of the node. */
};

/* Who a member is: its node's key, and a random id drawn with its empty log. A process that
 * lost its log draws another, so it can never be taken for the member that it was (C11). */
struct mortar_member_id {
    struct mortar_peer_id peer;
    uint8_t store[16];
};

struct mortar_group_id {
    uint8_t bytes[32];
};

/* 128 random bits drawn when a group is founded; tells two groups of the same id apart. */
struct mortar_birth_id {
    uint8_t bytes[16];
};

/* What an entry is. The numbers stand in logs and on the wire. */
enum mortar_entry_kind {
    MORTAR_ENTRY_COMMAND = 1,       /* The user's command: goes to the machine. */
    MORTAR_ENTRY_NOOP = 2,          /* Opens a term (thesis 6.4 asks for one at once). */
    MORTAR_ENTRY_CONFIG = 3,        /* A membership configuration (thesis 4). */
    MORTAR_ENTRY_MARKER = 4,        /* A sync method's marker: goes to its provider. */
    MORTAR_ENTRY_TIME = 5,          /* Moves the log time of an idle group. */
    MORTAR_ENTRY_FOUND = 6,         /* Entry 1 of a group: birth id and first configuration. */
    MORTAR_ENTRY_CLIENT = 7,        /* Opens, keeps or closes a client session (thesis 6.3). */
    MORTAR_ENTRY_CLIENT_COMMAND = 8 /* A command of a client session: to the machine, once. */
};

/* One decoded entry. Borrows `bytes`. */
struct mortar_entry {
    uint64_t index;
    uint64_t term;
    uint64_t time_ms; /* The leader's clock, made monotone: the only time a machine may see. */
    enum mortar_entry_kind kind;
    struct mortar_bytes bytes;
    struct mortar_log_sum sum; /* Through this entry. */
};

enum mortar_role {
    MORTAR_FOLLOWER = 0,
    MORTAR_PRE_CANDIDATE = 1,
    MORTAR_CANDIDATE = 2,
    MORTAR_LEADER = 3
};

/* Two connections run between each pair of members, so that bulk never delays control. */
enum mortar_lane { MORTAR_LANE_CONTROL = 0, MORTAR_LANE_BULK = 1 };

/* Where memory comes from. All three members are required. `resize` with `old_bytes` 0 and
 * pointer NULL reserves; NULL is answered when memory is short, and the old block stays. */
struct mortar_allocator {
    void *(*reserve)(void *context, size_t bytes);
    void *(*resize)(void *context, void *block, size_t old_bytes, size_t new_bytes);
    void (*release)(void *context, void *block, size_t bytes); /* NULL block is a no-op. */
    void *context;
};

/* A block of bytes shared by count: log blocks, messages, replies. Made by mortar_buffer_new().
 * The count is atomic, the bytes are written only before the block is first shared. */
struct mortar_buffer;

MORTAR_API struct mortar_buffer *mortar_buffer_new(const struct mortar_allocator *allocator,
                                                   size_t capacity); /* NULL: memory is short. */
MORTAR_API struct mortar_buffer *mortar_buffer_share(struct mortar_buffer *buffer);
MORTAR_API void mortar_buffer_release(struct mortar_buffer *buffer); /* NULL is a no-op. */
MORTAR_API uint8_t *mortar_buffer_data(struct mortar_buffer *buffer);
MORTAR_API size_t mortar_buffer_capacity(const struct mortar_buffer *buffer);
MORTAR_API size_t mortar_buffer_bytes(const struct mortar_buffer *buffer);
/* Sets the used size; at most the capacity. */
MORTAR_API void mortar_buffer_set_bytes(struct mortar_buffer *buffer, size_t bytes);

/* Called when one of our own invariants is broken, in release builds too. Must not return; if it
 * does, the process is aborted. NULL brings the default back: message on stderr, abort. */
typedef void mortar_panic_hook(const char *file, int line, const char *message);
MORTAR_API void mortar_set_panic_hook(mortar_panic_hook *hook);

static inline bool mortar_position_equal(struct mortar_position a, struct mortar_position b)
{
    return a.index == b.index && a.term == b.term;
}

/* Which log is newer, by thesis 3.6.1: the later last term, then the longer log. -1, 0, 1. */
static inline int mortar_position_compare(struct mortar_position a, struct mortar_position b)
{
    if (a.term != b.term) return a.term < b.term ? -1 : 1;
    if (a.index != b.index) return a.index < b.index ? -1 : 1;
    return 0;
}

static inline bool mortar_log_sum_equal(struct mortar_log_sum a, struct mortar_log_sum b)
{
    return a.low == b.low && a.high == b.high;
}

MORTAR_API bool mortar_member_id_equal(const struct mortar_member_id *a,
                                       const struct mortar_member_id *b);
MORTAR_API int mortar_member_id_compare(const struct mortar_member_id *a,
                                        const struct mortar_member_id *b);
MORTAR_API bool mortar_member_id_is_none(const struct mortar_member_id *id); /* All zero. */

/* Writes the first eight bytes of the id as hex and a closing zero: for people, not for
 * comparison. `out` holds at least 17 chars. */
#define MORTAR_ID_TEXT_BYTES 17
MORTAR_API void mortar_member_id_text(const struct mortar_member_id *id, char *out_text);

#ifdef __cplusplus
}
#endif
#endif
