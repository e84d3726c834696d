/* Handing over beyond the paper tests: who may be the target, and what is ignored. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static const struct mortar_member_id anyone;

static void answers(struct cluster_node *node, uint32_t peer, uint64_t match, bool whole)
{
    solo_append_reply(
        node, peer,
        (struct append_reply){.outcome = APPEND_MATCHED, .match_index = match, .whole = whole});
}

static struct cluster_node *leading_with(const struct raft_options *options, uint32_t peers)
{
    struct cluster_node *node = solo_open_with(options, peers);
    solo_lead(node, peers);
    for (uint32_t i = 1; i <= peers; i++)
        answers(node, i, 2, true);
    cluster_flush(node);
    solo_forget(node);
    return node;
}

static struct cluster_node *leading(uint32_t peers)
{
    const struct raft_options options = cluster_default_options();
    return leading_with(&options, peers);
}

static enum mortar_status transfer(struct cluster_node *node, uint32_t number)
{
    const struct mortar_member_id id = cluster_id(number);
    return cluster_transfer(node, &id);
}

static void timeout_now(struct cluster_node *node, uint32_t from, uint64_t term)
{
    cluster_step(node, &(struct raft_event){.type = RAFT_RECEIVE,
                                            .from = cluster_id(from),
                                            .message = MESSAGE_TIMEOUT_NOW,
                                            .timeout_now = {.term = term}});
}

static void only_a_leader_hands_over(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    assert_int_equal(transfer(node, 1), MORTAR_E_NOT_LEADER);
    assert_int_equal(cluster_transfer(node, &anyone), MORTAR_E_NOT_LEADER);
    solo_close(node);
}

static void only_another_voter_may_be_the_target(void **state)
{
    (void)state;
    struct cluster_node *node = leading(2);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_OK);
    cluster_store(node);
    answers(node, 1, 3, true);
    answers(node, 5, 3, true);
    assert_int_equal(transfer(node, 5), MORTAR_E_INVALID); /* A learner. */
    assert_int_equal(transfer(node, 9), MORTAR_E_INVALID); /* A stranger. */
    assert_int_equal(transfer(node, 0), MORTAR_E_INVALID); /* Itself. */
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK); /* A refusal changes nothing. */
    solo_close(node);
}

static void a_lone_voter_has_nobody_to_hand_over_to(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(0);
    solo_time_out(node);
    cluster_store(node);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    assert_int_equal(cluster_transfer(node, &anyone), MORTAR_E_INVALID);
    solo_close(node);
}

static void a_voter_that_leaves_is_no_target(void **state)
{
    (void)state;
    struct cluster_node *node = leading(3);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 3), MORTAR_OK);
    assert_int_equal(transfer(node, 3), MORTAR_E_INVALID);
    solo_close(node);
}

static void a_target_must_be_ready(void **state)
{
    (void)state;
    struct cluster_node *node = leading(2);
    answers(node, 1, 2, false); /* Not whole. */
    assert_int_equal(transfer(node, 1), MORTAR_E_BUSY);
    answers(node, 1, 2, true);
    solo_mismatch(node, 1, at(0, 0)); /* REPLICATE with nothing lost: no change. */
    cluster_step(node, &(struct raft_event){.type = RAFT_LINK, .from = cluster_id(1)});
    assert_int_equal(transfer(node, 1), MORTAR_E_BUSY); /* No link. */
    cluster_step(node, &(struct raft_event){.type = RAFT_LINK, .from = cluster_id(1), .up = true});
    assert_int_equal(transfer(node, 1), MORTAR_E_BUSY); /* PROBE */
    answers(node, 1, 2, true);
    assert_int_equal(transfer(node, 1), MORTAR_OK);
    assert_int_equal(transfer(node, 2), MORTAR_E_BUSY); /* One at a time. */
    assert_int_equal(cluster_transfer(node, &anyone), MORTAR_E_BUSY);
    solo_close(node);
}

static void a_silent_target_is_not_ready(void **state)
{
    (void)state;
    struct cluster_node *node = leading(2);
    const uint32_t timeout = node->cluster->options.election_ticks_min;
    for (uint32_t i = 0; i < timeout; i++) {
        cluster_tick(node, 1);
        answers(node, 2, 2, true);
    }
    assert_int_equal(transfer(node, 1), MORTAR_E_BUSY);
    assert_int_equal(transfer(node, 2), MORTAR_OK);
    solo_close(node);
}

static void a_target_too_far_behind_is_not_ready(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    const uint64_t most = options.resend_bytes = 300;
    struct cluster_node *node = leading_with(&options, 2);
    while (cluster_log_bytes(&node->log, 3, node->log.last) <= most) {
        assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    }
    assert_int_equal(transfer(node, 1), MORTAR_E_BUSY);
    answers(node, 1, node->log.last, true);
    assert_int_equal(transfer(node, 1), MORTAR_OK);
    solo_close(node);
}

