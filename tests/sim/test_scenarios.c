/* sim/test_scenarios.c - stories with a known beginning, in a virtual world (sim/world.h).
 *
 * Safety (one leader per term, logs match, acknowledged data kept, verified progress kept) is
 * judged after every event by sim/check/; a scenario states only what is special to it. Each names
 * the contract (C, docs/internals) or the weakness of older systems (W) that it is about.
 */
#include "sim/world.h"
#include "unit/test.h"

enum { A, B, C, D, E, F };

#define ENTRIES 2000u
#define BYTES   200u
/* After this time both ends know that a cut connection is gone, and what was under way is lost. */
#define NOTICED_MS 500u

/* A world in which 20 kB of missing entries make a session, fetched in batches of 16 kB. */
static struct sim_options sessions_soon(uint64_t seed, uint32_t voters)
{
    struct sim_options options = sim_options_quiet(seed);
    options.replica.core.target_voters = voters;
    options.replica.core.resend_bytes = 20000;
    options.replica.replay.batch_bytes = 16384;
    options.replica.replay.window_bytes = 131072;
    options.replica.replay.source_window_bytes = 32768;
    options.replica.replay.fetch_timeout_ms = 300;
    options.replica.replay.stall_ms = 500;
    return options;
}

static struct sim *world(const struct sim_options *options, uint32_t replicas)
{
    struct sim *sim = sim_open(options);
    SIM_EXPECT(sim, sim_grow(sim, replicas));
    return sim;
}

/* Bulk lanes so slow that a session over `ENTRIES` takes seconds. */
static void slow_bulk_towards(struct sim *sim, uint32_t target, uint64_t bytes_per_s)
{
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (i == target) continue;
        network_set_speed(sim->network, sim->replicas[i], sim->replicas[target], MORTAR_LANE_BULK,
                          bytes_per_s);
    }
}

/* Lets `laggard` miss ENTRIES entries. */
static void fall_behind(struct sim *sim, uint32_t laggard)
{
    sim_isolate(sim, laggard);
    SIM_EXPECT(sim, sim_run_ms(sim, NOTICED_MS));
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), ENTRIES, BYTES));
    sim_rejoin(sim, laggard);
}

/* Waits until the session of `laggard` has put some entries into its log, and has more to do. */
static void reach_mid_session(struct sim *sim, uint32_t laggard)
{
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_syncing, laggard, 5000));
    struct mortar_core_status status;
    for (uint32_t i = 0; i < 2000; i++) {
        sim_status(sim, laggard, &status);
        if (sim_failed(sim) || status.sync.progress.entries_done > 0) break;
        sim_run_ms(sim, 5);
    }
    SIM_EXPECT(sim, status.sync.active);
    SIM_EXPECT(sim, status.sync.progress.entries_done > 0);
    SIM_EXPECT(sim, status.sync.progress.entries_left > 0);
}

static void line_to_stdout(void *context, const char *text)
{
    (void)context;
    print_message("%s\n", text);
}

/* Everything must have held to the end. */
static void finish(struct sim *sim)
{
    if (sim_failed(sim)) story_last(sim, line_to_stdout, NULL);
    struct verdict verdict;
    if (!sim_failed(sim)) judge_history_end(&sim->judges);
    sim_close(sim, &verdict);
    if (verdict.failed) print_message("judge %s: %s\n", verdict.judge, verdict.text);
    assert_false(verdict.failed);
}

