/* group/sync.c - the runtime of mortar/sync.h that both companions share: questions, messages,
 * reads, jobs, wake-ups, and the polling. */
#include "base/assert.h"
#include "base/hash.h"
#include "group/internal.h"

#include <string.h>

#define CALLBACK_BUDGET_US 200u

uint64_t sync_clock(const struct mortar_core *core)
{
    if (core->options.clock_us == NULL) return 0;
    return core->options.clock_us(core->options.clock_context);
}

void sync_budget(struct mortar_core *core, uint64_t call, uint64_t began_us)
{
    const uint64_t took = sync_clock(core) - began_us;
    if (took <= CALLBACK_BUDGET_US) return;
    core->counters.budget_exceeded++;
    TRACE(core, BUDGET, NULL, call, took);
}

/* ---- Questions ---- */

struct mortar_sync *mortar_sync_of_provider(struct mortar_sync_provider *provider)
{
    return &provider->base;
}

struct mortar_sync *mortar_sync_of_session(struct mortar_sync_session *session)
{
    return &session->base;
}

struct mortar_member_id mortar_sync_local_id(const struct mortar_sync *sync)
{
    return sync->core->options.self;
}

struct mortar_group_id mortar_sync_group_id(const struct mortar_sync *sync)
{
    return sync->core->options.group;
}

const char *mortar_sync_network_id(const struct mortar_sync *sync)
{
    return sync->core->network;
}

uint64_t mortar_sync_term(const struct mortar_sync *sync)
{
    return raft_term(sync->core->raft);
}

struct mortar_position mortar_sync_committed(const struct mortar_sync *sync)
{
    return sync->core->committed;
}

uint64_t mortar_sync_applied(const struct mortar_sync *sync)
{
    return sync->core->state.applied.position.index;
}

uint64_t mortar_sync_now_ms(const struct mortar_sync *sync)
{
    return sync->core->now_ms;
}

const struct mortar_allocator *mortar_sync_allocator(const struct mortar_sync *sync)
{
    return &sync->core->allocator;
}

/* NOLINTNEXTLINE(readability-function-size): an event has four numbers. */
void mortar_sync_trace(struct mortar_sync *sync, enum mortar_trace_kind kind,
                       const struct mortar_member_id *other, uint64_t a, uint64_t b, uint64_t c,
                       uint64_t d)
{
    core_trace(sync->core, kind, other, (const uint64_t[4]){a, b, c, d});
}

const struct mortar_machine_ops *mortar_sync_machine_ops(const struct mortar_sync *sync)
{
    return sync->core->machine_ops;
}

uint32_t mortar_sync_bonds(const struct mortar_sync *sync, struct mortar_member_id *out_members,
                           uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < GROUP_PEERS_MAX && count < capacity; i++) {
        const struct peer *peer = &sync->core->peers[i];
        if (peer->used && peer->up[MORTAR_LANE_CONTROL]) out_members[count++] = peer->id;
    }
    return count;
}

uint32_t mortar_sync_members(const struct mortar_sync *sync, struct mortar_sync_member *out_members,
                             uint32_t capacity)
{
    const struct config *config = raft_config(sync->core->raft);
    for (uint32_t i = 0; i < config->count && i < capacity; i++) {
        const struct config_member *member = &config->members[i];
        out_members[i] = (struct mortar_sync_member){
            .id = member->id, .voter_old = member->voter_old, .voter_new = member->voter_new};
    }
    return config->count;
}

struct mortar_anchor_point mortar_sync_log_base(const struct mortar_sync *sync)
{
    return log_base(sync->core);
}

struct mortar_position mortar_sync_log_last(const struct mortar_sync *sync)
{
    return log_last(sync->core);
}

bool mortar_sync_log_term_at(const struct mortar_sync *sync, uint64_t index, uint64_t *out_term)
{
    return log_term_at(sync->core, index, out_term);
}

bool mortar_sync_log_sum_at(const struct mortar_sync *sync, uint64_t index,
                            struct mortar_log_sum *out_sum)
{
    return log_sum_at(sync->core, index, out_sum);
}

static bool range_is_held(const struct mortar_core *core, uint64_t first, uint64_t last)
{
    return first > log_base(core).position.index && first <= last && last <= log_last(core).index;
}

uint64_t mortar_sync_log_bytes(const struct mortar_sync *sync, uint64_t first, uint64_t last)
{
    const struct mortar_storage *storage = &sync->core->storage;
    if (!range_is_held(sync->core, first, last)) return 0;
    return storage->ops->bytes(storage->self, MORTAR_LOG_MAIN, first, last);
}

