/* unit/os/test_address.c - "host:port" texts, good and bad. */
#include "os/address.h"
#include "unit/test.h"

#include <string.h>

static struct mortar_bytes bytes_of(const char *text)
{
    return (struct mortar_bytes){.data = (const uint8_t *)text, .bytes = strlen(text)};
}

static void good_addresses_are_read_and_written_back(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"a:1", "a", 1},
        {"a.example:7400", "a.example", 7400},
        {"under_score-1:65535", "under_score-1", 65535},
        {"127.0.0.1:0", "127.0.0.1", 0},
        {"[::1]:7400", "::1", 7400},
        {"[::]:7400", "::", 7400},
        {"[fe80::1%eth0]:7400", "fe80::1%eth0", 7400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address;
        assert_int_equal(address_parse(bytes_of(cases[i].text), &address), MORTAR_OK);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        char text[ADDRESS_TEXT_BYTES];
        address_format(&address, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",     ":",      "a",     "a:",       ":1",    "a:65536", "a:000001", "a:-1",
        "a:1x", "a b:1",  "a,b:1", "::1:7400", "[::1]", "[]:1",    "[::1:1",   "a/b:1",
        "a:1:", "\xff:1", "a\n:1", "[a",       "]:1",   "[:1",     "a:99999",  "a: 1",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address = {.host = "untouched"};
        print_message("  \"%s\"\n", cases[i]);
        assert_int_equal(address_parse(bytes_of(cases[i]), &address), MORTAR_E_ADDRESS);
        assert_string_equal(address.host, "untouched");
    }
}

static void the_length_of_a_host_is_bounded(void **state)
{
    (void)state;
    char text[ADDRESS_HOST_BYTES_MAX + 16];
    for (size_t length = ADDRESS_HOST_BYTES_MAX - 1; length <= ADDRESS_HOST_BYTES_MAX + 1;
         length++) {
        memset(text, 'a', length);
        memcpy(text + length, ":65535", 7);
        struct address address;
        const enum mortar_status expected =
            length <= ADDRESS_HOST_BYTES_MAX ? MORTAR_OK : MORTAR_E_ADDRESS;
        assert_int_equal(address_parse(bytes_of(text), &address), expected);
    }
}

static void lists_are_bounded_and_may_have_blanks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mortar_status status;
        size_t count;
    } cases[] = {
        {"", MORTAR_OK, 0},
        {"  ", MORTAR_OK, 0},
        {"a:1", MORTAR_OK, 1},
        {" a:1 , [::1]:2 ", MORTAR_OK, 2},
        {"a:1,b:2,c:3", MORTAR_OK, 3},
        {"a:1,b:2,c:3,d:4", MORTAR_E_TOO_LARGE, 0},
        {"a:1,", MORTAR_E_ADDRESS, 0},
        {",a:1", MORTAR_E_ADDRESS, 0},
        {"a:1,,b:2", MORTAR_E_ADDRESS, 0},
        {"a:1;b:2", MORTAR_E_ADDRESS, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address addresses[3];
        size_t count = 99;
        assert_int_equal(address_list_parse(cases[i].text, addresses, 3, &count), cases[i].status);
        assert_int_equal(count, cases[i].status == MORTAR_OK ? cases[i].count : 99);
    }
}

static void addresses_are_equal_by_host_and_port(void **state)
{
    (void)state;
    const struct address a = {.host = "a", .port = 1};
    const struct address same = {.host = "a", .port = 1};
    const struct address other_port = {.host = "a", .port = 2};
    const struct address other_host = {.host = "b", .port = 1};
    assert_true(address_equal(&a, &same));
    assert_false(address_equal(&a, &other_port));
    assert_false(address_equal(&a, &other_host));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_addresses_are_read_and_written_back),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(the_length_of_a_host_is_bounded),
        cmocka_unit_test(lists_are_bounded_and_may_have_blanks),
        cmocka_unit_test(addresses_are_equal_by_host_and_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