/* Design 6.1.1, C8: the missing range is cut over several sources, and the leader comes last. */
static void a_cut_off_follower_is_served_by_several_and_by_the_leader_least(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(1, 5);
    struct sim *sim = world(&options, 5);
    fall_behind(sim, E);
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_syncing, E, 5000));
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 30000));
    struct mortar_core_status status;
    sim_status(sim, E, &status);
    uint32_t sources = 0;
    uint64_t of_leader = 0;
    uint64_t of_others_min = UINT64_MAX;
    for (uint32_t i = 0; i < status.sync.progress.source_count; i++) {
        const struct mortar_sync_source_progress *source = &status.sync.progress.sources[i];
        if (source->bytes > 0) sources++;
        if (source->is_leader) {
            of_leader += source->bytes;
        } else if (source->bytes > 0 && source->bytes < of_others_min) {
            of_others_min = source->bytes;
        }
    }
    SIM_EXPECT(sim, sources >= 2);
    SIM_EXPECT(sim, of_leader < of_others_min);
    SIM_EXPECT(sim, sim->counts[MORTAR_TRACE_SYNC_DONE] >= 1);
    finish(sim);
}

/* C5, W-10, W-12: a source that dies in mid-session is replaced; what it owed goes elsewhere. */
static void a_session_survives_the_death_of_its_source(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(2, 5);
    struct sim *sim = world(&options, 5);
    slow_bulk_towards(sim, E, 60000);
    fall_behind(sim, E);
    reach_mid_session(sim, E);
    const uint32_t victim = sim_leader(sim) == B ? C : B;
    sim_crash(sim, victim, VIRTUAL_LOG_LOSE_ALL);
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_current, E, 60000));
    SIM_EXPECT(sim, sim->replicas[E]->counts[MORTAR_TRACE_SYNC_OPEN] == 1);
    finish(sim);
}

/* C6, W-12f: another leader and another term in mid-session: what was verified stays. */
static void verified_progress_survives_a_change_of_leader(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(3, 5);
    struct sim *sim = world(&options, 5);
    slow_bulk_towards(sim, E, 60000);
    fall_behind(sim, E);
    reach_mid_session(sim, E);
    struct mortar_core_status before;
    struct mortar_core_status after;
    sim_status(sim, E, &before);
    SIM_EXPECT(sim, sim_elect(sim, sim_leader(sim) == C ? D : C));
    sim_status(sim, E, &after);
    SIM_EXPECT(sim, after.last.index >= before.last.index);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
    SIM_EXPECT(sim, sim->replicas[E]->counts[MORTAR_TRACE_TRUNCATE] == 0);
    finish(sim);
}

/* B to D keep nothing that they applied; A keeps the whole log. */
static void prune_all_but_the_first(struct sim *sim)
{
    struct mortar_core_status status;
    for (uint32_t i = B; i < E; i++) {
        sim_status(sim, i, &status);
        sim->replicas[i]->prune.to = status.applied;
    }
    SIM_EXPECT(sim, sim_run_ms(sim, 500));
    SIM_EXPECT(sim, sim->faults[SIM_FAULT_PRUNE] >= 3);
}

/* C9: a lease holds back so much and no more. What its sources let go is fetched from the one that
 * keeps it. */
static void a_log_pruned_under_a_session_is_fetched_from_who_keeps_it(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(6, 5);
    options.replica.core.lease_bytes_max = 1000;
    options.replica.replay.window_bytes = 64u << 20;
    struct sim *sim = world(&options, 5);
    SIM_EXPECT(sim, sim_elect(sim, B));
    slow_bulk_towards(sim, E, 60000);
    fall_behind(sim, E);
    reach_mid_session(sim, E);
    prune_all_but_the_first(sim);
    SIM_EXPECT(sim, sim->faults[SIM_FAULT_LEASE_END] > 0);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 120000));
    finish(sim);
}

/* The leader's log begins above what is missing: another's plan is taken, which must close on the
 * leader's base (C4). One that lies about it is found out, and asked by a later session. */
