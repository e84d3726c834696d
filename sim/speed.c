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

/* Clients that rest for 18 ms on average, between requests of 2 ms: each makes fifty requests a
 * second. A request is a read, or a write of up to `batch_max` commands; each is an operation. */
static struct sim_options speed_options(uint32_t clients, uint32_t batch_max)
{
    struct sim_options options = sim_options_quiet(SPEED_SEED);
    options.replica.core.target_voters = SPEED_MEMBERS;
    options.check_every = SPEED_CHECK_EVERY;
    options.workload.clients = clients;
    options.workload.think_us_min = 10000;
    options.workload.think_us_max = 20000;
    options.workload.batch_max = batch_max;
    options.workload.read_percent = 20;
    return options;
}

static bool measure(uint32_t clients, uint32_t batch_max)
{
    const struct sim_options options = speed_options(clients, batch_max);
    const struct mortar_core_options *core = &options.replica.core;
    struct sim *sim = sim_open(&options);
    if (!sim_grow(sim, SPEED_MEMBERS)) {
        (void)fprintf(stderr, "the group did not form: %s\n", sim->verdict.text);
        return sim_close(sim, NULL);
    }
    clients_start(sim);
    const uint64_t commands = sim->clients.next_command;
    const uint64_t reads = sim->clients.reads_succeeded;
    const uint64_t events = sim->events;
    const double began_s = processor_s();
    sim_run_ms(sim, SPEED_MS);
    const double took_s = processor_s() - began_s;
    const double simulated_s = SPEED_MS / 1000.0;
    const uint64_t operations =
        sim->clients.next_command - commands + sim->clients.reads_succeeded - reads;
    const double rate = (double)operations / simulated_s;
    const double events_s = (double)(sim->events - events) / took_s;
    struct verdict verdict;
    const bool held = sim_close(sim, &verdict);
    if (!held) (void)fprintf(stderr, "judge %s: %s\n", verdict.judge, verdict.text);
    (void)printf("%u members, %.0f operations a second in requests of up to %" PRIu32
                 ", heartbeats of %" PRIu32
                 " ms: %.0f s simulated in %.3f s of one core, %.0f times real "
                 "time (%.0f events a second)\n",
                 SPEED_MEMBERS, rate, batch_max, core->heartbeat_ticks * core->tick_ms, simulated_s,
                 took_s, simulated_s / took_s, events_s);
    (void)printf("{\"members\":%u,\"operations_per_s\":%.1f,\"batch_max\":%" PRIu32
                 ",\"simulated_s\":%.1f,\"core_s\":%.3f,\"times_real\":%.1f}\n",
                 SPEED_MEMBERS, rate, batch_max, simulated_s, took_s, simulated_s / took_s);
    return held;
}

int speed_run(void)
{
    const bool single = measure(4, 1);
    const bool batched = measure(1, 8);
    return single && batched ? 0 : 1;
}
