/* sim/memory.h - an allocator that counts, and can be told to fail.
 *
 * Memory:  malloc() below. Must outlive every block, also those that travel in the network.
 * Threads: one. Errors: NULL when told to.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include "mortar/types.h"

struct sim_memory {
    uint64_t bytes;     /* In use. */
    uint64_t bytes_max; /* Most in use at once. */
    uint64_t blocks;    /* In use. */
    uint64_t fail_in;   /* The so-manieth reservation from now fails; 0: none. */
    uint64_t fail_more; /* ... and so many after it. */
    uint64_t failed;    /* Reservations that failed. */
};

/* The allocator over `memory`, which it keeps. */
struct mortar_allocator sim_memory_allocator(struct sim_memory *memory);

#endif
