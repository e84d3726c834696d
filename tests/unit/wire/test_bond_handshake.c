/* The handshake: it bonds those who belong together, and says by name why it does not. */
#include "unit/test.h"
#include "unit/wire/bond_pair.h"
#include "wire/bond_handshake.h"

struct pair {
    struct bond_handshake_options options[2]; /* 0 opens the connection to 1. */
    struct pair_side sides[2];
};

static struct pair pair;

static void pair_reset(void)
{
    pair.options[0] = pair_options(1, 2, true);
    pair.options[1] = pair_options(2, 1, false);
}

static void pair_run(void)
{
    for (int i = 0; i < 2; i++)
        pair_side_init(&pair.sides[i], &pair.options[i]);
    bool moved = true;
    while (moved) {
        const bool there = pair_deliver(&pair.sides[0], &pair.sides[1]);
        const bool back = pair_deliver(&pair.sides[1], &pair.sides[0]);
        moved = there || back;
    }
}

static void expect_refused(int side, enum mortar_status status, const char *text)
{
    const struct bond_handshake *const handshake = &pair.sides[side].handshake;
    assert_int_equal(handshake->state, BOND_REFUSED);
    assert_int_equal(handshake->refusal.status, status);
    assert_string_equal(handshake->refusal.text, text);
}

/* Whether `side` ever wrote a frame of `type`. */
static bool has_sent(int side, enum bond_type type)
{
    struct pair_side *const from = &pair.sides[side];
    struct frame_header header;
    struct mortar_bytes payload;
    bool found = false;
    from->delivered = 0;
    while (pair_take(from, &header, &payload)) {
        if (header.type == type) found = true;
    }
    return found;
}

static void members_of_one_group_bond(void **state)
{
    (void)state;
    pair_reset();
    pair_run();
    for (int i = 0; i < 2; i++) {
        const struct bond_handshake *const handshake = &pair.sides[i].handshake;
        const struct bond_handshake_options *const there = &pair.options[1 - i];
        assert_int_equal(handshake->state, BOND_DONE);
        assert_true(mortar_member_id_equal(&handshake->peer.member, &there->self));
        assert_memory_equal(handshake->peer.boot_nonce, there->boot_nonce, BOND_NONCE_BYTES);
        assert_int_equal(handshake->peer.version, WIRE_VERSION_MAX);
        assert_int_equal(handshake->peer.generation, 1);
        assert_string_equal(handshake->peer.names.address, there->names.address);
        assert_int_equal(handshake->peer.names.feature_level, there->names.feature_level);
        assert_int_equal(handshake->peer.known.count, 1);
        assert_true(mortar_member_id_equal(&handshake->peer.known.members[0].id,
                                           &there->known.members[0].id));
    }
}

static void bulk_lane_bonds_too(void **state)
{
    (void)state;
    pair_reset();
    pair.options[0].lane = MORTAR_LANE_BULK;
    pair.options[1].lane = MORTAR_LANE_BULK;
    pair_run();
    assert_int_equal(pair.sides[0].handshake.state, BOND_DONE);
    assert_int_equal(pair.sides[1].handshake.state, BOND_DONE);
}

static void wrong_key_says_only_key_and_shows_no_name(void **state)
{
    (void)state;
    pair_reset();
    pair.options[1].keys[0].bytes[31] ^= 1;
    memcpy(pair.options[1].names.network, "zzz", 4); /* Differs too; nobody may hear of it. */
    pair.options[1].group.bytes[0] ^= 1;
    pair_run();
    for (int i = 0; i < 2; i++) {
        expect_refused(i, MORTAR_E_KEY, "key");
        assert_false(has_sent(i, BOND_NAMES));
    }
    assert_false(has_sent(1, BOND_PROOF)); /* It gives no proof to one that has given none. */
}

static void no_key_in_common_says_only_key(void **state)
{
    (void)state;
    pair_reset();
    pair.options[1].keys[0].generation = 2;
    pair_run();
    for (int i = 0; i < 2; i++) {
        expect_refused(i, MORTAR_E_KEY, "key");
        assert_false(has_sent(i, BOND_PROOF));
        assert_false(has_sent(i, BOND_NAMES));
    }
}

