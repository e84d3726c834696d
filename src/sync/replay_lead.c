/* sync/replay_lead.c - what the leader is asked: where our log is its log (C3), and how the missing
 * range is cut, with the log sums that it vouches for.
 *
 * 1. Match. Entries up to our commit index are the leader's. Of those above it, up to 64 sums are
 *    sent; the leader answers the highest index where its sum is the same. Sums are running, so
 *    equal there means equal below, and each round divides the rest by 64.
 * 2. Plan. From the end of what matches, up to the target. An answer counts only from the member
 *    that leads now, in a term not older than ours; it starts from our own sum, so that a plan that
 *    does not continue our log is noticed before anything is fetched.
 * 3. Below the leader's base it cannot vouch. Another member's plan is taken, and fetched from that
 *    member alone; it must end on the leader's base and its sum, and nothing is kept before all of
 *    it is verified, which must fit the window.
 */
#include "base/assert.h"
#include "sync/replay_session.h"

#define ASK_TIMEOUT_MS 500u
#define RETRY_MS_MIN   20u
#define RETRY_MS_MAX   500u
/* Never more chunks than this are planned before an answer of full size is asked for. */
#define PLAN_CHUNKS_LOW (REPLAY_CHUNKS_MAX - REPLAY_PLAN_POINTS_MAX)
/* Planned ahead before any rate is known: soon it will be, and then chunks have the right size. */
#define PLAN_CHUNKS_FIRST 8u

void replay_lead_reset(struct replay_session *session)
{
    struct replay_lead *const lead = &session->lead;
    lead->pending = REPLAY_ASK_NOTHING;
    lead->retry_ms = session->now_ms;
    lead->backoff_ms = RETRY_MS_MIN;
    lead->match_low = mortar_sync_committed(session->sync).index;
    lead->match_high = mortar_sync_log_last(session->sync).index;
    if (lead->match_low > lead->match_high) lead->match_low = lead->match_high;
}

/* The answer moved nothing: asks again, a little later each time. */
static void retry_later(struct replay_session *session)
{
    struct replay_lead *const lead = &session->lead;
    lead->pending = REPLAY_ASK_NOTHING;
    lead->retry_ms = session->now_ms + lead->backoff_ms;
    lead->backoff_ms = lead->backoff_ms * 2 < RETRY_MS_MAX ? lead->backoff_ms * 2 : RETRY_MS_MAX;
}

static void answered(struct replay_session *session)
{
    session->lead.pending = REPLAY_ASK_NOTHING;
    session->lead.retry_ms = session->now_ms;
    session->lead.backoff_ms = RETRY_MS_MIN;
}

/* True if nothing can be asked now: an answer is awaited, or the back-off runs. */
static bool must_wait(struct replay_session *session)
{
    struct replay_lead *const lead = &session->lead;
    if (lead->pending != REPLAY_ASK_NOTHING) {
        if (session->now_ms - lead->sent_ms < ASK_TIMEOUT_MS) return true;
        lead->pending = REPLAY_ASK_NOTHING;
    }
    return session->now_ms < lead->retry_ms;
}

static void ask(struct replay_session *session, enum replay_question question,
                const struct mortar_member_id *to, const struct writer *written)
{
    ASSERT(!written->failed);
    struct replay_lead *const lead = &session->lead;
    const enum mortar_status status = mortar_sync_send_to(
        session->sync, to, 0, (struct mortar_bytes){written->data, written->bytes});
    if (status != MORTAR_OK) {
        retry_later(session);
        return;
    }
    lead->pending = question;
    lead->asked = *to;
    lead->sent_ms = session->now_ms;
}

/* True if an answer of this kind and id is awaited from its sender. */
static bool is_awaited(const struct replay_session *session, enum replay_question question,
                       const struct mortar_member_id *from, uint32_t id)
{
    const struct replay_lead *const lead = &session->lead;
    return lead->pending == question && lead->id == id &&
           mortar_member_id_equal(&lead->asked, from);
}

