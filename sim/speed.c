/* sim/speed.c - simulated seconds against seconds of the processor. */
#include "sim/speed.h"

#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define SPEED_SEED    1u
#define SPEED_MEMBERS 5u
#define SPEED_MS      120000u
/* As in the swarm, where the invariants of all parts are asserted now and then. */
#define SPEED_CHECK_EVERY 50u

static double processor_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Four clients that rest for 18 ms on average, between requests of 2 ms. */
static struct sim_options speed_options(void)
{
    struct sim_options options = sim_options_quiet(SPEED_SEED);
    options.replica.core.target_voters = SPEED_MEMBERS;
    options.check_every = SPEED_CHECK_EVERY;
    options.workload.clients = 4;
    options.workload.think_us_min = 12000;
    options.workload.think_us_max = 24000;
    options.workload.batch_max = 1;
    options.workload.read_percent = 20;
    return options;
}

int speed_run(void)
{
    const struct sim_options options = speed_options();
    struct sim *sim = sim_open(&options);
    if (!sim_grow(sim, SPEED_MEMBERS)) {
        (void)fprintf(stderr, "the group did not form: %s\n", sim->verdict.text);
        sim_close(sim, NULL);
        return 1;
    }
    clients_start(sim);
    const uint64_t requests = sim->clients.succeeded;
    const uint64_t events = sim->events;
    const double began_s = processor_s();
    sim_run_ms(sim, SPEED_MS);
    const double took_s = processor_s() - began_s;
    const double simulated_s = SPEED_MS / 1000.0;
    const double rate = (double)(sim->clients.succeeded - requests) / simulated_s;
    const double events_s = (double)(sim->events - events) / took_s;
    struct verdict verdict;
    const bool held = sim_close(sim, &verdict);
    if (!held) (void)fprintf(stderr, "judge %s: %s\n", verdict.judge, verdict.text);
    (void)printf("%u members, %.0f requests a second, heartbeats of 100 ms: %.0f s simulated in "
                 "%.2f s of one core, %.0f times real time (%.0f events a second)\n",
                 SPEED_MEMBERS, rate, simulated_s, took_s, simulated_s / took_s, events_s);
    (void)printf("{\"members\":%u,\"requests_per_s\":%.1f,\"simulated_s\":%.1f,\"core_s\":%.3f,"
                 "\"times_real\":%.1f}\n",
                 SPEED_MEMBERS, rate, simulated_s, took_s, simulated_s / took_s);
    return held ? 0 : 1;
}
