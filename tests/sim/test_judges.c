/* sim/test_judges.c - each judge is silent on a good run, and speaks up when one thing in it is
 * changed (sim/check/judges.h). */
#include "sim/check/judges.h"
#include "unit/test.h"

static const struct mortar_log_sum sum_1 = {1, 1};
static const struct mortar_log_sum sum_2 = {2, 2};

/* What may be wrong with the run below. */
enum wrong {
    NOTHING,
    SECOND_LEADER,
    OTHER_LOG,
    OTHER_COMMIT,
    COMMIT_MOVES_BACK,
    COMMITTED_IS_CUT,
    UNCOMMITTED_IS_APPLIED,
    STATE_DIFFERS,
    APPLIED_TWICE,
    FALSE_POSITION,
    FALSE_REPLY,
    FALSE_FAILURE,
    ANSWERED_TWICE,
    STALE_READ,
    VALUE_OUT_OF_THE_AIR,
    HELD_IS_ASKED_FOR,
    FETCHED_TWICE,
    CHUNK_OF_NO_SESSION,
    VERIFIED_IS_CUT,
    VERIFIED_TWICE,
    WAITING_IS_ASKED_FOR,
    VERIFIED_SHRINKS,
    SESSION_IDLES_FOR_EVER,
    MORE_IS_MISSING,
    MORE_IS_LEFT_THAN_THERE_IS,
    TIME_IS_NOT_OF_THE_RATE,
    TIME_OF_NO_RATE,
    BYTES_OF_NO_ENTRIES,
    WINDOW_IS_EXCEEDED,
    MEMORY_IS_EXCEEDED,
    TWO_VOTES,
    VOTE_FOR_OTHER_THAN_SELF,
    VOTE_FOR_AN_OLDER_LOG,
    CAMPAIGN_WITHOUT_WHAT_WAS_ACKNOWLEDGED,
    ACKNOWLEDGED_BEFORE_DURABLE,
    LEADS_IN_A_SESSION,
    LEADS_WITHOUT_WHAT_WAS_COUNTED,
    WAITS_FOR_EVER,
    HONEST_IS_DROPPED,
    LEADER_IS_ASKED_FIRST,
    VERIFIED_MORE_THAN_TAKEN,
    MEETING_TAIL_IS_DROPPED,
    GIVES_UP_UNASKED,
    TAIL_IS_TOO_LARGE,
    CONFIG_OF_A_NEW_LEADER,
    PROMOTED_TOO_SOON,
    PROMOTED_TOO_SLOW,
    GONE_TOO_SOON,
    WRONGS
};

static const char *const expected_judge[WRONGS] = {
    [SECOND_LEADER] = "leaders",
    [OTHER_LOG] = "logs",
    [OTHER_COMMIT] = "commits",
    [COMMIT_MOVES_BACK] = "commits",
    [COMMITTED_IS_CUT] = "commits",
    [UNCOMMITTED_IS_APPLIED] = "applied",
    [STATE_DIFFERS] = "applied",
    [APPLIED_TWICE] = "applied",
    [FALSE_POSITION] = "history",
    [FALSE_REPLY] = "history",
    [FALSE_FAILURE] = "history",
    [ANSWERED_TWICE] = "history",
    [STALE_READ] = "history",
    [VALUE_OUT_OF_THE_AIR] = "linear",
    [HELD_IS_ASKED_FOR] = "sync",
    [FETCHED_TWICE] = "sync",
    [CHUNK_OF_NO_SESSION] = "sync",
    [VERIFIED_IS_CUT] = "sync",
    [VERIFIED_TWICE] = "sync",
    [WAITING_IS_ASKED_FOR] = "sync",
    [VERIFIED_SHRINKS] = "sync",
    [SESSION_IDLES_FOR_EVER] = "sync",
    [MORE_IS_MISSING] = "estimates",
    [MORE_IS_LEFT_THAN_THERE_IS] = "estimates",
    [TIME_IS_NOT_OF_THE_RATE] = "estimates",
    [TIME_OF_NO_RATE] = "estimates",
    [BYTES_OF_NO_ENTRIES] = "estimates",
    [WINDOW_IS_EXCEEDED] = "memory",
    [MEMORY_IS_EXCEEDED] = "memory",
    [TWO_VOTES] = "votes",
    [VOTE_FOR_OTHER_THAN_SELF] = "votes",
    [VOTE_FOR_AN_OLDER_LOG] = "complete",
    [CAMPAIGN_WITHOUT_WHAT_WAS_ACKNOWLEDGED] = "complete",
    [ACKNOWLEDGED_BEFORE_DURABLE] = "complete",
    [LEADS_IN_A_SESSION] = "complete",
    [LEADS_WITHOUT_WHAT_WAS_COUNTED] = "complete",
    [WAITS_FOR_EVER] = "elections",
    [HONEST_IS_DROPPED] = "sync",
    [LEADER_IS_ASKED_FIRST] = "sync",
    [VERIFIED_MORE_THAN_TAKEN] = "sync",
    [MEETING_TAIL_IS_DROPPED] = "sync",
    [GIVES_UP_UNASKED] = "sync",
    [TAIL_IS_TOO_LARGE] = "memory",
    [CONFIG_OF_A_NEW_LEADER] = "members",
    [PROMOTED_TOO_SOON] = "members",
    [PROMOTED_TOO_SLOW] = "members",
    [GONE_TOO_SOON] = "members",
};

