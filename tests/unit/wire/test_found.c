/* The payload of entry 1 as bytes. Method: one good payload, and each rule of its table broken. */
#include "unit/test.h"
#include "wire/found.h"

static struct found sample(void)
{
    struct found found = {0};
    memset(found.birth.bytes, 7, sizeof found.birth.bytes);
    memset(found.fingerprint_key, 9, sizeof found.fingerprint_key);
    found.config.count = 1;
    found.config.members[0].id.peer.bytes[0] = 1;
    found.config.members[0].voter_new = true;
    memcpy(found.config.members[0].address, "a:1", 4);
    return found;
}

static size_t encoded(const struct found *found, uint8_t *bytes, size_t capacity)
{
    struct writer writer = writer_over(bytes, capacity);
    found_encode(found, &writer);
    assert_false(writer.failed);
    return writer.bytes;
}

static void found_survives_the_log(void **state)
{
    (void)state;
    static uint8_t bytes[FOUND_ENCODED_BYTES_MAX];
    const struct found found = sample();
    const size_t count = encoded(&found, bytes, sizeof bytes);
    struct found back = {0};
    assert_int_equal(found_decode((struct mortar_bytes){bytes, count}, &back), MORTAR_OK);
    assert_memory_equal(&back.birth, &found.birth, sizeof found.birth);
    assert_memory_equal(back.fingerprint_key, found.fingerprint_key, 16);
    assert_true(config_equal(&back.config, &found.config));
}

static void found_refuses_what_is_cut_short_or_too_long(void **state)
{
    (void)state;
    static uint8_t bytes[FOUND_ENCODED_BYTES_MAX];
    const struct found found = sample();
    const size_t count = encoded(&found, bytes, sizeof bytes - 1);
    struct found back = {0};
    for (size_t cut = 0; cut <= count + 1; cut++) {
        if (cut == count) continue;
        assert_int_equal(found_decode((struct mortar_bytes){bytes, cut}, &back), MORTAR_E_CORRUPT);
    }
    assert_int_equal(back.config.count, 0); /* Untouched. */
}

static void found_refuses_what_breaks_a_rule(void **state)
{
    (void)state;
    static uint8_t bytes[FOUND_ENCODED_BYTES_MAX];
    static const struct {
        const char *why;
        size_t offset;
        size_t count;
    } cases[] = {
        {"no birth id", 0, 16},
        {"no fingerprint key", 16, 16},
        {"no member", 34, 2},
        {"no voter", 36 + 48, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        const struct found found = sample();
        const size_t count = encoded(&found, bytes, sizeof bytes);
        memset(bytes + cases[i].offset, 0, cases[i].count);
        struct found back;
        assert_int_equal(found_decode((struct mortar_bytes){bytes, count}, &back),
                         MORTAR_E_CORRUPT);
    }
}

static void found_names_one_voter_and_no_joint_phase(void **state)
{
    (void)state;
    static uint8_t bytes[FOUND_ENCODED_BYTES_MAX];
    struct found found = sample();
    found.config.count = 2;
    found.config.members[1] = found.config.members[0];
    found.config.members[1].id.peer.bytes[0] = 2;
    struct writer writer = writer_over(bytes, sizeof bytes);
    put_copy(&writer, found.birth.bytes, 16);
    put_copy(&writer, found.fingerprint_key, 16);
    config_encode(&found.config, &writer);
    struct found back;
    assert_int_equal(found_decode((struct mortar_bytes){bytes, writer.bytes}, &back),
                     MORTAR_E_CORRUPT);
    expect_assert_failure(found_encode(&found, &writer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_survives_the_log),
        cmocka_unit_test(found_refuses_what_is_cut_short_or_too_long),
        cmocka_unit_test(found_refuses_what_breaks_a_rule),
        cmocka_unit_test(found_names_one_voter_and_no_joint_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
