/* sim/test_linear.c - the search for an order that explains a history (sim/check/linear.h): small
 * histories of which the answer is known, and random ones against a naive version that tries every
 * order. */
#include "base/prng.h"
#include "sim/check/linear.h"
#include "unit/test.h"

#define OPS_MAX    7u
#define STATES_MAX 100000u

/* One operation: kind, expected, value, called, answered, happened, got. */
#define READ(called, answered, got)                                                                \
    {                                                                                              \
        {DEED_READ, 0, 0, 0}, called, answered, true, got, false                                   \
    }
#define PUT(value, called, answered, got)                                                          \
    {                                                                                              \
        {DEED_PUT, 0, 0, value}, called, answered, true, got, false                                \
    }
#define ADD(value, called, answered, got)                                                          \
    {                                                                                              \
        {DEED_ADD, 0, 0, value}, called, answered, true, got, false                                \
    }
#define SWAP(expected, value, called, answered, happened, got)                                     \
    {                                                                                              \
        {DEED_SWAP, 0, expected, value}, called, answered, happened, got, false                    \
    }
#define OPEN LINEAR_NEVER

static const struct {
    const char *name;
    enum linear_answer answer;
    uint32_t count;
    struct linear_op ops[OPS_MAX];
} histories[] = {
    {"nothing", LINEAR_YES, 0, {READ(1, 2, 0)}},
    {"a read of nothing", LINEAR_YES, 1, {READ(1, 2, 0)}},
    {"a read out of the air", LINEAR_NO, 1, {READ(1, 2, 5)}},
    {"a read after a write", LINEAR_YES, 2, {PUT(5, 1, 2, 0), READ(3, 4, 5)}},
    {"a stale read", LINEAR_NO, 2, {PUT(5, 1, 2, 0), READ(3, 4, 0)}},
    {"a read beside a write sees it", LINEAR_YES, 2, {PUT(5, 1, 4, 0), READ(2, 3, 5)}},
    {"a read beside a write misses it", LINEAR_YES, 2, {PUT(5, 1, 4, 0), READ(2, 3, 0)}},
    {"what one read saw the next must",
     LINEAR_NO,
     3,
     {PUT(5, 1, 6, 0), READ(2, 3, 5), READ(4, 5, 0)}},
    {"a lost write", LINEAR_NO, 3, {PUT(5, 1, 2, 0), PUT(6, 3, 4, 5), READ(5, 6, 5)}},
    {"two writers swap places", LINEAR_YES, 2, {PUT(5, 1, 4, 6), PUT(6, 2, 3, 0)}},
    {"two writers were both first", LINEAR_NO, 2, {PUT(5, 1, 4, 0), PUT(6, 2, 3, 0)}},
    {"an unknown write happened", LINEAR_YES, 2, {PUT(5, 1, OPEN, 0), READ(2, 3, 5)}},
    {"an unknown write did not happen", LINEAR_YES, 2, {PUT(5, 1, OPEN, 0), READ(2, 3, 0)}},
    {"an unknown write happens late",
     LINEAR_YES,
     3,
     {PUT(5, 1, OPEN, 0), READ(2, 3, 0), READ(4, 5, 5)}},
    {"an unknown write does not unhappen",
     LINEAR_NO,
     3,
     {PUT(5, 1, OPEN, 0), READ(2, 3, 5), READ(4, 5, 0)}},
    {"an unknown write happens once",
     LINEAR_NO,
     4,
     {PUT(5, 1, OPEN, 0), READ(2, 3, 5), PUT(0, 4, 5, 5), READ(6, 7, 5)}},
    {"two unknown writes happen twice",
     LINEAR_YES,
     5,
     {PUT(5, 1, OPEN, 0), PUT(5, 2, OPEN, 0), READ(3, 4, 5), PUT(0, 5, 6, 5), READ(7, 8, 5)}},
    {"an unknown write is not before its call", LINEAR_NO, 2, {READ(1, 2, 5), PUT(5, 3, OPEN, 0)}},
    {"a swap that happened", LINEAR_YES, 2, {PUT(5, 1, 2, 0), SWAP(5, 6, 3, 4, true, 5)}},
    {"a swap that lies about failing", LINEAR_NO, 2, {PUT(5, 1, 2, 0), SWAP(5, 6, 3, 4, false, 5)}},
    {"only one swap can win", LINEAR_NO, 2, {SWAP(0, 1, 1, 3, true, 0), SWAP(0, 2, 2, 4, true, 0)}},
    {"one swap wins, one sees it",
     LINEAR_YES,
     2,
     {SWAP(0, 1, 1, 3, true, 0), SWAP(0, 2, 2, 4, false, 1)}},
    {"an unknown swap between two reads",
     LINEAR_YES,
     3,
     {SWAP(0, 3, 1, OPEN, false, 0), READ(2, 3, 0), READ(4, 5, 3)}},
    {"one request executes in order",
     LINEAR_NO,
     2,
     {PUT(5, 1, 2, 6), {{DEED_PUT, 0, 0, 6}, 1, 2, true, 0, true}}},
    {"additions are counted", LINEAR_YES, 2, {ADD(2, 1, 3, 5), ADD(3, 2, 4, 3)}},
    {"an addition is lost", LINEAR_NO, 2, {ADD(2, 1, 2, 2), ADD(3, 3, 4, 3)}},
    {"an addition counts twice", LINEAR_NO, 2, {ADD(2, 1, 2, 2), READ(3, 4, 4)}},
    {"an unknown addition fills a gap", LINEAR_YES, 2, {ADD(2, 1, OPEN, 0), ADD(3, 3, 4, 5)}},
    {"the wrong one is not enough", LINEAR_NO, 2, {ADD(1, 1, OPEN, 0), ADD(3, 3, 4, 5)}},
    {"nothing added goes before something",
     LINEAR_YES,
     3,
     {ADD(2, 1, 6, 2), ADD(0, 2, 5, 0), READ(3, 4, 2)}},
    {"the first choice of two was wrong",
     LINEAR_YES,
     5,
     {ADD(3, 1, OPEN, 0), ADD(2, 2, OPEN, 0), ADD(1, 3, OPEN, 0), READ(4, 5, 3), READ(6, 7, 6)}},
};

