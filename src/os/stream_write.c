#define _GNU_SOURCE
/* os/stream_write.c - from the queue to the socket.
 *
 * The queue holds plain bytes: copies of small pieces, and shares of buffers. When a batch of
 * events is over, records are made of them, as full as possible, until STREAM_BATCH_BYTES of
 * ciphertext lie in `out`; then one send() gives them to the kernel.
 */
#include "base/assert.h"
#include "os/memory.h"
#include "os/stream_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

/* Small pieces are gathered in chunks of this size. */
#define CHUNK_COPY_BYTES (8u * 1024u)

/* Up to here a copy costs less than a chunk of its own. Covers empty parts as well. */
#define CHUNK_SHARE_BYTES_MIN 512u

/* What a write has reserved so far; joined to the queue only when all of it is there. */
struct reservation {
    struct stream_chunk *first;
    struct stream_chunk *last;
    struct stream_chunk *tail; /* The queue's last chunk, if copies were added to it. */
    size_t tail_end;           /* Its end before that. */
};

static void chunk_free(struct stream *stream, struct stream_chunk *chunk)
{
    mortar_buffer_release(chunk->buffer);
    chunk->buffer = NULL;
    if (chunk->capacity == CHUNK_COPY_BYTES && !stream->spare) {
        stream->spare = chunk;
        return;
    }
    memory_release(stream->allocator, chunk, sizeof *chunk + chunk->capacity);
}

static struct stream_chunk *chunk_new(struct stream *stream, size_t capacity)
{
    struct stream_chunk *chunk = NULL;
    if (capacity == CHUNK_COPY_BYTES && stream->spare) {
        chunk = stream->spare;
        stream->spare = NULL;
    } else {
        const struct mortar_allocator *allocator = stream->allocator;
        chunk = allocator->reserve(allocator->context, sizeof *chunk + capacity);
        if (!chunk) return NULL;
    }
    *chunk = (struct stream_chunk){.capacity = capacity};
    chunk->data = chunk->copied;
    return chunk;
}

static void reservation_add(struct reservation *reservation, struct stream_chunk *chunk)
{
    if (reservation->last) {
        reservation->last->next = chunk;
    } else {
        reservation->first = chunk;
    }
    reservation->last = chunk;
}

static void reservation_undo(struct stream *stream, struct reservation *reservation)
{
    if (reservation->tail) reservation->tail->end = reservation->tail_end;
    struct stream_chunk *chunk = reservation->first;
    while (chunk) {
        struct stream_chunk *next = chunk->next;
        chunk->buffer = NULL; /* Not ours yet. */
        chunk_free(stream, chunk);
        chunk = next;
    }
}

/* Where the next copied byte may go without a new chunk; NULL: nowhere. */
static struct stream_chunk *copy_target(const struct stream *stream,
                                        const struct reservation *reservation)
{
    struct stream_chunk *last = reservation->last ? reservation->last : stream->queue_last;
    return last && last->end < last->capacity ? last : NULL;
}

/* Copies one part to the end of the queue. */
static bool reserve_copy(struct stream *stream, struct reservation *reservation,
                         struct mortar_bytes bytes)
{
    while (bytes.bytes > 0) {
        struct stream_chunk *chunk = copy_target(stream, reservation);
        if (!chunk) {
            chunk = chunk_new(stream, CHUNK_COPY_BYTES);
            if (!chunk) return false;
            reservation_add(reservation, chunk);
        } else if (!reservation->last && !reservation->tail) {
            reservation->tail = chunk;
            reservation->tail_end = chunk->end;
        }
        const size_t room = chunk->capacity - chunk->end;
        const size_t piece = bytes.bytes < room ? bytes.bytes : room;
        memcpy(chunk->copied + chunk->end, bytes.data, piece);
        chunk->end += piece;
        bytes.data += piece;
        bytes.bytes -= piece;
    }
    return true;
}

static bool is_shared(const struct stream_part *part)
{
    return part->buffer && part->bytes.bytes >= CHUNK_SHARE_BYTES_MIN;
}

/* Adds one part that lives in a buffer. Its reference is taken when the whole write succeeds. */
static bool reserve_share(struct stream *stream, struct reservation *reservation,
                          const struct stream_part *part)
{
    struct stream_chunk *chunk = chunk_new(stream, 0);
    if (!chunk) return false;
    chunk->buffer = part->buffer;
    chunk->data = part->bytes.data;
    chunk->end = part->bytes.bytes;
    reservation_add(reservation, chunk);
    return true;
}

