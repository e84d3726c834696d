/* sync/replay_session.c - one catch-up by log replay: its life and phases. The parts and their
 * picture stand in replay_session.h.
 *
 *     MATCH ----> PLAN <----> FETCH
 *       ^  \       |  \        |  \
 *       |   \      |   +--> DONE   +--> (any may fail: FAILED)
 *       +----------+ another leader, and entries above our commit index
 */
#include "sync/replay_session.h"

#include "base/assert.h"
#include "sync/replay.h"

#include <string.h>

/* Waiting shorter than this is not worth a word. */
#define WAIT_SHOWN_MS 300u

void replay_session_move(struct replay_session *session, enum replay_phase to)
{
    static const bool legal[5][5] = {
        [REPLAY_PHASE_MATCH] =
            {[REPLAY_PHASE_PLAN] = true, [REPLAY_PHASE_DONE] = true, [REPLAY_PHASE_FAILED] = true},
        [REPLAY_PHASE_PLAN] = {[REPLAY_PHASE_MATCH] = true,
                               [REPLAY_PHASE_FETCH] = true,
                               [REPLAY_PHASE_DONE] = true,
                               [REPLAY_PHASE_FAILED] = true},
        [REPLAY_PHASE_FETCH] =
            {[REPLAY_PHASE_PLAN] = true, [REPLAY_PHASE_DONE] = true, [REPLAY_PHASE_FAILED] = true},
    };
    ASSERT(legal[session->phase][to]);
    mortar_sync_trace(session->sync, MORTAR_TRACE_SYNC_PHASE, NULL,
                      mortar_sync_session_id(session->runtime), session->phase, to, 0);
    session->phase = to;
}

void replay_session_fail(struct replay_session *session, enum mortar_status reason)
{
    ASSERT(reason != MORTAR_OK);
    session->failure = reason;
    replay_session_move(session, REPLAY_PHASE_FAILED);
}

void replay_session_arrived(struct replay_session *session)
{
    session->stalled_ms = session->now_ms;
}

void replay_session_progressed(struct replay_session *session)
{
    session->progress_ms = session->now_ms;
    session->stalled_ms = session->now_ms;
    session->stalls = 0;
}

struct mortar_anchor_point replay_log_end(const struct replay_session *session)
{
    struct mortar_anchor_point end = {.position = mortar_sync_log_last(session->sync)};
    const bool held = mortar_sync_log_sum_at(session->sync, end.position.index, &end.sum);
    ASSERT(held);
    return end;
}

bool replay_target(const struct replay_session *session, struct mortar_anchor_point *out_target)
{
    struct mortar_position tail_last;
    if (mortar_sync_session_tail(session->runtime, out_target, &tail_last)) return true;
    if (mortar_sync_session_vouched(session->runtime, out_target)) return true;
    if (session->lead.commit == 0) return false;
    *out_target = (struct mortar_anchor_point){.position.index = session->lead.commit};
    return true;
}

static enum mortar_status session_create(void *method, struct mortar_sync_session *runtime,
                                         const struct mortar_sync_gap *gap, void **out_session)
{
    struct mortar_sync *const sync = mortar_sync_of_session(runtime);
    const struct mortar_allocator *const allocator = mortar_sync_allocator(sync);
    struct replay_session *const session = allocator->reserve(allocator->context, sizeof *session);
    if (session == NULL) return MORTAR_E_NO_MEMORY;
    memset(session, 0, sizeof *session);
    session->runtime = runtime;
    session->sync = sync;
    session->allocator = allocator;
    session->method = method;
    session->options = replay_method_options(session->method);
    session->now_ms = mortar_sync_now_ms(sync);
    session->started_ms = session->now_ms;
    session->gap_commit = gap->leader_commit;
    session->below.source = REPLAY_NO_SOURCE;
    session->queue.start = replay_log_end(session);
    session->batch_bytes = replay_batch_bytes(session);
    replay_session_progressed(session);
    replay_lead_reset(session);
    mortar_sync_session_needs(runtime, mortar_sync_committed(sync).index + 1);
    mortar_sync_wake(sync);
    *out_session = session;
    return MORTAR_OK;
}

