/* Entries of client sessions as bytes. */
#include "unit/wire/codec_check.h"
#include "wire/client.h"

CODEC(client_entry);
CODEC(client_command);

static void client_entry_survives_the_wire(void **state)
{
    (void)state;
    const struct client_entry open = {.verb = CLIENT_OPEN, .ttl_ms = 60000};
    const struct client_entry keep = {.verb = CLIENT_KEEP, .session = 7};
    const struct client_entry close = {.verb = CLIENT_CLOSE, .session = UINT64_MAX};
    codec_check(&client_entry_codec, &open, CLIENT_ENTRY_BYTES, CODEC_CLOSED);
    codec_check(&client_entry_codec, &keep, CLIENT_ENTRY_BYTES, CODEC_CLOSED);
    codec_check(&client_entry_codec, &close, CLIENT_ENTRY_BYTES, CODEC_CLOSED);
    codec_refuses(&client_entry_codec, &open, 0, 0);
    codec_refuses(&client_entry_codec, &open, 0, 4);
    codec_refuses(&client_entry_codec, &open, 1, 1);  /* It has no id yet. */
    codec_refuses(&client_entry_codec, &open, 10, 0); /* Less than a second. */
    codec_refuses(&client_entry_codec, &open, 13, 1); /* More than a day. */
    codec_refuses(&client_entry_codec, &keep, 1, 0);  /* Of no session. */
    codec_refuses(&client_entry_codec, &keep, 9, 1);  /* Only who opens says how long. */
}

static void client_command_survives_the_wire(void **state)
{
    (void)state;
    const struct client_command command = {
        .session = 3, .sequence = 9, .acked = 8, .command = {(const uint8_t *)"put", 3}};
    const struct client_command empty = {.session = 1, .sequence = 1};
    codec_check(&client_command_codec, &command, CLIENT_COMMAND_BYTES + 3, CLIENT_COMMAND_BYTES);
    codec_check(&client_command_codec, &empty, CLIENT_COMMAND_BYTES, CLIENT_COMMAND_BYTES);
    codec_refuses(&client_command_codec, &command, 0, 0);
    codec_refuses(&client_command_codec, &command, 16, 9); /* It has no reply to this one yet. */
    codec_refuses(&client_command_codec, &empty, 8, 0);    /* Sequences begin with 1. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_entry_survives_the_wire),
        cmocka_unit_test(client_command_survives_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
