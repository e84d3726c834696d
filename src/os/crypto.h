/* os/crypto.h - the hashes and proofs that the library needs, by OpenSSL.
 *
 * Everything runs in an OSSL_LIB_CTX of our own, so that neither the host's OpenSSL settings nor
 * its providers change what we do. Signatures and TLS are in os/identity.h and os/tls.h. Not for
 * checksums: those are XXH3 (base/hash.h).
 *
 * Memory:  one block per context, made by crypto_open(); OpenSSL keeps its own.
 * Threads: a context may be used by any number of threads at once; a struct crypto_sha256 by one.
 * Errors:  MORTAR_E_NO_MEMORY, and MORTAR_E_FAILED when OpenSSL refuses (no provider, no memory).
 */
#ifndef OS_CRYPTO_H
#define OS_CRYPTO_H

#include "mortar/types.h"

#define CRYPTO_DIGEST_BYTES 32u /* SHA-256 and HMAC-SHA-256. */

struct crypto;

/* A running SHA-256. */
struct crypto_sha256 {
    void *context; /* EVP_MD_CTX; NULL when not begun. */
};

MORTAR_NODISCARD enum mortar_status crypto_open(const struct mortar_allocator *allocator,
                                                struct crypto **out_crypto);

/* NULL is a no-op. Identities and TLS contexts made from it must be closed before. */
void crypto_close(struct crypto *crypto);

/* SHA-256 over the concatenation of `count` parts. */
MORTAR_NODISCARD enum mortar_status crypto_sha256(struct crypto *crypto,
                                                  const struct mortar_bytes *parts, size_t count,
                                                  uint8_t out_digest[CRYPTO_DIGEST_BYTES]);

/* The same in pieces: begin, update any number of times, then end, which also releases. */
MORTAR_NODISCARD enum mortar_status crypto_sha256_begin(struct crypto *crypto,
                                                        struct crypto_sha256 *out_state);
MORTAR_NODISCARD enum mortar_status crypto_sha256_update(struct crypto_sha256 *state,
                                                         struct mortar_bytes bytes);

/* The digest of what went in so far; the state goes on. */
MORTAR_NODISCARD enum mortar_status crypto_sha256_peek(const struct crypto_sha256 *state,
                                                       uint8_t out_digest[CRYPTO_DIGEST_BYTES]);

/* Releases the state. One that was never begun (all zero) is a no-op. */
void crypto_sha256_end(struct crypto_sha256 *state);

/* HMAC-SHA-256 with `key` over the concatenation of `count` parts. The parts are not delimited:
 * the caller gives each a fixed or a prefixed length. */
MORTAR_NODISCARD enum mortar_status
crypto_hmac_sha256(struct crypto *crypto, struct mortar_bytes key, const struct mortar_bytes *parts,
                   size_t count, uint8_t out_code[CRYPTO_DIGEST_BYTES]);

/* HKDF-SHA-256 (RFC 5869) of `key` with `info` and no salt, into `bytes` <= 8160 bytes. */
MORTAR_NODISCARD enum mortar_status crypto_hkdf_sha256(struct crypto *crypto,
                                                       struct mortar_bytes key,
                                                       struct mortar_bytes info, uint8_t *out,
                                                       size_t bytes);

/* Whether two strings of `bytes` bytes are equal, in a time that does not depend on them. */
bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t bytes);

/* Overwrites a secret; the compiler does not leave it out. */
void crypto_cleanse(void *secret, size_t bytes);

#endif
