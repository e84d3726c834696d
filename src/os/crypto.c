#define _GNU_SOURCE
#include "os/crypto.h"

#include "base/assert.h"
#include "os/crypto_private.h"
#include "os/memory.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

enum { CRYPTO_HKDF_BYTES_MAX = 255 * 32 }; /* RFC 5869: 255 blocks of the hash. */

/* OpenSSL keeps a queue of errors per thread; ours are not to be found there by the host. */
static enum mortar_status failed(void)
{
    ERR_clear_error();
    return MORTAR_E_FAILED;
}

enum mortar_status crypto_open(const struct mortar_allocator *allocator, struct crypto **out_crypto)
{
    allocator = memory_or_default(allocator);
    struct crypto *crypto = memory_reserve_zero(allocator, sizeof *crypto);
    if (!crypto) return MORTAR_E_NO_MEMORY;
    crypto->allocator = allocator;
    crypto->library = OSSL_LIB_CTX_new();
    if (crypto->library) crypto->provider = OSSL_PROVIDER_load(crypto->library, "default");
    if (crypto->provider) {
        crypto->sha256 = EVP_MD_fetch(crypto->library, "SHA256", NULL);
        crypto->hmac = EVP_MAC_fetch(crypto->library, "HMAC", NULL);
        crypto->hkdf = EVP_KDF_fetch(crypto->library, "HKDF", NULL);
    }
    if (!crypto->sha256 || !crypto->hmac || !crypto->hkdf) {
        crypto_close(crypto);
        return failed();
    }
    *out_crypto = crypto;
    return MORTAR_OK;
}

void crypto_close(struct crypto *crypto)
{
    if (!crypto) return;
    EVP_KDF_free(crypto->hkdf);
    EVP_MAC_free(crypto->hmac);
    EVP_MD_free(crypto->sha256);
    if (crypto->provider) (void)OSSL_PROVIDER_unload(crypto->provider);
    OSSL_LIB_CTX_free(crypto->library);
    memory_release(crypto->allocator, crypto, sizeof *crypto);
}

enum mortar_status crypto_sha256_begin(struct crypto *crypto, struct crypto_sha256 *out_state)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context) return failed();
    if (EVP_DigestInit_ex2(context, crypto->sha256, NULL) != 1) {
        EVP_MD_CTX_free(context);
        return failed();
    }
    out_state->context = context;
    return MORTAR_OK;
}

enum mortar_status crypto_sha256_update(struct crypto_sha256 *state, struct mortar_bytes bytes)
{
    ASSERT(state->context);
    if (EVP_DigestUpdate(state->context, bytes.data, bytes.bytes) != 1) return failed();
    return MORTAR_OK;
}

/* Writes the digest of `context`, which ends it. */
static enum mortar_status finish(EVP_MD_CTX *context, uint8_t out_digest[CRYPTO_DIGEST_BYTES])
{
    unsigned bytes = 0;
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(context, digest, &bytes) != 1) return failed();
    ASSERT(bytes == CRYPTO_DIGEST_BYTES);
    for (size_t i = 0; i < CRYPTO_DIGEST_BYTES; i++)
        out_digest[i] = digest[i];
    return MORTAR_OK;
}

enum mortar_status crypto_sha256_peek(const struct crypto_sha256 *state,
                                      uint8_t out_digest[CRYPTO_DIGEST_BYTES])
{
    ASSERT(state->context);
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (!copy) return failed();
    enum mortar_status status = MORTAR_OK;
    if (EVP_MD_CTX_copy_ex(copy, state->context) != 1) {
        status = failed();
    } else {
        status = finish(copy, out_digest);
    }
    EVP_MD_CTX_free(copy);
    return status;
}

void crypto_sha256_end(struct crypto_sha256 *state)
{
    EVP_MD_CTX_free(state->context);
    state->context = NULL;
}

enum mortar_status crypto_sha256(struct crypto *crypto, const struct mortar_bytes *parts,
                                 size_t count, uint8_t out_digest[CRYPTO_DIGEST_BYTES])
{
    struct crypto_sha256 state;
    enum mortar_status status = crypto_sha256_begin(crypto, &state);
    if (status != MORTAR_OK) return status;
    for (size_t i = 0; i < count && status == MORTAR_OK; i++)
        status = crypto_sha256_update(&state, parts[i]);
    if (status == MORTAR_OK) status = finish(state.context, out_digest);
    crypto_sha256_end(&state);
    return status;
}

enum mortar_status crypto_hmac_sha256(struct crypto *crypto, struct mortar_bytes key,
                                      const struct mortar_bytes *parts, size_t count,
                                      uint8_t out_code[CRYPTO_DIGEST_BYTES])
{
    ASSERT(key.bytes > 0); /* OpenSSL would take an empty key for "keep the one before". */
    char digest_name[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(crypto->hmac);
    if (!context) return failed();
    bool good = EVP_MAC_init(context, key.data, key.bytes, parameters) == 1;
    for (size_t i = 0; i < count && good; i++)
        good = EVP_MAC_update(context, parts[i].data, parts[i].bytes) == 1;
    uint8_t code[CRYPTO_DIGEST_BYTES];
    size_t bytes = 0;
    good = good && EVP_MAC_final(context, code, &bytes, sizeof code) == 1;
    EVP_MAC_CTX_free(context);
    if (!good) return failed();
    ASSERT(bytes == sizeof code);
    for (size_t i = 0; i < sizeof code; i++)
        out_code[i] = code[i];
    return MORTAR_OK;
}

enum mortar_status crypto_hkdf_sha256(struct crypto *crypto, struct mortar_bytes key,
                                      struct mortar_bytes info, uint8_t *out, size_t bytes)
{
    ASSERT(bytes > 0 && bytes <= CRYPTO_HKDF_BYTES_MAX);
    char digest_name[] = "SHA256";
    /* OSSL_PARAM points to what may be written, though these two are only read. */
    void *key_data = (void *)(uintptr_t)key.data;
    void *info_data = (void *)(uintptr_t)info.data;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key_data, key.bytes),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info_data, info.bytes),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(crypto->hkdf);
    if (!context) return failed();
    const bool good = EVP_KDF_derive(context, out, bytes, parameters) == 1;
    EVP_KDF_CTX_free(context);
    return good ? MORTAR_OK : failed();
}

bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    return CRYPTO_memcmp(a, b, bytes) == 0;
}

void crypto_cleanse(void *secret, size_t bytes)
{
    OPENSSL_cleanse(secret, bytes);
}
