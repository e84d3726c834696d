/* sim/nemesis.c - one function for each fault, and the dice. */
#include "sim/nemesis.h"

/* A fault: false when there was nothing to do it to. */
typedef bool fault_do(struct nemesis *nemesis);

/* ---- Choice ---- */

static bool is_up(const struct replica *replica)
{
    return replica_is_live(replica) && !replica_is_paused(replica) && !replica->leaving;
}

/* A live replica other than `but` (UINT32_MAX: any); NULL: none. */
static struct replica *pick_but(struct nemesis *nemesis, uint32_t but)
{
    struct sim *sim = nemesis->sim;
    struct replica *found[SIM_REPLICAS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (i != but && is_up(sim->replicas[i])) found[count++] = sim->replicas[i];
    }
    return count == 0 ? NULL : found[prng_below(&nemesis->prng, count)];
}

static struct replica *pick_any(struct nemesis *nemesis)
{
    return pick_but(nemesis, UINT32_MAX);
}

/* A replica in the middle of a session; NULL: none. */
static struct replica *pick_syncing(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (is_up(sim->replicas[i]) && sim_is_syncing(sim, i)) return sim->replicas[i];
    }
    return NULL;
}

static uint64_t in_ms(struct nemesis *nemesis, uint64_t min_ms, uint64_t max_ms)
{
    return nemesis->sim->now_us + prng_between(&nemesis->prng, min_ms * 1000, max_ms * 1000);
}

/* ---- Network ---- */

/* numbers: a bit for each replica on one side; 1 when only that side is cut from the other. */
static void cut_sides(struct sim *sim, const uint64_t numbers[2], bool cut)
{
    for (uint32_t a = 0; a < sim->replica_count; a++) {
        for (uint32_t b = 0; b < sim->replica_count; b++) {
            const bool crosses = ((numbers[0] >> a) & 1) != 0 && ((numbers[0] >> b) & 1) == 0;
            if (!crosses) continue;
            network_cut(sim->network, sim->replicas[a], sim->replicas[b], cut);
            if (numbers[1] == 0) network_cut(sim->network, sim->replicas[b], sim->replicas[a], cut);
        }
    }
}

static void on_mend(struct sim *sim, struct sim_event *event)
{
    cut_sides(sim, event->numbers, false);
}

static void cut_for(struct nemesis *nemesis, uint64_t side, bool one_way, uint64_t until_us)
{
    const uint64_t numbers[2] = {side, one_way ? 1 : 0};
    cut_sides(nemesis->sim, numbers, true);
    story_say(nemesis->sim, "---- cut: side %llx%s", (unsigned long long)side,
              one_way ? ", one way" : "");
    sim_at(nemesis->sim, (struct sim_event){
                             .at_us = until_us,
                             .run = on_mend,
                             .numbers = {numbers[0], numbers[1]},
                         });
}

static bool do_partition(struct nemesis *nemesis)
{
    cut_for(nemesis, prng_next(&nemesis->prng), false, in_ms(nemesis, 100, 4000));
    return true;
}

static bool do_one_way(struct nemesis *nemesis)
{
    cut_for(nemesis, prng_next(&nemesis->prng), true, in_ms(nemesis, 100, 4000));
    return true;
}

static bool do_leader_cut(struct nemesis *nemesis)
{
    const uint32_t leader = sim_leader(nemesis->sim);
    if (leader == UINT32_MAX) return false;
    cut_for(nemesis, 1ull << leader, prng_chance(&nemesis->prng, 1, 3), in_ms(nemesis, 300, 4000));
    return true;
}

/* A follower is away for long, so that it must be caught up by a session. */
static bool do_lag(struct nemesis *nemesis)
{
    const struct replica *replica = pick_but(nemesis, sim_leader(nemesis->sim));
    if (replica == NULL) return false;
    cut_for(nemesis, 1ull << replica->number, false, in_ms(nemesis, 1500, 6000));
    return true;
}

static bool do_reset(struct nemesis *nemesis)
{
    struct replica *a = pick_any(nemesis);
    struct replica *b = a == NULL ? NULL : pick_but(nemesis, a->number);
    if (b == NULL) return false;
    network_reset(nemesis->sim->network, a, b, (enum mortar_lane)prng_below(&nemesis->prng, 2));
    return true;
}

static bool do_stall(struct nemesis *nemesis)
{
    struct replica *a = pick_any(nemesis);
    struct replica *b = a == NULL ? NULL : pick_but(nemesis, a->number);
    if (b == NULL) return false;
    network_stall(nemesis->sim->network, a, b, (enum mortar_lane)prng_below(&nemesis->prng, 2),
                  in_ms(nemesis, 50, 3000));
    return true;
}

