#include "unit/group/slow_storage.h"

#include "unit/test.h"

#include <stdlib.h>

#define WAITING_MAX 4096u

enum wait_kind { WAIT_OTHER, WAIT_MAIN, WAIT_SAVE };

struct waiting {
    uint64_t token;
    uint64_t due; /* Number of the reap. */
    enum wait_kind kind;
    uint64_t value; /* WAIT_MAIN: last index then durable. WAIT_SAVE: the term. */
    bool is_write;
};

struct slow {
    struct mortar_storage inner;
    uint32_t delay;
    uint64_t reaps;
    uint64_t writes;
    uint64_t fail_at;
    enum mortar_status fail_status;
    struct slow_durable durable;
    struct waiting waiting[WAITING_MAX];
    struct mortar_storage_completion ready[WAITING_MAX]; /* Of the inner storage, same places. */
    uint64_t submitted;
    uint64_t arrived;
    uint64_t handed;
};

#define INNER(storage, call, ...)                                                                  \
    ((struct slow *)(storage))->inner.ops->call(((struct slow *)(storage))->inner.self, __VA_ARGS__)

static enum mortar_status note(struct slow *slow, enum mortar_status status, uint64_t token,
                               enum wait_kind kind, uint64_t value, bool is_write)
{
    if (status != MORTAR_OK) return status;
    assert_true(slow->submitted - slow->handed < WAITING_MAX);
    slow->waiting[slow->submitted++ % WAITING_MAX] =
        (struct waiting){.token = token,
                         .due = slow->reaps + slow->delay,
                         .kind = kind,
                         .value = value,
                         .is_write = is_write};
    return MORTAR_OK;
}

static void slow_restored(void *storage, struct mortar_storage_hard_state *out_state)
{
    INNER(storage, restored, out_state);
}

static bool slow_last(void *storage, enum mortar_log_range range, struct mortar_position *out_last)
{
    return INNER(storage, last, range, out_last);
}

static bool slow_base(void *storage, enum mortar_log_range range,
                      struct mortar_anchor_point *out_base)
{
    return INNER(storage, base, range, out_base);
}

static bool slow_term_at(void *storage, enum mortar_log_range range, uint64_t index,
                         uint64_t *out_term)
{
    return INNER(storage, term_at, range, index, out_term);
}

static bool slow_sum_at(void *storage, enum mortar_log_range range, uint64_t index,
                        struct mortar_log_sum *out_sum)
{
    return INNER(storage, sum_at, range, index, out_sum);
}

static uint64_t slow_bytes(void *storage, enum mortar_log_range range, uint64_t first,
                           uint64_t last)
{
    return INNER(storage, bytes, range, first, last);
}

static uint64_t slow_cut(void *storage, enum mortar_log_range range, uint64_t first, uint64_t last,
                         uint64_t bytes)
{
    return INNER(storage, cut, range, first, last, bytes);
}

static uint64_t slow_memory_bytes(void *storage)
{
    struct slow *slow = storage;
    return slow->inner.ops->memory_bytes(slow->inner.self);
}

static enum mortar_status slow_append(void *storage, enum mortar_log_range range,
                                      const struct mortar_log_run *run, uint64_t token)
{
    const bool is_main = range == MORTAR_LOG_MAIN;
    return note(storage, INNER(storage, append, range, run, token), token,
                is_main ? WAIT_MAIN : WAIT_OTHER, run->first + run->count - 1, true);
}

/* What was on its way counts only up to the cut. */
static void cut_waiting(struct slow *slow, uint64_t from)
{
    for (uint64_t i = slow->handed; i < slow->submitted; i++) {
        struct waiting *waiting = &slow->waiting[i % WAITING_MAX];
        if (waiting->kind == WAIT_MAIN && waiting->value >= from) waiting->value = from - 1;
    }
    if (slow->durable.last >= from) slow->durable.last = from - 1;
}

static enum mortar_status slow_truncate(void *storage, enum mortar_log_range range, uint64_t from,
                                        uint64_t token)
{
    if (range == MORTAR_LOG_MAIN) cut_waiting(storage, from);
    return note(storage, INNER(storage, truncate, range, from, token), token, WAIT_OTHER, 0, true);
}

static enum mortar_status slow_save(void *storage, const struct mortar_storage_hard_state *state,
                                    uint64_t token)
{
    return note(storage, INNER(storage, save, state, token), token, WAIT_SAVE, state->term, true);
}

