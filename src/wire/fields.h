/* wire/fields.h - fields that several messages share, on top of base/cursor.h.
 *
 * As there: a field that breaks its rule fails the reader, and reads as zero.
 *
 * Memory:  borrows. Threads: plain values. Errors: the `failed` flag of reader and writer.
 */
#ifndef WIRE_FIELDS_H
#define WIRE_FIELDS_H

#include "base/assert.h"
#include "base/cursor.h"

#define MEMBER_ID_BYTES 48u

/* 48 bytes: peer 32, store 16. */
static inline void put_member_id(struct writer *out, const struct mortar_member_id *id)
{
    put_copy(out, id->peer.bytes, sizeof id->peer.bytes);
    put_copy(out, id->store, sizeof id->store);
}

static inline void get_member_id(struct reader *in, struct mortar_member_id *out_id)
{
    get_copy(in, out_id->peer.bytes, sizeof out_id->peer.bytes);
    get_copy(in, out_id->store, sizeof out_id->store);
}

/* A text of at most `bytes_max` bytes: length 2, then the bytes, none of them zero. */
static inline void put_text(struct writer *out, const char *text, size_t bytes_max)
{
    const size_t bytes = strlen(text);
    ASSERT(bytes <= bytes_max);
    ASSERT(bytes <= UINT16_MAX);
    put_u16(out, (uint16_t)bytes);
    put_copy(out, text, bytes);
}

/* `out_text` holds bytes_max + 1 chars; all behind the text are set to zero. */
static inline void get_text(struct reader *in, char *out_text, size_t bytes_max)
{
    memset(out_text, 0, bytes_max + 1);
    const size_t bytes = get_u16(in);
    if (bytes > bytes_max) in->failed = true;
    const struct mortar_bytes text = get_bytes(in, bytes);
    if (text.bytes == 0) return;
    if (memchr(text.data, 0, text.bytes) != NULL) {
        in->failed = true;
        return;
    }
    memcpy(out_text, text.data, text.bytes);
}

static inline bool status_is_known(uint16_t number)
{
#define STATUS_IS(name, value, text) || number == (value)
    return false MORTAR_STATUS_TABLE(STATUS_IS);
#undef STATUS_IS
}

/* 2 bytes: a number of mortar/status.h. */
static inline void put_status(struct writer *out, enum mortar_status status)
{
    put_u16(out, (uint16_t)status);
}

static inline enum mortar_status get_status(struct reader *in)
{
    const uint16_t number = get_u16(in);
    if (!status_is_known(number)) {
        in->failed = true;
        return MORTAR_OK;
    }
    return (enum mortar_status)number;
}

/* Index 0 with term 0 is the sentinel; every other position has neither at 0. */
static inline bool position_is_sound(struct mortar_position position)
{
    return (position.index == 0) == (position.term == 0);
}

#endif
