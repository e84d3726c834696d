/* sim/replica.c - the host of one core: events in, effects out, in virtual time. */
#include "sim/replica.h"

#include "sim/check/judges.h"
#include "sim/versions.h"
#include "sim/watch.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

/* With the fault voter_crash: the reply to a vote is among the next few effects. */
#define VOTE_EFFECTS_MAX 4u

/* ---- Clock ---- */

#define WALL_MS_AT_START 1700000000000u

/* What passed on its clock since the world began: a clock that stopped stays behind. */
static uint64_t passed_ms(const struct replica *replica)
{
    const uint64_t now_us = replica->sim->now_us;
    const uint64_t ahead_us =
        replica->clock_stops_us > now_us ? replica->clock_stops_us - now_us : 0;
    return (now_us + ahead_us) / 1000 - replica->clock_stood_ms;
}

uint64_t replica_now_ms(const struct replica *replica)
{
    return replica->options.clock_ms + passed_ms(replica);
}

void replica_stop_clock(struct replica *replica, uint64_t until_us)
{
    if (replica->clock_stops_us > replica->sim->now_us) return; /* It stands already. */
    replica->clock_stops_us = until_us;
    replica->clock_stood_ms += until_us / 1000 - replica->sim->now_us / 1000;
}

bool replica_is_paused(const struct replica *replica)
{
    return replica->paused_until_us > replica->sim->now_us;
}

void replica_pause(struct replica *replica, uint64_t until_us)
{
    replica->paused_until_us = until_us;
}

static void tick(struct replica *replica)
{
    const uint64_t wall_ms = WALL_MS_AT_START + passed_ms(replica);
    replica->ticks++;
    mortar_core_tick(replica->core, replica_now_ms(replica),
                     wall_ms + replica->options.wall_ahead_ms);
}

static void on_tick(struct sim *sim, struct sim_event *event)
{
    struct replica *replica = event->target;
    const uint64_t period_us = (uint64_t)replica->options.core.tick_ms * 1000;
    sim_at(sim,
           (struct sim_event){
               .at_us = sim->now_us + period_us + period_us * replica->options.drift_ppm / 1000000,
               .target = replica,
               .run = on_tick,
           });
    if (replica->tick_held) return;
    tick(replica);
    replica_settle(replica);
    if (replica_is_live(replica) && !replica->dying) watch_tick(replica);
}

/* ---- Storage ---- */

static uint64_t log_now_us(void *context)
{
    return ((struct replica *)context)->sim->now_us;
}

static void die(struct replica *replica);

/* A write of a session just became durable, and it is one of those that kill. */
static bool dies_durably(struct replica *replica)
{
    struct mortar_core_status status;
    if (replica->durable_deaths == 0 || replica->dying) return false;
    mortar_core_status(replica->core, &status);
    if (!status.sync.active || !prng_chance(&replica->prng, 1, 2)) return false;
    replica->durable_deaths--;
    replica->sim->faults[SIM_FAULT_LAGGARD_CRASH]++;
    return true;
}

/* Half of those that die have not heard of the write yet. */
static void on_log_ready(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    struct replica *replica = event->target;
    const bool dies = dies_durably(replica);
    if (dies && prng_chance(&replica->prng, 1, 2)) {
        die(replica);
        return;
    }
    mortar_core_reap(replica->core);
    replica_settle(replica);
    if (dies && !replica->dying) die(replica);
}

static void log_ready_at(void *context, uint64_t at_us)
{
    struct replica *replica = context;
    sim_at(replica->sim,
           (struct sim_event){.at_us = at_us, .target = replica, .run = on_log_ready});
}

/* ---- Work: in order within a place, each piece takes a while ---- */

static void work_step(struct replica *replica, enum mortar_work_place place);

static void work_push(struct work_queue *queue, struct mortar_work *work)
{
    if (queue->count == queue->capacity) {
        const uint32_t capacity = queue->capacity == 0 ? 16 : queue->capacity * 2;
        struct mortar_work **moved = calloc(capacity, sizeof(struct mortar_work *));
        if (moved == NULL) abort();
        for (uint32_t i = 0; i < queue->count; i++) {
            moved[i] = queue->items[(queue->first + i) % queue->capacity];
        }
        free(queue->items);
        queue->items = moved;
        queue->first = 0;
        queue->capacity = capacity;
    }
    queue->items[(queue->first + queue->count++) % queue->capacity] = work;
}

