/* group/apply.c - committed entries go to the machine, in runs, one at a time; a marker splits the
 * runs and is told to the provider at its exact position; the core state follows. */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/found.h"
#include "wire/record.h"

#include <string.h>

/* ---- Work ---- */

struct mortar_work *work_new(struct mortar_core *core, enum work_kind kind,
                             enum mortar_work_place place)
{
    if (!core_reserve_effects(core, 1)) return NULL; /* For its WORK. */
    struct mortar_work *work = core_reserve(core, sizeof *work);
    if (work == NULL) return NULL;
    *work = (struct mortar_work){.kind = kind,
                                 .place = place,
                                 .machine_ops = core->machine_ops,
                                 .machine = core->machine,
                                 .allocator = &core->allocator};
    return work;
}

void work_issue(struct mortar_core *core, struct mortar_work *work)
{
    core->work_outstanding++;
    core_push_effect(core, &(struct mortar_effect){.type = MORTAR_EFFECT_WORK,
                                                   .work = {.place = work->place, .work = work}});
}

void work_free(struct mortar_core *core, struct mortar_work *work)
{
    if (work->kind == WORK_APPLY) {
        mortar_buffer_release(work->apply.run.buffer);
        core_release(core, work->apply.replies, work->apply.replies_capacity);
    }
    if (work->kind == WORK_QUERY) {
        mortar_buffer_release(work->query.query);
        mortar_buffer_release(work->query.answer);
    }
    core_release(core, work, sizeof *work);
}

/* ---- On the machine's thread ---- */

#define COMMANDS_AT_ONCE 256u

/* A command's place in its client session; sequence 0: it has none. */
struct client_place {
    uint64_t session;
    uint64_t sequence;
};

/* What mortar_apply_reply() and mortar_apply_pause() need beside the public part. */
struct apply_call {
    struct mortar_apply run; /* First: the machine sees this. */
    struct mortar_work *work;
    struct mortar_entry commands[COMMANDS_AT_ONCE]; /* Gathered so far, */
    struct client_place places[COMMANDS_AT_ONCE];
    uint32_t count;                                /* so many. */
    struct mortar_bytes replies[COMMANDS_AT_ONCE]; /* Copies, or empty. */
    uint32_t paused_at;                            /* run.count: not paused. */
};

static bool replies_reserve(struct mortar_work *work, size_t more)
{
    const size_t needed = work->apply.replies_bytes + more;
    if (needed <= work->apply.replies_capacity) return true;
    size_t capacity = work->apply.replies_capacity == 0 ? 4096 : work->apply.replies_capacity;
    while (capacity < needed)
        capacity *= 2;
    uint8_t *grown = work->allocator->resize(work->allocator->context, work->apply.replies,
                                             work->apply.replies_capacity, capacity);
    if (grown == NULL) {
        work->apply.replies_lost = true;
        return false;
    }
    work->apply.replies = grown;
    work->apply.replies_capacity = capacity;
    return true;
}

static void put_reply(struct mortar_work *work, struct mortar_bytes reply)
{
    if (!work->apply.collect || work->apply.replies_lost) return;
    if (!replies_reserve(work, 4u + reply.bytes)) return;
    struct writer out = writer_over(work->apply.replies + work->apply.replies_bytes,
                                    work->apply.replies_capacity - work->apply.replies_bytes);
    put_u32(&out, (uint32_t)reply.bytes);
    put_bytes(&out, reply);
    work->apply.replies_bytes += out.bytes;
}

/* Of an entry that has no reply of a machine. */
static void put_status(struct mortar_work *work, enum mortar_status status)
{
    if (status == MORTAR_OK) {
        put_reply(work, (struct mortar_bytes){0});
        return;
    }
    if (!work->apply.collect || work->apply.replies_lost || !replies_reserve(work, 4)) return;
    struct writer out = writer_over(work->apply.replies + work->apply.replies_bytes, 4);
    put_u32(&out, REPLY_STATUS | (uint32_t)status);
    work->apply.replies_bytes += out.bytes;
}

/* With the position of its first time, which the sessions may forget before the caller is told. */
static void put_repeated(struct mortar_work *work, struct mortar_position position,
                         struct mortar_bytes reply)
{
    const size_t bytes = 4u + 16u + reply.bytes;
    if (!work->apply.collect || work->apply.replies_lost || !replies_reserve(work, bytes)) return;
    struct writer out = writer_over(work->apply.replies + work->apply.replies_bytes, bytes);
    put_u32(&out, REPLY_REPEATED | (uint32_t)reply.bytes);
    put_position(&out, position);
    put_bytes(&out, reply);
    work->apply.replies_bytes += out.bytes;
}

