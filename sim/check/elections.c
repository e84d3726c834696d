/* sim/check/elections.c - elections never wait: a voter that may stand for election, and has heard
 * of no leader, does so within its patience by its own clock, in a session or not (thesis 3.4,
 * C12).
 *
 * Its patience is at most two election timeouts. It is looked at after that time, and told to be
 * at fault after as much again: whatever it took for a reason to wait has passed by then. */
#include "sim/check/seen.h"

#include <inttypes.h>

void judge_stirred(struct judges *judges, uint32_t replica)
{
    judges->replicas[replica].silent = 0;
}

bool judge_tick(struct judges *judges, uint32_t replica, uint64_t patience_ticks)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (patience_ticks > self->patience) self->patience = patience_ticks;
    self->silent++;
    return self->silent % self->patience == 0;
}

void judge_may_stand(struct judges *judges, uint32_t replica, bool voter,
                     struct mortar_position last)
{
    struct replica_seen *self = &judges->replicas[replica];
    const bool reaches = last.term != self->acked.term ? last.term > self->acked.term
                                                       : last.index >= self->acked.index;
    if (!voter || !reaches) {
        self->silent = 0;
    } else if (self->silent >= 2 * self->patience) {
        verdict_fail(judges->verdict, "elections",
                     "replica %" PRIu32 " is a voter, heard no leader for %" PRIu64
                     " ticks, and does not stand for election (session %" PRIu64 ")",
                     replica, self->silent, self->session);
    }
}
