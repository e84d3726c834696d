/* wire/forward.c - a call at a follower goes on to the leader. Little-endian, version 1.
 *
 * FORWARD_REQUEST, 17 bytes and the items:
 *
 *   offset  size  field
 *        0     8  id
 *        8     1  kind, 1..6
 *        9     4  timeout_ms
 *       13     4  count, 1..FORWARD_COUNT_MAX
 *       17        `count` items
 *
 * FORWARD_REPLY, 46 bytes and the items:
 *
 *   offset  size  field
 *        0     8  id
 *        8     2  status (mortar/status.h)
 *       10    16  first (index, term)
 *       26    16  last (index, term), last.index >= first.index
 *       42     4  count, 0..FORWARD_COUNT_MAX
 *       46        `count` items
 *
 * One item:
 *
 *   offset  size  field
 *        0     4  bytes, <= MORTAR_COMMAND_BYTES_LIMIT
 *        4        the bytes
 */
#include "wire/fields.h"
#include "wire/message.h"

void forward_item_put(struct writer *out, struct mortar_bytes item)
{
    ASSERT(item.bytes <= MORTAR_COMMAND_BYTES_LIMIT);
    put_u32(out, (uint32_t)item.bytes);
    put_bytes(out, item);
}

struct mortar_bytes forward_item_get(struct reader *items)
{
    const uint32_t bytes = get_u32(items);
    if (bytes > MORTAR_COMMAND_BYTES_LIMIT) items->failed = true;
    return get_bytes(items, bytes);
}

/* Exactly `count` items, nothing behind them. */
static bool forward_items_are_sound(struct mortar_bytes items, uint32_t count)
{
    struct reader reader = reader_over(items);
    for (uint32_t i = 0; i < count && !reader.failed; i++)
        (void)forward_item_get(&reader);
    return reader_done(&reader);
}

void forward_request_encode(const struct forward_request *message, struct writer *out)
{
    ASSERT(message->kind >= FORWARD_EXECUTE && message->kind <= FORWARD_TRANSFER);
    ASSERT(message->count >= 1 && message->count <= FORWARD_COUNT_MAX);
    put_u64(out, message->id);
    put_u8(out, (uint8_t)message->kind);
    put_u32(out, message->timeout_ms);
    put_u32(out, message->count);
    put_bytes(out, message->items);
}

enum mortar_status forward_request_decode(struct mortar_bytes in, struct forward_request *out)
{
    struct reader reader = reader_over(in);
    struct forward_request message = {0};
    message.id = get_u64(&reader);
    const uint8_t kind = get_u8(&reader);
    message.timeout_ms = get_u32(&reader);
    message.count = get_u32(&reader);
    message.items = get_bytes(&reader, reader.bytes);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    if (kind < FORWARD_EXECUTE || kind > FORWARD_TRANSFER) return MORTAR_E_CORRUPT;
    if (message.count < 1 || message.count > FORWARD_COUNT_MAX) return MORTAR_E_CORRUPT;
    if (!forward_items_are_sound(message.items, message.count)) return MORTAR_E_CORRUPT;
    message.kind = (enum forward_kind)kind;
    *out = message;
    return MORTAR_OK;
}

static bool forward_reply_is_sound(const struct forward_reply *message)
{
    return position_is_sound(message->first) && position_is_sound(message->last) &&
           message->first.index <= message->last.index && message->count <= FORWARD_COUNT_MAX;
}

void forward_reply_encode(const struct forward_reply *message, struct writer *out)
{
    ASSERT(forward_reply_is_sound(message));
    put_u64(out, message->id);
    put_status(out, message->status);
    put_position(out, message->first);
    put_position(out, message->last);
    put_u32(out, message->count);
    put_bytes(out, message->items);
}

enum mortar_status forward_reply_decode(struct mortar_bytes in, struct forward_reply *out)
{
    struct reader reader = reader_over(in);
    struct forward_reply message = {0};
    message.id = get_u64(&reader);
    message.status = get_status(&reader);
    message.first = get_position(&reader);
    message.last = get_position(&reader);
    message.count = get_u32(&reader);
    message.items = get_bytes(&reader, reader.bytes);
    if (!reader_done(&reader) || !forward_reply_is_sound(&message)) return MORTAR_E_CORRUPT;
    if (!forward_items_are_sound(message.items, message.count)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
