/* group/core.c - life cycle of a replica, and the order in which its parts run. */
#include "base/assert.h"
#include "base/hash.h"
#include "group/internal.h"
#include "wire/found.h"

#include <string.h>

void *core_reserve(struct mortar_core *core, size_t bytes)
{
    return core->allocator.reserve(core->allocator.context, bytes);
}

void core_release(struct mortar_core *core, void *block, size_t bytes)
{
    if (block != NULL) core->allocator.release(core->allocator.context, block, bytes);
}

void core_trace(struct mortar_core *core, enum mortar_trace_kind kind,
                const struct mortar_member_id *other, const uint64_t numbers[4])
{
    if (core->options.trace.emit == NULL) return;
    struct mortar_trace_event event = {.kind = kind, .other = other};
    memcpy(event.numbers, numbers, sizeof event.numbers);
    core->options.trace.emit(core->options.trace.context, &event);
}

/* ---- Options ---- */

static bool options_are_sound(const struct mortar_core_options *o)
{
    if (o->network == NULL || o->address == NULL) return false;
    if (strlen(o->network) > MORTAR_NAME_BYTES_MAX) return false;
    if (strlen(o->address) > MORTAR_ADDRESS_BYTES_MAX) return false;
    if (mortar_member_id_is_none(&o->self)) return false;
    if (o->observer && !mortar_member_id_is_none(&o->replaces)) return false;
    if (mortar_member_id_equal(&o->replaces, &o->self)) return false;
    if (o->tick_ms == 0 || o->heartbeat_ticks == 0) return false;
    if (o->election_ticks <= o->heartbeat_ticks || o->reluctant_factor == 0) return false;
    const bool promotes = o->target_voters != MORTAR_PROMOTE_NOBODY;
    if (promotes && (o->target_voters > 7 || o->target_voters % 2 == 0)) return false;
    if (o->command_bytes_max == 0 || o->command_bytes_max > MORTAR_COMMAND_BYTES_LIMIT) {
        return false;
    }
    if (o->requests_max == 0 || o->uncommitted_bytes_max < o->command_bytes_max) return false;
    if (o->window_bytes == 0 || o->tail_window_bytes == 0 || o->apply_bytes == 0) return false;
    return o->time_gap_ms >= 1000 && o->lease_ms >= 1000;
}

static void default_32(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0) *value = otherwise;
}

static void default_64(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0) *value = otherwise;
}

#define MIB (1024u * 1024u)

void mortar_core_options_complete(struct mortar_core_options *options)
{
    default_32(&options->tick_ms, 10);
    default_32(&options->heartbeat_ticks, 10);
    default_32(&options->election_ticks, 60);
    default_32(&options->reluctant_factor, 1);
    default_32(&options->target_voters, 3);
    default_32(&options->command_bytes_max, MIB);
    default_32(&options->requests_max, 65536);
    default_64(&options->uncommitted_bytes_max, 64u * MIB);
    default_64(&options->window_bytes, 4u * MIB);
    default_64(&options->resend_bytes, MIB);
    default_64(&options->tail_bytes_max, 256u * MIB);
    default_64(&options->tail_window_bytes, MIB);
    default_64(&options->lease_bytes_max, 1024u * MIB);
    default_32(&options->lease_ms, 10000);
    default_32(&options->apply_bytes, MIB);
    default_32(&options->time_gap_ms, 10000);
}

/* A caller built against an older header gives a shorter struct: the rest keeps its default. */
static bool options_copy(const struct mortar_core_options *from, struct mortar_core_options *out)
{
    if (from->struct_bytes < offsetof(struct mortar_core_options, seed)) return false;
    struct mortar_core_options options = {0};
    memcpy(&options, from,
           from->struct_bytes < sizeof options ? from->struct_bytes : sizeof options);
    options.struct_bytes = (uint32_t)sizeof options;
    mortar_core_options_complete(&options);
    *out = options;
    return true;
}

/* Records of one append: what fits a control frame with its headers. */
#define APPEND_RUN_BYTES                                                                           \
    (MORTAR_CONTROL_FRAME_BYTES_MAX - FRAME_HEADER_BYTES - APPEND_REQUEST_BYTES)