static void a_plan_below_the_base_of_the_leader_must_close_on_it(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(7, 5);
    options.replica.replay.window_bytes = 64u << 20;
    options.replica.replay.give_up_ms = 3000;
    struct sim *sim = world(&options, 5);
    SIM_EXPECT(sim, sim_elect(sim, B));
    sim_isolate(sim, E);
    SIM_EXPECT(sim, sim_run_ms(sim, NOTICED_MS));
    SIM_EXPECT(sim, sim_fill(sim, B, ENTRIES, BYTES));
    prune_all_but_the_first(sim);
    sim->replicas[A]->lying = true;
    sim->replicas[A]->lies_only = SIM_FAULT_LIE_PLAN;
    sim_rejoin(sim, E);
    SIM_EXPECT(sim, sim_run_ms(sim, 6000));
    SIM_EXPECT(sim, !sim_is_current(sim, E));
    SIM_EXPECT(sim, sim->faults[SIM_FAULT_LIE_PLAN] > 0);
    sim->replicas[A]->lying = false;
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 120000));
    finish(sim);
}

static bool is_dropped(struct sim *sim, uint32_t laggard, uint32_t source)
{
    struct mortar_core_status status;
    sim_status(sim, laggard, &status);
    for (uint32_t i = 0; i < status.sync.progress.source_count; i++) {
        const struct mortar_sync_source_progress *said = &status.sync.progress.sources[i];
        if (mortar_member_id_equal(&said->member, &sim->replicas[source]->id)) return said->dropped;
    }
    return false;
}

/* One member lies in one way while E catches up. True: it was found out. */
static bool is_found_out(enum sim_fault kind)
{
    const struct sim_options options = sessions_soon(4, 5);
    struct sim *sim = world(&options, 5);
    const uint32_t liar = sim_leader(sim) == B ? C : B;
    sim->replicas[liar]->lying = true;
    sim->replicas[liar]->lies_only = kind;
    fall_behind(sim, E);
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_syncing, E, 5000));
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_current, E, 60000));
    SIM_EXPECT(sim, sim_run_ms(sim, 3000)); /* What is late comes. */
    SIM_EXPECT(sim, sim->faults[kind] > 0);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
    for (uint32_t i = A; i < E; i++) {
        if (i != liar) SIM_EXPECT(sim, !is_dropped(sim, E, i));
    }
    const bool dropped = is_dropped(sim, E, liar);
    finish(sim);
    return dropped;
}

/* C4, W-6: wrong entries under a right checksum never enter the log; who sent them is named. */
static void a_lying_source_is_dropped_and_named(void **state)
{
    (void)state;
    assert_true(is_found_out(SIM_FAULT_LIE_BYTES));
    assert_true(is_found_out(SIM_FAULT_LIE_SUMS));
    assert_true(is_found_out(SIM_FAULT_LIE_TERMS));
    assert_true(is_found_out(SIM_FAULT_LIE_RANGE));
    assert_true(is_found_out(SIM_FAULT_LIE_EMPTY));
}

/* Whoever answers late, twice or too late, refuses, or holds less than it claims, may be honest. */
static void a_source_that_only_seems_to_lie_is_kept(void **state)
{
    (void)state;
    assert_false(is_found_out(SIM_FAULT_LIE_REFUSAL));
    assert_false(is_found_out(SIM_FAULT_LIE_CLAIM));
    assert_false(is_found_out(SIM_FAULT_LIE_LATE));
    assert_false(is_found_out(SIM_FAULT_LIE_TWICE));
    assert_false(is_found_out(SIM_FAULT_LIE_ENDED));
}

/* Design 7: joining is one call; an empty member is caught up, then promoted when it is whole. */
static void an_empty_member_joins_catches_up_and_is_promoted(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(5, 3);
    struct sim *sim = world(&options, 1);
    SIM_EXPECT(sim, sim_fill(sim, A, ENTRIES, BYTES));
    sim_add(sim, &options.replica);
    sim_add(sim, &options.replica);
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_voter, B, 60000));
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_voter, C, 60000));
    SIM_EXPECT(sim, sim->replicas[B]->counts[MORTAR_TRACE_SYNC_DONE] >= 1);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
    finish(sim);
}

