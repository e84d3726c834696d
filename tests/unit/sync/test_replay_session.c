/* One catch-up from beginning to end: phases, ends, stalls, changes of leader and target. */
#include "sync/replay_session.h"
#include "unit/sync/fake_runtime.h"

/* A plain catch-up: everything arrives, from the members other than the leader. */
static void lagging_member_gets_the_whole_log_from_the_others(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    struct fake_world *const world = fake_open(&setup);
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_int_equal(world->members[1].entries_sent, 0); /* The leader. */
    assert_true(world->members[2].entries_sent > 10);
    assert_true(world->members[3].entries_sent > 10);
    assert_true(world->progress.bytes_held_max <= setup.options.window_bytes);
    assert_int_equal(world->progress.entries_done, 2000);
    assert_int_equal(world->progress.entries_left, 0);
    assert_int_equal(world->progress.bytes_left, 0);
    assert_int_equal(world->progress.bytes_discarded, 0);
    assert_int_equal(world->progress.bytes_done, world->offsets[2001]);
    assert_int_equal(world->session_runtime.needs, 2001);
    assert_int_equal(world->own_term, 5);
    assert_true(world->now_ms < 1400);
    fake_close(world);
}

/* W-1, W-2: entries of a deposed leader's term, in several terms, stand behind the common log. The
 * first of them is cut and all after it, whatever the leader's last entry looks like. */
static void w1_w2_uncommitted_conflicts_are_cut_from_the_first_one(void **state)
{
    (void)state;
    static const struct {
        uint64_t lag_at;   /* Common, and committed. */
        uint64_t extended; /* Common, not known to be committed. */
        uint32_t conflicts;
    } cases[] = {{1000, 1000, 1}, {1000, 1000, 300}, {1000, 1170, 7}, {0, 0, 50}, {0, 333, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_setup setup = {FAKE_SETUP, .lag_at = cases[i].lag_at};
        setup.options.batch_bytes = 4096;
        struct fake_world *const world = fake_open(&setup);
        fake_fill(world, 0, cases[i].extended);
        if (cases[i].conflicts > 0) {
            fake_diverge(world, 0, 4, (cases[i].conflicts + 1) / 2);
            fake_diverge(world, 0, 5, cases[i].conflicts);
        }
        fake_begin(world);
        fake_expect_ready(world, 2000);
        assert_int_equal(world->cut_from, cases[i].conflicts > 0 ? cases[i].extended + 1 : 0);
        fake_close(world);
    }
}

/* W-3: what is committed here and differs from the leader's log is never cut; the session says that
 * it cannot mend it. */
static void w3_a_conflict_below_the_commit_index_fails_and_cuts_nothing(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 490};
    struct fake_world *const world = fake_open(&setup);
    fake_diverge(world, 0, 2, 10);
    world->members[0].commit = 500;
    fake_begin(world);
    assert_true(fake_run(world, 10000));
    assert_int_equal(world->outcome, MORTAR_SYNC_FAILED);
    assert_int_equal(world->reason, MORTAR_E_UNVERIFIED);
    assert_int_equal(fake_last(&world->members[0]).index, 500);
    assert_int_equal(world->fetches, 0);
    fake_close(world);
}

/* W-16: the local log is longer than what is missing: nothing underflows, nothing is cut. */
static void w16_a_log_beyond_the_target_is_ready_and_stays(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 1990};
    struct fake_world *const world = fake_open(&setup);
    fake_fill(world, 0, 2000);
    fake_diverge(world, 0, 5, 5);
    fake_begin(world);
    assert_true(fake_run(world, 1000));
    assert_int_equal(world->outcome, MORTAR_SYNC_READY);
    assert_int_equal(world->ready.index, 2005);
    assert_int_equal(world->cut_from, 0);
    fake_close(world);
}

static void nothing_missing_is_ready_at_once(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 2000};
    struct fake_world *const world = fake_open(&setup);
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_true(world->now_ms < 1100);
    assert_int_equal(world->fetches, 0);
    fake_close(world);
}

/* W-12b: the gap reaches beyond what is committed when the session begins. Method: commits advance
 * while it runs, the others' later than the leader's; their word is refreshed. */
