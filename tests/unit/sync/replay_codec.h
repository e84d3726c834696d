/* unit/sync/replay_codec.h - any message of log replay, decoded and encoded again: what the unit
 * test and the fuzz target of the codecs share.
 *
 * Memory: the caller's room. Threads: any. Errors: as said below.
 */
#ifndef UNIT_SYNC_REPLAY_CODEC_H
#define UNIT_SYNC_REPLAY_CODEC_H

#include "sync/replay_message.h"

static inline void pass_match_points(const struct replay_match_request *request, struct writer *out)
{
    for (uint32_t i = 0; i < request->count; i++) {
        uint64_t index;
        struct mortar_log_sum sum;
        replay_match_point(request, i, &index, &sum);
        replay_match_point_encode(index, sum, out);
    }
}

/* Decodes by type, and what is accepted is encoded again; answers its size, 0 when
 * refused, SIZE_MAX when it no longer fits. */
static inline size_t pass_through(struct mortar_bytes in, uint8_t *room, size_t capacity)
{
    struct writer out = writer_over(room, capacity);
    union {
        struct replay_availability availability;
        struct replay_match_request match_request;
        struct replay_match match;
        struct replay_plan_request plan_request;
        struct replay_plan plan;
        struct replay_fetch fetch;
        struct replay_entries entries;
        struct replay_refused refused;
        struct replay_cancel cancel;
    } m;
    switch (replay_message_type(in)) {
    case REPLAY_AVAILABILITY_REQUEST:
        if (replay_availability_request_decode(in) != MORTAR_OK) return 0;
        replay_availability_request_encode(&out);
        break;
    case REPLAY_AVAILABILITY:
        if (replay_availability_decode(in, &m.availability) != MORTAR_OK) return 0;
        replay_availability_encode(&m.availability, &out);
        break;
    case REPLAY_MATCH_REQUEST:
        if (replay_match_request_decode(in, &m.match_request) != MORTAR_OK) return 0;
        replay_match_request_encode(&m.match_request, &out);
        pass_match_points(&m.match_request, &out);
        break;
    case REPLAY_MATCH:
        if (replay_match_decode(in, &m.match) != MORTAR_OK) return 0;
        replay_match_encode(&m.match, &out);
        break;
    case REPLAY_PLAN_REQUEST:
        if (replay_plan_request_decode(in, &m.plan_request) != MORTAR_OK) return 0;
        replay_plan_request_encode(&m.plan_request, &out);
        break;
    case REPLAY_PLAN:
        if (replay_plan_decode(in, &m.plan) != MORTAR_OK) return 0;
        replay_plan_encode(&m.plan, &out);
        for (uint32_t i = 0; i < m.plan.count; i++) {
            const struct replay_plan_point point = replay_plan_point(&m.plan, i);
            replay_plan_point_encode(&point, &out);
        }
        break;
    case REPLAY_FETCH:
        if (replay_fetch_decode(in, &m.fetch) != MORTAR_OK) return 0;
        replay_fetch_encode(&m.fetch, &out);
        break;
    case REPLAY_ENTRIES:
        if (replay_entries_decode(in, &m.entries) != MORTAR_OK) return 0;
        replay_entries_encode(&m.entries, &out);
        put_bytes(&out, m.entries.run);
        break;
    case REPLAY_REFUSED:
        if (replay_refused_decode(in, &m.refused) != MORTAR_OK) return 0;
        replay_refused_encode(&m.refused, &out);
        break;
    case REPLAY_CANCEL:
        if (replay_cancel_decode(in, &m.cancel) != MORTAR_OK) return 0;
        replay_cancel_encode(&m.cancel, &out);
        break;
    default:
        return 0;
    }
    return out.failed ? SIZE_MAX : out.bytes;
}

#endif
