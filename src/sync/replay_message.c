/* sync/replay_message.c - the codecs of log replay. The formats stand in replay_message.h. */
#include "sync/replay_message.h"

#include "base/assert.h"
#include "wire/record.h"

static struct mortar_anchor_point get_point(struct reader *in)
{
    struct mortar_anchor_point point;
    point.position = get_position(in);
    point.sum = get_log_sum(in);
    return point;
}

static void put_point(struct writer *out, struct mortar_anchor_point point)
{
    put_position(out, point.position);
    put_log_sum(out, point.sum);
}

/* Fails the reader unless the next byte is `type`. */
static void get_type(struct reader *in, enum replay_type type)
{
    if (get_u8(in) != (uint8_t)type) in->failed = true;
}

/* Index and term are zero together: the sentinel (mortar/types.h). */
static bool position_is_sound(struct mortar_position position)
{
    return (position.index == 0) == (position.term == 0);
}

uint8_t replay_message_type(struct mortar_bytes message)
{
    return message.bytes == 0 ? 0 : message.data[0];
}

void replay_availability_request_encode(struct writer *out)
{
    put_u8(out, REPLAY_AVAILABILITY_REQUEST);
}

enum mortar_status replay_availability_request_decode(struct mortar_bytes in)
{
    struct reader r = reader_over(in);
    get_type(&r, REPLAY_AVAILABILITY_REQUEST);
    return reader_done(&r) ? MORTAR_OK : MORTAR_E_CORRUPT;
}

void replay_availability_encode(const struct replay_availability *message, struct writer *out)
{
    ASSERT(message->base.index <= message->end.position.index);
    put_u8(out, REPLAY_AVAILABILITY);
    put_bool(out, message->leads);
    put_u64(out, message->term);
    put_position(out, message->base);
    put_point(out, message->end);
    put_u64(out, message->bytes);
}

enum mortar_status replay_availability_decode(struct mortar_bytes in,
                                              struct replay_availability *out)
{
    struct reader r = reader_over(in);
    struct replay_availability m;
    get_type(&r, REPLAY_AVAILABILITY);
    m.leads = get_bool(&r);
    m.term = get_u64(&r);
    m.base = get_position(&r);
    m.end = get_point(&r);
    m.bytes = get_u64(&r);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (!position_is_sound(m.base) || !position_is_sound(m.end.position)) return MORTAR_E_CORRUPT;
    if (m.base.index > m.end.position.index) return MORTAR_E_CORRUPT;
    *out = m;
    return MORTAR_OK;
}

void replay_match_request_encode(const struct replay_match_request *message, struct writer *out)
{
    ASSERT(message->count >= 1 && message->count <= REPLAY_MATCH_POINTS_MAX);
    put_u8(out, REPLAY_MATCH_REQUEST);
    put_u32(out, message->id);
    put_u8(out, message->count);
}

void replay_match_point_encode(uint64_t index, struct mortar_log_sum sum, struct writer *out)
{
    put_u64(out, index);
    put_log_sum(out, sum);
}

void replay_match_point(const struct replay_match_request *message, uint32_t place,
                        uint64_t *out_index, struct mortar_log_sum *out_sum)
{
    ASSERT(place < message->count);
    struct reader r = reader_over((struct mortar_bytes){
        message->points.data + (size_t)place * REPLAY_MATCH_POINT_BYTES, REPLAY_MATCH_POINT_BYTES});
    *out_index = get_u64(&r);
    *out_sum = get_log_sum(&r);
}

enum mortar_status replay_match_request_decode(struct mortar_bytes in,
                                               struct replay_match_request *out)
{
    struct reader r = reader_over(in);
    struct replay_match_request m;
    get_type(&r, REPLAY_MATCH_REQUEST);
    m.id = get_u32(&r);
    m.count = get_u8(&r);
    if (m.count == 0 || m.count > REPLAY_MATCH_POINTS_MAX) return MORTAR_E_CORRUPT;
    m.points = get_bytes(&r, (size_t)m.count * REPLAY_MATCH_POINT_BYTES);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    uint64_t before = 0;
    for (uint32_t i = 0; i < m.count; i++) {
        uint64_t index;
        struct mortar_log_sum sum;
        replay_match_point(&m, i, &index, &sum);
        if (index <= before) return MORTAR_E_CORRUPT;
        before = index;
    }
    *out = m;
    return MORTAR_OK;
}

