/* wire/part.c - a piece of a message too long for one control frame (C8). Little-endian, version 1.
 * 26 bytes and the piece:
 *
 *   offset  size  field
 *        0     8  term
 *        8     8  number
 *       16     4  total_bytes, <= BULK_FRAME_BYTES_MAX
 *       20     4  offset; offset + bytes of the piece <= total_bytes
 *       24     1  inner_type (enum message_type), not PART
 *       25     1  from_leader, 0 or 1; 0 when term is 0
 *       26        the piece, >= 1 byte
 */
#include "base/assert.h"
#include "wire/frame.h"
#include "wire/message.h"

static bool part_is_sound(const struct part *message)
{
    if (message->inner_type < MESSAGE_VOTE_REQUEST || message->inner_type >= MESSAGE_PART) {
        return false;
    }
    if (message->from_leader && message->term == 0) return false;
    if (message->total_bytes > BULK_FRAME_BYTES_MAX) return false;
    if (message->offset > message->total_bytes || message->bytes.bytes == 0) return false;
    return message->bytes.bytes <= message->total_bytes - message->offset;
}

void part_encode(const struct part *message, struct writer *out)
{
    ASSERT(part_is_sound(message));
    put_u64(out, message->term);
    put_u64(out, message->number);
    put_u32(out, message->total_bytes);
    put_u32(out, message->offset);
    put_u8(out, message->inner_type);
    put_bool(out, message->from_leader);
    if (message->bytes.data != NULL) put_bytes(out, message->bytes);
}

enum mortar_status part_decode(struct mortar_bytes in, struct part *out)
{
    struct reader reader = reader_over(in);
    struct part message = {0};
    message.term = get_u64(&reader);
    message.number = get_u64(&reader);
    message.total_bytes = get_u32(&reader);
    message.offset = get_u32(&reader);
    message.inner_type = get_u8(&reader);
    message.from_leader = get_bool(&reader);
    message.bytes = get_bytes(&reader, reader.bytes);
    if (!reader_done(&reader) || !part_is_sound(&message)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
