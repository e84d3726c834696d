/* sim/lie.c - one function for each lie. Each rewrites the body of a method's message in a buffer
 * with room for more, and answers how long it is now; 0: there is nothing to lie about. */
#include "sim/lie.h"

#include "base/hash.h"
#include "sync/replay_message.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/record.h"

#include <stdlib.h>
#include <string.h>

#define BODY_OFFSET       (FRAME_HEADER_BYTES + SYNC_MESSAGE_BYTES)
#define SEQUENCE_OFFSET   (FRAME_HEADER_BYTES + 8u)
#define CHECKSUM_OFFSET   (FRAME_HEADER_BYTES + 16u)
#define PLAN_SUM_OFFSET   16u /* In a point of a plan. */
#define PLAN_BYTES_OFFSET 32u

struct lie {
    const struct lie_order *order;
    struct prng *prng;
    uint8_t *body;
    size_t bytes;
    enum sim_fault kind;
};

/* ---- Entries ---- */

/* Some bytes differ, or the end is missing. */
static size_t wrong_bytes(struct lie *lie)
{
    const size_t place = (size_t)prng_below(lie->prng, lie->bytes);
    const size_t left = lie->bytes - place;
    switch (prng_below(lie->prng, 3)) {
    case 0:
        memset(lie->body + place, 0, left < 16 ? left : 16);
        return lie->bytes;
    case 1:
        return place > 0 ? place : 1;
    default:
        lie->body[place] ^= (uint8_t)(1 + prng_below(lie->prng, 255));
        return lie->bytes;
    }
}

/* Changes one record of a run, the last byte of its content or its term and all after it, and makes
 * all sums from there on fit: only the sum that the group vouches for can tell. */
static bool forge(struct lie *lie, uint32_t count, bool terms)
{
    const uint32_t victim = 1 + (uint32_t)prng_below(lie->prng, count - 1);
    size_t offset = REPLAY_ENTRIES_BYTES;
    struct mortar_log_sum sum = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct reader reader =
            reader_over((struct mortar_bytes){lie->body + offset, lie->bytes - offset});
        struct mortar_entry entry;
        if (record_decode(&reader, &entry) != MORTAR_OK) return false;
        const size_t length = lie->bytes - offset - reader.bytes;
        if (i == victim && !terms && entry.bytes.bytes > 0) lie->body[offset + length - 1] ^= 1;
        if (i >= victim && terms) entry.term++;
        if (i >= victim) {
            entry.sum = log_sum_next(sum, &entry);
            memcpy(lie->body + offset, &entry.sum.low, 8);
            memcpy(lie->body + offset + 8, &entry.sum.high, 8);
            memcpy(lie->body + offset + 24, &entry.term, 8);
        }
        sum = entry.sum;
        offset += length;
    }
    return true;
}

/* A log sum differs, as if the records had been summed wrongly. */
static size_t wrong_sum(struct lie *lie)
{
    if (lie->bytes < REPLAY_ENTRIES_BYTES + RECORD_HEADER_BYTES) return 0;
    lie->body[REPLAY_ENTRIES_BYTES + prng_below(lie->prng, 16)] ^= 1;
    return lie->bytes;
}

/* The entries sent before, under the name of these or under their own. */
static size_t wrong_range(struct lie *lie, const struct replay_entries *asked)
{
    const struct liar *const liar = lie->order->liar;
    if (liar->run == NULL || liar->first == asked->first) return 0;
    struct replay_entries other = *asked;
    other.count = (uint32_t)(liar->last - liar->first + 1);
    if (prng_chance(lie->prng, 1, 2)) {
        other.first = liar->first;
        other.last = liar->last;
    } else if (other.count != asked->count) {
        return 0; /* It could not be told apart from bytes that make no sense. */
    }
    struct writer out = writer_over(lie->body, REPLAY_ENTRIES_BYTES);
    replay_entries_encode(&other, &out);
    memcpy(lie->body + REPLAY_ENTRIES_BYTES, liar->run, liar->run_bytes);
    return REPLAY_ENTRIES_BYTES + liar->run_bytes;
}

