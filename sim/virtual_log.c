/* sim/virtual_log.c - a storage around the memory log that completes later, and then writes to the
 * disk. */
#include "sim/virtual_log.h"

#include "base/prng.h"

#include <stdlib.h>

#define LOAD_BYTES (1024u * 1024u)

struct waiting {
    struct mortar_storage_completion completion;
    struct disk_write write;
    uint64_t ready_us; /* Never falls from one to the next: completions come in order. */
};

struct virtual_log {
    struct mortar_storage below;
    struct virtual_log_options options;
    struct virtual_log_host host;
    struct virtual_disk *disk;
    bool crashed; /* Nothing reaches the disk any more. */
    enum mortar_status refusal;
    enum mortar_status failure; /* Of the next write that completes. */
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
    *out_state = virtual_disk_state(((const struct virtual_log *)storage)->disk);
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

/* Takes what the log below has completed for `write`, and holds it back for a while. */
static void hold_back(struct virtual_log *log, const struct disk_write *write)
{
    struct waiting waiting = {.write = *write};
    if (log->below.ops->reap(log->below.self, &waiting.completion, 1) != 1) abort();
    if (log->count == log->capacity) waiting_grow(log);
    const bool is_cached = write->kind == DISK_NOTHING && log->options.reads_cached;
    uint64_t ready_us = log->host.now_us(log->host.context);
    if (!is_cached) ready_us += draw_delay(log);
    if (ready_us < log->last_ready_us) ready_us = log->last_ready_us;
    const bool is_known = log->count > 0 && ready_us == log->last_ready_us;
    log->last_ready_us = ready_us;
    waiting.ready_us = ready_us;
    log->waiting[(log->first + log->count++) % log->capacity] = waiting;
    const bool is_ready = ready_us == log->host.now_us(log->host.context);
    if (!is_known && !is_ready) log->host.ready_at(log->host.context, ready_us);
}

static enum mortar_status refused(const void *storage)
{
    return ((const struct virtual_log *)storage)->refusal;
}

static enum mortar_status submitted(void *storage, enum mortar_status status,
                                    struct disk_write write)
{
    if (status != MORTAR_OK) return status;
    if (write.kind == DISK_APPEND) (void)mortar_buffer_share(write.run.buffer);
    hold_back(storage, &write);
    return MORTAR_OK;
}

/* What is handed out is on the disk, unless it failed: then it may be. */
static void complete(struct virtual_log *log, struct waiting *waiting)
{
    const bool writes = waiting->write.kind != DISK_NOTHING;
    if (writes && log->failure != MORTAR_OK) {
        waiting->completion.status = log->failure;
        log->failure = MORTAR_OK;
        virtual_log_crash(log, VIRTUAL_LOG_LOSE_SOME);
    }
    if (log->crashed) {
        virtual_disk_forget(&waiting->write);
    } else {
        virtual_disk_write(log->disk, &waiting->write);
    }
}

static uint32_t on_reap(void *storage, struct mortar_storage_completion *out, uint32_t max)
{
    struct virtual_log *log = storage;
    const uint64_t now_us = log->host.now_us(log->host.context);
    uint32_t count = 0;
    while (count < max && log->count > 0 && log->waiting[log->first].ready_us <= now_us) {
        struct waiting *waiting = &log->waiting[log->first];
        complete(log, waiting);
        out[count++] = waiting->completion;
        log->first = (log->first + 1) % log->capacity;
        log->count--;
    }
    return count;
}

/* ---- Submissions: passed on, complete later. A full disk still reads, and can be made emptier:
 * only what takes room is refused. ---- */

static enum mortar_status on_append(void *storage, enum mortar_log_range range,
                                    const struct mortar_log_run *run, uint64_t token)
{
    if (refused(storage) != MORTAR_OK) return refused(storage);
    return submitted(storage, below(storage)->ops->append(below(storage)->self, range, run, token),
                     (struct disk_write){.kind = DISK_APPEND, .range = range, .run = *run});
}

static enum mortar_status on_truncate(void *storage, enum mortar_log_range range, uint64_t from,
                                      uint64_t token)
{
    return submitted(storage,
                     below(storage)->ops->truncate(below(storage)->self, range, from, token),
                     (struct disk_write){.kind = DISK_TRUNCATE, .range = range, .index = from});
}

static enum mortar_status on_save(void *storage, const struct mortar_storage_hard_state *state,
                                  uint64_t token)
{
    return submitted(storage, below(storage)->ops->save(below(storage)->self, state, token),
                     (struct disk_write){.kind = DISK_SAVE, .state = *state});
}

static enum mortar_status on_prune(void *storage, uint64_t to, uint64_t token)
{
    return submitted(storage, below(storage)->ops->prune(below(storage)->self, to, token),
                     (struct disk_write){.kind = DISK_PRUNE, .index = to});
}

static enum mortar_status on_reset(void *storage, const struct mortar_anchor_point *base,
                                   uint64_t token)
{
    return submitted(storage, below(storage)->ops->reset(below(storage)->self, base, token),
                     (struct disk_write){.kind = DISK_RESET, .base = *base});
}

static enum mortar_status on_read(void *storage, enum mortar_log_range range, uint64_t first,
                                  uint64_t last, size_t bytes_max, uint64_t token)
{
    return submitted(
        storage,
        below(storage)->ops->read(below(storage)->self, range, first, last, bytes_max, token),
        (struct disk_write){.kind = DISK_NOTHING});
}

static enum mortar_status on_tail_open(void *storage, const struct mortar_anchor_point *base,
                                       uint64_t token)
{
    if (refused(storage) != MORTAR_OK) return refused(storage);
    return submitted(storage, below(storage)->ops->tail_open(below(storage)->self, base, token),
                     (struct disk_write){.kind = DISK_TAIL_OPEN, .base = *base});
}

static enum mortar_status on_tail_adopt(void *storage, uint64_t token)
{
    return submitted(storage, below(storage)->ops->tail_adopt(below(storage)->self, token),
                     (struct disk_write){.kind = DISK_TAIL_ADOPT});
}

static enum mortar_status on_tail_drop(void *storage, uint64_t token)
{
    return submitted(storage, below(storage)->ops->tail_drop(below(storage)->self, token),
                     (struct disk_write){.kind = DISK_TAIL_DROP});
}

static void on_close(void *storage)
{
    struct virtual_log *log = storage;
    for (uint32_t i = 0; i < log->count; i++) {
        struct waiting *left = &log->waiting[(log->first + i) % log->capacity];
        mortar_buffer_release(left->completion.run.buffer);
        virtual_disk_forget(&left->write);
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

static enum mortar_status load_range(struct virtual_log *log, enum mortar_log_range range,
                                     const struct mortar_anchor_point *base)
{
    const struct mortar_storage *from = &log->disk->log;
    const struct mortar_storage_ops *ops = log->below.ops;
    struct mortar_position last;
    if (!from->ops->last(from->self, range, &last)) abort();
    enum mortar_status status = MORTAR_OK;
    for (uint64_t next = base->position.index + 1; status == MORTAR_OK && next <= last.index;) {
        struct mortar_storage_completion read = {0};
        status = from->ops->read(from->self, range, next, last.index, LOAD_BYTES, 0);
        if (status != MORTAR_OK || from->ops->reap(from->self, &read, 1) != 1) abort();
        next += read.run.count;
        status = ops->append(log->below.self, range, &read.run, 0);
        mortar_buffer_release(read.run.buffer);
    }
    return status;
}

/* What the disk holds is read in: a process sees its log through its own memory. */
static enum mortar_status load(struct virtual_log *log)
{
    const struct mortar_storage *from = &log->disk->log;
    const struct mortar_storage_ops *ops = log->below.ops;
    struct mortar_anchor_point base;
    struct mortar_storage_completion done;
    enum mortar_status status = MORTAR_OK;
    if (!from->ops->base(from->self, MORTAR_LOG_MAIN, &base)) abort();
    if (base.position.index != 0) status = ops->reset(log->below.self, &base, 0);
    if (status == MORTAR_OK) status = load_range(log, MORTAR_LOG_MAIN, &base);
    if (status == MORTAR_OK && from->ops->base(from->self, MORTAR_LOG_TAIL, &base)) {
        status = ops->tail_open(log->below.self, &base, 0);
        if (status == MORTAR_OK) status = load_range(log, MORTAR_LOG_TAIL, &base);
    }
    while (ops->reap(log->below.self, &done, 1) > 0) {
    }
    return status;
}

enum mortar_status virtual_log_open(const struct mortar_allocator *allocator,
                                    const struct virtual_log_options *options,
                                    const struct virtual_log_host *host, struct virtual_disk *disk,
                                    struct virtual_log **out_log,
                                    struct mortar_storage *out_storage)
{
    struct virtual_log *log = calloc(1, sizeof *log);
    if (log == NULL) abort();
    log->options = *options;
    log->host = *host;
    log->disk = disk;
    log->prng = prng_seeded(options->seed);
    struct mortar_log_memory_options small = {MORTAR_LOG_MEMORY_OPTIONS_INIT};
    small.block_bytes = 16u * 1024u; /* Many small logs live side by side here. */
    enum mortar_status status = mortar_log_memory_open(allocator, &small, &log->below);
    if (status != MORTAR_OK) {
        free(log);
        return status;
    }
    status = load(log);
    if (status != MORTAR_OK) {
        on_close(log);
        return status;
    }
    *out_log = log;
    *out_storage = (struct mortar_storage){&virtual_log_ops, log};
    return MORTAR_OK;
}

uint32_t virtual_log_unsynced(const struct virtual_log *log)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < log->count; i++) {
        const struct waiting *waiting = &log->waiting[(log->first + i) % log->capacity];
        if (waiting->write.kind != DISK_NOTHING) count++;
    }
    return count;
}

uint64_t virtual_log_waiting_bytes(const struct virtual_log *log)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < log->count; i++) {
        const struct waiting *waiting = &log->waiting[(log->first + i) % log->capacity];
        const struct mortar_buffer *read = waiting->completion.run.buffer;
        if (waiting->write.kind == DISK_APPEND) {
            bytes += mortar_buffer_capacity(waiting->write.run.buffer);
        }
        if (read != NULL) bytes += mortar_buffer_capacity(read);
    }
    return bytes;
}

