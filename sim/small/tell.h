/* sim/small/tell.h - tells people the way to a violation, step by step.
 *
 * Memory: none kept. Threads: none. Errors: none. */
#ifndef SIM_SMALL_TELL_H
#define SIM_SMALL_TELL_H

#include "sim/small/world.h"

#include <stdio.h>

/* `way` holds, for each step, which of the moves of its state was made. */
void tell_counter_example(struct small_world *world, const struct small_state *beginning,
                          const uint8_t *way, uint32_t steps, const struct verdict *verdict,
                          FILE *out);
/* The bounds of a set, in two lines. */
void tell_bounds(const struct small_set *set, FILE *out);

#endif
