/* unit/os/test_listener.c - what comes to an open port, wanted or not.
 *
 * Method: a real listener on loopback; raw sockets and a plain OpenSSL client play the strangers.
 * After each, a proper peer must still get in.
 */
#define _GNU_SOURCE
#include "unit/os/fixture.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int raw_socket(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void raw_connect(int fd, const struct fixture *fixture)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(fixture->address.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    assert_int_equal(connect(fd, (const void *)&address, sizeof address), 0);
}

static bool one_was_refused(struct fixture *fixture)
{
    return fixture->refused_count >= 1;
}

static enum mortar_status last_refusal(struct fixture *fixture)
{
    (void)pthread_mutex_lock(&fixture->mutex);
    const enum mortar_status reason = fixture->refused_reason;
    print_message("  %s\n", fixture->refused_detail);
    (void)pthread_mutex_unlock(&fixture->mutex);
    return reason;
}

static bool nothing_is_half_open(struct fixture *fixture)
{
    return listener_counters_now(fixture->listener).half_open == 0;
}

static bool two_are_half_open(struct fixture *fixture)
{
    return listener_counters_now(fixture->listener).half_open == 2;
}

/* Waits for what no callback tells. */
static void poll_until(struct fixture *fixture, bool (*holds)(struct fixture *fixture))
{
    for (int i = 0; i < FIXTURE_WAIT_SECONDS * 1000 && !holds(fixture); i++)
        (void)usleep(1000);
    assert_true(holds(fixture));
}

static void proper_peer_gets_in(struct fixture *fixture)
{
    assert_int_equal(fixture_connect(fixture), MORTAR_OK);
    assert_true(fixture_wait(fixture, both_are_open));
    assert_int_equal(listener_counters_now(fixture->listener).opened, 1);
}

