/* sim/client.c - requests, their answers, and what the judges are told of them. */
#include "sim/client.h"

#include "sim/session_client.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX         64u
#define OPERATOR_US       200000u
#define OPERATOR_RETRY_US 500000u

/* Who waits for a request. */
struct op_owner {
    uint64_t bytes;          /* Of its commands. */
    struct replica *replica; /* NULL: it has ended. */
    uint32_t client;         /* From 1; 0: none of the workload's. */
    enum op_kind kind;
    bool ended;
    enum mortar_status status;
    bool tries;        /* One try of a session client: the judges know the request, not this. */
    uint64_t sequence; /* Of its command; 0: none. */
    const struct replica *target; /* Of a transfer; NULL: anyone. */
    uint64_t led_before; /* Highest term that it led when it was asked for, and leads no more. */
};

/* What a client writes: enough to ask for the same again. */
struct wish {
    bool open; /* It did not come true for certain, and the client asks again. */
    enum mortar_request_kind kind;
    uint32_t count;
    uint32_t bytes; /* Of each command. */
    uint32_t timeout_ms;
    struct prng prng; /* Its commands follow from it. */
};

void clients_init(struct sim *sim, const struct workload *workload, uint64_t seed)
{
    sim->clients = (struct clients){
        .workload = *workload,
        .prng = prng_seeded(seed),
        .next_op = 1,
        .next_command = 1,
        .owners.item_bytes = sizeof(struct op_owner),
        .wishes.item_bytes = sizeof(struct wish),
        .sessions.item_bytes = sizeof(struct session_client),
    };
}

void clients_deinit(struct sim *sim)
{
    table_deinit(&sim->clients.owners);
    table_deinit(&sim->clients.wishes);
    table_deinit(&sim->clients.sessions);
}

/* ---- Requests ---- */

static void count_bytes(struct clients *clients, uint64_t op, uint64_t bytes)
{
    ((struct op_owner *)table_find(&clients->owners, op))->bytes = bytes;
    clients->bytes_open += bytes;
    if (clients->bytes_open > clients->bytes_open_max) {
        clients->bytes_open_max = clients->bytes_open;
    }
}

static uint64_t op_begin(struct sim *sim, struct replica *replica, enum op_kind kind,
                         uint32_t client, uint32_t count)
{
    struct clients *clients = &sim->clients;
    const uint64_t op = clients->next_op++;
    struct op_owner *owner = table_at(&clients->owners, op);
    *owner = (struct op_owner){.replica = replica, .client = client, .kind = kind};
    judge_invoke(&sim->judges, op, kind, replica->number, clients->next_command, count);
    clients->next_command += count;
    clients->open++;
    return op;
}

static struct op_owner *op_end(struct sim *sim, uint64_t op, enum mortar_status status)
{
    struct op_owner *owner = table_find(&sim->clients.owners, op);
    if (owner == NULL || owner->ended) return NULL; /* The judge of history speaks up about it. */
    owner->ended = true;
    owner->replica = NULL;
    owner->status = status;
    sim->clients.open--;
    sim->clients.bytes_open -= owner->bytes;
    if (status == MORTAR_OK) {
        sim->clients.succeeded++;
    } else {
        sim->clients.failed++;
    }
    return owner;
}

uint64_t client_op(struct sim *sim, struct replica *replica, uint64_t *out_command)
{
    *out_command = sim->clients.next_command;
    const uint64_t op = op_begin(sim, replica, OP_EXECUTE, 0, 1);
    ((struct op_owner *)table_find(&sim->clients.owners, op))->replica = NULL; /* Its tries'. */
    return op;
}

uint64_t client_try(struct sim *sim, struct replica *replica, uint32_t client, uint64_t sequence,
                    uint32_t bytes)
{
    const uint64_t attempt = sim->clients.next_op++;
    struct op_owner *owner = table_at(&sim->clients.owners, attempt);
    *owner = (struct op_owner){
        .replica = replica, .client = client, .tries = true, .sequence = sequence};
    sim->clients.open++;
    count_bytes(&sim->clients, attempt, bytes);
    return attempt;
}

