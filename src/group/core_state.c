/* group/core_state.c - what every install carries beside the machine's state (C11).
 *
 * Encoded, version 1, little-endian:
 *
 *   offset  size  field
 *        0     1  version = 1
 *        1    16  applied position (index, term)
 *       17    16  log sum there
 *       33     8  log time in ms
 *       41    16  birth id
 *       57    16  fingerprint key
 *       73     8  config index, <= applied index
 *       81     4  bytes of the configuration
 *       85        configuration (wire/config.h)
 *                 client sessions (group/client_table.h)
 */
#include "base/assert.h"
#include "group/internal.h"

#include <string.h>

#define CORE_STATE_VERSION     1u
#define CORE_STATE_FIXED_BYTES 85u /* Beside the configuration and the sessions. */

size_t core_state_encode(const struct core_state *state, const struct client_table *clients,
                         void *out, size_t capacity)
{
    uint8_t config[CONFIG_ENCODED_BYTES_MAX];
    struct writer config_out = writer_over(config, sizeof config);
    if (state->config_index != 0) config_encode(&state->config, &config_out);
    ASSERT(!config_out.failed);
    const size_t bytes =
        CORE_STATE_FIXED_BYTES + config_out.bytes + client_table_encoded_bytes(clients);
    if (bytes > capacity) return bytes;
    struct writer writer = writer_over(out, capacity);
    put_u8(&writer, CORE_STATE_VERSION);
    put_position(&writer, state->applied.position);
    put_log_sum(&writer, state->applied.sum);
    put_u64(&writer, state->time_ms);
    put_copy(&writer, state->birth.bytes, sizeof state->birth.bytes);
    put_copy(&writer, state->fingerprint_key, sizeof state->fingerprint_key);
    put_u64(&writer, state->config_index);
    put_u32(&writer, (uint32_t)config_out.bytes);
    put_copy(&writer, config, config_out.bytes);
    client_table_encode(clients, &writer);
    ASSERT(!writer.failed);
    ASSERT(writer.bytes == bytes);
    return bytes;
}

enum mortar_status core_state_decode(struct mortar_bytes in, struct core_state *out_state,
                                     struct client_table *clients)
{
    struct reader reader = reader_over(in);
    struct core_state state = {.birth_known = true};
    const uint8_t version = get_u8(&reader);
    state.applied.position = get_position(&reader);
    state.applied.sum = get_log_sum(&reader);
    state.time_ms = get_u64(&reader);
    get_copy(&reader, state.birth.bytes, sizeof state.birth.bytes);
    get_copy(&reader, state.fingerprint_key, sizeof state.fingerprint_key);
    state.config_index = get_u64(&reader);
    const uint32_t config_bytes = get_u32(&reader);
    const struct mortar_bytes config = get_bytes(&reader, config_bytes);
    if (reader.failed || version != CORE_STATE_VERSION) return MORTAR_E_CORRUPT;
    if (state.config_index == 0 || state.config_index > state.applied.position.index) {
        return MORTAR_E_CORRUPT;
    }
    enum mortar_status status = config_decode(config, &state.config);
    if (status != MORTAR_OK) return status;
    status = client_table_decode(&reader, clients);
    if (status != MORTAR_OK) return status;
    if (!reader_done(&reader)) {
        client_table_deinit(clients);
        return MORTAR_E_CORRUPT;
    }
    *out_state = state;
    return MORTAR_OK;
}

enum mortar_status mortar_sync_core_state(const struct mortar_sync *sync, void *out,
                                          size_t capacity, size_t *out_bytes)
{
    const struct mortar_core *core = sync->core;
    if (core->apply_running) return MORTAR_E_BUSY; /* The machine's thread has the sessions. */
    const size_t bytes = core_state_encode(&core->state, core->clients, out, capacity);
    *out_bytes = bytes;
    return bytes <= capacity ? MORTAR_OK : MORTAR_E_NO_SPACE;
}
