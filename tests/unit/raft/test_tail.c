/* The follower while a session runs (design 6.2, C12). */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static const uint64_t TWOS[] = {2, 2, 2, 2, 2, 2};

/* Entries 2..3 of term 2; the leader of term 2 said SYNC with the base 20^2. */
static struct cluster_node *syncing(uint64_t tail_bytes_max)
{
    struct cluster_node *node = solo_open(2);
    node->tail_bytes_max = tail_bytes_max;
    solo_fill(node, 2, TWOS, 2);
    solo_append(node,
                &(struct solo_append){
                    .from = 1, .term = 2, .prev = at(20, 2), .sync_id = 7, .tail_base = at(20, 2)});
    assert_true(raft_syncing(node->raft));
    return node;
}

static void tail(struct cluster_node *node, uint64_t term, struct mortar_position prev,
                 const uint64_t *terms, uint32_t count, struct mortar_position base)
{
    solo_forget(node);
    solo_append(node, &(struct solo_append){.from = (uint32_t)term - 1,
                                            .term = term,
                                            .prev = prev,
                                            .terms = terms,
                                            .count = count,
                                            .sync_id = 7,
                                            .tail_base = base});
}

static void expect_tail(struct cluster_node *node, uint32_t leader, uint64_t index, bool refused)
{
    const struct append_reply *reply = solo_reply(node, leader);
    assert_int_equal(reply->outcome, APPEND_SYNCING);
    assert_int_equal(reply->tail_index, index);
    assert_int_equal(reply->first_missing != 0, refused);
    assert_int_equal(reply->match_index, 0); /* C12: never acknowledged. */
    assert_false(reply->whole);
    assert_true(mortar_position_equal(reply->last, at(3, 2)));
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(3, 2)));
}

static void a_gap_at_the_leaders_base_opens_a_session(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_fill(node, 2, TWOS, 2);
    solo_append(node,
                &(struct solo_append){
                    .from = 1, .term = 2, .prev = at(25, 2), .sync_id = 7, .tail_base = at(20, 2)});
    assert_null(cluster_effect(node->cluster, RAFT_SYNC_OPEN)); /* Not at the base: not yet. */
    solo_append(node, &(struct solo_append){.from = 1,
                                            .term = 2,
                                            .prev = at(20, 2),
                                            .commit = 22,
                                            .sync_id = 7,
                                            .tail_base = at(20, 2)});
    const struct raft_effect *open = cluster_effect(node->cluster, RAFT_SYNC_OPEN);
    assert_non_null(open);
    assert_true(mortar_position_equal(open->sync_open.prev, at(20, 2)));
    assert_int_equal(open->sync_open.leader_commit, 22);
    assert_int_equal(open->sync_open.sync_id, 7);
    expect_tail(node, 1, 0, false); /* The session began: the leader may send the tail. */
    solo_close(node);
}

static void a_log_that_holds_the_base_needs_no_session(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_fill(node, 2, TWOS, 4);
    solo_append(node, &(struct solo_append){.from = 1,
                                            .term = 2,
                                            .prev = at(5, 2),
                                            .terms = TWOS,
                                            .count = 1,
                                            .sync_id = 7,
                                            .tail_base = at(5, 2)});
    cluster_store(node);
    assert_false(raft_syncing(node->raft));
    assert_int_equal(solo_reply(node, 1)->outcome, APPEND_MATCHED);
    assert_int_equal(solo_reply(node, 1)->match_index, 6);
    assert_int_equal(solo_reply(node, 1)->sync_id, 7);
    solo_close(node);
}

static void the_tail_takes_entries_in_order_and_asks_for_gaps(void **state)
{
    (void)state;
    struct cluster_node *node = syncing(1u << 20);
    tail(node, 2, at(21, 2), TWOS, 1, at(20, 2));
    expect_tail(node, 1, 0, true); /* No tail yet, and not at the base. */
    tail(node, 2, at(20, 2), TWOS, 3, at(20, 2));
    expect_tail(node, 1, 23, false);
    tail(node, 2, at(25, 2), TWOS, 1, at(20, 2));
    expect_tail(node, 1, 23, true);
    tail(node, 2, at(21, 2), TWOS, 4, at(20, 2)); /* 22 and 23 are there. */
    expect_tail(node, 1, 25, false);
    assert_int_equal(node->tail.last, 25);
    assert_int_equal(node->log.last, 3);
    solo_close(node);
}

