#define _GNU_SOURCE
#include "integration/forwarder.h"

#include "unit/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS 10 /* How soon a cut or the end is noticed. */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void pair_close(int pair[2])
{
    for (unsigned side = 0; side < 2; side++) {
        if (pair[side] >= 0) (void)close(pair[side]);
        pair[side] = -1;
    }
}

static void close_all(struct forwarder *forwarder)
{
    for (unsigned i = 0; i < FORWARDER_PAIRS_MAX; i++)
        pair_close(forwarder->pairs[i]);
}

static void take_connection(struct forwarder *forwarder)
{
    const int near = accept4(forwarder->listener, NULL, NULL, SOCK_CLOEXEC);
    const struct sockaddr_in target = loopback((uint16_t)atomic_load(&forwarder->target_port));
    if (near < 0) return;
    for (unsigned i = 0; i < FORWARDER_PAIRS_MAX; i++) {
        int *const pair = forwarder->pairs[i];
        if (pair[0] >= 0) continue;
        pair[0] = near;
        pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (atomic_load(&forwarder->is_cut) ||
            connect(pair[1], (const struct sockaddr *)(const void *)&target, sizeof target) != 0) {
            pair_close(pair);
        }
        return;
    }
    (void)close(near);
}

/* Passes on what is there. False: the pair is over. */
static bool pass_on(int from, int to)
{
    char bytes[64 * 1024];
    const ssize_t got = recv(from, bytes, sizeof bytes, 0);
    for (ssize_t sent = 0; got > 0 && sent < got;) {
        const ssize_t more = send(to, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
        if (more <= 0) return false;
        sent += more;
    }
    return got > 0;
}

static void look(struct forwarder *forwarder)
{
    struct pollfd asked[1 + 2 * FORWARDER_PAIRS_MAX];
    asked[0] = (struct pollfd){.fd = forwarder->listener, .events = POLLIN};
    for (unsigned i = 0; i < 2 * FORWARDER_PAIRS_MAX; i++)
        asked[1 + i] = (struct pollfd){.fd = forwarder->pairs[i / 2][i % 2], .events = POLLIN};
    (void)poll(asked, 1 + 2 * FORWARDER_PAIRS_MAX, LOOK_MS);
    if (atomic_load(&forwarder->is_cut)) close_all(forwarder);
    for (unsigned i = 0; i < 2 * FORWARDER_PAIRS_MAX; i++) {
        int *const pair = forwarder->pairs[i / 2];
        if (asked[1 + i].revents == 0 || pair[0] < 0) continue;
        if (!pass_on(pair[i % 2], pair[1 - i % 2])) pair_close(pair);
    }
    if (asked[0].revents != 0) take_connection(forwarder);
}

static void *forwarder_main(void *context)
{
    struct forwarder *const forwarder = context;
    while (!atomic_load(&forwarder->is_ending))
        look(forwarder);
    close_all(forwarder);
    return NULL;
}

void forwarder_begin(struct forwarder *forwarder)
{
    struct sockaddr_in bound = loopback(0);
    socklen_t bytes = sizeof bound;
    memset(forwarder, 0, sizeof *forwarder);
    memset(forwarder->pairs, -1, sizeof forwarder->pairs);
    forwarder->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(forwarder->listener >= 0);
    struct sockaddr *const generic = (struct sockaddr *)(void *)&bound;
    assert_int_equal(bind(forwarder->listener, generic, sizeof bound), 0);
    assert_int_equal(listen(forwarder->listener, 16), 0);
    assert_int_equal(getsockname(forwarder->listener, generic, &bytes), 0);
    forwarder->port = ntohs(bound.sin_port);
    assert_int_equal(pthread_create(&forwarder->thread, NULL, forwarder_main, forwarder), 0);
}

void forwarder_set_target(struct forwarder *forwarder, uint16_t port)
{
    atomic_store(&forwarder->target_port, port);
}

void forwarder_cut(struct forwarder *forwarder)
{
    atomic_store(&forwarder->is_cut, true);
}

void forwarder_heal(struct forwarder *forwarder)
{
    atomic_store(&forwarder->is_cut, false);
}

void forwarder_end(struct forwarder *forwarder)
{
    atomic_store(&forwarder->is_ending, true);
    assert_int_equal(pthread_join(forwarder->thread, NULL), 0);
    (void)close(forwarder->listener);
}
