/* sync/replay_method.c - makes the method, holds its options. */
#include "base/assert.h"
#include "sync/replay.h"

#include <stdatomic.h>
#include <string.h>

/* Bounds of the options. A batch is one message, and one record always fits into a message. */
#define BATCH_BYTES_MIN  1024u
#define BATCH_BYTES_MAX  (16u * 1024u * 1024u)
#define WINDOW_BYTES_MAX (1024u * 1024u * 1024u)
#define TIMEOUT_MS_MIN   10u
#define TIMEOUT_MS_MAX   (24u * 3600u * 1000u)

struct replay_method {
    struct mortar_sync_method base; /* First: a method's pointer is the whole's. */
    struct mortar_allocator allocator;
    atomic_uint batch_bytes;
    atomic_uint window_bytes;
    atomic_uint source_window_bytes;
    atomic_uint fetch_timeout_ms;
    atomic_uint stall_ms;
    atomic_uint give_up_ms;
    atomic_uint_fast64_t serve_bytes_per_second;
};

static bool within(uint32_t value, uint32_t min, uint32_t max)
{
    return value >= min && value <= max;
}

static void complete(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0) *value = otherwise;
}

void mortar_replay_options_complete(struct mortar_replay_options *options)
{
    complete(&options->batch_bytes, 1024u * 1024u);
    complete(&options->window_bytes, 32u * 1024u * 1024u);
    complete(&options->source_window_bytes, 8u * 1024u * 1024u);
    complete(&options->fetch_timeout_ms, 2000);
    complete(&options->stall_ms, 3000);
    complete(&options->give_up_ms, 60000);
}

/* Gives defaults to what `options` lacks, and checks all. */
static enum mortar_status options_complete(const struct mortar_replay_options *options,
                                           struct mortar_replay_options *out_options)
{
    struct mortar_replay_options known = {MORTAR_REPLAY_OPTIONS_INIT};
    if (options != NULL) {
        if (options->struct_bytes < sizeof options->struct_bytes) return MORTAR_E_INVALID;
        if (options->struct_bytes > sizeof known) return MORTAR_E_INVALID;
        memcpy(&known, options, options->struct_bytes);
        known.struct_bytes = (uint32_t)sizeof known;
    }
    mortar_replay_options_complete(&known);
    const bool valid = within(known.batch_bytes, BATCH_BYTES_MIN, BATCH_BYTES_MAX) &&
                       within(known.window_bytes, known.batch_bytes, WINDOW_BYTES_MAX) &&
                       within(known.source_window_bytes, known.batch_bytes, WINDOW_BYTES_MAX) &&
                       within(known.fetch_timeout_ms, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX) &&
                       within(known.stall_ms, TIMEOUT_MS_MIN, TIMEOUT_MS_MAX) &&
                       within(known.give_up_ms, known.stall_ms, TIMEOUT_MS_MAX);
    if (!valid) return MORTAR_E_INVALID;
    *out_options = known;
    return MORTAR_OK;
}

static void options_store(struct replay_method *method, const struct mortar_replay_options *options)
{
    atomic_store_explicit(&method->batch_bytes, options->batch_bytes, memory_order_relaxed);
    atomic_store_explicit(&method->window_bytes, options->window_bytes, memory_order_relaxed);
    atomic_store_explicit(&method->source_window_bytes, options->source_window_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&method->fetch_timeout_ms, options->fetch_timeout_ms,
                          memory_order_relaxed);
    atomic_store_explicit(&method->stall_ms, options->stall_ms, memory_order_relaxed);
    atomic_store_explicit(&method->give_up_ms, options->give_up_ms, memory_order_relaxed);
    atomic_store_explicit(&method->serve_bytes_per_second, options->serve_bytes_per_second,
                          memory_order_relaxed);
}

struct mortar_replay_options replay_method_options(const struct replay_method *method)
{
    return (struct mortar_replay_options){
        .struct_bytes = (uint32_t)sizeof(struct mortar_replay_options),
        .batch_bytes = atomic_load_explicit(&method->batch_bytes, memory_order_relaxed),
        .window_bytes = atomic_load_explicit(&method->window_bytes, memory_order_relaxed),
        .source_window_bytes =
            atomic_load_explicit(&method->source_window_bytes, memory_order_relaxed),
        .fetch_timeout_ms = atomic_load_explicit(&method->fetch_timeout_ms, memory_order_relaxed),
        .stall_ms = atomic_load_explicit(&method->stall_ms, memory_order_relaxed),
        .give_up_ms = atomic_load_explicit(&method->give_up_ms, memory_order_relaxed),
        .serve_bytes_per_second =
            atomic_load_explicit(&method->serve_bytes_per_second, memory_order_relaxed),
    };
}

enum mortar_status replay_method_new(const struct mortar_allocator *allocator,
                                     const struct mortar_replay_options *options, const char *name,
                                     struct mortar_sync_method **out_method)
{
    struct mortar_replay_options complete;
    const enum mortar_status status = options_complete(options, &complete);
    if (status != MORTAR_OK) return status;
    struct replay_method *const method = allocator->reserve(allocator->context, sizeof *method);
    if (method == NULL) return MORTAR_E_NO_MEMORY;
    memset(method, 0, sizeof *method);
    method->base = (struct mortar_sync_method){
        MORTAR_SYNC_METHOD_INIT,
        .name = name,
        .epoch = 1,
        .provider = &replay_provider_ops,
        .session = &replay_session_ops,
        .context = method,
    };
    method->allocator = *allocator;
    options_store(method, &complete);
    *out_method = &method->base;
    return MORTAR_OK;
}

/* Every method made here carries itself as its context. */
static struct replay_method *method_of(struct mortar_sync_method *method)
{
    ASSERT(method->provider == &replay_provider_ops);
    return method->context;
}

enum mortar_status mortar_sync_log_replay(const struct mortar_allocator *allocator,
                                          const struct mortar_replay_options *options,
                                          struct mortar_sync_method **out_method)
{
    return replay_method_new(allocator, options, "log-replay", out_method);
}

enum mortar_status mortar_sync_log_replay_tune(struct mortar_sync_method *method,
                                               const struct mortar_replay_options *options)
{
    struct mortar_replay_options complete;
    const enum mortar_status status = options_complete(options, &complete);
    if (status != MORTAR_OK) return status;
    options_store(method_of(method), &complete);
    return MORTAR_OK;
}

void mortar_sync_log_replay_free(struct mortar_sync_method *method)
{
    if (method == NULL) return;
    struct replay_method *const whole = method_of(method);
    const struct mortar_allocator allocator = whole->allocator;
    allocator.release(allocator.context, whole, sizeof *whole);
}
