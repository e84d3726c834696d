/* Requests to join, and their answers, as bytes. */
#include "unit/wire/codec_check.h"
#include "unit/wire/samples.h"
#include "wire/message.h"

CODEC(join_request);
CODEC(join_reply);

static void join_request_survives_the_wire(void **state)
{
    (void)state;
    struct join_request request = {.observer = true, .address = "a.example:7400"};
    codec_check(&join_request_codec, &request, JOIN_REQUEST_BYTES + 14, CODEC_CLOSED);
    codec_refuses(&join_request_codec, &request, 1, 1);  /* The zero byte. */
    codec_refuses(&join_request_codec, &request, 54, 0); /* A zero within the address. */
    codec_refuses(&join_request_codec, &request, 51, 1); /* 270 bytes of address. */
    memset(request.address, 'x', MORTAR_ADDRESS_BYTES_MAX);
    codec_check(&join_request_codec, &request, JOIN_REQUEST_BYTES + MORTAR_ADDRESS_BYTES_MAX,
                CODEC_CLOSED);
    codec_refuses(&join_request_codec, &request, 2, 1); /* An observer replaces nobody. */
    request.observer = false;
    request.replaces = sample_member(5);
    codec_check(&join_request_codec, &request, JOIN_REQUEST_BYTES + MORTAR_ADDRESS_BYTES_MAX,
                CODEC_CLOSED);
}

static void join_reply_survives_the_wire(void **state)
{
    (void)state;
    const struct join_reply reply = {.status = MORTAR_E_NOT_LEADER, .leader = sample_member(3)};
    codec_check(&join_reply_codec, &reply, JOIN_REPLY_BYTES, CODEC_CLOSED);
    codec_refuses(&join_reply_codec, &reply, 2, 1);
    const struct join_reply unknown = {.status = MORTAR_E_NO_LEADER};
    codec_check(&join_reply_codec, &unknown, JOIN_REPLY_BYTES, CODEC_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_request_survives_the_wire),
        cmocka_unit_test(join_reply_survives_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
