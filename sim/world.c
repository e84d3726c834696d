/* sim/world.c - the loop: the next event, its target, what came of it. */
#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sim_fault_name(enum sim_fault fault)
{
    static const char *const names[] = {
#define SIM_FAULT_NAME(name, text, what) text,
        SIM_FAULT_TABLE(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
    };
    return names[fault];
}

const char *sim_fault_text(enum sim_fault fault)
{
    static const char *const texts[] = {
#define SIM_FAULT_TEXT(name, text, what) what,
        SIM_FAULT_TABLE(SIM_FAULT_TEXT)
#undef SIM_FAULT_TEXT
    };
    return texts[fault];
}

static struct replica_options replica_options_quiet(void)
{
    struct replica_options options = {
        .core = {MORTAR_CORE_OPTIONS_INIT},
        .replay = {MORTAR_REPLAY_OPTIONS_INIT},
        .machine = MACHINE_COUNTER,
        .work_us_min = {20, 20},
        .work_us_max = {20, 20},
        .log = {.delay_us_min = 100, .delay_us_max = 100, .reads_cached = true},
        .clock_ms = 1000000,
    };
    mortar_core_options_complete(&options.core);
    mortar_replay_options_complete(&options.replay);
    return options;
}

struct sim_options sim_options_quiet(uint64_t seed)
{
    return (struct sim_options){
        .seed = seed,
        .replica = replica_options_quiet(),
        .network =
            {
                .latency_us_min = 1000,
                .latency_us_max = 1000,
                .notice_us_min = 300000,
                .notice_us_max = 300000,
                .connect_us_min = 5000,
                .connect_us_max = 5000,
            },
        .workload =
            {
                .clients = 4,
                .think_us_min = 1000,
                .think_us_max = 20000,
                .command_bytes_min = MACHINE_COMMAND_BYTES_MIN,
                .command_bytes_max = 100,
                .batch_max = 4,
                .read_percent = 20,
                .timeout_ms_min = 2000,
                .timeout_ms_max = 2000,
            },
        .quiet_clients = true,
        .check_every = 1,
    };
}

struct sim *sim_open(const struct sim_options *options)
{
    struct sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL) abort();
    sim->options = *options;
    sim->prng = prng_seeded(options->seed);
    memset(sim->group.bytes, 5, sizeof sim->group.bytes);
    judges_init(&sim->judges, &sim->verdict);
    sim->network = network_open(sim, &options->network, prng_next(&sim->prng));
    clients_init(sim, &options->workload, prng_next(&sim->prng));
    operator_start(sim);
    if (!options->quiet_clients) clients_start(sim);
    return sim;
}

bool sim_close(struct sim *sim, struct verdict *out_verdict)
{
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        replica_close(sim->replicas[i], REPLICA_LEFT);
    }
    heap_deinit(&sim->heap);
    network_close(sim->network);
    for (uint32_t i = 0; i < sim->replica_count; i++)
        replica_deinit(sim->replicas[i]);
    clients_deinit(sim);
    judges_deinit(&sim->judges);
    const bool held = !sim->verdict.failed;
    if (out_verdict != NULL) *out_verdict = sim->verdict;
    free(sim);
    return held;
}

/* ---- Replicas ---- */

/* A, B, ... Z, AA, AB, ... */
static void name_replica(struct replica *replica)
{
    const char letter = (char)('A' + replica->number % 26);
    if (replica->number < 26) {
        (void)snprintf(replica->name, sizeof replica->name, "%c", letter);
    } else {
        (void)snprintf(replica->name, sizeof replica->name, "A%c", letter);
    }
}

static struct replica *replica_new(struct sim *sim, const struct replica_options *options)
{
    const uint32_t number = sim->replica_count;
    if (number >= SIM_REPLICAS_MAX) abort();
    struct replica *replica = calloc(1, sizeof *replica);
    if (replica == NULL) abort();
    replica->sim = sim;
    replica->number = number;
    replica->options = *options;
    replica->prng = prng_seeded(sim->options.seed * SIM_REPLICAS_MAX + number);
    memset(replica->id.peer.bytes, (int)(number + 1), sizeof replica->id.peer.bytes);
    memset(replica->id.store, (int)(number + 1), sizeof replica->id.store);
    replica->id.store[15] = (uint8_t)number;
    name_replica(replica);
    virtual_disk_init(&replica->disk);
    sim->replicas[number] = replica;
    sim->replica_count++;
    return replica;
}

