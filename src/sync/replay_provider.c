/* sync/replay_provider.c - the companion of log replay that lives with the group: says what it
 * holds, where logs agree, how a missing range is cut, and sends entries (sync/replay_serve.c).
 *
 * What it says of its log is what is committed; only as leader it also compares entries beyond
 * that, since its log is then the one to follow.
 */
#include "base/assert.h"
#include "base/bug.h"
#include "sync/replay_message.h"
#include "sync/replay_serve.h"

/* A plan is cut no finer and no coarser, whatever the asker wants. */
#define PLAN_BATCH_BYTES_MIN 1024u
#define PLAN_BATCH_BYTES_MAX (16u * 1024u * 1024u)

struct replay_provider {
    struct mortar_sync_provider *runtime;
    struct mortar_sync *sync;
    const struct mortar_allocator *allocator;
    struct replay_server server;
};

static enum mortar_status provider_create(void *method, struct mortar_sync_provider *runtime,
                                          void **out_provider)
{
    struct mortar_sync *const sync = mortar_sync_of_provider(runtime);
    const struct mortar_allocator *const allocator = mortar_sync_allocator(sync);
    struct replay_provider *const provider =
        allocator->reserve(allocator->context, sizeof *provider);
    if (provider == NULL) return MORTAR_E_NO_MEMORY;
    provider->runtime = runtime;
    provider->sync = sync;
    provider->allocator = allocator;
    replay_server_init(&provider->server, sync, method);
    *out_provider = provider;
    return MORTAR_OK;
}

static void provider_destroy(void *self)
{
    struct replay_provider *const provider = self;
    replay_server_deinit(&provider->server);
    provider->allocator->release(provider->allocator->context, provider, sizeof *provider);
}

/* Sends a small answer. One that is lost is asked for again. */
static void answer(struct replay_provider *provider, const struct mortar_sync_incoming *to,
                   const struct writer *written)
{
    ASSERT(!written->failed);
    (void)mortar_sync_send_to(provider->sync, &to->from, to->session,
                              (struct mortar_bytes){written->data, written->bytes});
}

static bool point_at(const struct replay_provider *provider, uint64_t index,
                     struct mortar_anchor_point *out_point)
{
    struct mortar_anchor_point point = {.position.index = index};
    if (!mortar_sync_log_term_at(provider->sync, index, &point.position.term)) return false;
    if (!mortar_sync_log_sum_at(provider->sync, index, &point.sum)) return false;
    *out_point = point;
    return true;
}

