/* What the leader sends, and when. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static struct cluster_node *leader(void)
{
    struct cluster_node *node = solo_open(2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    cluster_flush(node);
    solo_forget(node);
    return node;
}

static void appends_are_cut_by_bytes_and_held_by_the_window(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    cluster_propose(node, 200); /* 80 bytes each; 12 fit an append of 1000, 50 a window of 4000. */
    cluster_flush(node);
    for (uint32_t i = 0; i < node->cluster->message_count; i++) {
        const struct cluster_message *message = &node->cluster->messages[i];
        if (message->to == 1) assert_in_range(message->event.append_request.count, 1, 12);
    }
    assert_in_range(solo_progress(node, 1).inflight_bytes, 4000, 4999);
    const uint64_t next = solo_progress(node, 1).next;
    solo_matched(node, 1, 14);
    cluster_flush(node);
    assert_int_equal(solo_progress(node, 1).next, next + 12);
    solo_close(node);
}

static void an_entry_larger_than_an_append_is_sent_alone(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    options.append_bytes = 10;
    options.window_bytes = 10;
    struct cluster_node *node = solo_open_with(&options, 2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    cluster_propose(node, 3);
    cluster_flush(node);
    assert_int_equal(solo_sent(node, 1)->count, 1);
    assert_int_equal(solo_progress(node, 1).next, 4);
    solo_close(node);
}

static void a_heartbeat_leaves_though_the_window_is_full(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    cluster_propose(node, 200);
    cluster_flush(node);
    const uint64_t next = solo_progress(node, 1).next;
    solo_forget(node);
    cluster_tick(node, 2);
    assert_int_equal(solo_sent_count(node, 1, MESSAGE_APPEND_REQUEST), 1);
    assert_int_equal(solo_sent(node, 1)->count, 0);
    assert_int_equal(solo_sent(node, 1)->prev.index, next - 1); /* A loss before it shows. */
    solo_close(node);
}

static void followers_learn_at_once_what_is_committed(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    cluster_propose(node, 1);
    cluster_flush(node);
    cluster_store(node);
    solo_forget(node);
    solo_matched(node, 1, 3);
    assert_int_equal(node->commit, 3);
    cluster_flush(node);
    assert_int_equal(solo_sent(node, 1)->commit_index, 3);
    assert_true(solo_sent(node, 1)->quiet); /* Nothing else is to be answered. */
    assert_int_equal(solo_sent(node, 1)->vouched.position.index, 3);
    assert_true(mortar_log_sum_equal(solo_sent(node, 1)->vouched.sum, node->log.entries[3].sum));
    solo_forget(node);
    cluster_flush(node);
    assert_int_equal(node->cluster->message_count, 0); /* Once. */
    solo_close(node);
}

static void a_heartbeat_that_carries_a_commit_is_not_quiet(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    cluster_propose(node, 1);
    cluster_flush(node);
    cluster_store(node);
    solo_forget(node);
    cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
    cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
    solo_matched(node, 1, 3);
    cluster_flush(node);
    assert_int_equal(solo_sent_count(node, 1, MESSAGE_APPEND_REQUEST), 1);
    assert_int_equal(solo_sent(node, 1)->commit_index, 3);
    assert_false(solo_sent(node, 1)->quiet);
    solo_close(node);
}

static void a_follower_sends_nothing_on_flush(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    cluster_step(node, &(struct raft_event){.type = RAFT_FLUSH});
    assert_int_equal(node->cluster->effects.count, 0);
    solo_close(node);
}

static void flush_stops_when_full_and_goes_on(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    options.append_bytes = 1;
    options.window_bytes = 1u << 20;
    struct cluster_node *node = solo_open_with(&options, 2);
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    cluster_propose(node, 200);
    cluster_step(node, &(struct raft_event){.type = RAFT_FLUSH});
    assert_int_equal(node->cluster->effects.count, RAFT_EFFECTS_MAX);
    cluster_flush(node);
    assert_int_equal(solo_progress(node, 1).next, 203);
    solo_close(node);
}

static void proposals_are_bounded_by_what_is_uncommitted(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    assert_int_equal(cluster_propose(node, 200), MORTAR_OK);
    assert_int_equal(cluster_propose(node, 100), MORTAR_E_BUSY);
    cluster_store(node);
    solo_matched(node, 1, node->log.last);
    assert_int_equal(cluster_propose(node, 100), MORTAR_OK);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_are_cut_by_bytes_and_held_by_the_window),
        cmocka_unit_test(an_entry_larger_than_an_append_is_sent_alone),
        cmocka_unit_test(a_heartbeat_leaves_though_the_window_is_full),
        cmocka_unit_test(followers_learn_at_once_what_is_committed),
        cmocka_unit_test(a_heartbeat_that_carries_a_commit_is_not_quiet),
        cmocka_unit_test(a_follower_sends_nothing_on_flush),
        cmocka_unit_test(flush_stops_when_full_and_goes_on),
        cmocka_unit_test(proposals_are_bounded_by_what_is_uncommitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
