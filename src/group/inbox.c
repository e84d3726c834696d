/* group/inbox.c - frames in: checked by the host's threads, decoded and dispatched here. */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/record.h"

#include <string.h>

/* The longest message that may come in parts: one forwarded batch, or one append of one entry. */
#define LONG_MESSAGE_BYTES_MAX (MORTAR_COMMAND_BYTES_LIMIT + 64u * 1024u)

enum mortar_status mortar_core_frame_check(struct mortar_bytes frame, enum mortar_lane lane,
                                           const struct mortar_group_id *group)
{
    struct frame_header header;
    struct mortar_bytes payload;
    const enum mortar_status status = frame_open(frame, lane, &header, &payload);
    if (status != MORTAR_OK) return status;
    if (header.group != frame_group_tag(group)) return MORTAR_E_GROUP;
    if (header.type != MESSAGE_SYNC) return MORTAR_OK;
    /* A method's bytes have a sum of the runtime's own (design 6), made where they were. */
    struct sync_message message;
    return sync_message_decode(payload, &message);
}

/* ---- Appends ---- */

/* Where the entries' sums can be checked from: our own entry at prev, or the base of the tail that
 * the leader vouches for. */
static bool known_sum_at_prev(const struct mortar_core *core, const struct append_request *message,
                              struct mortar_anchor_point *out_after)
{
    uint64_t term;
    struct mortar_anchor_point after = {.position = message->prev};
    if (log_term_at(core, message->prev.index, &term) && term == message->prev.term &&
        log_sum_at(core, message->prev.index, &after.sum)) {
        *out_after = after;
        return true;
    }
    const struct mortar_storage *storage = &core->storage;
    if (storage->ops->term_at(storage->self, MORTAR_LOG_TAIL, message->prev.index, &term) &&
        term == message->prev.term &&
        storage->ops->sum_at(storage->self, MORTAR_LOG_TAIL, message->prev.index, &after.sum)) {
        *out_after = after;
        return true;
    }
    if (message->sync_id != 0 &&
        mortar_position_equal(message->prev, message->tail_base.position)) {
        MARK(VERIFY_FROM_TAIL_BASE);
        *out_after = message->tail_base;
        return true;
    }
    return false;
}

/* Its records can be checked only from our base on: those below it were pruned, or replaced by an
 * installed state. The record at the base, where the message holds it, must be the base. */
static enum mortar_status verify_from_base(const struct mortar_core *core,
                                           const struct append_request *message)
{
    const struct mortar_anchor_point base = log_base(core);
    struct reader in = reader_over(message->entries);
    uint32_t left = message->count;
    while (left > 0) {
        struct mortar_entry entry;
        const enum mortar_status status = record_decode(&in, &entry);
        ASSERT(status == MORTAR_OK); /* The decoder has walked the records. */
        left--;
        if (entry.index < base.position.index) continue;
        if (entry.term != base.position.term || !mortar_log_sum_equal(entry.sum, base.sum)) {
            return MORTAR_E_UNVERIFIED;
        }
        struct record_run run;
        const struct mortar_bytes rest = {in.data, in.bytes};
        return record_run_verify(rest, base, entry.time_ms, left, NULL, &run);
    }
    return MORTAR_OK; /* All below the base: nothing of it is new. */
}

static enum mortar_status verify_entries(const struct mortar_core *core,
                                         const struct append_request *message)
{
    struct mortar_anchor_point after;
    struct record_run run;
    if (!log_configs_are_sound(message->entries)) return MORTAR_E_CORRUPT;
    if (known_sum_at_prev(core, message, &after)) {
        return record_run_verify(message->entries, after, 0, message->count, NULL, &run);
    }
    if (message->prev.index < log_base(core).position.index) {
        return verify_from_base(core, message);
    }
    MARK(APPEND_ABOVE_GAP);
    return MORTAR_OK; /* Above a gap: nothing of it enters the log. */
}

static void note_vouched(struct mortar_core *core, const struct mortar_member_id *from,
                         const struct append_request *message)
{
    const struct mortar_member_id leader = raft_leader(core->raft);
    if (message->term != raft_term(core->raft) || !mortar_member_id_equal(&leader, from)) return;
    if (core->vouched_term == message->term &&
        message->vouched.position.index < core->vouched.position.index) {
        return;
    }
    core->vouched = message->vouched;
    core->vouched_term = message->term;
    if (core->session_open) core->session.base.wake = true;
}