static void run_log(struct judges *judges, enum wrong wrong)
{
    judge_leader(judges, 0, 3);
    judge_leader(judges, wrong == SECOND_LEADER ? 1 : 0, 3);
    judge_entry(judges, 0, 1, 3, sum_1);
    judge_entry(judges, 1, 1, 3, wrong == OTHER_LOG ? sum_2 : sum_1);
    judge_entry(judges, 1, 2, 3, sum_2);
    judge_commit(judges, 0, 1, 3, sum_1, 3);
    judge_commit(judges, 1, 1, 3, wrong == OTHER_COMMIT ? sum_2 : sum_1, 3);
    judge_commit(judges, 0, wrong == COMMIT_MOVES_BACK ? 1 : 2, 3,
                 wrong == COMMIT_MOVES_BACK ? sum_1 : sum_2, 3);
    judge_truncate(judges, 1, wrong == COMMITTED_IS_CUT ? 1 : 3);
}

static void run_machine(struct judges *judges, enum wrong wrong)
{
    struct applied_command command = {
        .index = 1, .term = 3, .command = 7, .content = 70, .reply = 700, .state = {5, 5}};
    judge_invoke(judges, 1, OP_EXECUTE, 0, 7, 1);
    judge_deed(judges, 1, &(struct deed){.kind = DEED_PUT, .value = 9});
    judge_invoke(judges, 2, OP_EXECUTE, 0, 8, 1);
    judge_deed(judges, 2, &(struct deed){.kind = DEED_PUT, .value = 8});
    if (wrong == UNCOMMITTED_IS_APPLIED) command.term = 2;
    judge_applied(judges, 0, &command);
    if (wrong == STATE_DIFFERS) command.state[1]++;
    judge_applied(judges, 1, &command);
    if (wrong == APPLIED_TWICE) {
        command.index = 2;
        judge_applied(judges, 0, &command);
    }
    if (wrong == FALSE_FAILURE) {
        command.index = 2;
        command.command = 8;
        judge_applied(judges, 0, &command);
    }
}

static void run_clients(struct judges *judges, enum wrong wrong)
{
    const uint64_t reply = wrong == FALSE_REPLY ? 701 : 700;
    const struct mortar_position at = {.index = wrong == FALSE_POSITION ? 2 : 1, .term = 3};
    const struct mortar_position nowhere = {0};
    const uint64_t nothing[2] = {0, 0};
    const uint64_t something[2] = {5, 5};
    judge_deed_got(judges, 1, 0, true, 0);
    judge_write_done(judges, 1, MORTAR_OK, at, at, &reply, 1);
    judge_write_done(judges, 2, MORTAR_E_LOST, nowhere, nowhere, NULL, 0);
    if (wrong == ANSWERED_TWICE) {
        judge_write_done(judges, 2, MORTAR_E_LOST, nowhere, nowhere, NULL, 0);
    }
    judge_invoke(judges, 3, OP_READ_LINEARIZABLE, 1, 0, 0);
    judge_deed(judges, 3, &(struct deed){.kind = DEED_READ});
    judge_deed_got(judges, 3, 0, true, wrong == VALUE_OUT_OF_THE_AIR ? 8 : 9);
    const bool stale = wrong == STALE_READ;
    judge_read_done(judges, 3, MORTAR_OK, stale ? 0 : 1, stale ? nothing : something);
    judge_history_end(judges);
    judge_linear_end(judges);
}

