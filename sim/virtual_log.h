/* sim/virtual_log.h - the memory log behind a slow disk: what is submitted shows at once, and is
 * complete only after a time that the seed draws.
 *
 * A crash loses what was not complete. As long as the log below is gone with its process anyway,
 * virtual_log_unsynced() is all that is asked at a crash; a log that survives one reads the same
 * list to know what it may have lost.
 *
 * Memory:  from the replica's allocator, and malloc() for the list. Threads: one.
 * Errors:  those of the log below.
 */
#ifndef SIM_VIRTUAL_LOG_H
#define SIM_VIRTUAL_LOG_H

#include "mortar/storage.h"

struct virtual_log;

struct virtual_log_options {
    uint64_t seed;
    uint32_t delay_us_min; /* Of one submission; they complete in order. */
    uint32_t delay_us_max;
    uint32_t stall_permille; /* So many in a thousand take stall_us longer. */
    uint32_t stall_us;
};

struct virtual_log_host {
    void *context;
    uint64_t (*now_us)(void *context);
    /* Something will be complete at `at_us`: reap then. */
    void (*ready_at)(void *context, uint64_t at_us);
};

/* Opens it over a new memory log. Keeps copies of all three. The storage closes it.
 *   those of mortar_log_memory_open(). */
MORTAR_NODISCARD enum mortar_status virtual_log_open(const struct mortar_allocator *allocator,
                                                     const struct virtual_log_options *options,
                                                     const struct virtual_log_host *host,
                                                     struct virtual_log **out_log,
                                                     struct mortar_storage *out_storage);

/* Submissions that are not complete now. */
uint32_t virtual_log_unsynced(const struct virtual_log *log);
/* Makes the disk slower or faster from now on. */
void virtual_log_set_delay(struct virtual_log *log, uint32_t min_us, uint32_t max_us);

#endif
