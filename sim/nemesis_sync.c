/* sim/nemesis_sync.c - faults of sessions. Most wait until a session enters the phase that they are
 * made for, and strike a moment later: else they would mostly find no session at all. */
#include "sim/nemesis_private.h"
#include "sync/replay_session.h"

#define BURST_REQUESTS_MAX 40u
#define BURST_BATCH        32u
#define STRIKE_US_MAX      20000u
#define LAGGARD_DEATHS_MAX 12u
#define SLOW_CHECK_US_MAX  3000000u
#define SERVE_RESERVATIONS 12u

/* ---- What is done to a session of `laggard` ---- */

static bool source_crash(struct nemesis *nemesis, struct replica *laggard)
{
    struct replica *source = nemesis_pick_but(nemesis, laggard->number);
    if (source == NULL) return false;
    if (prng_chance(&nemesis->prng, 1, 4)) return nemesis_wipe(nemesis, source);
    nemesis_crash(nemesis, source);
    return true;
}

static bool source_stall(struct nemesis *nemesis, struct replica *laggard)
{
    const struct replica *source = nemesis_pick_but(nemesis, laggard->number);
    if (source == NULL) return false;
    network_stall(nemesis->sim->network, source, laggard, MORTAR_LANE_BULK,
                  nemesis_in_ms(nemesis, 200, 6000));
    return true;
}

static void on_honest(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    event->target->lying = false;
}

/* It lies about anything to anybody for a while. */
static bool begin_to_lie(struct nemesis *nemesis, struct replica *replica)
{
    if (replica == NULL) return false;
    replica->lying = true;
    replica->lied = true;
    story_say(nemesis->sim, "---- %s lies", replica->name);
    sim_at(nemesis->sim, (struct sim_event){
                             .at_us = nemesis_in_ms(nemesis, 1000, 8000),
                             .target = replica,
                             .run = on_honest,
                         });
    return true;
}

static bool source_lies(struct nemesis *nemesis, struct replica *laggard)
{
    return begin_to_lie(nemesis, nemesis_pick_but(nemesis, laggard->number));
}

/* No bulk lane carries anything to it. */
static bool no_source(struct nemesis *nemesis, struct replica *laggard)
{
    struct sim *sim = nemesis->sim;
    const uint64_t until_us = nemesis_in_ms(nemesis, 500, 8000);
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        struct replica *source = sim->replicas[i];
        if (source == laggard || !replica_is_live(source)) continue;
        network_stall(sim->network, source, laggard, MORTAR_LANE_BULK, until_us);
        if (prng_chance(&nemesis->prng, 1, 2)) {
            network_reset(sim->network, source, laggard, MORTAR_LANE_BULK);
        }
    }
    return true;
}

/* What must be reached moves away while the session runs. */
static bool target_moves(struct nemesis *nemesis, struct replica *laggard)
{
    (void)laggard;
    struct sim *sim = nemesis->sim;
    const uint32_t leader = sim_leader(sim);
    if (leader == UINT32_MAX || !nemesis_is_up(sim->replicas[leader])) return false;
    const uint32_t bytes = sim->options.workload.command_bytes_max;
    const uint64_t requests = prng_between(&nemesis->prng, 5, BURST_REQUESTS_MAX);
    for (uint64_t i = 0; i < requests && replica_is_live(sim->replicas[leader]); i++) {
        client_write(sim, sim->replicas[leader], MORTAR_REQUEST_EXECUTE, BURST_BATCH, bytes, 5000);
    }
    return true;
}

static bool laggard_crash(struct nemesis *nemesis, struct replica *laggard)
{
    laggard->durable_deaths = (uint32_t)prng_between(&nemesis->prng, 1, LAGGARD_DEATHS_MAX);
    return false; /* Each death is counted. */
}

static void on_quick(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    event->target->bulk_late_us = 0;
}

/* What arrived is checked so late that the session has moved on. */
static bool slow_check(struct nemesis *nemesis, struct replica *laggard)
{
    laggard->bulk_late_us = SLOW_CHECK_US_MAX;
    laggard->duty.slow = true;
    sim_at(nemesis->sim, (struct sim_event){
                             .at_us = nemesis_in_ms(nemesis, 500, 8000),
                             .target = laggard,
                             .run = on_quick,
                         });
    return true;
}

/* One of those who send has no memory for it. */
static bool source_memory(struct nemesis *nemesis, struct replica *laggard)
{
    struct replica *source = nemesis_pick_but(nemesis, laggard->number);
    if (source == NULL) return false;
    source->memory_short = true;
    source->memory.fail_in = prng_between(&nemesis->prng, 1, SERVE_RESERVATIONS);
    source->memory.fail_more = prng_below(&nemesis->prng, SERVE_RESERVATIONS);
    return true;
}

