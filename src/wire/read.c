/* wire/read.c - a follower asks its leader for a read index (thesis 6.4). Little-endian, version 1.
 *
 * READ_REQUEST, 8 bytes:
 *
 *   offset  size  field
 *        0     8  id
 *
 * READ_REPLY, 18 bytes:
 *
 *   offset  size  field
 *        0     8  id
 *        8     2  status (mortar/status.h)
 *       10     8  index
 */
#include "wire/fields.h"
#include "wire/message.h"

void read_request_encode(const struct read_request *message, struct writer *out)
{
    put_u64(out, message->id);
}

enum mortar_status read_request_decode(struct mortar_bytes in, struct read_request *out)
{
    struct reader reader = reader_over(in);
    struct read_request message = {0};
    message.id = get_u64(&reader);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

void read_reply_encode(const struct read_reply *message, struct writer *out)
{
    put_u64(out, message->id);
    put_status(out, message->status);
    put_u64(out, message->index);
}

enum mortar_status read_reply_decode(struct mortar_bytes in, struct read_reply *out)
{
    struct reader reader = reader_over(in);
    struct read_reply message = {0};
    message.id = get_u64(&reader);
    message.status = get_status(&reader);
    message.index = get_u64(&reader);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
