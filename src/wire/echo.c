/* wire/echo.c - the message that only the synthetic next version has (-Dwire_next=true): a number
 * that comes back. Little-endian, version 2. 9 bytes:
 *
 *   offset  size  field
 *        0     8  number, >= 1
 *        8     1  answer, 0 or 1
 */
#include "base/assert.h"
#include "wire/message.h"

void echo_encode(const struct echo *message, struct writer *out)
{
    ASSERT(message->number >= 1);
    put_u64(out, message->number);
    put_bool(out, message->answer);
}

enum mortar_status echo_decode(struct mortar_bytes in, struct echo *out)
{
    struct reader reader = reader_over(in);
    struct echo message = {0};
    message.number = get_u64(&reader);
    message.answer = get_bool(&reader);
    if (!reader_done(&reader) || message.number < 1) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