/* The leader goes, for long enough that another follows, or not quite. */
static bool leader_goes(struct nemesis *nemesis, struct replica *laggard)
{
    struct sim *sim = nemesis->sim;
    const uint32_t leader = sim_leader(sim);
    if (leader == UINT32_MAX || leader == laggard->number) return false;
    struct replica *replica = sim->replicas[leader];
    const uint64_t until_us = nemesis_in_ms(nemesis, 200, NEMESIS_LONGEST_MS);
    switch (prng_below(&nemesis->prng, 4)) {
    case 0:
        replica_pause(replica, until_us);
        return true;
    case 1:
        nemesis_cut(nemesis, 1ull << leader, true, until_us);
        return true;
    case 2:
        nemesis_crash(nemesis, replica);
        return true;
    default:
        nemesis_cut(nemesis, 1ull << leader, false, until_us);
        return true;
    }
}

/* All that a replica applied may go, as far as the keeper of the whole log has it too. */
static void let_prune(struct nemesis *nemesis, uint32_t number)
{
    struct sim *sim = nemesis->sim;
    struct mortar_core_status status;
    struct mortar_core_status keeper;
    sim_status(sim, number, &status);
    sim_status(sim, DRAW_KEEPER, &keeper);
    const uint64_t keeps = prng_chance(&nemesis->prng, 1, 2) ? 0 : prng_below(&nemesis->prng, 500);
    const uint64_t most =
        status.applied < keeper.committed.index ? status.applied : keeper.committed.index;
    const uint64_t to = most > keeps ? most - keeps : 0;
    if (to > sim->replicas[number]->prune.to) sim->replicas[number]->prune.to = to;
}

static bool prune_all(struct nemesis *nemesis, struct replica *laggard)
{
    (void)laggard;
    struct sim *sim = nemesis->sim;
    for (uint32_t i = 0; nemesis->drawn.prunes && i < sim->replica_count; i++) {
        if (i != DRAW_KEEPER && replica_is_live(sim->replicas[i])) let_prune(nemesis, i);
    }
    return false; /* Each time that a log is pruned is counted. */
}

static bool do_prune(struct nemesis *nemesis)
{
    const struct replica *replica = nemesis_pick_but(nemesis, DRAW_KEEPER);
    if (nemesis->drawn.prunes && replica != NULL) let_prune(nemesis, replica->number);
    return false;
}

static const struct session_fault {
    enum sim_fault fault;
    enum replay_phase phase;
    bool (*strike)(struct nemesis *nemesis, struct replica *laggard);
} session_faults[] = {
    {SIM_FAULT_SOURCE_CRASH, REPLAY_PHASE_FETCH, source_crash},
    {SIM_FAULT_SOURCE_STALL, REPLAY_PHASE_FETCH, source_stall},
    {SIM_FAULT_LIAR, REPLAY_PHASE_MATCH, source_lies},
    {SIM_FAULT_LIAR, REPLAY_PHASE_PLAN, source_lies},
    {SIM_FAULT_LIAR, REPLAY_PHASE_FETCH, source_lies},
    {SIM_FAULT_NO_SOURCE, REPLAY_PHASE_FETCH, no_source},
    {SIM_FAULT_TARGET_MOVES, REPLAY_PHASE_FETCH, target_moves},
    {SIM_FAULT_LAGGARD_CRASH, REPLAY_PHASE_MATCH, laggard_crash},
    {SIM_FAULT_LEADER_IN_MATCH, REPLAY_PHASE_MATCH, leader_goes},
    {SIM_FAULT_LEADER_IN_PLAN, REPLAY_PHASE_PLAN, leader_goes},
    {SIM_FAULT_LEADER_IN_FETCH, REPLAY_PHASE_FETCH, leader_goes},
    {SIM_FAULT_LEADER_AT_END, REPLAY_PHASE_DONE, leader_goes},
    {SIM_FAULT_PRUNE, REPLAY_PHASE_FETCH, prune_all},
    {SIM_FAULT_LEASE_END, REPLAY_PHASE_PLAN, prune_all},
    {SIM_FAULT_SLOW_CHECK, REPLAY_PHASE_FETCH, slow_check},
    {SIM_FAULT_SLOW_CHECK, REPLAY_PHASE_PLAN, slow_check},
    {SIM_FAULT_MEMORY, REPLAY_PHASE_FETCH, source_memory},
};
#define SESSION_FAULTS (sizeof session_faults / sizeof session_faults[0])

