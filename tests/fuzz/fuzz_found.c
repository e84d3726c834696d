/* The founding entry: what decodes encodes to the same bytes, what does not leaves the output
 * alone. */
#include "fuzz/law.h"
#include "wire/found.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[FOUND_ENCODED_BYTES_MAX];
    static const struct found untouched = {.fingerprint_key = {77}};
    static struct found found;
    found = untouched;
    const enum mortar_status status = found_decode((struct mortar_bytes){data, size}, &found);
    if (status != MORTAR_OK) {
        law(status == MORTAR_E_CORRUPT);
        law(memcmp(&found, &untouched, sizeof found) == 0);
        return 0;
    }
    struct writer out = writer_over(again, sizeof again);
    found_encode(&found, &out);
    law(!out.failed && out.bytes == size);
    law(memcmp(again, data, size) == 0);
    return 0;
}
