/* sim/session_client.h - the clients of the workload that have a session (C1).
 *
 * Memory:  in struct clients. Threads: one. Errors: as sim/client.h.
 */
#ifndef SIM_SESSION_CLIENT_H
#define SIM_SESSION_CLIENT_H

#include "base/prng.h"
#include "mortar/core.h"

struct sim;
struct replica;

struct session_client {
    uint64_t session; /* 0: none. */
    uint64_t sequence;
    uint64_t op; /* Of the judges; 0: none is under way. */
    uint64_t command;
    uint32_t bytes;
    uint32_t timeout_ms;
    struct prng prng; /* Its command follows from it. */
    uint32_t tries;
    bool tried;  /* A try is without an answer. */
    bool unsure; /* A try may have been applied. */
};

bool session_client_is(const struct sim *sim, uint32_t client);
/* A command of it is without a word. */
bool session_client_tries(struct sim *sim, uint32_t client);
/* One more request of it, at `replica`. */
void session_client_step(struct sim *sim, struct replica *replica, uint32_t client,
                         uint32_t timeout_ms);
/* A try ended, `sequence` 0: it was no command. */
void session_client_answered(struct sim *sim, uint32_t client, uint64_t sequence,
                             const struct mortar_result *result);
/* Who has no try under way knows no more than now. */
void session_clients_stop(struct sim *sim);

#endif
