/* Waiting: every condition completes when it comes true, once, and not before. */
#include "integration/forwarder.h"
#include "integration/node_place.h"
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mortar_bytes command = {(const uint8_t *)"0123456789", 10};

/* One wait that is open, or was. */
struct wait {
    atomic_uint count;
    atomic_int status;
    uint64_t committed;
};

static void note(void *argument, const struct mortar_result *result)
{
    struct wait *const wait = argument;
    wait->committed = result->first.index;
    atomic_store(&wait->status, (int)result->status);
    (void)atomic_fetch_add(&wait->count, 1);
}

static void begin(struct wait *wait, const struct member *member, struct mortar_condition condition)
{
    memset(wait, 0, sizeof *wait);
    assert_int_equal(mortar_group_wait_async(member->group, condition, UINT32_MAX, note, wait),
                     MORTAR_OK);
}

static bool is_over(void *context)
{
    return atomic_load(&((struct wait *)context)->count) > 0;
}

static void expect_held(struct wait *wait)
{
    assert_true(soon(is_over, wait));
    assert_int_equal(atomic_load(&wait->status), MORTAR_OK);
    assert_int_equal(atomic_load(&wait->count), 1);
}

static void wait_now(const struct member *member, enum mortar_condition_kind kind, uint64_t index)
{
    const struct mortar_condition condition = {.kind = kind, .index = index};
    assert_int_equal(mortar_group_wait(member->group, condition, SOON_MS), MORTAR_OK);
}

static void wait_leader(const struct member *member, const struct member *leader)
{
    const struct mortar_condition condition = {.kind = MORTAR_UNTIL_LEADER_IS,
                                               .member = mortar_group_member_id(leader->group)};
    assert_int_equal(mortar_group_wait(member->group, condition, SOON_MS), MORTAR_OK);
}

static uint64_t execute(const struct member *member)
{
    struct mortar_result result;
    assert_int_equal(mortar_group_execute(member->group, command, SOON_MS, &result), MORTAR_OK);
    const uint64_t index = result.last.index;
    mortar_result_release(&result);
    return index;
}

static void what_a_founder_waits_for_comes(void **state)
{
    (void)state;
    struct place place;
    struct member a;
    place_begin(&place);
    const struct mortar_node_options options = member_options(&a, &place, "a");
    member_open(&a, &options);
    member_found(&a);
    wait_now(&a, MORTAR_UNTIL_LEADER_ELECTED, 0);
    wait_now(&a, MORTAR_UNTIL_IS_LEADER, 0);
    wait_leader(&a, &a);
    wait_now(&a, MORTAR_UNTIL_ONLINE, 0);
    wait_now(&a, MORTAR_UNTIL_VOTER, 0);
    wait_now(&a, MORTAR_UNTIL_MEMBERS, 1);
    wait_now(&a, MORTAR_UNTIL_VOTERS, 1);

    const uint64_t next = execute(&a) + 1;
    const struct mortar_condition moving[] = {
        {.kind = MORTAR_UNTIL_COMMITTED, .index = next},
        {.kind = MORTAR_UNTIL_APPLIED, .index = next},
        {.kind = MORTAR_UNTIL_LOG_REACHES, .index = next},
        {.kind = MORTAR_UNTIL_COMMIT_ADVANCED},
        {.kind = MORTAR_UNTIL_LOG_ADVANCED},
        {.kind = MORTAR_UNTIL_LOG_CHANGED},
    };
    enum { MOVING = sizeof moving / sizeof moving[0] };
    const struct mortar_condition staying[] = {
        {.kind = MORTAR_UNTIL_COMMITTED, .index = next + 9},
        {.kind = MORTAR_UNTIL_LOG_REVERTED},
        {.kind = MORTAR_UNTIL_LEADER_CHANGED},
        {.kind = MORTAR_UNTIL_IS_FOLLOWER},
        {.kind = MORTAR_UNTIL_OFFLINE},
        {.kind = MORTAR_UNTIL_BONDS_CHANGED},
        {.kind = MORTAR_UNTIL_MEMBERS, .index = 2},
    };
    enum { STAYING = sizeof staying / sizeof staying[0] };
    struct wait moves[MOVING];
    struct wait stays[STAYING];
    for (unsigned i = 0; i < MOVING; i++)
        begin(&moves[i], &a, moving[i]);
    for (unsigned i = 0; i < STAYING; i++)
        begin(&stays[i], &a, staying[i]);
    short_while(100);
    for (unsigned i = 0; i < MOVING; i++)
        assert_int_equal(atomic_load(&moves[i].count), 0);
    assert_int_equal(execute(&a), next);
    for (unsigned i = 0; i < MOVING; i++)
        expect_held(&moves[i]);
    assert_true(moves[0].committed >= next);
    short_while(100);
    for (unsigned i = 0; i < STAYING; i++)
        assert_int_equal(atomic_load(&stays[i].count), 0);
    member_close(&a);
    for (unsigned i = 0; i < STAYING; i++) {
        assert_int_equal(atomic_load(&stays[i].count), 1);
        assert_int_equal(atomic_load(&stays[i].status), MORTAR_E_CLOSED);
    }
    place_end(&place);
}

/* a can be reached through the forwarder alone, and reaches nobody by itself. */
struct island {
    struct place place;
    struct forwarder forwarder;
    struct member a;
    struct member b;
    struct member c;
};

static uint16_t port_of(const struct member *member)
{
    return (uint16_t)strtoul(strrchr(member->address, ':') + 1, NULL, 10);
}