uint64_t mortar_sync_log_cut(const struct mortar_sync *sync, uint64_t first, uint64_t last,
                             uint64_t bytes)
{
    const struct mortar_storage *storage = &sync->core->storage;
    if (!range_is_held(sync->core, first, last)) return first;
    return storage->ops->cut(storage->self, MORTAR_LOG_MAIN, first, last, bytes);
}

/* ---- Reads ---- */

struct sync_read {
    struct mortar_sync *owner;
    uint64_t generation;
    mortar_sync_read_done *done;
    void *argument;
};

static void on_sync_read(struct mortar_core *core, void *argument, enum mortar_status status,
                         const struct mortar_log_run *run)
{
    struct sync_read read = *(struct sync_read *)argument;
    core_release(core, argument, sizeof read);
    if (!read.owner->alive || read.owner->generation != read.generation) {
        MARK(READ_OUTLIVES_OWNER);
        return;
    }
    struct mortar_log_run shared = {0};
    if (status == MORTAR_OK) {
        shared = *run;
        (void)mortar_buffer_share(shared.buffer);
    }
    read.done(read.argument, status, status == MORTAR_OK ? &shared : NULL);
    read.owner->wake = true;
}

enum mortar_status mortar_sync_log_read(struct mortar_sync *sync, uint64_t first, uint64_t last,
                                        size_t bytes_max, mortar_sync_read_done *done,
                                        void *argument)
{
    struct mortar_core *core = sync->core;
    if (!range_is_held(core, first, last)) return MORTAR_E_NOT_FOUND;
    struct sync_read *read = core_reserve(core, sizeof *read);
    if (read == NULL) return MORTAR_E_NO_MEMORY;
    *read = (struct sync_read){
        .owner = sync, .generation = sync->generation, .done = done, .argument = argument};
    const enum mortar_status status = log_read(core, first, last, bytes_max, on_sync_read, read);
    if (status != MORTAR_OK) core_release(core, read, sizeof *read);
    return status;
}

/* ---- Messages ---- */

struct mortar_sync_message *mortar_sync_message_new(struct mortar_sync *sync, uint64_t session,
                                                    enum mortar_lane lane, size_t capacity)
{
    struct mortar_core *core = sync->core;
    struct mortar_sync_message *message = core_reserve(core, sizeof *message);
    if (message == NULL) return NULL;
    *message = (struct mortar_sync_message){
        .allocator = &core->allocator,
        .session = sync->is_session ? core->session.id : session,
        .sequence = ++core->sync_sequence,
        .group_tag = core->group_tag,
        .lane = lane,
        .version = peers_version_min(core, lane),
        .capacity = capacity,
        .to_session = !sync->is_session,
    };
    message->frame = mortar_buffer_new(&core->allocator, SYNC_FRAME_HEADROOM + capacity);
    if (message->frame != NULL) return message;
    core_release(core, message, sizeof *message);
    return NULL;
}

uint8_t *mortar_sync_message_data(struct mortar_sync_message *message)
{
    return mortar_buffer_data(message->frame) + SYNC_FRAME_HEADROOM;
}

static void seal_frame(struct mortar_sync_message *message)
{
    frame_seal(mortar_buffer_data(message->frame), message->version, message->lane, MESSAGE_SYNC,
               message->group_tag, (uint32_t)(SYNC_MESSAGE_BYTES + message->capacity));
}

void mortar_sync_message_seal(struct mortar_sync_message *message, size_t bytes)
{
    ASSERT(!message->sealed);
    ASSERT(bytes <= message->capacity);
    uint8_t *data = mortar_buffer_data(message->frame);
    const struct mortar_bytes body = {data + SYNC_FRAME_HEADROOM, bytes};
    const struct sync_message header = {.session = message->session,
                                        .sequence = message->sequence,
                                        .checksum = checksum_64(body, 0),
                                        .to_session = message->to_session};
    struct writer out = writer_over(data + FRAME_HEADER_BYTES, SYNC_MESSAGE_BYTES);
    sync_message_encode(&header, &out); /* The body stands behind it already. */
    ASSERT(out.bytes == SYNC_MESSAGE_BYTES);
    message->capacity = bytes;
    message->sealed = true;
    mortar_buffer_set_bytes(message->frame, SYNC_FRAME_HEADROOM + bytes);
    if (SYNC_MESSAGE_BYTES + bytes > frame_payload_bytes_max(message->lane)) return; /* See send. */
    seal_frame(message);
}

