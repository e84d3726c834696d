#define _GNU_SOURCE
#include "os/listener.h"

#include "base/assert.h"
#include "os/memory.h"
#include "os/stream_private.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LISTENER_BACKLOG = 128,
    LISTENER_ACCEPTS_PER_TURN = 32,
    LISTENER_PAUSE_MS = 100 /* Without descriptors: until somebody may have closed one. */
};

struct listener {
    const struct mortar_allocator *allocator;
    int fd;
    uint16_t port;
    struct loop *loop; /* NULL until started; then all below belongs to its thread. */
    struct stream_options options;
    uint32_t half_open_max;
    const struct listener_handler *handler;
    void *context;
    struct stream_gate *gate;
    struct loop_resource resource;
    struct loop_timer *pause; /* Open while accepting pauses. */
    bool is_closed;
    uv_poll_t poll;
    /* Read from any thread. */
    atomic_uint_fast64_t accepted;
    atomic_uint_fast64_t opened;
    atomic_uint_fast64_t refused_half_open;
    atomic_uint_fast64_t handshake_failed;
    atomic_uint_fast64_t handshake_timeouts;
    atomic_uint_fast64_t accept_failed;
    atomic_uint_fast32_t half_open;
};

static void count(atomic_uint_fast64_t *counter)
{
    (void)atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static enum mortar_status status_of_bind(int error_number)
{
    switch (error_number) {
    case EADDRINUSE:
        return MORTAR_E_ADDRESS_IN_USE;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return MORTAR_E_ADDRESS;
    case EACCES:
    case EPERM:
        return MORTAR_E_PERMISSION;
    default: /* errno is an open set, not an enum of ours. */
        return MORTAR_E_IO;
    }
}

/* Opens a listening socket on one resolved address; -1 with errno. */
static int listen_on(const struct addrinfo *info)
{
    const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    const int on = 1;
    const int off = 0;
    /* A port in TIME_WAIT is free; one that is listened on is not. "[::]" takes IPv4 too. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (info->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, LISTENER_BACKLOG) == 0)
        return fd;
    const int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    uint16_t port = 0;
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        port = six.sin6_port;
    } else {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof four);
        port = four.sin_port;
    }
    return ntohs(port);
}

static enum mortar_status open_socket(const struct address *address, struct detail *detail,
                                      int *out_fd)
{
    char text[ADDRESS_TEXT_BYTES];
    address_format(address, text);
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)address->port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | AI_PASSIVE,
    };
    struct addrinfo *found = NULL;
    const int resolved = getaddrinfo(address->host, port, &hints, &found);
    if (resolved != 0) {
        detail_set(detail, "%s: cannot be resolved: %s", text, gai_strerror(resolved));
        return MORTAR_E_ADDRESS;
    }
    /* A name may stand for several addresses, of which some are not ours, or not supported. */
    int fd = -1;
    int error = 0;
    for (const struct addrinfo *info = found; info && fd < 0; info = info->ai_next) {
        fd = listen_on(info);
        error = errno;
    }
    freeaddrinfo(found);
    if (fd < 0) {
        detail_set_errno(detail, error, "%s: cannot be listened on", text);
        return status_of_bind(error);
    }
    *out_fd = fd;
    return MORTAR_OK;
}

enum mortar_status listener_bind(const struct address *address,
                                 const struct mortar_allocator *allocator, struct detail *detail,
                                 struct listener **out_listener)
{
    int fd;
    const enum mortar_status status = open_socket(address, detail, &fd);
    if (status != MORTAR_OK) return status;
    struct sockaddr_storage bound;
    socklen_t bytes = sizeof bound;
    allocator = memory_or_default(allocator);
    struct listener *listener = memory_reserve_zero(allocator, sizeof *listener);
    const bool has_memory = listener != NULL;
    if (!has_memory || getsockname(fd, (void *)&bound, &bytes) != 0) {
        memory_release(allocator, listener, sizeof *listener);
        (void)close(fd);
        return has_memory ? MORTAR_E_IO : MORTAR_E_NO_MEMORY;
    }
    listener->allocator = allocator;
    listener->fd = fd;
    listener->port = port_of(&bound);
    *out_listener = listener;
    return MORTAR_OK;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

static void gate_release(struct stream_gate *gate)
{
    if (gate->streams == 0 && !gate->listener) memory_release(gate->allocator, gate, sizeof *gate);
}

void listener_on_gate_left(struct stream_gate *gate)
{
    ASSERT(gate->streams > 0);
    gate->streams--;
    if (gate->listener)
        atomic_store_explicit(&gate->listener->half_open, gate->streams, memory_order_relaxed);
    gate_release(gate);
}

void listener_on_stream_open(struct stream_gate *gate, struct stream *stream)
{
    struct listener *listener = gate->listener;
    if (!listener) {
        stream_end(stream, MORTAR_E_CANCELLED, "the listener was closed");
        return;
    }
    count(&listener->opened);
    listener->handler->on_accept(listener->context, stream);
}

void listener_on_stream_refused(struct stream *stream)
{
    struct listener *listener = stream->gate->listener;
    stream_leave_gate(stream); /* First, so that the owner sees the slot free. */
    if (!listener || stream->end_reason == MORTAR_E_CANCELLED) return;
    const bool timeout = stream->end_reason == MORTAR_E_TIMEOUT;
    count(timeout ? &listener->handshake_timeouts : &listener->handshake_failed);
    if (listener->handler->on_refused)
        listener->handler->on_refused(listener->context, stream->remote, stream->end_reason,
                                      stream->end_detail.text);
}

static void remote_text(const struct sockaddr_storage *address, char out[ADDRESS_TEXT_BYTES])
{
    struct address text = {.port = port_of(address)};
    if (uv_ip_name((const void *)address, text.host, sizeof text.host) != 0)
        (void)snprintf(text.host, sizeof text.host, "?");
    address_format(&text, out);
}

/* Begins the handshake with a new connection, which takes a half-open slot. */
static void admit_connection(struct listener *listener, int fd,
                             const struct sockaddr_storage *remote)
{
    struct stream *stream;
    if (stream_new(listener->loop, &listener->options, &stream) != MORTAR_OK) {
        count(&listener->accept_failed);
        (void)close(fd);
        return;
    }
    remote_text(remote, stream->remote);
    stream->gate = listener->gate;
    listener->gate->streams++;
    atomic_store_explicit(&listener->half_open, listener->gate->streams, memory_order_relaxed);
    stream_begin_handshake(stream, fd, TLS_SERVER);
}

static void refuse_connection(struct listener *listener, int fd,
                              const struct sockaddr_storage *remote)
{
    (void)close(fd);
    count(&listener->refused_half_open);
    if (!listener->handler->on_refused) return;
    char text[ADDRESS_TEXT_BYTES];
    remote_text(remote, text);
    listener->handler->on_refused(listener->context, text, MORTAR_E_BUSY,
                                  "too many links are half open");
}

static void listener_on_poll(uv_poll_t *poll, int status, int events);

static void listener_on_pause_end(void *context)
{
    struct listener *listener = context;
    loop_timer_close(listener->pause);
    listener->pause = NULL;
    const int result = uv_poll_start(&listener->poll, UV_READABLE, listener_on_poll);
    ASSERT(result == 0);
}

/* Out of descriptors or memory: a level-triggered poll would spin. */
static void listener_pause(struct listener *listener)
{
    count(&listener->accept_failed);
    if (listener->pause) return;
    /* Without memory for the timer the poll goes on, which costs time but loses nothing. */
    if (loop_timer_open(listener->loop, LISTENER_PAUSE_MS, 0, listener_on_pause_end, listener,
                        &listener->pause) == MORTAR_OK)
        (void)uv_poll_stop(&listener->poll);
}

/* Whether a failed accept() says something about that one connection only. */
static bool is_passing(int error_number)
{
    return error_number == ECONNABORTED || error_number == EINTR || error_number == EPROTO ||
           error_number == ENETDOWN || error_number == EHOSTUNREACH ||
           error_number == ENETUNREACH || error_number == EPERM;
}

static void listener_on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status; /* An error shows in accept4() as well. */
    (void)events;
    struct listener *listener = poll->data;
    for (int i = 0; i < LISTENER_ACCEPTS_PER_TURN && !listener->is_closed; i++) {
        struct sockaddr_storage remote;
        socklen_t bytes = sizeof remote;
        const int fd = accept4(listener->fd, (void *)&remote, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN) return;
            if (is_passing(errno)) continue;
            listener_pause(listener);
            return;
        }
        count(&listener->accepted);
        if (listener->gate->streams >= listener->half_open_max) {
            refuse_connection(listener, fd, &remote);
        } else {
            admit_connection(listener, fd, &remote);
        }
    }
}

