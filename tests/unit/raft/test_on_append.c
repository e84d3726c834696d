/* The follower's side: what it refuses, what it answers, and when. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static const uint64_t LOG[] = {1, 1, 2, 2, 4}; /* 2^1 3^1 4^2 5^2 6^4 */

static struct cluster_node *follower(void)
{
    struct cluster_node *node = solo_open(2);
    solo_fill(node, 4, LOG, 5);
    return node;
}

static void a_mismatch_hints_at_its_last_entry_that_may_match(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct mortar_position prev;
        struct mortar_position hint;
    } cases[] = {
        {"beyond its end", {9, 5}, {6, 4}},
        {"beyond its end, of a term it has passed", {9, 3}, {5, 2}},
        {"an entry of a later term stands there", {6, 3}, {5, 2}},
        {"an entry of an earlier term stands there", {4, 3}, {4, 2}},
        {"never below its commit index", {4, 1}, {3, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct cluster_node *node = follower();
        solo_append(node, &(struct solo_append){.from = 1, .term = 5, .prev = cases[i].prev});
        const struct append_reply *reply = solo_reply(node, 1);
        assert_int_equal(reply->outcome, APPEND_MISMATCH);
        assert_true(mortar_position_equal(reply->hint, cases[i].hint));
        assert_true(mortar_position_equal(reply->last, at(6, 4)));
        assert_int_equal(reply->first_missing, 7);
        assert_int_equal(node->log.last, 6);
        solo_close(node);
    }
}

static void what_contradicts_committed_entries_is_ignored(void **state)
{
    (void)state;
    static const uint64_t bad[] = {1, 3};
    struct cluster_node *node = follower();
    solo_append(node, &(struct solo_append){.from = 1, .term = 4, .prev = at(6, 4), .commit = 5});
    assert_int_equal(node->commit, 5);
    solo_forget(node);
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 5, .prev = at(3, 1), .terms = bad, .count = 2});
    solo_append(node, &(struct solo_append){.from = 1, .term = 5, .prev = at(4, 3)});
    assert_false(solo_replied(node, 1));
    solo_terms(node, LOG, 5);
    solo_close(node);
}

static void what_contradicts_the_same_leader_is_ignored(void **state)
{
    (void)state;
    static const uint64_t other[] = {3};
    struct cluster_node *node = follower();
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 4, .prev = at(5, 2), .terms = other, .count = 1});
    assert_false(solo_replied(node, 1));
    solo_terms(node, LOG, 5);
    solo_close(node);
}

static void broken_runs_change_nothing(void **state)
{
    (void)state;
    static const uint64_t falling[] = {4, 3};
    static const uint64_t beyond[] = {6};
    struct cluster_node *node = follower();
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 5, .prev = at(6, 4), .terms = falling, .count = 2});
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 5, .prev = at(6, 4), .terms = beyond, .count = 1});
    const uint8_t junk[3] = {1, 2, 3};
    cluster_step(node, &(struct raft_event){.type = RAFT_RECEIVE,
                                            .from = cluster_id(1),
                                            .message = MESSAGE_APPEND_REQUEST,
                                            .append_request = {.term = 5,
                                                               .prev = at(6, 4),
                                                               .count = 1,
                                                               .entries = {junk, sizeof junk}}});
    assert_false(solo_replied(node, 1));
    solo_terms(node, LOG, 5);
    solo_close(node);
}

/* Thesis 3.8: an acknowledgement waits for the disk; a heartbeat is answered at once, with what is
 * durable. */
static void only_what_is_durable_is_acknowledged(void **state)
{
    (void)state;
    static const uint64_t more[] = {5, 5};
    struct cluster_node *node = follower();
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 5, .prev = at(6, 4), .terms = more, .count = 2});
    assert_false(solo_replied(node, 1));
    solo_append(node, &(struct solo_append){.from = 1, .term = 5, .prev = at(8, 5), .round = 3});
    assert_int_equal(solo_reply(node, 1)->outcome, APPEND_MATCHED);
    assert_int_equal(solo_reply(node, 1)->match_index, 6);
    assert_int_equal(solo_reply(node, 1)->round, 3);
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(6, 4)));
    cluster_store_log(node, 7);
    assert_int_equal(solo_reply(node, 1)->match_index, 7);
    cluster_store_log(node, 8);
    assert_int_equal(solo_reply(node, 1)->match_index, 8);
    assert_true(mortar_position_equal(raft_voting_position(node->raft), at(8, 5)));
    solo_close(node);
}

