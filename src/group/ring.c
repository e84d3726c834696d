#include "group/ring.h"

#include "base/assert.h"

#include <string.h>

#define RING_CAPACITY_MIN 16u

struct ring ring_init(const struct mortar_allocator *allocator, size_t item_bytes,
                      uint32_t count_max)
{
    ASSERT(item_bytes > 0 && item_bytes <= UINT32_MAX);
    ASSERT(count_max > 0);
    return (struct ring){
        .allocator = allocator, .item_bytes = (uint32_t)item_bytes, .count_max = count_max};
}

void ring_deinit(struct ring *ring)
{
    if (ring->items != NULL) {
        ring->allocator->release(ring->allocator->context, ring->items,
                                 (size_t)ring->capacity * ring->item_bytes);
    }
    *ring = (struct ring){0};
}

void *ring_at(const struct ring *ring, uint32_t i)
{
    ASSERT(i < ring->count);
    const uint32_t place = (ring->head + i) & (ring->capacity - 1);
    return ring->items + (size_t)place * ring->item_bytes;
}

/* Moves the items to a block of `capacity` places, the oldest first. */
static bool grow(struct ring *ring, uint32_t capacity)
{
    const size_t bytes = (size_t)capacity * ring->item_bytes;
    uint8_t *items = ring->allocator->reserve(ring->allocator->context, bytes);
    if (items == NULL) return false;
    for (uint32_t i = 0; i < ring->count; i++) {
        memcpy(items + (size_t)i * ring->item_bytes, ring_at(ring, i), ring->item_bytes);
    }
    if (ring->items != NULL) {
        ring->allocator->release(ring->allocator->context, ring->items,
                                 (size_t)ring->capacity * ring->item_bytes);
    }
    ring->items = items;
    ring->capacity = capacity;
    ring->head = 0;
    return true;
}

bool ring_reserve(struct ring *ring, uint32_t more)
{
    if (more > ring->count_max - ring->count) return false;
    if (more <= ring->capacity - ring->count) return true;
    uint32_t capacity = ring->capacity == 0 ? RING_CAPACITY_MIN : ring->capacity;
    while (capacity - ring->count < more)
        capacity *= 2;
    return grow(ring, capacity);
}

bool ring_push(struct ring *ring, const void *item)
{
    if (!ring_reserve(ring, 1)) return false;
    ring->count++;
    memcpy(ring_at(ring, ring->count - 1), item, ring->item_bytes);
    return true;
}

bool ring_pop(struct ring *ring, void *out_item)
{
    if (ring->count == 0) return false;
    memcpy(out_item, ring_at(ring, 0), ring->item_bytes);
    ring->head = (ring->head + 1) & (ring->capacity - 1);
    ring->count--;
    return true;
}

void ring_remove(struct ring *ring, uint32_t i)
{
    ASSERT(i < ring->count);
    for (uint32_t j = i; j + 1 < ring->count; j++) {
        memcpy(ring_at(ring, j), ring_at(ring, j + 1), ring->item_bytes);
    }
    ring->count--;
}
