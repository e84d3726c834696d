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
/* The window grows while answers come this fast (and twice the fastest answer of any kind, which
 * says how far away the source is), and shrinks when they take this long (and 4 times that). What
 * is beyond is a queue: on the way, or at the source. */
#define LATENCY_LOW_US  100000u
#define LATENCY_HIGH_US 400000u
/* A request takes this long by the rate of the fastest source. */
#define BATCH_MS 250u
/* And so many bytes, before a rate is known: little enough for any link, and soon measured. */
#define BATCH_BYTES_FIRST (16u * 1024u)
#define BATCH_BYTES_MIN   4096u
/* A source that has given nothing yet is taken to be no slower than this: asked again sooner, it
 * would send all twice. */
#define RATE_FLOOR 20000u
/* A rate is taken over this long at least, after the first. */
#define SAMPLE_MS 50u
/* A source that takes this long, and 4 times as long as another, is passed by. */
#define SLOW_MS 1000u
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

/* Of the fastest source; 0: none is known. */
static uint64_t best_rate(const struct replay_session *session)
{
    uint64_t rate = 0;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (source->bonded && !source->dropped && source->rate > rate) rate = source->rate;
    }
    return rate;
}

bool replay_rate_is_known(const struct replay_session *session)
{
    return best_rate(session) != 0;
}

uint32_t replay_batch_bytes(const struct replay_session *session)
{
    const uint64_t rate = best_rate(session);
    const uint64_t most = session->options.batch_bytes;
    const uint64_t least = most < BATCH_BYTES_MIN ? most : BATCH_BYTES_MIN;
    uint64_t bytes = rate * BATCH_MS / 1000;
    if (rate == 0) bytes = BATCH_BYTES_FIRST >> session->patience; /* Smaller after each stall. */
    if (bytes < least) bytes = least;
    return (uint32_t)(bytes < most ? bytes : most);
}

/* Two requests fit at least, so that one is under way while another is asked for. */
static uint64_t clamp_window(const struct replay_session *session, uint64_t bytes)
{
    const uint64_t min = 2ull * session->batch_bytes;
    const uint64_t max = session->options.source_window_bytes;
    if (bytes < min) bytes = min;
    return bytes < max ? bytes : max;
}

uint64_t replay_source_expected_ms(const struct replay_source *source)
{
    const uint64_t latency_ms = source->latency_us / 1000;
    const uint64_t queue_ms = source->rate == 0 ? 0 : source->in_flight_bytes * 1000 / source->rate;
    return latency_ms > queue_ms ? latency_ms : queue_ms;
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
    source->asked_ms = 0;
    source->overdue_ms = 0;
    source->window_bytes = clamp_window(session, 0);
}

static void source_departed(struct replay_session *session, uint8_t place)
{
    struct replay_source *const source = source_at(session, place);
    source->bonded = false;
    source->known = false;
    source->asking = false;
    replay_asks_end(session, place, false);
    MARK(SOURCE_DEPARTS);
    replay_queue_owed_end(session, place);
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
        source->asked_ms = session->now_ms;
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
        if (source->asked_ms == 0) source->asked_ms = session->now_ms;
        source->asking = true; /* Lost or not: it is asked again when the back-off is over. */
        source->ask_at_ms = session->now_ms + LOST_FACTOR * source->backoff_ms;
        back_off(source);
    }
}

static void note_base(struct replay_source *source, uint64_t latency_us)
{
    if (source->base_us == 0 || latency_us < source->base_us) source->base_us = latency_us;
}

/* Time on the group's clock, in steps of a millisecond. */
static uint64_t since_us(const struct replay_session *session, uint64_t sent_ms)
{
    const uint64_t latency_us = (session->now_ms - sent_ms) * 1000;
    return latency_us == 0 ? 500 : latency_us; /* Below the clock's step. */
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
    if (source->asked_ms != 0) note_base(source, since_us(session, source->asked_ms));
    if (news) {
        mortar_sync_trace(session->sync, MORTAR_TRACE_SYNC_SOURCE, &source->member,
                          mortar_sync_session_id(session->runtime), word.base.index + 1,
                          word.end.position.index, 0);
    }
    if (word.end.position.index >= replay_queue_end(session).position.index) source->trails = false;
    source->known = true;
    source->asking = false;
    source->asked_ms = 0;
    source->base_index = word.base.index;
    source->end_index = word.end.position.index;
    source->ask_at_ms = session->now_ms + source->backoff_ms;
}

static bool covers(const struct replay_source *source, const struct replay_chunk *chunk)
{
    return source->known && source->base_index <= chunk->after.position.index &&
           source->end_index >= chunk->end.position.index;
}

bool replay_sources_hold(const struct replay_session *session, const struct replay_chunk *chunk)
{
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (source->bonded && !source->dropped && covers(source, chunk)) return true;
    }
    return false;
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
        const bool lags = source->base_index <= chunk->after.position.index && !source->trails;
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

/* How long `source` would take for the chunk, behind what it owes; 0: nothing was measured. */
static uint64_t takes_ms(const struct replay_source *source, const struct replay_chunk *chunk)
{
    if (source->rate == 0) return 0;
    return (source->in_flight_bytes + chunk->bytes) * 1000 / source->rate;
}

