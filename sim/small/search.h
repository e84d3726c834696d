/* sim/small/search.h - looks at every state that a set can reach, the nearest first.
 *
 * Breadth first, so that the first violation found has the shortest way to it. Of a state that was
 * seen only 64 bits of a hash are kept, and how it was reached: with n states, two of them are
 * taken for one with a chance of n * n / 2^65 (for 30 million: 1 in 40,000).
 *
 * Memory:  about 25 bytes for each state, and 100 for each at the edge; pools besides.
 * Threads: one search at a time in a process, as a panic has to find it.
 * Errors:  the result.
 */
#ifndef SIM_SMALL_SEARCH_H
#define SIM_SMALL_SEARCH_H

#include "sim/small/world.h"

#include <stdio.h>

struct search_result {
    uint64_t states;
    uint64_t transitions;
    uint32_t depth;    /* Of the farthest state. */
    uint32_t symmetry; /* Renamings of the beginning. */
    uint64_t steps;    /* Different steps of one replica. */
    struct small_met met;
    bool complete; /* All states within the bounds were seen. */
    struct verdict verdict;
    uint32_t violation_depth; /* Steps of the shortest counter-example. */
    double seconds;
};

/* Writes a counter-example to `out`. `depth_max` 0: none. */
void search_run(const struct small_set *set, uint32_t depth_max, FILE *out,
                struct search_result *out_result);

/* Called by the panic: writes the way to it and ends the process with status 1 when a search runs;
 * else returns. */
void search_panicked(const char *file, int line, const char *message);

#endif
