/* base/array.c - a byte string that grows, within a stated limit. */
#include "base/array.h"

#include "base/assert.h"

#include <string.h>

#define CAPACITY_FIRST 256u

struct bytes_builder bytes_builder_init(const struct mortar_allocator *allocator, size_t bytes_max)
{
    return (struct bytes_builder){.allocator = allocator, .bytes_max = bytes_max};
}

void bytes_builder_deinit(struct bytes_builder *builder)
{
    const struct mortar_allocator *const allocator = builder->allocator;
    allocator->release(allocator->context, builder->data, builder->capacity);
    *builder = bytes_builder_init(allocator, builder->bytes_max);
}

void bytes_builder_clear(struct bytes_builder *builder)
{
    builder->bytes = 0;
}

/* At least `needed`, which is at most bytes_max; double what is there, so that n appends copy
 * O(n) bytes. */
static size_t grown_capacity(const struct bytes_builder *builder, size_t needed)
{
    const size_t half = builder->bytes_max / 2;
    const size_t doubled = builder->capacity > half ? builder->bytes_max : builder->capacity * 2;
    size_t capacity = doubled > CAPACITY_FIRST ? doubled : CAPACITY_FIRST;
    if (capacity < needed) capacity = needed;
    return capacity < builder->bytes_max ? capacity : builder->bytes_max;
}

enum mortar_status bytes_builder_reserve(struct bytes_builder *builder, size_t more,
                                         uint8_t **out_place)
{
    ASSERT(builder->bytes <= builder->capacity);
    if (more > builder->bytes_max - builder->bytes) return MORTAR_E_TOO_LARGE;
    const size_t needed = builder->bytes + more;
    if (needed > builder->capacity) {
        const struct mortar_allocator *const allocator = builder->allocator;
        const size_t capacity = grown_capacity(builder, needed);
        uint8_t *const data =
            allocator->resize(allocator->context, builder->data, builder->capacity, capacity);
        if (data == NULL) return MORTAR_E_NO_MEMORY;
        builder->data = data;
        builder->capacity = capacity;
    }
    *out_place = builder->data == NULL ? NULL : builder->data + builder->bytes;
    return MORTAR_OK;
}

enum mortar_status bytes_builder_append(struct bytes_builder *builder, struct mortar_bytes bytes)
{
    uint8_t *place = NULL;
    const enum mortar_status status = bytes_builder_reserve(builder, bytes.bytes, &place);
    if (status != MORTAR_OK) return status;
    if (bytes.bytes > 0) {
        ASSERT(place != NULL);
        memcpy(place, bytes.data, bytes.bytes);
    }
    builder->bytes += bytes.bytes;
    return MORTAR_OK;
}
