#define _GNU_SOURCE
#include "os/stream.h"

#include "base/assert.h"
#include "os/memory.h"
#include "os/stream_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <unistd.h>

static const struct tls_io stream_io = {
    .receive = stream_io_receive,
    .send = stream_io_send,
    .at_end = stream_io_at_end,
};

struct stream_options stream_options_default(struct tls *tls)
{
    return (struct stream_options){
        .tls = tls,
        .connect_timeout_ms = 5000,
        .handshake_timeout_ms = 5000,
        .linger_timeout_ms = 2000,
        .queued_bytes_max = 8u * 1024u * 1024u,
        .queued_bytes_low = 2u * 1024u * 1024u,
        .rekey_bytes = UINT64_C(64) << 30,
    };
}

bool stream_options_are_valid(const struct stream_options *options)
{
    return options->tls && options->connect_timeout_ms > 0 && options->handshake_timeout_ms > 0 &&
           options->linger_timeout_ms > 0 &&
           options->queued_bytes_low < options->queued_bytes_max &&
           options->socket_buffer_bytes <= INT32_MAX;
}

/* Releases the memory of a stream of which nothing else is left. */
static void stream_free(struct stream *stream)
{
    const struct mortar_allocator *allocator = stream->allocator;
    memory_release(allocator, stream->in, STREAM_BATCH_BYTES);
    memory_release(allocator, stream->out, STREAM_OUT_BYTES);
    memory_release(allocator, stream, sizeof *stream);
}

/* Tells the owner, or the listener if nobody owns the stream yet, and frees it. */
static void stream_finish(struct stream *stream)
{
    stream_leave_gate(stream);
    if (stream->handler) {
        struct stream_frame frame;
        stream_enter(stream, &frame);
        stream->handler->on_closed(stream->context, stream, stream->end_reason,
                                   stream->end_detail.text);
        const bool ours = stream_leave(stream, &frame);
        ASSERT(ours); /* on_closed must not detach. */
    }
    stream_free(stream);
}

/* Ends everything but the memory. */
static void stream_release(struct stream *stream)
{
    loop_deferred_cancel(&stream->service);
    loop_resource_remove(&stream->resource);
    stream_drop_dial(stream);
    loop_timer_close(stream->deadline);
    stream->deadline = NULL;
    stream_unwatch(stream);
    SSL_free(stream->session);
    stream->session = NULL;
    ERR_clear_error();
    stream_drop_queue(stream);
}

static void stream_service(struct loop_deferred *service)
{
    struct stream *stream =
        (struct stream *)(void *)((char *)service - offsetof(struct stream, service));
    if (!stream->is_ending) {
        (void)stream_advance(stream);
        return;
    }
    if (stream->out && stream->fd >= 0) stream_send_out(stream); /* An alert may wait there. */
    stream_release(stream);
    if (stream->gate && !stream->was_opened) listener_on_stream_refused(stream);
    stream_finish(stream);
}

static void stream_abort(struct loop_resource *resource)
{
    struct stream *stream =
        (struct stream *)(void *)((char *)resource - offsetof(struct stream, resource));
    stream_end(stream, MORTAR_E_CANCELLED, "the loop was closed");
    stream_service(&stream->service);
}

enum mortar_status stream_new(struct loop *loop, const struct stream_options *options,
                              struct stream **out_stream)
{
    ASSERT(loop_is_current(loop));
    const struct mortar_allocator *allocator = loop->allocator;
    struct stream *stream = memory_reserve_zero(allocator, sizeof *stream);
    if (!stream) return MORTAR_E_NO_MEMORY;
    stream->allocator = allocator;
    stream->in = allocator->reserve(allocator->context, STREAM_BATCH_BYTES);
    stream->out = allocator->reserve(allocator->context, STREAM_OUT_BYTES);
    if (!stream->in || !stream->out) {
        stream_free(stream);
        return MORTAR_E_NO_MEMORY;
    }
    stream->options = *options;
    stream->fd = -1;
    stream->loop = loop;
    stream->service.run = stream_service;
    stream->resource.abort = stream_abort;
    loop_resource_add(loop, &stream->resource);
    *out_stream = stream;
    return MORTAR_OK;
}

