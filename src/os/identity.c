#define _GNU_SOURCE
#include "os/identity.h"

#include "base/assert.h"
#include "os/crypto_private.h"
#include "os/identity_private.h"
#include "os/memory.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum { IDENTITY_FILE_BYTES_MAX = 4096 }; /* An Ed25519 key in PEM takes 119. */

/* Serial numbers matter to authorities only; any positive one will do. */
enum { IDENTITY_SERIAL = 1, X509_VERSION_3_VALUE = 2 };

/* Gives `certificate` its subject and issuer: the peer id in hex, 64 characters, which is just
 * the most that a common name may have. */
static bool set_names(X509 *certificate, const struct mortar_peer_id *peer_id)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char name[2 * sizeof peer_id->bytes];
    for (size_t i = 0; i < sizeof peer_id->bytes; i++) {
        name[2 * i] = (unsigned char)digits[peer_id->bytes[i] >> 4];
        name[2 * i + 1] = (unsigned char)digits[peer_id->bytes[i] & 15];
    }
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, (int)sizeof name, -1, 0) ==
               1 &&
           X509_set_issuer_name(certificate, subject) == 1;
}

/* Self-signs a certificate without a meaningful end: a node must start whatever its clock says,
 * and nobody looks at the dates. */
static X509 *make_certificate(const struct identity *identity)
{
    X509 *certificate = X509_new_ex(identity->crypto->library, NULL);
    if (!certificate) return NULL;
    bool good =
        X509_set_version(certificate, X509_VERSION_3_VALUE) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), IDENTITY_SERIAL) == 1 &&
        ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "19700101000000Z") == 1 &&
        ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
        set_names(certificate, &identity->peer_id) &&
        X509_set_pubkey(certificate, identity->key) == 1;
    /* Ed25519 hashes by itself, hence no digest. The answer is the size of the signature. */
    good = good && X509_sign(certificate, identity->key, NULL) > 0;
    if (!good) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

/* Builds the identity of `key`, which it takes in any case. */
static enum mortar_status from_key(struct crypto *crypto, EVP_PKEY *key,
                                   struct identity **out_identity)
{
    struct identity *identity = memory_reserve_zero(crypto->allocator, sizeof *identity);
    if (!identity) {
        EVP_PKEY_free(key);
        return MORTAR_E_NO_MEMORY;
    }
    identity->crypto = crypto;
    identity->key = key;
    size_t bytes = sizeof identity->peer_id.bytes;
    if (EVP_PKEY_get_raw_public_key(key, identity->peer_id.bytes, &bytes) == 1) {
        ASSERT(bytes == sizeof identity->peer_id.bytes);
        identity->certificate = make_certificate(identity);
    }
    if (!identity->certificate) {
        identity_close(identity);
        ERR_clear_error();
        return MORTAR_E_FAILED;
    }
    *out_identity = identity;
    return MORTAR_OK;
}

/* Answers "no password": without it OpenSSL would ask on the terminal. */
static int no_password(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

/* The Ed25519 key in a PEM text; NULL if it holds none. */
static EVP_PKEY *decode_key(struct crypto *crypto, const uint8_t *pem, size_t bytes)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)bytes);
    if (!bio) return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(bio, NULL, no_password, NULL, crypto->library, NULL);
    BIO_free(bio);
    if (key && EVP_PKEY_is_a(key, "ED25519") != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_clear_error();
    return key;
}

/* Writes `key` to the directory. The memory BIO is of the secure kind: cleansed when freed. */
static enum mortar_status store_key(struct directory *directory, EVP_PKEY *key,
                                    struct detail *detail)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    if (!bio) return MORTAR_E_FAILED;
    enum mortar_status status = MORTAR_E_FAILED;
    if (PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        char *data = NULL;
        const long bytes = BIO_get_mem_data(bio, &data);
        ASSERT(bytes > 0 && bytes <= IDENTITY_FILE_BYTES_MAX);
        const struct mortar_bytes content = {.data = (uint8_t *)data, .bytes = (size_t)bytes};
        status = directory_write(directory, IDENTITY_FILE, content, detail);
    } else {
        detail_set(detail, "%s: cannot be encoded", IDENTITY_FILE);
    }
    BIO_free(bio);
    ERR_clear_error();
    return status;
}

static EVP_PKEY *generate_key(struct crypto *crypto)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(crypto->library, NULL, "ED25519");
    ERR_clear_error();
    return key;
}

/* The first open: makes a key and stores it before anybody sees it. */
static enum mortar_status first_key(struct crypto *crypto, struct directory *directory,
                                    struct detail *detail, EVP_PKEY **out_key)
{
    EVP_PKEY *key = generate_key(crypto);
    if (!key) {
        detail_set(detail, "no Ed25519 key could be made");
        return MORTAR_E_FAILED;
    }
    const enum mortar_status status = store_key(directory, key, detail);
    if (status != MORTAR_OK) {
        EVP_PKEY_free(key);
        return status;
    }
    *out_key = key;
    return MORTAR_OK;
}

enum mortar_status identity_open(struct crypto *crypto, struct directory *directory,
                                 struct detail *detail, struct identity **out_identity)
{
    uint8_t pem[IDENTITY_FILE_BYTES_MAX];
    size_t bytes = 0;
    EVP_PKEY *key = NULL;
    enum mortar_status status =
        directory_read_secret(directory, IDENTITY_FILE, pem, sizeof pem, detail, &bytes);
    if (status == MORTAR_E_NOT_FOUND) {
        status = first_key(crypto, directory, detail, &key);
        if (status != MORTAR_OK) return status;
        return from_key(crypto, key, out_identity);
    }
    if (status == MORTAR_E_TOO_LARGE) status = MORTAR_E_CORRUPT;
    if (status == MORTAR_OK) key = decode_key(crypto, pem, bytes);
    crypto_cleanse(pem, sizeof pem); /* A read that failed may have left a part. */
    if (status != MORTAR_OK) return status;
    if (!key) {
        detail_set(detail, "%s/%s: holds no unencrypted Ed25519 key in PEM",
                   directory_path(directory), IDENTITY_FILE);
        return MORTAR_E_CORRUPT;
    }
    return from_key(crypto, key, out_identity);
}

enum mortar_status identity_generate(struct crypto *crypto, struct identity **out_identity)
{
    EVP_PKEY *key = generate_key(crypto);
    if (!key) return MORTAR_E_FAILED;
    return from_key(crypto, key, out_identity);
}

void identity_close(struct identity *identity)
{
    if (!identity) return;
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    memory_release(identity->crypto->allocator, identity, sizeof *identity);
}

struct mortar_peer_id identity_peer_id(const struct identity *identity)
{
    return identity->peer_id;
}