static void session_destroy(void *self)
{
    struct replay_session *const session = self;
    replay_cancel_all(session);
    replay_queue_clear(session, session->queue.start);
    session->allocator->release(session->allocator->context, session, sizeof *session);
}

/* Follows who leads. Planned chunks are committed facts and stay; what was asked of the old leader
 * is forgotten. */
static void observe_leader(struct replay_session *session)
{
    struct mortar_member_id leader;
    const bool known = mortar_sync_session_leader(session->runtime, &leader);
    const bool same = known == session->leader_known &&
                      (!known || mortar_member_id_equal(&leader, &session->leader));
    if (same) return;
    MARK(SESSION_LEADER_CHANGES);
    session->leader_known = known;
    if (known) session->leader = leader;
    const bool below = session->below.active && !session->below.closing;
    if (below || BUG(LEADER_CHANGE_RESETS)) {
        replay_below_end(session);
        replay_queue_clear(session, replay_log_end(session));
        if (session->phase == REPLAY_PHASE_FETCH) {
            replay_session_move(session, REPLAY_PHASE_PLAN);
        }
    }
    replay_lead_reset(session);
}

/* The target can fall behind: a new leader does not know yet how far the group committed, or an old
 * append opens the tail anew. What is verified ahead is taken first (C6), unless a tail that meets
 * the log holds it, too, or nobody has what is missing before it: then the leader may need us to
 * commit anything at all. */
static bool would_lose(struct replay_session *session, struct mortar_position last)
{
    const uint64_t ahead = replay_queue_verified_end(session);
    struct mortar_anchor_point base;
    struct mortar_position tail_last;
    if (ahead <= last.index) return false;
    const struct replay_chunk *const head = replay_chunk_at(session, 0);
    if (head->state == REPLAY_CHUNK_WANTED && !replay_sources_hold(session, head)) return false;
    const bool meets = mortar_sync_session_tail(session->runtime, &base, &tail_last) &&
                       mortar_position_equal(base.position, last);
    return !meets || tail_last.index < ahead;
}

/* Ends the session when the log has reached the target and, where the target's sum is known, equals
 * it there. */
static void look_for_end(struct replay_session *session)
{
    if (session->phase != REPLAY_PHASE_PLAN && session->phase != REPLAY_PHASE_FETCH) return;
    struct mortar_anchor_point target;
    const struct mortar_position last = mortar_sync_log_last(session->sync);
    if (last.index != mortar_sync_committed(session->sync).index) return;
    if (!replay_target(session, &target) || last.index < target.position.index) return;
    if (would_lose(session, last)) {
        MARK(TARGET_FALLS_BEHIND);
        return;
    }
    static const struct mortar_log_sum unknown = {0, 0};
    struct mortar_log_sum own;
    const bool comparable = !mortar_log_sum_equal(target.sum, unknown) &&
                            mortar_sync_log_sum_at(session->sync, target.position.index, &own);
    if (comparable && !mortar_log_sum_equal(own, target.sum)) {
        replay_session_fail(session, MORTAR_E_UNVERIFIED);
        return;
    }
    replay_session_move(session, REPLAY_PHASE_DONE);
}

#define PATIENCE_MAX 4u
/* After so many stalls in a row what is owed is believed to be lost. */
#define STALLS_HARD 4u

/* By what was measured, the sources take this long for what they were asked for: no stall. */
static uint64_t owed_ms(const struct replay_session *session)
{
    uint64_t most_ms = 0;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (!source->bonded || source->in_flight_count == 0) continue;
        const uint64_t patience_ms = replay_source_patience_ms(source);
        if (patience_ms > most_ms) most_ms = patience_ms;
    }
    return most_ms;
}

/* No verified progress for too long: first all sources rotate, then the plan is made anew, at last
 * the session fails (C5). After each new plan the next stall is called one later, for as long as
 * the session lasts: where a batch takes longer than stall_ms to arrive, plans would never end. */
