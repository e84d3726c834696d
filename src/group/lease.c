/* group/lease.c - what others' sessions hold back of our log (C9), and pruning.
 *
 * A lease rides on its session's heartbeats to all members, so a new leader honours it as the old
 * one did. It ends when its session says so, when it is not renewed, or when it holds back more
 * than its bytes; each end but the first is an event.
 */
#include "base/assert.h"
#include "group/internal.h"

static struct held_lease *find_lease(struct mortar_core *core,
                                     const struct mortar_member_id *member)
{
    for (uint32_t i = 0; i < core->lease_count; i++) {
        if (mortar_member_id_equal(&core->leases[i].member, member)) return &core->leases[i];
    }
    return NULL;
}

static void remove_lease(struct mortar_core *core, struct held_lease *lease)
{
    ASSERT(core->lease_count > 0);
    *lease = core->leases[--core->lease_count];
}

void lease_on_message(struct mortar_core *core, const struct mortar_member_id *from,
                      const struct lease *message)
{
    struct held_lease *lease = find_lease(core, from);
    if (message->ended) {
        if (lease != NULL && lease->session == message->session) {
            MARK(LEASE_DONE);
            remove_lease(core, lease);
        }
        return;
    }
    if (lease == NULL || lease->session != message->session) {
        if (lease == NULL && core->lease_count == MORTAR_MEMBERS_MAX) return;
        if (lease == NULL) lease = &core->leases[core->lease_count++];
        *lease = (struct held_lease){.member = *from, .session = message->session};
        MARK(LEASE_BEGINS);
        TRACE(core, LEASE, from, message->session, message->from_index, message->bytes_max);
    }
    const uint64_t bytes_limit = core->options.lease_bytes_max;
    const uint64_t ms_limit = core->options.lease_ms;
    lease->from_index = message->from_index == 0 ? 1 : message->from_index;
    lease->bytes_max = message->bytes_max < bytes_limit ? message->bytes_max : bytes_limit;
    lease->until_ms =
        core->now_ms + (message->duration_ms < ms_limit ? message->duration_ms : ms_limit);
}

static void end_lease(struct mortar_core *core, const struct held_lease *lease,
                      enum mortar_status reason)
{
    core->counters.leases_ended++;
    core->changed = true;
    TRACE(core, LEASE_ENDED, &lease->member, lease->session, (uint64_t)reason);
}

void lease_expire(struct mortar_core *core)
{
    uint32_t i = 0;
    while (i < core->lease_count) {
        struct held_lease *lease = &core->leases[i];
        if (lease->until_ms > core->now_ms) {
            i++;
            continue;
        }
        if (!lease->ended) {
            MARK(LEASE_EXPIRED);
            end_lease(core, lease, MORTAR_E_TIMEOUT);
        }
        remove_lease(core, lease);
    }
}

static void broadcast_lease(struct mortar_core *core, bool ended)
{
    const struct lease message = {
        .session = core->session.id,
        .from_index = core->session.needs != 0 ? core->session.needs : log_last(core).index + 1,
        .bytes_max = core->options.lease_bytes_max,
        .duration_ms = core->options.lease_ms,
        .term = raft_term(core->raft),
        .ended = ended,
    };
    for (uint32_t i = 0; i < GROUP_PEERS_MAX; i++) {
        const struct peer *peer = &core->peers[i];
        if (!peer->used || !peer->up[MORTAR_LANE_CONTROL]) continue;
        outbox_send(core, &peer->id, MESSAGE_LEASE, &message);
    }
}

void lease_renew(struct mortar_core *core)
{
    if (core->session_open) broadcast_lease(core, false);
}

void lease_send_end(struct mortar_core *core)
{
    broadcast_lease(core, true);
}

/* ---- Pruning ---- */

static uint64_t held_bytes(const struct mortar_core *core, uint64_t from, uint64_t to)
{
    const uint64_t first = log_base(core).position.index + 1;
    if (from < first) from = first;
    if (from > to) return 0;
    return core->storage.ops->bytes(core->storage.self, MORTAR_LOG_MAIN, from, to);
}

/* The hint of the method, never above what is committed and applied here. */
static uint64_t prunable(struct mortar_core *core)
{
    const struct mortar_sync_provider_ops *ops = core->method->provider;
    if (!core->provider_open || ops->safe_to_prune_prefix == NULL) return 0;
    uint64_t to = ops->safe_to_prune_prefix(core->provider.self);
    if (to == MORTAR_SYNC_NO_PRUNE) return 0;
    if (to > core->committed.index) to = core->committed.index;
    if (to > core->state.applied.position.index) to = core->state.applied.position.index;
    return to;
}

void lease_prune(struct mortar_core *core)
{
    if (core->session_open || core->apply_running || core->apply_reading) return;
    uint64_t to = prunable(core);
    if (to <= log_base(core).position.index) return;
    const uint64_t wanted = to;
    for (uint32_t i = 0; i < core->lease_count; i++) {
        struct held_lease *lease = &core->leases[i];
        if (lease->ended || lease->from_index > wanted) continue;
        if (held_bytes(core, lease->from_index, wanted) > lease->bytes_max) {
            lease->ended = true;
            end_lease(core, lease, MORTAR_E_TOO_LARGE);
        } else if (lease->from_index - 1 < to) {
            to = lease->from_index - 1;
        }
    }
    if (to <= log_base(core).position.index) return;
    TRACE(core, PRUNE, NULL, to);
    log_prune(core, to);
    core->changed = true;
}
