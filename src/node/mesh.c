#include "node/mesh.h"

#include "base/assert.h"
#include "base/hash.h"
#include "node/mesh_private.h"
#include "os/clock.h"
#include "os/crypto.h"
#include "os/memory.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_LINE_BYTES 640u

void mesh_log(const struct mesh *mesh, enum mortar_log_level level, const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    mesh->options.handler->log(mesh->options.context, level, line);
}

void mesh_count_refusal(struct mesh *mesh, enum mortar_status status)
{
    struct mortar_node_metrics *const counted = &mesh->counted;
    if (status == MORTAR_E_KEY) counted->refused_key++;
    if (status == MORTAR_E_NETWORK) counted->refused_network++;
    if (status == MORTAR_E_MACHINE) counted->refused_machine++;
    if (status == MORTAR_E_SYNC) counted->refused_sync++;
    if (status == MORTAR_E_BIRTH) counted->refused_birth++;
    if (status == MORTAR_E_COPIED) counted->refused_copied++;
    if (status == MORTAR_E_VERSION) counted->refused_version++;
    if (status == MORTAR_E_PROTOCOL || status == MORTAR_E_CORRUPT || status == MORTAR_E_TOO_LARGE ||
        status == MORTAR_E_GROUP) {
        counted->refused_protocol++;
    }
}

bool mesh_is_news(struct mesh *mesh, struct mortar_bytes who, enum mortar_status status)
{
    const uint64_t now_ms = clock_monotonic_ms();
    const uint64_t key = checksum_64(who, (uint64_t)status);
    for (uint32_t i = 0; i < REFUSAL_NOTES; i++) {
        if (mesh->notes[i].key == key && now_ms < mesh->notes[i].until_ms) return false;
    }
    mesh->notes[mesh->note_next] =
        (struct refusal_note){.key = key, .until_ms = now_ms + REFUSAL_QUIET_MS};
    mesh->note_next = (mesh->note_next + 1) % REFUSAL_NOTES;
    return true;
}

void mesh_note_refused(struct mesh *mesh, const char *remote, enum mortar_status reason,
                       const char *detail)
{
    const char *const colon = strrchr(remote, ':'); /* A scanner's port is another each time. */
    const size_t bytes = colon ? (size_t)(colon - remote) : strlen(remote);
    const bool news =
        mesh_is_news(mesh, (struct mortar_bytes){(const uint8_t *)remote, bytes}, reason);
    mesh_log(mesh, news ? MORTAR_LOG_INFO : MORTAR_LOG_DEBUG, "link from %s refused: %s (%s)",
             remote, detail, mortar_status_name(reason));
}

/* Keeps control links alive, and finds those that are dead. */
static void mesh_on_beat(void *context)
{
    struct mesh *const mesh = context;
    const uint64_t now_ms = loop_now_ms(mesh->options.control);
    /* After a pause of this process everybody seems to have been silent. */
    const bool was_late = now_ms - mesh->beat_ms > 2 * (uint64_t)mesh->options.heartbeat_ms;
    mesh->beat_ms = now_ms;
    struct link *next;
    for (struct link *link = mesh->links; link; link = next) {
        /* Ending a link frees nothing before its stream is closed, which comes later. */
        next = link->next;
        if (link->state != LINK_UP || link->is_bulk) continue;
        if (was_late) link->heard_ms = now_ms;
        link_beat(link, now_ms);
    }
}