static void look_for_stall(struct replay_session *session)
{
    const uint64_t idle_ms = session->now_ms - session->progress_ms;
    if (idle_ms >= session->options.give_up_ms && !BUG(NEVER_GIVES_UP)) {
        MARK(SESSION_GIVES_UP);
        replay_session_fail(session, MORTAR_E_STALLED);
        return;
    }
    const uint64_t wait_ms =
        ((uint64_t)session->options.stall_ms << session->patience) + owed_ms(session);
    if (session->now_ms - session->stalled_ms < wait_ms) return;
    mortar_sync_trace(session->sync, MORTAR_TRACE_SYNC_STALL, NULL,
                      mortar_sync_session_id(session->runtime),
                      session->now_ms - session->stalled_ms, 0, 0);
    session->stalled_ms = session->now_ms;
    MARK(SESSION_STALLS);
    session->stalls++;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        struct replay_source *const source = &session->sources[i];
        if (!source->used) continue;
        if (source->in_flight_count > 0) replay_asks_end(session, i, true);
        source->asking = true; /* Its word is asked for at once. */
        source->ask_at_ms = session->now_ms;
    }
    if (session->stalls < 2) return;
    session->restarts++;
    MARK(SESSION_PLANS_ANEW);
    if (session->patience < PATIENCE_MAX) session->patience++;
    if (session->below.active && !session->below.closing) {
        replay_below_end(session);
        replay_queue_clear(session, replay_log_end(session));
    } else {
        /* What arrived stays: nothing verified is asked for again. */
        replay_queue_trim(session, 0, session->stalls >= STALLS_HARD);
    }
    replay_lead_reset(session);
}

/* The log was changed under the session, or the queue has run empty. */
static void align_queue(struct replay_session *session)
{
    if (session->below.active && !session->below.closing) return;
    const struct mortar_anchor_point end = replay_log_end(session);
    if (!mortar_position_equal(end.position, session->queue.start.position)) {
        replay_queue_clear(session, end);
        replay_below_end(session);
        session->restarts++;
    }
    if (session->below.closing && session->queue.count == 0) replay_below_end(session);
}

static void fetch_step(struct replay_session *session)
{
    struct mortar_anchor_point target;
    const bool unmatched =
        mortar_sync_log_last(session->sync).index > mortar_sync_committed(session->sync).index;
    if (!session->below.active && unmatched) { /* Another leader may want another end. */
        ASSERT(session->queue.count == 0);
        if (session->phase == REPLAY_PHASE_FETCH) {
            replay_session_move(session, REPLAY_PHASE_PLAN);
        }
        MARK(MATCH_AGAIN);
        replay_session_move(session, REPLAY_PHASE_MATCH);
        mortar_sync_wake(session->sync);
        return;
    }
    if (!session->below.active && replay_target(session, &target)) {
        replay_queue_trim(session, target.position.index, true);
    }
    replay_queue_refine(session);
    replay_plan_step(session);
    if (session->phase == REPLAY_PHASE_FAILED) return;
    if (session->phase == REPLAY_PHASE_PLAN && session->queue.count > 0) {
        replay_session_move(session, REPLAY_PHASE_FETCH);
    } else if (session->phase == REPLAY_PHASE_FETCH && session->queue.count == 0) {
        replay_session_move(session, REPLAY_PHASE_PLAN);
    }
    replay_fetch_schedule(session);
}

static bool is_over(const struct replay_session *session)
{
    return session->phase == REPLAY_PHASE_DONE || session->phase == REPLAY_PHASE_FAILED;
}

