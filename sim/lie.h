/* sim/lie.h - what a broken source sends: answers to sessions whose content is wrong, under
 * checksums that are right.
 *
 * It lies about what a session must not trust (C4): entries, what it holds, why it refuses, and as
 * a source about the plan below the leader's base. The leader's own word about its log is trusted
 * by design.
 *
 * Memory:  a rewritten frame is a buffer of its own; the liar keeps one run, from malloc().
 * Threads: one. Errors: none.
 */
#ifndef SIM_LIE_H
#define SIM_LIE_H

#include "base/prng.h"
#include "mortar/types.h"
#include "sim/world.h"

/* The range that it sent before, to be sent again as another one. */
struct liar {
    uint8_t *run; /* NULL: none. */
    size_t run_bytes;
    uint64_t first;
    uint64_t last;
};

/* What one answer of a liar becomes: any lie that fits it, or of one kind only. */
struct lie_order {
    struct liar *liar;
    uint32_t only; /* enum sim_fault; 0: any. */
    const struct mortar_allocator *allocator;
    struct prng *prng;
};

void liar_deinit(struct liar *liar);

/* A rewritten copy of `frame`, sealed again, and what kind of lie it is; NULL: it answers no
 * session, or there is nothing in it to lie about. */
struct mortar_buffer *lie_about(const struct lie_order *order, struct mortar_bytes frame,
                                enum mortar_lane lane, enum sim_fault *out_kind);

/* True for a frame that answers a session. */
bool lie_is_possible(struct mortar_bytes frame, enum mortar_lane lane);
/* The same message under a sequence number of its own: the runtime takes it for another. */
struct mortar_buffer *lie_again(struct mortar_bytes frame, enum mortar_lane lane,
                                const struct mortar_allocator *allocator, struct prng *prng);

#endif