static void known_histories_are_judged_rightly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof histories / sizeof histories[0]; i++) {
        uint32_t states = 0;
        const enum linear_answer answer =
            linear_check(histories[i].ops, histories[i].count, STATES_MAX, &states);
        if (answer != histories[i].answer) print_message("  %s: %d\n", histories[i].name, answer);
        assert_int_equal(answer, histories[i].answer);
    }
}

/* ---- The naive version ---- */

static bool next_order(uint32_t *order, uint32_t count)
{
    uint32_t i = count;
    do {
        if (i < 2) return false;
        i--;
    } while (order[i - 1] >= order[i]);
    uint32_t j = count - 1;
    while (order[j] <= order[i - 1])
        j--;
    uint32_t kept = order[i - 1];
    order[i - 1] = order[j];
    order[j] = kept;
    for (uint32_t low = i, high = count - 1; low < high; low++, high--) {
        kept = order[low];
        order[low] = order[high];
        order[high] = kept;
    }
    return true;
}

static bool takes_effect(const struct linear_op *op, uint64_t *value)
{
    const uint64_t before = *value;
    const bool hits = before == op->deed.expected;
    if (op->deed.kind == DEED_PUT || (op->deed.kind == DEED_SWAP && hits)) *value = op->deed.value;
    if (op->deed.kind == DEED_ADD) *value += op->deed.value;
    if (op->answered == LINEAR_NEVER) return true;
    if (op->deed.kind == DEED_SWAP && op->happened != hits) return false;
    return op->got == (op->deed.kind == DEED_ADD ? *value : before);
}

/* The order of those that `chosen` names: in time, and true to what was answered. */
static bool order_explains(const struct linear_op *ops, const uint32_t *order, uint32_t count,
                           uint32_t chosen)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        if ((chosen >> order[i] & 1) == 0) continue;
        for (uint32_t j = i + 1; j < count; j++) {
            const bool late = ops[order[j]].answered < ops[order[i]].called;
            const bool wrong_way = order[j] + 1 == order[i] && ops[order[i]].in_order;
            if ((chosen >> order[j] & 1) != 0 && (late || wrong_way)) return false;
        }
        if (!takes_effect(&ops[order[i]], &value)) return false;
    }
    return true;
}

