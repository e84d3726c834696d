/* Thesis 4.2.3 and 9.6 (disruptive members, pre-vote), 6.2 (a leader without a majority), 6.4
 * (read-index): one test per rule. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static struct cluster *three(void)
{
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, 3, 3, 0);
    cluster_elect(cluster, 0);
    return cluster;
}

static void thesis_9_6_an_isolated_member_does_not_raise_its_term(void **state)
{
    (void)state;
    struct cluster *cluster = three();
    const uint64_t term = raft_term(cluster->nodes[0].raft);
    cluster_isolate(cluster, 2, true);
    cluster_run(cluster, 300);
    assert_int_equal(raft_role(cluster->nodes[2].raft), MORTAR_PRE_CANDIDATE);
    assert_int_equal(raft_term(cluster->nodes[2].raft), term);
    cluster_isolate(cluster, 2, false);
    cluster_run(cluster, 20);
    assert_int_equal(raft_role(cluster->nodes[0].raft), MORTAR_LEADER);
    assert_int_equal(raft_term(cluster->nodes[0].raft), term);
    assert_int_equal(raft_role(cluster->nodes[2].raft), MORTAR_FOLLOWER);
    cluster_close(cluster);
}

static void thesis_9_6_a_pre_vote_promises_nothing(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    const struct vote_request ask = {.term = 2, .last = at(1, 1), .pre = true};
    solo_vote_request(node, 1, ask);
    solo_vote_request(node, 2, ask); /* Both may ask, in the same term. */
    assert_true(solo_vote(node, 1)->granted && solo_vote(node, 2)->granted);
    assert_int_equal(solo_vote(node, 1)->term, 2);
    assert_int_equal(raft_term(node->raft), 1);
    assert_int_equal(node->saves_asked, 0);
    solo_close(node);
}

static void thesis_9_6_a_real_vote_is_asked_for_after_a_majority_of_pre_votes(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(4);
    solo_time_out(node);
    solo_vote_reply(node, 1, 2, true, true);
    solo_vote_reply(node, 1, 2, true, true);
    solo_vote_reply(node, 2, 1, true, false); /* Its own term. */
    assert_int_equal(raft_role(node->raft), MORTAR_PRE_CANDIDATE);
    assert_int_equal(raft_term(node->raft), 1);
    solo_vote_reply(node, 3, 2, true, true);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    assert_int_equal(raft_term(node->raft), 2);
    solo_close(node);
}

/* 4.2.3: a member that campaigns though a leader is well changes nobody's term. */
static void thesis_4_2_3_members_that_hear_a_leader_are_not_disturbed(void **state)
{
    (void)state;
    struct cluster *cluster = three();
    cluster_run(cluster, 3);
    const uint64_t term = raft_term(cluster->nodes[0].raft);
    for (uint32_t i = 0; i < 3; i++) {
        solo_vote_request(&cluster->nodes[i], 7,
                          (struct vote_request){.term = term + 5, .last = at(99, term)});
        assert_int_equal(raft_term(cluster->nodes[i].raft), term);
    }
    assert_int_equal(raft_role(cluster->nodes[0].raft), MORTAR_LEADER);
    cluster_close(cluster);
}

static void thesis_6_2_a_cut_off_leader_steps_down_and_the_others_go_on(void **state)
{
    (void)state;
    struct cluster *cluster = three();
    cluster_isolate(cluster, 0, true);
    cluster_run(cluster, 60);
    assert_int_not_equal(raft_role(cluster->nodes[0].raft), MORTAR_LEADER);
    assert_true(raft_role(cluster->nodes[1].raft) == MORTAR_LEADER ||
                raft_role(cluster->nodes[2].raft) == MORTAR_LEADER);
    cluster_close(cluster);
}

static void thesis_6_4_a_read_waits_for_the_no_op(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    uint64_t round = 0;
    uint64_t index = 0;
    assert_int_equal(raft_read_begin(node->raft, &round, &index), MORTAR_E_NOT_LEADER);
    solo_lead(node, 2);
    assert_int_equal(raft_read_begin(node->raft, &round, &index), MORTAR_E_BUSY);
    solo_matched(node, 1, 2);
    assert_int_equal(raft_read_begin(node->raft, &round, &index), MORTAR_OK);
    assert_int_equal(index, 2);
    solo_close(node);
}

static void thesis_6_4_a_read_needs_a_round_that_began_after_it(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(4);
    uint64_t round = 0;
    uint64_t index = 0;
    solo_lead(node, 4);
    solo_matched(node, 1, 2);
    solo_matched(node, 2, 2);
    assert_int_equal(raft_read_begin(node->raft, &round, &index), MORTAR_OK);
    solo_matched(node, 1, 2); /* Answers to what left before: round 0. */
    solo_matched(node, 2, 2);
    assert_int_equal(node->read_confirmed, 0);
    cluster_flush(node);
    struct append_reply echo = {.outcome = APPEND_MATCHED, .match_index = 2, .round = round};
    solo_append_reply(node, 1, echo);
    assert_int_equal(node->read_confirmed, 0); /* Two of five. */
    solo_append_reply(node, 2, echo);
    assert_int_equal(node->read_confirmed, round);
    solo_close(node);
}

static void thesis_6_4_a_leader_that_was_replaced_confirms_nothing(void **state)
{
    (void)state;
    struct cluster *cluster = three();
    struct cluster_node *old = &cluster->nodes[0];
    uint64_t round = 0;
    uint64_t index = 0;
    cluster->blocked[0][1] = cluster->blocked[0][2] = true;
    cluster->blocked[1][0] = cluster->blocked[2][0] = true;
    for (uint32_t i = 0; i < 60; i++) { /* The old leader's clock stands still. */
        cluster_tick(&cluster->nodes[1], 1);
        cluster_tick(&cluster->nodes[2], 1);
        cluster_settle(cluster);
    }
    assert_int_equal(raft_role(old->raft), MORTAR_LEADER);
    assert_true(raft_term(cluster->nodes[1].raft) > raft_term(old->raft));
    assert_int_equal(raft_read_begin(old->raft, &round, &index), MORTAR_OK);
    cluster->blocked[0][1] = cluster->blocked[0][2] = false;
    cluster->blocked[1][0] = cluster->blocked[2][0] = false;
    cluster_settle(cluster);
    assert_int_equal(old->read_confirmed, 0);
    assert_int_equal(raft_role(old->raft), MORTAR_FOLLOWER);
    cluster_close(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thesis_9_6_an_isolated_member_does_not_raise_its_term),
        cmocka_unit_test(thesis_9_6_a_pre_vote_promises_nothing),
        cmocka_unit_test(thesis_9_6_a_real_vote_is_asked_for_after_a_majority_of_pre_votes),
        cmocka_unit_test(thesis_4_2_3_members_that_hear_a_leader_are_not_disturbed),
        cmocka_unit_test(thesis_6_2_a_cut_off_leader_steps_down_and_the_others_go_on),
        cmocka_unit_test(thesis_6_4_a_read_waits_for_the_no_op),
        cmocka_unit_test(thesis_6_4_a_read_needs_a_round_that_began_after_it),
        cmocka_unit_test(thesis_6_4_a_leader_that_was_replaced_confirms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