static void step(struct replay_session *session)
{
    session->now_ms = mortar_sync_now_ms(session->sync);
    session->options = replay_method_options(session->method);
    observe_leader(session);
    replay_sources_observe(session);
    session->batch_bytes = replay_batch_bytes(session);
    if (session->phase == REPLAY_PHASE_MATCH) {
        replay_match_step(session);
    } else {
        align_queue(session);
        replay_fetch_append(session);
        if (!is_over(session)) align_queue(session);
    }
    if (!is_over(session)) look_for_end(session);
    if (!is_over(session)) look_for_stall(session);
    if (is_over(session)) return;
    replay_fetch_expire(session);
    replay_fetch_verify(session);
    replay_sources_ask(session);
    if (session->phase != REPLAY_PHASE_MATCH) fetch_step(session);
}

static enum mortar_sync_poll session_poll(void *self, struct mortar_position *out_position,
                                          enum mortar_status *out_reason)
{
    struct replay_session *const session = self;
    if (!is_over(session)) step(session);
    if (session->phase == REPLAY_PHASE_FAILED) {
        *out_reason = session->failure;
        return MORTAR_SYNC_FAILED;
    }
    if (session->phase == REPLAY_PHASE_DONE) {
        *out_position = mortar_sync_log_last(session->sync);
        return MORTAR_SYNC_READY;
    }
    mortar_sync_wake_at(session->sync, session->now_ms + REPLAY_TICK_MS);
    return MORTAR_SYNC_PENDING;
}

static void session_receive(void *self, const struct mortar_sync_incoming *message)
{
    struct replay_session *const session = self;
    session->now_ms = mortar_sync_now_ms(session->sync);
    const bool ours =
        message->session == mortar_sync_session_id(session->runtime) || BUG(OLD_SESSION_ANSWER);
    if (!ours || is_over(session)) {
        session->bytes_discarded += message->bytes.bytes;
        return;
    }
    const uint8_t type = replay_message_type(message->bytes);
    if (type == REPLAY_AVAILABILITY) {
        replay_on_availability(session, message);
    } else if (type == REPLAY_MATCH) {
        replay_on_match(session, message);
    } else if (type == REPLAY_PLAN) {
        replay_on_plan(session, message);
    } else if (type == REPLAY_ENTRIES) {
        replay_on_entries(session, message);
    } else if (type == REPLAY_REFUSED) {
        replay_on_refused(session, message);
    }
    mortar_sync_wake(session->sync);
}

static void session_buffer(void *self, struct mortar_position before, uint64_t first, uint64_t last)
{
    (void)before; /* The runtime keeps the tail; its base is looked at in each poll. */
    (void)first;
    (void)last;
    const struct replay_session *const session = self;
    mortar_sync_wake(session->sync);
}

/* --- Progress (C10) --- */

static void text_put(struct mortar_sync_progress *progress, const char *text)
{
    const size_t used = strlen(progress->waits_for);
    const size_t room = sizeof progress->waits_for - 1 - used;
    const size_t bytes = strlen(text) < room ? strlen(text) : room;
    memcpy(progress->waits_for + used, text, bytes);
    progress->waits_for[used + bytes] = '\0';
}

/* Why the head of the queue does not come. */
static void say_head(const struct replay_session *session, struct mortar_sync_progress *progress)
{
    const struct replay_chunk *const head = &session->queue.chunks[session->queue.head];
    char id[MORTAR_ID_TEXT_BYTES];
    switch (head->state) {
    case REPLAY_CHUNK_WANTED:
        text_put(progress, "a member that holds the entries that are missing");
        break;
    case REPLAY_CHUNK_ASKED: {
        const struct replay_ask *const live = head->asks[0].live ? &head->asks[0] : &head->asks[1];
        mortar_member_id_text(&session->sources[live->source].member, id);
        text_put(progress, "entries from ");
        text_put(progress, id);
        break;
    }
    case REPLAY_CHUNK_ARRIVED:
    case REPLAY_CHUNK_VERIFYING:
        text_put(progress, "a thread that verifies entries");
        break;
    case REPLAY_CHUNK_VERIFIED:
        text_put(progress, session->below.active ? "the whole range below the leader's base"
                                                 : "the log to take entries");
        break;
    }
}

