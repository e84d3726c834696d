/* log/memory.c - the in-memory storage of mortar/storage.h: two ranges, and a ring of completions
 * that are ready as soon as they are submitted.
 *
 * Each submission reserves its place in the ring before it changes anything, so that a failure
 * leaves all as it was.
 */
#include "base/assert.h"
#include "log/range.h"
#include "mortar/storage.h"

#include <string.h>

/* Far more than a host leaves unreaped; beyond it, submissions answer MORTAR_E_BUSY. */
#define COMPLETIONS_MAX 65536u
#define COMPLETIONS_MIN 16u
#define BLOCK_BYTES_MIN 4096u
#define BLOCK_BYTES_MAX (64u * 1024u * 1024u)

struct log_memory {
    struct mortar_allocator allocator;
    uint32_t block_bytes;
    struct mortar_storage_hard_state hard_state;
    struct log_range main;
    struct log_range tail; /* Meaningful while tail_open. */
    bool tail_open;
    struct mortar_storage_completion *completions; /* Ring, oldest at completions_head. */
    uint32_t completions_head;
    uint32_t completions_count;
    uint32_t completions_capacity; /* A power of two, or 0. */
};

/* NULL: the tail, and none is open. */
static struct log_range *range_of(struct log_memory *log, enum mortar_log_range which)
{
    if (which == MORTAR_LOG_MAIN) return &log->main;
    return log->tail_open ? &log->tail : NULL;
}

/* --- Questions --- */

static void memory_restored(void *storage, struct mortar_storage_hard_state *out_state)
{
    const struct log_memory *const log = storage;
    *out_state = log->hard_state;
}

static bool memory_last(void *storage, enum mortar_log_range which,
                        struct mortar_position *out_last)
{
    const struct log_range *const range = range_of(storage, which);
    if (range == NULL) return false;
    *out_last = log_range_last(range);
    return true;
}

static bool memory_base(void *storage, enum mortar_log_range which,
                        struct mortar_anchor_point *out_base)
{
    const struct log_range *const range = range_of(storage, which);
    if (range == NULL) return false;
    *out_base = range->base;
    return true;
}

static bool memory_term_at(void *storage, enum mortar_log_range which, uint64_t index,
                           uint64_t *out_term)
{
    const struct log_range *const range = range_of(storage, which);
    struct mortar_anchor_point point;
    if (range == NULL || !log_range_point_at(range, index, &point)) return false;
    *out_term = point.position.term;
    return true;
}

static bool memory_sum_at(void *storage, enum mortar_log_range which, uint64_t index,
                          struct mortar_log_sum *out_sum)
{
    const struct log_range *const range = range_of(storage, which);
    struct mortar_anchor_point point;
    if (range == NULL || !log_range_point_at(range, index, &point)) return false;
    *out_sum = point.sum;
    return true;
}

static uint64_t memory_range_bytes(void *storage, enum mortar_log_range which, uint64_t first,
                                   uint64_t last)
{
    const struct log_range *const range = range_of(storage, which);
    return range == NULL ? 0 : log_range_bytes(range, first, last);
}

static uint64_t memory_cut(void *storage, enum mortar_log_range which, uint64_t first,
                           uint64_t last, uint64_t bytes)
{
    const struct log_range *const range = range_of(storage, which);
    ASSERT(range != NULL);
    return log_range_cut(range, first, last, bytes);
}

static uint64_t memory_bytes_held(void *storage)
{
    const struct log_memory *const log = storage;
    const uint64_t ring_bytes = (uint64_t)log->completions_capacity * sizeof log->completions[0];
    return sizeof *log + ring_bytes + log->main.memory_bytes +
           (log->tail_open ? log->tail.memory_bytes : 0);
}

/* --- Completions --- */

static struct mortar_storage_completion *completion_at(struct log_memory *log, uint32_t place)
{
    return &log->completions[(log->completions_head + place) & (log->completions_capacity - 1)];
}