static void stream_on_poll_closed(uv_handle_t *handle)
{
    struct stream_poll *poll = handle->data;
    memory_release(poll->allocator, poll, sizeof *poll);
}

/* An error condition on the socket; uv has stopped to watch it. */
static void stream_on_poll_error(struct stream *stream)
{
    if (!stream->is_read_paused) { /* What came before the error is still to be read. */
        if (!stream_advance(stream)) return;
        if (stream->is_ending) return;
    }
    int error = 0;
    socklen_t bytes = sizeof error;
    (void)getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
    stream_end_errno(stream, MORTAR_E_IO, error ? error : ECONNRESET, "connection lost");
}

static void stream_on_poll(uv_poll_t *uv, int status, int events)
{
    struct stream_poll *poll = uv->data;
    struct stream *stream = poll->stream;
    if (!stream || stream->is_ending) return;
    loop_note_awake(stream->loop);
    if (status < 0) poll->events = 0;
    if (stream->phase == STREAM_CONNECTING) {
        stream_on_dialled(stream);
        return;
    }
    if (status < 0 || (events & UV_READABLE)) stream->in_drained = false;
    if (status < 0 || (events & UV_WRITABLE)) stream->out_blocked = false;
    if (status < 0 && stream->phase == STREAM_OPEN) {
        stream_on_poll_error(stream);
    } else {
        (void)stream_advance(stream);
    }
}

bool stream_watch(struct stream *stream, int fd)
{
    ASSERT(!stream->poll);
    stream->fd = fd;
    struct stream_poll *poll = memory_reserve_zero(stream->allocator, sizeof *poll);
    if (!poll) {
        stream_end(stream, MORTAR_E_NO_MEMORY, "no memory to watch the connection");
        return false;
    }
    const int result = uv_poll_init(&stream->loop->uv, &poll->uv, fd);
    if (result != 0) {
        memory_release(stream->allocator, poll, sizeof *poll);
        stream_end(stream, MORTAR_E_IO, uv_strerror(result));
        return false;
    }
    poll->uv.data = poll;
    poll->stream = stream;
    poll->allocator = stream->allocator;
    stream->poll = poll;
    return true;
}

/* Stops watching but keeps the descriptor. */
static void stream_drop_poll(struct stream *stream)
{
    if (!stream->poll) return;
    stream->poll->stream = NULL;
    uv_close((uv_handle_t *)&stream->poll->uv, stream_on_poll_closed);
    stream->poll = NULL;
}

void stream_unwatch(struct stream *stream)
{
    stream_drop_poll(stream);
    if (stream->fd >= 0) (void)close(stream->fd);
    stream->fd = -1;
}

/* Lets uv watch for what the stream can make use of now. */
static void stream_update_watch(struct stream *stream)
{
    if (!stream->poll || stream->is_ending) return;
    int events = 0;
    const bool reads =
        stream->phase == STREAM_OPEN ? !stream->is_read_paused : stream->phase != STREAM_CONNECTING;
    if (reads && !stream->in_ended) events |= UV_READABLE;
    if (stream->out_blocked || stream->phase == STREAM_CONNECTING) events |= UV_WRITABLE;
    if (events == stream->poll->events) return;
    stream->poll->events = events;
    const int result = events ? uv_poll_start(&stream->poll->uv, events, stream_on_poll)
                              : uv_poll_stop(&stream->poll->uv);
    ASSERT(result == 0); /* The handle is open; uv keeps the change in memory only. */
}

static void stream_on_deadline(void *context)
{
    struct stream *stream = context;
    switch (stream->phase) {
    case STREAM_RESOLVING:
        stream_end(stream, MORTAR_E_TIMEOUT, "the name was not resolved in time");
        return;
    case STREAM_CONNECTING:
        stream_on_dial_timeout(stream);
        return;
    case STREAM_HANDSHAKE:
        stream_end(stream, MORTAR_E_TIMEOUT, "the TLS handshake took too long");
        return;
    case STREAM_OPEN:
        stream_end(stream, MORTAR_E_TIMEOUT, "the peer was not admitted in time");
        return;
    case STREAM_CLOSING:
        stream_end(stream, MORTAR_E_CANCELLED, "closed by this side; the peer did not answer");
        return;
    case STREAM_DETACHED:
        ASSERT(stream->phase != STREAM_DETACHED); /* It has no deadline. */
        return;
    }
}