static bool do_slow_lane(struct nemesis *nemesis)
{
    struct replica *a = pick_any(nemesis);
    struct replica *b = a == NULL ? NULL : pick_but(nemesis, a->number);
    if (b == NULL) return false;
    const enum mortar_lane lane =
        prng_chance(&nemesis->prng, 3, 4) ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
    network_set_speed(nemesis->sim->network, a, b, lane,
                      prng_between(&nemesis->prng, 20000, 2000000));
    return true;
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

/* Its log is lost: the operator removes it, and a new member takes its place. */
static bool crash(struct nemesis *nemesis, struct replica *replica)
{
    if (!may_grow(nemesis) || !sim_can_lose(nemesis->sim, replica->number)) return false;
    sim_crash(nemesis->sim, replica->number);
    replica->leaving = true;
    join_one(nemesis);
    return true;
}

static bool do_crash(struct nemesis *nemesis)
{
    struct replica *replica = pick_any(nemesis);
    if (replica == NULL || !crash(nemesis, replica)) return false;
    nemesis->sim->faults[SIM_FAULT_CRASH]--; /* Counted by the caller too. */
    return true;
}

static bool do_source_crash(struct nemesis *nemesis)
{
    const struct replica *target = pick_syncing(nemesis);
    struct replica *source = target == NULL ? NULL : pick_but(nemesis, target->number);
    return source != NULL && crash(nemesis, source);
}

static bool do_source_stall(struct nemesis *nemesis)
{
    const struct replica *target = pick_syncing(nemesis);
    const struct replica *source = target == NULL ? NULL : pick_but(nemesis, target->number);
    if (source == NULL) return false;
    network_stall(nemesis->sim->network, source, target, MORTAR_LANE_BULK,
                  in_ms(nemesis, 200, 6000));
    return true;
}

static bool do_pause(struct nemesis *nemesis)
{
    struct replica *replica = pick_any(nemesis);
    if (replica == NULL) return false;
    replica_pause(replica, in_ms(nemesis, 20, NEMESIS_LONGEST_MS));
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
    struct replica *replica = pick_any(nemesis);
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
    struct replica *replica = pick_any(nemesis);
    if (replica == NULL) return false;
    replica->work_factor = replica->work_factor == 1 ? 20 : 1;
    return true;
}

static bool do_machine_pause(struct nemesis *nemesis)
{
    struct replica *replica = pick_any(nemesis);
    if (replica == NULL) return false;
    replica->machine.pause_permille = replica->machine.pause_permille == 0 ? 300 : 0;
    return true;
}

static bool do_slow_disk(struct nemesis *nemesis)
{
    struct replica *replica = pick_any(nemesis);
    if (replica == NULL) return false;
    virtual_log_set_delay(replica->log, 1000, (uint32_t)prng_between(&nemesis->prng, 2000, 200000));
    return true;
}

static void on_honest(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    event->target->lying = false;
}

static bool do_liar(struct nemesis *nemesis)
{
    struct replica *replica = pick_any(nemesis);
    if (replica == NULL) return false;
    replica->lying = true;
    story_say(nemesis->sim, "---- %s lies", replica->name);
    sim_at(nemesis->sim, (struct sim_event){
                             .at_us = in_ms(nemesis, 1000, 5000),
                             .target = replica,
                             .run = on_honest,
                         });
    return true;
}

static bool do_clock_jump(struct nemesis *nemesis)
{
    struct replica *replica = pick_any(nemesis);
    if (replica == NULL) return false;
    replica->options.wall_ahead_ms = prng_below(&nemesis->prng, 20000); /* Back too. */
    replica->options.clock_ms += prng_below(&nemesis->prng, 500);
    return true;
}

static bool do_tune(struct nemesis *nemesis)
{
    struct replica *replica = pick_any(nemesis);
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

static const struct {
    enum sim_fault fault;
    fault_do *run;
} faults[] = {
    {SIM_FAULT_PARTITION, do_partition},
    {SIM_FAULT_ONE_WAY, do_one_way},
    {SIM_FAULT_LEADER_CUT, do_leader_cut},
    {SIM_FAULT_LAG, do_lag},
    {SIM_FAULT_RESET, do_reset},
    {SIM_FAULT_STALL, do_stall},
    {SIM_FAULT_SLOW_LANE, do_slow_lane},
    {SIM_FAULT_CRASH, do_crash},
    {SIM_FAULT_PAUSE, do_pause},
    {SIM_FAULT_JOIN, do_join},
    {SIM_FAULT_LEAVE, do_leave},
    {SIM_FAULT_SLOW_MACHINE, do_slow_machine},
    {SIM_FAULT_SLOW_DISK, do_slow_disk},
    {SIM_FAULT_SOURCE_CRASH, do_source_crash},
    {SIM_FAULT_SOURCE_STALL, do_source_stall},
    {SIM_FAULT_LIAR, do_liar},
    {SIM_FAULT_CLOCK_JUMP, do_clock_jump},
    {SIM_FAULT_TUNE, do_tune},
    {SIM_FAULT_MACHINE_PAUSE, do_machine_pause},
};

static void next_fault(struct nemesis *nemesis);

static void on_fault(struct sim *sim, struct sim_event *event)
{
    struct nemesis *nemesis = event->object;
    if (!nemesis->running) return;
    const uint64_t i = prng_below(&nemesis->prng, sizeof faults / sizeof faults[0]);
    const bool allowed = ((nemesis->drawn.faults >> faults[i].fault) & 1) != 0;
    if (allowed && faults[i].run(nemesis)) {
        sim->faults[faults[i].fault]++;
        story_say(sim, "---- fault: %s", sim_fault_name(faults[i].fault));
    }
    next_fault(nemesis);
}

static void next_fault(struct nemesis *nemesis)
{
    sim_at(nemesis->sim,
           (struct sim_event){
               .at_us = in_ms(nemesis, nemesis->drawn.calm_ms_min, nemesis->drawn.calm_ms_max),
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
