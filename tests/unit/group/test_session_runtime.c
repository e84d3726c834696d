/* The runtime under a session (mortar/sync.h): what it may write, what reaches it, how it ends. */
#include "group/internal.h"
#include "unit/group/core_bytes.h"
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"

#include <string.h>

static struct solo solo; /* Too big for the stack. */

#define LOG_END 20u

/* Follows a leader whose log ends at 20, all committed, holds `held` of it, and has a session
 * open: the tail begins at `base`, and holds nothing. */
static void open_session(uint64_t held, uint64_t base)
{
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, LOG_END);
    if (held > 2) solo_append(&solo, 3, held, held, 0);
    solo_append(&solo, base + 1, base, base, base);
    assert_non_null(scripted.session);
    assert_int_equal(scripted.gap.last.index, held);
    solo_append(&solo, base + 1, base, base, base); /* Opens the tail. */
    assert_true(solo_status(&solo)->sync.active);
}

static enum mortar_status append(uint64_t first, uint64_t last)
{
    const struct mortar_log_run run = solo_run(&solo, first, last);
    const enum mortar_status status = mortar_sync_session_append(scripted.session, &run, true);
    mortar_buffer_release(run.buffer);
    mortar_core_check(solo.core);
    return status;
}

static struct mortar_position at(uint64_t index)
{
    return solo.points[index].position;
}

static void say(enum mortar_sync_poll answer)
{
    scripted.session_says = answer;
    mortar_sync_wake(mortar_sync_of_session(scripted.session));
    solo_run_effects(&solo);
}

/* ---- Guards ---- */

static void an_append_continues_the_log_or_is_refused(void **state)
{
    (void)state;
    open_session(3, 10);
    assert_int_equal(append(5, 6), MORTAR_E_INVALID); /* A hole. */
    assert_int_equal(append(3, 6), MORTAR_E_INVALID); /* Held already. */
    assert_int_equal(append(4, 6), MORTAR_OK);
    assert_int_equal(solo_status(&solo)->last.index, 6);
    solo_close(&solo);
}

static void an_append_is_checked_unless_the_caller_did(void **state)
{
    (void)state;
    open_session(3, 10);
    struct mortar_log_run run = solo_run(&solo, 4, 6);
    mortar_buffer_data(run.buffer)[run.bytes - 1] ^= 1; /* In a command. */
    assert_int_equal(mortar_sync_session_append(scripted.session, &run, false),
                     MORTAR_E_UNVERIFIED);
    run.bytes--;
    assert_int_equal(mortar_sync_session_append(scripted.session, &run, true), MORTAR_E_CORRUPT);
    run.bytes++;
    run.count++;
    assert_int_equal(mortar_sync_session_append(scripted.session, &run, true), MORTAR_E_CORRUPT);
    mortar_buffer_release(run.buffer);
    assert_int_equal(solo_status(&solo)->last.index, 3);
    solo_close(&solo);
}

/* C3: our own term is at least that of every entry; a configuration is read before it counts. */
static void an_append_of_a_newer_term_or_with_a_bad_configuration_is_refused(void **state)
{
    (void)state;
    open_session(3, 10);
    struct solo *leader = &solo;
    leader->last = 3;
    solo_add_number(leader, 2, 1);
    assert_int_equal(append(4, 4), MORTAR_E_INVALID);
    leader->last = 3;
    solo_add(leader, 1, MORTAR_ENTRY_CONFIG, (struct mortar_bytes){(const uint8_t *)"x", 1});
    assert_int_equal(append(4, 4), MORTAR_E_CORRUPT);
    leader->last = 3;
    solo_add(leader, 1, MORTAR_ENTRY_FOUND, (struct mortar_bytes){(const uint8_t *)"x", 1});
    assert_int_equal(append(4, 4), MORTAR_E_CORRUPT);
    solo_close(&solo);
}

