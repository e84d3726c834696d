/* group/ring: a twin of a plain array, its bounds, and its memory. */
#include "base/prng.h"
#include "group/ring.h"
#include "unit/group/cluster.h"
#include "unit/test.h"

#include <string.h>

#define ITEMS_MAX 64u

static void a_ring_does_what_a_plain_array_does(void **state)
{
    (void)state;
    struct ring ring = ring_init(cluster_allocator(), sizeof(uint64_t), ITEMS_MAX);
    struct prng prng = prng_seeded(1);
    uint64_t twin[ITEMS_MAX];
    uint32_t count = 0;
    for (uint64_t step = 0; step < 20000; step++) {
        const uint64_t what = prng_below(&prng, 10);
        if (what < 5) {
            const bool pushed = ring_push(&ring, &step);
            assert_int_equal(pushed, count < ITEMS_MAX);
            if (pushed) twin[count++] = step;
        } else if (what < 9) {
            uint64_t item = 0;
            assert_int_equal(ring_pop(&ring, &item), count > 0);
            if (count > 0) {
                assert_int_equal(item, twin[0]);
                memmove(twin, twin + 1, --count * sizeof twin[0]);
            }
        } else if (count > 0) {
            const uint32_t i = (uint32_t)prng_below(&prng, count);
            ring_remove(&ring, i);
            memmove(twin + i, twin + i + 1, (--count - i) * sizeof twin[0]);
        }
        assert_int_equal(ring.count, count);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(*(const uint64_t *)ring_at(&ring, i), twin[i]);
    }
    ring_deinit(&ring);
    cluster_assert_nothing_held();
}

static void a_reserved_place_needs_no_memory(void **state)
{
    (void)state;
    struct ring ring = ring_init(cluster_allocator(), sizeof(uint64_t), 1000);
    assert_true(ring_reserve(&ring, 100));
    cluster_fail_allocations(1, UINT32_MAX);
    for (uint64_t i = 0; i < 100; i++)
        assert_true(ring_push(&ring, &i));
    while (ring.count < ring.capacity)
        assert_true(ring_push(&ring, &(uint64_t){0}));
    assert_false(ring_push(&ring, &(uint64_t){0}));
    cluster_fail_allocation(0);
    assert_int_equal(*(const uint64_t *)ring_at(&ring, 99),
                     99); /* The refusal left all as it was. */
    assert_true(ring_push(&ring, &(uint64_t){7}));
    ring_deinit(&ring);
    cluster_assert_nothing_held();
}

static void no_more_is_reserved_than_the_bound(void **state)
{
    (void)state;
    struct ring ring = ring_init(cluster_allocator(), sizeof(uint64_t), 20);
    assert_false(ring_reserve(&ring, 21));
    assert_true(ring_reserve(&ring, 20));
    assert_true(ring_push(&ring, &(uint64_t){1}));
    assert_false(ring_reserve(&ring, 20));
    ring_deinit(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_does_what_a_plain_array_does),
        cmocka_unit_test(a_reserved_place_needs_no_memory),
        cmocka_unit_test(no_more_is_reserved_than_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
