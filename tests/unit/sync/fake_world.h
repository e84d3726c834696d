/* unit/sync/fake_world.h - members with logs, a virtual clock, a network to tamper with: the
 * stage on which companions of log replay are tested. fake_runtime.h puts mortar/sync.h on it.
 *
 * Member 0 lags and runs the session; all others run providers. The *truth* is one long committed
 * log; members hold parts of it. What the session writes is compared with the truth at once, so a
 * test that ends has been judged: nothing unverified, no commit backwards, no cut of a committed
 * entry, nothing asked for again that was verified.
 */
#ifndef UNIT_SYNC_FAKE_WORLD_H
#define UNIT_SYNC_FAKE_WORLD_H

#include "base/prng.h"
#include "mortar/sync.h"
#include "sync/replay.h"
#include "sync/replay_message.h"
#include "sync/replay_session.h"
#include "unit/log/counting.h"
#include "unit/log/records.h"

#define FAKE_MEMBERS  6u
#define FAKE_ENTRIES  6000u
#define FAKE_MESSAGES 8192u
#define FAKE_JOBS     2048u
#define FAKE_NOBODY   UINT32_MAX

struct fake_world;

struct mortar_sync {
    struct fake_world *world;
    uint32_t member;
    bool is_session;
    bool woken;
    uint64_t wake_at_ms; /* UINT64_MAX: none. */
};

struct mortar_sync_provider {
    struct mortar_sync sync; /* First: a provider's pointer is its context's. */
};

struct mortar_sync_session {
    struct mortar_sync sync;
    uint64_t id;
    uint64_t needs;
};

struct fake_message {
    bool used;
    uint32_t from;
    uint32_t to;
    uint64_t session;
    bool to_session;
    enum mortar_lane lane;
    struct mortar_buffer *buffer;
    size_t bytes;
    uint64_t deliver_ms;
    uint64_t order;
};

struct fake_job {
    bool used;
    struct mortar_sync *owner;
    uint64_t at_ms;
    uint64_t order;
    mortar_sync_job_run *run; /* NULL: a read. */
    mortar_sync_job_done *done;
    mortar_sync_read_done *read_done;
    struct mortar_log_run read;
    enum mortar_status status;
    void *argument;
};

struct fake_member {
    struct mortar_storage log;
    uint64_t commit;
    bool alive;  /* Answers; a dead one keeps its bond until it departs. */
    bool bonded; /* With member 0. */
    uint64_t latency_ms;
    uint64_t bytes_per_ms; /* Of its bulk lane; 0: no limit. */
    uint64_t bulk_free_ms; /* When its bulk lane is idle again. */
    struct mortar_sync_provider runtime;
    void *provider;
    uint64_t entries_sent; /* ENTRIES messages that left it. */
    uint64_t bytes_sent;
    uint64_t fetches;
};

/* What a network does with one message; false: loses it. May change anything in it, and may call
 * fake_enqueue() for more. */
typedef bool fake_tamper(struct fake_world *world, struct fake_message *message);

struct fake_world {
    struct counting counting;
    struct mortar_allocator allocator;
    struct prng prng;
    uint64_t now_ms;
    uint64_t order;
    struct mortar_sync_method *method;
    struct fake_member members[FAKE_MEMBERS];
    uint32_t member_count;
    uint32_t leader; /* FAKE_NOBODY: unknown. */
    uint64_t term;   /* Of the leader. */
    uint64_t own_term;
    bool vouches; /* The leader's commit is known to member 0, with its sum. */
    bool tail_open;
    struct mortar_anchor_point tail_base;
    struct fake_message messages[FAKE_MESSAGES];
    struct fake_job jobs[FAKE_JOBS];
    struct mortar_sync_session session_runtime;
    void *session;
    enum mortar_sync_poll outcome;
    struct mortar_position ready;
    enum mortar_status reason;
    fake_tamper *tamper;
    uint32_t liar; /* For tampers. */
    uint64_t tampered;
    uint64_t appends;
    uint64_t cut_from; /* Of the last truncate. */
    uint64_t fetches;
    uint32_t offload_busy; /* So many offloads answer BUSY. */
    uint32_t append_busy;
    uint64_t polls;
    uint64_t traced[MORTAR_TRACE_KINDS];
    bool check_repeats;                   /* A verified range must not be asked for again. */
    struct mortar_sync_progress progress; /* Taken before the session was destroyed. */
    /* The truth. */
    uint64_t truth_last;
    struct mortar_anchor_point points[FAKE_ENTRIES + 1];
    size_t offsets[FAKE_ENTRIES + 2];
    struct mortar_buffer *truth;
};

