/* Hashes are the same on every machine, for ever: they stand in logs and on the wire. */
#include "base/hash.h"
#include "unit/test.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static struct mortar_bytes text(const char *words)
{
    return (struct mortar_bytes){(const uint8_t *)words, strlen(words)};
}

/* The two values for the empty string stand in the specification of XXH3. */
static void checksums_have_their_golden_values(void **state)
{
    (void)state;
    assert_int_equal(checksum_64((struct mortar_bytes){0}, 0), 0x2d06800538d394c2);
    assert_int_equal(checksum_64(text("mortar"), 7), 0x6ec89e29d414e84c);
    const struct mortar_log_sum empty = content_sum((struct mortar_bytes){0});
    assert_int_equal(empty.high, 0x99aa06d3014798d8);
    assert_int_equal(empty.low, 0x6001c324468d497f);
    const struct mortar_log_sum mortar = content_sum(text("mortar"));
    assert_int_equal(mortar.high, 0x9fa979c06513a4e2);
    assert_int_equal(mortar.low, 0x5f8aa43ee274df45);
}

static void log_sums_have_their_golden_values(void **state)
{
    (void)state;
    struct mortar_entry entry = {
        .index = 1, .term = 2, .time_ms = 3, .kind = MORTAR_ENTRY_COMMAND, .bytes = text("mortar")};
    const struct mortar_log_sum first = log_sum_next((struct mortar_log_sum){0}, &entry);
    assert_int_equal(first.low, 0xa823582e52c9269c);
    assert_int_equal(first.high, 0xd839f4d178121e0f);
    entry.index = 2;
    entry.kind = MORTAR_ENTRY_NOOP;
    entry.bytes = (struct mortar_bytes){0};
    const struct mortar_log_sum second = log_sum_next(first, &entry);
    assert_int_equal(second.low, 0xda00444b1689323f);
    assert_int_equal(second.high, 0x488f5ce57fa0d012);
}

/* Lays the block out byte by byte, from the table of design 5.2. */
static void log_sum_is_the_hash_of_its_fields_in_order(void **state)
{
    (void)state;
    const struct mortar_entry entry = {.index = 0x0102030405060708,
                                       .term = 0x1112131415161718,
                                       .time_ms = 0x2122232425262728,
                                       .kind = MORTAR_ENTRY_MARKER,
                                       .bytes = text("content")};
    const struct mortar_log_sum before = {.low = 0x3132333435363738, .high = 0x4142434445464748};
    const XXH128_hash_t content = XXH3_128bits("content", 7);
    const uint64_t fields[] = {before.low,    before.high,   entry.index,   entry.term,
                               entry.time_ms, content.low64, content.high64};
    uint8_t block[57];
    size_t at = 0;
    for (size_t i = 0; i < 7; i++) {
        if (i == 4) block[at++] = 4;
        for (unsigned shift = 0; shift < 64; shift += 8)
            block[at++] = (uint8_t)(fields[i] >> shift);
    }
    assert_int_equal(at, sizeof block);
    const XXH128_hash_t expected = XXH3_128bits(block, sizeof block);
    const struct mortar_log_sum sum = log_sum_next(before, &entry);
    assert_int_equal(sum.low, expected.low64);
    assert_int_equal(sum.high, expected.high64);
}

static void every_field_changes_the_log_sum(void **state)
{
    (void)state;
    const struct mortar_entry entry = {
        .index = 5, .term = 2, .time_ms = 9, .kind = MORTAR_ENTRY_COMMAND, .bytes = text("a")};
    const struct mortar_log_sum before = {.low = 1, .high = 2};
    const struct mortar_log_sum sum = log_sum_next(before, &entry);
    struct mortar_entry other[5] = {entry, entry, entry, entry, entry};
    other[0].index++;
    other[1].term++;
    other[2].time_ms++;
    other[3].kind = MORTAR_ENTRY_MARKER;
    other[4].bytes = text("b");
    for (size_t i = 0; i < 5; i++) {
        assert_false(mortar_log_sum_equal(sum, log_sum_next(before, &other[i])));
    }
    const struct mortar_log_sum low = {.low = 3, .high = 2};
    const struct mortar_log_sum high = {.low = 1, .high = 3};
    assert_false(mortar_log_sum_equal(sum, log_sum_next(low, &entry)));
    assert_false(mortar_log_sum_equal(sum, log_sum_next(high, &entry)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_have_their_golden_values),
        cmocka_unit_test(log_sums_have_their_golden_values),
        cmocka_unit_test(log_sum_is_the_hash_of_its_fields_in_order),
        cmocka_unit_test(every_field_changes_the_log_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
