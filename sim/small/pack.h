/* sim/small/pack.h - struct raft as the bytes of a struct small_mind, and back.
 *
 * The one place that knows every field of struct raft. What only measures time is not kept: every
 * replica of a small world stands just before whatever its timers could do, and the search says
 * when they do it (docs/internals/small-worlds.md). A leader's view of others is void in other
 * roles, and kept as zeroes there.
 *
 * Memory: plain values. Threads: none. Errors: none; a number too large for a byte is asserted.
 */
#ifndef SIM_SMALL_PACK_H
#define SIM_SMALL_PACK_H

#include "raft/internal.h"
#include "sim/small/configs.h"

#define SMALL_TICKS 10u /* election_ticks_min */

static inline struct small_position small(struct mortar_position position)
{
    ASSERT(position.index < 16 && position.term < 16);
    return (struct small_position){(uint8_t)position.index, (uint8_t)position.term};
}

static inline struct mortar_position large(struct small_position position)
{
    return (struct mortar_position){.index = position.index, .term = position.term};
}

/* Fills in the part of `mind` that is struct raft's. */
void pack_raft(const struct raft *raft, struct configs *configs, struct small_mind *mind);
/* Sets every field of `raft` that a step may read; options, log view and self stay. */
void unpack_raft(const struct small_mind *mind, const struct configs *configs, struct raft *raft);
/* The log sum of the small world: it tells positions apart as the true one tells entries. */
struct mortar_log_sum small_sum(struct mortar_position position);
/* Asserts that unpacking what was packed gives the same struct raft: that no field is forgotten. */
void pack_check(const struct raft *raft, struct configs *configs);

#endif
