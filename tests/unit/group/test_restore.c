/* A replica over a log that survived its process (src/group/restore.c): it knows again what it
 * promised and what its entries say, and takes part in nothing before it has read them (thesis
 * 3.8, C11, C12). The storage is filled before the core sees it. */
#include "unit/group/slow_storage.h"
#include "unit/group/solo.h"
#include "unit/test.h"

#include <string.h>

#define LAST 40u /* Of the log that survived; the leader has committed all of it. */

static struct solo source; /* Where the records come from. */
static struct solo solo;
static struct mortar_storage_hard_state state;
static uint64_t held_last;
static uint32_t delay; /* Of the storage; 0: it answers at once. */

static void reap(const struct mortar_storage *storage)
{
    struct mortar_storage_completion done;
    while (storage->ops->reap(storage->self, &done, 1) > 0)
        assert_int_equal(done.status, MORTAR_OK);
}

static struct mortar_storage filled(struct mortar_storage inner)
{
    const struct mortar_log_run run = solo_run(&source, 1, held_last);
    assert_int_equal(inner.ops->append(inner.self, MORTAR_LOG_MAIN, &run, 1), MORTAR_OK);
    mortar_buffer_release(run.buffer);
    assert_int_equal(inner.ops->save(inner.self, &state, 2), MORTAR_OK);
    reap(&inner);
    return delay == 0 ? inner : slow_storage(inner, delay, 0, MORTAR_OK);
}

/* What a voter leaves behind that followed peer 0 in term 1 and voted for it. */
static int prepare(void **unused)
{
    (void)unused;
    solo_open(&source);
    solo_follow(&source);
    solo_fill(&source, 1, LAST);
    solo_close(&source);
    held_last = LAST;
    delay = 0;
    state = (struct mortar_storage_hard_state){
        .term = 1,
        .voted_for = source.peers[SOLO_LEADER],
        .voting = source.points[LAST].position,
        .commit = source.points[LAST - 10].position,
    };
    memset(&solo, 0, sizeof solo);
    solo.wrap = filled;
    return 0;
}

static void it_is_the_member_that_it_was(void **unused)
{
    (void)unused;
    solo_open(&solo);
    const struct mortar_core_status *status = solo_status(&solo);
    assert_int_equal(status->term, 1);
    assert_int_equal(status->last.index, LAST);
    assert_int_equal(status->stored, LAST);
    assert_int_equal(status->committed.index, LAST - 10);
    assert_true(status->member);
    assert_true(status->birth_known);
    assert_int_equal(status->member_count, 3);
    solo_close(&solo);
}

static void its_machine_is_given_all_that_is_committed(void **unused)
{
    (void)unused;
    solo_open(&solo);
    solo_run_works(&solo);
    assert_int_equal(solo_status(&solo)->applied, LAST - 10);
    const uint64_t applied = solo.adder.applied;
    solo.last = source.last; /* The leader goes on where it was. */
    memcpy(solo.records, source.records, sizeof solo.records);
    memcpy(solo.ends, source.ends, sizeof solo.ends);
    memcpy(solo.points, source.points, sizeof solo.points);
    solo_append(&solo, LAST + 1, LAST, LAST, 0);
    solo_run_works(&solo);
    assert_int_equal(solo_status(&solo)->applied, LAST);
    assert_int_equal(solo.adder.applied, applied + 10);
    solo_close(&solo);
}

static struct vote_request candidate(uint64_t term, uint64_t last)
{
    return (struct vote_request){.term = term, .last = {.index = last, .term = 1}};
}

static bool last_vote(struct vote_reply *out_reply)
{
    struct mortar_bytes payload;
    return solo_last_sent(&solo, SOLO_OTHER, MESSAGE_VOTE_REPLY, &payload) &&
           vote_reply_decode(payload, out_reply) == MORTAR_OK;
}

static void it_does_not_vote_twice_in_a_term(void **unused)
{
    (void)unused;
    struct vote_reply reply = {0};
    solo_open(&solo);
    const struct vote_request again = candidate(1, LAST + 5);
    assert_int_equal(solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REQUEST, &again), MORTAR_OK);
    assert_true(last_vote(&reply));
    assert_false(reply.granted);
    solo_close(&solo);
}

