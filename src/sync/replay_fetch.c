/* sync/replay_fetch.c - the queue of planned ranges: asked for, verified, appended.
 *
 * Window: chunk k is asked for only when all from the head to k fit the window less one batch. So
 * the head can always be asked for, however much waits behind it, and one batch is left for asking
 * a second source.
 */
#include "base/assert.h"
#include "sync/replay_session.h"

#include <string.h>

/* A request is given to a second source after 3 times the source's latency, within these. */
#define HEDGE_MS_MIN     250u
#define HEDGE_MS_UNKNOWN 500u
/* The head of the queue holds up all others: an idle, faster source gets it sooner. */
#define HEAD_HEDGE_MS_MIN 50u
#define APPEND_RETRY_MS   5u
#define SEND_REST_MS      50u
#define SLOW_FACTOR_MAX   8u
/* A chunk so many times larger than a request should be now is planned anew. */
#define COARSE_FACTOR 4u

/* What a bulk thread works on. */
struct replay_check {
    struct replay_session *session; /* Not touched once it was destroyed. */
    const struct mortar_allocator *allocator;
    uint64_t number;
    struct mortar_buffer *buffer; /* A reference of its own. */
    struct mortar_bytes run;
    struct mortar_anchor_point after;
    enum mortar_status status;
    struct mortar_anchor_point end;
};

/* --- The queue --- */

struct replay_chunk *replay_chunk_at(struct replay_session *session, uint32_t place)
{
    struct replay_queue *const queue = &session->queue;
    ASSERT(place < queue->count);
    return &queue->chunks[(queue->head + place) % REPLAY_CHUNKS_MAX];
}

struct mortar_anchor_point replay_queue_end(const struct replay_session *session)
{
    const struct replay_queue *const queue = &session->queue;
    if (queue->count == 0) return queue->start;
    return queue->chunks[(queue->head + queue->count - 1) % REPLAY_CHUNKS_MAX].end;
}

void replay_queue_push(struct replay_session *session, const struct replay_plan_point *point)
{
    struct replay_queue *const queue = &session->queue;
    ASSERT(queue->count < REPLAY_CHUNKS_MAX);
    const struct mortar_anchor_point after = replay_queue_end(session);
    ASSERT(point->end.position.index > after.position.index);
    queue->count++;
    queue->bytes += point->bytes;
    *replay_chunk_at(session, queue->count - 1) = (struct replay_chunk){
        .after = after,
        .end = point->end,
        .bytes = point->bytes,
        .wanted_ms = session->now_ms,
        .giver = REPLAY_NO_SOURCE,
    };
}

static uint64_t chunk_entries(const struct replay_chunk *chunk)
{
    return chunk->end.position.index - chunk->after.position.index;
}

static void hold(struct replay_session *session, uint32_t bytes)
{
    session->bytes_held += bytes;
    if (session->bytes_held > session->bytes_held_max)
        session->bytes_held_max = session->bytes_held;
}

static void unhold(struct replay_session *session, uint32_t bytes)
{
    ASSERT(session->bytes_held >= bytes);
    session->bytes_held -= bytes;
}

static void ask_end(struct replay_session *session, struct replay_chunk *chunk,
                    struct replay_ask *ask)
{
    ASSERT(ask->live && chunk->state == REPLAY_CHUNK_ASKED);
    struct replay_source *const source = &session->sources[ask->source];
    ASSERT(source->in_flight_count >= 1 && source->in_flight_bytes >= chunk->bytes);
    source->in_flight_count--;
    source->in_flight_bytes -= chunk->bytes;
    unhold(session, chunk->bytes);
    ask->live = false;
}

static void all_asks_end(struct replay_session *session, struct replay_chunk *chunk)
{
    for (uint32_t i = 0; i < REPLAY_ASKS_MAX; i++) {
        if (chunk->asks[i].live) ask_end(session, chunk, &chunk->asks[i]);
    }
}

static uint32_t live_asks(const struct replay_chunk *chunk)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < REPLAY_ASKS_MAX; i++)
        live += chunk->asks[i].live ? 1 : 0;
    return live;
}

/* The chunk is to be had again, from another source if there is one. */
static void chunk_want(struct replay_session *session, struct replay_chunk *chunk)
{
    ASSERT(live_asks(chunk) == 0);
    if (chunk->buffer != NULL) {
        mortar_buffer_release(chunk->buffer);
        chunk->buffer = NULL;
        unhold(session, chunk->bytes);
    }
    chunk->state = REPLAY_CHUNK_WANTED;
    chunk->giver = REPLAY_NO_SOURCE;
}

