/* Thesis 3.3 (terms), 3.4 (elections), 3.6.1 (who may win), 3.8 (what is saved): one test per
 * rule. Method: one real member among made-up peers (unit/raft/raft_solo.h). */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static const uint64_t LOG[] = {1, 2, 2}; /* 2^1 3^2 4^2 */

/* Follows nobody now; term 2. */
static struct cluster_node *voter(void)
{
    struct cluster_node *node = solo_open(4);
    solo_fill(node, 2, LOG, 3);
    cluster_tick(node, 10);
    return node;
}

static void thesis_3_3_a_later_term_in_any_message_makes_a_follower(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 4; kind++) {
        struct cluster_node *node = solo_open(2);
        solo_lead(node, 2);
        const uint64_t term = raft_term(node->raft) + 3;
        switch (kind) {
        case 0:
            solo_append(node, &(struct solo_append){.from = 1, .term = term, .prev = at(1, 1)});
            break;
        case 1:
            solo_append_reply(node, 1,
                              (struct append_reply){.term = term, .outcome = APPEND_MISMATCH});
            break;
        case 2:
            solo_vote_reply(node, 1, term, false, false);
            break;
        default:
            solo_vote_request(
                node, 1, (struct vote_request){.term = term, .last = at(9, 2), .transfer = true});
            break;
        }
        assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
        assert_int_equal(raft_term(node->raft), term);
        assert_int_equal(node->asked_term, term); /* And it is saved. */
        solo_close(node);
    }
}

static void thesis_3_3_a_request_of_an_earlier_term_is_refused_with_ours(void **state)
{
    (void)state;
    struct cluster_node *node = voter();
    solo_append(node, &(struct solo_append){.from = 3, .term = 1, .prev = at(1, 1)});
    assert_int_equal(solo_reply(node, 3)->outcome, APPEND_MISMATCH);
    assert_int_equal(solo_reply(node, 3)->term, 2);
    solo_vote_request(node, 3, (struct vote_request){.term = 1, .last = at(9, 1)});
    assert_false(solo_vote(node, 3)->granted);
    assert_int_equal(solo_vote(node, 3)->term, 2);
    solo_close(node);
}

static void thesis_3_4_one_vote_per_term_first_come_first_served(void **state)
{
    (void)state;
    struct cluster_node *node = voter();
    solo_vote_request(node, 2, (struct vote_request){.term = 3, .last = at(4, 2)});
    assert_true(solo_vote(node, 2)->granted);
    solo_vote_request(node, 3, (struct vote_request){.term = 3, .last = at(9, 3)});
    assert_false(solo_vote(node, 3)->granted);
    solo_vote_request(node, 3, (struct vote_request){.term = 4, .last = at(9, 3)});
    assert_true(solo_vote(node, 3)->granted);
    solo_close(node);
}

static void thesis_3_4_a_majority_elects_and_less_does_not(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(4);
    solo_campaign(node, 4);
    const uint64_t term = raft_term(node->raft);
    cluster_store_votes(node);
    solo_vote_reply(node, 1, term, false, true);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE); /* Two of five. */
    solo_vote_reply(node, 2, term, false, true);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    solo_close(node);
}

static void thesis_3_4_a_candidate_yields_to_the_leader_of_its_term(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(4);
    solo_campaign(node, 4);
    const uint64_t term = raft_term(node->raft);
    solo_append(node, &(struct solo_append){.from = 2, .term = term, .prev = at(1, 1)});
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
    assert_int_equal(raft_leader(node->raft).peer.bytes[0], 3);
    assert_int_equal(raft_voted_for(node->raft).peer.bytes[0], 1); /* Its vote stands. */
    solo_close(node);
}

static void thesis_3_4_a_grant_restarts_the_timer(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(4);
    uint64_t term = 1;
    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t t = 0; t < 10 && raft_role(node->raft) == MORTAR_FOLLOWER; t++) {
            if (t < 9) cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
        }
        solo_vote_request(node, 2, (struct vote_request){.term = ++term, .last = at(1, 1)});
        assert_true(solo_vote(node, 2)->granted);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER); /* 180 ticks without a leader. */
    solo_close(node);
}

static void thesis_3_4_a_split_vote_ends_with_another_round(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct cluster *cluster = cluster_open(seed, &options, 4, 4, 0);
        cluster_run(cluster, 150);
        uint32_t leaders = 0;
        for (uint32_t i = 0; i < 4; i++) {
            if (raft_role(cluster->nodes[i].raft) == MORTAR_LEADER) leaders++;
        }
        assert_int_equal(leaders, 1);
        cluster_close(cluster);
    }
}

static void thesis_3_6_1_a_vote_is_denied_iff_the_candidates_log_is_older(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct mortar_position last;
        bool granted;
    } cases[] = {
        {"same last entry", {4, 2}, true},
        {"shorter, same last term", {3, 2}, false},
        {"longer, same last term", {5, 2}, true},
        {"shorter, later last term", {2, 3}, true},
        {"longer, earlier last term", {9, 1}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint32_t pre = 0; pre < 2; pre++) {
            print_message("  %s%s\n", cases[i].why, pre == 1 ? ", pre-vote" : "");
            struct cluster_node *node = voter();
            solo_vote_request(
                node, 2, (struct vote_request){.term = 5, .last = cases[i].last, .pre = pre == 1});
            assert_int_equal(solo_vote(node, 2)->granted, cases[i].granted);
            solo_close(node);
        }
    }
}

static void thesis_3_8_its_own_vote_counts_once_it_is_durable(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_campaign(node, 2);
    const uint64_t term = raft_term(node->raft);
    solo_vote_reply(node, 1, term, false, true);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE); /* One of three on disk. */
    cluster_step(node, &(struct raft_event){.type = RAFT_VOTE_STORED, .term = term - 1});
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    cluster_store_votes(node);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    solo_close(node);
}

static void thesis_3_8_term_and_vote_survive_a_crash(void **state)
{
    (void)state;
    struct cluster_node *node = voter();
    solo_vote_request(node, 2, (struct vote_request){.term = 3, .last = at(4, 2)});
    cluster_store_votes(node);
    cluster_crash(node);
    cluster_start(node);
    solo_forget(node);
    solo_vote_request(node, 3, (struct vote_request){.term = 3, .last = at(9, 3)});
    assert_false(solo_vote(node, 3)->granted);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thesis_3_3_a_later_term_in_any_message_makes_a_follower),
        cmocka_unit_test(thesis_3_3_a_request_of_an_earlier_term_is_refused_with_ours),
        cmocka_unit_test(thesis_3_4_one_vote_per_term_first_come_first_served),
        cmocka_unit_test(thesis_3_4_a_majority_elects_and_less_does_not),
        cmocka_unit_test(thesis_3_4_a_candidate_yields_to_the_leader_of_its_term),
        cmocka_unit_test(thesis_3_4_a_grant_restarts_the_timer),
        cmocka_unit_test_teardown(thesis_3_4_a_split_vote_ends_with_another_round,
                                  cluster_teardown),
        cmocka_unit_test(thesis_3_6_1_a_vote_is_denied_iff_the_candidates_log_is_older),
        cmocka_unit_test(thesis_3_8_its_own_vote_counts_once_it_is_durable),
        cmocka_unit_test(thesis_3_8_term_and_vote_survive_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