uint32_t sim_add(struct sim *sim, const struct replica_options *options)
{
    struct replica *replica = replica_new(sim, options);
    story_say(sim, "---- %s %s", replica->name, replica->number == 0 ? "founds" : "joins");
    replica_open(replica, replica->number == 0);
    if (replica->core != NULL) network_join(sim->network, replica);
    return replica->number;
}

static void on_copy_ends(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    replica_close(event->target, REPLICA_LEFT);
}

bool sim_copy(struct sim *sim, uint32_t number, uint64_t until_us)
{
    struct replica *original = sim->replicas[number];
    struct mortar_core_status status;
    uint32_t voters = 0;
    sim_status(sim, number, &status);
    for (uint32_t i = 0; i < status.member_count; i++)
        voters += status.members[i].voter ? 1 : 0;
    const bool is_known = virtual_disk_last(&original->disk).index >= status.config_index;
    const bool is_whole = virtual_disk_base(&original->disk).index == 0;
    if (voters < 2 || !is_known || !is_whole) return false;
    struct replica *copy = replica_new(sim, &original->options);
    copy->copy = true;
    copy->id = original->id;
    virtual_disk_copy(&original->disk, &copy->disk);
    story_say(sim, "---- %s is a copy of %s", copy->name, original->name);
    replica_open(copy, false);
    sim_at(sim, (struct sim_event){.at_us = until_us, .target = copy, .run = on_copy_ends});
    return true;
}

static bool all_are_in(struct sim *sim)
{
    uint32_t voters = 0;
    uint32_t members = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (sim_is_member(sim, i)) members++;
        if (sim_is_voter(sim, i)) voters++;
    }
    const uint32_t target = sim->options.replica.core.target_voters;
    uint32_t wanted = sim->replica_count < target ? sim->replica_count : target;
    if (wanted == 2) wanted = 1; /* Growth goes by joint steps to 3; two only by hand. */
    return members == sim->replica_count && voters >= wanted;
}

bool sim_grow(struct sim *sim, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sim_add(sim, &sim->options.replica);
    return sim_run_until(sim, all_are_in, 60000) && sim_run_until(sim, sim_converged, 60000);
}

/* ---- Time ---- */

void sim_at(struct sim *sim, struct sim_event event)
{
    if (event.target != NULL) event.life = event.target->life;
    heap_push(&sim->heap, event);
}

/* One event. False: nothing is left before `until_us`. */
static bool sim_step(struct sim *sim, uint64_t until_us)
{
    struct sim_event event;
    if (heap_next_us(&sim->heap) > until_us) return false;
    if (!heap_pop(&sim->heap, &event)) return false;
    if (event.at_us > sim->now_us) sim->now_us = event.at_us;
    struct replica *target = event.target;
    if (target != NULL && (!replica_is_live(target) || event.life != target->life)) {
        if (event.drop != NULL) event.drop(&event);
        return true;
    }
    if (target != NULL && replica_is_paused(target)) {
        event.at_us = target->paused_until_us;
        heap_push(&sim->heap, event);
        return true;
    }
    sim->events++;
    event.run(sim, &event);
    return true;
}

static bool run_to(struct sim *sim, uint64_t until_us)
{
    while (!sim->verdict.failed && sim_step(sim, until_us)) {
    }
    if (!sim->verdict.failed && sim->now_us < until_us) sim->now_us = until_us;
    return !sim->verdict.failed;
}

bool sim_run_ms(struct sim *sim, uint64_t ms)
{
    return run_to(sim, sim->now_us + ms * 1000);
}

bool sim_run_until(struct sim *sim, bool (*holds)(struct sim *sim), uint64_t ms)
{
    const uint64_t end_us = sim->now_us + ms * 1000;
    while (!holds(sim)) {
        if (sim->now_us >= end_us || !sim_run_ms(sim, 5)) return false;
    }
    return !sim_failed(sim);
}

bool sim_run_until_of(struct sim *sim, bool (*holds)(struct sim *sim, uint32_t replica),
                      uint32_t replica, uint64_t ms)
{
    const uint64_t end_us = sim->now_us + ms * 1000;
    while (!holds(sim, replica)) {
        if (sim->now_us >= end_us || !sim_run_ms(sim, 5)) return false;
    }
    return !sim_failed(sim);
}