static void send_cancel(struct replay_session *session, const struct mortar_member_id *to,
                        const struct replay_cancel *cancel)
{
    uint8_t bytes[REPLAY_CANCEL_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_cancel_encode(cancel, &out);
    ASSERT(!out.failed);
    /* One that is lost costs the source some work in vain. */
    (void)mortar_sync_send_to(session->sync, to, 0, (struct mortar_bytes){bytes, out.bytes});
}

void replay_cancel_all(struct replay_session *session)
{
    const struct replay_cancel all = {.first = 1, .last = UINT64_MAX};
    uint32_t owed = 0;
    for (uint32_t i = 0; i < session->queue.count; i++)
        owed |= replay_chunk_at(session, i)->owed;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        const bool owes = source->bonded && (owed & (1u << i)) != 0;
        if (owes) send_cancel(session, &source->member, &all);
    }
    session->ending = true;
}

/* Nobody needs to send the chunk any more: those that still owe it are told. What waits at a slow
 * source would be sent before all that is asked of it later. */
static void chunk_cancel(struct replay_session *session, struct replay_chunk *chunk)
{
    const struct replay_cancel cancel = {.first = chunk->after.position.index + 1,
                                         .last = chunk->end.position.index};
    for (uint8_t i = 0; chunk->owed != 0 && i < MORTAR_MEMBERS_MAX; i++) {
        if ((chunk->owed & (1u << i)) == 0) continue;
        chunk->owed &= ~(1u << i);
        const struct replay_source *const source = &session->sources[i];
        if (source->bonded && !session->ending) {
            MARK(CANCEL_SENT);
            send_cancel(session, &source->member, &cancel);
        }
    }
}

/* Gives back all that the chunk holds; it leaves the queue. */
static void chunk_forget(struct replay_session *session, struct replay_chunk *chunk)
{
    chunk_cancel(session, chunk);
    if (chunk->state == REPLAY_CHUNK_ASKED) all_asks_end(session, chunk);
    if (chunk->buffer != NULL) session->bytes_discarded += chunk->bytes;
    chunk_want(session, chunk);
    session->queue.bytes -= chunk->bytes;
}

void replay_queue_clear(struct replay_session *session, struct mortar_anchor_point start)
{
    struct replay_queue *const queue = &session->queue;
    for (uint32_t i = 0; i < queue->count; i++)
        chunk_forget(session, replay_chunk_at(session, i));
    queue->head_number += queue->count;
    queue->head = 0;
    queue->count = 0;
    queue->start = start;
    ASSERT(queue->bytes == 0 && session->bytes_held == 0);
}

void replay_queue_trim(struct replay_session *session, uint64_t index, bool owed)
{
    struct replay_queue *const queue = &session->queue;
    while (queue->count > 0) {
        struct replay_chunk *const chunk = replay_chunk_at(session, queue->count - 1);
        if (chunk->end.position.index <= index || chunk->state >= REPLAY_CHUNK_ARRIVED) return;
        if (chunk->owed != 0 && !owed) return;
        chunk_forget(session, chunk);
        queue->count--;
        /* Numbers are not used twice: no job can run for a chunk that has not arrived. */
    }
}

void replay_queue_refine(struct replay_session *session)
{
    struct replay_queue *const queue = &session->queue;
    if (session->below.active) return; /* All of it is planned before it is kept. */
    while (queue->count > 0) {
        struct replay_chunk *const chunk = replay_chunk_at(session, queue->count - 1);
        const bool coarse = chunk->state == REPLAY_CHUNK_WANTED && chunk_entries(chunk) > 1 &&
                            chunk->bytes / COARSE_FACTOR > session->batch_bytes;
        if (!coarse) return;
        chunk_forget(session, chunk);
        queue->count--;
    }
}

uint64_t replay_queue_verified(const struct replay_session *session)
{
    const struct replay_queue *const queue = &session->queue;
    uint64_t entries = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct replay_chunk *const chunk =
            &queue->chunks[(queue->head + i) % REPLAY_CHUNKS_MAX];
        if (chunk->state == REPLAY_CHUNK_VERIFIED) entries += chunk_entries(chunk);
    }
    return entries;
}

