/* sim/draw.h - what one seed draws: the group, its options, the network, the workload. Plain
 * functions. */
#ifndef SIM_DRAW_H
#define SIM_DRAW_H

#include "sim/world.h"

/* Who keeps the whole log where others prune it: the first. */
#define DRAW_KEEPER 0u

struct drawn {
    struct sim_options sim;
    uint32_t replicas;    /* At the start. */
    uint32_t growth;      /* More that may come later. */
    uint32_t safety_ms;   /* How long the faults last. */
    uint32_t calm_ms_min; /* Between one fault and the next. */
    uint32_t calm_ms_max;
    bool plays;      /* Plays of several scenes (nemesis_plays.c). */
    bool prunes;     /* Logs are pruned, except that of DRAW_KEEPER. */
    uint64_t faults; /* Bit by enum sim_fault: those that may happen. */
};

struct drawn draw_world(uint64_t seed);
/* The options of one replica: the group's, with tunables of its own. */
/* Whether one that joins is an observer. */
bool draw_observer(const struct drawn *drawn, struct prng *prng);
struct replica_options draw_replica(const struct drawn *drawn, struct prng *prng);
void draw_text(const struct drawn *drawn, char *out_text, size_t capacity);

#endif
