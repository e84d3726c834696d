/* os/worker.h - one thread that works off a bounded queue of jobs, in order.
 *
 * The apply thread and the background thread of a node are workers. Not a pool: the order of the
 * posts is the order of the runs.
 *
 * Memory:  one block per worker; jobs are the caller's.
 * Threads: worker_post(), worker_is_current() and worker_queued() from any thread; worker_open()
 *          and worker_close() from any other than the worker's. The thread blocks all signals.
 * Errors:  MORTAR_E_NO_MEMORY, MORTAR_E_IO (no thread); MORTAR_E_BUSY (queue full),
 *          MORTAR_E_CLOSED.
 */
#ifndef OS_WORKER_H
#define OS_WORKER_H

#include "mortar/types.h"

struct worker;

/* Work for a worker, embedded in the caller's object. Not to be posted again before it ran. */
struct worker_job {
    void (*run)(struct worker_job *job); /* May block, may free the job. */
    struct worker_job *next;             /* Owned by the worker until `run` begins. */
};

struct worker_options {
    const char *name;                         /* Of the thread, at most 15 bytes. Copied. */
    const struct mortar_allocator *allocator; /* NULL: the default one. Kept. */
    uint32_t jobs_max;                        /* Queued at once, > 0. */
    bool low_priority;                        /* nice +10 for this thread, best effort. */
};

/* Starts the thread. */
MORTAR_NODISCARD enum mortar_status worker_open(const struct worker_options *options,
                                                struct worker **out_worker);

/* Runs all queued jobs to their end, then joins the thread. Jobs posted meanwhile are refused
 * with MORTAR_E_CLOSED. */
void worker_close(struct worker *worker);

/* Queues `job`; it is taken only if MORTAR_OK is answered.
 *   MORTAR_E_BUSY    jobs_max are queued.
 *   MORTAR_E_CLOSED  worker_close() has begun. */
MORTAR_NODISCARD enum mortar_status worker_post(struct worker *worker, struct worker_job *job);

/* Whether the calling thread is the worker's: a blocking call from it may never end. */
bool worker_is_current(const struct worker *worker);

/* Jobs waiting, without the one that runs. */
uint32_t worker_queued(struct worker *worker);

#endif
