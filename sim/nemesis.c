/* sim/nemesis.c - whom to pick, and the dice. */
#include "sim/nemesis_private.h"

#include <assert.h>

static_assert(SIM_FAULT_FIGURE_8 <= 64,
              "each fault has a bit in struct drawn; from here on they come with another");

/* ---- Choice ---- */

bool nemesis_is_up(const struct replica *replica)
{
    return replica_is_live(replica) && !replica_is_paused(replica) && !replica->leaving &&
           !replica->copy;
}

struct replica *nemesis_pick_but(struct nemesis *nemesis, uint32_t but)
{
    struct sim *sim = nemesis->sim;
    struct replica *found[SIM_REPLICAS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (i != but && nemesis_is_up(sim->replicas[i])) found[count++] = sim->replicas[i];
    }
    return count == 0 ? NULL : found[prng_below(&nemesis->prng, count)];
}

struct replica *nemesis_pick_any(struct nemesis *nemesis)
{
    return nemesis_pick_but(nemesis, UINT32_MAX);
}

uint64_t nemesis_in_ms(struct nemesis *nemesis, uint64_t min_ms, uint64_t max_ms)
{
    return nemesis->sim->now_us + prng_between(&nemesis->prng, min_ms * 1000, max_ms * 1000);
}

/* ---- Dice ---- */

/* Any fault there is, each as likely as the others. */
static struct nemesis_fault draw_fault(struct nemesis *nemesis)
{
    const struct nemesis_faults tables[] = {
        nemesis_process_faults(), nemesis_disk_faults(),     nemesis_network_faults(),
        nemesis_sync_faults(),    nemesis_versions_faults(), nemesis_memory_faults(),
        nemesis_vote_faults(),
    };
    uint32_t total = 0;
    for (uint32_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        total += tables[i].count;
    uint64_t left = prng_below(&nemesis->prng, total);
    uint32_t table = 0;
    while (left >= tables[table].count)
        left -= tables[table++].count;
    return tables[table].items[left];
}

static void next_fault(struct nemesis *nemesis);

static void on_fault(struct sim *sim, struct sim_event *event)
{
    struct nemesis *nemesis = event->object;
    if (!nemesis->running) return;
    const struct nemesis_fault fault = draw_fault(nemesis);
    const bool allowed =
        fault.fault == SIM_FAULT_ANY || ((nemesis->drawn.faults >> fault.fault) & 1) != 0;
    if (allowed && fault.run(nemesis)) {
        sim->faults[fault.fault]++;
        story_say(sim, "---- fault: %s", sim_fault_name(fault.fault));
    }
    next_fault(nemesis);
}

static void next_fault(struct nemesis *nemesis)
{
    sim_at(nemesis->sim, (struct sim_event){
                             .at_us = nemesis_in_ms(nemesis, nemesis->drawn.calm_ms_min,
                                                    nemesis->drawn.calm_ms_max),
                             .run = on_fault,
                             .object = nemesis,
                         });
}

/* Half of the replicas that start again do so with other tunables, all at another time of their
 * clock. What makes the group what it is stays. */
static void on_restarts(void *context, struct replica *replica)
{
    struct nemesis *nemesis = context;
    if (!prng_chance(&nemesis->prng, 1, 2)) return;
    const struct replica_options before = replica->options;
    replica->options = draw_replica(&nemesis->drawn, &nemesis->prng);
    replica->options.core.observer = before.core.observer;
    replica->options.core.replaces = before.core.replaces;
    nemesis->sim->faults[SIM_FAULT_RETUNED_START]++;
}

void nemesis_start(struct nemesis *nemesis, struct sim *sim, const struct drawn *drawn)
{
    *nemesis = (struct nemesis){
        .sim = sim,
        .drawn = *drawn,
        .prng = prng_seeded(drawn->sim.seed + 77),
        .running = true,
        .growth = drawn->growth,
    };
    sim->restarts = on_restarts;
    sim->restarts_context = nemesis;
    sim->session_moves = nemesis_on_phase;
    sim->session_context = nemesis;
    next_fault(nemesis);
    nemesis_play(nemesis);
}

void nemesis_stop(struct nemesis *nemesis)
{
    nemesis->running = false;
}
