/* node/node.c - opens and closes a node: directory, identity, port, threads. */
#include "base/assert.h"
#include "node/node_private.h"
#include "os/identity.h"
#include "os/memory.h"
#include "os/random.h"
#include "os/tls.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_LINE_BYTES 512u
#define LINGER_MS      500u /* For a last word; a peer that is stopped must not hold us up. */

/* Why the last open of this thread failed. */
static _Thread_local struct detail open_error;

const char *mortar_node_open_error(void)
{
    return open_error.text;
}

void node_log(const struct mortar_node *node, enum mortar_log_level level, const char *format, ...)
{
    if (node->options.log == NULL) return;
    char line[LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    node->options.log(node->options.context, level, line);
}

bool node_is_own_thread(const struct mortar_node *node)
{
    return loop_is_current(node->control) || loop_is_current(node->bulk) ||
           worker_is_current(node->apply);
}

/* ---- Options ---- */

static enum mortar_status bad_option(const char *what)
{
    detail_set(&open_error, "option %s", what);
    return MORTAR_E_INVALID;
}

static enum mortar_status check_options(const struct mortar_node_options *options)
{
    if (!options->directory) return bad_option("directory is missing");
    if (!options->listen) return bad_option("listen is missing");
    if (!options->key_file) return bad_option("key_file is missing");
    if (options->handshake_ms == 0) return bad_option("handshake_ms is 0");
    if (options->half_open_max == 0) return bad_option("half_open_max is 0");
    if (options->links_max == 0) return bad_option("links_max is 0");
    if (options->heartbeat_ms == 0 || options->heartbeats_missed_max == 0) {
        return bad_option("heartbeat_ms or heartbeats_missed_max is 0");
    }
    if (options->reconnect_ms_min == 0 || options->reconnect_ms_min > options->reconnect_ms_max) {
        return bad_option("reconnect_ms_min is 0 or above reconnect_ms_max");
    }
    if (options->send_queue_bytes_max < BULK_FRAME_BYTES_MAX + FRAME_HEADER_BYTES) {
        return bad_option("send_queue_bytes_max is below one frame (17 MiB)");
    }
    if (options->completions != MORTAR_COMPLETE_CALLBACK &&
        (options->completions != MORTAR_COMPLETE_QUEUE || options->completions_max == 0)) {
        return bad_option("completions or completions_max is out of range");
    }
    return MORTAR_OK;
}

const struct mortar_allocator *mortar_default_allocator(void)
{
    return &memory_default;
}

static void complete_options(struct mortar_node_options *options)
{
    if (options->completions_max == 0) options->completions_max = 65536;
    if (options->handshake_ms == 0) options->handshake_ms = 5000;
    if (options->half_open_max == 0) options->half_open_max = 64;
    if (options->links_max == 0) options->links_max = 256;
    if (options->heartbeat_ms == 0) options->heartbeat_ms = 500;
    if (options->heartbeats_missed_max == 0) options->heartbeats_missed_max = 6;
    if (options->reconnect_ms_min == 0) options->reconnect_ms_min = 50;
    if (options->reconnect_ms_max == 0) options->reconnect_ms_max = 2000;
    if (options->send_queue_bytes_max == 0) options->send_queue_bytes_max = 64u * 1024u * 1024u;
}

static enum mortar_status take_options(struct mortar_node *node,
                                       const struct mortar_node_options *given)
{
    struct mortar_node_options taken = {MORTAR_NODE_OPTIONS_INIT};
    if (given->struct_bytes < sizeof given->struct_bytes) {
        return bad_option("struct_bytes is not set: use MORTAR_NODE_OPTIONS_INIT");
    }
    memcpy(&taken, given, given->struct_bytes < sizeof taken ? given->struct_bytes : sizeof taken);
    complete_options(&taken);
    node->options = taken;
    const enum mortar_status status = check_options(&taken);
    if (status != MORTAR_OK) return status;
    const char *const network = taken.network ? taken.network : "default";
    const size_t bytes = strnlen(network, MORTAR_NAME_BYTES_MAX + 1);
    if (bytes == 0 || bytes > MORTAR_NAME_BYTES_MAX) {
        return bad_option("network is empty or too long");
    }
    memcpy(node->network, network, bytes + 1);
    return MORTAR_OK;
}

static enum mortar_status take_address(const char *option, const char *text,
                                       struct address *out_address)
{
    const struct mortar_bytes bytes = {(const uint8_t *)text, strlen(text)};
    const enum mortar_status status = address_parse(bytes, out_address);
    if (status != MORTAR_OK) detail_set(&open_error, "option %s: not host:port: %s", option, text);
    return status;
}

static enum mortar_status take_addresses(struct mortar_node *node)
{
    const struct mortar_node_options *const options = &node->options;
    enum mortar_status status = take_address("listen", options->listen, &node->listens);
    if (status == MORTAR_OK && options->advertise) {
        struct address advertised;
        status = take_address("advertise", options->advertise, &advertised);
        if (status == MORTAR_OK && advertised.port == 0) {
            return bad_option("advertise names port 0, to which nobody can connect");
        }
        if (status == MORTAR_OK) address_format(&advertised, node->advertised);
    }
    if (status == MORTAR_OK && options->peers) {
        status = address_list_parse(options->peers, node->peers, MESH_PEERS_MAX, &node->peer_count);
        if (status != MORTAR_OK) {
            detail_set(&open_error, "option peers: not a list of host:port: %s", options->peers);
        }
    }
    return status;
}

/* ---- The port ---- */

static void on_accept(void *context, struct stream *stream)
{
    const struct mortar_node *const node = context;
    if (node->group) {
        mesh_accept(node->group->mesh, stream);
    } else {
        stream_close(stream, STREAM_CLOSE_ABORT); /* No group yet: the peer tries again. */
    }
}

static void on_refused(void *context, const char *remote, enum mortar_status reason,
                       const char *detail)
{
    const struct mortar_node *const node = context;
    if (node->group) {
        mesh_note_refused(node->group->mesh, remote, reason, detail);
    } else {
        node_log(node, MORTAR_LOG_DEBUG, "link from %s refused: %s (%s)", remote, detail,
                 mortar_status_name(reason));
    }
}

static const struct listener_handler door_handler = {
    .on_accept = on_accept,
    .on_refused = on_refused,
};

static enum mortar_status open_port(struct mortar_node *node)
{
    const enum mortar_status status =
        listener_bind(&node->listens, &node->allocator, &open_error, &node->listener);
    if (status != MORTAR_OK) return status;
    node->listens.port = listener_port(node->listener);
    address_format(&node->listens, node->listen_text);
    if (node->options.advertise) return MORTAR_OK;
    const char *const host = node->listens.host;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        node_log(node, MORTAR_LOG_WARNING,
                 "listening on every address without `advertise`: others cannot connect to us");
    } else {
        memcpy(node->advertised, node->listen_text, sizeof node->advertised);
    }
    return MORTAR_OK;
}

