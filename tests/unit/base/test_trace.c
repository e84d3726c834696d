/* The text of trace events. Method: whole texts, then the same cut at every length. */
#include "mortar/trace.h"
#include "unit/test.h"

#include <string.h>

static const struct mortar_member_id OTHER = {.peer.bytes = {0xab, 0xcd}};

static void text_names_the_event_its_numbers_and_the_other_member(void **state)
{
    (void)state;
    static const struct {
        struct mortar_trace_event event;
        const char *name;
        const char *text;
    } cases[] = {
        {{MORTAR_TRACE_ROLE, NULL, {0, 1, 3, 99}}, NULL, "role from=0 to=1 term=3"},
        {{MORTAR_TRACE_COMMIT, &OTHER, {7, 1, 0, 0}}, "n2", "commit n2 index=7 term=1"},
        {{MORTAR_TRACE_LEADER, &OTHER, {4, 0, 0, 0}}, NULL, "leader known abcd000000000000 term=4"},
        {{MORTAR_TRACE_PRUNE, NULL, {UINT64_MAX, 0, 0, 0}}, NULL, "prune to=18446744073709551615"},
        {{MORTAR_TRACE_PRUNE, NULL, {10, 0, 0, 0}}, "unused", "prune to=10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        mortar_trace_text(&cases[i].event, cases[i].name, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

static void text_is_cut_to_its_capacity_with_a_closing_zero(void **state)
{
    (void)state;
    const struct mortar_trace_event event = {MORTAR_TRACE_ROLE, NULL, {0, 12, 345, 0}};
    const char *whole = "role from=0 to=12 term=345";
    for (size_t capacity = 0; capacity < 40; capacity++) {
        char text[41];
        memset(text, '#', sizeof text);
        mortar_trace_text(&event, NULL, text, capacity);
        assert_true(text[capacity] == '#');
        if (capacity == 0) continue;
        const size_t expected = capacity - 1 < strlen(whole) ? capacity - 1 : strlen(whole);
        assert_int_equal(strlen(text), expected);
        assert_memory_equal(text, whole, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_names_the_event_its_numbers_and_the_other_member),
        cmocka_unit_test(text_is_cut_to_its_capacity_with_a_closing_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
