/* sim/virtual_log.c - a storage around the memory log that completes later. */
#include "sim/virtual_log.h"

#include "base/prng.h"

#include <stdlib.h>

struct waiting {
    struct mortar_storage_completion completion;
    uint64_t ready_us; /* Never falls from one to the next: completions come in order. */
};

struct virtual_log {
    struct mortar_storage below;
    struct virtual_log_options options;
    struct virtual_log_host host;
    struct prng prng;
    struct waiting *waiting; /* A ring of `capacity`. */
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
    uint64_t last_ready_us;
};

static struct mortar_storage *below(void *storage)
{
    return &((struct virtual_log *)storage)->below;
}

/* ---- Questions: passed on. ---- */

static void on_restored(void *storage, struct mortar_storage_hard_state *out_state)
{
    below(storage)->ops->restored(below(storage)->self, out_state);
}

static bool on_last(void *storage, enum mortar_log_range range, struct mortar_position *out_last)
{
    return below(storage)->ops->last(below(storage)->self, range, out_last);
}

static bool on_base(void *storage, enum mortar_log_range range,
                    struct mortar_anchor_point *out_base)
{
    return below(storage)->ops->base(below(storage)->self, range, out_base);
}

static bool on_term_at(void *storage, enum mortar_log_range range, uint64_t index,
                       uint64_t *out_term)
{
    return below(storage)->ops->term_at(below(storage)->self, range, index, out_term);
}

static bool on_sum_at(void *storage, enum mortar_log_range range, uint64_t index,
                      struct mortar_log_sum *out_sum)
{
    return below(storage)->ops->sum_at(below(storage)->self, range, index, out_sum);
}

static uint64_t on_bytes(void *storage, enum mortar_log_range range, uint64_t first, uint64_t last)
{
    return below(storage)->ops->bytes(below(storage)->self, range, first, last);
}

static uint64_t on_cut(void *storage, enum mortar_log_range range, uint64_t first, uint64_t last,
                       uint64_t bytes)
{
    return below(storage)->ops->cut(below(storage)->self, range, first, last, bytes);
}

static uint64_t on_memory_bytes(void *storage)
{
    return below(storage)->ops->memory_bytes(below(storage)->self);
}

/* ---- Completions. ---- */

static uint64_t draw_delay(struct virtual_log *log)
{
    const struct virtual_log_options *options = &log->options;
    uint64_t delay = prng_between(&log->prng, options->delay_us_min, options->delay_us_max);
    if (options->stall_permille > 0 && prng_chance(&log->prng, options->stall_permille, 1000)) {
        delay += options->stall_us;
    }
    return delay;
}

static void waiting_grow(struct virtual_log *log)
{
    const uint32_t capacity = log->capacity == 0 ? 64 : log->capacity * 2;
    struct waiting *moved = calloc(capacity, sizeof *moved);
    if (moved == NULL) abort();
    for (uint32_t i = 0; i < log->count; i++) {
        moved[i] = log->waiting[(log->first + i) % log->capacity];
    }
    free(log->waiting);
    log->waiting = moved;
    log->first = 0;
    log->capacity = capacity;
}

/* Takes what the log below has completed, and holds it back for a while. */
static void hold_back(struct virtual_log *log)
{
    struct mortar_storage_completion done[16];
    uint32_t count;
    while ((count = log->below.ops->reap(log->below.self, done, 16)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            if (log->count == log->capacity) waiting_grow(log);
            uint64_t ready_us = log->host.now_us(log->host.context) + draw_delay(log);
            if (ready_us < log->last_ready_us) ready_us = log->last_ready_us;
            const bool is_known = log->count > 0 && ready_us == log->last_ready_us;
            log->last_ready_us = ready_us;
            const uint32_t place = (log->first + log->count++) % log->capacity;
            log->waiting[place] = (struct waiting){done[i], ready_us};
            if (!is_known) log->host.ready_at(log->host.context, ready_us);
        }
    }
}

static enum mortar_status submitted(void *storage, enum mortar_status status)
{
    if (status == MORTAR_OK) hold_back(storage);
    return status;
}

static uint32_t on_reap(void *storage, struct mortar_storage_completion *out, uint32_t max)
{
    struct virtual_log *log = storage;
    const uint64_t now_us = log->host.now_us(log->host.context);
    uint32_t count = 0;
    while (count < max && log->count > 0 && log->waiting[log->first].ready_us <= now_us) {
        out[count++] = log->waiting[log->first].completion;
        log->first = (log->first + 1) % log->capacity;
        log->count--;
    }
    return count;
}