/* It is held, and served; and yet it says that it is not. */
static size_t wrong_refusal(struct lie *lie, uint32_t id)
{
    const struct replay_refused refused = {
        .id = id,
        .reason = (enum replay_refusal)prng_between(lie->prng, REPLAY_NOT_HELD, REPLAY_TOO_LARGE),
    };
    struct writer out = writer_over(lie->body, REPLAY_REFUSED_BYTES);
    replay_refused_encode(&refused, &out);
    return out.bytes;
}

static void remember(struct liar *liar, const struct replay_entries *entries)
{
    liar_deinit(liar);
    liar->run = malloc(entries->run.bytes + 1);
    if (liar->run == NULL) abort();
    memcpy(liar->run, entries->run.data, entries->run.bytes);
    liar->run_bytes = entries->run.bytes;
    liar->first = entries->first;
    liar->last = entries->last;
}

static size_t lie_about_entries(struct lie *lie)
{
    struct replay_entries entries;
    const struct mortar_bytes body = {lie->body, lie->bytes};
    if (replay_entries_decode(body, &entries) != MORTAR_OK) return 0;
    static const enum sim_fault kinds[] = {
        SIM_FAULT_LIE_BYTES, SIM_FAULT_LIE_SUMS,  SIM_FAULT_LIE_SUMS,    SIM_FAULT_LIE_TERMS,
        SIM_FAULT_LIE_RANGE, SIM_FAULT_LIE_RANGE, SIM_FAULT_LIE_REFUSAL, SIM_FAULT_LIE_EMPTY,
    };
    const uint64_t choice = prng_below(lie->prng, sizeof kinds / sizeof kinds[0]);
    lie->kind = lie->order->only == 0 ? kinds[choice] : (enum sim_fault)lie->order->only;
    if (lie->kind == SIM_FAULT_LIE_RANGE) {
        const size_t bytes = wrong_range(lie, &entries);
        if (bytes == 0) remember(lie->order->liar, &entries);
        return bytes;
    }
    remember(lie->order->liar, &entries);
    if (lie->kind == SIM_FAULT_LIE_REFUSAL) return wrong_refusal(lie, entries.id);
    if (lie->kind == SIM_FAULT_LIE_EMPTY) return REPLAY_ENTRIES_BYTES;
    if (lie->kind == SIM_FAULT_LIE_BYTES) return wrong_bytes(lie);
    if (lie->kind == SIM_FAULT_LIE_SUMS && choice % 2 == 1) return wrong_sum(lie);
    if (lie->kind != SIM_FAULT_LIE_SUMS && lie->kind != SIM_FAULT_LIE_TERMS) return 0;
    const bool forged =
        entries.count > 1 && forge(lie, entries.count, lie->kind == SIM_FAULT_LIE_TERMS);
    return forged ? lie->bytes : 0;
}

/* ---- What is said on the control lane ---- */

/* It claims to hold more than it has: what is not committed yet, or long pruned. */
static size_t lie_about_holding(struct lie *lie)
{
    struct replay_availability said;
    const struct mortar_bytes body = {lie->body, lie->bytes};
    if (replay_availability_decode(body, &said) != MORTAR_OK) return 0;
    lie->kind = SIM_FAULT_LIE_CLAIM;
    if (prng_chance(lie->prng, 2, 3)) {
        said.end.position.index += prng_between(lie->prng, 1, 100000);
        said.bytes *= 2;
    } else {
        said.base = (struct mortar_position){0};
    }
    struct writer out = writer_over(lie->body, REPLAY_AVAILABILITY_BYTES);
    replay_availability_encode(&said, &out);
    return out.bytes;
}

/* Of the plan below the leader's base, for which no leader vouches. */
static size_t lie_about_plan(struct lie *lie)
{
    struct replay_plan plan;
    const struct mortar_bytes body = {lie->body, lie->bytes};
    if (replay_plan_decode(body, &plan) != MORTAR_OK || plan.leads || plan.count == 0) return 0;
    lie->kind = SIM_FAULT_LIE_PLAN;
    const size_t point = (size_t)prng_below(lie->prng, plan.count) * REPLAY_PLAN_POINT_BYTES;
    const bool sum = prng_chance(lie->prng, 1, 2);
    const size_t place = sum ? PLAN_SUM_OFFSET + (size_t)prng_below(lie->prng, 16)
                             : PLAN_BYTES_OFFSET + (size_t)prng_below(lie->prng, 2);
    lie->body[REPLAY_PLAN_BYTES + point + place] ^= 1;
    return lie->bytes;
}

