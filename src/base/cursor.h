/* base/cursor.h - the only way in which foreign bytes are read, and ours are written.
 *
 * A reader remembers its first failure: reads past the end give zeroes and set `failed`, so a
 * decoder reads all its fields and asks once. A writer over a fixed block does the same with
 * `failed` when the block is full. Little-endian, no alignment asked for.
 *
 * Memory:  borrows the block. Threads: plain values. Errors: the `failed` flag.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "mortar/types.h"

#include <string.h>

struct reader {
    const uint8_t *data;
    size_t bytes; /* Left. */
    bool failed;
};

static inline struct reader reader_over(struct mortar_bytes in)
{
    return (struct reader){.data = in.data, .bytes = in.bytes};
}

/* The next `count` bytes, borrowed; an empty string after a failure. */
static inline struct mortar_bytes get_bytes(struct reader *reader, size_t count)
{
    if (reader->failed || count > reader->bytes) {
        reader->failed = true;
        return (struct mortar_bytes){0};
    }
    const struct mortar_bytes taken = {reader->data, count};
    if (count > 0) reader->data += count;
    reader->bytes -= count;
    return taken;
}

static inline void get_copy(struct reader *reader, void *out, size_t count)
{
    const struct mortar_bytes taken = get_bytes(reader, count);
    if (taken.bytes == count && count > 0) {
        memcpy(out, taken.data, count);
    } else {
        memset(out, 0, count);
    }
}

static inline uint8_t get_u8(struct reader *reader)
{
    uint8_t value;
    get_copy(reader, &value, sizeof value);
    return value;
}

static inline uint16_t get_u16(struct reader *reader)
{
    uint16_t value;
    get_copy(reader, &value, sizeof value);
    return value;
}

static inline uint32_t get_u32(struct reader *reader)
{
    uint32_t value;
    get_copy(reader, &value, sizeof value);
    return value;
}

static inline uint64_t get_u64(struct reader *reader)
{
    uint64_t value;
    get_copy(reader, &value, sizeof value);
    return value;
}

/* A boolean is the byte 0 or 1; anything else is a failure. */
static inline bool get_bool(struct reader *reader)
{
    const uint8_t value = get_u8(reader);
    if (value > 1) reader->failed = true;
    return value == 1;
}

static inline struct mortar_position get_position(struct reader *reader)
{
    struct mortar_position position;
    position.index = get_u64(reader);
    position.term = get_u64(reader);
    return position;
}

static inline struct mortar_log_sum get_log_sum(struct reader *reader)
{
    struct mortar_log_sum sum;
    sum.low = get_u64(reader);
    sum.high = get_u64(reader);
    return sum;
}

/* True when every byte was read and no read failed. */
static inline bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->bytes == 0;
}

struct writer {
    uint8_t *data;
    size_t capacity;
    size_t bytes; /* Written. */
    bool failed;
};

static inline struct writer writer_over(void *data, size_t capacity)
{
    return (struct writer){.data = (uint8_t *)data, .capacity = capacity};
}

static inline void put_copy(struct writer *writer, const void *from, size_t count)
{
    if (writer->failed || count > writer->capacity - writer->bytes) {
        writer->failed = true;
        return;
    }
    if (count > 0) memcpy(writer->data + writer->bytes, from, count);
    writer->bytes += count;
}

static inline void put_bytes(struct writer *writer, struct mortar_bytes bytes)
{
    put_copy(writer, bytes.data, bytes.bytes);
}

static inline void put_u8(struct writer *writer, uint8_t value)
{
    put_copy(writer, &value, sizeof value);
}

static inline void put_u16(struct writer *writer, uint16_t value)
{
    put_copy(writer, &value, sizeof value);
}

static inline void put_u32(struct writer *writer, uint32_t value)
{
    put_copy(writer, &value, sizeof value);
}

static inline void put_u64(struct writer *writer, uint64_t value)
{
    put_copy(writer, &value, sizeof value);
}

static inline void put_bool(struct writer *writer, bool value)
{
    put_u8(writer, value ? 1 : 0);
}

static inline void put_position(struct writer *writer, struct mortar_position position)
{
    put_u64(writer, position.index);
    put_u64(writer, position.term);
}

static inline void put_log_sum(struct writer *writer, struct mortar_log_sum sum)
{
    put_u64(writer, sum.low);
    put_u64(writer, sum.high);
}

#endif