/* Makes sure that complete() finds a place. */
static enum mortar_status reserve_completion(struct log_memory *log)
{
    if (log->completions_count < log->completions_capacity) return MORTAR_OK;
    if (log->completions_count >= COMPLETIONS_MAX) return MORTAR_E_BUSY;
    const uint32_t old_capacity = log->completions_capacity;
    const uint32_t capacity = old_capacity == 0 ? COMPLETIONS_MIN : 2 * old_capacity;
    struct mortar_storage_completion *const ring = log->allocator.reserve(
        log->allocator.context, (size_t)capacity * sizeof log->completions[0]);
    if (ring == NULL) return MORTAR_E_NO_MEMORY;
    for (uint32_t i = 0; i < log->completions_count; i++)
        ring[i] = *completion_at(log, i);
    log->allocator.release(log->allocator.context, log->completions,
                           (size_t)old_capacity * sizeof log->completions[0]);
    log->completions = ring;
    log->completions_head = 0;
    log->completions_capacity = capacity;
    return MORTAR_OK;
}

/* Notes the end of a submission, whose place was reserved. Owns `run`, if not NULL. */
static void complete(struct log_memory *log, uint64_t token, enum mortar_status status,
                     const struct mortar_log_run *run)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a range may be NULL, not the log. */
    ASSERT(log->completions_count < log->completions_capacity);
    struct mortar_storage_completion *const place = completion_at(log, log->completions_count);
    *place = (struct mortar_storage_completion){.token = token, .status = status};
    if (run != NULL) place->run = *run;
    log->completions_count++;
}

static uint32_t memory_reap(void *storage, struct mortar_storage_completion *out, uint32_t max)
{
    struct log_memory *const log = storage;
    uint32_t count = 0;
    while (count < max && log->completions_count > 0) {
        out[count] = *completion_at(log, 0);
        log->completions_head = (log->completions_head + 1) & (log->completions_capacity - 1);
        log->completions_count--;
        count++;
    }
    return count;
}

/* --- Submissions --- */

static enum mortar_status memory_append(void *storage, enum mortar_log_range which,
                                        const struct mortar_log_run *run, uint64_t token)
{
    struct log_memory *const log = storage;
    struct log_range *const range = range_of(log, which);
    ASSERT(range != NULL);
    enum mortar_status status = reserve_completion(log);
    if (status == MORTAR_OK) status = log_range_append(range, run, log->block_bytes);
    if (status == MORTAR_OK) complete(log, token, MORTAR_OK, NULL);
    return status;
}

static enum mortar_status memory_truncate(void *storage, enum mortar_log_range which, uint64_t from,
                                          uint64_t token)
{
    struct log_memory *const log = storage;
    struct log_range *const range = range_of(log, which);
    ASSERT(range != NULL);
    const enum mortar_status status = reserve_completion(log);
    if (status != MORTAR_OK) return status;
    log_range_truncate(range, from);
    complete(log, token, MORTAR_OK, NULL);
    return MORTAR_OK;
}

static enum mortar_status memory_save(void *storage, const struct mortar_storage_hard_state *state,
                                      uint64_t token)
{
    struct log_memory *const log = storage;
    const enum mortar_status status = reserve_completion(log);
    if (status != MORTAR_OK) return status;
    log->hard_state = *state;
    complete(log, token, MORTAR_OK, NULL);
    return MORTAR_OK;
}

static enum mortar_status memory_prune(void *storage, uint64_t to, uint64_t token)
{
    struct log_memory *const log = storage;
    const enum mortar_status status = reserve_completion(log);
    if (status != MORTAR_OK) return status;
    log_range_prune(&log->main, to);
    complete(log, token, MORTAR_OK, NULL);
    return MORTAR_OK;
}

static enum mortar_status memory_reset(void *storage, const struct mortar_anchor_point *base,
                                       uint64_t token)
{
    struct log_memory *const log = storage;
    const enum mortar_status status = reserve_completion(log);
    if (status != MORTAR_OK) return status;
    log_range_reset(&log->main, base);
    complete(log, token, MORTAR_OK, NULL);
    return MORTAR_OK;
}

/* A range that is not held ends as MORTAR_E_NOT_FOUND: it may have been pruned or cut between the
 * caller's question and its read. */
static enum mortar_status memory_read(void *storage, enum mortar_log_range which, uint64_t first,
                                      uint64_t last, size_t bytes_max, uint64_t token)
{
    struct log_memory *const log = storage;
    const struct log_range *const range = range_of(log, which);
    const enum mortar_status status = reserve_completion(log);
    if (status != MORTAR_OK) return status;
    struct mortar_log_run run;
    if (range != NULL && log_range_read(range, first, last, bytes_max, &run)) {
        complete(log, token, MORTAR_OK, &run);
    } else {
        complete(log, token, MORTAR_E_NOT_FOUND, NULL);
    }
    return MORTAR_OK;
}

