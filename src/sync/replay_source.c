/* sync/replay_source.c - the members that a catch-up may fetch from.
 *
 * Choice: of the sources that hold a chunk and have room, the one with the shortest expected queue.
 * The leader comes last (C8): it is asked only for what no other live source holds or will hold in
 * a moment.
 */
#include "base/assert.h"
#include "sync/replay_session.h"

#include <string.h>

#define BACKOFF_MS_MIN 20u
#define BACKOFF_MS_MAX 1000u
/* A request counts as lost after so many times the back-off. */
#define LOST_FACTOR 10ull
/* A new bond answers within this time, or does not hold the leader back. */
#define ANSWER_PATIENCE_MS 200u
/* Other members learn of new commits within this time, or do not hold the leader back. */
#define COMMIT_PATIENCE_MS 300u
/* When a session begins, bonds may still be forming. */
#define START_PATIENCE_MS 25u
/* The window grows while answers come this fast (or within 4 times the fastest), and shrinks when
 * they take this long (and 8 times the fastest). */
#define LATENCY_LOW_US  100000u
#define LATENCY_HIGH_US 400000u
/* So many timeouts in a row make a source sick: it rests, and no longer holds the leader back. */
#define TIMEOUTS_SICK 2u
#define REST_MS_MAX   4000u

static struct replay_source *source_at(struct replay_session *session, uint8_t place)
{
    ASSERT(place < MORTAR_MEMBERS_MAX && session->sources[place].used);
    return &session->sources[place];
}

uint8_t replay_source_find(const struct replay_session *session,
                           const struct mortar_member_id *member)
{
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (source->used && mortar_member_id_equal(&source->member, member)) return i;
    }
    return REPLAY_NO_SOURCE;
}

static bool is_leader(const struct replay_session *session, const struct replay_source *source)
{
    return session->leader_known && mortar_member_id_equal(&source->member, &session->leader);
}

static uint64_t clamp_window(const struct replay_session *session, uint64_t bytes)
{
    const uint64_t min = session->options.batch_bytes;
    const uint64_t max = session->options.source_window_bytes;
    if (bytes > max) bytes = max;
    return bytes < min ? min : bytes;
}

/* A free place; else that of a departed member, except one that lied. REPLAY_NO_SOURCE: neither. */
static uint8_t free_place(const struct replay_session *session)
{
    uint8_t departed = REPLAY_NO_SOURCE;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (!source->used) return i;
        const bool idle = !source->bonded && !source->dropped;
        if (idle && !replay_queue_has_giver(session, i)) departed = i;
    }
    return departed;
}

/* A member bonded, for the first time or again. */
static void source_bonded(struct replay_session *session, const struct mortar_member_id *member)
{
    uint8_t place = replay_source_find(session, member);
    if (place == REPLAY_NO_SOURCE) {
        place = free_place(session);
        if (place == REPLAY_NO_SOURCE) return;
        replay_queue_forget_source(session, place);
        memset(&session->sources[place], 0, sizeof session->sources[place]);
        session->sources[place].used = true;
        session->sources[place].member = *member;
    }
    struct replay_source *const source = source_at(session, place);
    source->bonded = true;
    source->known = false;
    source->asking = false;
    source->bonded_ms = session->now_ms;
    source->ask_at_ms = session->now_ms;
    source->backoff_ms = BACKOFF_MS_MIN;
    source->rest_until_ms = 0;
    source->timeouts = 0;
    source->window_bytes = clamp_window(session, 2ull * session->options.batch_bytes);
}

static void source_departed(struct replay_session *session, uint8_t place)
{
    struct replay_source *const source = source_at(session, place);
    source->bonded = false;
    source->known = false;
    source->asking = false;
    replay_asks_end(session, place, false);
}

void replay_sources_observe(struct replay_session *session)
{
    struct mortar_member_id bonds[MORTAR_MEMBERS_MAX];
    const uint32_t count = mortar_sync_bonds(session->sync, bonds, MORTAR_MEMBERS_MAX);
    bool present[MORTAR_MEMBERS_MAX] = {false};
    for (uint32_t i = 0; i < count && i < MORTAR_MEMBERS_MAX; i++) {
        uint8_t place = replay_source_find(session, &bonds[i]);
        if (place == REPLAY_NO_SOURCE || !session->sources[place].bonded) {
            source_bonded(session, &bonds[i]);
            place = replay_source_find(session, &bonds[i]);
        }
        if (place != REPLAY_NO_SOURCE) present[place] = true;
    }
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        if (session->sources[i].bonded && !present[i]) source_departed(session, i);
    }
}

