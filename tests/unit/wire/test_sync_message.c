/* A sync method's message as bytes: its checksum is checked. */
#include "unit/wire/codec_check.h"
#include "wire/message.h"

CODEC(sync_message);

static struct sync_message sample(const char *words)
{
    struct sync_message message = {.session = 4, .sequence = 9, .to_session = true};
    message.bytes = (struct mortar_bytes){(const uint8_t *)words, strlen(words)};
    message.checksum = sync_message_checksum(message.bytes);
    return message;
}

static void sync_message_survives_the_wire(void **state)
{
    (void)state;
    const struct sync_message message = sample("the bytes of a method");
    codec_check(&sync_message_codec, &message, SYNC_MESSAGE_BYTES + 21, CODEC_CLOSED);
    const struct sync_message empty = sample("");
    codec_check(&sync_message_codec, &empty, SYNC_MESSAGE_BYTES, CODEC_CLOSED);
}

static void damaged_bytes_are_refused(void **state)
{
    (void)state;
    const struct sync_message message = sample("the bytes of a method");
    codec_refuses(&sync_message_codec, &message, SYNC_MESSAGE_BYTES, 'T');
    codec_refuses(&sync_message_codec, &message, 16, (uint8_t)(message.checksum + 1));
}

static void fixed_part_goes_alone_when_bytes_have_no_data(void **state)
{
    (void)state;
    struct sync_message message = sample("elsewhere");
    message.bytes.data = NULL;
    uint8_t block[64];
    struct writer out = writer_over(block, sizeof block);
    sync_message_encode(&message, &out);
    assert_int_equal(out.bytes, SYNC_MESSAGE_BYTES);
    put_copy(&out, "elsewhere", 9);
    bool accepted = false;
    uint8_t room[64];
    assert_true(codec_is_lawful(&sync_message_codec, (struct mortar_bytes){block, out.bytes}, room,
                                &accepted));
    assert_true(accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_message_survives_the_wire),
        cmocka_unit_test(damaged_bytes_are_refused),
        cmocka_unit_test(fixed_part_goes_alone_when_bytes_have_no_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
