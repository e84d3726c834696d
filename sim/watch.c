/* sim/watch.c - from trace events and log sums to what the judges want to know. */
#include "sim/watch.h"

#include "mortar/core.h"
#include "sim/world.h"
#include "sync/replay_session.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/record.h"

static void note_truncate(struct replica *replica, uint64_t from)
{
    judge_truncate(&replica->sim->judges, replica->number, from);
    if (replica->entries_seen >= from) replica->entries_seen = from - 1;
}

static void session_moves(struct replica *replica, uint64_t phase)
{
    struct sim *sim = replica->sim;
    if (sim->session_moves != NULL) sim->session_moves(sim->session_context, replica, phase);
}

static void note(struct replica *replica, const struct mortar_trace_event *event)
{
    struct judges *judges = &replica->sim->judges;
    const uint64_t *numbers = event->numbers;
    if (event->kind == MORTAR_TRACE_ROLE && numbers[1] == MORTAR_LEADER) {
        judge_leader(judges, replica->number, numbers[2]);
        replica->lead_said = numbers[2];
    } else if (event->kind == MORTAR_TRACE_TRUNCATE) {
        note_truncate(replica, numbers[0]);
    } else if (event->kind == MORTAR_TRACE_COMMIT) {
        replica->commit_said = numbers[0];
    } else if (event->kind == MORTAR_TRACE_SYNC_OPEN) {
        judge_session_open(judges, replica->number, numbers[0]);
        session_moves(replica, REPLAY_PHASE_MATCH);
    } else if (event->kind == MORTAR_TRACE_PRUNE) {
        replica->sim->faults[SIM_FAULT_PRUNE]++;
    } else if (event->kind == MORTAR_TRACE_LEASE_ENDED && numbers[1] != MORTAR_OK) {
        replica->sim->faults[SIM_FAULT_LEASE_END]++;
    } else if (event->kind == MORTAR_TRACE_SYNC_PHASE) {
        session_moves(replica, numbers[2]);
    } else if (event->kind == MORTAR_TRACE_SYNC_CHUNK) {
        judge_session_chunk(judges, replica->number, numbers[0], numbers[1], numbers[2]);
    } else if (event->kind == MORTAR_TRACE_SYNC_DONE || event->kind == MORTAR_TRACE_SYNC_FAILED) {
        judge_session_end(judges, replica->number, numbers[0]);
        network_session_ended(replica->sim->network, replica);
        replica->sync_said = true;
    }
}

void watch_trace(struct replica *replica, const struct mortar_trace_event *event)
{
    if (replica->closing) return;
    replica->counts[event->kind]++;
    replica->sim->counts[event->kind]++;
    story_event(replica->sim, replica, event);
    note(replica, event);
}

/* Each entry is judged once per replica that holds it, each time it is put there. */
static void watch_entries(struct replica *replica)
{
    uint64_t term;
    struct mortar_log_sum sum;
    while (mortar_core_log_sum(replica->core, replica->entries_seen + 1, &term, &sum)) {
        replica->entries_seen++;
        judge_entry(&replica->sim->judges, replica->number, replica->entries_seen, term, sum);
        judge_session_entry(&replica->sim->judges, replica->number, replica->entries_seen);
    }
}

static void watch_commits(struct replica *replica)
{
    uint64_t term = 0;
    uint64_t leader_term = 0;
    struct mortar_log_sum sum = {0};
    if (replica->commit_said <= replica->committed_seen) return;
    if (!mortar_core_log_sum(replica->core, replica->commit_said, &leader_term, &sum)) {
        verdict_fail(&replica->sim->verdict, "commits", "%s committed %llu and does not hold it",
                     replica->name, (unsigned long long)replica->commit_said);
        return;
    }
    for (uint64_t i = replica->committed_seen + 1; i <= replica->commit_said; i++) {
        if (!mortar_core_log_sum(replica->core, i, &term, &sum)) continue;
        judge_commit(&replica->sim->judges, replica->number, i, term, sum, leader_term);
    }
    replica->committed_seen = replica->commit_said;
}

/* Leader completeness: the sum digests the whole log, so one look at its end is enough. */
static void watch_leader(struct replica *replica)
{
    if (replica->lead_said <= replica->led_term) return;
    replica->led_term = replica->lead_said;
    uint64_t index;
    uint64_t term;
    struct mortar_log_sum must;
    struct mortar_log_sum sum;
    if (!judge_leader_must_hold(&replica->sim->judges, replica->led_term, &index, &must)) return;
    const bool holds = mortar_core_log_sum(replica->core, index, &term, &sum);
    if (!holds || !mortar_log_sum_equal(sum, must)) {
        judge_leader_lacks(&replica->sim->judges, replica->number, replica->led_term, index);
    }
}

/* What log replay asks a source for: the only message of a method that is looked into. */
void watch_frame(struct replica *replica, struct mortar_bytes frame)
{
    struct frame_header header;
    struct mortar_bytes payload;
    struct sync_message message;
    struct replay_fetch fetch;
    if (frame.bytes < FRAME_HEADER_BYTES || frame.data[7] != MESSAGE_SYNC) return;
    if (frame_open(frame, MORTAR_LANE_CONTROL, &header, &payload) != MORTAR_OK) return;
    if (sync_message_decode(payload, &message) != MORTAR_OK || message.to_session) return;
    if (replay_message_type(message.bytes) != REPLAY_FETCH) return;
    if (replay_fetch_decode(message.bytes, &fetch) != MORTAR_OK) return;
    judge_requested(&replica->sim->judges, replica->number, fetch.first, fetch.last);
}

static void watch_session(struct replica *replica)
{
    if (!replica->sync_said) return;
    replica->sync_said = false;
    struct mortar_core_status status;
    mortar_core_status(replica->core, &status);
    /* An entry is never cut, so one may stand out of the window. */
    const uint64_t window =
        replica->options.replay.window_bytes + RECORD_HEADER_BYTES + replica->sim->clients.largest;
    judge_held(&replica->sim->judges, replica->number, status.sync.progress.bytes_held_max, window);
}

void watch_replica(struct replica *replica)
{
    struct sim *sim = replica->sim;
    watch_entries(replica);
    watch_leader(replica);
    watch_commits(replica);
    watch_session(replica);
    if (sim->options.check_every != 0 && sim->events % sim->options.check_every == 0) {
        mortar_core_check(replica->core);
    }
}
