/* Changes of the configuration beyond the paper tests: what is refused, promotion, removal. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static void a_change_waits_for_the_no_op_and_for_the_change_before(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_E_NOT_LEADER);
    solo_lead(node, 2);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_E_CHANGING);
    solo_matched(node, 1, 2);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 9), MORTAR_E_NOT_FOUND);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_OK);
    assert_false(raft_config(node->raft)->joint); /* No quorum is touched. */
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 6), MORTAR_E_CHANGING);
    cluster_store(node);
    solo_matched(node, 1, 3);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 6), MORTAR_OK);
    solo_close(node);
}

static void a_leader_on_its_way_out_takes_no_proposals(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 0), MORTAR_OK);
    cluster_store(node);
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK); /* While joint it still counts. */
    cluster_store(node);
    solo_matched(node, 1, 4);
    assert_int_equal(node->commit, 2); /* The new half is 1 and 2, and needs both. */
    solo_matched(node, 2, 4);
    assert_int_equal(raft_config_index(node->raft), 5); /* The plain one follows by itself. */
    assert_int_equal(cluster_propose(node, 1), MORTAR_E_BUSY);
    cluster_store(node);
    solo_matched(node, 1, 5);
    assert_int_equal(node->commit, 4); /* It does not count itself any more (4.2.2). */
    solo_matched(node, 2, 5);
    assert_int_equal(node->commit, 5);
    assert_true(node->removed);
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
    solo_close(node);
}

static uint64_t promoted(uint32_t voters, uint32_t whole, uint32_t others, uint32_t target)
{
    struct raft_options options = cluster_default_options();
    options.target_voters = target;
    struct cluster *cluster = cluster_open(1, &options, 1, 1, voters - 1);
    struct cluster_node *node = &cluster->nodes[0];
    solo_lead(node, voters - 1);
    for (uint32_t i = 1; i < voters; i++) {
        solo_matched(node, i, 2);
    }
    for (uint32_t i = 0; i < whole + others; i++) {
        assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 20 + i), MORTAR_OK);
        cluster_store_log(node, node->log.last);
        for (uint32_t v = 1; v < voters; v++) {
            solo_matched(node, v, node->log.last);
        }
    }
    for (uint32_t i = 0; i < whole; i++) {
        solo_append_reply(node, 20 + i,
                          (struct append_reply){.outcome = APPEND_MATCHED,
                                                .match_index = node->log.last,
                                                .whole = true});
    }
    cluster_step(node, &(struct raft_event){.type = RAFT_FLUSH});
    const uint32_t after = config_voter_count(raft_config(node->raft));
    const bool joint = raft_config(node->raft)->joint;
    assert_int_equal(joint, after != voters);
    cluster_close(cluster);
    return after;
}

/* Design 7: growth goes by joint steps, two voters only where no third stands by. */
static void whole_learners_become_voters_by_odd_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t voters, whole, others, target;
        uint32_t after;
    } cases[] = {
        {"nobody is whole", 1, 0, 2, 3, 1},
        {"one, and nobody else stands by", 1, 1, 0, 3, 2},
        {"one, and another is on its way", 1, 1, 1, 3, 1},
        {"two together", 1, 2, 0, 3, 3},
        {"two of three, up to an odd number", 1, 3, 0, 5, 3},
        {"four together", 1, 4, 0, 5, 5},
        {"no more than the target", 3, 3, 0, 3, 3},
        {"up to the target", 1, 4, 0, 3, 3},
        {"policy is off", 1, 2, 0, 0, 1},
        {"from three to four, nobody else stands by", 3, 1, 0, 5, 4},
        {"from three to four, another is on its way", 3, 1, 1, 5, 3},
        {"from two to three", 2, 1, 3, 5, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        assert_int_equal(
            promoted(cases[i].voters, cases[i].whole, cases[i].others, cases[i].target),
            cases[i].after);
    }
}

