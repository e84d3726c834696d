/* Notes of members: any bytes may stand in one. What is taken is written back as the very same. */
#include "fuzz/law.h"
#include "node/member_note.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct member_note note;
    uint8_t bytes[MEMBER_NOTE_BYTES];
    const enum mortar_status status = member_note_decode((struct mortar_bytes){data, size}, &note);
    law(status == MORTAR_OK || status == MORTAR_E_CORRUPT);
    if (status != MORTAR_OK) return 0;
    law(size == sizeof bytes);
    member_note_encode(&note, bytes);
    law(memcmp(bytes, data, size) == 0);
    return 0;
}