/* W-1, W-2, C3: entries that an old leader never committed are cut, from the first conflict on. */
static void an_old_leaders_uncommitted_tail_is_replaced(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(6, 3);
    struct sim *sim = world(&options, 3);
    const uint32_t old = sim_leader(sim);
    const uint32_t next = old == B ? C : B;
    sim_isolate(sim, old);
    for (uint32_t i = 0; i < 5; i++) {
        client_write(sim, sim->replicas[old], MORTAR_REQUEST_EXECUTE, 1, BYTES, 60000);
    }
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_leader, next, 20000) || sim_leader(sim) != old);
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), ENTRIES, BYTES));
    sim_rejoin(sim, old);
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_current, old, 60000));
    SIM_EXPECT(sim, sim->replicas[old]->counts[MORTAR_TRACE_TRUNCATE] >= 1);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
    finish(sim);
}

/* Idea 4, C7, C9: a tail takes no more than its budget; what is beyond comes by another session. */
static void a_tail_beyond_its_budget_comes_by_another_session(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(7, 3);
    options.replica.core.tail_bytes_max = 30000;
    struct sim *sim = world(&options, 3);
    const uint32_t laggard = sim_leader(sim) == C ? B : C;
    slow_bulk_towards(sim, laggard, 200000);
    fall_behind(sim, laggard);
    reach_mid_session(sim, laggard);
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), 500, BYTES));
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_current, laggard, 60000));
    SIM_EXPECT(sim, sim->replicas[laggard]->counts[MORTAR_TRACE_SYNC_OPEN] >= 2);
    finish(sim);
}

/* C5, C12, W-12d: a voter in a session votes, so a leader's death does not wait for the session. */
static void an_election_does_not_wait_for_a_session(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(8, 3);
    struct sim *sim = world(&options, 3);
    const uint32_t leader = sim_leader(sim);
    const uint32_t laggard = leader == C ? B : C;
    slow_bulk_towards(sim, laggard, 60000);
    fall_behind(sim, laggard);
    reach_mid_session(sim, laggard);
    sim_crash(sim, leader, VIRTUAL_LOG_LOSE_ALL);
    SIM_EXPECT(sim, sim_run_until(sim, sim_has_leader, 5000));
    SIM_EXPECT(sim, sim_is_syncing(sim, laggard));
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_current, laggard, 120000));
    finish(sim);
}

/* C5, W-12c: with no source at all the session waits and says why; it goes on once there is one. */
static void a_session_waits_for_a_source_and_goes_on(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(9, 3);
    struct sim *sim = world(&options, 3);
    const uint32_t laggard = sim_leader(sim) == C ? B : C;
    for (uint32_t i = 0; i < 3; i++) {
        network_stall(sim->network, sim->replicas[i], sim->replicas[laggard], MORTAR_LANE_BULK,
                      sim->now_us + 15000000);
    }
    fall_behind(sim, laggard);
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_syncing, laggard, 5000));
    SIM_EXPECT(sim, sim_run_ms(sim, 5000));
    struct mortar_core_status status;
    sim_status(sim, laggard, &status);
    SIM_EXPECT(sim, status.sync.active && status.sync.progress.waits_for[0] != 0);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
    finish(sim);
}

/* W-36f, C7: many laggards at once, each served, each within its window. */
static void several_laggards_catch_up_at_once(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(10, 5);
    struct sim *sim = world(&options, 5);
    sim_isolate(sim, D);
    sim_isolate(sim, E);
    SIM_EXPECT(sim, sim_run_ms(sim, NOTICED_MS));
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), ENTRIES, BYTES));
    sim_rejoin(sim, D);
    sim_rejoin(sim, E);
    sim_add(sim, &options.replica);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
    SIM_EXPECT(sim, sim->counts[MORTAR_TRACE_SYNC_DONE] >= 3);
    finish(sim);
}

