#define _GNU_SOURCE
/* os/stream_connect.c - from a name to a connected socket.
 *
 * Names are resolved anew at each connect, on libuv's thread pool; numbers take a short cut. The
 * addresses are tried one after the other, each for connect_timeout_ms.
 */
#include "os/memory.h"
#include "os/stream_private.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DIAL_ADDRESSES_MAX = 8 };

/* Outlives its stream when the resolver cannot be stopped at once. */
struct stream_dial {
    const struct mortar_allocator *allocator;
    struct stream *stream; /* NULL: abandoned, to be freed by the resolver's callback. */
    uv_getaddrinfo_t request;
    bool is_resolving;
    uint32_t count;
    uint32_t next;  /* The one to try next, <= count. */
    int last_error; /* errno of the last one tried. */
    struct sockaddr_storage addresses[DIAL_ADDRESSES_MAX];
};

static socklen_t address_bytes(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? (socklen_t)sizeof(struct sockaddr_in6)
                                          : (socklen_t)sizeof(struct sockaddr_in);
}

/* All addresses were tried in vain. */
static void dial_failed(struct stream *stream)
{
    char what[ADDRESS_TEXT_BYTES + 32];
    (void)snprintf(what, sizeof what, "%s: cannot be reached", stream->remote);
    stream_end_errno(stream, MORTAR_E_ADDRESS, stream->dial->last_error, what);
}

/* Begins to connect to `address`. False: not even begun, errno in `last_error`. */
static bool dial_one(struct stream *stream, const struct sockaddr_storage *address)
{
    const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        stream->dial->last_error = errno;
        return false;
    }
    /* Through a copy: struct sockaddr is aligned less than what it stands for. */
    const struct sockaddr *generic = (const void *)address;
    int result = connect(fd, generic, address_bytes(address));
    if (result != 0 && errno != EINPROGRESS) {
        stream->dial->last_error = errno;
        (void)close(fd);
        return false;
    }
    if (!stream_watch(stream, fd)) return true; /* Ended: there is nothing more to try. */
    stream->phase = STREAM_CONNECTING;
    stream_set_deadline(stream, stream->options.connect_timeout_ms);
    (void)stream_advance(stream); /* Waits for the socket to become writable. */
    return true;
}

static void dial_next(struct stream *stream)
{
    struct stream_dial *dial = stream->dial;
    stream_unwatch(stream);
    while (dial->next < dial->count) {
        if (dial_one(stream, &dial->addresses[dial->next++])) return;
    }
    dial_failed(stream);
}

void stream_on_dial_timeout(struct stream *stream)
{
    stream->dial->last_error = ETIMEDOUT;
    if (stream->dial->next < stream->dial->count) {
        dial_next(stream);
    } else {
        char what[ADDRESS_TEXT_BYTES + 32];
        (void)snprintf(what, sizeof what, "%s: did not answer in time", stream->remote);
        stream_end(stream, MORTAR_E_TIMEOUT, what);
    }
}

void stream_on_dialled(struct stream *stream)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
    if (error != 0) {
        stream->dial->last_error = error;
        dial_next(stream);
        return;
    }
    stream_drop_dial(stream);
    stream_begin_handshake(stream, stream->fd, TLS_CLIENT);
}

void stream_drop_dial(struct stream *stream)
{
    struct stream_dial *dial = stream->dial;
    if (!dial) return;
    stream->dial = NULL;
    if (dial->is_resolving) {
        dial->stream = NULL;
        (void)uv_cancel((uv_req_t *)&dial->request); /* Its callback comes in any case. */
    } else {
        memory_release(dial->allocator, dial, sizeof *dial);
    }
}

/* Copies what the resolver found, in its order of preference (RFC 6724). */
static void dial_take(struct stream_dial *dial, const struct addrinfo *found)
{
    for (; found && dial->count < DIAL_ADDRESSES_MAX; found = found->ai_next) {
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6) continue;
        if (found->ai_addrlen > sizeof dial->addresses[0]) continue;
        memcpy(&dial->addresses[dial->count++], found->ai_addr, found->ai_addrlen);
    }
}

static void dial_on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct stream_dial *dial = request->data;
    dial->is_resolving = false;
    if (status == 0) dial_take(dial, found);
    uv_freeaddrinfo(found);
    struct stream *stream = dial->stream;
    if (!stream) {
        memory_release(dial->allocator, dial, sizeof *dial);
        return;
    }
    if (stream->is_ending) return;
    if (dial->count == 0) {
        struct detail detail;
        detail_set(&detail, "%s: cannot be resolved: %s", stream->remote,
                   status < 0 ? uv_strerror(status) : "no address");
        stream_end(stream, MORTAR_E_ADDRESS, detail.text);
        return;
    }
    dial_next(stream);
}

/* Whether `address` is a number; then it is the one candidate. */
static bool dial_take_number(struct stream_dial *dial, const struct address *address)
{
    struct sockaddr_storage *out = &dial->addresses[0];
    if (uv_ip4_addr(address->host, address->port, (void *)out) != 0 &&
        uv_ip6_addr(address->host, address->port, (void *)out) != 0)
        return false;
    dial->count = 1;
    return true;
}

/* Begins to resolve a name. */
static void dial_resolve(struct stream *stream, const struct address *address)
{
    struct stream_dial *dial = stream->dial;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)address->port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV,
    };
    stream->phase = STREAM_RESOLVING;
    stream_set_deadline(stream, stream->options.connect_timeout_ms);
    dial->request.data = dial;
    const int result = uv_getaddrinfo(&stream->loop->uv, &dial->request, dial_on_resolved,
                                      address->host, port, &hints);
    if (result == 0) {
        dial->is_resolving = true;
    } else {
        stream_end(stream, MORTAR_E_ADDRESS, uv_strerror(result));
    }
}

enum mortar_status stream_connect(struct loop *loop, const struct stream_options *options,
                                  const struct address *address,
                                  const struct stream_handler *handler, void *context,
                                  struct stream **out_stream)
{
    if (!stream_options_are_valid(options) || address->port == 0) return MORTAR_E_INVALID;
    struct stream_dial *dial = memory_reserve_zero(loop->allocator, sizeof *dial);
    if (!dial) return MORTAR_E_NO_MEMORY;
    struct stream *stream;
    const enum mortar_status status = stream_new(loop, options, &stream);
    if (status != MORTAR_OK) {
        memory_release(loop->allocator, dial, sizeof *dial);
        return status;
    }
    dial->allocator = loop->allocator;
    dial->stream = stream;
    stream->dial = dial;
    stream_set_handler(stream, handler, context);
    address_format(address, stream->remote);
    if (dial_take_number(dial, address)) {
        dial_next(stream);
    } else {
        dial_resolve(stream, address);
    }
    *out_stream = stream;
    return MORTAR_OK;
}