static void a_cut_is_never_at_or_below_the_commit_index(void **state)
{
    (void)state;
    open_session(5, 10);
    assert_int_equal(append(6, 8), MORTAR_OK);
    assert_int_equal(mortar_sync_session_truncate(scripted.session, 9), MORTAR_E_INVALID);
    assert_int_equal(mortar_sync_session_truncate(scripted.session, 5), MORTAR_E_INVALID);
    assert_int_equal(mortar_sync_session_truncate(scripted.session, 0), MORTAR_E_INVALID);
    assert_int_equal(mortar_sync_session_truncate(scripted.session, 7), MORTAR_OK);
    assert_int_equal(solo_status(&solo)->last.index, 6);
    mortar_core_reap(solo.core);
    assert_int_equal(solo_status(&solo)->stored, 6);
    assert_int_equal(append(7, 8), MORTAR_OK);
    solo_close(&solo);
}

static void the_commit_index_moves_forward_within_the_log(void **state)
{
    (void)state;
    open_session(5, 10);
    assert_int_equal(append(6, 8), MORTAR_OK);
    struct mortar_sync_session *session = scripted.session;
    assert_int_equal(mortar_sync_session_set_committed(session, at(4)), MORTAR_E_INVALID);
    assert_int_equal(mortar_sync_session_set_committed(session, at(9)), MORTAR_E_INVALID);
    const struct mortar_position other = {.index = 7, .term = 9};
    assert_int_equal(mortar_sync_session_set_committed(session, other), MORTAR_E_INVALID);
    assert_int_equal(mortar_sync_session_set_committed(session, at(7)), MORTAR_OK);
    solo_run_effects(&solo);
    assert_int_equal(scripted.committed, 7);
    assert_int_equal(solo_status(&solo)->applied, 7);
    solo_close(&solo);
}

/* ---- Installs (C11, C12) ---- */

static size_t core_state_at(uint64_t index, uint8_t *out, size_t capacity)
{
    struct core_state core_state = {.applied = solo.points[index],
                                    .time_ms = 5000,
                                    .config_index = 2,
                                    .birth_known = true,
                                    .birth = {{42}}};
    core_state.config = solo_config(&solo);
    return core_bytes(&core_state, out, capacity);
}

static enum mortar_status install(uint64_t index)
{
    static uint8_t bytes[CORE_BYTES_MAX];
    const size_t size = core_state_at(index, bytes, sizeof bytes);
    const enum mortar_status status = mortar_sync_session_install(
        scripted.session, &solo.points[index], (struct mortar_bytes){bytes, size});
    mortar_core_check(solo.core);
    return status;
}

static void an_install_moves_base_commit_and_applied_in_one_step(void **state)
{
    (void)state;
    open_session(5, 15);
    assert_int_equal(append(6, 8), MORTAR_OK);
    assert_int_equal(install(4), MORTAR_E_INVALID);
    assert_int_equal(install(12), MORTAR_OK);
    const struct mortar_core_status *status = solo_status(&solo);
    assert_int_equal(status->base.position.index, 12);
    assert_int_equal(status->last.index, 12);
    assert_int_equal(status->committed.index, 12);
    assert_int_equal(status->applied, 12);
    assert_int_equal(append(13, 15), MORTAR_OK);
    assert_int_equal(mortar_sync_session_set_committed(scripted.session, at(15)), MORTAR_OK);
    solo_run_effects(&solo);
    assert_int_equal(solo_status(&solo)->applied, 15);
    solo_close(&solo);
}

