/* group/drive.c - gives raft its events and carries out what it wants, in order. */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/record.h"

#include <string.h>

/* ---- Appends out ---- */

static void send_job_free(struct mortar_core *core, struct send_job *job)
{
    struct send_job **place = &core->send_jobs;
    while (*place != job) {
        ASSERT(*place != NULL);
        place = &(*place)->next;
    }
    *place = job->next;
    mortar_buffer_release(job->frame);
    core_release(core, job, sizeof *job);
}

/* The records stand in the frame already: the encoder is told only how many bytes they are. */
static void send_job_finish(struct mortar_core *core, struct send_job *job)
{
    const size_t header = FRAME_HEADER_BYTES + APPEND_REQUEST_BYTES;
    job->append.entries = (struct mortar_bytes){NULL, job->bytes - header};
    struct writer out =
        writer_over(mortar_buffer_data(job->frame) + FRAME_HEADER_BYTES, APPEND_REQUEST_BYTES);
    append_request_encode(&job->append, &out);
    ASSERT(out.bytes == APPEND_REQUEST_BYTES);
    core->counters.appends_sent++;
    struct mortar_buffer *frame = job->frame;
    job->frame = NULL;
    outbox_send_frame(core, &job->to, MESSAGE_APPEND_REQUEST, frame,
                      job->bytes - FRAME_HEADER_BYTES, true);
}

/* Sends what is ready up to the first that is not. What was superseded is dropped. */
static void send_jobs_finish(struct mortar_core *core)
{
    while (core->send_jobs != NULL && core->send_jobs->ready) {
        struct send_job *job = core->send_jobs;
        const bool current = core->failure == MORTAR_OK && !core->stopped &&
                             raft_role(core->raft) == MORTAR_LEADER &&
                             job->append.term == raft_term(core->raft);
        if (!current) MARK(SEND_SUPERSEDED);
        if (current) send_job_finish(core, job);
        send_job_free(core, job);
    }
}

static void send_job_read(struct mortar_core *core, struct send_job *job);

static void on_send_read(struct mortar_core *core, void *argument, enum mortar_status status,
                         const struct mortar_log_run *run)
{
    struct send_job *job = argument;
    /* Cut or pruned since: raft will find out from the reply that never comes. */
    if (status != MORTAR_OK || job->bytes + run->bytes > mortar_buffer_capacity(job->frame)) {
        send_job_free(core, job);
        send_jobs_finish(core);
        return;
    }
    memcpy(mortar_buffer_data(job->frame) + job->bytes,
           mortar_buffer_data(run->buffer) + run->offset, run->bytes);
    job->bytes += run->bytes;
    job->first += run->count;
    if (job->first <= job->last) {
        send_job_read(core, job);
    } else {
        job->ready = true;
    }
    send_jobs_finish(core);
}

static void send_job_read(struct mortar_core *core, struct send_job *job)
{
    const size_t room = mortar_buffer_capacity(job->frame) - job->bytes;
    const enum mortar_status status =
        log_read(core, job->first, job->last, room, on_send_read, job);
    if (status != MORTAR_OK) send_job_free(core, job);
}

/* A heartbeat never waits for the disk. Where it overtakes entries that are still being read, it
 * speaks of the place before them: of the place behind them the follower would know nothing. */
static void send_heartbeat(struct mortar_core *core, const struct mortar_member_id *to,
                           const struct append_request *append)
{
    struct append_request heartbeat = *append;
    for (const struct send_job *job = core->send_jobs; job != NULL; job = job->next) {
        if (!mortar_member_id_equal(&job->to, to) || job->append.term != append->term) continue;
        if (job->append.sync_id != append->sync_id) continue;
        if (job->append.prev.index >= append->prev.index) break;
        MARK(HEARTBEAT_OVERTAKES);
        heartbeat.prev = job->append.prev;
        heartbeat.tail_restart = job->append.tail_restart;
        break;
    }
    outbox_send(core, to, MESSAGE_APPEND_REQUEST, &heartbeat);
}

static void send_append(struct mortar_core *core, const struct mortar_member_id *to,
                        const struct append_request *append, uint64_t first, uint64_t last)
{
    if (first > last) {
        send_heartbeat(core, to, append);
        return;
    }
    const uint64_t run_bytes =
        core->storage.ops->bytes(core->storage.self, MORTAR_LOG_MAIN, first, last);
    const size_t header = FRAME_HEADER_BYTES + APPEND_REQUEST_BYTES;
    struct mortar_buffer *frame = mortar_buffer_new(&core->allocator, header + (size_t)run_bytes);
    struct send_job *job = core_reserve(core, sizeof *job);
    if (frame == NULL || job == NULL) { /* As if the network had lost it. */
        mortar_buffer_release(frame);
        core_release(core, job, sizeof *job);
        return;
    }
    *job = (struct send_job){.to = *to,
                             .append = *append,
                             .first = first,
                             .last = last,
                             .frame = frame,
                             .bytes = header};
    struct send_job **place = &core->send_jobs;
    while (*place != NULL)
        place = &(*place)->next;
    *place = job;
    send_job_read(core, job);
}