static void a_quiet_append_is_answered_only_where_it_matches_more(void **state)
{
    (void)state;
    struct cluster_node *node = follower();
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 5, .prev = at(6, 4), .commit = 5, .quiet = true});
    assert_int_equal(node->commit, 5);
    assert_int_equal(solo_reply(node, 1)->match_index, 6); /* That it matches is news. */
    solo_forget(node);
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 5, .prev = at(6, 4), .commit = 6, .quiet = true});
    assert_int_equal(node->commit, 6);
    assert_false(solo_replied(node, 1));
    solo_append(node, &(struct solo_append){
                          .from = 1, .term = 5, .prev = at(9, 5), .commit = 9, .quiet = true});
    assert_int_equal(solo_reply(node, 1)->outcome, APPEND_MISMATCH); /* A loss shows. */
    solo_close(node);
}

static void the_commit_index_stops_where_the_match_is_known(void **state)
{
    (void)state;
    struct cluster_node *node = follower();
    solo_append(node, &(struct solo_append){.from = 2, .term = 5, .prev = at(3, 1), .commit = 6});
    assert_int_equal(node->commit, 3); /* 4^2 and on may be another's in term 5. */
    solo_append(node, &(struct solo_append){.from = 2, .term = 5, .prev = at(5, 2), .commit = 6});
    assert_int_equal(node->commit, 5);
    solo_close(node);
}

static void a_second_leader_of_a_term_is_ignored(void **state)
{
    (void)state;
    struct cluster_node *node = follower();
    solo_append(node, &(struct solo_append){.from = 2, .term = 4, .prev = at(6, 4)});
    assert_false(solo_replied(node, 2));
    assert_int_equal(raft_leader(node->raft).peer.bytes[0], 2); /* Number 1 still. */
    solo_close(node);
}

static void only_as_many_configurations_as_fit_are_taken(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    static uint8_t bytes[1u << 16];
    struct writer writer = writer_over(bytes, sizeof bytes);
    static uint8_t payload[CONFIG_ENCODED_BYTES_MAX];
    struct writer config = writer_over(payload, sizeof payload);
    config_encode(raft_config(node->raft), &config);
    for (uint64_t i = 2; i < 14; i++) {
        record_encode(&(struct mortar_entry){.index = i,
                                             .term = 2,
                                             .kind = MORTAR_ENTRY_CONFIG,
                                             .bytes = {payload, config.bytes}},
                      &writer);
    }
    const struct raft_event event = {.type = RAFT_RECEIVE,
                                     .from = cluster_id(1),
                                     .message = MESSAGE_APPEND_REQUEST,
                                     .append_request = {.term = 2,
                                                        .prev = at(1, 1),
                                                        .commit_index = 9,
                                                        .count = 12,
                                                        .entries = {bytes, writer.bytes}}};
    cluster_step(node, &event);
    assert_int_equal(node->log.last, 1 + RAFT_CONFIGS_MAX);
    assert_int_equal(node->commit, 9); /* Which makes room for the rest. */
    cluster_step(node, &event);
    assert_int_equal(node->log.last, 13);
    assert_int_equal(raft_config_index(node->raft), 13);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mismatch_hints_at_its_last_entry_that_may_match),
        cmocka_unit_test(what_contradicts_committed_entries_is_ignored),
        cmocka_unit_test(what_contradicts_the_same_leader_is_ignored),
        cmocka_unit_test(broken_runs_change_nothing),
        cmocka_unit_test(only_what_is_durable_is_acknowledged),
        cmocka_unit_test(a_quiet_append_is_answered_only_where_it_matches_more),
        cmocka_unit_test(the_commit_index_stops_where_the_match_is_known),
        cmocka_unit_test(a_second_leader_of_a_term_is_ignored),
        cmocka_unit_test(only_as_many_configurations_as_fit_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
