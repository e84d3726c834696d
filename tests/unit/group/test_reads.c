/* Queries (C2): local ones, rounds of the leader, questions of followers, and their losses. */
#include "unit/group/cluster.h"
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"

static struct cluster cluster; /* Too big for the stack. */
static struct solo solo;

static enum mortar_status ask(struct mortar_core *core, uint64_t id, enum mortar_read_mode mode,
                              uint32_t timeout_ms)
{
    return mortar_core_query(core, id, mode, (struct mortar_bytes){0}, timeout_ms);
}

static void begin_follower(void)
{
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
}

static uint64_t last_question(void)
{
    struct mortar_bytes payload;
    struct read_request request = {0};
    assert_true(solo_last_sent(&solo, SOLO_LEADER, MESSAGE_READ_REQUEST, &payload));
    assert_int_equal(read_request_decode(payload, &request), MORTAR_OK);
    return request.id;
}

static void answer(uint64_t id, enum mortar_status status, uint64_t index)
{
    const struct read_reply reply = {.id = id, .status = status, .index = index};
    (void)solo_receive(&solo, SOLO_LEADER, MESSAGE_READ_REPLY, &reply);
}

static void a_local_query_answers_from_what_is_applied(void **state)
{
    (void)state;
    begin_follower();
    solo_fill(&solo, 1, 4);
    solo_append(&solo, 3, 4, 3, 0);
    assert_int_equal(ask(solo.core, 1, MORTAR_READ_LOCAL, 100), MORTAR_OK);
    solo_run_effects(&solo);
    assert_int_equal(solo.done[1].result.status, MORTAR_OK);
    assert_int_equal(solo.done[1].reply, 3);
    assert_int_equal(solo.done[1].result.first.index, 3);
    assert_int_equal(solo_count_sent(&solo, MESSAGE_READ_REQUEST), 0);
    solo_close(&solo);
}

static void a_follower_waits_until_the_leaders_index_is_applied(void **state)
{
    (void)state;
    begin_follower();
    solo_fill(&solo, 1, 6);
    assert_int_equal(ask(solo.core, 1, MORTAR_READ_LINEARIZABLE, 1000), MORTAR_OK);
    assert_int_equal(ask(solo.core, 2, MORTAR_READ_LINEARIZABLE, 1000), MORTAR_OK);
    solo_run_effects(&solo);
    assert_int_equal(solo_count_sent(&solo, MESSAGE_READ_REQUEST), 1); /* They share it. */
    answer(last_question(), MORTAR_OK, 5);
    assert_false(solo.done[1].seen);
    solo_append(&solo, 3, 6, 4, 0);
    assert_false(solo.done[1].seen);
    solo_append(&solo, 7, 6, 5, 0);
    for (uint64_t id = 1; id <= 2; id++) {
        assert_int_equal(solo.done[id].result.status, MORTAR_OK);
        assert_int_equal(solo.done[id].reply, 3 + 4 + 5);
    }
    solo_close(&solo);
}

/* The network may lose question or answer; a slow leader's late answer still counts. */
static void a_lost_question_is_asked_again_and_any_of_the_answers_will_do(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(ask(solo.core, 1, MORTAR_READ_LINEARIZABLE, 2000), MORTAR_OK);
    solo_run_effects(&solo);
    const uint64_t first = last_question();
    solo_tick(&solo, 500);
    assert_true(solo_count_sent(&solo, MESSAGE_READ_REQUEST) >= 2);
    assert_true(last_question() > first);
    answer(first, MORTAR_OK, 2);
    assert_int_equal(solo.done[1].result.status, MORTAR_OK);
    solo_close(&solo);
}

static void a_refused_question_is_not_asked_again_at_once(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(ask(solo.core, 1, MORTAR_READ_LINEARIZABLE, 2000), MORTAR_OK);
    solo_run_effects(&solo);
    answer(last_question(), MORTAR_E_NOT_LEADER, 0);
    assert_int_equal(solo_count_sent(&solo, MESSAGE_READ_REQUEST), 1);
    solo_tick(&solo, 100);
    assert_int_equal(solo_count_sent(&solo, MESSAGE_READ_REQUEST), 2);
    answer(last_question(), MORTAR_OK, 2);
    assert_int_equal(solo.done[1].result.status, MORTAR_OK);
    solo_close(&solo);
}

