/* Vote requests and replies, beyond what the paper tests show: stickiness, transfer, C12. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static const uint64_t THREE[] = {1, 2, 2};

/* Entries up to 4^2, all acknowledged; nobody heard for a while. */
static struct cluster_node *voter(void)
{
    struct cluster_node *node = solo_open(3);
    solo_fill(node, 2, THREE, 3);
    cluster_tick(node, 10);
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
    return node;
}

static void a_voter_that_hears_a_leader_ignores_candidates(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t ticks; /* Since the leader was heard. */
        bool transfer;
        bool answered;
    } cases[] = {
        {"just heard", 0, false, false},
        {"one tick before the least timeout", 9, false, false},
        {"the least timeout", 10, false, true},
        {"just heard, but the leader hands over", 0, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct cluster_node *node = solo_open(3);
        solo_fill(node, 2, THREE, 3);
        for (uint32_t t = 0; t < cases[i].ticks; t++) {
            cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
        }
        solo_vote_request(
            node, 2,
            (struct vote_request){.term = 9, .last = at(4, 2), .transfer = cases[i].transfer});
        assert_int_equal(solo_vote(node, 2) != NULL, cases[i].answered);
        assert_int_equal(raft_term(node->raft), cases[i].answered ? 9 : 2);
        solo_close(node);
    }
}

/* C12: what it once acknowledged counts, also when the disk lost it. */
static void a_voter_that_lost_entries_votes_by_what_it_acknowledged(void **state)
{
    (void)state;
    struct cluster_node *node = voter();
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(4, 2)));
    cluster_crash(node);
    node->log.last = 2;
    cluster_start(node);
    assert_false(raft_electable(node->raft));
    solo_vote_request(node, 2, (struct vote_request){.term = 5, .last = at(3, 2)});
    assert_false(solo_vote(node, 2)->granted);
    solo_vote_request(node, 3, (struct vote_request){.term = 6, .last = at(4, 2)});
    assert_true(solo_vote(node, 3)->granted);
    solo_close(node);
}

static void a_grant_is_saved_before_it_is_told(void **state)
{
    (void)state;
    struct cluster_node *node = voter();
    solo_vote_request(node, 2, (struct vote_request){.term = 5, .last = at(4, 2)});
    assert_int_equal(node->cluster->effects.items[0].type, RAFT_SAVE_VOTE);
    assert_int_equal(node->cluster->effects.items[0].save_vote.term, 5);
    assert_int_equal(cluster_number(&node->cluster->effects.items[0].save_vote.voted_for), 2);
    const struct raft_effects *effects = &node->cluster->effects;
    assert_int_equal(effects->items[effects->count - 1].type, RAFT_SEND);
    /* One save, though term and vote changed both. */
    assert_int_equal(node->saves_asked, 2); /* The other was the term of solo_fill(). */
    solo_close(node);
}

static void a_repeated_request_is_granted_again_without_a_save(void **state)
{
    (void)state;
    struct cluster_node *node = voter();
    solo_vote_request(node, 2, (struct vote_request){.term = 5, .last = at(4, 2)});
    solo_vote_request(node, 2, (struct vote_request){.term = 5, .last = at(4, 2)});
    assert_null(cluster_effect(node->cluster, RAFT_SAVE_VOTE));
    assert_true(solo_vote(node, 2)->granted);
    solo_close(node);
}

/* Each ends in another state than the one that asked. */
static void replies_that_came_too_late_elect_nobody(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(4);
    solo_campaign(node, 4);
    const uint64_t term = raft_term(node->raft);
    cluster_store_votes(node);
    solo_vote_reply(node, 1, term, true, true);      /* A pre-vote of the round before. */
    solo_vote_reply(node, 2, term - 1, false, true); /* An earlier term. */
    solo_vote_reply(node, 77, term, false, true);    /* No member. */
    solo_vote_reply(node, 3, term, false, false);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    solo_vote_reply(node, 1, term, false, true);
    solo_vote_reply(node, 1, term, false, true); /* Twice is once. */
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    solo_vote_reply(node, 2, term, false, true);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_voter_that_hears_a_leader_ignores_candidates),
        cmocka_unit_test(a_voter_that_lost_entries_votes_by_what_it_acknowledged),
        cmocka_unit_test(a_grant_is_saved_before_it_is_told),
        cmocka_unit_test(a_repeated_request_is_granted_again_without_a_save),
        cmocka_unit_test(replies_that_came_too_late_elect_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
