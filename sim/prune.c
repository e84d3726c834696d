/* sim/prune.c - passes everything on, and adds a hint for pruning. */
#include "sim/prune.h"

struct prune_provider {
    struct prune *prune;
    void *below;
};

static enum mortar_status on_create(void *method, struct mortar_sync_provider *runtime,
                                    void **out_provider)
{
    struct prune *prune = method;
    struct prune_provider *provider =
        prune->allocator.reserve(prune->allocator.context, sizeof *provider);
    if (provider == NULL) return MORTAR_E_NO_MEMORY;
    provider->prune = prune;
    const enum mortar_status status =
        prune->below->provider->create(prune->below->context, runtime, &provider->below);
    if (status != MORTAR_OK) {
        prune->allocator.release(prune->allocator.context, provider, sizeof *provider);
        return status;
    }
    *out_provider = provider;
    return MORTAR_OK;
}

static void on_destroy(void *self)
{
    struct prune_provider *provider = self;
    struct prune *prune = provider->prune;
    prune->below->provider->destroy(provider->below);
    prune->allocator.release(prune->allocator.context, provider, sizeof *provider);
}

static bool on_receive(void *self, const struct mortar_sync_incoming *message)
{
    struct prune_provider *provider = self;
    return provider->prune->below->provider->receive(provider->below, message);
}

static enum mortar_sync_poll on_poll(void *self)
{
    struct prune_provider *provider = self;
    return provider->prune->below->provider->poll(provider->below);
}

static uint64_t on_safe_to_prune(void *self)
{
    const struct prune_provider *provider = self;
    return provider->prune->to == 0 ? MORTAR_SYNC_NO_PRUNE : provider->prune->to;
}

static enum mortar_status on_create_session(void *method, struct mortar_sync_session *runtime,
                                            const struct mortar_sync_gap *gap, void **out_session)
{
    const struct prune *prune = method;
    return prune->below->session->create(prune->below->context, runtime, gap, out_session);
}

void prune_init(struct prune *prune, const struct mortar_allocator *allocator,
                const struct mortar_sync_method *below)
{
    *prune = (struct prune){
        .method = *below,
        .below = below,
        .provider =
            {
                .struct_bytes = (uint32_t)sizeof(struct mortar_sync_provider_ops),
                .create = on_create,
                .destroy = on_destroy,
                .receive = on_receive,
                .poll = on_poll,
                .safe_to_prune_prefix = on_safe_to_prune,
            },
        .session = *below->session,
        .allocator = *allocator,
    };
    prune->session.create = on_create_session;
    prune->method.provider = &prune->provider;
    prune->method.session = &prune->session;
    prune->method.context = prune;
}
