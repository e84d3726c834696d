/* sim/nemesis_process.c - faults of processes and clocks. */
#include "sim/nemesis_private.h"

#define RESTART_MS_MAX    4000u
#define CRASH_EFFECTS_MAX 200u
#define COPY_MS_MAX       2000u
/* A change that was asked for may be under way for so long: a request is sent for 2 s, a frame is
 * late by 4 s at most. */
#define CHANGE_LASTS_US 8000000u
#define CHANGES_MAX     4u
#define REPLACED_US     6000000u /* So long an operator waits for a named replacement. */

static bool may_grow(const struct nemesis *nemesis)
{
    return nemesis->growth > 0 && nemesis->sim->replica_count + 2 < SIM_REPLICAS_MAX;
}

static void join_one(struct nemesis *nemesis)
{
    struct replica_options options = draw_replica(&nemesis->drawn, &nemesis->prng);
    options.core.observer = draw_observer(&nemesis->drawn, &nemesis->prng);
    nemesis->growth--;
    nemesis->sim->faults[SIM_FAULT_JOIN]++;
    sim_add(nemesis->sim, &options);
}

/* Two of three know whose place they take; then the operator leaves the rest to the group, for a
 * while. */
static void join_for(struct nemesis *nemesis, struct replica *lost)
{
    struct replica_options options = draw_replica(&nemesis->drawn, &nemesis->prng);
    options.core.observer = draw_observer(&nemesis->drawn, &nemesis->prng);
    const bool names_it = prng_chance(&nemesis->prng, 2, 3) && !options.core.observer;
    if (names_it) {
        options.core.replaces = lost->id;
        lost->replaced_by = nemesis->sim->replica_count;
        lost->change_at_us = nemesis->sim->now_us + REPLACED_US;
    }
    nemesis->growth--;
    nemesis->sim->faults[SIM_FAULT_JOIN]++;
    nemesis->sim->faults[SIM_FAULT_REPLACE] += names_it;
    sim_add(nemesis->sim, &options);
}

bool nemesis_wipe(struct nemesis *nemesis, struct replica *replica)
{
    struct sim *sim = nemesis->sim;
    if (nemesis->drawn.prunes && replica->number == DRAW_KEEPER) return false;
    if (!may_grow(nemesis) || !sim_can_lose(sim, replica->number)) return false;
    const bool changes =
        nemesis->changed_us != 0 && sim->now_us < nemesis->changed_us + CHANGE_LASTS_US;
    if (changes) return false; /* What was asked for may still come, and count on this member. */
    for (uint32_t i = 0; i < sim->replica_count; i++) { /* It may know of another configuration. */
        if (sim->replicas[i]->state == REPLICA_CRASHED) return false;
    }
    sim_wipe(sim, replica->number);
    join_for(nemesis, replica);
    return true;
}

void nemesis_crash(struct nemesis *nemesis, struct replica *replica)
{
    const enum virtual_log_loss loss = (enum virtual_log_loss)prng_below(&nemesis->prng, 3);
    if (nemesis->drawn.prunes) { /* What is left of its log is no place to start from. */
        replica_pause(replica, nemesis_in_ms(nemesis, 10, NEMESIS_LONGEST_MS));
        return;
    }
    sim_crash(nemesis->sim, replica->number, loss);
    sim_restart_at(nemesis->sim, replica->number, nemesis_in_ms(nemesis, 10, RESTART_MS_MAX));
}

static bool do_crash(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    nemesis_crash(nemesis, replica);
    nemesis->sim->faults[SIM_FAULT_CRASH]--; /* Counted by the caller too. */
    return true;
}

/* Between two effects of one step: some messages left, some writes were submitted. */
static bool do_crash_in_step(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->crash_in = (uint32_t)prng_between(&nemesis->prng, 1, CRASH_EFFECTS_MAX);
    return true;
}

/* Everything runs on one power line. */
static bool do_power_loss(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (replica_is_live(sim->replicas[i])) nemesis_crash(nemesis, sim->replicas[i]);
    }
    return true;
}

static bool do_wipe(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    return replica != NULL && nemesis_wipe(nemesis, replica);
}

/* A second process with the same identity, over a copy of the directory: its peers refuse it, as
 * the first one is there (design 8). Not of a lone voter, which needs no peer. */
static bool do_copy(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL || sim->replica_count + 2 >= SIM_REPLICAS_MAX) return false;
    return sim_copy(sim, replica->number, nemesis_in_ms(nemesis, 500, COPY_MS_MAX));
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
    const bool keeps = nemesis->drawn.prunes && replica != NULL && replica->number == DRAW_KEEPER;
    if (replica == NULL || keeps || staying < 3 || !sim_can_lose(sim, replica->number))
        return false;
    struct mortar_core_status status;
    sim_status(sim, replica->number, &status);
    if (!status.member) return false; /* The group would forget it, and then let it join. */
    sim_leave(sim, replica->number);
    sim->faults[SIM_FAULT_LEAVE]--; /* Counted by the caller too. */
    return true;
}