/* --- The truth and the logs --- */

static inline struct mortar_member_id fake_id(uint32_t member)
{
    struct mortar_member_id id = {0};
    id.peer.bytes[0] = (uint8_t)(member + 1);
    id.store[0] = 7;
    return id;
}

static inline uint32_t fake_member_of(const struct mortar_member_id *id)
{
    return (uint32_t)id->peer.bytes[0] - 1;
}

/* `count` entries of sizes in [payload_min, payload_max], the term rising every 500. */
static inline void fake_truth(struct fake_world *world, uint64_t count, size_t payload_min,
                              size_t payload_max)
{
    assert_true(count <= FAKE_ENTRIES);
    const size_t capacity = (size_t)count * record_bytes(payload_max);
    world->truth = mortar_buffer_new(&world->allocator, capacity);
    assert_non_null(world->truth);
    struct writer out = writer_over(mortar_buffer_data(world->truth), capacity);
    struct mortar_anchor_point end = {0};
    for (uint64_t i = 1; i <= count; i++) {
        world->offsets[i] = out.bytes;
        const size_t bytes = (size_t)prng_between(&world->prng, payload_min, payload_max);
        record_put(&out, &end, 1 + i / 500, (uint8_t)prng_next(&world->prng), bytes);
        world->points[i] = end;
    }
    world->offsets[count + 1] = out.bytes;
    world->truth_last = count;
    world->term = end.position.term + 2;
    world->own_term = 1;
}

static inline void fake_reap(struct mortar_storage *log)
{
    struct mortar_storage_completion done[16];
    while (log->ops->reap(log->self, done, 16) > 0) {
    }
}

static inline struct mortar_position fake_last(const struct fake_member *member)
{
    struct mortar_position last;
    assert_true(member->log.ops->last(member->log.self, MORTAR_LOG_MAIN, &last));
    return last;
}

/* Extends the log of a member with the truth up to `last`, in runs of random size. */
static inline void fake_fill(struct fake_world *world, uint32_t place, uint64_t last)
{
    struct fake_member *const member = &world->members[place];
    uint64_t first = fake_last(member).index + 1;
    while (first <= last) {
        uint64_t end = first + prng_below(&world->prng, 400);
        if (end > last) end = last;
        const struct mortar_log_run run = {
            .buffer = world->truth,
            .offset = world->offsets[first],
            .bytes = world->offsets[end + 1] - world->offsets[first],
            .first = first,
            .count = (uint32_t)(end - first + 1),
        };
        assert_int_equal(member->log.ops->append(member->log.self, MORTAR_LOG_MAIN, &run, 0),
                         MORTAR_OK);
        first = end + 1;
    }
    fake_reap(&member->log);
}

/* Puts `count` entries of another history, of `term`, behind a member's log. */
static inline void fake_diverge(struct fake_world *world, uint32_t place, uint64_t term,
                                uint32_t count)
{
    struct fake_member *const member = &world->members[place];
    struct mortar_anchor_point end = {.position = fake_last(member)};
    assert_true(
        member->log.ops->sum_at(member->log.self, MORTAR_LOG_MAIN, end.position.index, &end.sum));
    const struct mortar_log_run run = run_make(&world->allocator, &end, term, count, 33, 0, 0);
    assert_int_equal(member->log.ops->append(member->log.self, MORTAR_LOG_MAIN, &run, 0),
                     MORTAR_OK);
    mortar_buffer_release(run.buffer);
    fake_reap(&member->log);
}

static inline void fake_prune(struct fake_world *world, uint32_t place, uint64_t to)
{
    struct fake_member *const member = &world->members[place];
    assert_int_equal(member->log.ops->prune(member->log.self, to, 0), MORTAR_OK);
    fake_reap(&member->log);
}

/* True if member 0's log is the truth up to `index`. */
static inline bool fake_is_truth(const struct fake_world *world, uint64_t index)
{
    const struct fake_member *const member = &world->members[0];
    struct mortar_log_sum sum;
    return member->log.ops->sum_at(member->log.self, MORTAR_LOG_MAIN, index, &sum) &&
           mortar_log_sum_equal(sum, world->points[index].sum);
}