static void an_install_of_another_group_or_of_other_bytes_is_refused(void **state)
{
    (void)state;
    open_session(5, 15);
    static uint8_t bytes[CORE_BYTES_MAX];
    const size_t size = core_state_at(12, bytes, sizeof bytes);
    const struct mortar_bytes whole = {bytes, size};
    struct mortar_sync_session *session = scripted.session;
    assert_int_equal(mortar_sync_session_install(session, &solo.points[13], whole),
                     MORTAR_E_CORRUPT);
    struct mortar_anchor_point other = solo.points[12];
    other.sum.low++;
    assert_int_equal(mortar_sync_session_install(session, &other, whole), MORTAR_E_CORRUPT);
    assert_int_equal(mortar_sync_session_install(session, &solo.points[12],
                                                 (struct mortar_bytes){bytes, size - 1}),
                     MORTAR_E_CORRUPT);
    bytes[41] ^= 1; /* The birth id. */
    assert_int_equal(mortar_sync_session_install(session, &solo.points[12], whole), MORTAR_E_BIRTH);
    assert_int_equal(solo_status(&solo)->base.position.index, 0);
    solo_close(&solo);
}

/* A configuration that was never committed must not be taken for committed because a state from
 * above it was installed. */
static void an_install_drops_a_configuration_that_was_not_committed(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    struct config bogus = solo_config(&solo);
    bogus.count = 2; /* Peer 0 and 1 alone. */
    solo_add_config(&solo, 1, &bogus);
    solo_append(&solo, 3, 3, 2, 0);
    assert_int_equal(solo_status(&solo)->member_count, 2);
    solo.last = 2; /* Another leader never saw it. */
    solo.term = 2;
    solo_fill(&solo, 2, LOG_END);
    solo_append(&solo, 16, 15, 15, 15);
    assert_non_null(scripted.session);
    assert_int_equal(install(12), MORTAR_OK);
    assert_int_equal(solo_status(&solo)->member_count, 3);
    assert_false(solo_status(&solo)->removed);
    solo_close(&solo);
}

static void an_install_waits_for_the_disk_before_it_counts_as_stored(void **state)
{
    (void)state;
    open_session(5, 15);
    assert_int_equal(install(12), MORTAR_OK);
    assert_int_equal(solo_status(&solo)->stored, 0);
    mortar_core_reap(solo.core);
    assert_int_equal(solo_status(&solo)->stored, 12);
    solo_close(&solo);
}

/* ---- Who may write ---- */

static enum mortar_status append_in_create;

static void write_early(struct mortar_sync_session *session)
{
    const struct mortar_log_run run = solo_run(&solo, 4, 4);
    append_in_create = mortar_sync_session_append(session, &run, true);
    mortar_buffer_release(run.buffer);
}

static void a_session_writes_only_while_it_lives(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, LOG_END);
    solo_append(&solo, 3, 3, 3, 0);
    scripted.on_create = write_early;
    append_in_create = MORTAR_OK;
    solo_append(&solo, 11, 10, 10, 10);
    assert_int_equal(append_in_create, MORTAR_E_INVALID);
    struct mortar_sync_session *session = scripted.session;
    scripted.failed_with = MORTAR_E_STALLED;
    say(MORTAR_SYNC_FAILED);
    assert_null(scripted.session);
    const struct mortar_log_run run = solo_run(&solo, 4, 4);
    assert_int_equal(mortar_sync_session_append(session, &run, true), MORTAR_E_INVALID);
    assert_int_equal(mortar_sync_session_truncate(session, 3), MORTAR_E_INVALID);
    assert_int_equal(mortar_sync_session_set_committed(session, at(3)), MORTAR_E_INVALID);
    mortar_buffer_release(run.buffer);
    solo_close(&solo);
}

static void fill_gap(struct mortar_sync_session *session, uint64_t first, uint64_t last)
{
    (void)first;
    (void)last;
    const struct mortar_log_run run = solo_run(&solo, 4, 10);
    if (mortar_sync_session_append(session, &run, false) == MORTAR_OK) {
        assert_int_equal(mortar_sync_session_set_committed(session, at(10)), MORTAR_OK);
    }
    mortar_buffer_release(run.buffer);
}

