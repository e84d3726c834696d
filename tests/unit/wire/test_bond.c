/* The frames of bonds as bytes. */
#include "unit/wire/codec_check.h"
#include "unit/wire/samples.h"
#include "wire/bond.h"

CODEC(bond_hello);
CODEC(bond_proof);
CODEC(bond_names);
CODEC(bond_members);
CODEC(bond_refuse);
CODEC(bond_ping);
CODEC(bond_departure);

static void hello_survives_the_wire(void **state)
{
    (void)state;
    struct bond_hello hello = {.version_min = 1,
                               .version_max = 3,
                               .lane = MORTAR_LANE_BULK,
                               .member = sample_member(4),
                               .key_count = 3,
                               .generations = {9, 5, 1}};
    memset(hello.group.bytes, 7, sizeof hello.group.bytes);
    codec_check(&bond_hello_codec, &hello, BOND_HELLO_BYTES, CODEC_CLOSED);
    codec_refuses(&bond_hello_codec, &hello, 0, 0);   /* Version 0. */
    codec_refuses(&bond_hello_codec, &hello, 0, 4);   /* min > max */
    codec_refuses(&bond_hello_codec, &hello, 4, 2);   /* A third lane. */
    codec_refuses(&bond_hello_codec, &hello, 5, 0);   /* No keys. */
    codec_refuses(&bond_hello_codec, &hello, 5, 5);   /* Too many. */
    codec_refuses(&bond_hello_codec, &hello, 5, 2);   /* One more than said. */
    codec_refuses(&bond_hello_codec, &hello, 6, 1);   /* The zero. */
    codec_refuses(&bond_hello_codec, &hello, 108, 9); /* A generation twice. */
}

static void versions_of_a_foreign_hello_can_be_read(void **state)
{
    (void)state;
    const uint8_t foreign[] = {7, 0, 9, 0, 0xff, 0xff};
    uint16_t min = 0;
    uint16_t max = 0;
    assert_int_equal(
        bond_hello_versions((struct mortar_bytes){foreign, sizeof foreign}, &min, &max), MORTAR_OK);
    assert_int_equal(min, 7);
    assert_int_equal(max, 9);
    assert_int_equal(bond_hello_versions((struct mortar_bytes){foreign, 3}, &min, &max),
                     MORTAR_E_CORRUPT);
}

static void proof_survives_the_wire(void **state)
{
    (void)state;
    struct bond_proof proof = {.generation = 3};
    memset(proof.code, 0x5c, sizeof proof.code);
    codec_check(&bond_proof_codec, &proof, BOND_PROOF_BYTES, CODEC_CLOSED);
}

static void names_survive_the_wire(void **state)
{
    (void)state;
    struct bond_names names = {.network = "net",
                               .machine = "lines",
                               .machine_epoch = 2,
                               .machine_version_min = 1,
                               .machine_version_max = 4,
                               .sync = "auto",
                               .sync_epoch = 1,
                               .birth = {{1, 2, 3}},
                               .feature_level = 6,
                               .address = "a:7400"};
    codec_check(&bond_names_codec, &names, 2 + 3 + 2 + 5 + 12 + 2 + 4 + 4 + 16 + 4 + 2 + 6,
                CODEC_CLOSED);
    codec_refuses(&bond_names_codec, &names, 2, 0);  /* A zero within a name. */
    codec_refuses(&bond_names_codec, &names, 0, 64); /* Too long. */
    codec_refuses(&bond_names_codec, &names, 16, 5); /* Versions 5..4. */
    memset(names.network, 'n', MORTAR_NAME_BYTES_MAX);
    memset(names.machine, 'm', MORTAR_NAME_BYTES_MAX);
    memset(names.sync, 's', MORTAR_NAME_BYTES_MAX);
    memset(names.address, 'a', MORTAR_ADDRESS_BYTES_MAX);
    codec_check(&bond_names_codec, &names, BOND_NAMES_BYTES_MAX, CODEC_CLOSED);
}