/* --- The network --- */

/* Takes one reference of `buffer`. Loses the message when the network says so. */
static inline void fake_enqueue(struct fake_world *world, struct fake_message message)
{
    if (world->tamper != NULL && !world->tamper(world, &message)) {
        mortar_buffer_release(message.buffer);
        return;
    }
    for (uint32_t i = 0; i < FAKE_MESSAGES; i++) {
        if (world->messages[i].used) continue;
        world->messages[i] = message;
        world->messages[i].used = true;
        world->messages[i].order = world->order++;
        return;
    }
    fail_msg("too many messages under way");
}

static inline uint8_t fake_type(const struct fake_message *message)
{
    return replay_message_type(
        (struct mortar_bytes){mortar_buffer_data(message->buffer), message->bytes});
}

/* A copy of a message, to be sent again or changed. */
static inline struct fake_message fake_copy(struct fake_world *world,
                                            const struct fake_message *message)
{
    struct fake_message copy = *message;
    copy.buffer = mortar_buffer_new(&world->allocator, message->bytes + 1);
    assert_non_null(copy.buffer);
    memcpy(mortar_buffer_data(copy.buffer), mortar_buffer_data(message->buffer), message->bytes);
    mortar_buffer_set_bytes(copy.buffer, message->bytes);
    return copy;
}

/* Puts a message into the queue past the tamper: what a tamper sends itself. */
static inline void fake_inject(struct fake_world *world, struct fake_message message)
{
    fake_tamper *const tamper = world->tamper;
    world->tamper = NULL;
    fake_enqueue(world, message);
    world->tamper = tamper;
}

/* --- Life --- */

struct fake_setup {
    uint64_t seed;
    uint32_t members; /* With member 0. */
    uint64_t entries; /* Of the truth; all others hold and have committed them. */
    size_t payload_min;
    size_t payload_max;
    uint64_t lag_at; /* Member 0 holds and has committed the truth up to here. */
    struct mortar_replay_options options;
};
#define FAKE_SETUP                                                                                 \
    .seed = 1, .members = 4, .entries = 2000, .payload_min = 100, .payload_max = 100,              \
    .options = {MORTAR_REPLAY_OPTIONS_INIT, .batch_bytes = 1u << 20,                               \
                .window_bytes = 32u << 20,  .source_window_bytes = 8u << 20,                       \
                .fetch_timeout_ms = 2000,   .stall_ms = 3000,                                      \
                .give_up_ms = 60000}

static inline struct fake_world *fake_open(const struct fake_setup *setup)
{
    struct fake_world *const world = (struct fake_world *)calloc(1, sizeof *world);
    assert_non_null(world);
    world->allocator = counting_allocator(&world->counting);
    world->prng = prng_seeded(setup->seed);
    world->now_ms = 1000;
    world->check_repeats = true;
    world->member_count = setup->members;
    world->leader = 1;
    world->vouches = true;
    fake_truth(world, setup->entries, setup->payload_min, setup->payload_max);
    assert_int_equal(mortar_sync_log_replay(&world->allocator, &setup->options, &world->method),
                     MORTAR_OK);
    for (uint32_t i = 0; i < world->member_count; i++) {
        struct fake_member *const member = &world->members[i];
        assert_int_equal(mortar_log_memory_open(&world->allocator, NULL, &member->log), MORTAR_OK);
        fake_fill(world, i, i == 0 ? setup->lag_at : setup->entries);
        member->commit = i == 0 ? setup->lag_at : setup->entries;
        member->alive = true;
        member->bonded = i != 0;
        member->latency_ms = 1;
        member->runtime.sync =
            (struct mortar_sync){.world = world, .member = i, .wake_at_ms = UINT64_MAX};
        if (i == 0) continue;
        assert_int_equal(world->method->provider->create(world->method->context, &member->runtime,
                                                         &member->provider),
                         MORTAR_OK);
    }
    return world;
}

