/* Thesis 4.1 (safety of changes), 4.2.1 (learners), 4.2.2 (removing the leader), 4.3 (joint
 * consensus): one test per rule. Method: real members over a perfect network, or one among made-up
 * peers. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static struct cluster *three(uint32_t nodes)
{
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, nodes, 3, 0);
    cluster_elect(cluster, 0);
    return cluster;
}

static void thesis_4_1_a_configuration_is_in_force_when_appended(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_OK);
    assert_int_equal(raft_config_index(node->raft), 3);
    assert_int_equal(raft_config(node->raft)->count, 4);
    assert_int_equal(raft_committed_config(node->raft)->count, 3);
    cluster_flush(node);
    cluster_store(node);
    assert_int_equal(solo_sent_count(node, 5, MESSAGE_APPEND_REQUEST), 1); /* It gets entries. */
    solo_close(node);
}

static void thesis_4_1_a_configuration_that_is_cut_is_reverted(void **state)
{
    (void)state;
    static const uint64_t other[] = {9};
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 2), MORTAR_OK);
    assert_true(raft_config(node->raft)->joint);
    solo_append(node, &(struct solo_append){.from = 1,
                                            .term = 9,
                                            .prev = at(2, node->log.entries[2].term),
                                            .terms = other,
                                            .count = 1});
    assert_false(raft_config(node->raft)->joint);
    assert_int_equal(raft_config_index(node->raft), 1);
    assert_int_equal(raft_config(node->raft)->count, 3);
    solo_close(node);
}

static void thesis_4_1_a_vote_does_not_ask_the_voters_configuration(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_vote_request(node, 50, (struct vote_request){.term = 3, .last = at(2, 2)});
    assert_true(solo_vote(node, 50)->granted); /* No member, as far as we know. */
    solo_close(node);
}

static void thesis_4_2_1_a_learner_counts_in_no_quorum(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_OK);
    cluster_store(node);
    solo_matched(node, 5, 3);
    assert_int_equal(node->commit, 2);
    solo_matched(node, 2, 3);
    assert_int_equal(node->commit, 3);
    solo_close(node);
}

/* Voters 0 and 1 want a third; 5 is a learner that begins a round of one entry. */
static struct cluster_node *learner_comes(void)
{
    struct raft_options options = cluster_default_options();
    options.target_voters = 3;
    struct cluster_node *node = solo_open_with(&options, 1);
    solo_lead(node, 1);
    solo_matched(node, 1, node->log.last);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 5), MORTAR_OK);
    cluster_store(node);
    solo_matched(node, 1, node->log.last);
    solo_matched(node, 5, node->log.last);
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    cluster_store(node);
    solo_matched(node, 5, node->log.last - 1);
    return node;
}

/* So many ticks after the round began the learner holds what stood in the log then; meanwhile it
 * answers heartbeats, and an entry comes for the next round. */
static void round_takes(struct cluster_node *node, uint32_t ticks)
{
    const uint64_t goal = node->log.last;
    assert_int_equal(cluster_propose(node, 1), MORTAR_OK);
    for (uint32_t i = 0; i < ticks; i++) {
        cluster_tick(node, 1);
        solo_matched(node, 1, goal);
        solo_matched(node, 5, goal - 1);
    }
    solo_append_reply(
        node, 5,
        (struct append_reply){.outcome = APPEND_MATCHED, .match_index = goal, .whole = true});
    cluster_flush(node);
    cluster_store(node);
}

static bool is_promoted(struct cluster_node *node)
{
    const struct mortar_member_id id = cluster_id(5);
    return config_find(raft_config(node->raft), &id)->voter_new;
}

static void thesis_4_2_1_a_learner_is_promoted_after_a_round_shorter_than_a_timeout(void **state)
{
    (void)state;
    struct cluster_node *node = learner_comes();
    round_takes(node, 10);
    assert_false(is_promoted(node));
    round_takes(node, 30);
    assert_false(is_promoted(node));
    round_takes(node, 9);
    assert_true(is_promoted(node));
    solo_close(node);
}