struct door_opening {
    struct mortar_node *node;
    enum mortar_status status;
};

static void control_open_door(void *context)
{
    struct door_opening *const opening = context;
    struct mortar_node *const node = opening->node;
    opening->status = listener_start(node->listener, node->control, &node->stream,
                                     node->options.half_open_max, &door_handler, node);
}

static void control_close_door(void *context)
{
    struct mortar_node *const node = context;
    listener_close(node->listener);
    node->listener = NULL;
}

/* ---- Open ---- */

static void set_stream_options(struct mortar_node *node)
{
    struct stream_options *const stream = &node->stream;
    *stream = stream_options_default(node->tls);
    stream->connect_timeout_ms = node->options.handshake_ms;
    stream->handshake_timeout_ms = node->options.handshake_ms;
    stream->linger_timeout_ms = LINGER_MS;
    stream->queued_bytes_max = (size_t)node->options.send_queue_bytes_max;
    stream->queued_bytes_low = stream->queued_bytes_max / 4;
    stream->admit_by_owner = true;
}

static enum mortar_status open_identity(struct mortar_node *node)
{
    const struct mortar_node_options *const options = &node->options;
    enum mortar_status status =
        directory_open(options->directory, &node->allocator, &open_error, &node->directory);
    if (status == MORTAR_OK) status = crypto_open(&node->allocator, &node->crypto);
    if (status == MORTAR_OK) {
        status = identity_open(node->crypto, node->directory, &open_error, &node->identity);
    }
    if (status == MORTAR_OK) {
        node->id = identity_peer_id(node->identity);
        status = key_file_read(options->key_file, &open_error, &node->keys);
    }
    if (status == MORTAR_OK) status = tls_open(node->crypto, node->identity, &node->tls);
    if (status == MORTAR_OK) status = random_fill(node->boot_nonce, sizeof node->boot_nonce);
    if (status == MORTAR_OK) set_stream_options(node);
    return status;
}

static void control_after_batch(void *context)
{
    const struct mortar_node *const node = context;
    if (node->group) host_batch(node->group);
}

