/* Read-index requests and replies as bytes. */
#include "unit/wire/codec_check.h"
#include "wire/message.h"

CODEC(read_request);
CODEC(read_reply);

static void read_request_survives_the_wire(void **state)
{
    (void)state;
    codec_check(&read_request_codec, &(struct read_request){.id = 0x0102030405060708},
                READ_REQUEST_BYTES, CODEC_CLOSED);
}

static void read_reply_survives_the_wire(void **state)
{
    (void)state;
    const struct read_reply reply = {.id = 5, .status = MORTAR_E_NOT_LEADER, .index = 77};
    codec_check(&read_reply_codec, &reply, READ_REPLY_BYTES, CODEC_CLOSED);
}

static void status_that_nobody_knows_is_refused(void **state)
{
    (void)state;
    const struct read_reply reply = {.id = 5, .status = MORTAR_E_ALIVE, .index = 77};
    codec_refuses(&read_reply_codec, &reply, 8, MORTAR_E_ALIVE + 1);
    codec_refuses(&read_reply_codec, &reply, 9, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_request_survives_the_wire),
        cmocka_unit_test(read_reply_survives_the_wire),
        cmocka_unit_test(status_that_nobody_knows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
