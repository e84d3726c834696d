/* Pieces of long messages as bytes: no piece reaches beyond its whole. */
#include "unit/wire/codec_check.h"
#include "wire/frame.h"
#include "wire/message.h"

CODEC(part);

static const uint8_t piece[] = "a piece of a message";

static const struct part sample = {.term = 3,
                                   .number = 8,
                                   .total_bytes = 70,
                                   .offset = 50,
                                   .inner_type = MESSAGE_APPEND_REQUEST,
                                   .from_leader = true,
                                   .bytes = {piece, 20}};

static void part_survives_the_wire(void **state)
{
    (void)state;
    codec_check(&part_codec, &sample, PART_BYTES + 20, PART_BYTES + 1);
}

static void piece_outside_of_its_whole_is_refused(void **state)
{
    (void)state;
    codec_refuses(&part_codec, &sample, 20, 51);
    codec_refuses(&part_codec, &sample, 20, 71);
    codec_refuses(&part_codec, &sample, 23, 0xff);
    codec_refuses(&part_codec, &sample, 16, 69);
    codec_refuses(&part_codec, &sample, 19, 0x10); /* A whole beyond the largest message. */
    uint8_t block[PART_BYTES + 21];
    struct writer out = writer_over(block, sizeof block);
    part_encode(&sample, &out);
    put_u8(&out, 0);
    codec_try(&part_codec, (struct mortar_bytes){block, out.bytes}, true);
}

static void part_of_a_part_is_refused(void **state)
{
    (void)state;
    codec_refuses(&part_codec, &sample, 24, MESSAGE_PART);
    codec_refuses(&part_codec, &sample, 24, 0);
    codec_refuses(&part_codec, &sample, 24, 64);
}

static void leader_of_term_zero_is_refused(void **state)
{
    (void)state;
    codec_refuses(&part_codec, &sample, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_survives_the_wire),
        cmocka_unit_test(piece_outside_of_its_whole_is_refused),
        cmocka_unit_test(part_of_a_part_is_refused),
        cmocka_unit_test(leader_of_term_zero_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
