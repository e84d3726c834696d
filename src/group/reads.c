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
    TRACE(core, READ_ROUND, NULL, round, index);
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
    const struct read_request request = {.id = core->next_read_id++};
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state != QUERY_NEW) continue;
        query->state = QUERY_REMOTE;
        query->read_id = request.id;
    }
    outbox_send(core, &leader, MESSAGE_READ_REQUEST, &request);
}

static void begin_remote_rounds(struct mortar_core *core)
{
    uint64_t round = 0;
    uint64_t index = 0;
    bool begun = false;
    for (uint32_t i = 0; i < core->remote_reads.count; i++) {
        struct remote_read *read = ring_at(&core->remote_reads, i);
        if (read->begun) continue;
        if (!begun && raft_read_begin(core->raft, &round, &index) != MORTAR_OK) return;
        begun = true;
        read->begun = true;
        read->round = round;
        read->index = index;
    }
}

static void run_ready(struct mortar_core *core)
{
    if (core->machine_held) return; /* The state is being replaced. */
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state != QUERY_APPLY || query->index > core->state.applied.position.index) {
            continue;
        }
        struct mortar_work *work = work_new(core, WORK_QUERY, MORTAR_WORK_APPLY);
        if (work == NULL) return; /* The next flush tries again. */
        work->query.id = query->id;
        work->query.query = mortar_buffer_share(query->bytes);
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
    uint32_t i = 0;
    while (i < core->remote_reads.count) {
        const struct remote_read *read = ring_at(&core->remote_reads, i);
        if (!read->begun || read->round > round) {
            i++;
            continue;
        }
        answer_remote(core, read, MORTAR_OK);
        ring_remove(&core->remote_reads, i);
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
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state != QUERY_REMOTE || query->read_id != message->id) continue;
        query->state = message->status == MORTAR_OK ? QUERY_APPLY : QUERY_NEW;
        query->index = message->index;
    }
}

/* A role or leader changed: what was not confirmed begins anew, under whoever leads now. */
void reads_on_role(struct mortar_core *core)
{
    for (struct query *query = core->queries; query != NULL; query = query->next) {
        if (query->state == QUERY_ROUND || query->state == QUERY_REMOTE) query->state = QUERY_NEW;
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
        if (query->state != QUERY_RUNNING || query->id != work->query.id) continue;
        unlink_query(core, query, before);
        const enum mortar_status status =
            query->cancelled ? MORTAR_E_CANCELLED : work->query.status;
        finish_query(core, query, status, work->query.answer);
        return;
    }
}

static enum mortar_status reason_to_expire(const struct mortar_core *core,
                                           const struct query *query)
{
    if (query->cancelled) return MORTAR_E_CANCELLED;
    if (core->session_open && query->state == QUERY_APPLY) return MORTAR_E_INCOMPLETE;
    if (mortar_member_id_is_none(&core->last_leader) && query->state == QUERY_NEW) {
        return MORTAR_E_NO_LEADER;
    }
    return MORTAR_E_TIMEOUT;
}

void reads_expire(struct mortar_core *core)
{
    struct query *before = NULL;
    struct query *next;
    for (struct query *query = core->queries; query != NULL; query = next) {
        next = query->next;
        const bool over = query->cancelled || query->deadline_ms <= core->now_ms;
        if (!over || query->state == QUERY_RUNNING) {
            before = query;
            continue;
        }
        unlink_query(core, query, before);
        finish_query(core, query, reason_to_expire(core, query), NULL);
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
