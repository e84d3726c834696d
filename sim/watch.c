/* sim/watch.c - from trace events and log sums to what the judges want to know. */
#include "sim/watch.h"

#include "mortar/core.h"
#include "sim/world.h"
#include "sync/replay_session.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/record.h"

/* What a replica takes whatever it does: its tables, those of a session, small frames. */
#define MEMORY_FIXED (2u << 20)

/* The end of its log when all from `next` on is not looked at. False: pruned. */
static bool position_before(const struct replica *replica, uint64_t next,
                            struct mortar_position *out_position)
{
    struct mortar_log_sum sum;
    *out_position = (struct mortar_position){.index = next - 1};
    return next <= 1 || mortar_core_log_sum(replica->core, next - 1, &out_position->term, &sum);
}

static void note_truncate(struct replica *replica, uint64_t from)
{
    struct mortar_position last;
    if (position_before(replica, from, &last)) {
        judge_cut(&replica->sim->judges, replica->number, last);
    }
    judge_truncate(&replica->sim->judges, replica->number, from);
    if (replica->entries_seen >= from) replica->entries_seen = from - 1;
}

static void session_moves(struct replica *replica, uint64_t phase)
{
    struct sim *sim = replica->sim;
    if (sim->session_moves != NULL) sim->session_moves(sim->session_context, replica, phase);
}

/* What makes a voter wait anew, or decides if it may stand for election. */
static bool stirs(const struct mortar_trace_event *event)
{
    const enum mortar_trace_kind kind = event->kind;
    return kind == MORTAR_TRACE_ROLE || kind == MORTAR_TRACE_LEADER ||
           kind == MORTAR_TRACE_ELECTION || kind == MORTAR_TRACE_CONFIG ||
           kind == MORTAR_TRACE_CONFIG_REVERTED || kind == MORTAR_TRACE_TRUNCATE ||
           (kind == MORTAR_TRACE_VOTE_GRANTED && event->numbers[1] == 0);
}

static void note_handover(const struct replica *replica, const struct mortar_trace_event *event)
{
    struct judges *judges = &replica->sim->judges;
    const uint64_t *numbers = event->numbers;
    const uint32_t number = replica->number;
    if (event->kind == MORTAR_TRACE_TRANSFER) {
        judge_handover(judges, number, true);
    } else if (event->kind == MORTAR_TRACE_TRANSFER_ENDED || event->kind == MORTAR_TRACE_ROLE) {
        judge_handover(judges, number, false);
    } else if (event->kind == MORTAR_TRACE_APPEND && event->other == NULL) {
        judge_own_entry(judges, number, numbers[0]);
    }
    const bool at_once = event->kind == MORTAR_TRACE_ROLE && numbers[0] == MORTAR_FOLLOWER &&
                         numbers[1] == MORTAR_CANDIDATE;
    if (at_once) judge_stands_at_once(judges, number, numbers[2]);
}