static void listener_abort(struct loop_resource *resource)
{
    listener_close(
        (struct listener *)(void *)((char *)resource - offsetof(struct listener, resource)));
}

enum mortar_status listener_start(struct listener *listener, struct loop *loop,
                                  const struct stream_options *options, uint32_t half_open_max,
                                  const struct listener_handler *handler, void *context)
{
    ASSERT(loop_is_current(loop));
    ASSERT(!listener->loop);
    ASSERT(handler->on_accept);
    if (half_open_max == 0 || !stream_options_are_valid(options)) return MORTAR_E_INVALID;
    struct stream_gate *gate = memory_reserve_zero(listener->allocator, sizeof *gate);
    if (!gate) return MORTAR_E_NO_MEMORY;
    if (uv_poll_init(&loop->uv, &listener->poll, listener->fd) != 0) {
        memory_release(listener->allocator, gate, sizeof *gate);
        return MORTAR_E_IO;
    }
    gate->allocator = listener->allocator;
    gate->listener = listener;
    listener->gate = gate;
    listener->loop = loop;
    listener->options = *options;
    listener->half_open_max = half_open_max;
    listener->handler = handler;
    listener->context = context;
    listener->poll.data = listener;
    listener->resource.abort = listener_abort;
    loop_resource_add(loop, &listener->resource);
    const int result = uv_poll_start(&listener->poll, UV_READABLE, listener_on_poll);
    ASSERT(result == 0);
    return MORTAR_OK;
}