static enum mortar_status memory_tail_open(void *storage, const struct mortar_anchor_point *base,
                                           uint64_t token)
{
    struct log_memory *const log = storage;
    ASSERT(!log->tail_open);
    const enum mortar_status status = reserve_completion(log);
    if (status != MORTAR_OK) return status;
    log->tail = log_range_init(&log->allocator, base);
    log->tail_open = true;
    complete(log, token, MORTAR_OK, NULL);
    return MORTAR_OK;
}

static void close_tail(struct log_memory *log)
{
    log_range_deinit(&log->tail);
    log->tail_open = false;
}

static enum mortar_status memory_tail_adopt(void *storage, uint64_t token)
{
    struct log_memory *const log = storage;
    ASSERT(log->tail_open);
    enum mortar_status status = reserve_completion(log);
    if (status == MORTAR_OK) status = log_range_adopt(&log->main, &log->tail);
    if (status != MORTAR_OK) return status;
    close_tail(log);
    complete(log, token, MORTAR_OK, NULL);
    return MORTAR_OK;
}

static enum mortar_status memory_tail_drop(void *storage, uint64_t token)
{
    struct log_memory *const log = storage;
    ASSERT(log->tail_open);
    const enum mortar_status status = reserve_completion(log);
    if (status != MORTAR_OK) return status;
    close_tail(log);
    complete(log, token, MORTAR_OK, NULL);
    return MORTAR_OK;
}

/* --- Life --- */

static void memory_close(void *storage)
{
    struct log_memory *const log = storage;
    for (uint32_t i = 0; i < log->completions_count; i++) {
        mortar_buffer_release(completion_at(log, i)->run.buffer);
    }
    if (log->tail_open) close_tail(log);
    log_range_deinit(&log->main);
    const struct mortar_allocator allocator = log->allocator;
    allocator.release(allocator.context, log->completions,
                      (size_t)log->completions_capacity * sizeof log->completions[0]);
    allocator.release(allocator.context, log, sizeof *log);
}

static const struct mortar_storage_ops memory_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_storage_ops),
    .name = "memory",
    .restored = memory_restored,
    .last = memory_last,
    .base = memory_base,
    .term_at = memory_term_at,
    .sum_at = memory_sum_at,
    .bytes = memory_range_bytes,
    .cut = memory_cut,
    .memory_bytes = memory_bytes_held,
    .append = memory_append,
    .truncate = memory_truncate,
    .save = memory_save,
    .prune = memory_prune,
    .reset = memory_reset,
    .read = memory_read,
    .tail_open = memory_tail_open,
    .tail_adopt = memory_tail_adopt,
    .tail_drop = memory_tail_drop,
    .reap = memory_reap,
    .close = memory_close,
};

enum mortar_status mortar_log_memory_open(const struct mortar_allocator *allocator,
                                          const struct mortar_log_memory_options *options,
                                          struct mortar_storage *out_storage)
{
    struct mortar_log_memory_options known = {MORTAR_LOG_MEMORY_OPTIONS_INIT};
    _Static_assert(sizeof known == 8, "a field was added: its default belongs below");
    if (options != NULL) {
        if (options->struct_bytes < sizeof options->struct_bytes) return MORTAR_E_INVALID;
        if (options->struct_bytes > sizeof known) return MORTAR_E_INVALID;
        memcpy(&known, options, options->struct_bytes);
    }
    if (known.block_bytes == 0) known.block_bytes = 256u * 1024u;
    if (known.block_bytes < BLOCK_BYTES_MIN || known.block_bytes > BLOCK_BYTES_MAX) {
        return MORTAR_E_INVALID;
    }
    struct log_memory *const log = allocator->reserve(allocator->context, sizeof *log);
    if (log == NULL) return MORTAR_E_NO_MEMORY;
    static const struct mortar_anchor_point sentinel = {{0, 0}, {0, 0}};
    *log = (struct log_memory){.allocator = *allocator, .block_bytes = known.block_bytes};
    log->main = log_range_init(&log->allocator, &sentinel);
    *out_storage = (struct mortar_storage){.ops = &memory_ops, .self = log};
    return MORTAR_OK;
}
