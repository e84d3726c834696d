/* os/tls.h - how this node speaks TLS 1.3, as client and as server.
 *
 * Both sides show a self-signed Ed25519 certificate; any such certificate is accepted, and the
 * peer id is the public key in it: the handshake proves that the peer holds the private key.
 * Whether the peer may come in is decided after that, by the bond (key proof over the exporter
 * value). Hence no authorities, no names, no dates. No session resumption: each connection has an
 * exporter value of its own. Cipher order: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305.
 *
 * Memory:  one block; OpenSSL keeps its own.
 * Threads: constant after tls_open(); streams of any loop use it.
 * Errors:  MORTAR_E_NO_MEMORY, MORTAR_E_FAILED (OpenSSL refuses).
 */
#ifndef OS_TLS_H
#define OS_TLS_H

#include "mortar/types.h"
#include "os/crypto.h"
#include "os/identity.h"

#define TLS_EXPORTER_BYTES 32u

struct tls;

/* Keeps `crypto`; shares what it needs of `identity`, which may be closed before it. */
MORTAR_NODISCARD enum mortar_status tls_open(struct crypto *crypto, const struct identity *identity,
                                             struct tls **out_tls);

/* NULL is a no-op. All streams that use it must be closed before. */
void tls_close(struct tls *tls);

#endif
