#include "unit/group/scripted.h"

#include <string.h>

struct scripted scripted;

void scripted_reset(void)
{
    scripted = (struct scripted){.prune_to = MORTAR_SYNC_NO_PRUNE};
}

/* ---- Provider ---- */

static enum mortar_status provider_create(void *method, struct mortar_sync_provider *runtime,
                                          void **out_provider)
{
    (void)method;
    scripted.provider = runtime;
    *out_provider = runtime;
    return MORTAR_OK;
}

static void provider_destroy(void *provider)
{
    (void)provider;
}

static bool provider_receive(void *provider, const struct mortar_sync_incoming *message)
{
    (void)provider;
    (void)message;
    scripted.provider_received++;
    return scripted.provider_handles;
}

static enum mortar_sync_poll provider_poll(void *provider)
{
    (void)provider;
    scripted.provider_polls++;
    return MORTAR_SYNC_PENDING;
}

static uint64_t provider_prune(void *provider)
{
    (void)provider;
    return scripted.prune_to;
}

static void provider_committed(void *provider, struct mortar_position position)
{
    (void)provider;
    scripted.committed = position.index;
}

static void provider_marker(void *provider, struct mortar_position position,
                            struct mortar_bytes bytes)
{
    if (scripted.on_marker != NULL) scripted.on_marker(provider, position, bytes);
}

/* ---- Session ---- */

static enum mortar_status session_create(void *method, struct mortar_sync_session *runtime,
                                         const struct mortar_sync_gap *gap, void **out_session)
{
    (void)method;
    if (scripted.on_create != NULL) scripted.on_create(runtime);
    if (scripted.session_create_says != MORTAR_OK) return scripted.session_create_says;
    scripted.gap = *gap;
    scripted.gap.entries = (struct mortar_bytes){0};
    scripted.session = runtime;
    scripted.sessions_created++;
    *out_session = runtime;
    return MORTAR_OK;
}

static void session_destroy(void *session)
{
    (void)session;
    scripted.session = NULL;
    scripted.sessions_destroyed++;
}

static enum mortar_sync_poll session_poll(void *session, struct mortar_position *out_position,
                                          enum mortar_status *out_reason)
{
    scripted.session_polls++;
    *out_position = scripted.ready_at;
    if (scripted.ready_at_end) {
        *out_position = mortar_sync_log_last(mortar_sync_of_session(session));
    }
    *out_reason = scripted.failed_with;
    return scripted.session_says;
}

static void session_receive(void *session, const struct mortar_sync_incoming *message)
{
    scripted.session_received++;
    scripted.received_session = message->session;
    scripted.received_bytes =
        message->bytes.bytes < SCRIPTED_BYTES_MAX ? message->bytes.bytes : SCRIPTED_BYTES_MAX;
    if (scripted.received_bytes > 0) {
        memcpy(scripted.received, message->bytes.data, scripted.received_bytes);
    }
    if (scripted.on_session_receive != NULL) scripted.on_session_receive(session);
}

static void session_buffer(void *session, struct mortar_position before, uint64_t first,
                           uint64_t last)
{
    (void)before;
    scripted.buffered_first = first;
    scripted.buffered_last = last;
    if (scripted.on_buffer != NULL) scripted.on_buffer(session, first, last);
}

static const struct mortar_sync_provider_ops provider_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_sync_provider_ops),
    .create = provider_create,
    .destroy = provider_destroy,
    .receive = provider_receive,
    .poll = provider_poll,
    .safe_to_prune_prefix = provider_prune,
    .committed = provider_committed,
    .marker = provider_marker,
};

static const struct mortar_sync_session_ops session_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_sync_session_ops),
    .create = session_create,
    .destroy = session_destroy,
    .poll = session_poll,
    .receive = session_receive,
    .buffer = session_buffer,
};

const struct mortar_sync_method scripted_method = {MORTAR_SYNC_METHOD_INIT, .name = "scripted",
                                                   .epoch = 1, .provider = &provider_ops,
                                                   .session = &session_ops};
