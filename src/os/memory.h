/* os/memory.h - the allocator that is used when the user gives none.
 *
 * A thin cover over malloc. Not a pool, no limits: those belong to the queues and caches that
 * reserve from it.
 *
 * Memory:  none of its own.
 * Threads: any, at once.
 * Errors:  NULL when memory is short, as struct mortar_allocator demands.
 */
#ifndef OS_MEMORY_H
#define OS_MEMORY_H

#include "mortar/types.h"

extern const struct mortar_allocator memory_default;

/* `allocator` itself, or the default one when it is NULL. */
const struct mortar_allocator *memory_or_default(const struct mortar_allocator *allocator);

/* Reserves `bytes` (> 0) set to zero. NULL: memory is short. */
void *memory_reserve_zero(const struct mortar_allocator *allocator, size_t bytes);

/* Gives a block back; `bytes` is the size it was reserved with. NULL is a no-op. */
void memory_release(const struct mortar_allocator *allocator, void *block, size_t bytes);

#endif