enum mortar_status mesh_open(const struct mesh_options *options, struct mesh **out_mesh)
{
    struct mesh *const mesh = memory_reserve_zero(options->allocator, sizeof *mesh);
    if (mesh == NULL) return MORTAR_E_NO_MEMORY;
    mesh->options = *options;
    mesh->keys = *options->keys;
    mesh->options.keys = &mesh->keys;
    mesh->group_tag = frame_group_tag(&options->group);
    mesh->jitter = prng_seeded(options->seed);
    const char *const own = options->names.address;
    mesh->self_known_address =
        address_parse((struct mortar_bytes){(const uint8_t *)own, strlen(own)},
                      &mesh->advertised) == MORTAR_OK;
    mesh->beat_ms = loop_now_ms(options->control);
    const enum mortar_status status =
        loop_timer_open(options->control, options->heartbeat_ms, options->heartbeat_ms,
                        mesh_on_beat, mesh, &mesh->heartbeat);
    if (status != MORTAR_OK) {
        crypto_cleanse(&mesh->keys, sizeof mesh->keys);
        memory_release(options->allocator, mesh, sizeof *mesh);
        return status;
    }
    for (size_t i = 0; i < options->peer_count; i++) {
        struct target *const target = dial_add_address(mesh, &options->peers[i]);
        if (target) target->from_options = true;
    }
    *out_mesh = mesh;
    return MORTAR_OK;
}

void mesh_on_link_gone(struct mesh *mesh)
{
    if (!mesh->is_ending || mesh->link_count > 0) return;
    mesh->options.handler->on_gone(mesh->options.context);
}

void mesh_end(struct mesh *mesh)
{
    ASSERT(!mesh->is_ending);
    mesh->is_ending = true;
    loop_timer_close(mesh->heartbeat);
    mesh->heartbeat = NULL;
    struct link *next;
    for (struct link *link = mesh->links; link; link = next) {
        next = link->next;
        link_depart(link, MORTAR_E_CLOSED);
    }
    mesh_on_link_gone(mesh);
}

void mesh_free(struct mesh *mesh)
{
    ASSERT(mesh->is_ending);
    ASSERT(mesh->links == NULL && mesh->bonds == NULL);
    ASSERT(mesh->bulk.heartbeat == NULL);
    dial_free_all(mesh);
    crypto_cleanse(&mesh->keys, sizeof mesh->keys);
    memory_release(mesh->options.allocator, mesh, sizeof *mesh);
}

void mesh_accept(struct mesh *mesh, struct stream *stream)
{
    if (mesh->is_ending) {
        stream_close(stream, STREAM_CLOSE_ABORT);
    } else {
        link_accept(mesh, stream);
    }
}

void mesh_tick(struct mesh *mesh)
{
    if (!mesh->is_ending) dial_tick(mesh, loop_now_ms(mesh->options.control));
}

void mesh_send(struct mesh *mesh, const struct mortar_member_id *to, enum mortar_lane lane,
               struct mortar_buffer *frame)
{
    const struct bond *const bond = bonds_find(mesh, to);
    struct link *const link = bond ? bond->links[lane] : NULL;
    if (link == NULL) {
        mesh->counted.frames_dropped++;
        mortar_buffer_release(frame);
        return;
    }
    if (link->is_bulk) {
        bulk_send(link, frame);
        return;
    }
    const struct stream_part part = {
        .bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)}, .buffer = frame};
    const enum mortar_status status = stream_write(link->stream, &part, 1);
    if (status == MORTAR_OK) {
        mesh->counted.frames_out++;
        return;
    }
    mesh->counted.frames_dropped++;
    mortar_buffer_release(frame);
    /* A control frame that is lost must be noticed: the peers start afresh on another link. */
    if (status == MORTAR_E_CLOSED) return;
    link_end(link, status,
             status == MORTAR_E_NO_MEMORY ? mortar_status_text(status) : "the send queue is full");
}

void mesh_set_members(struct mesh *mesh, const struct bond_member *members, uint32_t count)
{
    ASSERT(count <= MORTAR_MEMBERS_MAX);
    memcpy(mesh->config.members, members, count * sizeof *members);
    mesh->config.count = count;
    dial_set_members(mesh);
}

static bool birth_is_known(const struct mortar_birth_id *birth)
{
    static const struct mortar_birth_id none = {0};
    return memcmp(birth, &none, sizeof none) != 0;
}

