/* sim/swarm.h - one seed: draws a whole world and all its faults, runs it, then heals it and
 * demands that it becomes whole.
 *
 *   found and join -> safety under faults -> heal -> progress within SWARM_HEAL_MS
 *
 * Memory:  malloc(); ends with swarm_run(). Threads: one. Errors: in the result.
 */
#ifndef SIM_SWARM_H
#define SIM_SWARM_H

#include "sim/world.h"

/* After healing, everything must be whole within this much virtual time. It is far beyond what the
 * slowest drawn options need: a session that must give up first takes up to 20 s. */
#define SWARM_HEAL_MS 120000u

struct swarm_options {
    uint64_t seed;
    void (*line)(void *context, const char *text); /* The story; NULL: none. */
    void *context;
    bool frames;
};

struct swarm_result {
    uint64_t seed;
    struct verdict verdict;
    uint64_t simulated_us;
    uint64_t events;
    uint64_t succeeded; /* Requests. */
    uint64_t failed;
    uint64_t reads;
    uint64_t undecided;  /* Keys whose history the judge of it gave up on. */
    uint64_t states_max; /* Most states that one key took it. */
    uint64_t sessions;
    uint64_t sessions_done;
    uint64_t leaders;
    uint64_t committed;
    uint64_t faults[SIM_FAULTS];
    char shape[VERDICT_TEXT_BYTES]; /* What was drawn, for people. */
};

/* Runs one seed. When it fails, the last events go to `line` too (or stderr without one). */
void swarm_run(const struct swarm_options *options, struct swarm_result *out_result);

/* The world under way, for the panic; NULL: none. */
struct sim *swarm_now(void);

#endif
