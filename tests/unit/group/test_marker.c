/* Markers (design 6): told to the provider exactly between the entries before and after them, with
 * the core state of that place; jobs from there run between the runs of the machine. Wake-ups. */
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"

#include <string.h>

static struct solo solo; /* Too big for the stack. */

#define MARKERS_MAX 8u

struct seen {
    struct mortar_position position;
    uint64_t sum_told;   /* Of the machine, when the marker was told. */
    uint64_t sum_in_job; /* When the job that it offloaded ran. */
    uint64_t state_index;
    uint8_t byte;
    bool destroyed;
};
static struct seen seen[MARKERS_MAX];
static uint32_t seen_count;

static void look_at_machine(void *argument, void *machine)
{
    struct seen *at = argument;
    at->sum_in_job = ((struct adder *)machine)->sum;
}

static void end_of_job(void *argument, bool destroyed)
{
    struct seen *at = argument;
    at->destroyed = destroyed;
}

static void note_marker(struct mortar_sync_provider *provider, struct mortar_position position,
                        struct mortar_bytes bytes)
{
    struct mortar_sync *sync = mortar_sync_of_provider(provider);
    static uint8_t core_state[16384];
    size_t size = 0;
    assert_true(seen_count < MARKERS_MAX);
    struct seen *at = &seen[seen_count++];
    at->position = position;
    at->sum_told = solo.adder.sum;
    at->byte = bytes.bytes > 0 ? bytes.data[0] : 0;
    assert_int_equal(mortar_sync_core_state(sync, core_state, sizeof core_state, &size), MORTAR_OK);
    memcpy(&at->state_index, core_state + 1, sizeof at->state_index);
    assert_int_equal(mortar_sync_applied(sync), position.index);
    assert_int_equal(
        mortar_sync_offload(sync, MORTAR_ON_MACHINE_SHARED, look_at_machine, end_of_job, at),
        MORTAR_OK);
}

static void begin(void)
{
    scripted_reset();
    scripted.on_marker = note_marker;
    seen_count = 0;
    memset(seen, 0, sizeof seen);
    solo_open(&solo);
    solo_follow(&solo);
}

static void add_marker(char byte)
{
    solo_add(&solo, 1, MORTAR_ENTRY_MARKER, (struct mortar_bytes){(const uint8_t *)&byte, 1});
}

/* Numbers 3 to 5, a marker, 7 and 8, two markers, 11. */
static void fill_with_markers(void)
{
    solo_fill(&solo, 1, 5);
    add_marker('a');
    solo_fill(&solo, 1, 8);
    add_marker('b');
    add_marker('c');
    solo_fill(&solo, 1, 11);
}

static void expect_markers(void)
{
    static const struct {
        uint64_t index;
        uint64_t sum;
        char byte;
    } expected[] = {{6, 12, 'a'}, {9, 27, 'b'}, {10, 27, 'c'}};
    assert_int_equal(seen_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(seen[i].position.index, expected[i].index);
        assert_int_equal(seen[i].state_index, expected[i].index);
        assert_int_equal(seen[i].sum_told, expected[i].sum);
        assert_int_equal(seen[i].sum_in_job, expected[i].sum);
        assert_int_equal(seen[i].byte, expected[i].byte);
        assert_false(seen[i].destroyed);
    }
    assert_int_equal(solo.adder.sum, 3 + 4 + 5 + 7 + 8 + 11);
    assert_int_equal(solo_status(&solo)->applied, 11);
}

static void a_marker_is_told_at_its_exact_place(void **state)
{
    (void)state;
    begin();
    fill_with_markers();
    solo_append(&solo, 3, 11, 11, 0);
    expect_markers();
    solo_close(&solo);
}

static void the_place_is_the_same_however_the_commits_come(void **state)
{
    (void)state;
    begin();
    fill_with_markers();
    solo_append(&solo, 3, 11, 2, 0);
    for (uint64_t commit = 3; commit <= 11; commit++)
        solo_append(&solo, 12, 11, commit, 0);
    expect_markers();
    solo_close(&solo);
}

static void the_place_is_the_same_on_a_slow_machine(void **state)
{
    (void)state;
    begin();
    fill_with_markers();
    solo.hold_works = true;
    solo_append(&solo, 3, 11, 11, 0);
    for (uint32_t i = 0; i < 20; i++) {
        solo_tick(&solo, 10);
        solo_run_works(&solo);
    }
    expect_markers();
    solo_close(&solo);
}

