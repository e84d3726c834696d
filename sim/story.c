/* sim/story.c - trace events and frames as text. */
#include "sim/story.h"

#include "sim/world.h"
#include "wire/frame.h"
#include "wire/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void say(struct sim *sim, uint64_t at_us, const char *text)
{
    if (!sim->story.times) {
        sim->story.line(sim->story.context, text);
        return;
    }
    char line[STORY_LINE_BYTES + 32];
    (void)snprintf(line, sizeof line, "%10.3f  %s", (double)at_us / 1000.0, text);
    sim->story.line(sim->story.context, line);
}

static void event_text(struct sim *sim, const struct story_event *kept, char *out, size_t capacity)
{
    struct mortar_trace_event event = kept->event;
    const char *other = NULL;
    event.other = NULL;
    if (kept->other != UINT32_MAX) {
        other = sim->replicas[kept->other]->name;
        event.other = &sim->replicas[kept->other]->id;
    }
    char text[STORY_LINE_BYTES - 16]; /* Room for the name before it. */
    mortar_trace_text(&event, other, text, sizeof text);
    (void)snprintf(out, capacity, "%s: %s", sim->replicas[kept->replica]->name, text);
}

static uint32_t number_of(struct sim *sim, const struct mortar_member_id *id)
{
    if (id == NULL) return UINT32_MAX;
    const uint32_t number = id->store[15];
    if (number >= sim->replica_count) return UINT32_MAX;
    return mortar_member_id_equal(&sim->replicas[number]->id, id) ? number : UINT32_MAX;
}

void story_event(struct sim *sim, struct replica *replica, const struct mortar_trace_event *event)
{
    struct story *story = &sim->story;
    struct story_event *kept = &story->kept[story->count++ % STORY_EVENTS_KEPT];
    *kept = (struct story_event){
        .at_us = sim->now_us,
        .replica = replica->number,
        .other = number_of(sim, event->other),
        .event = *event,
    };
    if (story->line == NULL || story->muted) return;
    char text[STORY_LINE_BYTES];
    event_text(sim, kept, text, sizeof text);
    say(sim, sim->now_us, text);
}

void story_last(struct sim *sim, void (*line)(void *context, const char *text), void *context)
{
    const struct story *story = &sim->story;
    const uint64_t kept = story->count < STORY_EVENTS_KEPT ? story->count : STORY_EVENTS_KEPT;
    for (uint64_t i = story->count - kept; i < story->count; i++) {
        const struct story_event *event = &story->kept[i % STORY_EVENTS_KEPT];
        char text[STORY_LINE_BYTES];
        char timed[STORY_LINE_BYTES + 32];
        event_text(sim, event, text, sizeof text);
        (void)snprintf(timed, sizeof timed, "%10.3f  %s", (double)event->at_us / 1000.0, text);
        line(context, timed);
    }
}

