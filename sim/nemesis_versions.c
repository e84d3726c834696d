/* sim/nemesis_versions.c - a group changes its build, member by member, there and back: in builds
 * with -Dwire_next=true only. */
#include "sim/nemesis_private.h"
#include "sim/versions.h"

/* Harder than a new process: what waits here and there for the old links is still in the cores when
 * the new ones stand. */
static bool do_rebuild(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    const uint16_t before = versions_of(replica);
    replica->options.wire_version_max = versions_draw(&nemesis->prng);
    if (versions_of(replica) == before) return false;
    story_say(nemesis->sim, "---- %s speaks wire version %u", replica->name, versions_of(replica));
    for (uint32_t i = 0; i < nemesis->sim->replica_count; i++) {
        struct replica *other = nemesis->sim->replicas[i];
        if (other == replica || !replica_is_live(other)) continue;
        network_reset(nemesis->sim->network, replica, other, MORTAR_LANE_CONTROL);
        network_reset(nemesis->sim->network, replica, other, MORTAR_LANE_BULK);
    }
    return true;
}

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_REBUILD, do_rebuild},
};

struct nemesis_faults nemesis_versions_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