/* The thesis gives up the change then; ours waits, and tries again. */
static void thesis_4_2_1_after_ten_slow_rounds_a_learner_waits(void **state)
{
    (void)state;
    struct cluster_node *node = learner_comes();
    for (uint32_t i = 0; i < RAFT_ROUNDS_MAX; i++)
        round_takes(node, 10);
    for (uint32_t i = 0; i < RAFT_ROUNDS_REST * 10 - 1; i++) {
        round_takes(node, 1);
        assert_false(is_promoted(node));
    }
    round_takes(node, 1);
    round_takes(node, 1);
    assert_true(is_promoted(node));
    solo_close(node);
}

static void thesis_4_2_1_an_operator_may_promote_a_slow_learner(void **state)
{
    (void)state;
    struct cluster_node *node = learner_comes();
    round_takes(node, 10);
    assert_false(is_promoted(node));
    assert_int_equal(cluster_change(node, CONFIG_PROMOTE, 5), MORTAR_OK);
    assert_true(is_promoted(node));
    solo_close(node);
}

/* Both halves while joint, for commitment and for elections. */
static void thesis_4_3_a_joint_configuration_needs_both_majorities(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    for (uint32_t i = 3; i <= 6; i++) {
        assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, i), MORTAR_OK);
        cluster_store(node);
        solo_matched(node, 1, node->log.last);
    }
    static struct config_change changes[4];
    for (uint32_t i = 0; i < 4; i++) {
        changes[i] = (struct config_change){.kind = CONFIG_PROMOTE, .member = cluster_id(3 + i)};
    }
    assert_int_equal(
        cluster_step(node, &(struct raft_event){.type = RAFT_CHANGE, .change = {changes, 4}}),
        MORTAR_OK);
    cluster_store(node);
    const uint64_t index = node->log.last;
    solo_matched(node, 3, index);
    solo_matched(node, 4, index);
    solo_matched(node, 5, index);
    assert_int_equal(node->commit, index - 1); /* Four of the new seven, one of the old three. */
    solo_matched(node, 1, index);
    assert_int_equal(node->commit, index);
    assert_int_equal(node->log.last, index + 1); /* The leader leaves the joint phase by itself. */
    assert_false(raft_config(node->raft)->joint);
    assert_int_equal(config_voter_count(raft_config(node->raft)), 7);
    solo_close(node);
}

static void thesis_4_3_an_election_while_joint_needs_both_majorities(void **state)
{
    (void)state;
    static uint8_t payload[CONFIG_ENCODED_BYTES_MAX];
    static uint8_t record[CONFIG_ENCODED_BYTES_MAX + RECORD_HEADER_BYTES];
    static struct config config;
    struct cluster_node *node = solo_open(2);
    config = *raft_config(node->raft);
    config.joint = true;
    config.count = 6;
    for (uint32_t i = 0; i < 6; i++) { /* Old: 0, 1, 2. New: 0, 3, 4, 5 (of whom 0 in both). */
        config.members[i] = (struct config_member){.id = cluster_id(i),
                                                   .voter_old = i < 3,
                                                   .voter_new = i == 0 || i > 2,
                                                   .leaving = i == 1 || i == 2};
    }
    struct writer encoded = writer_over(payload, sizeof payload);
    config_encode(&config, &encoded);
    struct writer writer = writer_over(record, sizeof record);
    record_encode(
        &(struct mortar_entry){
            .index = 2, .term = 2, .kind = MORTAR_ENTRY_CONFIG, .bytes = {payload, encoded.bytes}},
        &writer);
    cluster_step(node, &(struct raft_event){.type = RAFT_RECEIVE,
                                            .from = cluster_id(1),
                                            .message = MESSAGE_APPEND_REQUEST,
                                            .append_request = {.term = 2,
                                                               .prev = at(1, 1),
                                                               .count = 1,
                                                               .entries = {record, writer.bytes}}});
    cluster_store(node);
    solo_time_out(node);
    assert_int_equal(raft_role(node->raft), MORTAR_PRE_CANDIDATE);
    solo_vote_reply(node, 1, 3, true, true);
    solo_vote_reply(node, 2, 3, true, true);
    assert_int_equal(raft_role(node->raft), MORTAR_PRE_CANDIDATE); /* One of four in the new. */
    solo_vote_reply(node, 3, 3, true, true);
    solo_vote_reply(node, 4, 3, true, true);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    cluster_store_votes(node);
    solo_vote_reply(node, 3, 3, false, true);
    solo_vote_reply(node, 4, 3, false, true);
    solo_vote_reply(node, 5, 3, false, true);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE); /* One of three in the old. */
    solo_vote_reply(node, 2, 3, false, true);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    solo_close(node);
}

