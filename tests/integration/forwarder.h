/* integration/forwarder.h - a TCP port that passes everything on to another, until it is cut.
 *
 * Not part of the library. A member that advertises a forwarder, and knows no address of the
 * others, can be partitioned from them without a signal to its process.
 *
 * Memory:  malloc's; forwarder_begin has its forwarder_end.
 * Threads: one of its own; the functions are for the test's.
 * Errors:  failed checks.
 */
#ifndef INTEGRATION_FORWARDER_H
#define INTEGRATION_FORWARDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define FORWARDER_PAIRS_MAX 16u

struct forwarder {
    uint16_t port; /* Where it listens, on 127.0.0.1. */
    atomic_uint_fast16_t target_port;
    atomic_bool is_cut;
    atomic_bool is_ending;
    int listener;
    int pairs[FORWARDER_PAIRS_MAX][2]; /* -1: free. */
    pthread_t thread;
};

void forwarder_begin(struct forwarder *forwarder);
/* Connections go to this port from now on. */
void forwarder_set_target(struct forwarder *forwarder, uint16_t port);
/* Ends all connections and lets none in, until it is healed. */
void forwarder_cut(struct forwarder *forwarder);
void forwarder_heal(struct forwarder *forwarder);
void forwarder_end(struct forwarder *forwarder);

#endif