uint64_t replay_queue_verified_end(const struct replay_session *session)
{
    const struct replay_queue *const queue = &session->queue;
    for (uint32_t i = queue->count; i > 0; i--) {
        const struct replay_chunk *const chunk =
            &queue->chunks[(queue->head + i - 1) % REPLAY_CHUNKS_MAX];
        if (chunk->state == REPLAY_CHUNK_VERIFIED) return chunk->end.position.index;
    }
    return 0;
}

bool replay_queue_has_giver(const struct replay_session *session, uint8_t source)
{
    const struct replay_queue *const queue = &session->queue;
    for (uint32_t i = 0; i < queue->count; i++) {
        if (queue->chunks[(queue->head + i) % REPLAY_CHUNKS_MAX].giver == source) return true;
    }
    return false;
}

void replay_queue_owed_end(struct replay_session *session, uint8_t source)
{
    for (uint32_t i = 0; i < session->queue.count; i++)
        replay_chunk_at(session, i)->owed &= ~(1u << source);
}

void replay_queue_forget_source(struct replay_session *session, uint8_t source)
{
    for (uint32_t i = 0; i < session->queue.count; i++) {
        replay_chunk_at(session, i)->tried &= ~(1u << source);
    }
}

/* --- Asking --- */

void replay_asks_end(struct replay_session *session, uint8_t source, bool tried)
{
    for (uint32_t i = 0; i < session->queue.count; i++) {
        struct replay_chunk *const chunk = replay_chunk_at(session, i);
        if (chunk->state != REPLAY_CHUNK_ASKED) continue;
        for (uint32_t k = 0; k < REPLAY_ASKS_MAX; k++) {
            struct replay_ask *const ask = &chunk->asks[k];
            if (!ask->live || ask->source != source) continue;
            ask_end(session, chunk, ask);
            if (tried) chunk->tried |= 1u << source;
        }
        if (live_asks(chunk) == 0 && !BUG(LOST_RANGE_FORGOTTEN)) chunk_want(session, chunk);
    }
}