static void thesis_4_3_a_new_leader_completes_a_change_under_way(void **state)
{
    (void)state;
    struct cluster *cluster = three(4);
    assert_int_equal(cluster_change(&cluster->nodes[0], CONFIG_ADD_LEARNER, 3), MORTAR_OK);
    cluster_settle(cluster);
    assert_int_equal(cluster_change(&cluster->nodes[0], CONFIG_PROMOTE, 3), MORTAR_OK);
    cluster_flush(&cluster->nodes[0]);
    while (cluster->message_count > 0) {
        message_deliver(cluster, 0); /* The joint entry arrives; its answers do not. */
        if (cluster->nodes[1].log.last == cluster->nodes[0].log.last &&
            cluster->nodes[3].log.last == cluster->nodes[0].log.last) {
            break;
        }
    }
    cluster_drop_all(cluster);
    assert_true(raft_config(cluster->nodes[1].raft)->joint);
    cluster_isolate(cluster, 0, true);
    cluster_run(cluster, 100);
    cluster_isolate(cluster, 0, false);
    cluster_run(cluster, 30);
    for (uint32_t i = 0; i < 4; i++) {
        assert_false(raft_config(cluster->nodes[i].raft)->joint);
        assert_int_equal(config_voter_count(raft_config(cluster->nodes[i].raft)), 4);
    }
    cluster_close(cluster);
}

/* It leads a group that it is no part of, without counting itself, and steps down at the end. */
static void thesis_4_2_2_a_removed_leader_steps_down_when_that_is_committed(void **state)
{
    (void)state;
    struct cluster *cluster = three(3);
    struct cluster_node *leader = &cluster->nodes[0];
    assert_int_equal(cluster_change(leader, CONFIG_REMOVE, 0), MORTAR_OK);
    cluster_settle(cluster);
    assert_true(leader->removed);
    assert_int_equal(raft_role(leader->raft), MORTAR_FOLLOWER);
    for (uint32_t i = 1; i < 3; i++) { /* It told them before it went; one leads already. */
        assert_int_equal(cluster->nodes[i].commit, leader->commit + 1);
        assert_int_equal(raft_committed_config(cluster->nodes[i].raft)->count, 2);
    }
    const uint64_t term = raft_term(leader->raft);
    cluster_tick(leader, 100); /* Nor does it come back. */
    cluster_settle(cluster);
    assert_int_equal(raft_role(leader->raft), MORTAR_FOLLOWER);
    assert_int_equal(raft_term(leader->raft), term);
    cluster_run(cluster, 60);
    assert_int_equal(cluster_propose(raft_role(cluster->nodes[1].raft) == MORTAR_LEADER
                                         ? &cluster->nodes[1]
                                         : &cluster->nodes[2],
                                     1),
                     MORTAR_OK);
    cluster_close(cluster);
}

/* Figure 4.6: until then only a member of the old configuration may be able to win. */
static void thesis_4_2_2_a_removed_voter_campaigns_until_that_is_committed(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, 2, 2, 0);
    cluster_elect(cluster, 0);
    assert_int_equal(cluster_change(&cluster->nodes[0], CONFIG_REMOVE, 0), MORTAR_OK);
    for (uint32_t i = 0; i < 1000 && raft_config(cluster->nodes[0].raft)->joint; i++) {
        cluster_store(&cluster->nodes[0]);
        cluster_store(&cluster->nodes[1]);
        if (cluster->message_count > 0) message_deliver(cluster, 0);
    }
    cluster_store_log(&cluster->nodes[0], cluster->nodes[0].log.last);
    assert_int_equal(raft_config(cluster->nodes[0].raft)->count, 1); /* Only it has that entry. */
    cluster_drop_all(cluster);
    cluster_crash(&cluster->nodes[0]);
    cluster_crash(&cluster->nodes[1]);
    cluster_start(&cluster->nodes[0]);
    cluster_start(&cluster->nodes[1]);
    cluster_run(cluster, 200);
    assert_int_equal(raft_role(cluster->nodes[1].raft), MORTAR_LEADER);
    assert_int_equal(raft_config(cluster->nodes[1].raft)->count, 1);
    assert_true(cluster->nodes[0].removed);
    cluster_close(cluster);
}

