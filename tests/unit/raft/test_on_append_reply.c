/* The leader's side of an answer: back-up, rewinds, and answers that come late. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static const uint64_t LOG[] = {1, 1, 2, 2, 4}; /* 2^1 3^1 4^2 5^2 6^4 */

/* Leads term 5 with the no-op at 7. */
static struct cluster_node *leader(void)
{
    struct cluster_node *node = solo_open(2);
    solo_fill(node, 4, LOG, 5);
    solo_lead(node, 2);
    assert_int_equal(raft_term(node->raft), 5);
    return node;
}

static void a_mismatch_backs_up_by_term(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct mortar_position hint;
        uint64_t next;
    } cases[] = {
        {"its end is an entry of ours", {5, 2}, 6},
        {"empty, as a new member's is", {0, 0}, 2}, /* Index 1 is the base. */
        {"a longer run of an earlier term", {6, 2}, 6},
        {"a term that we do not have", {6, 3}, 6},
        {"beyond our end", {99, 2}, 6},
        {"beyond our end, in our terms", {99, 4}, 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct cluster_node *node = leader();
        node->log.base = 0;
        node->log.entries[0] = (struct mortar_entry){0};
        solo_mismatch(node, 1, cases[i].hint);
        const struct raft_progress_view view = solo_progress(node, 1);
        assert_int_equal(view.state, RAFT_PROBE);
        assert_int_equal(view.match, 0); /* A hint is no acknowledgement. */
        assert_int_equal(view.next, cases[i].hint.index == 0 ? 1 : cases[i].next);
        solo_close(node);
    }
}

static void a_probe_is_sent_again_only_when_its_place_changed(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    cluster_flush(node);
    solo_mismatch(node, 1, at(5, 2));
    cluster_flush(node);
    solo_forget(node);
    for (uint32_t i = 0; i < 5; i++) {
        solo_mismatch(node, 1, at(5, 2));
        cluster_flush(node);
    }
    assert_int_equal(solo_sent_count(node, 1, MESSAGE_APPEND_REQUEST), 0);
    solo_close(node);
}

static void match_never_falls(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    solo_matched(node, 1, 7);
    solo_matched(node, 1, 4);
    assert_int_equal(solo_progress(node, 1).match, 7);
    cluster_propose(node, 2);
    cluster_flush(node);
    solo_mismatch(node, 1, at(3, 1)); /* Late, or a liar. */
    assert_int_equal(solo_progress(node, 1).match, 7);
    assert_int_equal(solo_progress(node, 1).next, 8);
    solo_close(node);
}

static void a_lost_append_shows_and_is_sent_again(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    solo_matched(node, 1, 7);
    cluster_propose(node, 1);
    cluster_flush(node);
    cluster_propose(node, 1);
    cluster_flush(node);
    assert_int_equal(solo_progress(node, 1).next, 10);
    solo_mismatch(node, 1, at(7, 5)); /* 8 was lost, 9 did not fit. */
    assert_int_equal(solo_progress(node, 1).state, RAFT_PROBE);
    solo_forget(node);
    cluster_flush(node);
    assert_int_equal(solo_sent(node, 1)->prev.index, 7);
    assert_int_equal(solo_sent(node, 1)->count, 2);
    solo_close(node);
}

static void what_was_never_sent_cannot_be_acknowledged(void **state)
{
    (void)state;
    struct cluster_node *node = leader();
    solo_matched(node, 1, 8);
    solo_append_reply(
        node, 1, (struct append_reply){.outcome = APPEND_MATCHED, .match_index = 7, .round = 1});
    solo_append_reply(
        node, 1, (struct append_reply){.term = 4, .outcome = APPEND_MATCHED, .match_index = 7});
    assert_int_equal(solo_progress(node, 1).match, 0);
    assert_int_equal(node->commit, 1);
    solo_close(node);
}