/* buffer() comes from within a step of consensus, and may lead to another. */
static void a_session_may_write_from_within_buffer(void **state)
{
    (void)state;
    open_session(3, 10);
    scripted.on_buffer = fill_gap;
    solo_append(&solo, 11, 13, 10, 10);
    assert_int_equal(scripted.buffered_first, 11);
    assert_int_equal(scripted.buffered_last, 13);
    assert_int_equal(solo_status(&solo)->last.index, 10);
    assert_int_equal(solo_status(&solo)->committed.index, 10);
    scripted.on_buffer = NULL;
    scripted.ready_at = at(10);
    say(MORTAR_SYNC_READY);
    assert_int_equal(solo_status(&solo)->last.index, 13);
    solo_close(&solo);
}

/* ---- Messages ---- */

static void only_what_answers_this_session_reaches_it_and_once(void **state)
{
    (void)state;
    open_session(3, 10);
    const uint64_t id = mortar_sync_session_id(scripted.session);
    (void)solo_receive_sync(&solo, SOLO_OTHER, id, 1, true, "one");
    assert_int_equal(scripted.session_received, 1);
    (void)solo_receive_sync(&solo, SOLO_OTHER, id, 1, true, "one");
    assert_int_equal(scripted.session_received, 1); /* A duplicate. */
    (void)solo_receive_sync(&solo, SOLO_LEADER, id, 1, true, "one");
    assert_int_equal(scripted.session_received, 2); /* Numbers are each sender's own. */
    (void)solo_receive_sync(&solo, SOLO_OTHER, id ^ 2, 2, true, "late");
    assert_int_equal(scripted.session_received, 2); /* Of an earlier session. */
    assert_int_equal(scripted.provider_received, 0);
    (void)solo_receive_sync(&solo, SOLO_OTHER, 77, 3, false, "a question");
    assert_int_equal(scripted.provider_received, 1);
    assert_int_equal(scripted.session_received, 3); /* The provider says that it is not its. */
    scripted.provider_handles = true;
    (void)solo_receive_sync(&solo, SOLO_OTHER, 77, 4, false, "a question");
    assert_int_equal(scripted.provider_received, 2);
    assert_int_equal(scripted.session_received, 3);
    solo_close(&solo);
}

static void an_answer_to_an_ended_session_does_not_reach_the_next(void **state)
{
    (void)state;
    open_session(3, 10);
    const uint64_t old = mortar_sync_session_id(scripted.session);
    scripted.failed_with = MORTAR_E_STALLED;
    say(MORTAR_SYNC_FAILED);
    scripted.session_says = MORTAR_SYNC_PENDING;
    solo_tick(&solo, 400);
    solo_append(&solo, 11, 10, 10, 10);
    assert_null(scripted.session); /* Not before the pause is over. */
    solo_tick(&solo, 400);
    solo_append(&solo, 11, 10, 10, 10);
    solo_tick(&solo, 400);
    solo_append(&solo, 11, 10, 10, 10);
    assert_non_null(scripted.session);
    assert_int_equal(scripted.sessions_created, 2);
    assert_true(mortar_sync_session_id(scripted.session) != old);
    (void)solo_receive_sync(&solo, SOLO_OTHER, old, 1, true, "late");
    assert_int_equal(scripted.session_received, 0);
    solo_close(&solo);
}

/* What a method may send is bounded by its lane; a method that tries more is told so. */
static void a_message_too_large_for_its_lane_is_refused_by_name(void **state)
{
    (void)state;
    open_session(3, 10);
    static uint8_t bytes[MORTAR_CONTROL_FRAME_BYTES_MAX + 1];
    struct mortar_sync *sync = mortar_sync_of_session(scripted.session);
    const struct mortar_member_id *to = &solo.peers[SOLO_OTHER];
    solo_forget_sent(&solo);
    assert_int_equal(mortar_sync_send_to(sync, to, 0, (struct mortar_bytes){bytes, sizeof bytes}),
                     MORTAR_E_TOO_LARGE);
    assert_int_equal(mortar_sync_send_to(sync, to, 0, (struct mortar_bytes){bytes, 60000}),
                     MORTAR_OK);
    const struct mortar_member_id nobody = {{{99}}, {99}};
    assert_int_equal(mortar_sync_send_to(sync, &nobody, 0, (struct mortar_bytes){bytes, 1}),
                     MORTAR_E_NOT_FOUND);
    solo_run_effects(&solo);
    assert_int_equal(solo_count_sent(&solo, MESSAGE_SYNC), 1);
    solo_close(&solo);
}