/* True if the sender leads now, by its own word and by ours. */
static bool speaks_as_leader(const struct replay_session *session,
                             const struct mortar_member_id *from, bool leads, uint64_t term)
{
    return leads && session->leader_known && mortar_member_id_equal(&session->leader, from) &&
           term >= mortar_sync_term(session->sync);
}

static void note_commit(struct replay_session *session, uint64_t index)
{
    if (index > session->lead.commit) session->lead.commit = index;
}

/* --- Below the leader's base --- */

static void below_begin(struct replay_session *session, const struct mortar_anchor_point *base)
{
    const uint64_t commit = mortar_sync_committed(session->sync).index;
    struct mortar_anchor_point start = {.position = mortar_sync_committed(session->sync)};
    if (!mortar_sync_log_sum_at(session->sync, commit, &start.sum)) {
        replay_session_fail(session, MORTAR_E_PRUNED);
        return;
    }
    replay_queue_clear(session, start);
    session->below =
        (struct replay_below){.active = true, .source = REPLAY_NO_SOURCE, .base = *base};
    answered(session);
    if (session->phase != REPLAY_PHASE_PLAN) replay_session_move(session, REPLAY_PHASE_PLAN);
}

void replay_below_end(struct replay_session *session)
{
    session->below = (struct replay_below){.source = REPLAY_NO_SOURCE};
}

/* Its plan or data was wrong, or it is gone: another one is chosen. */
static void below_rechoose(struct replay_session *session)
{
    const struct mortar_anchor_point base = session->below.base;
    below_begin(session, &base);
    retry_later(session);
}

/* A member other than the leader that holds all from our commit index to the leader's base. */
static uint8_t below_choose(const struct replay_session *session)
{
    const uint64_t from = mortar_sync_committed(session->sync).index;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (!source->bonded || source->dropped || !source->known) continue;
        if (source->rest_until_ms > session->now_ms) continue;
        if (session->leader_known && mortar_member_id_equal(&source->member, &session->leader)) {
            continue;
        }
        const bool holds =
            source->base_index <= from && source->end_index >= session->below.base.position.index;
        if (holds) return i;
    }
    return REPLAY_NO_SOURCE;
}

/* True if the source of the plan below the base can still give it. */
static bool below_source_lives(const struct replay_session *session)
{
    if (session->below.source == REPLAY_NO_SOURCE) return false;
    const struct replay_source *const source = &session->sources[session->below.source];
    return source->bonded && !source->dropped && source->known;
}

/* --- Match --- */

/* Writes up to 64 of our sums, evenly from match_low (not included) to match_high (included). */
static uint8_t match_points(struct replay_session *session, struct writer *out)
{
    struct replay_lead *const lead = &session->lead;
    const uint64_t span = lead->match_high - lead->match_low;
    const uint64_t count = span < REPLAY_MATCH_POINTS_MAX ? span : REPLAY_MATCH_POINTS_MAX;
    lead->match_count = 0;
    for (uint64_t i = 1; i <= count; i++) {
        /* Divided before it is multiplied: the span may be any number. */
        const uint64_t index = lead->match_low + span / count * i + span % count * i / count;
        struct mortar_log_sum sum;
        if (!mortar_sync_log_sum_at(session->sync, index, &sum)) continue;
        replay_match_point_encode(index, sum, out);
        lead->match_points[lead->match_count++] = index;
    }
    return (uint8_t)lead->match_count;
}

static void match_ask(struct replay_session *session)
{
    uint8_t bytes[REPLAY_MATCH_REQUEST_BYTES + REPLAY_MATCH_POINTS_MAX * REPLAY_MATCH_POINT_BYTES];
    struct writer points =
        writer_over(bytes + REPLAY_MATCH_REQUEST_BYTES, sizeof bytes - REPLAY_MATCH_REQUEST_BYTES);
    const uint8_t count = match_points(session, &points);
    ASSERT(count >= 1 && !points.failed); /* The log holds all above its commit index. */
    MARK(MATCH_ASKED);
    const struct replay_match_request request = {.id = ++session->lead.id, .count = count};
    struct writer out = writer_over(bytes, REPLAY_MATCH_REQUEST_BYTES);
    replay_match_request_encode(&request, &out);
    out.bytes += points.bytes;
    ask(session, REPLAY_ASK_MATCH, &session->leader, &out);
}