/* Replica 2 verifies something at 5000 ms at the latest, and gives up after 300. */
static void run_told(struct judges *judges, enum wrong wrong)
{
    struct session_told told = {.now_ms = 5000, .give_up_ms = 300};
    judge_session_told(judges, 2, &told);
    told.entries_done = 4;
    told.bytes_done = 400;
    told.now_ms = 5500;
    judge_session_told(judges, 2, &told);
    if (wrong == VERIFIED_SHRINKS) told.bytes_done--;
    told.now_ms = wrong == SESSION_IDLES_FOR_EVER ? 9000 : 5900;
    judge_session_told(judges, 2, &told);
}

/* The leader had committed 2 as it began, and nobody more by now. */
static void run_left(struct judges *judges, enum wrong wrong)
{
    struct session_left left = {.log_end = 0, .waiting = 1, .entries = 1, .must_reach = 2};
    left.bytes = 1500;
    left.bytes_per_second = 1000;
    left.ms = wrong == TIME_IS_NOT_OF_THE_RATE ? 1 : 1500;
    if (wrong == MORE_IS_MISSING) left.waiting = 0;
    if (wrong == MORE_IS_LEFT_THAN_THERE_IS) left.entries = 2;
    judge_session_left(judges, 2, &left);
    left.bytes_per_second = 0;
    left.ms = wrong == TIME_OF_NO_RATE ? 0 : UINT64_MAX;
    judge_session_left(judges, 2, &left);
    left = (struct session_left){.log_end = 2, .must_reach = 2, .ms = UINT64_MAX};
    if (wrong == BYTES_OF_NO_ENTRIES) left.bytes = 1;
    judge_session_left(judges, 2, &left);
}

static void run_memory(struct judges *judges, enum wrong wrong)
{
    struct memory_used used = {
        .total = 1011, .log = 300, .disk = 200, .under_way = 100, .held = 400};
    const struct memory_allowed allowed = {.served = 1, .applied = 2, .requests = 3, .fixed = 5};
    judge_held(judges, 2, wrong == WINDOW_IS_EXCEEDED ? 101 : 100, 100);
    if (wrong == MEMORY_IS_EXCEEDED) used.total++;
    judge_memory(judges, 2, &used, &allowed);
}

/* Session 8 of replica 2 ends before what it verified is in the log: 9 may ask for it again. */
static void run_session(struct judges *judges, enum wrong wrong)
{
    judge_session_open(judges, 2, 8);
    judge_session_verified(judges, 2, 8, 7, 8);
    judge_requested(judges, 2, 5, wrong == WAITING_IS_ASKED_FOR ? 7 : 6);
    if (wrong == VERIFIED_TWICE) judge_session_verified(judges, 2, 8, 8, 8);
    judge_session_end(judges, 2, 8);
    judge_session_open(judges, 2, 9);
    judge_requested(judges, 2, 5, 6);
    judge_session_chunk(judges, 2, wrong == CHUNK_OF_NO_SESSION ? 8 : 9, 5, 6);
    judge_requested(judges, 2, wrong == HELD_IS_ASKED_FOR ? 6 : 7, 8);
    judge_session_verified(judges, 2, 9, 7, 8);
    judge_session_chunk(judges, 2, 9, wrong == FETCHED_TWICE ? 6 : 7, 8);
    judge_session_entry(judges, 2, 5);
    judge_truncate(judges, 2, wrong == VERIFIED_IS_CUT ? 5 : 9);
    run_told(judges, wrong);
    run_left(judges, wrong);
    run_memory(judges, wrong);
    judge_session_end(judges, 2, 9);
}

static struct mortar_position position(uint64_t index, uint64_t term)
{
    return (struct mortar_position){.index = index, .term = term};
}

/* Replica 4 votes for 3, acknowledges, crashes, loses what conflicts, and leads. */
static void run_votes(struct judges *judges, enum wrong wrong)
{
    judge_asked(judges, 3, 5, true, position(6, 4));
    judge_asked(judges, 3, 5, false, position(6, 4));
    judge_asked(judges, 5, 5, false, position(9, 4));
    judge_vote(judges, 4, 5, 3);
    judge_vote(judges, 4, 5, 3);
    judge_replica_gone(judges, 4);
    judge_restarted(judges, 4, 6);
    if (wrong == TWO_VOTES) judge_vote(judges, 4, 5, 5);
    if (wrong == VOTE_FOR_OTHER_THAN_SELF) judge_vote(judges, 3, 5, 5);
    judge_matched(judges, 4, position(8, 5), wrong != ACKNOWLEDGED_BEFORE_DURABLE);
    judge_replica_gone(judges, 4);
    judge_restarted(judges, 4, 8);
    const bool older = wrong == VOTE_FOR_AN_OLDER_LOG;
    judge_asked(judges, 5, 6, false, older ? position(9, 4) : position(8, 5));
    judge_vote(judges, 4, 6, 5);
    judge_cut(judges, 4, position(7, 5));
    const bool lacks = wrong == CAMPAIGN_WITHOUT_WHAT_WAS_ACKNOWLEDGED;
    judge_asked(judges, 4, 7, true, lacks ? position(6, 5) : position(7, 5));
    judge_counted(judges, 4, position(7, 6));
    if (wrong == LEADS_IN_A_SESSION) judge_session_open(judges, 4, 3);
    judge_leads(judges, 4, 7,
                wrong == LEADS_WITHOUT_WHAT_WAS_COUNTED ? position(8, 5) : position(7, 6));
    if (wrong == LEADS_IN_A_SESSION) judge_session_end(judges, 4, 3);
}

