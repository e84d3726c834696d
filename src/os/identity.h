/* os/identity.h - who this node is: its Ed25519 key and the certificate that carries it.
 *
 * The public key is the peer id (design: identity and bonds). The certificate is self-signed,
 * made anew in memory at each open; nobody trusts it for anything but proving, by TLS, that its
 * holder has the private key. Which peers are let in is decided by the bonds, not here.
 *
 * The key is kept in the node's directory as `identity.pem` (PKCS#8, unencrypted, mode 0600).
 *
 * Memory:  one block per identity; OpenSSL keeps its own.
 * Threads: constant after it was made.
 * Errors:  MORTAR_E_PERMISSION (the file lets others in, or cannot be read), MORTAR_E_CORRUPT (no
 *          PEM, not Ed25519, encrypted), those of os/directory.h, MORTAR_E_FAILED (OpenSSL).
 */
#ifndef OS_IDENTITY_H
#define OS_IDENTITY_H

#include "mortar/types.h"
#include "os/crypto.h"
#include "os/directory.h"

#define IDENTITY_FILE "identity.pem"

struct identity;

/* Reads the key from `directory`, or makes one on the first open. A file that is there but cannot
 * be used is never replaced: the node would come back as somebody else. Keeps `crypto`. */
MORTAR_NODISCARD enum mortar_status identity_open(struct crypto *crypto,
                                                  struct directory *directory,
                                                  struct detail *detail,
                                                  struct identity **out_identity);

/* Makes an identity that lives in memory only. Keeps `crypto`. */
MORTAR_NODISCARD enum mortar_status identity_generate(struct crypto *crypto,
                                                      struct identity **out_identity);

/* NULL is a no-op. */
void identity_close(struct identity *identity);

struct mortar_peer_id identity_peer_id(const struct identity *identity);

#endif