/* ---- Appends in ---- */

/* The first `count` records of the bytes from `offset` on, as a run of the frame in hand. */
static struct mortar_log_run foreign_run(const struct mortar_core *core, size_t offset,
                                         uint64_t first, uint32_t count)
{
    const struct mortar_bytes entries = core->raft_event->append_request.entries;
    ASSERT(core->raft_frame != NULL);
    ASSERT(offset <= entries.bytes);
    const struct mortar_bytes rest = {entries.data + offset, entries.bytes - offset};
    struct reader in = reader_over(rest);
    for (uint32_t i = 0; i < count; i++) {
        struct mortar_entry entry;
        const enum mortar_status status = record_decode(&in, &entry);
        ASSERT(status == MORTAR_OK); /* Verified when the message came in. */
        ASSERT(entry.index == first + i);
    }
    return (struct mortar_log_run){
        .buffer = core->raft_frame,
        .offset = core->raft_entries_offset + offset,
        .bytes = rest.bytes - in.bytes,
        .first = first,
        .count = count,
    };
}

static void note_entries(struct mortar_core *core, const struct mortar_log_run *run)
{
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    struct mortar_entry entry;
    while (in.bytes > 0 && record_decode(&in, &entry) == MORTAR_OK) {
        if (entry.kind == MORTAR_ENTRY_FOUND) core_learn_found(core, entry.bytes);
        if (entry.time_ms > core->log_time_ms) core->log_time_ms = entry.time_ms;
    }
}

static void append_foreign(struct mortar_core *core, const struct raft_effect *effect)
{
    const struct mortar_log_run run =
        foreign_run(core, effect->append_foreign.offset, effect->append_foreign.first.index,
                    effect->append_foreign.count);
    log_append(core, MORTAR_LOG_MAIN, &run);
    note_entries(core, &run);
}

static void append_tail(struct mortar_core *core, const struct raft_effect *effect)
{
    const uint64_t first = effect->append_foreign.first.index;
    const struct mortar_log_run run =
        foreign_run(core, effect->append_foreign.offset, first, effect->append_foreign.count);
    log_append(core, MORTAR_LOG_TAIL, &run);
    session_note_tail(core, &run);
    session_buffer(core, core->raft_event->append_request.prev, first, first + run.count - 1,
                   run.bytes);
}

/* ---- Effects ---- */

static void on_role(struct mortar_core *core, const struct raft_effect *effect)
{
    core->changed = true;
    const struct mortar_member_id leader = effect->role.leader;
    const bool leads = effect->role.role == MORTAR_LEADER;
    if (!mortar_member_id_equal(&leader, &core->last_leader)) {
        if (!mortar_member_id_is_none(&leader)) core->counters.leader_changes++;
        requests_on_leader_lost(core);
        core->last_leader = leader;
    }
    requests_on_leader(core, &leader);
    if (effect->role.role == MORTAR_CANDIDATE) core->counters.elections++;
    if (leads && core->session_open) session_close(core, MORTAR_E_CANCELLED);
    reads_on_role(core);
    core->provider.base.wake = true;
    core->session.base.wake = true;
}

static void on_append_own(struct mortar_core *core, const struct raft_effect *effect)
{
    switch (effect->append_own.kind) {
    case MORTAR_ENTRY_COMMAND:
    case MORTAR_ENTRY_MARKER:
    case MORTAR_ENTRY_CLIENT:
    case MORTAR_ENTRY_CLIENT_COMMAND:
        propose_requests(core, effect->append_own.position, effect->append_own.count);
        return;
    case MORTAR_ENTRY_NOOP:
    case MORTAR_ENTRY_TIME:
    case MORTAR_ENTRY_CONFIG:
        propose_own(core, effect->append_own.kind, effect->append_own.position,
                    effect->append_own.config);
        return;
    case MORTAR_ENTRY_FOUND:
        break;
    }
    ASSERT_NEVER("raft proposes no founding entry");
}

static void send_append_reply(struct mortar_core *core, const struct mortar_member_id *to,
                              struct append_reply reply)
{
    echo_fill_reply(core, to, &reply);
    outbox_send(core, to, MESSAGE_APPEND_REPLY, &reply);
}