static void note(struct replica *replica, const struct mortar_trace_event *event)
{
    struct judges *judges = &replica->sim->judges;
    const uint64_t *numbers = event->numbers;
    if (stirs(event)) judge_stirred(judges, replica->number);
    if (event->kind == MORTAR_TRACE_LEADER || event->kind == MORTAR_TRACE_ELECTION) {
        replica->awake = true;
    }
    note_handover(replica, event);
    if (event->kind == MORTAR_TRACE_TERM) replica->term_said = numbers[1];
    if (event->kind == MORTAR_TRACE_ROLE) replica->leads = numbers[1] == MORTAR_LEADER;
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
    } else if (event->kind == MORTAR_TRACE_SYNC_VERIFIED) {
        judge_session_verified(judges, replica->number, numbers[0], numbers[1], numbers[2]);
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
    duty_trace(replica, event);
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
    struct mortar_position last;
    uint64_t next = replica->entries_seen + 1;
    while (position_before(replica, next, &last) && last.term == replica->led_term)
        next--; /* Back to where its term began. */
    judge_leads(&replica->sim->judges, replica->number, replica->led_term, last);
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

/* What its disk holds counts for a leader at once. */
static void watch_durable(struct replica *replica)
{
    const uint64_t writes = replica->disk.writes;
    if (!replica->leads || writes == replica->writes_seen) return;
    const struct mortar_position last = virtual_disk_last(&replica->disk);
    struct mortar_position held;
    if (!position_before(replica, last.index + 1, &held) || held.term != last.term) return;
    judge_counted(&replica->sim->judges, replica->number, last);
    replica->writes_seen = writes;
}

void watch_tick(struct replica *replica)
{
    const struct mortar_core_options *core = &replica->options.core;
    struct judges *judges = &replica->sim->judges;
    struct mortar_core_status status;
    if (!replica->awake) return;
    if (core->reluctant_factor > replica->reluctance) replica->reluctance = core->reluctant_factor;
    const uint64_t patience = 2 * (uint64_t)core->election_ticks * replica->reluctance + 2;
    judge_handover_tick(judges, replica->number, patience);
    if (!judge_tick(judges, replica->number, patience)) return;
    mortar_core_status(replica->core, &status);
    bool voter = false;
    for (uint32_t i = 0; i < status.member_count; i++) {
        const struct mortar_member_status *member = &status.members[i];
        if (mortar_member_id_equal(&member->id, &status.self)) voter = member->voter;
    }
    const bool stands = voter && status.role != MORTAR_LEADER && !replica->disk_sick;
    judge_may_stand(judges, replica->number, stands, status.last);
}

void watch_arrival(struct replica *replica, struct mortar_bytes frame)
{
    if (frame.bytes < FRAME_HEADER_BYTES) return;
    const uint8_t type = frame.data[7];
    struct timeout_now asked;
    const struct mortar_bytes payload = {frame.data + FRAME_HEADER_BYTES,
                                         frame.bytes - FRAME_HEADER_BYTES};
    if (type == MESSAGE_TIMEOUT_NOW && timeout_now_decode(payload, &asked) == MORTAR_OK) {
        judge_asked_to_lead(&replica->sim->judges, replica->number, asked.term);
    }
    if (type != MESSAGE_APPEND_REQUEST && type != MESSAGE_PART) return;
    judge_stirred(&replica->sim->judges, replica->number);
}

/* ---- Frames that leave ---- */

/* What log replay asks a source for: the only message of a method that is looked into. */
static void frame_sync(struct replica *replica, const struct replica *to,
                       struct mortar_bytes payload)
{
    struct sync_message message;
    struct replay_fetch fetch;
    if (sync_message_decode(payload, &message) != MORTAR_OK || message.to_session) return;
    if (replay_message_type(message.bytes) != REPLAY_FETCH) return;
    if (replay_fetch_decode(message.bytes, &fetch) != MORTAR_OK) return;
    judge_requested(&replica->sim->judges, replica->number, fetch.first, fetch.last);
    duty_fetch(replica, to);
}

/* A reply that waited until its term was over says nothing of the log of now. */
static void frame_append_reply(struct replica *replica, uint16_t version,
                               struct mortar_bytes payload)
{
    struct append_reply reply;
    struct mortar_position position;
    uint64_t term = 0;
    if (append_reply_decode(payload, version, &reply) != MORTAR_OK) return;
    if (reply.outcome != APPEND_MATCHED || reply.term < replica->term_said) return;
    const bool held = position_before(replica, reply.match_index + 1, &position);
    const bool pruned = reply.match_index <= virtual_disk_base(&replica->disk).index;
    const bool durable =
        pruned || (held && virtual_disk_holds(&replica->disk, reply.match_index, &term) &&
                   term == position.term);
    judge_matched(&replica->sim->judges, replica->number, position, durable);
}

static void frame_vote_request(struct replica *replica, struct mortar_bytes payload)
{
    struct vote_request request;
    if (vote_request_decode(payload, &request) != MORTAR_OK) return;
    judge_asked(&replica->sim->judges, replica->number, request.term, request.pre, request.last);
}

static void frame_vote_reply(struct replica *replica, const struct replica *to,
                             struct mortar_bytes payload)
{
    struct vote_reply reply;
    if (vote_reply_decode(payload, &reply) != MORTAR_OK || reply.pre || !reply.granted) return;
    judge_vote(&replica->sim->judges, replica->number, reply.term, to->number);
}

/* Who has gone on to a later term, or is gone, may have lost what the leader knew of. */
static void frame_timeout_now(const struct replica *replica, const struct replica *to,
                              struct mortar_bytes payload)
{
    struct timeout_now message;
    if (timeout_now_decode(payload, &message) != MORTAR_OK) return;
    if (!replica_is_live(to) || to->term_said > message.term) return;
    if (message.term < replica->term_said) return;
    uint64_t term = 0;
    struct mortar_core_status status;
    mortar_core_status(replica->core, &status);
    const struct mortar_position last = status.last;
    const bool pruned = last.index <= virtual_disk_base(&to->disk).index;
    const bool holds =
        pruned || (virtual_disk_holds(&to->disk, last.index, &term) && term == last.term);
    judge_takes_over(&replica->sim->judges, replica->number, to->number, last, holds);
}

void watch_frame(struct replica *replica, const struct replica *to, struct mortar_bytes frame)
{
    struct frame_header header;
    if (frame.bytes < FRAME_HEADER_BYTES || replica->copy) return;
    const uint8_t type = frame.data[7];
    if (type != MESSAGE_SYNC && type != MESSAGE_APPEND_REPLY && type != MESSAGE_VOTE_REQUEST &&
        type != MESSAGE_VOTE_REPLY && type != MESSAGE_TIMEOUT_NOW) {
        return;
    }
    /* It leaves just now: nothing has damaged it, and its checksum need not be looked at. */
    if (frame_header_decode(frame, MORTAR_LANE_CONTROL, &header) != MORTAR_OK) return;
    const struct mortar_bytes payload = {frame.data + FRAME_HEADER_BYTES, header.payload_bytes};
    if (type == MESSAGE_SYNC) frame_sync(replica, to, payload);
    if (type == MESSAGE_APPEND_REPLY) frame_append_reply(replica, header.version, payload);
    if (type == MESSAGE_VOTE_REQUEST) frame_vote_request(replica, payload);
    if (type == MESSAGE_VOTE_REPLY) frame_vote_reply(replica, to, payload);
    if (type == MESSAGE_TIMEOUT_NOW) frame_timeout_now(replica, to, payload);
}

/* What the sessions of others may have asked it for: parts of a log of `log_bytes`. */
static uint64_t served_bytes(const struct replica *replica, uint64_t log_bytes)
{
    const struct sim *sim = replica->sim;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *other = sim->replicas[i];
        if (other == replica || !judge_session_runs(&sim->judges, i)) continue;
        const uint64_t window = other->options.replay.source_window_bytes;
        bytes += window < log_bytes ? window : log_bytes;
    }
    return bytes;
}

