/* The messages of an election as bytes. */
#include "unit/wire/codec_check.h"
#include "wire/message.h"

CODEC(vote_request);
CODEC(vote_reply);
CODEC(timeout_now);

static const struct vote_request request = {
    .term = 7, .last = {.index = 300, .term = 6}, .pre = true, .transfer = false};
static const struct vote_reply reply = {.term = 7, .pre = false, .granted = true};

static void vote_request_survives_the_wire(void **state)
{
    (void)state;
    codec_check(&vote_request_codec, &request, VOTE_REQUEST_BYTES, CODEC_CLOSED);
}

static void vote_reply_survives_the_wire(void **state)
{
    (void)state;
    codec_check(&vote_reply_codec, &reply, VOTE_REPLY_BYTES, CODEC_CLOSED);
}

static void timeout_now_survives_the_wire(void **state)
{
    (void)state;
    const struct timeout_now message = {.term = 7};
    codec_check(&timeout_now_codec, &message, TIMEOUT_NOW_BYTES, CODEC_CLOSED);
    codec_refuses(&timeout_now_codec, &message, 0, 0); /* Term 0. */
}

static void fields_stand_where_the_table_says(void **state)
{
    (void)state;
    uint8_t block[VOTE_REQUEST_BYTES];
    struct writer out = writer_over(block, sizeof block);
    vote_request_encode(&request, &out);
    static const uint8_t expected[VOTE_REQUEST_BYTES] = {7, 0, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 0,
                                                         0, 0, 0, 6, 0, 0, 0, 0, 0,  0, 0, 1, 0};
    assert_memory_equal(block, expected, sizeof expected);
}

static void last_entry_of_a_later_term_is_refused(void **state)
{
    (void)state;
    codec_refuses(&vote_request_codec, &request, 0, 0);  /* Term 0. */
    codec_refuses(&vote_request_codec, &request, 16, 8); /* last.term > term */
    codec_refuses(&vote_request_codec, &request, 16, 0); /* An index without a term. */
    codec_refuses(&vote_request_codec, &request, 24, 2); /* No boolean. */
    codec_refuses(&vote_reply_codec, &reply, 0, 0);      /* A vote at term 0. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vote_request_survives_the_wire),
        cmocka_unit_test(vote_reply_survives_the_wire),
        cmocka_unit_test(timeout_now_survives_the_wire),
        cmocka_unit_test(fields_stand_where_the_table_says),
        cmocka_unit_test(last_entry_of_a_later_term_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
