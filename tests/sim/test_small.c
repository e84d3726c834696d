/* sim/test_small.c - the search of small worlds finds what is there, and its judges speak up when
 * one thing in a good run is changed (sim/small/). */
#include "sim/small/judge.h"
#include "sim/small/search.h"
#include "sim/small/sets.h"
#include "unit/test.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

/* ---- Judges ---- */

/* A leader of term 2 with entries 1 and 2, of which another member holds both. */
struct run {
    struct configs configs;
    struct small_glance before;
    struct small_glance glances[SMALL_MEMBERS + 1];
    struct small_facts facts;
    struct small_message message;
    struct small_history history;
};

enum wrong {
    NOTHING,
    SECOND_VOTE,
    SECOND_LEADER,
    LEADS_UNELECTED,
    LEADS_INCOMPLETE,
    LOGS_PART,
    COMMITS_ALONE,
    COMMITS_UNSTORED,
    COMMITS_OLD_TERM,
    COMMITS_ANOTHER,
    FOLLOWER_DECIDES,
    READ_IS_STALE,
    WRONGS
};

static const char *const expected_judge[WRONGS] = {
    [SECOND_VOTE] = "vote",          [SECOND_LEADER] = "leader",    [LEADS_UNELECTED] = "leader",
    [LEADS_INCOMPLETE] = "complete", [LOGS_PART] = "matching",      [COMMITS_ALONE] = "commit",
    [COMMITS_UNSTORED] = "commit",   [COMMITS_OLD_TERM] = "commit", [COMMITS_ANOTHER] = "commit",
    [FOLLOWER_DECIDES] = "commit",   [READ_IS_STALE] = "read",
};

static void put(struct small_log *log, uint8_t place, uint16_t entry)
{
    log->entries[place - 1] = entry;
    if (log->count < place) log->count = place;
}

/* S1 becomes the leader of term 2 with the vote of S2. */
static void good_run(struct run *run)
{
    memset(run, 0, sizeof *run);
    struct config config = {.count = SMALL_MEMBERS};
    for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
        config.members[i - 1] = (struct config_member){.id = small_id(i), .voter_new = true};
    }
    const uint8_t number = configs_number(&run->configs, &config);
    for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
        run->glances[i].self = i;
        run->glances[i].term = 2;
        put(&run->glances[i].main, 1, SMALL_ENTRY(1, MORTAR_ENTRY_CONFIG, number));
        run->glances[i].disk = run->glances[i].main;
    }
    run->before = run->glances[1];
    run->glances[1].role = MORTAR_LEADER;
    run->glances[1].saved_term = 2;
    run->glances[1].saved_vote = 1;
    put(&run->glances[1].main, 2, SMALL_ENTRY(2, MORTAR_ENTRY_NOOP, 0));
    run->history.count = 1;
    run->history.commit_term[0] = 1;
    run->history.committed[0] = run->glances[1].main.entries[0];
    run->history.vote[2][2] = 1;
    run->facts.led_term = 2;
}

/* Then the no-op is durable here and at S2: it is committed. */
static void good_commit(struct run *run)
{
    good_run(run);
    run->facts = (struct small_facts){.commit = 2, .commit_led = 1, .commit_log = 2};
    run->history.leader[2] = 1;
    run->glances[1].disk = run->glances[1].main;
    run->glances[2].main = run->glances[2].disk = run->glances[1].main;
    run->before = run->glances[1];
}

static void break_commit(struct run *run, enum wrong wrong)
{
    if (wrong == COMMITS_ALONE) run->glances[2].main.count = run->glances[2].disk.count = 1;
    if (wrong == COMMITS_UNSTORED) run->glances[2].disk.count = 1;
    if (wrong == COMMITS_OLD_TERM) run->glances[1].term = 3;
    if (wrong == FOLLOWER_DECIDES) run->facts.commit_led = 0;
    if (wrong == LOGS_PART) {
        put(&run->glances[3].main, 1, SMALL_ENTRY(1, MORTAR_ENTRY_NOOP, 0));
        put(&run->glances[3].main, 2, run->glances[1].main.entries[1]);
    }
    if (wrong == COMMITS_ANOTHER) {
        run->history.count = 2;
        run->history.committed[1] = SMALL_ENTRY(1, MORTAR_ENTRY_NOOP, 0);
    }
    if (wrong == READ_IS_STALE) {
        run->facts = (struct small_facts){.round = 1, .read_index = 0, .confirmed = 1};
    }
}

static void break_election(struct run *run, enum wrong wrong)
{
    if (wrong == SECOND_VOTE) run->history.vote[2][1] = 3;
    if (wrong == SECOND_LEADER) run->history.leader[2] = 3;
    if (wrong == LEADS_UNELECTED) run->history.vote[2][2] = 0;
    if (wrong == LEADS_INCOMPLETE) {
        run->history.count = 2;
        run->history.committed[1] = SMALL_ENTRY(1, MORTAR_ENTRY_COMMAND, 0);
        run->history.commit_term[1] = 1;
    }
}

