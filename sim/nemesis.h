/* sim/nemesis.h - breaks things, at random times, in ways that the seed allows, and mends most of
 * them after a while.
 *
 * It keeps to what the group promises to survive: it destroys a log only where a majority of every
 * configuration in use lives on without it (C11). Everything else is allowed at any time.
 *
 * Memory:  plain values. Threads: one. Errors: none.
 */
#ifndef SIM_NEMESIS_H
#define SIM_NEMESIS_H

#include "sim/draw.h"

/* No pause lasts longer. */
#define NEMESIS_LONGEST_MS 3000u

/* Where a play of several scenes stands (nemesis_plays.c). */
struct play {
    uint32_t scene;
    uint64_t since_us; /* Of the scene before. */
    uint64_t cue_us;
    uint32_t first;  /* Who led first, */
    uint32_t second; /* ... whom it reached, */
    uint32_t leader; /* ... and who led last, in `term`. */
    uint64_t term;
};

struct nemesis {
    struct sim *sim;
    struct drawn drawn;
    struct prng prng;
    bool running;
    uint64_t waiting;    /* Bit by enum sim_fault: it strikes when a session enters its phase. */
    uint32_t growth;     /* Replicas that may still come. */
    uint64_t changed_us; /* When a membership change was last asked for; 0: never. */
    struct play play;
};

/* Begins; `nemesis` stays where it is until the world ends. */
void nemesis_start(struct nemesis *nemesis, struct sim *sim, const struct drawn *drawn);
/* No new faults; what was scheduled to be mended still is. */
void nemesis_stop(struct nemesis *nemesis);

#endif