void stream_set_deadline(struct stream *stream, uint32_t timeout_ms)
{
    if (stream->deadline) {
        loop_timer_restart(stream->deadline, timeout_ms, 0);
        return;
    }
    const enum mortar_status status =
        loop_timer_open(stream->loop, timeout_ms, 0, stream_on_deadline, stream, &stream->deadline);
    if (status != MORTAR_OK) stream_end(stream, status, "no memory for a timer");
}

void stream_end(struct stream *stream, enum mortar_status reason, const char *detail)
{
    if (stream->is_ending) return;
    ASSERT(stream->loop);
    stream->is_ending = true;
    stream->end_reason = reason;
    detail_set(&stream->end_detail, "%s", detail);
    loop_defer(stream->loop, &stream->service);
}

void stream_end_errno(struct stream *stream, enum mortar_status reason, int error_number,
                      const char *what)
{
    struct detail detail;
    detail_set_errno(&detail, error_number, "%s", what);
    stream_end(stream, reason, detail.text);
}

void stream_enter(struct stream *stream, struct stream_frame *frame)
{
    ASSERT(!stream->frame); /* Callbacks of one stream do not nest. */
    frame->left = false;
    stream->frame = frame;
}

bool stream_leave(struct stream *stream, const struct stream_frame *frame)
{
    if (frame->left) return false;
    ASSERT(stream->frame == frame);
    stream->frame = NULL;
    return true;
}

void stream_leave_gate(struct stream *stream)
{
    struct stream_gate *gate = stream->gate;
    if (!gate) return;
    stream->gate = NULL;
    listener_on_gate_left(gate);
}