/* ---- Ends ---- */

static void a_ready_that_is_not_so_is_unverified(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint64_t held;
        uint64_t ready;
    } cases[] = {
        {"not the end of the log", 5, 4},
        {"beyond the log", 5, 10},
        {"the gap is still there", 5, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        open_session(cases[i].held, 10);
        scripted.ready_at = at(cases[i].ready);
        say(MORTAR_SYNC_READY);
        const struct mortar_core_status *status = solo_status(&solo);
        assert_false(status->sync.active);
        assert_int_equal(status->sync_ended, MORTAR_E_UNVERIFIED);
        assert_int_equal(status->counters.sessions_failed, 1);
        solo_append(&solo, 11, 10, 10, 10); /* The gap is there, but not tried again at once. */
        assert_null(scripted.session);
        solo_close(&solo);
    }
}

static void the_tail_joins_the_log_when_the_gap_is_closed(void **state)
{
    (void)state;
    open_session(3, 10);
    struct config config = solo_config(&solo);
    config.members[0].address[0] = 'x';
    solo.last = 14;
    solo_add_config(&solo, 1, &config);
    solo_append(&solo, 11, 15, 10, 10);
    assert_int_equal(solo_status(&solo)->last.index, 3);
    assert_int_equal(solo_status(&solo)->config_index, 2); /* Not contiguous yet (C3). */
    assert_int_equal(append(4, 10), MORTAR_OK);
    scripted.ready_at = at(10);
    solo_forget_sent(&solo);
    say(MORTAR_SYNC_READY);
    const struct mortar_core_status *status = solo_status(&solo);
    assert_int_equal(status->last.index, 15);
    assert_int_equal(status->config_index, 15);
    assert_int_equal(status->sync_ended, MORTAR_OK);
    assert_int_equal(status->counters.sessions_done, 1);
    assert_int_equal(scripted.sessions_destroyed, 1);
    solo_append(&solo, 16, 15, 15, 0);
    assert_int_equal(solo_status(&solo)->applied, 15);
    solo_close(&solo);
}

/* C4: what the leader vouches for and what was fetched must be one history. */
static void a_tail_of_another_history_is_dropped(void **state)
{
    (void)state;
    open_session(3, 10);
    assert_int_equal(append(4, 9), MORTAR_OK);
    solo.last = 9;
    solo_add_number(&solo, 1, 999); /* Another entry 10 than that of the leader's tail. */
    assert_int_equal(append(10, 10), MORTAR_OK);
    scripted.ready_at = at(10);
    say(MORTAR_SYNC_READY);
    assert_int_equal(solo_status(&solo)->last.index, 10);
    assert_false(solo_status(&solo)->sync.active);
    solo_close(&solo);
}

static void many_configurations_in_a_tail_kill_nobody(void **state)
{
    (void)state;
    open_session(3, 4);
    solo.last = 4;
    struct config config = solo_config(&solo);
    for (uint32_t i = 0; i < 100; i++) {
        config.members[1].address[0] = (char)('a' + i % 26);
        solo_add_config(&solo, 1, &config);
    }
    for (uint64_t i = 5; i <= 104; i++)
        solo_append(&solo, i, i, 4, 4);
    assert_false(solo.failed);
    assert_int_equal(append(4, 4), MORTAR_OK);
    scripted.ready_at = at(4);
    say(MORTAR_SYNC_READY);
    assert_int_equal(solo_status(&solo)->last.index, 104);
    assert_int_equal(solo_status(&solo)->config_index, 104);
    solo_append(&solo, 105, 104, 104, 0);
    assert_int_equal(solo_status(&solo)->applied, 104);
    solo_close(&solo);
}

