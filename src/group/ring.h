/* group/ring.h - a queue of equal items that grows up to a stated number.
 *
 * Memory:  from the allocator given; doubled when full, given back at deinit.
 * Threads: plain values. Errors: a push that finds no memory or no room answers false.
 */
#ifndef GROUP_RING_H
#define GROUP_RING_H

#include "mortar/types.h"

struct ring {
    const struct mortar_allocator *allocator;
    uint8_t *items;
    uint32_t item_bytes;
    uint32_t count;
    uint32_t head; /* Place of the oldest item. */
    uint32_t capacity;
    uint32_t count_max;
};

struct ring ring_init(const struct mortar_allocator *allocator, size_t item_bytes,
                      uint32_t count_max);
void ring_deinit(struct ring *ring);
/* Copies the item in behind all others. */
MORTAR_NODISCARD bool ring_push(struct ring *ring, const void *item);
/* Makes sure that the next `more` pushes succeed. */
MORTAR_NODISCARD bool ring_reserve(struct ring *ring, uint32_t more);
/* The i-th oldest item, i < count; borrowed until the next push. */
void *ring_at(const struct ring *ring, uint32_t i);
/* Copies the oldest item out; false when empty. */
bool ring_pop(struct ring *ring, void *out_item);
/* Takes the i-th item out, keeping the order of the others. */
void ring_remove(struct ring *ring, uint32_t i);

#endif