static void say_wait(const struct replay_session *session, struct mortar_sync_progress *progress)
{
    progress->waits_for[0] = '\0';
    switch (session->phase) {
    case REPLAY_PHASE_DONE:
        return;
    case REPLAY_PHASE_FAILED:
        text_put(progress, "nothing: ");
        text_put(progress, mortar_status_text(session->failure));
        return;
    case REPLAY_PHASE_MATCH:
    case REPLAY_PHASE_PLAN:
    case REPLAY_PHASE_FETCH:
        break;
    }
    const uint64_t now_ms = mortar_sync_now_ms(session->sync);
    if (now_ms - session->progress_ms < WAIT_SHOWN_MS) return;
    if (session->queue.count > 0) {
        say_head(session, progress);
    } else if (!session->leader_known) {
        text_put(progress, "a leader");
    } else if (session->below.active) {
        text_put(progress, "a member that holds what the leader has pruned");
    } else if (session->phase == REPLAY_PHASE_MATCH) {
        text_put(progress, "the leader to say where the logs agree");
    } else {
        text_put(progress, "the leader's plan of what is missing");
    }
}

/* Entries and bytes still to come: planned ones exactly, those beyond the plan by their mean. */
static void say_left(const struct replay_session *session, struct mortar_sync_progress *progress)
{
    struct mortar_anchor_point target = {.position.index = session->gap_commit};
    (void)replay_target(session, &target); /* Else what was known when the gap was found. */
    const uint64_t start = session->queue.start.position.index;
    const uint64_t planned_end = replay_queue_end(session).position.index;
    const uint64_t verified = replay_queue_verified(session);
    uint64_t end = target.position.index > planned_end ? target.position.index : planned_end;
    if (BUG(LEFT_IS_THE_PLAN)) end = planned_end;
    progress->entries_left = end - start - (BUG(LEFT_COUNTS_VERIFIED) ? 0 : verified);
    uint64_t verified_bytes = 0;
    for (uint32_t i = 0; i < session->queue.count; i++) {
        const struct replay_chunk *const chunk =
            &session->queue.chunks[(session->queue.head + i) % REPLAY_CHUNKS_MAX];
        if (chunk->state == REPLAY_CHUNK_VERIFIED) verified_bytes += chunk->bytes;
    }
    progress->bytes_left = session->queue.bytes - verified_bytes;
    const uint64_t known_entries = session->entries_done + (planned_end - start) - verified;
    const uint64_t known_bytes = session->bytes_done + progress->bytes_left;
    if (known_entries > 0) {
        const uint64_t mean_bytes = known_bytes / known_entries;
        progress->bytes_left += (end - planned_end) * mean_bytes;
    }
}

static void session_progress(void *self, struct mortar_sync_progress *out_progress)
{
    const struct replay_session *const session = self;
    memset(out_progress, 0, sizeof *out_progress);
    out_progress->entries_done = session->entries_done;
    out_progress->bytes_done = session->bytes_done;
    out_progress->bytes_held = session->bytes_held;
    out_progress->bytes_held_max = session->bytes_held_max;
    out_progress->bytes_discarded = session->bytes_discarded;
    out_progress->restarts = session->restarts;
    say_left(session, out_progress);
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        const bool shown = source->used && (source->bonded || source->dropped || source->bytes > 0);
        if (!shown) continue;
        out_progress->sources[out_progress->source_count++] = (struct mortar_sync_source_progress){
            .member = source->member,
            .is_leader =
                session->leader_known && mortar_member_id_equal(&source->member, &session->leader),
            .dropped = source->dropped,
            .bytes = source->bytes,
            .entries = source->entries,
            .window_bytes = source->window_bytes,
            .latency_us = source->latency_us,
        };
    }
    say_wait(session, out_progress);
}

const struct mortar_sync_session_ops replay_session_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_sync_session_ops),
    .create = session_create,
    .destroy = session_destroy,
    .poll = session_poll,
    .receive = session_receive,
    .buffer = session_buffer,
    .progress = session_progress,
};