static void w12b_commits_that_advance_later_are_reached(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    struct fake_world *const world = fake_open(&setup);
    for (uint32_t i = 1; i < 4; i++)
        world->members[i].commit = 700;
    world->tail_open = true; /* Everything from 1500 on comes as the live tail. */
    world->tail_base = world->points[1500];
    fake_begin(world);
    assert_false(fake_run(world, 400));
    assert_int_equal(world->members[0].commit, 700);
    world->members[1].commit = 1500;
    assert_false(fake_run(world, 100));
    world->members[2].commit = 1500;
    world->members[3].commit = 1300;
    fake_expect_ready(world, 1500);
    fake_close(world);
}

/* W-12d: with nobody to answer, the session ends by itself and says why it waited. */
static void w12d_a_session_that_nobody_answers_fails_as_stalled(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.give_up_ms = 12000;
    struct fake_world *const world = fake_open(&setup);
    for (uint32_t i = 1; i < 4; i++)
        world->members[i].alive = false;
    fake_begin(world);
    assert_false(fake_run(world, 11900));
    assert_string_equal(world->progress.waits_for, "the leader's plan of what is missing");
    assert_true(fake_run(world, 200));
    assert_int_equal(world->outcome, MORTAR_SYNC_FAILED);
    assert_int_equal(world->reason, MORTAR_E_STALLED);
    assert_true(world->progress.restarts >= 1);
    fake_close(world);
}

static void without_a_leader_it_waits_for_one_and_goes_on_when_it_comes(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 100};
    struct fake_world *const world = fake_open(&setup);
    fake_diverge(world, 0, 3, 4);
    world->leader = FAKE_NOBODY;
    fake_begin(world);
    assert_false(fake_run(world, 5000));
    assert_string_equal(world->progress.waits_for, "a leader");
    world->leader = 3;
    fake_expect_ready(world, 2000);
    fake_close(world);
}

/* W-12f: leaders and terms change again and again; what is verified stays, nothing is fetched
 * twice. Method: a slow network, a new leader every 40 ms. */
static void w12f_leader_and_term_changes_keep_what_is_verified(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 30};
    setup.members = 5;
    setup.options.batch_bytes = 4096;
    setup.options.source_window_bytes = 8192;
    struct fake_world *const world = fake_open(&setup);
    fake_diverge(world, 0, 2, 9);
    for (uint32_t i = 1; i < 5; i++)
        world->members[i].latency_ms = 9;
    fake_begin(world);
    uint64_t before = 30;
    for (uint32_t i = 0; world->outcome == MORTAR_SYNC_PENDING && i < 100; i++) {
        world->leader = i % 5 == 4 ? FAKE_NOBODY : 1 + i % 4;
        world->term++;
        world->own_term++;
        fake_run(world, 40);
        assert_true(world->members[0].commit >= before);
        before = world->members[0].commit;
    }
    fake_expect_ready(world, 2000);
    assert_int_equal(world->progress.bytes_discarded, 0);
    assert_int_equal(world->progress.bytes_done, world->offsets[2001] - world->offsets[31]);
    fake_close(world);
}

/* A plan counts only from the member that leads now, in a term not older than ours. */
static bool forge_term(struct fake_world *world, struct fake_message *message)
{
    if (fake_type(message) != REPLAY_PLAN || message->from != 1) return true;
    world->tampered++;
    mortar_buffer_data(message->buffer)[6] = 1; /* The term, below ours. */
    return true;
}

static void a_plan_of_an_older_term_is_not_taken(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    struct fake_world *const world = fake_open(&setup);
    world->own_term = 6;
    world->tamper = forge_term;
    fake_begin(world);
    assert_false(fake_run(world, 2000));
    assert_int_equal(world->fetches, 0);
    assert_true(world->tampered >= 2 && world->tampered < 100); /* Asked again, with back-off. */
    world->leader = 2;
    fake_expect_ready(world, 2000);
    fake_close(world);
}

