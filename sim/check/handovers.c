/* sim/check/handovers.c - leadership is handed over as it should be (thesis 3.10): the leader takes
 * nothing new meanwhile, tells nobody who lacks what it has, and takes up its work again when
 * nothing came of it; nobody stands for election unasked; and who was to lead does, where the
 * caller was told so. */
#include "sim/check/seen.h"

#include <inttypes.h>

void judge_handover(struct judges *judges, uint32_t replica, bool runs)
{
    judges->replicas[replica].hands_over = runs;
    judges->replicas[replica].handover_ticks = 0;
}

void judge_own_entry(struct judges *judges, uint32_t replica, uint64_t index)
{
    if (!judges->replicas[replica].hands_over) return;
    verdict_fail(judges->verdict, "handovers",
                 "replica %" PRIu32 " hands over, and appends %" PRIu64 " of its own", replica,
                 index);
}

/* Its timeout may be tuned meanwhile: the longest counts, and some time to spare. */
void judge_handover_tick(struct judges *judges, uint32_t replica, uint64_t timeout_ticks)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (!self->hands_over) return;
    self->handover_ticks++;
    if (self->handover_ticks <= timeout_ticks) return;
    verdict_fail(judges->verdict, "handovers",
                 "replica %" PRIu32 " hands over for %" PRIu64 " ticks, and does not give up",
                 replica, self->handover_ticks);
}

void judge_takes_over(struct judges *judges, uint32_t leader, uint32_t target,
                      struct mortar_position last, bool holds)
{
    if (holds) return;
    verdict_fail(judges->verdict, "handovers",
                 "replica %" PRIu32 " hands over to %" PRIu32 ", whose disk lacks %" PRIu64
                 "^%" PRIu64,
                 leader, target, last.index, last.term);
}

void judge_asked_to_lead(struct judges *judges, uint32_t replica, uint64_t term)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (term > self->told_term) self->told_term = term;
}

void judge_stands_at_once(struct judges *judges, uint32_t replica, uint64_t term)
{
    const uint64_t told = judges->replicas[replica].told_term;
    if (told + 1 == term) return;
    verdict_fail(judges->verdict, "handovers",
                 "replica %" PRIu32 " stands for election in term %" PRIu64
                 " without a pre-vote, and was last asked to in term %" PRIu64,
                 replica, term, told);
}

void judge_handed_over(struct judges *judges, uint32_t target, uint64_t led, uint64_t led_before)
{
    if (led > led_before) return;
    verdict_fail(judges->verdict, "handovers",
                 "a caller was told that replica %" PRIu32 " leads; it led last in term %" PRIu64,
                 target, led);
}
