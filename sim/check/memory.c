/* sim/check/memory.c - what a session costs in memory stays in its window, and the whole replica
 * stays within that and what its other options allow (C7). */
#include "sim/check/judges.h"

#include <inttypes.h>

void judge_held(struct judges *judges, uint32_t replica, uint64_t held_max, uint64_t window)
{
    if (held_max > window) {
        verdict_fail(judges->verdict, "memory",
                     "the session of replica %" PRIu32 " held %" PRIu64
                     " bytes, its window is %" PRIu64,
                     replica, held_max, window);
    }
}

/* Buffers that are shared may count more than once in what is taken off: the judge is mild then. */
void judge_memory(struct judges *judges, uint32_t replica, const struct memory_used *used,
                  const struct memory_allowed *allowed)
{
    const uint64_t known = used->log + used->disk + used->under_way + used->held;
    const uint64_t bound = allowed->served + allowed->applied + allowed->requests + allowed->fixed;
    if (used->total <= known + bound) return;
    verdict_fail(judges->verdict, "memory",
                 "replica %" PRIu32 " runs a session and has %" PRIu64
                 " bytes beside log, disk, frames and window; it may have %" PRIu64 ": %" PRIu64
                 " served, %" PRIu64 " applied, %" PRIu64 " of requests, %" PRIu64 " fixed",
                 replica, used->total - known, bound, allowed->served, allowed->applied,
                 allowed->requests, allowed->fixed);
}
