/* Records and runs: what is not exactly the group's log is refused. */
#include "unit/test.h"
#include "unit/wire/samples.h"
#include "wire/record.h"

#define RUN_BYTES_MAX 1024u
#define COUNT         6u

static const struct mortar_anchor_point before = {{.index = 99, .term = 4}, {.low = 3, .high = 8}};

struct run {
    uint8_t block[RUN_BYTES_MAX];
    size_t bytes;
    struct mortar_anchor_point last;
};

static struct run make_run(void)
{
    struct run run;
    struct writer out = writer_over(run.block, sizeof run.block);
    run.last = sample_run(&out, before, 4, COUNT);
    assert_false(out.failed);
    run.bytes = out.bytes;
    return run;
}

static enum mortar_status verify(const struct run *run, struct record_run *out_run)
{
    return record_run_verify((struct mortar_bytes){run->block, run->bytes}, before, 0, COUNT, NULL,
                             out_run);
}

static void record_is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct mortar_entry entry = {.index = 5,
                                       .term = 2,
                                       .time_ms = 77,
                                       .kind = MORTAR_ENTRY_FOUND,
                                       .bytes = {(const uint8_t *)"birth", 5},
                                       .sum = {.low = 11, .high = 12}};
    uint8_t block[128];
    struct writer out = writer_over(block, sizeof block);
    record_encode(&entry, &out);
    assert_int_equal(out.bytes, record_bytes(5));
    struct reader in = reader_over((struct mortar_bytes){block, out.bytes});
    struct mortar_entry read;
    assert_int_equal(record_decode(&in, &read), MORTAR_OK);
    assert_true(reader_done(&in));
    assert_int_equal(read.index, 5);
    assert_int_equal(read.term, 2);
    assert_int_equal(read.time_ms, 77);
    assert_int_equal(read.kind, MORTAR_ENTRY_FOUND);
    assert_int_equal(read.bytes.bytes, 5);
    assert_ptr_equal(read.bytes.data, block + RECORD_HEADER_BYTES);
    assert_true(mortar_log_sum_equal(read.sum, entry.sum));
}

static void short_record_fails_the_reader_and_leaves_the_entry(void **state)
{
    (void)state;
    const struct run run = make_run();
    for (size_t bytes = 0; bytes < record_bytes(0); bytes++) {
        struct reader in = reader_over((struct mortar_bytes){run.block, bytes});
        struct mortar_entry entry = {.index = 12345};
        assert_int_equal(record_decode(&in, &entry), MORTAR_E_CORRUPT);
        assert_true(in.failed);
        assert_int_equal(entry.index, 12345);
    }
}

static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {
        {16, 0}, /* Index 0. */
        {24, 0}, /* Term 0. */
        {40, 1}, /* A payload that is not there. */
        {43, 1}, /* One beyond the limit: 16 MiB and more. */
        {44, 0}, {44, 9}, {45, 1}, {46, 1}, {47, 1},
    };
    uint8_t good[RECORD_HEADER_BYTES] = {[16] = 1, [24] = 1, [44] = 1};
    struct mortar_entry entry;
    struct reader in = reader_over((struct mortar_bytes){good, sizeof good});
    assert_int_equal(record_decode(&in, &entry), MORTAR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bad[RECORD_HEADER_BYTES];
        memcpy(bad, good, sizeof bad);
        bad[cases[i].at] = cases[i].value;
        in = reader_over((struct mortar_bytes){bad, sizeof bad});
        assert_int_equal(record_decode(&in, &entry), MORTAR_E_CORRUPT);
    }
}

static void unsound_entry_is_a_bug_of_the_encoder(void **state)
{
    (void)state;
    uint8_t block[128];
    struct writer out = writer_over(block, sizeof block);
    const struct mortar_entry good = {.index = 1, .term = 1, .kind = MORTAR_ENTRY_NOOP};
    struct mortar_entry bad = good;
    bad.index = 0;
    expect_assert_failure(record_encode(&bad, &out));
    bad = good;
    bad.term = 0;
    expect_assert_failure(record_encode(&bad, &out));
    bad = good;
    bad.bytes.bytes = MORTAR_COMMAND_BYTES_LIMIT + 1;
    expect_assert_failure(record_encode(&bad, &out));
}