/* Design 6.2: one episode, from the moment that too much is missing to the moment it is closed. */
static void an_episode_of_sync_ends_with_its_own_answers_only(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    options.resend_bytes = 300;
    struct cluster_node *node = solo_open_with(&options, 2);
    solo_lead(node, 2);
    cluster_propose(node, 20);
    cluster_store(node);
    solo_matched(node, 1, 22);
    solo_mismatch(node, 2, at(1, 1));
    struct raft_progress_view view = solo_progress(node, 2);
    assert_int_equal(view.state, RAFT_SYNC);
    cluster_flush(node);
    const struct append_request first = *solo_sent(node, 2);
    assert_int_equal(first.sync_id, view.sync_id);
    assert_int_equal(first.prev.index, 22);
    assert_true(first.tail_restart);
    assert_true(mortar_position_equal(first.tail_base.position, at(22, 2)));

    solo_mismatch(node, 2, at(1, 1)); /* An answer from before: sync id 0. */
    assert_int_equal(solo_progress(node, 2).sync_id, view.sync_id);
    struct append_reply done = {.outcome = APPEND_MISMATCH,
                                .last = at(10, 2),
                                .hint = at(10, 2),
                                .first_missing = 11,
                                .sync_id = view.sync_id};
    solo_append_reply(node, 2, done); /* Ended too early: another round, with another number. */
    assert_int_equal(solo_progress(node, 2).state, RAFT_SYNC);
    assert_int_not_equal(solo_progress(node, 2).sync_id, view.sync_id);

    done.sync_id = solo_progress(node, 2).sync_id;
    done.last = at(21, 2);
    done.hint = at(21, 2);
    solo_append_reply(node, 2, done);
    assert_int_equal(solo_progress(node, 2).state, RAFT_PROBE);
    assert_int_equal(solo_progress(node, 2).next, 22);
    solo_close(node);
}

static void the_live_tail_advances_rewinds_and_holds(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    options.resend_bytes = 300;
    struct cluster_node *node = solo_open_with(&options, 2);
    solo_lead(node, 2);
    cluster_propose(node, 20);
    cluster_store(node);
    solo_matched(node, 1, 22);
    solo_mismatch(node, 2, at(1, 1));
    struct append_reply reply = {.outcome = APPEND_SYNCING,
                                 .sync_id = solo_progress(node, 2).sync_id};
    cluster_propose(node, 30);
    cluster_flush(node);
    solo_forget(node);
    cluster_flush(node);
    assert_int_equal(solo_sent_count(node, 2, MESSAGE_APPEND_REQUEST), 0); /* It probes first. */

    reply.tail_index = 34; /* Taken: it streams within its window. */
    solo_append_reply(node, 2, reply);
    cluster_flush(node);
    assert_true(solo_progress(node, 2).next > 35);
    assert_true(solo_progress(node, 2).inflight_bytes <= 4000 + 1000);

    reply.first_missing = 31; /* Refused: back to 31, one at a time. */
    reply.tail_index = 30;
    solo_append_reply(node, 2, reply);
    assert_int_equal(solo_progress(node, 2).next, 31);
    solo_forget(node);
    cluster_flush(node);
    assert_int_equal(solo_sent_count(node, 2, MESSAGE_APPEND_REQUEST), 1);
    for (uint32_t i = 0; i < 5; i++) { /* A stalled tail costs nothing. */
        solo_append_reply(node, 2, reply);
        cluster_flush(node);
    }
    assert_int_equal(solo_sent_count(node, 2, MESSAGE_APPEND_REQUEST), 1);

    reply.tail_index = 0; /* It dropped the tail: from the base. */
    reply.first_missing = 5;
    solo_append_reply(node, 2, reply);
    assert_int_equal(solo_progress(node, 2).next, 23);
    assert_int_equal(solo_progress(node, 2).match, 0); /* C12 */
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mismatch_backs_up_by_term),
        cmocka_unit_test(a_probe_is_sent_again_only_when_its_place_changed),
        cmocka_unit_test(match_never_falls),
        cmocka_unit_test(a_lost_append_shows_and_is_sent_again),
        cmocka_unit_test(what_was_never_sent_cannot_be_acknowledged),
        cmocka_unit_test(an_episode_of_sync_ends_with_its_own_answers_only),
        cmocka_unit_test(the_live_tail_advances_rewinds_and_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