/* W-14: the live tail breaks off and begins anew further on, twice: the session follows. */
static void w14_a_tail_that_restarts_moves_the_target(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    struct fake_world *const world = fake_open(&setup);
    for (uint32_t i = 1; i < 4; i++)
        world->members[i].latency_ms = 15;
    world->tail_open = true;
    world->tail_base = world->points[777];
    fake_begin(world);
    assert_false(fake_run(world, 60));
    world->tail_open = false;
    assert_false(fake_run(world, 20));
    world->tail_open = true;
    world->tail_base = world->points[1801];
    fake_expect_ready(world, 1801);
    fake_close(world);
}

/* A target that moves back (a new leader knows of fewer commits) is not overshot by what is not
 * fetched yet. */
static void a_target_that_moves_back_is_met_exactly(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    setup.options.window_bytes = 8192;
    struct fake_world *const world = fake_open(&setup);
    for (uint32_t i = 1; i < 4; i++)
        world->members[i].latency_ms = 15;
    world->tail_open = true;
    world->tail_base = world->points[1900];
    fake_begin(world);
    assert_false(fake_run(world, 200));
    assert_true(world->members[0].commit < 1500);
    world->leader = 2;
    world->tail_base = world->points[1501];
    fake_expect_ready(world, 1501);
    fake_close(world);
}

/* C6: a tail opens at the log's end while pieces further ahead are verified already: they are taken
 * before the session ends. */
static void a_target_that_falls_behind_loses_nothing_verified(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    struct fake_world *const world = fake_open(&setup);
    world->members[2].latency_ms = 40; /* Its pieces leave holes behind. */
    fake_begin(world);
    uint64_t ahead = 0;
    while (ahead == 0 && !fake_run(world, 1)) {
        const struct replay_chunk *head = NULL;
        struct replay_session *session = world->session;
        if (session->queue.count > 0) head = replay_chunk_at(session, 0);
        const bool hole = head != NULL && head->state < REPLAY_CHUNK_ARRIVED;
        if (hole) ahead = replay_queue_verified_end(session);
    }
    assert_true(ahead > fake_last(&world->members[0]).index);
    const struct mortar_position last = fake_last(&world->members[0]);
    world->tail_open = true;
    world->tail_base = world->points[last.index];
    assert_true(fake_run(world, 5000));
    assert_int_equal(world->outcome, MORTAR_SYNC_READY);
    assert_true(world->ready.index >= ahead);
    assert_int_equal(world->progress.entries_done, world->ready.index);
    fake_close(world);
}

/* C4: the end is compared with the sum that the leader gives for it. */
static void a_target_with_another_sum_fails_as_unverified(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    struct fake_world *const world = fake_open(&setup);
    world->tail_open = true;
    world->tail_base = world->points[1500];
    world->tail_base.sum.high ^= 1;
    fake_begin(world);
    assert_true(fake_run(world, 3000));
    assert_int_equal(world->outcome, MORTAR_SYNC_FAILED);
    assert_int_equal(world->reason, MORTAR_E_UNVERIFIED);
    fake_close(world);
}

/* W-15: answers to an earlier session of the same member are nobody's. Method: all ENTRIES of the
 * first session are kept back, and arrive in the second. */
static bool keep_back(struct fake_world *world, struct fake_message *message)
{
    if (message->session == 1 && fake_type(message) == REPLAY_ENTRIES) {
        message->deliver_ms = world->now_ms + 150;
        world->tampered++;
    }
    return true;
}

static void w15_answers_to_an_earlier_session_are_ignored(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    struct fake_world *const world = fake_open(&setup);
    world->tamper = keep_back;
    fake_begin(world);
    assert_false(fake_run(world, 100));
    fake_end(world);
    for (uint32_t i = 1; i < 4; i++)
        world->members[i].latency_ms = 60;
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_true(world->tampered > 0);
    assert_true(world->progress.bytes_discarded > 0);
    for (uint32_t i = 1; i < 4; i++)
        assert_false(fake_source(world, i)->dropped);
    fake_close(world);
}

/* W-30, W-32: memory is bounded by the window, and entries are appended and committed while the
 * rest is still being fetched. */
