/* Thesis 3.5 (replication), figure 3.6 (follower logs), 3.6.2 (figure 3.7: entries of earlier
 * terms), 10.2.1 (the leader's own disk): one test per rule. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

/* Figure 3.6, with indexes one higher: entry 1 is the configuration here. */
static const uint64_t LEADER[] = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
static const struct {
    const char *why;
    uint32_t count;
    uint64_t terms[12];
} FOLLOWERS[] = {
    {"a: misses the last entry", 9, {1, 1, 1, 4, 4, 5, 5, 6, 6}},
    {"b: misses many", 4, {1, 1, 1, 4}},
    {"c: one uncommitted entry more", 11, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6}},
    {"d: two of a later term more", 12, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}},
    {"e: misses entries and has others", 7, {1, 1, 1, 4, 4, 4, 4}},
    {"f: has long forgotten terms", 11, {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}},
};

static void write_log(struct cluster_node *node, const uint64_t *terms, uint32_t count)
{
    cluster_crash(node);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t payload[2] = {terms[i], i};
        cluster_append_payload(node, terms[i], MORTAR_ENTRY_COMMAND,
                               (struct mortar_bytes){(const uint8_t *)payload, sizeof payload});
    }
    node->term = 7;
    node->vote = (struct mortar_member_id){0};
    node->voting = cluster_position(&node->log, node->log.last);
    cluster_start(node);
}

static void thesis_3_5_every_log_of_figure_3_6_becomes_the_leaders(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    for (size_t i = 0; i < sizeof FOLLOWERS / sizeof FOLLOWERS[0]; i++) {
        print_message("  %s\n", FOLLOWERS[i].why);
        struct cluster *cluster = cluster_open(i + 1, &options, 3, 3, 0);
        write_log(&cluster->nodes[0], LEADER, 10);
        write_log(&cluster->nodes[1], FOLLOWERS[i].terms, FOLLOWERS[i].count);
        write_log(&cluster->nodes[2], LEADER, 5); /* Votes for anybody of the figure. */
        cluster_isolate(cluster, 1, true);
        cluster_elect(cluster, 0);
        cluster_isolate(cluster, 1, false);
        cluster_run(cluster, 10);
        const struct cluster_node *leader = &cluster->nodes[0];
        const struct cluster_node *follower = &cluster->nodes[1];
        assert_int_equal(leader->log.last, 12); /* With the no-op of its term. */
        assert_int_equal(follower->log.last, 12);
        assert_true(
            mortar_log_sum_equal(follower->log.entries[12].sum, leader->log.entries[12].sum));
        assert_int_equal(follower->commit, 12);
        cluster_close(cluster);
    }
}

static void thesis_3_5_the_consistency_check_looks_at_index_and_term(void **state)
{
    (void)state;
    static const uint64_t log[] = {1, 2, 2};
    static const struct {
        struct mortar_position prev;
        bool matched;
    } cases[] = {{{4, 2}, true}, {{3, 2}, true}, {{4, 3}, false}, {{5, 2}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cluster_node *node = solo_open(2);
        solo_fill(node, 3, log, 3);
        solo_append(node, &(struct solo_append){.from = 1, .term = 3, .prev = cases[i].prev});
        assert_int_equal(solo_reply(node, 1)->outcome,
                         cases[i].matched ? APPEND_MATCHED : APPEND_MISMATCH);
        solo_close(node);
    }
}

/* Figure 3.1, AppendEntries 3: only from a conflict on; a late message takes nothing away. */
static void thesis_3_5_a_late_append_does_not_shorten_the_log(void **state)
{
    (void)state;
    static const uint64_t log[] = {2, 2, 2, 2};
    struct cluster_node *node = solo_open(2);
    solo_fill(node, 2, log, 4);
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 2, .prev = at(1, 1), .terms = log, .count = 2});
    assert_int_equal(node->log.last, 5);
    assert_null(cluster_effect(node->cluster, RAFT_TRUNCATE));
    assert_null(cluster_effect(node->cluster, RAFT_APPEND_FOREIGN));
    solo_close(node);
}

