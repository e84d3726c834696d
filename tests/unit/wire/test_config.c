/* Configurations as bytes, and the rules by which they change (thesis 4.3). */
#include "unit/wire/codec_check.h"
#include "unit/wire/samples.h"
#include "wire/config.h"

CODEC(config);

static enum mortar_status change_decode(struct mortar_bytes in, struct config_change *out)
{
    struct reader reader = reader_over(in);
    struct config_change change;
    if (config_change_decode(&reader, &change) != MORTAR_OK) return MORTAR_E_CORRUPT;
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = change;
    return MORTAR_OK;
}
CODEC_OF(config_change, struct config_change, config_change_encode, change_decode);

/* Members as text, in order of id. Per member: its number, then o, n (voter of the old, new half),
 * w (observer), l (leaving), a (is to replace the one before it in number); a learner has its
 * number only. "j" before all: joint. After all of
 * them "x" and the number of each that was removed. */
static struct config config_of(const char *text)
{
    struct config config = {.joint = *text == 'j'};
    struct config_member *last = &config.members[0];
    for (const char *at = config.joint ? text + 1 : text; *at != '\0'; at++) {
        const bool is_number = *at >= '1' && *at <= '9';
        if (is_number && at > text && at[-1] == 'x') {
            const struct mortar_member_id id = sample_member((uint8_t)(*at - '0'));
            config.removed[config.removed_count++] = config_id_sum(&id);
        } else if (is_number) {
            last = &config.members[config.count++];
            last->id = sample_member((uint8_t)(*at - '0'));
            last->address[0] = *at;
        }
        if (*at == 'o') last->voter_old = true;
        if (*at == 'n') last->voter_new = true;
        if (*at == 'w') last->observer = true;
        if (*at == 'l') last->leaving = true;
        if (*at == 'a') last->replaces = sample_member((uint8_t)(last->address[0] - '1'));
    }
    return config;
}

/* "+n" learner n, "wn" observer n, "pn" promote, "dn" demote, "-n" remove, "rn" takes the place of
 * the member before it in number, "an" learner n that is to take that place. */
static uint32_t changes_of(const char *text, struct config_change *out_changes)
{
    uint32_t count = 0;
    for (const char *at = text; *at != '\0'; at += 2) {
        struct config_change *const change = &out_changes[count++];
        *change = (struct config_change){.kind = CONFIG_REMOVE,
                                         .member = sample_member((uint8_t)(at[1] - '0'))};
        change->address[0] = at[1];
        if (*at == '+') change->kind = CONFIG_ADD_LEARNER;
        if (*at == 'w') change->kind = CONFIG_ADD_OBSERVER;
        if (*at == 'p') change->kind = CONFIG_PROMOTE;
        if (*at == 'd') change->kind = CONFIG_DEMOTE;
        if (*at == 'r') change->kind = CONFIG_REPLACE;
        if (*at == 'a') change->kind = CONFIG_ADD_LEARNER;
        if (*at == 'r' || *at == 'a') change->other = sample_member((uint8_t)(at[1] - '1'));
    }
    return count;
}

static void config_survives_the_wire(void **state)
{
    (void)state;
    static const char *const texts[] = {"1n",         "1n2n3n4",  "1n2w3",  "j1on2on3n",
                                        "j1on2ol3o4", "1n2nx3x4", "1n2n3a", "1n3ax2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct config config = config_of(texts[i]);
        const size_t replaces = strchr(texts[i], 'a') != NULL ? 48 : 0;
        codec_check(&config_codec, &config,
                    4 + config.count * 52 + replaces + 2 + config.removed_count * 8, CODEC_CLOSED);
    }
}

static void largest_config_fits_its_bound(void **state)
{
    (void)state;
    struct config config = {.count = MORTAR_MEMBERS_MAX};
    for (uint32_t i = 0; i < config.count; i++) {
        config.members[i].id = sample_member((uint8_t)(i + 1));
        config.members[i].voter_new = i == 0;
        if (i > 0) config.members[i].replaces = sample_member(77);
        memset(config.members[i].address, 'a', MORTAR_ADDRESS_BYTES_MAX);
    }
    config.removed_count = CONFIG_REMOVED_MAX;
    uint8_t block[CONFIG_ENCODED_BYTES_MAX];
    struct writer out = writer_over(block, sizeof block);
    config_encode(&config, &out);
    assert_false(out.failed);
    assert_int_equal(out.bytes, sizeof block);
    uint8_t room[CONFIG_ENCODED_BYTES_MAX];
    bool accepted = false;
    assert_true(codec_is_lawful(&config_codec, (struct mortar_bytes){block, sizeof block}, room,
                                &accepted));
    assert_true(accepted);
}