static enum mortar_status open_threads(struct mortar_node *node)
{
    const struct loop_options control = {
        .name = "mortar-control",
        .allocator = &node->allocator,
        .after_batch = control_after_batch,
        .context = node,
    };
    const struct loop_options bulk = {
        .name = "mortar-bulk",
        .allocator = &node->allocator,
        .low_priority = true,
    };
    const struct worker_options apply = {
        .name = "mortar-apply",
        .allocator = &node->allocator,
        .jobs_max = UINT32_MAX, /* The core bounds what it hands out. */
    };
    enum mortar_status status = loop_open(&control, &node->control);
    if (status == MORTAR_OK) status = loop_open(&bulk, &node->bulk);
    if (status == MORTAR_OK) status = worker_open(&apply, &node->apply);
    if (status != MORTAR_OK) {
        detail_set(&open_error, "the threads could not be started");
        return status;
    }
    struct door_opening opening = {.node = node};
    loop_call(node->control, control_open_door, &opening);
    return opening.status;
}

static void free_handles(struct mortar_node *node)
{
    while (node->closed) {
        struct mortar_group *const group = node->closed;
        node->closed = group->next_closed;
        memory_release(&node->allocator, group, sizeof *group);
    }
}

/* Ends whatever is open, in the order that makes it safe. */
static void node_free(struct mortar_node *node)
{
    struct mortar_allocator allocator = node->allocator;
    if (node->control) {
        if (node->listener) loop_call(node->control, control_close_door, node);
    } else {
        listener_close(node->listener); /* It was never started. */
    }
    if (node->apply) worker_close(node->apply);
    if (node->bulk) loop_close(node->bulk);
    if (node->control) loop_close(node->control);
    if (node->completions.descriptor >= 0) completions_deinit(&node->completions);
    free_handles(node);
    tls_close(node->tls);
    identity_close(node->identity);
    crypto_close(node->crypto);
    directory_close(node->directory);
    crypto_cleanse(&node->keys, sizeof node->keys);
    (void)pthread_cond_destroy(&node->changed);
    (void)pthread_mutex_destroy(&node->mutex);
    memory_release(&allocator, node, sizeof *node);
}

static struct mortar_node *node_new(const struct mortar_node_options *options)
{
    const struct mortar_allocator *const allocator = memory_or_default(options->allocator);
    struct mortar_node *const node = memory_reserve_zero(allocator, sizeof *node);
    if (node == NULL) return NULL;
    node->allocator = *allocator;
    node->completions.descriptor = -1;
    (void)pthread_mutex_init(&node->mutex, NULL);
    (void)pthread_cond_init(&node->changed, NULL);
    atomic_init(&node->failed, (int)MORTAR_OK);
    call_gate_init(&node->gate, 1, UINT64_MAX);
    return node;
}

enum mortar_status mortar_node_open(const struct mortar_node_options *options,
                                    struct mortar_node **out_node)
{
    detail_set(&open_error, "%s", mortar_status_text(MORTAR_E_NO_MEMORY));
    struct mortar_node *const node = node_new(options);
    if (node == NULL) return MORTAR_E_NO_MEMORY;
    detail_set(&open_error, "%s", "");
    enum mortar_status status = take_options(node, options);
    if (status == MORTAR_OK) status = take_addresses(node);
    if (status == MORTAR_OK) status = open_identity(node);
    if (status == MORTAR_OK) status = open_port(node);
    if (status == MORTAR_OK) status = completions_init(&node->completions);
    if (status == MORTAR_OK) status = open_threads(node);
    if (status != MORTAR_OK) {
        if (open_error.text[0] == '\0') detail_set(&open_error, "%s", mortar_status_text(status));
        node_free(node);
        return status;
    }
    *out_node = node;
    return MORTAR_OK;
}

enum mortar_status mortar_node_close(struct mortar_node *node)
{
    if (node == NULL) return MORTAR_OK;
    if (node_is_own_thread(node)) return MORTAR_E_WRONG_THREAD;
    (void)pthread_mutex_lock(&node->mutex);
    struct mortar_group *const group = node->opened;
    (void)pthread_mutex_unlock(&node->mutex);
    if (group) {
        const enum mortar_status status = group_close(group);
        ASSERT(status == MORTAR_OK); /* Nobody else may use the node any longer. */
    }
    (void)pthread_mutex_lock(&node->mutex);
    node->has_group = true; /* No completion below opens another one. */
    (void)pthread_mutex_unlock(&node->mutex);
    /* Each call completes, while the node can still answer what a completion may ask. */
    (void)completions_dispatch(&node->completions, UINT32_MAX);
    node_free(node);
    return MORTAR_OK;
}

/* ---- Small questions ---- */

struct mortar_peer_id mortar_node_id(const struct mortar_node *node)
{
    return node->id;
}

void mortar_node_address(const struct mortar_node *node, char *out_address)
{
    memcpy(out_address, node->listen_text, sizeof node->listen_text);
}

int mortar_node_fd(const struct mortar_node *node)
{
    return node->completions.descriptor;
}

uint32_t mortar_node_dispatch(struct mortar_node *node, uint32_t max)
{
    return completions_dispatch(&node->completions, max);
}