static size_t tell(struct lie *lie)
{
    const uint8_t type = lie->bytes == 0 ? 0 : lie->body[0];
    if (type == REPLAY_ENTRIES) return lie_about_entries(lie);
    if (type == REPLAY_AVAILABILITY) return lie_about_holding(lie);
    if (type == REPLAY_PLAN) return lie_about_plan(lie);
    struct replay_refused refused;
    const struct mortar_bytes body = {lie->body, lie->bytes};
    if (type != REPLAY_REFUSED || replay_refused_decode(body, &refused) != MORTAR_OK) return 0;
    lie->kind = SIM_FAULT_LIE_REFUSAL;
    return wrong_refusal(lie, refused.id);
}

/* ---- Frames ---- */

static bool open_answer(struct mortar_bytes frame, enum mortar_lane lane,
                        struct frame_header *out_header, struct sync_message *out_message)
{
    struct mortar_bytes payload;
    if (frame_open(frame, lane, out_header, &payload) != MORTAR_OK) return false;
    if (out_header->type != MESSAGE_SYNC) return false;
    if (sync_message_decode(payload, out_message) != MORTAR_OK) return false;
    return out_message->to_session;
}

bool lie_is_possible(struct mortar_bytes frame, enum mortar_lane lane)
{
    struct frame_header header;
    struct sync_message message;
    return open_answer(frame, lane, &header, &message);
}

static void seal(struct mortar_buffer *frame, const struct frame_header *header, size_t body_bytes)
{
    uint8_t *data = mortar_buffer_data(frame);
    const uint64_t checksum =
        sync_message_checksum((struct mortar_bytes){data + BODY_OFFSET, body_bytes});
    memcpy(data + CHECKSUM_OFFSET, &checksum, sizeof checksum);
    frame_seal(data, header->version, header->lane, header->type, header->group,
               (uint32_t)(SYNC_MESSAGE_BYTES + body_bytes));
    mortar_buffer_set_bytes(frame, BODY_OFFSET + body_bytes);
}

struct mortar_buffer *lie_about(const struct lie_order *order, struct mortar_bytes frame,
                                enum mortar_lane lane, enum sim_fault *out_kind)
{
    struct frame_header header;
    struct sync_message message;
    if (!open_answer(frame, lane, &header, &message)) return NULL;
    struct mortar_buffer *told = mortar_buffer_new(
        order->allocator, frame.bytes + REPLAY_ENTRIES_BYTES + order->liar->run_bytes);
    if (told == NULL) return NULL;
    memcpy(mortar_buffer_data(told), frame.data, frame.bytes);
    struct lie lie = {
        .order = order,
        .prng = order->prng,
        .body = mortar_buffer_data(told) + BODY_OFFSET,
        .bytes = message.bytes.bytes,
    };
    const size_t bytes = tell(&lie);
    if (bytes == 0 || (order->only != 0 && lie.kind != order->only)) {
        mortar_buffer_release(told);
        return NULL;
    }
    seal(told, &header, bytes);
    *out_kind = lie.kind;
    return told;
}

struct mortar_buffer *lie_again(struct mortar_bytes frame, enum mortar_lane lane,
                                const struct mortar_allocator *allocator, struct prng *prng)
{
    struct frame_header header;
    struct sync_message message;
    if (!open_answer(frame, lane, &header, &message)) return NULL;
    struct mortar_buffer *again = mortar_buffer_new(allocator, frame.bytes);
    if (again == NULL) return NULL;
    memcpy(mortar_buffer_data(again), frame.data, frame.bytes);
    const uint64_t sequence = prng_next(prng) | 1u << 31;
    memcpy(mortar_buffer_data(again) + SEQUENCE_OFFSET, &sequence, sizeof sequence);
    seal(again, &header, message.bytes.bytes);
    return again;
}

void liar_deinit(struct liar *liar)
{
    free(liar->run);
    *liar = (struct liar){0};
}