/* C2: what an earlier leader said is not enough once another leads. */
static void an_answer_of_an_earlier_leader_counts_no_more(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(ask(solo.core, 1, MORTAR_READ_LINEARIZABLE, 5000), MORTAR_OK);
    solo_run_effects(&solo);
    const uint64_t old = last_question();
    solo.term = 2;
    solo_append(&solo, 3, 2, 2, 0); /* The same member leads the next term: still another reign. */
    struct append_request other = solo_append_of(&solo, 3, 2, 2, 0);
    other.term = 3;
    (void)solo_receive(&solo, SOLO_OTHER, MESSAGE_APPEND_REQUEST, &other);
    answer(old, MORTAR_OK, 2);
    assert_false(solo.done[1].seen);
    solo_close(&solo);
}

static void a_query_ends_within_its_timeout_also_on_a_machine_that_stands_still(void **state)
{
    (void)state;
    begin_follower();
    solo.hold_works = true;
    assert_int_equal(ask(solo.core, 1, MORTAR_READ_LOCAL, 300), MORTAR_OK);
    assert_int_equal(ask(solo.core, 2, MORTAR_READ_LINEARIZABLE, 300), MORTAR_OK);
    solo_run_effects(&solo);
    solo_tick(&solo, 400);
    assert_int_equal(solo.done[1].result.status, MORTAR_E_TIMEOUT);
    assert_int_equal(solo.done[2].result.status, MORTAR_E_TIMEOUT);
    assert_int_equal(ask(solo.core, 3, MORTAR_READ_LOCAL, 300), MORTAR_OK);
    solo.hold_works = false;
    solo_run_works(&solo); /* What comes too late is not taken for an answer to another. */
    assert_int_equal(solo.done[3].result.status, MORTAR_OK);
    solo_close(&solo);
}

static void a_query_without_a_leader_says_so(void **state)
{
    (void)state;
    begin_follower();
    solo_tick(&solo, 2000);
    assert_int_equal(ask(solo.core, 1, MORTAR_READ_LINEARIZABLE, 200), MORTAR_OK);
    solo_tick(&solo, 400);
    assert_int_equal(solo.done[1].result.status, MORTAR_E_NO_LEADER);
    solo_close(&solo);
}

static void a_leader_answers_its_followers_after_a_round(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    for (uint64_t id = 1; id <= 300; id++)
        assert_int_equal(ask(cluster.replicas[id % 3].core, id, MORTAR_READ_LINEARIZABLE, 1000),
                         MORTAR_OK);
    assert_int_equal(cluster_add(&cluster, 0, 400, 9, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_run(&cluster, 500);
    for (uint64_t id = 1; id <= 300; id++)
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(ask(cluster.replicas[i].core, 500 + i, MORTAR_READ_LINEARIZABLE, 1000),
                         MORTAR_OK);
    cluster_run(&cluster, 200);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.done[500 + i].reply, 9);
    cluster_close(&cluster);
}

static void queries_are_bounded_like_requests(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster.tune.requests_max = 3;
    cluster_start(&cluster, 1);
    struct mortar_core *core = cluster.replicas[0].core;
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(ask(core, id, MORTAR_READ_LINEARIZABLE, 1000), MORTAR_OK);
    assert_int_equal(ask(core, 4, MORTAR_READ_LINEARIZABLE, 1000), MORTAR_E_BUSY);
    cluster_run(&cluster, 100);
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
    assert_int_equal(ask(core, 5, MORTAR_READ_LINEARIZABLE, 1000), MORTAR_OK);
    cluster_run(&cluster, 100);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_local_query_answers_from_what_is_applied),
        cmocka_unit_test(a_follower_waits_until_the_leaders_index_is_applied),
        cmocka_unit_test(a_lost_question_is_asked_again_and_any_of_the_answers_will_do),
        cmocka_unit_test(a_refused_question_is_not_asked_again_at_once),
        cmocka_unit_test(an_answer_of_an_earlier_leader_counts_no_more),
        cmocka_unit_test(a_query_ends_within_its_timeout_also_on_a_machine_that_stands_still),
        cmocka_unit_test(a_query_without_a_leader_says_so),
        cmocka_unit_test(a_leader_answers_its_followers_after_a_round),
        cmocka_unit_test(queries_are_bounded_like_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
