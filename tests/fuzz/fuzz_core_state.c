/* The core state that a session installs: what decodes encodes to the same bytes, what does not
 * leaves the output alone. */
#include "fuzz/law.h"
#include "group/internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[CORE_STATE_BYTES_MAX];
    static const struct core_state untouched = {.time_ms = 77};
    static struct core_state state;
    state = untouched;
    const enum mortar_status status = core_state_decode((struct mortar_bytes){data, size}, &state);
    if (status != MORTAR_OK) {
        law(status == MORTAR_E_CORRUPT);
        law(memcmp(&state, &untouched, sizeof state) == 0);
        return 0;
    }
    law(state.config_index >= 1 && state.config_index <= state.applied.position.index);
    law(core_state_encode(&state, again, sizeof again) == size);
    law(memcmp(again, data, size) == 0);
    return 0;
}