static bool naive_explains(const struct linear_op *ops, uint32_t count, uint32_t chosen)
{
    uint32_t order[OPS_MAX];
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    do {
        if (order_explains(ops, order, count, chosen)) return true;
    } while (next_order(order, count));
    return false;
}

static enum linear_answer naive_check(const struct linear_op *ops, uint32_t count)
{
    uint32_t answered = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (ops[i].answered != LINEAR_NEVER) answered |= 1u << i;
    }
    for (uint32_t chosen = 0; chosen < 1u << count; chosen++) {
        if ((chosen & answered) == answered && naive_explains(ops, count, chosen)) {
            return LINEAR_YES;
        }
    }
    return LINEAR_NO;
}

/* ---- Random histories ---- */

/* Half of them are what a register showed indeed, with one answer changed in some. */
static uint32_t draw_history(struct prng *prng, struct linear_op *ops)
{
    const uint32_t count = (uint32_t)prng_between(prng, 1, OPS_MAX - 1);
    const bool adds = prng_chance(prng, 1, 3);
    uint64_t value = 0;
    uint64_t now = 1;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t kind = adds ? prng_below(prng, 2) * DEED_ADD : prng_below(prng, 4);
        ops[i] = (struct linear_op){
            .deed = {(enum deed_kind)kind, 0, prng_below(prng, 3), prng_below(prng, 3)},
            .called = now,
            .answered = now + 1 + 2 * prng_below(prng, 8),
            .happened = prng_chance(prng, 1, 2),
        };
        if (prng_chance(prng, 1, 4)) ops[i].answered = LINEAR_NEVER;
        if (i > 0 && ops[i - 1].answered != LINEAR_NEVER && prng_chance(prng, 1, 3)) {
            ops[i].called = ops[i - 1].called;
            ops[i].answered = ops[i - 1].answered;
            ops[i].in_order = true;
        }
        ops[i].happened = value == ops[i].deed.expected;
        ops[i].got = value;
        const bool hits = ops[i].deed.kind != DEED_SWAP || ops[i].happened;
        const bool happens = ops[i].answered != LINEAR_NEVER || prng_chance(prng, 1, 2);
        if (ops[i].deed.kind == DEED_ADD && happens) value += ops[i].deed.value;
        if (ops[i].deed.kind == DEED_ADD) ops[i].got = value;
        const bool puts = ops[i].deed.kind == DEED_PUT || ops[i].deed.kind == DEED_SWAP;
        if (puts && hits && happens) value = ops[i].deed.value;
        now += 2 * prng_below(prng, 3);
    }
    if (prng_chance(prng, 1, 2)) ops[prng_below(prng, count)].got = prng_below(prng, 4);
    return count;
}

static void search_agrees_with_trying_every_order(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(11);
    uint32_t answers[2] = {0, 0};
    for (uint32_t round = 0; round < 40000; round++) {
        struct linear_op ops[OPS_MAX];
        uint32_t states = 0;
        const uint32_t count = draw_history(&prng, ops);
        const enum linear_answer naive = naive_check(ops, count);
        const enum linear_answer answer = linear_check(ops, count, STATES_MAX, &states);
        if (naive != answer) print_message("  round %u\n", round);
        assert_int_equal(naive, answer);
        answers[naive]++;
    }
    print_message("  %u explained, %u not\n", answers[0], answers[1]);
    assert_in_range(answers[0], 10000, 35000);
}

/* Many unknown additions of different sizes, and a sum that none of them make: it gives up. */
static void search_gives_up_beyond_its_bound(void **state)
{
    (void)state;
    struct linear_op ops[41];
    for (uint32_t i = 0; i < 40; i++)
        ops[i] = (struct linear_op)ADD(2 + 2 * i, i + 1, OPEN, 0);
    ops[40] = (struct linear_op)READ(100, 101, 801);
    uint32_t states = 0;
    assert_int_equal(linear_check(ops, 41, 1000, &states), LINEAR_UNDECIDED);
    assert_in_range(states, 1000, 1002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_histories_are_judged_rightly),
        cmocka_unit_test(search_agrees_with_trying_every_order),
        cmocka_unit_test(search_gives_up_beyond_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
