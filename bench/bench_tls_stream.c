#define _GNU_SOURCE
/* bench/bench_tls_stream.c - how much of plain TLS do our streams reach?
 *
 * Two processes on loopback, one sends and one receives; the reference is a blocking OpenSSL pump
 * (bench/tls_reference.h) of the same run. Cases differ in what one stream_write() carries.
 */
#include "bench/tls_reference.h"
#include "os/clock.h"
#include "os/listener.h"
#include "os/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPACE_BYTES = 256 * 1024 };

struct bench_side {
    struct crypto *crypto;
    struct identity *identity;
    struct tls *tls;
    struct loop *loop;
    struct mortar_buffer *block; /* What is sent, again and again. */
    uint8_t *space;              /* Where bytes are received. */
    struct listener *listener;
    struct address address;
    size_t write_bytes;
    uint64_t total_bytes;
    uint64_t done_bytes;
    uint64_t started_ns;
    uint64_t ended_ns;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_over; /* Guarded by `mutex`. */
    bool good;
};

static void check(bool condition, const char *what)
{
    if (condition) return;
    (void)fprintf(stderr, "bench_tls_stream: %s failed\n", what);
    exit(1);
}

static void side_end(struct bench_side *side, bool good)
{
    (void)pthread_mutex_lock(&side->mutex);
    side->is_over = true;
    side->good = good;
    (void)pthread_cond_signal(&side->changed);
    (void)pthread_mutex_unlock(&side->mutex);
}

static void send_more(struct bench_side *side, struct stream *stream)
{
    while (side->done_bytes < side->total_bytes) {
        (void)mortar_buffer_share(side->block);
        const struct stream_part part = {
            .bytes = {.data = mortar_buffer_data(side->block), .bytes = side->write_bytes},
            .buffer = side->block,
        };
        if (stream_write(stream, &part, 1) != MORTAR_OK) {
            mortar_buffer_release(side->block);
            return; /* on_writable goes on. */
        }
        side->done_bytes += side->write_bytes;
    }
    stream_close(stream, STREAM_CLOSE_GRACEFUL);
}

static void on_sender_ready(void *context, struct stream *stream)
{
    send_more(context, stream);
}

static void on_buffer(void *context, struct stream *stream, uint8_t **out_data,
                      size_t *out_capacity)
{
    (void)stream;
    struct bench_side *side = context;
    *out_data = side->space;
    *out_capacity = SPACE_BYTES;
}

static void on_bytes(void *context, struct stream *stream, size_t bytes)
{
    (void)stream;
    struct bench_side *side = context;
    if (side->done_bytes == 0) side->started_ns = clock_monotonic_ns();
    side->done_bytes += bytes;
    if (side->done_bytes >= side->total_bytes) side->ended_ns = clock_monotonic_ns();
}

static void on_open_nothing(void *context, struct stream *stream)
{
    (void)context;
    (void)stream;
}

static void on_closed(void *context, struct stream *stream, enum mortar_status reason,
                      const char *detail)
{
    (void)stream;
    struct bench_side *side = context;
    const bool good = side->done_bytes >= side->total_bytes;
    if (!good) (void)fprintf(stderr, "closed: %s: %s\n", mortar_status_text(reason), detail);
    side_end(side, good);
}

static const struct stream_handler sender = {on_sender_ready, on_buffer, on_bytes, on_sender_ready,
                                             on_closed};
static const struct stream_handler receiver = {on_open_nothing, on_buffer, on_bytes, NULL,
                                               on_closed};

static void on_accept(void *context, struct stream *stream)
{
    stream_set_handler(stream, &receiver, context);
}

static const struct listener_handler listener_handler = {on_accept, NULL};

static void start_sending(void *context)
{
    struct bench_side *side = context;
    const struct stream_options options = stream_options_default(side->tls);
    struct stream *stream;
    check(stream_connect(side->loop, &options, &side->address, &sender, side, &stream) == MORTAR_OK,
          "connect");
}

static void start_receiving(void *context)
{
    struct bench_side *side = context;
    const struct stream_options options = stream_options_default(side->tls);
    check(listener_start(side->listener, side->loop, &options, 8, &listener_handler, side) ==
              MORTAR_OK,
          "listen");
}

