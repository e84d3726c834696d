/* unit/log/records.h - makes runs of records for tests of logs and of what moves them. */
#ifndef UNIT_LOG_RECORDS_H
#define UNIT_LOG_RECORDS_H

#include "base/hash.h"
#include "base/prng.h"
#include "mortar/storage.h"
#include "unit/test.h"
#include "wire/record.h"

/* Writes one record of `payload_bytes` bytes after `*end` and moves `*end` behind it. */
static inline void record_put(struct writer *out, struct mortar_anchor_point *end, uint64_t term,
                              uint8_t fill, size_t payload_bytes)
{
    static uint8_t payload[1u << 20];
    assert_true(payload_bytes <= sizeof payload);
    memset(payload, fill, payload_bytes);
    struct mortar_entry entry = {
        .index = end->position.index + 1,
        .term = term,
        .time_ms = end->position.index + 1,
        .kind = MORTAR_ENTRY_COMMAND,
        .bytes = {payload, payload_bytes},
    };
    entry.sum = log_sum_next(end->sum, &entry);
    record_encode(&entry, out);
    assert_false(out->failed);
    *end = (struct mortar_anchor_point){{entry.index, entry.term}, entry.sum};
}

/* A run of `count` records after `*end` in a new buffer of `capacity` bytes (0: just enough),
 * `lead` bytes into it. The caller releases run.buffer. */
/* NOLINTNEXTLINE(readability-function-size): names all that may vary. */
static inline struct mortar_log_run run_make(const struct mortar_allocator *allocator,
                                             struct mortar_anchor_point *end, uint64_t term,
                                             uint32_t count, size_t payload_bytes, size_t lead,
                                             size_t capacity)
{
    const size_t bytes = count * record_bytes(payload_bytes);
    if (capacity == 0) capacity = lead + bytes;
    struct mortar_buffer *const buffer = mortar_buffer_new(allocator, capacity);
    assert_non_null(buffer);
    struct writer out = writer_over(mortar_buffer_data(buffer) + lead, capacity - lead);
    const uint64_t first = end->position.index + 1;
    for (uint32_t i = 0; i < count; i++) {
        record_put(&out, end, term, (uint8_t)(first + i + term), payload_bytes);
    }
    mortar_buffer_set_bytes(buffer, lead + bytes);
    return (struct mortar_log_run){buffer, lead, bytes, first, count};
}

#endif
