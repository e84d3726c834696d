/* os/loop.h - a libuv event loop on a thread of its own.
 *
 * One iteration: events (sockets, timers, posted tasks), then the owner's after-batch hook, then
 * what was deferred (streams encrypt and send all that was written in the batch at once), then
 * sleep. When deferred work calls back, the hook runs again before the sleep.
 *
 *     post(any thread) --> [ tasks ] --\
 *     sockets, timers  ----------------+--> callbacks --> after_batch --> deferred --> sleep
 *
 * Not a scheduler: a callback that takes long delays all others of its loop.
 *
 * Memory:  one block per loop and per timer from the given allocator. Tasks are the caller's.
 * Threads: loop_post() and loop_is_current() from any thread; loop_open(), loop_close() and
 *          loop_call() from any other than the loop's; all else from the loop's own thread only.
 *          The thread blocks all signals.
 * Errors:  MORTAR_E_NO_MEMORY, MORTAR_E_IO (no thread, no descriptor).
 */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include "mortar/types.h"

struct loop;
struct loop_timer;

/* Work for a loop, embedded in the caller's object. Not to be posted again before it ran. */
struct loop_task {
    void (*run)(struct loop_task *task);
    struct loop_task *next; /* Owned by the loop from loop_post() until `run` begins. */
};

struct loop_options {
    const char *name;                         /* Of the thread, at most 15 bytes. Copied. */
    const struct mortar_allocator *allocator; /* NULL: the default one. Kept. */
    bool low_priority;                        /* nice +10 for this thread, best effort. */
    void (*after_batch)(void *context);       /* May be NULL. Runs at least once per iteration. */
    void *context;
};

/* Starts the thread. */
MORTAR_NODISCARD enum mortar_status loop_open(const struct loop_options *options,
                                              struct loop **out_loop);

/* Runs the tasks posted so far, aborts the streams, listeners and timers that are still open (the
 * streams' on_closed is called with MORTAR_E_CLOSED), joins the thread. The hook runs no more
 * once the abort has begun. Nobody may post any longer from other threads. */
void loop_close(struct loop *loop);

/* Runs `task` on the loop's thread. Tasks of one thread run in the order of their posts. */
void loop_post(struct loop *loop, struct loop_task *task);

/* Runs `call(context)` on the loop's thread and waits for its end. */
void loop_call(struct loop *loop, void (*call)(void *context), void *context);

/* Whether the calling thread is the loop's: a blocking call from it would never end. */
bool loop_is_current(const struct loop *loop);

/* Opens a timer that calls `fire` after `first_ms` and then, if `repeat_ms` > 0, every
 * `repeat_ms`. */
MORTAR_NODISCARD enum mortar_status loop_timer_open(struct loop *loop, uint64_t first_ms,
                                                    uint64_t repeat_ms, void (*fire)(void *context),
                                                    void *context, struct loop_timer **out_timer);

/* Changes the times of an open timer; it starts anew. */
void loop_timer_restart(struct loop_timer *timer, uint64_t first_ms, uint64_t repeat_ms);

/* `fire` is not called again. Allowed inside `fire`. NULL is a no-op. */
void loop_timer_close(struct loop_timer *timer);

/* Milliseconds of the monotonic clock, as of the beginning of this iteration. */
uint64_t loop_now_ms(const struct loop *loop);

#endif
