/* Every type of message has a name of its own. */
#include "unit/test.h"
#include "wire/message.h"

/* Number 14 is taken from the next version on. */
static bool is_spoken(int type)
{
#ifdef MORTAR_WIRE_NEXT
    return type <= MESSAGE_TIMEOUT_NOW;
#else
    return type <= MESSAGE_TIMEOUT_NOW && type != 14;
#endif
}

static void each_type_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int type = MESSAGE_VOTE_REQUEST; type <= MESSAGE_TIMEOUT_NOW; type++) {
        if (!is_spoken(type)) continue;
        const char *const name = message_type_name((enum message_type)type);
        assert_string_not_equal(name, "unknown message");
        for (int other = MESSAGE_VOTE_REQUEST; other < type; other++) {
            assert_string_not_equal(name, message_type_name((enum message_type)other));
        }
    }
}

static void unknown_type_is_called_so(void **state)
{
    (void)state;
    const unsigned number = 200;
    enum message_type unknown;
    memcpy(&unknown, &number, sizeof unknown);
    assert_string_equal(message_type_name(unknown), "unknown message");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_has_a_name_of_its_own),
        cmocka_unit_test(unknown_type_is_called_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
