/* What raft remembers of the log: durable end, voting position (C12), refusals at open. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static const uint64_t OLD[] = {2, 2, 2, 2};
static const uint64_t NEW[] = {3};

static void a_cut_lowers_what_is_durable_and_the_voting_position(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_fill(node, 2, OLD, 4);
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(5, 2)));
    solo_append(node, &(struct solo_append){
                          .from = 2, .term = 3, .prev = at(3, 2), .terms = NEW, .count = 1});
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(3, 2)));
    assert_false(solo_replied(node, 2)); /* 4^3 is not durable, though index 4 once was. */
    cluster_store(node);
    assert_int_equal(solo_reply(node, 2)->match_index, 4);
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(4, 3)));
    solo_close(node);
}

static void a_leader_counts_itself_by_its_disk_alone(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    cluster_propose(node, 1);
    solo_matched(node, 1, 3);
    assert_int_equal(node->commit, 2); /* 3 is on one disk. */
    assert_int_equal(raft_voting_position(node->raft).index, 2);
    cluster_store_log(node, 3);
    assert_int_equal(node->commit, 3);
    assert_int_equal(raft_voting_position(node->raft).index, 3);
    solo_close(node);
}

static void what_is_said_durable_must_be_in_the_log(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    const struct raft_event event = {.type = RAFT_STORED, .index = 2};
    expect_assert_failure(raft_step(node->raft, &event, &node->cluster->effects));
    solo_close(node);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    const struct raft_options good = node->cluster->options;
    struct raft_options bad[9];
    for (size_t i = 0; i < 9; i++) {
        bad[i] = good;
        bad[i].self = node->id;
    }
    assert_int_equal(raft_tune(node->raft, &bad[0]), MORTAR_OK);
    bad[0].heartbeat_ticks = 0;
    bad[1].heartbeat_ticks = good.election_ticks_min;
    bad[2].reluctant_factor = 0;
    bad[3].append_bytes = 0;
    bad[4].window_bytes = 0;
    bad[5].tail_window_bytes = 0;
    bad[6].uncommitted_bytes_max = 0;
    bad[7].target_voters = MORTAR_MEMBERS_MAX + 1;
    bad[8].self = (struct mortar_member_id){0};
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(raft_tune(node->raft, &bad[i]), MORTAR_E_INVALID);
    }
    solo_close(node);
}

/* C3: a founder's first entry brings its term. */
static void a_founding_entry_brings_term_and_configuration(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, 2, 1, 0);
    struct cluster_node *node = &cluster->nodes[1]; /* It begins with nothing. */
    static struct config config;
    config.count = 1;
    config.members[0] = (struct config_member){.id = node->id, .voter_new = true};
    cluster->committed_max = 0;     /* Another group than that of node 0, */
    cluster->nodes[0].log.last = 0; /* which the judges are not to compare with. */
    session_append(node, &(struct mortar_entry){.index = 1, .term = 1, .kind = MORTAR_ENTRY_FOUND});
    cluster_step(node, &(struct raft_event){.type = RAFT_SYNC_CONFIG,
                                            .config = {.index = 1, .config = &config}});
    cluster_step(node, &(struct raft_event){.type = RAFT_SYNC_COMMITTED, .index = 1});
    assert_int_equal(raft_term(node->raft), 1);
    assert_int_equal(node->commit, 1);
    cluster_store(node);
    for (uint32_t i = 0; i < 50 && raft_role(node->raft) != MORTAR_LEADER; i++) {
        cluster_tick(node, 1);
        cluster_store(node);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    assert_int_equal(node->commit, 2);
    cluster_close(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_lowers_what_is_durable_and_the_voting_position),
        cmocka_unit_test(a_leader_counts_itself_by_its_disk_alone),
        cmocka_unit_test(what_is_said_durable_must_be_in_the_log),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(a_founding_entry_brings_term_and_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
