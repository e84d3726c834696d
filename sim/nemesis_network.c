/* sim/nemesis_network.c - faults of the network. */
#include "sim/nemesis_private.h"

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

void nemesis_cut(struct nemesis *nemesis, uint64_t side, bool one_way, uint64_t until_us)
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
    nemesis_cut(nemesis, prng_next(&nemesis->prng), false, nemesis_in_ms(nemesis, 100, 4000));
    return true;
}

static bool do_one_way(struct nemesis *nemesis)
{
    nemesis_cut(nemesis, prng_next(&nemesis->prng), true, nemesis_in_ms(nemesis, 100, 4000));
    return true;
}

static bool do_leader_cut(struct nemesis *nemesis)
{
    const uint32_t leader = sim_leader(nemesis->sim);
    if (leader == UINT32_MAX) return false;
    nemesis_cut(nemesis, 1ull << leader, prng_chance(&nemesis->prng, 1, 3),
                nemesis_in_ms(nemesis, 300, 4000));
    return true;
}

static bool do_reset(struct nemesis *nemesis)
{
    struct replica *a = nemesis_pick_any(nemesis);
    struct replica *b = a == NULL ? NULL : nemesis_pick_but(nemesis, a->number);
    if (b == NULL) return false;
    network_reset(nemesis->sim->network, a, b, (enum mortar_lane)prng_below(&nemesis->prng, 2));
    return true;
}

static bool do_tear(struct nemesis *nemesis)
{
    struct replica *a = nemesis_pick_any(nemesis);
    struct replica *b = a == NULL ? NULL : nemesis_pick_but(nemesis, a->number);
    if (b == NULL) return false;
    network_tear(nemesis->sim->network, a, b, (enum mortar_lane)prng_below(&nemesis->prng, 2));
    return false;
}

/* All that one replica heard long ago. */
static bool do_replay(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    struct replica *to = nemesis_pick_any(nemesis);
    for (uint32_t i = 0; to != NULL && i < sim->replica_count; i++) {
        if (i == to->number || !replica_is_live(sim->replicas[i])) continue;
        network_replay(sim->network, sim->replicas[i], to, MORTAR_LANE_CONTROL);
        network_replay(sim->network, sim->replicas[i], to, MORTAR_LANE_BULK);
    }
    return false;
}

static bool do_stall(struct nemesis *nemesis)
{
    struct replica *a = nemesis_pick_any(nemesis);
    struct replica *b = a == NULL ? NULL : nemesis_pick_but(nemesis, a->number);
    if (b == NULL) return false;
    network_stall(nemesis->sim->network, a, b, (enum mortar_lane)prng_below(&nemesis->prng, 2),
                  nemesis_in_ms(nemesis, 50, 3000));
    return true;
}

static bool do_slow_lane(struct nemesis *nemesis)
{
    struct replica *a = nemesis_pick_any(nemesis);
    struct replica *b = a == NULL ? NULL : nemesis_pick_but(nemesis, a->number);
    if (b == NULL) return false;
    const enum mortar_lane lane =
        prng_chance(&nemesis->prng, 3, 4) ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
    network_set_speed(nemesis->sim->network, a, b, lane,
                      prng_between(&nemesis->prng, 20000, 2000000));
    return true;
}

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_PARTITION, do_partition},
    {SIM_FAULT_ONE_WAY, do_one_way},
    {SIM_FAULT_LEADER_CUT, do_leader_cut},
    {SIM_FAULT_RESET, do_reset},
    {SIM_FAULT_TEAR, do_tear},
    {SIM_FAULT_REPLAY, do_replay},
    {SIM_FAULT_STALL, do_stall},
    {SIM_FAULT_SLOW_LANE, do_slow_lane},
};

struct nemesis_faults nemesis_network_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
