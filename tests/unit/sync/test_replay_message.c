/* The codecs of log replay: what is written is read back, all else is refused or harmless. */
#include "sync/replay_message.h"
#include "unit/sync/replay_codec.h"
#include "unit/test.h"
#include "wire/record.h"

#define POINT(i, t)                                                                                \
    {                                                                                              \
        {(i), (t)},                                                                                \
        {                                                                                          \
            (i) * 3, (t)*5 + 1                                                                     \
        }                                                                                          \
    }

/* One good message of each type, in a room of its own. */
static size_t sample(uint32_t which, uint8_t *room, size_t capacity)
{
    struct writer out = writer_over(room, capacity);
    static const uint8_t run[3 * RECORD_HEADER_BYTES] = {1, 2, 3};
    switch (which) {
    case 0:
        replay_availability_request_encode(&out);
        break;
    case 1:
        replay_availability_encode(
            &(struct replay_availability){true, 7, {3, 1}, POINT(90, 2), 12345}, &out);
        break;
    case 2:
        replay_match_request_encode(&(struct replay_match_request){.id = 4, .count = 3}, &out);
        for (uint64_t i = 1; i <= 3; i++) {
            replay_match_point_encode(i * 10, (struct mortar_log_sum){i, 9}, &out);
        }
        break;
    case 3:
        replay_match_encode(&(struct replay_match){5, true, 8, POINT(2, 1), {50, 4}, {40, 3}, 30},
                            &out);
        break;
    case 4:
        replay_plan_request_encode(&(struct replay_plan_request){6, 10, UINT64_MAX, 4096, 256},
                                   &out);
        break;
    case 5: {
        const struct replay_plan_point points[2] = {{POINT(20, 2), 10 * 60}, {POINT(40, 3), 960}};
        replay_plan_encode(&(struct replay_plan){.id = 7,
                                                 .leads = true,
                                                 .term = 9,
                                                 .base = POINT(2, 1),
                                                 .commit = {40, 3},
                                                 .after = POINT(10, 1),
                                                 .count = 2},
                           &out);
        replay_plan_point_encode(&points[0], &out);
        replay_plan_point_encode(&points[1], &out);
        break;
    }
    case 6:
        replay_fetch_encode(&(struct replay_fetch){8, 11, 20, 600}, &out);
        break;
    case 7:
        replay_entries_encode(&(struct replay_entries){9, 11, 13, 3, {0}}, &out);
        put_copy(&out, run, sizeof run);
        break;
    case 8:
        replay_refused_encode(&(struct replay_refused){10, REPLAY_TOO_FAR}, &out);
        break;
    default:
        replay_cancel_encode(&(struct replay_cancel){11, 20}, &out);
        break;
    }
    assert_false(out.failed);
    return out.bytes;
}

static void what_is_written_is_read_back_and_no_prefix_is(void **state)
{
    (void)state;
    static const size_t sizes[10] = {1, 66, 6 + 3 * 24, 86, 27, 96 + 2 * 36, 25, 25 + 144, 6, 17};
    for (uint32_t which = 0; which < 10; which++) {
        uint8_t room[512];
        uint8_t again[512];
        const size_t bytes = sample(which, room, sizeof room);
        assert_int_equal(bytes, sizes[which]);
        assert_int_equal(pass_through((struct mortar_bytes){room, bytes}, again, sizeof again),
                         bytes);
        assert_memory_equal(room, again, bytes);
        for (size_t prefix = 0; prefix < bytes; prefix++) {
            const struct mortar_bytes cut = {room, prefix};
            assert_int_equal(pass_through(cut, again, sizeof again), 0);
        }
        room[bytes] = 0;
        const bool open = which == 7; /* A run takes all that is left. */
        const struct mortar_bytes longer = {room, bytes + 1};
        assert_int_equal(pass_through(longer, again, sizeof again), open ? bytes + 1 : 0);
    }
}

/* Each value of each byte: refused, or the same bytes come out again. */
static void any_byte_may_be_any_value(void **state)
{
    (void)state;
    for (uint32_t which = 0; which < 10; which++) {
        uint8_t room[512];
        uint8_t again[512];
        const size_t bytes = sample(which, room, sizeof room);
        for (size_t at = 0; at < bytes; at++) {
            const uint8_t good = room[at];
            for (unsigned flip = 1; flip < 256; flip++) {
                room[at] = (uint8_t)(good ^ flip);
                const size_t passed =
                    pass_through((struct mortar_bytes){room, bytes}, again, sizeof again);
                if (passed == 0) continue;
                assert_int_equal(passed, bytes);
                assert_memory_equal(room, again, bytes);
            }
            room[at] = good;
        }
    }
}

/* W-16: what contradicts itself is refused where it is decoded. */
static void w16_contradictions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t which;
        size_t at;
        uint8_t value;
    } cases[] = {
        {"availability: base beyond the end", 1, 10, 91},
        {"availability: index 0 with a term", 1, 10, 0},
        {"match request: no points", 2, 5, 0},
        {"match request: 65 points", 2, 5, 65},
        {"match request: indexes that fall", 2, 6, 21},
        {"match: commit beyond the end", 3, 62, 51},
        {"match: agreed beyond the end", 3, 78, 51},
        {"plan request: from beyond to", 4, 13, 9},
        {"plan request: batches of no bytes", 4, 22, 0},
        {"plan: a point not beyond the one before", 5, 96, 10},
        {"plan: a term that falls", 5, 140, 1},
        {"plan: a point beyond the commit index", 5, 46, 39},
        {"plan: too few bytes for its entries", 5, 129, 0},
        {"fetch: index 0", 6, 5, 0},
        {"fetch: last before first", 6, 13, 10},
        {"fetch: too few bytes for its entries", 6, 22, 0},
        {"entries: count and range disagree", 7, 21, 4},
        {"entries: index 0", 7, 5, 0},
        {"refused: no such reason", 8, 5, 5},
        {"cancel: index 0", 9, 1, 0},
        {"cancel: last before first", 9, 9, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        uint8_t room[512];
        uint8_t again[512];
        const size_t bytes = sample(cases[i].which, room, sizeof room);
        if (cases[i].which == 4 && cases[i].at == 13) memset(room + 13, 0, 8);
        room[cases[i].at] = cases[i].value;
        const struct mortar_bytes in = {room, bytes};
        assert_int_equal(pass_through(in, again, sizeof again), 0);
    }
}

/* W-31: no message of the control lane exceeds its frame, at its largest. */
static void w31_the_largest_control_message_fits_its_frame(void **state)
{
    (void)state;
    assert_true(REPLAY_CONTROL_BYTES_MAX + 1024 < MORTAR_CONTROL_FRAME_BYTES_MAX);
    assert_true(REPLAY_MATCH_REQUEST_BYTES + REPLAY_MATCH_POINTS_MAX * REPLAY_MATCH_POINT_BYTES <
                REPLAY_CONTROL_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_and_no_prefix_is),
        cmocka_unit_test(any_byte_may_be_any_value),
        cmocka_unit_test(w16_contradictions_are_refused),
        cmocka_unit_test(w31_the_largest_control_message_fits_its_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