/* ---- Submissions: passed on, complete later. ---- */

static enum mortar_status on_append(void *storage, enum mortar_log_range range,
                                    const struct mortar_log_run *run, uint64_t token)
{
    return submitted(storage, below(storage)->ops->append(below(storage)->self, range, run, token));
}

static enum mortar_status on_truncate(void *storage, enum mortar_log_range range, uint64_t from,
                                      uint64_t token)
{
    return submitted(storage,
                     below(storage)->ops->truncate(below(storage)->self, range, from, token));
}

static enum mortar_status on_save(void *storage, const struct mortar_storage_hard_state *state,
                                  uint64_t token)
{
    return submitted(storage, below(storage)->ops->save(below(storage)->self, state, token));
}

static enum mortar_status on_prune(void *storage, uint64_t to, uint64_t token)
{
    return submitted(storage, below(storage)->ops->prune(below(storage)->self, to, token));
}

static enum mortar_status on_reset(void *storage, const struct mortar_anchor_point *base,
                                   uint64_t token)
{
    return submitted(storage, below(storage)->ops->reset(below(storage)->self, base, token));
}

static enum mortar_status on_read(void *storage, enum mortar_log_range range, uint64_t first,
                                  uint64_t last, size_t bytes_max, uint64_t token)
{
    return submitted(storage, below(storage)->ops->read(below(storage)->self, range, first, last,
                                                        bytes_max, token));
}

static enum mortar_status on_tail_open(void *storage, const struct mortar_anchor_point *base,
                                       uint64_t token)
{
    return submitted(storage, below(storage)->ops->tail_open(below(storage)->self, base, token));
}

static enum mortar_status on_tail_adopt(void *storage, uint64_t token)
{
    return submitted(storage, below(storage)->ops->tail_adopt(below(storage)->self, token));
}

static enum mortar_status on_tail_drop(void *storage, uint64_t token)
{
    return submitted(storage, below(storage)->ops->tail_drop(below(storage)->self, token));
}

static void on_close(void *storage)
{
    struct virtual_log *log = storage;
    for (uint32_t i = 0; i < log->count; i++) {
        const struct waiting *left = &log->waiting[(log->first + i) % log->capacity];
        mortar_buffer_release(left->completion.run.buffer);
    }
    log->below.ops->close(log->below.self);
    free(log->waiting);
    free(log);
}

static const struct mortar_storage_ops virtual_log_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_storage_ops),
    .name = "virtual",
    .restored = on_restored,
    .last = on_last,
    .base = on_base,
    .term_at = on_term_at,
    .sum_at = on_sum_at,
    .bytes = on_bytes,
    .cut = on_cut,
    .memory_bytes = on_memory_bytes,
    .append = on_append,
    .truncate = on_truncate,
    .save = on_save,
    .prune = on_prune,
    .reset = on_reset,
    .read = on_read,
    .tail_open = on_tail_open,
    .tail_adopt = on_tail_adopt,
    .tail_drop = on_tail_drop,
    .reap = on_reap,
    .close = on_close,
};

enum mortar_status virtual_log_open(const struct mortar_allocator *allocator,
                                    const struct virtual_log_options *options,
                                    const struct virtual_log_host *host,
                                    struct virtual_log **out_log,
                                    struct mortar_storage *out_storage)
{
    struct virtual_log *log = calloc(1, sizeof *log);
    if (log == NULL) return MORTAR_E_NO_MEMORY;
    log->options = *options;
    log->host = *host;
    log->prng = prng_seeded(options->seed);
    struct mortar_log_memory_options small = {MORTAR_LOG_MEMORY_OPTIONS_INIT};
    small.block_bytes = 16u * 1024u; /* Many small logs live side by side here. */
    const enum mortar_status status = mortar_log_memory_open(allocator, &small, &log->below);
    if (status != MORTAR_OK) {
        free(log);
        return status;
    }
    *out_log = log;
    *out_storage = (struct mortar_storage){&virtual_log_ops, log};
    return MORTAR_OK;
}

uint32_t virtual_log_unsynced(const struct virtual_log *log)
{
    return log->count;
}

void virtual_log_set_delay(struct virtual_log *log, uint32_t min_us, uint32_t max_us)
{
    log->options.delay_us_min = min_us;
    log->options.delay_us_max = max_us;
}
