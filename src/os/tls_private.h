/* os/tls_private.h - the OpenSSL side of a stream.
 *
 * Only files of src/os include it. A session reads and writes ciphertext through a pair of
 * functions instead of a socket, so that the stream can batch its system calls.
 *
 * Memory:  a session is OpenSSL's, ended by SSL_free().
 * Threads: a session belongs to the thread of its stream.
 * Errors:  see tls.h.
 */
#ifndef OS_TLS_PRIVATE_H
#define OS_TLS_PRIVATE_H

#include "os/detail.h"
#include "os/tls.h"

#include <openssl/ssl.h>

/* What one TLS record holds at most, and what it may be longer than that (header, content type,
 * tag; RFC 8446 5.2), rounded up. */
#define TLS_RECORD_BYTES          (16u * 1024u)
#define TLS_RECORD_OVERHEAD_BYTES 64u

/* Ciphertext in and out. Both answer the number of bytes, 0 for the end of the stream (receive
 * only), TLS_IO_LATER when there are none (or no room) now, TLS_IO_FAILED. */
enum { TLS_IO_LATER = -1, TLS_IO_FAILED = -2 };

struct tls_io {
    int (*receive)(void *context, uint8_t *out, size_t capacity);
    int (*send)(void *context, const uint8_t *data, size_t bytes);
    bool (*at_end)(const void *context); /* Whether `receive` has answered 0. */
};

enum tls_side { TLS_CLIENT, TLS_SERVER };

/* Begins a session; `io` is called with `context`. Keeps both. */
MORTAR_NODISCARD enum mortar_status tls_session_begin(struct tls *tls, enum tls_side side,
                                                      const struct tls_io *io, void *context,
                                                      SSL **out_session);

/* The public key in the peer's certificate. MORTAR_E_TLS: there is none (handshake not done). */
MORTAR_NODISCARD enum mortar_status tls_session_peer_id(const SSL *session,
                                                        struct mortar_peer_id *out_peer_id);

/* RFC 5705 exporter value of this very connection for `label`, without context. */
MORTAR_NODISCARD enum mortar_status tls_session_exporter(SSL *session, const char *label,
                                                         uint8_t out_value[TLS_EXPORTER_BYTES]);

/* Clears OpenSSL's notes of this thread, as each call that is asked about with SSL_get_error()
 * needs. Looks first: clearing sixteen empty slots costs more than reading a few bytes. */
void tls_forget_errors(void);

/* Says in `detail` what OpenSSL noted last on this thread, and clears its notes. */
void tls_describe_error(struct detail *detail, const char *what);

#endif
