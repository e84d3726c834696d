/* sim/watch_duty.c - from trace events and frames to what sessions and leaders owe. */
#include "sim/watch_duty.h"

#include "mortar/core.h"
#include "sim/world.h"
#include "sync/replay_session.h"

#include <string.h>

/* A source that did not answer rests for less than this. */
#define IDLE_US 5000000u
/* While a session is so young, no source can have failed it yet. */
#define YOUNG_US 150000u

/* Leaders that are linked and never lied: whoever leads holds all that is missing. */
static uint32_t honest_leaders(const struct replica *replica)
{
    const struct sim *sim = replica->sim;
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *other = sim->replicas[i];
        if (other == replica || !other->leads || other->lied) continue;
        if (!network_is_up(sim->network, replica, other, MORTAR_LANE_CONTROL)) continue;
        if (network_is_up(sim->network, replica, other, MORTAR_LANE_BULK)) count++;
    }
    return count;
}

static void on_done(struct replica *replica, uint64_t last)
{
    struct duty *duty = &replica->duty;
    duty->done = true;
    if (duty->tail_dropped == 0) return;
    judge_tail_dropped(&replica->sim->judges, replica->number, duty->tail_dropped, last);
}

static void on_failed(struct replica *replica, uint64_t reason)
{
    const struct duty *duty = &replica->duty;
    if (reason != MORTAR_E_STALLED || duty->slow) return;
    /* A lane loses nothing while it stands; where frames fare alone, an answer may never come. */
    if (replica->sim->options.network.datagrams) return;
    const bool idle = duty->planned && duty->stall_us > duty->fetch_us &&
                      replica->sim->now_us - duty->stall_us > IDLE_US &&
                      replica->sim->now_us - duty->planned_us > IDLE_US;
    judge_stalled(&replica->sim->judges, replica->number, idle, honest_leaders(replica));
}

static void on_tail_open(struct duty *duty, uint64_t base)
{
    duty->tail_dropped = 0;
    duty->tail_moved |= base < duty->tail_base;
    duty->tail_base = base;
}

void duty_trace(struct replica *replica, const struct mortar_trace_event *event)
{
    struct duty *duty = &replica->duty;
    const uint64_t now_us = replica->sim->now_us;
    const uint64_t *numbers = event->numbers;
    const bool config =
        event->kind == MORTAR_TRACE_CONFIG || event->kind == MORTAR_TRACE_CONFIG_REVERTED;
    if (config) replica->config_said = true;
    if (event->kind == MORTAR_TRACE_CONFIG) replica->config_index = numbers[0];
    if (event->kind == MORTAR_TRACE_SYNC_OPEN) {
        *duty = (struct duty){
            .slow = duty->slow,
            .session_us = now_us,
            .session_term = replica->term_said,
            .session_to = numbers[2],
        };
    } else if (event->kind == MORTAR_TRACE_SYNC_CHUNK) {
        duty->took += numbers[2] - numbers[1] + 1;
    } else if (event->kind == MORTAR_TRACE_SYNC_PHASE && numbers[2] != REPLAY_PHASE_FAILED) {
        duty->planned = numbers[2] == REPLAY_PHASE_FETCH;
        duty->planned_us = now_us;
    } else if (event->kind == MORTAR_TRACE_SYNC_STALL) {
        if (duty->stall_us <= duty->fetch_us) duty->stall_us = now_us;
    } else if (event->kind == MORTAR_TRACE_TAIL_OPEN) {
        on_tail_open(duty, numbers[0]);
    } else if (event->kind == MORTAR_TRACE_TAIL_ADOPT) {
        duty->took += numbers[1] - numbers[0]; /* Also what need not have been fetched. */
    } else if (event->kind == MORTAR_TRACE_TAIL_DROP) {
        duty->tail_dropped = numbers[0];
    } else if (event->kind == MORTAR_TRACE_SYNC_DONE) {
        on_done(replica, numbers[1]);
    } else if (event->kind == MORTAR_TRACE_SYNC_FAILED) {
        on_failed(replica, numbers[1]);
    } else if (event->kind == MORTAR_TRACE_CONFIG && replica->leads) {
        duty->config = numbers[0];
        duty->config_committed = replica->commit_said;
    }
}