void mortar_sync_message_discard(struct mortar_sync_message *message)
{
    if (message == NULL) return;
    mortar_buffer_release(message->frame);
    message->allocator->release(message->allocator->context, message, sizeof *message);
}

static enum mortar_status check_message(struct mortar_core *core, const struct mortar_member_id *to,
                                        const struct mortar_sync_message *message)
{
    const struct peer *peer = peer_find(core, to);
    if (peer == NULL || !peer->up[message->lane]) return MORTAR_E_NOT_FOUND;
    const size_t frame_bytes = mortar_buffer_bytes(message->frame);
    if (message->lane == MORTAR_LANE_CONTROL) {
        return frame_bytes > MORTAR_CONTROL_FRAME_BYTES_MAX ? MORTAR_E_TOO_LARGE : MORTAR_OK;
    }
    const bool too_large =
        frame_bytes > BULK_FRAME_BYTES_MAX || message->capacity > core->method->message_bytes_max;
    return too_large ? MORTAR_E_TOO_LARGE : MORTAR_OK;
}

enum mortar_status mortar_sync_send(struct mortar_sync *sync, const struct mortar_member_id *to,
                                    struct mortar_sync_message *message)
{
    ASSERT(message->sealed);
    struct mortar_core *core = sync->core;
    const enum mortar_status status = check_message(core, to, message);
    if (status == MORTAR_OK) {
        /* The payload is the same in each version; summed anew only where builds are mixed. */
        const uint16_t version = peer_version(core, to, message->lane);
        if (message->version != version) {
            message->version = version;
            seal_frame(message);
        }
        if (message->to_session) core->counters.sync_bytes_served += message->capacity;
        const struct mortar_effect effect = {
            .type = MORTAR_EFFECT_SEND,
            .send = {.to = *to, .lane = message->lane, .frame = message->frame}};
        message->frame = NULL;
        core_push_effect(core, &effect);
    }
    mortar_sync_message_discard(message);
    return status;
}

enum mortar_status mortar_sync_send_to(struct mortar_sync *sync, const struct mortar_member_id *to,
                                       uint64_t session, struct mortar_bytes bytes)
{
    struct mortar_sync_message *message =
        mortar_sync_message_new(sync, session, MORTAR_LANE_CONTROL, bytes.bytes);
    if (message == NULL) return MORTAR_E_NO_MEMORY;
    if (bytes.bytes > 0) memcpy(mortar_sync_message_data(message), bytes.data, bytes.bytes);
    mortar_sync_message_seal(message, bytes.bytes);
    return mortar_sync_send(sync, to, message);
}

uint32_t mortar_sync_broadcast(struct mortar_sync *sync, uint64_t session,
                               struct mortar_bytes bytes, struct mortar_member_id *out_reached,
                               uint32_t capacity)
{
    struct mortar_member_id bonds[GROUP_PEERS_MAX];
    const uint32_t count = mortar_sync_bonds(sync, bonds, GROUP_PEERS_MAX);
    uint32_t reached = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (mortar_sync_send_to(sync, &bonds[i], session, bytes) != MORTAR_OK) continue;
        if (reached < capacity) out_reached[reached] = bonds[i];
        reached++;
    }
    return reached;
}

/* ---- Wake-ups and jobs ---- */

void mortar_sync_wake(struct mortar_sync *sync)
{
    sync->wake = true;
}

void mortar_sync_wake_at(struct mortar_sync *sync, uint64_t at_ms)
{
    if (at_ms == 0) at_ms = 1;
    if (sync->wake_at_ms == 0 || at_ms < sync->wake_at_ms) sync->wake_at_ms = at_ms;
}

enum mortar_status mortar_sync_offload(struct mortar_sync *sync, enum mortar_sync_where where,
                                       mortar_sync_job_run *run, mortar_sync_job_done *done,
                                       void *argument)
{
    struct mortar_core *core = sync->core;
    if (core->stopped || core->failure != MORTAR_OK) return MORTAR_E_FAILED;
    if (where == MORTAR_ON_MACHINE_EXCLUSIVE && !sync->is_session) return MORTAR_E_INVALID;
    const enum mortar_work_place place =
        where == MORTAR_ON_BULK ? MORTAR_WORK_BULK : MORTAR_WORK_APPLY;
    struct mortar_work *work = work_new(core, WORK_JOB, place);
    if (work == NULL) return MORTAR_E_NO_MEMORY;
    work->job.owner = sync;
    work->job.generation = sync->generation;
    work->job.run = run;
    work->job.done = done;
    work->job.argument = argument;
    /* From here on the state is not the one that the applied index says, until an install. */
    if (where == MORTAR_ON_MACHINE_EXCLUSIVE) core->machine_held = true;
    work_issue(core, work);
    return MORTAR_OK;
}

