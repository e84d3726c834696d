/* The gate per follower: which moves are legal, and when it becomes SYNC. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static void only_replicate_to_itself_is_illegal(void **state)
{
    (void)state;
    const enum raft_progress_state all[] = {RAFT_PROBE, RAFT_REPLICATE, RAFT_SYNC};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            const bool expected = !(all[i] == RAFT_REPLICATE && all[j] == RAFT_REPLICATE);
            assert_int_equal(raft_progress_is_legal(all[i], all[j]), expected);
        }
    }
}

static void an_illegal_move_is_a_broken_invariant(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, node->log.last);
    const struct mortar_member_id id = cluster_id(1);
    struct raft_member *member = raft_member_find(node->raft, &id);
    assert_int_equal(member->state, RAFT_REPLICATE);
    expect_assert_failure(
        raft_progress_move(node->raft, member, RAFT_REPLICATE, node->log.last + 1));
    solo_close(node);
}

/* Design 6.2: up to resend_bytes the leader resends, for more the member opens a session. Only what
 * is committed counts: nobody else has the rest. */
static void more_than_resend_bytes_of_committed_entries_mean_sync(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    options.resend_bytes = 10 * 80; /* Ten commands of the toy log. */
    static const struct {
        const char *why;
        uint32_t missing;
        bool commit;
        enum raft_progress_state expected;
    } cases[] = {
        {"as much as may be resent", 10, true, RAFT_PROBE},
        {"one more", 11, true, RAFT_SYNC},
        {"more, but nobody else has it", 30, false, RAFT_PROBE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct cluster_node *node = solo_open_with(&options, 2);
        solo_lead(node, 2);
        assert_int_equal(cluster_propose(node, cases[i].missing), MORTAR_OK);
        cluster_store(node);
        if (cases[i].commit) solo_matched(node, 1, node->log.last);
        solo_mismatch(node, 2, at(2, node->log.entries[2].term)); /* It has the no-op. */
        assert_int_equal(solo_progress(node, 2).state, cases[i].expected);
        solo_close(node);
    }
}

static void a_member_below_the_base_is_in_sync(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    cluster_propose(node, 5);
    cluster_store(node);
    solo_matched(node, 1, node->log.last);
    node->log.base = 5;
    solo_mismatch(node, 2, at(2, node->log.entries[2].term));
    const struct raft_progress_view view = solo_progress(node, 2);
    assert_int_equal(view.state, RAFT_SYNC);
    assert_int_equal(view.next, node->commit + 1); /* The live tail begins above the commit. */
    assert_int_not_equal(view.sync_id, 0);
    solo_close(node);
}

static void a_lost_link_means_to_ask_again_from_what_matched(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    cluster_propose(node, 3);
    cluster_flush(node);
    assert_int_equal(solo_progress(node, 1).next, 6);
    const struct raft_event down = {.type = RAFT_LINK, .from = cluster_id(1), .up = false};
    cluster_step(node, &down);
    assert_int_equal(solo_progress(node, 1).state, RAFT_PROBE);
    assert_int_equal(solo_progress(node, 1).next, 3);
    assert_int_equal(solo_progress(node, 1).inflight_bytes, 0);
    solo_forget(node);
    cluster_tick(node, 4);
    assert_int_equal(solo_sent_count(node, 1, MESSAGE_APPEND_REQUEST), 0);
    const struct raft_event up = {.type = RAFT_LINK, .from = cluster_id(1), .up = true};
    cluster_step(node, &up);
    cluster_flush(node);
    assert_int_equal(solo_sent(node, 1)->prev.index, 2);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_replicate_to_itself_is_illegal),
        cmocka_unit_test(an_illegal_move_is_a_broken_invariant),
        cmocka_unit_test(more_than_resend_bytes_of_committed_entries_mean_sync),
        cmocka_unit_test(a_member_below_the_base_is_in_sync),
        cmocka_unit_test(a_lost_link_means_to_ask_again_from_what_matched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
