#define _GNU_SOURCE
#include "os/loop.h"

#include "base/assert.h"
#include "os/loop_private.h"
#include "os/memory.h"
#include "os/thread.h"

#include <stdio.h>

enum { LOOP_ROUNDS_MAX = 4 }; /* Of deferred work per iteration, before sockets are asked again. */

struct loop_timer {
    struct loop *loop;
    void (*fire)(void *context);
    void *context;
    uv_timer_t uv;
    struct loop_resource resource;
    bool is_closed;
};

struct loop_call_task {
    struct loop_task task;
    void (*call)(void *context);
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t done_changed;
    bool done;
};

struct loop_stop_task {
    struct loop_task task;
    struct loop *loop;
};

/* Takes all posted tasks and runs them in the order of their posts. */
static bool loop_run_tasks(struct loop *loop)
{
    struct loop_task *newest_first = atomic_exchange(&loop->tasks, NULL);
    struct loop_task *in_order = NULL;
    while (newest_first) {
        struct loop_task *next = newest_first->next;
        newest_first->next = in_order;
        in_order = newest_first;
        newest_first = next;
    }
    const bool any = in_order != NULL;
    while (in_order) {
        struct loop_task *task = in_order;
        in_order = task->next;
        task->next = NULL;
        task->run(task); /* May free the task. */
    }
    return any;
}

void loop_note_awake(struct loop *loop)
{
    atomic_store(&loop->sleeps, false);
}

static void loop_on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    loop_note_awake(loop);
    (void)loop_run_tasks(loop);
}

static bool loop_has_deferred(const struct loop *loop)
{
    return loop->deferred.next != &loop->deferred;
}

/* Runs what is deferred now; what that defers again comes behind the mark, for the next round. */
static void loop_run_deferred(struct loop *loop)
{
    struct loop_deferred *mark = &loop->deferred_mark;
    loop_defer(loop, mark);
    while (loop->deferred.next != mark) {
        struct loop_deferred *first = loop->deferred.next;
        loop_deferred_cancel(first);
        first->run(first); /* May free itself, and defer or cancel others. */
    }
    loop_deferred_cancel(mark);
}

static void loop_on_awake(uv_idle_t *awake)
{
    (void)awake;
}

static void loop_before_sleep(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    loop_note_awake(loop);
    (void)loop_run_tasks(loop); /* Of those who saw that we were awake. */
    if (loop->stopping) return;
    if (loop->after_batch) loop->after_batch(loop->context);
    for (int round = 0; round < LOOP_ROUNDS_MAX && loop_has_deferred(loop); round++) {
        loop_run_deferred(loop);
        if (loop->after_batch) loop->after_batch(loop->context);
    }
    /* A post that came before the store is seen behind it; one that comes later sees the store. */
    atomic_store(&loop->sleeps, true);
    if (loop_has_deferred(loop) || atomic_load(&loop->tasks)) {
        (void)uv_idle_start(&loop->awake, loop_on_awake);
    } else {
        (void)uv_idle_stop(&loop->awake);
    }
}

/* Ends everything that still lives on the loop, until nothing new comes of it. */
static void loop_end(struct loop *loop)
{
    bool busy = true;
    while (busy) {
        busy = loop_run_tasks(loop);
        while (loop->resources.next != &loop->resources) {
            struct loop_resource *resource = loop->resources.next;
            resource->abort(resource);
            ASSERT(loop->resources.next != resource);
            busy = true;
        }
        if (loop_has_deferred(loop)) {
            loop_run_deferred(loop);
            busy = true;
        }
    }
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->before_sleep, NULL);
    uv_close((uv_handle_t *)&loop->awake, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* Until every handle and request is closed. */
    (void)loop_run_tasks(loop);
}

static void *loop_main(void *context)
{
    struct loop *loop = context;
    atomic_store(&loop->self, pthread_self());
    thread_set_name(loop->name);
    if (loop->low_priority) thread_lower_priority();
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    ASSERT(loop->stopping); /* `wake` keeps the loop alive until uv_stop(). */
    loop_end(loop);
    return NULL;
}

