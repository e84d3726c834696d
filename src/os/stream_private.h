/* os/stream_private.h - the inside of a stream, shared by the files that make it up.
 *
 *     stream.c          life cycle, options, detach and attach
 *     stream_connect.c  resolve, dial
 *     stream_read.c     sockets to callbacks
 *     stream_write.c    queue to sockets
 *     listener.c        accept
 *
 * Rule for all of them: a callback may detach the stream, and then another thread may own it.
 * Whoever calls back through stream_call_...() must not touch the stream after it answered false,
 * and answers false itself. Closing, in contrast, is always left to stream_service(), so a stream
 * that is not detached exists until its service runs.
 *
 * Memory:  see stream.h.
 * Threads: see stream.h.
 * Errors:  see stream.h.
 */
#ifndef OS_STREAM_PRIVATE_H
#define OS_STREAM_PRIVATE_H

#include "os/detail.h"
#include "os/loop_private.h"
#include "os/stream.h"
#include "os/tls_private.h"

#include <sys/socket.h>

/* Room behind a full batch for what OpenSSL sends by itself: alerts, key updates, handshake. */
#define STREAM_OUT_BYTES (STREAM_BATCH_BYTES + 2u * TLS_RECORD_BYTES)

/* Read or written in one go before other sockets of the loop get their turn. */
#define STREAM_TURN_BYTES (1024u * 1024u)

enum stream_phase {
    STREAM_RESOLVING,
    STREAM_CONNECTING,
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_CLOSING, /* Graceful: the queue drains, input is thrown away. */
    STREAM_DETACHED
};

/* A poll handle with a life of its own: uv closes it a little later than we do. */
struct stream_poll {
    uv_poll_t uv;
    struct stream *stream; /* NULL once closed. */
    const struct mortar_allocator *allocator;
    int events; /* What uv watches now. */
};

/* One piece of the queue: either copied bytes or a share of a buffer. */
struct stream_chunk {
    struct stream_chunk *next;
    struct mortar_buffer *buffer; /* NULL: the bytes are in `copied`. */
    const uint8_t *data;
    size_t begin;    /* First byte not yet encrypted. */
    size_t end;      /* <= capacity for copied bytes. */
    size_t capacity; /* Of `copied`; 0 with a buffer. */
    uint8_t copied[];
};

/* A callback in progress, on the stack of whoever calls. */
struct stream_frame {
    bool left; /* stream_detach() was called in it. */
};

/* Counts the half-open links of a listener; outlives it while such links are there. */
struct stream_gate {
    const struct mortar_allocator *allocator;
    struct listener *listener; /* NULL once the listener is closed. */
    uint32_t streams;          /* That point here. */
};

struct stream_dial; /* stream_connect.c: resolving, and the addresses left to try. */

struct stream {
    const struct mortar_allocator *allocator;
    struct loop *loop; /* NULL while detached. */
    struct stream_options options;
    const struct stream_handler *handler; /* NULL: accepted, on_accept not yet called. */
    void *context;
    enum stream_phase phase;
    struct loop_resource resource;
    struct loop_deferred service;
    struct loop_timer *deadline; /* Of connect, handshake and admission, or linger. */
    struct stream_poll *poll;
    struct stream_frame *frame; /* NULL when no callback is running. */
    struct stream_gate *gate;   /* Counted as half-open there; NULL: not counted. */
    struct stream_dial *dial;   /* While RESOLVING or CONNECTING. */
    SSL *session;
    int fd; /* -1: none. */
    bool was_opened;
    bool is_ending; /* Nothing more is called except on_closed. */
    enum mortar_status end_reason;
    struct detail end_detail;
    char remote[ADDRESS_TEXT_BYTES];
    struct mortar_peer_id peer_id; /* Valid once OPEN. */

