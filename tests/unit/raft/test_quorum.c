/* Majorities, against a naive count: a value is reached when more than half reach it. */
#include "raft/internal.h"
#include "unit/raft/raft_play.h"

static uint64_t naive_quorum(const uint64_t *values, uint32_t count)
{
    uint64_t best = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t reached = 0;
        for (uint32_t j = 0; j < count; j++) {
            if (values[j] >= values[i]) reached++;
        }
        if (reached > count / 2 && values[i] > best) best = values[i];
    }
    return best;
}

static void quorum_equals_the_naive_count(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(4);
    for (uint32_t round = 0; round < 20000; round++) {
        uint64_t values[MORTAR_MEMBERS_MAX];
        const uint32_t count = 1 + (uint32_t)prng_below(&prng, MORTAR_MEMBERS_MAX);
        const uint64_t range = 1 + prng_below(&prng, 10);
        for (uint32_t i = 0; i < count; i++) {
            values[i] = prng_below(&prng, range);
        }
        const uint64_t naive = naive_quorum(values, count);
        assert_int_equal(raft_quorum_value(values, count), naive);
    }
}

static void quorum_of_nobody_is_not_asked_for(void **state)
{
    (void)state;
    uint64_t none[1] = {0};
    expect_assert_failure(raft_quorum_value(none, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quorum_equals_the_naive_count),
        cmocka_unit_test(quorum_of_nobody_is_not_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
