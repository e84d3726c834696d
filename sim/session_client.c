/* sim/session_client.c - clients that have a session, and ask for the same again until they know.
 *
 * To the judges the first try and all that follow are one request: it must be applied at most once,
 * and its answer, whenever and wherever it comes, must be that of its one application.
 *
 *   no session --open--> idle --write--> trying --answered--> idle
 *                                          |  \--no word yet: again, anywhere
 *                                          \--session gone--> no session
 */
#include "sim/session_client.h"

#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

#define TRIES_MAX   12u
#define KEEP_CHANCE 20u
#define TTL_MS_MIN  1000u

static struct session_client *client_of(struct sim *sim, uint32_t client)
{
    return table_at(&sim->clients.sessions, client);
}

bool session_client_is(const struct sim *sim, uint32_t client)
{
    return client <= sim->clients.workload.session_clients;
}

bool session_client_tries(struct sim *sim, uint32_t client)
{
    return client_of(sim, client)->op != 0;
}

/* ---- Ends ---- */

static void finish(struct sim *sim, struct session_client *self, const struct mortar_result *result)
{
    client_judge(sim, self->op, result);
    self->op = 0;
}

static void give_up(struct sim *sim, struct session_client *self, enum mortar_status status)
{
    const struct mortar_result result = {.status = self->unsure ? MORTAR_UNKNOWN : status};
    finish(sim, self, &result);
}

void session_clients_stop(struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->clients.workload.session_clients; i++) {
        struct session_client *self = client_of(sim, i);
        if (self->op != 0 && !self->tried) give_up(sim, self, MORTAR_UNKNOWN);
    }
}

/* ---- Requests ---- */

static void execute(struct sim *sim, struct replica *replica, uint32_t client)
{
    struct session_client *self = client_of(sim, client);
    const enum machine_kind machine = replica->options.machine;
    struct prng prng = self->prng;
    uint8_t *bytes = calloc(1, self->bytes);
    if (bytes == NULL) abort();
    sim_machine_command(machine, &prng, self->command, bytes, self->bytes);
    const struct mortar_session_command command = {
        .session = self->session,
        .sequence = self->sequence,
        .acked = self->sequence - 1,
        .bytes = {bytes, self->bytes},
    };
    const uint64_t try = client_try(sim, replica, client, self->sequence, self->bytes);
    self->tries++;
    self->tried = true;
    const enum mortar_status status =
        mortar_core_session_execute(replica->core, try, &command, self->timeout_ms);
    free(bytes);
    if (status != MORTAR_OK) client_refused(sim, replica, try, status);
    replica_settle(replica);
}

static void begin_write(struct sim *sim, struct replica *replica, uint32_t client,
                        uint32_t timeout_ms)
{
    struct session_client *self = client_of(sim, client);
    const struct workload *workload = &sim->clients.workload;
    const uint64_t session = self->session;
    const uint64_t sequence = self->sequence + 1;
    *self = (struct session_client){
        .session = session,
        .sequence = sequence,
        .bytes = (uint32_t)prng_between(&sim->clients.prng, workload->command_bytes_min,
                                        workload->command_bytes_max),
        .timeout_ms = timeout_ms,
        .prng = prng_fork(&sim->clients.prng),
    };
    self->op = client_op(sim, replica, &self->command);
    if (self->bytes > sim->clients.largest) sim->clients.largest = self->bytes;
    uint8_t head[MACHINE_COMMAND_BYTES_MIN];
    struct prng prng = self->prng;
    sim_machine_command(replica->options.machine, &prng, self->command, head, sizeof head);
    const struct deed deed = sim_machine_deed(replica->options.machine, head);
    judge_deed(&sim->judges, self->op, &deed);
    execute(sim, replica, client);
}

/* Opens a session, or says that it is still used; now and then it is closed. */
static void care(struct sim *sim, struct replica *replica, uint32_t client, uint32_t timeout_ms)
{
    const struct session_client *self = client_of(sim, client);
    const uint64_t try = client_try(sim, replica, client, 0, 0);
    enum mortar_status status;
    if (self->session == 0) {
        const uint64_t ttl_ms =
            prng_between(&sim->clients.prng, TTL_MS_MIN, sim->clients.workload.session_ttl_ms);
        status = mortar_core_session_open(replica->core, try, ttl_ms, timeout_ms);
    } else if (prng_chance(&sim->clients.prng, 1, 2)) {
        status = mortar_core_session_keep(replica->core, try, self->session, timeout_ms);
    } else {
        status = mortar_core_session_close(replica->core, try, self->session, timeout_ms);
        client_of(sim, client)->session = 0; /* Whatever comes of it. */
    }
    if (status != MORTAR_OK) client_refused(sim, replica, try, status);
    replica_settle(replica);
}

void session_client_step(struct sim *sim, struct replica *replica, uint32_t client,
                         uint32_t timeout_ms)
{
    struct session_client *self = client_of(sim, client);
    if (self->op != 0) {
        sim->clients.retries++;
        execute(sim, replica, client);
    } else if (self->session == 0 || prng_chance(&sim->clients.prng, 1, KEEP_CHANCE)) {
        care(sim, replica, client, timeout_ms);
    } else {
        begin_write(sim, replica, client, timeout_ms);
    }
}

/* ---- Answers ---- */

static void care_answered(struct session_client *self, const struct mortar_result *result)
{
    if (result->status == MORTAR_E_SESSION) self->session = 0;
    const bool opened = result->status == MORTAR_OK && self->session == 0 && self->op == 0;
    if (!opened || result->first.index == 0) return;
    *self = (struct session_client){.session = result->first.index};
}

void session_client_answered(struct sim *sim, uint32_t client, uint64_t sequence,
                             const struct mortar_result *result)
{
    struct session_client *self = client_of(sim, client);
    if (sequence == 0) {
        care_answered(self, result);
        return;
    }
    self->tried = false;
    const bool is_open = result->status == MORTAR_UNKNOWN || result->status == MORTAR_E_CANCELLED ||
                         result->status == MORTAR_E_CLOSED || result->status == MORTAR_E_FAILED;
    self->unsure = self->unsure || is_open;
    const bool gone = result->status == MORTAR_E_SESSION;
    if (gone) self->session = 0;
    if (result->status == MORTAR_OK) {
        finish(sim, self, result);
    } else if (gone || self->tries >= TRIES_MAX || !sim->clients.running) {
        give_up(sim, self, result->status);
    }
}