static void listener_on_uv_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    memory_release(listener->allocator, listener, sizeof *listener);
}

void listener_close(struct listener *listener)
{
    if (!listener) return;
    ASSERT(!listener->is_closed);
    listener->is_closed = true;
    if (!listener->loop) {
        (void)close(listener->fd);
        memory_release(listener->allocator, listener, sizeof *listener);
        return;
    }
    ASSERT(loop_is_current(listener->loop));
    loop_resource_remove(&listener->resource);
    loop_timer_close(listener->pause);
    listener->gate->listener = NULL;
    gate_release(listener->gate);
    listener->gate = NULL;
    uv_close((uv_handle_t *)&listener->poll, listener_on_uv_closed);
    (void)close(listener->fd);
}

struct listener_counters listener_counters_now(const struct listener *listener)
{
    const memory_order relaxed = memory_order_relaxed;
    return (struct listener_counters){
        .accepted = atomic_load_explicit(&listener->accepted, relaxed),
        .opened = atomic_load_explicit(&listener->opened, relaxed),
        .refused_half_open = atomic_load_explicit(&listener->refused_half_open, relaxed),
        .handshake_failed = atomic_load_explicit(&listener->handshake_failed, relaxed),
        .handshake_timeouts = atomic_load_explicit(&listener->handshake_timeouts, relaxed),
        .accept_failed = atomic_load_explicit(&listener->accept_failed, relaxed),
        .half_open = (uint32_t)atomic_load_explicit(&listener->half_open, relaxed),
    };
}
