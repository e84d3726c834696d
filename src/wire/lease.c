/* wire/lease.c - a session asks all members to keep their log (C9). Little-endian, version 1.
 * 41 bytes:
 *
 *   offset  size  field
 *        0     8  session, >= 1
 *        8     8  from_index
 *       16     8  bytes_max
 *       24     8  duration_ms
 *       32     8  term
 *       40     1  ended, 0 or 1
 */
#include "base/assert.h"
#include "wire/message.h"

void lease_encode(const struct lease *message, struct writer *out)
{
    ASSERT(message->session >= 1);
    put_u64(out, message->session);
    put_u64(out, message->from_index);
    put_u64(out, message->bytes_max);
    put_u64(out, message->duration_ms);
    put_u64(out, message->term);
    put_bool(out, message->ended);
}

enum mortar_status lease_decode(struct mortar_bytes in, struct lease *out)
{
    struct reader reader = reader_over(in);
    struct lease message = {0};
    message.session = get_u64(&reader);
    message.from_index = get_u64(&reader);
    message.bytes_max = get_u64(&reader);
    message.duration_ms = get_u64(&reader);
    message.term = get_u64(&reader);
    message.ended = get_bool(&reader);
    if (!reader_done(&reader) || message.session < 1) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
