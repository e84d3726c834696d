/* wire/append.c - replication and heartbeats (thesis 3.5, 6.4). Little-endian, version 1.
 *
 * APPEND_REQUEST, 125 bytes and the entries:
 *
 *   offset  size  field
 *        0     8  term, >= 1
 *        8    16  prev (index, term), prev.term <= term
 *       24     8  commit_index
 *       32    32  vouched (index, term, sum low, sum high)
 *       64     8  round
 *       72     8  sync_id
 *       80     1  flags: 1 tail_restart, never when sync_id is 0; 2 quiet, never with entries
 *       81    32  tail_base (as vouched); zero when sync_id is 0
 *      113     8  sent_ms
 *      121     4  count
 *      125        `count` records (wire/record.h), the first with index prev.index + 1; their
 *                 terms lie within prev.term..term
 *
 * APPEND_REPLY, 90 bytes:
 *
 *   offset  size  field
 *        0     8  term, >= 1
 *        8     1  outcome, 1..3
 *        9     8  match_index
 *       17    16  last (index, term)
 *       33    16  hint (index, term)
 *       49     8  first_missing
 *       57     8  round
 *       65     8  sync_id
 *       73     8  tail_index
 *       81     8  commit_index
 *       89     1  whole, 0 or 1
 *       90     8  heard; from version 2 on, which only -Dwire_next=true has
 */
#include "wire/fields.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/record.h"

#define FLAG_TAIL_RESTART 1u
#define FLAG_QUIET        2u
#define FLAGS_ALL         3u

static void put_anchor_point(struct writer *out, struct mortar_anchor_point point)
{
    put_position(out, point.position);
    put_log_sum(out, point.sum);
}

static struct mortar_anchor_point get_anchor_point(struct reader *in)
{
    struct mortar_anchor_point point;
    point.position = get_position(in);
    point.sum = get_log_sum(in);
    return point;
}

static bool anchor_point_is_zero(struct mortar_anchor_point point)
{
    return point.position.index == 0 && point.position.term == 0 && point.sum.low == 0 &&
           point.sum.high == 0;
}

/* The fixed part only. */
static bool append_request_is_sound(const struct append_request *message)
{
    if (message->term < 1 || message->prev.term > message->term) return false;
    if (!position_is_sound(message->prev) || !position_is_sound(message->vouched.position) ||
        !position_is_sound(message->tail_base.position)) {
        return false;
    }
    if (message->quiet && message->count > 0) return false;
    if (message->sync_id != 0) return true;
    return !message->tail_restart && anchor_point_is_zero(message->tail_base);
}

void append_request_encode(const struct append_request *message, struct writer *out)
{
    ASSERT(append_request_is_sound(message));
    ASSERT((message->count == 0) == (message->entries.bytes == 0));
    put_u64(out, message->term);
    put_position(out, message->prev);
    put_u64(out, message->commit_index);
    put_anchor_point(out, message->vouched);
    put_u64(out, message->round);
    put_u64(out, message->sync_id);
    put_u8(out, (uint8_t)((message->tail_restart ? FLAG_TAIL_RESTART : 0) |
                          (message->quiet ? FLAG_QUIET : 0)));
    put_anchor_point(out, message->tail_base);
    put_u64(out, message->sent_ms);
    put_u32(out, message->count);
    if (message->entries.data != NULL) put_bytes(out, message->entries);
}

/* Walks the headers of the run: shape and order, not the sums, for which the log sum before the run
 * is needed (record_run_verify() has it). */
static bool append_entries_are_sound(const struct append_request *message)
{
    if (message->count > message->entries.bytes / RECORD_HEADER_BYTES) return false;
    struct reader reader = reader_over(message->entries);
    struct mortar_position last = message->prev;
    uint64_t time_ms = 0;
    for (uint32_t i = 0; i < message->count; i++) {
        struct mortar_entry entry;
        if (record_decode(&reader, &entry) != MORTAR_OK) return false;
        if (entry.index - 1 != last.index) return false;
        if (entry.term < last.term || entry.time_ms < time_ms) return false;
        last = (struct mortar_position){entry.index, entry.term};
        time_ms = entry.time_ms;
    }
    return reader_done(&reader) && last.term <= message->term;
}

