/* Readers and writers keep within their block and remember the first failure. */
#include "base/cursor.h"
#include "unit/test.h"

static void what_is_put_is_got_little_endian(void **state)
{
    (void)state;
    uint8_t block[64];
    struct writer out = writer_over(block, sizeof block);
    put_u8(&out, 0x01);
    put_u16(&out, 0x0302);
    put_u32(&out, 0x07060504);
    put_u64(&out, 0x0f0e0d0c0b0a0908);
    put_bool(&out, true);
    put_position(&out, (struct mortar_position){.index = 5, .term = 3});
    put_log_sum(&out, (struct mortar_log_sum){.low = 8, .high = 9});
    assert_false(out.failed);
    assert_int_equal(out.bytes, 15 + 1 + 16 + 16);
    for (uint8_t i = 0; i < 15; i++)
        assert_int_equal(block[i], i + 1);

    struct reader in = reader_over((struct mortar_bytes){block, out.bytes});
    assert_int_equal(get_u8(&in), 0x01);
    assert_int_equal(get_u16(&in), 0x0302);
    assert_int_equal(get_u32(&in), 0x07060504);
    assert_int_equal(get_u64(&in), 0x0f0e0d0c0b0a0908);
    assert_true(get_bool(&in));
    const struct mortar_position position = get_position(&in);
    assert_int_equal(position.index, 5);
    assert_int_equal(position.term, 3);
    const struct mortar_log_sum sum = get_log_sum(&in);
    assert_int_equal(sum.low, 8);
    assert_int_equal(sum.high, 9);
    assert_true(reader_done(&in));
}

static void first_failure_of_a_reader_stays(void **state)
{
    (void)state;
    const uint8_t block[5] = {1, 2, 3, 4, 5};
    struct reader in = reader_over((struct mortar_bytes){block, sizeof block});
    assert_int_equal(get_u32(&in), 0x04030201);
    assert_int_equal(get_u16(&in), 0); /* One byte is left: none of it is given. */
    assert_true(in.failed);
    assert_int_equal(get_u8(&in), 0);
    assert_int_equal(get_bytes(&in, 0).bytes, 0);
    assert_false(reader_done(&in));
}

static void bytes_left_over_are_not_done(void **state)
{
    (void)state;
    const uint8_t block[2] = {1, 2};
    struct reader in = reader_over((struct mortar_bytes){block, sizeof block});
    (void)get_u8(&in);
    assert_false(in.failed);
    assert_false(reader_done(&in));
}

static void boolean_is_zero_or_one(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        const uint8_t byte = (uint8_t)value;
        struct reader in = reader_over((struct mortar_bytes){&byte, 1});
        assert_int_equal(get_bool(&in), value == 1);
        assert_int_equal(in.failed, value > 1);
    }
}

static void full_writer_writes_nothing_more(void **state)
{
    (void)state;
    uint8_t block[5] = {9, 9, 9, 9, 9};
    struct writer out = writer_over(block, 4);
    put_u8(&out, 1);
    put_u32(&out, 2);
    assert_true(out.failed);
    put_u8(&out, 3); /* It would fit; but what follows a hole is worth nothing. */
    assert_int_equal(out.bytes, 1);
    assert_int_equal(block[1], 9);
    assert_int_equal(block[4], 9);
}

static void empty_strings_need_no_block(void **state)
{
    (void)state;
    struct reader in = reader_over((struct mortar_bytes){0});
    assert_int_equal(get_bytes(&in, 0).bytes, 0);
    assert_true(reader_done(&in));
    struct writer out = writer_over(NULL, 0);
    put_bytes(&out, (struct mortar_bytes){0});
    assert_false(out.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_got_little_endian),
        cmocka_unit_test(first_failure_of_a_reader_stays),
        cmocka_unit_test(bytes_left_over_are_not_done),
        cmocka_unit_test(boolean_is_zero_or_one),
        cmocka_unit_test(full_writer_writes_nothing_more),
        cmocka_unit_test(empty_strings_need_no_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