static void become_leader(void)
{
    for (uint32_t i = 0; i < 300 && solo_status(&solo)->role != MORTAR_LEADER; i++) {
        solo_tick(&solo, 10);
        const uint64_t term = solo_status(&solo)->term;
        const bool pre = solo_status(&solo)->role == MORTAR_PRE_CANDIDATE;
        const struct vote_reply vote = {.term = pre ? term + 1 : term, .pre = pre, .granted = true};
        if (solo_status(&solo)->role == MORTAR_FOLLOWER) continue;
        (void)solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REPLY, &vote);
    }
    assert_int_equal(solo_status(&solo)->role, MORTAR_LEADER);
}

/* Whoever leads holds the log of its term: there is no gap any more. */
static void an_election_ends_the_session(void **state)
{
    (void)state;
    open_session(3, 10);
    become_leader();
    assert_null(scripted.session);
    assert_int_equal(solo_status(&solo)->sync_ended, MORTAR_E_CANCELLED);
    assert_true(solo_status(&solo)->online);
    solo_close(&solo);
}

/* C1: a batch of ours stood at 4..7 in our own term; the next leader kept its beginning and
 * replaced its end. A session fetched all of it in one piece, and it is applied in one run. */
static void a_batch_whose_end_was_replaced_is_unknown(void **state)
{
    (void)state;
    static const uint8_t items[4 * 12] = {8, [12] = 8, [24] = 8, [36] = 8};
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    become_leader();
    const uint64_t term = solo_status(&solo)->term;
    assert_int_equal(mortar_core_submit(solo.core, 1, MORTAR_REQUEST_EXECUTE,
                                        (struct mortar_bytes){items, sizeof items}, 4, 20000),
                     MORTAR_OK);
    solo_run_effects(&solo);
    assert_int_equal(solo_status(&solo)->last.index, 7);

    solo_add(&solo, term, MORTAR_ENTRY_NOOP, (struct mortar_bytes){0});
    solo_fill(&solo, term, 5);
    solo.term = term + 1;
    solo_add(&solo, term + 1, MORTAR_ENTRY_NOOP, (struct mortar_bytes){0});
    solo_fill(&solo, term + 1, LOG_END);
    solo_append(&solo, 13, 12, 12, 12);
    assert_non_null(scripted.session);
    assert_int_equal(mortar_sync_session_truncate(scripted.session, 3), MORTAR_OK);
    assert_int_equal(append(3, 12), MORTAR_OK);
    assert_int_equal(mortar_sync_session_set_committed(scripted.session, at(12)), MORTAR_OK);
    solo_run_effects(&solo);
    solo_run_works(&solo);
    assert_int_equal(solo_status(&solo)->applied, 12);
    assert_int_equal(solo.done[1].result.status, MORTAR_UNKNOWN);
    solo_close(&solo);
}

static void a_session_that_cannot_be_made_is_tried_again_later(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    solo_fill(&solo, 1, LOG_END);
    scripted.session_create_says = MORTAR_E_NO_MEMORY;
    solo_append(&solo, 11, 10, 10, 10);
    assert_int_equal(solo_status(&solo)->sync_ended, MORTAR_E_NO_MEMORY);
    scripted.session_create_says = MORTAR_OK;
    solo_append(&solo, 11, 10, 10, 10);
    assert_null(scripted.session);
    for (uint32_t i = 0; i < 3; i++) {
        solo_tick(&solo, 400);
        solo_append(&solo, 11, 10, 10, 10);
    }
    assert_non_null(scripted.session);
    solo_close(&solo);
}

/* ---- Foreign entries ---- */

