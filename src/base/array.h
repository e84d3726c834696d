/* base/array.h - a byte string that grows, within a stated limit.
 *
 * Not for bytes that are shared: those are mortar_buffer.
 *
 * Memory:  from the allocator given at init, which must outlive the builder; doubled when full.
 * Threads: plain values.
 * Errors:  a reservation that fails leaves the bytes as they were.
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include "mortar/types.h"

struct bytes_builder {
    const struct mortar_allocator *allocator;
    uint8_t *data; /* NULL while capacity is 0. */
    size_t bytes;  /* <= capacity. */
    size_t capacity;
    size_t bytes_max; /* capacity never exceeds it. */
};

/* Reserves nothing yet. Keeps `allocator`. */
struct bytes_builder bytes_builder_init(const struct mortar_allocator *allocator, size_t bytes_max);

/* Gives the memory back; the builder may be used again as after init. */
void bytes_builder_deinit(struct bytes_builder *builder);

/* Forgets the bytes, keeps the memory. */
void bytes_builder_clear(struct bytes_builder *builder);

/* Makes room for `more` bytes behind those there, and gives their place: the caller writes up to
 * `more` bytes there and adds what it wrote to `builder->bytes`.
 *   MORTAR_E_TOO_LARGE  beyond bytes_max.
 *   MORTAR_E_NO_MEMORY  memory is short. */
MORTAR_NODISCARD enum mortar_status bytes_builder_reserve(struct bytes_builder *builder,
                                                          size_t more, uint8_t **out_place);

/* Copies `bytes` behind those there. Fails as bytes_builder_reserve(). */
MORTAR_NODISCARD enum mortar_status bytes_builder_append(struct bytes_builder *builder,
                                                         struct mortar_bytes bytes);

/* What was built, borrowed until the next change. */
static inline struct mortar_bytes bytes_builder_view(const struct bytes_builder *builder)
{
    return (struct mortar_bytes){builder->data, builder->bytes};
}

#endif