static void newest_common_key_is_used_while_one_is_replaced(void **state)
{
    (void)state;
    pair_reset();
    pair.options[0].key_count = 3;
    pair.options[0].keys[0] = (struct bond_key){.generation = 5, .bytes = {5}};
    pair.options[0].keys[1] = (struct bond_key){.generation = 4, .bytes = {4}};
    pair.options[0].keys[2] = (struct bond_key){.generation = 3, .bytes = {3}};
    pair.options[1].key_count = 2;
    pair.options[1].keys[0] = pair.options[0].keys[1];
    pair.options[1].keys[1] = pair.options[0].keys[2];
    pair_run();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pair.sides[i].handshake.state, BOND_DONE);
        assert_int_equal(pair.sides[i].handshake.peer.generation, 4);
    }
}

/* Changes side 1; the group ids differ, as they are a hash over these names. */
static void expect_names_refused(enum mortar_status status, const char *at_0, const char *at_1)
{
    pair.options[1].group.bytes[5] ^= 1;
    pair_run();
    expect_refused(0, status, at_0);
    expect_refused(1, status, at_1);
}

static void other_network_is_named(void **state)
{
    (void)state;
    pair_reset();
    memcpy(pair.options[1].names.network, "lab", 4);
    memcpy(pair.options[1].names.machine, "other", 6); /* The first difference is told. */
    expect_names_refused(MORTAR_E_NETWORK, "network \"net\" here, \"lab\" there",
                         "network \"lab\" here, \"net\" there");
}

static void other_machine_is_named(void **state)
{
    (void)state;
    pair_reset();
    memcpy(pair.options[1].names.machine, "kv", 3);
    expect_names_refused(MORTAR_E_MACHINE, "machine \"lines\" epoch 1 here, \"kv\" epoch 1 there",
                         "machine \"kv\" epoch 1 here, \"lines\" epoch 1 there");
    pair_reset();
    pair.options[1].names.machine_epoch = 2;
    expect_names_refused(MORTAR_E_MACHINE,
                         "machine \"lines\" epoch 1 here, \"lines\" epoch 2 there",
                         "machine \"lines\" epoch 2 here, \"lines\" epoch 1 there");
}

static void other_sync_is_named(void **state)
{
    (void)state;
    pair_reset();
    memcpy(pair.options[1].names.sync, "replay", 7);
    expect_names_refused(MORTAR_E_SYNC, "sync \"auto\" epoch 1 here, \"replay\" epoch 1 there",
                         "sync \"replay\" epoch 1 here, \"auto\" epoch 1 there");
    pair_reset();
    pair.options[1].names.sync_epoch = 7;
    expect_names_refused(MORTAR_E_SYNC, "sync \"auto\" epoch 1 here, \"auto\" epoch 7 there",
                         "sync \"auto\" epoch 7 here, \"auto\" epoch 1 there");
}

static void equal_names_with_another_id_mean_another_birth_key(void **state)
{
    (void)state;
    static const char text[] = "birth key: all names are equal, the group ids differ";
    pair_reset();
    expect_names_refused(MORTAR_E_KEY, text, text);
}

static void group_founded_twice_is_named(void **state)
{
    (void)state;
    pair_reset();
    pair.options[1].names.birth.bytes[0] = 8;
    pair_run();
    expect_refused(0, MORTAR_E_BIRTH, "birth 09090000 here, 08090000 there");
    expect_refused(1, MORTAR_E_BIRTH, "birth 08090000 here, 09090000 there");
}

static void birth_that_is_not_known_yet_does_not_differ(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        pair_reset();
        memset(&pair.options[i].names.birth, 0, sizeof pair.options[i].names.birth);
        pair_run();
        assert_int_equal(pair.sides[0].handshake.state, BOND_DONE);
        assert_int_equal(pair.sides[1].handshake.state, BOND_DONE);
    }
}

