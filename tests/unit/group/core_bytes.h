/* unit/group/core_bytes.h - a core state with its client sessions as bytes, for tests.
 *
 * Memory, threads, errors: as group/client_table.h; the allocator counts, and can be told to fail.
 */
#ifndef MORTAR_TESTS_UNIT_GROUP_CORE_BYTES_H
#define MORTAR_TESTS_UNIT_GROUP_CORE_BYTES_H

#include "group/internal.h"
#include "unit/base/memory.h"

#define CORE_BYTES_MAX (128u + CONFIG_ENCODED_BYTES_MAX + 4096u)

/* Without any session. */
static inline size_t core_bytes(const struct core_state *state, void *out, size_t capacity)
{
    const struct client_table none = {.due_ms = UINT64_MAX};
    return core_state_encode(state, &none, out, capacity);
}

/* Reads them, and forgets the sessions. */
static inline enum mortar_status core_bytes_read(struct mortar_bytes bytes,
                                                 struct core_state *out_state)
{
    struct counted_memory memory = {.allowed = SIZE_MAX};
    const struct mortar_allocator allocator = counted_allocator(&memory);
    struct client_table clients;
    client_table_init(&clients, &allocator);
    const enum mortar_status status = core_state_decode(bytes, out_state, &clients);
    client_table_deinit(&clients);
    return status;
}

#endif
