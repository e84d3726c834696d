/* base/hash.c - XXH3 behind three names, so that no other file depends on the library's macros.
 *
 * The log sum hashes one block (design 5.2), little-endian:
 *
 *   offset  size  field
 *        0    16  log sum before the entry (low, high)
 *       16     8  index
 *       24     8  term
 *       32     1  kind
 *       33     8  time_ms
 *       41    16  XXH3-128 of the entry's bytes (low, high)
 */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include "base/cursor.h"

#include <xxhash.h>

#define LOG_SUM_BLOCK_BYTES 57u

uint64_t checksum_64(struct mortar_bytes bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.bytes, seed);
}

struct mortar_log_sum content_sum(struct mortar_bytes bytes)
{
    const XXH128_hash_t hash = XXH3_128bits(bytes.data, bytes.bytes);
    return (struct mortar_log_sum){.low = hash.low64, .high = hash.high64};
}

struct mortar_log_sum log_sum_next(struct mortar_log_sum before, const struct mortar_entry *entry)
{
    uint8_t block[LOG_SUM_BLOCK_BYTES];
    struct writer out = writer_over(block, sizeof block);
    put_log_sum(&out, before);
    put_u64(&out, entry->index);
    put_u64(&out, entry->term);
    put_u8(&out, (uint8_t)entry->kind);
    put_u64(&out, entry->time_ms);
    put_log_sum(&out, content_sum(entry->bytes));
    const XXH128_hash_t hash = XXH3_128bits(block, sizeof block);
    return (struct mortar_log_sum){.low = hash.low64, .high = hash.high64};
}