/* Thesis 4.3, C11: voters are exchanged by one joint change; the old ones may then go. */
static void two_voters_are_exchanged_by_one_joint_change(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(11, 3);
    options.replica.core.target_voters = 3;
    struct sim *sim = world(&options, 5);
    SIM_EXPECT(sim, sim_run_until(sim, sim_has_leader, 5000));
    struct mortar_change changes[4] = {
        {.kind = MORTAR_PROMOTE},
        {.kind = MORTAR_PROMOTE},
        {.kind = MORTAR_REMOVE},
        {.kind = MORTAR_REMOVE},
    };
    uint32_t in = 0;
    uint32_t out = 0;
    uint32_t removed[2] = {0};
    for (uint32_t i = 0; i < 5; i++) {
        const bool voter = sim_is_voter(sim, i);
        if (!voter && in < 2) {
            changes[in++].member = sim->replicas[i]->id;
        } else if (voter && out < 2) {
            changes[2 + out].member = sim->replicas[i]->id;
            removed[out++] = i;
        }
    }
    SIM_EXPECT(sim, in == 2 && out == 2);
    enum mortar_status status = MORTAR_UNKNOWN;
    const uint64_t op = client_change(sim, sim->replicas[sim_leader(sim)], changes, 4, 10000);
    for (uint32_t i = 0; i < 2000 && !client_ended(sim, op, &status); i++)
        sim_run_ms(sim, 5);
    SIM_EXPECT(sim, status == MORTAR_OK);
    for (uint32_t i = 0; i < 2; i++)
        replica_close(sim->replicas[removed[i]], REPLICA_LEFT);
    SIM_EXPECT(sim, sim_run_until(sim, sim_has_leader, 20000));
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    SIM_EXPECT(sim, sim_propose(sim, sim_leader(sim), 10, BYTES));
    finish(sim);
}

/* Clients keep the leader busy: 200 kB a second. */
static void serve(struct sim *sim, uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed += 20) {
        (void)client_write(sim, sim->replicas[sim_leader(sim)], MORTAR_REQUEST_EXECUTE, 20, BYTES,
                           2000);
        SIM_EXPECT(sim, sim_run_ms(sim, 20));
    }
}

static bool is_whole(struct sim *sim, uint32_t replica)
{
    struct mortar_core_status status;
    sim_status(sim, sim_leader(sim), &status);
    for (uint32_t i = 0; i < status.member_count; i++) {
        if (mortar_member_id_equal(&status.members[i].id, &sim->replicas[replica]->id))
            return status.members[i].whole;
    }
    return false;
}

static void set_speed_towards(struct sim *sim, uint32_t target, uint64_t bytes_per_s)
{
    for (uint32_t i = 0; i < target; i++) {
        network_set_speed(sim->network, sim->replicas[i], sim->replicas[target],
                          MORTAR_LANE_CONTROL, bytes_per_s);
    }
}

/* Thesis 4.2.1: a learner that is whole, and falls behind, is not promoted before its link heals;
 * the group serves all the while. */
static void a_learner_behind_a_slow_link_waits_for_promotion(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(24, 3);
    options.replica.core.resend_bytes = 4u << 20;
    options.replica.core.window_bytes = 20000;
    struct sim *sim = world(&options, 2);
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), 3000, BYTES));
    SIM_EXPECT(sim, sim_add(sim, &options.replica) == C);
    set_speed_towards(sim, C, 160000);
    serve(sim, 10000);
    SIM_EXPECT(sim, sim_is_member(sim, C) && is_whole(sim, C));
    SIM_EXPECT(sim, !sim_is_voter(sim, C));
    set_speed_towards(sim, C, 0);
    serve(sim, 5000); /* It may be waiting after ten slow rounds. */
    SIM_EXPECT(sim, sim_is_voter(sim, C));
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    finish(sim);
}