/* An append whose first entries lie below our base is checked from the base on (C4). */
static void entries_across_the_base_are_verified(void **state)
{
    (void)state;
    open_session(5, 15);
    assert_int_equal(install(12), MORTAR_OK);
    scripted.ready_at = at(12);
    solo_run_effects(&solo);
    assert_int_equal(append(13, 15), MORTAR_OK);
    scripted.ready_at = at(15);
    say(MORTAR_SYNC_READY);
    assert_int_equal(solo_status(&solo)->last.index, 15);
    struct append_request message = solo_append_of(&solo, 10, 17, 15, 0);
    static uint8_t records[4096];
    memcpy(records, message.entries.data, message.entries.bytes);
    records[message.entries.bytes - 1] ^= 1; /* In the last command. */
    message.entries.data = records;
    assert_int_equal(solo_receive(&solo, SOLO_LEADER, MESSAGE_APPEND_REQUEST, &message), MORTAR_OK);
    assert_int_equal(solo_status(&solo)->last.index, 15);
    assert_int_equal(solo_status(&solo)->counters.frames_refused, 1);
    solo_append(&solo, 10, 17, 15, 0);
    assert_int_equal(solo_status(&solo)->last.index, 17);
    solo_close(&solo);
}

/* Found by fuzzing: numbers at their end would overflow when counted on from. */
static void a_term_or_index_that_no_group_reaches_is_ignored(void **state)
{
    (void)state;
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    struct append_request message = solo_append_of(&solo, 3, 2, 2, 0);
    message.term = UINT64_MAX;
    (void)solo_receive(&solo, SOLO_OTHER, MESSAGE_APPEND_REQUEST, &message);
    const struct vote_request vote = {.term = UINT64_MAX, .last = {2, 1}, .transfer = true};
    (void)solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REQUEST, &vote);
    const struct vote_reply denied = {.term = UINT64_MAX - 1};
    (void)solo_receive(&solo, SOLO_OTHER, MESSAGE_VOTE_REPLY, &denied);
    message.term = 1;
    message.prev = (struct mortar_position){UINT64_MAX - 1, 1};
    message.sync_id = 1;
    message.tail_base = (struct mortar_anchor_point){.position = message.prev};
    (void)solo_receive(&solo, SOLO_LEADER, MESSAGE_APPEND_REQUEST, &message);
    assert_int_equal(solo_status(&solo)->term, 1);
    assert_null(scripted.session);
    solo_close(&solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_term_or_index_that_no_group_reaches_is_ignored),
        cmocka_unit_test(an_append_continues_the_log_or_is_refused),
        cmocka_unit_test(an_append_is_checked_unless_the_caller_did),
        cmocka_unit_test(an_append_of_a_newer_term_or_with_a_bad_configuration_is_refused),
        cmocka_unit_test(a_cut_is_never_at_or_below_the_commit_index),
        cmocka_unit_test(the_commit_index_moves_forward_within_the_log),
        cmocka_unit_test(an_install_moves_base_commit_and_applied_in_one_step),
        cmocka_unit_test(an_install_of_another_group_or_of_other_bytes_is_refused),
        cmocka_unit_test(an_install_drops_a_configuration_that_was_not_committed),
        cmocka_unit_test(an_install_waits_for_the_disk_before_it_counts_as_stored),
        cmocka_unit_test(a_session_writes_only_while_it_lives),
        cmocka_unit_test(a_session_may_write_from_within_buffer),
        cmocka_unit_test(only_what_answers_this_session_reaches_it_and_once),
        cmocka_unit_test(an_answer_to_an_ended_session_does_not_reach_the_next),
        cmocka_unit_test(a_message_too_large_for_its_lane_is_refused_by_name),
        cmocka_unit_test(a_ready_that_is_not_so_is_unverified),
        cmocka_unit_test(the_tail_joins_the_log_when_the_gap_is_closed),
        cmocka_unit_test(a_tail_of_another_history_is_dropped),
        cmocka_unit_test(many_configurations_in_a_tail_kill_nobody),
        cmocka_unit_test(an_election_ends_the_session),
        cmocka_unit_test(a_batch_whose_end_was_replaced_is_unknown),
        cmocka_unit_test(a_session_that_cannot_be_made_is_tried_again_later),
        cmocka_unit_test(entries_across_the_base_are_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
