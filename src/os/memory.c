#include "os/memory.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

static void *default_reserve(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void *default_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    ASSERT(new_bytes > 0); /* realloc() to zero means different things in different libcs. */
    return realloc(block, new_bytes);
}

static void default_release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

const struct mortar_allocator memory_default = {
    .reserve = default_reserve,
    .resize = default_resize,
    .release = default_release,
    .context = NULL,
};

const struct mortar_allocator *memory_or_default(const struct mortar_allocator *allocator)
{
    return allocator ? allocator : &memory_default;
}

void *memory_reserve_zero(const struct mortar_allocator *allocator, size_t bytes)
{
    ASSERT(bytes > 0);
    void *block = allocator->reserve(allocator->context, bytes);
    if (block) memset(block, 0, bytes);
    return block;
}

void memory_release(const struct mortar_allocator *allocator, void *block, size_t bytes)
{
    if (block) allocator->release(allocator->context, block, bytes);
}
