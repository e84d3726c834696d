/* sim/check/votes.c - one vote for a member in a term (thesis 3.4), whether or not it crashed in
 * between (3.8); and only for who is not behind what the voter once promised (C12). */
#include "sim/check/seen.h"

#include <inttypes.h>

/* Nothing in the order of positions: by term, then by index (thesis 3.6.1). */
static bool is_older(struct mortar_position a, struct mortar_position b)
{
    return a.term != b.term ? a.term < b.term : a.index < b.index;
}

void judge_asked(struct judges *judges, uint32_t replica, uint64_t term, bool pre,
                 struct mortar_position last)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (is_older(last, self->acked)) {
        verdict_fail(judges->verdict, "complete",
                     "replica %" PRIu32 " asks for votes with %" PRIu64 "^%" PRIu64
                     ", though it had acknowledged %" PRIu64 "^%" PRIu64,
                     replica, last.index, last.term, self->acked.index, self->acked.term);
    }
    if (pre) return;
    *(struct mortar_position *)table_at(&self->asked, term) = last;
    judge_vote(judges, replica, term, replica);
}

void judge_vote(struct judges *judges, uint32_t replica, uint64_t term, uint32_t candidate)
{
    struct replica_seen *self = &judges->replicas[replica];
    uint32_t *vote = table_at(&self->votes, term);
    if (*vote != 0 && *vote != candidate + 1) {
        verdict_fail(judges->verdict, "votes",
                     "replica %" PRIu32 " votes in term %" PRIu64 " for %" PRIu32
                     " and for %" PRIu32,
                     replica, term, *vote - 1, candidate);
    }
    *vote = candidate + 1;
    const struct mortar_position *asked = table_find(&judges->replicas[candidate].asked, term);
    if (candidate == replica || asked == NULL || asked->index == 0) return;
    if (is_older(*asked, self->acked)) {
        verdict_fail(judges->verdict, "complete",
                     "replica %" PRIu32 " votes for %" PRIu32 " with %" PRIu64 "^%" PRIu64
                     ", though it had acknowledged %" PRIu64 "^%" PRIu64,
                     replica, candidate, asked->index, asked->term, self->acked.index,
                     self->acked.term);
    }
}

void judge_matched(struct judges *judges, uint32_t replica, struct mortar_position position,
                   bool durable)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (!durable) {
        verdict_fail(judges->verdict, "complete",
                     "replica %" PRIu32 " acknowledges %" PRIu64 "^%" PRIu64
                     ", which its disk does not hold",
                     replica, position.index, position.term);
    }
    if (is_older(self->acked, position)) self->acked = position;
}

void judge_counted(struct judges *judges, uint32_t replica, struct mortar_position position)
{
    judge_matched(judges, replica, position, true);
}

void judge_cut(struct judges *judges, uint32_t replica, struct mortar_position last)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (self->acked.index > last.index) self->acked = last;
}

void judge_leads(struct judges *judges, uint32_t replica, uint64_t term,
                 struct mortar_position last)
{
    const struct replica_seen *self = &judges->replicas[replica];
    judge_vote(judges, replica, term, replica);
    if (self->session != 0) {
        verdict_fail(judges->verdict, "complete",
                     "replica %" PRIu32 " leads term %" PRIu64 " in session %" PRIu64, replica,
                     term, self->session);
    }
    if (is_older(last, self->acked)) {
        verdict_fail(judges->verdict, "complete",
                     "replica %" PRIu32 " leads term %" PRIu64 " with %" PRIu64 "^%" PRIu64
                     ", though it had acknowledged %" PRIu64 "^%" PRIu64,
                     replica, term, last.index, last.term, self->acked.index, self->acked.term);
    }
}