static void island_begin(struct island *island)
{
    char advertise[32];
    char peers[64];
    place_begin(&island->place);
    forwarder_begin(&island->forwarder);
    (void)snprintf(advertise, sizeof advertise, "127.0.0.1:%u", (unsigned)island->forwarder.port);
    struct mortar_node_options options = member_options(&island->a, &island->place, "a");
    options.advertise = advertise;
    member_open(&island->a, &options);
    forwarder_set_target(&island->forwarder, port_of(&island->a));
    member_found(&island->a);
    wait_now(&island->a, MORTAR_UNTIL_IS_LEADER, 0); /* And stays so, as the others are new. */

    options = member_options(&island->b, &island->place, "b");
    options.listen = "0.0.0.0:0"; /* Advertises nothing. */
    options.peers = advertise;
    member_open(&island->b, &options);
    member_join(&island->b);
    (void)snprintf(peers, sizeof peers, "%s,127.0.0.1:%u", advertise,
                   (unsigned)port_of(&island->b));
    options = member_options(&island->c, &island->place, "c");
    options.listen = "0.0.0.0:0";
    options.peers = peers;
    member_open(&island->c, &options);
    member_join(&island->c);
}

static void island_end(struct island *island)
{
    member_close(&island->c);
    member_close(&island->b);
    member_close(&island->a);
    forwarder_end(&island->forwarder);
    place_end(&island->place);
}

/* The leader is cut off with an entry of its own; the others go on; it comes back and gives that
 * entry up. Meanwhile it says neither "committed" nor what its machine holds. */
static void what_a_partition_changes_is_seen_on_both_sides(void **state)
{
    (void)state;
    static struct island island;
    struct member *const a = &island.a;
    struct member *const b = &island.b;
    struct mortar_result result;
    struct wait bonds;
    struct wait members;
    struct wait voters;
    island_begin(&island);
    begin(&bonds, a, (struct mortar_condition){.kind = MORTAR_UNTIL_BONDS_CHANGED});
    begin(&members, a, (struct mortar_condition){.kind = MORTAR_UNTIL_MEMBERS, .index = 3});
    begin(&voters, b, (struct mortar_condition){.kind = MORTAR_UNTIL_VOTERS, .index = 3});
    expect_held(&members);
    expect_held(&voters);
    wait_now(&island.c, MORTAR_UNTIL_VOTER, 0);
    wait_now(b, MORTAR_UNTIL_ONLINE, 0);
    wait_now(b, MORTAR_UNTIL_IS_FOLLOWER, 0);
    wait_leader(b, a);
    expect_bonds(a, 2);
    expect_bonds(b, 2);
    (void)execute(b);

    struct wait a_follows;
    struct wait a_offline;
    struct wait a_reverted;
    struct wait a_changed;
    struct wait b_offline;
    struct wait b_changed;
    begin(&bonds, a, (struct mortar_condition){.kind = MORTAR_UNTIL_BONDS_CHANGED});
    begin(&a_follows, a, (struct mortar_condition){.kind = MORTAR_UNTIL_IS_FOLLOWER});
    begin(&a_offline, a, (struct mortar_condition){.kind = MORTAR_UNTIL_OFFLINE});
    begin(&a_changed, a, (struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_CHANGED});
    begin(&b_offline, b, (struct mortar_condition){.kind = MORTAR_UNTIL_OFFLINE});
    begin(&b_changed, b, (struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_CHANGED});
    forwarder_cut(&island.forwarder);
    expect_held(&bonds);
    expect_bonds(a, 0);
    assert_int_equal(mortar_group_feed_many(a->group, &command, 1, SOON_MS, &result), MORTAR_OK);
    begin(&a_reverted, a, (struct mortar_condition){.kind = MORTAR_UNTIL_LOG_REVERTED});
    const struct mortar_condition committed = {.kind = MORTAR_UNTIL_COMMITTED,
                                               .index = result.first.index};
    assert_int_equal(mortar_group_wait(a->group, committed, 50), MORTAR_E_TIMEOUT);
    expect_held(&a_follows); /* Its quorum is gone. */
    expect_held(&a_offline);
    const enum mortar_status read = mortar_group_query(a->group, (struct mortar_bytes){NULL, 0},
                                                       MORTAR_READ_LINEARIZABLE, 100, &result);
    assert_true(read == MORTAR_E_TIMEOUT || read == MORTAR_E_NO_LEADER ||
                read == MORTAR_E_INCOMPLETE);
    expect_held(&b_offline);
    expect_held(&b_changed);
    (void)execute(b);
    assert_int_equal(atomic_load(&a_reverted.count), 0);
    assert_int_equal(atomic_load(&a_changed.count), 0);

    forwarder_heal(&island.forwarder);
    expect_held(&a_reverted);
    expect_held(&a_changed);
    wait_now(a, MORTAR_UNTIL_ONLINE, 0);
    assert_int_equal(mortar_group_query(a->group, (struct mortar_bytes){NULL, 0},
                                        MORTAR_READ_LINEARIZABLE, SOON_MS, &result),
                     MORTAR_OK);
    uint64_t total = 0;
    memcpy(&total, mortar_result_reply(&result, 0).data, sizeof total);
    mortar_result_release(&result);
    assert_int_equal(total, 20); /* What it fed alone is lost, as feed may. */
    island_end(&island);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_founder_waits_for_comes),
        cmocka_unit_test(what_a_partition_changes_is_seen_on_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
