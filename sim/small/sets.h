/* sim/small/sets.h - the named small worlds. The table in docs/internals/small-worlds.md tells how
 * many states each has.
 *
 * Memory: constants. Threads: none. Errors: none. */
#ifndef SIM_SMALL_SETS_H
#define SIM_SMALL_SETS_H

#include "sim/small/model.h"

/* Sets 0..small_set_count() - 1; those that `small_set_is_short` are for every test run. */
uint32_t small_set_count(void);
const struct small_set *small_set_at(uint32_t number);
/* NULL when there is none of that name. */
const struct small_set *small_set_named(const char *name);

#endif
