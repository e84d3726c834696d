/* wire/join.c - a node asks to become a learner (design 7). Little-endian, version 1.
 *
 * JOIN_REQUEST, 52 bytes and the address:
 *
 *   offset  size  field
 *        0     1  observer, 0 or 1
 *        1     1  zero
 *        2    48  replaces: the member whose place it is to take, or zero; zero for an observer
 *       50     2  address bytes, <= MORTAR_ADDRESS_BYTES_MAX
 *       52        address, without zero bytes
 *
 * JOIN_REPLY, 52 bytes:
 *
 *   offset  size  field
 *        0     2  status (mortar/status.h)
 *        2     2  zero
 *        4    48  leader (peer 32, store 16), zero when unknown
 */
#include "wire/fields.h"
#include "wire/message.h"

void join_request_encode(const struct join_request *message, struct writer *out)
{
    put_bool(out, message->observer);
    put_u8(out, 0);
    put_member_id(out, &message->replaces);
    put_text(out, message->address, MORTAR_ADDRESS_BYTES_MAX);
}

enum mortar_status join_request_decode(struct mortar_bytes in, struct join_request *out)
{
    struct reader reader = reader_over(in);
    struct join_request message = {0};
    message.observer = get_bool(&reader);
    const uint8_t zero = get_u8(&reader);
    get_member_id(&reader, &message.replaces);
    get_text(&reader, message.address, MORTAR_ADDRESS_BYTES_MAX);
    if (!reader_done(&reader) || zero != 0) return MORTAR_E_CORRUPT;
    if (message.observer && !mortar_member_id_is_none(&message.replaces)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

void join_reply_encode(const struct join_reply *message, struct writer *out)
{
    put_status(out, message->status);
    put_u16(out, 0);
    put_member_id(out, &message->leader);
}

enum mortar_status join_reply_decode(struct mortar_bytes in, struct join_reply *out)
{
    struct reader reader = reader_over(in);
    struct join_reply message = {0};
    message.status = get_status(&reader);
    const uint16_t zero = get_u16(&reader);
    get_member_id(&reader, &message.leader);
    if (!reader_done(&reader) || zero != 0) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