static void unsound_configs_are_refused(void **state)
{
    (void)state;
    const struct config plain = config_of("1n2w3");
    codec_refuses(&config_codec, &plain, 0, 1); /* Version. */
    codec_refuses(&config_codec, &plain, 0, 3);
    codec_refuses(&config_codec, &plain, 161, 2); /* More removed than there are, or may be. */
    codec_refuses(&config_codec, &plain, 1, 1);   /* Joint without an old half. */
    codec_refuses(&config_codec, &plain, 2, 2);   /* Bytes left over. */
    codec_refuses(&config_codec, &plain, 2, 0);   /* No members. */
    codec_refuses(&config_codec, &plain, 2, 33);  /* Too many. */
    codec_refuses(&config_codec, &plain, 4, 9);   /* Out of order. */
    codec_refuses(&config_codec, &plain, 52, 0);  /* No voter. */
    codec_refuses(&config_codec, &plain, 52, 3);  /* An old voter while not joint. */
    codec_refuses(&config_codec, &plain, 52, 32); /* An unknown flag. */
    codec_refuses(&config_codec, &plain, 104, 6); /* A voting observer. */
    codec_refuses(&config_codec, &plain, 156, 8); /* A learner that leaves. */
    const struct config replaces = config_of("1n2n3a");
    codec_refuses(&config_codec, &replaces, 156, 20); /* An observer replaces nobody. */
    codec_refuses(&config_codec, &replaces, 156, 18); /* Nor does a voter. */
    const struct config joint = config_of("j1on2on3n");
    codec_refuses(&config_codec, &joint, 1, 0);
    codec_refuses(&config_codec, &joint, 156, 0); /* Joint, but the halves are equal. */
    codec_refuses(&config_codec, &joint, 52, 11); /* It leaves, and stays. */
}

static void a_member_that_was_removed_is_refused(void **state)
{
    (void)state;
    const struct config config = config_of("1n2nx3");
    uint8_t block[256];
    struct writer out = writer_over(block, sizeof block);
    config_encode(&config, &out);
    const uint64_t sum = config_id_sum(&config.members[1].id);
    struct writer place = writer_over(block + out.bytes - 8, 8);
    put_u64(&place, sum);
    codec_try(&config_codec, (struct mortar_bytes){block, out.bytes}, true);
    const struct config unsound = config_of("1n2nx2");
    assert_false(config_is_sound(&unsound));
}

static void member_twice_is_refused(void **state)
{
    (void)state;
    struct config config = config_of("1n2n");
    uint8_t block[256];
    struct writer out = writer_over(block, sizeof block);
    config_encode(&config, &out);
    memcpy(block + 4 + 52, block + 4, 48);
    codec_try(&config_codec, (struct mortar_bytes){block, out.bytes}, true);
    config.members[1].id = config.members[0].id;
    expect_assert_failure(config_encode(&config, &out));
}

static void members_are_found_by_id(void **state)
{
    (void)state;
    const struct config config = config_of("1n3n5");
    for (uint8_t number = 0; number <= 6; number++) {
        const struct mortar_member_id id = sample_member(number);
        const struct config_member *const found = config_find(&config, &id);
        if (number == 1 || number == 3 || number == 5) {
            assert_ptr_equal(found, &config.members[number / 2]);
        } else {
            assert_null(found);
        }
    }
    assert_int_equal(config_voter_count(&config), 2);
}

static void configs_are_equal_only_in_every_field(void **state)
{
    (void)state;
    static const char *const texts[] = {"1n2n",      "1n2",       "1n2w",     "1n3n",
                                        "j1on2on3n", "j1on2on4n", "1n2n3",    "j1on2ol",
                                        "j1on2o",    "1n2nx3",    "1n2nx3x4", "1n2nx4x3"};
    const size_t count = sizeof texts / sizeof texts[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            const struct config a = config_of(texts[i]);
            const struct config b = config_of(texts[j]);
            assert_int_equal(config_equal(&a, &b), i == j);
        }
    }
    const struct config a = config_of("1n2n");
    struct config b = a;
    b.members[1].address[3] = 'x';
    assert_true(config_equal(&a, &b)); /* Behind the end of the text. */
    b.members[1].address[1] = 'x';
    assert_false(config_equal(&a, &b));
}

struct change_case {
    const char *from;
    const char *changes;
    enum mortar_status status;
    const char *to;          /* When MORTAR_OK. */
    const char *after_joint; /* NULL: `to` is plain. */
};