/* Never early, so rounded up. */
static uint32_t remove_gone_ticks(const struct mortar_core_options *o)
{
    return o->remove_gone_ms / o->tick_ms + (o->remove_gone_ms % o->tick_ms != 0);
}

static struct raft_options raft_options_of(const struct mortar_core *core)
{
    const struct mortar_core_options *o = &core->options;
    return (struct raft_options){
        .self = o->self,
        .seed = o->seed,
        .election_ticks_min = o->election_ticks,
        .heartbeat_ticks = o->heartbeat_ticks,
        .reluctant_factor = o->reluctant_factor,
        .append_bytes = APPEND_RUN_BYTES,
        .window_bytes = o->window_bytes,
        .resend_bytes = o->resend_bytes,
        .tail_window_bytes = o->tail_window_bytes,
        .uncommitted_bytes_max = o->uncommitted_bytes_max,
        .target_voters = o->target_voters == MORTAR_PROMOTE_NOBODY ? 0 : o->target_voters,
        .remove_gone_ticks = remove_gone_ticks(o),
        .trace = o->trace,
    };
}

/* ---- Open and close ---- */

/* What members are asked is numbered from a place of this process' own, so that an answer to an
 * earlier process of this member, late or brought back, is never taken for one to this. */
static void number_requests(struct mortar_core *core)
{
    struct prng prng = prng_seeded(~core->options.seed);
    core->next_forward_id = prng_next(&prng) >> 2 | 1u;
    core->next_read_id = prng_next(&prng) >> 2 | 1u;
}

static void prepare(struct mortar_core *core, const struct mortar_storage *storage)
{
    memcpy(core->network, core->options.network, strlen(core->options.network) + 1);
    memcpy(core->address, core->options.address, strlen(core->options.address) + 1);
    core->options.network = core->network;
    core->options.address = core->address;
    core->group_tag = frame_group_tag(&core->options.group);
    core->prng = prng_seeded(core->options.seed);
    core->storage = *storage;
    core->next_token = 1;
    core->next_serial = 1;
    number_requests(core);
    core->next_generation = 1;
    core->effects = ring_init(&core->allocator, sizeof(struct mortar_effect), GROUP_EFFECTS_MAX);
    core->held = ring_init(&core->allocator, sizeof(struct mortar_effect), GROUP_EFFECTS_MAX);
    core->pending = ring_init(&core->allocator, sizeof(struct pending), GROUP_PENDING_MAX);
    core->tail_configs = ring_init(&core->allocator, sizeof(struct tail_config), TAIL_CONFIGS_MAX);
    core->remote_reads =
        ring_init(&core->allocator, sizeof(struct remote_read), core->options.requests_max);
}

static enum mortar_status open_raft(struct mortar_core *core)
{
    struct raft_log_view view;
    log_view_of(core, &view);
    const struct raft_options options = raft_options_of(core);
    const struct raft_restored restored = restore_hard_state(core);
    const enum mortar_status status =
        raft_open(&core->allocator, &options, &view, &restored, &core->raft);
    /* Our own options were looked at: what does not fit is what the storage gave back. */
    return status == MORTAR_E_INVALID ? MORTAR_E_CORRUPT : status;
}

static void free_core(struct mortar_core *core)
{
    core_client_table_free(core, core->clients);
    core_client_table_free(core, core->clients_retired);
    raft_close(core->raft);
    ring_deinit(&core->effects);
    ring_deinit(&core->held);
    ring_deinit(&core->pending);
    ring_deinit(&core->remote_reads);
    ring_deinit(&core->tail_configs);
    core_release(core, core->raft_effects, DRIVE_DEPTH_MAX * sizeof *core->raft_effects);
    const struct mortar_allocator allocator = core->allocator;
    allocator.release(allocator.context, core, sizeof *core);
}