void replay_match_encode(const struct replay_match *message, struct writer *out)
{
    put_u8(out, REPLAY_MATCH);
    put_u32(out, message->id);
    put_bool(out, message->leads);
    put_u64(out, message->term);
    put_point(out, message->base);
    put_position(out, message->last);
    put_position(out, message->commit);
    put_u64(out, message->agreed);
}

enum mortar_status replay_match_decode(struct mortar_bytes in, struct replay_match *out)
{
    struct reader r = reader_over(in);
    struct replay_match m;
    get_type(&r, REPLAY_MATCH);
    m.id = get_u32(&r);
    m.leads = get_bool(&r);
    m.term = get_u64(&r);
    m.base = get_point(&r);
    m.last = get_position(&r);
    m.commit = get_position(&r);
    m.agreed = get_u64(&r);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (!position_is_sound(m.base.position) || !position_is_sound(m.last)) return MORTAR_E_CORRUPT;
    if (!position_is_sound(m.commit)) return MORTAR_E_CORRUPT;
    if (m.base.position.index > m.last.index) return MORTAR_E_CORRUPT;
    if (m.commit.index > m.last.index || m.agreed > m.last.index) return MORTAR_E_CORRUPT;
    *out = m;
    return MORTAR_OK;
}

void replay_plan_request_encode(const struct replay_plan_request *message, struct writer *out)
{
    ASSERT(message->from < message->to && message->batch_bytes >= 1 && message->count_max >= 1);
    put_u8(out, REPLAY_PLAN_REQUEST);
    put_u32(out, message->id);
    put_u64(out, message->from);
    put_u64(out, message->to);
    put_u32(out, message->batch_bytes);
    put_u16(out, message->count_max);
}

enum mortar_status replay_plan_request_decode(struct mortar_bytes in,
                                              struct replay_plan_request *out)
{
    struct reader r = reader_over(in);
    struct replay_plan_request m;
    get_type(&r, REPLAY_PLAN_REQUEST);
    m.id = get_u32(&r);
    m.from = get_u64(&r);
    m.to = get_u64(&r);
    m.batch_bytes = get_u32(&r);
    m.count_max = get_u16(&r);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (m.from >= m.to || m.batch_bytes == 0 || m.count_max == 0) return MORTAR_E_CORRUPT;
    *out = m;
    return MORTAR_OK;
}

void replay_plan_encode(const struct replay_plan *message, struct writer *out)
{
    ASSERT(message->count <= REPLAY_PLAN_POINTS_MAX);
    put_u8(out, REPLAY_PLAN);
    put_u32(out, message->id);
    put_bool(out, message->leads);
    put_u64(out, message->term);
    put_point(out, message->base);
    put_position(out, message->commit);
    put_point(out, message->after);
    put_u16(out, message->count);
}

void replay_plan_point_encode(const struct replay_plan_point *point, struct writer *out)
{
    put_point(out, point->end);
    put_u32(out, point->bytes);
}

struct replay_plan_point replay_plan_point(const struct replay_plan *message, uint32_t place)
{
    ASSERT(place < message->count);
    struct reader r = reader_over((struct mortar_bytes){
        message->points.data + (size_t)place * REPLAY_PLAN_POINT_BYTES, REPLAY_PLAN_POINT_BYTES});
    struct replay_plan_point point;
    point.end = get_point(&r);
    point.bytes = get_u32(&r);
    return point;
}

/* Each point lies beyond the one before it, in no older term, and its range has room for its
 * entries. */
static bool plan_points_are_sound(const struct replay_plan *m)
{
    struct mortar_position before = m->after.position;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct replay_plan_point point = replay_plan_point(m, i);
        const struct mortar_position end = point.end.position;
        if (end.index <= before.index || end.term < before.term || end.term == 0) return false;
        if (end.index - before.index > point.bytes / RECORD_HEADER_BYTES) return false;
        before = end;
    }
    return before.index <= m->commit.index || m->count == 0;
}

