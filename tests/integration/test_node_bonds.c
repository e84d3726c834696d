/* Two and more nodes on loopback: who bonds, who does not, and what both sides say about it. */
#include "integration/node_place.h"
#include "mortar/sync.h"
#include "os/memory.h"
#include "unit/test.h"

#include <stdio.h>
#include <string.h>

static void two_nodes_bond_on_both_lanes_and_stay_bonded(void **state)
{
    (void)state;
    struct place place;
    struct member a;
    struct member b;
    place_begin(&place);
    struct mortar_node_options options = member_options(&a, &place, "a");
    member_open(&a, &options);
    member_found(&a);
    options = member_options(&b, &place, "b");
    options.peers = a.address;
    member_open(&b, &options);
    member_join(&b);
    expect_bonds(&a, 1);
    expect_bonds(&b, 1);
    short_while(500); /* Two heartbeats: pongs came, nothing was connected twice. */
    struct mortar_bond_status bond;
    assert_int_equal(mortar_node_bonds(a.node, &bond, 1), 1);
    const struct mortar_peer_id id = mortar_node_id(b.node);
    assert_memory_equal(&bond.peer, &id, sizeof id);
    assert_string_equal(bond.address, b.address);
    assert_true(bond.round_trip_us > 0);
    assert_true(bond.bytes_in > 0 && bond.bytes_out > 0);
    const struct mortar_node_metrics metrics = member_metrics(&a);
    assert_int_equal(metrics.links_lost, 0);
    assert_true(metrics.frames_in > 0 && metrics.frames_out > 0);
    member_close(&b);
    expect_logged(&a, "said good-bye");
    expect_bonds(&a, 0);
    member_close(&a);
    place_end(&place);
}

/* Each knows only one other: a <- b <- c <- d; gossip closes the mesh. */
static void a_chain_of_first_contacts_becomes_a_full_mesh(void **state)
{
    (void)state;
    enum { COUNT = 4 };
    struct place place;
    static struct member members[COUNT];
    place_begin(&place);
    for (unsigned i = 0; i < COUNT; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "m%u", i);
        struct mortar_node_options options = member_options(&members[i], &place, name);
        if (i > 0) options.peers = members[i - 1].address;
        member_open(&members[i], &options);
        if (i == 0) {
            member_found(&members[i]);
        } else {
            member_join(&members[i]);
        }
    }
    for (unsigned i = 0; i < COUNT; i++)
        expect_bonds(&members[i], COUNT - 1);
    short_while(300);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(member_bond_count(&members[i]), COUNT - 1);
    for (unsigned i = 0; i < COUNT; i++)
        member_close(&members[i]);
    place_end(&place);
}

/* Both name each other, so both connect at once, five times: one link stays, nothing flaps. */
static void nodes_that_connect_at_once_keep_one_bond(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        struct place place;
        struct member a;
        struct member b;
        place_begin(&place);
        struct mortar_node_options options = member_options(&a, &place, "a");
        member_open(&a, &options);
        char peers[2 * MORTAR_ADDRESS_BYTES_MAX];
        options = member_options(&b, &place, "b");
        options.peers = a.address;
        member_open(&b, &options);
        /* Now a is to know b's port: it is opened again, on its own. */
        char listen[MORTAR_ADDRESS_BYTES_MAX + 1];
        memcpy(listen, a.address, sizeof listen);
        member_close(&a);
        options = member_options(&a, &place, "a");
        (void)snprintf(peers, sizeof peers, "%s,%s", b.address, listen); /* Itself, too. */
        options.peers = peers;
        options.listen = listen;
        member_open(&a, &options);
        member_found(&a);
        member_join(&b);
        expect_bonds(&a, 1);
        expect_bonds(&b, 1);
        assert_int_equal(
            mortar_group_wait(a.group,
                              (struct mortar_condition){.kind = MORTAR_UNTIL_VOTERS, .index = 2},
                              SOON_MS),
            MORTAR_OK);
        assert_int_equal(member_metrics(&a).links_lost, 0);
        member_close(&a);
        member_close(&b);
        place_end(&place);
    }
}

/* ---- Those that do not belong together ---- */

static uint64_t refused_key(const struct mortar_node_metrics *metrics)
{
    return metrics->refused_key;
}

static uint64_t refused_network(const struct mortar_node_metrics *metrics)
{
    return metrics->refused_network;
}

static uint64_t refused_machine(const struct mortar_node_metrics *metrics)
{
    return metrics->refused_machine;
}

static uint64_t refused_sync(const struct mortar_node_metrics *metrics)
{
    return metrics->refused_sync;
}

static uint64_t refused_birth(const struct mortar_node_metrics *metrics)
{
    return metrics->refused_birth;
}

struct stranger {
    const char *why;
    const char *network;
    const struct mortar_machine_ops *machine;
    bool other_key;
    bool founds;
    const char *line_here; /* At the founder, and at the stranger. */
    const char *line_there;
    uint64_t (*counter)(const struct mortar_node_metrics *metrics);
};

static void open_stranger(struct member *member, struct place *place, const char *peer,
                          const struct stranger *stranger)
{
    struct mortar_node_options options = member_options(member, place, "stranger");
    options.peers = peer;
    options.network = stranger->network;
    member_open(member, &options);
    struct mortar_group_options group = member_group_options(member);
    group.machine = stranger->machine;
    const enum mortar_status status = stranger->founds
                                          ? mortar_group_found(member->node, &group, &member->group)
                                          : mortar_group_join(member->node, &group, &member->group);
    assert_int_equal(status, MORTAR_OK);
}