uint64_t virtual_log_bytes_after(struct virtual_log *log, uint64_t index)
{
    const struct mortar_storage *storage = &log->below;
    struct mortar_position last;
    if (!storage->ops->last(storage->self, MORTAR_LOG_MAIN, &last) || last.index <= index) return 0;
    return storage->ops->bytes(storage->self, MORTAR_LOG_MAIN, index + 1, last.index);
}

uint64_t virtual_log_tail_bytes(struct virtual_log *log)
{
    const struct mortar_storage *storage = &log->below;
    struct mortar_anchor_point base;
    struct mortar_position last;
    if (!storage->ops->base(storage->self, MORTAR_LOG_TAIL, &base)) return 0;
    if (!storage->ops->last(storage->self, MORTAR_LOG_TAIL, &last)) return 0;
    return storage->ops->bytes(storage->self, MORTAR_LOG_TAIL, base.position.index + 1, last.index);
}

void virtual_log_set_delay(struct virtual_log *log, uint32_t min_us, uint32_t max_us)
{
    log->options.delay_us_min = min_us;
    log->options.delay_us_max = max_us;
}

void virtual_log_set_refusal(struct virtual_log *log, enum mortar_status status)
{
    log->refusal = status;
}

void virtual_log_fail_next(struct virtual_log *log, enum mortar_status status)
{
    log->failure = status;
}

