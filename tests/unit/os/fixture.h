/* unit/os/fixture.h - two ends of encrypted streams on loopback, and a way to wait for them.
 *
 * Everything that callbacks see is noted in a struct end, under one mutex; tests wait on its
 * condition with a deadline, so that a fault shows as a failed check and not as a hang.
 *
 * Memory:  malloc; cmocka and the sanitizers see to leaks.
 * Threads: ends are written on loop threads and read on the test's, both under `mutex`.
 * Errors:  checks fail on the test's thread only; callbacks note what was wrong in `fault`.
 */
#ifndef MORTAR_TESTS_UNIT_OS_FIXTURE_H
#define MORTAR_TESTS_UNIT_OS_FIXTURE_H

#include "os/listener.h"
#include "os/memory.h"
#include "unit/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIXTURE_WAIT_SECONDS 20
#define FIXTURE_PERIOD       65521u /* A prime: no record or buffer size divides it. */
#define FIXTURE_SPACE_BYTES  (64u * 1024u)

struct fixture;

/* One end of a stream. */
struct end {
    struct fixture *fixture;
    struct stream *stream; /* NULL before it is there and after on_closed. */
    uint64_t to_send;
    uint64_t sent;
    uint64_t received;
    uint64_t detach_at; /* Received bytes at which to move to `third`; 0: never. */
    uint64_t pause_at;  /* Received bytes at which to pause; 0: never. */
    bool close_on_open;
    bool close_when_sent;
    bool abort_on_bytes;
    bool admits; /* Call stream_admit() when opened. */
    bool opened;
    bool moved;
    unsigned closed_count;
    unsigned writable_count;
    unsigned busy_count;
    enum mortar_status reason;
    char detail[DETAIL_BYTES];
    const char *fault; /* What a callback found wrong; NULL: nothing. */
    struct mortar_peer_id peer_id;
    uint8_t exporter[TLS_EXPORTER_BYTES];
    uint32_t random;
    uint8_t space[FIXTURE_SPACE_BYTES];
};

struct fixture {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct crypto *crypto;
    struct identity *server_identity;
    struct identity *client_identity;
    struct tls *server_tls;
    struct tls *client_tls;
    struct loop *server_loop;
    struct loop *client_loop;
    struct loop *third_loop; /* Where streams are moved to. */
    struct listener *listener;
    struct address address;
    struct stream_options server_options;
    struct stream_options client_options;
    uint32_t half_open_max;
    enum mortar_status connect_status;
    struct mortar_allocator client_allocator; /* Of the client's loop. */
    unsigned refused_count;
    enum mortar_status refused_reason;
    char refused_detail[DETAIL_BYTES];
    struct end server;
    struct end client;
    uint8_t pattern[2 * FIXTURE_PERIOD + FIXTURE_SPACE_BYTES];
};

struct move_task {
    struct loop_task task;
    struct end *end;
    struct stream *stream;
};

static inline uint32_t end_random(struct end *end, uint32_t below)
{
    end->random = end->random * 1664525u + 1013904223u;
    return (end->random >> 8) % below;
}

static inline void end_fault(struct end *end, const char *what)
{
    (void)pthread_mutex_lock(&end->fixture->mutex);
    if (!end->fault) end->fault = what;
    (void)pthread_mutex_unlock(&end->fixture->mutex);
}

static inline void end_signal(struct end *end)
{
    (void)pthread_cond_broadcast(&end->fixture->changed);
}

