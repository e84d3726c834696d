/* unit/wire/codec.h - every codec behind one shape, for the unit tests and the fuzz targets.
 *
 * What is demanded of each (codec_is_lawful): a decoder that refuses says MORTAR_E_CORRUPT and
 * leaves its output alone; what it accepts encodes to the very bytes that it came from.
 *
 * Memory: stack. Threads: plain functions. Errors: false.
 */
#ifndef MORTAR_TESTS_UNIT_WIRE_CODEC_H
#define MORTAR_TESTS_UNIT_WIRE_CODEC_H

#include "base/cursor.h"

#include <stdalign.h>
#include <string.h>

#define CODEC_MESSAGE_BYTES_MAX 16384u /* The largest struct: config, bond_members. */
#define CODEC_FILL              0xa5

struct codec {
    const char *name;
    size_t message_bytes; /* Size of the struct. */
    void (*encode)(const void *message, struct writer *out);
    enum mortar_status (*decode)(struct mortar_bytes in, void *out);
};

/* Defines NAME_codec from NAME_encode() and NAME_decode() of `struct NAME`. */
#define CODEC(NAME) CODEC_OF(NAME, struct NAME, NAME##_encode, NAME##_decode)
#define CODEC_OF(NAME, TYPE, ENCODE, DECODE)                                                       \
    static void NAME##_erased_encode(const void *message, struct writer *out)                      \
    {                                                                                              \
        ENCODE((const TYPE *)message, out);                                                        \
    }                                                                                              \
    static enum mortar_status NAME##_erased_decode(struct mortar_bytes in, void *out)              \
    {                                                                                              \
        return DECODE(in, (TYPE *)out);                                                            \
    }                                                                                              \
    _Static_assert(sizeof(TYPE) <= CODEC_MESSAGE_BYTES_MAX, "fits the scratch block");             \
    static const struct codec NAME##_codec = {#NAME, sizeof(TYPE), NAME##_erased_encode,           \
                                              NAME##_erased_decode}

/* The same for a format that depends on the version: defines RESULT_codec for one of them. */
#define CODEC_OF_VERSION(RESULT, NAME, VERSION)                                                    \
    static void RESULT##_encode_it(const struct NAME *message, struct writer *out)                 \
    {                                                                                              \
        NAME##_encode(message, VERSION, out);                                                      \
    }                                                                                              \
    static enum mortar_status RESULT##_decode_it(struct mortar_bytes in, struct NAME *out)         \
    {                                                                                              \
        return NAME##_decode(in, VERSION, out);                                                    \
    }                                                                                              \
    CODEC_OF(RESULT, struct NAME, RESULT##_encode_it, RESULT##_decode_it)

struct codec_scratch {
    alignas(16) uint8_t message[CODEC_MESSAGE_BYTES_MAX];
};

static inline bool codec_left_alone(const struct codec_scratch *scratch)
{
    for (size_t i = 0; i < sizeof scratch->message; i++) {
        if (scratch->message[i] != CODEC_FILL) return false;
    }
    return true;
}

/* `room` has at least in.bytes bytes. `out_accepted` says which of the two laws was tried. */
static inline bool codec_is_lawful(const struct codec *codec, struct mortar_bytes in, uint8_t *room,
                                   bool *out_accepted)
{
    struct codec_scratch scratch;
    memset(scratch.message, CODEC_FILL, sizeof scratch.message);
    const enum mortar_status status = codec->decode(in, scratch.message);
    *out_accepted = status == MORTAR_OK;
    if (status != MORTAR_OK) return status == MORTAR_E_CORRUPT && codec_left_alone(&scratch);
    struct writer out = writer_over(room, in.bytes);
    codec->encode(scratch.message, &out);
    return !out.failed && out.bytes == in.bytes &&
           (in.bytes == 0 || memcmp(room, in.data, in.bytes) == 0);
}

#endif