static struct mortar_work *work_pop(struct work_queue *queue)
{
    struct mortar_work *work = queue->items[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    return work;
}

static void on_work(struct sim *sim, struct sim_event *event)
{
    (void)sim;
    work_step(event->target, (enum mortar_work_place)event->numbers[0]);
}

static void work_step_in(struct replica *replica, enum mortar_work_place place, uint64_t delay_us)
{
    sim_at(replica->sim, (struct sim_event){
                             .at_us = replica->sim->now_us + delay_us,
                             .target = replica,
                             .run = on_work,
                             .numbers = {place},
                         });
}

/* A piece takes its time before it runs, and a little more before the core hears of it. */
static void work_begin(struct replica *replica, enum mortar_work_place place)
{
    const uint64_t delay_us = prng_between(&replica->prng, replica->options.work_us_min[place],
                                           replica->options.work_us_max[place]);
    replica->works[place].busy = true;
    replica->works[place].ran = false;
    const bool late = place == MORTAR_WORK_BULK && replica->bulk_late_us > 0;
    const uint64_t late_us = late ? prng_below(&replica->prng, replica->bulk_late_us) : 0;
    work_step_in(replica, place, delay_us * replica->work_factor + late_us);
}

static void work_step(struct replica *replica, enum mortar_work_place place)
{
    struct work_queue *queue = &replica->works[place];
    if (!queue->ran) {
        queue->ran = true;
        mortar_core_work_run(queue->items[queue->first]);
        const uint64_t delay_us =
            prng_below(&replica->prng, replica->options.hand_back_us_max + 1u);
        if (delay_us > 0) {
            work_step_in(replica, place, delay_us);
            return;
        }
    }
    struct mortar_work *work = work_pop(queue);
    queue->busy = false;
    if (queue->count > 0) work_begin(replica, place);
    mortar_core_work_done(replica->core, work);
    replica_settle(replica);
}

/* ---- Effects ---- */

static struct replica *find_member(struct sim *sim, const struct mortar_member_id *id)
{
    const uint32_t number = id->store[15];
    if (number >= sim->replica_count) return NULL;
    struct replica *replica = sim->replicas[number];
    return mortar_member_id_equal(&replica->id, id) ? replica : NULL;
}

static void on_death(struct sim *sim, struct sim_event *event)
{
    sim_down(sim, event->target->number);
}

/* From here on nothing that it does is seen or lasts; callers up the stack still hold the core, so
 * the process goes with the next event. */
static void die(struct replica *replica)
{
    virtual_log_crash(replica->log, (enum virtual_log_loss)prng_below(&replica->prng, 3));
    replica->dying = true;
    replica->closing = true;
    replica->paused_until_us = 0;
    sim_at(replica->sim,
           (struct sim_event){.at_us = replica->sim->now_us, .target = replica, .run = on_death});
}

/* A disk that fails takes the process with it (design 5): its host ends it, and starts it again. */
static void on_failed(struct replica *replica, enum mortar_status status)
{
    if (replica->closing) return;
    if (!replica->disk_sick && !replica->memory_short) {
        verdict_fail(&replica->sim->verdict, "host", "the core of %s failed: %s", replica->name,
                     mortar_status_name(status));
        return;
    }
    story_say(replica->sim, "---- %s fails with its %s", replica->name,
              replica->disk_sick ? "disk" : "memory");
    die(replica);
}

static void carry_out(struct replica *replica, struct mortar_effect *effect)
{
    struct sim *sim = replica->sim;
    switch (effect->type) {
    case MORTAR_EFFECT_SEND: {
        struct replica *to = find_member(sim, &effect->send.to);
        if (to != NULL && !replica->closing) {
            network_send(sim->network, replica, to, effect->send.lane, effect->send.frame);
        }
        mortar_buffer_release(effect->send.frame);
        break;
    }
    case MORTAR_EFFECT_WORK: {
        struct work_queue *queue = &replica->works[effect->work.place];
        work_push(queue, effect->work.work);
        if (!queue->busy && !replica->closing) work_begin(replica, effect->work.place);
        break;
    }
    case MORTAR_EFFECT_DONE:
        if (!replica->closing) client_done(sim, replica, effect->done.id, &effect->done.result);
        mortar_buffer_release(effect->done.result.replies);
        break;
    case MORTAR_EFFECT_CHANGED:
    case MORTAR_EFFECT_BIRTH:
        break;
    case MORTAR_EFFECT_FAILED:
        on_failed(replica, effect->failed);
        break;
    }
}

static bool crashes_now(struct replica *replica)
{
    if (replica->crash_in == 0) return false;
    replica->crash_in--;
    return replica->crash_in == 0;
}

void replica_settle(struct replica *replica)
{
    struct mortar_effect effect;
    if (replica->dying || !replica_is_live(replica)) return;
    mortar_core_flush(replica->core);
    while (mortar_core_next(replica->core, &effect)) {
        if (crashes_now(replica)) die(replica);
        carry_out(replica, &effect);
    }
    if (!replica->closing) watch_replica(replica);
}

/* ---- Frames and links ---- */

void replica_link(struct replica *replica, const struct replica *other, enum mortar_lane lane,
                  bool up)
{
    if (!replica_is_live(replica)) return;
    if (up) {
        mortar_core_link_up(replica->core, &other->id, lane, versions_common(replica, other));
    } else {
        mortar_core_link(replica->core, &other->id, lane, false);
    }
    replica_settle(replica);
}

enum mortar_status replica_frame(struct replica *replica, const struct replica *from,
                                 enum mortar_lane lane, struct mortar_buffer *frame)
{
    watch_arrival(replica,
                  (struct mortar_bytes){mortar_buffer_data(frame), mortar_buffer_bytes(frame)});
    replica->arriving_bytes = mortar_buffer_capacity(frame);
    if (lane == MORTAR_LANE_CONTROL) replica->heard[from->number] = replica->ticks;
    const enum mortar_status status = mortar_core_frame(replica->core, &from->id, lane, frame);
    replica_settle(replica);
    replica->arriving_bytes = 0;
    return status;
}

/* ---- Life ---- */

static void machine_applied(void *context, const struct applied_command *command)
{
    struct replica *replica = context;
    if (!replica->closing) judge_applied(&replica->sim->judges, replica->number, command);
}

static void on_trace(void *context, const struct mortar_trace_event *event)
{
    struct replica *replica = context;
    const bool votes = event->kind == MORTAR_TRACE_VOTE_GRANTED && event->numbers[1] == 0;
    if (votes && replica->dies_by_vote && replica->crash_in == 0) {
        replica->crash_in = (uint32_t)prng_between(&replica->prng, 1, VOTE_EFFECTS_MAX);
    }
    watch_trace(replica, event);
}

static enum mortar_status open_core(struct replica *replica, const struct mortar_storage *storage)
{
    struct mortar_core_options *core = &replica->options.core;
    core->self = replica->id;
    core->group = replica->sim->group;
    core->network = "simulation";
    core->address = replica->name;
    core->seed = prng_next(&replica->prng);
    core->trace = (struct mortar_trace){on_trace, replica};
    return mortar_core_open(&replica->allocator, core, storage,
                            sim_machine_ops(replica->options.machine), &replica->machine,
                            &replica->prune.method, &replica->core);
}

static enum mortar_status open_all(struct replica *replica)
{
    replica->allocator = sim_memory_allocator(&replica->memory);
    replica->machine = (struct sim_machine){
        .kind = replica->options.machine,
        .prng = prng_fork(&replica->prng),
        .pause_permille = replica->options.machine_pause_permille,
        .context = replica,
        .applied = machine_applied,
    };
    replica->options.log.seed = prng_next(&replica->prng);
    enum mortar_status status =
        mortar_sync_log_replay(&replica->allocator, &replica->options.replay, &replica->method);
    if (status != MORTAR_OK) return status;
    prune_init(&replica->prune, &replica->allocator, replica->method);
    const struct virtual_log_host host = {replica, log_now_us, log_ready_at};
    struct mortar_storage storage;
    status = virtual_log_open(&replica->allocator, &replica->options.log, &host, &replica->disk,
                              &replica->log, &storage);
    if (status != MORTAR_OK) return status;
    status = open_core(replica, &storage);
    if (status != MORTAR_OK) storage.ops->close(storage.self);
    return status;
}

static enum mortar_status begin(struct replica *replica, bool founds)
{
    if (!founds) {
        mortar_core_join(replica->core);
        return MORTAR_OK;
    }
    struct mortar_birth_id birth;
    uint8_t key[16];
    memset(birth.bytes, 7, sizeof birth.bytes);
    memset(key, 9, sizeof key);
    return mortar_core_found(replica->core, &birth, key);
}

static void cannot_open(struct replica *replica, enum mortar_status status)
{
    verdict_fail(&replica->sim->verdict, "host", "%s cannot open: %s", replica->name,
                 mortar_status_name(status));
    if (replica->core != NULL) return;
    mortar_sync_log_replay_free(replica->method);
    replica->state = REPLICA_CRASHED;
}

void replica_open(struct replica *replica, bool founds)
{
    struct sim *sim = replica->sim;
    replica->opened_us = sim->now_us;
    replica->work_factor = 1;
    replica->bulk_late_us = 0;
    replica->life++;
    enum mortar_status status = open_all(replica);
    if (status == MORTAR_OK) tick(replica); /* The first entry takes its time from it. */
    if (status == MORTAR_OK) status = begin(replica, founds);
    if (status != MORTAR_OK) {
        cannot_open(replica, status);
        return;
    }
    sim_at(sim, (struct sim_event){.at_us = sim->now_us + prng_below(&replica->prng, 10000),
                                   .target = replica,
                                   .run = on_tick});
    replica_settle(replica);
}

/* Up to here its disk holds what the group committed. Above it a cut and what was written instead
 * may both have been lost: then what was cut is there again. */
static uint64_t agrees_up_to(const struct replica *replica)
{
    const struct virtual_disk *disk = &replica->disk;
    const uint64_t base = virtual_disk_base(disk).index;
    uint64_t term = 0;
    for (uint64_t index = virtual_disk_last(disk).index; index > base; index--) {
        if (!virtual_disk_holds(disk, index, &term)) continue;
        if (judge_is_committed(&replica->sim->judges, index, term)) return index;
    }
    return base;
}

/* What was known of the process before is void; what the member promised is not. */
void replica_restart(struct replica *replica)
{
    replica->state = REPLICA_LIVE;
    replica->dying = false;
    replica->closing = false;
    replica->crash_in = 0;
    replica->dies_by_vote = false;
    replica->paused_until_us = 0;
    replica->tick_held = false;
    replica->lying = false;
    replica->disk_sick = false;
    replica->memory_short = false;
    replica->memory.fail_in = replica->memory.fail_more = 0;
    replica->entries_seen = 0;
    replica->committed_seen = 0;
    replica->voters_seen = 0;
    replica->commit_said = 0;
    replica->sync_said = false;
    replica->leads = false;
    replica->awake = false;
    judge_restarted(&replica->sim->judges, replica->number, agrees_up_to(replica));
    replica_open(replica, false);
}

bool replica_keeps_disk(const struct replica *replica)
{
    return replica->state == REPLICA_LIVE || replica->state == REPLICA_CRASHED;
}

/* Runs what is left, unheard: a core is closed only when no work of it is outside. */
static void drain(struct replica *replica)
{
    struct mortar_effect effect;
    bool more = true;
    while (more) {
        more = false;
        while (mortar_core_next(replica->core, &effect))
            carry_out(replica, &effect);
        for (uint32_t place = 0; place < 2; place++) {
            struct work_queue *queue = &replica->works[place];
            if (queue->count == 0) continue;
            if (!(queue->busy && queue->ran)) mortar_core_work_run(queue->items[queue->first]);
            queue->busy = false;
            mortar_core_work_done(replica->core, work_pop(queue));
            more = true;
        }
    }
}

void replica_close(struct replica *replica, enum replica_state state)
{
    if (replica->core == NULL) return;
    replica->closing = true;
    replica->state = state;
    network_part(replica->sim->network, replica);
    client_replica_gone(replica->sim, replica);
    judge_replica_gone(&replica->sim->judges, replica->number);
    mortar_core_stop(replica->core);
    drain(replica);
    mortar_core_close(replica->core);
    mortar_sync_log_replay_free(replica->method);
    replica->core = NULL;
    replica->log = NULL;
    free(replica->works[0].items);
    free(replica->works[1].items);
    memset(replica->works, 0, sizeof replica->works);
}

void replica_crash(struct replica *replica, enum virtual_log_loss loss)
{
    if (replica->core == NULL) return;
    virtual_log_crash(replica->log, loss); /* Before anything that the close writes. */
    replica_close(replica, REPLICA_CRASHED);
}

void replica_deinit(struct replica *replica)
{
    virtual_disk_deinit(&replica->disk);
    if (replica->memory.blocks != 0 || replica->memory.bytes != 0) {
        verdict_fail(&replica->sim->verdict, "memory",
                     "%s left %llu blocks, %llu bytes after its close", replica->name,
                     (unsigned long long)replica->memory.blocks,
                     (unsigned long long)replica->memory.bytes);
    }
    free(replica);
}