/* Writes until all is sent or the queue is full; half of the pieces copied, half shared. */
static inline void end_send_more(struct end *end, struct stream *stream)
{
    struct fixture *fixture = end->fixture;
    while (end->sent < end->to_send) {
        uint64_t bytes = 1 + end_random(end, end_random(end, 4) == 0 ? 60000 : 900);
        if (bytes > end->to_send - end->sent) bytes = end->to_send - end->sent;
        struct stream_part parts[2] = {{.bytes = {.data = NULL}}};
        const uint8_t *from = fixture->pattern + end->sent % FIXTURE_PERIOD;
        const size_t first = end_random(end, (uint32_t)bytes + 1);
        parts[0].bytes = (struct mortar_bytes){.data = from, .bytes = first};
        parts[1].buffer = mortar_buffer_new(&memory_default, (size_t)bytes);
        memcpy(mortar_buffer_data(parts[1].buffer), from, (size_t)bytes);
        parts[1].bytes = (struct mortar_bytes){
            .data = mortar_buffer_data(parts[1].buffer) + first,
            .bytes = (size_t)bytes - first,
        };
        if (stream_write(stream, parts, 2) != MORTAR_OK) {
            mortar_buffer_release(parts[1].buffer);
            (void)pthread_mutex_lock(&fixture->mutex);
            end->busy_count++;
            end_signal(end);
            (void)pthread_mutex_unlock(&fixture->mutex);
            return;
        }
        (void)pthread_mutex_lock(&fixture->mutex);
        end->sent += bytes;
        (void)pthread_mutex_unlock(&fixture->mutex);
    }
    if (end->close_when_sent && end->to_send > 0) stream_close(stream, STREAM_CLOSE_GRACEFUL);
}

static inline void end_on_open(void *context, struct stream *stream)
{
    struct end *end = context;
    uint8_t exporter[TLS_EXPORTER_BYTES];
    if (stream_exporter(stream, "EXPORTER-mortar-test", exporter) != MORTAR_OK)
        end_fault(end, "no exporter value");
    (void)pthread_mutex_lock(&end->fixture->mutex);
    end->stream = stream;
    end->opened = true;
    end->peer_id = stream_peer_id(stream);
    memcpy(end->exporter, exporter, sizeof exporter);
    end_signal(end);
    (void)pthread_mutex_unlock(&end->fixture->mutex);
    if (end->admits) stream_admit(stream);
    if (end->close_on_open) {
        stream_close(stream, STREAM_CLOSE_ABORT);
        return;
    }
    end_send_more(end, stream);
}

static inline void end_on_buffer(void *context, struct stream *stream, uint8_t **out_data,
                                 size_t *out_capacity)
{
    (void)stream;
    struct end *end = context;
    *out_data = end->space;
    *out_capacity = 1 + end_random(end, FIXTURE_SPACE_BYTES);
}

static inline void end_attach(struct loop_task *task);

static inline void end_detach(struct end *end, struct stream *stream)
{
    struct move_task *move = malloc(sizeof *move);
    *move = (struct move_task){.task.run = end_attach, .end = end, .stream = stream};
    if (stream_detach(stream) != MORTAR_OK) {
        end_fault(end, "detach failed");
        free(move);
        return;
    }
    loop_post(end->fixture->third_loop, &move->task);
}

static inline void end_on_bytes(void *context, struct stream *stream, size_t bytes)
{
    struct end *end = context;
    const uint8_t *expected = end->fixture->pattern + end->received % FIXTURE_PERIOD;
    if (bytes == 0 || bytes > FIXTURE_SPACE_BYTES) end_fault(end, "size beyond the space");
    if (memcmp(end->space, expected, bytes) != 0) end_fault(end, "bytes differ");
    const uint64_t before = end->received;
    (void)pthread_mutex_lock(&end->fixture->mutex);
    end->received += bytes;
    end_signal(end);
    (void)pthread_mutex_unlock(&end->fixture->mutex);
    const uint64_t now = before + bytes;
    if (end->pause_at > before && end->pause_at <= now) stream_pause_read(stream);
    if (end->abort_on_bytes) {
        stream_close(stream, STREAM_CLOSE_ABORT);
    } else if (end->detach_at > before && end->detach_at <= now) {
        end_detach(end, stream);
    }
}

static inline void end_on_writable(void *context, struct stream *stream)
{
    struct end *end = context;
    (void)pthread_mutex_lock(&end->fixture->mutex);
    end->writable_count++;
    (void)pthread_mutex_unlock(&end->fixture->mutex);
    end_send_more(end, stream);
}