static enum mortar_status reserve_all(struct stream *stream, const struct stream_part *parts,
                                      size_t count)
{
    struct reservation reservation = {0};
    for (size_t i = 0; i < count; i++) {
        const bool good = is_shared(&parts[i]) ? reserve_share(stream, &reservation, &parts[i])
                                               : reserve_copy(stream, &reservation, parts[i].bytes);
        if (!good) {
            reservation_undo(stream, &reservation);
            return MORTAR_E_NO_MEMORY;
        }
    }
    for (size_t i = 0; i < count; i++) { /* What was copied is needed no more. */
        if (!is_shared(&parts[i])) mortar_buffer_release(parts[i].buffer);
    }
    if (!reservation.first) return MORTAR_OK;
    if (stream->queue_last) {
        stream->queue_last->next = reservation.first;
    } else {
        stream->queue_first = reservation.first;
    }
    stream->queue_last = reservation.last;
    return MORTAR_OK;
}

size_t stream_queued_bytes(const struct stream *stream)
{
    return stream->plain_queued_bytes + (stream->out_end - stream->out_begin);
}

enum mortar_status stream_write(struct stream *stream, const struct stream_part *parts,
                                size_t count)
{
    ASSERT(stream->loop && loop_is_current(stream->loop));
    if (stream->phase != STREAM_OPEN || stream->is_ending) return MORTAR_E_CLOSED;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].bytes.bytes > stream->options.queued_bytes_max - bytes)
            return MORTAR_E_TOO_LARGE;
        bytes += parts[i].bytes.bytes;
    }
    const size_t queued = stream_queued_bytes(stream);
    /* Ciphertext is longer than what was allowed in, so `queued` may be beyond the maximum. */
    if (queued > 0 && (queued >= stream->options.queued_bytes_max ||
                       bytes > stream->options.queued_bytes_max - queued)) {
        stream->tells_writable = true;
        return MORTAR_E_BUSY;
    }
    const enum mortar_status status = reserve_all(stream, parts, count);
    if (status != MORTAR_OK) return status;
    stream->plain_queued_bytes += bytes;
    if (queued + bytes > stream->options.queued_bytes_low) stream->tells_writable = true;
    loop_defer(stream->loop, &stream->service);
    return MORTAR_OK;
}

/* Takes `bytes` from the first chunk, and the chunk away when it is used up. */
static void queue_consume(struct stream *stream, size_t bytes)
{
    struct stream_chunk *chunk = stream->queue_first;
    ASSERT(bytes <= chunk->end - chunk->begin);
    chunk->begin += bytes;
    stream->plain_queued_bytes -= bytes;
    if (chunk->begin < chunk->end) return;
    stream->queue_first = chunk->next;
    if (!stream->queue_first) stream->queue_last = NULL;
    chunk_free(stream, chunk);
}

void stream_drop_queue(struct stream *stream)
{
    while (stream->queue_first)
        queue_consume(stream, stream->queue_first->end - stream->queue_first->begin);
    ASSERT(stream->plain_queued_bytes == 0);
    if (stream->spare)
        memory_release(stream->allocator, stream->spare,
                       sizeof *stream->spare + stream->spare->capacity);
    stream->spare = NULL;
}

int stream_io_send(void *context, const uint8_t *data, size_t bytes)
{
    struct stream *stream = context;
    if (bytes > STREAM_OUT_BYTES - stream->out_end) return TLS_IO_LATER;
    memcpy(stream->out + stream->out_end, data, bytes);
    stream->out_end += bytes;
    return (int)bytes;
}

/* Whether a full record may be made: its ciphertext is sure to fit into `out`, so that SSL_write()
 * never has to be repeated. */
static bool has_room(struct stream *stream)
{
    if (stream->out_begin == stream->out_end) stream->out_begin = stream->out_end = 0;
    return stream->out_end + TLS_RECORD_BYTES + TLS_RECORD_OVERHEAD_BYTES <= STREAM_BATCH_BYTES;
}

/* Gives one record's worth to the session. False: ended. */
static bool encrypt(struct stream *stream, const uint8_t *data, size_t bytes)
{
    ASSERT(bytes > 0 && bytes <= TLS_RECORD_BYTES);
    const int result = SSL_write(stream->session, data, (int)bytes);
    if (result == (int)bytes) {
        stream->counters.plain_out_bytes += bytes;
        return true;
    }
    stream_on_session_error(stream, result);
    stream_end(stream, MORTAR_E_TLS, "the TLS session takes no more data");
    return false;
}

