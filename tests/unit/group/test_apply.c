/* Committed entries go to the machine: in order, in runs of one term, split at markers, once. */
#include "group/internal.h"
#include "unit/group/core_bytes.h"
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"
#include "wire/record.h"

#include <string.h>

static struct solo solo; /* Too big for the stack. */

/* ---- A work by itself ---- */

#define CALLS_MAX 64u

struct watcher {
    uint32_t calls;
    struct {
        uint64_t first;
        uint64_t term;
        uint32_t count;
    } call[CALLS_MAX];
    uint64_t pause_at; /* Index of the command before which it pauses; 0: none. */
    bool reply_twice;
    uint64_t too_large_at;
};

static void watch(void *machine, struct mortar_apply *run)
{
    struct watcher *watcher = machine;
    assert_true(watcher->calls < CALLS_MAX);
    watcher->call[watcher->calls].first = run->commands[0].index;
    watcher->call[watcher->calls].term = run->term;
    watcher->call[watcher->calls].count = run->count;
    watcher->calls++;
    for (uint32_t i = 0; i < run->count; i++) {
        assert_int_equal(run->commands[i].term, run->term);
        if (run->commands[i].index == watcher->pause_at) {
            mortar_apply_pause(run, i);
            return;
        }
        const uint8_t number = (uint8_t)run->commands[i].index;
        if (watcher->reply_twice) mortar_apply_reply(run, i, (struct mortar_bytes){&number, 1});
        if (run->commands[i].index % 2 == 0) {
            mortar_apply_reply(run, i, (struct mortar_bytes){&number, 1});
        }
    }
}

static const struct mortar_machine_ops watch_ops = {MORTAR_MACHINE_OPS_INIT, .name = "watcher",
                                                    .epoch = 1, .apply = watch};

static struct client_table clients; /* None. */

static struct mortar_work work_over(struct watcher *watcher, uint64_t first, uint64_t last)
{
    struct mortar_work work = {.kind = WORK_APPLY,
                               .machine_ops = &watch_ops,
                               .machine = watcher,
                               .allocator = cluster_allocator()};
    work.apply.run = solo_run(&solo, first, last);
    work.apply.clients = &clients;
    work.apply.collect = true;
    work.apply.outcome.applied = first - 1;
    return work;
}

static void end_work(struct mortar_work *work)
{
    mortar_buffer_release(work->apply.run.buffer);
    cluster_allocator()->release(NULL, work->apply.replies, work->apply.replies_capacity);
    cluster_assert_nothing_held();
}

static void begin_log(void)
{
    memset(&solo, 0, sizeof solo);
    cluster_count_anew();
    client_table_init(&clients, cluster_allocator());
}

static void a_run_is_cut_where_the_term_changes(void **state)
{
    (void)state;
    begin_log();
    solo_fill(&solo, 1, 3);
    solo_fill(&solo, 2, 5);
    solo_add(&solo, 3, MORTAR_ENTRY_NOOP, (struct mortar_bytes){0});
    solo_fill(&solo, 3, 8);
    struct watcher watcher = {0};
    struct mortar_work work = work_over(&watcher, 1, 8);
    mortar_core_work_run(&work);
    static const uint64_t expected[][3] = {{1, 1, 3}, {4, 2, 2}, {7, 3, 2}};
    assert_int_equal(watcher.calls, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(watcher.call[i].first, expected[i][0]);
        assert_int_equal(watcher.call[i].term, expected[i][1]);
        assert_int_equal(watcher.call[i].count, expected[i][2]);
    }
    assert_int_equal(work.apply.outcome.applied, 8);
    assert_int_equal(work.apply.outcome.commands, 7);
    assert_int_equal(work.apply.outcome.time_ms, 1008);
    /* A reply for every entry: empty for odd ones, and for the no-op. */
    static const uint8_t replies[] = {0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4,
                                      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8};
    assert_int_equal(work.apply.replies_bytes, sizeof replies);
    assert_memory_equal(work.apply.replies, replies, sizeof replies);
    end_work(&work);
}

