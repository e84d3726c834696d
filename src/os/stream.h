/* os/stream.h - an encrypted byte stream between two nodes: TLS 1.3 over TCP, on a loop.
 *
 * Bytes in order, both ways, with bounded queues and back-pressure. Not a message protocol: frames
 * are the business of src/node. Listening is in os/listener.h.
 *
 *     connect --> RESOLVING --> CONNECTING --> HANDSHAKE --> OPEN --> CLOSING --> on_closed
 *     accept  -------------------------------> HANDSHAKE      |  ^
 *                                                   detach    v  |  attach (perhaps elsewhere)
 *                                                          DETACHED
 *
 * Memory:  one block per stream, one batch buffer each way (STREAM_BATCH_BYTES), and the queue,
 *          bounded by queued_bytes_max. Receive buffers are the handler's. The allocator is the
 *          loop's and must be safe for threads if streams are moved between loops.
 * Threads: everything, callbacks too, on the thread of the stream's loop. A detached stream
 *          belongs to whoever holds it.
 * Errors:  calls answer a status at once; what happens later comes as the reason of on_closed:
 *            MORTAR_E_ADDRESS    not resolved, or nobody answers there
 *            MORTAR_E_TIMEOUT    connect, handshake or admission took too long
 *            MORTAR_E_TLS        the handshake failed, or bytes that are no TLS came
 *            MORTAR_E_CLOSED     the peer closed in an orderly way
 *            MORTAR_E_IO         the connection was lost
 *            MORTAR_E_CANCELLED  stream_close() or loop_close() on this side
 *            MORTAR_E_NO_MEMORY
 */
#ifndef OS_STREAM_H
#define OS_STREAM_H

#include "mortar/types.h"
#include "os/address.h"
#include "os/loop.h"
#include "os/tls.h"

/* Of ciphertext per system call. */
#define STREAM_BATCH_BYTES (256u * 1024u)

struct stream;

/* What the owner of a stream is told. All members are required, except on_writable. From inside
 * any of them every call on the stream is allowed, but stream_detach() not from on_buffer or
 * on_closed. */
struct stream_handler {
    /* The handshake is done (connecting side only); the peer id and exporter value are known. */
    void (*on_open)(void *context, struct stream *stream);

    /* Asks where to put received bytes. The space must stay until on_bytes, on_closed or the next
     * on_buffer. A capacity of 0 pauses reading, as stream_pause_read() does. */
    void (*on_buffer)(void *context, struct stream *stream, uint8_t **out_data,
                      size_t *out_capacity);

    /* `bytes` (> 0) were put at the beginning of the space that on_buffer gave last. */
    void (*on_bytes)(void *context, struct stream *stream, size_t bytes);

    /* The queue had been above queued_bytes_low and is not any longer. */
    void (*on_writable)(void *context, struct stream *stream);

    /* The last call, exactly once, never from within another call on the stream. The stream is
     * gone when it returns. `detail` is for people. */
    void (*on_closed)(void *context, struct stream *stream, enum mortar_status reason,
                      const char *detail);
};

struct stream_options {
    struct tls *tls;               /* Required. Kept. */
    uint32_t connect_timeout_ms;   /* Per resolved address, and for resolving. */
    uint32_t handshake_timeout_ms; /* From the first byte of TCP to stream_admit(). */
    uint32_t linger_timeout_ms;    /* Of a graceful close. */
    size_t queued_bytes_max;       /* stream_write() answers MORTAR_E_BUSY beyond it. */
    size_t queued_bytes_low;       /* on_writable when the queue falls to it; < the maximum. */
    uint32_t socket_buffer_bytes;  /* 0: the kernel adapts it, which is best nearly always. */
    uint64_t rekey_bytes;          /* Fresh keys after so many bytes sent; 0: never. */
    bool admit_by_owner; /* The handshake timeout, and the slot among a listener's half-open
                          * links, last until stream_admit(); else until the handshake's end. */
};

