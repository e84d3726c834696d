/* Configurations, and changes to them. First two bytes: length of the configuration; then come
 * changes. What decodes encodes to the same bytes; what the changes give is sound, in both phases.
 */
#include "fuzz/law.h"
#include "unit/wire/codec.h"
#include "wire/config.h"

#define CHANGES_MAX 16u

CODEC(config);

/* Applies the changes in `in` to `from`. */
static void try_changes(const struct config *from, struct reader in)
{
    static struct config_change changes[CHANGES_MAX];
    uint32_t count = 0;
    while (count < CHANGES_MAX && in.bytes > 0) {
        if (config_change_decode(&in, &changes[count]) != MORTAR_OK) break;
        count++;
    }
    struct config next;
    const enum mortar_status status = config_apply(from, changes, count, &next);
    law((status == MORTAR_E_CHANGING) == from->joint);
    if (status != MORTAR_OK) return;
    law(config_is_sound(&next));
    if (!next.joint) return;
    config_leave_joint(&next, &next);
    law(config_is_sound(&next) && !next.joint);
    law(config_voter_count(&next) >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[FUZZ_INPUT_BYTES_MAX];
    if (size < 2 || size > FUZZ_INPUT_BYTES_MAX) return 0;
    struct reader in = reader_over((struct mortar_bytes){data, size});
    const uint16_t config_bytes = get_u16(&in);
    const struct mortar_bytes encoded = get_bytes(&in, config_bytes);
    if (in.failed) return 0;
    bool accepted = false;
    law(codec_is_lawful(&config_codec, encoded, room, &accepted));
    struct config config;
    if (config_decode(encoded, &config) == MORTAR_OK) try_changes(&config, in);
    return 0;
}
