/* The group id: the same from the same, another from anything else (design 8). */
#include "mortar/sync.h"
#include "node/group_identity.h"
#include "unit/test.h"

#include <string.h>

/* What a group is called by. */
struct input {
    const char *network;
    const char *machine;
    uint32_t machine_epoch;
    const char *sync;
    uint32_t sync_epoch;
    uint8_t birth;
};

static struct mortar_group_id id_of(struct crypto *crypto, const struct input *input)
{
    uint8_t hash[KEY_FILE_HASH_BYTES] = {input->birth};
    struct bond_names names = {.machine_epoch = input->machine_epoch,
                               .sync_epoch = input->sync_epoch};
    memcpy(names.network, input->network, strlen(input->network) + 1);
    memcpy(names.machine, input->machine, strlen(input->machine) + 1);
    memcpy(names.sync, input->sync, strlen(input->sync) + 1);
    struct mortar_group_id id;
    assert_int_equal(group_identity_id(crypto, hash, &names, &id), MORTAR_OK);
    return id;
}

static void ids_differ_iff_any_input_does(void **state)
{
    (void)state;
    static const struct input inputs[] = {
        {"default", "lines", 1, "auto", 1, 1},  {"Default", "lines", 1, "auto", 1, 1},
        {"default", "line", 1, "auto", 1, 1},   {"default", "lines", 2, "auto", 1, 1},
        {"default", "lines", 1, "pages", 1, 1}, {"default", "lines", 1, "auto", 2, 1},
        {"default", "lines", 1, "auto", 1, 2},  {"defaultl", "ines", 1, "auto", 1, 1},
    };
    const size_t count = sizeof inputs / sizeof inputs[0];
    struct crypto *crypto;
    assert_int_equal(crypto_open(NULL, &crypto), MORTAR_OK);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            const struct mortar_group_id a = id_of(crypto, &inputs[i]);
            const struct mortar_group_id b = id_of(crypto, &inputs[j]);
            assert_int_equal(memcmp(&a, &b, sizeof a) == 0, i == j);
        }
    }
    crypto_close(crypto);
}

static void names_have_defaults_and_bounds(void **state)
{
    (void)state;
    char longest[MORTAR_NAME_BYTES_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[MORTAR_NAME_BYTES_MAX] = '\0';
    struct mortar_machine_ops machine = {MORTAR_MACHINE_OPS_INIT, .name = "m", .epoch = 3};
    const struct mortar_sync_method method = {MORTAR_SYNC_METHOD_INIT, .name = "pages", .epoch = 9};
    struct bond_names names;

    assert_int_equal(group_identity_names("n", NULL, &names), MORTAR_OK);
    assert_string_equal(names.machine, "none");
    assert_string_equal(names.sync, "auto");
    assert_int_equal(names.machine_epoch, 1);
    assert_int_equal(names.sync_epoch, 1);

    assert_int_equal(group_identity_names(longest, &machine, &names), MORTAR_OK);
    assert_string_equal(names.sync, "auto");
    assert_int_equal(names.machine_epoch, 3);

    machine.sync = &method;
    assert_int_equal(group_identity_names("n", &machine, &names), MORTAR_OK);
    assert_string_equal(names.sync, "pages");
    assert_int_equal(names.sync_epoch, 9);

    longest[MORTAR_NAME_BYTES_MAX] = 'n';
    longest[MORTAR_NAME_BYTES_MAX + 1] = '\0';
    assert_int_equal(group_identity_names(longest, &machine, &names), MORTAR_E_INVALID);
    assert_int_equal(group_identity_names("", &machine, &names), MORTAR_E_INVALID);
    assert_int_equal(group_identity_names("a\nb", &machine, &names), MORTAR_E_INVALID);
    machine.epoch = 0;
    assert_int_equal(group_identity_names("n", &machine, &names), MORTAR_E_INVALID);
    machine.epoch = 1;
    machine.name = NULL;
    assert_int_equal(group_identity_names("n", &machine, &names), MORTAR_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_differ_iff_any_input_does),
        cmocka_unit_test(names_have_defaults_and_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