void story_say(struct sim *sim, const char *format, ...)
{
    if (sim->story.line == NULL || sim->story.muted) return;
    char text[STORY_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(sim, sim->now_us, text);
}

/* ---- Frames ---- */

static void append_request_text(struct mortar_bytes payload, char *out, size_t capacity)
{
    struct append_request m;
    if (append_request_decode(payload, &m) != MORTAR_OK) return;
    int at = snprintf(
        out, capacity,
        " term=%" PRIu64 " prev=%" PRIu64 "^%" PRIu64 " count=%" PRIu32 " commit=%" PRIu64 "%s",
        m.term, m.prev.index, m.prev.term, m.count, m.commit_index, m.quiet ? " quiet" : "");
    if (m.sync_id == 0 || at < 0 || (size_t)at >= capacity) return;
    (void)snprintf(out + at, capacity - (size_t)at, " sync=%" PRIu64 " tail=%" PRIu64 "%s",
                   m.sync_id, m.tail_base.position.index, m.tail_restart ? " restart" : "");
}

static void append_reply_text(struct mortar_bytes payload, uint16_t version, char *out,
                              size_t capacity)
{
    static const char *const outcomes[] = {"?", "matched", "mismatch", "syncing"};
    struct append_reply m;
    if (append_reply_decode(payload, version, &m) != MORTAR_OK) return;
    int at =
        snprintf(out, capacity, " %s term=%" PRIu64 " match=%" PRIu64 " last=%" PRIu64 "^%" PRIu64,
                 outcomes[m.outcome], m.term, m.match_index, m.last.index, m.last.term);
    if (at < 0 || (size_t)at >= capacity) return;
    if (m.outcome == APPEND_MISMATCH) {
        (void)snprintf(out + at, capacity - (size_t)at, " hint=%" PRIu64 "^%" PRIu64, m.hint.index,
                       m.hint.term);
    } else if (m.outcome == APPEND_SYNCING) {
        (void)snprintf(out + at, capacity - (size_t)at, " tail=%" PRIu64, m.tail_index);
    }
}

static void vote_text(enum message_type type, struct mortar_bytes payload, char *out,
                      size_t capacity)
{
    struct vote_request request;
    struct vote_reply reply;
    if (type == MESSAGE_VOTE_REQUEST && vote_request_decode(payload, &request) == MORTAR_OK) {
        (void)snprintf(out, capacity, "%s%s term=%" PRIu64 " last=%" PRIu64 "^%" PRIu64,
                       request.pre ? " pre" : "", request.transfer ? " transfer" : "", request.term,
                       request.last.index, request.last.term);
    } else if (type == MESSAGE_VOTE_REPLY && vote_reply_decode(payload, &reply) == MORTAR_OK) {
        (void)snprintf(out, capacity, "%s %s term=%" PRIu64, reply.pre ? " pre" : "",
                       reply.granted ? "granted" : "denied", reply.term);
    }
}

static void timeout_now_text(struct mortar_bytes payload, char *out, size_t capacity)
{
    struct timeout_now message;
    if (timeout_now_decode(payload, &message) != MORTAR_OK) return;
    (void)snprintf(out, capacity, " term=%" PRIu64, message.term);
}

static void message_text(const struct frame_header *header, struct mortar_bytes payload, char *out,
                         size_t capacity)
{
    const enum message_type type = (enum message_type)header->type;
    out[0] = 0;
    switch (type) {
    case MESSAGE_VOTE_REQUEST:
    case MESSAGE_VOTE_REPLY:
        vote_text(type, payload, out, capacity);
        break;
    case MESSAGE_APPEND_REQUEST:
        append_request_text(payload, out, capacity);
        break;
    case MESSAGE_APPEND_REPLY:
        append_reply_text(payload, header->version, out, capacity);
        break;
    case MESSAGE_TIMEOUT_NOW:
        timeout_now_text(payload, out, capacity);
        break;
    case MESSAGE_READ_REQUEST:
    case MESSAGE_READ_REPLY:
    case MESSAGE_FORWARD_REQUEST:
    case MESSAGE_FORWARD_REPLY:
    case MESSAGE_JOIN_REQUEST:
    case MESSAGE_JOIN_REPLY:
    case MESSAGE_SYNC:
    case MESSAGE_LEASE:
    case MESSAGE_PART:
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
#endif
        (void)snprintf(out, capacity, " bytes=%zu", payload.bytes);
        break;
    }
}

void story_frame(struct sim *sim, const struct replica *from, const struct replica *to,
                 struct mortar_bytes frame)
{
    if (sim->story.line == NULL || sim->story.muted || !sim->story.frames) return;
    struct frame_header header;
    struct mortar_bytes payload;
    const enum mortar_lane lane = (enum mortar_lane)(frame.bytes > 6 ? frame.data[6] : 0);
    if (frame_open(frame, lane, &header, &payload) != MORTAR_OK) return;
    char detail[STORY_LINE_BYTES / 2];
    char text[STORY_LINE_BYTES];
    message_text(&header, payload, detail, sizeof detail);
    (void)snprintf(text, sizeof text, "%s > %s %s%s", from->name, to->name,
                   message_type_name((enum message_type)header.type), detail);
    say(sim, sim->now_us, text);
}