/* The bug of single-server changes that the author announced in 2015, and its cure. */
static void thesis_4_1_no_change_before_an_entry_of_the_term_is_committed(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(3);
    solo_lead(node, 3);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 3), MORTAR_E_CHANGING);
    solo_matched(node, 1, 2);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 3), MORTAR_E_CHANGING); /* Two of four. */
    solo_matched(node, 2, 2);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 3), MORTAR_OK);
    solo_close(node);
}

/* Beyond the thesis: one id, one life. It is refused once the entry that removes it is committed.
 */
static void an_id_that_was_removed_is_refused_for_good(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(3);
    solo_lead(node, 3);
    solo_matched(node, 1, 2);
    solo_matched(node, 2, 2);
    assert_int_equal(cluster_change(node, CONFIG_REMOVE, 3), MORTAR_OK);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 3), MORTAR_E_CHANGING);
    cluster_store(node);
    solo_matched(node, 1, 3);
    solo_matched(node, 2, 3);
    assert_int_equal(node->commit, 3); /* The joint one; the plain one removes it. */
    const struct mortar_member_id id = cluster_id(3);
    assert_true(config_has_removed(raft_config(node->raft), &id));
    assert_false(config_has_removed(raft_committed_config(node->raft), &id));
    cluster_store(node);
    solo_matched(node, 1, 4);
    assert_int_equal(node->commit, 4);
    assert_true(config_has_removed(raft_committed_config(node->raft), &id));
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 3), MORTAR_E_REMOVED);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 4), MORTAR_OK);
    cluster_store(node);
    solo_matched(node, 1, 5);
    assert_int_equal(cluster_change(node, CONFIG_ADD_OBSERVER, 3), MORTAR_E_REMOVED);
    solo_close(node);
}

static enum mortar_status replace(struct cluster_node *node, enum config_change_kind kind,
                                  uint32_t member, uint32_t other)
{
    static struct config_change change;
    change = (struct config_change){
        .kind = kind, .member = cluster_id(member), .other = cluster_id(other)};
    return cluster_step(node, &(struct raft_event){.type = RAFT_CHANGE,
                                                   .change = {.changes = &change, .count = 1}});
}

/* Both are durable at 1 and 2, of the voters 0 to 3. */
static void agree(struct cluster_node *node)
{
    cluster_store(node);
    solo_matched(node, 1, node->log.last);
    solo_matched(node, 2, node->log.last);
}

/* 4.3: the quorum is never without one of the two. Voter 3 lost its disk, learner 4 came for it:
 * nothing happens while 3 is heard, nor before 4 is whole; then one joint change does all. */