void mortar_apply_reply(struct mortar_apply *run, uint32_t i, struct mortar_bytes reply)
{
    struct apply_call *call = (struct apply_call *)(void *)run;
    ASSERT(i < run->count);
    const struct client_place *place = &call->places[i];
    const bool keeps = call->work->apply.collect || !BUG(REPLY_KEPT_BY_ONE);
    if (place->sequence != 0 && keeps) {
        client_table_settle(call->work->apply.clients, place->session, place->sequence, reply);
    }
    if (!call->work->apply.collect || reply.bytes == 0) return;
    const struct mortar_allocator *allocator = call->work->allocator;
    if (reply.bytes > MORTAR_COMMAND_BYTES_LIMIT) {
        call->work->apply.replies_lost = true;
        return;
    }
    uint8_t *copy = allocator->reserve(allocator->context, reply.bytes);
    if (copy == NULL) {
        call->work->apply.replies_lost = true;
        return;
    }
    memcpy(copy, reply.data, reply.bytes);
    if (call->replies[i].bytes > 0) {
        allocator->release(allocator->context, (void *)(uintptr_t)call->replies[i].data,
                           call->replies[i].bytes);
    }
    call->replies[i] = (struct mortar_bytes){copy, reply.bytes};
}

void mortar_apply_pause(struct mortar_apply *run, uint32_t i)
{
    struct apply_call *call = (struct apply_call *)(void *)run;
    ASSERT(i < run->count);
    call->paused_at = i;
}

static void end_command(struct mortar_work *work, struct apply_call *call, uint32_t i)
{
    struct apply_outcome *outcome = &work->apply.outcome;
    const struct mortar_entry *entry = &call->commands[i];
    const struct client_place *place = &call->places[i];
    if (i < call->paused_at || BUG(PAUSE_SKIPS)) {
        put_reply(work, call->replies[i]);
        outcome->applied = entry->index;
        outcome->time_ms = entry->time_ms;
        outcome->commands++;
        outcome->command_bytes += entry->bytes.bytes;
    } else if (place->sequence != 0) {
        client_table_abandon(work->apply.clients, place->session, place->sequence);
    }
    if (call->replies[i].bytes == 0) return;
    work->allocator->release(work->allocator->context, (void *)(uintptr_t)call->replies[i].data,
                             call->replies[i].bytes);
}

/* The machine may leave a reply empty without a word. */
static void settle_empty(struct mortar_work *work, struct apply_call *call)
{
    for (uint32_t i = 0; i < call->count; i++) {
        const struct client_place *place = &call->places[i];
        if (place->sequence == 0) continue;
        client_table_settle(work->apply.clients, place->session, place->sequence,
                            (struct mortar_bytes){0});
    }
}

/* Applies the commands gathered; false when the machine paused. */
static bool apply_commands(struct mortar_work *work, struct apply_call *call)
{
    const uint32_t count = call->count;
    if (count == 0) return true;
    call->run = (struct mortar_apply){.commands = call->commands,
                                      .count = count,
                                      .term = call->commands[0].term,
                                      .committed = work->apply.committed,
                                      .group = work->apply.group};
    call->work = work;
    call->paused_at = count;
    memset(call->replies, 0, count * sizeof call->replies[0]);
    settle_empty(work, call);
    if (work->machine_ops != NULL) work->machine_ops->apply(work->machine, &call->run);
    for (uint32_t i = 0; i < count; i++)
        end_command(work, call, i);
    call->count = 0;
    work->apply.outcome.paused = call->paused_at < count;
    return !work->apply.outcome.paused;
}

static void note_entry(struct apply_outcome *outcome, const struct mortar_entry *entry)
{
    outcome->applied = entry->index;
    outcome->time_ms = entry->time_ms;
    if (entry->kind == MORTAR_ENTRY_CONFIG || entry->kind == MORTAR_ENTRY_FOUND) {
        outcome->config_index = entry->index;
        outcome->config_founds = entry->kind == MORTAR_ENTRY_FOUND;
        outcome->config = entry->bytes;
    }
}

/* ---- Client sessions (thesis 6.3) ---- */

static void gather(struct apply_call *call, const struct mortar_entry *entry,
                   struct mortar_bytes command, struct client_place place)
{
    call->commands[call->count] = *entry;
    call->commands[call->count].kind = MORTAR_ENTRY_COMMAND;
    call->commands[call->count].bytes = command;
    call->places[call->count] = place;
    call->count++;
}