static void good_run_gives_its_end_and_offsets(void **state)
{
    (void)state;
    const struct run run = make_run();
    uint32_t offsets[COUNT];
    struct record_run result;
    assert_int_equal(record_run_verify((struct mortar_bytes){run.block, run.bytes}, before, 1990,
                                       COUNT, offsets, &result),
                     MORTAR_OK);
    assert_int_equal(result.count, COUNT);
    assert_true(mortar_position_equal(result.last.position, run.last.position));
    assert_true(mortar_log_sum_equal(result.last.sum, run.last.sum));
    assert_int_equal(result.last_time_ms, 1990 + 10 * (COUNT - 1));
    uint32_t offset = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(offsets[i], offset);
        offset += (uint32_t)record_bytes((size_t)i * 3);
    }
    assert_int_equal(offset, run.bytes);
}

static void empty_run_ends_where_it_began(void **state)
{
    (void)state;
    struct record_run result;
    assert_int_equal(record_run_verify((struct mortar_bytes){0}, before, 55, 0, NULL, &result),
                     MORTAR_OK);
    assert_int_equal(result.count, 0);
    assert_int_equal(result.last_time_ms, 55);
    assert_true(mortar_position_equal(result.last.position, before.position));
    assert_true(mortar_log_sum_equal(result.last.sum, before.sum));
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    struct run run = make_run();
    struct record_run result = {.count = 777};
    uint32_t unverified = 0;
    for (size_t bit = 0; bit < run.bytes * 8; bit++) {
        run.block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const enum mortar_status status = verify(&run, &result);
        assert_true(status == MORTAR_E_CORRUPT || status == MORTAR_E_UNVERIFIED);
        if (status == MORTAR_E_UNVERIFIED) unverified++;
        assert_int_equal(result.count, 777);
        run.block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(unverified >= COUNT * 128); /* At least the bits of the sums themselves. */
    assert_int_equal(verify(&run, &result), MORTAR_OK);
}

static void every_prefix_is_shorter_or_refused(void **state)
{
    (void)state;
    struct run run = make_run();
    const size_t whole = run.bytes;
    uint32_t accepted = 0;
    for (run.bytes = 0; run.bytes < whole; run.bytes++) {
        struct record_run result = {0};
        if (verify(&run, &result) != MORTAR_OK) continue;
        assert_true(result.count == accepted);
        accepted++;
    }
    assert_int_equal(accepted, COUNT); /* The boundaries: 0..COUNT-1 records. */
}

static void run_must_follow_what_is_before_it(void **state)
{
    (void)state;
    const struct run run = make_run();
    const struct mortar_bytes bytes = {run.block, run.bytes};
    struct record_run result;
    struct mortar_anchor_point other = before;
    other.position.index++;
    assert_int_equal(record_run_verify(bytes, other, 0, COUNT, NULL, &result), MORTAR_E_CORRUPT);
    other = before;
    other.position.term++;
    assert_int_equal(record_run_verify(bytes, other, 0, COUNT, NULL, &result), MORTAR_E_CORRUPT);
    other = before;
    other.sum.high++;
    assert_int_equal(record_run_verify(bytes, other, 0, COUNT, NULL, &result), MORTAR_E_UNVERIFIED);
    assert_int_equal(record_run_verify(bytes, before, 1991, COUNT, NULL, &result),
                     MORTAR_E_CORRUPT); /* Time would fall. */
    assert_int_equal(record_run_verify(bytes, before, 0, COUNT - 1, NULL, &result),
                     MORTAR_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_is_read_as_it_was_written),
        cmocka_unit_test(short_record_fails_the_reader_and_leaves_the_entry),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(unsound_entry_is_a_bug_of_the_encoder),
        cmocka_unit_test(good_run_gives_its_end_and_offsets),
        cmocka_unit_test(empty_run_ends_where_it_began),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_prefix_is_shorter_or_refused),
        cmocka_unit_test(run_must_follow_what_is_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