/* Initialises the three handles that every loop has. They cannot fail, except for the descriptor
 * of `wake`. */
static enum mortar_status loop_init_handles(struct loop *loop)
{
    if (uv_loop_init(&loop->uv) != 0) return MORTAR_E_IO;
    if (uv_async_init(&loop->uv, &loop->wake, loop_on_wake) != 0) {
        const int result = uv_loop_close(&loop->uv);
        ASSERT(result == 0);
        return MORTAR_E_IO;
    }
    loop->wake.data = loop;
    (void)uv_prepare_init(&loop->uv, &loop->before_sleep);
    loop->before_sleep.data = loop;
    (void)uv_prepare_start(&loop->before_sleep, loop_before_sleep);
    (void)uv_idle_init(&loop->uv, &loop->awake);
    atomic_init(&loop->sleeps, true); /* Until the first look. */
    return MORTAR_OK;
}

/* Closes the uv loop of a loop whose thread never started. */
static void loop_deinit_handles(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->before_sleep, NULL);
    uv_close((uv_handle_t *)&loop->awake, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void loop_free(struct loop *loop)
{
    const int result = uv_loop_close(&loop->uv);
    ASSERT(result == 0); /* UV_EBUSY: a handle was not closed. */
    memory_release(loop->allocator, loop, sizeof *loop);
}

enum mortar_status loop_open(const struct loop_options *options, struct loop **out_loop)
{
    const struct mortar_allocator *allocator = memory_or_default(options->allocator);
    struct loop *loop = memory_reserve_zero(allocator, sizeof *loop);
    if (!loop) return MORTAR_E_NO_MEMORY;
    loop->allocator = allocator;
    loop->after_batch = options->after_batch;
    loop->context = options->context;
    loop->low_priority = options->low_priority;
    (void)snprintf(loop->name, sizeof loop->name, "%s", options->name);
    loop->deferred.next = loop->deferred.previous = &loop->deferred;
    loop->resources.next = loop->resources.previous = &loop->resources;

    enum mortar_status status = loop_init_handles(loop);
    if (status != MORTAR_OK) {
        memory_release(allocator, loop, sizeof *loop);
        return status;
    }
    status = thread_start(loop_main, loop, &loop->thread);
    if (status != MORTAR_OK) {
        loop_deinit_handles(loop);
        loop_free(loop);
        return status;
    }
    *out_loop = loop;
    return MORTAR_OK;
}

static void loop_stop(struct loop_task *task)
{
    struct loop *loop = ((struct loop_stop_task *)task)->loop;
    loop->stopping = true;
    uv_stop(&loop->uv);
}

void loop_close(struct loop *loop)
{
    ASSERT(!loop_is_current(loop));
    struct loop_stop_task stop = {.task.run = loop_stop, .loop = loop};
    loop_post(loop, &stop.task);
    const int result = pthread_join(loop->thread, NULL);
    ASSERT(result == 0);
    ASSERT(atomic_load(&loop->tasks) == NULL);
    loop_free(loop);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    struct loop_task *head = atomic_load(&loop->tasks);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak(&loop->tasks, &head, task));
    /* Whoever found the list empty wakes the loop for all that join before it is drained, unless
     * it is awake: then it looks before it sleeps. From the exchange on `task` belongs to the
     * loop; the loop itself stays, since nobody else posts while it is closed. */
    if (!head && atomic_exchange(&loop->sleeps, false)) (void)uv_async_send(&loop->wake);
}

static void loop_call_run(struct loop_task *task)
{
    struct loop_call_task *call = (struct loop_call_task *)task;
    call->call(call->context);
    (void)pthread_mutex_lock(&call->mutex);
    call->done = true;
    (void)pthread_cond_signal(&call->done_changed);
    (void)pthread_mutex_unlock(&call->mutex);
}