/* True if what the source said does not reach the end of the plan. */
static bool word_is_missing(const struct replay_session *session,
                            const struct replay_source *source)
{
    return !source->known || source->end_index < replay_queue_end(session).position.index;
}

static void back_off(struct replay_source *source)
{
    source->backoff_ms *= 2;
    if (source->backoff_ms > BACKOFF_MS_MAX) source->backoff_ms = BACKOFF_MS_MAX;
}

/* Asks all bonds at once. Whom it does not reach is asked one by one. */
static void announce(struct replay_session *session, struct mortar_bytes request)
{
    struct mortar_member_id reached[MORTAR_MEMBERS_MAX];
    const uint32_t count =
        mortar_sync_broadcast(session->sync, 0, request, reached, MORTAR_MEMBERS_MAX);
    for (uint32_t i = 0; i < count && i < MORTAR_MEMBERS_MAX; i++) {
        const uint8_t place = replay_source_find(session, &reached[i]);
        if (place == REPLAY_NO_SOURCE) continue;
        struct replay_source *const source = source_at(session, place);
        source->asking = true;
        source->ask_at_ms = session->now_ms + LOST_FACTOR * source->backoff_ms;
    }
    session->announced = true;
}

void replay_sources_ask(struct replay_session *session)
{
    uint8_t bytes[REPLAY_AVAILABILITY_REQUEST_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_availability_request_encode(&out);
    if (!session->announced) announce(session, (struct mortar_bytes){bytes, out.bytes});
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        struct replay_source *const source = &session->sources[i];
        if (!source->bonded || source->dropped || source->ask_at_ms > session->now_ms) continue;
        if (!source->asking && !word_is_missing(session, source)) continue;
        (void)mortar_sync_send_to(session->sync, &source->member, 0,
                                  (struct mortar_bytes){bytes, out.bytes});
        source->asking = true; /* Lost or not: it is asked again when the back-off is over. */
        source->ask_at_ms = session->now_ms + LOST_FACTOR * source->backoff_ms;
        back_off(source);
    }
}

void replay_on_availability(struct replay_session *session,
                            const struct mortar_sync_incoming *message)
{
    struct replay_availability word;
    if (replay_availability_decode(message->bytes, &word) != MORTAR_OK) return;
    const uint8_t place = replay_source_find(session, &message->from);
    if (place == REPLAY_NO_SOURCE || !session->sources[place].bonded) return;
    struct replay_source *const source = source_at(session, place);
    const bool news = !source->known || word.end.position.index > source->end_index;
    if (news && source->timeouts == 0 && source->bytes > 0) source->backoff_ms = BACKOFF_MS_MIN;
    source->known = true;
    source->asking = false;
    source->base_index = word.base.index;
    source->end_index = word.end.position.index;
    source->ask_at_ms = session->now_ms + source->backoff_ms;
}

static bool covers(const struct replay_source *source, const struct replay_chunk *chunk)
{
    return source->known && source->base_index <= chunk->after.position.index &&
           source->end_index >= chunk->end.position.index;
}

static bool was_asked(const struct replay_chunk *chunk, uint8_t place)
{
    for (uint32_t i = 0; i < REPLAY_ASKS_MAX; i++) {
        if (chunk->asks[i].live && chunk->asks[i].source == place) return true;
    }
    return (chunk->tried & (1u << place)) != 0;
}

/* True if a member other than the leader has the chunk, or is about to. */
static bool may_spare_leader(const struct replay_session *session, const struct replay_chunk *chunk)
{
    if (session->now_ms - session->started_ms < START_PATIENCE_MS) return true;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (!source->bonded || source->dropped || source->timeouts >= TIMEOUTS_SICK) continue;
        if (is_leader(session, source) || was_asked(chunk, i)) continue;
        if (covers(source, chunk)) return true;
        if (!source->known) {
            if (session->now_ms - source->bonded_ms < ANSWER_PATIENCE_MS) return true;
            continue;
        }
        const bool lags = source->base_index <= chunk->after.position.index;
        if (lags && session->now_ms - chunk->wanted_ms < COMMIT_PATIENCE_MS) return true;
    }
    return false;
}