/* A request that was refused at once ends here: it never happened. */
static uint64_t op_accepted(struct sim *sim, uint64_t op, enum mortar_status status)
{
    if (status == MORTAR_OK) return op;
    const struct mortar_position nowhere = {0};
    judge_write_done(&sim->judges, op, status, nowhere, nowhere, NULL, 0);
    op_end(sim, op, status);
    return 0;
}

/* The commands of one request, back to back, each behind its length. */
static uint8_t *commands_new(struct sim *sim, enum machine_kind machine, const struct wish *wish)
{
    const size_t one = 4u + wish->bytes;
    struct prng prng = wish->prng;
    uint8_t *items = calloc(wish->count, one);
    if (items == NULL) abort();
    for (uint32_t i = 0; i < wish->count; i++) {
        uint8_t *command = items + i * one + 4;
        memcpy(items + i * one, &wish->bytes, 4);
        sim_machine_command(machine, &prng, sim->clients.next_command + i, command, wish->bytes);
        if (wish->kind == MORTAR_REQUEST_FEED) sim_machine_make_blind(machine, command);
    }
    return items;
}

static uint64_t write_as(struct sim *sim, struct replica *replica, uint32_t client,
                         const struct wish *wish)
{
    const enum machine_kind machine = replica->options.machine;
    const size_t one = 4u + wish->bytes;
    if (wish->bytes > sim->clients.largest) sim->clients.largest = wish->bytes;
    uint8_t *items = commands_new(sim, machine, wish);
    const uint64_t op =
        op_begin(sim, replica, wish->kind == MORTAR_REQUEST_EXECUTE ? OP_EXECUTE : OP_FEED, client,
                 wish->count);
    count_bytes(&sim->clients, op, wish->count * one);
    for (uint32_t i = 0; i < wish->count; i++) {
        const struct deed deed = sim_machine_deed(machine, items + i * one + 4);
        judge_deed(&sim->judges, op, &deed);
    }
    const enum mortar_status status = mortar_core_submit(
        replica->core, op, wish->kind, (struct mortar_bytes){items, wish->count * one}, wish->count,
        wish->timeout_ms);
    free(items);
    const uint64_t accepted = op_accepted(sim, op, status);
    replica_settle(replica);
    return accepted;
}

uint64_t client_write(struct sim *sim, struct replica *replica, enum mortar_request_kind kind,
                      uint32_t count, uint32_t command_bytes, uint32_t timeout_ms)
{
    const struct wish wish = {
        .kind = kind,
        .count = count,
        .bytes =
            command_bytes < MACHINE_COMMAND_BYTES_MIN ? MACHINE_COMMAND_BYTES_MIN : command_bytes,
        .timeout_ms = timeout_ms,
        .prng = prng_fork(&sim->clients.prng),
    };
    return write_as(sim, replica, 0, &wish);
}

static uint64_t read_as(struct sim *sim, struct replica *replica, uint32_t client,
                        enum mortar_read_mode mode, uint32_t timeout_ms)
{
    const uint8_t key = sim_machine_key(replica->options.machine, &sim->clients.prng);
    const uint64_t op = op_begin(
        sim, replica, mode == MORTAR_READ_LINEARIZABLE ? OP_READ_LINEARIZABLE : OP_READ_LOCAL,
        client, 0);
    judge_deed(&sim->judges, op, &(struct deed){.kind = DEED_READ, .key = key});
    const enum mortar_status status =
        mortar_core_query(replica->core, op, mode, (struct mortar_bytes){&key, 1}, timeout_ms);
    const uint64_t accepted = op_accepted(sim, op, status);
    replica_settle(replica);
    return accepted;
}

uint64_t client_read(struct sim *sim, struct replica *replica, enum mortar_read_mode mode,
                     uint32_t timeout_ms)
{
    return read_as(sim, replica, 0, mode, timeout_ms);
}

uint64_t client_change(struct sim *sim, struct replica *replica,
                       const struct mortar_change *changes, uint32_t count, uint32_t timeout_ms)
{
    const uint64_t op = op_begin(sim, replica, OP_CHANGE, 0, 0);
    const enum mortar_status status =
        mortar_core_change(replica->core, op, changes, count, timeout_ms);
    const uint64_t accepted = op_accepted(sim, op, status);
    replica_settle(replica);
    return accepted;
}

