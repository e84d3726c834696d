/* sim/prune.h - log replay whose provider lets the log be pruned. Log replay itself never does:
 * with it alone, a member that holds the whole log can serve any other. What a session meets when
 * the log is pruned under it is tried all the same, since other methods will prune.
 *
 * Memory:  of the allocator given to the method below. Threads: as the method below.
 * Errors:  as the method below.
 */
#ifndef SIM_PRUNE_H
#define SIM_PRUNE_H

#include "mortar/sync.h"

struct prune {
    struct mortar_sync_method method; /* The one to open a core with. */
    const struct mortar_sync_method *below;
    struct mortar_sync_provider_ops provider;
    struct mortar_sync_session_ops session;
    struct mortar_allocator allocator;
    uint64_t to; /* What may be pruned; 0: nothing. May change at any time. */
};

/* Makes prune->method, which passes all on to `below`; both stay where they are. */
void prune_init(struct prune *prune, const struct mortar_allocator *allocator,
                const struct mortar_sync_method *below);

#endif
