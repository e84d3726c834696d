/* unit/os/test_stream.c - encrypted streams over loopback.
 *
 * Method: two loops in one process, bytes of a known pattern with random sizes, every wait with a
 * deadline.
 */
#define _GNU_SOURCE
#include "unit/os/fixture.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static bool both_received_all(struct fixture *fixture)
{
    return fixture->client.received == fixture->server.to_send &&
           fixture->server.received == fixture->client.to_send;
}

static void bytes_arrive_whole_in_both_directions_at_once(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture->server.to_send = fixture->client.to_send = UINT64_C(64) << 20;
    fixture_listen(fixture);
    assert_int_equal(fixture_connect(fixture), MORTAR_OK);
    assert_true(fixture_wait(fixture, both_received_all));
    fixture_stop(fixture);
    assert_int_equal(fixture->client.reason, MORTAR_E_CANCELLED);
    fixture_close(fixture);
}

static void bytes_arrive_whole_across_fresh_keys(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture->server.to_send = fixture->client.to_send = UINT64_C(4) << 20;
    fixture->server_options.rekey_bytes = fixture->client_options.rekey_bytes = 100000;
    fixture_listen(fixture);
    assert_int_equal(fixture_connect(fixture), MORTAR_OK);
    assert_true(fixture_wait(fixture, both_received_all));
    fixture_close(fixture);
}

static void peer_ids_and_exporter_values_agree(void **state)
{
    (void)state;
    uint8_t exporters[2][TLS_EXPORTER_BYTES];
    for (int i = 0; i < 2; i++) {
        struct fixture *fixture = fixture_open();
        fixture_listen(fixture);
        assert_int_equal(fixture_connect(fixture), MORTAR_OK);
        assert_true(fixture_wait(fixture, both_are_open));
        fixture_stop(fixture);
        const struct mortar_peer_id server = identity_peer_id(fixture->server_identity);
        const struct mortar_peer_id client = identity_peer_id(fixture->client_identity);
        assert_memory_equal(&fixture->client.peer_id, &server, sizeof server);
        assert_memory_equal(&fixture->server.peer_id, &client, sizeof client);
        assert_memory_equal(fixture->client.exporter, fixture->server.exporter, TLS_EXPORTER_BYTES);
        memcpy(exporters[i], fixture->client.exporter, TLS_EXPORTER_BYTES);
        fixture_close(fixture);
    }
    assert_memory_not_equal(exporters[0], exporters[1], TLS_EXPORTER_BYTES);
}

static bool server_moved_and_all_received(struct fixture *fixture)
{
    return fixture->server.moved && fixture->client.moved && both_received_all(fixture);
}

static void a_stream_moved_to_another_loop_loses_nothing(void **state)
{
    (void)state;
    static const uint64_t moves[][2] = {{1, 1}, {70000, 1}, {1u << 20, 3u << 20}};
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        struct fixture *fixture = fixture_open();
        fixture->server.to_send = fixture->client.to_send = UINT64_C(8) << 20;
        fixture->server.detach_at = moves[i][0];
        fixture->client.detach_at = moves[i][1];
        fixture_listen(fixture);
        assert_int_equal(fixture_connect(fixture), MORTAR_OK);
        assert_true(fixture_wait(fixture, server_moved_and_all_received));
        fixture_close(fixture);
    }
}

static bool client_is_busy(struct fixture *fixture)
{
    return fixture->client.busy_count > 0 && fixture->server.received >= fixture->server.pause_at;
}

static void resume_server(void *context)
{
    struct fixture *fixture = context;
    stream_resume_read(fixture->server.stream);
}

/* A reader that pauses stops the writer with MORTAR_E_BUSY, within the stated bound; when it goes
 * on, the writer is told and everything arrives. */
static void a_paused_reader_stops_the_writer_within_its_bound(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture->client.to_send = UINT64_C(64) << 20; /* More than the kernel buffers. */
    fixture->client_options.queued_bytes_max = 1u << 20;
    fixture->client_options.queued_bytes_low = 1u << 18;
    fixture->server.pause_at = 1000;
    fixture_listen(fixture);
    assert_int_equal(fixture_connect(fixture), MORTAR_OK);
    assert_true(fixture_wait(fixture, client_is_busy));
    loop_call(fixture->server_loop, resume_server, fixture);
    assert_true(fixture_wait(fixture, both_received_all));
    fixture_stop(fixture);
    assert_true(fixture->client.writable_count > 0);
    fixture_close(fixture);
}