/* Replica 6 cannot stand at first, then hears a leader, then can and does after a while. */
static void run_elections(struct judges *judges, enum wrong wrong)
{
    for (uint32_t tick = 1; tick <= 50; tick++) {
        if (tick == 25) judge_stirred(judges, 6);
        if (tick == 44 && wrong != WAITS_FOR_EVER) judge_stirred(judges, 6);
        if (judge_tick(judges, 6, 10)) judge_may_stand(judges, 6, tick > 20, position(1, 1));
    }
}

static void run_duties(struct judges *judges, enum wrong wrong)
{
    judge_source_dropped(judges, 1, 2, wrong != HONEST_IS_DROPPED);
    judge_first_fetch(judges, 1, true, wrong == LEADER_IS_ASKED_FIRST ? 1 : 0);
    judge_first_fetch(judges, 1, false, 2);
    judge_verified(judges, 1, wrong == VERIFIED_MORE_THAN_TAKEN ? 11 : 10, 10);
    judge_tail_dropped(judges, 1, wrong == MEETING_TAIL_IS_DROPPED ? 9 : 8, 9);
    judge_stalled(judges, 1, wrong == GIVES_UP_UNASKED, 1);
    judge_stalled(judges, 1, true, 0);
    judge_tail_bytes(judges, 1, wrong == TAIL_IS_TOO_LARGE ? 101 : 100, 100);
    judge_config(judges, 1, 3, wrong == CONFIG_OF_A_NEW_LEADER ? 2 : 3);
    judge_promoted(judges, 1, 2, wrong == PROMOTED_TOO_SOON ? 101 : 100, 100);
    judge_keeps_up(judges, 1, 2, wrong == PROMOTED_TOO_SLOW ? 6 : 7, 7);
    judge_gone(judges, 1, 2, wrong == GONE_TOO_SOON ? 499 : 500, 1000);
}

static void each_judge_finds_the_one_thing_that_is_wrong(void **state)
{
    (void)state;
    for (enum wrong wrong = NOTHING; wrong < WRONGS; wrong++) {
        struct verdict verdict = {0};
        struct judges judges;
        judges_init(&judges, &verdict);
        run_log(&judges, wrong);
        run_machine(&judges, wrong);
        run_clients(&judges, wrong);
        run_session(&judges, wrong);
        run_votes(&judges, wrong);
        run_elections(&judges, wrong);
        run_duties(&judges, wrong);
        print_message("  %d: %s\n", (int)wrong, verdict.failed ? verdict.text : "held");
        assert_int_equal(verdict.failed, wrong != NOTHING);
        if (verdict.failed) assert_string_equal(verdict.judge, expected_judge[wrong]);
        assert_int_equal(judge_sessions_open(&judges), 0);
        assert_int_equal(judge_ops_open(&judges), 0);
        judges_deinit(&judges);
    }
}

/* Thesis 3.6.3: what a leader of term T must hold is what leaders of earlier terms committed. */
static void a_leader_must_hold_what_earlier_terms_committed(void **state)
{
    (void)state;
    struct verdict verdict = {0};
    struct judges judges;
    judges_init(&judges, &verdict);
    judge_commit(&judges, 0, 1, 3, sum_1, 3);
    judge_commit(&judges, 0, 2, 5, sum_2, 5);
    uint64_t index = 0;
    struct mortar_log_sum sum = {0};
    assert_false(judge_leader_must_hold(&judges, 3, &index, &sum));
    assert_true(judge_leader_must_hold(&judges, 5, &index, &sum));
    assert_int_equal(index, 1);
    assert_true(judge_leader_must_hold(&judges, 6, &index, &sum));
    assert_int_equal(index, 2);
    judges_deinit(&judges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_judge_finds_the_one_thing_that_is_wrong),
        cmocka_unit_test(a_leader_must_hold_what_earlier_terms_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
