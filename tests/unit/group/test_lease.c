/* Leases (C9) and pruning: what others' sessions hold back, how long, and how that ends. */
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"

static struct solo solo; /* Too big for the stack. */

#define LOG_END 40u

/* A follower with 40 committed and applied entries, whose method has no need of any up to 30. */
static void begin(uint64_t prune_to)
{
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, LOG_END);
    solo_append(&solo, 3, LOG_END, LOG_END, 0);
    scripted.prune_to = prune_to;
}

static void give_lease(uint64_t session, uint64_t from_index, uint64_t bytes_max,
                       uint64_t duration_ms, bool ended)
{
    const struct lease lease = {.session = session,
                                .from_index = from_index,
                                .bytes_max = bytes_max,
                                .duration_ms = duration_ms,
                                .term = 1,
                                .ended = ended};
    (void)solo_receive(&solo, SOLO_OTHER, MESSAGE_LEASE, &lease);
}

static uint64_t base(void)
{
    return solo_status(&solo)->base.position.index;
}

static void keep_alive(uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i += 100) {
        solo_tick(&solo, 100);
        solo_append(&solo, LOG_END + 1, LOG_END, LOG_END, 0);
        solo_forget_sent(&solo);
    }
}

static void the_log_is_pruned_as_far_as_the_method_says(void **state)
{
    (void)state;
    static const struct {
        uint64_t hint;
        uint64_t base;
    } cases[] = {{0, 0},
                 {1, 1},
                 {30, 30},
                 {LOG_END, LOG_END},
                 {1000, LOG_END},
                 {MORTAR_SYNC_NO_PRUNE, 0},
                 {UINT64_MAX - 1, LOG_END}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(cases[i].hint);
        solo_run_effects(&solo);
        assert_int_equal(base(), cases[i].base);
        solo_close(&solo);
    }
}

static void nothing_is_pruned_that_was_not_applied(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, LOG_END);
    scripted.prune_to = 1000;
    solo.hold_works = true;
    solo_append(&solo, 3, LOG_END, 20, 0);
    assert_true(base() <= 2);
    solo.hold_works = false;
    solo_run_works(&solo);
    assert_int_equal(base(), 20);
    solo_close(&solo);
}

static void a_lease_holds_the_log_from_its_index_on(void **state)
{
    (void)state;
    static const uint64_t from[] = {0, 1, 5, 30, 31, 100};
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        begin(MORTAR_SYNC_NO_PRUNE);
        give_lease(1, from[i], UINT64_MAX, 10000, false);
        scripted.prune_to = 30;
        solo_run_effects(&solo);
        uint64_t expected = 30;
        if (from[i] <= 30) expected = from[i] <= 1 ? 0 : from[i] - 1;
        assert_int_equal(base(), expected);
        solo_close(&solo);
    }
}

static void the_oldest_of_several_leases_counts(void **state)
{
    (void)state;
    begin(MORTAR_SYNC_NO_PRUNE);
    give_lease(1, 20, UINT64_MAX, 10000, false);
    const struct lease other = {
        .session = 5, .from_index = 10, .bytes_max = UINT64_MAX, .duration_ms = 10000};
    (void)solo_receive(&solo, SOLO_STRANGER, MESSAGE_LEASE, &other);
    scripted.prune_to = 30;
    solo_run_effects(&solo);
    assert_int_equal(base(), 9);
    assert_int_equal(solo_status(&solo)->lease_count, 2);
    solo_close(&solo);
}

static void a_lease_ends_by_its_sessions_word_without_an_event(void **state)
{
    (void)state;
    begin(MORTAR_SYNC_NO_PRUNE);
    give_lease(1, 5, UINT64_MAX, 10000, false);
    scripted.prune_to = 30;
    solo_run_effects(&solo);
    give_lease(2, 5, UINT64_MAX, 10000, true); /* Of another session: not its word. */
    assert_int_equal(base(), 4);
    give_lease(1, 5, UINT64_MAX, 10000, true);
    assert_int_equal(base(), 30);
    assert_int_equal(solo_status(&solo)->lease_count, 0);
    assert_int_equal(solo_status(&solo)->counters.leases_ended, 0);
    solo_close(&solo);
}

static void a_lease_that_is_not_renewed_ends_with_an_event(void **state)
{
    (void)state;
    begin(MORTAR_SYNC_NO_PRUNE);
    give_lease(1, 5, UINT64_MAX, 2000, false);
    scripted.prune_to = 30;
    keep_alive(1500);
    give_lease(1, 7, UINT64_MAX, 2000, false); /* Renewed, and it needs less. */
    keep_alive(1500);
    assert_int_equal(base(), 6);
    assert_int_equal(solo_status(&solo)->counters.leases_ended, 0);
    keep_alive(1000);
    assert_int_equal(base(), 30);
    assert_int_equal(solo_status(&solo)->counters.leases_ended, 1);
    assert_int_equal(solo_status(&solo)->lease_count, 0);
    solo_close(&solo);
}