void mesh_set_birth(struct mesh *mesh, const struct mortar_birth_id *birth)
{
    mesh->options.names.birth = *birth;
    struct bond *next;
    for (struct bond *bond = mesh->bonds; bond; bond = next) {
        next = bond->next;
        if (!birth_is_known(&bond->birth)) continue;
        if (memcmp(&bond->birth, birth, sizeof *birth) == 0) continue;
        struct link *following = bond->links[MORTAR_LANE_CONTROL];
        while (following) { /* The last one takes the bond with it. */
            struct link *const link = following;
            following = link->next_in_lane;
            link_end(link, MORTAR_E_BIRTH, mortar_status_text(MORTAR_E_BIRTH));
        }
    }
}

uint64_t mesh_bonds_version(const struct mesh *mesh)
{
    return mesh->bonds_version;
}

static void bond_status(const struct bond *bond, struct mortar_bond_status *out)
{
    *out = (struct mortar_bond_status){.peer = bond->member.peer, .member = bond->member};
    memcpy(out->address, bond->address, sizeof out->address);
    out->control = bond->links[MORTAR_LANE_CONTROL] != NULL;
    out->bulk = bond->links[MORTAR_LANE_BULK] != NULL;
    for (unsigned lane = 0; lane < 2; lane++) {
        for (const struct link *link = bond->links[lane]; link; link = link->next_in_lane) {
            out->bytes_in += link_bytes_in(link);
            out->bytes_out += link_bytes_out(link);
            out->queued_bytes += link_queued_bytes(link);
        }
    }
    const struct link *const control = bond->links[MORTAR_LANE_CONTROL];
    if (control) {
        out->round_trip_us = atomic_load_explicit(&control->round_trip_us, memory_order_relaxed);
    }
}

uint32_t mesh_bonds(const struct mesh *mesh, struct mortar_bond_status *out_bonds,
                    uint32_t capacity)
{
    uint32_t count = 0;
    for (const struct bond *bond = mesh->bonds; bond; bond = bond->next) {
        if (count < capacity) bond_status(bond, &out_bonds[count]);
        count++;
    }
    return count;
}

void mesh_metrics(const struct mesh *mesh, struct mortar_node_metrics *out_metrics)
{
    const struct mortar_node_metrics *const counted = &mesh->counted;
    const memory_order relaxed = memory_order_relaxed;
    struct mortar_node_metrics sum = *out_metrics;
    sum.links_accepted += counted->links_accepted;
    sum.links_connected += counted->links_connected;
    sum.links_lost += counted->links_lost;
    sum.refused_half_open += counted->refused_half_open;
    sum.refused_tls += counted->refused_tls;
    sum.refused_protocol += counted->refused_protocol;
    sum.refused_version += counted->refused_version;
    sum.refused_key += counted->refused_key;
    sum.refused_network += counted->refused_network;
    sum.refused_machine += counted->refused_machine;
    sum.refused_sync += counted->refused_sync;
    sum.refused_birth += counted->refused_birth;
    sum.refused_copied += counted->refused_copied;
    sum.handshake_timeouts += counted->handshake_timeouts;
    sum.bytes_in += counted->bytes_in;
    sum.bytes_out += counted->bytes_out;
    for (const struct link *link = mesh->links; link; link = link->next) {
        if (link->state == LINK_DIALLING) continue;
        sum.bytes_in += link_bytes_in(link);
        sum.bytes_out += link_bytes_out(link);
    }
    sum.frames_in += counted->frames_in + atomic_load_explicit(&mesh->bulk.frames_in, relaxed);
    sum.frames_out += counted->frames_out + atomic_load_explicit(&mesh->bulk.frames_out, relaxed);
    sum.frames_dropped +=
        counted->frames_dropped + atomic_load_explicit(&mesh->bulk.frames_dropped, relaxed);
    *out_metrics = sum;
}