static void on_send(struct mortar_core *core, const struct raft_effect *effect)
{
    switch (effect->send.message) {
    case MESSAGE_VOTE_REQUEST:
        outbox_send(core, &effect->send.to, MESSAGE_VOTE_REQUEST, &effect->send.vote_request);
        return;
    case MESSAGE_VOTE_REPLY:
        outbox_send(core, &effect->send.to, MESSAGE_VOTE_REPLY, &effect->send.vote_reply);
        return;
    case MESSAGE_APPEND_REPLY:
        send_append_reply(core, &effect->send.to, effect->send.append_reply);
        return;
    case MESSAGE_TIMEOUT_NOW:
        outbox_send(core, &effect->send.to, MESSAGE_TIMEOUT_NOW, &effect->send.timeout_now);
        return;
    case MESSAGE_APPEND_REQUEST:
    case MESSAGE_READ_REQUEST:
    case MESSAGE_READ_REPLY:
    case MESSAGE_FORWARD_REQUEST:
    case MESSAGE_FORWARD_REPLY:
    case MESSAGE_JOIN_REQUEST:
    case MESSAGE_JOIN_REPLY:
    case MESSAGE_SYNC:
    case MESSAGE_LEASE:
    case MESSAGE_PART:
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
#endif
        break;
    }
    ASSERT_NEVER("raft sends votes, append replies and TIMEOUT_NOW only");
}

static void open_session(struct mortar_core *core, const struct raft_effect *effect)
{
    const struct append_request *append = &core->raft_event->append_request;
    session_open(core, effect->sync_open.prev, effect->sync_open.leader_commit, append->entries,
                 append->count);
}

static void reopen_tail(struct mortar_core *core, const struct mortar_anchor_point *base)
{
    struct mortar_anchor_point old_base;
    struct mortar_position old_last;
    if (log_tail(core, &old_base, &old_last)) {
        MARK(TAIL_REOPENED);
        log_tail_drop(core);
    }
    session_cut_tail_configs(core, 0);
    log_tail_open(core, base);
}

static void carry_out(struct mortar_core *core, const struct raft_effect *effect)
{
    switch (effect->type) {
    case RAFT_SAVE_VOTE:
        log_save_vote(core, effect->save_vote.term, &effect->save_vote.voted_for);
        return;
    case RAFT_TRUNCATE:
        log_truncate(core, MORTAR_LOG_MAIN, effect->index);
        requests_on_truncate(core, effect->index);
        return;
    case RAFT_APPEND_OWN:
        on_append_own(core, effect);
        return;
    case RAFT_APPEND_FOREIGN:
        append_foreign(core, effect);
        return;
    case RAFT_SEND:
        on_send(core, effect);
        return;
    case RAFT_SEND_APPEND:
        send_append(core, &effect->send_append.to, &effect->send_append.append,
                    effect->send_append.first, effect->send_append.last);
        return;
    case RAFT_COMMIT:
        apply_on_commit(core, effect->position);
        return;
    case RAFT_ROLE:
        on_role(core, effect);
        return;
    case RAFT_CONFIG:
        core->changed = true;
        return;
    case RAFT_READ_CONFIRMED:
        reads_on_confirmed(core, effect->round);
        return;
    case RAFT_SYNC_OPEN:
        open_session(core, effect);
        return;
    case RAFT_TAIL_OPEN:
        reopen_tail(core, &effect->anchor);
        return;
    case RAFT_TAIL_APPEND:
        append_tail(core, effect);
        return;
    case RAFT_TAIL_TRUNCATE:
        log_truncate(core, MORTAR_LOG_TAIL, effect->index);
        session_cut_tail_configs(core, effect->index);
        return;
    case RAFT_TRANSFER_ENDED:
        requests_on_transfer_ended(core, effect->told);
        return;
    case RAFT_REMOVED:
        core->removed = true;
        core->changed = true;
        return;
    }
}

/* A step may lead to another (a session opens, or writes the log): each depth has its own effects.
 * What a failed replica still wanted to do is left undone. */
enum mortar_status drive(struct mortar_core *core, const struct raft_event *event)
{
    if (core->failure != MORTAR_OK) return MORTAR_E_FAILED;
    ASSERT(core->drive_depth < DRIVE_DEPTH_MAX);
    struct raft_effects *effects = &core->raft_effects[core->drive_depth++];
    const struct raft_event *outer_event = core->raft_event;
    core->raft_event = event;
    enum mortar_status status;
    bool again;
    do {
        effects->count = 0;
        status = raft_step(core->raft, event, effects);
        again = event->type == RAFT_FLUSH && effects->count > 0;
        for (uint32_t i = 0; i < effects->count && core->failure == MORTAR_OK; i++)
            carry_out(core, &effects->items[i]);
    } while (again && core->failure == MORTAR_OK);
    core->raft_event = outer_event;
    core->drive_depth--;
    return core->failure == MORTAR_OK ? status : MORTAR_E_FAILED;
}

void drive_settle(struct mortar_core *core)
{
    while (core->failure == MORTAR_OK && log_reap(core)) {
    }
}
