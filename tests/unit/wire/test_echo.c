/* The message of the synthetic next version. */
#include "unit/wire/codec_check.h"
#include "wire/message.h"

CODEC(echo);

static void echo_survives_the_wire(void **state)
{
    (void)state;
    const struct echo question = {.number = 0x0203040506070809u};
    const struct echo answer = {.number = 1, .answer = true};
    codec_check(&echo_codec, &question, ECHO_BYTES, CODEC_CLOSED);
    codec_check(&echo_codec, &answer, ECHO_BYTES, CODEC_CLOSED);
    codec_refuses(&echo_codec, &answer, 0, 0); /* Number 0. */
    codec_refuses(&echo_codec, &answer, 8, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_survives_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