uint64_t client_transfer(struct sim *sim, struct replica *replica, struct replica *target,
                         uint32_t timeout_ms)
{
    const uint64_t op = op_begin(sim, replica, OP_TRANSFER, 0, 0);
    struct op_owner *owner = table_find(&sim->clients.owners, op);
    owner->target = target;
    if (target != NULL) owner->led_before = target->leads ? 0 : target->lead_said;
    const enum mortar_status status =
        mortar_core_transfer(replica->core, op, target == NULL ? NULL : &target->id, timeout_ms);
    const uint64_t accepted = op_accepted(sim, op, status);
    replica_settle(replica);
    return accepted;
}

bool client_ended(const struct sim *sim, uint64_t op, enum mortar_status *out_status)
{
    const struct op_owner *owner = table_find(&sim->clients.owners, op);
    if (owner == NULL || !owner->ended) return false;
    *out_status = owner->status;
    return true;
}

/* ---- Answers ---- */

static void client_think(struct sim *sim, uint32_t client);

/* Its last write failed, or may have: it may ask again. */
static void client_failed(struct sim *sim, uint32_t client)
{
    struct wish *wish = table_at(&sim->clients.wishes, client);
    wish->open = prng_chance(&sim->clients.prng, sim->clients.workload.retry_percent, 100);
}

static void client_answered(struct sim *sim, const struct op_owner *owner)
{
    const bool writes = owner->kind == OP_EXECUTE || owner->kind == OP_FEED;
    if (writes && owner->status != MORTAR_OK) client_failed(sim, owner->client);
    client_think(sim, owner->client);
}

static void judge_reply(struct sim *sim, uint64_t op, uint32_t number, struct mortar_bytes reply)
{
    bool happened = false;
    uint64_t got = 0;
    if (!sim_machine_got(sim->options.replica.machine, reply, &happened, &got)) {
        verdict_fail(&sim->verdict, "history", "request %llu got a reply of %zu bytes",
                     (unsigned long long)op, reply.bytes);
    }
    judge_deed_got(&sim->judges, op, number, happened, got);
}

static void judge_execute(struct sim *sim, uint64_t op, const struct mortar_result *result)
{
    uint64_t replies[BATCH_MAX] = {0};
    uint32_t count = 0;
    if (result->replies != NULL && result->count <= BATCH_MAX) {
        const uint8_t *data = mortar_buffer_data(result->replies);
        const size_t bytes = mortar_buffer_bytes(result->replies);
        size_t at = 0;
        while (count < result->count && at + 4 <= bytes) {
            uint32_t length;
            memcpy(&length, data + at, 4);
            if (length > bytes - at - 4) break;
            const struct mortar_bytes reply = {data + at + 4, length};
            judge_reply(sim, op, count, reply);
            replies[count++] = sim_hash_once(reply);
            at += 4 + length;
        }
    }
    judge_write_done(&sim->judges, op, result->status, result->first, result->last, replies, count);
    if (result->status == MORTAR_OK && result->last.index > sim->clients.last_index) {
        sim->clients.last_index = result->last.index;
    }
}

static void judge_read(struct sim *sim, uint64_t op, const struct mortar_result *result)
{
    struct machine_answer answer = {0};
    if (result->status == MORTAR_OK) {
        const size_t bytes = result->replies == NULL ? 0 : mortar_buffer_bytes(result->replies);
        if (bytes != 4 + sizeof answer) {
            verdict_fail(&sim->verdict, "history", "read %llu is answered by %zu bytes",
                         (unsigned long long)op, bytes);
            return;
        }
        memcpy(&answer, mortar_buffer_data(result->replies) + 4, sizeof answer);
        sim->clients.reads_succeeded++;
        judge_deed_got(&sim->judges, op, 0, true, answer.value);
    }
    judge_read_done(&sim->judges, op, result->status, answer.last, answer.state);
}

void client_judge(struct sim *sim, uint64_t op, const struct mortar_result *result)
{
    judge_execute(sim, op, result);
    (void)op_end(sim, op, result->status);
}

/* A try has an end of its own. */
static void try_done(struct sim *sim, uint64_t attempt, const struct mortar_result *result)
{
    const struct op_owner *ended = op_end(sim, attempt, result->status);
    if (ended == NULL) {
        verdict_fail(&sim->verdict, "history", "request %llu is answered twice",
                     (unsigned long long)attempt);
        return;
    }
    const uint32_t client = ended->client;
    session_client_answered(sim, client, ended->sequence, result);
    client_think(sim, client);
}