static inline void fake_begin(struct fake_world *world)
{
    world->session_runtime.sync = (struct mortar_sync){
        .world = world, .is_session = true, .wake_at_ms = UINT64_MAX, .woken = true};
    world->session_runtime.id++;
    world->outcome = MORTAR_SYNC_PENDING;
    const uint64_t commit = world->leader == FAKE_NOBODY ? 0 : world->members[world->leader].commit;
    const struct mortar_sync_gap gap = {
        .last = fake_last(&world->members[0]),
        .prev = world->points[commit].position,
        .leader_commit = commit,
    };
    assert_int_equal(world->method->session->create(world->method->context, &world->session_runtime,
                                                    &gap, &world->session),
                     MORTAR_OK);
}

/* Ends the jobs and reads of a companion that is destroyed. */
static inline void fake_cancel(struct fake_world *world, const struct mortar_sync *owner)
{
    for (uint32_t i = 0; i < FAKE_JOBS; i++) {
        struct fake_job *const job = &world->jobs[i];
        if (!job->used || job->owner != owner) continue;
        job->used = false;
        if (job->run == NULL) {
            mortar_buffer_release(job->read.buffer);
            continue;
        }
        if (prng_chance(&world->prng, 1, 2)) job->run(job->argument, NULL);
        job->done(job->argument, true);
    }
}

static inline void fake_end(struct fake_world *world)
{
    if (world->session == NULL) return;
    world->method->session->progress(world->session, &world->progress);
    world->method->session->destroy(world->session);
    world->session = NULL;
    fake_cancel(world, &world->session_runtime.sync);
}

static inline void fake_close(struct fake_world *world)
{
    fake_end(world);
    for (uint32_t i = 0; i < world->member_count; i++) {
        struct fake_member *const member = &world->members[i];
        if (member->provider != NULL) {
            world->method->provider->destroy(member->provider);
            fake_cancel(world, &member->runtime.sync);
        }
        member->log.ops->close(member->log.self);
    }
    for (uint32_t i = 0; i < FAKE_MESSAGES; i++) {
        if (world->messages[i].used) mortar_buffer_release(world->messages[i].buffer);
    }
    mortar_sync_log_replay_free(world->method);
    mortar_buffer_release(world->truth);
    assert_int_equal(world->counting.blocks, 0);
    assert_int_equal(world->counting.bytes, 0);
    free(world);
}

/* --- Time --- */

static inline void fake_deliver(struct fake_world *world, struct fake_message *message)
{
    const struct fake_message taken = *message;
    message->used = false;
    const uint32_t other = taken.from == 0 ? taken.to : taken.from;
    const bool linked = world->members[other].bonded;
    if (linked && (taken.to == 0 || world->members[taken.to].alive)) {
        const struct mortar_sync_incoming incoming = {
            .from = fake_id(taken.from),
            .session = taken.session,
            .bytes = {mortar_buffer_data(taken.buffer), taken.bytes},
            .buffer = taken.buffer,
            .lane = taken.lane,
        };
        struct fake_member *const to = &world->members[taken.to];
        bool handled = false;
        if (to->provider != NULL) {
            handled = world->method->provider->receive(to->provider, &incoming);
        }
        if (!handled && taken.to == 0 && world->session != NULL) {
            world->method->session->receive(world->session, &incoming);
        }
    }
    mortar_buffer_release(taken.buffer);
}

static inline void fake_run_job(struct fake_job *job)
{
    const struct fake_job taken = *job;
    job->used = false;
    if (taken.run == NULL) {
        taken.read_done(taken.argument, taken.status, &taken.read);
    } else {
        taken.run(taken.argument, NULL);
        taken.done(taken.argument, false);
    }
}

/* Does the earliest thing that is due now; false: nothing is. */
static inline bool fake_do_due(struct fake_world *world)
{
    struct fake_message *message = NULL;
    for (uint32_t i = 0; i < FAKE_MESSAGES; i++) {
        struct fake_message *const candidate = &world->messages[i];
        if (!candidate->used || candidate->deliver_ms > world->now_ms) continue;
        if (message == NULL || candidate->order < message->order) message = candidate;
    }
    if (message != NULL) {
        fake_deliver(world, message);
        return true;
    }
    struct fake_job *job = NULL;
    for (uint32_t i = 0; i < FAKE_JOBS; i++) {
        struct fake_job *const candidate = &world->jobs[i];
        if (!candidate->used || candidate->at_ms > world->now_ms) continue;
        if (job == NULL || candidate->order < job->order) job = candidate;
    }
    if (job != NULL) {
        fake_run_job(job);
        return true;
    }
    return false;
}