/* The companion is gone: its job's end may only free what it was given. */
static void the_end_of_a_job_says_that_its_companion_is_gone(void **state)
{
    (void)state;
    begin();
    solo_fill(&solo, 1, 20);
    solo_append(&solo, 11, 10, 10, 10);
    assert_non_null(scripted.session);
    solo.hold_works = true;
    struct mortar_sync *sync = mortar_sync_of_session(scripted.session);
    assert_int_equal(
        mortar_sync_offload(sync, MORTAR_ON_MACHINE_SHARED, look_at_machine, end_of_job, &seen[0]),
        MORTAR_OK);
    scripted.failed_with = MORTAR_E_STALLED;
    scripted.session_says = MORTAR_SYNC_FAILED;
    mortar_sync_wake(sync);
    solo_run_effects(&solo);
    assert_null(scripted.session);
    scripted.session_says = MORTAR_SYNC_PENDING;
    for (uint32_t i = 0; i < 4; i++) { /* Another one lives in the same place. */
        solo_tick(&solo, 400);
        solo_append(&solo, 11, 10, 10, 10);
    }
    assert_non_null(scripted.session);
    solo.hold_works = false;
    solo_run_works(&solo);
    assert_true(seen[0].destroyed);
    solo_close(&solo);
}

static void nobody_said(void *argument, enum mortar_status status, const struct mortar_log_run *run)
{
    (void)status;
    (void)run;
    *(bool *)argument = true;
}

static void a_read_whose_reader_is_gone_is_not_told(void **state)
{
    (void)state;
    begin();
    solo_fill(&solo, 1, 20);
    solo_append(&solo, 3, 5, 5, 0);
    bool told = false;
    assert_int_equal(mortar_sync_log_read(mortar_sync_of_provider(scripted.provider), 3, 6, 100,
                                          nobody_said, &told),
                     MORTAR_E_NOT_FOUND); /* Beyond the log. */
    assert_int_equal(mortar_sync_log_read(mortar_sync_of_provider(scripted.provider), 3, 5, 100,
                                          nobody_said, &told),
                     MORTAR_OK);
    mortar_core_stop(solo.core); /* Nothing is reaped any more; then the provider goes. */
    solo_close(&solo);
    assert_false(told);
}

static void the_earliest_wake_up_counts_and_comes_once(void **state)
{
    (void)state;
    begin();
    struct mortar_sync *sync = mortar_sync_of_provider(scripted.provider);
    const uint32_t polls = scripted.provider_polls;
    const uint64_t now = mortar_sync_now_ms(sync);
    mortar_sync_wake_at(sync, now + 50);
    mortar_sync_wake_at(sync, now + 30);
    mortar_sync_wake_at(sync, now + 90);
    solo_tick(&solo, 20);
    assert_int_equal(scripted.provider_polls, polls);
    solo_tick(&solo, 10);
    assert_int_equal(scripted.provider_polls, polls + 1);
    solo_tick(&solo, 200);
    assert_int_equal(scripted.provider_polls, polls + 1);
    mortar_sync_wake(sync);
    solo_run_effects(&solo);
    assert_int_equal(scripted.provider_polls, polls + 2);
    solo_close(&solo);
}

/* Only a leader may feed one, and it is an entry like any other. */
static void a_marker_is_fed_by_the_leader_alone(void **state)
{
    (void)state;
    begin();
    static const uint8_t bytes[5000] = {'m'};
    assert_int_equal(
        mortar_sync_provider_feed_command(scripted.provider, (struct mortar_bytes){bytes, 1}),
        MORTAR_E_NOT_LEADER);
    solo_close(&solo);
    scripted_reset();
    scripted.on_marker = note_marker;
    seen_count = 0;
    solo_open(&solo);
    const struct mortar_birth_id birth = {{1}};
    const uint8_t key[16] = {1};
    assert_int_equal(mortar_core_found(solo.core, &birth, key), MORTAR_OK);
    solo_tick(&solo, 2000);
    assert_int_equal(solo_status(&solo)->role, MORTAR_LEADER);
    assert_int_equal(
        mortar_sync_provider_feed_command(scripted.provider, (struct mortar_bytes){bytes, 4097}),
        MORTAR_E_TOO_LARGE);
    assert_int_equal(
        mortar_sync_provider_feed_command(scripted.provider, (struct mortar_bytes){bytes, 4096}),
        MORTAR_OK);
    solo_run_effects(&solo);
    assert_int_equal(seen_count, 1);
    assert_int_equal(seen[0].byte, 'm');
    solo_close(&solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_marker_is_told_at_its_exact_place),
        cmocka_unit_test(the_place_is_the_same_however_the_commits_come),
        cmocka_unit_test(the_place_is_the_same_on_a_slow_machine),
        cmocka_unit_test(the_end_of_a_job_says_that_its_companion_is_gone),
        cmocka_unit_test(a_read_whose_reader_is_gone_is_not_told),
        cmocka_unit_test(the_earliest_wake_up_counts_and_comes_once),
        cmocka_unit_test(a_marker_is_fed_by_the_leader_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
