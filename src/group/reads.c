/* group/reads.c - queries: local ones at once, linearizable ones by read index (thesis 6.4, C2).
 *
 *   NEW --leader--> ROUND --confirmed--> APPLY --applied--> RUNNING --> done
 *   NEW --follower--> REMOTE --index--> APPLY
 *
 * All that are NEW at a flush share one round, or one question to the leader.
 */
#include "base/assert.h"
#include "group/internal.h"

#include <string.h>

/* Pause before asking again after a refusal, as for forwarded requests. */
#define REFUSED_RETRY_MS 50u

static void query_free(struct mortar_core *core, struct query *query)
{
    mortar_buffer_release(query->bytes);
    core_release(core, query, sizeof *query);
    ASSERT(core->queries_count > 0);
    core->queries_count--;
}

/* Takes `query` out; `before` is the one before it, NULL for the first. */
static void unlink_query(struct mortar_core *core, struct query *query, struct query *before)
{
    if (before != NULL) {
        before->next = query->next;
    } else {
        core->queries = query->next;
    }
    if (core->queries_last == query) core->queries_last = before;
    query->next = NULL;
}

static void finish_query(struct mortar_core *core, struct query *query, enum mortar_status status,
                         struct mortar_buffer *answer)
{
    struct mortar_effect effect = {.type = MORTAR_EFFECT_DONE,
                                   .done = {.id = query->id, .result = {.status = status}}};
    struct mortar_result *result = &effect.done.result;
    if (status == MORTAR_OK) {
        result->first = core->state.applied.position;
        result->last = result->first;
        result->count = 1;
        result->replies = mortar_buffer_share(answer);
    }
    core_push_effect(core, &effect);
    query_free(core, query);
}

enum mortar_status mortar_core_query(struct mortar_core *core, uint64_t id,
                                     enum mortar_read_mode mode, struct mortar_bytes query_bytes,
                                     uint32_t timeout_ms)
{
    if (core->stopped) return MORTAR_E_CLOSED;
    if (core->failure != MORTAR_OK) return MORTAR_E_FAILED;
    if (core->machine_ops == NULL || core->machine_ops->query == NULL) {
        return MORTAR_E_NOT_SUPPORTED;
    }
    if (query_bytes.bytes > core->options.command_bytes_max) return MORTAR_E_TOO_LARGE;
    if (core->queries_count >= core->options.requests_max) {
        core->counters.requests_busy++;
        return MORTAR_E_BUSY;
    }
    if (!core_reserve_effects(core, 1)) return MORTAR_E_NO_MEMORY; /* For its DONE. */
    struct query *query = core_reserve(core, sizeof *query);
    struct mortar_buffer *bytes = mortar_buffer_new(&core->allocator, query_bytes.bytes);
    if (query == NULL || bytes == NULL) {
        core_release(core, query, sizeof *query);
        mortar_buffer_release(bytes);
        return MORTAR_E_NO_MEMORY;
    }
    if (query_bytes.bytes > 0) {
        memcpy(mortar_buffer_data(bytes), query_bytes.data, query_bytes.bytes);
    }
    mortar_buffer_set_bytes(bytes, query_bytes.bytes);
    *query = (struct query){.id = id,
                            .state = mode == MORTAR_READ_LOCAL ? QUERY_APPLY : QUERY_NEW,
                            .deadline_ms = core->now_ms + timeout_ms,
                            .serial = core->next_serial++,
                            .bytes = bytes};
    if (core->queries_last != NULL) {
        core->queries_last->next = query;
    } else {
        core->queries = query;
    }
    core->queries_last = query;
    core->queries_count++;
    return MORTAR_OK;
}

/* ---- Rounds ---- */

static bool any_new(const struct mortar_core *core)
{
    for (const struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state == QUERY_NEW) return true;
    }
    return false;
}

