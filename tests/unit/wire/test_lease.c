/* Leases as bytes. */
#include "unit/wire/codec_check.h"
#include "wire/message.h"

CODEC(lease);

static void lease_survives_the_wire(void **state)
{
    (void)state;
    const struct lease message = {.session = 1,
                                  .from_index = 1000,
                                  .bytes_max = 1ull << 40,
                                  .duration_ms = 30000,
                                  .term = 5,
                                  .ended = true};
    codec_check(&lease_codec, &message, LEASE_BYTES, CODEC_CLOSED);
    codec_refuses(&lease_codec, &message, 0, 0); /* Session 0 is none. */
    codec_refuses(&lease_codec, &message, 40, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_survives_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
