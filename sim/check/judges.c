/* sim/check/judges.c - the bench on which the judges sit, and the judge of leaders. */
#include "sim/check/judges.h"

#include "sim/check/seen.h"

#include <inttypes.h>
#include <stdlib.h>

void judges_init(struct judges *judges, struct verdict *verdict)
{
    *judges = (struct judges){
        .verdict = verdict,
        .leaders.item_bytes = sizeof(struct leader_seen),
        .sums.item_bytes = sizeof(struct sums_seen),
        .committed.item_bytes = sizeof(struct committed_seen),
        .applied.item_bytes = sizeof(struct applied_seen),
        .commands.item_bytes = sizeof(struct command_seen),
        .ops.item_bytes = sizeof(struct op_seen),
        .deeds.item_bytes = sizeof(struct deed_seen),
        .replicas = calloc(JUDGES_REPLICAS_MAX, sizeof(struct replica_seen)),
    };
    if (judges->replicas == NULL) abort();
    for (uint32_t i = 0; i < JUDGES_REPLICAS_MAX; i++) {
        judges->replicas[i].verified.item_bytes = sizeof(uint8_t);
        judges->replicas[i].votes.item_bytes = sizeof(uint32_t);
        judges->replicas[i].asked.item_bytes = sizeof(struct mortar_position);
    }
}

void judges_deinit(struct judges *judges)
{
    for (uint32_t i = 0; i < JUDGES_REPLICAS_MAX; i++) {
        table_deinit(&judges->replicas[i].verified);
        table_deinit(&judges->replicas[i].votes);
        table_deinit(&judges->replicas[i].asked);
    }
    free(judges->replicas);
    table_deinit(&judges->leaders);
    table_deinit(&judges->sums);
    table_deinit(&judges->committed);
    table_deinit(&judges->applied);
    table_deinit(&judges->commands);
    table_deinit(&judges->ops);
    table_deinit(&judges->deeds);
}

/* Thesis 3.2.1, election safety. */
void judge_leader(struct judges *judges, uint32_t replica, uint64_t term)
{
    struct leader_seen *seen = table_at(&judges->leaders, term);
    if (seen->known && seen->replica != replica) {
        verdict_fail(judges->verdict, "leaders",
                     "replicas %" PRIu32 " and %" PRIu32 " both lead term %" PRIu64, seen->replica,
                     replica, term);
    }
    seen->known = true;
    seen->replica = replica;
}