static inline void end_on_closed(void *context, struct stream *stream, enum mortar_status reason,
                                 const char *detail)
{
    (void)stream;
    struct end *end = context;
    (void)pthread_mutex_lock(&end->fixture->mutex);
    end->stream = NULL;
    end->closed_count++;
    end->reason = reason;
    (void)snprintf(end->detail, sizeof end->detail, "%s", detail);
    end_signal(end);
    (void)pthread_mutex_unlock(&end->fixture->mutex);
}

static const struct stream_handler end_handler = {end_on_open, end_on_buffer, end_on_bytes,
                                                  end_on_writable, end_on_closed};

static inline void end_attach(struct loop_task *task)
{
    struct move_task *move = (struct move_task *)task;
    struct end *end = move->end;
    struct stream *stream = move->stream;
    free(move);
    stream_attach(stream, end->fixture->third_loop, &end_handler, end);
    (void)pthread_mutex_lock(&end->fixture->mutex);
    end->moved = true;
    end_signal(end);
    (void)pthread_mutex_unlock(&end->fixture->mutex);
    end_send_more(end, stream);
}

static inline void fixture_on_accept(void *context, struct stream *stream)
{
    struct fixture *fixture = context;
    if (fixture->server.opened) { /* One at a time is watched. */
        stream_close(stream, STREAM_CLOSE_ABORT);
        return;
    }
    stream_set_handler(stream, &end_handler, &fixture->server);
    end_on_open(&fixture->server, stream);
}

static inline void fixture_on_refused(void *context, const char *remote, enum mortar_status reason,
                                      const char *detail)
{
    struct fixture *fixture = context;
    if (strncmp(remote, "127.0.0.1:", 10) != 0) end_fault(&fixture->server, "wrong remote");
    (void)pthread_mutex_lock(&fixture->mutex);
    fixture->refused_count++;
    fixture->refused_reason = reason;
    (void)snprintf(fixture->refused_detail, sizeof fixture->refused_detail, "%s", detail);
    (void)pthread_cond_broadcast(&fixture->changed);
    (void)pthread_mutex_unlock(&fixture->mutex);
}

static const struct listener_handler fixture_listener_handler = {fixture_on_accept,
                                                                 fixture_on_refused};

static inline struct fixture *fixture_open(void)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)pthread_mutex_init(&fixture->mutex, NULL);
    (void)pthread_cond_init(&fixture->changed, NULL);
    assert_int_equal(crypto_open(NULL, &fixture->crypto), MORTAR_OK);
    assert_int_equal(identity_generate(fixture->crypto, &fixture->server_identity), MORTAR_OK);
    assert_int_equal(identity_generate(fixture->crypto, &fixture->client_identity), MORTAR_OK);
    assert_int_equal(tls_open(fixture->crypto, fixture->server_identity, &fixture->server_tls),
                     MORTAR_OK);
    assert_int_equal(tls_open(fixture->crypto, fixture->client_identity, &fixture->client_tls),
                     MORTAR_OK);
    for (size_t i = 0; i < sizeof fixture->pattern; i++)
        fixture->pattern[i] = (uint8_t)((i % FIXTURE_PERIOD) * 2654435761u >> 13);
    fixture->server_options = stream_options_default(fixture->server_tls);
    fixture->client_options = stream_options_default(fixture->client_tls);
    fixture->half_open_max = 8;
    fixture->client_allocator = memory_default;
    fixture->server.fixture = fixture->client.fixture = fixture;
    fixture->server.random = 1;
    fixture->client.random = 2;
    return fixture;
}

static inline void fixture_start_listener(void *context)
{
    struct fixture *fixture = context;
    fixture->connect_status =
        listener_start(fixture->listener, fixture->server_loop, &fixture->server_options,
                       fixture->half_open_max, &fixture_listener_handler, fixture);
}