void client_refused(struct sim *sim, struct replica *replica, uint64_t attempt,
                    enum mortar_status status)
{
    (void)replica;
    const struct mortar_result result = {.status = status};
    try_done(sim, attempt, &result);
}

void client_done(struct sim *sim, struct replica *replica, uint64_t op,
                 const struct mortar_result *result)
{
    (void)replica;
    const struct op_owner *owner = table_find(&sim->clients.owners, op);
    if (owner != NULL && owner->tries) {
        try_done(sim, op, result);
        return;
    }
    const enum op_kind kind = owner == NULL ? OP_EXECUTE : owner->kind;
    if (kind == OP_READ_LINEARIZABLE || kind == OP_READ_LOCAL) {
        judge_read(sim, op, result);
    } else {
        judge_execute(sim, op, result);
    }
    if (kind == OP_TRANSFER && result->status == MORTAR_OK && owner->target != NULL) {
        const struct replica *target = owner->target;
        judge_handed_over(&sim->judges, target->number, target->lead_said, owner->led_before);
    }
    const struct op_owner *ended = op_end(sim, op, result->status);
    if (ended != NULL && ended->client != 0) client_answered(sim, ended);
}

void client_replica_gone(struct sim *sim, struct replica *replica)
{
    for (uint64_t op = 1; op < sim->clients.next_op; op++) {
        const struct op_owner *owner = table_find(&sim->clients.owners, op);
        if (owner->replica != replica) continue;
        if (owner->tries) {
            try_done(sim, op, &(struct mortar_result){.status = MORTAR_UNKNOWN});
            continue;
        }
        judge_op_lost(&sim->judges, op);
        const struct op_owner *ended = op_end(sim, op, MORTAR_UNKNOWN);
        if (ended != NULL && ended->client != 0) client_answered(sim, ended);
    }
}

/* ---- The workload ---- */

static struct replica *pick_replica(struct sim *sim)
{
    struct replica *live[SIM_REPLICAS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        struct replica *replica = sim->replicas[i];
        const bool serves = replica_is_live(replica) && !replica_is_paused(replica);
        if (serves && !replica->copy && !replica->dying) live[count++] = replica;
    }
    return count == 0 ? NULL : live[prng_below(&sim->clients.prng, count)];
}

static struct wish draw_wish(struct sim *sim, uint32_t timeout_ms)
{
    const struct workload *workload = &sim->clients.workload;
    struct prng *prng = &sim->clients.prng;
    const bool big = prng_chance(prng, workload->big_permille, 1000);
    const bool feeds = prng_chance(prng, workload->feed_percent, 100);
    return (struct wish){
        .kind = feeds ? MORTAR_REQUEST_FEED : MORTAR_REQUEST_EXECUTE,
        .count = big ? 1 : (uint32_t)prng_between(prng, 1, workload->batch_max),
        .bytes = big ? workload->big_bytes
                     : (uint32_t)prng_between(prng, workload->command_bytes_min,
                                              workload->command_bytes_max),
        .timeout_ms = timeout_ms,
        .prng = prng_fork(prng),
    };
}

static uint64_t one_write(struct sim *sim, struct replica *replica, uint32_t client,
                          uint32_t timeout_ms)
{
    struct wish *wish = table_at(&sim->clients.wishes, client);
    if (wish->open) {
        sim->clients.retries++;
    } else {
        *wish = draw_wish(sim, timeout_ms);
    }
    wish->open = false;
    const struct wish now = *wish;
    const uint64_t op = write_as(sim, replica, client, &now);
    if (op == 0) client_failed(sim, client);
    return op;
}

static void on_cancel(struct sim *sim, struct sim_event *event)
{
    const struct op_owner *owner = table_find(&sim->clients.owners, event->numbers[0]);
    if (owner->ended) return;
    mortar_core_cancel(event->target->core, event->numbers[0]);
    replica_settle(event->target);
}

