/* unit/sync/fake_runtime.h - implements the functions of mortar/sync.h on a fake_world. Included by
 * exactly one file of a test program. */
#ifndef UNIT_SYNC_FAKE_RUNTIME_H
#define UNIT_SYNC_FAKE_RUNTIME_H

#include "unit/sync/fake_world.h"

struct mortar_sync_message {
    struct fake_world *world;
    uint64_t session;
    enum mortar_lane lane;
    struct mortar_buffer *buffer;
    bool sealed;
};

/* The message's bytes lie behind this much of frame, as in the real one. */
#define FAKE_LEAD_BYTES 60u

static struct fake_member *own(const struct mortar_sync *sync)
{
    return &sync->world->members[sync->member];
}

struct mortar_sync *mortar_sync_of_provider(struct mortar_sync_provider *provider)
{
    return &provider->sync;
}

struct mortar_sync *mortar_sync_of_session(struct mortar_sync_session *session)
{
    return &session->sync;
}

uint64_t mortar_sync_term(const struct mortar_sync *sync)
{
    return sync->member == 0 ? sync->world->own_term : sync->world->term;
}

struct mortar_position mortar_sync_committed(const struct mortar_sync *sync)
{
    return sync->world->points[own(sync)->commit].position;
}

uint64_t mortar_sync_now_ms(const struct mortar_sync *sync)
{
    return sync->world->now_ms;
}

const struct mortar_allocator *mortar_sync_allocator(const struct mortar_sync *sync)
{
    return &sync->world->allocator;
}

/* NOLINTNEXTLINE(readability-function-size): as the real one. */
void mortar_sync_trace(struct mortar_sync *sync, enum mortar_trace_kind kind,
                       const struct mortar_member_id *other, uint64_t a, uint64_t b, uint64_t c,
                       uint64_t d)
{
    (void)other;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    sync->world->traced[kind]++;
}

uint32_t mortar_sync_bonds(const struct mortar_sync *sync, struct mortar_member_id *out_members,
                           uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sync->world->member_count && count < capacity; i++) {
        /* `bonded` says of a member that it is bonded with member 0; all others are for good. */
        const uint32_t other = sync->member == 0 ? i : sync->member;
        const bool stands =
            i != sync->member &&
            (i == 0 || sync->member == 0 ? sync->world->members[other].bonded : true);
        if (stands) out_members[count++] = fake_id(i);
    }
    return count;
}

struct mortar_anchor_point mortar_sync_log_base(const struct mortar_sync *sync)
{
    struct mortar_anchor_point base;
    assert_true(own(sync)->log.ops->base(own(sync)->log.self, MORTAR_LOG_MAIN, &base));
    return base;
}

struct mortar_position mortar_sync_log_last(const struct mortar_sync *sync)
{
    return fake_last(own(sync));
}

bool mortar_sync_log_term_at(const struct mortar_sync *sync, uint64_t index, uint64_t *out_term)
{
    return own(sync)->log.ops->term_at(own(sync)->log.self, MORTAR_LOG_MAIN, index, out_term);
}

bool mortar_sync_log_sum_at(const struct mortar_sync *sync, uint64_t index,
                            struct mortar_log_sum *out_sum)
{
    return own(sync)->log.ops->sum_at(own(sync)->log.self, MORTAR_LOG_MAIN, index, out_sum);
}

uint64_t mortar_sync_log_bytes(const struct mortar_sync *sync, uint64_t first, uint64_t last)
{
    return own(sync)->log.ops->bytes(own(sync)->log.self, MORTAR_LOG_MAIN, first, last);
}

uint64_t mortar_sync_log_cut(const struct mortar_sync *sync, uint64_t first, uint64_t last,
                             uint64_t bytes)
{
    return own(sync)->log.ops->cut(own(sync)->log.self, MORTAR_LOG_MAIN, first, last, bytes);
}

static struct fake_job *free_job(struct fake_world *world)
{
    for (uint32_t i = 0; i < FAKE_JOBS; i++) {
        if (!world->jobs[i].used) return &world->jobs[i];
    }
    fail_msg("too many jobs");
    return &world->jobs[0];
}

enum mortar_status mortar_sync_log_read(struct mortar_sync *sync, uint64_t first, uint64_t last,
                                        size_t bytes_max, mortar_sync_read_done *done,
                                        void *argument)
{
    struct fake_member *const member = own(sync);
    struct mortar_storage_completion read;
    const enum mortar_status status =
        member->log.ops->read(member->log.self, MORTAR_LOG_MAIN, first, last, bytes_max, 1);
    if (status != MORTAR_OK) return status;
    assert_int_equal(member->log.ops->reap(member->log.self, &read, 1), 1);
    *free_job(sync->world) = (struct fake_job){
        .used = true,
        .owner = sync,
        .at_ms = sync->world->now_ms,
        .order = sync->world->order++,
        .read_done = done,
        .read = read.run,
        .status = read.status,
        .argument = argument,
    };
    return MORTAR_OK;
}

