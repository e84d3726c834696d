/* wire/record.h - one log entry as bytes: the same on the wire, in the memory log, and on disk.
 *
 * Record, version 1, little-endian:
 *
 *   offset  size  field
 *        0    16  log sum through this entry (low, high)
 *       16     8  index, >= 1
 *       24     8  term, >= 1
 *       32     8  time_ms
 *       40     4  payload bytes, <= MORTAR_COMMAND_BYTES_LIMIT
 *       44     1  kind, 1..6
 *       45     3  zero
 *       48        payload
 *
 * A *run* is records back to back with consecutive indexes and terms and times that never fall.
 */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "base/cursor.h"
#include "mortar/types.h"

#define RECORD_HEADER_BYTES    48u
#define RECORD_POSITION_OFFSET 16u /* Index and term. */
#define RECORD_POSITION_BYTES  16u

static inline size_t record_bytes(size_t payload_bytes)
{
    return RECORD_HEADER_BYTES + payload_bytes;
}

/* Writes one record. Asserts that the entry keeps the rules above. */
void record_encode(const struct mortar_entry *entry, struct writer *out);

/* Reads one record; entry->bytes borrows from the input. Any bytes may come.
 *   MORTAR_E_CORRUPT  short, or breaking a rule of the table. The reader is then failed. */
MORTAR_NODISCARD enum mortar_status record_decode(struct reader *in,
                                                  struct mortar_entry *out_entry);

/* Checks a whole run: shape, indexes from after.position.index + 1 on, terms and times that never
 * fall, at most `count_max` entries, and the log sums, each recomputed from after.sum on.
 * `time_ms_before` is the time of the entry at `after` (0: unknown). `offsets`, if not NULL, gets
 * the offset of each record (room for count_max; unspecified on failure). Accepts an empty run.
 *   MORTAR_E_CORRUPT     shape, order or length is wrong.
 *   MORTAR_E_UNVERIFIED  a record's sum is not that of its content. */
struct record_run {
    uint32_t count;
    struct mortar_anchor_point last; /* After the run; `after` itself for an empty one. */
    uint64_t last_time_ms;
};
MORTAR_NODISCARD enum mortar_status record_run_verify(struct mortar_bytes run,
                                                      struct mortar_anchor_point after,
                                                      uint64_t time_ms_before, uint32_t count_max,
                                                      uint32_t *offsets,
                                                      struct record_run *out_run);

#endif