void sync_job_done(struct mortar_core *core, struct mortar_work *work)
{
    (void)core;
    struct mortar_sync *owner = work->job.owner;
    const bool destroyed = !owner->alive || owner->generation != work->job.generation;
    work->job.done(work->job.argument, destroyed);
    if (!destroyed) owner->wake = true;
}

/* ---- Routing and polling ---- */

/* True when this sequence number came from that peer before. */
static bool is_duplicate(struct peer *peer, uint64_t sequence)
{
    for (uint32_t i = 0; i < GROUP_SEQUENCE_RING; i++) {
        if (peer->seen[i] == sequence) return true;
    }
    peer->seen[peer->seen_next++ % GROUP_SEQUENCE_RING] = sequence;
    return false;
}

enum budget_call {
    BUDGET_PROVIDER_RECEIVE = 1,
    BUDGET_SESSION_RECEIVE,
    BUDGET_PROVIDER_POLL,
    BUDGET_SESSION_POLL
};

void sync_on_message(struct mortar_core *core, const struct mortar_member_id *from,
                     enum mortar_lane lane, const struct sync_message *message,
                     struct mortar_buffer *frame)
{
    struct peer *peer = peer_find(core, from);
    if (peer == NULL || is_duplicate(peer, message->sequence)) {
        MARK(SYNC_TWICE);
        return;
    }
    const struct mortar_sync_incoming incoming = {.from = *from,
                                                  .session = message->session,
                                                  .bytes = message->bytes,
                                                  .buffer = frame,
                                                  .lane = lane};
    const uint64_t began = sync_clock(core);
    if (!message->to_session) {
        if (core->provider_open) {
            const bool handled = core->method->provider->receive(core->provider.self, &incoming);
            core->provider.base.wake = true;
            sync_budget(core, BUDGET_PROVIDER_RECEIVE, began);
            if (handled) return;
        }
    }
    /* An answer to an earlier session is late: this one never asked for it. */
    if (!core->session_open) return;
    const bool ours = message->session == core->session.id || BUG(OLD_SESSION_ANSWER);
    if (message->to_session && !ours) {
        MARK(SYNC_OLD_SESSION);
        return;
    }
    core->method->session->receive(core->session.self, &incoming);
    core->session.base.wake = true;
    sync_budget(core, BUDGET_SESSION_RECEIVE, began);
}

static bool is_due(struct mortar_core *core, struct mortar_sync *sync)
{
    if (sync->wake_at_ms != 0 && sync->wake_at_ms <= core->now_ms) {
        sync->wake_at_ms = 0;
        sync->wake = true;
    }
    if (!sync->alive || !sync->wake) return false;
    sync->wake = false;
    return true;
}

static void poll_provider(struct mortar_core *core)
{
    const uint64_t began = sync_clock(core);
    if (core->method->provider->poll(core->provider.self) == MORTAR_SYNC_AGAIN) {
        core->provider.base.wake = true;
    }
    sync_budget(core, BUDGET_PROVIDER_POLL, began);
}

static void poll_session(struct mortar_core *core)
{
    struct mortar_position position = {0};
    enum mortar_status reason = MORTAR_E_FAILED;
    const uint64_t began = sync_clock(core);
    const enum mortar_sync_poll answer =
        core->method->session->poll(core->session.self, &position, &reason);
    sync_budget(core, BUDGET_SESSION_POLL, began);
    switch (answer) {
    case MORTAR_SYNC_PENDING:
        return;
    case MORTAR_SYNC_AGAIN:
        core->session.base.wake = true;
        return;
    case MORTAR_SYNC_READY:
        session_ready(core, position);
        return;
    case MORTAR_SYNC_FAILED:
        session_close(core, reason == MORTAR_OK ? MORTAR_E_FAILED : reason);
        return;
    }
}

/* A companion that always says AGAIN yields to the rest of the group after so many turns. */
#define POLLS_AT_ONCE 64u

void sync_poll(struct mortar_core *core)
{
    for (uint32_t turn = 0; turn < POLLS_AT_ONCE; turn++) {
        const bool provider_due = core->provider_open && is_due(core, &core->provider.base);
        if (provider_due) poll_provider(core);
        const bool session_due = core->session_open && is_due(core, &core->session.base);
        if (session_due) poll_session(core);
        if (!provider_due && !session_due) return;
        drive_settle(core); /* Reads of a storage that answers at once. */
        if (core->failure != MORTAR_OK) return;
    }
}
