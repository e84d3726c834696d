/* unit/wire/samples.h - entries, runs and ids for the tests of wire.
 *
 * Memory: the caller's blocks. Threads: plain functions. Errors: none.
 */
#ifndef MORTAR_TESTS_UNIT_WIRE_SAMPLES_H
#define MORTAR_TESTS_UNIT_WIRE_SAMPLES_H

#include "base/hash.h"
#include "wire/record.h"

#include <string.h>

static inline struct mortar_member_id sample_member(uint8_t number)
{
    struct mortar_member_id id = {0};
    memset(id.peer.bytes, number, sizeof id.peer.bytes);
    memset(id.store, (uint8_t)(number + 100), sizeof id.store);
    return id;
}

/* Appends a run of `count` entries behind `after` to `out`; payloads are i * 3 bytes long. */
static inline struct mortar_anchor_point
sample_run(struct writer *out, struct mortar_anchor_point after, uint64_t term, uint32_t count)
{
    static const uint8_t payload[] =
        "Mortar binds the tiles of a mosaic and fills the gaps between";
    for (uint32_t i = 0; i < count; i++) {
        struct mortar_entry entry = {.index = after.position.index + 1,
                                     .term = term + i / 2,
                                     .time_ms = 1000 + 10 * after.position.index,
                                     .kind =
                                         i % 3 == 2 ? MORTAR_ENTRY_MARKER : MORTAR_ENTRY_COMMAND,
                                     .bytes = {payload, (size_t)i * 3}};
        entry.sum = log_sum_next(after.sum, &entry);
        record_encode(&entry, out);
        after.position = (struct mortar_position){entry.index, entry.term};
        after.sum = entry.sum;
    }
    return after;
}

#endif