void duty_fetch(struct replica *replica, const struct replica *to)
{
    struct sim *sim = replica->sim;
    struct duty *duty = &replica->duty;
    const bool first = !duty->fetched;
    duty->fetched = true;
    duty->fetch_us = sim->now_us;
    if (!first || sim->now_us - duty->session_us > YOUNG_US) return;
    if (sim->faults[SIM_FAULT_CLOCK_JUMP] > 0) return; /* By its own clock it may be old. */
    struct mortar_core_status status;
    mortar_core_status(replica->core, &status);
    uint32_t others = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *other = sim->replicas[i];
        if (other == replica || mortar_member_id_equal(&other->id, &status.leader)) continue;
        if (other->lied || virtual_disk_base(&other->disk).index != 0) continue; /* Pruned. */
        if (network_is_up(sim->network, replica, other, MORTAR_LANE_CONTROL)) others++;
    }
    judge_first_fetch(&sim->judges, replica->number,
                      mortar_member_id_equal(&to->id, &status.leader), others);
}

void duty_session_end(struct replica *replica, const struct mortar_sync_progress *progress)
{
    struct sim *sim = replica->sim;
    const struct duty *duty = &replica->duty;
    /* An append of an earlier episode may come late and take the target back; and below the base of
     * a leader that pruned, a plan is one source's word, and falls with it. */
    const bool whole = duty->done && !duty->tail_moved;
    if (whole && sim->faults[SIM_FAULT_PRUNE] == 0) {
        judge_verified(&sim->judges, replica->number, progress->entries_done, duty->took);
    }
    for (uint32_t i = 0; i < progress->source_count; i++) {
        const uint32_t source = progress->sources[i].member.store[15];
        if (!progress->sources[i].dropped || source >= sim->replica_count) continue;
        judge_source_dropped(&sim->judges, replica->number, source, sim->replicas[source]->lied);
    }
}

/* Below the base of a leader that pruned, what a session verified may be thrown away. */
void duty_session_left(struct replica *replica, const struct mortar_core_status *status)
{
    const struct duty *duty = &replica->duty;
    const struct mortar_sync_progress *progress = &status->sync.progress;
    const uint64_t done = progress->entries_done;
    /* An append of an earlier episode, come late, may open an earlier tail. */
    const bool early = duty->tail_base != 0 && duty->tail_base < duty->session_to;
    const bool holds = duty->session_term == replica->term_said && !early;
    if (replica->sim->faults[SIM_FAULT_PRUNE] > 0) return;
    judge_session_left(&replica->sim->judges, replica->number,
                       &(struct session_left){
                           .log_end = status->last.index,
                           .waiting = done > duty->took ? done - duty->took : 0,
                           .entries = progress->entries_left,
                           .bytes = progress->bytes_left,
                           .bytes_per_second = status->sync.bytes_per_second,
                           .ms = status->sync.left_ms,
                           .must_reach = holds ? duty->session_to : 0,
                       });
}

static uint64_t voters_of(struct replica *replica)
{
    struct mortar_core_status status;
    uint64_t voters = 0;
    mortar_core_status(replica->core, &status);
    for (uint32_t i = 0; i < status.member_count; i++) {
        if (status.members[i].voter) voters |= 1ull << status.members[i].id.store[15];
    }
    return voters;
}

/* By its own configuration at `index` the leader makes voters. An operator may ask for anyone. */
static void check_promoted(struct replica *leader, uint64_t index, uint64_t promoted)
{
    struct sim *sim = leader->sim;
    if (sim->faults[SIM_FAULT_CHANGE] > 0) return;
    const uint64_t behind = virtual_log_bytes_after(leader->log, index - 1);
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *member = sim->replicas[i];
        const bool asked = (promoted >> i & 1) != 0 && member != leader;
        if (!asked || !replica_keeps_disk(member)) continue;
        const uint64_t held = virtual_disk_last(&member->disk).index;
        if (held < virtual_disk_base(&leader->disk).index) continue; /* Pruned meanwhile. */
        const uint64_t missing = virtual_log_bytes_after(leader->log, held);
        judge_promoted(&sim->judges, leader->number, i, missing > behind ? missing - behind : 0,
                       leader->options.core.resend_bytes);
        judge_keeps_up(&sim->judges, leader->number, i, held, leader->duty.ends[2]);
    }
}

/* Nor may an operator make a voter of an observer. */
static void check_observers(struct replica *leader)
{
    const struct sim *sim = leader->sim;
    for (uint32_t i = 1; i < sim->replica_count; i++) {
        if ((leader->voters_seen >> i & 1) == 0 || !sim->replicas[i]->options.core.observer)
            continue;
        judge_observer_votes(&leader->sim->judges, leader->number, i);
    }
}

