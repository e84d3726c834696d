/* os/crypto_private.h - the OpenSSL objects behind struct crypto, for identity and TLS.
 *
 * Only files of src/os include it.
 *
 * Memory:  see crypto.h.
 * Threads: constant after crypto_open(); the objects are safe for any threads.
 * Errors:  none.
 */
#ifndef OS_CRYPTO_PRIVATE_H
#define OS_CRYPTO_PRIVATE_H

#include "os/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

struct crypto {
    const struct mortar_allocator *allocator;
    OSSL_LIB_CTX *library;
    OSSL_PROVIDER *provider;
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_KDF *hkdf;
};

#endif
