/* wire/vote.c - the messages of an election (thesis 3.4, 3.10, 9.6). Little-endian, version 1.
 *
 * VOTE_REQUEST, 26 bytes:
 *
 *   offset  size  field
 *        0     8  term, >= 1
 *        8     8  last.index
 *       16     8  last.term, <= term; 0 exactly when last.index is 0
 *       24     1  pre, 0 or 1
 *       25     1  transfer, 0 or 1
 *
 * VOTE_REPLY, 10 bytes:
 *
 *   offset  size  field
 *        0     8  term; >= 1 when granted
 *        8     1  pre, 0 or 1
 *        9     1  granted, 0 or 1
 *
 * TIMEOUT_NOW, 8 bytes:
 *
 *   offset  size  field
 *        0     8  term, >= 1
 */
#include "wire/fields.h"
#include "wire/message.h"

static bool vote_request_is_sound(const struct vote_request *message)
{
    return message->term >= 1 && message->last.term <= message->term &&
           position_is_sound(message->last);
}

void vote_request_encode(const struct vote_request *message, struct writer *out)
{
    ASSERT(vote_request_is_sound(message));
    put_u64(out, message->term);
    put_position(out, message->last);
    put_bool(out, message->pre);
    put_bool(out, message->transfer);
}

enum mortar_status vote_request_decode(struct mortar_bytes in, struct vote_request *out)
{
    struct reader reader = reader_over(in);
    struct vote_request message = {0};
    message.term = get_u64(&reader);
    message.last = get_position(&reader);
    message.pre = get_bool(&reader);
    message.transfer = get_bool(&reader);
    if (!reader_done(&reader) || !vote_request_is_sound(&message)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

/* A voter at term 0 may refuse; it cannot grant, as the request's term is at least 1. */
static bool vote_reply_is_sound(const struct vote_reply *message)
{
    return message->term >= 1 || !message->granted;
}

void vote_reply_encode(const struct vote_reply *message, struct writer *out)
{
    ASSERT(vote_reply_is_sound(message));
    put_u64(out, message->term);
    put_bool(out, message->pre);
    put_bool(out, message->granted);
}

enum mortar_status vote_reply_decode(struct mortar_bytes in, struct vote_reply *out)
{
    struct reader reader = reader_over(in);
    struct vote_reply message = {0};
    message.term = get_u64(&reader);
    message.pre = get_bool(&reader);
    message.granted = get_bool(&reader);
    if (!reader_done(&reader) || !vote_reply_is_sound(&message)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

void timeout_now_encode(const struct timeout_now *message, struct writer *out)
{
    ASSERT(message->term >= 1);
    put_u64(out, message->term);
}

enum mortar_status timeout_now_decode(struct mortar_bytes in, struct timeout_now *out)
{
    struct reader reader = reader_over(in);
    const struct timeout_now message = {.term = get_u64(&reader)};
    if (!reader_done(&reader) || message.term < 1) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