/* A command that is not applied leaves a word all the same. */
static void refuse_command(struct mortar_work *work, const struct mortar_entry *entry,
                           enum mortar_status status)
{
    note_entry(&work->apply.outcome, entry);
    put_status(work, status);
}

static void repeat_reply(struct mortar_work *work, const struct mortar_entry *entry,
                         uint64_t session, const struct client_reply *reply)
{
    if (reply->state == CLIENT_REPLY_DROPPED) {
        refuse_command(work, entry, MORTAR_UNKNOWN); /* It happened; what it answered is gone. */
        return;
    }
    note_entry(&work->apply.outcome, entry);
    put_repeated(work, reply->position,
                 client_reply_bytes(client_table_find(work->apply.clients, session), reply));
}

/* False when the machine paused before it. What is not applied now is dealt with after all that was
 * gathered, so that replies stand in the order of entries. */
static bool take_client_command(struct mortar_work *work, struct apply_call *call,
                                const struct mortar_entry *entry)
{
    struct client_table *clients = work->apply.clients;
    struct client_command command;
    const struct client_reply *reply = NULL;
    const struct mortar_position position = {entry->index, entry->term};
    if (client_command_decode(entry->bytes, &command) != MORTAR_OK) {
        if (!apply_commands(work, call)) return false;
        refuse_command(work, entry, MORTAR_E_INVALID);
        return true;
    }
    enum client_verdict verdict =
        client_table_admit(clients, &command, position, entry->time_ms, &reply);
    if (verdict == CLIENT_WAITS) {
        if (!apply_commands(work, call)) return false;
        verdict = client_table_admit(clients, &command, position, entry->time_ms, &reply);
    }
    if (verdict == CLIENT_APPLY) {
        gather(call, entry, command.command,
               (struct client_place){command.session, command.sequence});
        return true;
    }
    if (!apply_commands(work, call)) return false;
    switch (verdict) {
    case CLIENT_DUPLICATE:
        repeat_reply(work, entry, command.session, reply);
        break;
    case CLIENT_UNKNOWN:
        refuse_command(work, entry, MORTAR_E_SESSION);
        break;
    case CLIENT_GONE:
        refuse_command(work, entry, MORTAR_UNKNOWN);
        break;
    case CLIENT_APPLY:
    case CLIENT_WAITS:
        ASSERT_NEVER("dealt with above");
    }
    return true;
}

/* False: no memory for another session; the entry comes again. */
static bool take_client_entry(struct mortar_work *work, const struct mortar_entry *entry)
{
    struct client_table *clients = work->apply.clients;
    struct client_entry client;
    enum mortar_status status = MORTAR_E_INVALID;
    if (client_entry_decode(entry->bytes, &client) != MORTAR_OK) {
        refuse_command(work, entry, status);
        return true;
    }
    switch (client.verb) {
    case CLIENT_OPEN:
        status = client_table_open(clients, entry->index, client.ttl_ms, entry->time_ms);
        break;
    case CLIENT_KEEP:
        status = client_table_keep(clients, client.session, entry->time_ms) ? MORTAR_OK
                                                                            : MORTAR_E_SESSION;
        break;
    case CLIENT_CLOSE:
        status = client_table_close(clients, client.session) ? MORTAR_OK : MORTAR_E_SESSION;
        break;
    }
    if (status == MORTAR_E_NO_MEMORY) {
        work->apply.outcome.paused = true;
        return false;
    }
    refuse_command(work, entry, status);
    return true;
}

/* ---- Runs ---- */

/* False: the run ends here. */
static bool take_entry(struct mortar_work *work, struct apply_call *call,
                       const struct mortar_entry *entry)
{
    const bool is_command =
        entry->kind == MORTAR_ENTRY_COMMAND || entry->kind == MORTAR_ENTRY_CLIENT_COMMAND;
    const bool is_due = client_table_due(work->apply.clients, entry->time_ms);
    const bool splits = !is_command || is_due || call->count == COMMANDS_AT_ONCE ||
                        (call->count > 0 && entry->term != call->commands[0].term);
    if (splits && !apply_commands(work, call)) return false;
    if (is_due) client_table_expire(work->apply.clients, entry->time_ms);
    if (entry->kind == MORTAR_ENTRY_MARKER) return false;
    if (entry->kind == MORTAR_ENTRY_CLIENT) return take_client_entry(work, entry);
    if (entry->kind == MORTAR_ENTRY_CLIENT_COMMAND) return take_client_command(work, call, entry);
    if (is_command) {
        gather(call, entry, entry->bytes, (struct client_place){0});
    } else {
        note_entry(&work->apply.outcome, entry);
        put_reply(work, (struct mortar_bytes){0});
    }
    return true;
}