static void a_new_leader_goes_on_with_the_tail_or_cuts_what_conflicts(void **state)
{
    (void)state;
    static const uint64_t threes[] = {2, 3, 3};
    struct cluster_node *node = syncing(1u << 20);
    tail(node, 2, at(20, 2), TWOS, 4, at(20, 2)); /* 21..24 of term 2 */
    tail(node, 3, at(21, 2), threes, 3, at(21, 2));
    expect_tail(node, 2, 24, false);
    assert_int_equal(node->tail.base, 20); /* Kept. */
    assert_int_equal(node->tail.entries[22].term, 2);
    assert_int_equal(node->tail.entries[23].term, 3);
    solo_close(node);
}

static void a_base_outside_the_tail_opens_another(void **state)
{
    (void)state;
    struct cluster_node *node = syncing(1u << 20);
    tail(node, 2, at(20, 2), TWOS, 2, at(20, 2));
    tail(node, 2, at(30, 2), TWOS, 2, at(30, 2));
    expect_tail(node, 1, 32, false);
    assert_int_equal(node->tail.base, 30);
    solo_close(node);
}

/* C9: the tail has a budget; what does not fit waits, and costs nothing meanwhile. */
static void a_full_tail_takes_a_part_and_refuses_until_there_is_room(void **state)
{
    (void)state;
    struct cluster_node *node = syncing(3 * (RECORD_HEADER_BYTES + 16));
    tail(node, 2, at(20, 2), TWOS, 5, at(20, 2));
    expect_tail(node, 1, 23, true);
    assert_int_equal(node->tail.last, 23);
    tail(node, 2, at(23, 2), NULL, 0, at(20, 2));
    expect_tail(node, 1, 23, true);
    node->tail_bytes_max *= 2;
    tail(node, 2, at(23, 2), NULL, 0, at(20, 2));
    expect_tail(node, 1, 23, false);
    tail(node, 2, at(23, 2), TWOS, 2, at(20, 2));
    expect_tail(node, 1, 25, false);
    solo_close(node);
}

static void ordinary_appends_do_not_touch_a_log_in_session(void **state)
{
    (void)state;
    struct cluster_node *node = syncing(1u << 20);
    solo_forget(node);
    solo_append(
        node, &(struct solo_append){
                  .from = 2, .term = 3, .prev = at(3, 2), .commit = 3, .terms = TWOS, .count = 1});
    expect_tail(node, 2, 0, true);
    assert_int_equal(node->commit, 3); /* What matches may be committed. */
    solo_append(node, &(struct solo_append){.from = 2, .term = 3, .prev = at(9, 2)});
    assert_int_equal(solo_reply(node, 2)->outcome, APPEND_MISMATCH);
    solo_close(node);
}

static void the_end_of_a_session_is_told_at_once(void **state)
{
    (void)state;
    struct cluster_node *node = syncing(1u << 20);
    tail(node, 2, at(20, 2), TWOS, 2, at(20, 2));
    solo_forget(node);
    for (uint64_t i = 4; i <= 20; i++) {
        node->cluster->committed[i] = (struct mortar_entry){
            .index = i, .term = 2, .kind = MORTAR_ENTRY_NOOP, .bytes = {(const uint8_t *)"", 0}};
    }
    for (uint64_t i = 4; i <= 20; i++) {
        session_append(node, &node->cluster->committed[i]);
    }
    session_end(node);
    assert_false(raft_syncing(node->raft));
    const struct append_reply *reply = solo_reply(node, 1);
    assert_int_equal(reply->outcome, APPEND_MISMATCH);
    assert_true(mortar_position_equal(reply->hint, at(20, 2)));
    assert_int_equal(reply->sync_id, 7);
    assert_true(reply->whole);
    solo_close(node);
}

/* C12: a suffix that a session cut as conflicting no longer holds back its votes. */
static void a_session_that_cuts_lowers_the_voting_position(void **state)
{
    (void)state;
    struct cluster_node *node = syncing(1u << 20);
    session_cut(node, 3);
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(2, 2)));
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_at_the_leaders_base_opens_a_session),
        cmocka_unit_test(a_log_that_holds_the_base_needs_no_session),
        cmocka_unit_test(the_tail_takes_entries_in_order_and_asks_for_gaps),
        cmocka_unit_test(a_new_leader_goes_on_with_the_tail_or_cuts_what_conflicts),
        cmocka_unit_test(a_base_outside_the_tail_opens_another),
        cmocka_unit_test(a_full_tail_takes_a_part_and_refuses_until_there_is_room),
        cmocka_unit_test(ordinary_appends_do_not_touch_a_log_in_session),
        cmocka_unit_test(the_end_of_a_session_is_told_at_once),
        cmocka_unit_test(a_session_that_cuts_lowers_the_voting_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