static void it_votes_by_what_it_acknowledged(void **unused)
{
    (void)unused;
    struct vote_reply reply = {0};
    solo_open(&solo);
    const struct vote_request older = candidate(2, LAST - 1);
    assert_int_equal(solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REQUEST, &older), MORTAR_OK);
    assert_true(last_vote(&reply));
    assert_false(reply.granted);
    const struct vote_request equal = candidate(3, LAST);
    assert_int_equal(solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REQUEST, &equal), MORTAR_OK);
    assert_true(last_vote(&reply));
    assert_true(reply.granted);
    solo_close(&solo);
}

static void it_says_nothing_before_it_has_read_its_log(void **unused)
{
    (void)unused;
    struct vote_reply reply = {0};
    delay = 200; /* Questions of the core to it. */
    solo_open(&solo);
    const struct vote_request request = candidate(3, LAST);
    assert_int_equal(solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REQUEST, &request), MORTAR_OK);
    assert_false(last_vote(&reply));
    solo_tick(&solo, 3000); /* Elections would be due; the reads end meanwhile. */
    assert_int_equal(solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REQUEST, &request), MORTAR_OK);
    solo_tick(&solo, 3000);
    assert_true(solo_status(&solo)->member);
    solo_close(&solo);
}

static void a_note_of_a_commit_counts_only_where_the_entry_is_held(void **unused)
{
    (void)unused;
    state.commit.index = LAST + 3; /* Lost with the crash. */
    solo_open(&solo);
    assert_int_equal(solo_status(&solo)->committed.index, 0);
    solo_close(&solo);

    prepare(NULL);
    state.commit.term = 9; /* Another entry stands there. */
    solo_open(&solo);
    assert_int_equal(solo_status(&solo)->committed.index, 0);
    solo_close(&solo);
}

static enum mortar_status open_over(struct mortar_storage *storage)
{
    struct mortar_sync_method *replay;
    struct mortar_core *core = NULL;
    const struct mortar_replay_options replay_options = {MORTAR_REPLAY_OPTIONS_INIT};
    struct mortar_core_options options = {MORTAR_CORE_OPTIONS_INIT};
    mortar_core_options_complete(&options);
    options.self = source.self;
    options.network = "test";
    options.address = "";
    assert_int_equal(mortar_sync_log_replay(cluster_allocator(), &replay_options, &replay),
                     MORTAR_OK);
    const enum mortar_status status =
        mortar_core_open(cluster_allocator(), &options, storage, NULL, NULL, replay, &core);
    assert_null(core);
    storage->ops->close(storage->self);
    mortar_sync_log_replay_free(replay);
    cluster_assert_nothing_held();
    return status;
}

static void a_term_older_than_the_log_is_damage(void **unused)
{
    (void)unused;
    struct mortar_storage storage;
    state.term = 0;
    state.voting = (struct mortar_position){0};
    assert_int_equal(mortar_log_memory_open(cluster_allocator(), NULL, &storage), MORTAR_OK);
    storage = filled(storage);
    assert_int_equal(open_over(&storage), MORTAR_E_CORRUPT);
}

static void a_pruned_log_needs_a_snapshot(void **unused)
{
    (void)unused;
    struct mortar_storage storage;
    assert_int_equal(mortar_log_memory_open(cluster_allocator(), NULL, &storage), MORTAR_OK);
    storage = filled(storage);
    assert_int_equal(storage.ops->prune(storage.self, 5, 1), MORTAR_OK);
    reap(&storage);
    assert_int_equal(open_over(&storage), MORTAR_E_NOT_SUPPORTED);
}

#define RESTORE_TEST(name) cmocka_unit_test_setup(name, prepare)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESTORE_TEST(it_is_the_member_that_it_was),
        RESTORE_TEST(its_machine_is_given_all_that_is_committed),
        RESTORE_TEST(it_does_not_vote_twice_in_a_term),
        RESTORE_TEST(it_votes_by_what_it_acknowledged),
        RESTORE_TEST(it_says_nothing_before_it_has_read_its_log),
        RESTORE_TEST(a_note_of_a_commit_counts_only_where_the_entry_is_held),
        RESTORE_TEST(a_term_older_than_the_log_is_damage),
        RESTORE_TEST(a_pruned_log_needs_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