static void a_graceful_close_delivers_all_that_was_queued(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture->client.to_send = UINT64_C(6) << 20;
    fixture->client.close_when_sent = true;
    fixture_listen(fixture);
    assert_int_equal(fixture_connect(fixture), MORTAR_OK);
    assert_true(fixture_wait(fixture, both_are_closed));
    fixture_stop(fixture);
    assert_int_equal(fixture->server.received, fixture->client.to_send);
    assert_int_equal(fixture->server.reason, MORTAR_E_CLOSED);
    assert_int_equal(fixture->client.reason, MORTAR_E_CANCELLED);
    fixture_close(fixture);
}

static void an_abort_is_a_lost_connection_to_the_peer(void **state)
{
    (void)state;
    for (int in_on_open = 0; in_on_open < 2; in_on_open++) {
        struct fixture *fixture = fixture_open();
        fixture->client.to_send = 100000;
        fixture->server.close_on_open = in_on_open == 1;
        fixture->server.abort_on_bytes = in_on_open == 0;
        fixture_listen(fixture);
        assert_int_equal(fixture_connect(fixture), MORTAR_OK);
        assert_true(fixture_wait(fixture, both_are_closed));
        fixture_stop(fixture);
        assert_int_equal(fixture->server.reason, MORTAR_E_CANCELLED);
        assert_int_equal(fixture->client.reason, MORTAR_E_IO);
        fixture_close(fixture);
    }
}

/* What stream_write() answered in the cases below. */
struct write_answers {
    struct fixture *fixture;
    enum mortar_status too_large;
    enum mortar_status empty;
    enum mortar_status empty_shared;
    enum mortar_status after_close;
};

static void try_writes(void *context)
{
    struct write_answers *answers = context;
    struct stream *stream = answers->fixture->client.stream;
    struct mortar_buffer *buffer = mortar_buffer_new(&memory_default, 2u << 20);
    const struct stream_part large[] = {
        {.bytes = {.data = mortar_buffer_data(buffer), .bytes = 1u << 20}, .buffer = buffer},
        {.bytes = {.data = mortar_buffer_data(buffer), .bytes = 1}, .buffer = buffer},
    };
    const struct stream_part nothing = {.bytes = {.data = NULL, .bytes = 0}};
    const struct stream_part nothing_shared = {
        .bytes = {.data = mortar_buffer_data(buffer), .bytes = 0}, .buffer = buffer};
    const struct stream_part small = {.bytes = {.data = (const uint8_t *)"x", .bytes = 1}};
    answers->too_large = stream_write(stream, large, 2);
    answers->empty = stream_write(stream, &nothing, 1);
    (void)mortar_buffer_share(buffer);
    answers->empty_shared = stream_write(stream, &nothing_shared, 1);
    stream_close(stream, STREAM_CLOSE_GRACEFUL); /* With the empty parts in the queue. */
    answers->after_close = stream_write(stream, &small, 1);
    mortar_buffer_release(buffer);
}

static void a_write_that_cannot_be_taken_says_why(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture->client_options.queued_bytes_max = 1u << 20;
    fixture->client_options.queued_bytes_low = 1000;
    fixture_listen(fixture);
    assert_int_equal(fixture_connect(fixture), MORTAR_OK);
    assert_true(fixture_wait(fixture, both_are_open));
    struct write_answers answers = {.fixture = fixture};
    loop_call(fixture->client_loop, try_writes, &answers);
    assert_int_equal(answers.too_large, MORTAR_E_TOO_LARGE);
    assert_int_equal(answers.empty, MORTAR_OK);
    assert_int_equal(answers.empty_shared, MORTAR_OK);
    assert_int_equal(answers.after_close, MORTAR_E_CLOSED);
    assert_true(fixture_wait(fixture, both_are_closed));
    fixture_close(fixture);
}

/* Opens a plain TCP port that never answers; it only listens. */
static int silent_port(uint16_t *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const void *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (void *)&address, &bytes), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

