/* Thesis 3.10 (leadership transfer), with 4.2.3 (votes though a leader is heard): one test per
 * rule. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static struct cluster *three(void)
{
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, 3, 3, 0);
    cluster_elect(cluster, 0);
    cluster_run(cluster, 5);
    return cluster;
}

/* A leader of three, whose peers hold its no-op. */
static struct cluster_node *leading(void)
{
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    for (uint32_t i = 1; i <= 2; i++) {
        solo_append_reply(
            node, i,
            (struct append_reply){.outcome = APPEND_MATCHED, .match_index = 2, .whole = true});
    }
    cluster_flush(node);
    solo_forget(node);
    return node;
}

static enum mortar_status transfer(struct cluster_node *node, uint32_t number)
{
    const struct mortar_member_id id = cluster_id(number);
    return cluster_transfer(node, &id);
}

static void thesis_3_10_the_target_leads_the_next_term(void **state)
{
    (void)state;
    struct cluster *cluster = three();
    const uint64_t term = raft_term(cluster->nodes[0].raft);
    assert_int_equal(cluster_propose(&cluster->nodes[0], 3), MORTAR_OK);
    assert_int_equal(transfer(&cluster->nodes[0], 2), MORTAR_OK);
    cluster_flush(&cluster->nodes[0]);
    cluster_settle(cluster); /* No tick: nobody's timer plays a part. */
    assert_int_equal(raft_role(cluster->nodes[2].raft), MORTAR_LEADER);
    assert_int_equal(raft_term(cluster->nodes[2].raft), term + 1);
    assert_int_equal(raft_role(cluster->nodes[0].raft), MORTAR_FOLLOWER);
    cluster_close(cluster);
}

static void thesis_3_10_1_the_leader_stops_taking_requests(void **state)
{
    (void)state;
    struct cluster_node *node = leading();
    assert_int_equal(transfer(node, 1), MORTAR_OK);
    assert_int_equal(cluster_propose(node, 1), MORTAR_E_BUSY);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 9), MORTAR_E_BUSY);
    assert_int_equal(node->log.last, 2);
    solo_close(node);
}

static void thesis_3_10_2_the_target_is_brought_up_to_date_first(void **state)
{
    (void)state;
    struct cluster_node *node = leading();
    assert_int_equal(cluster_propose(node, 2), MORTAR_OK);
    assert_int_equal(transfer(node, 1), MORTAR_OK);
    cluster_flush(node);
    assert_non_null(cluster_sent(node->cluster, 1, MESSAGE_APPEND_REQUEST));
    assert_null(cluster_sent(node->cluster, 1, MESSAGE_TIMEOUT_NOW));
    solo_matched(node, 1, 3); /* Not all of it. */
    cluster_flush(node);
    assert_null(cluster_sent(node->cluster, 1, MESSAGE_TIMEOUT_NOW));
    solo_matched(node, 1, 4);
    cluster_flush(node);
    assert_non_null(cluster_sent(node->cluster, 1, MESSAGE_TIMEOUT_NOW));
    assert_null(cluster_sent(node->cluster, 2, MESSAGE_TIMEOUT_NOW));
    solo_close(node);
}

static void thesis_3_10_3_the_target_campaigns_at_once_without_a_pre_vote(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    const uint64_t terms[] = {2};
    solo_fill(node, 2, terms, 1);
    cluster_step(node, &(struct raft_event){.type = RAFT_RECEIVE,
                                            .from = cluster_id(1),
                                            .message = MESSAGE_TIMEOUT_NOW,
                                            .timeout_now = {.term = 2}});
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    assert_int_equal(raft_term(node->raft), 3);
    cluster_store_votes(node);
    const struct cluster_message *asks = cluster_sent(node->cluster, 2, MESSAGE_VOTE_REQUEST);
    assert_non_null(asks);
    assert_true(asks->event.vote_request.transfer);
    assert_false(asks->event.vote_request.pre);
    solo_close(node);
}

/* 4.2.3: what the flag is for. The leader is heard by all, and is deposed by its own wish. */
static void thesis_4_2_3_a_wanted_election_is_not_refused_by_those_who_hear_a_leader(void **state)
{
    (void)state;
    for (uint32_t wanted = 0; wanted < 2; wanted++) {
        struct cluster *cluster = three();
        const uint64_t term = raft_term(cluster->nodes[0].raft);
        const struct vote_request ask = {
            .term = term + 1,
            .last = cluster_position(&cluster->nodes[0].log, cluster->nodes[0].log.last),
            .transfer = wanted == 1};
        solo_vote_request(&cluster->nodes[1], 2, ask);
        assert_int_equal(raft_term(cluster->nodes[1].raft), term + wanted);
        cluster_close(cluster);
    }
}

static void thesis_3_10_a_transfer_is_given_up_after_an_election_timeout(void **state)
{
    (void)state;
    struct cluster_node *node = leading();
    const uint64_t term = raft_term(node->raft);
    const uint32_t timeout = node->cluster->options.election_ticks_min;
    assert_int_equal(transfer(node, 1), MORTAR_OK);
    cluster_flush(node);
    cluster_tick(node, timeout - 1);
    assert_int_equal(cluster_propose(node, 1), MORTAR_E_BUSY);
    cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
    const struct raft_effect *ended = cluster_effect(node->cluster, RAFT_TRANSFER_ENDED);
    assert_non_null(ended);
    assert_true(ended->told);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    assert_int_equal(raft_term(node->raft), term);
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    solo_close(node);
}

/* Safety is that of any election (3.6.1): a target that lacks something is not elected. */
static void thesis_3_10_a_target_that_lacks_entries_does_not_win(void **state)
{
    (void)state;
    struct cluster *cluster = three();
    const uint64_t term = raft_term(cluster->nodes[0].raft);
    cluster_isolate(cluster, 2, true);
    assert_int_equal(cluster_propose(&cluster->nodes[0], 1), MORTAR_OK);
    cluster_run(cluster, 3);
    cluster_step(&cluster->nodes[2], &(struct raft_event){.type = RAFT_RECEIVE,
                                                          .from = cluster_id(0),
                                                          .message = MESSAGE_TIMEOUT_NOW,
                                                          .timeout_now = {.term = term}});
    cluster_isolate(cluster, 2, false);
    cluster_run(cluster, 5);
    assert_int_not_equal(raft_role(cluster->nodes[2].raft), MORTAR_LEADER);
    cluster_close(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thesis_3_10_the_target_leads_the_next_term),
        cmocka_unit_test(thesis_3_10_1_the_leader_stops_taking_requests),
        cmocka_unit_test(thesis_3_10_2_the_target_is_brought_up_to_date_first),
        cmocka_unit_test(thesis_3_10_3_the_target_campaigns_at_once_without_a_pre_vote),
        cmocka_unit_test(thesis_4_2_3_a_wanted_election_is_not_refused_by_those_who_hear_a_leader),
        cmocka_unit_test(thesis_3_10_a_transfer_is_given_up_after_an_election_timeout),
        cmocka_unit_test(thesis_3_10_a_target_that_lacks_entries_does_not_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