static void come_for(struct sim *sim, const struct replica_options *like, uint32_t lost)
{
    struct replica_options options = *like;
    options.core.replaces = sim->replicas[lost]->id;
    sim->replicas[lost]->replaced_by = sim->replica_count;
    sim_add(sim, &options);
}

static bool takes_the_place(struct sim *sim, uint32_t lost)
{
    const uint32_t next = sim->replicas[lost]->replaced_by;
    return sim_has_leader(sim) && sim_is_voter(sim, next) && sim_is_current(sim, next);
}

/* Design 7, C11: a wiped member is replaced by one joint change, while another is slow. */
static void a_wiped_member_is_replaced_while_another_is_slow(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(21, 3);
    options.replica.core.target_voters = 3;
    struct sim *sim = world(&options, 3);
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), 2000, BYTES));
    const uint32_t lost = (sim_leader(sim) + 1) % 3;
    const uint32_t slow = (sim_leader(sim) + 2) % 3;
    virtual_log_set_delay(sim->replicas[slow]->log, 5000, 40000);
    sim_wipe(sim, lost);
    sim->replicas[lost]->leaving = false; /* No operator: the group does it alone. */
    come_for(sim, &options.replica, lost);
    SIM_EXPECT(sim, sim_run_until_of(sim, takes_the_place, lost, 60000));
    SIM_EXPECT(sim, !sim_failed(sim));
    virtual_log_set_delay(sim->replicas[slow]->log, 0, 100);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    finish(sim);
}

/* Two of five at once: both swaps may share a joint change, and no majority is lost. */
static void two_wiped_members_are_replaced_at_once(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(22, 5);
    options.replica.core.target_voters = 5;
    struct sim *sim = world(&options, 5);
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), 500, BYTES));
    const uint32_t first = (sim_leader(sim) + 1) % 5;
    const uint32_t second = (sim_leader(sim) + 3) % 5;
    sim_wipe(sim, first);
    sim_wipe(sim, second);
    sim->replicas[first]->leaving = sim->replicas[second]->leaving = false;
    come_for(sim, &options.replica, first);
    come_for(sim, &options.replica, second);
    SIM_EXPECT(sim, sim_run_until_of(sim, takes_the_place, first, 60000));
    SIM_EXPECT(sim, sim_run_until_of(sim, takes_the_place, second, 60000));
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    struct mortar_core_status status;
    sim_status(sim, sim_leader(sim), &status);
    SIM_EXPECT(sim, status.member_count == 5);
    finish(sim);
}

/* It was thought dead, and replaced; then it comes back with its disk. It is refused, and disturbs
 * nobody. */
static void one_that_was_replaced_comes_back_and_is_refused(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(23, 3);
    options.replica.core.target_voters = 3;
    struct sim *sim = world(&options, 3);
    const uint32_t away = (sim_leader(sim) + 1) % 3;
    sim_isolate(sim, away);
    come_for(sim, &options.replica, away);
    SIM_EXPECT(sim, sim_run_until_of(sim, takes_the_place, away, 60000));
    SIM_EXPECT(sim, sim_propose(sim, sim_leader(sim), 10, BYTES));
    const uint32_t leader = sim_leader(sim);
    struct mortar_core_status status;
    sim_status(sim, leader, &status);
    const uint64_t term = status.term;
    sim_rejoin(sim, away);
    SIM_EXPECT(sim, sim_run_ms(sim, 15000));
    sim_status(sim, away, &status);
    SIM_EXPECT(sim, status.removed);
    sim_status(sim, leader, &status);
    SIM_EXPECT(sim, status.role == MORTAR_LEADER && status.term == term);
    SIM_EXPECT(sim, status.member_count == 3);
    replica_close(sim->replicas[away], REPLICA_LEFT);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    finish(sim);
}