static void members_survive_the_wire(void **state)
{
    (void)state;
    struct bond_members members = {.count = 2};
    members.members[0] = (struct bond_member){.id = sample_member(1), .address = "a:1"};
    members.members[1] = (struct bond_member){.id = sample_member(2)};
    codec_check(&bond_members_codec, &members, 2 + 53 + 50, CODEC_CLOSED);
    codec_refuses(&bond_members_codec, &members, 0, 1);
    codec_refuses(&bond_members_codec, &members, 0, 33);
    codec_check(&bond_members_codec, &(struct bond_members){0}, 2, CODEC_CLOSED);
}

static void most_members_fit_their_bound(void **state)
{
    (void)state;
    struct bond_members members = {.count = MORTAR_MEMBERS_MAX};
    for (uint32_t i = 0; i < members.count; i++) {
        members.members[i].id = sample_member((uint8_t)(i + 1));
        memset(members.members[i].address, 'a', MORTAR_ADDRESS_BYTES_MAX);
    }
    uint8_t block[BOND_MEMBERS_BYTES_MAX];
    struct writer out = writer_over(block, sizeof block);
    bond_members_encode(&members, &out);
    assert_false(out.failed);
    assert_int_equal(out.bytes, sizeof block);
}

static void refusal_survives_the_wire(void **state)
{
    (void)state;
    const struct bond_refuse refusal = {.status = MORTAR_E_KEY, .text = "key"};
    codec_check(&bond_refuse_codec, &refusal, 7, CODEC_CLOSED);
    codec_refuses(&bond_refuse_codec, &refusal, 0, MORTAR_OK);
    codec_refuses(&bond_refuse_codec, &refusal, 5, 0x1b); /* An escape for somebody's terminal. */
    codec_refuses(&bond_refuse_codec, &refusal, 5, 0x80);
}

static void unprintable_text_is_sent_as_question_marks(void **state)
{
    (void)state;
    const struct bond_refuse refusal = {.status = MORTAR_E_KEY, .text = "a\n\x1b\xc3z"};
    uint8_t block[64];
    struct writer out = writer_over(block, sizeof block);
    bond_refuse_encode(&refusal, &out);
    struct bond_refuse read;
    assert_int_equal(bond_refuse_decode((struct mortar_bytes){block, out.bytes}, &read), MORTAR_OK);
    assert_string_equal(read.text, "a???z");
}

static void ping_survives_the_wire(void **state)
{
    (void)state;
    codec_check(&bond_ping_codec, &(struct bond_ping){.sequence = 3, .sent_us = 1ull << 60},
                BOND_PING_BYTES, CODEC_CLOSED);
}

static void departure_survives_the_wire(void **state)
{
    (void)state;
    const struct bond_departure departure = {.reason = MORTAR_E_REMOVED};
    codec_check(&bond_departure_codec, &departure, BOND_DEPARTURE_BYTES, CODEC_CLOSED);
    codec_refuses(&bond_departure_codec, &departure, 1, 1);
}

static void each_type_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int type = BOND_HELLO; type <= BOND_MEMBERS; type++) {
        const char *const name = bond_type_name((enum bond_type)type);
        assert_string_not_equal(name, "unknown frame");
        for (int other = BOND_HELLO; other < type; other++) {
            assert_string_not_equal(name, bond_type_name((enum bond_type)other));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_survives_the_wire),
        cmocka_unit_test(versions_of_a_foreign_hello_can_be_read),
        cmocka_unit_test(proof_survives_the_wire),
        cmocka_unit_test(names_survive_the_wire),
        cmocka_unit_test(members_survive_the_wire),
        cmocka_unit_test(most_members_fit_their_bound),
        cmocka_unit_test(refusal_survives_the_wire),
        cmocka_unit_test(unprintable_text_is_sent_as_question_marks),
        cmocka_unit_test(ping_survives_the_wire),
        cmocka_unit_test(departure_survives_the_wire),
        cmocka_unit_test(each_type_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
