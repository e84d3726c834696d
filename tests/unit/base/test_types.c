/* Member ids compare as bytes; a buffer lives as long as its last holder. */
#include "mortar/types.h"
#include "unit/base/memory.h"
#include "unit/test.h"

#include <string.h>

static void member_ids_order_by_peer_then_store(void **state)
{
    (void)state;
    struct mortar_member_id ids[4] = {0};
    ids[1].store[15] = 1;
    ids[2].store[0] = 0x80; /* Bytes are unsigned. */
    ids[3].peer.bytes[31] = 1;
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            const int expected = i < j ? -1 : i > j ? 1 : 0;
            assert_int_equal(mortar_member_id_compare(&ids[i], &ids[j]), expected);
            assert_int_equal(mortar_member_id_equal(&ids[i], &ids[j]), i == j);
        }
        assert_int_equal(mortar_member_id_is_none(&ids[i]), i == 0);
    }
}

static void member_id_text_is_its_first_eight_bytes(void **state)
{
    (void)state;
    struct mortar_member_id id = {0};
    for (uint8_t i = 0; i < 32; i++)
        id.peer.bytes[i] = (uint8_t)(i * 0x1f);
    char text[MORTAR_ID_TEXT_BYTES + 1];
    memset(text, 'x', sizeof text);
    mortar_member_id_text(&id, text);
    assert_string_equal(text, "001f3e5d7c9bbad9");
    assert_int_equal(text[MORTAR_ID_TEXT_BYTES], 'x');
}

static void positions_compare_by_term_first(void **state)
{
    (void)state;
    const struct mortar_position order[] = {{0, 0}, {1, 1}, {9, 1}, {2, 2}, {3, 2}};
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++) {
            const int expected = i < j ? -1 : i > j ? 1 : 0;
            assert_int_equal(mortar_position_compare(order[i], order[j]), expected);
        }
    }
}

static void buffer_goes_with_its_last_holder(void **state)
{
    (void)state;
    struct counted_memory memory = {.allowed = 1};
    struct mortar_allocator allocator = counted_allocator(&memory);
    struct mortar_buffer *const buffer = mortar_buffer_new(&allocator, 100);
    memset(&allocator, 0, sizeof allocator); /* The buffer keeps its own copy. */
    assert_non_null(buffer);
    assert_int_equal(mortar_buffer_capacity(buffer), 100);
    assert_int_equal(mortar_buffer_bytes(buffer), 0);
    assert_int_equal((uintptr_t)mortar_buffer_data(buffer) % 16, 0);
    memset(mortar_buffer_data(buffer), 7, 100);
    mortar_buffer_set_bytes(buffer, 60);
    assert_ptr_equal(mortar_buffer_share(buffer), buffer);
    mortar_buffer_release(buffer);
    assert_true(memory.bytes_out >= 100);
    assert_int_equal(mortar_buffer_bytes(buffer), 60);
    assert_int_equal(mortar_buffer_data(buffer)[99], 7);
    mortar_buffer_release(buffer);
    assert_int_equal(memory.bytes_out, 0);
    mortar_buffer_release(NULL);
}

static void buffer_is_null_when_memory_is_short(void **state)
{
    (void)state;
    struct counted_memory memory = {.allowed = 0};
    const struct mortar_allocator allocator = counted_allocator(&memory);
    assert_null(mortar_buffer_new(&allocator, 1));
    memory.allowed = 1;
    assert_null(mortar_buffer_new(&allocator, SIZE_MAX)); /* The sum would wrap. */
    assert_int_equal(memory.allowed, 1);
}

static void used_size_beyond_the_capacity_is_a_bug(void **state)
{
    (void)state;
    struct counted_memory memory = {.allowed = 1};
    const struct mortar_allocator allocator = counted_allocator(&memory);
    struct mortar_buffer *const buffer = mortar_buffer_new(&allocator, 10);
    mortar_buffer_set_bytes(buffer, 10);
    expect_assert_failure(mortar_buffer_set_bytes(buffer, 11));
    mortar_buffer_release(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(member_ids_order_by_peer_then_store),
        cmocka_unit_test(member_id_text_is_its_first_eight_bytes),
        cmocka_unit_test(positions_compare_by_term_first),
        cmocka_unit_test(buffer_goes_with_its_last_holder),
        cmocka_unit_test(buffer_is_null_when_memory_is_short),
        cmocka_unit_test(used_size_beyond_the_capacity_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