static void begin_local_round(struct mortar_core *core)
{
    uint64_t round;
    uint64_t index;
    if (!any_new(core) || raft_read_begin(core->raft, &round, &index) != MORTAR_OK) return;
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state != QUERY_NEW) continue;
        query->state = QUERY_ROUND;
        query->round = round;
        query->index = index;
    }
}

static void ask_leader(struct mortar_core *core)
{
    const struct mortar_member_id leader = raft_leader(core->raft);
    const struct peer *peer = peer_find(core, &leader);
    if (peer == NULL || !peer->up[MORTAR_LANE_CONTROL] || !any_new(core)) return;
    if (core->route_retry_ms > core->now_ms) return;
    const struct read_request request = {.id = core->next_read_id++};
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state != QUERY_NEW) continue;
        query->state = QUERY_REMOTE;
        query->read_id = request.id;
        if (query->read_id_first == 0) query->read_id_first = request.id;
        query->asked_ms = core->now_ms;
    }
    MARK(READ_REMOTE);
    outbox_send(core, &leader, MESSAGE_READ_REQUEST, &request);
}

/* Those that have begun stand before those that have not, their rounds rising. */
static void begin_remote_rounds(struct mortar_core *core)
{
    uint64_t round = 0;
    uint64_t index = 0;
    uint32_t first = core->remote_reads.count;
    while (first > 0) {
        const struct remote_read *before = ring_at(&core->remote_reads, first - 1);
        if (before->begun) break;
        first--;
    }
    if (first == core->remote_reads.count) return;
    if (raft_read_begin(core->raft, &round, &index) != MORTAR_OK) return;
    for (uint32_t i = first; i < core->remote_reads.count; i++) {
        struct remote_read *read = ring_at(&core->remote_reads, i);
        read->begun = true;
        read->round = round;
        read->index = index;
    }
}

static void run_ready(struct mortar_core *core)
{
    if (core->machine_held) return; /* The state is being replaced. */
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        const bool passed = query->index <= core->state.applied.position.index;
        if (query->state != QUERY_APPLY || (!passed && !BUG(READ_BEFORE_APPLIED))) {
            continue;
        }
        struct mortar_work *work = work_new(core, WORK_QUERY, MORTAR_WORK_APPLY);
        if (work == NULL) return; /* The next flush tries again. */
        work->query.serial = query->serial;
        const struct query *asks = BUG(QUESTION_OF_ANOTHER) ? core->queries : query;
        work->query.query = mortar_buffer_share(asks->bytes);
        query->state = QUERY_RUNNING;
        work_issue(core, work);
    }
}

void reads_flush(struct mortar_core *core)
{
    if (raft_role(core->raft) == MORTAR_LEADER) {
        begin_local_round(core);
        begin_remote_rounds(core);
    } else {
        ask_leader(core);
    }
    run_ready(core);
}

static void answer_remote(struct mortar_core *core, const struct remote_read *read,
                          enum mortar_status status)
{
    const struct read_reply reply = {.id = read->id, .status = status, .index = read->index};
    outbox_send(core, &read->from, MESSAGE_READ_REPLY, &reply);
}

void reads_on_confirmed(struct mortar_core *core, uint64_t round)
{
    core->confirmed_round = round;
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state == QUERY_ROUND && query->round <= round) query->state = QUERY_APPLY;
    }
    while (core->remote_reads.count > 0) {
        struct remote_read read = *(const struct remote_read *)ring_at(&core->remote_reads, 0);
        if (!read.begun || read.round > round) break;
        (void)ring_pop(&core->remote_reads, &read);
        answer_remote(core, &read, MORTAR_OK);
    }
    run_ready(core);
}

void reads_on_request(struct mortar_core *core, const struct mortar_member_id *from,
                      const struct read_request *message)
{
    const struct remote_read read = {.from = *from, .id = message->id};
    if (raft_role(core->raft) != MORTAR_LEADER) {
        answer_remote(core, &read, MORTAR_E_NOT_LEADER);
    } else if (!ring_push(&core->remote_reads, &read)) {
        answer_remote(core, &read, MORTAR_E_BUSY);
    }
}

