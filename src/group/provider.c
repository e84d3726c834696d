/* group/provider.c - the provider's side of mortar/sync.h. */
#include "group/internal.h"

enum mortar_status provider_open(struct mortar_core *core)
{
    core->provider.base = (struct mortar_sync){
        .core = core, .alive = true, .wake = true, .generation = core->next_generation++};
    const enum mortar_status status = core->method->provider->create(
        core->method->context, &core->provider, &core->provider.self);
    core->provider_open = status == MORTAR_OK;
    core->provider.base.alive = core->provider_open;
    return status;
}

void provider_close(struct mortar_core *core)
{
    if (!core->provider_open) return;
    core->provider_open = false;
    core->provider.base.alive = false;
    core->method->provider->destroy(core->provider.self);
}

bool mortar_sync_provider_leader(const struct mortar_sync_provider *provider,
                                 struct mortar_member_id *out_leader)
{
    const struct mortar_member_id leader = raft_leader(provider->base.core->raft);
    if (mortar_member_id_is_none(&leader)) return false;
    *out_leader = leader;
    return true;
}

bool mortar_sync_provider_is_leader(const struct mortar_sync_provider *provider)
{
    return raft_role(provider->base.core->raft) == MORTAR_LEADER;
}

enum mortar_status mortar_sync_provider_feed_command(struct mortar_sync_provider *provider,
                                                     struct mortar_bytes marker)
{
    if (!mortar_sync_provider_is_leader(provider)) return MORTAR_E_NOT_LEADER;
    if (marker.bytes > MARKER_BYTES_MAX) return MORTAR_E_TOO_LARGE;
    return requests_add_marker(provider->base.core, marker);
}
