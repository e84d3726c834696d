/* The reasons of refusals in words: exact, printable, bounded. */
#include "unit/test.h"
#include "wire/bond.h"
#include "wire/bond_text.h"

#include <string.h>

static void reasons_read_as_documented(void **state)
{
    (void)state;
    char text[BOND_TEXT_BYTES_MAX + 1];
    bond_text_plain(text, "key");
    assert_string_equal(text, "key");
    bond_text_frame(text, "unexpected", BOND_WELCOME);
    assert_string_equal(text, "unexpected frame 67 (welcome)");
    bond_text_frame(text, "unexpected", 3);
    assert_string_equal(text, "unexpected frame 3");
    bond_text_names(text, "network", "a", "b");
    assert_string_equal(text, "network \"a\" here, \"b\" there");
    bond_text_epochs(text, "machine", (struct bond_name){"a", 0},
                     (struct bond_name){"a", UINT32_MAX});
    assert_string_equal(text, "machine \"a\" epoch 0 here, \"a\" epoch 4294967295 there");
    bond_text_ranges(text, "wire format", (struct bond_range){1, 1}, (struct bond_range){2, 30});
    assert_string_equal(text, "wire format versions 1..1 here, 2..30 there");
    bond_text_births(text, &(struct mortar_birth_id){{0, 0x1a, 2, 3, 4}},
                     &(struct mortar_birth_id){{0xff, 5, 6, 7, 8}});
    assert_string_equal(text, "birth 001a0203 here, ff050607 there");
}

static void foreign_names_cannot_write_to_a_terminal(void **state)
{
    (void)state;
    char text[BOND_TEXT_BYTES_MAX + 1];
    bond_text_names(text, "network", "a\x1b[2J", "\n\xc3\xa4\x7f");
    assert_string_equal(text, "network \"a?[2J\" here, \"????\" there");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char name[400];
    char text[BOND_TEXT_BYTES_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    text[BOND_TEXT_BYTES_MAX + 1] = 'x';
    bond_text_names(text, "network", name, name);
    assert_int_equal(strlen(text), BOND_TEXT_BYTES_MAX);
    assert_int_equal(text[BOND_TEXT_BYTES_MAX + 1], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_read_as_documented),
        cmocka_unit_test(foreign_names_cannot_write_to_a_terminal),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
