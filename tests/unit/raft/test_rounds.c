/* Catch-up rounds of one member: when they begin, end, and begin anew (raft/rounds.c). */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

#define TIMEOUT 10u /* cluster_default_options() */

static struct raft_member *peer(struct cluster_node *node, uint32_t number)
{
    const struct mortar_member_id id = cluster_id(number);
    return raft_member_find(node->raft, &id);
}

/* A leader of three whose peer 2 has ended its first round at once. */
static struct cluster_node *leader(void)
{
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, node->log.last);
    solo_matched(node, 2, node->log.last);
    assert_true(raft_keeps_up(node->raft, peer(node, 2)));
    return node;
}

/* Time in which both peers answer heartbeats, at `match`. */
static void pass(struct cluster_node *node, uint32_t ticks, uint64_t match)
{
    for (uint32_t i = 0; i < ticks; i++) {
        cluster_tick(node, 1);
        solo_matched(node, 1, match);
        solo_matched(node, 2, match);
    }
}

static void a_round_is_over_when_its_entries_match_and_not_before(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    const uint64_t first = node->log.last;
    assert_int_equal(cluster_propose(node, 5), MORTAR_OK);
    cluster_store(node);
    solo_matched(node, 2, first); /* Nothing to do ends at once, and another begins. */
    assert_int_equal(peer(node, 2)->rounds.goal, first + 5);
    assert_int_equal(cluster_propose(node, 2), MORTAR_OK);
    cluster_store(node);
    pass(node, 3, first + 4);
    assert_int_equal(peer(node, 2)->rounds.ticks, 3);
    solo_matched(node, 2, first + 6); /* More than the round was about. */
    assert_int_equal(peer(node, 2)->rounds.ticks, 0);
    assert_int_equal(peer(node, 2)->rounds.goal, first + 7);
    assert_true(raft_keeps_up(node->raft, peer(node, 2)));
    solo_close(node);
}

static void who_stands_still_does_not_keep_up(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    const uint64_t first = node->log.last;
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    cluster_store(node);
    solo_matched(node, 2, first);
    pass(node, TIMEOUT - 1, first);
    assert_true(raft_keeps_up(node->raft, peer(node, 2)));
    pass(node, 1, first);
    assert_false(raft_keeps_up(node->raft, peer(node, 2)));
    solo_close(node);
}

static void link_breaks(struct cluster_node *node)
{
    cluster_step(node, &(struct raft_event){.type = RAFT_LINK, .from = cluster_id(2), .up = false});
}

static void peer_is_silent(struct cluster_node *node)
{
    for (uint32_t i = 0; i < TIMEOUT; i++) {
        cluster_tick(node, 1);
        solo_matched(node, 1, node->log.last);
    }
}

static void something_was_lost(struct cluster_node *node)
{
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    cluster_store(node);
    cluster_flush(node);
    solo_mismatch(node, 2, at(node->log.last - 1, raft_term(node->raft)));
}

static void another_term_is_led(struct cluster_node *node)
{
    solo_append_reply(node, 1, (struct append_reply){.term = raft_term(node->raft) + 1});
    solo_lead(node, 2);
}

static void rounds_begin_anew_with_the_link_the_progress_and_the_term(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        void (*happens)(struct cluster_node *node);
    } cases[] = {
        {"the link breaks", link_breaks},
        {"it is silent, so progress leaves REPLICATE", peer_is_silent},
        {"an append was lost: the same", something_was_lost},
        {"another term", another_term_is_led},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cluster_node *node = leader();
        print_message("  %s\n", cases[i].why);
        cases[i].happens(node);
        assert_false(raft_keeps_up(node->raft, peer(node, 2)));
        assert_int_equal(peer(node, 2)->rounds.slow, 0);
        assert_int_equal(peer(node, 2)->rounds.ticks, 0);
        solo_close(node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_is_over_when_its_entries_match_and_not_before),
        cmocka_unit_test(who_stands_still_does_not_keep_up),
        cmocka_unit_test(rounds_begin_anew_with_the_link_the_progress_and_the_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