static struct verdict judged(struct run *run)
{
    const struct small_glance *glances[SMALL_MEMBERS + 1] = {NULL};
    for (uint32_t i = 1; i <= SMALL_MEMBERS; i++)
        glances[i] = &run->glances[i];
    struct verdict verdict = {0};
    judge_step(&verdict,
               &(struct judged_step){.glances = glances,
                                     .before = &run->before,
                                     .actor = 1,
                                     .facts = &run->facts,
                                     .configs = &run->configs},
               &run->history);
    return verdict;
}

static void each_judge_speaks_up_when_one_thing_is_changed(void **state)
{
    (void)state;
    struct run *run = malloc(sizeof *run);
    assert_non_null(run);
    for (enum wrong wrong = NOTHING; wrong < WRONGS; wrong++) {
        const bool election = wrong >= SECOND_VOTE && wrong <= LEADS_INCOMPLETE;
        if (election) {
            good_run(run);
            break_election(run, wrong);
        } else {
            good_commit(run);
            break_commit(run, wrong);
        }
        const struct verdict verdict = judged(run);
        assert_int_equal(verdict.failed, wrong != NOTHING);
        if (wrong != NOTHING) assert_string_equal(verdict.judge, expected_judge[wrong]);
    }
    good_run(run);
    assert_false(judged(run).failed);
    free(run);
}

static void words_of_a_replica_are_held_against_its_disk(void **state)
{
    (void)state;
    struct small_log log = {0};
    put(&log, 1, SMALL_ENTRY(1, MORTAR_ENTRY_NOOP, 0));
    put(&log, 2, SMALL_ENTRY(1, MORTAR_ENTRY_NOOP, 0));
    struct small_log disk = log;
    struct small_message reply = {.from = 2, .to = 1, .type = MESSAGE_APPEND_REPLY};
    reply.reply.outcome = APPEND_MATCHED;
    reply.reply.match = 2;
    reply.reply.whole = 1;
    struct verdict verdict = {0};
    judge_reply(&verdict, &reply, &log, &disk, false);
    assert_false(verdict.failed);
    judge_reply(&verdict, &reply, &log, &disk, true);
    assert_string_equal(verdict.judge, "whole");
    verdict = (struct verdict){0};
    disk.count = 1;
    judge_reply(&verdict, &reply, &log, &disk, false);
    assert_string_equal(verdict.judge, "ack");

    struct small_message request = {.from = 2, .to = 1, .type = MESSAGE_VOTE_REQUEST};
    request.ask.last = (struct small_position){2, 1};
    verdict = (struct verdict){0};
    judge_request(&verdict, &request, &log);
    assert_false(verdict.failed);
    request.ask.last.index = 3;
    judge_request(&verdict, &request, &log);
    assert_string_equal(verdict.judge, "claim");
}

/* ---- The search ---- */

static struct search_result searched(const struct small_set *set, uint32_t depth)
{
    struct search_result result;
    FILE *out = tmpfile();
    assert_non_null(out);
    search_run(set, depth, out, &result);
    (void)fclose(out);
    return result;
}

/* Every state stands for at most as many as there are renamings, and none is left out: as many
 * steps lead to the farthest. */
static void merging_names_leaves_out_no_state(void **state)
{
    (void)state;
    struct small_set set = *small_set_named("short-elections");
    set.budget[SMALL_TIMEOUT] = 1;
    const struct search_result merged = searched(&set, 0);
    set.all_names = true;
    const struct search_result plain = searched(&set, 0);
    assert_true(merged.complete && plain.complete);
    assert_int_equal(merged.symmetry, SMALL_RENAMINGS);
    assert_int_equal(plain.symmetry, 1);
    assert_int_equal(merged.depth, plain.depth);
    assert_true(plain.states > 2 * merged.states);
    assert_true(plain.states <= SMALL_RENAMINGS * merged.states);
}

static void a_search_is_the_same_each_time(void **state)
{
    (void)state;
    const struct small_set *set = small_set_named("short-members");
    const struct search_result first = searched(set, 8);
    const struct search_result second = searched(set, 8);
    assert_false(first.complete);
    assert_int_equal(first.depth, 8);
    assert_int_equal(first.states, second.states);
    assert_int_equal(first.transitions, second.transitions);
}

/* What a set is there for must happen in it. */
static void a_hole_is_met_and_filled(void **state)
{
    (void)state;
    struct small_set set = *small_set_named("short-hole");
    set.budget[SMALL_TIMEOUT] = 0;
    const struct search_result result = searched(&set, 0);
    assert_true(result.complete);
    assert_false(result.verdict.failed);
    assert_true(result.met.tails > 0);
    assert_true(result.met.adopted > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_judge_speaks_up_when_one_thing_is_changed),
        cmocka_unit_test(words_of_a_replica_are_held_against_its_disk),
        cmocka_unit_test(merging_names_leaves_out_no_state),
        cmocka_unit_test(a_search_is_the_same_each_time),
        cmocka_unit_test(a_hole_is_met_and_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
