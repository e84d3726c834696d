/* node/wait.h - conditions that a user waits for.
 *
 * A wait remembers how things were when it began, and is looked at again after each change.
 *
 * Memory:  plain values.
 * Threads: the control thread.
 * Errors:  none; a condition that never comes ends by its timeout, elsewhere.
 */
#ifndef NODE_WAIT_H
#define NODE_WAIT_H

#include "node/calls.h"

/* How things are. */
struct wait_view {
    const struct mortar_core_status *status;
    uint64_t bonds_version;
    /* Term and log sum at an index, as mortar_core_log_sum() gives them. */
    bool (*sum_at)(void *context, uint64_t index, uint64_t *out_term,
                   struct mortar_log_sum *out_sum);
    void *context;
};

/* MORTAR_E_INVALID: there is no such kind of condition. */
MORTAR_NODISCARD enum mortar_status wait_check(const struct mortar_condition *condition);

/* Remembers how things are now. */
void wait_begin(struct call_wait *wait, const struct wait_view *view);

/* Whether the condition holds now, or did happen since the last look. */
bool wait_holds(struct call_wait *wait, const struct wait_view *view);

#endif