static void bytes_that_are_no_tls_are_refused_and_counted(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *bytes;
        size_t count;
        enum mortar_status reason;
    } cases[] = {
        {"connect and close", "", 0, MORTAR_E_IO},
        {"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, MORTAR_E_TLS},
        {"zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, MORTAR_E_TLS},
        {"a record of the greatest length", "\x16\x03\x01\xff\xff\x01\x00\xff\xff", 9,
         MORTAR_E_TLS},
        {"half a hello", "\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03", 11, MORTAR_E_IO},
        {"an alert", "\x15\x03\x03\x00\x02\x02\x28", 7, MORTAR_E_TLS},
        {"data before the handshake", "\x17\x03\x03\x00\x05hello", 10, MORTAR_E_TLS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *fixture = fixture_open();
        fixture_listen(fixture);
        const int fd = raw_socket();
        raw_connect(fd, fixture);
        if (cases[i].count > 0)
            assert_int_equal(send(fd, cases[i].bytes, cases[i].count, MSG_NOSIGNAL),
                             cases[i].count);
        (void)shutdown(fd, SHUT_WR);
        assert_true(fixture_wait(fixture, one_was_refused));
        print_message("  %s:", cases[i].why);
        assert_int_equal(last_refusal(fixture), cases[i].reason);
        assert_int_equal(listener_counters_now(fixture->listener).handshake_failed, 1);
        assert_int_equal(listener_counters_now(fixture->listener).half_open, 0);
        proper_peer_gets_in(fixture);
        (void)close(fd);
        fixture_close(fixture);
    }
}

/* Gives `context` a self-signed certificate of the named kind of key. */
static void use_certificate(SSL_CTX *context, const char *kind)
{
    EVP_PKEY *key = strcmp(kind, "EC") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                                            : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *signer = strcmp(kind, "forged") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : key;
    X509 *certificate = X509_new();
    assert_non_null(key);
    assert_non_null(certificate);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_true(X509_sign(certificate, signer, kind[0] == 'E' ? EVP_sha256() : NULL) > 0);
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(certificate);
    if (signer != key) EVP_PKEY_free(signer);
    EVP_PKEY_free(key);
}

static void a_client_without_a_proper_certificate_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *certificate; /* NULL: none. */
        int version;             /* The highest it speaks. */
        bool is_refused;
    } cases[] = {
        {NULL, TLS1_3_VERSION, true},     {"EC", TLS1_3_VERSION, true},
        {"forged", TLS1_3_VERSION, true}, /* Signed by another key than it holds. */
        {"good", TLS1_2_VERSION, true},   {"good", TLS1_3_VERSION, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *fixture = fixture_open();
        fixture_listen(fixture);
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        assert_int_equal(SSL_CTX_set_max_proto_version(context, cases[i].version), 1);
        if (cases[i].certificate) use_certificate(context, cases[i].certificate);
        SSL *session = SSL_new(context);
        const int fd = raw_socket();
        raw_connect(fd, fixture);
        assert_int_equal(SSL_set_fd(session, fd), 1);
        (void)SSL_connect(session);
        if (cases[i].is_refused) {
            assert_true(fixture_wait(fixture, one_was_refused));
            assert_int_equal(last_refusal(fixture), MORTAR_E_TLS);
            proper_peer_gets_in(fixture);
        } else {
            poll_until(fixture, nothing_is_half_open);
            assert_false(fixture_wait_for(fixture, one_was_refused, 0));
        }
        SSL_free(session);
        SSL_CTX_free(context);
        (void)close(fd);
        fixture_close(fixture);
    }
}

static void a_slow_handshake_times_out(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 2; bytes++) {
        struct fixture *fixture = fixture_open();
        fixture->server_options.handshake_timeout_ms = 50;
        fixture_listen(fixture);
        const int fd = raw_socket();
        raw_connect(fd, fixture);
        if (bytes > 0) assert_int_equal(send(fd, "\x16", 1, MSG_NOSIGNAL), 1);
        assert_true(fixture_wait(fixture, one_was_refused));
        assert_int_equal(last_refusal(fixture), MORTAR_E_TIMEOUT);
        assert_int_equal(listener_counters_now(fixture->listener).handshake_timeouts, 1);
        assert_int_equal(listener_counters_now(fixture->listener).handshake_failed, 0);
        uint8_t byte;
        assert_int_equal(recv(fd, &byte, 1, 0), 0); /* Closed by the other side. */
        (void)close(fd);
        fixture_close(fixture);
    }
}

static void half_open_links_are_limited(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture->half_open_max = 2;
    fixture_listen(fixture);
    int fds[3];
    for (size_t i = 0; i < 2; i++) {
        fds[i] = raw_socket();
        raw_connect(fds[i], fixture);
    }
    poll_until(fixture, two_are_half_open);
    fds[2] = raw_socket();
    raw_connect(fds[2], fixture);
    assert_true(fixture_wait(fixture, one_was_refused));
    assert_int_equal(last_refusal(fixture), MORTAR_E_BUSY);
    assert_int_equal(listener_counters_now(fixture->listener).refused_half_open, 1);
    assert_int_equal(listener_counters_now(fixture->listener).half_open, 2);
    (void)close(fds[0]);
    (void)close(fds[1]);
    poll_until(fixture, nothing_is_half_open);
    proper_peer_gets_in(fixture);
    (void)close(fds[2]);
    fixture_close(fixture);
}

/* With admission by the owner a link that finished TLS still counts as half open. */
static void a_peer_that_is_never_admitted_keeps_its_slot_and_times_out(void **state)
{
    (void)state;
    for (int admits = 0; admits < 2; admits++) {
        struct fixture *fixture = fixture_open();
        fixture->server_options.admit_by_owner = true;
        fixture->server_options.handshake_timeout_ms = 1000;
        fixture->server.admits = admits == 1;
        fixture->client.to_send = 10;
        fixture_listen(fixture);
        proper_peer_gets_in(fixture);
        if (admits) {
            poll_until(fixture, nothing_is_half_open);
            (void)usleep(1200 * 1000); /* Longer than the timeout: nothing must happen. */
            assert_false(fixture_wait_for(fixture, both_are_closed, 0));
        } else {
            assert_int_equal(listener_counters_now(fixture->listener).half_open, 1);
            assert_true(fixture_wait(fixture, both_are_closed));
            assert_int_equal(fixture->server.reason, MORTAR_E_TIMEOUT);
            assert_int_equal(listener_counters_now(fixture->listener).half_open, 0);
            assert_int_equal(listener_counters_now(fixture->listener).handshake_timeouts, 0);
        }
        fixture_close(fixture);
    }
}

