/* node/ask.h - how the calls of mortar/node.h are handed on, and waited for.
 *
 * Memory:  plain values; a waiter lives on its caller's stack. Threads: any but the node's own for
 *          who waits. Errors: as the call.
 */
#ifndef NODE_ASK_H
#define NODE_ASK_H

#include "node/node_private.h"

#include <pthread.h>

/* Who asks, how long, and whom to tell. */
struct asked {
    uint32_t timeout_ms;
    bool is_direct;
    bool is_leave;
    bool is_own;
    mortar_completion *done;
    void *argument;
};

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
    struct mortar_result result;
};

/* Fills in who asks, and hands the call to the control thread. */
void ask_post(struct mortar_group *group, struct call *call, const struct asked *asked);

struct asked waiter_begin(struct waiter *waiter, uint32_t timeout_ms);
/* `status` is what asking answered. The timeout is the core's business: each call ends. */
enum mortar_status waiter_end(struct waiter *waiter, enum mortar_status status,
                              struct mortar_result *out_result);

#endif