struct mortar_sync_message *mortar_sync_message_new(struct mortar_sync *sync, uint64_t session,
                                                    enum mortar_lane lane, size_t capacity)
{
    const struct mortar_allocator *const allocator = &sync->world->allocator;
    struct mortar_sync_message *const message =
        allocator->reserve(allocator->context, sizeof *message);
    if (message == NULL) return NULL;
    *message = (struct mortar_sync_message){.world = sync->world, .session = session, .lane = lane};
    message->buffer = mortar_buffer_new(allocator, FAKE_LEAD_BYTES + capacity);
    if (message->buffer == NULL) {
        allocator->release(allocator->context, message, sizeof *message);
        return NULL;
    }
    return message;
}

uint8_t *mortar_sync_message_data(struct mortar_sync_message *message)
{
    return mortar_buffer_data(message->buffer) + FAKE_LEAD_BYTES;
}

void mortar_sync_message_seal(struct mortar_sync_message *message, size_t bytes)
{
    assert_false(message->sealed);
    message->sealed = true;
    mortar_buffer_set_bytes(message->buffer, FAKE_LEAD_BYTES + bytes);
}

void mortar_sync_message_discard(struct mortar_sync_message *message)
{
    if (message == NULL) return;
    const struct mortar_allocator *const allocator = &message->world->allocator;
    mortar_buffer_release(message->buffer);
    allocator->release(allocator->context, message, sizeof *message);
}

/* Nothing that was verified or is in the log is asked for again (C6). */
static void judge_fetch(struct fake_world *world, struct mortar_bytes bytes)
{
    struct replay_fetch fetch;
    assert_int_equal(replay_fetch_decode(bytes, &fetch), MORTAR_OK);
    world->fetches++;
    if (!world->check_repeats) return;
    struct replay_session *const session = world->session;
    assert_true(fetch.first > world->members[0].commit);
    for (uint32_t i = 0; i < session->queue.count; i++) {
        const struct replay_chunk *const chunk = replay_chunk_at(session, i);
        if (chunk->state != REPLAY_CHUNK_VERIFIED) continue;
        assert_true(fetch.last <= chunk->after.position.index ||
                    fetch.first > chunk->end.position.index);
    }
}

/* Sends `bytes` of `buffer` from `offset` on; copies them, so that tampers may write. */
static enum mortar_status fake_send(struct mortar_sync *sync, const struct mortar_member_id *to,
                                    uint64_t session, enum mortar_lane lane,
                                    struct mortar_bytes bytes)
{
    struct fake_world *const world = sync->world;
    const uint32_t place = fake_member_of(to);
    struct fake_member *const other = &world->members[sync->member == 0 ? place : sync->member];
    if (!other->bonded) return MORTAR_E_NOT_FOUND;
    if (lane == MORTAR_LANE_CONTROL && bytes.bytes > MORTAR_CONTROL_FRAME_BYTES_MAX - 100) {
        return MORTAR_E_TOO_LARGE;
    }
    struct fake_message message = {
        .from = sync->member,
        .to = place,
        .session = sync->is_session ? world->session_runtime.id : session,
        .to_session = !sync->is_session,
        .lane = lane,
        .bytes = bytes.bytes,
        .deliver_ms = world->now_ms + other->latency_ms,
    };
    const uint8_t type = replay_message_type(bytes);
    assert_int_equal(type == REPLAY_ENTRIES, lane == MORTAR_LANE_BULK); /* C8, W-35. */
    if (type == REPLAY_FETCH) {
        judge_fetch(world, bytes);
        other->fetches++;
    }
    if (type == REPLAY_ENTRIES) {
        other->entries_sent++;
        other->bytes_sent += bytes.bytes;
        if (other->bytes_per_ms > 0) {
            if (other->bulk_free_ms < world->now_ms) other->bulk_free_ms = world->now_ms;
            other->bulk_free_ms += 1 + bytes.bytes / other->bytes_per_ms;
            message.deliver_ms = other->bulk_free_ms + other->latency_ms;
        }
    }
    message.buffer = mortar_buffer_new(&world->allocator, bytes.bytes + 1);
    if (message.buffer == NULL) return MORTAR_E_NO_MEMORY;
    memcpy(mortar_buffer_data(message.buffer), bytes.data, bytes.bytes);
    mortar_buffer_set_bytes(message.buffer, bytes.bytes);
    fake_enqueue(world, message);
    return MORTAR_OK;
}

enum mortar_status mortar_sync_send(struct mortar_sync *sync, const struct mortar_member_id *to,
                                    struct mortar_sync_message *message)
{
    assert_true(message->sealed);
    const struct mortar_bytes bytes = {mortar_sync_message_data(message),
                                       mortar_buffer_bytes(message->buffer) - FAKE_LEAD_BYTES};
    const enum mortar_status status = fake_send(sync, to, message->session, message->lane, bytes);
    mortar_sync_message_discard(message);
    return status;
}

enum mortar_status mortar_sync_send_to(struct mortar_sync *sync, const struct mortar_member_id *to,
                                       uint64_t session, struct mortar_bytes bytes)
{
    return fake_send(sync, to, session, MORTAR_LANE_CONTROL, bytes);
}

