/* A bytes_builder holds what was appended, within its limit, and survives a lack of memory. */
#include "base/array.h"
#include "unit/base/memory.h"
#include "unit/test.h"

#include <string.h>

static struct mortar_bytes text(const char *words)
{
    return (struct mortar_bytes){(const uint8_t *)words, strlen(words)};
}

static void appended_bytes_stand_in_order(void **state)
{
    (void)state;
    struct counted_memory memory = {.allowed = 100};
    const struct mortar_allocator allocator = counted_allocator(&memory);
    struct bytes_builder builder = bytes_builder_init(&allocator, 1u << 20);
    for (uint32_t i = 0; i < 5000; i++) {
        const uint8_t byte = (uint8_t)(i * 7);
        assert_int_equal(bytes_builder_append(&builder, (struct mortar_bytes){&byte, 1}),
                         MORTAR_OK);
    }
    const struct mortar_bytes view = bytes_builder_view(&builder);
    assert_int_equal(view.bytes, 5000);
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(view.data[i], (uint8_t)(i * 7));
    assert_true(memory.allowed > 90); /* It doubles, so few reservations do. */
    bytes_builder_deinit(&builder);
    assert_int_equal(memory.bytes_out, 0);
}

static void limit_is_reached_exactly(void **state)
{
    (void)state;
    struct counted_memory memory = {.allowed = 100};
    const struct mortar_allocator allocator = counted_allocator(&memory);
    struct bytes_builder builder = bytes_builder_init(&allocator, 10);
    assert_int_equal(bytes_builder_append(&builder, text("0123456")), MORTAR_OK);
    assert_int_equal(bytes_builder_append(&builder, text("789x")), MORTAR_E_TOO_LARGE);
    assert_int_equal(builder.bytes, 7);
    assert_int_equal(bytes_builder_append(&builder, text("789")), MORTAR_OK);
    assert_memory_equal(builder.data, "0123456789", 10);
    assert_true(builder.capacity <= 10);
    bytes_builder_deinit(&builder);
}

static void lack_of_memory_leaves_the_bytes(void **state)
{
    (void)state;
    struct counted_memory memory = {.allowed = 1};
    const struct mortar_allocator allocator = counted_allocator(&memory);
    struct bytes_builder builder = bytes_builder_init(&allocator, 1u << 20);
    uint8_t block[4096] = {0};
    assert_int_equal(bytes_builder_append(&builder, text("kept")), MORTAR_OK);
    assert_int_equal(bytes_builder_append(&builder, (struct mortar_bytes){block, sizeof block}),
                     MORTAR_E_NO_MEMORY);
    assert_int_equal(builder.bytes, 4);
    assert_memory_equal(builder.data, "kept", 4);
    bytes_builder_deinit(&builder);
    assert_int_equal(memory.bytes_out, 0);
}

static void clear_keeps_the_memory(void **state)
{
    (void)state;
    struct counted_memory memory = {.allowed = 1};
    const struct mortar_allocator allocator = counted_allocator(&memory);
    struct bytes_builder builder = bytes_builder_init(&allocator, 1u << 20);
    assert_int_equal(bytes_builder_append(&builder, text("first")), MORTAR_OK);
    bytes_builder_clear(&builder);
    assert_int_equal(bytes_builder_append(&builder, text("again")), MORTAR_OK);
    assert_int_equal(builder.bytes, 5);
    assert_memory_equal(builder.data, "again", 5);
    bytes_builder_deinit(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_bytes_stand_in_order),
        cmocka_unit_test(limit_is_reached_exactly),
        cmocka_unit_test(lack_of_memory_leaves_the_bytes),
        cmocka_unit_test(clear_keeps_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