/* True if the chunk comes much sooner when it waits for another source than `place`, the leader. */
static bool is_passed_by(const struct replay_session *session, uint8_t place,
                         const struct replay_chunk *chunk)
{
    const uint64_t own_ms = takes_ms(&session->sources[place], chunk);
    if (own_ms < SLOW_MS) return false;
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        const struct replay_source *const source = &session->sources[i];
        if (i == place || !source->bonded || source->dropped || !covers(source, chunk)) continue;
        if (source->rest_until_ms > session->now_ms || is_leader(session, source)) continue;
        const uint64_t other_ms = takes_ms(source, chunk);
        if (other_ms != 0 && !was_asked(chunk, i) && 4 * other_ms < own_ms) return true;
    }
    return false;
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
        if (is_leader(session, source) && !BUG(LEADER_FIRST)) {
            leader = i;
            continue;
        }
        if (is_passed_by(session, i, chunk)) {
            MARK(SOURCE_PASSED_BY);
            continue;
        }
        const uint64_t cost = expected_cost(source, chunk->bytes);
        if (cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    if (best != REPLAY_NO_SOURCE || leader == REPLAY_NO_SOURCE) return best;
    MARK(LEADER_LAST);
    return may_spare_leader(session, chunk) ? REPLAY_NO_SOURCE : leader;
}

void replay_source_drop(struct replay_session *session, uint8_t place)
{
    MARK(SOURCE_DROPPED);
    source_at(session, place)->dropped = true;
    replay_asks_end(session, place, true);
}

uint64_t replay_source_patience_ms(const struct replay_source *source)
{
    if (source->rate == 0) return source->in_flight_bytes * 1000 / RATE_FLOOR;
    return 3 * replay_source_expected_ms(source);
}

/* The leader is asked after all: a follower that was waited for, and has not got the chunk, is on
 * its way up itself. Two laggards would wait for each other at each chunk. */
static void note_trailing(struct replay_session *session, const struct replay_chunk *chunk)
{
    for (uint8_t i = 0; i < MORTAR_MEMBERS_MAX; i++) {
        struct replay_source *const source = &session->sources[i];
        if (!source->bonded || !source->known || is_leader(session, source)) continue;
        if (source->end_index < chunk->end.position.index) source->trails = true;
    }
}

void replay_source_asked(struct replay_session *session, uint8_t place,
                         const struct replay_chunk *chunk)
{
    struct replay_source *const source = source_at(session, place);
    if (is_leader(session, source)) note_trailing(session, chunk);
    if (source->in_flight_count == 0) { /* It was idle: a measure begins. */
        source->sample_ms = session->now_ms;
        source->sample_bytes = 0;
    }
    source->in_flight_count++;
    source->in_flight_bytes += chunk->bytes;
}

/* Takes the rate while the source has something to send. */
static void measure(const struct replay_session *session, struct replay_source *source,
                    uint32_t bytes)
{
    source->sample_bytes += bytes;
    uint64_t span_ms = session->now_ms - source->sample_ms;
    const bool idle_next = source->in_flight_count <= 1;
    if (source->rate != 0 && span_ms < SAMPLE_MS && !idle_next) return;
    if (span_ms == 0) span_ms = 1;
    const uint64_t rate = source->sample_bytes * 1000 / span_ms + 1;
    source->rate = source->rate == 0 ? rate : (3 * source->rate + rate) / 4;
    source->sample_ms = session->now_ms;
    source->sample_bytes = 0;
}

void replay_source_answered(struct replay_session *session, uint8_t place, uint64_t sent_ms,
                            uint32_t bytes)
{
    struct replay_source *const source = source_at(session, place);
    const uint64_t latency_us = since_us(session, sent_ms);
    source->latency_us =
        source->latency_us == 0 ? latency_us : (7 * source->latency_us + latency_us) / 8;
    note_base(source, latency_us);
    measure(session, source, bytes);
    const bool low = latency_us <= LATENCY_LOW_US + 2 * source->base_us;
    const bool high = latency_us > LATENCY_HIGH_US + 4 * source->base_us;
    if (low) source->window_bytes += bytes; /* Doubles with each window. */
    if (high) source->window_bytes -= source->window_bytes / 4;
    source->window_bytes = clamp_window(session, source->window_bytes);
    if (source->timeouts >= TIMEOUTS_SICK) source->rest_until_ms = session->now_ms;
    source->timeouts = 0;
    source->overdue_ms = 0;
    source->backoff_ms = BACKOFF_MS_MIN;
}

void replay_source_timed_out(struct replay_session *session, uint8_t place, uint64_t sent_ms)
{
    struct replay_source *const source = source_at(session, place);
    source->timeouts++;
    source->rate /= 2; /* It is slower than that, or a source no more. */
    if (source->overdue_ms == 0) source->overdue_ms = sent_ms;
    source->window_bytes = clamp_window(session, source->window_bytes / 2);
    if (source->timeouts < TIMEOUTS_SICK) return;
    const uint32_t shift = source->timeouts < 8 ? source->timeouts : 8;
    uint64_t rest_ms = 100ull << shift;
    if (rest_ms > REST_MS_MAX) rest_ms = REST_MS_MAX;
    source->rest_until_ms = session->now_ms + rest_ms;
    MARK(SOURCE_SICK);
    source->known = false; /* Its word is asked for again before it is used. */
}

void replay_source_refused(struct replay_session *session, uint8_t place,
                           enum replay_refusal reason)
{
    struct replay_source *const source = source_at(session, place);
    source->window_bytes = clamp_window(session, source->window_bytes / 2);
    source->rest_until_ms = session->now_ms + source->backoff_ms;
    if (reason != REPLAY_BUSY) { /* Its word was wrong: asked for again, not in a tight loop. */
        MARK(SOURCE_WORD_WRONG);
        source->known = false;
        source->asking = true;
        source->ask_at_ms = source->rest_until_ms;
    }
    back_off(source);
}
