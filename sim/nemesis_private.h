/* sim/nemesis_private.h - what the files of the nemesis share: whom to pick, and their tables of
 * faults. For sim/nemesis*.c alone.
 *
 * Memory:  plain values. Threads: one. Errors: none.
 */
#ifndef SIM_NEMESIS_PRIVATE_H
#define SIM_NEMESIS_PRIVATE_H

#include "sim/nemesis.h"

/* Not one fault but several: always allowed, it looks itself. */
#define SIM_FAULT_ANY SIM_FAULTS

struct nemesis_fault {
    enum sim_fault fault;
    /* False: there was nothing to do it to, or it is counted where it strikes. */
    bool (*run)(struct nemesis *nemesis);
};

struct nemesis_faults {
    const struct nemesis_fault *items;
    uint32_t count;
};

/* Of processes and clocks. */
struct nemesis_faults nemesis_process_faults(void);
/* Of storages. */
struct nemesis_faults nemesis_disk_faults(void);
/* Of partitions, connections and lanes. */
struct nemesis_faults nemesis_network_faults(void);
/* Of sessions: their sources, targets and leaders. */
struct nemesis_faults nemesis_sync_faults(void);
/* Of builds that speak another wire version; none where there is but one. */
#ifdef MORTAR_WIRE_NEXT
struct nemesis_faults nemesis_versions_faults(void);
#else
static inline struct nemesis_faults nemesis_versions_faults(void)
{
    return (struct nemesis_faults){NULL, 0};
}
#endif
/* Of memory. */
struct nemesis_faults nemesis_memory_faults(void);

/* A session of `laggard` entered a phase (enum replay_phase): for struct sim. */
void nemesis_on_phase(void *context, struct replica *laggard, uint64_t phase);

/* Of elections. */
struct nemesis_faults nemesis_vote_faults(void);

/* Begins what is played in several scenes, where the world was drawn for it. */
void nemesis_play(struct nemesis *nemesis);

/* It runs, is not paused, and nobody wants it out. */
bool nemesis_is_up(const struct replica *replica);
/* One that is up, other than `but` (UINT32_MAX: any); NULL: none. */
struct replica *nemesis_pick_but(struct nemesis *nemesis, uint32_t but);
struct replica *nemesis_pick_any(struct nemesis *nemesis);
/* A time so far from now. */
uint64_t nemesis_in_ms(struct nemesis *nemesis, uint64_t min_ms, uint64_t max_ms);

/* Cuts the replicas whose bits are set in `side` off from all others until then; `one_way`: the
 * others are still heard. */
void nemesis_cut(struct nemesis *nemesis, uint64_t side, bool one_way, uint64_t until_us);
/* Its disk is lost: the operator removes it, and a new member takes its place. False: the group
 * cannot lose it. */
bool nemesis_wipe(struct nemesis *nemesis, struct replica *replica);
/* Its process ends, and starts again a while later. */
void nemesis_crash(struct nemesis *nemesis, struct replica *replica);

#endif
