/* node/link.c - one connection of a mesh, on the control thread: TLS is done, or will be. */
#include "base/assert.h"
#include "mortar/core.h"
#include "node/mesh_private.h"
#include "os/clock.h"
#include "os/crypto.h"
#include "os/memory.h"

#include <stdio.h>

static void link_end_with(struct link *link, enum mortar_status status, const char *text,
                          bool notify);

/* ---- Writing bond frames ---- */

static enum mortar_status write_copy(struct stream *stream, const struct writer *out)
{
    ASSERT(!out->failed);
    if (out->bytes == 0) return MORTAR_OK;
    const struct stream_part part = {.bytes = {out->data, out->bytes}};
    return stream_write(stream, &part, 1);
}

static enum mortar_status write_ping_frame(struct stream *stream, enum mortar_lane lane,
                                           enum bond_type type, const struct bond_ping *ping)
{
    uint8_t bytes[FRAME_HEADER_BYTES + BOND_PING_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    const size_t place = frame_begin(&out);
    bond_ping_encode(ping, &out);
    frame_end(&out, place, BOND_FRAME_VERSION, lane, (uint8_t)type, 0);
    return write_copy(stream, &out);
}

enum mortar_status link_write_ping(struct link *link, struct stream *stream, enum mortar_lane lane)
{
    link->ping_sequence++;
    link->ping_sent_us = clock_monotonic_us();
    const struct bond_ping ping = {.sequence = link->ping_sequence, .sent_us = link->ping_sent_us};
    return write_ping_frame(stream, lane, BOND_PING, &ping);
}

void link_write_refusal(struct stream *stream, enum mortar_lane lane, enum mortar_status status,
                        const char *text)
{
    uint8_t bytes[FRAME_HEADER_BYTES + BOND_REFUSE_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    struct bond_refuse refusal = {.status = status};
    (void)snprintf(refusal.text, sizeof refusal.text, "%s", text);
    const size_t place = frame_begin(&out);
    bond_refuse_encode(&refusal, &out);
    frame_end(&out, place, BOND_FRAME_VERSION, lane, (uint8_t)BOND_REFUSE, 0);
    (void)write_copy(stream, &out);
}

static enum mortar_status write_departure(struct stream *stream, enum mortar_status reason)
{
    uint8_t bytes[FRAME_HEADER_BYTES + BOND_DEPARTURE_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    const struct bond_departure departure = {.reason = reason};
    const size_t place = frame_begin(&out);
    bond_departure_encode(&departure, &out);
    frame_end(&out, place, BOND_FRAME_VERSION, MORTAR_LANE_CONTROL, (uint8_t)BOND_DEPARTURE, 0);
    return write_copy(stream, &out);
}

void link_send_members(struct link *link, const struct bond_members *members)
{
    uint8_t bytes[FRAME_HEADER_BYTES + BOND_MEMBERS_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    const size_t place = frame_begin(&out);
    bond_members_encode(members, &out);
    frame_end(&out, place, BOND_FRAME_VERSION, MORTAR_LANE_CONTROL, (uint8_t)BOND_MEMBERS, 0);
    (void)write_copy(link->stream, &out);
}

/* ---- Frames of a bond that stands ---- */

static void refuse_protocol(struct bond_refuse *out, uint8_t type, const char *what)
{
    *out = (struct bond_refuse){.status = MORTAR_E_PROTOCOL};
    (void)snprintf(out->text, sizeof out->text, "%s frame %u (%s)", what, (unsigned)type,
                   bond_type_name((enum bond_type)type));
}

static bool on_pong(struct link *link, const struct bond_ping *pong)
{
    /* An older one says nothing any longer; its time may be anybody's. */
    if (pong->sequence != link->ping_sequence || pong->sent_us != link->ping_sent_us) return true;
    const uint64_t now_us = clock_monotonic_us();
    atomic_store_explicit(&link->round_trip_us, now_us - link->ping_sent_us, memory_order_relaxed);
    return true;
}

static bool on_ending_frame(uint8_t type, struct mortar_bytes payload, struct bond_refuse *out)
{
    struct bond_departure departure;
    struct bond_refuse refusal;
    if (type == BOND_REFUSE && bond_refuse_decode(payload, &refusal) == MORTAR_OK) {
        *out = refusal;
        return true;
    }
    if (type == BOND_DEPARTURE && bond_departure_decode(payload, &departure) == MORTAR_OK) {
        *out = (struct bond_refuse){.status = MORTAR_E_DEPARTED};
        (void)snprintf(out->text, sizeof out->text, "the peer said good-bye: %s",
                       mortar_status_text(departure.reason));
        return true;
    }
    return false;
}

bool link_on_bond_frame(struct link *link, struct stream *stream, const struct frame_header *header,
                        struct mortar_bytes payload, struct bond_refuse *out_reason)
{
    struct bond_ping ping;
    struct bond_members members;
    const uint8_t type = header->type;
    if (type == BOND_PING && bond_ping_decode(payload, &ping) == MORTAR_OK) {
        /* A full queue is found out by whoever sends frames; the peer hears those. */
        (void)write_ping_frame(stream, header->lane, BOND_PONG, &ping);
        return true;
    }
    if (type == BOND_PONG && bond_ping_decode(payload, &ping) == MORTAR_OK) {
        return on_pong(link, &ping);
    }
    if (type == BOND_MEMBERS && !link->is_bulk &&
        bond_members_decode(payload, &members) == MORTAR_OK) {
        dial_on_gossip(link->mesh, &members);
        return true;
    }
    if (!on_ending_frame(type, payload, out_reason)) {
        refuse_protocol(out_reason, type, "unexpected or malformed");
    }
    return false;
}

/* ---- Log lines ---- */

static const char *link_remote(const struct link *link, char out_text[ADDRESS_TEXT_BYTES])
{
    if (link->initiator) {
        address_format(&link->address, out_text);
    } else {
        (void)snprintf(out_text, ADDRESS_TEXT_BYTES, "%s", stream_remote(link->stream));
    }
    return out_text;
}

/* Counts, and logs if it is news, why a peer and we do not bond. `peer` NULL: not known. */
static void note_refusal(struct link *link, enum mortar_status status, const char *text,
                         bool said_there)
{
    struct mesh *const mesh = link->mesh;
    char remote[ADDRESS_TEXT_BYTES];
    const struct mortar_peer_id peer = stream_peer_id(link->stream);
    const struct mortar_member_id id = {.peer = peer};
    char name[MORTAR_ID_TEXT_BYTES];
    mortar_member_id_text(&id, name);
    (void)link_remote(link, remote);
    if (status == MORTAR_E_SELF || status == MORTAR_E_EXISTS) {
        mesh_log(mesh, MORTAR_LOG_DEBUG, "link with %s (%s) not needed: %s", name, remote, text);
        return;
    }
    mesh_count_refusal(mesh, status);
    const bool news =
        mesh_is_news(mesh, (struct mortar_bytes){peer.bytes, sizeof peer.bytes}, status);
    mesh_log(mesh, news ? MORTAR_LOG_WARNING : MORTAR_LOG_DEBUG,
             "bond with %s (%s) refused%s: %s (%s)", name, remote, said_there ? " there" : "", text,
             mortar_status_name(status));
}

/* ---- Handshake ---- */

static enum mortar_status link_hmac(void *context, struct mortar_bytes key,
                                    struct mortar_bytes message, uint8_t out_code[BOND_CODE_BYTES])
{
    return crypto_hmac_sha256(context, key, &message, 1, out_code);
}

/* Whom we can tell of: our bonds, then what the configuration says. */
static void known_members(const struct mesh *mesh, struct bond_members *out)
{
    out->count = 0;
    for (const struct bond *bond = mesh->bonds; bond && out->count < MORTAR_MEMBERS_MAX;
         bond = bond->next) {
        struct bond_member *const member = &out->members[out->count++];
        member->id = bond->member;
        memcpy(member->address, bond->address, sizeof member->address);
    }
    for (uint32_t i = 0; i < mesh->config.count && out->count < MORTAR_MEMBERS_MAX; i++) {
        const struct bond_member *const member = &mesh->config.members[i];
        if (bonds_find(mesh, &member->id) == NULL) out->members[out->count++] = *member;
    }
}

static void handshake_drop(struct link *link)
{
    if (link->handshake == NULL) return;
    crypto_cleanse(link->handshake, sizeof *link->handshake); /* It holds access keys. */
    memory_release(link->mesh->options.allocator, link->handshake, sizeof *link->handshake);
    link->handshake = NULL;
}

static void handshake_options(const struct link *link, struct bond_handshake_options *out)
{
    const struct mesh_options *const mesh = &link->mesh->options;
    *out = (struct bond_handshake_options){
        .initiator = link->initiator,
        .lane = link->is_bulk ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL,
        .group = mesh->group,
        .self = mesh->self,
        .tls_peer = stream_peer_id(link->stream),
        .key_count = link->mesh->keys.key_count,
        .names = mesh->names,
        .crypto = {.hmac = link_hmac, .context = mesh->crypto},
    };
    memcpy(out->boot_nonce, mesh->boot_nonce, sizeof out->boot_nonce);
    memcpy(out->keys, link->mesh->keys.keys, sizeof out->keys);
    known_members(link->mesh, &out->known);
}

/* Begins the handshake on an open stream whose lane is known. False: the link was ended. */
static bool handshake_begin(struct link *link)
{
    const struct mortar_allocator *const allocator = link->mesh->options.allocator;
    struct bond_handshake_options options;
    handshake_options(link, &options);
    enum mortar_status status =
        stream_exporter(link->stream, BOND_EXPORTER_LABEL, options.exporter);
    if (status == MORTAR_OK) {
        link->handshake = allocator->reserve(allocator->context, sizeof *link->handshake);
        if (link->handshake == NULL) status = MORTAR_E_NO_MEMORY;
    }
    if (status == MORTAR_OK) {
        uint8_t bytes[BOND_STEP_BYTES_MAX];
        struct writer out = writer_over(bytes, sizeof bytes);
        bond_handshake_init(link->handshake, &options);
        bond_handshake_start(link->handshake, &out);
        status = write_copy(link->stream, &out);
    }
    crypto_cleanse(&options, sizeof options);
    if (status == MORTAR_OK) return true;
    link_end_with(link, status, "the handshake could not begin", false);
    return false;
}

/* The handshake ended with a refusal, by either side; `out` is what the peer is still to hear. */
static void handshake_refused(struct link *link, const struct writer *out)
{
    const struct bond_refuse refusal = link->handshake->refusal;
    const bool said_there = link->handshake->refused_there;
    note_refusal(link, refusal.status, refusal.text, said_there);
    (void)write_copy(link->stream, out); /* The peer may be gone already. */
    link_end_with(link, refusal.status, refusal.text, false);
}

/* The link joins its bond. */
static void link_up(struct link *link)
{
    const struct bond_peer peer = link->handshake->peer;
    handshake_drop(link);
    link->member = peer.member;
    link->assembler.proved = true;
    link->heard_ms = clock_monotonic_ms();
    link->up_ms = link->heard_ms;
    if (link->is_bulk) {
        if (stream_detach(link->stream) != MORTAR_OK) return; /* on_closed is on its way. */
        link->moved = true;
    } else {
        stream_admit(link->stream);
    }
    link->state = LINK_UP;
    link->was_up = true;
    if (link->initiator) {
        link->mesh->counted.links_connected++;
    } else {
        link->mesh->counted.links_accepted++;
    }
    if (link->moved) bulk_attach(link);
    if (!bonds_add(link, &peer)) link_end(link, MORTAR_E_NO_MEMORY, "no memory for a bond");
}

static void handshake_done(struct link *link, struct writer *out)
{
    struct bond_refuse why;
    if (!bonds_admit(link, &link->handshake->peer, &why)) {
        *out = writer_over(out->data, out->capacity); /* No welcome. */
        bond_handshake_refuse(link->handshake, why.status, why.text, out);
        handshake_refused(link, out);
    } else if (write_copy(link->stream, out) != MORTAR_OK) {
        link_end_with(link, MORTAR_E_IO, "the welcome could not be sent", false);
    } else {
        link_up(link);
    }
}

static void handshake_frame(struct link *link, struct mortar_bytes frame)
{
    struct frame_header header;
    struct mortar_bytes payload;
    const enum mortar_status status = frame_open(frame, link->assembler.lane, &header, &payload);
    if (status != MORTAR_OK) {
        note_refusal(link, status, mortar_status_text(status), false);
        link_end_with(link, status, "a frame of the handshake is damaged", true);
        return;
    }
    uint8_t bytes[BOND_STEP_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    switch (bond_handshake_receive(link->handshake, header.type, payload, &out)) {
    case BOND_WAIT_HELLO:
    case BOND_WAIT_PROOF:
    case BOND_WAIT_NAMES:
    case BOND_WAIT_WELCOME:
        if (write_copy(link->stream, &out) != MORTAR_OK) {
            link_end_with(link, MORTAR_E_IO, "the handshake could not be sent", false);
        }
        break;
    case BOND_DONE:
        handshake_done(link, &out);
        break;
    case BOND_REFUSED:
        handshake_refused(link, &out);
        break;
    }
}

/* ---- Frames of a control link that is up ---- */

static void control_frame(struct link *link, struct mortar_buffer *frame)
{
    struct mesh *const mesh = link->mesh;
    const struct mortar_bytes bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    mesh->counted.frames_in++;
    if (assembler_frame_type(frame) >= BOND_HELLO) {
        struct frame_header header;
        struct mortar_bytes payload;
        struct bond_refuse reason;
        const enum mortar_status status = frame_open(bytes, MORTAR_LANE_CONTROL, &header, &payload);
        if (status != MORTAR_OK) {
            link_end(link, status, mortar_status_text(status));
        } else if (!link_on_bond_frame(link, link->stream, &header, payload, &reason)) {
            link_end_with(link, reason.status, reason.text, reason.status == MORTAR_E_PROTOCOL);
        }
        return;
    }
    enum mortar_status status =
        mortar_core_frame_check(bytes, MORTAR_LANE_CONTROL, &mesh->options.group);
    if (status == MORTAR_OK) {
        const struct mortar_member_id from = link->member;
        status = mesh->options.handler->on_frame(mesh->options.context, &from, MORTAR_LANE_CONTROL,
                                                 frame);
    }
    if (status != MORTAR_OK) link_end(link, status, mortar_status_text(status));
}

/* ---- What the stream says ---- */

static void link_on_open(void *context, struct stream *stream)
{
    struct link *const link = context;
    const struct mortar_peer_id peer = stream_peer_id(stream);
    link->state = LINK_HANDSHAKE;
    if (link->target) {
        link->target->peer_known = true;
        link->target->peer = peer;
        if (bonds_find_peer(link->mesh, &peer) != NULL) {
            link_end_with(link, MORTAR_E_EXISTS, "a bond with that peer stands", false);
            return;
        }
    } else if (memcmp(link->member.peer.bytes, peer.bytes, sizeof peer.bytes) != 0) {
        link_end_with(link, MORTAR_E_NOT_FOUND, "another peer answers there", false);
        return;
    }
    (void)handshake_begin(link);
}

static void link_on_buffer(void *context, struct stream *stream, uint8_t **out_data,
                           size_t *out_capacity)
{
    struct link *const link = context;
    (void)stream;
    assembler_space(&link->assembler, out_data, out_capacity);
}

static void link_on_frame(struct link *link, struct mortar_buffer *frame)
{
    const struct mortar_bytes bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    if (link->state == LINK_UP) {
        control_frame(link, frame);
        return;
    }
    ASSERT(link->state == LINK_HANDSHAKE);
    if (link->handshake == NULL) {
        /* The first frame of an accepted link said which lane it is. */
        link->is_bulk = link->assembler.lane == MORTAR_LANE_BULK;
        if (!handshake_begin(link)) return;
    }
    handshake_frame(link, bytes);
}

static void link_on_bytes(void *context, struct stream *stream, size_t bytes)
{
    struct link *const link = context;
    (void)stream;
    struct mortar_buffer *frame;
    link->heard_ms = loop_now_ms(link->mesh->options.control);
    const enum mortar_status status = assembler_took(&link->assembler, bytes, &frame);
    if (status == MORTAR_OK) {
        if (frame) link_on_frame(link, frame);
        mortar_buffer_release(frame);
        return;
    }
    if (link->state != LINK_UP) note_refusal(link, status, mortar_status_text(status), false);
    link_end_with(link, status, mortar_status_text(status), true);
}

static void link_on_closed(void *context, struct stream *stream, enum mortar_status reason,
                           const char *detail)
{
    (void)stream;
    link_gone(context, reason, detail);
}

static const struct stream_handler link_handler = {
    .on_open = link_on_open,
    .on_buffer = link_on_buffer,
    .on_bytes = link_on_bytes,
    .on_closed = link_on_closed,
};

/* ---- Life ---- */

static struct link *link_new(struct mesh *mesh)
{
    if (mesh->link_count >= mesh->options.links_max) return NULL;
    struct link *const link = memory_reserve_zero(mesh->options.allocator, sizeof *link);
    if (link == NULL) return NULL;
    link->mesh = mesh;
    assembler_init(&link->assembler, mesh->options.allocator, mesh->group_tag);
    link->next = mesh->links;
    if (link->next) link->next->previous = link;
    mesh->links = link;
    mesh->link_count++;
    return link;
}

/* Takes the link out of the mesh and gives it back. */
static void link_delete(struct link *link)
{
    struct mesh *const mesh = link->mesh;
    ASSERT(link->bond == NULL);
    ASSERT(mesh->link_count > 0);
    if (link->next) link->next->previous = link->previous;
    if (link->previous) {
        link->previous->next = link->next;
    } else {
        mesh->links = link->next;
    }
    mesh->link_count--;
    handshake_drop(link);
    if (link->moved) {
        bulk_release(link); /* Its frames may still be on their way there. */
    } else {
        assembler_deinit(&link->assembler);
        memory_release(mesh->options.allocator, link, sizeof *link);
    }
}

enum mortar_status link_dial(struct mesh *mesh, const struct address *address, bool is_bulk,
                             struct link **out_link)
{
    if (mesh->link_count >= mesh->options.links_max) return MORTAR_E_BUSY;
    struct link *const link = link_new(mesh);
    if (link == NULL) return MORTAR_E_NO_MEMORY;
    link->state = LINK_DIALLING;
    link->initiator = true;
    link->is_bulk = is_bulk;
    link->assembler.lane_known = true;
    link->assembler.lane = is_bulk ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
    link->address = *address;
    const enum mortar_status status = stream_connect(mesh->options.control, &mesh->options.stream,
                                                     address, &link_handler, link, &link->stream);
    if (status != MORTAR_OK) {
        link_delete(link);
        return status;
    }
    *out_link = link;
    return MORTAR_OK;
}

void link_accept(struct mesh *mesh, struct stream *stream)
{
    struct link *const link = link_new(mesh);
    if (link == NULL) {
        mesh->counted.refused_half_open++;
        mesh_note_refused(mesh, stream_remote(stream), MORTAR_E_BUSY, "too many links");
        stream_close(stream, STREAM_CLOSE_ABORT);
        return;
    }
    link->state = LINK_HANDSHAKE;
    link->stream = stream;
    stream_set_handler(stream, &link_handler, link);
}

static void link_end_with(struct link *link, enum mortar_status status, const char *text,
                          bool notify)
{
    if (link->state == LINK_ENDING) return;
    const enum link_state was = link->state;
    link->end_status = status;
    (void)snprintf(link->end_text, sizeof link->end_text, "%s", text);
    if (link->bond) bonds_remove(link);
    link->state = LINK_ENDING;
    if (link->moved) {
        bulk_close(link);
        return;
    }
    const enum mortar_lane lane = link->is_bulk ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
    if (notify && was != LINK_DIALLING && status != MORTAR_E_CANCELLED) {
        link_write_refusal(link->stream, lane, status, text);
    }
    const bool linger = was != LINK_DIALLING && status != MORTAR_E_TIMEOUT;
    stream_close(link->stream, linger ? STREAM_CLOSE_GRACEFUL : STREAM_CLOSE_ABORT);
}

void link_end(struct link *link, enum mortar_status status, const char *text)
{
    link_end_with(link, status, text, true);
}

void link_depart(struct link *link, enum mortar_status reason)
{
    if (link->state == LINK_UP && !link->is_bulk) (void)write_departure(link->stream, reason);
    link_end_with(link, MORTAR_E_CANCELLED, "the group was closed here", false);
}

/* The story of a link that was up. */
static void note_end(struct link *link, enum mortar_status status, const char *text)
{
    struct mesh *const mesh = link->mesh;
    const char *const lane = link->is_bulk ? "bulk" : "control";
    char name[MORTAR_ID_TEXT_BYTES];
    mortar_member_id_text(&link->member, name);
    enum mortar_log_level level = MORTAR_LOG_INFO;
    if (status == MORTAR_E_EXISTS || status == MORTAR_E_CANCELLED) {
        level = MORTAR_LOG_DEBUG;
    } else {
        mesh->counted.links_lost++;
    }
    if (dial_is_refusal(status)) {
        mesh_count_refusal(mesh, status);
        level = MORTAR_LOG_WARNING;
    }
    mesh_log(mesh, level, "%s link with %s ended: %s (%s)", lane, name, text,
             mortar_status_name(status));
}

/* The story of a link that ended before its handshake did, without a word from the peer. */
static void note_failure(struct link *link, enum mortar_status status, const char *text)
{
    struct mesh *const mesh = link->mesh;
    char remote[ADDRESS_TEXT_BYTES];
    (void)link_remote(link, remote);
    if (status == MORTAR_E_TIMEOUT) mesh->counted.handshake_timeouts++;
    if (status == MORTAR_E_TLS) mesh->counted.refused_tls++;
    mesh_log(mesh, MORTAR_LOG_DEBUG, "link with %s ended in its handshake: %s (%s)", remote, text,
             mortar_status_name(status));
}

void link_gone(struct link *link, enum mortar_status reason, const char *detail)
{
    struct mesh *const mesh = link->mesh;
    const bool by_us = link->end_status != MORTAR_OK;
    const enum mortar_status status = by_us ? link->end_status : reason;
    const char *const text = by_us ? link->end_text : detail;
    if (link->bond) bonds_remove(link);
    if (link->was_up) {
        note_end(link, status, text);
    } else if (!by_us) {
        note_failure(link, status, text);
    }
    mesh->counted.bytes_in += link_bytes_in(link);
    mesh->counted.bytes_out += link_bytes_out(link);
    if (link->initiator) dial_on_end(link, status);
    link_delete(link);
    mesh_on_link_gone(mesh);
}

void link_beat(struct link *link, uint64_t now_ms)
{
    const struct mesh_options *const options = &link->mesh->options;
    const uint64_t silent_max = (uint64_t)options->heartbeat_ms * options->heartbeats_missed_max;
    if (now_ms > link->heard_ms && now_ms - link->heard_ms > silent_max) {
        link_end_with(link, MORTAR_E_TIMEOUT, "the peer has been silent for too long", false);
    } else if (link_write_ping(link, link->stream, MORTAR_LANE_CONTROL) == MORTAR_E_BUSY) {
        link_end_with(link, MORTAR_E_BUSY, "the send queue is full", false);
    }
}

uint64_t link_bytes_in(const struct link *link)
{
    if (link->moved) return atomic_load_explicit(&link->bulk.bytes_in, memory_order_relaxed);
    return stream_counters_now(link->stream).wire_in_bytes;
}

uint64_t link_bytes_out(const struct link *link)
{
    if (link->moved) return atomic_load_explicit(&link->bulk.bytes_out, memory_order_relaxed);
    return stream_counters_now(link->stream).wire_out_bytes;
}

uint64_t link_queued_bytes(const struct link *link)
{
    if (!link->moved) return stream_queued_bytes(link->stream);
    return atomic_load_explicit(&link->bulk.queued_bytes, memory_order_relaxed) +
           atomic_load_explicit(&link->bulk.posted_out_bytes, memory_order_relaxed);
}