static void a_connect_that_fails_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool is_listening; /* By a port that never answers; else nobody is there. */
        enum mortar_status reason;
    } cases[] = {
        {"127.0.0.1", false, MORTAR_E_ADDRESS},
        {"localhost", false, MORTAR_E_ADDRESS},
        {"127.0.0.1", true, MORTAR_E_TIMEOUT},
        {"a..b", true, MORTAR_E_ADDRESS}, /* No resolver asks the network for that. */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *fixture = fixture_open();
        fixture->client_options.handshake_timeout_ms = 100;
        fixture_listen(fixture);
        const int fd = silent_port(&fixture->address.port);
        if (!cases[i].is_listening) (void)close(fd);
        (void)snprintf(fixture->address.host, sizeof fixture->address.host, "%s", cases[i].host);
        assert_int_equal(fixture_connect(fixture), MORTAR_OK);
        assert_true(fixture_wait(fixture, client_is_closed));
        print_message("  %s: %s\n", cases[i].host, fixture->client.detail);
        assert_int_equal(fixture->client.reason, cases[i].reason);
        assert_true(strlen(fixture->client.detail) > 0);
        assert_false(fixture->client.opened);
        fixture_close(fixture);
        if (cases[i].is_listening) (void)close(fd);
    }
}

static void a_name_is_resolved_when_connecting(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open();
    fixture->client.to_send = 1000;
    fixture_listen(fixture);
    (void)snprintf(fixture->address.host, sizeof fixture->address.host, "localhost");
    assert_int_equal(fixture_connect(fixture), MORTAR_OK);
    assert_true(fixture_wait(fixture, both_received_all));
    fixture_close(fixture);
}

/* Also while it is resolving, connecting, or in the handshake. */
static void closing_the_loop_ends_a_stream_in_any_phase(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (int i = 0; i < 8; i++) {
        struct fixture *fixture = fixture_open();
        fixture->client.to_send = UINT64_C(64) << 20;
        fixture_listen(fixture);
        (void)snprintf(fixture->address.host, sizeof fixture->address.host, "%s", hosts[i % 2]);
        assert_int_equal(fixture_connect(fixture), MORTAR_OK);
        if (i >= 4) assert_true(fixture_wait(fixture, both_are_open));
        fixture_stop(fixture);
        assert_int_equal(fixture->client.closed_count, 1);
        assert_int_equal(fixture->client.reason, MORTAR_E_CANCELLED);
        fixture_close(fixture);
    }
}

/* An allocator whose n-th reservation fails. */
struct failing {
    atomic_int until_failure;
};

static void *failing_reserve(void *context, size_t bytes)
{
    struct failing *failing = context;
    if (atomic_fetch_sub(&failing->until_failure, 1) == 0) return NULL;
    return malloc(bytes);
}

static void *failing_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return realloc(block, new_bytes);
}

static void failing_release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

/* The last is a write that was refused for lack of memory: nobody repeats it here. */
static bool client_is_over(struct fixture *fixture)
{
    return client_is_closed(fixture) || both_received_all(fixture) ||
           fixture->client.busy_count > 0;
}

static void no_failing_reservation_does_more_than_end_the_stream(void **state)
{
    (void)state;
    unsigned survived = 0;
    unsigned refused = 0;
    for (int n = 0; n < 12; n++) {
        struct failing failing = {.until_failure = 1000000};
        struct fixture *fixture = fixture_open();
        fixture->client.to_send = 100000;
        fixture->client_allocator =
            (struct mortar_allocator){failing_reserve, failing_resize, failing_release, &failing};
        fixture_listen(fixture);
        atomic_store(&failing.until_failure, n);
        if (fixture_connect(fixture) != MORTAR_OK) {
            refused++;
        } else {
            assert_true(fixture_wait(fixture, client_is_over));
            survived++;
        }
        fixture_close(fixture);
    }
    assert_true(refused > 0);
    assert_true(survived > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_whole_in_both_directions_at_once),
        cmocka_unit_test(bytes_arrive_whole_across_fresh_keys),
        cmocka_unit_test(peer_ids_and_exporter_values_agree),
        cmocka_unit_test(a_stream_moved_to_another_loop_loses_nothing),
        cmocka_unit_test(a_paused_reader_stops_the_writer_within_its_bound),
        cmocka_unit_test(a_graceful_close_delivers_all_that_was_queued),
        cmocka_unit_test(an_abort_is_a_lost_connection_to_the_peer),
        cmocka_unit_test(a_write_that_cannot_be_taken_says_why),
        cmocka_unit_test(a_connect_that_fails_says_why),
        cmocka_unit_test(a_name_is_resolved_when_connecting),
        cmocka_unit_test(closing_the_loop_ends_a_stream_in_any_phase),
        cmocka_unit_test(no_failing_reservation_does_more_than_end_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
