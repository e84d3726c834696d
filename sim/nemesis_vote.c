/* sim/nemesis_vote.c - faults of elections: the narrow places where a term gets a second leader, or
 * one that lacks what is committed. */
#include "sim/nemesis_private.h"

#define RACE_TIMEOUTS_MAX 3u
#define ARMED_MS_MAX      3000u

/* Every control lane stands still, each for another while of up to some election timeouts, and then
 * brings all at once: many campaign in one term, votes come late, and leaders follow each other
 * before the entries of one have reached all. */
static bool do_race(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    const struct mortar_core_options *core = &nemesis->drawn.sim.replica.core;
    const uint64_t most_ms = (uint64_t)RACE_TIMEOUTS_MAX * core->election_ticks * core->tick_ms;
    for (uint32_t a = 0; a < sim->replica_count; a++) {
        for (uint32_t b = 0; b < sim->replica_count; b++) {
            if (a == b || prng_chance(&nemesis->prng, 1, 4)) continue;
            network_stall(sim->network, sim->replicas[a], sim->replicas[b], MORTAR_LANE_CONTROL,
                          nemesis_in_ms(nemesis, 0, most_ms));
        }
    }
    return true;
}

static void on_disarm(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    event->target->dies_by_vote = false;
}

/* Whoever grants a vote ends at that moment, and is back soon: before or after the vote was saved,
 * before or after it was told. */
static bool do_voter_crash(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (!replica_is_live(sim->replicas[i])) continue;
        sim->replicas[i]->dies_by_vote = true;
        sim_at(sim, (struct sim_event){
                        .at_us = nemesis_in_ms(nemesis, 200, ARMED_MS_MAX),
                        .target = sim->replicas[i],
                        .run = on_disarm,
                    });
    }
    return do_race(nemesis);
}

#define TRANSFER_MS_MAX 3000u

/* Anyone may be asked, mostly the leader; anyone may be wanted: learners, those who left, the dead
 * and the leader itself. */
static bool do_transfer(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    struct replica *at = nemesis_pick_any(nemesis);
    const uint32_t leader = sim_leader(sim);
    if (leader != UINT32_MAX && prng_chance(&nemesis->prng, 3, 4)) at = sim->replicas[leader];
    if (at == NULL || !nemesis_is_up(at)) return false;
    struct replica *target = sim->replicas[prng_below(&nemesis->prng, sim->replica_count)];
    if (target->copy || prng_chance(&nemesis->prng, 1, 3)) target = NULL;
    (void)client_transfer(sim, at, target,
                          (uint32_t)prng_between(&nemesis->prng, 100, TRANSFER_MS_MAX));
    return true;
}

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_RACE, do_race},
    {SIM_FAULT_TRANSFER, do_transfer}, /* Worth twice the odds. */
    {SIM_FAULT_TRANSFER, do_transfer},
    {SIM_FAULT_VOTER_CRASH, do_voter_crash}, /* Worth three times the odds. */
    {SIM_FAULT_VOTER_CRASH, do_voter_crash},
    {SIM_FAULT_VOTER_CRASH, do_voter_crash},
};

struct nemesis_faults nemesis_vote_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