enum mortar_status append_request_decode(struct mortar_bytes in, struct append_request *out)
{
    struct reader reader = reader_over(in);
    struct append_request message = {0};
    message.term = get_u64(&reader);
    message.prev = get_position(&reader);
    message.commit_index = get_u64(&reader);
    message.vouched = get_anchor_point(&reader);
    message.round = get_u64(&reader);
    message.sync_id = get_u64(&reader);
    const uint8_t flags = get_u8(&reader);
    message.tail_restart = (flags & FLAG_TAIL_RESTART) != 0;
    message.quiet = (flags & FLAG_QUIET) != 0;
    message.tail_base = get_anchor_point(&reader);
    message.sent_ms = get_u64(&reader);
    message.count = get_u32(&reader);
    message.entries = get_bytes(&reader, reader.bytes);
    if (!reader_done(&reader) || flags > FLAGS_ALL) return MORTAR_E_CORRUPT;
    if (!append_request_is_sound(&message)) return MORTAR_E_CORRUPT;
    if (!append_entries_are_sound(&message)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

static bool append_reply_is_sound(const struct append_reply *message)
{
    return message->term >= 1 && message->outcome >= APPEND_MATCHED &&
           message->outcome <= APPEND_SYNCING && position_is_sound(message->last) &&
           position_is_sound(message->hint);
}

#ifdef MORTAR_WIRE_NEXT
static void put_heard(const struct append_reply *message, uint16_t version, struct writer *out)
{
    if (version >= WIRE_VERSION_NEXT) put_u64(out, message->heard);
}

static void get_heard(struct reader *in, uint16_t version, struct append_reply *out)
{
    if (version >= WIRE_VERSION_NEXT) out->heard = get_u64(in);
}
#else
static void put_heard(const struct append_reply *message, uint16_t version, struct writer *out)
{
    (void)message;
    (void)version;
    (void)out;
}

static void get_heard(struct reader *in, uint16_t version, struct append_reply *out)
{
    (void)in;
    (void)version;
    (void)out;
}
#endif

void append_reply_encode(const struct append_reply *message, uint16_t version, struct writer *out)
{
    ASSERT(append_reply_is_sound(message));
    put_u64(out, message->term);
    put_u8(out, (uint8_t)message->outcome);
    put_u64(out, message->match_index);
    put_position(out, message->last);
    put_position(out, message->hint);
    put_u64(out, message->first_missing);
    put_u64(out, message->round);
    put_u64(out, message->sync_id);
    put_u64(out, message->tail_index);
    put_u64(out, message->commit_index);
    put_bool(out, message->whole);
    put_heard(message, version, out);
}

enum mortar_status append_reply_decode(struct mortar_bytes in, uint16_t version,
                                       struct append_reply *out)
{
    struct reader reader = reader_over(in);
    struct append_reply message = {0};
    message.term = get_u64(&reader);
    const uint8_t outcome = get_u8(&reader);
    message.match_index = get_u64(&reader);
    message.last = get_position(&reader);
    message.hint = get_position(&reader);
    message.first_missing = get_u64(&reader);
    message.round = get_u64(&reader);
    message.sync_id = get_u64(&reader);
    message.tail_index = get_u64(&reader);
    message.commit_index = get_u64(&reader);
    message.whole = get_bool(&reader);
    get_heard(&reader, version, &message);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    if (outcome < APPEND_MATCHED || outcome > APPEND_SYNCING) return MORTAR_E_CORRUPT;
    message.outcome = (enum append_outcome)outcome;
    if (!append_reply_is_sound(&message)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}
