/* unit/wire/codec_check.h - what the test of each codec does with one good message.
 *
 * Memory: stack. Threads: one test. Errors: a failed check.
 */
#ifndef MORTAR_TESTS_UNIT_WIRE_CODEC_CHECK_H
#define MORTAR_TESTS_UNIT_WIRE_CODEC_CHECK_H

#include "unit/test.h"
#include "unit/wire/codec.h"

#define CODEC_BYTES_MAX 16384u

/* A format whose last field takes all that is left accepts prefixes from `open_from` on, and may
 * accept more bytes; for the others it is CODEC_CLOSED. */
#define CODEC_CLOSED SIZE_MAX

static inline void codec_try(const struct codec *codec, struct mortar_bytes in, bool must_refuse)
{
    uint8_t room[CODEC_BYTES_MAX + 1];
    bool accepted = false;
    if (!codec_is_lawful(codec, in, room, &accepted)) fail_msg("%s breaks a law", codec->name);
    if (must_refuse && accepted) fail_msg("%s accepts %zu bytes", codec->name, in.bytes);
}

/* Round trip, size, each prefix, one byte more, each value of each byte, each shorter room. */
static inline void codec_check(const struct codec *codec, const void *message, size_t bytes,
                               size_t open_from)
{
    uint8_t block[CODEC_BYTES_MAX + 1];
    uint8_t room[CODEC_BYTES_MAX + 1];
    bool accepted = false;
    struct writer out = writer_over(block, CODEC_BYTES_MAX);
    codec->encode(message, &out);
    assert_false(out.failed);
    assert_int_equal(out.bytes, bytes);
    assert_true(codec_is_lawful(codec, (struct mortar_bytes){block, bytes}, room, &accepted));
    assert_true(accepted);

    for (size_t prefix = 0; prefix < bytes; prefix++) {
        codec_try(codec, (struct mortar_bytes){block, prefix}, prefix < open_from);
        struct writer small = writer_over(room, prefix);
        codec->encode(message, &small);
        assert_true(small.failed);
    }
    block[bytes] = 0;
    codec_try(codec, (struct mortar_bytes){block, bytes + 1}, open_from == CODEC_CLOSED);
    for (size_t at = 0; at < bytes; at++) {
        const uint8_t good = block[at];
        for (unsigned flip = 1; flip < 256; flip++) {
            block[at] = (uint8_t)(good ^ flip);
            codec_try(codec, (struct mortar_bytes){block, bytes}, false);
        }
        block[at] = good;
    }
}

/* Encodes `message`, sets the byte at `at` to `value`, and demands a refusal. */
static inline void codec_refuses(const struct codec *codec, const void *message, size_t at,
                                 uint8_t value)
{
    uint8_t block[CODEC_BYTES_MAX];
    struct writer out = writer_over(block, sizeof block);
    codec->encode(message, &out);
    assert_true(!out.failed && at < out.bytes && block[at] != value);
    block[at] = value;
    codec_try(codec, (struct mortar_bytes){block, out.bytes}, true);
}

#endif
