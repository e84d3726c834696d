/* sim/check/duties.c - what a session owes to others, and a leader to its configuration.
 *
 * Fair:    who is dropped as a source has lied (C4). Polite: the first range of a session is not
 *          asked of the leader while others may hold it (C8). Thrifty: no range is verified twice
 *          in one session, and a tail that meets the log is not thrown away (C6).
 * Stubborn: it does not give up without asking again (C5).
 * Lawful:  a leader changes the configuration only behind a committed entry of its own term (thesis
 *          4.1, as corrected). */
#include "sim/check/judges.h"
#include "sim/check/verdict.h"

#include <inttypes.h>

void judge_source_dropped(struct judges *judges, uint32_t replica, uint32_t source, bool ever_lied)
{
    if (ever_lied) return;
    verdict_fail(judges->verdict, "sync",
                 "replica %" PRIu32 " dropped replica %" PRIu32 " as a source, which never lied",
                 replica, source);
}

void judge_first_fetch(struct judges *judges, uint32_t replica, bool from_leader, uint32_t others)
{
    if (!from_leader || others == 0) return;
    verdict_fail(judges->verdict, "sync",
                 "the session of replica %" PRIu32 " asks the leader first, though %" PRIu32
                 " others are there",
                 replica, others);
}

void judge_verified(struct judges *judges, uint32_t replica, uint64_t verified, uint64_t appended)
{
    if (verified <= appended) return;
    verdict_fail(judges->verdict, "sync",
                 "replica %" PRIu32 " verified %" PRIu64 " entries in a session that took %" PRIu64,
                 replica, verified, appended);
}

void judge_tail_dropped(struct judges *judges, uint32_t replica, uint64_t base, uint64_t last)
{
    if (base != last) return;
    verdict_fail(judges->verdict, "sync",
                 "replica %" PRIu32 " drops the tail from %" PRIu64
                 " on, though its log reaches it",
                 replica, base);
}

void judge_stalled(struct judges *judges, uint32_t replica, bool idle, uint32_t sources)
{
    if (!idle || sources == 0) return;
    verdict_fail(judges->verdict, "sync",
                 "the session of replica %" PRIu32 " gives up without asking any of %" PRIu32
                 " sources",
                 replica, sources);
}

void judge_tail_bytes(struct judges *judges, uint32_t replica, uint64_t bytes, uint64_t budget)
{
    if (bytes <= budget) return;
    verdict_fail(judges->verdict, "memory",
                 "the tail of replica %" PRIu32 " takes %" PRIu64 " bytes, its budget is %" PRIu64,
                 replica, bytes, budget);
}

void judge_config(struct judges *judges, uint32_t replica, uint64_t term, uint64_t committed_term)
{
    if (committed_term >= term) return;
    verdict_fail(judges->verdict, "members",
                 "replica %" PRIu32 " changes the configuration in term %" PRIu64
                 ", though it has committed nothing of that term",
                 replica, term);
}

void judge_observer_votes(struct judges *judges, uint32_t leader, uint32_t member)
{
    verdict_fail(judges->verdict, "members",
                 "replica %" PRIu32 " makes a voter of replica %" PRIu32 ", which is an observer",
                 leader, member);
}

void judge_dropped(struct judges *judges, uint32_t leader, uint32_t lost, uint32_t next)
{
    verdict_fail(judges->verdict, "members",
                 "replica %" PRIu32 " drops the voter %" PRIu32 " before replica %" PRIu32
                 ", which came for it, is a voter",
                 leader, lost, next);
}

void judge_came_back(struct judges *judges, uint32_t replica, uint32_t member, uint64_t index)
{
    verdict_fail(judges->verdict, "members",
                 "replica %" PRIu32 " follows the configuration at %" PRIu64
                 ", which has replica %" PRIu32 " back, removed before",
                 replica, index, member);
}

/* Whole by what its own disk holds, which is no less than what the leader knew of it. */
void judge_promoted(struct judges *judges, uint32_t leader, uint32_t member, uint64_t missing,
                    uint64_t resend_bytes)
{
    if (missing <= resend_bytes) return;
    verdict_fail(judges->verdict, "members",
                 "replica %" PRIu32 " makes a voter of replica %" PRIu32 ", which misses %" PRIu64
                 " bytes; it may miss %" PRIu64,
                 leader, member, missing, resend_bytes);
}

void judge_keeps_up(struct judges *judges, uint32_t leader, uint32_t member, uint64_t held,
                    uint64_t must)
{
    if (held >= must) return;
    verdict_fail(judges->verdict, "members",
                 "replica %" PRIu32 " makes a voter of replica %" PRIu32
                 ", which holds its log up to %" PRIu64
                 "; two election timeouts ago it ended at %" PRIu64,
                 leader, member, held, must);
}

/* Half of it: what was heard may have been nothing that counts. */
void judge_gone(struct judges *judges, uint32_t leader, uint32_t gone, uint64_t silent_ms,
                uint64_t remove_gone_ms)
{
    if (silent_ms >= remove_gone_ms / 2) return;
    verdict_fail(judges->verdict, "members",
                 "replica %" PRIu32 " drops the voter %" PRIu32 ", heard %" PRIu64
                 " ms ago; it may after %" PRIu64 " ms",
                 leader, gone, silent_ms, remove_gone_ms);
}