static void a_founder_gathers_voters_by_itself(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    options.target_voters = 3;
    struct cluster *cluster = cluster_open(1, &options, 4, 1, 0);
    struct cluster_node *founder = &cluster->nodes[0];
    cluster_elect(cluster, 0);
    assert_int_equal(cluster_change(founder, CONFIG_ADD_OBSERVER, 3), MORTAR_OK);
    cluster_settle(cluster);
    assert_int_equal(cluster_change(founder, CONFIG_ADD_LEARNER, 1), MORTAR_OK);
    cluster_run(cluster, 5);
    assert_int_equal(config_voter_count(raft_config(founder->raft)), 2);
    assert_int_equal(cluster_change(founder, CONFIG_ADD_LEARNER, 2), MORTAR_OK);
    cluster_run(cluster, 5);
    for (uint32_t i = 0; i < 4; i++) {
        const struct config *config = raft_config(cluster->nodes[i].raft);
        const struct mortar_member_id observer = cluster_id(3);
        assert_false(config->joint);
        assert_int_equal(config_voter_count(config), 3);
        assert_true(config_find(config, &observer)->observer); /* Refuses promotion. */
    }
    cluster_close(cluster);
}

/* Of voters 0 to 4 the last two are silent, and learners 5 and 6 stand by; `ticks` pass, and all
 * that is appended commits. */
static void two_are_gone_for(struct cluster_node *node, uint32_t ticks)
{
    for (uint32_t i = 0; i < ticks; i++) {
        cluster_store(node);
        const uint64_t end = node->log.last;
        for (uint32_t peer = 1; peer <= 2; peer++)
            solo_matched(node, peer, end);
        for (uint32_t peer = 5; peer <= 6; peer++) {
            solo_append_reply(node, peer,
                              (struct append_reply){
                                  .outcome = APPEND_MATCHED, .match_index = end, .whole = true});
        }
        cluster_tick(node, 1);
    }
}

static bool votes(struct cluster_node *node, uint32_t number)
{
    const struct mortar_member_id id = cluster_id(number);
    const struct config_member *member = config_find(raft_config(node->raft), &id);
    return member != NULL && member->voter_new;
}

/* The policy is turned on while running: then the one that was silent for longest goes first, and
 * the other when that is committed. */
static void gone_voters_are_swapped_one_at_a_time(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    struct cluster_node *node = solo_open_with(&options, 4);
    solo_lead(node, 4);
    two_are_gone_for(node, 1);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_OK);
    two_are_gone_for(node, 2);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 6), MORTAR_OK);
    solo_matched(node, 3, 2); /* 4 was never heard. */
    two_are_gone_for(node, 100);
    assert_true(votes(node, 3) && votes(node, 4));
    options = node->raft->options;
    options.remove_gone_ticks = 50;
    assert_int_equal(raft_tune(node->raft, &options), MORTAR_OK);
    cluster_flush(node);
    assert_true(votes(node, 3) && !votes(node, 4));
    assert_true(votes(node, 5) && !votes(node, 6));
    two_are_gone_for(node, 5);
    assert_true(!votes(node, 3) && votes(node, 6));
    assert_int_equal(config_voter_count(raft_committed_config(node->raft)), 5);
    solo_close(node);
}

/* A configuration founds the group, or comes by a session: before, nobody campaigns. */
static void a_session_brings_configurations(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    options.resend_bytes = 300;
    struct cluster *cluster = cluster_open(1, &options, 4, 3, 0);
    cluster_elect(cluster, 0);
    cluster_propose(&cluster->nodes[0], 60);
    cluster_settle(cluster);
    assert_int_equal(cluster_change(&cluster->nodes[0], CONFIG_ADD_LEARNER, 3), MORTAR_OK);
    cluster_settle(cluster);
    struct cluster_node *joiner = &cluster->nodes[3];
    assert_true(joiner->session);
    assert_int_equal(joiner->log.last, 0);
    assert_int_equal(raft_config_index(joiner->raft), 0);
    cluster_run(cluster, 10);
    assert_false(joiner->session);
    assert_int_equal(joiner->commit, cluster->nodes[0].commit);
    assert_int_equal(raft_config_index(joiner->raft), raft_config_index(cluster->nodes[0].raft));
    assert_int_equal(solo_progress(&cluster->nodes[0], 3).state, RAFT_REPLICATE);
    cluster_close(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_waits_for_the_no_op_and_for_the_change_before),
        cmocka_unit_test(a_leader_on_its_way_out_takes_no_proposals),
        cmocka_unit_test(whole_learners_become_voters_by_odd_numbers),
        cmocka_unit_test(a_founder_gathers_voters_by_itself),
        cmocka_unit_test(gone_voters_are_swapped_one_at_a_time),
        cmocka_unit_test(a_session_brings_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
