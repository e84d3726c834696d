#define _GNU_SOURCE
#include "os/tls.h"

#include "os/crypto_private.h"
#include "os/identity_private.h"
#include "os/memory.h"
#include "os/tls_private.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <string.h>

enum { TLS_CERTIFICATE_BYTES_MAX = 4096 }; /* Ours take 300; a peer's are bounded before use. */

static const char tls_ciphers[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

struct tls {
    struct crypto *crypto;
    BIO_METHOD *bio_method;
    SSL_CTX *client;
    SSL_CTX *server;
};

/* What a BIO of ours points to. */
struct tls_bio {
    const struct tls_io *io;
    void *context;
};

static int bio_read(BIO *bio, char *out, int capacity)
{
    const struct tls_bio *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (capacity <= 0) return 0;
    const int got = link->io->receive(link->context, (uint8_t *)out, (size_t)capacity);
    if (got == TLS_IO_LATER) BIO_set_retry_read(bio);
    return got >= 0 ? got : -1;
}

static int bio_write(BIO *bio, const char *data, int bytes)
{
    const struct tls_bio *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes <= 0) return 0;
    const int taken = link->io->send(link->context, (const uint8_t *)data, (size_t)bytes);
    if (taken == TLS_IO_LATER) BIO_set_retry_write(bio);
    return taken >= 0 ? taken : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    const struct tls_bio *link = BIO_get_data(bio);
    if (command == BIO_CTRL_FLUSH) return 1; /* The stream sends at the end of the batch. */
    if (command == BIO_CTRL_EOF) return link->io->at_end(link->context) ? 1 : 0;
    return 0;
}

static int bio_destroy(BIO *bio)
{
    OPENSSL_free(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    return 1;
}

/* Accepts exactly one certificate, with an Ed25519 key, signed by that key. Replaces the whole
 * building and checking of chains. */
static int accept_certificate(X509_STORE_CTX *store, void *context)
{
    (void)context;
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    const bool good = key && EVP_PKEY_is_a(key, "ED25519") == 1 && sk_X509_num(chain) <= 1 &&
                      X509_verify(certificate, key) == 1;
    X509_STORE_CTX_set_error(store, good ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
    return good ? 1 : 0;
}

static SSL_CTX *make_context(const struct tls *tls, const struct identity *identity,
                             const SSL_METHOD *method)
{
    char groups[] = "X25519"; /* OpenSSL's macros want arrays that could be written to. */
    char signatures[] = "ed25519";
    SSL_CTX *context = SSL_CTX_new_ex(tls->crypto->library, NULL, method);
    if (!context) return NULL;
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(context, TLS_CERTIFICATE_BYTES_MAX);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, accept_certificate, NULL);
    const bool good = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                      SSL_CTX_set_num_tickets(context, 0) == 1 &&
                      SSL_CTX_set_ciphersuites(context, tls_ciphers) == 1 &&
                      SSL_CTX_set1_groups_list(context, groups) == 1 &&
                      SSL_CTX_set1_sigalgs_list(context, signatures) == 1 &&
                      SSL_CTX_use_certificate(context, identity->certificate) == 1 &&
                      SSL_CTX_use_PrivateKey(context, identity->key) == 1;
    if (!good) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static BIO_METHOD *make_bio_method(void)
{
    const int index = BIO_get_new_index();
    if (index < 0) return NULL;
    BIO_METHOD *method = BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "mortar stream");
    if (!method) return NULL;
    const bool good = BIO_meth_set_read(method, bio_read) == 1 &&
                      BIO_meth_set_write(method, bio_write) == 1 &&
                      BIO_meth_set_ctrl(method, bio_control) == 1 &&
                      BIO_meth_set_destroy(method, bio_destroy) == 1;
    if (!good) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

enum mortar_status tls_open(struct crypto *crypto, const struct identity *identity,
                            struct tls **out_tls)
{
    struct tls *tls = memory_reserve_zero(crypto->allocator, sizeof *tls);
    if (!tls) return MORTAR_E_NO_MEMORY;
    tls->crypto = crypto;
    tls->bio_method = make_bio_method();
    tls->client = make_context(tls, identity, TLS_client_method());
    tls->server = make_context(tls, identity, TLS_server_method());
    if (!tls->bio_method || !tls->client || !tls->server) {
        tls_close(tls);
        ERR_clear_error();
        return MORTAR_E_FAILED;
    }
    *out_tls = tls;
    return MORTAR_OK;
}

void tls_close(struct tls *tls)
{
    if (!tls) return;
    SSL_CTX_free(tls->server);
    SSL_CTX_free(tls->client);
    BIO_meth_free(tls->bio_method);
    memory_release(tls->crypto->allocator, tls, sizeof *tls);
}

static BIO *make_bio(struct tls *tls, const struct tls_io *io, void *context)
{
    struct tls_bio *link = OPENSSL_malloc(sizeof *link);
    BIO *bio = link ? BIO_new(tls->bio_method) : NULL;
    if (!bio) {
        OPENSSL_free(link);
        return NULL;
    }
    *link = (struct tls_bio){.io = io, .context = context};
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    return bio;
}

enum mortar_status tls_session_begin(struct tls *tls, enum tls_side side, const struct tls_io *io,
                                     void *context, SSL **out_session)
{
    SSL *session = SSL_new(side == TLS_SERVER ? tls->server : tls->client);
    BIO *bio = session ? make_bio(tls, io, context) : NULL;
    if (!bio) {
        SSL_free(session);
        ERR_clear_error();
        return MORTAR_E_NO_MEMORY;
    }
    SSL_set_bio(session, bio, bio); /* Takes one reference for both directions. */
    if (side == TLS_SERVER) {
        SSL_set_accept_state(session);
    } else {
        SSL_set_connect_state(session);
    }
    *out_session = session;
    return MORTAR_OK;
}

enum mortar_status tls_session_peer_id(const SSL *session, struct mortar_peer_id *out_peer_id)
{
    const X509 *certificate = SSL_get0_peer_certificate(session);
    EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;
    struct mortar_peer_id peer_id;
    size_t bytes = sizeof peer_id.bytes;
    if (!key || EVP_PKEY_get_raw_public_key(key, peer_id.bytes, &bytes) != 1 ||
        bytes != sizeof peer_id.bytes) {
        ERR_clear_error();
        return MORTAR_E_TLS;
    }
    *out_peer_id = peer_id;
    return MORTAR_OK;
}

enum mortar_status tls_session_exporter(SSL *session, const char *label,
                                        uint8_t out_value[TLS_EXPORTER_BYTES])
{
    uint8_t value[TLS_EXPORTER_BYTES];
    if (SSL_export_keying_material(session, value, sizeof value, label, strlen(label), NULL, 0,
                                   0) != 1) {
        ERR_clear_error();
        return MORTAR_E_TLS;
    }
    memcpy(out_value, value, sizeof value);
    crypto_cleanse(value, sizeof value);
    return MORTAR_OK;
}

void tls_forget_errors(void)
{
    if (ERR_peek_error() != 0) ERR_clear_error();
}

void tls_describe_error(struct detail *detail, const char *what)
{
    const unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    detail_set(detail, "%s: %s", what, reason ? reason : "no reason given");
    ERR_clear_error();
}