/* Makes one record of the queue: straight from a chunk that fills it or is alone, else gathered. */
static bool encrypt_record(struct stream *stream)
{
    const struct stream_chunk *chunk = stream->queue_first;
    const size_t here = chunk->end - chunk->begin;
    if (here >= TLS_RECORD_BYTES || !chunk->next) {
        const size_t bytes = here < TLS_RECORD_BYTES ? here : TLS_RECORD_BYTES;
        if (!encrypt(stream, chunk->data + chunk->begin, bytes)) return false;
        queue_consume(stream, bytes);
        return true;
    }
    uint8_t *scratch = stream->loop->scratch;
    size_t used = 0;
    while (stream->queue_first && used < TLS_RECORD_BYTES) {
        chunk = stream->queue_first;
        const size_t room = TLS_RECORD_BYTES - used;
        const size_t left = chunk->end - chunk->begin;
        const size_t piece = left < room ? left : room;
        memcpy(scratch + used, chunk->data + chunk->begin, piece);
        used += piece;
        queue_consume(stream, piece);
    }
    return encrypt(stream, scratch, used);
}

/* Fresh keys in time, long before AES-GCM's limit (RFC 8446 5.5). */
static void rekey_if_due(struct stream *stream)
{
    const uint64_t limit = stream->options.rekey_bytes;
    if (limit == 0 || stream->counters.plain_out_bytes - stream->rekeyed_at_bytes < limit) return;
    stream->rekeyed_at_bytes = stream->counters.plain_out_bytes;
    if (SSL_key_update(stream->session, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) ERR_clear_error();
}

static void encrypt_queue(struct stream *stream)
{
    if (!stream->queue_first) return;
    tls_forget_errors();
    while (stream->queue_first && !stream->is_ending && has_room(stream)) {
        rekey_if_due(stream);
        if (!encrypt_record(stream)) return;
    }
}

void stream_send_out(struct stream *stream)
{
    while (stream->out_begin < stream->out_end && !stream->out_blocked) {
        const ssize_t sent = send(stream->fd, stream->out + stream->out_begin,
                                  stream->out_end - stream->out_begin, MSG_NOSIGNAL);
        if (sent >= 0) {
            stream->out_begin += (size_t)sent;
            stream->counters.wire_out_bytes += (uint64_t)sent;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS) {
            stream->out_blocked = true;
            return;
        }
        stream_end_errno(stream, MORTAR_E_IO, errno, "connection lost");
        return;
    }
    if (stream->out_begin == stream->out_end) stream->out_begin = stream->out_end = 0;
}

/* Says good-bye once the queue has drained; then the peer's end of the stream is waited for, since
 * closing before would make the kernel throw away what it has not sent yet. */
static void say_goodbye(struct stream *stream)
{
    if (stream->queue_first || stream->goodbye_sent || stream->is_ending) return;
    ERR_clear_error();
    const int result = SSL_shutdown(stream->session); /* 0: sent, the peer's not seen. */
    if (result < 0) ERR_clear_error();
    stream->goodbye_sent = true;
}

/* Tells the owner when the queue has fallen low. False: detached. */
static bool tell_writable(struct stream *stream)
{
    if (!stream->tells_writable || stream->phase != STREAM_OPEN || stream->is_ending) return true;
    if (stream_queued_bytes(stream) > stream->options.queued_bytes_low) return true;
    stream->tells_writable = false;
    if (!stream->handler->on_writable) return true;
    struct stream_frame frame;
    stream_enter(stream, &frame);
    stream->handler->on_writable(stream->context, stream);
    return stream_leave(stream, &frame);
}

bool stream_flush(struct stream *stream)
{
    size_t turn = 0;
    while (!stream->is_ending && !stream->out_blocked) {
        encrypt_queue(stream);
        if (stream->phase == STREAM_CLOSING) say_goodbye(stream);
        if (stream->out_begin == stream->out_end) break;
        turn += stream->out_end - stream->out_begin;
        stream_send_out(stream);
        if (turn >= STREAM_TURN_BYTES && stream->queue_first) {
            loop_defer(stream->loop, &stream->service);
            break;
        }
    }
    if (stream->goodbye_sent && stream->out_begin == stream->out_end)
        (void)shutdown(stream->fd, SHUT_WR);
    return tell_writable(stream);
}
