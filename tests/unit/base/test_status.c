/* Each status has a stable number, a name and a text of its own. */
#include "mortar/status.h"
#include "unit/test.h"

#include <string.h>

struct row {
    enum mortar_status status;
    int number;
    const char *name;
};

static const struct row rows[] = {
#define STATUS_ROW(name, number, text) {name, number, #name},
    MORTAR_STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

#define ROWS (sizeof rows / sizeof rows[0])

static void numbers_run_from_zero_without_gaps(void **state)
{
    (void)state;
    assert_int_equal(MORTAR_OK, 0);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(rows[i].status, i);
        assert_int_equal(rows[i].number, i);
    }
}

static void names_and_texts_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_string_equal(mortar_status_name(rows[i].status), rows[i].name);
        assert_true(strlen(mortar_status_text(rows[i].status)) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(mortar_status_text(rows[i].status),
                                    mortar_status_text(rows[j].status));
        }
    }
    assert_string_equal(mortar_status_text(MORTAR_OK), "ok");
}

static void unknown_numbers_have_a_text_too(void **state)
{
    (void)state;
    int number = (int)ROWS;
    enum mortar_status unknown;
    memcpy(&unknown, &number, sizeof unknown);
    assert_string_equal(mortar_status_text(unknown), "unknown status");
    assert_string_equal(mortar_status_name(unknown), "MORTAR_E_?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_run_from_zero_without_gaps),
        cmocka_unit_test(names_and_texts_differ),
        cmocka_unit_test(unknown_numbers_have_a_text_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