/* NOLINTNEXTLINE(readability-function-size): what a replica is made of. */
enum mortar_status mortar_core_open(const struct mortar_allocator *allocator,
                                    const struct mortar_core_options *options,
                                    const struct mortar_storage *storage,
                                    const struct mortar_machine_ops *machine_ops, void *machine,
                                    const struct mortar_sync_method *method,
                                    struct mortar_core **out_core)
{
    struct mortar_core_options checked;
    if (!options_copy(options, &checked) || method == NULL) return MORTAR_E_INVALID;
    if (!options_are_sound(&checked)) return MORTAR_E_INVALID;
    if (machine_ops != NULL && (machine_ops->apply == NULL || machine_ops->name == NULL)) {
        return MORTAR_E_INVALID;
    }
    struct mortar_anchor_point base;
    if (!storage->ops->base(storage->self, MORTAR_LOG_MAIN, &base)) return MORTAR_E_INVALID;
    if (base.position.index != 0) return MORTAR_E_NOT_SUPPORTED;

    struct mortar_core *core = allocator->reserve(allocator->context, sizeof *core);
    if (core == NULL) return MORTAR_E_NO_MEMORY;
    *core = (struct mortar_core){.allocator = *allocator, .options = checked};
    core->machine_ops = machine_ops;
    core->machine = machine;
    core->method = method;
    prepare(core, storage);
    core->raft_effects = core_reserve(core, DRIVE_DEPTH_MAX * sizeof *core->raft_effects);
    core->clients = core_client_table_new(core);
    const bool reserved =
        core->raft_effects != NULL && core->clients != NULL && core_reserve_effects(core, 0);
    enum mortar_status status = reserved ? open_raft(core) : MORTAR_E_NO_MEMORY;
    if (status == MORTAR_OK) status = provider_open(core);
    if (status != MORTAR_OK) {
        free_core(core);
        return status;
    }
    restore_begin(core);
    *out_core = core;
    return MORTAR_OK;
}

void mortar_core_stop(struct mortar_core *core)
{
    if (core->stopped) return;
    if (core->session_open) session_close(core, MORTAR_E_CANCELLED);
    core->stopped = true;
    requests_end_all(core, MORTAR_E_CLOSED);
    reads_end_all(core, MORTAR_E_CLOSED);
}

static void drop_effects(struct ring *ring)
{
    struct mortar_effect effect;
    while (ring_pop(ring, &effect)) {
        if (effect.type == MORTAR_EFFECT_SEND) mortar_buffer_release(effect.send.frame);
        if (effect.type == MORTAR_EFFECT_DONE) mortar_buffer_release(effect.done.result.replies);
    }
}

/* Ends what the storage still owes, so that every read's callback frees its argument. */
static void drop_pending(struct mortar_core *core)
{
    struct pending pending;
    while (ring_pop(&core->pending, &pending)) {
        if (pending.done != NULL) {
            pending.done(core, pending.argument, MORTAR_E_CLOSED, NULL);
        }
    }
}

void mortar_core_close(struct mortar_core *core)
{
    if (core == NULL) return;
    mortar_core_stop(core);
    ASSERT(core->work_outstanding == 0);
    provider_close(core);
    drop_pending(core);
    drop_effects(&core->effects);
    drop_effects(&core->held);
    for (uint32_t i = 0; i < GROUP_PEERS_MAX; i++)
        peer_forget_parts(&core->peers[i]);
    core->storage.ops->close(core->storage.self);
    free_core(core);
}

/* The replica is dead: nothing more is acknowledged, every request ends (design 5). */
void core_fail(struct mortar_core *core, enum mortar_status status)
{
    ASSERT(status != MORTAR_OK);
    if (core->failure != MORTAR_OK) return;
    core->failure = status;
    drop_effects(&core->held);
    requests_end_all(core, MORTAR_E_FAILED);
    reads_end_all(core, MORTAR_E_FAILED);
    core_push_effect(core, &(struct mortar_effect){.type = MORTAR_EFFECT_FAILED, .failed = status});
}

/* ---- Founding ---- */