static void on_client(struct sim *sim, struct sim_event *event)
{
    struct clients *clients = &sim->clients;
    const struct workload *workload = &clients->workload;
    const uint32_t client = (uint32_t)event->numbers[0];
    if (!clients->running) return;
    struct replica *replica = pick_replica(sim);
    const uint32_t timeout_ms =
        (uint32_t)prng_between(&clients->prng, workload->timeout_ms_min, workload->timeout_ms_max);
    uint64_t op = 0;
    const struct wish *wish = table_at(&clients->wishes, client);
    const bool tries = session_client_is(sim, client) && session_client_tries(sim, client);
    const bool reads =
        !wish->open && !tries && prng_chance(&clients->prng, workload->read_percent, 100);
    if (replica != NULL && !reads && session_client_is(sim, client)) {
        session_client_step(sim, replica, client, timeout_ms);
        return; /* Its answer, or refusal, lets it think. */
    }
    if (replica != NULL && reads) {
        const bool local = prng_chance(&clients->prng, workload->local_percent, 100);
        op = read_as(sim, replica, client, local ? MORTAR_READ_LOCAL : MORTAR_READ_LINEARIZABLE,
                     timeout_ms);
    } else if (replica != NULL) {
        op = one_write(sim, replica, client, timeout_ms);
    }
    if (op == 0) {
        client_think(sim, client);
    } else if (prng_chance(&clients->prng, workload->cancel_permille, 1000)) {
        sim_at(sim, (struct sim_event){
                        .at_us = sim->now_us + prng_below(&clients->prng, 20000),
                        .target = replica,
                        .run = on_cancel,
                        .numbers = {op},
                    });
    }
}

static void client_think(struct sim *sim, uint32_t client)
{
    const struct workload *workload = &sim->clients.workload;
    sim_at(sim, (struct sim_event){
                    .at_us = sim->now_us + prng_between(&sim->clients.prng, workload->think_us_min,
                                                        workload->think_us_max),
                    .run = on_client,
                    .numbers = {client},
                });
}

void clients_start(struct sim *sim)
{
    sim->clients.running = true;
    for (uint32_t i = 1; i <= sim->clients.workload.clients; i++)
        client_think(sim, i);
}

void clients_stop(struct sim *sim)
{
    sim->clients.running = false;
    session_clients_stop(sim);
}

/* ---- The operator ---- */

static void ask_removal(struct sim *sim, struct replica *leaving)
{
    struct replica *at = pick_replica(sim);
    if (at == NULL) return;
    const struct mortar_change change = {.kind = MORTAR_REMOVE, .member = leaving->id};
    leaving->change_at_us = sim->now_us;
    leaving->removal_asked = true;
    leaving->change_open = client_change(sim, at, &change, 1, 2000);
}

/* One step towards having `leaving` out of the group. */
static void operate(struct sim *sim, struct replica *leaving)
{
    enum mortar_status status;
    if (leaving->change_open != 0) {
        if (!client_ended(sim, leaving->change_open, &status)) return;
        leaving->change_open = 0;
        leaving->forgotten = status == MORTAR_OK || status == MORTAR_E_NOT_FOUND;
        if (status == MORTAR_OK) leaving->removed_at = sim->judges.committed_last;
    }
    if (leaving->forgotten) {
        if (replica_is_live(leaving)) replica_close(leaving, REPLICA_LEFT);
        return;
    }
    if (sim->now_us >= leaving->change_at_us + OPERATOR_RETRY_US) ask_removal(sim, leaving);
}

/* By the policy (remove_gone_ms) it lost its place, and has come to know of it. */
static bool was_swapped_out(struct sim *sim, const struct replica *replica)
{
    struct mortar_core_status status;
    if (sim->options.replica.core.remove_gone_ms == 0 || !replica_is_live(replica)) return false;
    if (replica->copy || replica->leaving) return false;
    sim_status(sim, replica->number, &status);
    return status.removed;
}

static void on_operator(struct sim *sim, struct sim_event *event)
{
    (void)event;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        struct replica *replica = sim->replicas[i];
        if (was_swapped_out(sim, replica)) {
            replica->leaving = replica->forgotten = true;
            replica->removed_at = sim->judges.committed_last;
        }
        if (replica->leaving && !(replica->forgotten && !replica_is_live(replica))) {
            operate(sim, replica);
        }
    }
    operator_start(sim);
}

void operator_start(struct sim *sim)
{
    sim_at(sim, (struct sim_event){.at_us = sim->now_us + OPERATOR_US, .run = on_operator});
}