uint32_t mortar_sync_broadcast(struct mortar_sync *sync, uint64_t session,
                               struct mortar_bytes bytes, struct mortar_member_id *out_reached,
                               uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < sync->world->member_count; i++) {
        const struct mortar_member_id id = fake_id(i);
        const bool sent = mortar_sync_send_to(sync, &id, session, bytes) == MORTAR_OK;
        if (sent && count < capacity) out_reached[count++] = id;
    }
    return count;
}

void mortar_sync_wake(struct mortar_sync *sync)
{
    sync->woken = true;
}

void mortar_sync_wake_at(struct mortar_sync *sync, uint64_t at_ms)
{
    if (at_ms < sync->wake_at_ms) sync->wake_at_ms = at_ms;
}

enum mortar_status mortar_sync_offload(struct mortar_sync *sync, enum mortar_sync_where where,
                                       mortar_sync_job_run *run, mortar_sync_job_done *done,
                                       void *argument)
{
    assert_int_equal(where, MORTAR_ON_BULK);
    struct fake_world *const world = sync->world;
    if (world->offload_busy > 0) {
        world->offload_busy--;
        return MORTAR_E_BUSY;
    }
    *free_job(world) = (struct fake_job){
        .used = true,
        .owner = sync,
        .at_ms = world->now_ms + prng_below(&world->prng, 2),
        .order = world->order++,
        .run = run,
        .done = done,
        .argument = argument,
    };
    return MORTAR_OK;
}

uint64_t mortar_sync_session_id(const struct mortar_sync_session *session)
{
    return session->id;
}

bool mortar_sync_session_leader(const struct mortar_sync_session *session,
                                struct mortar_member_id *out_leader)
{
    if (session->sync.world->leader == FAKE_NOBODY) return false;
    *out_leader = fake_id(session->sync.world->leader);
    return true;
}

bool mortar_sync_session_vouched(const struct mortar_sync_session *session,
                                 struct mortar_anchor_point *out_point)
{
    const struct fake_world *const world = session->sync.world;
    if (world->leader == FAKE_NOBODY || !world->vouches) return false;
    *out_point = world->points[world->members[world->leader].commit];
    return true;
}

bool mortar_sync_session_tail(const struct mortar_sync_session *session,
                              struct mortar_anchor_point *out_base,
                              struct mortar_position *out_last)
{
    const struct fake_world *const world = session->sync.world;
    if (!world->tail_open) return false;
    *out_base = world->tail_base;
    *out_last = world->tail_base.position;
    return true;
}

void mortar_sync_session_needs(struct mortar_sync_session *session, uint64_t index)
{
    session->needs = index;
}

enum mortar_status mortar_sync_session_append(struct mortar_sync_session *session,
                                              const struct mortar_log_run *run, bool verified)
{
    struct fake_world *const world = session->sync.world;
    struct fake_member *const member = &world->members[0];
    assert_true(verified);
    if (world->append_busy > 0) {
        world->append_busy--;
        return MORTAR_E_BUSY;
    }
    const uint64_t last = fake_last(member).index;
    if (run->first != last + 1) return MORTAR_E_INVALID;
    assert_true(fake_is_truth(world, last)); /* C3: nothing is put behind a conflict. */
    struct mortar_anchor_point end;
    uint32_t count;
    const struct mortar_bytes bytes = {mortar_buffer_data(run->buffer) + run->offset, run->bytes};
    assert_int_equal(mortar_log_run_verify(bytes, &world->points[last], &count, &end), MORTAR_OK);
    assert_int_equal(count, run->count);
    assert_memory_equal(&end, &world->points[last + count], sizeof end); /* C4. */
    const enum mortar_status status =
        member->log.ops->append(member->log.self, MORTAR_LOG_MAIN, run, 1);
    fake_reap(&member->log);
    if (status == MORTAR_OK) {
        world->appends++;
        if (end.position.term > world->own_term) world->own_term = end.position.term;
    }
    return status;
}

enum mortar_status mortar_sync_session_truncate(struct mortar_sync_session *session, uint64_t from)
{
    struct fake_world *const world = session->sync.world;
    struct fake_member *const member = &world->members[0];
    assert_true(from > member->commit); /* C3, W-3. */
    assert_int_equal(member->log.ops->truncate(member->log.self, MORTAR_LOG_MAIN, from, 1),
                     MORTAR_OK);
    fake_reap(&member->log);
    world->cut_from = from;
    return MORTAR_OK;
}

enum mortar_status mortar_sync_session_set_committed(struct mortar_sync_session *session,
                                                     struct mortar_position position)
{
    struct fake_world *const world = session->sync.world;
    assert_true(position.index >= world->members[0].commit); /* W-8. */
    assert_true(position.index <= fake_last(&world->members[0]).index);
    assert_true(fake_is_truth(world, position.index));
    assert_true(mortar_position_equal(position, world->points[position.index].position));
    world->members[0].commit = position.index;
    return MORTAR_OK;
}

bool mortar_sync_provider_is_leader(const struct mortar_sync_provider *provider)
{
    return provider->sync.member == provider->sync.world->leader;
}

#endif
