/* group/outbox.c - frames out. Sends of consensus wait behind the saves before them (thesis 3.8);
 * what is longer than a control frame leaves in parts (C8). */
#include "base/assert.h"
#include "group/internal.h"

/* FAILED and BIRTH come once each. */
#define EFFECTS_ONCE 2u

bool core_reserve_effects(struct mortar_core *core, uint32_t more)
{
    const uint32_t promised = EFFECTS_ONCE + core->requests_count + core->queries_count;
    return ring_reserve(&core->effects, promised + more);
}

/* A message may be lost, which the protocol lives with, and a change is told at the next flush; the
 * place of all others was reserved before. */
void core_push_effect(struct mortar_core *core, const struct mortar_effect *effect)
{
    if (effect->type == MORTAR_EFFECT_SEND && !core_reserve_effects(core, 1)) {
        mortar_buffer_release(effect->send.frame);
        return;
    }
    if (effect->type == MORTAR_EFFECT_CHANGED && !core_reserve_effects(core, 1)) {
        core->changed = true;
        return;
    }
    const bool pushed = ring_push(&core->effects, effect);
    ASSERT(pushed);
}

/* ---- Peers ---- */

struct peer *peer_find(struct mortar_core *core, const struct mortar_member_id *id)
{
    for (uint32_t i = 0; i < GROUP_PEERS_MAX; i++) {
        struct peer *peer = &core->peers[i];
        if (peer->used && mortar_member_id_equal(&peer->id, id)) return peer;
    }
    return NULL;
}

struct peer *peer_make(struct mortar_core *core, const struct mortar_member_id *id)
{
    struct peer *peer = peer_find(core, id);
    if (peer != NULL) return peer;
    for (uint32_t i = 0; i < GROUP_PEERS_MAX; i++) {
        peer = &core->peers[i];
        if (peer->used) continue;
        *peer = (struct peer){.id = *id, .used = true};
        return peer;
    }
    return NULL;
}

void peer_forget_parts(struct peer *peer)
{
    mortar_buffer_release(peer->part_buffer);
    peer->part_buffer = NULL;
    peer->part_got = 0;
    peer->part_total = 0;
}

/* What counted for one connection of the control lane. Numbers of forwarded requests begin anywhere
 * in each process: by those of the one before, all that the next one sends could be old. */
static void forget_connection(struct peer *peer)
{
    peer_forget_parts(peer);
    peer->forward_top = 0;
    peer->forward_window = 0;
}

/* ---- Links ---- */

uint16_t peer_version(struct mortar_core *core, const struct mortar_member_id *id,
                      enum mortar_lane lane)
{
    const struct peer *peer = peer_find(core, id);
    return peer != NULL && peer->up[lane] ? peer->version[lane] : WIRE_VERSION_MIN;
}

uint16_t peers_version_min(const struct mortar_core *core, enum mortar_lane lane)
{
    uint16_t version = WIRE_VERSION_MAX;
    for (uint32_t i = 0; i < GROUP_PEERS_MAX; i++) {
        const struct peer *peer = &core->peers[i];
        if (!peer->used || !peer->up[lane]) continue;
        if (peer->version[lane] < version) version = peer->version[lane];
    }
    return version;
}

static bool is_too_new(const struct mortar_effect *effect, const struct mortar_member_id *member,
                       enum mortar_lane lane, uint16_t version)
{
    if (effect->type != MORTAR_EFFECT_SEND || effect->send.lane != lane) return false;
    if (!mortar_member_id_equal(&effect->send.to, member)) return false;
    const struct mortar_bytes bytes = {mortar_buffer_data(effect->send.frame),
                                       mortar_buffer_bytes(effect->send.frame)};
    struct frame_header header;
    return frame_header_decode(bytes, lane, &header) == MORTAR_OK && header.version > version;
}

/* Frames that wait, for a save or for the host, were made for an earlier link: the member may have
 * come back with an older build. They count as lost with that link. */
static void drop_too_new(struct ring *ring, const struct mortar_member_id *member,
                         enum mortar_lane lane, uint16_t version)
{
    if (version == WIRE_VERSION_MAX) return;
    for (uint32_t i = ring->count; i > 0; i--) {
        const struct mortar_effect *effect = ring_at(ring, i - 1);
        if (!is_too_new(effect, member, lane, version)) continue;
        mortar_buffer_release(effect->send.frame);
        ring_remove(ring, i - 1);
    }
}

