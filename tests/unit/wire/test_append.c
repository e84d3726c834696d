/* Appends and their answers as bytes; the run inside keeps its order. */
#include "unit/wire/codec_check.h"
#include "unit/wire/samples.h"
#include "wire/frame.h"
#include "wire/message.h"

CODEC(append_request);
CODEC_OF_VERSION(append_reply, append_reply, WIRE_VERSION_MIN);

#define RUN_ENTRIES 5u

static const struct mortar_anchor_point before = {{.index = 41, .term = 3}, {.low = 5, .high = 6}};

static struct append_request sample_request(uint8_t *run, size_t run_bytes)
{
    struct writer out = writer_over(run, run_bytes);
    (void)sample_run(&out, before, 3, RUN_ENTRIES);
    return (struct append_request){.term = 9,
                                   .prev = before.position,
                                   .commit_index = 40,
                                   .vouched = {{.index = 40, .term = 3}, {.low = 1, .high = 2}},
                                   .round = 17,
                                   .sync_id = 2,
                                   .tail_restart = true,
                                   .tail_base = before,
                                   .sent_ms = 123456,
                                   .count = RUN_ENTRIES,
                                   .entries = {run, out.bytes}};
}

static void append_request_survives_the_wire(void **state)
{
    (void)state;
    uint8_t run[1024];
    const struct append_request request = sample_request(run, sizeof run);
    codec_check(&append_request_codec, &request, APPEND_REQUEST_BYTES + request.entries.bytes,
                CODEC_CLOSED);
}

static void heartbeat_survives_the_wire(void **state)
{
    (void)state;
    const struct append_request heartbeat = {.term = 1};
    codec_check(&append_request_codec, &heartbeat, APPEND_REQUEST_BYTES, CODEC_CLOSED);
    const struct append_request quiet = {.term = 1, .quiet = true};
    codec_check(&append_request_codec, &quiet, APPEND_REQUEST_BYTES, CODEC_CLOSED);
}

static void fixed_part_goes_alone_when_entries_have_no_data(void **state)
{
    (void)state;
    uint8_t run[1024];
    uint8_t block[2048];
    struct append_request request = sample_request(run, sizeof run);
    const struct mortar_bytes entries = request.entries;
    struct writer whole = writer_over(block, sizeof block);
    append_request_encode(&request, &whole);
    request.entries.data = NULL;
    uint8_t fixed[2048];
    struct writer out = writer_over(fixed, sizeof fixed);
    append_request_encode(&request, &out);
    assert_int_equal(out.bytes, APPEND_REQUEST_BYTES);
    put_bytes(&out, entries);
    assert_int_equal(out.bytes, whole.bytes);
    assert_memory_equal(fixed, block, out.bytes);
}

static void run_that_breaks_the_order_is_refused(void **state)
{
    (void)state;
    const size_t first = APPEND_REQUEST_BYTES;
    const size_t second = first + RECORD_HEADER_BYTES;
    static const struct {
        const char *why;
        size_t at; /* From the first record on. */
        uint8_t value;
    } cases[] = {
        {"the first index is not prev + 1", 16, 43},
        {"the first term is below prev's", 24, 2},
        {"the term is beyond the message's", 24, 10},
        {"the first time is after the second's", 33, 0xff},
        {"the length reaches into the next record", 40, 1},
        {"the length reaches beyond the end", 43, 1},
        {"the kind is 0", 44, 0},
        {"the kind is 9", 44, 9},
        {"a zero is none", 46, 1},
    };
    uint8_t run[1024];
    const struct append_request request = sample_request(run, sizeof run);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        codec_refuses(&append_request_codec, &request, first + cases[i].at, cases[i].value);
    }
    codec_refuses(&append_request_codec, &request, second + 16, 42); /* An index twice. */
    const size_t last = first + request.entries.bytes - record_bytes(3 * (RUN_ENTRIES - 1));
    codec_refuses(&append_request_codec, &request, last + 24,
                  10); /* Its term: the message's is 9. */
    codec_refuses(&append_request_codec, &request, 121, RUN_ENTRIES - 1);
    codec_refuses(&append_request_codec, &request, 121, RUN_ENTRIES + 1);
    codec_refuses(&append_request_codec, &request, 124, 0xff); /* Four billion entries. */
    codec_refuses(&append_request_codec, &request, 80, 3);     /* Quiet, with entries. */
}