static void machine_without_a_common_version_is_named(void **state)
{
    (void)state;
    pair_reset();
    pair.options[1].names.machine_version_min = 3;
    pair.options[1].names.machine_version_max = 4;
    pair_run();
    expect_refused(0, MORTAR_E_VERSION, "machine versions 1..2 here, 3..4 there");
    expect_refused(1, MORTAR_E_VERSION, "machine versions 3..4 here, 1..2 there");
}

static void wire_format_without_a_common_version_is_named(void **state)
{
    (void)state;
    for (int newer = 0; newer < 2; newer++) {
        pair_reset();
        pair.options[1 - newer].version_max = 1;
        pair.options[newer].version_min = 2;
        pair.options[newer].version_max = 5;
        pair_run();
        expect_refused(newer, MORTAR_E_VERSION, "wire format versions 2..5 here, 1..1 there");
        expect_refused(1 - newer, MORTAR_E_VERSION, "wire format versions 1..1 here, 2..5 there");
    }
}

static void highest_common_version_is_spoken(void **state)
{
    (void)state;
    pair_reset();
    pair.options[0].version_min = 1;
    pair.options[0].version_max = 6;
    pair.options[1].version_min = 3;
    pair.options[1].version_max = 4;
    pair_run();
    assert_int_equal(pair.sides[0].handshake.peer.version, 4);
    assert_int_equal(pair.sides[1].handshake.peer.version, 4);
}

static void own_address_is_named(void **state)
{
    (void)state;
    pair.options[0] = pair_options(1, 1, true);
    pair.options[1] = pair_options(1, 1, false);
    pair_run();
    expect_refused(0, MORTAR_E_SELF, "the address leads back to this node");
    expect_refused(1, MORTAR_E_SELF, "the address leads back to this node");
}

static void copied_identity_is_named(void **state)
{
    (void)state;
    pair.options[0] = pair_options(1, 1, true);
    pair.options[1] = pair_options(1, 1, false);
    pair.options[1].boot_nonce[0] ^= 1;
    pair_run();
    expect_refused(0, MORTAR_E_COPIED, "both ends use the same identity");
    expect_refused(1, MORTAR_E_COPIED, "both ends use the same identity");
}

static void member_id_of_another_peer_is_refused(void **state)
{
    (void)state;
    pair_reset();
    pair.options[0].self = sample_member(3); /* The certificate says 1. */
    pair_run();
    expect_refused(1, MORTAR_E_PROTOCOL, "the member id is not of the TLS peer");
}

static void hello_for_another_lane_is_refused(void **state)
{
    (void)state;
    pair_reset();
    pair.options[0].lane = MORTAR_LANE_BULK;
    pair_run();
    expect_refused(1, MORTAR_E_PROTOCOL, "the hello is for another lane");
}

static void proof_of_another_connection_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        pair_reset();
        pair.options[i].exporter[0] ^= 1;
        pair_run();
        expect_refused(0, MORTAR_E_KEY, "key");
        expect_refused(1, MORTAR_E_KEY, "key");
    }
}

static void lane_and_group_are_part_of_the_proof(void **state)
{
    (void)state;
    pair_reset();
    pair_side_init(&pair.sides[0], &pair.options[0]);
    pair_side_init(&pair.sides[1], &pair.options[1]);
    assert_true(pair_deliver(&pair.sides[0], &pair.sides[1])); /* HELLO */
    pair.sides[1].handshake.hello_there.group.bytes[0] ^= 1;   /* As if it had been changed. */
    assert_true(pair_deliver(&pair.sides[1], &pair.sides[0])); /* HELLO */
    assert_true(pair_deliver(&pair.sides[0], &pair.sides[1])); /* PROOF */
    expect_refused(1, MORTAR_E_KEY, "key");

    pair_side_init(&pair.sides[0], &pair.options[0]);
    pair_side_init(&pair.sides[1], &pair.options[1]);
    assert_true(pair_deliver(&pair.sides[0], &pair.sides[1]));
    pair.sides[0].handshake.options.lane = MORTAR_LANE_CONTROL;
    assert_true(pair_deliver(&pair.sides[1], &pair.sides[0]));
    pair.sides[1].handshake.options.lane = MORTAR_LANE_BULK;
    assert_true(pair_deliver(&pair.sides[0], &pair.sides[1]));
    expect_refused(1, MORTAR_E_KEY, "key");
}

