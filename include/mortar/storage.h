/* mortar/storage.h - where a replica keeps its log, term and vote (design 5.2).
 *
 * A storage is submitted to and reaped, like a ring: every writing call and every read is given a
 * token, may fail later, and ends in exactly one completion that reap() hands out in the order of
 * submission. What a submitted write changes shows at once in last(), term_at() and the other
 * questions, which are answered from memory; only the completion says that it is durable. A
 * storage with threads of its own calls `wake` when something can be reaped.
 *
 * What a process finds that starts over the storage of one that ended (thesis 3.8, C11):
 *   1. every write whose completion was handed out;
 *   2. of the others any part, as long as the log has no gap (what stood behind a record that was
 *      lost is lost with it), and no entry or cut stands without the saves that were submitted
 *      before it (C3);
 *   3. as the voting position (C12) at least the last position that was ever durable in the main
 *      range and not cut since.
 *
 * Two ranges: the main range is the log. A second, the tail range, can be opened at a base above
 * the log's end, appended to, and then either adopted (one atomic step puts it in the log's place,
 * or behind it) or dropped.
 *
 * Entries travel as runs: records back to back (docs/internals/wire.md) in a shared buffer.
 *
 * Memory:  the storage owns what it holds; runs are shared by count.
 * Threads: all members of the vtable are called on the thread that owns the group, except that a
 *          storage may call `wake` from any.
 * Errors:  submission: MORTAR_E_BUSY, MORTAR_E_NO_MEMORY (nothing was changed), MORTAR_E_FAILED;
 *          completion: any status. A write that fails moves the node to FAILED.
 */
#ifndef MORTAR_STORAGE_H
#define MORTAR_STORAGE_H

#include "mortar/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `count` records with indexes first .. first + count - 1, at buffer + offset. */
struct mortar_log_run {
    struct mortar_buffer *buffer;
    size_t offset;
    size_t bytes;
    uint64_t first;
    uint32_t count;
};

enum mortar_log_range { MORTAR_LOG_MAIN = 0, MORTAR_LOG_TAIL = 1 };

struct mortar_storage_completion {
    uint64_t token;
    enum mortar_status status;
    struct mortar_log_run run; /* Of a read: shared with the reaper, who releases run.buffer. Else
                                  all zero. */
};

struct mortar_storage_hard_state {
    uint64_t term;
    struct mortar_member_id voted_for; /* All zero: nobody. */
    struct mortar_position voting;     /* The voting position (C12). */
    struct mortar_position commit;     /* A committed position, for a quick restart. */
};

struct mortar_storage_ops {
    uint32_t struct_bytes;
    const char *name;

    /* --- Questions, answered from memory, never blocking. --- */

    /* What the storage held when it was opened; all zero in a new one. */
    void (*restored)(void *storage, struct mortar_storage_hard_state *out_state);
    /* The last entry of a range; its base when it holds none. The tail: false when not open. */
    bool (*last)(void *storage, enum mortar_log_range range, struct mortar_position *out_last);
    /* The position and sum before the first entry held; (0,0) in a new log. */
    bool (*base)(void *storage, enum mortar_log_range range, struct mortar_anchor_point *out_base);
    /* For base <= index <= last; false otherwise. */
    bool (*term_at)(void *storage, enum mortar_log_range range, uint64_t index, uint64_t *out_term);
    bool (*sum_at)(void *storage, enum mortar_log_range range, uint64_t index,
                   struct mortar_log_sum *out_sum);
    /* Bytes of the records first..last, which are held. */
    uint64_t (*bytes)(void *storage, enum mortar_log_range range, uint64_t first, uint64_t last);
    /* The last index up to `last` so that first..index take at most `bytes`; at least `first`. */
    uint64_t (*cut)(void *storage, enum mortar_log_range range, uint64_t first, uint64_t last,
                    uint64_t bytes);
    /* Bytes of memory held, log data included. */
    uint64_t (*memory_bytes)(void *storage);

    /* --- Submissions. Each gives exactly one completion with `token` when it answers OK. --- */

    /* The run continues the range and was verified by the caller. Copies or shares it. */
    enum mortar_status (*append)(void *storage, enum mortar_log_range range,
                                 const struct mortar_log_run *run, uint64_t token);
    /* Cuts the range from `from` on; base < from <= last. */
    enum mortar_status (*truncate)(void *storage, enum mortar_log_range range, uint64_t from,
                                   uint64_t token);
    enum mortar_status (*save)(void *storage, const struct mortar_storage_hard_state *state,
                               uint64_t token);
    /* Drops the entries of the main range up to `to`; base <= to <= last. */
    enum mortar_status (*prune)(void *storage, uint64_t to, uint64_t token);
    /* Empties the main range; its base becomes `base`. */
    enum mortar_status (*reset)(void *storage, const struct mortar_anchor_point *base,
                                uint64_t token);
    /* A run of first.. with at most `bytes_max` bytes (one record at least), not beyond `last`. */
    enum mortar_status (*read)(void *storage, enum mortar_log_range range, uint64_t first,
                               uint64_t last, size_t bytes_max, uint64_t token);
    /* Opens the tail at `base`; none may be open. */
    enum mortar_status (*tail_open)(void *storage, const struct mortar_anchor_point *base,
                                    uint64_t token);
    /* Joins the tail to the main range, whose end is the tail's base. Atomic. */
    enum mortar_status (*tail_adopt)(void *storage, uint64_t token);
    enum mortar_status (*tail_drop)(void *storage, uint64_t token);

    /* Snapshots in chunks, for machines that keep none of their own (from part 4 on; a storage
     * without them leaves both NULL). */
    enum mortar_status (*snapshot_write)(void *storage, const struct mortar_anchor_point *anchor,
                                         uint64_t offset, struct mortar_bytes chunk, bool last,
                                         uint64_t token);
    enum mortar_status (*snapshot_read)(void *storage, const struct mortar_anchor_point *anchor,
                                        uint64_t offset, size_t bytes_max, uint64_t token);

    /* Hands out up to `max` completions, in order of submission; 0 when none is ready. */
    uint32_t (*reap)(void *storage, struct mortar_storage_completion *out, uint32_t max);

    /* Ends the storage. What was submitted may or may not have become durable. */
    void (*close)(void *storage);
};

struct mortar_storage {
    const struct mortar_storage_ops *ops;
    void *self;
};

struct mortar_log_memory_options {
    uint32_t struct_bytes;
    uint32_t block_bytes; /* Small appends are gathered in blocks of this size; 0: 256 KiB. */
};
#define MORTAR_LOG_MEMORY_OPTIONS_INIT                                                             \
    .struct_bytes = (uint32_t)sizeof(struct mortar_log_memory_options)

/* The in-memory log: everything is complete when it is submitted, and gone with the process.
 * Keeps a copy of `allocator`. options NULL: the defaults.
 *   MORTAR_E_INVALID, MORTAR_E_NO_MEMORY. */
MORTAR_API MORTAR_NODISCARD enum mortar_status
mortar_log_memory_open(const struct mortar_allocator *allocator,
                       const struct mortar_log_memory_options *options,
                       struct mortar_storage *out_storage);

#ifdef __cplusplus
}
#endif
#endif