/* 5 s to connect, 5 s for the handshake, 2 s to linger, 8 MiB and 2 MiB of queue, kernel buffers,
 * fresh keys every 64 GiB (RFC 8446 5.5 allows 388), admission by itself. */
struct stream_options stream_options_default(struct tls *tls);

/* A piece to write. */
struct stream_part {
    struct mortar_bytes bytes;
    struct mortar_buffer *buffer; /* Holds `bytes`; NULL: they are copied. */
};

struct stream_counters {
    uint64_t plain_in_bytes;
    uint64_t plain_out_bytes; /* Encrypted so far, not only queued. */
    uint64_t wire_in_bytes;
    uint64_t wire_out_bytes;
};

enum stream_close_mode {
    STREAM_CLOSE_GRACEFUL, /* Sends what is queued and a good-bye, within linger_timeout_ms. */
    STREAM_CLOSE_ABORT     /* Drops what is queued. */
};

/* Begins to connect to `address`, whose name is resolved now. Copies `options` and `address`,
 * keeps `handler`. After MORTAR_OK on_closed will come, whatever happens.
 *   MORTAR_E_INVALID    an option is out of range.
 *   MORTAR_E_NO_MEMORY */
MORTAR_NODISCARD enum mortar_status stream_connect(struct loop *loop,
                                                   const struct stream_options *options,
                                                   const struct address *address,
                                                   const struct stream_handler *handler,
                                                   void *context, struct stream **out_stream);

/* Replaces who is told. Needed once for an accepted stream, before on_accept returns. */
void stream_set_handler(struct stream *stream, const struct stream_handler *handler, void *context);

/* Queues the `count` parts, in order; they leave at the end of this batch of events. On MORTAR_OK
 * takes one reference of each part's buffer; on failure takes nothing.
 *   MORTAR_E_BUSY       the queue would exceed its maximum now: wait for on_writable.
 *   MORTAR_E_TOO_LARGE  the parts alone exceed it.
 *   MORTAR_E_CLOSED     the stream is not open, or closing.
 *   MORTAR_E_NO_MEMORY */
MORTAR_NODISCARD enum mortar_status stream_write(struct stream *stream,
                                                 const struct stream_part *parts, size_t count);

/* Bytes that stream_write() took and the kernel has not. */
size_t stream_queued_bytes(const struct stream *stream);

/* Asks for no more bytes; what the kernel holds stays there, and stops the peer in time. */
void stream_pause_read(struct stream *stream);
void stream_resume_read(struct stream *stream);

/* The owner has let the peer in: ends the handshake timeout and frees the half-open slot. */
void stream_admit(struct stream *stream);

/* Ends the stream; on_closed comes later, with MORTAR_E_CANCELLED. No other callback comes in
 * between. Closing again is a no-op, except that an abort cuts a graceful close short. */
void stream_close(struct stream *stream, enum stream_close_mode mode);

/* Takes an open stream (on_open or on_accept was called, stream_close() was not) from its loop,
 * with its keys, queue and bytes not yet read. Admits it. Then it may be given to another thread.
 * MORTAR_E_CLOSED: it is ending already; on_closed comes as usual. */
MORTAR_NODISCARD enum mortar_status stream_detach(struct stream *stream);

/* Gives a detached stream to `loop`, on whose thread this is called. */
void stream_attach(struct stream *stream, struct loop *loop, const struct stream_handler *handler,
                   void *context);

/* Inspection. Peer id and exporter value only of a stream that was opened. */
struct mortar_peer_id stream_peer_id(const struct stream *stream);
const char *stream_remote(const struct stream *stream); /* "address:port", for people. */
struct stream_counters stream_counters_now(const struct stream *stream);

/* RFC 5705 value of this connection for `label`: the same on both sides, on no other connection. */
MORTAR_NODISCARD enum mortar_status stream_exporter(struct stream *stream, const char *label,
                                                    uint8_t out_value[TLS_EXPORTER_BYTES]);

#endif
