/* sim/virtual_log.h - the memory log behind a slow disk that may fail: what is submitted shows at
 * once, and is complete only after a time that the seed draws. Only then is it on the virtual disk.
 *
 * Memory:  from the replica's allocator, and malloc() for the list. Threads: one.
 * Errors:  those of the log below, and those that the disk was told to give.
 */
#ifndef SIM_VIRTUAL_LOG_H
#define SIM_VIRTUAL_LOG_H

#include "mortar/storage.h"
#include "sim/virtual_disk.h"

struct virtual_log;

struct virtual_log_options {
    uint64_t seed;
    uint32_t delay_us_min; /* Of one submission; they complete in order. */
    uint32_t delay_us_max;
    uint32_t stall_permille; /* So many in a thousand take stall_us longer. */
    uint32_t stall_us;
    bool reads_cached; /* A read waits for the submissions before it, and for nothing else. */
};

struct virtual_log_host {
    void *context;
    uint64_t (*now_us)(void *context);
    /* Something will be complete at `at_us`: reap then. */
    void (*ready_at)(void *context, uint64_t at_us);
};

/* Opens it over what `disk` holds, which it keeps. Keeps copies of the others. The storage closes
 * it.
 *   those of mortar_log_memory_open(). */
MORTAR_NODISCARD enum mortar_status virtual_log_open(const struct mortar_allocator *allocator,
                                                     const struct virtual_log_options *options,
                                                     const struct virtual_log_host *host,
                                                     struct virtual_disk *disk,
                                                     struct virtual_log **out_log,
                                                     struct mortar_storage *out_storage);

/* Submissions that are not complete now. */
uint32_t virtual_log_unsynced(const struct virtual_log *log);
/* What they keep in memory: runs to write, and runs that were read. */
uint64_t virtual_log_waiting_bytes(const struct virtual_log *log);
/* Bytes of the main range after `index`; it must not be below the base. */
uint64_t virtual_log_bytes_after(struct virtual_log *log, uint64_t index);
/* Bytes of the tail range; 0: none is open. */
uint64_t virtual_log_tail_bytes(struct virtual_log *log);
/* Makes the disk slower or faster from now on. */
void virtual_log_set_delay(struct virtual_log *log, uint32_t min_us, uint32_t max_us);
/* Whatever is submitted next is refused by `status`: a disk that is full. MORTAR_OK: no more. */
void virtual_log_set_refusal(struct virtual_log *log, enum mortar_status status);
/* The next write that completes says `status`: it failed, and may be on the disk or not. */
void virtual_log_fail_next(struct virtual_log *log, enum mortar_status status);

enum virtual_log_loss {
    VIRTUAL_LOG_LOSE_ALL,  /* Nothing that was not complete is on the disk. */
    VIRTUAL_LOG_LOSE_SOME, /* Some of it is; the seed says what. */
    VIRTUAL_LOG_LOSE_NONE  /* All of it is. */
};
/* The process ends here: what of the writes under way reaches the disk is decided, and nothing
 * comes after them, whatever is still submitted. */
void virtual_log_crash(struct virtual_log *log, enum virtual_log_loss loss);

#endif