static void thesis_3_5_a_conflict_cuts_it_and_all_that_follow(void **state)
{
    (void)state;
    static const uint64_t old[] = {2, 2, 2, 2};
    static const uint64_t new[] = {2, 3};
    static const uint64_t expected[] = {2, 2, 3};
    struct cluster_node *node = solo_open(2);
    solo_fill(node, 2, old, 4);
    solo_append(node, &(struct solo_append){
                          .from = 2, .term = 3, .prev = at(2, 2), .terms = new, .count = 2});
    assert_int_equal(cluster_effect(node->cluster, RAFT_TRUNCATE)->index, 4);
    solo_terms(node, expected, 3);
    solo_close(node);
}

/* Section 6.4, step 1; without it entries of earlier terms would wait for a client (3.6.2). */
static void thesis_6_4_a_leader_opens_its_term_with_a_no_op(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    assert_int_equal(node->log.last, 2);
    assert_int_equal(node->log.entries[2].kind, MORTAR_ENTRY_NOOP);
    assert_int_equal(node->log.entries[2].term, raft_term(node->raft));
    solo_close(node);
}

/* Figure 3.7: an entry of an earlier term, though on a majority, may still be overwritten. */
static void thesis_3_6_2_an_earlier_term_is_not_committed_by_counting(void **state)
{
    (void)state;
    static const uint64_t log[] = {2};
    struct cluster_node *node = solo_open(4);
    solo_fill(node, 3, log, 1); /* 2^2, from a leader that is gone. */
    solo_lead(node, 4);         /* (c): its no-op is 3^4. */
    solo_matched(node, 1, 2);
    solo_matched(node, 2, 2);
    assert_int_equal(node->commit, 1); /* Three of five hold 2^2. */
    solo_matched(node, 1, 3);
    assert_int_equal(node->commit, 1);
    solo_matched(node, 2, 3);
    assert_int_equal(node->commit, 3); /* (e): with an entry of its own term, all before. */
    solo_close(node);
}

/* Figure 3.7 played out: S1 leads again and commits, or S5 overwrites; never both. */
static void thesis_3_6_2_figure_3_7_played_by_real_members(void **state)
{
    (void)state;
    static const uint64_t s1[] = {2};
    static const uint64_t s5[] = {3};
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, 5, 5, 0);
    write_log(&cluster->nodes[0], s1, 1);
    write_log(&cluster->nodes[1], s1, 1);
    write_log(&cluster->nodes[2], s1, 1); /* On a majority, not committed. */
    write_log(&cluster->nodes[4], s5, 1);
    cluster_isolate(cluster, 0, true);
    cluster_elect(cluster, 4); /* (d): the later last term wins the votes of S2, S3, S4. */
    cluster_isolate(cluster, 0, false);
    cluster_run(cluster, 60);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(cluster->nodes[i].log.entries[2].term, 3);
    }
    cluster_close(cluster);
}

static void thesis_10_2_1_the_leader_sends_before_its_own_disk_is_done(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    cluster_propose(node, 1);
    cluster_flush(node);
    assert_int_equal(solo_sent(node, 1)->count, 1); /* Not stored here yet. */
    cluster_propose(node, 1);
    cluster_flush(node);
    assert_int_equal(solo_sent(node, 1)->prev.index, 3); /* Pipelined: no answer came yet. */
    solo_matched(node, 1, 4);
    solo_matched(node, 2, 4);
    assert_int_equal(node->commit, 4); /* By the others' disks alone. */
    assert_int_equal(node->stored, 2);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(thesis_3_5_every_log_of_figure_3_6_becomes_the_leaders,
                                  cluster_teardown),
        cmocka_unit_test(thesis_3_5_the_consistency_check_looks_at_index_and_term),
        cmocka_unit_test(thesis_3_5_a_late_append_does_not_shorten_the_log),
        cmocka_unit_test(thesis_3_5_a_conflict_cuts_it_and_all_that_follow),
        cmocka_unit_test(thesis_6_4_a_leader_opens_its_term_with_a_no_op),
        cmocka_unit_test(thesis_3_6_2_an_earlier_term_is_not_committed_by_counting),
        cmocka_unit_test(thesis_3_6_2_figure_3_7_played_by_real_members),
        cmocka_unit_test(thesis_10_2_1_the_leader_sends_before_its_own_disk_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
