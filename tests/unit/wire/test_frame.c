/* Frames: bounded before anything is reserved, and whole or refused. */
#include "unit/test.h"
#include "wire/frame.h"

#include <string.h>

#define PAYLOAD       "a payload of some bytes"
#define PAYLOAD_BYTES (sizeof PAYLOAD - 1)
#define FRAME_BYTES   (FRAME_HEADER_BYTES + PAYLOAD_BYTES)

static void make_frame(uint8_t *data)
{
    memcpy(data + FRAME_HEADER_BYTES, PAYLOAD, PAYLOAD_BYTES);
    frame_seal(data, 1, MORTAR_LANE_BULK, 3, 0x1122334455667788, PAYLOAD_BYTES);
}

static void sealed_frame_opens(void **state)
{
    (void)state;
    uint8_t data[FRAME_BYTES];
    make_frame(data);
    assert_memory_equal(data, "MRTR", 4);
    struct frame_header header;
    struct mortar_bytes payload;
    assert_int_equal(
        frame_open((struct mortar_bytes){data, sizeof data}, MORTAR_LANE_BULK, &header, &payload),
        MORTAR_OK);
    assert_int_equal(header.version, 1);
    assert_int_equal(header.lane, MORTAR_LANE_BULK);
    assert_int_equal(header.type, 3);
    assert_int_equal(header.payload_bytes, PAYLOAD_BYTES);
    assert_int_equal(header.group, 0x1122334455667788);
    assert_ptr_equal(payload.data, data + FRAME_HEADER_BYTES);
    assert_int_equal(payload.bytes, PAYLOAD_BYTES);
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    uint8_t data[FRAME_BYTES];
    make_frame(data);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) {
        struct frame_header header = {.type = 99};
        struct mortar_bytes payload = {NULL, 99};
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(frame_open((struct mortar_bytes){data, sizeof data}, MORTAR_LANE_BULK,
                                        &header, &payload),
                             MORTAR_OK);
        assert_int_equal(header.type, 99);
        assert_int_equal(payload.bytes, 99);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void every_other_length_is_refused(void **state)
{
    (void)state;
    uint8_t data[FRAME_BYTES + 1] = {0};
    make_frame(data);
    struct frame_header header;
    struct mortar_bytes payload;
    for (size_t bytes = 0; bytes <= sizeof data; bytes++) {
        const enum mortar_status status =
            frame_open((struct mortar_bytes){data, bytes}, MORTAR_LANE_BULK, &header, &payload);
        assert_int_equal(status, bytes == FRAME_BYTES ? MORTAR_OK : MORTAR_E_CORRUPT);
    }
}

static void header_says_by_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        enum mortar_status expected;
    } cases[] = {
        {0, 'm', MORTAR_E_CORRUPT},
        {4, 0, MORTAR_E_VERSION},
        {4, WIRE_VERSION_MAX + 1, MORTAR_E_VERSION},
        {5, 1, MORTAR_E_VERSION},
        {6, 0, MORTAR_E_CORRUPT},
        {6, 2, MORTAR_E_CORRUPT},
        {11, 0xff, MORTAR_E_TOO_LARGE}, /* It announces 4 GB. */
        {12, 1, MORTAR_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t data[FRAME_BYTES];
        struct frame_header header;
        make_frame(data);
        data[cases[i].at] = cases[i].value;
        assert_int_equal(frame_header_decode((struct mortar_bytes){data, FRAME_HEADER_BYTES},
                                             MORTAR_LANE_BULK, &header),
                         cases[i].expected);
    }
}

static void payload_is_bounded_by_the_lane(void **state)
{
    (void)state;
    for (int lane = MORTAR_LANE_CONTROL; lane <= MORTAR_LANE_BULK; lane++) {
        uint8_t data[FRAME_HEADER_BYTES];
        struct frame_header header;
        frame_seal(data, 1, (enum mortar_lane)lane, 1, 0, 0);
        const uint32_t most = frame_payload_bytes_max((enum mortar_lane)lane);
        for (uint32_t more = 0; more < 2; more++) {
            const uint32_t bytes = most + more;
            memcpy(data + 8, &bytes, sizeof bytes);
            assert_int_equal(frame_header_decode((struct mortar_bytes){data, sizeof data},
                                                 (enum mortar_lane)lane, &header),
                             more == 0 ? MORTAR_OK : MORTAR_E_TOO_LARGE);
        }
    }
    uint8_t data[FRAME_HEADER_BYTES];
    expect_assert_failure(frame_seal(data, 1, MORTAR_LANE_CONTROL, 1, 0,
                                     frame_payload_bytes_max(MORTAR_LANE_CONTROL) + 1));
}

static void frame_built_in_place_is_the_sealed_one(void **state)
{
    (void)state;
    uint8_t expected[FRAME_BYTES];
    uint8_t data[8 + FRAME_BYTES];
    make_frame(expected);
    struct writer out = writer_over(data, sizeof data);
    put_u64(&out, 1); /* Something before it. */
    const size_t place = frame_begin(&out);
    put_copy(&out, PAYLOAD, PAYLOAD_BYTES);
    frame_end(&out, place, 1, MORTAR_LANE_BULK, 3, 0x1122334455667788);
    assert_false(out.failed);
    assert_int_equal(out.bytes, sizeof data);
    assert_memory_equal(data + 8, expected, sizeof expected);

    struct writer small = writer_over(data, FRAME_BYTES - 1);
    (void)frame_begin(&small);
    put_copy(&small, PAYLOAD, PAYLOAD_BYTES);
    frame_end(&small, 0, 1, MORTAR_LANE_BULK, 3, 0);
    assert_true(small.failed);
}

static void group_tag_is_the_first_eight_bytes(void **state)
{
    (void)state;
    const struct mortar_group_id group = {{1, 2, 3, 4, 5, 6, 7, 8, 9}};
    assert_int_equal(frame_group_tag(&group), 0x0807060504030201);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_frame_opens),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(header_says_by_name_what_is_wrong),
        cmocka_unit_test(payload_is_bounded_by_the_lane),
        cmocka_unit_test(frame_built_in_place_is_the_sealed_one),
        cmocka_unit_test(group_tag_is_the_first_eight_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
