/* sim/check/history.c - what clients were told is true (C1, C2).
 *
 * A write that succeeded stands exactly where it was said to, with that reply. One that failed by
 * any name but UNKNOWN, CANCELLED or CLOSED never happened. A linearizable read sees everything
 * that was acknowledged, or seen by another such read, before it began. */
#include "sim/check/seen.h"

#include <inttypes.h>

void judge_invoke(struct judges *judges, uint64_t op, enum op_kind kind, uint32_t replica,
                  uint64_t first_command, uint32_t count)
{
    struct op_seen *seen = table_at(&judges->ops, op);
    *seen = (struct op_seen){
        .state = OP_OPEN,
        .kind = kind,
        .replica = replica,
        .first_command = first_command,
        .count = count,
        .floor = judges->acked_index_max,
        .invoked = ++judges->moment,
    };
}

/* The operation that ends; NULL, with a failure, when it ended before or never began. */
static struct op_seen *op_end(struct judges *judges, uint64_t op, enum mortar_status status)
{
    struct op_seen *seen = table_find(&judges->ops, op);
    if (seen == NULL || seen->state != OP_OPEN) {
        verdict_fail(judges->verdict, "history", "request %" PRIu64 " is answered %s", op,
                     seen == NULL || seen->state == 0 ? "without having been made" : "twice");
        return NULL;
    }
    seen->state = OP_DONE;
    seen->status = status;
    seen->ended = ++judges->moment;
    return seen;
}

static void check_executed(struct judges *judges, uint64_t op, const struct op_seen *seen,
                           const uint64_t *replies, uint32_t count)
{
    if (count != seen->count) {
        verdict_fail(judges->verdict, "history",
                     "request %" PRIu64 " of %" PRIu32 " commands got %" PRIu32 " replies", op,
                     seen->count, count);
        return;
    }
    uint64_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct command_seen *at = table_find(&judges->commands, seen->first_command + i);
        const struct applied_seen *applied =
            at == NULL || at->index == 0 ? NULL : table_find(&judges->applied, at->index);
        if (applied == NULL) {
            verdict_fail(judges->verdict, "history",
                         "command %" PRIu64 " of request %" PRIu64 " was acknowledged at %" PRIu64
                         "^%" PRIu64 " and applied nowhere",
                         seen->first_command + i, op, seen->first.index, seen->first.term);
            return;
        }
        const bool is_first = i == 0 && at->index != seen->first.index;
        const bool is_last = i + 1 == count && at->index != seen->last.index;
        if (is_first || is_last || at->index <= before) {
            verdict_fail(judges->verdict, "history",
                         "command %" PRIu64 " was acknowledged at %" PRIu64 "..%" PRIu64
                         " and applied at %" PRIu64,
                         seen->first_command + i, seen->first.index, seen->last.index, at->index);
        }
        if (i + 1 == count && applied->command.term != seen->last.term) {
            verdict_fail(judges->verdict, "history",
                         "command %" PRIu64 " was acknowledged in term %" PRIu64
                         " and stands in term %" PRIu64,
                         seen->first_command + i, seen->last.term, applied->command.term);
        }
        if (applied->command.reply != replies[i]) {
            verdict_fail(judges->verdict, "history",
                         "command %" PRIu64 " at %" PRIu64 " got a reply that is not its own",
                         seen->first_command + i, at->index);
        }
        before = at->index;
    }
}

/* NOLINTNEXTLINE(readability-function-size): all that a client is told. */
void judge_write_done(struct judges *judges, uint64_t op, enum mortar_status status,
                      struct mortar_position first, struct mortar_position last,
                      const uint64_t *replies, uint32_t count)
{
    struct op_seen *seen = op_end(judges, op, status);
    if (seen == NULL || status != MORTAR_OK) return;
    seen->first = first;
    seen->last = last;
    if (seen->kind != OP_EXECUTE) return;
    check_executed(judges, op, seen, replies, count);
    if (last.index > judges->acked_index_max) judges->acked_index_max = last.index;
}

void judge_read_done(struct judges *judges, uint64_t op, enum mortar_status status, uint64_t seen,
                     const uint64_t state[2])
{
    const struct op_seen *read = op_end(judges, op, status);
    if (read == NULL || status != MORTAR_OK) return;
    if (seen != 0) {
        const struct applied_seen *applied = table_find(&judges->applied, seen);
        if (applied == NULL || !applied->known || applied->command.state[0] != state[0] ||
            applied->command.state[1] != state[1]) {
            verdict_fail(judges->verdict, "history",
                         "read %" PRIu64 " saw a state that the group never had at %" PRIu64, op,
                         seen);
        }
    }
    if (read->kind != OP_READ_LINEARIZABLE) return;
    if (seen < read->floor) {
        verdict_fail(judges->verdict, "history",
                     "linearizable read %" PRIu64 " at replica %" PRIu32 " saw %" PRIu64
                     ", though %" PRIu64 " was acknowledged before it began",
                     op, read->replica, seen, read->floor);
    }
    if (seen > judges->acked_index_max) judges->acked_index_max = seen;
}

void judge_op_lost(struct judges *judges, uint64_t op)
{
    struct op_seen *seen = table_find(&judges->ops, op);
    if (seen != NULL && seen->state == OP_OPEN) seen->state = OP_GONE;
}

bool status_is_open(enum mortar_status status)
{
    return status == MORTAR_UNKNOWN || status == MORTAR_E_CANCELLED || status == MORTAR_E_CLOSED ||
           status == MORTAR_E_FAILED;
}

static void check_end(struct judges *judges, uint64_t op, const struct op_seen *seen)
{
    for (uint32_t i = 0; i < seen->count; i++) {
        const struct command_seen *at = table_find(&judges->commands, seen->first_command + i);
        if (at == NULL || at->index == 0) continue;
        if (seen->status != MORTAR_OK && !status_is_open(seen->status)) {
            verdict_fail(judges->verdict, "history",
                         "request %" PRIu64 " failed with %s, yet its command %" PRIu64
                         " was applied at %" PRIu64,
                         op, mortar_status_name(seen->status), seen->first_command + i, at->index);
        }
        const bool outside = at->index < seen->first.index || at->index > seen->last.index;
        if (seen->status == MORTAR_OK && outside) {
            verdict_fail(judges->verdict, "history",
                         "request %" PRIu64 " was given %" PRIu64 "..%" PRIu64
                         " and its command %" PRIu64 " applied at %" PRIu64,
                         op, seen->first.index, seen->last.index, seen->first_command + i,
                         at->index);
        }
    }
}

void judge_history_end(struct judges *judges)
{
    for (uint64_t op = 0; op < judges->ops.count; op++) {
        const struct op_seen *seen = table_find(&judges->ops, op);
        const bool writes = seen->kind == OP_EXECUTE || seen->kind == OP_FEED;
        if (seen->state == OP_DONE && writes) check_end(judges, op, seen);
    }
}

uint64_t judge_ops_open(const struct judges *judges)
{
    uint64_t open = 0;
    for (uint64_t op = 0; op < judges->ops.count; op++) {
        const struct op_seen *seen = table_find(&judges->ops, op);
        if (seen->state == OP_OPEN) open++;
    }
    return open;
}