void core_learn_found(struct mortar_core *core, struct mortar_bytes payload)
{
    struct found found;
    if (core->state.birth_known || found_decode(payload, &found) != MORTAR_OK) return;
    core->state.birth_known = true;
    core->state.birth = found.birth;
    memcpy(core->state.fingerprint_key, found.fingerprint_key, sizeof found.fingerprint_key);
    core_push_effect(core,
                     &(struct mortar_effect){.type = MORTAR_EFFECT_BIRTH, .birth = found.birth});
}

/* Entry 1 in term 1, committed by its only voter when it is durable. The founder then runs an
 * election like any other voter; it waits for nobody. */
enum mortar_status mortar_core_found(struct mortar_core *core, const struct mortar_birth_id *birth,
                                     const uint8_t fingerprint_key[16])
{
    static const uint8_t zero[16] = {0};
    if (memcmp(birth->bytes, zero, sizeof zero) == 0) return MORTAR_E_INVALID;
    if (memcmp(fingerprint_key, zero, sizeof zero) == 0) return MORTAR_E_INVALID;
    if (log_last(core).index != 0 || raft_config_index(core->raft) != 0) return MORTAR_E_EXISTS;
    struct found found = {.birth = *birth};
    memcpy(found.fingerprint_key, fingerprint_key, sizeof found.fingerprint_key);
    found.config.count = 1;
    found.config.members[0].id = core->options.self;
    found.config.members[0].voter_new = true;
    memcpy(found.config.members[0].address, core->address, sizeof core->address);

    uint8_t payload_bytes[FOUND_ENCODED_BYTES_MAX];
    struct writer payload = writer_over(payload_bytes, sizeof payload_bytes);
    found_encode(&found, &payload);
    struct mortar_entry entry = {.index = 1,
                                 .term = 1,
                                 .time_ms = core->wall_ms,
                                 .kind = MORTAR_ENTRY_FOUND,
                                 .bytes = {payload.data, payload.bytes}};
    entry.sum = log_sum_next(log_base(core).sum, &entry);
    if (!log_append_entry(core, &entry)) return MORTAR_E_NO_MEMORY;
    core->log_time_ms = core->wall_ms;

    drive(core, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    drive(core, &(struct raft_event){.type = RAFT_SYNC_CONFIG,
                                     .config = {.index = 1, .config = &found.config}});
    drive(core, &(struct raft_event){.type = RAFT_SYNC_COMMITTED, .index = 1});
    core_learn_found(core, (struct mortar_bytes){payload.data, payload.bytes});
    drive_settle(core);
    return core->failure;
}

/* ---- Events ---- */

/* Timeouts of the election without a leader, after which a member asks whether it is one still. */
#define WONDERS_TIMEOUTS 4u

/* A member whose removal was committed while it was away hears nothing any more: the others do not
 * know it. So it asks as one that joins does. */
static bool wonders(struct mortar_core *core)
{
    const struct mortar_member_id leader = raft_leader(core->raft);
    if (!mortar_member_id_is_none(&leader)) core->led_tick = core->ticks;
    const uint64_t patience =
        (uint64_t)WONDERS_TIMEOUTS * core->options.election_ticks * core->options.reluctant_factor;
    return core->ticks - core->led_tick > patience;
}

static void ask_to_join(struct mortar_core *core)
{
    core->wonders = wonders(core);
    if (core->removed) return;
    /* Only a committed membership lasts: one that is merely in the log may go with its leader. */
    if (config_find(raft_committed_config(core->raft), &core->options.self) != NULL) {
        core->joining = false;
    }
    if (!core->joining && !core->wonders) return;
    if (!core->joining) MARK(MEMBER_WONDERS);
    if (core->ticks < core->join_tick) return;
    core->join_tick = core->ticks + 2u * core->options.heartbeat_ticks;
    struct join_request request = {.observer = core->options.observer,
                                   .replaces = core->options.replaces};
    memcpy(request.address, core->address, sizeof core->address);
    const struct mortar_member_id leader = raft_leader(core->raft);
    const struct peer *at_leader = peer_find(core, &leader);
    for (uint32_t tried = 0; tried < GROUP_PEERS_MAX; tried++) {
        const struct peer *peer = at_leader;
        if (peer == NULL) peer = &core->peers[core->join_turn++ % GROUP_PEERS_MAX];
        at_leader = NULL;
        if (!peer->used || !peer->up[MORTAR_LANE_CONTROL]) continue;
        outbox_send(core, &peer->id, MESSAGE_JOIN_REQUEST, &request);
        return;
    }
}

void mortar_core_tick(struct mortar_core *core, uint64_t now_ms, uint64_t wall_ms)
{
    if (now_ms > core->now_ms) core->now_ms = now_ms;
    core->wall_ms = wall_ms;
    core->ticks++;
    if (core->stopped || core->failure != MORTAR_OK) return;
    if (!core->restoring) drive(core, &(struct raft_event){.type = RAFT_TICK});
    drive_settle(core);
    if (core->ticks % 5 == 0) {
        requests_expire(core);
        reads_expire(core);
        lease_expire(core);
    }
    if (core->restoring) return;
    propose_time(core);
    ask_to_join(core);
    sync_tick(core);
    echo_on_tick(core);
}

void mortar_core_join(struct mortar_core *core)
{
    core->joining = true;
}

void mortar_core_reap(struct mortar_core *core)
{
    if (!core->stopped && core->failure == MORTAR_OK) drive_settle(core);
}

void mortar_core_flush(struct mortar_core *core)
{
    if (core->stopped || core->failure != MORTAR_OK) return;
    restore_more(core);
    if (core->restoring) return;
    requests_route(core);
    propose_queued(core);
    reads_flush(core);
    if (raft_role(core->raft) == MORTAR_LEADER) {
        drive(core, &(struct raft_event){.type = RAFT_FLUSH});
    }
    drive_settle(core);
    sync_poll(core);
    drive_settle(core);
    apply_more(core);
    lease_prune(core);
    if (core->changed) {
        core->changed = false;
        core_push_effect(core, &(struct mortar_effect){.type = MORTAR_EFFECT_CHANGED});
    }
}

bool mortar_core_next(struct mortar_core *core, struct mortar_effect *out_effect)
{
    return ring_pop(&core->effects, out_effect);
}

void mortar_core_work_run(struct mortar_work *work)
{
    switch (work->kind) {
    case WORK_APPLY:
    case WORK_QUERY:
        apply_work_run(work);
        return;
    case WORK_JOB:
        work->job.run(work->job.argument, work->place == MORTAR_WORK_BULK ? NULL : work->machine);
        return;
    }
}

void mortar_core_work_done(struct mortar_core *core, struct mortar_work *work)
{
    ASSERT(core->work_outstanding > 0);
    core->work_outstanding--;
    switch (work->kind) {
    case WORK_APPLY:
        apply_on_work(core, work);
        break;
    case WORK_QUERY:
        reads_on_work(core, work);
        break;
    case WORK_JOB:
        sync_job_done(core, work);
        break;
    }
    work_free(core, work);
    if (!core->stopped && core->failure == MORTAR_OK) drive_settle(core);
}

enum mortar_status mortar_core_tune(struct mortar_core *core,
                                    const struct mortar_core_options *options)
{
    struct mortar_core_options fixed;
    if (!options_copy(options, &fixed)) return MORTAR_E_INVALID;
    fixed.self = core->options.self;
    fixed.group = core->options.group;
    fixed.network = core->network;
    fixed.address = core->address;
    fixed.seed = core->options.seed;
    fixed.replaces = core->options.replaces;
    fixed.trace = core->options.trace;
    fixed.clock_us = core->options.clock_us;
    fixed.clock_context = core->options.clock_context;
    if (!options_are_sound(&fixed)) return MORTAR_E_INVALID;
    const struct mortar_core_options before = core->options;
    core->options = fixed;
    const struct raft_options raft_options = raft_options_of(core);
    const enum mortar_status status = raft_tune(core->raft, &raft_options);
    if (status != MORTAR_OK) {
        core->options = before;
        return status;
    }
    const uint32_t reads = core->remote_reads.count; /* What is there already stays. */
    core->remote_reads.count_max = reads > fixed.requests_max ? reads : fixed.requests_max;
    return MORTAR_OK;
}