static void anyone_is_the_one_that_lacks_least(void **state)
{
    (void)state;
    struct cluster_node *node = leading(4);
    assert_int_equal(cluster_propose(node, 3), MORTAR_OK);
    cluster_store(node);
    cluster_flush(node);
    answers(node, 1, 3, true);
    answers(node, 2, 5, false);
    answers(node, 3, 4, true);
    assert_int_equal(cluster_transfer(node, &anyone), MORTAR_OK);
    answers(node, 1, 5, true);
    cluster_flush(node);
    assert_null(cluster_sent(node->cluster, 1, MESSAGE_TIMEOUT_NOW));
    answers(node, 3, 5, true);
    cluster_flush(node);
    assert_int_equal(solo_sent_count(node, 3, MESSAGE_TIMEOUT_NOW), 1);
    cluster_flush(node);
    assert_int_equal(solo_sent_count(node, 3, MESSAGE_TIMEOUT_NOW), 1); /* Once. */
    solo_close(node);
}

static void given_up_untold_when_the_target_does_not_catch_up(void **state)
{
    (void)state;
    struct cluster_node *node = leading(2);
    const uint32_t timeout = node->cluster->options.election_ticks_min;
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    assert_int_equal(transfer(node, 1), MORTAR_OK);
    cluster_tick(node, timeout - 1);
    cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
    const struct raft_effect *ended = cluster_effect(node->cluster, RAFT_TRANSFER_ENDED);
    assert_non_null(ended);
    assert_false(ended->told);
    solo_close(node);
}

static void a_leader_that_steps_down_hands_over_no_more(void **state)
{
    (void)state;
    struct cluster_node *node = leading(2);
    assert_int_equal(transfer(node, 1), MORTAR_OK);
    solo_vote_request(node, 1,
                      (struct vote_request){.term = 9, .last = at(9, 8), .transfer = true});
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
    cluster_store_votes(node);
    solo_lead(node, 2);
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    solo_close(node);
}

static void timeout_now_counts_from_the_leader_of_the_term_only(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    const uint64_t terms[] = {4};
    solo_fill(node, 4, terms, 1);
    timeout_now(node, 1, 3); /* Held up on its way. */
    timeout_now(node, 1, 5);
    timeout_now(node, 2, 4); /* Does not lead. */
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
    assert_int_equal(raft_term(node->raft), 4);
    timeout_now(node, 1, 4);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    timeout_now(node, 1, 4); /* Twice. */
    assert_int_equal(raft_term(node->raft), 5);
    solo_close(node);
}

static void a_leader_is_not_told(void **state)
{
    (void)state;
    struct cluster_node *node = leading(2);
    const uint64_t term = raft_term(node->raft);
    timeout_now(node, 1, term);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    solo_close(node);
}

/* A candidate by TIMEOUT_NOW that does not win goes on as any other: pre-votes, no flag. */
static void the_next_campaign_is_an_ordinary_one(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    const uint64_t terms[] = {2};
    solo_fill(node, 2, terms, 1);
    timeout_now(node, 1, 2);
    cluster_store_votes(node);
    solo_forget(node);
    cluster_tick(node, 4 * node->cluster->options.election_ticks_min);
    assert_int_equal(raft_role(node->raft), MORTAR_PRE_CANDIDATE);
    const struct cluster_message *asks = cluster_sent(node->cluster, 1, MESSAGE_VOTE_REQUEST);
    assert_true(asks->event.vote_request.pre);
    assert_false(asks->event.vote_request.transfer);
    solo_close(node);
}

static void a_removed_leader_names_its_successor_where_one_holds_all(void **state)
{
    (void)state;
    for (uint32_t ready = 0; ready < 2; ready++) {
        struct cluster_node *node = leading(3);
        assert_int_equal(cluster_change(node, CONFIG_REMOVE, 0), MORTAR_OK);
        cluster_store(node);
        cluster_flush(node);
        answers(node, 1, 3, true);
        answers(node, 2, 3, true); /* The joint one is committed, the plain one follows. */
        cluster_store(node);
        cluster_flush(node);
        answers(node, 1, 4, ready == 1);
        assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
        answers(node, 2, 4, false);
        assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
        assert_int_equal(solo_sent_count(node, 1, MESSAGE_TIMEOUT_NOW), ready);
        assert_int_equal(solo_sent_count(node, 2, MESSAGE_TIMEOUT_NOW), 0);
        solo_close(node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_leader_hands_over),
        cmocka_unit_test(only_another_voter_may_be_the_target),
        cmocka_unit_test(a_lone_voter_has_nobody_to_hand_over_to),
        cmocka_unit_test(a_voter_that_leaves_is_no_target),
        cmocka_unit_test(a_target_must_be_ready),
        cmocka_unit_test(a_silent_target_is_not_ready),
        cmocka_unit_test(a_target_too_far_behind_is_not_ready),
        cmocka_unit_test(anyone_is_the_one_that_lacks_least),
        cmocka_unit_test(given_up_untold_when_the_target_does_not_catch_up),
        cmocka_unit_test(a_leader_that_steps_down_hands_over_no_more),
        cmocka_unit_test(timeout_now_counts_from_the_leader_of_the_term_only),
        cmocka_unit_test(a_leader_is_not_told),
        cmocka_unit_test(the_next_campaign_is_an_ordinary_one),
        cmocka_unit_test(a_removed_leader_names_its_successor_where_one_holds_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