static void link_change(struct mortar_core *core, const struct mortar_member_id *member,
                        enum mortar_lane lane, bool up, uint16_t version)
{
    if (core->stopped) return;
    struct peer *peer = up ? peer_make(core, member) : peer_find(core, member);
    if (peer == NULL || peer->up[lane] == up) return;
    peer->up[lane] = up;
    peer->version[lane] = version;
    if (up) {
        if (lane == MORTAR_LANE_CONTROL) echo_on_link(peer);
        drop_too_new(&core->held, member, lane, version);
        drop_too_new(&core->effects, member, lane, version);
    }
    core->changed = true;
    if (!peer->up[MORTAR_LANE_CONTROL]) forget_connection(peer);
    if (!peer->up[MORTAR_LANE_CONTROL] && !peer->up[MORTAR_LANE_BULK]) peer->used = false;
    if (core->failure != MORTAR_OK) return;
    if (lane == MORTAR_LANE_CONTROL) {
        drive(core, &(struct raft_event){.type = RAFT_LINK, .from = *member, .up = up});
        if (!up && mortar_member_id_equal(member, &core->last_leader)) {
            MARK(LEADER_LINK_LOST);
            requests_on_leader_lost(core);
            reads_on_leader_link(core);
        }
    }
    core->provider.base.wake = true;
    core->session.base.wake = true;
}

void mortar_core_link(struct mortar_core *core, const struct mortar_member_id *member,
                      enum mortar_lane lane, bool up)
{
    link_change(core, member, lane, up, WIRE_VERSION_MIN);
}

void mortar_core_link_up(struct mortar_core *core, const struct mortar_member_id *member,
                         enum mortar_lane lane, uint16_t version)
{
    ASSERT(version >= WIRE_VERSION_MIN);
    ASSERT(version <= WIRE_VERSION_MAX);
    link_change(core, member, lane, true, version);
}

/* ---- Frames ---- */

static void push_frame(struct mortar_core *core, const struct mortar_member_id *to,
                       enum mortar_lane lane, struct mortar_buffer *frame, bool ordered)
{
    const struct mortar_effect effect = {.type = MORTAR_EFFECT_SEND,
                                         .send = {.to = *to, .lane = lane, .frame = frame}};
    if (ordered && core->saves_pending > 0 && !BUG(VOTE_TOLD_BEFORE_SAVED)) {
        MARK(HELD_BEHIND_SAVE);
        if (!ring_push(&core->held, &effect)) mortar_buffer_release(frame);
        return;
    }
    core_push_effect(core, &effect);
}

void outbox_release_held(struct mortar_core *core)
{
    struct mortar_effect effect;
    while (core->saves_pending == 0 && ring_pop(&core->held, &effect)) {
        core_push_effect(core, &effect);
    }
}

/* Cuts a long payload into parts; lost memory loses the message, as a network could. */
static void send_parts(struct mortar_core *core, const struct peer *to, enum message_type type,
                       struct mortar_bytes payload, bool ordered)
{
    const size_t piece_max = MORTAR_CONTROL_FRAME_BYTES_MAX - FRAME_HEADER_BYTES - PART_BYTES;
    const uint64_t number = ++core->part_number;
    for (size_t offset = 0; offset < payload.bytes; offset += piece_max) {
        const size_t left = payload.bytes - offset;
        const size_t piece = left < piece_max ? left : piece_max;
        struct mortar_buffer *frame =
            mortar_buffer_new(&core->allocator, FRAME_HEADER_BYTES + PART_BYTES + piece);
        if (frame == NULL) return;
        const struct part part = {
            .term = raft_term(core->raft),
            .number = number,
            .total_bytes = (uint32_t)payload.bytes,
            .offset = (uint32_t)offset,
            .inner_type = (uint8_t)type,
            .from_leader = raft_role(core->raft) == MORTAR_LEADER,
            .bytes = {payload.data + offset, piece},
        };
        struct writer out = writer_over(mortar_buffer_data(frame), mortar_buffer_capacity(frame));
        const size_t place = frame_begin(&out);
        part_encode(&part, &out);
        frame_end(&out, place, to->version[MORTAR_LANE_CONTROL], MORTAR_LANE_CONTROL, MESSAGE_PART,
                  core->group_tag);
        ASSERT(!out.failed);
        mortar_buffer_set_bytes(frame, out.bytes);
        push_frame(core, &to->id, MORTAR_LANE_CONTROL, frame, ordered);
    }
}

void outbox_send_frame(struct mortar_core *core, const struct mortar_member_id *to,
                       enum message_type type, struct mortar_buffer *frame, size_t payload_bytes,
                       bool ordered)
{
    const struct peer *peer = peer_find(core, to);
    if (peer == NULL || !peer->up[MORTAR_LANE_CONTROL]) {
        mortar_buffer_release(frame);
        return;
    }
    uint8_t *data = mortar_buffer_data(frame);
    const bool fits = FRAME_HEADER_BYTES + payload_bytes <= MORTAR_CONTROL_FRAME_BYTES_MAX;
    if (!fits && !BUG(LONG_FRAME)) {
        MARK(SENT_IN_PARTS);
        send_parts(core, peer, type,
                   (struct mortar_bytes){data + FRAME_HEADER_BYTES, payload_bytes}, ordered);
        mortar_buffer_release(frame);
        return;
    }
    frame_seal(data, peer->version[MORTAR_LANE_CONTROL], MORTAR_LANE_CONTROL, (uint8_t)type,
               core->group_tag, (uint32_t)payload_bytes);
    mortar_buffer_set_bytes(frame, FRAME_HEADER_BYTES + payload_bytes);
    push_frame(core, to, MORTAR_LANE_CONTROL, frame, ordered);
}

