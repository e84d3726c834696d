/* wire/record.c - encodes, decodes and verifies log entries. The format stands in record.h. */
#include "wire/record.h"

#include "base/assert.h"
#include "base/hash.h"

_Static_assert(MORTAR_ENTRY_COMMAND == 1 && MORTAR_ENTRY_CLIENT_COMMAND == 8, "kinds are 1..8");

static bool entry_is_sound(const struct mortar_entry *entry)
{
    return entry->index >= 1 && entry->term >= 1 && entry->kind >= MORTAR_ENTRY_COMMAND &&
           entry->kind <= MORTAR_ENTRY_CLIENT_COMMAND &&
           entry->bytes.bytes <= MORTAR_COMMAND_BYTES_LIMIT;
}

void record_encode(const struct mortar_entry *entry, struct writer *out)
{
    ASSERT(entry_is_sound(entry));
    static const uint8_t zero[3] = {0};
    put_log_sum(out, entry->sum);
    put_u64(out, entry->index);
    put_u64(out, entry->term);
    put_u64(out, entry->time_ms);
    put_u32(out, (uint32_t)entry->bytes.bytes);
    put_u8(out, (uint8_t)entry->kind);
    put_copy(out, zero, sizeof zero);
    put_bytes(out, entry->bytes);
}

/* Reads one record by straight loads: this is the hot loop of catching up, and one bound check for
 * the header and one for the payload are all that it needs. False: as record_decode() fails. */
static inline bool record_parse(const uint8_t *data, size_t bytes, struct mortar_entry *out_entry)
{
    if (bytes < RECORD_HEADER_BYTES) return false;
    uint32_t payload_bytes;
    uint32_t kind_and_zero; /* The kind is the lowest byte, the three above it are zero. */
    memcpy(&out_entry->sum.low, data, 8);
    memcpy(&out_entry->sum.high, data + 8, 8);
    memcpy(&out_entry->index, data + 16, 8);
    memcpy(&out_entry->term, data + 24, 8);
    memcpy(&out_entry->time_ms, data + 32, 8);
    memcpy(&payload_bytes, data + 40, 4);
    memcpy(&kind_and_zero, data + 44, 4);
    if (kind_and_zero < MORTAR_ENTRY_COMMAND || kind_and_zero > MORTAR_ENTRY_CLIENT_COMMAND)
        return false;
    if (payload_bytes > bytes - RECORD_HEADER_BYTES) return false;
    out_entry->kind = (enum mortar_entry_kind)kind_and_zero;
    out_entry->bytes = (struct mortar_bytes){data + RECORD_HEADER_BYTES, payload_bytes};
    return entry_is_sound(out_entry);
}

enum mortar_status record_decode(struct reader *in, struct mortar_entry *out_entry)
{
    struct mortar_entry entry;
    if (in->failed || !record_parse(in->data, in->bytes, &entry)) {
        in->failed = true;
        return MORTAR_E_CORRUPT;
    }
    const size_t taken = record_bytes(entry.bytes.bytes);
    in->data += taken;
    in->bytes -= taken;
    *out_entry = entry;
    return MORTAR_OK;
}

enum mortar_status record_run_verify(struct mortar_bytes run, struct mortar_anchor_point after,
                                     uint64_t time_ms_before, uint32_t count_max, uint32_t *offsets,
                                     struct record_run *out_run)
{
    /* Offsets are 32 bits wide; no frame comes near. */
    if (offsets != NULL && run.bytes > UINT32_MAX) return MORTAR_E_CORRUPT;
    struct record_run result = {.last = after, .last_time_ms = time_ms_before};
    size_t at = 0;
    while (at < run.bytes) {
        struct mortar_entry entry;
        if (result.count == count_max) return MORTAR_E_CORRUPT;
        if (!record_parse(run.data + at, run.bytes - at, &entry)) return MORTAR_E_CORRUPT;
        if (entry.index - 1 != result.last.position.index) return MORTAR_E_CORRUPT;
        if (entry.term < result.last.position.term) return MORTAR_E_CORRUPT;
        if (entry.time_ms < result.last_time_ms) return MORTAR_E_CORRUPT;
        const struct mortar_log_sum sum = log_sum_next(result.last.sum, &entry);
        if (!mortar_log_sum_equal(sum, entry.sum)) return MORTAR_E_UNVERIFIED;
        if (offsets != NULL) offsets[result.count] = (uint32_t)at;
        result.count++;
        result.last.position = (struct mortar_position){entry.index, entry.term};
        result.last.sum = sum;
        result.last_time_ms = entry.time_ms;
        at += record_bytes(entry.bytes.bytes);
    }
    *out_run = result;
    return MORTAR_OK;
}
