/* sim/small/host.h - one replica of a small world: a thin host of the real consensus core.
 *
 * Does for src/raft what src/group does (drive.c, log.c, outbox.c, session.c): carries out effects
 * in order, keeps the log view, writes to the disk in order, holds sends back behind saves, opens
 * and ends sessions. A step takes a replica and an event and gives the replica after it; it depends
 * on nothing else, so that the search makes each step once and remembers it.
 *
 * Memory:  one struct raft per member. Threads: none. Errors: a broken invariant panics.
 */
#ifndef SIM_SMALL_HOST_H
#define SIM_SMALL_HOST_H

#include "raft/raft.h"
#include "sim/check/verdict.h"
#include "sim/small/configs.h"
#include "sim/small/model.h"
#include "sim/small/pool.h"

#define HOST_DEPTH 4u

struct small_step {
    struct small_mind mind;
    struct small_facts facts;
    uint32_t sent_count;
    uint32_t sent[SMALL_SENT];
    struct verdict verdict; /* Of the judges that need to see one replica only. */
};

struct host {
    const struct small_set *set;
    struct configs *configs;
    struct pool *messages; /* struct small_message */
    struct raft *rafts[SMALL_MEMBERS + 1];
    uint64_t steps;

    /* The step in hand. */
    struct small_step *step;
    struct small_log main; /* The logs with all writes under way. */
    struct small_log tail;
    const struct small_message *message;
    bool leads; /* As far as the effects tell. */
    uint32_t depth;
    struct raft_effects effects[HOST_DEPTH];
};

void host_init(struct host *host, const struct small_set *set, struct configs *configs,
               struct pool *messages);
void host_deinit(struct host *host);

/* A replica with an empty disk but for entry 1, the first configuration. */
void host_found(struct host *host, uint8_t member, struct small_step *out_step);
void host_step(struct host *host, const struct small_mind *before, uint32_t event,
               struct small_step *out_step);

#endif