/* An operator who copies an old line: the group must not have it. */
static bool do_add_removed(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    struct replica *at = nemesis_pick_any(nemesis);
    struct replica *gone[SIM_REPLICAS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (sim->replicas[i]->removed_at != 0) gone[count++] = sim->replicas[i];
    }
    if (at == NULL || count == 0) return false;
    const bool observer = prng_chance(&nemesis->prng, 1, 4);
    const struct mortar_change change = {.kind =
                                             observer ? MORTAR_ADD_OBSERVER : MORTAR_ADD_LEARNER,
                                         .member = gone[prng_below(&nemesis->prng, count)]->id,
                                         .address = "once"};
    (void)client_change(sim, at, &change, 1, 2000);
    sim->faults[SIM_FAULT_ADD_REMOVED]++;
    return false; /* Counted by its own name. */
}

/* One thing that may be asked about a member; it need not make sense (5 in 6 do). */
static struct mortar_change draw_change(struct nemesis *nemesis,
                                        const struct mortar_member_status *member)
{
    struct mortar_change change = {.kind = MORTAR_CHANGE_ADDRESS, .member = member->id};
    if (prng_chance(&nemesis->prng, 1, 6)) {
        change.address = "elsewhere";
        return change;
    }
    const bool asks_again = prng_chance(&nemesis->prng, 1, 6);
    change.kind = member->voter != asks_again ? MORTAR_DEMOTE : MORTAR_PROMOTE;
    return change;
}

/* A member without its disk is still in the configuration. To take voters away now, or to make one
 * of it, could leave the group without a majority: an operator must not. */
static bool misses_a_disk(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *replica = sim->replicas[i];
        if (replica->state == REPLICA_LOST && !replica->forgotten) return true;
    }
    return false;
}

/* Anyone may be asked; up to four in one change go through one joint configuration (thesis 4.3). */
static bool do_change(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    struct replica *at = nemesis_pick_any(nemesis);
    if (at == NULL || misses_a_disk(sim)) return false;
    struct mortar_core_status status;
    struct mortar_change changes[CHANGES_MAX];
    sim_status(sim, at->number, &status);
    if (status.member_count == 0) return false;
    const uint64_t first = prng_below(&nemesis->prng, status.member_count);
    const uint32_t most = status.member_count < CHANGES_MAX ? status.member_count : CHANGES_MAX;
    const uint32_t count =
        prng_chance(&nemesis->prng, 1, 2) ? 1 : (uint32_t)prng_between(&nemesis->prng, 1, most);
    for (uint32_t i = 0; i < count; i++) {
        changes[i] = draw_change(nemesis, &status.members[(first + i) % status.member_count]);
    }
    nemesis->changed_us = sim->now_us;
    sim->faults[SIM_FAULT_CHANGE]++; /* Now: a judge asks if members were ever changed by hand. */
    (void)client_change(sim, at, changes, count, 2000);
    return false;
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

static bool do_clock_jump(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->options.wall_ahead_ms = prng_below(&nemesis->prng, 20000); /* Back too. */
    replica->options.clock_ms += prng_below(&nemesis->prng, 500);
    return true;
}

static bool do_clock_stop(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica_stop_clock(replica, nemesis_in_ms(nemesis, 200, NEMESIS_LONGEST_MS));
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
    judge_stirred(&nemesis->sim->judges, replica->number); /* Its timer begins anew. */
    replica_settle(replica);
    return true;
}

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_CRASH, do_crash},
    {SIM_FAULT_CRASH, do_crash}, /* Worth twice the odds. */
    {SIM_FAULT_CRASH_IN_STEP, do_crash_in_step},
    {SIM_FAULT_CRASH_IN_STEP, do_crash_in_step},
    {SIM_FAULT_POWER_LOSS, do_power_loss},
    {SIM_FAULT_WIPE, do_wipe},
    {SIM_FAULT_COPY, do_copy},
    {SIM_FAULT_PAUSE, do_pause},
    {SIM_FAULT_JOIN, do_join},
    {SIM_FAULT_LEAVE, do_leave},
    {SIM_FAULT_LEAVE, do_add_removed},
    {SIM_FAULT_CHANGE, do_change},
    {SIM_FAULT_SLOW_MACHINE, do_slow_machine},
    {SIM_FAULT_MACHINE_PAUSE, do_machine_pause},
    {SIM_FAULT_CLOCK_JUMP, do_clock_jump},
    {SIM_FAULT_CLOCK_STOP, do_clock_stop},
    {SIM_FAULT_TUNE, do_tune},
};

struct nemesis_faults nemesis_process_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
