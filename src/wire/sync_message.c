/* wire/sync_message.c - the bytes of a sync method, with what the runtime adds (design 6).
 * Little-endian, version 1. 25 bytes and the method's own:
 *
 *   offset  size  field
 *        0     8  session, or 0
 *        8     8  sequence
 *       16     8  checksum: XXH3-64 of the bytes from offset 25 on, seed 0
 *       24     1  to_session, 0 or 1
 *       25        the method's bytes
 */
#include "base/hash.h"
#include "wire/message.h"

uint64_t sync_message_checksum(struct mortar_bytes bytes)
{
    return checksum_64(bytes, 0);
}

void sync_message_encode(const struct sync_message *message, struct writer *out)
{
    put_u64(out, message->session);
    put_u64(out, message->sequence);
    put_u64(out, message->checksum);
    put_bool(out, message->to_session);
    if (message->bytes.data != NULL) put_bytes(out, message->bytes);
}

enum mortar_status sync_message_view(struct mortar_bytes in, struct sync_message *out)
{
    struct reader reader = reader_over(in);
    struct sync_message message = {0};
    message.session = get_u64(&reader);
    message.sequence = get_u64(&reader);
    message.checksum = get_u64(&reader);
    message.to_session = get_bool(&reader);
    message.bytes = get_bytes(&reader, reader.bytes);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

enum mortar_status sync_message_decode(struct mortar_bytes in, struct sync_message *out)
{
    struct sync_message message;
    const enum mortar_status status = sync_message_view(in, &message);
    if (status != MORTAR_OK) return status;
    if (message.checksum != sync_message_checksum(message.bytes)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
