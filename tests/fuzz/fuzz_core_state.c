/* The core state that a session installs: what decodes encodes to the same bytes, what does not
 * leaves the output alone. */
#include "fuzz/law.h"
#include "group/internal.h"

#include <stdlib.h>
#include <string.h>

#define AGAIN_BYTES_MAX (1u << 20)

static void *reserve(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void *resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return realloc(block, new_bytes);
}

static void release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

static const struct mortar_allocator allocator = {reserve, resize, release, NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[AGAIN_BYTES_MAX];
    static const struct core_state untouched = {.time_ms = 77};
    static struct core_state state;
    struct client_table clients;
    if (size > sizeof again) return 0;
    state = untouched;
    client_table_init(&clients, &allocator);
    const enum mortar_status status =
        core_state_decode((struct mortar_bytes){data, size}, &state, &clients);
    if (status != MORTAR_OK) {
        law(status == MORTAR_E_CORRUPT);
        law(memcmp(&state, &untouched, sizeof state) == 0);
        law(clients.count == 0);
        return 0;
    }
    law(state.config_index >= 1 && state.config_index <= state.applied.position.index);
    law(core_state_encode(&state, &clients, again, sizeof again) == size);
    law(memcmp(again, data, size) == 0);
    client_table_deinit(&clients);
    return 0;
}
