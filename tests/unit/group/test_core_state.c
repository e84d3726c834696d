/* The core state as bytes: foreign when a session installs it. */
#include "group/internal.h"
#include "unit/group/core_bytes.h"
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

static struct core_state sample(void)
{
    struct core_state state = {.applied = {{70, 3}, {1, 2}},
                               .time_ms = 123456,
                               .config_index = 60,
                               .birth_known = true,
                               .birth = {{9, 8, 7}}};
    state.fingerprint_key[3] = 5;
    state.config.count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        state.config.members[i].id.peer.bytes[0] = (uint8_t)(i + 1);
        state.config.members[i].id.store[0] = 1;
        state.config.members[i].voter_new = true;
        memcpy(state.config.members[i].address, "a:1", 4);
    }
    return state;
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
    (void)state;
    const struct core_state in = sample();
    struct core_state out;
    static uint8_t bytes[CORE_BYTES_MAX];
    const size_t size = core_bytes(&in, bytes, sizeof bytes);
    assert_int_equal(core_bytes_read((struct mortar_bytes){bytes, size}, &out), MORTAR_OK);
    assert_true(mortar_position_equal(out.applied.position, in.applied.position));
    assert_true(mortar_log_sum_equal(out.applied.sum, in.applied.sum));
    assert_int_equal(out.time_ms, in.time_ms);
    assert_int_equal(out.config_index, in.config_index);
    assert_true(config_equal(&out.config, &in.config));
    assert_memory_equal(&out.birth, &in.birth, sizeof in.birth);
    assert_memory_equal(out.fingerprint_key, in.fingerprint_key, sizeof in.fingerprint_key);
    assert_true(out.birth_known);
}

static void every_prefix_is_refused_and_leaves_the_output(void **state)
{
    (void)state;
    const struct core_state in = sample();
    static uint8_t bytes[CORE_BYTES_MAX];
    const size_t size = core_bytes(&in, bytes, sizeof bytes);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1); /* Its end is watched. */
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        struct core_state out = {.time_ms = 77};
        assert_int_equal(core_bytes_read((struct mortar_bytes){copy, cut}, &out), MORTAR_E_CORRUPT);
        assert_int_equal(out.time_ms, 77);
        free(copy);
    }
    bytes[size] = 0;
    struct core_state out;
    assert_int_equal(core_bytes_read((struct mortar_bytes){bytes, size + 1}, &out),
                     MORTAR_E_CORRUPT);
}

static void a_changed_byte_is_refused_or_read_as_it_stands(void **state)
{
    (void)state;
    const struct core_state in = sample();
    static uint8_t bytes[CORE_BYTES_MAX];
    static uint8_t again[CORE_BYTES_MAX];
    const size_t size = core_bytes(&in, bytes, sizeof bytes);
    for (size_t place = 0; place < size; place++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            bytes[place] ^= (uint8_t)(1u << bit);
            struct core_state out;
            if (core_bytes_read((struct mortar_bytes){bytes, size}, &out) == MORTAR_OK) {
                assert_int_equal(core_bytes(&out, again, sizeof again), size);
                assert_memory_equal(again, bytes, size);
            }
            bytes[place] ^= (uint8_t)(1u << bit);
        }
    }
}

static void a_configuration_behind_the_state_or_none_is_refused(void **state)
{
    (void)state;
    static const uint64_t indexes[] = {0, 71, UINT64_MAX};
    static uint8_t bytes[CORE_BYTES_MAX];
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        struct core_state in = sample();
        struct core_state out;
        in.config_index = indexes[i];
        const size_t size = core_bytes(&in, bytes, sizeof bytes);
        assert_int_equal(core_bytes_read((struct mortar_bytes){bytes, size}, &out),
                         MORTAR_E_CORRUPT);
    }
}

static struct solo solo; /* Too big for the stack. */

static void a_short_block_is_told_how_much_it_takes(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    const struct mortar_sync *sync = mortar_sync_of_provider(scripted.provider);
    uint8_t bytes[CORE_BYTES_MAX];
    size_t needed = 0;
    assert_int_equal(mortar_sync_core_state(sync, bytes, 3, &needed), MORTAR_E_NO_SPACE);
    size_t got = 0;
    assert_int_equal(mortar_sync_core_state(sync, bytes, needed - 1, &got), MORTAR_E_NO_SPACE);
    assert_int_equal(mortar_sync_core_state(sync, bytes, needed, &got), MORTAR_OK);
    assert_int_equal(got, needed);
    struct core_state out;
    assert_int_equal(core_bytes_read((struct mortar_bytes){bytes, got}, &out), MORTAR_OK);
    assert_int_equal(out.applied.position.index, 2);
    assert_int_equal(out.config.count, 3);
    assert_int_equal(out.birth.bytes[0], 42);
    solo_close(&solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_decodes_to_the_same),
        cmocka_unit_test(every_prefix_is_refused_and_leaves_the_output),
        cmocka_unit_test(a_changed_byte_is_refused_or_read_as_it_stands),
        cmocka_unit_test(a_configuration_behind_the_state_or_none_is_refused),
        cmocka_unit_test(a_short_block_is_told_how_much_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
