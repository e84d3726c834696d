/* sim/small/rename.h - replicas, messages and histories with their members renamed, and packed.
 *
 * Memory: plain values. Threads: none. Errors: none. */
#ifndef SIM_SMALL_RENAME_H
#define SIM_SMALL_RENAME_H

#include "sim/small/judge.h"
#include "sim/small/pool.h"

/* `names[m]` is the new number of m; names[0] is 0. */
void rename_message(struct small_message *message, const uint8_t *names, struct configs *configs);
void rename_history(struct small_history *history, const uint8_t *names, struct configs *configs);
/* The messages that it holds back are renamed by the caller, and put in order after that. */
void rename_mind(struct small_mind *mind, const uint8_t *names, struct configs *configs);

/* Runs of zeroes are counted: a mind is mostly those. */
#define MIND_PACKED_MAX (2u * sizeof(struct small_mind))
uint32_t mind_pack(const struct small_mind *mind, uint8_t out_bytes[MIND_PACKED_MAX]);
void mind_unpack(struct mortar_bytes bytes, struct small_mind *out_mind);

#endif