/* ---- Waiting for a session ---- */

/* numbers: the fault's place, the laggard. */
static void on_strike(struct sim *sim, struct sim_event *event)
{
    struct nemesis *nemesis = event->object;
    const struct session_fault *fault = &session_faults[event->numbers[0]];
    struct replica *laggard = sim->replicas[event->numbers[1]];
    if (!nemesis->running || !replica_is_live(laggard)) return;
    if (!fault->strike(nemesis, laggard)) return;
    sim->faults[fault->fault]++;
    story_say(sim, "---- fault: %s, as %s catches up", sim_fault_name(fault->fault), laggard->name);
}

void nemesis_on_phase(void *context, struct replica *laggard, uint64_t phase)
{
    struct nemesis *nemesis = context;
    for (uint32_t i = 0; i < SESSION_FAULTS && nemesis->running; i++) {
        const uint64_t bit = 1ull << session_faults[i].fault;
        if ((nemesis->waiting & bit) == 0 || session_faults[i].phase != phase) continue;
        if (session_faults[i].fault != SIM_FAULT_LIAR || prng_chance(&nemesis->prng, 1, 4)) {
            nemesis->waiting &= ~bit; /* Liars come in crowds. */
        }
        const uint64_t most_us = prng_chance(&nemesis->prng, 1, 2) ? 1 : STRIKE_US_MAX;
        sim_at(nemesis->sim,
               (struct sim_event){
                   .at_us = nemesis->sim->now_us + prng_below(&nemesis->prng, most_us),
                   .run = on_strike,
                   .object = nemesis,
                   .numbers = {i, laggard->number},
               });
    }
}

/* A follower is away for long, so that it must be caught up by a session. */
static bool do_lag(struct nemesis *nemesis)
{
    const struct replica *replica = nemesis_pick_but(nemesis, sim_leader(nemesis->sim));
    if (replica == NULL) return false;
    nemesis_cut(nemesis, 1ull << replica->number, false, nemesis_in_ms(nemesis, 1500, 6000));
    return true;
}

/* All that a majority can do without go at once, and come back at once. */
static bool do_laggards(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    const uint32_t leader = sim_leader(sim);
    uint32_t live = 0;
    uint32_t gone = 0;
    uint64_t side = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (nemesis_is_up(sim->replicas[i])) live++;
    }
    for (uint32_t i = 0; i < sim->replica_count && gone < (live - 1) / 2; i++) {
        const uint32_t number = (i + leader + 1) % sim->replica_count;
        if (number == leader || !nemesis_is_up(sim->replicas[number])) continue;
        side |= 1ull << number;
        gone++;
    }
    if (leader == UINT32_MAX || gone < 2) return false;
    nemesis_cut(nemesis, side, false, nemesis_in_ms(nemesis, 1500, 6000));
    return true;
}

/* A fault of a session, whichever: it waits for one, and often sees to it that there is one. */
static bool do_wait(struct nemesis *nemesis)
{
    const struct session_fault *fault = &session_faults[prng_below(&nemesis->prng, SESSION_FAULTS)];
    const uint64_t bit = 1ull << fault->fault;
    if ((nemesis->drawn.faults & bit) == 0) return false;
    nemesis->waiting |= bit;
    if (prng_chance(&nemesis->prng, 1, 2) && do_lag(nemesis)) nemesis->sim->faults[SIM_FAULT_LAG]++;
    return false;
}

static bool do_liar(struct nemesis *nemesis)
{
    return begin_to_lie(nemesis, nemesis_pick_any(nemesis));
}

/* What is likely here is what a session needs to be hit at all. */
static const struct nemesis_fault faults[] = {
    {SIM_FAULT_LAG, do_lag},           {SIM_FAULT_LAG, do_lag},   {SIM_FAULT_LAGGARDS, do_laggards},
    {SIM_FAULT_LAGGARDS, do_laggards}, {SIM_FAULT_ANY, do_wait},  {SIM_FAULT_ANY, do_wait},
    {SIM_FAULT_ANY, do_wait},          {SIM_FAULT_ANY, do_wait},  {SIM_FAULT_ANY, do_wait},
    {SIM_FAULT_ANY, do_wait},          {SIM_FAULT_ANY, do_prune}, {SIM_FAULT_ANY, do_prune},
    {SIM_FAULT_ANY, do_prune},         {SIM_FAULT_LIAR, do_liar}, {SIM_FAULT_LIAR, do_liar},
    {SIM_FAULT_LIAR, do_liar},
};

struct nemesis_faults nemesis_sync_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
