#define _GNU_SOURCE
#include "bench/tls_reference.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REFERENCE_CALL_BYTES = 64 * 1024 };

static double now_seconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0;
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A self-signed certificate with a fresh Ed25519 key. */
static bool use_certificate(SSL_CTX *context)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *certificate = X509_new();
    const bool good = key && certificate && X509_set_version(certificate, 2) == 1 &&
                      ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
                      X509_gmtime_adj(X509_getm_notBefore(certificate), 0) &&
                      X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) &&
                      X509_set_pubkey(certificate, key) == 1 &&
                      X509_sign(certificate, key, NULL) > 0 &&
                      SSL_CTX_use_certificate(context, certificate) == 1 &&
                      SSL_CTX_use_PrivateKey(context, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}

static SSL *begin(const SSL_METHOD *method, int fd)
{
    char ciphers[] = "TLS_AES_128_GCM_SHA256";
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context || !use_certificate(context)) return NULL;
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) return NULL;
    if (SSL_CTX_set_ciphersuites(context, ciphers) != 1) return NULL;
    /* A ticket that the child never reads would make its close a reset, and lose data. */
    if (SSL_CTX_set_num_tickets(context, 0) != 1) return NULL;
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL *session = SSL_new(context);
    SSL_CTX_free(context); /* The session holds a reference. */
    if (!session || SSL_set_fd(session, fd) != 1) return NULL;
    return session;
}

/* The child: connects and writes. Never returns. */
static _Noreturn void send_all(uint16_t port, uint64_t bytes)
{
    static unsigned char block[REFERENCE_CALL_BYTES];
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const void *)&address, sizeof address) != 0) _exit(1);
    SSL *session = begin(TLS_client_method(), fd);
    if (!session || SSL_connect(session) != 1) _exit(1);
    for (uint64_t sent = 0; sent < bytes;) {
        const int written = SSL_write(session, block, sizeof block);
        if (written <= 0) _exit(1);
        sent += (uint64_t)written;
    }
    (void)SSL_shutdown(session);
    _exit(0);
}

/* The parent: accepts and reads until all is there. */
static bool receive_all(int listener, uint64_t bytes, double *out_seconds)
{
    static unsigned char block[REFERENCE_CALL_BYTES];
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return false;
    SSL *session = begin(TLS_server_method(), fd);
    bool good = session && SSL_accept(session) == 1;
    const double start = now_seconds();
    uint64_t received = 0;
    while (good && received < bytes) {
        const int got = SSL_read(session, block, sizeof block);
        good = got > 0;
        if (good) received += (uint64_t)got;
    }
    *out_seconds = now_seconds() - start;
    SSL_free(session);
    (void)close(fd);
    return good;
}

bool tls_reference_measure(uint64_t bytes, double *out_bytes_per_second)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (const void *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (void *)&address, &address_bytes) != 0) {
        perror("tls_reference: socket");
        return false;
    }
    const pid_t child = fork();
    if (child < 0) {
        perror("tls_reference: fork");
        (void)close(listener);
        return false;
    }
    if (child == 0) send_all(ntohs(address.sin_port), bytes);

    double seconds = 0;
    bool good = receive_all(listener, bytes, &seconds);
    (void)close(listener);
    int exit_status = 1;
    good = waitpid(child, &exit_status, 0) == child && good && exit_status == 0;
    if (!good || seconds <= 0) {
        ERR_print_errors_fp(stderr);
        (void)fprintf(stderr, "tls_reference: the pump failed\n");
        return false;
    }
    *out_bytes_per_second = (double)bytes / seconds;
    return true;
}
