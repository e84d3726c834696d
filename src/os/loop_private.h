/* os/loop_private.h - what streams and listeners need to know of their loop.
 *
 * Only files of src/os include it. All of it belongs to the loop's own thread, except `tasks`,
 * `sleeps` and `self`, which are atomic.
 *
 * Memory:  see loop.h.
 * Threads: see above.
 * Errors:  none.
 */
#ifndef OS_LOOP_PRIVATE_H
#define OS_LOOP_PRIVATE_H

#include "os/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

/* Scratch in which small parts are joined to one TLS record. */
#define LOOP_SCRATCH_BYTES (16u * 1024u)

/* Something that lives on a loop and must be ended before it. */
struct loop_resource {
    void (*abort)(struct loop_resource *resource); /* Must end in loop_resource_remove(). */
    struct loop_resource *next;
    struct loop_resource *previous;
};

/* Work to be done once, after the events of this iteration. */
struct loop_deferred {
    void (*run)(struct loop_deferred *deferred);
    struct loop_deferred *next;
    struct loop_deferred *previous;
    bool is_queued;
};

struct loop {
    const struct mortar_allocator *allocator;
    void (*after_batch)(void *context);
    void *context;
    char name[16];
    bool low_priority;
    bool stopping; /* Set once by loop_close()'s task: the hook runs no more. */
    pthread_t thread;
    _Atomic(pthread_t) self;           /* Set by the thread itself before any callback; else 0. */
    _Atomic(struct loop_task *) tasks; /* Newest first; turned round when drained. */
    atomic_bool sleeps;                /* Or is about to: whoever posts must wake it. */
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t before_sleep;
    uv_idle_t awake;               /* Active while work is left over: the poll must not sleep. */
    struct loop_deferred deferred; /* Head of a ring. */
    struct loop_deferred deferred_mark; /* In the ring while a round runs; is never run. */
    struct loop_resource resources;     /* Head of a ring. */
    uint8_t scratch[LOOP_SCRATCH_BYTES];
};

/* Called first in each callback of a socket: from here to the next sleep, posts need not wake. */
void loop_note_awake(struct loop *loop);

void loop_resource_add(struct loop *loop, struct loop_resource *resource);
void loop_resource_remove(struct loop_resource *resource);

/* Queues `deferred` unless it is queued already. */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);

/* Takes `deferred` back if it is queued. */
void loop_deferred_cancel(struct loop_deferred *deferred);

#endif