/* Whether a learner that stands by takes the place of a voter that is gone, within 20 s. */
static void a_voter_goes(uint32_t remove_gone_ms, bool swapped)
{
    struct sim_options options = sessions_soon(25, 3);
    options.replica.core.remove_gone_ms = remove_gone_ms;
    struct sim *sim = world(&options, 4);
    const uint32_t spare = D;
    SIM_EXPECT(sim, !sim_is_voter(sim, spare));
    const uint32_t gone = (sim_leader(sim) + 1) % 3;
    sim_isolate(sim, gone);
    SIM_EXPECT(sim, sim_run_ms(sim, 4000));
    SIM_EXPECT(sim, !sim_is_voter(sim, spare));
    SIM_EXPECT(sim, sim_run_ms(sim, 16000));
    SIM_EXPECT(sim, sim_is_voter(sim, spare) == swapped);
    SIM_EXPECT(sim, sim_propose(sim, sim_leader(sim), 10, BYTES));
    sim_rejoin(sim, gone);
    SIM_EXPECT(sim, sim_run_ms(sim, 15000));
    SIM_EXPECT(sim, sim->replicas[gone]->forgotten == swapped); /* It has come to know of it. */
    struct mortar_core_status status;
    sim_status(sim, sim_leader(sim), &status);
    SIM_EXPECT(sim, status.member_count == (swapped ? 3 : 4));
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    finish(sim);
}

/* Design 7: removing others is an operator's act, or a policy that is off. */
static void a_gone_voter_loses_its_place_only_where_the_policy_is_on(void **state)
{
    (void)state;
    a_voter_goes(5000, true);
    a_voter_goes(0, false);
}

/* C1, W-25: every fifth frame is lost, others come twice or late, and none is applied twice. */
static void a_group_serves_through_a_lossy_network(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(12, 3);
    options.workload.timeout_ms_min = options.workload.timeout_ms_max = 300;
    struct sim *sim = world(&options, 3);
    struct network_options network = options.network;
    network.datagrams = true;
    network.loss_permille = 200;
    network.duplicate_permille = 200;
    network.reorder_permille = 200;
    network_tune(sim->network, &network);
    clients_start(sim);
    SIM_EXPECT(sim, sim_run_ms(sim, 10000));
    clients_stop(sim);
    SIM_EXPECT(sim, sim->clients.succeeded > 100);
    network.loss_permille = 0;
    network_tune(sim->network, &network);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 30000));
    finish(sim);
}

/* C2, W-13: a leader that is cut off answers no linearizable read, and fails by name in time. */
static void a_cut_off_leader_serves_no_linearizable_read(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(13, 3);
    struct sim *sim = world(&options, 3);
    const uint32_t old = sim_leader(sim);
    sim_isolate(sim, old);
    const uint64_t op = client_read(sim, sim->replicas[old], MORTAR_READ_LINEARIZABLE, 3000);
    SIM_EXPECT(sim, op != 0);
    SIM_EXPECT(sim, sim_run_ms(sim, 3200));
    enum mortar_status status = MORTAR_OK;
    SIM_EXPECT(sim, client_ended(sim, op, &status));
    SIM_EXPECT(sim, status != MORTAR_OK);
    sim_rejoin(sim, old);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    finish(sim);
}

/* Design 7: a joiner whose place in the configuration goes with its leader asks again. */
static void a_joiner_whose_add_is_lost_with_its_leader_asks_again(void **state)
{
    (void)state;
    const struct sim_options options = sessions_soon(14, 3);
    struct sim *sim = world(&options, 3);
    const uint32_t old = sim_leader(sim);
    for (uint32_t i = A; i <= C; i++) {
        if (i == old) continue;
        network_cut(sim->network, sim->replicas[i], sim->replicas[old], true);
        network_cut(sim->network, sim->replicas[old], sim->replicas[i], true);
    }
    sim_add(sim, &options.replica);
    for (uint32_t i = A; i <= C; i++) { /* Only the old leader can be asked. */
        if (i == old) continue;
        network_cut(sim->network, sim->replicas[i], sim->replicas[D], true);
        network_cut(sim->network, sim->replicas[D], sim->replicas[i], true);
    }
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_member, D, 2000));
    SIM_EXPECT(sim, sim_run_ms(sim, 5000));
    SIM_EXPECT(sim, sim_leader(sim) != old);
    sim_heal(sim);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    finish(sim);
}

