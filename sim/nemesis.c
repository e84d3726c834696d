/* sim/nemesis.c - whom to pick, faults of processes and clocks, and the dice. */
#include "sim/nemesis_private.h"

#include <assert.h>

static_assert(SIM_FAULTS <= 64, "each fault has a bit in struct drawn");

/* ---- Choice ---- */

bool nemesis_is_up(const struct replica *replica)
{
    return replica_is_live(replica) && !replica_is_paused(replica) && !replica->leaving;
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

struct replica *nemesis_pick_syncing(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (nemesis_is_up(sim->replicas[i]) && sim_is_syncing(sim, i)) return sim->replicas[i];
    }
    return NULL;
}

uint64_t nemesis_in_ms(struct nemesis *nemesis, uint64_t min_ms, uint64_t max_ms)
{
    return nemesis->sim->now_us + prng_between(&nemesis->prng, min_ms * 1000, max_ms * 1000);
}

/* ---- Processes ---- */

static bool may_grow(const struct nemesis *nemesis)
{
    return nemesis->growth > 0 && nemesis->sim->replica_count + 2 < SIM_REPLICAS_MAX;
}

static void join_one(struct nemesis *nemesis)
{
    const struct replica_options options = draw_replica(&nemesis->drawn, &nemesis->prng);
    nemesis->growth--;
    nemesis->sim->faults[SIM_FAULT_JOIN]++;
    sim_add(nemesis->sim, &options);
}

bool nemesis_crash(struct nemesis *nemesis, struct replica *replica)
{
    if (!may_grow(nemesis) || !sim_can_lose(nemesis->sim, replica->number)) return false;
    sim_crash(nemesis->sim, replica->number);
    replica->leaving = true;
    join_one(nemesis);
    return true;
}

static bool do_crash(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL || !nemesis_crash(nemesis, replica)) return false;
    nemesis->sim->faults[SIM_FAULT_CRASH]--; /* Counted by the caller too. */
    return true;
}

static bool do_pause(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica_pause(replica, nemesis_in_ms(nemesis, 20, NEMESIS_LONGEST_MS));
    story_say(nemesis->sim, "---- %s is paused", replica->name);
    return true;
}

static bool do_join(struct nemesis *nemesis)
{
    if (!may_grow(nemesis)) return false;
    join_one(nemesis);
    nemesis->sim->faults[SIM_FAULT_JOIN]--; /* Counted by the caller too. */
    return true;
}

static bool do_leave(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    uint32_t staying = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (replica_is_live(sim->replicas[i]) && !sim->replicas[i]->leaving) staying++;
    }
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL || staying < 3 || !sim_can_lose(sim, replica->number)) return false;
    struct mortar_core_status status;
    sim_status(sim, replica->number, &status);
    if (!status.member) return false; /* The group would forget it, and then let it join. */
    sim_leave(sim, replica->number);
    sim->faults[SIM_FAULT_LEAVE]--; /* Counted by the caller too. */
    return true;
}

static bool do_slow_machine(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->work_factor = replica->work_factor == 1 ? 20 : 1;
    return true;
}

static bool do_machine_pause(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->machine.pause_permille = replica->machine.pause_permille == 0 ? 300 : 0;
    return true;
}

static bool do_slow_disk(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    virtual_log_set_delay(replica->log, 1000, (uint32_t)prng_between(&nemesis->prng, 2000, 200000));
    return true;
}

static bool do_clock_jump(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->options.wall_ahead_ms = prng_below(&nemesis->prng, 20000); /* Back too. */
    replica->options.clock_ms += prng_below(&nemesis->prng, 500);
    return true;
}

static bool do_tune(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    const struct replica_options drawn = draw_replica(&nemesis->drawn, &nemesis->prng);
    struct mortar_core_options *core = &replica->options.core;
    core->window_bytes = drawn.core.window_bytes;
    core->resend_bytes = drawn.core.resend_bytes;
    core->tail_window_bytes = drawn.core.tail_window_bytes;
    core->apply_bytes = drawn.core.apply_bytes;
    const enum mortar_status status = mortar_core_tune(replica->core, core);
    if (status != MORTAR_OK) {
        verdict_fail(&nemesis->sim->verdict, "host", "%s cannot be tuned: %s", replica->name,
                     mortar_status_name(status));
    }
    replica_settle(replica);
    return true;
}

/* ---- Dice ---- */

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_CRASH, do_crash},
    {SIM_FAULT_PAUSE, do_pause},
    {SIM_FAULT_JOIN, do_join},
    {SIM_FAULT_LEAVE, do_leave},
    {SIM_FAULT_SLOW_MACHINE, do_slow_machine},
    {SIM_FAULT_SLOW_DISK, do_slow_disk},
    {SIM_FAULT_CLOCK_JUMP, do_clock_jump},
    {SIM_FAULT_TUNE, do_tune},
    {SIM_FAULT_MACHINE_PAUSE, do_machine_pause},
};

/* Any fault there is, each as likely as the others. */
static struct nemesis_fault draw_fault(struct nemesis *nemesis)
{
    const struct nemesis_faults tables[] = {
        {faults, sizeof faults / sizeof faults[0]},
        nemesis_network_faults(),
        nemesis_sync_faults(),
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
    const bool allowed = ((nemesis->drawn.faults >> fault.fault) & 1) != 0;
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

void nemesis_start(struct nemesis *nemesis, struct sim *sim, const struct drawn *drawn)
{
    *nemesis = (struct nemesis){
        .sim = sim,
        .drawn = *drawn,
        .prng = prng_seeded(drawn->sim.seed + 77),
        .running = true,
        .growth = drawn->growth,
    };
    next_fault(nemesis);
}

void nemesis_stop(struct nemesis *nemesis)
{
    nemesis->running = false;
}
