/* A storage that completes later than it is asked: the results are the same, and nothing that
 * depends on a write is said before it is durable (thesis 3.8, 10.2.1; C11). */
#include "unit/group/cluster.h"
#include "unit/group/scripted.h"
#include "unit/group/slow_storage.h"
#include "unit/group/solo.h"
#include "unit/test.h"
#include "wire/frame.h"
#include "wire/message.h"

static struct cluster cluster; /* Too big for the stack. */
static struct solo solo;
static struct mortar_storage storages[64];
static uint32_t storage_count;
static uint32_t delay;
static uint64_t fail_at;

static struct mortar_storage slow(struct mortar_storage inner)
{
    assert_true(storage_count < 64);
    storages[storage_count] = slow_storage(inner, delay, fail_at, MORTAR_E_IO);
    return storages[storage_count++];
}

/* Replica i was the i-th to be opened: none is opened again here. */
static enum cluster_fate watch_promises(struct cluster *all, const struct packet *packet,
                                        uint8_t type)
{
    (void)all;
    const struct slow_durable durable = slow_storage_durable(&storages[packet->from]);
    const struct mortar_bytes payload = {mortar_buffer_data(packet->frame) + FRAME_HEADER_BYTES,
                                         mortar_buffer_bytes(packet->frame) - FRAME_HEADER_BYTES};
    struct append_reply append;
    struct vote_reply vote;
    struct vote_request request;
    if (type == MESSAGE_APPEND_REPLY) {
        assert_int_equal(append_reply_decode(payload, WIRE_VERSION_MIN, &append), MORTAR_OK);
        assert_true(append.term <= durable.term);
        if (append.outcome == APPEND_MATCHED) assert_true(append.match_index <= durable.last);
    }
    if (type == MESSAGE_VOTE_REPLY) {
        assert_int_equal(vote_reply_decode(payload, &vote), MORTAR_OK);
        if (vote.granted && !vote.pre) assert_true(vote.term <= durable.term);
    }
    if (type == MESSAGE_VOTE_REQUEST) {
        assert_int_equal(vote_request_decode(payload, &request), MORTAR_OK);
        if (!request.pre) assert_true(request.term <= durable.term);
    }
    return CLUSTER_DELIVER;
}

static void begin(uint32_t reaps)
{
    delay = reaps;
    fail_at = 0;
    storage_count = 0;
    cluster_open(&cluster);
    cluster.wrap = slow;
    cluster.filter = watch_promises;
    cluster_start(&cluster, 3);
}

static const uint32_t delays[] = {0, 1, 2, 3, 7, 20};
#define DELAYS (sizeof delays / sizeof delays[0])

static void the_results_are_the_same_however_late_the_disk(void **state)
{
    (void)state;
    for (size_t i = 0; i < DELAYS; i++) {
        print_message("  %u reaps late\n", delays[i]);
        begin(delays[i]);
        for (uint64_t id = 1; id <= 60; id++) {
            assert_int_equal(
                cluster_add(&cluster, (uint32_t)(id % 3), id, id, MORTAR_REQUEST_EXECUTE),
                MORTAR_OK);
            if (id % 5 == 0) cluster_run(&cluster, 10);
        }
        assert_int_equal(cluster_bulk(&cluster, 0, 61, 500, 400), MORTAR_OK);
        cluster_run(&cluster, 3000);
        for (uint64_t id = 1; id <= 61; id++)
            assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
        for (uint32_t r = 0; r < 3; r++) {
            assert_int_equal(cluster.replicas[r].adder.applied, 560);
            assert_int_equal(cluster.replicas[r].adder.sum, cluster.replicas[0].adder.sum);
        }
        cluster_close(&cluster);
    }
}

/* Appends read from a late disk leave in order, and heartbeats that overtake them say nothing that
 * the follower must deny: nothing is sent twice. */
static void a_late_disk_does_not_make_followers_deny(void **state)
{
    (void)state;
    for (size_t i = 0; i < DELAYS; i++) {
        print_message("  %u reaps late\n", delays[i]);
        begin(delays[i]);
        const uint64_t before = cluster_status(&cluster, 0)->counters.appends_sent;
        for (uint64_t id = 1; id <= 40; id++)
            assert_int_equal(cluster_bulk(&cluster, 0, id, 20, 3000), MORTAR_OK);
        cluster_run(&cluster, 2000);
        for (uint64_t id = 1; id <= 40; id++)
            assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
        /* 2.4 MB in control frames to two followers, and the first probe of each. */
        const uint64_t sent = cluster_status(&cluster, 0)->counters.appends_sent - before;
        assert_in_range(sent, 74, 100);
        cluster_close(&cluster);
    }
}

