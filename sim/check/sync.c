/* sim/check/sync.c - catching up: what was verified stays and is not asked for again
 * (C6), what a session holds stays in its window (C7), every session ends (C5). */
#include "sim/check/judges.h"
#include "sim/check/verdict.h"

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

void judge_requested(struct judges *judges, uint32_t replica, uint64_t first, uint64_t last)
{
    const struct replica_seen *self = &judges->replicas[replica];
    uint64_t again = first <= self->committed ? first : 0;
    for (uint64_t i = first; i <= last && i < self->verified.count && again == 0; i++) {
        if (*(const uint8_t *)table_find(&self->verified, i) != 0) again = i;
    }
    if (again == 0) return;
    verdict_fail(judges->verdict, "sync",
                 "replica %" PRIu32 " asks for %" PRIu64 "..%" PRIu64 ", though %" PRIu64
                 " is committed there or was verified",
                 replica, first, last, again);
}

void judge_session_chunk(struct judges *judges, uint32_t replica, uint64_t session, uint64_t first,
                         uint64_t last)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (self->session != session || first == 0 || first > last) {
        verdict_fail(judges->verdict, "sync",
                     "replica %" PRIu32 " takes %" PRIu64 "..%" PRIu64 " into session %" PRIu64
                     ", which is not open",
                     replica, first, last, session);
        return;
    }
    for (uint64_t i = first; i <= last; i++) {
        uint8_t *verified = table_at(&self->verified, i);
        if (*verified != 0) {
            verdict_fail(judges->verdict, "sync",
                         "replica %" PRIu32 " fetched %" PRIu64 " again, though it was verified",
                         replica, i);
            return;
        }
        *verified = 1;
    }
}

void judge_session_entry(struct judges *judges, uint32_t replica, uint64_t index)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (self->session != 0) *(uint8_t *)table_at(&self->verified, index) = 1;
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

void judge_restarted(struct judges *judges, uint32_t replica, uint64_t last)
{
    struct replica_seen *self = &judges->replicas[replica];
    self->gone = false;
    self->session = 0;
    self->silent = 0;
    self->applied = 0;
    self->committed = 0;
    for (uint64_t i = last + 1; i < self->verified.count; i++)
        *(uint8_t *)table_at(&self->verified, i) = 0;
}

uint32_t judge_sessions_open(const struct judges *judges)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < JUDGES_REPLICAS_MAX; i++) {
        if (judges->replicas[i].session != 0) open++;
    }
    return open;
}