static bool accept_has_failed(struct fixture *fixture)
{
    return listener_counters_now(fixture->listener).accept_failed >= 1;
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture_listen(fixture);
    const int fd = raw_socket();
    const int lowest_free = dup(fd);
    assert_true(lowest_free >= 0);
    (void)close(lowest_free);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit tight = {.rlim_cur = (rlim_t)lowest_free, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    raw_connect(fd, fixture);
    poll_until(fixture, accept_has_failed);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(send(fd, "garbage", 7, MSG_NOSIGNAL), 7);
    (void)shutdown(fd, SHUT_WR);
    assert_true(fixture_wait(fixture, one_was_refused));
    assert_true(listener_counters_now(fixture->listener).accept_failed < 100); /* No spinning. */
    proper_peer_gets_in(fixture);
    (void)close(fd);
    fixture_close(fixture);
}

static void an_address_that_cannot_be_listened_on_says_why(void **state)
{
    (void)state;
    struct address taken = {.host = "127.0.0.1"};
    struct listener *first;
    struct detail detail;
    assert_int_equal(listener_bind(&taken, NULL, &detail, &first), MORTAR_OK);
    const struct {
        const char *host;
        uint16_t port;
        enum mortar_status status;
    } cases[] = {
        {"127.0.0.1", listener_port(first), MORTAR_E_ADDRESS_IN_USE},
        {"192.0.2.1", 0, MORTAR_E_ADDRESS}, /* Reserved for documentation: nobody's. */
        {"a..b", 0, MORTAR_E_ADDRESS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address = {.port = cases[i].port};
        (void)snprintf(address.host, sizeof address.host, "%s", cases[i].host);
        struct listener *second = NULL;
        assert_int_equal(listener_bind(&address, NULL, &detail, &second), cases[i].status);
        assert_null(second);
        print_message("  %s\n", detail.text);
        assert_non_null(strstr(detail.text, cases[i].host));
    }
    listener_close(first);
}

static void close_listener(void *context)
{
    struct fixture *fixture = context;
    listener_close(fixture->listener);
    fixture->listener = NULL;
}

static void send_from_server(void *context)
{
    struct fixture *fixture = context;
    fixture->server.to_send = 1000;
    end_send_more(&fixture->server, fixture->server.stream);
}

static bool client_received_1000(struct fixture *fixture)
{
    return fixture->client.received == 1000;
}

static void opened_streams_outlive_their_listener(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture_listen(fixture);
    proper_peer_gets_in(fixture);
    const int half_open = raw_socket(); /* Is dropped, or times out; in either case no leak. */
    raw_connect(half_open, fixture);
    loop_call(fixture->server_loop, close_listener, fixture);
    loop_call(fixture->server_loop, send_from_server, fixture);
    assert_true(fixture_wait(fixture, client_received_1000));
    const int late = raw_socket();
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(fixture->address.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    assert_int_equal(connect(late, (const void *)&address, sizeof address), -1);
    (void)close(late);
    (void)close(half_open);
    fixture_close(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_tls_are_refused_and_counted),
        cmocka_unit_test(a_client_without_a_proper_certificate_is_refused),
        cmocka_unit_test(a_slow_handshake_times_out),
        cmocka_unit_test(half_open_links_are_limited),
        cmocka_unit_test(a_peer_that_is_never_admitted_keeps_its_slot_and_times_out),
        cmocka_unit_test(without_descriptors_accepting_pauses_and_goes_on),
        cmocka_unit_test(an_address_that_cannot_be_listened_on_says_why),
        cmocka_unit_test(opened_streams_outlive_their_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
