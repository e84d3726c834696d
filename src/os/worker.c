#define _GNU_SOURCE
#include "os/worker.h"

#include "base/assert.h"
#include "os/memory.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <stdio.h>

struct worker {
    const struct mortar_allocator *allocator;
    char name[16];
    uint32_t jobs_max;
    bool low_priority;
    pthread_t thread;
    _Atomic(pthread_t) self; /* Set by the thread itself before any job; else 0. */
    pthread_mutex_t mutex;   /* Guards all below. */
    pthread_cond_t changed;  /* A job came, or `closing` was set. */
    struct worker_job *first;
    struct worker_job *last;
    uint32_t jobs_count; /* <= jobs_max */
    bool sleeps;         /* The thread waits, and nobody has woken it yet. */
    bool closing;
};

/* Waits for a job; NULL once the queue is empty for ever. */
static struct worker_job *worker_take(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    while (!worker->first && !worker->closing) {
        worker->sleeps = true;
        (void)pthread_cond_wait(&worker->changed, &worker->mutex);
    }
    worker->sleeps = false;
    struct worker_job *job = worker->first;
    if (job) {
        worker->first = job->next;
        if (!worker->first) worker->last = NULL;
        ASSERT(worker->jobs_count > 0);
        worker->jobs_count--;
        job->next = NULL;
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return job;
}

static void *worker_main(void *context)
{
    struct worker *worker = context;
    atomic_store(&worker->self, pthread_self());
    thread_set_name(worker->name);
    if (worker->low_priority) thread_lower_priority();
    for (struct worker_job *job = worker_take(worker); job; job = worker_take(worker))
        job->run(job);
    return NULL;
}

static void worker_free(struct worker *worker)
{
    (void)pthread_cond_destroy(&worker->changed);
    (void)pthread_mutex_destroy(&worker->mutex);
    memory_release(worker->allocator, worker, sizeof *worker);
}

enum mortar_status worker_open(const struct worker_options *options, struct worker **out_worker)
{
    if (options->jobs_max == 0) return MORTAR_E_INVALID;
    const struct mortar_allocator *allocator = memory_or_default(options->allocator);
    struct worker *worker = memory_reserve_zero(allocator, sizeof *worker);
    if (!worker) return MORTAR_E_NO_MEMORY;
    worker->allocator = allocator;
    worker->jobs_max = options->jobs_max;
    worker->low_priority = options->low_priority;
    (void)snprintf(worker->name, sizeof worker->name, "%s", options->name);
    (void)pthread_mutex_init(&worker->mutex, NULL);
    (void)pthread_cond_init(&worker->changed, NULL);

    const enum mortar_status status = thread_start(worker_main, worker, &worker->thread);
    if (status != MORTAR_OK) {
        worker_free(worker);
        return status;
    }
    *out_worker = worker;
    return MORTAR_OK;
}

void worker_close(struct worker *worker)
{
    ASSERT(!worker_is_current(worker));
    (void)pthread_mutex_lock(&worker->mutex);
    worker->closing = true;
    (void)pthread_cond_signal(&worker->changed);
    (void)pthread_mutex_unlock(&worker->mutex);
    const int result = pthread_join(worker->thread, NULL);
    ASSERT(result == 0);
    ASSERT(worker->jobs_count == 0);
    worker_free(worker);
}

enum mortar_status worker_post(struct worker *worker, struct worker_job *job)
{
    enum mortar_status status = MORTAR_OK;
    bool wakes = false;
    (void)pthread_mutex_lock(&worker->mutex);
    if (worker->closing) {
        status = MORTAR_E_CLOSED;
    } else if (worker->jobs_count == worker->jobs_max) {
        status = MORTAR_E_BUSY;
    } else {
        job->next = NULL;
        if (worker->last) {
            worker->last->next = job;
        } else {
            worker->first = job;
        }
        worker->last = job;
        worker->jobs_count++;
        wakes = worker->sleeps;
        worker->sleeps = false;
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    /* Not while the mutex is held: the thread would wake only to wait for it. */
    if (wakes) (void)pthread_cond_signal(&worker->changed);
    return status;
}

bool worker_is_current(const struct worker *worker)
{
    return pthread_equal(atomic_load(&worker->self), pthread_self()) != 0;
}

uint32_t worker_queued(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    const uint32_t count = worker->jobs_count;
    (void)pthread_mutex_unlock(&worker->mutex);
    return count;
}