/* Sends one request. A source that cannot be written to rests a little. */
static void ask(struct replay_session *session, struct replay_chunk *chunk, uint8_t place)
{
    struct replay_source *const source = &session->sources[place];
    const struct replay_fetch fetch = {
        .id = source->ids + 1,
        .first = chunk->after.position.index + 1,
        .last = chunk->end.position.index,
        .bytes = chunk->bytes,
    };
    uint8_t bytes[REPLAY_FETCH_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_fetch_encode(&fetch, &out);
    ASSERT(!out.failed);
    const enum mortar_status status = mortar_sync_send_to(session->sync, &source->member, 0,
                                                          (struct mortar_bytes){bytes, out.bytes});
    if (status != MORTAR_OK) {
        source->rest_until_ms = session->now_ms + SEND_REST_MS;
        return;
    }
    struct replay_ask *const slot = chunk->asks[0].live ? &chunk->asks[1] : &chunk->asks[0];
    ASSERT(!slot->live);
    *slot = (struct replay_ask){
        .live = true, .source = place, .id = ++source->ids, .sent_ms = session->now_ms};
    chunk->owed |= 1u << place;
    replay_source_asked(session, place, chunk);
    hold(session, chunk->bytes);
    chunk->state = REPLAY_CHUNK_ASKED;
}

/* True if a source that failed to give `chunk` could be tried again. */
static bool all_were_tried(const struct replay_session *session, const struct replay_chunk *chunk)
{
    struct replay_chunk untried = *chunk;
    untried.tried = 0;
    return chunk->tried != 0 && replay_source_pick(session, &untried, false) != REPLAY_NO_SOURCE;
}

uint64_t replay_span_max(const struct replay_session *session)
{
    const uint64_t window = session->options.window_bytes;
    const uint64_t batch = session->options.batch_bytes;
    return window - (batch < window / 2 ? batch : window / 2);
}

void replay_fetch_schedule(struct replay_session *session)
{
    const uint64_t span_max = replay_span_max(session);
    uint64_t span = 0;
    for (uint32_t i = 0; i < session->queue.count; i++) {
        struct replay_chunk *const chunk = replay_chunk_at(session, i);
        span += chunk->bytes;
        if (i > 0 && span > span_max && !BUG(WINDOW_IGNORED)) return;
        if (chunk->state != REPLAY_CHUNK_WANTED) continue;
        if (replay_sources_full(session)) return;
        const uint64_t held = session->bytes_held + chunk->bytes;
        const bool fits = held <= session->options.window_bytes || BUG(WINDOW_IGNORED);
        if (i > 0 && !fits) { /* Second asks take room too. */
            MARK(WINDOW_HOLDS);
            return;
        }
        uint8_t place = replay_source_pick(session, chunk, false);
        if (place == REPLAY_NO_SOURCE && all_were_tried(session, chunk)) {
            MARK(ALL_WERE_TRIED);
            chunk->tried = 0;
            place = replay_source_pick(session, chunk, false);
        }
        if (place != REPLAY_NO_SOURCE) ask(session, chunk, place);
    }
}

/* After this time without an answer a second source is asked. */
static uint64_t hedge_ms(const struct replay_session *session, const struct replay_source *source)
{
    const uint64_t expected_ms = replay_source_expected_ms(source);
    uint64_t wait_ms = expected_ms == 0 ? HEDGE_MS_UNKNOWN : 3 * expected_ms;
    if (wait_ms < HEDGE_MS_MIN) wait_ms = HEDGE_MS_MIN;
    const uint64_t timeout_ms = session->options.fetch_timeout_ms;
    const uint64_t most_ms = timeout_ms > 2 * expected_ms ? timeout_ms : 2 * expected_ms;
    return wait_ms < most_ms ? wait_ms : most_ms;
}

/* Asks a second source for a chunk whose only ask is late, or which is the head while a faster
 * source idles. */
static void hedge(struct replay_session *session, struct replay_chunk *chunk, bool is_head)
{
    const struct replay_ask *const first = chunk->asks[0].live ? &chunk->asks[0] : &chunk->asks[1];
    const struct replay_source *const slow = &session->sources[first->source];
    const uint64_t age_ms = session->now_ms - first->sent_ms;
    const bool late = age_ms >= hedge_ms(session, slow);
    if (!late && (!is_head || age_ms < HEAD_HEDGE_MS_MIN)) return;
    /* Room for one more batch is left: the head must never wait for second asks to end. */
    const uint64_t held = session->bytes_held + chunk->bytes + session->options.batch_bytes;
    if (held > session->options.window_bytes) return;
    const uint8_t place = replay_source_pick(session, chunk, late);
    if (place == REPLAY_NO_SOURCE) return;
    const struct replay_source *const other = &session->sources[place];
    const bool idle_and_faster = other->in_flight_count == 0 && other->latency_us > 0 &&
                                 2 * other->latency_us / 1000 < age_ms;
    if (late) MARK(HEDGE_LATE);
    if (!late && idle_and_faster) MARK(HEDGE_HEAD);
    if (late || idle_and_faster) ask(session, chunk, place);
}

/* A request is counted as lost after this time; a second source was asked before. A source that is
 * slow, and not dead, is given longer each time, and never less than what was measured allows,
 * or a slow link would never deliver anything. */
static uint64_t give_up_ms(const struct replay_session *session, uint8_t place)
{
    const struct replay_source *const source = &session->sources[place];
    const uint64_t timeout_ms = session->options.fetch_timeout_ms;
    uint64_t wait_ms = timeout_ms * (1 + (uint64_t)source->timeouts);
    if (wait_ms > timeout_ms * SLOW_FACTOR_MAX) wait_ms = timeout_ms * SLOW_FACTOR_MAX;
    const uint64_t patience_ms = replay_source_patience_ms(source);
    const uint64_t most_ms = session->options.give_up_ms;
    if (wait_ms < patience_ms) wait_ms = patience_ms < most_ms ? patience_ms : most_ms;
    return wait_ms;
}

void replay_fetch_expire(struct replay_session *session)
{
    for (uint32_t i = 0; i < session->queue.count; i++) {
        struct replay_chunk *const chunk = replay_chunk_at(session, i);
        if (chunk->state != REPLAY_CHUNK_ASKED) continue;
        for (uint32_t k = 0; k < REPLAY_ASKS_MAX; k++) {
            struct replay_ask *const late = &chunk->asks[k];
            if (!late->live) continue;
            if (session->now_ms - late->sent_ms < give_up_ms(session, late->source)) {
                continue;
            }
            ask_end(session, chunk, late);
            chunk->tried |= 1u << late->source;
            MARK(ASK_LOST);
            replay_source_timed_out(session, late->source, late->sent_ms);
        }
        if (live_asks(chunk) == 0) {
            if (!BUG(LOST_RANGE_FORGOTTEN)) chunk_want(session, chunk);
        } else if (live_asks(chunk) == 1) {
            hedge(session, chunk, i == 0);
        }
    }
}

/* --- Answers --- */

/* The chunk that has a live ask with this id from this source; NULL: none. */
static struct replay_chunk *chunk_asked(struct replay_session *session, uint8_t source, uint32_t id,
                                        struct replay_ask **out_ask)
{
    for (uint32_t i = 0; i < session->queue.count; i++) {
        struct replay_chunk *const chunk = replay_chunk_at(session, i);
        if (chunk->state != REPLAY_CHUNK_ASKED) continue;
        for (uint32_t k = 0; k < REPLAY_ASKS_MAX; k++) {
            struct replay_ask *const candidate = &chunk->asks[k];
            if (!candidate->live || candidate->source != source || candidate->id != id) continue;
            *out_ask = candidate;
            return chunk;
        }
    }
    return NULL;
}

/* The chunk of exactly this range that has not arrived yet: an answer that is late is still good.
 * NULL: none. */
static struct replay_chunk *chunk_missing(struct replay_session *session,
                                          const struct replay_entries *entries)
{
    for (uint32_t i = 0; i < session->queue.count; i++) {
        struct replay_chunk *const chunk = replay_chunk_at(session, i);
        if (chunk->state >= REPLAY_CHUNK_ARRIVED) continue;
        const bool same = entries->first == chunk->after.position.index + 1 &&
                          entries->last == chunk->end.position.index;
        if (same) return chunk;
    }
    return NULL;
}

/* An id that was given out to this source, now or before. Anything else is no answer of ours. */
static bool id_was_given(const struct replay_source *source, uint32_t id)
{
    return id >= 1 && id <= source->ids;
}

void replay_on_entries(struct replay_session *session, const struct mortar_sync_incoming *message)
{
    struct replay_entries entries;
    const uint8_t place = replay_source_find(session, &message->from);
    const bool sound = replay_entries_decode(message->bytes, &entries) == MORTAR_OK;
    if (place == REPLAY_NO_SOURCE || session->sources[place].dropped) {
        MARK(ANSWER_OF_DROPPED);
        session->bytes_discarded += message->bytes.bytes;
        return;
    }
    if (!sound || !id_was_given(&session->sources[place], entries.id)) {
        MARK(ANSWER_UNSOUND);
        session->bytes_discarded += message->bytes.bytes;
        replay_source_drop(session, place);
        return;
    }
    struct replay_ask *answered = NULL;
    struct replay_chunk *chunk = chunk_asked(session, place, entries.id, &answered);
    if (chunk == NULL) chunk = chunk_missing(session, &entries);
    const bool fits = chunk == NULL || answered != NULL || chunk == replay_chunk_at(session, 0) ||
                      session->bytes_held + chunk->bytes <= session->options.window_bytes;
    if (chunk == NULL || !fits) { /* Late, or twice, or no room for what nobody counts on. */
        MARK(ANSWER_TOO_LATE);
        session->bytes_discarded += entries.run.bytes;
        return;
    }
    const bool right = entries.first == chunk->after.position.index + 1 &&
                       entries.last == chunk->end.position.index &&
                       entries.run.bytes == chunk->bytes;
    if (!right) {
        MARK(ANSWER_WRONG);
        session->bytes_discarded += entries.run.bytes;
        replay_source_drop(session, place);
        return;
    }
    if (answered == NULL) MARK(ANSWER_LATE_BUT_GOOD);
    const uint64_t overdue_ms = session->sources[place].overdue_ms;
    if (answered != NULL) {
        replay_source_answered(session, place, answered->sent_ms, chunk->bytes);
    } else if (overdue_ms != 0) { /* It is not dead, only slower than was thought. */
        replay_source_answered(session, place, overdue_ms, chunk->bytes);
    }
    all_asks_end(session, chunk);
    chunk->owed &= ~(1u << place);
    chunk_cancel(session, chunk);
    replay_session_arrived(session);
    chunk->state = REPLAY_CHUNK_ARRIVED;
    chunk->giver = place;
    chunk->buffer = mortar_buffer_share(message->buffer);
    chunk->offset = (size_t)(entries.run.data - mortar_buffer_data(message->buffer));
    hold(session, chunk->bytes);
}

void replay_on_refused(struct replay_session *session, const struct mortar_sync_incoming *message)
{
    struct replay_refused refused;
    if (replay_refused_decode(message->bytes, &refused) != MORTAR_OK) return;
    const uint8_t place = replay_source_find(session, &message->from);
    if (place == REPLAY_NO_SOURCE) return;
    struct replay_ask *answered = NULL;
    struct replay_chunk *const chunk = chunk_asked(session, place, refused.id, &answered);
    if (chunk == NULL) return;
    MARK(FETCH_REFUSED);
    ask_end(session, chunk, answered);
    chunk->tried |= 1u << place;
    chunk->owed &= ~(1u << place);
    mortar_sync_trace(session->sync, MORTAR_TRACE_SYNC_REFUSED, &message->from,
                      mortar_sync_session_id(session->runtime), refused.reason,
                      chunk->after.position.index + 1, chunk->end.position.index);
    if (live_asks(chunk) == 0) chunk_want(session, chunk);
    replay_source_refused(session, place, refused.reason);
}

/* --- Verifying --- */

static void check_run(void *argument, void *machine)
{
    (void)machine;
    struct replay_check *const check = argument;
    uint32_t count;
    check->status = mortar_log_run_verify(check->run, &check->after, &count, &check->end);
    if (BUG(CHUNK_UNVERIFIED)) check->status = MORTAR_OK;
}

static void check_free(struct replay_check *check)
{
    mortar_buffer_release(check->buffer);
    check->allocator->release(check->allocator->context, check, sizeof *check);
}

/* The chunk that the check was made for; NULL: it left the queue meanwhile. */
static struct replay_chunk *chunk_checked(struct replay_session *session, uint64_t number)
{
    const struct replay_queue *const queue = &session->queue;
    if (number < queue->head_number || number - queue->head_number >= queue->count) return NULL;
    struct replay_chunk *const chunk =
        replay_chunk_at(session, (uint32_t)(number - queue->head_number));
    return chunk->state == REPLAY_CHUNK_VERIFYING ? chunk : NULL;
}

/* By the leader's own word, so it stays. */
static void say_verified(struct replay_session *session, const struct replay_chunk *chunk)
{
    mortar_sync_trace(session->sync, MORTAR_TRACE_SYNC_VERIFIED,
                      &session->sources[chunk->giver].member,
                      mortar_sync_session_id(session->runtime), chunk->after.position.index + 1,
                      chunk->end.position.index, chunk->bytes);
}

static void check_done(void *argument, bool destroyed)
{
    struct replay_check *const check = argument;
    if (destroyed) {
        if (!BUG(CHECK_LEAKED)) {
            MARK(CHECK_OUTLIVES_SESSION);
            check_free(check);
        }
        return;
    }
    struct replay_session *const session = check->session;
    struct replay_chunk *const chunk = chunk_checked(session, check->number);
    if (chunk == NULL) MARK(CHECK_OF_NO_CHUNK);
    if (chunk != NULL) {
        struct replay_source *const source = &session->sources[chunk->giver];
        const bool fits = check->status == MORTAR_OK &&
                          mortar_position_equal(check->end.position, chunk->end.position);
        const bool equal = fits && mortar_log_sum_equal(check->end.sum, chunk->end.sum);
        if (equal || BUG(CHUNK_UNVERIFIED) || (fits && BUG(CHUNK_SUM_SKIPPED))) {
            chunk->state = REPLAY_CHUNK_VERIFIED;
            source->bytes += chunk->bytes;
            source->entries += chunk_entries(chunk);
            session->bytes_done += chunk->bytes;
            session->entries_done += chunk_entries(chunk);
            if (!session->below.active) say_verified(session, chunk);
            replay_session_progressed(session);
        } else {
            const uint8_t giver = chunk->giver;
            MARK(CHUNK_WRONG);
            session->bytes_discarded += chunk->bytes;
            chunk->tried |= 1u << giver;
            chunk_want(session, chunk);
            replay_source_drop(session, giver);
        }
    }
    check_free(check);
    mortar_sync_wake(session->sync);
}

/* False: no room or memory now. */
static bool begin_check(struct replay_session *session, struct replay_chunk *chunk, uint64_t number)
{
    struct replay_check *const check =
        session->allocator->reserve(session->allocator->context, sizeof *check);
    if (check == NULL) return false;
    memset(check, 0, sizeof *check);
    check->session = session;
    check->allocator = session->allocator;
    check->number = number;
    check->buffer = mortar_buffer_share(chunk->buffer);
    check->run =
        (struct mortar_bytes){mortar_buffer_data(chunk->buffer) + chunk->offset, chunk->bytes};
    check->after = chunk->after;
    const enum mortar_status status =
        mortar_sync_offload(session->sync, MORTAR_ON_BULK, check_run, check_done, check);
    if (status != MORTAR_OK) {
        check_free(check);
        return false;
    }
    chunk->state = REPLAY_CHUNK_VERIFYING;
    return true;
}

void replay_fetch_verify(struct replay_session *session)
{
    for (uint32_t i = 0; i < session->queue.count; i++) {
        struct replay_chunk *const chunk = replay_chunk_at(session, i);
        if (chunk->state != REPLAY_CHUNK_ARRIVED) continue;
        if (!begin_check(session, chunk, session->queue.head_number + i)) return;
    }
}

/* --- Appending --- */

/* Below the leader's base nothing is kept before all of it closes on that base: true when it does,
 * and what stood there in our own log, uncommitted, is cut. */
static bool below_may_close(struct replay_session *session)
{
    struct replay_below *const below = &session->below;
    if (!below->active || below->closing) return true;
    for (uint32_t i = 0; i < session->queue.count; i++) {
        if (replay_chunk_at(session, i)->state != REPLAY_CHUNK_VERIFIED) return false;
    }
    const struct mortar_anchor_point end = replay_queue_end(session);
    if (end.position.index != below->base.position.index) return false;
    ASSERT(mortar_log_sum_equal(end.sum, below->base.sum)); /* Looked at when it was planned. */
    const uint64_t start = session->queue.start.position.index;
    if (mortar_sync_log_last(session->sync).index > start) {
        const enum mortar_status status = mortar_sync_session_truncate(session->runtime, start + 1);
        if (status != MORTAR_OK) {
            replay_session_fail(session, status);
            return false;
        }
    }
    below->closing = true;
    return true;
}

/* Appends the head. False: not now. */
static bool append_head(struct replay_session *session)
{
    struct replay_queue *const queue = &session->queue;
    struct replay_chunk *const chunk = replay_chunk_at(session, 0);
    const struct mortar_log_run run = {
        .buffer = chunk->buffer,
        .offset = chunk->offset,
        .bytes = chunk->bytes,
        .first = chunk->after.position.index + 1,
        .count = (uint32_t)chunk_entries(chunk),
    };
    enum mortar_status status = mortar_sync_session_append(session->runtime, &run, true);
    if (status == MORTAR_E_BUSY || status == MORTAR_E_NO_MEMORY) {
        session->append_retry_ms = session->now_ms + APPEND_RETRY_MS;
        return false;
    }
    if (status == MORTAR_OK) {
        status = mortar_sync_session_set_committed(session->runtime, chunk->end.position);
    }
    if (status != MORTAR_OK) {
        replay_session_fail(session, status);
        return false;
    }
    mortar_sync_trace(session->sync, MORTAR_TRACE_SYNC_CHUNK,
                      &session->sources[chunk->giver].member,
                      mortar_sync_session_id(session->runtime), run.first,
                      chunk->end.position.index, chunk->bytes);
    queue->start = chunk->end;
    queue->bytes -= chunk->bytes;
    chunk_want(session, chunk); /* Gives the buffer back. */
    queue->head = (queue->head + 1) % REPLAY_CHUNKS_MAX;
    queue->count--;
    queue->head_number++;
    mortar_sync_session_needs(session->runtime, queue->start.position.index + 1);
    replay_session_progressed(session);
    return true;
}

void replay_fetch_append(struct replay_session *session)
{
    if (session->queue.count == 0 || session->now_ms < session->append_retry_ms) return;
    if (!below_may_close(session)) return;
    for (uint32_t i = 0; i < REPLAY_APPENDS_PER_POLL && session->queue.count > 0; i++) {
        if (replay_chunk_at(session, 0)->state != REPLAY_CHUNK_VERIFIED) return;
        if (!append_head(session)) return;
    }
    if (session->queue.count > 0) mortar_sync_wake(session->sync);
}
