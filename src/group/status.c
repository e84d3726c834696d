/* group/status.c - what can be seen of a replica from outside. */
#include "group/internal.h"

#include <string.h>

#define SAMPLE_MS 500u
#define YOUNG_MS  (4u * SAMPLE_MS)

/* ---- Sync ---- */

/* Verified bytes per second, smoothed over some samples; taken on the tick. */
static void sample_rate(struct mortar_core *core, uint64_t bytes_done)
{
    struct mortar_sync_session *session = &core->session;
    const uint64_t elapsed = core->now_ms - session->sample_ms;
    if (elapsed < SAMPLE_MS) return;
    const uint64_t moved =
        bytes_done > session->sample_bytes ? bytes_done - session->sample_bytes : 0;
    const uint64_t rate = moved * 1000u / elapsed;
    session->bytes_per_second =
        session->bytes_per_second == 0 ? rate : (session->bytes_per_second + rate) / 2;
    session->sample_ms = core->now_ms;
    session->sample_bytes = bytes_done;
}

static void read_progress(struct mortar_core *core, struct mortar_sync_progress *out_progress)
{
    *out_progress = (struct mortar_sync_progress){0};
    if (core->session_open && core->method->session->progress != NULL) {
        core->method->session->progress(core->session.self, out_progress);
    }
}

void status_sync(struct mortar_core *core, struct mortar_sync_status *out_status)
{
    if (!core->session_open) {
        *out_status = core->last_sync;
        return;
    }
    const struct mortar_sync_session *session = &core->session;
    struct mortar_sync_status status = {
        .active = true,
        .session = session->id,
        .started_ms = session->started_ms,
        .elapsed_ms = core->now_ms - session->started_ms,
        .tail_bytes = session->tail_bytes,
        .tail_entries = session->tail_entries,
        .left_ms = UINT64_MAX,
    };
    read_progress(core, &status.progress);
    /* A young session has no samples to smooth: its whole life is the best one. */
    status.bytes_per_second = session->bytes_per_second;
    if (status.elapsed_ms > 0 && status.elapsed_ms < YOUNG_MS) {
        status.bytes_per_second = status.progress.bytes_done * 1000u / status.elapsed_ms;
    }
    if (status.bytes_per_second > 0) {
        const uint64_t unit = BUG(LEFT_IN_SECONDS) ? 1u : 1000u;
        status.left_ms = status.progress.bytes_left * unit / status.bytes_per_second;
    }
    *out_status = status;
}

void sync_tick(struct mortar_core *core)
{
    if (!core->session_open) return;
    if (core->now_ms - core->session.sample_ms >= SAMPLE_MS) {
        struct mortar_sync_progress progress;
        read_progress(core, &progress);
        sample_rate(core, progress.bytes_done);
    }
    if (core->ticks % core->options.heartbeat_ticks == 0) lease_renew(core);
}

/* ---- Members ---- */

static void fill_member(struct mortar_core *core, const struct config_member *member,
                        struct mortar_member_status *out)
{
    *out = (struct mortar_member_status){
        .id = member->id,
        .voter = member->voter_new,
        .observer = member->observer,
        .leaving = member->leaving,
    };
    memcpy(out->address, member->address, sizeof out->address);
    const struct peer *peer = peer_find(core, &member->id);
    out->linked = peer != NULL && peer->up[MORTAR_LANE_CONTROL];
    struct raft_progress_view view;
    if (!raft_progress(core->raft, &member->id, &view)) return;
    out->match = view.match;
    out->commit = view.commit;
    out->progress = (uint32_t)view.state;
    out->whole = view.whole;
}

static void fill_leases(const struct mortar_core *core, struct mortar_core_status *out)
{
    const struct mortar_position last = log_last(core);
    for (uint32_t i = 0; i < core->lease_count; i++) {
        const struct held_lease *lease = &core->leases[i];
        if (lease->ended) continue;
        uint64_t from = log_base(core).position.index + 1;
        if (lease->from_index > from) from = lease->from_index;
        out->leases[out->lease_count++] = (struct mortar_lease_status){
            .member = lease->member,
            .session = lease->session,
            .from_index = lease->from_index,
            .held_bytes = from > last.index
                              ? 0
                              : core->storage.ops->bytes(core->storage.self, MORTAR_LOG_MAIN, from,
                                                         last.index),
            .left_ms = lease->until_ms > core->now_ms ? lease->until_ms - core->now_ms : 0,
        };
    }
}

static bool is_online(const struct mortar_core *core)
{
    if (core->failure != MORTAR_OK || core->stopped || core->removed) return false;
    if (raft_role(core->raft) == MORTAR_LEADER) return true;
    if (core->session_open || core->machine_held || raft_syncing(core->raft)) return false;
    if (mortar_member_id_is_none(&core->last_leader)) return false;
    return core->vouched_term == raft_term(core->raft) &&
           core->committed.index >= core->vouched.position.index;
}

void mortar_core_status(struct mortar_core *core, struct mortar_core_status *out_status)
{
    struct mortar_core_status *out = out_status;
    memset(out, 0, sizeof *out);
    const struct config *config = raft_config(core->raft);
    out->role = raft_role(core->raft);
    out->term = raft_term(core->raft);
    out->leader = raft_leader(core->raft);
    out->leader_known = !mortar_member_id_is_none(&out->leader);
    out->self = core->options.self;
    out->member = config_find(config, &core->options.self) != NULL;
    out->removed = core->removed;
    out->online = is_online(core);
    out->birth_known = core->state.birth_known;
    out->birth = core->state.birth;
    out->base = log_base(core);
    out->last = log_last(core);
    out->stored = core->stored;
    out->committed = core->committed;
    out->applied = core->state.applied.position.index;
    out->config_index = raft_config_index(core->raft);
    out->joint = config->joint;
    out->member_count = config->count;
    for (uint32_t i = 0; i < config->count; i++) {
        fill_member(core, &config->members[i], &out->members[i]);
    }
    status_sync(core, &out->sync);
    out->sync_ended = core->sync_ended;
    fill_leases(core, out);
    const struct mortar_storage *storage = &core->storage;
    if (out->last.index > out->base.position.index) {
        out->log_bytes = storage->ops->bytes(storage->self, MORTAR_LOG_MAIN,
                                             out->base.position.index + 1, out->last.index);
    }
    out->memory_bytes = storage->ops->memory_bytes(storage->self);
    out->counters = core->counters;
}

enum mortar_role mortar_core_role(const struct mortar_core *core)
{
    return raft_role(core->raft);
}

bool mortar_core_log_sum(struct mortar_core *core, uint64_t index, uint64_t *out_term,
                         struct mortar_log_sum *out_sum)
{
    uint64_t term;
    struct mortar_log_sum sum;
    if (!log_term_at(core, index, &term) || !log_sum_at(core, index, &sum)) return false;
    *out_term = term;
    *out_sum = sum;
    return true;
}
