/* os/listener.h - takes connections from a TCP port and makes streams of them.
 *
 * A peer is reported only when its handshake is done; port scans, garbage, and slow or too many
 * handshakes end here, counted. When the process runs out of descriptors, accepting pauses.
 *
 * Memory:  one block per listener. At most half_open_max streams that are not admitted.
 * Threads: listener_bind(), listener_port() and listener_counters_now() from any thread; the rest
 *          from the thread of the loop. A listener that was never started may be closed anywhere.
 * Errors:  MORTAR_E_ADDRESS_IN_USE, MORTAR_E_ADDRESS (not resolved, not ours), MORTAR_E_PERMISSION
 *          (a port below 1024), MORTAR_E_IO, MORTAR_E_NO_MEMORY; details name the address.
 */
#ifndef OS_LISTENER_H
#define OS_LISTENER_H

#include "mortar/types.h"
#include "os/detail.h"
#include "os/stream.h"

struct listener;

struct listener_handler {
    /* A peer has finished its handshake. Calls stream_set_handler() or stream_close(). Required. */
    void (*on_accept)(void *context, struct stream *stream);

    /* A connection from `remote` ended before that. May be NULL. */
    void (*on_refused)(void *context, const char *remote, enum mortar_status reason,
                       const char *detail);
};

struct listener_counters {
    uint64_t accepted;           /* TCP connections taken. */
    uint64_t opened;             /* Of these: handshake done. */
    uint64_t refused_half_open;  /* Closed at once: half_open_max were under way. */
    uint64_t handshake_failed;   /* No TLS, bad certificate, gone in the middle. */
    uint64_t handshake_timeouts; /* Took longer than handshake_timeout_ms. */
    uint64_t accept_failed;      /* No descriptors or memory: accepting paused for a moment. */
    uint32_t half_open;          /* Now. */
};

/* Binds and listens. May block when `address` is a name that must be resolved. Port 0 picks a free
 * one. */
MORTAR_NODISCARD enum mortar_status listener_bind(const struct address *address,
                                                  const struct mortar_allocator *allocator,
                                                  struct detail *detail,
                                                  struct listener **out_listener);

/* The port that is listened on. */
uint16_t listener_port(const struct listener *listener);

/* Begins to accept on `loop`. Copies `options`, keeps `handler`. Once per listener.
 *   MORTAR_E_INVALID  half_open_max is 0 or an option is out of range. */
MORTAR_NODISCARD enum mortar_status
listener_start(struct listener *listener, struct loop *loop, const struct stream_options *options,
               uint32_t half_open_max, const struct listener_handler *handler, void *context);

/* Closes the port. Handshakes under way are dropped, opened streams live on. NULL is a no-op.
 * loop_close() does it too, for a listener that was started. */
void listener_close(struct listener *listener);

/* A snapshot; each number is exact, together they may be of slightly different moments. */
struct listener_counters listener_counters_now(const struct listener *listener);

#endif