/* Commands of one term go together; all other kinds are only noted; a marker ends the run. */
static void run_apply(struct mortar_work *work)
{
    struct apply_call call;
    call.count = 0;
    const struct mortar_log_run *run = &work->apply.run;
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    while (in.bytes > 0) {
        struct mortar_entry entry;
        const enum mortar_status status = record_decode(&in, &entry);
        ASSERT(status == MORTAR_OK); /* Verified when it entered the log. */
        if (!take_entry(work, &call, &entry)) return;
    }
    (void)apply_commands(work, &call);
}

struct mortar_answer {
    struct mortar_work *work;
    size_t bytes;
    enum mortar_status status;
};

#define ANSWER_BYTES_MIN 256u

enum mortar_status mortar_answer_write(struct mortar_answer *answer, struct mortar_bytes bytes)
{
    if (answer->status != MORTAR_OK) return answer->status;
    struct mortar_work *work = answer->work;
    if (bytes.bytes > MORTAR_COMMAND_BYTES_LIMIT - answer->bytes) {
        answer->status = MORTAR_E_TOO_LARGE;
        return answer->status;
    }
    const size_t needed = 4u + answer->bytes + bytes.bytes;
    if (needed > mortar_buffer_capacity(work->query.answer)) {
        struct mortar_buffer *grown = mortar_buffer_new(work->allocator, 2 * needed);
        if (grown == NULL) {
            answer->status = MORTAR_E_NO_MEMORY;
            return answer->status;
        }
        memcpy(mortar_buffer_data(grown), mortar_buffer_data(work->query.answer),
               4u + answer->bytes);
        mortar_buffer_release(work->query.answer);
        work->query.answer = grown;
    }
    if (bytes.bytes > 0) {
        memcpy(mortar_buffer_data(work->query.answer) + 4u + answer->bytes, bytes.data,
               bytes.bytes);
    }
    answer->bytes += bytes.bytes;
    return MORTAR_OK;
}

static void run_query(struct mortar_work *work)
{
    struct mortar_answer answer = {.work = work};
    work->query.answer = mortar_buffer_new(work->allocator, ANSWER_BYTES_MIN);
    if (work->query.answer == NULL) {
        work->query.status = MORTAR_E_NO_MEMORY;
        return;
    }
    const struct mortar_bytes query = {mortar_buffer_data(work->query.query),
                                       mortar_buffer_bytes(work->query.query)};
    const enum mortar_status status = work->machine_ops->query(work->machine, query, &answer);
    work->query.status = answer.status != MORTAR_OK ? answer.status : status;
    struct writer length = writer_over(mortar_buffer_data(work->query.answer), 4);
    put_u32(&length, (uint32_t)answer.bytes);
    mortar_buffer_set_bytes(work->query.answer, 4u + answer.bytes);
}

void apply_work_run(struct mortar_work *work)
{
    if (work->kind == WORK_APPLY) {
        run_apply(work);
    } else {
        run_query(work);
    }
}

/* ---- On the group's thread ---- */

struct client_table *core_client_table_new(struct mortar_core *core)
{
    struct client_table *clients = core_reserve(core, sizeof *clients);
    if (clients != NULL) client_table_init(clients, &core->allocator);
    return clients;
}

void core_client_table_free(struct mortar_core *core, struct client_table *clients)
{
    if (clients == NULL) return;
    client_table_deinit(clients);
    core_release(core, clients, sizeof *clients);
}

void apply_on_commit(struct mortar_core *core, struct mortar_position position)
{
    ASSERT(position.index >= core->committed.index);
    if (position.index == core->committed.index) return;
    core->committed = position;
    core->changed = true;
    const struct mortar_sync_provider_ops *ops = core->method->provider;
    if (core->provider_open && ops->committed != NULL) {
        ops->committed(core->provider.self, position);
    }
    requests_on_committed(core);
}

#define APPLY_PAUSE_MS 50u

static void issue_run(struct mortar_core *core, const struct mortar_log_run *run)
{
    struct mortar_work *work = work_new(core, WORK_APPLY, MORTAR_WORK_APPLY);
    if (work == NULL) {
        core->apply_retry_ms = core->now_ms + APPLY_PAUSE_MS;
        return;
    }
    work->apply.run = *run;
    (void)mortar_buffer_share(run->buffer);
    work->apply.installs = core->installs;
    work->apply.group = core->options.group;
    work->apply.committed = core->committed.index;
    work->apply.clients = core->clients;
    if (BUG(EXPIRED_BY_OWN_CLOCK)) client_table_expire(core->clients, core->wall_ms);
    work->apply.collect = requests_wait_for_replies(core);
    work->apply.outcome.applied = run->first - 1;
    work->apply.outcome.time_ms = core->state.time_ms;
    core->apply_running = true;
    work_issue(core, work);
}