static enum mortar_status slow_prune(void *storage, uint64_t to, uint64_t token)
{
    return note(storage, INNER(storage, prune, to, token), token, WAIT_OTHER, 0, true);
}

static enum mortar_status slow_reset(void *storage, const struct mortar_anchor_point *base,
                                     uint64_t token)
{
    cut_waiting(storage, 1);
    return note(storage, INNER(storage, reset, base, token), token, WAIT_MAIN, base->position.index,
                true);
}

static enum mortar_status slow_read(void *storage, enum mortar_log_range range, uint64_t first,
                                    uint64_t last, size_t bytes_max, uint64_t token)
{
    return note(storage, INNER(storage, read, range, first, last, bytes_max, token), token,
                WAIT_OTHER, 0, false);
}

static enum mortar_status slow_tail_open(void *storage, const struct mortar_anchor_point *base,
                                         uint64_t token)
{
    return note(storage, INNER(storage, tail_open, base, token), token, WAIT_OTHER, 0, true);
}

static enum mortar_status slow_tail_adopt(void *storage, uint64_t token)
{
    const enum mortar_status status = INNER(storage, tail_adopt, token);
    struct mortar_position last = {0};
    (void)slow_last(storage, MORTAR_LOG_MAIN, &last);
    return note(storage, status, token, WAIT_MAIN, last.index, true);
}

static enum mortar_status slow_tail_drop(void *storage, uint64_t token)
{
    return note(storage, INNER(storage, tail_drop, token), token, WAIT_OTHER, 0, true);
}

static void take_inner(struct slow *slow)
{
    struct mortar_storage_completion completion;
    while (slow->inner.ops->reap(slow->inner.self, &completion, 1) == 1) {
        assert_int_equal(completion.token, slow->waiting[slow->arrived % WAITING_MAX].token);
        slow->ready[slow->arrived++ % WAITING_MAX] = completion;
    }
}

static uint32_t slow_reap(void *storage, struct mortar_storage_completion *out, uint32_t max)
{
    struct slow *slow = storage;
    take_inner(slow);
    slow->reaps++;
    uint32_t count = 0;
    while (count < max && slow->handed < slow->arrived) {
        const struct waiting *waiting = &slow->waiting[slow->handed % WAITING_MAX];
        if (waiting->due >= slow->reaps) break;
        out[count] = slow->ready[slow->handed++ % WAITING_MAX];
        if (waiting->is_write && ++slow->writes >= slow->fail_at && slow->fail_at != 0) {
            out[count].status = slow->fail_status;
        } else if (waiting->kind == WAIT_MAIN && waiting->value > slow->durable.last) {
            slow->durable.last = waiting->value;
        } else if (waiting->kind == WAIT_SAVE) {
            slow->durable.term = waiting->value;
        }
        count++;
    }
    return count;
}

static void slow_close(void *storage)
{
    struct slow *slow = storage;
    take_inner(slow);
    while (slow->handed < slow->arrived)
        mortar_buffer_release(slow->ready[slow->handed++ % WAITING_MAX].run.buffer);
    slow->inner.ops->close(slow->inner.self);
    free(slow);
}

static const struct mortar_storage_ops slow_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_storage_ops),
    .name = "slow",
    .restored = slow_restored,
    .last = slow_last,
    .base = slow_base,
    .term_at = slow_term_at,
    .sum_at = slow_sum_at,
    .bytes = slow_bytes,
    .cut = slow_cut,
    .memory_bytes = slow_memory_bytes,
    .append = slow_append,
    .truncate = slow_truncate,
    .save = slow_save,
    .prune = slow_prune,
    .reset = slow_reset,
    .read = slow_read,
    .tail_open = slow_tail_open,
    .tail_adopt = slow_tail_adopt,
    .tail_drop = slow_tail_drop,
    .reap = slow_reap,
    .close = slow_close,
};

struct mortar_storage slow_storage(struct mortar_storage inner, uint32_t delay, uint64_t fail_at,
                                   enum mortar_status fail_status)
{
    struct slow *slow = calloc(1, sizeof *slow);
    assert_non_null(slow);
    slow->inner = inner;
    slow->delay = delay;
    slow->fail_at = fail_at;
    slow->fail_status = fail_status;
    return (struct mortar_storage){.ops = &slow_ops, .self = slow};
}

struct slow_durable slow_storage_durable(const struct mortar_storage *storage)
{
    return ((const struct slow *)storage->self)->durable;
}
