/* Key files: any text may stand in one. What parses is written back as the very same bytes, so
 * there is one text for each key. */
#include "fuzz/law.h"
#include "node/key_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_file key;
    char text[KEY_FILE_BYTES_MAX];
    const struct mortar_bytes in = {data, size};
    const enum mortar_status status = key_file_parse(in, &key);
    law(status == MORTAR_OK || status == MORTAR_E_CORRUPT);
    if (status != MORTAR_OK) return 0;
    law(key.key_count >= 1 && key.key_count <= BOND_KEYS_MAX);
    law(key_file_format(&key, text) == size);
    law(memcmp(text, data, size) == 0);
    return 0;
}