/* Commands come in small frames that must not wait for more; bulk fills the segments anyway. */
static void stream_tune_socket(const struct stream *stream, int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int bytes = (int)stream->options.socket_buffer_bytes;
    if (bytes > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
}

void stream_begin_handshake(struct stream *stream, int fd, enum tls_side side)
{
    stream_tune_socket(stream, fd);
    stream->phase = STREAM_HANDSHAKE;
    if (!stream->poll && !stream_watch(stream, fd)) return;
    const enum mortar_status status =
        tls_session_begin(stream->options.tls, side, &stream_io, stream, &stream->session);
    if (status != MORTAR_OK) {
        stream_end(stream, status, "no memory for the TLS session");
        return;
    }
    stream_set_deadline(stream, stream->options.handshake_timeout_ms);
    (void)stream_advance(stream);
}

/* The handshake is done: who is it, and who is told? False: detached. */
static bool stream_on_handshake_done(struct stream *stream)
{
    if (tls_session_peer_id(stream->session, &stream->peer_id) != MORTAR_OK) {
        stream_end(stream, MORTAR_E_TLS, "the peer's certificate holds no usable key");
        return true;
    }
    stream->phase = STREAM_OPEN;
    stream->was_opened = true;
    struct stream_frame frame;
    stream_enter(stream, &frame);
    if (stream->handler) {
        stream->handler->on_open(stream->context, stream);
    } else {
        listener_on_stream_open(stream->gate, stream);
    }
    if (!stream_leave(stream, &frame)) return false;
    ASSERT(stream->handler || stream->is_ending || stream->phase == STREAM_CLOSING);
    if (!stream->options.admit_by_owner && stream->phase == STREAM_OPEN) stream_admit(stream);
    return true;
}

/* One step of the handshake. False: detached. */
static bool stream_handshake(struct stream *stream)
{
    ERR_clear_error();
    const int result = SSL_do_handshake(stream->session);
    if (result != 1) {
        stream_on_session_error(stream, result);
        stream_send_out(stream);
        return true;
    }
    stream_send_out(stream);
    return stream->is_ending || stream_on_handshake_done(stream);
}

bool stream_advance(struct stream *stream)
{
    if (stream->is_ending) return true;
    if (stream->phase == STREAM_HANDSHAKE && !stream_handshake(stream)) return false;
    if (stream->phase == STREAM_OPEN && !stream_read(stream)) return false;
    if (stream->phase == STREAM_CLOSING) stream_discard_input(stream);
    if (stream->phase == STREAM_OPEN || stream->phase == STREAM_CLOSING) {
        if (!stream_flush(stream)) return false;
    }
    stream_update_watch(stream);
    return true;
}

void stream_set_handler(struct stream *stream, const struct stream_handler *handler, void *context)
{
    ASSERT(handler->on_open && handler->on_buffer && handler->on_bytes && handler->on_closed);
    stream->handler = handler;
    stream->context = context;
}

void stream_pause_read(struct stream *stream)
{
    stream->is_read_paused = true;
    if (stream->phase == STREAM_OPEN) stream_update_watch(stream);
}

void stream_resume_read(struct stream *stream)
{
    if (!stream->is_read_paused) return;
    stream->is_read_paused = false;
    if (stream->loop) loop_defer(stream->loop, &stream->service);
}

void stream_admit(struct stream *stream)
{
    stream_leave_gate(stream);
    if (stream->phase != STREAM_OPEN) return; /* Or the deadline is that of closing. */
    loop_timer_close(stream->deadline);
    stream->deadline = NULL;
}

void stream_close(struct stream *stream, enum stream_close_mode mode)
{
    ASSERT(stream->loop && loop_is_current(stream->loop));
    if (stream->is_ending) return;
    const bool graceful = mode == STREAM_CLOSE_GRACEFUL;
    if (!graceful || (stream->phase != STREAM_OPEN && stream->phase != STREAM_CLOSING)) {
        stream_end(stream, MORTAR_E_CANCELLED, "closed by this side");
        return;
    }
    if (stream->phase == STREAM_CLOSING) return;
    stream->phase = STREAM_CLOSING;
    stream_set_deadline(stream, stream->options.linger_timeout_ms);
    loop_defer(stream->loop, &stream->service);
}

enum mortar_status stream_detach(struct stream *stream)
{
    ASSERT(stream->loop && loop_is_current(stream->loop));
    if (stream->is_ending || stream->phase != STREAM_OPEN) return MORTAR_E_CLOSED;
    stream_admit(stream);
    stream_drop_poll(stream);
    loop_deferred_cancel(&stream->service);
    loop_resource_remove(&stream->resource);
    stream->phase = STREAM_DETACHED;
    stream->loop = NULL;
    if (stream->frame) stream->frame->left = true;
    stream->frame = NULL;
    return MORTAR_OK;
}

void stream_attach(struct stream *stream, struct loop *loop, const struct stream_handler *handler,
                   void *context)
{
    ASSERT(loop_is_current(loop));
    ASSERT(stream->phase == STREAM_DETACHED);
    stream_set_handler(stream, handler, context);
    stream->loop = loop;
    stream->phase = STREAM_OPEN;
    stream->in_drained = false;
    stream->out_blocked = false;
    loop_resource_add(loop, &stream->resource);
    if (!stream_watch(stream, stream->fd)) return;
    loop_defer(loop, &stream->service); /* Bytes that are here already wake no poll. */
}

struct mortar_peer_id stream_peer_id(const struct stream *stream)
{
    ASSERT(stream->was_opened);
    return stream->peer_id;
}

const char *stream_remote(const struct stream *stream)
{
    return stream->remote;
}

struct stream_counters stream_counters_now(const struct stream *stream)
{
    return stream->counters;
}

enum mortar_status stream_exporter(struct stream *stream, const char *label,
                                   uint8_t out_value[TLS_EXPORTER_BYTES])
{
    ASSERT(stream->was_opened);
    if (!stream->session) return MORTAR_E_CLOSED;
    return tls_session_exporter(stream->session, label, out_value);
}
