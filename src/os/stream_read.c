#define _GNU_SOURCE
/* os/stream_read.c - from the socket to the handler.
 *
 * One recv() takes up to STREAM_BATCH_BYTES of ciphertext; the session takes records out of that,
 * and decrypts them into the handler's space. OpenSSL's own read-ahead is not used: with large
 * buffers it moves all that is left behind each record.
 */
#include "base/assert.h"
#include "os/stream_private.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <string.h>

/* Asks the kernel once. TLS_IO_...: nothing came. */
static int receive_batch(struct stream *stream)
{
    ASSERT(stream->in_begin == stream->in_end);
    if (stream->in_ended) return 0;
    if (stream->in_drained) return TLS_IO_LATER;
    ssize_t got;
    do {
        got = recv(stream->fd, stream->in, STREAM_BATCH_BYTES, 0);
    } while (got < 0 && errno == EINTR);
    if (got == 0) {
        stream->in_ended = true;
        return 0;
    }
    if (got < 0) {
        if (errno == EAGAIN) {
            stream->in_drained = true;
            return TLS_IO_LATER;
        }
        stream->socket_error = errno;
        return TLS_IO_FAILED;
    }
    /* Less than asked for: the socket is empty, which saves the call that would say so. The poll
     * is level-triggered, so a mistake costs nothing but a turn. */
    if ((size_t)got < STREAM_BATCH_BYTES) stream->in_drained = true;
    stream->in_begin = 0;
    stream->in_end = (size_t)got;
    stream->counters.wire_in_bytes += (uint64_t)got;
    return (int)got;
}

int stream_io_receive(void *context, uint8_t *out, size_t capacity)
{
    struct stream *stream = context;
    if (stream->in_begin == stream->in_end) {
        const int got = receive_batch(stream);
        if (got <= 0) return got;
    }
    const size_t here = stream->in_end - stream->in_begin;
    const size_t bytes = here < capacity ? here : capacity;
    memcpy(out, stream->in + stream->in_begin, bytes);
    stream->in_begin += bytes;
    return (int)bytes;
}

bool stream_io_at_end(const void *context)
{
    const struct stream *stream = context;
    return stream->in_ended;
}

void stream_on_session_error(struct stream *stream, int result)
{
    const int kind = SSL_get_error(stream->session, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) return;
    const bool handshake = stream->phase == STREAM_HANDSHAKE;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        stream_end(stream, MORTAR_E_CLOSED, "closed by the peer");
    } else if (stream->socket_error != 0) {
        stream_end_errno(stream, MORTAR_E_IO, stream->socket_error, "connection lost");
    } else if (stream->in_ended) {
        stream_end(stream, MORTAR_E_IO,
                   handshake ? "connection ended during the TLS handshake"
                             : "connection ended without a good-bye");
    } else {
        struct detail detail;
        tls_describe_error(&detail, handshake ? "TLS handshake" : "TLS");
        stream_end(stream, MORTAR_E_TLS, detail.text);
    }
    ERR_clear_error();
}

/* Asks the handler for space. False: it has none, and reading pauses. */
static bool ask_for_space(struct stream *stream, uint8_t **out_data, size_t *out_capacity)
{
    uint8_t *data = NULL;
    size_t capacity = 0;
    struct stream_frame frame;
    stream_enter(stream, &frame);
    stream->handler->on_buffer(stream->context, stream, &data, &capacity);
    const bool ours = stream_leave(stream, &frame);
    ASSERT(ours); /* on_buffer must not detach. */
    if (capacity == 0) {
        stream->is_read_paused = true;
        return false;
    }
    *out_data = data;
    *out_capacity = capacity;
    return true;
}

/* Decrypts into the space until it is full or no record is complete. `out_result` is that of the
 * last SSL_read(). */
static size_t fill_space(struct stream *stream, uint8_t *data, size_t capacity, int *out_result)
{
    size_t filled = 0;
    int result = 1;
    while (filled < capacity && result > 0) {
        const size_t room = capacity - filled;
        result = SSL_read(stream->session, data + filled, room < INT_MAX ? (int)room : INT_MAX);
        if (result > 0) filled += (size_t)result;
    }
    *out_result = result;
    return filled;
}

/* One space full. `out_more`: there may be more at once. False: detached. */
static bool read_once(struct stream *stream, size_t *out_bytes, bool *out_more)
{
    uint8_t *data;
    size_t capacity;
    if (!ask_for_space(stream, &data, &capacity)) return true;
    if (stream->is_ending || stream->phase != STREAM_OPEN) return true; /* Closed in on_buffer. */
    int result;
    tls_forget_errors();
    const size_t filled = fill_space(stream, data, capacity, &result);
    *out_bytes = filled;
    *out_more = result > 0;
    /* What came before the end is still given to the handler; the service, which is deferred,
     * tells the end. */
    if (result <= 0) stream_on_session_error(stream, result);
    if (filled == 0) return true;
    stream->counters.plain_in_bytes += filled;
    struct stream_frame frame;
    stream_enter(stream, &frame);
    stream->handler->on_bytes(stream->context, stream, filled);
    return stream_leave(stream, &frame);
}

bool stream_read(struct stream *stream)
{
    size_t turn = 0;
    while (stream->phase == STREAM_OPEN && !stream->is_read_paused && !stream->is_ending) {
        if (turn >= STREAM_TURN_BYTES) { /* The rest may be in our buffer, where no poll sees it. */
            loop_defer(stream->loop, &stream->service);
            return true;
        }
        size_t bytes = 0;
        bool more = false;
        if (!read_once(stream, &bytes, &more)) return false;
        if (!more) break;
        turn += bytes;
    }
    return true;
}

void stream_discard_input(struct stream *stream)
{
    size_t turn = 0;
    stream->in_begin = stream->in_end = 0;
    while (turn < STREAM_TURN_BYTES) {
        const int got = receive_batch(stream);
        stream->in_begin = stream->in_end = 0;
        if (got == TLS_IO_LATER) return;
        if (got <= 0) {
            stream_end(stream, MORTAR_E_CANCELLED, "closed by this side");
            return;
        }
        turn += (size_t)got;
    }
}
