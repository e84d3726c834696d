/* sim/lie.c - four lies: a changed byte, a run of zeroes, a cut end, and forged entries whose log
 * sums fit each other (so that only the group's own sum can find them out). */
#include "sim/lie.h"

#include "base/hash.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/record.h"

#include <string.h>

#define RUN_OFFSET_MAX 96u /* No method puts more than that before its run. */
#define BODY_OFFSET    (FRAME_HEADER_BYTES + SYNC_MESSAGE_BYTES)

/* Walks the records in `bytes`. Their count; 0: these are no records to the very end. */
static uint32_t count_records(struct mortar_bytes bytes)
{
    struct reader reader = reader_over(bytes);
    struct mortar_entry entry;
    uint32_t count = 0;
    while (reader.bytes > 0) {
        if (record_decode(&reader, &entry) != MORTAR_OK) return 0;
        count++;
    }
    return count;
}

/* Changes a byte of one record's content and all sums from there on. False: too few records. */
static bool forge(uint8_t *body, size_t bytes, struct prng *prng)
{
    size_t offset = 0;
    uint32_t count = 0;
    for (; offset < RUN_OFFSET_MAX && offset < bytes && count == 0; offset++) {
        count = count_records((struct mortar_bytes){body + offset, bytes - offset});
    }
    if (count < 2) return false;
    offset--;
    const uint32_t victim = 1 + (uint32_t)prng_below(prng, count - 1);
    struct mortar_log_sum sum = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct reader reader = reader_over((struct mortar_bytes){body + offset, bytes - offset});
        struct mortar_entry entry;
        if (record_decode(&reader, &entry) != MORTAR_OK) return false;
        const size_t length = bytes - offset - reader.bytes;
        if (i == victim && entry.bytes.bytes > 0) body[offset + length - 1] ^= 1;
        if (i >= victim) {
            entry.sum = log_sum_next(sum, &entry);
            memcpy(body + offset, &entry.sum.low, 8);
            memcpy(body + offset + 8, &entry.sum.high, 8);
        }
        sum = entry.sum;
        offset += length;
    }
    return true;
}

/* The bytes that are left after the lie. */
static size_t tell(uint8_t *body, size_t bytes, struct prng *prng)
{
    const uint64_t kind = prng_below(prng, 4);
    const size_t place = (size_t)prng_below(prng, bytes);
    if (kind == 0 && forge(body, bytes, prng)) return bytes;
    if (kind == 1) {
        const size_t length = bytes - place < 16 ? bytes - place : 16;
        memset(body + place, 0, length);
        return bytes;
    }
    if (kind == 2 && place > 0) return place;
    body[place] ^= (uint8_t)(1 + prng_below(prng, 255));
    return bytes;
}

struct mortar_buffer *lie_about(struct mortar_buffer *frame,
                                const struct mortar_allocator *allocator, struct prng *prng)
{
    const struct mortar_bytes whole = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    struct frame_header header;
    struct mortar_bytes payload;
    struct sync_message message;
    if (frame_open(whole, MORTAR_LANE_BULK, &header, &payload) != MORTAR_OK) return NULL;
    if (header.type != MESSAGE_SYNC) return NULL;
    if (sync_message_decode(payload, &message) != MORTAR_OK) return NULL;
    if (!message.to_session || message.bytes.bytes == 0) return NULL;
    struct mortar_buffer *lie = mortar_buffer_new(allocator, whole.bytes);
    if (lie == NULL) return NULL;
    uint8_t *data = mortar_buffer_data(lie);
    memcpy(data, whole.data, whole.bytes);
    const size_t left = tell(data + BODY_OFFSET, message.bytes.bytes, prng);
    const uint64_t checksum =
        sync_message_checksum((struct mortar_bytes){data + BODY_OFFSET, left});
    memcpy(data + FRAME_HEADER_BYTES + 16, &checksum, sizeof checksum);
    frame_seal(data, header.version, header.lane, header.type, header.group,
               (uint32_t)(SYNC_MESSAGE_BYTES + left));
    mortar_buffer_set_bytes(lie, BODY_OFFSET + left);
    return lie;
}
