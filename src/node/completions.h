/* node/completions.h - completions that wait for the user's thread (MORTAR_COMPLETE_QUEUE).
 *
 * The descriptor is readable exactly while something waits.
 *
 * Memory:  calls are linked in; nothing is reserved after init. Bounded by the call gate.
 * Threads: any, but init and deinit.
 * Errors:  MORTAR_E_IO: no descriptor is left.
 */
#ifndef NODE_COMPLETIONS_H
#define NODE_COMPLETIONS_H

#include "node/calls.h"

#include <pthread.h>

struct completions {
    int descriptor;        /* An eventfd; -1: none. */
    pthread_mutex_t mutex; /* Guards what follows. */
    struct call *first;
    struct call *last;
};

MORTAR_NODISCARD enum mortar_status completions_init(struct completions *completions);
/* Asserts that nothing waits. */
void completions_deinit(struct completions *completions);

/* Takes `call`. */
void completions_push(struct completions *completions, struct call *call);

/* Completes up to `max` calls on the calling thread; answers how many. */
uint32_t completions_dispatch(struct completions *completions, uint32_t max);

#endif