static void a_run_ends_before_a_marker(void **state)
{
    (void)state;
    begin_log();
    solo_fill(&solo, 1, 3);
    solo_add(&solo, 1, MORTAR_ENTRY_MARKER, (struct mortar_bytes){0});
    solo_fill(&solo, 1, 6);
    struct watcher watcher = {0};
    struct mortar_work work = work_over(&watcher, 1, 6);
    mortar_core_work_run(&work);
    assert_int_equal(watcher.calls, 1);
    assert_int_equal(watcher.call[0].count, 3);
    assert_int_equal(work.apply.outcome.applied, 3);
    end_work(&work);
}

static void what_was_paused_counts_as_not_applied(void **state)
{
    (void)state;
    for (uint64_t pause = 1; pause <= 6; pause++) {
        begin_log();
        solo_fill(&solo, 1, 6);
        struct watcher watcher = {.pause_at = pause, .reply_twice = true};
        struct mortar_work work = work_over(&watcher, 1, 6);
        mortar_core_work_run(&work);
        assert_int_equal(work.apply.outcome.applied, pause - 1);
        assert_int_equal(work.apply.outcome.commands, pause - 1);
        assert_true(work.apply.outcome.paused);
        assert_int_equal(work.apply.replies_bytes, 5 * (pause - 1));
        end_work(&work);
    }
}

/* Thousands of commands in one run are given in pieces; none is lost between them. */
static void a_long_run_is_given_in_pieces(void **state)
{
    (void)state;
    begin_log();
    solo_fill(&solo, 1, 511);
    struct watcher watcher = {0};
    struct mortar_work work = work_over(&watcher, 1, 511);
    mortar_core_work_run(&work);
    uint64_t next = 1;
    for (uint32_t i = 0; i < watcher.calls; i++) {
        assert_int_equal(watcher.call[i].first, next);
        next += watcher.call[i].count;
    }
    assert_int_equal(next, 512);
    assert_int_equal(work.apply.outcome.applied, 511);
    end_work(&work);
}

/* Whatever allocation fails, the commands are applied; only replies may be lost, and are then
 * known to be. */
static void a_reply_without_memory_is_lost_the_command_is_not(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 8; n++) {
        begin_log();
        solo_fill(&solo, 1, 6);
        struct watcher watcher = {.reply_twice = true};
        struct mortar_work work = work_over(&watcher, 1, 6);
        cluster_fail_allocation(n);
        mortar_core_work_run(&work);
        cluster_fail_allocation(0);
        assert_int_equal(work.apply.outcome.applied, 6);
        if (work.apply.replies_bytes != 30) assert_true(work.apply.replies_lost);
        end_work(&work);
    }
}

/* ---- Within a replica ---- */

static void only_what_is_committed_is_applied_and_once(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, 10);
    solo_append(&solo, 3, 10, 5, 0);
    assert_int_equal(solo.adder.sum, 3 + 4 + 5);
    solo_append(&solo, 3, 10, 5, 0); /* The same again. */
    assert_int_equal(solo.adder.sum, 3 + 4 + 5);
    solo_append(&solo, 11, 10, 10, 0);
    assert_int_equal(solo.adder.applied, 8);
    assert_int_equal(solo_status(&solo)->applied, 10);
    solo_close(&solo);
}

/* A term in which nothing was committed is cut; it never reaches the machine. */
static void what_is_cut_is_never_applied(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, 6);
    solo_append(&solo, 3, 6, 4, 0);
    solo.last = 4;
    solo.term = 2;
    solo_add_number(&solo, 2, 1000);
    solo_append(&solo, 5, 5, 5, 0);
    assert_int_equal(solo.adder.sum, 3 + 4 + 1000);
    assert_int_equal(solo_status(&solo)->last.index, 5);
    solo_close(&solo);
}