static void w30_w32_ranges_are_appended_as_they_close_within_the_window(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    setup.options.window_bytes = 20000;
    struct fake_world *const world = fake_open(&setup);
    fake_begin(world);
    uint64_t seen = 0;
    for (uint32_t i = 0; !fake_run(world, 5) && i < 10000; i++) {
        assert_true(world->progress.bytes_held <= setup.options.window_bytes);
        if (world->members[0].commit > seen) seen = world->members[0].commit;
        if (seen > 100 && seen < 1000) world->tampered = seen;
    }
    fake_expect_ready(world, 2000);
    assert_true(world->tampered > 0); /* The log had grown in the middle of it. */
    assert_true(world->progress.bytes_held_max <= setup.options.window_bytes);
    assert_true(world->progress.bytes_held_max > 8192);
    assert_true(world->appends > 50);
    fake_close(world);
}

/* Rooms that are full for a while (bulk threads, the log) only delay. */
static void busy_threads_and_a_busy_log_only_delay(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 4096;
    struct fake_world *const world = fake_open(&setup);
    world->offload_busy = 20;
    world->append_busy = 20;
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_int_equal(world->append_busy, 0);
    fake_close(world);
}

/* Every few reservations one fails, anywhere: the session still ends, and nothing leaks. */
static bool starve(struct fake_world *world, struct fake_message *message)
{
    (void)message;
    world->counting.fail_at = world->counting.calls + 1 + prng_below(&world->prng, 9);
    return true;
}

static void failing_reservations_only_delay(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.entries = 600;
        setup.seed = seed;
        setup.options.batch_bytes = 4096;
        struct fake_world *const world = fake_open(&setup);
        fake_begin(world);
        world->tamper = starve;
        fake_expect_ready(world, 600);
        assert_true(world->counting.failures > 0);
        fake_close(world);
    }
}

/* Options change while it runs: the next requests follow them. */
static void options_change_while_it_runs(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.batch_bytes = 2048;
    setup.options.window_bytes = 4096;
    setup.options.source_window_bytes = 2048;
    struct fake_world *const world = fake_open(&setup);
    fake_begin(world);
    assert_false(fake_run(world, 40));
    const uint64_t before = world->members[0].commit;
    assert_true(world->progress.bytes_held_max <= 4096);
    setup.options.window_bytes = 1u << 20;
    setup.options.source_window_bytes = 1u << 20;
    assert_int_equal(mortar_sync_log_replay_tune(world->method, &setup.options), MORTAR_OK);
    (void)fake_run(world, 20);
    assert_true(world->members[0].commit - before > before);
    fake_expect_ready(world, 2000);
    fake_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lagging_member_gets_the_whole_log_from_the_others),
        cmocka_unit_test(w1_w2_uncommitted_conflicts_are_cut_from_the_first_one),
        cmocka_unit_test(w3_a_conflict_below_the_commit_index_fails_and_cuts_nothing),
        cmocka_unit_test(w16_a_log_beyond_the_target_is_ready_and_stays),
        cmocka_unit_test(nothing_missing_is_ready_at_once),
        cmocka_unit_test(w12b_commits_that_advance_later_are_reached),
        cmocka_unit_test(w12d_a_session_that_nobody_answers_fails_as_stalled),
        cmocka_unit_test(without_a_leader_it_waits_for_one_and_goes_on_when_it_comes),
        cmocka_unit_test(w12f_leader_and_term_changes_keep_what_is_verified),
        cmocka_unit_test(a_plan_of_an_older_term_is_not_taken),
        cmocka_unit_test(w14_a_tail_that_restarts_moves_the_target),
        cmocka_unit_test(a_target_that_moves_back_is_met_exactly),
        cmocka_unit_test(a_target_that_falls_behind_loses_nothing_verified),
        cmocka_unit_test(a_target_with_another_sum_fails_as_unverified),
        cmocka_unit_test(w15_answers_to_an_earlier_session_are_ignored),
        cmocka_unit_test(w30_w32_ranges_are_appended_as_they_close_within_the_window),
        cmocka_unit_test(busy_threads_and_a_busy_log_only_delay),
        cmocka_unit_test(failing_reservations_only_delay),
        cmocka_unit_test(options_change_while_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