/* The logs agree up to `index` and no further: keeps that, cuts the rest. */
static void match_found(struct replay_session *session, uint64_t index)
{
    struct mortar_anchor_point target;
    if (!replay_target(session, &target)) {
        retry_later(session); /* Nothing is known to be committed, so nothing to be missing. */
        return;
    }
    if (index >= target.position.index) { /* What conflicts above is cut by ordinary back-up. */
        MARK(MATCH_ABOVE_TARGET);
        replay_session_move(session, REPLAY_PHASE_DONE);
        return;
    }
    enum mortar_status status = MORTAR_OK;
    if (BUG(CUT_COMMITTED)) index = mortar_sync_applied(session->sync);
    if (mortar_sync_log_last(session->sync).index > index) {
        MARK(MATCH_CUTS);
        status = mortar_sync_session_truncate(session->runtime, index + 1);
    }
    const bool advances = mortar_sync_committed(session->sync).index < index;
    if (status == MORTAR_OK && advances) { /* The leader committed up to beyond the target. */
        MARK(MATCH_COMMITS);
        status = mortar_sync_session_set_committed(session->runtime,
                                                   mortar_sync_log_last(session->sync));
    }
    if (status == MORTAR_E_BUSY || status == MORTAR_E_NO_MEMORY) {
        retry_later(session); /* Asks again, from bounds that are one place apart. */
        return;
    }
    if (status != MORTAR_OK) {
        replay_session_fail(session, status);
        return;
    }
    replay_queue_clear(session, replay_log_end(session));
    replay_session_progressed(session);
    answered(session);
    replay_session_move(session, REPLAY_PHASE_PLAN);
}

void replay_match_step(struct replay_session *session)
{
    struct replay_lead *const lead = &session->lead;
    if (mortar_sync_log_last(session->sync).index == mortar_sync_committed(session->sync).index) {
        replay_queue_clear(session, replay_log_end(session));
        answered(session);
        replay_session_move(session, REPLAY_PHASE_PLAN);
        return;
    }
    if (!session->leader_known || must_wait(session)) return;
    if (BUG(TRUSTS_LOCAL_TAIL)) lead->match_low = lead->match_high;
    if (lead->match_low >= lead->match_high) {
        match_found(session, lead->match_low);
        return;
    }
    match_ask(session);
}

/* The lowest index asked about that lies above `floor`; `none` if there is none. */
static uint64_t asked_above(const struct replay_lead *lead, uint64_t floor, uint64_t none)
{
    for (uint32_t i = 0; i < lead->match_count; i++) {
        if (lead->match_points[i] > floor) return lead->match_points[i];
    }
    return none;
}

static bool was_asked_about(const struct replay_lead *lead, uint64_t index)
{
    for (uint32_t i = 0; i < lead->match_count; i++) {
        if (lead->match_points[i] == index) return true;
    }
    return false;
}

void replay_on_match(struct replay_session *session, const struct mortar_sync_incoming *message)
{
    struct replay_match reply;
    struct replay_lead *const lead = &session->lead;
    if (session->phase != REPLAY_PHASE_MATCH) return;
    if (replay_match_decode(message->bytes, &reply) != MORTAR_OK) return;
    if (!is_awaited(session, REPLAY_ASK_MATCH, &message->from, reply.id)) return;
    if (!speaks_as_leader(session, &message->from, reply.leads, reply.term)) {
        retry_later(session);
        return;
    }
    if (reply.agreed != 0 && !was_asked_about(lead, reply.agreed)) {
        retry_later(session); /* Nonsense; the stall clock bounds how often. */
        return;
    }
    note_commit(session, reply.commit.index);
    uint64_t low = lead->match_low;
    if (reply.agreed > low) {
        MARK(MATCH_AGREES);
        low = reply.agreed;
    } else if (reply.base.position.index > low) {
        /* Sums below its base were not compared: the base itself is, here. */
        struct mortar_log_sum own;
        const bool same = mortar_sync_log_sum_at(session->sync, reply.base.position.index, &own) &&
                          mortar_log_sum_equal(own, reply.base.sum);
        if (!same) {
            below_begin(session, &reply.base);
            return;
        }
        low = reply.base.position.index;
    }
    lead->match_high = asked_above(lead, low, lead->match_high + 1) - 1;
    lead->match_low = low;
    answered(session);
}

