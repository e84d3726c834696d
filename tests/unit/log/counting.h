/* unit/log/counting.h - an allocator for tests that counts what is held and fails on request.
 *
 * Memory:  malloc. Threads: one. Errors: NULL at the chosen reservation, and ever after while
 * `fail_always`.
 */
#ifndef UNIT_LOG_COUNTING_H
#define UNIT_LOG_COUNTING_H

#include "mortar/types.h"
#include "unit/test.h"

#include <stdlib.h>

struct counting {
    uint64_t bytes;    /* Held now. */
    uint64_t blocks;   /* Held now. */
    uint64_t calls;    /* Of reserve and resize. */
    uint64_t fail_at;  /* The call that fails, counted from 1; 0: none. */
    bool fail_always;  /* From fail_at on, all fail. */
    uint64_t failures; /* How often it failed. */
};

static inline bool counting_fails(struct counting *counting)
{
    counting->calls++;
    if (counting->fail_at == 0) return false;
    const bool now = counting->calls == counting->fail_at;
    const bool later = counting->fail_always && counting->calls > counting->fail_at;
    if (now || later) counting->failures++;
    return now || later;
}

static inline void *counting_reserve(void *context, size_t bytes)
{
    struct counting *const counting = (struct counting *)context;
    if (counting_fails(counting)) return NULL;
    void *const block = malloc(bytes);
    assert_non_null(block);
    counting->bytes += bytes;
    counting->blocks++;
    return block;
}

static inline void *counting_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    struct counting *const counting = (struct counting *)context;
    if (block == NULL) return counting_reserve(context, new_bytes);
    if (counting_fails(counting)) return NULL;
    void *const moved = realloc(block, new_bytes);
    assert_non_null(moved);
    counting->bytes += new_bytes;
    counting->bytes -= old_bytes;
    return moved;
}

static inline void counting_release(void *context, void *block, size_t bytes)
{
    struct counting *const counting = (struct counting *)context;
    if (block == NULL) return;
    assert_true(counting->blocks > 0);
    assert_true(counting->bytes >= bytes);
    counting->blocks--;
    counting->bytes -= bytes;
    free(block);
}

static inline struct mortar_allocator counting_allocator(struct counting *counting)
{
    return (struct mortar_allocator){counting_reserve, counting_resize, counting_release, counting};
}

#endif
