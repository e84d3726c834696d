/* sim/check/deeds.c - gathers what the clients did, key by key, and has each key judged. Local
 * reads promise nothing, and are left out; so is what was refused for certain. */
#include "sim/check/seen.h"

#include <inttypes.h>
#include <stdlib.h>

#define DEEDS_STATES_MAX 1000000u
#define DEEDS_KEYS_MAX   256u

void judge_deed(struct judges *judges, uint64_t op, const struct deed *deed)
{
    struct op_seen *seen = table_at(&judges->ops, op);
    const uint64_t number = judges->deeds.count;
    *(struct deed_seen *)table_at(&judges->deeds, number) = (struct deed_seen){*deed, .op = op};
    if (deed->key >= DEEDS_KEYS_MAX) abort();
    if (seen->deed_count++ == 0) seen->first_deed = number;
}

void judge_deed_got(struct judges *judges, uint64_t op, uint32_t number, bool happened,
                    uint64_t got)
{
    const struct op_seen *seen = table_find(&judges->ops, op);
    if (seen == NULL || number >= seen->deed_count) return; /* The judge of history speaks up. */
    struct deed_seen *deed = table_at(&judges->deeds, seen->first_deed + number);
    deed->told = true;
    deed->happened = happened;
    deed->got = got;
}

/* What the search is told of a deed. False: nothing, as it never was, or may see anything. */
static bool deed_counts(const struct judges *judges, const struct deed_seen *deed,
                        struct linear_op *out_op)
{
    const struct op_seen *seen = table_find(&judges->ops, deed->op);
    if (seen->kind == OP_READ_LOCAL) return false;
    const bool done = seen->state == OP_DONE;
    if (done && seen->status != MORTAR_OK && !status_is_open(seen->status)) return false;
    const bool answered = done && seen->status == MORTAR_OK && deed->told;
    *out_op = (struct linear_op){
        .deed = deed->deed,
        .called = seen->invoked,
        .answered = answered ? seen->ended : LINEAR_NEVER,
        .happened = deed->happened,
        .got = deed->got,
    };
    return true;
}

static void judge_key(struct judges *judges, uint32_t key, const struct linear_op *ops,
                      uint32_t count)
{
    uint32_t states = 0;
    const enum linear_answer answer = linear_check(ops, count, DEEDS_STATES_MAX, &states);
    if (states > judges->states_max) judges->states_max = states;
    if (answer == LINEAR_UNDECIDED) judges->undecided++;
    if (answer != LINEAR_NO) return;
    verdict_fail(judges->verdict, "linear",
                 "no order of the %" PRIu32 " requests about key %" PRIu32
                 " explains what clients were told",
                 count, key);
}

void judge_linear_end(struct judges *judges)
{
    const uint64_t total = judges->deeds.count;
    uint64_t first[DEEDS_KEYS_MAX + 1] = {0};
    struct linear_op op;
    if (total == 0) return;
    for (uint64_t i = 0; i < total; i++) {
        const struct deed_seen *deed = table_find(&judges->deeds, i);
        first[deed->deed.key + 1]++;
    }
    for (uint32_t key = 0; key < DEEDS_KEYS_MAX; key++)
        first[key + 1] += first[key];
    struct linear_op *ops = calloc(total, sizeof *ops);
    uint32_t counts[DEEDS_KEYS_MAX] = {0};
    if (ops == NULL) abort();
    for (uint64_t i = 0; i < total; i++) {
        const struct deed_seen *deed = table_find(&judges->deeds, i);
        const uint32_t key = deed->deed.key;
        if (!deed_counts(judges, deed, &op)) continue;
        /* One request executes its commands one after the other. */
        const struct linear_op *before = ops + first[key] + counts[key] - 1;
        op.in_order = counts[key] > 0 && op.answered != LINEAR_NEVER && before->called == op.called;
        ops[first[key] + counts[key]++] = op;
    }
    for (uint32_t key = 0; key < DEEDS_KEYS_MAX; key++) {
        if (counts[key] > 0) judge_key(judges, key, ops + first[key], counts[key]);
    }
    free(ops);
}