/* Where the policy is on, a voter that nobody asked to go, and nobody came for, lost its place by
 * it. Its last frame may be later than the last that raft saw of it, though not by much. */
static void check_gone(const struct replica *leader, const struct replica *gone)
{
    const struct mortar_core_options *core = &leader->options.core;
    const uint64_t silent_ticks = leader->ticks - leader->heard[gone->number];
    if (core->remove_gone_ms == 0 || leader->sim->faults[SIM_FAULT_CHANGE] > 0) return;
    judge_gone(&leader->sim->judges, leader->number, gone->number, silent_ticks * core->tick_ms,
               core->remove_gone_ms);
}

static uint32_t count_of(uint64_t voters)
{
    uint32_t count = 0;
    for (; voters != 0; voters &= voters - 1)
        count++;
    return count;
}

/* By its own configuration the leader drops voters. Whoever came for one of them must be a voter by
 * then, or the group stood without either. */
static void check_dropped(struct replica *leader, uint64_t before)
{
    const struct sim *sim = leader->sim;
    const uint64_t dropped = before & ~leader->voters_seen;
    const bool policy = leader->options.core.remove_gone_ms != 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *lost = sim->replicas[i];
        if ((dropped >> i & 1) == 0 || lost->removal_asked) continue;
        if (lost->replaced_by == 0) check_gone(leader, lost);
        if (lost->replaced_by == 0) continue;
        if ((leader->voters_seen >> lost->replaced_by & 1) != 0) continue;
        if (policy && count_of(leader->voters_seen) >= count_of(before)) continue; /* Another is. */
        judge_dropped(&leader->sim->judges, leader->number, i, lost->replaced_by);
    }
}

static void voters_said(struct replica *replica, uint64_t own_index)
{
    const uint64_t before = replica->voters_seen;
    replica->voters_seen = voters_of(replica);
    if (own_index == 0 || before == 0) return;
    check_promoted(replica, own_index, replica->voters_seen & ~before);
    check_observers(replica);
    check_dropped(replica, before);
}

/* Thesis 4.2.1: a round that took less than an election timeout, and one that runs for no longer:
 * who is promoted holds what the leader had two of them ago. The last of `ends` is no younger. */
static void note_end(struct replica *replica)
{
    struct duty *duty = &replica->duty;
    if (!replica->leads) {
        memset(duty->ends, 0, sizeof duty->ends);
        return;
    }
    const bool young = replica->ticks - duty->ends_ticks < replica->options.core.election_ticks;
    if (duty->ends[0] != 0 && young) return;
    duty->ends[2] = duty->ends[1];
    duty->ends[1] = duty->ends[0];
    duty->ends[0] = replica->entries_seen;
    duty->ends_ticks = replica->ticks;
}

/* A committed configuration after its removal must not name a member again. */
static void nobody_came_back(struct replica *replica)
{
    struct sim *sim = replica->sim;
    struct mortar_core_status status;
    if (replica->config_index == 0 || replica->commit_said < replica->config_index) return;
    replica->config_index = 0;
    mortar_core_status(replica->core, &status);
    for (uint32_t i = 0; i < status.member_count; i++) {
        const struct replica *member = sim->replicas[status.members[i].id.store[15]];
        if (member->removed_at == 0 || status.config_index <= member->removed_at) continue;
        if (status.config_index > status.committed.index) continue;
        judge_came_back(&sim->judges, replica->number, member->number, status.config_index);
    }
}

static void config_said(struct replica *replica)
{
    const uint64_t index = replica->duty.config;
    uint64_t term;
    uint64_t committed_term;
    struct mortar_log_sum sum;
    const uint64_t committed = replica->duty.config_committed;
    replica->duty.config = 0;
    if (replica->config_said) {
        replica->config_said = false;
        voters_said(replica, index);
    }
    if (index <= committed) return;
    if (!mortar_core_log_sum(replica->core, index, &term, &sum)) return;
    if (!mortar_core_log_sum(replica->core, committed, &committed_term, &sum)) return;
    judge_config(&replica->sim->judges, replica->number, term, committed_term);
}

void duty_step(struct replica *replica)
{
    config_said(replica);
    note_end(replica);
    nobody_came_back(replica);
    if (replica->duty.tail_base == 0) return;
    judge_tail_bytes(&replica->sim->judges, replica->number, virtual_log_tail_bytes(replica->log),
                     replica->options.core.tail_bytes_max);
}