void loop_call(struct loop *loop, void (*call)(void *context), void *context)
{
    ASSERT(!loop_is_current(loop));
    struct loop_call_task waiting = {.task.run = loop_call_run, .call = call, .context = context};
    (void)pthread_mutex_init(&waiting.mutex, NULL);
    (void)pthread_cond_init(&waiting.done_changed, NULL);
    loop_post(loop, &waiting.task);
    (void)pthread_mutex_lock(&waiting.mutex);
    while (!waiting.done)
        (void)pthread_cond_wait(&waiting.done_changed, &waiting.mutex);
    (void)pthread_mutex_unlock(&waiting.mutex);
    (void)pthread_cond_destroy(&waiting.done_changed);
    (void)pthread_mutex_destroy(&waiting.mutex);
}

bool loop_is_current(const struct loop *loop)
{
    return pthread_equal(atomic_load(&loop->self), pthread_self()) != 0;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

static void loop_timer_on_closed(uv_handle_t *handle)
{
    struct loop_timer *timer = handle->data;
    memory_release(timer->loop->allocator, timer, sizeof *timer);
}

static void loop_timer_abort(struct loop_resource *resource)
{
    struct loop_timer *timer =
        (struct loop_timer *)(void *)((char *)resource - offsetof(struct loop_timer, resource));
    loop_timer_close(timer);
}

static void loop_timer_on_fire(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;
    timer->fire(timer->context);
}

enum mortar_status loop_timer_open(struct loop *loop, uint64_t first_ms, uint64_t repeat_ms,
                                   void (*fire)(void *context), void *context,
                                   struct loop_timer **out_timer)
{
    ASSERT(loop_is_current(loop));
    struct loop_timer *timer = memory_reserve_zero(loop->allocator, sizeof *timer);
    if (!timer) return MORTAR_E_NO_MEMORY;
    timer->loop = loop;
    timer->fire = fire;
    timer->context = context;
    timer->uv.data = timer;
    (void)uv_timer_init(&loop->uv, &timer->uv);
    (void)uv_timer_start(&timer->uv, loop_timer_on_fire, first_ms, repeat_ms);
    timer->resource.abort = loop_timer_abort;
    loop_resource_add(loop, &timer->resource);
    *out_timer = timer;
    return MORTAR_OK;
}

void loop_timer_restart(struct loop_timer *timer, uint64_t first_ms, uint64_t repeat_ms)
{
    ASSERT(loop_is_current(timer->loop));
    ASSERT(!timer->is_closed);
    uv_update_time(&timer->loop->uv); /* A long callback must not shorten the time. */
    (void)uv_timer_start(&timer->uv, loop_timer_on_fire, first_ms, repeat_ms);
}

void loop_timer_close(struct loop_timer *timer)
{
    if (!timer) return;
    ASSERT(loop_is_current(timer->loop));
    ASSERT(!timer->is_closed);
    timer->is_closed = true;
    loop_resource_remove(&timer->resource);
    uv_close((uv_handle_t *)&timer->uv, loop_timer_on_closed);
}

void loop_resource_add(struct loop *loop, struct loop_resource *resource)
{
    resource->next = &loop->resources;
    resource->previous = loop->resources.previous;
    resource->previous->next = resource;
    loop->resources.previous = resource;
}

void loop_resource_remove(struct loop_resource *resource)
{
    resource->previous->next = resource->next;
    resource->next->previous = resource->previous;
    resource->next = resource->previous = NULL;
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
    if (deferred->is_queued) return;
    deferred->is_queued = true;
    deferred->next = &loop->deferred;
    deferred->previous = loop->deferred.previous;
    deferred->previous->next = deferred;
    loop->deferred.previous = deferred;
}

void loop_deferred_cancel(struct loop_deferred *deferred)
{
    if (!deferred->is_queued) return;
    deferred->previous->next = deferred->next;
    deferred->next->previous = deferred->previous;
    deferred->next = deferred->previous = NULL;
    deferred->is_queued = false;
}
