/* sim/check/sync.c - catching up: what was verified stays and is not asked for again (C6), every
 * session ends (C5). */
#include "sim/check/seen.h"

#include <inttypes.h>

#define SESSION_LATE_MS 1000u

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
    self->told = (struct session_told){0};
}

/* What waited goes with the session. */
static void forget_waiting(struct replica_seen *self)
{
    for (uint64_t i = self->committed + 1; i < self->verified.count; i++) {
        uint8_t *verified = table_at(&self->verified, i);
        if (*verified == VERIFIED_WAITS) *verified = VERIFIED_NOT;
    }
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
    forget_waiting(self);
}

void judge_requested(struct judges *judges, uint32_t replica, uint64_t first, uint64_t last)
{
    const struct replica_seen *self = &judges->replicas[replica];
    uint64_t again = first <= self->committed ? first : 0;
    for (uint64_t i = first; i <= last && i < self->verified.count && again == 0; i++) {
        if (*(const uint8_t *)table_find(&self->verified, i) != VERIFIED_NOT) again = i;
    }
    if (again == 0) return;
    verdict_fail(judges->verdict, "sync",
                 "replica %" PRIu32 " asks for %" PRIu64 "..%" PRIu64 ", though %" PRIu64
                 " is committed there or was verified",
                 replica, first, last, again);
}

/* None of first..last may have got as far before. */
static void verify(struct judges *judges, uint32_t replica, uint64_t session, uint64_t first,
                   uint64_t last, enum verified verified)
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
        uint8_t *before = table_at(&self->verified, i);
        if (*before >= verified) {
            verdict_fail(judges->verdict, "sync",
                         "replica %" PRIu32 " fetched %" PRIu64 " again, though it was verified",
                         replica, i);
            return;
        }
        *before = (uint8_t)verified;
    }
}

void judge_session_verified(struct judges *judges, uint32_t replica, uint64_t session,
                            uint64_t first, uint64_t last)
{
    verify(judges, replica, session, first, last, VERIFIED_WAITS);
}

void judge_session_chunk(struct judges *judges, uint32_t replica, uint64_t session, uint64_t first,
                         uint64_t last)
{
    verify(judges, replica, session, first, last, VERIFIED_IN_LOG);
}

void judge_session_entry(struct judges *judges, uint32_t replica, uint64_t index)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (self->session != 0) *(uint8_t *)table_at(&self->verified, index) = VERIFIED_IN_LOG;
}

bool judge_session_runs(const struct judges *judges, uint32_t replica)
{
    return judges->replicas[replica].session != 0;
}

/* The time that is left follows from bytes and rate, rounded down. */
static bool time_fits(const struct session_left *left)
{
    if (left->bytes_per_second == 0) return left->ms == UINT64_MAX;
    return left->ms == left->bytes * 1000 / left->bytes_per_second;
}

void judge_session_left(struct judges *judges, uint32_t replica, const struct session_left *left)
{
    const uint64_t reaches = left->log_end + left->waiting + left->entries;
    const uint64_t most = /* Of its own, the end may be wrong: nobody has looked yet. */
        left->log_end > judges->committed_last ? left->log_end : judges->committed_last;
    if (reaches < left->must_reach || reaches > most) {
        verdict_fail(judges->verdict, "estimates",
                     "the session of replica %" PRIu32 " says that %" PRIu64
                     " entries are left, and so ends at %" PRIu64 "; at least %" PRIu64
                     " are there, at most %" PRIu64,
                     replica, left->entries, reaches, left->must_reach, most);
    }
    if (!time_fits(left) || (left->entries == 0 && left->bytes > 0)) {
        verdict_fail(judges->verdict, "estimates",
                     "the session of replica %" PRIu32 " says that %" PRIu64 " entries, %" PRIu64
                     " bytes are left, %" PRIu64 " a second, and takes %" PRIu64 " ms",
                     replica, left->entries, left->bytes, left->bytes_per_second, left->ms);
    }
}

/* Beside what is verified, a session makes progress when it has found where logs agree; and its
 * clock is looked at some ticks late. */
static uint64_t patience_ms(const struct session_told *told)
{
    return 2 * told->give_up_ms + SESSION_LATE_MS;
}

void judge_session_told(struct judges *judges, uint32_t replica, const struct session_told *told)
{
    struct session_told *before = &judges->replicas[replica].told;
    if (told->entries_done < before->entries_done || told->bytes_done < before->bytes_done) {
        verdict_fail(judges->verdict, "sync",
                     "the session of replica %" PRIu32 " had verified %" PRIu64 " entries, %" PRIu64
                     " bytes, and now says %" PRIu64 ", %" PRIu64,
                     replica, before->entries_done, before->bytes_done, told->entries_done,
                     told->bytes_done);
    }
    const bool rises = told->entries_done > before->entries_done || before->now_ms == 0;
    if (!rises && told->now_ms > before->now_ms + patience_ms(told)) {
        verdict_fail(judges->verdict, "sync",
                     "the session of replica %" PRIu32 " has verified nothing for %" PRIu64
                     " ms, and does not end; it gives up after %" PRIu64,
                     replica, told->now_ms - before->now_ms, told->give_up_ms);
    }
    const uint64_t since_ms = rises ? told->now_ms : before->now_ms;
    *before = *told;
    before->now_ms = since_ms;
}

void judge_replica_gone(struct judges *judges, uint32_t replica)
{
    judges->replicas[replica].gone = true;
    judges->replicas[replica].session = 0;
    forget_waiting(&judges->replicas[replica]);
}

void judge_restarted(struct judges *judges, uint32_t replica, uint64_t last)
{
    struct replica_seen *self = &judges->replicas[replica];
    self->gone = false;
    self->session = 0;
    self->hands_over = false;
    self->silent = 0;
    self->applied = 0;
    self->committed = 0;
    for (uint64_t i = last + 1; i < self->verified.count; i++)
        *(uint8_t *)table_at(&self->verified, i) = VERIFIED_NOT;
}

uint32_t judge_sessions_open(const struct judges *judges)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < JUDGES_REPLICAS_MAX; i++) {
        if (judges->replicas[i].session != 0) open++;
    }
    return open;
}