/* A peer without the key sends our own proof back to us. */
static void reflected_proof_is_refused(void **state)
{
    (void)state;
    struct frame_header header = {0};
    struct mortar_bytes payload = {0};
    pair_reset();
    pair_side_init(&pair.sides[0], &pair.options[0]);
    pair_side_init(&pair.sides[1], &pair.options[1]);
    assert_true(pair_deliver(&pair.sides[0], &pair.sides[1]));
    assert_true(pair_deliver(&pair.sides[1], &pair.sides[0]));
    assert_true(pair_take(&pair.sides[0], &header, &payload));
    assert_int_equal(header.type, BOND_PROOF);
    (void)bond_handshake_receive(&pair.sides[0].handshake, header.type, payload,
                                 &pair.sides[0].out);
    expect_refused(0, MORTAR_E_KEY, "key");
    assert_false(has_sent(0, BOND_NAMES));
}

/* For each state of each side: every frame but those that may come there. */
static void frame_out_of_order_is_refused(void **state)
{
    (void)state;
    static const enum bond_type expected[] = {BOND_HELLO, BOND_PROOF, BOND_NAMES, BOND_WELCOME};
    for (int side = 0; side < 2; side++) {
        for (int at = BOND_WAIT_HELLO; at <= BOND_WAIT_WELCOME; at++) {
            for (unsigned type = 0; type < 256; type++) {
                if (type == BOND_REFUSE || type == expected[at]) continue;
                pair_reset();
                pair_side_init(&pair.sides[side], &pair.options[side]);
                pair.sides[side].handshake.state = (enum bond_state)at;
                const enum bond_state next =
                    bond_handshake_receive(&pair.sides[side].handshake, (uint8_t)type,
                                           (struct mortar_bytes){0}, &pair.sides[side].out);
                assert_int_equal(next, BOND_REFUSED);
                assert_int_equal(pair.sides[side].handshake.refusal.status, MORTAR_E_PROTOCOL);
                assert_true(has_sent(side, BOND_REFUSE));
            }
        }
    }
}

static void malformed_frame_is_refused(void **state)
{
    (void)state;
    static const enum bond_type expected[] = {BOND_HELLO, BOND_PROOF, BOND_NAMES, BOND_WELCOME};
    static const uint8_t garbage[] = {1, 0, 1, 0, 0xff, 0xff, 0xff};
    for (int at = BOND_WAIT_HELLO; at <= BOND_WAIT_WELCOME; at++) {
        for (int refuse = 0; refuse < 2; refuse++) {
            const enum bond_type type = refuse == 1 ? BOND_REFUSE : expected[at];
            pair_reset();
            pair_side_init(&pair.sides[1], &pair.options[1]);
            pair.sides[1].handshake.state = (enum bond_state)at;
            (void)bond_handshake_receive(&pair.sides[1].handshake, (uint8_t)type,
                                         (struct mortar_bytes){garbage, sizeof garbage},
                                         &pair.sides[1].out);
            assert_int_equal(pair.sides[1].handshake.refusal.status, MORTAR_E_PROTOCOL);
            assert_false(pair.sides[1].handshake.refused_there);
        }
    }
}

static void refusal_of_the_peer_is_passed_on(void **state)
{
    (void)state;
    pair_reset();
    pair_side_init(&pair.sides[0], &pair.options[0]);
    pair_side_init(&pair.sides[1], &pair.options[1]);
    bond_handshake_refuse(&pair.sides[1].handshake, MORTAR_E_BUSY, "too many half-open links",
                          &pair.sides[1].out);
    assert_true(pair_deliver(&pair.sides[1], &pair.sides[0]));
    expect_refused(0, MORTAR_E_BUSY, "too many half-open links");
    expect_refused(1, MORTAR_E_BUSY, "too many half-open links");
    assert_true(pair.sides[0].handshake.refused_there);
    assert_false(pair.sides[1].handshake.refused_there);
    assert_false(has_sent(0, BOND_REFUSE)); /* A refusal is not answered. */
}