static const struct change_case change_cases[] = {
    /* What leaves the quorum as it is needs no joint phase. */
    {"1n", "+2", MORTAR_OK, "1n2", NULL},
    {"2n", "+1w3", MORTAR_OK, "12n3w", NULL},
    {"1n2", "-2", MORTAR_OK, "1nx2", NULL},
    {"1n2w", "-2", MORTAR_OK, "1nx2", NULL},
    {"1n2n", "", MORTAR_OK, "1n2n", NULL},
    {"1n2", "p2d2", MORTAR_OK, "1n2", NULL},
    {"1n2n", "d2p2", MORTAR_OK, "1n2n", NULL},
    {"1n2", "p2-2", MORTAR_OK, "1nx2", NULL},
    {"1n2x3", "-2+4", MORTAR_OK, "1n4x3x2", NULL},
    /* What changes it does. */
    {"1n2", "p2", MORTAR_OK, "j1on2n", "1n2n"},
    {"1n", "+2p2", MORTAR_OK, "j1on2n", "1n2n"},
    {"1n23", "p2p3", MORTAR_OK, "j1on2n3n", "1n2n3n"},
    {"1n2n3n", "d3", MORTAR_OK, "j1on2on3o", "1n2n3"},
    {"1n2n3n", "-3", MORTAR_OK, "j1on2on3ol", "1n2nx3"},
    {"1n2n3n", "d3-3", MORTAR_OK, "j1on2on3ol", "1n2nx3"},
    {"1n2n3n4", "-3p4", MORTAR_OK, "j1on2on3ol4n", "1n2n4nx3"},
    {"1n2", "p2-1", MORTAR_OK, "j1ol2n", "2nx1"},
    {"1n2n3", "-2-3", MORTAR_OK, "j1on2olx3", "1nx3x2"},
    {"1n2n3", "r3", MORTAR_OK, "j1on2ol3n", "1n3nx2"},
    {"1n2n3n4", "+5-3r4", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n2n3a", "r3", MORTAR_OK, "j1on2ol3n", "1n3nx2"},
    {"1n2n3a", "p3", MORTAR_OK, "j1on2on3n", "1n2n3n"},
    {"1n2n3n", "a4r4", MORTAR_OK, "j1on2on3ol4n", "1n2n4nx3"},
    {"1n2n3n4n", "+5r5-1", MORTAR_OK, "j1ol2on3on4ol5n", "2n3n5nx1x4"},
    {"1n23", "r3", MORTAR_OK, "1n3x2", NULL},
    {"1n2w3", "r3", MORTAR_OK, "1n3wx2", NULL},
    {"1n2", "r2", MORTAR_OK, "j1ol2n", "2nx1"},
    {"1n2n", "r2", MORTAR_E_EXISTS, NULL, NULL},
    {"1n2w", "r2", MORTAR_E_INVALID, NULL, NULL},
    {"1n3", "r3", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n2n", "r3", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n2n3n", "d2+4", MORTAR_OK, "j1on2o3on4", "1n23n4"},
    /* What cannot be. */
    {"j1on2n", "+3", MORTAR_E_CHANGING, NULL, NULL},
    {"1n", "+1", MORTAR_E_EXISTS, NULL, NULL},
    {"1n", "w1", MORTAR_E_EXISTS, NULL, NULL},
    {"1n", "p1", MORTAR_E_EXISTS, NULL, NULL},
    {"1n2n", "-2+2", MORTAR_E_EXISTS, NULL, NULL},
    {"1nx2", "+2", MORTAR_E_REMOVED, NULL, NULL},
    {"1nx2", "w2", MORTAR_E_REMOVED, NULL, NULL},
    {"1n2", "-2+2", MORTAR_E_REMOVED, NULL, NULL},
    {"1n", "p2", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n", "d2", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n", "-2", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n2n", "-2-2", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n2n", "-2p2", MORTAR_E_NOT_FOUND, NULL, NULL},
    {"1n2w", "p2", MORTAR_E_INVALID, NULL, NULL},
    {"1n2", "d2", MORTAR_E_INVALID, NULL, NULL},
    {"1n", "d1", MORTAR_E_INVALID, NULL, NULL},
    {"1n2", "-1", MORTAR_E_INVALID, NULL, NULL},
};

static void changes_give_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof change_cases / sizeof change_cases[0]; i++) {
        const struct change_case *const row = &change_cases[i];
        struct config_change changes[8];
        const uint32_t count = changes_of(row->changes, changes);
        const struct config from = config_of(row->from);
        struct config result = {.count = 77};
        const enum mortar_status status = config_apply(&from, changes, count, &result);
        if (status != row->status) fail_msg("%s with %s", row->from, row->changes);
        if (status != MORTAR_OK) {
            assert_int_equal(result.count, 77);
            continue;
        }
        const struct config expected = config_of(row->to);
        if (!config_equal(&result, &expected)) fail_msg("%s with %s", row->from, row->changes);
        assert_int_equal(result.joint, row->after_joint != NULL);
        if (!result.joint) continue;
        const struct config after = config_of(row->after_joint);
        config_leave_joint(&result, &result);
        if (!config_equal(&result, &after)) fail_msg("after %s, %s", row->from, row->changes);
    }
}

