/* sim/small/disk.c - see sim/small/disk.h. */
#include "sim/small/disk.h"

#include "base/assert.h"

#include <string.h>

static void log_add(struct small_log *log, const uint16_t *entries, uint32_t count)
{
    ASSERT(log->count + count <= SMALL_LOG);
    memcpy(&log->entries[log->count], entries, count * sizeof entries[0]);
    log->count = (uint8_t)(log->count + count);
}

static void log_cut(struct small_log *log, uint8_t from)
{
    ASSERT(from > log->base_index);
    const uint8_t kept = (uint8_t)(from - 1 - log->base_index);
    for (uint8_t i = kept; i < log->count; i++)
        log->entries[i] = 0;
    if (log->count > kept) log->count = kept;
}

void disk_apply(const struct small_op *op, struct small_log *log, struct small_log *tail)
{
    switch ((enum small_write)op->kind) {
    case SMALL_SAVE:
        break;
    case SMALL_APPEND:
        log_add(log, op->entries, op->count);
        break;
    case SMALL_TRUNCATE:
        log_cut(log, op->place.index);
        break;
    case SMALL_TAIL_OPEN:
        memset(tail, 0, sizeof *tail);
        tail->open = 1;
        tail->base_index = op->place.index;
        tail->base_term = op->place.term;
        break;
    case SMALL_TAIL_APPEND:
        log_add(tail, op->entries, op->count);
        break;
    case SMALL_TAIL_TRUNCATE:
        log_cut(tail, op->place.index);
        break;
    case SMALL_TAIL_ADOPT:
        ASSERT(small_log_last(log).index == tail->base_index);
        log_add(log, tail->entries, tail->count);
        memset(tail, 0, sizeof *tail);
        break;
    case SMALL_TAIL_DROP:
        memset(tail, 0, sizeof *tail);
        break;
    }
}

void disk_logs(const struct small_mind *mind, struct small_log *out_main,
               struct small_log *out_tail)
{
    *out_main = mind->disk;
    *out_tail = mind->disk_tail;
    for (uint32_t i = 0; i < mind->queue_count; i++)
        disk_apply(&mind->queue[i], out_main, out_tail);
}
