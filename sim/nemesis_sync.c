/* sim/nemesis_sync.c - faults of sessions. */
#include "sim/nemesis_private.h"

static bool do_source_crash(struct nemesis *nemesis)
{
    const struct replica *target = nemesis_pick_syncing(nemesis);
    struct replica *source = target == NULL ? NULL : nemesis_pick_but(nemesis, target->number);
    if (source == NULL) return false;
    if (prng_chance(&nemesis->prng, 1, 2)) return nemesis_wipe(nemesis, source);
    nemesis_crash(nemesis, source);
    return true;
}

static bool do_source_stall(struct nemesis *nemesis)
{
    const struct replica *target = nemesis_pick_syncing(nemesis);
    const struct replica *source =
        target == NULL ? NULL : nemesis_pick_but(nemesis, target->number);
    if (source == NULL) return false;
    network_stall(nemesis->sim->network, source, target, MORTAR_LANE_BULK,
                  nemesis_in_ms(nemesis, 200, 6000));
    return true;
}

static void on_honest(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    event->target->lying = false;
}

static bool do_liar(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    replica->lying = true;
    story_say(nemesis->sim, "---- %s lies", replica->name);
    sim_at(nemesis->sim, (struct sim_event){
                             .at_us = nemesis_in_ms(nemesis, 1000, 5000),
                             .target = replica,
                             .run = on_honest,
                         });
    return true;
}

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_SOURCE_CRASH, do_source_crash},
    {SIM_FAULT_SOURCE_STALL, do_source_stall},
    {SIM_FAULT_LIAR, do_liar},
};

struct nemesis_faults nemesis_sync_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
