/* unit/base/memory.h - an allocator that counts what is out, and fails when told to.
 *
 * Memory: malloc. Threads: one test. Errors: NULL once `allowed` reservations were made.
 */
#ifndef MORTAR_TESTS_UNIT_BASE_MEMORY_H
#define MORTAR_TESTS_UNIT_BASE_MEMORY_H

#include "mortar/types.h"

#include <stdlib.h>

struct counted_memory {
    size_t bytes_out; /* Reserved and not yet released. */
    size_t allowed;   /* Reservations left before memory is short. */
};

static inline void *counted_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    struct counted_memory *const memory = context;
    if (memory->allowed == 0) return NULL;
    void *const resized = realloc(block, new_bytes);
    if (resized == NULL) return NULL;
    memory->allowed--;
    memory->bytes_out += new_bytes - old_bytes;
    return resized;
}

static inline void *counted_reserve(void *context, size_t bytes)
{
    return counted_resize(context, NULL, 0, bytes);
}

static inline void counted_release(void *context, void *block, size_t bytes)
{
    struct counted_memory *const memory = context;
    if (block != NULL) memory->bytes_out -= bytes;
    free(block);
}

static inline struct mortar_allocator counted_allocator(struct counted_memory *memory)
{
    return (struct mortar_allocator){counted_reserve, counted_resize, counted_release, memory};
}

#endif
