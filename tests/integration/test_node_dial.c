/* Where a node connects to, how often, and whom it believes. */
#include "integration/node_place.h"
#include "integration/raw_host.h"
#include "unit/test.h"

#include <stdio.h>
#include <string.h>

struct pair {
    struct place place;
    struct raw_host host;
    struct member member;
};

/* A member whose one first contact is a raw host. */
static void pair_begin(struct pair *pair, enum raw_manner manner, uint32_t reconnect_ms_max)
{
    place_begin(&pair->place);
    raw_host_bind(&pair->host, manner);
    struct mortar_node_options options = member_options(&pair->member, &pair->place, "a");
    options.peers = pair->host.address;
    options.reconnect_ms_max = reconnect_ms_max;
    member_open(&pair->member, &options);
    member_found(&pair->member);
    raw_host_begin(&pair->host, &pair->place, &pair->member);
}

static void pair_end(struct pair *pair)
{
    member_close(&pair->member);
    raw_host_end(&pair->host);
    place_end(&pair->place);
}

static bool was_asked_again(void *context)
{
    return atomic_load(&((struct raw_host *)context)->accepted) >= 4;
}

/* Else anybody who answers at a member's address for a moment could cut it off for good. */
static void a_stranger_who_says_we_talk_to_ourselves_is_not_believed(void **state)
{
    (void)state;
    static struct pair pair;
    pair_begin(&pair, RAW_SAYS_SELF, 100);
    assert_true(soon(was_asked_again, &pair.host));
    pair_end(&pair);
}

static bool was_bonded_twice(void *context)
{
    return atomic_load(&((struct raw_host *)context)->bonded) >= 2;
}

/* 50, 100, 200, 400, 800 ms: five times in the first second and a half, each at most half of its
 * pause earlier. Without back-off it would be some forty. */
static void a_peer_that_lets_us_in_and_closes_is_asked_less_and_less(void **state)
{
    (void)state;
    static struct pair pair;
    pair_begin(&pair, RAW_LETS_IN_AND_CLOSES, 2000);
    assert_true(soon(was_bonded_twice, &pair.host));
    short_while(1500);
    assert_in_range(atomic_load(&pair.host.bonded), 2, 9);
    assert_int_equal(member_bond_count(&pair.member), 0);
    pair_end(&pair);
}

static void try_bond(const char *listen, const char *peer_host)
{
    struct place place;
    struct member a;
    struct member b;
    char peer[MORTAR_ADDRESS_BYTES_MAX + 1];
    print_message("  %s by %s\n", listen, peer_host);
    place_begin(&place);
    struct mortar_node_options options = member_options(&a, &place, "a");
    options.listen = listen;
    member_open(&a, &options);
    member_found(&a);
    (void)snprintf(peer, sizeof peer, "%s%s", peer_host, strrchr(a.address, ':'));
    options = member_options(&b, &place, "b");
    options.listen = listen;
    options.peers = peer;
    member_open(&b, &options);
    member_join(&b);
    const struct mortar_condition two = {.kind = MORTAR_UNTIL_VOTERS, .index = 2};
    assert_int_equal(mortar_group_wait(b.group, two, SOON_MS), MORTAR_OK);
    expect_bonds(&a, 1);
    expect_bonds(&b, 1);
    member_close(&b);
    member_close(&a);
    place_end(&place);
}

/* The last two advertise nothing: whoever listens everywhere is reached by first contact alone. */
static void members_find_each_other_by_number_and_by_name(void **state)
{
    (void)state;
    try_bond("127.0.0.1:0", "localhost");
    try_bond("[::1]:0", "[::1]");
    try_bond("localhost:0", "localhost");
    try_bond("0.0.0.0:0", "127.0.0.1");
    try_bond("[::]:0", "127.0.0.1");
}

/* Neither a name that nobody knows nor an address where nobody answers holds anything up. */
static void contacts_that_cannot_be_reached_do_no_harm(void **state)
{
    (void)state;
    struct place place;
    struct member a;
    struct member b;
    char peers[2 * MORTAR_ADDRESS_BYTES_MAX];
    place_begin(&place);
    struct mortar_node_options options = member_options(&a, &place, "a");
    member_open(&a, &options);
    member_found(&a);
    options = member_options(&b, &place, "b");
    (void)snprintf(peers, sizeof peers, "nobody.invalid:1,127.0.0.1:1,%s", a.address);
    options.peers = peers;
    member_open(&b, &options);
    member_join(&b);
    expect_bonds(&b, 1);
    expect_logged(&b, "nobody.invalid:1 ended in its handshake");
    member_close(&b);
    member_close(&a);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_who_says_we_talk_to_ourselves_is_not_believed),
        cmocka_unit_test(a_peer_that_lets_us_in_and_closes_is_asked_less_and_less),
        cmocka_unit_test(members_find_each_other_by_number_and_by_name),
        cmocka_unit_test(contacts_that_cannot_be_reached_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