/* --- Plan --- */

/* What the plan must reach now; false: nothing is to be asked for. */
static bool plan_bounds(const struct replay_session *session, uint64_t *out_to)
{
    const uint64_t from = replay_queue_end(session).position.index;
    if (session->below.active) {
        *out_to = session->below.base.position.index;
        return !session->below.closing && from < *out_to;
    }
    struct mortar_anchor_point target;
    if (!replay_target(session, &target)) {
        *out_to = UINT64_MAX;
        return true;
    }
    *out_to = target.position.index;
    return from < *out_to;
}

/* How large the pieces of the plan are asked for. Below the base all must be planned at once. */
static uint32_t plan_batch_bytes(const struct replay_session *session)
{
    const uint32_t least = session->options.window_bytes / (PLAN_CHUNKS_LOW - 1) + 1;
    const uint32_t batch_bytes = session->batch_bytes;
    return session->below.active && batch_bytes < least ? least : batch_bytes;
}

/* How many points to ask for: twice the window is planned ahead and no more, since the pieces may
 * have to be of another size by then. 0: enough is planned. */
static uint16_t plan_count(const struct replay_session *session)
{
    if (session->queue.count >= PLAN_CHUNKS_LOW) return 0;
    if (session->below.active) return REPLAY_PLAN_POINTS_MAX;
    const uint64_t window = session->options.window_bytes;
    if (2 * session->queue.bytes >= 3 * window && session->queue.count > 0) return 0;
    const uint64_t left = 2 * window > session->queue.bytes ? 2 * window - session->queue.bytes : 0;
    uint64_t count = left / session->batch_bytes + 1;
    uint64_t most = REPLAY_PLAN_POINTS_MAX;
    if (!replay_rate_is_known(session)) most = PLAN_CHUNKS_FIRST;
    if (session->queue.count >= most) return 0;
    return (uint16_t)(count < most ? count : most);
}