static void thesis_4_3_a_lost_voter_is_replaced_by_one_joint_change(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(3);
    const struct mortar_member_id lost = cluster_id(3);
    const struct mortar_member_id next = cluster_id(4);
    solo_lead(node, 3);
    agree(node);
    assert_int_equal(replace(node, CONFIG_ADD_LEARNER, 4, 3), MORTAR_E_ALIVE);
    for (uint32_t i = 0; i < 2 * cluster_default_options().election_ticks_min; i++) {
        solo_matched(node, 1, node->log.last);
        solo_matched(node, 2, node->log.last);
        cluster_tick(node, 1);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    assert_int_equal(replace(node, CONFIG_ADD_LEARNER, 4, 3), MORTAR_OK);
    agree(node);
    cluster_flush(node);
    assert_int_equal(replace(node, CONFIG_REPLACE, 4, 3), MORTAR_E_INCOMPLETE);
    assert_true(config_find(raft_config(node->raft), &lost)->voter_new);
    solo_append_reply(node, 4,
                      (struct append_reply){
                          .outcome = APPEND_MATCHED, .match_index = node->log.last, .whole = true});
    cluster_flush(node);
    const struct config *config = raft_config(node->raft);
    assert_true(config->joint);
    assert_true(config_find(config, &lost)->voter_old && config_find(config, &lost)->leaving);
    assert_true(config_find(config, &next)->voter_new);
    agree(node); /* The joint one by 0, 1, 2 of both halves; the plain one too. */
    agree(node);
    config = raft_committed_config(node->raft);
    assert_false(config->joint);
    assert_true(config_has_removed(config, &lost));
    assert_true(config_find(config, &next)->voter_new);
    assert_int_equal(config_voter_count(config), 4);
    solo_close(node);
}

/* Voter 3 falls silent, and learner 4 stands by, which came for nobody. */
static struct cluster_node *voter_is_gone(uint32_t remove_gone_ticks)
{
    struct raft_options options = cluster_default_options();
    options.remove_gone_ticks = remove_gone_ticks;
    struct cluster_node *node = solo_open_with(&options, 3);
    solo_lead(node, 3);
    agree(node);
    assert_int_equal(cluster_change(node, CONFIG_ADD_LEARNER, 4), MORTAR_OK);
    agree(node);
    solo_matched(node, 3, node->log.last);
    return node;
}

static void stands_by_for(struct cluster_node *node, uint32_t ticks)
{
    for (uint32_t i = 0; i < ticks; i++) {
        agree(node);
        solo_append_reply(node, 4,
                          (struct append_reply){.outcome = APPEND_MATCHED,
                                                .match_index = node->log.last,
                                                .whole = true});
        cluster_tick(node, 1);
    }
}

static bool is_swapped(struct cluster_node *node)
{
    const struct mortar_member_id gone = cluster_id(3);
    const struct mortar_member_id next = cluster_id(4);
    const struct config *config = raft_config(node->raft);
    const struct config_member *old = config_find(config, &gone);
    const bool in = config_find(config, &next)->voter_new;
    assert_int_equal(config->joint, in && old != NULL); /* One change: both, or neither. */
    return in;
}

/* Beyond the thesis, which leaves removal to an operator (4.2): a policy swaps by a joint change
 * (4.3) whom the leader did not hear for long, not a tick before, and not when it is off. */
static void thesis_4_3_a_gone_voter_is_swapped_by_one_joint_change_if_asked(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t limit;
        uint32_t swapped_at; /* 0: never. */
    } cases[] = {
        {"the policy is off", 0, 0},
        {"after so many ticks", 50, 50},
        {"not before check-quorum takes it for gone", 5, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cluster_node *node = voter_is_gone(cases[i].limit);
        const uint32_t at = cases[i].swapped_at;
        print_message("  %s\n", cases[i].why);
        stands_by_for(node, at == 0 ? 500 : at - 1);
        assert_false(is_swapped(node));
        if (at != 0) stands_by_for(node, 1);
        assert_int_equal(is_swapped(node), at != 0);
        stands_by_for(node, 2);
        assert_int_equal(config_voter_count(raft_committed_config(node->raft)), 4);
        solo_close(node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thesis_4_1_a_configuration_is_in_force_when_appended),
        cmocka_unit_test(thesis_4_1_a_configuration_that_is_cut_is_reverted),
        cmocka_unit_test(thesis_4_1_a_vote_does_not_ask_the_voters_configuration),
        cmocka_unit_test(thesis_4_2_1_a_learner_counts_in_no_quorum),
        cmocka_unit_test(thesis_4_2_1_a_learner_is_promoted_after_a_round_shorter_than_a_timeout),
        cmocka_unit_test(thesis_4_2_1_after_ten_slow_rounds_a_learner_waits),
        cmocka_unit_test(thesis_4_2_1_an_operator_may_promote_a_slow_learner),
        cmocka_unit_test(thesis_4_3_a_joint_configuration_needs_both_majorities),
        cmocka_unit_test(thesis_4_3_an_election_while_joint_needs_both_majorities),
        cmocka_unit_test(thesis_4_3_a_new_leader_completes_a_change_under_way),
        cmocka_unit_test(thesis_4_2_2_a_removed_leader_steps_down_when_that_is_committed),
        cmocka_unit_test(thesis_4_2_2_a_removed_voter_campaigns_until_that_is_committed),
        cmocka_unit_test(thesis_4_3_a_lost_voter_is_replaced_by_one_joint_change),
        cmocka_unit_test(thesis_4_3_a_gone_voter_is_swapped_by_one_joint_change_if_asked),
        cmocka_unit_test(an_id_that_was_removed_is_refused_for_good),
        cmocka_unit_test(thesis_4_1_no_change_before_an_entry_of_the_term_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
