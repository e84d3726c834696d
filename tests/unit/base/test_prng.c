/* Same seed, same numbers, on every machine; and the numbers keep their bounds. */
#include "base/prng.h"
#include "unit/test.h"

/* The outputs of the authors' own programs: splitmix64 from 0 fills the state. */
static void numbers_are_those_of_the_paper(void **state)
{
    (void)state;
    static const uint64_t expected[] = {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0,
                                        0x6aa594f1262d2d2c};
    struct prng prng = prng_seeded(0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(prng_next(&prng), expected[i]);
}

static void bounded_numbers_have_their_golden_values(void **state)
{
    (void)state;
    static const uint64_t expected[] = {742, 102, 9, 193, 476, 584, 754, 407};
    struct prng prng = prng_seeded(42);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(prng_below(&prng, 1000), expected[i]);
}

static void every_number_below_a_bound_comes_and_none_else(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(1);
    for (uint64_t bound = 1; bound <= 17; bound++) {
        uint32_t seen[17] = {0};
        for (int i = 0; i < 17 * 200; i++) {
            const uint64_t number = prng_below(&prng, bound);
            assert_true(number < bound);
            seen[number]++;
        }
        for (uint64_t number = 0; number < bound; number++)
            assert_true(seen[number] > 100);
    }
    for (int i = 0; i < 100; i++)
        assert_true(prng_below(&prng, (1ull << 63) + 1) <= 1ull << 63);
}

/* The plain remainder would give the lowest third half of all numbers. */
static void large_bound_is_not_biased(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(6);
    const uint64_t third = 1ull << 62;
    int lowest = 0;
    for (int i = 0; i < 9000; i++) {
        if (prng_below(&prng, 3 * third) < third) lowest++;
    }
    assert_in_range(lowest, 2800, 3200);
}

static void range_holds_both_its_ends(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(2);
    bool min_seen = false;
    bool max_seen = false;
    for (int i = 0; i < 200; i++) {
        const uint64_t number = prng_between(&prng, UINT64_MAX - 2, UINT64_MAX);
        assert_true(number >= UINT64_MAX - 2);
        if (number == UINT64_MAX - 2) min_seen = true;
        if (number == UINT64_MAX) max_seen = true;
    }
    assert_true(min_seen && max_seen);
    assert_int_equal(prng_between(&prng, 7, 7), 7);
    const uint64_t first = prng_between(&prng, 0, UINT64_MAX);
    assert_int_not_equal(first, prng_between(&prng, 0, UINT64_MAX));
}

static void chance_is_near_its_odds(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(3);
    int hits = 0;
    for (int i = 0; i < 10000; i++) {
        if (prng_chance(&prng, 1, 4)) hits++;
        assert_false(prng_chance(&prng, 0, 5));
        assert_true(prng_chance(&prng, 5, 5));
    }
    assert_in_range(hits, 2300, 2700);
}

static void fork_does_not_share_numbers(void **state)
{
    (void)state;
    struct prng parent = prng_seeded(4);
    struct prng child = prng_fork(&parent);
    struct prng twin = prng_seeded(4);
    (void)prng_next(&twin); /* The fork took one number of the parent, and no more. */
    for (int i = 0; i < 100; i++) {
        const uint64_t number = prng_next(&parent);
        assert_int_equal(number, prng_next(&twin));
        assert_int_not_equal(number, prng_next(&child));
    }
}

static void impossible_bounds_are_bugs(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(5);
    expect_assert_failure((void)prng_below(&prng, 0));
    expect_assert_failure((void)prng_between(&prng, 2, 1));
    expect_assert_failure((void)prng_chance(&prng, 3, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_paper),
        cmocka_unit_test(bounded_numbers_have_their_golden_values),
        cmocka_unit_test(every_number_below_a_bound_comes_and_none_else),
        cmocka_unit_test(large_bound_is_not_biased),
        cmocka_unit_test(range_holds_both_its_ends),
        cmocka_unit_test(chance_is_near_its_odds),
        cmocka_unit_test(fork_does_not_share_numbers),
        cmocka_unit_test(impossible_bounds_are_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