void replay_plan_step(struct replay_session *session)
{
    uint64_t to;
    const uint16_t count = plan_count(session);
    if (count == 0 || !plan_bounds(session, &to)) return;
    if (session->below.active && session->below.source == REPLAY_NO_SOURCE) {
        session->below.source = below_choose(session);
    }
    if (session->below.active && !below_source_lives(session)) {
        if (session->queue.count > 0) below_rechoose(session);
        session->below.source = REPLAY_NO_SOURCE;
        return;
    }
    if (!session->below.active && !session->leader_known) return;
    if (must_wait(session)) return;
    const struct replay_plan_request request = {
        .id = ++session->lead.id,
        .from = replay_queue_end(session).position.index,
        .to = to,
        .batch_bytes = plan_batch_bytes(session),
        .count_max = count,
    };
    uint8_t bytes[REPLAY_PLAN_REQUEST_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_plan_request_encode(&request, &out);
    const struct mortar_member_id to_whom =
        session->below.active ? session->sources[session->below.source].member : session->leader;
    ask(session, REPLAY_ASK_PLAN, &to_whom, &out);
}

static bool points_equal(const struct mortar_anchor_point *a, const struct mortar_anchor_point *b)
{
    return mortar_position_equal(a->position, b->position) && mortar_log_sum_equal(a->sum, b->sum);
}

/* True if our own log, committed or not, has this very point: nothing to fetch up to there. */
static bool is_held(const struct replay_session *session, const struct mortar_anchor_point *point)
{
    struct mortar_log_sum own;
    return mortar_sync_log_sum_at(session->sync, point->position.index, &own) &&
           mortar_log_sum_equal(own, point->sum);
}

/* A plan of a source, up to the leader's base. */
static void take_plan_below(struct replay_session *session, const struct replay_plan *plan)
{
    const struct mortar_anchor_point end = replay_queue_end(session);
    const struct mortar_anchor_point *const base = &session->below.base;
    if (plan->after.position.index != end.position.index) { /* It no longer holds that. */
        replay_source_refused(session, session->below.source, REPLAY_NOT_HELD);
        below_rechoose(session);
        return;
    }
    bool right = points_equal(&plan->after, &end);
    for (uint32_t i = 0; right && i < plan->count; i++) {
        const struct replay_plan_point point = replay_plan_point(plan, i);
        if (point.end.position.index > base->position.index) {
            right = false;
        } else if (point.end.position.index == base->position.index) {
            right = points_equal(&point.end, base);
        }
        if (!right) break;
        if (session->queue.count == 0 && is_held(session, &point.end)) {
            replay_queue_clear(session, point.end);
            continue;
        }
        if (session->queue.count == REPLAY_CHUNKS_MAX ||
            session->queue.bytes + point.bytes > replay_span_max(session)) {
            replay_session_fail(session, MORTAR_E_UNVERIFIED); /* Cannot be held until it closes. */
            return;
        }
        replay_queue_push(session, &point);
    }
    if (!right) {
        replay_source_drop(session, session->below.source);
        below_rechoose(session);
        return;
    }
    if (plan->count == 0) {
        retry_later(session);
        return;
    }
    answered(session);
}

/* The leader's plan. */
static void take_plan(struct replay_session *session, const struct replay_plan *plan)
{
    const struct mortar_anchor_point end = replay_queue_end(session);
    if (plan->base.position.index > end.position.index && session->queue.count == 0) {
        below_begin(session, &plan->base);
        return;
    }
    if (plan->base.position.index > end.position.index || plan->commit.index < end.position.index) {
        MARK(PLAN_BEHIND);
        /* It has pruned what is under way here, or is new and does not know of it yet. */
        retry_later(session);
        return;
    }
    if (plan->after.position.index != end.position.index) {
        MARK(PLAN_TRIMMED);
        retry_later(session); /* The queue was trimmed after the request. */
        return;
    }
    if (!points_equal(&plan->after, &end)) {
        const struct mortar_anchor_point own = replay_log_end(session);
        if (session->queue.count == 0 && points_equal(&own, &end)) {
            /* What we hold as committed is not the leader's: no fetching mends that. */
            replay_session_fail(session, MORTAR_E_UNVERIFIED);
            return;
        }
        replay_queue_clear(session, own);
        session->restarts++;
        retry_later(session);
        return;
    }
    for (uint32_t i = 0; i < plan->count && session->queue.count < REPLAY_CHUNKS_MAX; i++) {
        const struct replay_plan_point point = replay_plan_point(plan, i);
        replay_queue_push(session, &point);
    }
    if (plan->count == 0) {
        retry_later(session);
    } else {
        answered(session);
    }
}

void replay_on_plan(struct replay_session *session, const struct mortar_sync_incoming *message)
{
    struct replay_plan plan;
    if (session->phase != REPLAY_PHASE_PLAN && session->phase != REPLAY_PHASE_FETCH) return;
    if (replay_plan_decode(message->bytes, &plan) != MORTAR_OK) return;
    if (!is_awaited(session, REPLAY_ASK_PLAN, &message->from, plan.id)) return;
    session->lead.pending = REPLAY_ASK_NOTHING;
    if (session->below.active) {
        take_plan_below(session, &plan);
    } else if (speaks_as_leader(session, &message->from, plan.leads, plan.term)) {
        note_commit(session, plan.commit.index);
        take_plan(session, &plan);
    } else {
        retry_later(session);
    }
}