static void tell_marker(struct mortar_core *core, const struct mortar_log_run *run)
{
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    struct mortar_entry entry;
    const enum mortar_status status = record_decode(&in, &entry);
    ASSERT(status == MORTAR_OK);
    ASSERT(entry.kind == MORTAR_ENTRY_MARKER);
    core->state.applied = (struct mortar_anchor_point){{entry.index, entry.term}, entry.sum};
    core->state.time_ms = entry.time_ms;
    core->changed = true;
    TRACE(core, MARKER, NULL, entry.index, entry.bytes.bytes);
    const struct mortar_sync_provider_ops *ops = core->method->provider;
    if (!core->provider_open || ops->marker == NULL) return;
    ops->marker(core->provider.self, core->state.applied.position, entry.bytes);
}

static bool starts_with_marker(const struct mortar_log_run *run)
{
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    struct mortar_entry entry;
    return record_decode(&in, &entry) == MORTAR_OK && entry.kind == MORTAR_ENTRY_MARKER;
}

static void on_apply_read(struct mortar_core *core, void *argument, enum mortar_status status,
                          const struct mortar_log_run *run)
{
    (void)argument;
    core->apply_reading = false;
    if (core->stopped || core->failure != MORTAR_OK) return;
    if (status != MORTAR_OK) {
        core->apply_retry_ms = core->now_ms + APPLY_PAUSE_MS;
        return;
    }
    /* An install may have overtaken the read. */
    if (core->machine_held || run->first != core->state.applied.position.index + 1) return;
    if (starts_with_marker(run)) {
        tell_marker(core, run);
    } else {
        issue_run(core, run);
    }
}

void apply_more(struct mortar_core *core)
{
    while (core->failure == MORTAR_OK && !core->stopped && !core->apply_reading &&
           !core->apply_running && !core->machine_held) {
        const uint64_t next = core->state.applied.position.index + 1;
        const uint64_t last = BUG(APPLY_UNCOMMITTED) ? log_last(core).index : core->committed.index;
        if (next > last) return;
        if (core->apply_retry_ms > core->now_ms) return; /* After a pause, or for lack of memory. */
        core->apply_reading = true;
        if (log_read(core, next, last, core->options.apply_bytes, on_apply_read, NULL) !=
            MORTAR_OK) {
            core->apply_reading = false;
            return;
        }
        drive_settle(core);
        if (core->apply_reading) return; /* The storage answers later. */
    }
}

static void adopt_config(struct core_state *state, const struct apply_outcome *outcome)
{
    struct found found;
    enum mortar_status status;
    if (outcome->config_founds) {
        status = found_decode(outcome->config, &found);
        state->config = found.config;
    } else {
        status = config_decode(outcome->config, &state->config);
    }
    ASSERT(status == MORTAR_OK); /* Checked when it entered the log. */
    state->config_index = outcome->config_index;
}

/* The state that the work saw was that of the applied index: works of the machine's thread run in
 * order, so an exclusive job that replaces the state comes after it. Only an install without such
 * a job can overtake it. */
void apply_on_work(struct mortar_core *core, struct mortar_work *work)
{
    core->apply_running = false;
    core_client_table_free(core, core->clients_retired);
    core->clients_retired = NULL;
    const struct apply_outcome *outcome = &work->apply.outcome;
    if (work->apply.installs != core->installs) return;
    struct mortar_anchor_point *applied = &core->state.applied;
    if (outcome->applied > applied->position.index) {
        applied->position.index = outcome->applied;
        const bool known = log_term_at(core, outcome->applied, &applied->position.term) &&
                           log_sum_at(core, outcome->applied, &applied->sum);
        ASSERT(known); /* Nothing above the applied index is ever pruned. */
        core->state.time_ms = outcome->time_ms;
        core->counters.commands_applied += outcome->commands;
        core->counters.bytes_applied += outcome->command_bytes;
        core->changed = true;
    }
    if (outcome->config_index != 0) adopt_config(&core->state, outcome);
    if (outcome->paused) {
        MARK(APPLY_PAUSED);
        core->apply_retry_ms = core->now_ms + APPLY_PAUSE_MS;
    }
    if (!core->stopped && core->failure == MORTAR_OK) requests_on_applied(core, work);
}