bool replay_source_room(const struct replay_session *session, const struct replay_source *source,
                        uint32_t bytes)
{
    if (source->in_flight_count == 0) return true;
    if (source->in_flight_count >= REPLAY_SOURCE_ASKS_MAX) return false;
    return source->in_flight_bytes + bytes <= clamp_window(session, source->window_bytes);
}

bool replay_sources_full(const struct replay_session *session)
{
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (!source->bonded || source->dropped || !source->known) continue;
        if (source->rest_until_ms > session->now_ms) continue;
        if (replay_source_room(session, source, 1)) return false;
    }
    return true;
}

/* Bytes ahead times the time that each takes: who is lowest, answers first. */
static uint64_t expected_cost(const struct replay_source *source, uint32_t bytes)
{
    const uint64_t latency_us = source->latency_us < 1000 ? 1000 : source->latency_us;
    const uint64_t capped_us = latency_us > 10000000 ? 10000000 : latency_us;
    return (source->in_flight_bytes + bytes) / 16 * capped_us;
}

uint8_t replay_source_pick(const struct replay_session *session, const struct replay_chunk *chunk,
                           bool urgent)
{
    uint8_t best = REPLAY_NO_SOURCE;
    uint64_t best_cost = UINT64_MAX;
    uint8_t leader = REPLAY_NO_SOURCE;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (!source->bonded || source->dropped || !covers(source, chunk)) continue;
        if (session->below.active && session->below.source != i) continue;
        if (source->rest_until_ms > session->now_ms || was_asked(chunk, i)) continue;
        if (!urgent && !replay_source_room(session, source, chunk->bytes)) continue;
        if (is_leader(session, source)) {
            leader = i;
            continue;
        }
        const uint64_t cost = expected_cost(source, chunk->bytes);
        if (cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    if (best != REPLAY_NO_SOURCE || leader == REPLAY_NO_SOURCE) return best;
    return may_spare_leader(session, chunk) ? REPLAY_NO_SOURCE : leader;
}

void replay_source_drop(struct replay_session *session, uint8_t place)
{
    source_at(session, place)->dropped = true;
    replay_asks_end(session, place, true);
}

void replay_source_answered(struct replay_session *session, uint8_t place, uint64_t sent_ms,
                            uint32_t bytes)
{
    struct replay_source *const source = source_at(session, place);
    uint64_t latency_us = (session->now_ms - sent_ms) * 1000;
    if (latency_us == 0) latency_us = 500; /* Below the clock's step. */
    if (source->latency_us == 0) {
        source->latency_us = latency_us;
        source->latency_min_us = latency_us;
    } else {
        source->latency_us = (7 * source->latency_us + latency_us) / 8;
        if (latency_us < source->latency_min_us) source->latency_min_us = latency_us;
    }
    const uint64_t min_us = source->latency_min_us;
    const bool low = latency_us <= LATENCY_LOW_US || latency_us <= 4 * min_us;
    const bool high = latency_us > LATENCY_HIGH_US && latency_us > 8 * min_us;
    if (low) source->window_bytes += bytes; /* Doubles with each window. */
    if (high) source->window_bytes -= source->window_bytes / 8;
    source->window_bytes = clamp_window(session, source->window_bytes);
    source->timeouts = 0;
    source->backoff_ms = BACKOFF_MS_MIN;
}

void replay_source_timed_out(struct replay_session *session, uint8_t place)
{
    struct replay_source *const source = source_at(session, place);
    source->timeouts++;
    source->window_bytes = clamp_window(session, source->window_bytes / 2);
    if (source->timeouts < TIMEOUTS_SICK) return;
    const uint32_t shift = source->timeouts < 8 ? source->timeouts : 8;
    uint64_t rest_ms = 100ull << shift;
    if (rest_ms > REST_MS_MAX) rest_ms = REST_MS_MAX;
    source->rest_until_ms = session->now_ms + rest_ms;
    source->known = false; /* Its word is asked for again before it is used. */
}

void replay_source_refused(struct replay_session *session, uint8_t place,
                           enum replay_refusal reason)
{
    struct replay_source *const source = source_at(session, place);
    source->window_bytes = clamp_window(session, source->window_bytes / 2);
    source->rest_until_ms = session->now_ms + source->backoff_ms;
    if (reason != REPLAY_BUSY) { /* Its word was wrong: asked for again, not in a tight loop. */
        source->known = false;
        source->asking = true;
        source->ask_at_ms = source->rest_until_ms;
    }
    back_off(source);
}