void reads_on_reply(struct mortar_core *core, const struct read_reply *message)
{
    if (message->status != MORTAR_OK) {
        MARK(READ_REFUSED);
        core->route_retry_ms = core->now_ms + REFUSED_RETRY_MS;
    }
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state != QUERY_REMOTE && query->state != QUERY_NEW) continue;
        if (query->read_id_first == 0) continue;
        const bool older = message->id < query->read_id_first && !BUG(OLD_READ_ANSWER);
        if (older || message->id > query->read_id) {
            MARK(READ_OTHER_ANSWER);
            continue;
        }
        query->state = message->status == MORTAR_OK ? QUERY_APPLY : QUERY_NEW;
        query->index = message->index;
    }
}

static void ask_again(struct mortar_core *core, uint64_t asked_ms_max)
{
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state == QUERY_REMOTE && query->asked_ms <= asked_ms_max) {
            query->state = QUERY_NEW;
        }
    }
}

void reads_on_leader_link(struct mortar_core *core)
{
    ask_again(core, core->now_ms);
}

/* A role or leader changed: what was not confirmed begins anew, under whoever leads now. */
void reads_on_role(struct mortar_core *core)
{
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state == QUERY_ROUND || query->state == QUERY_REMOTE) query->state = QUERY_NEW;
        query->read_id_first = 0;
    }
    if (raft_role(core->raft) == MORTAR_LEADER) return;
    struct remote_read read;
    while (ring_pop(&core->remote_reads, &read))
        answer_remote(core, &read, MORTAR_E_NOT_LEADER);
}

/* ---- Ends ---- */

void reads_on_work(struct mortar_core *core, struct mortar_work *work)
{
    struct query *before = NULL;
    for (struct query *query = core->queries; query != NULL; before = query, query = query->next) {
        if (query->serial != work->query.serial) continue;
        unlink_query(core, query, before);
        finish_query(core, query, work->query.status, work->query.answer);
        return;
    }
}

static enum mortar_status reason_to_expire(const struct mortar_core *core,
                                           const struct query *query)
{
    if (core->session_open && query->state == QUERY_APPLY) {
        MARK(READ_INCOMPLETE);
        return MORTAR_E_INCOMPLETE;
    }
    if (mortar_member_id_is_none(&core->last_leader) && query->state == QUERY_NEW) {
        MARK(READ_NO_LEADER);
        return MORTAR_E_NO_LEADER;
    }
    return MORTAR_E_TIMEOUT;
}

/* A question, or its answer, is taken for lost after a heartbeat's time twice over. */
void reads_expire(struct mortar_core *core)
{
    const uint64_t patience_ms =
        2 * (uint64_t)core->options.heartbeat_ticks * core->options.tick_ms;
    if (core->now_ms >= patience_ms) ask_again(core, core->now_ms - patience_ms);
    struct query *before = NULL;
    struct query *next;
    for (struct query *query = core->queries; query != NULL; query = next) {
        next = query->next;
        if (query->deadline_ms > core->now_ms) {
            before = query;
            continue;
        }
        unlink_query(core, query, before);
        finish_query(core, query, reason_to_expire(core, query), NULL);
    }
}

void reads_cancel(struct mortar_core *core, uint64_t id)
{
    struct query *before = NULL;
    for (struct query *query = core->queries; query != NULL; before = query, query = query->next) {
        if (query->id != id) continue;
        unlink_query(core, query, before);
        finish_query(core, query, MORTAR_E_CANCELLED, NULL);
        return;
    }
}

void reads_end_all(struct mortar_core *core, enum mortar_status status)
{
    while (core->queries != NULL) {
        struct query *query = core->queries;
        unlink_query(core, query, NULL);
        finish_query(core, query, status, NULL);
    }
}
