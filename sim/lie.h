/* sim/lie.h - what a broken source sends: frames of a sync method whose content is wrong, under
 * checksums that are right.
 *
 * Memory:  a rewritten frame is a buffer of its own. Threads: one. Errors: none.
 */
#ifndef SIM_LIE_H
#define SIM_LIE_H

#include "base/prng.h"
#include "mortar/types.h"

/* A rewritten copy of `frame` (a bulk frame of MESSAGE_SYNC that answers a session), sealed again;
 * NULL: it is no such frame, or memory is short. */
struct mortar_buffer *lie_about(struct mortar_buffer *frame,
                                const struct mortar_allocator *allocator, struct prng *prng);

#endif
