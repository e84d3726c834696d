/* base/hash.h - checksums that find damage (XXH3). They are no defence against an attacker:
 * TLS is. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "mortar/types.h"

uint64_t checksum_64(struct mortar_bytes bytes, uint64_t seed);

/* XXH3-128 of an entry's bytes: the first half of its log sum. */
struct mortar_log_sum content_sum(struct mortar_bytes bytes);

/* The log sum after `entry`, given the one before it (design 5.2). Ignores entry->sum. */
struct mortar_log_sum log_sum_next(struct mortar_log_sum before, const struct mortar_entry *entry);

#endif