/* An install that did not wait for the machine: the late work says nothing any more. */
static void a_work_that_an_install_overtook_is_ignored(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, 20);
    solo.hold_works = true;
    solo_append(&solo, 3, 6, 6, 0);
    assert_int_equal(solo.held_count, 1);
    solo_append(&solo, 16, 15, 15, 15);
    assert_non_null(scripted.session);
    static uint8_t bytes[CORE_BYTES_MAX];
    struct core_state core_state = {
        .applied = solo.points[12], .time_ms = 1, .config_index = 2, .birth = {{42}}};
    core_state.config = solo_config(&solo);
    const size_t size = core_bytes(&core_state, bytes, sizeof bytes);
    assert_int_equal(mortar_sync_session_install(scripted.session, &solo.points[12],
                                                 (struct mortar_bytes){bytes, size}),
                     MORTAR_OK);
    solo.hold_works = false;
    solo_run_works(&solo);
    assert_int_equal(solo_status(&solo)->applied, 12);
    solo_close(&solo);
}

/* An exclusive job is behind the works before it: their outcome is true, and must be kept. */
static void job_run(void *argument, void *machine)
{
    (void)argument;
    (void)machine;
}

static void job_done(void *argument, bool destroyed)
{
    (void)destroyed;
    *(bool *)argument = true;
}

static void a_work_before_an_exclusive_job_counts(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, 20);
    solo.hold_works = true;
    solo_append(&solo, 3, 6, 6, 0);
    solo_append(&solo, 16, 15, 15, 15);
    assert_non_null(scripted.session);
    bool done = false;
    assert_int_equal(mortar_sync_offload(mortar_sync_of_session(scripted.session),
                                         MORTAR_ON_MACHINE_EXCLUSIVE, job_run, job_done, &done),
                     MORTAR_OK);
    solo_run_effects(&solo);
    solo_run_works(&solo);
    assert_true(done);
    assert_int_equal(solo_status(&solo)->applied, 6);
    assert_int_equal(mortar_sync_offload(mortar_sync_of_provider(scripted.provider),
                                         MORTAR_ON_MACHINE_EXCLUSIVE, job_run, job_done, &done),
                     MORTAR_E_INVALID);
    solo_close(&solo);
}

/* An install that was begun and given up: what is committed is applied only once the session says
 * that the state is what it was. */
static void apply_waits_after_an_exclusive_job_until_the_state_is_known(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, 20);
    solo_append(&solo, 3, 6, 3, 0);
    solo_append(&solo, 16, 15, 15, 15);
    assert_non_null(scripted.session);
    const uint64_t before = solo_status(&solo)->applied;
    bool done = false;
    assert_int_equal(mortar_sync_offload(mortar_sync_of_session(scripted.session),
                                         MORTAR_ON_MACHINE_EXCLUSIVE, job_run, job_done, &done),
                     MORTAR_OK);
    solo_run_effects(&solo);
    assert_true(done);
    assert_int_equal(mortar_sync_session_set_committed(scripted.session, solo.points[6].position),
                     MORTAR_OK);
    solo_run_effects(&solo);
    assert_int_equal(solo_status(&solo)->applied, before);
    mortar_sync_session_machine_unchanged(scripted.session);
    solo_run_effects(&solo);
    assert_int_equal(solo_status(&solo)->applied, 6);
    solo_close(&solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_cut_where_the_term_changes),
        cmocka_unit_test(a_run_ends_before_a_marker),
        cmocka_unit_test(what_was_paused_counts_as_not_applied),
        cmocka_unit_test(a_long_run_is_given_in_pieces),
        cmocka_unit_test(a_reply_without_memory_is_lost_the_command_is_not),
        cmocka_unit_test(only_what_is_committed_is_applied_and_once),
        cmocka_unit_test(what_is_cut_is_never_applied),
        cmocka_unit_test(a_work_that_an_install_overtook_is_ignored),
        cmocka_unit_test(a_work_before_an_exclusive_job_counts),
        cmocka_unit_test(apply_waits_after_an_exclusive_job_until_the_state_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
