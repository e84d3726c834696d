/* sim/memory.c - counting reservations. */
#include "sim/memory.h"

#include <stdlib.h>

static bool must_fail(struct sim_memory *memory)
{
    if (memory->fail_in == 0) return false;
    if (--memory->fail_in > 0) return false;
    if (memory->fail_more > 0) {
        memory->fail_more--;
        memory->fail_in = 1;
    }
    memory->failed++;
    return true;
}

static void *reserve(void *context, size_t bytes)
{
    struct sim_memory *memory = context;
    if (must_fail(memory)) return NULL;
    void *block = malloc(bytes == 0 ? 1 : bytes);
    if (block == NULL) abort();
    memory->blocks++;
    memory->bytes += bytes;
    if (memory->bytes > memory->bytes_max) memory->bytes_max = memory->bytes;
    return block;
}

static void *resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    if (block == NULL) return reserve(context, new_bytes);
    struct sim_memory *memory = context;
    if (must_fail(memory)) return NULL;
    void *moved = realloc(block, new_bytes == 0 ? 1 : new_bytes);
    if (moved == NULL) abort();
    memory->bytes = memory->bytes - old_bytes + new_bytes;
    if (memory->bytes > memory->bytes_max) memory->bytes_max = memory->bytes;
    return moved;
}

static void release(void *context, void *block, size_t bytes)
{
    if (block == NULL) return;
    struct sim_memory *memory = context;
    memory->blocks--;
    memory->bytes -= bytes;
    free(block);
}

struct mortar_allocator sim_memory_allocator(struct sim_memory *memory)
{
    return (struct mortar_allocator){reserve, resize, release, memory};
}