static inline bool fake_take_wake(struct mortar_sync *sync)
{
    const bool due = sync->woken || sync->wake_at_ms <= sync->world->now_ms;
    if (!due) return false;
    sync->woken = false;
    if (sync->wake_at_ms <= sync->world->now_ms) sync->wake_at_ms = UINT64_MAX;
    return true;
}

static inline bool fake_poll_due(struct fake_world *world)
{
    bool any = false;
    for (uint32_t i = 1; i < world->member_count; i++) {
        struct fake_member *const member = &world->members[i];
        if (!fake_take_wake(&member->runtime.sync)) continue;
        (void)world->method->provider->poll(member->provider);
        any = true;
    }
    if (world->session != NULL && world->outcome == MORTAR_SYNC_PENDING &&
        fake_take_wake(&world->session_runtime.sync)) {
        world->outcome =
            world->method->session->poll(world->session, &world->ready, &world->reason);
        world->polls++;
        any = true;
    }
    return any;
}

static inline uint64_t fake_next_ms(const struct fake_world *world)
{
    uint64_t next = world->now_ms + 50; /* So that tests that look on are asked now and then. */
    for (uint32_t i = 0; i < FAKE_MESSAGES; i++) {
        const struct fake_message *const message = &world->messages[i];
        if (message->used && message->deliver_ms < next) next = message->deliver_ms;
    }
    for (uint32_t i = 0; i < FAKE_JOBS; i++) {
        const struct fake_job *const job = &world->jobs[i];
        if (job->used && job->at_ms < next) next = job->at_ms;
    }
    for (uint32_t i = 1; i < world->member_count; i++) {
        const uint64_t at_ms = world->members[i].runtime.sync.wake_at_ms;
        if (at_ms < next) next = at_ms;
    }
    const uint64_t at_ms = world->session_runtime.sync.wake_at_ms;
    if (world->session != NULL && at_ms < next) next = at_ms;
    return next > world->now_ms ? next : world->now_ms + 1;
}

/* Lets `ms` pass, or less if the session ends; true if it has ended. */
static inline bool fake_run(struct fake_world *world, uint64_t ms)
{
    const uint64_t until_ms = world->now_ms + ms;
    while (world->outcome == MORTAR_SYNC_PENDING && world->now_ms < until_ms) {
        uint32_t steps = 0;
        while (world->outcome == MORTAR_SYNC_PENDING &&
               (fake_do_due(world) || fake_poll_due(world))) {
            assert_true(++steps < 20000); /* A loop that lets no time pass. */
        }
        if (world->outcome != MORTAR_SYNC_PENDING) break;
        const uint64_t next_ms = fake_next_ms(world);
        world->now_ms = next_ms < until_ms ? next_ms : until_ms;
    }
    if (world->session != NULL) {
        world->method->session->progress(world->session, &world->progress);
    }
    return world->outcome != MORTAR_SYNC_PENDING;
}

/* Runs to the end, which must be READY with the whole truth up to `last`. */
static inline void fake_expect_ready(struct fake_world *world, uint64_t last)
{
    if (!fake_run(world, 120000)) {
        fail_msg("not ended; log at %lu, waits for: %s",
                 (unsigned long)fake_last(&world->members[0]).index, world->progress.waits_for);
    }
    if (world->outcome == MORTAR_SYNC_FAILED) fail_msg("%s", mortar_status_name(world->reason));
    assert_int_equal(world->outcome, MORTAR_SYNC_READY);
    assert_int_equal(world->ready.index, last);
    assert_int_equal(fake_last(&world->members[0]).index, last);
    assert_true(fake_is_truth(world, last));
    assert_int_equal(world->members[0].commit, last);
}

static inline const struct mortar_sync_source_progress *fake_source(const struct fake_world *world,
                                                                    uint32_t member)
{
    const struct mortar_member_id id = fake_id(member);
    for (uint32_t i = 0; i < world->progress.source_count; i++) {
        if (mortar_member_id_equal(&world->progress.sources[i].member, &id)) {
            return &world->progress.sources[i];
        }
    }
    fail_msg("member %u is no source", member);
    return &world->progress.sources[0];
}

#endif
