/* sim/check/sync.c - catching up: no range is asked for or verified again once it was verified
 * (C6), what a session holds stays in its window (C7), every session ends (C5). */
#include "sim/check/seen.h"

#include <inttypes.h>

void judge_session_open(struct judges *judges, uint32_t replica, uint64_t session)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (self->session != 0) {
        verdict_fail(judges->verdict, "sync",
                     "replica %" PRIu32 " opens session %" PRIu64 " while %" PRIu64 " runs",
                     replica, session, self->session);
    }
    self->session = session;
    self->sessions++;
}

void judge_session_end(struct judges *judges, uint32_t replica, uint64_t session)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (self->session != session) {
        verdict_fail(judges->verdict, "sync",
                     "replica %" PRIu32 " ends session %" PRIu64 ", which is not open", replica,
                     session);
    }
    self->session = 0;
}

/* The first index of first..last that was verified before; 0: none. */
static uint64_t verified_before(const struct replica_seen *self, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last && i < self->verified.count; i++) {
        const uint8_t *verified = table_find(&self->verified, i);
        if (*verified != 0) return i;
    }
    return 0;
}

void judge_requested(struct judges *judges, uint32_t replica, uint64_t first, uint64_t last)
{
    const uint64_t again = verified_before(&judges->replicas[replica], first, last);
    if (again != 0) {
        verdict_fail(judges->verdict, "sync",
                     "replica %" PRIu32 " asks for %" PRIu64 "..%" PRIu64
                     ", though it verified %" PRIu64 " before",
                     replica, first, last, again);
    }
}

void judge_verified(struct judges *judges, uint32_t replica, uint64_t first, uint64_t last)
{
    struct replica_seen *self = &judges->replicas[replica];
    const uint64_t again = verified_before(self, first, last);
    if (again != 0) {
        verdict_fail(judges->verdict, "sync",
                     "replica %" PRIu32 " verifies %" PRIu64 "..%" PRIu64
                     ", though it verified %" PRIu64 " before",
                     replica, first, last, again);
    }
    for (uint64_t i = first; i <= last; i++)
        *(uint8_t *)table_at(&self->verified, i) = 1;
}

void judge_held(struct judges *judges, uint32_t replica, uint64_t held_max, uint64_t window)
{
    if (held_max > window) {
        verdict_fail(judges->verdict, "sync",
                     "the session of replica %" PRIu32 " held %" PRIu64
                     " bytes, its window is %" PRIu64,
                     replica, held_max, window);
    }
}

void judge_replica_gone(struct judges *judges, uint32_t replica)
{
    judges->replicas[replica].gone = true;
    judges->replicas[replica].session = 0;
}

uint32_t judge_sessions_open(const struct judges *judges)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < JUDGES_REPLICAS_MAX; i++) {
        if (judges->replicas[i].session != 0) open++;
    }
    return open;
}
