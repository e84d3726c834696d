/* os/thread.h - starts threads the way the library promises: all signals blocked, named.
 *
 * Not a pool; loops (os/loop.h) and workers (os/worker.h) are built on it.
 *
 * Memory:  none.
 * Threads: any.
 * Errors:  MORTAR_E_IO when the system gives no thread.
 */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include "mortar/types.h"

#include <pthread.h>

/* Runs `body(context)` on a new thread that blocks every signal, so that the host's handlers run
 * on the host's threads only. */
MORTAR_NODISCARD enum mortar_status thread_start(void *(*body)(void *context), void *context,
                                                 pthread_t *out_thread);

/* Names the calling thread (at most 15 bytes are used). */
void thread_set_name(const char *name);

/* Gives the calling thread a nice value of +10 on top of the process's. Best effort. */
void thread_lower_priority(void);

#endif
