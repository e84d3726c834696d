/* group/slow_storage.h - a storage before another that hands completions out later: each only after
 * reap() was called so many more times. It knows what of a replica's writes is durable.
 *
 * Memory:  malloc. Threads: one. Errors: cmocka assertions.
 */
#ifndef TESTS_UNIT_GROUP_SLOW_STORAGE_H
#define TESTS_UNIT_GROUP_SLOW_STORAGE_H

#include "mortar/storage.h"

/* What the completions handed out so far make durable. */
struct slow_durable {
    uint64_t last; /* Index in the main range. */
    uint64_t term; /* Saved. */
};

/* Takes `inner`; `delay` reaps pass before a completion. Fails with `fail_status` from its
 * `fail_at`-th write on, if that is not 0: the completion says so. */
struct mortar_storage slow_storage(struct mortar_storage inner, uint32_t delay, uint64_t fail_at,
                                   enum mortar_status fail_status);
struct slow_durable slow_storage_durable(const struct mortar_storage *storage);

#endif
