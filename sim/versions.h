/* sim/versions.h - replicas of different builds in one group: which wire version each speaks, and
 * whether any says or takes more than that.
 *
 * There is something to see in builds with -Dwire_next=true only; in others all speak version 1,
 * and nothing is drawn.
 *
 * Memory:  none. Threads: one. Errors: judge "versions".
 */
#ifndef SIM_VERSIONS_H
#define SIM_VERSIONS_H

#include "base/prng.h"
#include "mortar/types.h"

struct sim;
struct replica;

/* What a replica's options may say: 0 for the newest, or an older version. */
uint16_t versions_draw(struct prng *prng);
/* The highest version that a replica speaks. */
uint16_t versions_of(const struct replica *replica);
/* What a handshake between the two would agree on. */
uint16_t versions_common(const struct replica *a, const struct replica *b);
/* A lane between the two stands now. */
void versions_note_link(struct sim *sim, const struct replica *a, const struct replica *b);
/* An intact frame is about to arrive: its version is one that both builds know. */
void versions_check_frame(struct sim *sim, const struct replica *from, const struct replica *to,
                          struct mortar_bytes frame);
/* What the newest version adds works between each two that both speak it, and only there. False:
 * not yet, when links are young; true after a verdict too. */
bool versions_work(struct sim *sim);

#endif