static void sync_fields_without_an_episode_are_refused(void **state)
{
    (void)state;
    const struct append_request heartbeat = {.term = 1};
    codec_refuses(&append_request_codec, &heartbeat, 80, 1);
    codec_refuses(&append_request_codec, &heartbeat, 80, 4); /* No such flag. */
    codec_refuses(&append_request_codec, &heartbeat, 100, 1);
    expect_assert_failure({
        uint8_t block[256];
        struct writer out = writer_over(block, sizeof block);
        append_request_encode(&(struct append_request){.term = 1, .tail_restart = true}, &out);
    });
}

static const struct append_reply reply = {.term = 9,
                                          .outcome = APPEND_MISMATCH,
                                          .match_index = 0,
                                          .last = {.index = 50, .term = 4},
                                          .hint = {.index = 44, .term = 2},
                                          .first_missing = 45,
                                          .round = 17,
                                          .sync_id = 3,
                                          .tail_index = 99,
                                          .commit_index = 40,
                                          .whole = true};

static void append_reply_survives_the_wire(void **state)
{
    (void)state;
    codec_check(&append_reply_codec, &reply, APPEND_REPLY_BYTES, CODEC_CLOSED);
    codec_refuses(&append_reply_codec, &reply, 0, 0);
    codec_refuses(&append_reply_codec, &reply, 8, 0);
    codec_refuses(&append_reply_codec, &reply, 8, 4);
    codec_refuses(&append_reply_codec, &reply, 25, 0); /* last.term */
    codec_refuses(&append_reply_codec, &reply, 33, 0); /* hint.index */
}

#ifdef MORTAR_WIRE_NEXT
CODEC_OF_VERSION(next_append_reply, append_reply, WIRE_VERSION_NEXT);

static void next_version_only_adds_to_append_reply(void **state)
{
    (void)state;
    uint8_t old_block[128];
    uint8_t next_block[128];
    struct append_reply next = reply;
    next.heard = 0x0102030405060708u;
    codec_check(&next_append_reply_codec, &next, APPEND_REPLY_BYTES_MAX, CODEC_CLOSED);
    codec_refuses(&next_append_reply_codec, &next, 25, 0); /* What version 1 refuses. */

    struct writer old_out = writer_over(old_block, sizeof old_block);
    struct writer next_out = writer_over(next_block, sizeof next_block);
    append_reply_encode(&next, WIRE_VERSION_MIN, &old_out);
    append_reply_encode(&next, WIRE_VERSION_NEXT, &next_out);
    assert_int_equal(old_out.bytes, APPEND_REPLY_BYTES);
    assert_int_equal(next_out.bytes, APPEND_REPLY_BYTES_MAX);
    assert_memory_equal(old_block, next_block, APPEND_REPLY_BYTES);
    assert_int_equal(next_block[APPEND_REPLY_BYTES], 8);

    struct append_reply read;
    const struct mortar_bytes old_bytes = {old_block, old_out.bytes};
    const struct mortar_bytes next_bytes = {next_block, next_out.bytes};
    assert_int_equal(append_reply_decode(old_bytes, WIRE_VERSION_NEXT, &read), MORTAR_E_CORRUPT);
    assert_int_equal(append_reply_decode(next_bytes, WIRE_VERSION_MIN, &read), MORTAR_E_CORRUPT);
    assert_int_equal(append_reply_decode(old_bytes, WIRE_VERSION_MIN, &read), MORTAR_OK);
    assert_int_equal(read.heard, 0);
    assert_int_equal(append_reply_decode(next_bytes, WIRE_VERSION_NEXT, &read), MORTAR_OK);
    assert_int_equal(read.heard, next.heard);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_request_survives_the_wire),
        cmocka_unit_test(heartbeat_survives_the_wire),
        cmocka_unit_test(fixed_part_goes_alone_when_entries_have_no_data),
        cmocka_unit_test(run_that_breaks_the_order_is_refused),
        cmocka_unit_test(sync_fields_without_an_episode_are_refused),
        cmocka_unit_test(append_reply_survives_the_wire),
#ifdef MORTAR_WIRE_NEXT
        cmocka_unit_test(next_version_only_adds_to_append_reply),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