enum mortar_status replay_plan_decode(struct mortar_bytes in, struct replay_plan *out)
{
    struct reader r = reader_over(in);
    struct replay_plan m;
    get_type(&r, REPLAY_PLAN);
    m.id = get_u32(&r);
    m.leads = get_bool(&r);
    m.term = get_u64(&r);
    m.base = get_point(&r);
    m.commit = get_position(&r);
    m.after = get_point(&r);
    m.count = get_u16(&r);
    if (m.count > REPLAY_PLAN_POINTS_MAX) return MORTAR_E_CORRUPT;
    m.points = get_bytes(&r, (size_t)m.count * REPLAY_PLAN_POINT_BYTES);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (!position_is_sound(m.base.position) || !position_is_sound(m.commit)) {
        return MORTAR_E_CORRUPT;
    }
    if (!position_is_sound(m.after.position) || !plan_points_are_sound(&m)) return MORTAR_E_CORRUPT;
    *out = m;
    return MORTAR_OK;
}

void replay_fetch_encode(const struct replay_fetch *message, struct writer *out)
{
    ASSERT(message->first >= 1 && message->first <= message->last);
    put_u8(out, REPLAY_FETCH);
    put_u32(out, message->id);
    put_u64(out, message->first);
    put_u64(out, message->last);
    put_u32(out, message->bytes);
}

enum mortar_status replay_fetch_decode(struct mortar_bytes in, struct replay_fetch *out)
{
    struct reader r = reader_over(in);
    struct replay_fetch m;
    get_type(&r, REPLAY_FETCH);
    m.id = get_u32(&r);
    m.first = get_u64(&r);
    m.last = get_u64(&r);
    m.bytes = get_u32(&r);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (m.first == 0 || m.first > m.last) return MORTAR_E_CORRUPT;
    if (m.last - m.first >= m.bytes / RECORD_HEADER_BYTES) return MORTAR_E_CORRUPT;
    *out = m;
    return MORTAR_OK;
}

void replay_entries_encode(const struct replay_entries *message, struct writer *out)
{
    ASSERT(message->last - message->first + 1 == message->count);
    put_u8(out, REPLAY_ENTRIES);
    put_u32(out, message->id);
    put_u64(out, message->first);
    put_u64(out, message->last);
    put_u32(out, message->count);
}

enum mortar_status replay_entries_decode(struct mortar_bytes in, struct replay_entries *out)
{
    struct reader r = reader_over(in);
    struct replay_entries m;
    get_type(&r, REPLAY_ENTRIES);
    m.id = get_u32(&r);
    m.first = get_u64(&r);
    m.last = get_u64(&r);
    m.count = get_u32(&r);
    m.run = get_bytes(&r, r.bytes);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (m.first == 0 || m.count == 0 || m.last < m.first) return MORTAR_E_CORRUPT;
    if (m.last - m.first != m.count - 1) return MORTAR_E_CORRUPT;
    if (m.count > m.run.bytes / RECORD_HEADER_BYTES) return MORTAR_E_CORRUPT;
    *out = m;
    return MORTAR_OK;
}

void replay_refused_encode(const struct replay_refused *message, struct writer *out)
{
    put_u8(out, REPLAY_REFUSED);
    put_u32(out, message->id);
    put_u8(out, (uint8_t)message->reason);
}

enum mortar_status replay_refused_decode(struct mortar_bytes in, struct replay_refused *out)
{
    struct reader r = reader_over(in);
    struct replay_refused m;
    get_type(&r, REPLAY_REFUSED);
    m.id = get_u32(&r);
    const uint8_t reason = get_u8(&r);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (reason < REPLAY_NOT_HELD || reason > REPLAY_TOO_LARGE) return MORTAR_E_CORRUPT;
    m.reason = (enum replay_refusal)reason;
    *out = m;
    return MORTAR_OK;
}

void replay_cancel_encode(const struct replay_cancel *message, struct writer *out)
{
    ASSERT(message->first >= 1 && message->first <= message->last);
    put_u8(out, REPLAY_CANCEL);
    put_u64(out, message->first);
    put_u64(out, message->last);
}

enum mortar_status replay_cancel_decode(struct mortar_bytes in, struct replay_cancel *out)
{
    struct reader r = reader_over(in);
    struct replay_cancel m;
    get_type(&r, REPLAY_CANCEL);
    m.first = get_u64(&r);
    m.last = get_u64(&r);
    if (!reader_done(&r)) return MORTAR_E_CORRUPT;
    if (m.first == 0 || m.first > m.last) return MORTAR_E_CORRUPT;
    *out = m;
    return MORTAR_OK;
}