/* ---- The crash ---- */

/* Whether `write` reaches the disk, as far as `broken` (of the log; of everything) allows it. */
static bool survives(struct virtual_log *log, struct disk_write *write, enum virtual_log_loss loss,
                     bool broken[2])
{
    const bool saves = write->kind == DISK_SAVE;
    if (broken[1] || (broken[0] && !saves)) return false;
    if (loss == VIRTUAL_LOG_LOSE_NONE) return true;
    const bool kept = loss == VIRTUAL_LOG_LOSE_SOME && prng_chance(&log->prng, 1, 2);
    if (!kept) broken[saves ? 1 : 0] = true;
    const bool torn = !kept && loss == VIRTUAL_LOG_LOSE_SOME && write->kind == DISK_APPEND &&
                      write->run.count > 1 && prng_chance(&log->prng, 1, 2);
    if (torn) virtual_disk_tear(write, (uint32_t)prng_between(&log->prng, 1, write->run.count - 1));
    return kept || torn;
}

/* The rules stand in sim/virtual_disk.h. */
void virtual_log_crash(struct virtual_log *log, enum virtual_log_loss loss)
{
    if (log->crashed) return;
    log->crashed = true;
    bool broken[2] = {false, false};
    for (uint32_t i = 0; i < log->count; i++) {
        struct disk_write *write = &log->waiting[(log->first + i) % log->capacity].write;
        if (write->kind == DISK_NOTHING) continue;
        if (survives(log, write, loss, broken)) {
            virtual_disk_write(log->disk, write);
        } else {
            virtual_disk_forget(write);
        }
    }
}
