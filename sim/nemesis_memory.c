/* sim/nemesis_memory.c - memory is short in a running process. What it promised to survive, it
 * survives; where it cannot go on, it fails by name, and is started again. */
#include "sim/nemesis_private.h"

#define SOON_MAX  300u
#define LATER_MAX 20000u
#define MORE_MAX  30u

static bool do_memory(struct nemesis *nemesis)
{
    struct replica *replica = nemesis_pick_any(nemesis);
    if (replica == NULL) return false;
    struct prng *prng = &nemesis->prng;
    const uint64_t most = prng_chance(prng, 1, 2) ? SOON_MAX : LATER_MAX;
    replica->memory_short = true;
    replica->memory.fail_in = prng_between(prng, 1, most);
    replica->memory.fail_more = prng_chance(prng, 1, 3) ? prng_below(prng, MORE_MAX) : 0;
    return true;
}

static const struct nemesis_fault faults[] = {
    {SIM_FAULT_MEMORY, do_memory},
    {SIM_FAULT_MEMORY, do_memory}, /* Worth twice the odds: there are many places. */
};

struct nemesis_faults nemesis_memory_faults(void)
{
    return (struct nemesis_faults){faults, sizeof faults / sizeof faults[0]};
}