static void on_availability_request(struct replay_provider *provider,
                                    const struct mortar_sync_incoming *message)
{
    if (replay_availability_request_decode(message->bytes) != MORTAR_OK) return;
    struct replay_availability reply = {
        .leads = mortar_sync_provider_is_leader(provider->runtime),
        .term = mortar_sync_term(provider->sync),
        .base = mortar_sync_log_base(provider->sync).position,
    };
    const uint64_t commit = mortar_sync_committed(provider->sync).index;
    if (commit < reply.base.index || !point_at(provider, commit, &reply.end)) return;
    if (commit > reply.base.index) {
        reply.bytes = mortar_sync_log_bytes(provider->sync, reply.base.index + 1, commit);
    }
    uint8_t bytes[REPLAY_AVAILABILITY_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_availability_encode(&reply, &out);
    answer(provider, message, &out);
}

static void on_match_request(struct replay_provider *provider,
                             const struct mortar_sync_incoming *message)
{
    struct replay_match_request request;
    if (replay_match_request_decode(message->bytes, &request) != MORTAR_OK) return;
    const bool leads = mortar_sync_provider_is_leader(provider->runtime);
    struct replay_match reply = {
        .id = request.id,
        .leads = leads,
        .term = mortar_sync_term(provider->sync),
        .base = mortar_sync_log_base(provider->sync),
        .commit = mortar_sync_committed(provider->sync),
    };
    reply.last = leads ? mortar_sync_log_last(provider->sync) : reply.commit;
    for (uint32_t i = request.count; i > 0 && reply.agreed == 0; i--) {
        uint64_t index;
        struct mortar_log_sum asked;
        struct mortar_log_sum held;
        replay_match_point(&request, i - 1, &index, &asked);
        if (index > reply.last.index) continue;
        if (!mortar_sync_log_sum_at(provider->sync, index, &held)) break; /* Pruned. */
        if (mortar_log_sum_equal(asked, held) || BUG(MATCH_BY_INDEX)) reply.agreed = index;
    }
    uint8_t bytes[REPLAY_MATCH_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_match_encode(&reply, &out);
    answer(provider, message, &out);
}

/* Cuts the log after `from` about every batch_bytes and writes the points behind the plan's fixed
 * part; answers how many. */
static uint16_t write_plan_points(const struct replay_provider *provider,
                                  const struct replay_plan_request *request, uint64_t commit,
                                  struct writer *out)
{
    const uint64_t to = request->to < commit ? request->to : commit;
    uint32_t batch_bytes = request->batch_bytes;
    if (batch_bytes < PLAN_BATCH_BYTES_MIN) batch_bytes = PLAN_BATCH_BYTES_MIN;
    if (batch_bytes > PLAN_BATCH_BYTES_MAX) batch_bytes = PLAN_BATCH_BYTES_MAX;
    uint16_t count = 0;
    uint64_t at = request->from;
    while (at < to && count < request->count_max && count < REPLAY_PLAN_POINTS_MAX) {
        const uint64_t end = mortar_sync_log_cut(provider->sync, at + 1, to, batch_bytes);
        struct replay_plan_point point;
        if (!point_at(provider, end, &point.end)) break;
        point.bytes = (uint32_t)mortar_sync_log_bytes(provider->sync, at + 1, end);
        replay_plan_point_encode(&point, out);
        at = end;
        count++;
    }
    return count;
}

static void on_plan_request(struct replay_provider *provider,
                            const struct mortar_sync_incoming *message)
{
    struct replay_plan_request request;
    if (replay_plan_request_decode(message->bytes, &request) != MORTAR_OK) return;
    struct replay_plan reply = {
        .id = request.id,
        .leads = mortar_sync_provider_is_leader(provider->runtime),
        .term = mortar_sync_term(provider->sync),
        .base = mortar_sync_log_base(provider->sync),
        .commit = mortar_sync_committed(provider->sync),
    };
    uint8_t bytes[REPLAY_CONTROL_BYTES_MAX];
    struct writer points = writer_over(bytes + REPLAY_PLAN_BYTES, sizeof bytes - REPLAY_PLAN_BYTES);
    if (request.from <= reply.commit.index && point_at(provider, request.from, &reply.after)) {
        reply.count = write_plan_points(provider, &request, reply.commit.index, &points);
        ASSERT(!points.failed);
    }
    struct writer out = writer_over(bytes, REPLAY_PLAN_BYTES);
    replay_plan_encode(&reply, &out);
    ASSERT(!out.failed);
    out.bytes += points.bytes;
    answer(provider, message, &out);
}

static void on_fetch(struct replay_provider *provider, const struct mortar_sync_incoming *message)
{
    struct replay_fetch request;
    if (replay_fetch_decode(message->bytes, &request) != MORTAR_OK) return;
    replay_server_on_fetch(&provider->server, &message->from, message->session, &request);
}

static void on_cancel(struct replay_provider *provider, const struct mortar_sync_incoming *message)
{
    struct replay_cancel cancel;
    if (replay_cancel_decode(message->bytes, &cancel) != MORTAR_OK) return;
    replay_server_on_cancel(&provider->server, &message->from, message->session, &cancel);
}

/* Requests are ours, even those that make no sense; all else is for the session. */
static bool provider_receive(void *self, const struct mortar_sync_incoming *message)
{
    struct replay_provider *const provider = self;
    const uint8_t type = replay_message_type(message->bytes);
    if (type == REPLAY_AVAILABILITY_REQUEST) {
        on_availability_request(provider, message);
    } else if (type == REPLAY_MATCH_REQUEST) {
        on_match_request(provider, message);
    } else if (type == REPLAY_PLAN_REQUEST) {
        on_plan_request(provider, message);
    } else if (type == REPLAY_FETCH) {
        on_fetch(provider, message);
    } else if (type == REPLAY_CANCEL) {
        on_cancel(provider, message);
    } else {
        return false;
    }
    return true;
}

static enum mortar_sync_poll provider_poll(void *self)
{
    struct replay_provider *const provider = self;
    replay_server_poll(&provider->server);
    return MORTAR_SYNC_PENDING;
}

/* Replay gives no hint for pruning: a member that holds the whole log can serve any other. */
const struct mortar_sync_provider_ops replay_provider_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_sync_provider_ops),
    .create = provider_create,
    .destroy = provider_destroy,
    .receive = provider_receive,
    .poll = provider_poll,
};