static enum mortar_status failing_hmac(void *context, struct mortar_bytes key,
                                       struct mortar_bytes message,
                                       uint8_t out_code[BOND_CODE_BYTES])
{
    (void)context;
    (void)key;
    (void)message;
    (void)out_code;
    return MORTAR_E_NO_MEMORY;
}

static void failing_cryptography_lets_nobody_in(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        pair_reset();
        pair.options[i].crypto.hmac = failing_hmac;
        pair_run();
        expect_refused(0, MORTAR_E_NO_MEMORY, "the proof could not be computed");
        expect_refused(1, MORTAR_E_NO_MEMORY, "the proof could not be computed");
    }
}

static void largest_step_fits_its_bound(void **state)
{
    (void)state;
    pair_reset();
    for (int i = 0; i < 2; i++) {
        struct bond_handshake_options *const options = &pair.options[i];
        options->known.count = MORTAR_MEMBERS_MAX;
        for (uint32_t j = 0; j < MORTAR_MEMBERS_MAX; j++) {
            options->known.members[j].id = sample_member((uint8_t)(j + 1));
            memset(options->known.members[j].address, 'a', MORTAR_ADDRESS_BYTES_MAX);
        }
        memset(options->names.network, 'n', MORTAR_NAME_BYTES_MAX);
        memset(options->names.machine, 'm', MORTAR_NAME_BYTES_MAX);
        memset(options->names.sync, 's', MORTAR_NAME_BYTES_MAX);
        memset(options->names.address, 'a', MORTAR_ADDRESS_BYTES_MAX);
    }
    for (int i = 0; i < 2; i++)
        pair_side_init(&pair.sides[i], &pair.options[i]);
    for (int step = 0; step < 16; step++) {
        struct pair_side *const from = &pair.sides[step % 2];
        struct pair_side *const to = &pair.sides[1 - step % 2];
        const size_t before = to->out.bytes;
        (void)pair_deliver(from, to);
        assert_true(to->out.bytes - before <= BOND_STEP_BYTES_MAX);
    }
    assert_int_equal(pair.sides[0].handshake.state, BOND_DONE);
    assert_int_equal(pair.sides[1].handshake.state, BOND_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_one_group_bond),
        cmocka_unit_test(bulk_lane_bonds_too),
        cmocka_unit_test(wrong_key_says_only_key_and_shows_no_name),
        cmocka_unit_test(no_key_in_common_says_only_key),
        cmocka_unit_test(newest_common_key_is_used_while_one_is_replaced),
        cmocka_unit_test(other_network_is_named),
        cmocka_unit_test(other_machine_is_named),
        cmocka_unit_test(other_sync_is_named),
        cmocka_unit_test(equal_names_with_another_id_mean_another_birth_key),
        cmocka_unit_test(group_founded_twice_is_named),
        cmocka_unit_test(birth_that_is_not_known_yet_does_not_differ),
        cmocka_unit_test(machine_without_a_common_version_is_named),
        cmocka_unit_test(wire_format_without_a_common_version_is_named),
        cmocka_unit_test(highest_common_version_is_spoken),
        cmocka_unit_test(own_address_is_named),
        cmocka_unit_test(copied_identity_is_named),
        cmocka_unit_test(member_id_of_another_peer_is_refused),
        cmocka_unit_test(hello_for_another_lane_is_refused),
        cmocka_unit_test(proof_of_another_connection_is_refused),
        cmocka_unit_test(lane_and_group_are_part_of_the_proof),
        cmocka_unit_test(reflected_proof_is_refused),
        cmocka_unit_test(frame_out_of_order_is_refused),
        cmocka_unit_test(malformed_frame_is_refused),
        cmocka_unit_test(refusal_of_the_peer_is_passed_on),
        cmocka_unit_test(failing_cryptography_lets_nobody_in),
        cmocka_unit_test(largest_step_fits_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
