/* The assembler: frames come out whole however the bytes come in, and a bad header ends it before
 * anything is reserved. */
#include "node/assembler.h"
#include "os/memory.h"
#include "unit/test.h"

#include <string.h>

#define TAG 0x1122334455667788u

struct frame_case {
    enum mortar_lane lane;
    uint8_t type;
    uint64_t group;
    uint32_t payload_bytes;
};

static size_t build(uint8_t *data, const struct frame_case *frame)
{
    for (uint32_t i = 0; i < frame->payload_bytes; i++)
        data[FRAME_HEADER_BYTES + i] = (uint8_t)i;
    frame_seal(data, 1, frame->lane, frame->type, frame->group, frame->payload_bytes);
    return FRAME_HEADER_BYTES + frame->payload_bytes;
}

/* Feeds `bytes` in pieces of at most `piece`; answers the frames that came out whole and equal. */
static size_t feed(struct assembler *assembler, const uint8_t *data, size_t bytes, size_t piece)
{
    size_t frames = 0;
    size_t begin = 0; /* Of the frame under way. */
    for (size_t at = 0; at < bytes;) {
        uint8_t *space;
        size_t capacity;
        struct mortar_buffer *frame;
        assembler_space(assembler, &space, &capacity);
        size_t take = bytes - at;
        if (take > piece) take = piece;
        if (take > capacity) take = capacity;
        memcpy(space, data + at, take);
        at += take;
        assert_int_equal(assembler_took(assembler, take, &frame), MORTAR_OK);
        if (frame == NULL) continue;
        assert_int_equal(mortar_buffer_bytes(frame), at - begin);
        assert_memory_equal(mortar_buffer_data(frame), data + begin, at - begin);
        mortar_buffer_release(frame);
        begin = at;
        frames++;
    }
    return frames;
}

static void frames_come_out_whole_in_any_pieces(void **state)
{
    (void)state;
    static const struct frame_case cases[] = {
        {MORTAR_LANE_CONTROL, BOND_HELLO, 0, 120}, {MORTAR_LANE_CONTROL, 3, TAG, 0},
        {MORTAR_LANE_CONTROL, 3, TAG, 1},          {MORTAR_LANE_CONTROL, BOND_PING, 0, 16},
        {MORTAR_LANE_CONTROL, 4, TAG, 1000},
    };
    const size_t count = sizeof cases / sizeof cases[0];
    uint8_t data[2048];
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += build(data + bytes, &cases[i]);
    for (size_t piece = 1; piece <= bytes; piece += piece < 40 ? 1 : 97) {
        struct assembler assembler;
        assembler_init(&assembler, &memory_default, TAG);
        assembler.proved = true;
        assert_int_equal(feed(&assembler, data, bytes, piece), count);
        assert_int_equal(assembler.lane, MORTAR_LANE_CONTROL);
        assembler_deinit(&assembler);
    }
}

static enum mortar_status try_header(const struct frame_case *frame, bool proved, size_t flip)
{
    uint8_t header[FRAME_HEADER_BYTES];
    uint8_t *space;
    size_t capacity;
    struct assembler assembler;
    struct mortar_buffer *whole = NULL;
    /* Sealed as an empty frame, then given the length: no such payload needs to exist. */
    frame_seal(header, 1, frame->lane, frame->type, frame->group, 0);
    memcpy(header + 8, &frame->payload_bytes, sizeof frame->payload_bytes);
    if (flip < sizeof header) header[flip] ^= 0x40;
    assembler_init(&assembler, &memory_default, TAG);
    assembler.proved = proved;
    assembler_space(&assembler, &space, &capacity);
    assert_int_equal(capacity, sizeof header);
    memcpy(space, header, sizeof header);
    const enum mortar_status status = assembler_took(&assembler, sizeof header, &whole);
    if (status != MORTAR_OK) assert_null(assembler.frame);
    mortar_buffer_release(whole);
    assembler_deinit(&assembler);
    return status;
}

static void a_header_out_of_bounds_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct frame_case frame;
        bool proved;
        size_t flip;
        enum mortar_status status;
    } cases[] = {
        {"sound", {MORTAR_LANE_CONTROL, 3, TAG, 10}, true, 99, MORTAR_OK},
        {"4 GB", {MORTAR_LANE_BULK, 11, TAG, UINT32_MAX}, true, 99, MORTAR_E_TOO_LARGE},
        {"bulk, too long",
         {MORTAR_LANE_BULK, 11, TAG, BULK_FRAME_BYTES_MAX + 1},
         true,
         99,
         MORTAR_E_TOO_LARGE},
        {"bulk, longest", {MORTAR_LANE_BULK, 11, TAG, BULK_FRAME_BYTES_MAX}, true, 99, MORTAR_OK},
        {"control, too long", {MORTAR_LANE_CONTROL, 3, TAG, 65537}, true, 99, MORTAR_E_TOO_LARGE},
        {"long before the proof",
         {MORTAR_LANE_BULK, BOND_HELLO, 0, 20000},
         false,
         99,
         MORTAR_E_TOO_LARGE},
        {"group frame before the proof",
         {MORTAR_LANE_CONTROL, 3, TAG, 10},
         false,
         99,
         MORTAR_E_CORRUPT},
        {"another group", {MORTAR_LANE_CONTROL, 3, TAG + 1, 10}, true, 99, MORTAR_E_GROUP},
        {"bond frame of a group",
         {MORTAR_LANE_CONTROL, BOND_PING, TAG, 16},
         true,
         99,
         MORTAR_E_GROUP},
        {"magic", {MORTAR_LANE_CONTROL, 3, TAG, 10}, true, 0, MORTAR_E_CORRUPT},
        {"version", {MORTAR_LANE_CONTROL, 3, TAG, 10}, true, 4, MORTAR_E_VERSION},
        {"lane", {MORTAR_LANE_CONTROL, 3, TAG, 10}, true, 6, MORTAR_E_CORRUPT},
        {"zero field", {MORTAR_LANE_CONTROL, 3, TAG, 10}, true, 13, MORTAR_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        assert_int_equal(try_header(&cases[i].frame, cases[i].proved, cases[i].flip),
                         cases[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_whole_in_any_pieces),
        cmocka_unit_test(a_header_out_of_bounds_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