static void leaders_change_and_conflicts_are_cut_on_late_disks(void **state)
{
    (void)state;
    for (size_t i = 0; i < DELAYS; i++) {
        print_message("  %u reaps late\n", delays[i]);
        begin(delays[i]);
        cluster_isolate(&cluster, 0, true);
        assert_int_equal(cluster_bulk(&cluster, 0, 1, 30, 100), MORTAR_OK);
        cluster_run(&cluster, 4000);
        const uint32_t leader = (uint32_t)cluster_leader(&cluster);
        assert_true(leader == 1 || leader == 2);
        assert_int_equal(cluster_bulk(&cluster, leader, 2, 10, 100), MORTAR_OK);
        cluster_run(&cluster, 500);
        cluster_isolate(&cluster, 0, false);
        cluster_run(&cluster, 3000);
        assert_int_equal(cluster.done[1].result.status, MORTAR_E_LOST);
        assert_int_equal(cluster.done[2].result.status, MORTAR_OK);
        for (uint32_t r = 0; r < 3; r++) {
            assert_int_equal(cluster.replicas[r].adder.applied, 10);
            assert_int_equal(cluster_status(&cluster, r)->stored,
                             cluster_status(&cluster, r)->last.index);
        }
        cluster_close(&cluster);
    }
}

static void a_session_closes_its_gap_on_late_disks(void **state)
{
    (void)state;
    for (size_t i = 0; i < DELAYS; i++) {
        print_message("  %u reaps late\n", delays[i]);
        begin(delays[i]);
        cluster_isolate(&cluster, 2, true);
        for (uint64_t id = 1; id <= 20; id++) {
            assert_int_equal(cluster_bulk(&cluster, 0, id, 500, 200), MORTAR_OK);
            cluster_run(&cluster, 100);
        }
        cluster_isolate(&cluster, 2, false);
        cluster_run(&cluster, 6000);
        const struct mortar_core_status *status = cluster_status(&cluster, 2);
        assert_int_equal(cluster.replicas[2].adder.applied, 10000);
        assert_true(status->counters.sessions_done >= 1);
        assert_true(status->online);
        assert_int_equal(status->stored, status->last.index);
        cluster_close(&cluster);
    }
}

/* The completion of a write that a reset overtook says nothing about the log as it is now. */
static void a_reset_voids_what_was_on_its_way(void **state)
{
    (void)state;
    scripted_reset();
    delay = 5;
    fail_at = 0;
    storage_count = 0;
    solo.wrap = slow;
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, 30);
    solo_append(&solo, 26, 25, 25, 25);
    assert_non_null(scripted.session);
    struct mortar_log_run run = solo_run(&solo, 3, 20);
    assert_int_equal(mortar_sync_session_append(scripted.session, &run, true), MORTAR_OK);
    mortar_buffer_release(run.buffer);
    static uint8_t bytes[16384];
    size_t size = 0;
    assert_int_equal(mortar_sync_core_state(mortar_sync_of_session(scripted.session), bytes,
                                            sizeof bytes, &size),
                     MORTAR_OK);
    struct writer core_state = writer_over(bytes, sizeof bytes); /* Now that of entry 10. */
    core_state.bytes = 1;
    put_position(&core_state, solo.points[10].position);
    put_log_sum(&core_state, solo.points[10].sum);
    assert_int_equal(mortar_sync_session_install(scripted.session, &solo.points[10],
                                                 (struct mortar_bytes){bytes, size}),
                     MORTAR_OK);
    for (uint32_t i = 0; i < 12; i++) {
        mortar_core_reap(solo.core);
        mortar_core_check(solo.core);
        assert_true(solo_status(&solo)->stored <= slow_storage_durable(&storages[0]).last);
    }
    assert_int_equal(solo_status(&solo)->last.index, 10);
    assert_int_equal(solo_status(&solo)->stored, 10);
    solo_close(&solo);
}

/* Design 5: a write that fails kills the replica, and every request ends by name. */
static void a_write_that_fails_ends_every_request(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 12; n++) {
        cluster_open(&cluster);
        delay = (uint32_t)(n % 3);
        fail_at = 0;
        storage_count = 0;
        cluster.wrap = slow;
        cluster_start(&cluster, 2);
        fail_at = n;
        cluster_join(&cluster, 2);
        fail_at = 0;
        assert_int_equal(cluster_add(&cluster, 2, 1, 1, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
        assert_int_equal(mortar_core_query(cluster.replicas[2].core, 2, MORTAR_READ_LINEARIZABLE,
                                           (struct mortar_bytes){0}, 5000),
                         MORTAR_OK);
        for (uint64_t id = 10; id < 60; id++) {
            assert_int_equal(cluster_add(&cluster, 0, id, 1, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
            cluster_run(&cluster, 60);
        }
        cluster_run(&cluster, 5000);
        assert_true(cluster.replicas[2].failed);
        assert_true(cluster.done[1].seen);
        assert_true(cluster.done[2].seen);
        assert_int_equal(cluster_add(&cluster, 2, 3, 1, MORTAR_REQUEST_EXECUTE), MORTAR_E_FAILED);
        assert_false(cluster.replicas[0].failed);
        cluster_close(&cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_results_are_the_same_however_late_the_disk),
        cmocka_unit_test(a_late_disk_does_not_make_followers_deny),
        cmocka_unit_test(leaders_change_and_conflicts_are_cut_on_late_disks),
        cmocka_unit_test(a_session_closes_its_gap_on_late_disks),
        cmocka_unit_test(a_reset_voids_what_was_on_its_way),
        cmocka_unit_test(a_write_that_fails_ends_every_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
