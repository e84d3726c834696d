/* sim/swarm.c - one seed from beginning to end. */
#include "sim/swarm.h"

#include "sim/nemesis.h"
#include "sim/versions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One request and its answer, where disks, threads and distances are what was drawn at worst. */
#define SLOW_ROUND_MS 250u

static struct sim *world_now; /* The panic looks at it; one world runs at a time. */

struct sim *swarm_now(void)
{
    return world_now;
}

static void open_all(struct sim *sim, const struct drawn *drawn, struct prng *prng)
{
    for (uint32_t i = 0; i < drawn->replicas && !sim_failed(sim); i++) {
        struct replica_options options = draw_replica(drawn, prng);
        if (i > 0) options.core.observer = draw_observer(drawn, prng);
        sim_add(sim, &options);
    }
}

/* A machine that works in small pieces, each late, and that begins anew after a crash. */
static uint64_t apply_ms(const struct replica *replica, const struct mortar_core_status *status,
                         uint64_t entry_bytes)
{
    const uint64_t bytes = (status->last.index - status->applied) * entry_bytes;
    const uint64_t piece_us = (uint64_t)replica->options.work_us_max[MORTAR_WORK_APPLY] +
                              replica->options.hand_back_us_max;
    return (bytes / replica->options.core.apply_bytes + 1) * piece_us / 1000;
}

/* Options may ask for slowness: a cap on what a source serves, a window of one small batch. What is
 * missing, at the rate that this leaves to a replica at the end of all others, is allowed for. */
static uint64_t allowance_ms(struct sim *sim)
{
    uint64_t missing = 0;
    uint64_t applying_ms = 0;
    uint64_t rate = UINT64_MAX;
    struct mortar_core_status longest = {0};
    struct mortar_core_status status;
    const uint64_t round_ms = SLOW_ROUND_MS + 2 * sim->options.network.latency_us_max / 1000;
    for (uint32_t i = 0; i < sim->replica_count; i++) { /* There may be no leader yet. */
        if (!replica_is_live(sim->replicas[i])) continue;
        sim_status(sim, i, &status);
        if (status.last.index > longest.last.index) longest = status;
    }
    if (longest.last.index == 0) return 0;
    const uint64_t entry_bytes = longest.log_bytes / longest.last.index + 1;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *const replica = sim->replicas[i];
        if (!replica_is_live(replica)) continue;
        const struct mortar_replay_options *const replay = &replica->options.replay;
        const uint64_t window = replay->window_bytes < replay->source_window_bytes
                                    ? replay->window_bytes
                                    : replay->source_window_bytes;
        const uint64_t cap = replay->serve_bytes_per_second;
        if (window * 1000 / round_ms < rate) rate = window * 1000 / round_ms;
        if (cap != 0 && cap < rate) rate = cap;
        sim_status(sim, i, &status);
        missing += (longest.last.index - status.last.index) * entry_bytes;
        const uint64_t late_ms = apply_ms(replica, &status, entry_bytes);
        if (late_ms > applying_ms) applying_ms = late_ms;
    }
    return missing * 1000 / rate + applying_ms;
}

/* Nothing stands in the way any more: the group must become whole, and serve. */
static void demand_progress(struct sim *sim)
{
    char text[VERDICT_TEXT_BYTES / 2];
    const uint64_t heal_ms = SWARM_HEAL_MS + allowance_ms(sim);
    if (!sim_run_until(sim, sim_converged, heal_ms)) {
        sim_unconverged_text(sim, text, sizeof text);
        verdict_fail(&sim->verdict, "progress", "not whole %" PRIu64 " ms after healing: %s",
                     heal_ms, text);
        return;
    }
    for (uint32_t i = 0; i < sim->replica_count && !sim_failed(sim); i++) {
        if (!replica_is_live(sim->replicas[i])) continue;
        if (!sim_propose(sim, i, 1, MACHINE_COMMAND_BYTES_MIN)) {
            verdict_fail(&sim->verdict, "progress", "a whole group refuses a command at %s",
                         sim->replicas[i]->name);
        }
    }
    if (!sim_run_until(sim, sim_converged, SWARM_HEAL_MS)) {
        sim_unconverged_text(sim, text, sizeof text);
        verdict_fail(&sim->verdict, "progress", "not whole after the last commands: %s", text);
    }
    if (!sim_failed(sim) && !sim_run_until(sim, versions_work, SWARM_HEAL_MS)) {
        verdict_fail(&sim->verdict, "versions", "two of one build do not speak its version");
    }
}

static void judge_end(struct sim *sim)
{
    if (sim_failed(sim)) return;
    judge_history_end(&sim->judges);
    judge_linear_end(&sim->judges);
    if (judge_sessions_open(&sim->judges) != 0) {
        verdict_fail(&sim->verdict, "sync", "%u sessions never ended",
                     judge_sessions_open(&sim->judges));
    }
    if (judge_ops_open(&sim->judges) != 0) {
        verdict_fail(&sim->verdict, "history", "%llu requests were never answered",
                     (unsigned long long)judge_ops_open(&sim->judges));
    }
}

static void line_to_stderr(void *context, const char *text)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", text);
}

static void report(struct sim *sim, const struct swarm_options *options)
{
    if (!sim_failed(sim) || options->line != NULL) return;
    story_last(sim, line_to_stderr, NULL);
}

static void summarise(const struct sim *sim, struct swarm_result *result)
{
    result->simulated_us = sim->now_us;
    result->events = sim->events;
    result->succeeded = sim->clients.succeeded;
    result->failed = sim->clients.failed;
    result->reads = sim->clients.reads_succeeded;
    result->sessions = sim->counts[MORTAR_TRACE_SYNC_OPEN];
    result->sessions_done = sim->counts[MORTAR_TRACE_SYNC_DONE];
    result->undecided = sim->judges.undecided;
    result->states_max = sim->judges.states_max;
    result->leaders = sim->judges.leaders.count;
    result->committed = sim->judges.committed_last;
    memcpy(result->faults, sim->faults, sizeof result->faults);
}

void swarm_run(const struct swarm_options *options, struct swarm_result *out_result)
{
    struct nemesis nemesis;
    struct swarm_result result = {.seed = options->seed};
    struct drawn drawn = draw_world(options->seed);
    draw_text(&drawn, result.shape, sizeof result.shape);
    struct sim *sim = sim_open(&drawn.sim);
    struct prng prng = prng_fork(&sim->prng);
    world_now = sim;
    sim->story.line = options->line;
    sim->story.context = options->context;
    sim->story.frames = options->frames;
    sim->story.times = true;
    open_all(sim, &drawn, &prng);
    clients_start(sim);
    nemesis_start(&nemesis, sim, &drawn);
    sim_run_ms(sim, drawn.safety_ms);
    nemesis_stop(&nemesis);
    clients_stop(sim);
    sim_heal(sim);
    sim_run_ms(sim, NEMESIS_LONGEST_MS); /* Who is paused stays so until its time. */
    if (!sim_failed(sim)) demand_progress(sim);
    judge_end(sim);
    report(sim, options);
    summarise(sim, &result);
    sim_close(sim, &result.verdict);
    world_now = NULL;
    *out_result = result;
}