static void watch_memory(const struct replica *replica, const struct mortar_core_status *status)
{
    const struct clients *clients = &replica->sim->clients;
    const struct memory_used used = {
        .total = replica->memory.bytes,
        .log = status->memory_bytes,
        .disk = virtual_log_waiting_bytes(replica->log),
        .under_way = replica->under_way_bytes + replica->arriving_bytes,
        .held = status->sync.progress.bytes_held,
    };
    const struct memory_allowed allowed = {
        .served = served_bytes(replica, used.log),
        .applied = 2 * ((uint64_t)replica->options.core.apply_bytes + clients->largest),
        .requests = 2 * clients->bytes_open_max,
        .fixed = MEMORY_FIXED,
    };
    judge_memory(&replica->sim->judges, replica->number, &used, &allowed);
}

/* While a session runs, and when it has just ended. */
static void watch_session(struct replica *replica)
{
    struct judges *judges = &replica->sim->judges;
    const struct mortar_replay_options *replay = &replica->options.replay;
    const bool runs = judge_session_runs(judges, replica->number);
    if (!runs && !replica->sync_said) return;
    replica->sync_said = false;
    struct mortar_core_status status;
    mortar_core_status(replica->core, &status);
    const struct mortar_sync_progress *progress = &status.sync.progress;
    /* An entry is never cut, so one may stand out of the window. */
    const uint64_t window =
        replay->window_bytes + RECORD_HEADER_BYTES + replica->sim->clients.largest;
    judge_held(judges, replica->number, progress->bytes_held_max, window);
    if (!runs) {
        duty_session_end(replica, progress);
        return;
    }
    judge_session_told(judges, replica->number,
                       &(struct session_told){
                           .entries_done = progress->entries_done,
                           .bytes_done = progress->bytes_done,
                           .now_ms = replica_now_ms(replica),
                           .give_up_ms = replay->give_up_ms,
                       });
    duty_session_left(replica, &status);
    /* Checks of a session that is over cannot be called back, and hold what they look at. */
    if (!replica->duty.slow) watch_memory(replica, &status);
}

void watch_replica(struct replica *replica)
{
    struct sim *sim = replica->sim;
    watch_entries(replica);
    watch_leader(replica);
    watch_commits(replica);
    watch_durable(replica);
    duty_step(replica);
    watch_session(replica);
    if (sim->options.check_every != 0 && sim->events % sim->options.check_every == 0) {
        mortar_core_check(replica->core);
    }
}