static enum mortar_status on_append(struct mortar_core *core, const struct mortar_member_id *from,
                                    struct mortar_bytes payload, struct mortar_buffer *buffer)
{
    struct raft_event event = {
        .type = RAFT_RECEIVE, .from = *from, .message = MESSAGE_APPEND_REQUEST};
    struct append_request *message = &event.append_request;
    if (append_request_decode(payload, message) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    if (message->count > 0) {
        if (verify_entries(core, message) != MORTAR_OK) {
            /* Either side holds damaged bytes: nothing of it enters the log (C4). */
            TRACE(core, SYNC_REFUSED, from, 0, MORTAR_E_UNVERIFIED, message->prev.index + 1,
                  message->prev.index + message->count);
            core->counters.frames_refused++;
            return MORTAR_OK;
        }
        core->raft_frame = buffer;
        core->raft_entries_offset = (size_t)(message->entries.data - mortar_buffer_data(buffer));
    }
    drive(core, &event);
    core->raft_frame = NULL;
    note_vouched(core, from, message);
    return MORTAR_OK;
}

static enum mortar_status on_append_reply(struct mortar_core *core,
                                          const struct mortar_member_id *from, uint16_t version,
                                          struct mortar_bytes payload)
{
    struct raft_event event = {
        .type = RAFT_RECEIVE, .from = *from, .message = MESSAGE_APPEND_REPLY};
    if (append_reply_decode(payload, version, &event.append_reply) != MORTAR_OK) {
        return MORTAR_E_PROTOCOL;
    }
    echo_on_reply(core, from, &event.append_reply);
    drive(core, &event);
    return MORTAR_OK;
}

/* ---- Votes ---- */

static enum mortar_status on_vote_request(struct mortar_core *core,
                                          const struct mortar_member_id *from,
                                          struct mortar_bytes payload)
{
    struct raft_event event = {
        .type = RAFT_RECEIVE, .from = *from, .message = MESSAGE_VOTE_REQUEST};
    if (vote_request_decode(payload, &event.vote_request) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    drive(core, &event);
    return MORTAR_OK;
}

static enum mortar_status on_vote_reply(struct mortar_core *core,
                                        const struct mortar_member_id *from,
                                        struct mortar_bytes payload)
{
    struct raft_event event = {.type = RAFT_RECEIVE, .from = *from, .message = MESSAGE_VOTE_REPLY};
    if (vote_reply_decode(payload, &event.vote_reply) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    drive(core, &event);
    return MORTAR_OK;
}

static enum mortar_status on_timeout_now(struct mortar_core *core,
                                         const struct mortar_member_id *from,
                                         struct mortar_bytes payload)
{
    struct raft_event event = {.type = RAFT_RECEIVE, .from = *from, .message = MESSAGE_TIMEOUT_NOW};
    if (timeout_now_decode(payload, &event.timeout_now) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    drive(core, &event);
    return MORTAR_OK;
}

/* ---- Joining ---- */

static enum mortar_status add_joiner(struct mortar_core *core, const struct mortar_member_id *from,
                                     const struct join_request *request)
{
    /* Whoever knows of a committed removal may say so: it is final. */
    if (config_has_removed(raft_committed_config(core->raft), from) && !BUG(REMOVED_COMES_BACK)) {
        MARK(JOIN_REMOVED);
        return MORTAR_E_REMOVED;
    }
    if (raft_role(core->raft) != MORTAR_LEADER) return MORTAR_E_NOT_LEADER;
    if (config_find(raft_config(core->raft), from) != NULL) {
        MARK(JOIN_AGAIN);
        return MORTAR_OK;
    }
    struct config_change change = {
        .kind = request->observer ? CONFIG_ADD_OBSERVER : CONFIG_ADD_LEARNER, .member = *from};
    /* Whom it replaces may be gone by now: then it joins as any other. */
    if (config_find(raft_config(core->raft), &request->replaces) != NULL) {
        change.other = request->replaces;
    }
    memcpy(change.address, request->address, sizeof change.address);
    const struct raft_event event = {.type = RAFT_CHANGE,
                                     .change = {.changes = &change, .count = 1}};
    const enum mortar_status status = drive(core, &event);
    if (status == MORTAR_E_CHANGING) MARK(JOIN_WAITS);
    if (status == MORTAR_E_ALIVE) MARK(JOIN_REPLACES_LIVE);
    return status == MORTAR_OK ? MORTAR_E_CHANGING : status;
}

static enum mortar_status on_join_request(struct mortar_core *core,
                                          const struct mortar_member_id *from,
                                          struct mortar_bytes payload)
{
    struct join_request request;
    if (join_request_decode(payload, &request) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    struct join_reply reply = {.status = add_joiner(core, from, &request),
                               .leader = raft_leader(core->raft)};
    TRACE(core, JOIN, from, (uint64_t)reply.status);
    outbox_send(core, from, MESSAGE_JOIN_REPLY, &reply);
    return MORTAR_OK;
}

/* The reply only hurries the next question; what counts is the configuration itself. */
static enum mortar_status on_join_reply(struct mortar_core *core, struct mortar_bytes payload)
{
    struct join_reply reply;
    if (join_reply_decode(payload, &reply) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    TRACE(core, JOIN, &reply.leader, (uint64_t)reply.status);
    if (!core->joining && !core->wonders) return MORTAR_OK;
    if (reply.status == MORTAR_E_REMOVED) {
        MARK(REMOVED_BY_REPLY);
        core->removed = true;
        core->changed = true;
    }
    const struct peer *leader = peer_find(core, &reply.leader);
    if (reply.status != MORTAR_E_NOT_LEADER || leader == NULL) return MORTAR_OK;
    MARK(JOIN_REDIRECTED);
    core->join_turn = (uint32_t)(leader - core->peers);
    core->join_tick = core->ticks + 1;
    return MORTAR_OK;
}

/* ---- Parts ---- */

static enum mortar_status dispatch(struct mortar_core *core, const struct mortar_member_id *from,
                                   const struct frame_header *header, struct mortar_bytes payload,
                                   struct mortar_buffer *buffer);

static enum mortar_status begin_parts(struct mortar_core *core, struct peer *peer,
                                      const struct part *part)
{
    /* Numbers rise: a part of an earlier message is late, one of a later message says that the
     * rest of this one was lost. */
    if (peer->part_buffer != NULL && part->number < peer->part_number) {
        MARK(PART_LATE);
        return MORTAR_OK;
    }
    peer_forget_parts(peer);
    if (part->offset != 0) { /* The start was lost: wait for the next message. */
        MARK(PART_START_LOST);
        return MORTAR_OK;
    }
    if (part->total_bytes > LONG_MESSAGE_BYTES_MAX) return MORTAR_E_PROTOCOL;
    peer->part_buffer = mortar_buffer_new(&core->allocator, part->total_bytes);
    if (peer->part_buffer == NULL) return MORTAR_OK; /* As if lost. */
    peer->part_number = part->number;
    peer->part_total = part->total_bytes;
    peer->part_type = part->inner_type;
    return MORTAR_OK;
}

/* All parts of a message are of one version, the one that the whole is encoded in. */
static enum mortar_status on_part(struct mortar_core *core, const struct mortar_member_id *from,
                                  const struct frame_header *header, struct mortar_bytes payload)
{
    struct part part;
    if (part_decode(payload, &part) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    /* A method's message fits its frame, or is refused; its sum is checked with the frame. */
    if (part.inner_type == MESSAGE_SYNC) return MORTAR_E_PROTOCOL;
    const uint64_t leads_term = part.from_leader ? part.term : 0;
    drive(core, &(struct raft_event){.type = RAFT_HEARD, .from = *from, .term = leads_term});
    struct peer *peer = peer_find(core, from);
    if (peer == NULL) return MORTAR_OK;
    const bool other = peer->part_number != part.number && !BUG(PARTS_MIXED);
    if (peer->part_buffer == NULL || other) {
        const enum mortar_status status = begin_parts(core, peer, &part);
        if (status != MORTAR_OK || peer->part_buffer == NULL) return status;
        if (peer->part_number != part.number) return MORTAR_OK;
    }
    if (part.total_bytes != peer->part_total || part.inner_type != peer->part_type) {
        peer_forget_parts(peer);
        return MORTAR_E_PROTOCOL;
    }
    if (part.offset != peer->part_got) { /* One was lost or came twice. */
        MARK(PART_LOST_OR_TWICE);
        if (part.offset > peer->part_got) peer_forget_parts(peer);
        return MORTAR_OK;
    }
    ASSERT(part.bytes.bytes <= peer->part_total - peer->part_got); /* By the decoder. */
    memcpy(mortar_buffer_data(peer->part_buffer) + peer->part_got, part.bytes.data,
           part.bytes.bytes);
    peer->part_got += (uint32_t)part.bytes.bytes;
    if (peer->part_got < peer->part_total) return MORTAR_OK;

    MARK(PARTS_WHOLE);
    struct mortar_buffer *whole = peer->part_buffer;
    struct frame_header whole_header = *header;
    whole_header.type = peer->part_type;
    peer->part_buffer = NULL;
    peer_forget_parts(peer);
    const size_t bytes = part.total_bytes;
    mortar_buffer_set_bytes(whole, bytes);
    const enum mortar_status status = dispatch(
        core, from, &whole_header, (struct mortar_bytes){mortar_buffer_data(whole), bytes}, whole);
    mortar_buffer_release(whole);
    return status;
}

/* ---- The rest ---- */

static enum mortar_status on_request(struct mortar_core *core, const struct mortar_member_id *from,
                                     enum message_type type, struct mortar_bytes payload)
{
    struct read_request read;
    struct read_reply read_reply;
    struct forward_request forward;
    struct forward_reply forward_reply;
    struct lease lease;
    enum mortar_status status = MORTAR_E_PROTOCOL;
    if (type == MESSAGE_READ_REQUEST) {
        status = read_request_decode(payload, &read);
        if (status == MORTAR_OK) reads_on_request(core, from, &read);
    } else if (type == MESSAGE_READ_REPLY) {
        status = read_reply_decode(payload, &read_reply);
        if (status == MORTAR_OK) reads_on_reply(core, &read_reply);
    } else if (type == MESSAGE_FORWARD_REQUEST) {
        status = forward_request_decode(payload, &forward);
        if (status == MORTAR_OK) requests_on_forward(core, from, &forward);
    } else if (type == MESSAGE_FORWARD_REPLY) {
        status = forward_reply_decode(payload, &forward_reply);
        if (status == MORTAR_OK) requests_on_reply(core, from, &forward_reply);
    } else if (type == MESSAGE_LEASE) {
        status = lease_decode(payload, &lease);
        if (status == MORTAR_OK) lease_on_message(core, from, &lease);
    }
    return status == MORTAR_OK ? MORTAR_OK : MORTAR_E_PROTOCOL;
}

static enum mortar_status on_sync(struct mortar_core *core, const struct mortar_member_id *from,
                                  enum mortar_lane lane, struct mortar_bytes payload,
                                  struct mortar_buffer *buffer)
{
    struct sync_message message; /* mortar_core_frame_check() has compared the sum. */
    if (sync_message_view(payload, &message) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    sync_on_message(core, from, lane, &message, buffer);
    return MORTAR_OK;
}

static enum mortar_status dispatch(struct mortar_core *core, const struct mortar_member_id *from,
                                   const struct frame_header *header, struct mortar_bytes payload,
                                   struct mortar_buffer *buffer)
{
    const enum message_type type = (enum message_type)header->type;
    if (header->lane == MORTAR_LANE_BULK && type != MESSAGE_SYNC) return MORTAR_E_PROTOCOL;
    switch (type) {
    case MESSAGE_VOTE_REQUEST:
        return on_vote_request(core, from, payload);
    case MESSAGE_VOTE_REPLY:
        return on_vote_reply(core, from, payload);
    case MESSAGE_APPEND_REQUEST:
        return on_append(core, from, payload, buffer);
    case MESSAGE_APPEND_REPLY:
        return on_append_reply(core, from, header->version, payload);
    case MESSAGE_TIMEOUT_NOW:
        return on_timeout_now(core, from, payload);
    case MESSAGE_READ_REQUEST:
    case MESSAGE_READ_REPLY:
    case MESSAGE_FORWARD_REQUEST:
    case MESSAGE_FORWARD_REPLY:
    case MESSAGE_LEASE:
        return on_request(core, from, type, payload);
    case MESSAGE_JOIN_REQUEST:
        return on_join_request(core, from, payload);
    case MESSAGE_JOIN_REPLY:
        return on_join_reply(core, payload);
    case MESSAGE_SYNC:
        return on_sync(core, from, header->lane, payload, buffer);
    case MESSAGE_PART:
        return on_part(core, from, header, payload);
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
        return echo_on_message(core, from, header->version, payload);
#endif
    }
    return MORTAR_E_PROTOCOL;
}

enum mortar_status mortar_core_frame(struct mortar_core *core, const struct mortar_member_id *from,
                                     enum mortar_lane lane, struct mortar_buffer *frame)
{
    if (core->stopped || core->restoring || core->failure != MORTAR_OK) return MORTAR_OK;
    const struct mortar_bytes bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    struct frame_header header;
    if (bytes.bytes < FRAME_HEADER_BYTES ||
        frame_header_decode(bytes, lane, &header) != MORTAR_OK ||
        header.payload_bytes != bytes.bytes - FRAME_HEADER_BYTES) {
        core->counters.frames_refused++;
        return MORTAR_E_PROTOCOL;
    }
    if (header.version > peer_version(core, from, lane)) {
        core->counters.frames_refused++;
        return MORTAR_E_VERSION;
    }
    const struct mortar_bytes payload = {bytes.data + FRAME_HEADER_BYTES, header.payload_bytes};
    if (lane == MORTAR_LANE_CONTROL) echo_on_frame(core, from);
    const enum mortar_status status = dispatch(core, from, &header, payload, frame);
    if (status != MORTAR_OK) core->counters.frames_refused++;
    if (core->failure == MORTAR_OK) drive_settle(core);
    return status;
}