static void side_open(struct bench_side *side, size_t write_bytes, uint64_t total_bytes)
{
    *side = (struct bench_side){.write_bytes = write_bytes, .total_bytes = total_bytes};
    (void)pthread_mutex_init(&side->mutex, NULL);
    (void)pthread_cond_init(&side->changed, NULL);
    check(crypto_open(NULL, &side->crypto) == MORTAR_OK, "crypto");
    check(identity_generate(side->crypto, &side->identity) == MORTAR_OK, "identity");
    check(tls_open(side->crypto, side->identity, &side->tls) == MORTAR_OK, "tls");
    const struct loop_options loop_options = {.name = "bench"};
    check(loop_open(&loop_options, &side->loop) == MORTAR_OK, "loop");
    side->block = mortar_buffer_new(&memory_default, write_bytes);
    side->space = malloc(SPACE_BYTES);
    check(side->block && side->space, "memory");
    memset(mortar_buffer_data(side->block), 0x5a, write_bytes);
    side->address = (struct address){.host = "127.0.0.1"};
}

static void side_wait(struct bench_side *side)
{
    (void)pthread_mutex_lock(&side->mutex);
    while (!side->is_over)
        (void)pthread_cond_wait(&side->changed, &side->mutex);
    (void)pthread_mutex_unlock(&side->mutex);
}

static void side_close(struct bench_side *side)
{
    loop_close(side->loop);
    tls_close(side->tls);
    identity_close(side->identity);
    crypto_close(side->crypto);
    mortar_buffer_release(side->block);
    free(side->space);
    (void)pthread_cond_destroy(&side->changed);
    (void)pthread_mutex_destroy(&side->mutex);
}

/* The child: learns the port by the pipe, sends everything. Never returns. */
static _Noreturn void run_sender(int port_pipe, size_t write_bytes, uint64_t total_bytes)
{
    struct bench_side side;
    side_open(&side, write_bytes, total_bytes);
    check(read(port_pipe, &side.address.port, sizeof side.address.port) ==
              (ssize_t)sizeof side.address.port,
          "port");
    loop_call(side.loop, start_sending, &side);
    side_wait(&side);
    const bool good = side.good;
    side_close(&side);
    _exit(good ? 0 : 1);
}

static double measure(size_t write_bytes, uint64_t total_bytes)
{
    int port_pipe[2];
    check(pipe(port_pipe) == 0, "pipe");
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) run_sender(port_pipe[0], write_bytes, total_bytes);

    struct bench_side side;
    struct detail detail;
    side_open(&side, write_bytes, total_bytes);
    check(listener_bind(&side.address, NULL, &detail, &side.listener) == MORTAR_OK, "bind");
    const uint16_t port = listener_port(side.listener);
    loop_call(side.loop, start_receiving, &side);
    check(write(port_pipe[1], &port, sizeof port) == (ssize_t)sizeof port, "port");
    side_wait(&side);
    int exit_status = 1;
    check(waitpid(child, &exit_status, 0) == child && exit_status == 0, "sender");
    check(side.good, "transfer");
    const double seconds = (double)(side.ended_ns - side.started_ns) / 1e9;
    side_close(&side);
    (void)close(port_pipe[0]);
    (void)close(port_pipe[1]);
    return (double)total_bytes / seconds;
}

static void report(const char *name, double value, double reference)
{
    (void)printf("%-20s %8.0f MB/s   plain TLS %8.0f MB/s   ratio %.2f\n", name, value / 1e6,
                 reference / 1e6, value / reference);
    const char *path = getenv("BENCH_JSON");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    (void)fprintf(file,
                  "{\"bench\":\"os\",\"case\":\"%s\",\"value\":%.0f,\"unit\":\"B/s\","
                  "\"reference\":%.0f,\"ratio\":%.3f}\n",
                  name, value, reference, value / reference);
    (void)fclose(file);
}

int main(void)
{
    static const struct {
        const char *name;
        size_t write_bytes;
        uint64_t total_bytes;
    } cases[] = {
        {"tls_stream_256k", 256u * 1024u, UINT64_C(2) << 30},
        {"tls_stream_4k", 4096, UINT64_C(1) << 30},
        {"tls_stream_128", 128, UINT64_C(1) << 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double reference; /* Anew for each: the machine may be busy with other things, too. */
        check(tls_reference_measure(cases[i].total_bytes, &reference), "reference");
        report(cases[i].name, measure(cases[i].write_bytes, cases[i].total_bytes), reference);
    }
    return 0;
}