/* C8, W-35: a command much longer than a frame travels in parts that count as heartbeats: no
 * follower runs for election while it is under way. */
static void a_long_command_causes_no_election(void **state)
{
    (void)state;
    struct sim_options options = sessions_soon(15, 3);
    options.network.bytes_per_s[MORTAR_LANE_CONTROL] = 500000;
    struct sim *sim = world(&options, 3);
    const uint32_t leader = sim_leader(sim);
    struct mortar_core_status before;
    struct mortar_core_status after;
    sim_status(sim, leader, &before);
    /* Two seconds on the line: longer than any election timeout. */
    SIM_EXPECT(sim, sim_propose(sim, leader, 1, 1000000));
    sim_status(sim, leader, &after);
    SIM_EXPECT(sim, after.term == before.term && after.role == MORTAR_LEADER);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    finish(sim);
}

/* Section 10: the same seed gives the same run, to the last event. */
static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    uint64_t events[2] = {0};
    uint64_t digest[2] = {0};
    for (uint32_t i = 0; i < 2; i++) {
        struct sim_options options = sessions_soon(16, 3);
        options.network.datagrams = true;
        options.network.loss_permille = 50;
        options.network.latency_us_max = 5000;
        struct sim *sim = world(&options, 3);
        clients_start(sim);
        SIM_EXPECT(sim, sim_run_ms(sim, 3000));
        events[i] = sim->events;
        digest[i] = sim->replicas[A]->machine.state[0];
        finish(sim);
    }
    assert_true(events[0] > 1000);
    assert_int_equal(events[0], events[1]);
    assert_int_equal(digest[0], digest[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_off_follower_is_served_by_several_and_by_the_leader_least),
        cmocka_unit_test(a_session_survives_the_death_of_its_source),
        cmocka_unit_test(verified_progress_survives_a_change_of_leader),
        cmocka_unit_test(a_log_pruned_under_a_session_is_fetched_from_who_keeps_it),
        cmocka_unit_test(a_plan_below_the_base_of_the_leader_must_close_on_it),
        cmocka_unit_test(a_lying_source_is_dropped_and_named),
        cmocka_unit_test(a_source_that_only_seems_to_lie_is_kept),
        cmocka_unit_test(an_empty_member_joins_catches_up_and_is_promoted),
        cmocka_unit_test(an_old_leaders_uncommitted_tail_is_replaced),
        cmocka_unit_test(a_tail_beyond_its_budget_comes_by_another_session),
        cmocka_unit_test(an_election_does_not_wait_for_a_session),
        cmocka_unit_test(a_session_waits_for_a_source_and_goes_on),
        cmocka_unit_test(several_laggards_catch_up_at_once),
        cmocka_unit_test(two_voters_are_exchanged_by_one_joint_change),
        cmocka_unit_test(a_learner_behind_a_slow_link_waits_for_promotion),
        cmocka_unit_test(a_wiped_member_is_replaced_while_another_is_slow),
        cmocka_unit_test(two_wiped_members_are_replaced_at_once),
        cmocka_unit_test(a_gone_voter_loses_its_place_only_where_the_policy_is_on),
        cmocka_unit_test(one_that_was_replaced_comes_back_and_is_refused),
        cmocka_unit_test(a_group_serves_through_a_lossy_network),
        cmocka_unit_test(a_cut_off_leader_serves_no_linearizable_read),
        cmocka_unit_test(a_joiner_whose_add_is_lost_with_its_leader_asks_again),
        cmocka_unit_test(a_long_command_causes_no_election),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