    /* Received ciphertext: in[in_begin, in_end). */
    uint8_t *in;
    size_t in_begin;
    size_t in_end;
    bool is_read_paused;
    bool in_drained; /* The socket had no more; wait for the poll before asking again. */
    bool in_ended;   /* The peer's end of the TCP stream was read. */
    int socket_error;

    /* Ciphertext to send: out[out_begin, out_end). */
    uint8_t *out;
    size_t out_begin;
    size_t out_end;
    bool out_blocked; /* The kernel took no more; wait for the poll. */
    bool goodbye_sent;
    bool tells_writable; /* The queue was above its low mark. */
    struct stream_chunk *queue_first;
    struct stream_chunk *queue_last;
    struct stream_chunk *spare; /* One copying chunk kept for reuse. */
    size_t plain_queued_bytes;  /* In the queue, not yet encrypted. */
    uint64_t rekeyed_at_bytes;  /* plain_out_bytes when the keys were new. */
    struct stream_counters counters;
};

/* stream.c */

/* Makes a stream on `loop`, without descriptor or session. */
MORTAR_NODISCARD enum mortar_status
stream_new(struct loop *loop, const struct stream_options *options, struct stream **out_stream);

bool stream_options_are_valid(const struct stream_options *options);

/* Takes a non-blocking connected socket and begins the handshake. Ends the stream on failure. */
void stream_begin_handshake(struct stream *stream, int fd, enum tls_side side);

/* Watches `fd`, which becomes the stream's. False: ended. */
bool stream_watch(struct stream *stream, int fd);

/* Stops watching and closes the descriptor. */
void stream_unwatch(struct stream *stream);

/* Starts or moves the deadline. */
void stream_set_deadline(struct stream *stream, uint32_t timeout_ms);

/* Decides how the stream ends, unless that is decided; the service does it. */
void stream_end(struct stream *stream, enum mortar_status reason, const char *detail);

/* As stream_end(), with the text of `error_number` behind `what`. */
void stream_end_errno(struct stream *stream, enum mortar_status reason, int error_number,
                      const char *what);

/* Does what can be done now in any phase: handshake, read, write, watch. False: detached. */
bool stream_advance(struct stream *stream);

/* Begin and end of a callback; leave() answers whether the stream is still ours. */
void stream_enter(struct stream *stream, struct stream_frame *frame);
bool stream_leave(struct stream *stream, const struct stream_frame *frame);

/* Gives up the half-open slot, if there is one. */
void stream_leave_gate(struct stream *stream);

/* stream_connect.c */

/* The socket became writable or failed: connected, or on to the next address. */
void stream_on_dialled(struct stream *stream);

/* The time for the address that is tried now is over. */
void stream_on_dial_timeout(struct stream *stream);

/* Ends resolving and trying. NULL dial is a no-op. */
void stream_drop_dial(struct stream *stream);

/* stream_read.c */

/* Ciphertext for the session; see struct tls_io. */
int stream_io_receive(void *context, uint8_t *out, size_t capacity);
bool stream_io_at_end(const void *context);

/* Reads up to one turn. False: detached. */
bool stream_read(struct stream *stream);

/* Reads and throws away, while CLOSING. */
void stream_discard_input(struct stream *stream);

/* What a call on the session that did not succeed means: ends the stream unless it must wait. */
void stream_on_session_error(struct stream *stream, int result);

/* stream_write.c */

int stream_io_send(void *context, const uint8_t *data, size_t bytes);

/* Encrypts and sends up to one turn. False: detached. */
bool stream_flush(struct stream *stream);

/* Sends what is encrypted. Ends the stream on failure. */
void stream_send_out(struct stream *stream);

/* Gives back queue and spare chunk. */
void stream_drop_queue(struct stream *stream);

/* listener.c: news of a stream that came through `gate`. The second also leaves the gate. */
void listener_on_stream_open(struct stream_gate *gate, struct stream *stream);
void listener_on_stream_refused(struct stream *stream);
void listener_on_gate_left(struct stream_gate *gate);

#endif
