/* Forwarded calls as bytes: exactly so many items, each within its limit. */
#include "unit/wire/codec_check.h"
#include "wire/message.h"

#include <stdlib.h>

CODEC(forward_request);
CODEC(forward_reply);

static struct mortar_bytes sample_items(uint8_t *block, size_t bytes)
{
    struct writer out = writer_over(block, bytes);
    forward_item_put(&out, (struct mortar_bytes){(const uint8_t *)"first", 5});
    forward_item_put(&out, (struct mortar_bytes){0});
    forward_item_put(&out, (struct mortar_bytes){(const uint8_t *)"third one", 9});
    return (struct mortar_bytes){block, out.bytes};
}

static void forward_request_survives_the_wire(void **state)
{
    (void)state;
    uint8_t block[64];
    const struct forward_request request = {.id = 3,
                                            .kind = FORWARD_FEED,
                                            .timeout_ms = 5000,
                                            .count = 3,
                                            .items = sample_items(block, sizeof block)};
    codec_check(&forward_request_codec, &request, FORWARD_REQUEST_BYTES + request.items.bytes,
                CODEC_CLOSED);
    codec_refuses(&forward_request_codec, &request, 8, 0);
    codec_refuses(&forward_request_codec, &request, 8, 7);
    codec_refuses(&forward_request_codec, &request, 13, 2);
    codec_refuses(&forward_request_codec, &request, 13, 4);
    codec_refuses(&forward_request_codec, &request, 15, 1);    /* More than 65536. */
    codec_refuses(&forward_request_codec, &request, 17, 6);    /* Into the next item. */
    codec_refuses(&forward_request_codec, &request, 20, 0x40); /* A gigabyte. */
}

static void request_without_items_is_refused(void **state)
{
    (void)state;
    uint8_t block[FORWARD_REQUEST_BYTES] = {0};
    block[8] = FORWARD_EXECUTE;
    codec_try(&forward_request_codec, (struct mortar_bytes){block, sizeof block}, true);
}

static void forward_reply_survives_the_wire(void **state)
{
    (void)state;
    uint8_t block[64];
    const struct forward_reply reply = {.id = 3,
                                        .status = MORTAR_OK,
                                        .first = {.index = 10, .term = 2},
                                        .last = {.index = 12, .term = 2},
                                        .count = 3,
                                        .items = sample_items(block, sizeof block)};
    codec_check(&forward_reply_codec, &reply, FORWARD_REPLY_BYTES + reply.items.bytes,
                CODEC_CLOSED);
    codec_refuses(&forward_reply_codec, &reply, 10, 13); /* The first is after the last. */
    codec_refuses(&forward_reply_codec, &reply, 18, 0);  /* An index without a term. */
    const struct forward_reply lost = {.id = 4, .status = MORTAR_E_LOST};
    codec_check(&forward_reply_codec, &lost, FORWARD_REPLY_BYTES, CODEC_CLOSED);
}

static void items_are_read_in_order(void **state)
{
    (void)state;
    uint8_t block[64];
    struct reader items = reader_over(sample_items(block, sizeof block));
    assert_memory_equal(forward_item_get(&items).data, "first", 5);
    assert_int_equal(forward_item_get(&items).bytes, 0);
    const struct mortar_bytes third = forward_item_get(&items);
    assert_int_equal(third.bytes, 9);
    assert_memory_equal(third.data, "third one", 9);
    assert_true(reader_done(&items));
}

/* The bytes are there, so only the limit speaks against it. */
static void item_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    const uint32_t most = MORTAR_COMMAND_BYTES_LIMIT;
    uint8_t *const block = calloc(1, FORWARD_ITEM_BYTES + most + 1);
    assert_non_null(block);
    for (uint32_t more = 0; more < 2; more++) {
        const uint32_t bytes = most + more;
        memcpy(block, &bytes, sizeof bytes);
        struct reader items = reader_over((struct mortar_bytes){block, FORWARD_ITEM_BYTES + bytes});
        assert_int_equal(forward_item_get(&items).bytes, more == 0 ? most : 0);
        assert_int_equal(items.failed, more == 1);
    }
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_request_survives_the_wire),
        cmocka_unit_test(request_without_items_is_refused),
        cmocka_unit_test(forward_reply_survives_the_wire),
        cmocka_unit_test(items_are_read_in_order),
        cmocka_unit_test(item_beyond_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
