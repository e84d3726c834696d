/* The messages of log replay, by their first byte. What decodes encodes to the same bytes. */
#include "fuzz/law.h"
#include "unit/sync/replay_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[FUZZ_INPUT_BYTES_MAX];
    if (size > FUZZ_INPUT_BYTES_MAX) return 0;
    const size_t passed = pass_through((struct mortar_bytes){data, size}, room, sizeof room);
    law(passed == 0 || passed == size);
    law(passed == 0 || memcmp(data, room, size) == 0);
    return 0;
}
