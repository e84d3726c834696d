/* base/types.c - member ids, and blocks of bytes that are shared by count. */
#include "mortar/types.h"

#include "base/assert.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

bool mortar_member_id_equal(const struct mortar_member_id *a, const struct mortar_member_id *b)
{
    return memcmp(a->peer.bytes, b->peer.bytes, sizeof a->peer.bytes) == 0 &&
           memcmp(a->store, b->store, sizeof a->store) == 0; /* No order: inlined as a few words. */
}

int mortar_member_id_compare(const struct mortar_member_id *a, const struct mortar_member_id *b)
{
    const int peer = memcmp(a->peer.bytes, b->peer.bytes, sizeof a->peer.bytes);
    if (peer != 0) return peer < 0 ? -1 : 1;
    const int store = memcmp(a->store, b->store, sizeof a->store);
    if (store != 0) return store < 0 ? -1 : 1;
    return 0;
}

bool mortar_member_id_is_none(const struct mortar_member_id *id)
{
    static const struct mortar_member_id none = {0};
    return mortar_member_id_equal(id, &none);
}

void mortar_member_id_text(const struct mortar_member_id *id, char *out_text)
{
    static const char digits[] = "0123456789abcdef";
    const size_t shown = (MORTAR_ID_TEXT_BYTES - 1) / 2;
    for (size_t i = 0; i < shown; i++) {
        out_text[2 * i] = digits[id->peer.bytes[i] >> 4];
        out_text[2 * i + 1] = digits[id->peer.bytes[i] & 15];
    }
    out_text[2 * shown] = '\0';
}

struct mortar_buffer {
    struct mortar_allocator allocator; /* A copy: the buffer may outlive who made it. */
    size_t capacity;
    size_t bytes;           /* <= capacity. */
    atomic_uint references; /* >= 1 while the block lives. */
    alignas(16) uint8_t data[];
};

/* More holders than this is a leak of references, and the count must never wrap. */
#define REFERENCES_MAX (1u << 30)

struct mortar_buffer *mortar_buffer_new(const struct mortar_allocator *allocator, size_t capacity)
{
    if (capacity > SIZE_MAX - sizeof(struct mortar_buffer)) return NULL;
    struct mortar_buffer *const buffer =
        allocator->reserve(allocator->context, sizeof(struct mortar_buffer) + capacity);
    if (buffer == NULL) return NULL;
    buffer->allocator = *allocator;
    buffer->capacity = capacity;
    buffer->bytes = 0;
    atomic_init(&buffer->references, 1);
    return buffer;
}

struct mortar_buffer *mortar_buffer_share(struct mortar_buffer *buffer)
{
    /* The caller holds a reference already, so nothing needs to be ordered by this. */
    const unsigned before = atomic_fetch_add_explicit(&buffer->references, 1, memory_order_relaxed);
    ASSERT(before >= 1);
    ASSERT(before < REFERENCES_MAX);
    return buffer;
}

void mortar_buffer_release(struct mortar_buffer *buffer)
{
    if (buffer == NULL) return;
    /* What any holder read or wrote happens before the block is given back. */
    const unsigned before = atomic_fetch_sub_explicit(&buffer->references, 1, memory_order_acq_rel);
    ASSERT(before >= 1);
    if (before > 1) return;
    const struct mortar_allocator allocator = buffer->allocator;
    allocator.release(allocator.context, buffer, sizeof(struct mortar_buffer) + buffer->capacity);
}

uint8_t *mortar_buffer_data(struct mortar_buffer *buffer)
{
    return buffer->data;
}

size_t mortar_buffer_capacity(const struct mortar_buffer *buffer)
{
    return buffer->capacity;
}

size_t mortar_buffer_bytes(const struct mortar_buffer *buffer)
{
    return buffer->bytes;
}

void mortar_buffer_set_bytes(struct mortar_buffer *buffer, size_t bytes)
{
    ASSERT(bytes <= buffer->capacity);
    buffer->bytes = bytes;
}
