/* unit/os/test_memory.c - the default allocator, and the small services beside it: clocks, random
 * bytes, details. They have too little in them for files of their own. */
#include "os/clock.h"
#include "os/detail.h"
#include "os/memory.h"
#include "os/random.h"
#include "unit/test.h"

#include <errno.h>
#include <string.h>

static void the_default_allocator_reserves_grows_and_releases(void **state)
{
    (void)state;
    const struct mortar_allocator *allocator = memory_or_default(NULL);
    assert_ptr_equal(allocator, &memory_default);
    assert_ptr_equal(memory_or_default(allocator), allocator);
    uint8_t *block = memory_reserve_zero(allocator, 100);
    assert_non_null(block);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(block[i], 0);
    memset(block, 7, 100);
    block = allocator->resize(allocator->context, block, 100, 10000);
    assert_non_null(block);
    assert_int_equal(block[99], 7);
    memory_release(allocator, block, 10000);
    memory_release(allocator, NULL, 10);
}

static void monotonic_time_never_falls_and_its_units_agree(void **state)
{
    (void)state;
    uint64_t last = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        const uint64_t ns = clock_monotonic_ns();
        const uint64_t us = clock_monotonic_us();
        const uint64_t ms = clock_monotonic_ms();
        assert_true(ns >= last);
        assert_true(us >= ns / 1000);
        assert_true(ms >= us / 1000);
        last = ns;
    }
    assert_true(clock_wall_ms() > UINT64_C(1600000000000)); /* 2020. */
}

static void random_bytes_fill_exactly_their_space(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16, 255, 256, 257, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t a[1002] = {0};
        uint8_t b[1002] = {0};
        assert_int_equal(random_fill(a + 1, sizes[i]), MORTAR_OK);
        assert_int_equal(random_fill(b + 1, sizes[i]), MORTAR_OK);
        assert_int_equal(a[0], 0);
        assert_int_equal(a[sizes[i] + 1], 0);
        if (sizes[i] >= 16) assert_memory_not_equal(a, b, sizeof a);
    }
}

static void a_detail_is_cut_never_overrun(void **state)
{
    (void)state;
    char guarded[DETAIL_BYTES + 1];
    memset(guarded, 'x', sizeof guarded);
    struct detail *detail = (struct detail *)guarded;
    char lengthy[2 * DETAIL_BYTES];
    memset(lengthy, 'y', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    detail_set(detail, "%s", lengthy);
    assert_int_equal(strlen(detail->text), DETAIL_BYTES - 1);
    detail_set_errno(detail, ENOENT, "%s", lengthy);
    assert_int_equal(strlen(detail->text), DETAIL_BYTES - 1);
    assert_int_equal(guarded[DETAIL_BYTES], 'x');
    detail_set_errno(detail, ENOENT, "a file");
    assert_string_equal(detail->text, "a file: No such file or directory");
    detail_set(NULL, "nobody listens");
    detail_set_errno(NULL, ENOENT, "nobody listens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_allocator_reserves_grows_and_releases),
        cmocka_unit_test(monotonic_time_never_falls_and_its_units_agree),
        cmocka_unit_test(random_bytes_fill_exactly_their_space),
        cmocka_unit_test(a_detail_is_cut_never_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