static void member_without_an_id_is_not_added(void **state)
{
    (void)state;
    const struct config from = config_of("1n");
    const struct config_change change = {.kind = CONFIG_ADD_LEARNER};
    struct config result;
    assert_int_equal(config_apply(&from, &change, 1, &result), MORTAR_E_INVALID);
}

static void address_changes_alone(void **state)
{
    (void)state;
    const struct config from = config_of("1n2n");
    struct config_change change = {.kind = CONFIG_ADDRESS, .member = sample_member(2)};
    memcpy(change.address, "b:1", 4);
    struct config result;
    assert_int_equal(config_apply(&from, &change, 1, &result), MORTAR_OK);
    assert_string_equal(result.members[1].address, "b:1");
    assert_string_equal(result.members[0].address, "1");
    assert_false(result.joint);
    assert_true(result.members[1].voter_new);
}

static void thirty_third_member_is_refused(void **state)
{
    (void)state;
    struct config config = config_of("1n");
    struct config_change change = {.kind = CONFIG_ADD_LEARNER};
    for (uint8_t number = 2; number <= MORTAR_MEMBERS_MAX; number++) {
        change.member = sample_member(number);
        assert_int_equal(config_apply(&config, &change, 1, &config), MORTAR_OK);
    }
    change.member = sample_member(200);
    assert_int_equal(config_apply(&config, &change, 1, &config), MORTAR_E_TOO_LARGE);
    assert_int_equal(config.count, MORTAR_MEMBERS_MAX);
}

/* The list is bounded: what is promised is that the last CONFIG_REMOVED_MAX stay out. */
static void the_oldest_of_too_many_removed_is_forgotten(void **state)
{
    (void)state;
    struct config config = config_of("1n");
    struct config_change changes[2] = {{.kind = CONFIG_ADD_LEARNER}, {.kind = CONFIG_REMOVE}};
    for (uint32_t i = 0; i <= CONFIG_REMOVED_MAX; i++) {
        changes[0].member.store[0] = changes[1].member.store[0] = (uint8_t)i;
        changes[0].member.store[1] = changes[1].member.store[1] = (uint8_t)(1 + i / 256);
        assert_int_equal(config_apply(&config, changes, 2, &config), MORTAR_OK);
    }
    assert_int_equal(config.removed_count, CONFIG_REMOVED_MAX);
    for (uint32_t i = 0; i <= CONFIG_REMOVED_MAX; i++) {
        changes[0].member.store[0] = (uint8_t)i;
        changes[0].member.store[1] = (uint8_t)(1 + i / 256);
        assert_int_equal(config_has_removed(&config, &changes[0].member), i > 0);
    }
}

static void leaving_a_plain_config_is_a_bug(void **state)
{
    (void)state;
    struct config config = config_of("1n");
    expect_assert_failure(config_leave_joint(&config, &config));
}

static void change_survives_the_wire(void **state)
{
    (void)state;
    struct config_change change = {.kind = CONFIG_ADDRESS, .member = sample_member(2)};
    memcpy(change.address, "b:1", 4);
    codec_check(&config_change_codec, &change, 102, CODEC_CLOSED);
    codec_refuses(&config_change_codec, &change, 0, 0);
    codec_refuses(&config_change_codec, &change, 0, 7); /* It replaces nobody. */
    codec_refuses(&config_change_codec, &change, 0, 8);
    codec_refuses(&config_change_codec, &change, 60, 1); /* An address replaces nobody. */
    codec_refuses(&config_change_codec, &change, 99, 0);
    change.other = sample_member(3);
    change.kind = CONFIG_REPLACE;
    codec_check(&config_change_codec, &change, 102, CODEC_CLOSED);
    change.kind = CONFIG_ADD_LEARNER;
    codec_check(&config_change_codec, &change, 102, CODEC_CLOSED);
    change.kind = CONFIG_REPLACE;
    change.other = change.member;
    struct writer out = writer_over(NULL, 0);
    expect_assert_failure(config_change_encode(&change, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_survives_the_wire),
        cmocka_unit_test(largest_config_fits_its_bound),
        cmocka_unit_test(unsound_configs_are_refused),
        cmocka_unit_test(a_member_that_was_removed_is_refused),
        cmocka_unit_test(the_oldest_of_too_many_removed_is_forgotten),
        cmocka_unit_test(member_twice_is_refused),
        cmocka_unit_test(members_are_found_by_id),
        cmocka_unit_test(configs_are_equal_only_in_every_field),
        cmocka_unit_test(changes_give_what_the_table_says),
        cmocka_unit_test(member_without_an_id_is_not_added),
        cmocka_unit_test(address_changes_alone),
        cmocka_unit_test(thirty_third_member_is_refused),
        cmocka_unit_test(leaving_a_plain_config_is_a_bug),
        cmocka_unit_test(change_survives_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
