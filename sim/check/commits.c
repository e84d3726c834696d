/* sim/check/commits.c - committed entries never change or vanish, and every later leader holds them
 * (thesis 3.6.3, leader completeness; C3, C11). */
#include "sim/check/seen.h"

#include <inttypes.h>

void judge_commit(struct judges *judges, uint32_t replica, uint64_t index, uint64_t term,
                  struct mortar_log_sum sum, uint64_t leader_term)
{
    struct committed_seen *seen = table_at(&judges->committed, index);
    if (!seen->known) {
        *seen = (struct committed_seen){true, replica, term, leader_term, sum};
        if (index > judges->committed_last) judges->committed_last = index;
    } else if (seen->term != term || seen->sum.low != sum.low || seen->sum.high != sum.high) {
        verdict_fail(judges->verdict, "commits",
                     "replica %" PRIu32 " commits %" PRIu64 "^%" PRIu64 ", replica %" PRIu32
                     " committed %" PRIu64 "^%" PRIu64 " there, or another log before it",
                     replica, index, term, seen->replica, index, seen->term);
    }
    struct replica_seen *self = &judges->replicas[replica];
    if (index <= self->committed) {
        verdict_fail(judges->verdict, "commits",
                     "replica %" PRIu32 " moves its commit index back from %" PRIu64 " to %" PRIu64,
                     replica, self->committed, index);
    }
    self->committed = index;
}

void judge_truncate(struct judges *judges, uint32_t replica, uint64_t from)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (from <= self->committed) {
        verdict_fail(judges->verdict, "commits",
                     "replica %" PRIu32 " cuts its log from %" PRIu64 " on, though %" PRIu64
                     " is committed there",
                     replica, from, self->committed);
    }
    for (uint64_t i = from; i < self->verified.count; i++) {
        if (*(const uint8_t *)table_find(&self->verified, i) == VERIFIED_NOT) continue;
        verdict_fail(judges->verdict, "sync",
                     "replica %" PRIu32 " cuts its log from %" PRIu64
                     " on, though its session had verified %" PRIu64,
                     replica, from, i);
        return;
    }
}

bool judge_is_committed(const struct judges *judges, uint64_t index, uint64_t term)
{
    const struct committed_seen *seen = table_find(&judges->committed, index);
    return seen != NULL && seen->known && seen->term == term;
}

bool judge_leader_must_hold(const struct judges *judges, uint64_t term, uint64_t *out_index,
                            struct mortar_log_sum *out_sum)
{
    for (uint64_t index = judges->committed_last; index > 0; index--) {
        const struct committed_seen *seen = table_find(&judges->committed, index);
        if (seen == NULL || !seen->known || seen->leader_term >= term) continue;
        *out_index = index;
        *out_sum = seen->sum;
        return true;
    }
    return false;
}

void judge_leader_lacks(struct judges *judges, uint32_t replica, uint64_t term, uint64_t index)
{
    verdict_fail(judges->verdict, "commits",
                 "replica %" PRIu32 " leads term %" PRIu64
                 " without what an earlier leader committed at %" PRIu64,
                 replica, term, index);
}
