/* log/range.h - one range of a log in memory: blocks of records, found by index in O(log blocks).
 *
 *     base   |<---- block ---->|<- block ->|<------ block (open) ------>|    |
 *            first .. +count-1  (shared)    records            room for more
 *
 * A block is a run of records in a shared buffer, with the offset of each. Small runs are copied
 * into the open block; a big one that fills most of its buffer is shared as it is. Bytes that a
 * reader may hold never change: records are only written behind those there, and a block that was
 * cut is closed.
 *
 * Not a storage: it knows no tokens and no completions (log/memory.c).
 *
 * Memory:  from the allocator given at init, which must outlive the range; buffers by count.
 * Threads: plain values; the buffers may be read on any thread.
 * Errors:  MORTAR_E_NO_MEMORY; the range is then as it was.
 */
#ifndef LOG_RANGE_H
#define LOG_RANGE_H

#include "mortar/storage.h"

/* A run is shared from this size on, if it takes half of its buffer or more: below, many small
 * pieces would each hold a buffer, or a small piece would keep a large buffer alive. */
#define LOG_SHARE_BYTES_MIN (64u * 1024u)

struct log_block {
    struct mortar_buffer *buffer; /* One reference is ours. */
    size_t begin;                 /* Of the first record in the buffer. */
    size_t bytes;                 /* Of all records, <= UINT32_MAX. */
    uint64_t bytes_before;        /* Of all blocks before it; only differences mean something. */
    uint64_t first;               /* Index of the first record; may be pruned already. */
    uint32_t count;               /* >= 1 */
    uint32_t offsets_capacity;    /* >= count */
    uint32_t *offsets;            /* Of each record, from `begin` on. */
    bool open;                    /* The buffer is ours to write behind the records. */
};

struct log_range {
    const struct mortar_allocator *allocator;
    struct mortar_anchor_point base;
    struct log_block *blocks; /* blocks[head .. head + count - 1], consecutive. The last one ends
                                 above the base. */
    size_t head;
    size_t count;
    size_t capacity;
    uint64_t memory_bytes; /* Arrays, and the capacity of the buffers. */
};

/* Reserves nothing yet. Keeps `allocator`. */
struct log_range log_range_init(const struct mortar_allocator *allocator,
                                const struct mortar_anchor_point *base);
/* Gives everything back; the range may then only be initialised again. */
void log_range_deinit(struct log_range *range);

struct mortar_position log_range_last(const struct log_range *range);
/* For base <= index <= last; false otherwise. */
bool log_range_point_at(const struct log_range *range, uint64_t index,
                        struct mortar_anchor_point *out_point);
/* Bytes of the records first..last; 0 unless base < first <= last <= end. */
uint64_t log_range_bytes(const struct log_range *range, uint64_t first, uint64_t last);
/* The last index up to `last` so that first..index take at most `bytes`; at least `first`.
 * base < first <= last; `last` is brought down to the end. */
uint64_t log_range_cut(const struct log_range *range, uint64_t first, uint64_t last,
                       uint64_t bytes);

/* Appends a run that continues the range: copied, or shared. `block_bytes` is the size of a new
 * open block. */
MORTAR_NODISCARD enum mortar_status
log_range_append(struct log_range *range, const struct mortar_log_run *run, uint32_t block_bytes);
/* Cuts from `from` on; base < from <= last. */
void log_range_truncate(struct log_range *range, uint64_t from);
/* Moves the base up to `to`; base <= to <= last. Blocks wholly below it are given back. */
void log_range_prune(struct log_range *range, uint64_t to);
/* Empties the range; its base becomes `base`. */
void log_range_reset(struct log_range *range, const struct mortar_anchor_point *base);
/* Moves all blocks of `tail`, whose base is the end of `range`, behind it; `tail` is then empty. */
MORTAR_NODISCARD enum mortar_status log_range_adopt(struct log_range *range,
                                                    struct log_range *tail);
/* A run from `first` within one block, of at most `bytes_max` bytes but one record at least, not
 * beyond `last`; shares its buffer. False: `first` is not held. */
bool log_range_read(const struct log_range *range, uint64_t first, uint64_t last, size_t bytes_max,
                    struct mortar_log_run *out_run);

#endif
