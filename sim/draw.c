/* sim/draw.c - odd worlds on purpose: what is drawn together need not make sense together, as long
 * as the options allow it. */
#include "sim/draw.h"

#include "sim/versions.h"

#include <stdio.h>

/* One of a few values. */
#define PICK(prng, ...)                                                                            \
    pick((prng), (const uint64_t[]){__VA_ARGS__},                                                  \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static uint64_t pick(struct prng *prng, const uint64_t *values, size_t count)
{
    return values[prng_below(prng, count)];
}

static uint32_t pick_32(struct prng *prng, const uint64_t *values, size_t count)
{
    return (uint32_t)pick(prng, values, count);
}

#define PICK_32(prng, ...)                                                                         \
    pick_32((prng), (const uint64_t[]){__VA_ARGS__},                                               \
            sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void draw_core(struct prng *prng, struct mortar_core_options *core)
{
    core->tick_ms = PICK_32(prng, 5, 10, 10, 10, 20, 50);
    core->heartbeat_ticks = PICK_32(prng, 2, 5, 10);
    core->election_ticks = core->heartbeat_ticks * PICK_32(prng, 3, 6, 10);
    core->target_voters = PICK_32(prng, 1, 3, 3, 3, 5, 5, 7);
}

static void draw_tunables(struct prng *prng, struct replica_options *options)
{
    struct mortar_core_options *core = &options->core;
    core->command_bytes_max = 200000;
    core->uncommitted_bytes_max = PICK(prng, 200000, 1000000, 64u << 20);
    core->window_bytes = PICK(prng, 2000, 20000, 200000, 4u << 20);
    core->resend_bytes = PICK(prng, 500, 5000, 5000, 50000, 1u << 20);
    core->tail_bytes_max = PICK(prng, 20000, 200000, 256u << 20);
    core->tail_window_bytes = PICK(prng, 2000, 50000, 1u << 20);
    core->lease_bytes_max = PICK(prng, 100000, 1u << 30);
    core->lease_ms = PICK_32(prng, 1000, 10000);
    core->apply_bytes = PICK_32(prng, 4000, 50000, 1u << 20);
    core->time_gap_ms = PICK_32(prng, 1000, 10000);
    core->reluctant_factor = prng_chance(prng, 1, 10) ? 2 : 1;
    struct mortar_replay_options *replay = &options->replay;
    replay->batch_bytes = PICK_32(prng, 4096, 16384, 262144, 1u << 20);
    replay->window_bytes = replay->batch_bytes * PICK_32(prng, 1, 4, 32);
    replay->source_window_bytes = replay->batch_bytes * PICK_32(prng, 1, 2, 8);
    replay->fetch_timeout_ms = PICK_32(prng, 200, 1000, 2000);
    replay->stall_ms = PICK_32(prng, 300, 1000, 3000);
    replay->give_up_ms = PICK_32(prng, 3000, 10000, 20000);
    replay->serve_bytes_per_second = PICK(prng, 0, 0, 0, 1000000);
}

static void draw_host(struct prng *prng, struct replica_options *options)
{
    options->work_us_min[MORTAR_WORK_APPLY] = 1;
    options->work_us_max[MORTAR_WORK_APPLY] = PICK_32(prng, 10, 200, 5000);
    options->work_us_min[MORTAR_WORK_BULK] = 1;
    options->work_us_max[MORTAR_WORK_BULK] = PICK_32(prng, 10, 200, 5000);
    options->hand_back_us_max = PICK_32(prng, 0, 50, 50, 2000);
    options->log.reads_cached = prng_chance(prng, 1, 2);
    options->log.delay_us_min = 0;
    options->log.delay_us_max = PICK_32(prng, 0, 100, 2000, 20000);
    options->log.stall_permille = PICK_32(prng, 0, 0, 2);
    options->log.stall_us = 100000;
    options->clock_ms = 1000 + prng_below(prng, 10000000);
    options->wall_ahead_ms = PICK(prng, 0, 20, 5000);
    options->drift_ppm = PICK_32(prng, 0, 0, 200, 50000);
}

static void draw_network(struct prng *prng, struct network_options *network)
{
    network->datagrams = prng_chance(prng, 1, 4);
    network->latency_us_min = PICK_32(prng, 20, 200, 1000);
    network->latency_us_max = network->latency_us_min * PICK_32(prng, 1, 2, 10);
    network->tail_permille = PICK_32(prng, 0, 5, 50);
    network->tail_us_max = PICK_32(prng, 10000, 100000, 4000000);
    network->loss_permille = network->datagrams ? PICK_32(prng, 0, 10, 50, 200) : 0;
    network->duplicate_permille = network->datagrams ? PICK_32(prng, 0, 10, 100) : 0;
    network->reorder_permille = network->datagrams ? PICK_32(prng, 0, 20, 200) : 0;
    network->flips_per_million = PICK_32(prng, 0, 0, 0, 500);
    network->bytes_per_s[MORTAR_LANE_CONTROL] = PICK(prng, 0, 0, 0, 2000000);
    network->bytes_per_s[MORTAR_LANE_BULK] = PICK(prng, 0, 0, 200000, 5000000);
    network->uneven = prng_chance(prng, 1, 3);
    network->replays = prng_chance(prng, 1, 2);
    network->notice_us_min = 1000;
    network->notice_us_max = PICK_32(prng, 5000, 500000, 2000000);
    network->connect_us_min = 500;
    network->connect_us_max = PICK_32(prng, 1000, 50000, 500000);
}

#define DISTANCE_US_MAX 60000u

/* Members far from each other: a message takes a good part of an election timeout, so that votes
 * split, and answers come when the asker is elsewhere. */
static void draw_distance(const struct mortar_core_options *core, struct network_options *network)
{
    const uint32_t far_us = core->election_ticks * core->tick_ms * 1000 / 8;
    network->latency_us_max = far_us < DISTANCE_US_MAX ? far_us : DISTANCE_US_MAX;
    network->latency_us_min = network->latency_us_max / 2;
}

static void draw_workload(struct prng *prng, struct workload *workload)
{
    workload->clients = PICK_32(prng, 1, 4, 16);
    workload->think_us_min = 100;
    workload->think_us_max = PICK_32(prng, 5000, 50000, 200000);
    workload->command_bytes_min = MACHINE_COMMAND_BYTES_MIN;
    workload->command_bytes_max = PICK_32(prng, 40, 300, 4000);
    workload->big_permille = PICK_32(prng, 0, 0, 5);
    workload->big_bytes = PICK_32(prng, 50000, 150000);
    workload->batch_max = PICK_32(prng, 1, 4, 30);
    workload->feed_percent = PICK_32(prng, 0, 10, 40);
    workload->read_percent = PICK_32(prng, 5, 20, 60);
    workload->local_percent = PICK_32(prng, 0, 20);
    workload->cancel_permille = PICK_32(prng, 0, 0, 20);
    workload->retry_percent = PICK_32(prng, 0, 50, 90);
    workload->session_clients = prng_chance(prng, 1, 2) ? workload->clients / 2 + 1 : 0;
    if (workload->session_clients > workload->clients) workload->session_clients = 1;
    workload->session_ttl_ms = PICK_32(prng, 2000, 20000, 60000);
    workload->timeout_ms_min = 100;
    workload->timeout_ms_max = PICK_32(prng, 500, 3000, 8000);
}

/* What lies below the leader's base must fit the window of a session (sync/replay_lead.c), and be
 * there: no process ends, since one that starts again would need a snapshot. */
static void draw_pruning(struct prng *prng, struct drawn *drawn)
{
    static const enum sim_fault deadly[] = {
        SIM_FAULT_CRASH,         SIM_FAULT_CRASH_IN_STEP, SIM_FAULT_POWER_LOSS,
        SIM_FAULT_DISK_FULL,     SIM_FAULT_DISK_FAILURE,  SIM_FAULT_COPY,
        SIM_FAULT_LAGGARD_CRASH, SIM_FAULT_MEMORY,        SIM_FAULT_VOTER_CRASH,
    };
    drawn->prunes = true;
    drawn->sim.replica.core.remove_gone_ms = 0; /* Nor does one come back as another. */
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        drawn->faults &= ~(1ull << deadly[i]);
    struct replica_options *replica = &drawn->sim.replica;
    replica->core.lease_bytes_max = PICK(prng, 10000, 100000, 1u << 30);
    replica->core.lease_ms = PICK_32(prng, 1000, 3000);
    replica->replay.window_bytes = 1u << 30;
}

/* Five voters that hear each other well, and time for leaders to take turns; in half of these
 * worlds nothing else happens. */
static void draw_plays(struct prng *prng, struct drawn *drawn)
{
    drawn->plays = true;
    drawn->replicas = drawn->sim.replica.core.target_voters = 5;
    drawn->growth = 0;
    drawn->safety_ms = 15000;
    if (prng_chance(prng, 1, 2)) drawn->faults = 0;
    struct network_options *network = &drawn->sim.network;
    network->datagrams = false;
    network->latency_us_min = 200;
    network->latency_us_max = PICK_32(prng, 200, 1000);
    network->tail_permille = 0;
    network->notice_us_max = network->connect_us_max = 50000;
    drawn->sim.replica.core.tick_ms = 10;
    drawn->sim.replica.core.heartbeat_ticks = 5;
    drawn->sim.replica.core.election_ticks = 15;
    drawn->sim.workload.batch_max = 30;
    drawn->sim.workload.command_bytes_max = 300;
    if (prng_chance(prng, 1, 2)) drawn->sim.replica.core.resend_bytes = 500;
    if (prng_chance(prng, 1, 2)) { /* A request does not fit one append, and each takes a while. */
        drawn->sim.workload.command_bytes_max = 8000;
        network->bytes_per_s[MORTAR_LANE_CONTROL] = 4000000;
    }
}

/* Many come at once where many may vote: several are whole when the first can be promoted. */
static void draw_crowd(struct prng *prng, struct drawn *drawn)
{
    drawn->replicas = PICK_32(prng, 4, 6, 8);
    drawn->sim.replica.core.target_voters = 7;
    drawn->sim.network.connect_us_max = 1000;
}

/* Elections and nothing else: many campaign in one term, and voters die as they grant. */
static void draw_votes(struct prng *prng, struct drawn *drawn)
{
    drawn->replicas = drawn->sim.replica.core.target_voters = PICK_32(prng, 3, 5, 5);
    drawn->growth = 0;
    drawn->faults = 1ull << SIM_FAULT_VOTER_CRASH | 1ull << SIM_FAULT_RACE;
    drawn->calm_ms_max = 100;
    struct mortar_core_options *core = &drawn->sim.replica.core;
    core->heartbeat_ticks = 2;
    core->election_ticks = 6;
    /* They may have been drawn far from each other for longer timeouts: nobody would ever win. */
    const uint32_t least_us = core->election_ticks * core->tick_ms * 1000;
    if (drawn->sim.network.latency_us_max > least_us / 8) draw_distance(core, &drawn->sim.network);
}

/* In few worlds a voter that was not heard for a while loses its place to a learner. */
static void draw_policy(uint64_t seed, struct mortar_core_options *core)
{
    struct prng prng = prng_seeded(seed ^ 0x60ae60ae60ae60aeu);
    if (prng_chance(&prng, 1, 8)) core->remove_gone_ms = PICK_32(&prng, 100, 1000, 2000);
}

struct drawn draw_world(uint64_t seed)
{
    struct prng prng = prng_seeded(seed ^ 0x5eed5eed5eed5eedu);
    struct drawn drawn = {.sim = sim_options_quiet(seed)};
    struct replica_options *replica = &drawn.sim.replica;
    draw_core(&prng, &replica->core);
    draw_tunables(&prng, replica);
    draw_host(&prng, replica);
    replica->machine = (enum machine_kind)prng_below(&prng, MACHINE_KINDS);
    replica->machine_pause_permille = PICK_32(&prng, 0, 0, 50);
    draw_network(&prng, &drawn.sim.network);
    if (prng_chance(&prng, 1, 6)) draw_distance(&replica->core, &drawn.sim.network);
    draw_workload(&prng, &drawn.sim.workload);
    drawn.sim.check_every = PICK_32(&prng, 1, 50);
    drawn.replicas = PICK_32(&prng, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7, 9);
    drawn.growth = PICK_32(&prng, 0, 2, 6);
    drawn.safety_ms = PICK_32(&prng, 3000, 8000, 15000);
    drawn.calm_ms_min = 20;
    drawn.calm_ms_max = PICK_32(&prng, 100, 100, 300, 1000, 3000);
    /* Each kind of fault is there in half of the worlds: some faults hide others. */
    drawn.faults = prng_next(&prng);
    if (prng_chance(&prng, 1, 20)) drawn.faults = 0;
    switch (prng_below(&prng, 24)) {
    case 0:
    case 1:
        draw_plays(&prng, &drawn);
        return drawn;
    case 2:
        draw_crowd(&prng, &drawn);
        break;
    case 3:
        draw_votes(&prng, &drawn);
        return drawn;
    default:
        break;
    }
    draw_policy(seed, &replica->core);
    if (prng_chance(&prng, 1, 5)) draw_pruning(&prng, &drawn);
    return drawn;
}

/* A play needs all of its voters. */
bool draw_observer(const struct drawn *drawn, struct prng *prng)
{
    return !drawn->plays && prng_chance(prng, 1, 8);
}

struct replica_options draw_replica(const struct drawn *drawn, struct prng *prng)
{
    struct replica_options options = drawn->sim.replica;
    if (prng_chance(prng, 1, 3)) draw_tunables(prng, &options);
    draw_host(prng, &options);
    options.wire_version_max = versions_draw(prng);
    if (drawn->prunes) {
        options.core.lease_bytes_max = drawn->sim.replica.core.lease_bytes_max;
        options.core.lease_ms = drawn->sim.replica.core.lease_ms;
        options.replay.window_bytes = drawn->sim.replica.replay.window_bytes;
    }
    return options;
}

void draw_text(const struct drawn *drawn, char *out_text, size_t capacity)
{
    const struct mortar_core_options *core = &drawn->sim.replica.core;
    const struct network_options *network = &drawn->sim.network;
    const struct workload *workload = &drawn->sim.workload;
    snprintf(out_text, capacity,
             "%u replicas, target %u, %s, %s, ticks %u/%u of %u ms, resend %llu, %u clients, "
             "commands to %u bytes by %u, loss %u, flips %u, %u ms of faults %llx",
             drawn->replicas, core->target_voters, sim_machine_name(drawn->sim.replica.machine),
             network->datagrams ? "datagrams" : "stream", core->heartbeat_ticks,
             core->election_ticks, core->tick_ms, (unsigned long long)core->resend_bytes,
             workload->clients, workload->command_bytes_max, workload->batch_max,
             network->loss_permille, network->flips_per_million, drawn->safety_ms,
             (unsigned long long)drawn->faults);
}