static void a_lease_lasts_no_longer_than_the_option_whatever_it_asks(void **state)
{
    (void)state;
    solo.tune = (struct mortar_core_options){MORTAR_CORE_OPTIONS_INIT};
    solo.tune.lease_ms = 1000;
    begin(MORTAR_SYNC_NO_PRUNE);
    give_lease(1, 5, UINT64_MAX, UINT64_MAX, false);
    scripted.prune_to = 30;
    keep_alive(1200);
    assert_int_equal(base(), 30);
    solo_close(&solo);
}

/* The bound is on what it holds back from pruning, in bytes of the log. */
static void a_lease_ends_when_it_holds_more_than_its_bytes(void **state)
{
    (void)state;
    begin(MORTAR_SYNC_NO_PRUNE);
    const uint64_t record = solo.ends[10] - solo.ends[9];
    give_lease(1, 11, 10 * record, 10000, false);
    scripted.prune_to = 20; /* Holds 11..20 back: ten records. */
    solo_run_effects(&solo);
    assert_int_equal(base(), 10);
    assert_int_equal(solo_status(&solo)->counters.leases_ended, 0);
    scripted.prune_to = 21;
    solo_run_effects(&solo);
    assert_int_equal(base(), 21);
    assert_int_equal(solo_status(&solo)->counters.leases_ended, 1);
    assert_int_equal(solo_status(&solo)->lease_count, 0);
    give_lease(1, 11, 10 * record, 10000, false); /* It does not begin again, */
    scripted.prune_to = 25;
    solo_run_effects(&solo);
    assert_int_equal(base(), 25);
    give_lease(2, 28, 10 * record, 10000, false); /* but another session's does. */
    scripted.prune_to = 30;
    solo_run_effects(&solo);
    assert_int_equal(base(), 27);
    assert_int_equal(solo_status(&solo)->counters.leases_ended, 1);
    solo_close(&solo);
}

/* The lease rides on the session's heartbeats to all members; its end is told at once. */
static void a_session_asks_all_members_and_tells_its_end(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, LOG_END);
    solo_append(&solo, 3, 5, 5, 0);
    solo_forget_sent(&solo);
    solo_append(&solo, 31, 30, 30, 30);
    assert_non_null(scripted.session);
    struct lease lease;
    for (uint32_t peer = 0; peer < SOLO_PEERS; peer++) {
        struct mortar_bytes payload;
        assert_true(solo_last_sent(&solo, peer, MESSAGE_LEASE, &payload));
        assert_int_equal(lease_decode(payload, &lease), MORTAR_OK);
        assert_int_equal(lease.from_index, 6);
        assert_false(lease.ended);
    }
    mortar_sync_session_needs(scripted.session, 9);
    solo_forget_sent(&solo);
    solo_tick(&solo, 110);
    struct mortar_bytes payload;
    assert_true(solo_last_sent(&solo, SOLO_OTHER, MESSAGE_LEASE, &payload));
    assert_int_equal(lease_decode(payload, &lease), MORTAR_OK);
    assert_int_equal(lease.from_index, 9);
    scripted.failed_with = MORTAR_E_STALLED;
    scripted.session_says = MORTAR_SYNC_FAILED;
    mortar_sync_wake(mortar_sync_of_session(scripted.session));
    solo_forget_sent(&solo);
    solo_run_effects(&solo);
    assert_true(solo_last_sent(&solo, SOLO_OTHER, MESSAGE_LEASE, &payload));
    assert_int_equal(lease_decode(payload, &lease), MORTAR_OK);
    assert_true(lease.ended);
    solo_close(&solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_is_pruned_as_far_as_the_method_says),
        cmocka_unit_test(nothing_is_pruned_that_was_not_applied),
        cmocka_unit_test(a_lease_holds_the_log_from_its_index_on),
        cmocka_unit_test(the_oldest_of_several_leases_counts),
        cmocka_unit_test(a_lease_ends_by_its_sessions_word_without_an_event),
        cmocka_unit_test(a_lease_that_is_not_renewed_ends_with_an_event),
        cmocka_unit_test(a_lease_lasts_no_longer_than_the_option_whatever_it_asks),
        cmocka_unit_test(a_lease_ends_when_it_holds_more_than_its_bytes),
        cmocka_unit_test(a_session_asks_all_members_and_tells_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