/* Starts the loops and the listener, with the options as they are now. */
static inline void fixture_listen(struct fixture *fixture)
{
    const struct loop_options server = {.name = "server"};
    const struct loop_options client = {.name = "client", .allocator = &fixture->client_allocator};
    const struct loop_options third = {.name = "third"};
    assert_int_equal(loop_open(&server, &fixture->server_loop), MORTAR_OK);
    assert_int_equal(loop_open(&client, &fixture->client_loop), MORTAR_OK);
    assert_int_equal(loop_open(&third, &fixture->third_loop), MORTAR_OK);
    (void)snprintf(fixture->address.host, sizeof fixture->address.host, "127.0.0.1");
    assert_int_equal(listener_bind(&fixture->address, NULL, NULL, &fixture->listener), MORTAR_OK);
    fixture->address.port = listener_port(fixture->listener);
    loop_call(fixture->server_loop, fixture_start_listener, fixture);
    assert_int_equal(fixture->connect_status, MORTAR_OK);
}

static inline void fixture_connect_now(void *context)
{
    struct fixture *fixture = context;
    struct stream *stream;
    fixture->connect_status =
        stream_connect(fixture->client_loop, &fixture->client_options, &fixture->address,
                       &end_handler, &fixture->client, &stream);
    if (fixture->connect_status == MORTAR_OK) fixture->client.stream = stream;
}

static inline enum mortar_status fixture_connect(struct fixture *fixture)
{
    loop_call(fixture->client_loop, fixture_connect_now, fixture);
    return fixture->connect_status;
}

/* Waits until `holds` answers true; false after so many seconds. */
static inline bool fixture_wait_for(struct fixture *fixture, bool (*holds)(struct fixture *fixture),
                                    int seconds)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += seconds;
    int result = 0;
    (void)pthread_mutex_lock(&fixture->mutex);
    while (!holds(fixture) && result == 0)
        result = pthread_cond_timedwait(&fixture->changed, &fixture->mutex, &deadline);
    const bool held = holds(fixture);
    (void)pthread_mutex_unlock(&fixture->mutex);
    return held;
}

static inline bool fixture_wait(struct fixture *fixture, bool (*holds)(struct fixture *fixture))
{
    return fixture_wait_for(fixture, holds, FIXTURE_WAIT_SECONDS);
}

static inline bool both_are_open(struct fixture *fixture)
{
    return fixture->server.opened && fixture->client.opened;
}

static inline bool client_is_closed(struct fixture *fixture)
{
    return fixture->client.closed_count > 0;
}

static inline bool both_are_closed(struct fixture *fixture)
{
    return fixture->client.closed_count > 0 && fixture->server.closed_count > 0;
}

/* Stops the loops: from here on everything may be looked at without the mutex. */
static inline void fixture_stop(struct fixture *fixture)
{
    if (fixture->client_loop) loop_close(fixture->client_loop);
    if (fixture->server_loop) loop_close(fixture->server_loop);
    if (fixture->third_loop) loop_close(fixture->third_loop);
    fixture->client_loop = fixture->server_loop = fixture->third_loop = NULL;
}

/* Stops everything and checks what holds for every run. */
static inline void fixture_close(struct fixture *fixture)
{
    fixture_stop(fixture);
    if (fixture->server.fault) print_error("server: %s\n", fixture->server.fault);
    if (fixture->client.fault) print_error("client: %s\n", fixture->client.fault);
    assert_null(fixture->server.fault);
    assert_null(fixture->client.fault);
    assert_true(fixture->server.closed_count <= 1);
    assert_true(fixture->client.closed_count <= 1);
    assert_int_equal(fixture->server.closed_count, fixture->server.opened ? 1 : 0);
    tls_close(fixture->server_tls);
    tls_close(fixture->client_tls);
    identity_close(fixture->server_identity);
    identity_close(fixture->client_identity);
    crypto_close(fixture->crypto);
    (void)pthread_cond_destroy(&fixture->changed);
    (void)pthread_mutex_destroy(&fixture->mutex);
    free(fixture);
}

#endif