/* ---- Messages ---- */

static size_t payload_bytes_max(enum message_type type, const void *message)
{
    switch (type) {
    case MESSAGE_VOTE_REQUEST:
        return VOTE_REQUEST_BYTES;
    case MESSAGE_VOTE_REPLY:
        return VOTE_REPLY_BYTES;
    case MESSAGE_APPEND_REQUEST:
        return APPEND_REQUEST_BYTES;
    case MESSAGE_APPEND_REPLY:
        return APPEND_REPLY_BYTES_MAX;
    case MESSAGE_READ_REQUEST:
        return READ_REQUEST_BYTES;
    case MESSAGE_READ_REPLY:
        return READ_REPLY_BYTES;
    case MESSAGE_FORWARD_REQUEST:
        return FORWARD_REQUEST_BYTES + ((const struct forward_request *)message)->items.bytes;
    case MESSAGE_FORWARD_REPLY:
        return FORWARD_REPLY_BYTES + ((const struct forward_reply *)message)->items.bytes;
    case MESSAGE_JOIN_REQUEST:
        return JOIN_REQUEST_BYTES + MORTAR_ADDRESS_BYTES_MAX;
    case MESSAGE_JOIN_REPLY:
        return JOIN_REPLY_BYTES;
    case MESSAGE_LEASE:
        return LEASE_BYTES;
    case MESSAGE_TIMEOUT_NOW:
        return TIMEOUT_NOW_BYTES;
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
        return ECHO_BYTES;
#endif
    case MESSAGE_SYNC:
    case MESSAGE_PART:
        break;
    }
    ASSERT_NEVER("sync messages and parts have senders of their own");
    return 0;
}

static void encode(enum message_type type, uint16_t version, const void *message,
                   struct writer *out)
{
    switch (type) {
    case MESSAGE_VOTE_REQUEST:
        vote_request_encode(message, out);
        return;
    case MESSAGE_VOTE_REPLY:
        vote_reply_encode(message, out);
        return;
    case MESSAGE_APPEND_REQUEST:
        append_request_encode(message, out);
        return;
    case MESSAGE_APPEND_REPLY:
        append_reply_encode(message, version, out);
        return;
    case MESSAGE_READ_REQUEST:
        read_request_encode(message, out);
        return;
    case MESSAGE_READ_REPLY:
        read_reply_encode(message, out);
        return;
    case MESSAGE_FORWARD_REQUEST:
        forward_request_encode(message, out);
        return;
    case MESSAGE_FORWARD_REPLY:
        forward_reply_encode(message, out);
        return;
    case MESSAGE_JOIN_REQUEST:
        join_request_encode(message, out);
        return;
    case MESSAGE_JOIN_REPLY:
        join_reply_encode(message, out);
        return;
    case MESSAGE_LEASE:
        lease_encode(message, out);
        return;
    case MESSAGE_TIMEOUT_NOW:
        timeout_now_encode(message, out);
        return;
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
        echo_encode(message, out);
        return;
#endif
    case MESSAGE_SYNC:
    case MESSAGE_PART:
        return;
    }
}

/* What depends on term, vote or log: it must not overtake their saves. */
static bool is_ordered(enum message_type type)
{
    return type == MESSAGE_VOTE_REQUEST || type == MESSAGE_VOTE_REPLY ||
           type == MESSAGE_APPEND_REQUEST || type == MESSAGE_APPEND_REPLY ||
           type == MESSAGE_TIMEOUT_NOW;
}

void outbox_send(struct mortar_core *core, const struct mortar_member_id *to,
                 enum message_type type, const void *message)
{
    const size_t bytes_max = payload_bytes_max(type, message);
    struct mortar_buffer *frame =
        mortar_buffer_new(&core->allocator, FRAME_HEADER_BYTES + bytes_max);
    if (frame == NULL) return; /* As if the network had lost it. */
    struct writer out = writer_over(mortar_buffer_data(frame) + FRAME_HEADER_BYTES, bytes_max);
    encode(type, peer_version(core, to, MORTAR_LANE_CONTROL), message, &out);
    ASSERT(!out.failed);
    outbox_send_frame(core, to, type, frame, out.bytes, is_ordered(type));
}