static void try_stranger(const struct stranger *stranger)
{
    struct place place;
    struct place elsewhere;
    struct member a;
    struct member b;
    print_message("  %s\n", stranger->why);
    place_begin(&place);
    place_begin(&elsewhere);
    const struct mortar_node_options options = member_options(&a, &place, "a");
    member_open(&a, &options);
    member_found(&a);
    open_stranger(&b, stranger->other_key ? &elsewhere : &place, a.address, stranger);
    expect_logged(&a, stranger->line_here);
    expect_logged(&b, stranger->line_there);
    struct mortar_node_metrics metrics = member_metrics(&a);
    assert_true(stranger->counter(&metrics) >= 1);
    metrics = member_metrics(&b);
    assert_true(stranger->counter(&metrics) >= 1);
    assert_int_equal(member_bond_count(&a), 0);
    assert_int_equal(member_bond_count(&b), 0);
    struct mortar_result result; /* The founder goes on. */
    assert_int_equal(mortar_group_execute(a.group, (struct mortar_bytes){(const uint8_t *)"x", 1},
                                          SOON_MS, &result),
                     MORTAR_OK);
    mortar_result_release(&result);
    member_close(&b);
    member_close(&a);
    place_end(&place);
    place_end(&elsewhere);
}

static void strangers_are_refused_by_name_on_both_sides(void **state)
{
    (void)state;
    struct mortar_machine_ops other_machine = counting_machine;
    other_machine.name = "another";
    struct mortar_machine_ops other_epoch = counting_machine;
    other_epoch.epoch = 2;
    struct mortar_sync_method *replay;
    assert_int_equal(mortar_sync_log_replay(&memory_default, NULL, &replay), MORTAR_OK);
    struct mortar_machine_ops other_sync = counting_machine;
    other_sync.sync = replay;
    const struct stranger strangers[] = {
        {.why = "key",
         .machine = &counting_machine,
         .other_key = true,
         .line_here = "refused: key (MORTAR_E_KEY)",
         .line_there = "refused there: key (MORTAR_E_KEY)",
         .counter = refused_key},
        {.why = "network",
         .network = "moon",
         .machine = &counting_machine,
         .line_here = "network \"default\" here, \"moon\" there (MORTAR_E_NETWORK)",
         .line_there = "network \"moon\" here, \"default\" there (MORTAR_E_NETWORK)",
         .counter = refused_network},
        {.why = "machine",
         .machine = &other_machine,
         .line_here =
             "machine \"counting\" epoch 1 here, \"another\" epoch 1 there (MORTAR_E_MACHINE)",
         .line_there = "machine \"another\" epoch 1 here, \"counting\" epoch 1 there",
         .counter = refused_machine},
        {.why = "machine epoch",
         .machine = &other_epoch,
         .line_here = "machine \"counting\" epoch 1 here, \"counting\" epoch 2 there",
         .line_there = "machine \"counting\" epoch 2 here, \"counting\" epoch 1 there",
         .counter = refused_machine},
        {.why = "sync",
         .machine = &other_sync,
         .line_here = "sync \"auto\" epoch 1 here, \"log-replay\" epoch 1 there (MORTAR_E_SYNC)",
         .line_there = "sync \"log-replay\" epoch 1 here, \"auto\" epoch 1 there (MORTAR_E_SYNC)",
         .counter = refused_sync},
        {.why = "birth",
         .machine = &counting_machine,
         .founds = true,
         .line_here = "MORTAR_E_BIRTH",
         .line_there = "MORTAR_E_BIRTH",
         .counter = refused_birth},
    };
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        try_stranger(&strangers[i]);
    mortar_sync_log_replay_free(replay);
}

static void a_refusal_is_logged_once_however_often_it_comes(void **state)
{
    (void)state;
    struct place place;
    struct member a;
    struct member b;
    place_begin(&place);
    struct mortar_node_options options = member_options(&a, &place, "a");
    member_open(&a, &options);
    member_found(&a);
    options = member_options(&b, &place, "b");
    options.peers = a.address;
    options.network = "moon";
    options.reconnect_ms_max = 60;
    member_open(&b, &options);
    member_join(&b);
    expect_logged(&a, "MORTAR_E_NETWORK");
    short_while(600);
    assert_true(member_metrics(&a).refused_network > 2);
    /* The repetitions are debug lines, level 3. */
    assert_int_equal(member_logged_count(&a, "1 bond with"), 1);
    assert_int_equal(member_logged_count(&b, "1 bond with"), 1);
    assert_true(member_logged_count(&a, "3 bond with") > 1);
    member_close(&b);
    struct mortar_result result;
    assert_int_equal(mortar_group_execute(a.group, (struct mortar_bytes){(const uint8_t *)"x", 1},
                                          SOON_MS, &result),
                     MORTAR_OK);
    mortar_result_release(&result);
    member_close(&a);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_bond_on_both_lanes_and_stay_bonded),
        cmocka_unit_test(a_chain_of_first_contacts_becomes_a_full_mesh),
        cmocka_unit_test(nodes_that_connect_at_once_keep_one_bond),
        cmocka_unit_test(strangers_are_refused_by_name_on_both_sides),
        cmocka_unit_test(a_refusal_is_logged_once_however_often_it_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
