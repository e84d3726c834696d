/* os/identity_private.h - the OpenSSL objects of an identity, for TLS.
 *
 * Only files of src/os include it.
 *
 * Memory:  see identity.h.
 * Threads: constant after the identity was made.
 * Errors:  none.
 */
#ifndef OS_IDENTITY_PRIVATE_H
#define OS_IDENTITY_PRIVATE_H

#include "os/identity.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct identity {
    struct crypto *crypto;
    EVP_PKEY *key;
    X509 *certificate;
    struct mortar_peer_id peer_id;
};

#endif
