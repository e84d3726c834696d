/* group/client_table.c - client sessions: what was applied, and what it answered (thesis 6.3). */
#include "group/client_table.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/mark.h"

#include <string.h>

#define SESSION_HEAD_BYTES (4u * 8u + 4u)
#define REPLY_HEAD_BYTES   (8u + 16u + 1u + 4u)

void client_table_init(struct client_table *clients, const struct mortar_allocator *allocator)
{
    *clients = (struct client_table){.allocator = allocator, .due_ms = UINT64_MAX};
}

static void session_free(struct client_table *clients, struct client_session *session)
{
    clients->allocator->release(clients->allocator->context, session, sizeof *session);
}

void client_table_deinit(struct client_table *clients)
{
    for (uint32_t i = 0; i < clients->count; i++)
        session_free(clients, clients->sessions[i]);
    clients->allocator->release(clients->allocator->context, clients->sessions,
                                clients->capacity * sizeof(struct client_session *));
    client_table_init(clients, clients->allocator);
}

/* ---- Sessions ---- */

/* The place of `id`, or where it would stand. */
static uint32_t place_of(const struct client_table *clients, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = clients->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (clients->sessions[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct client_session *find(const struct client_table *clients, uint64_t id)
{
    const uint32_t place = place_of(clients, id);
    if (place == clients->count || clients->sessions[place]->id != id) return NULL;
    return clients->sessions[place];
}

const struct client_session *client_table_find(const struct client_table *clients, uint64_t id)
{
    return find(clients, id);
}

static uint64_t end_ms(const struct client_session *session)
{
    return session->last_ms + session->ttl_ms;
}

static void touch(struct client_session *session, uint64_t time_ms)
{
    session->last_ms = time_ms; /* Log time is monotone. */
}

void client_table_expire(struct client_table *clients, uint64_t time_ms)
{
    uint32_t kept = 0;
    uint64_t due_ms = UINT64_MAX;
    for (uint32_t i = 0; i < clients->count; i++) {
        struct client_session *session = clients->sessions[i];
        if (end_ms(session) < time_ms) {
            MARK(CLIENT_EXPIRED);
            session_free(clients, session);
            continue;
        }
        if (end_ms(session) < due_ms) due_ms = end_ms(session);
        clients->sessions[kept++] = session;
    }
    clients->count = kept;
    clients->due_ms = due_ms;
}

static bool make_room(struct client_table *clients)
{
    if (clients->count < clients->capacity) return true;
    const uint32_t capacity = clients->capacity == 0 ? 16 : 2 * clients->capacity;
    const size_t one = sizeof(struct client_session *);
    struct client_session **grown = clients->allocator->resize(
        clients->allocator->context, clients->sessions, clients->capacity * one, capacity * one);
    if (grown == NULL) return false;
    clients->sessions = grown;
    clients->capacity = capacity;
    return true;
}

enum mortar_status client_table_open(struct client_table *clients, uint64_t id, uint64_t ttl_ms,
                                     uint64_t time_ms)
{
    ASSERT(clients->count == 0 || clients->sessions[clients->count - 1]->id < id);
    if (clients->count == CLIENT_SESSIONS_MAX) {
        return MORTAR_E_BUSY;
    }
    if (!make_room(clients)) return MORTAR_E_NO_MEMORY;
    struct client_session *session =
        clients->allocator->reserve(clients->allocator->context, sizeof *session);
    if (session == NULL) return MORTAR_E_NO_MEMORY;
    memset(session, 0, sizeof *session);
    session->id = id;
    session->ttl_ms = ttl_ms;
    session->last_ms = time_ms;
    clients->sessions[clients->count++] = session;
    if (end_ms(session) < clients->due_ms) clients->due_ms = end_ms(session);
    return MORTAR_OK;
}

bool client_table_keep(struct client_table *clients, uint64_t id, uint64_t time_ms)
{
    struct client_session *session = find(clients, id);
    if (session != NULL) touch(session, time_ms);
    return session != NULL;
}

bool client_table_close(struct client_table *clients, uint64_t id)
{
    const uint32_t place = place_of(clients, id);
    if (place == clients->count || clients->sessions[place]->id != id) return false;
    session_free(clients, clients->sessions[place]);
    clients->count--;
    memmove(&clients->sessions[place], &clients->sessions[place + 1],
            (clients->count - place) * sizeof(struct client_session *));
    return true;
}

/* ---- Replies ---- */

/* The place of `sequence` among the replies, or where it would stand. */
static uint32_t reply_place(const struct client_session *session, uint64_t sequence)
{
    uint32_t place = session->count;
    while (place > 0 && session->replies[place - 1].sequence >= sequence)
        place--;
    return place;
}

static struct client_reply *reply_find(struct client_session *session, uint64_t sequence)
{
    const uint32_t place = reply_place(session, sequence);
    if (place == session->count || session->replies[place].sequence != sequence) return NULL;
    return &session->replies[place];
}

const struct client_reply *client_reply_find(const struct client_session *session,
                                             uint64_t sequence)
{
    const uint32_t place = reply_place(session, sequence);
    if (place == session->count || session->replies[place].sequence != sequence) return NULL;
    return &session->replies[place];
}

/* Takes the bytes of a reply out; those of later ones move up. */
static void cut_bytes(struct client_session *session, struct client_reply *reply)
{
    const uint32_t end = reply->offset + reply->bytes;
    const uint32_t cut = reply->bytes;
    memmove(session->bytes + reply->offset, session->bytes + end, session->bytes_used - end);
    session->bytes_used -= cut;
    for (struct client_reply *later = reply + 1; later < session->replies + session->count; later++)
        later->offset -= cut;
    reply->bytes = 0;
}

static void remove_reply(struct client_session *session, uint32_t place)
{
    if (session->replies[place].state == CLIENT_REPLY_PENDING) session->pending--;
    cut_bytes(session, &session->replies[place]);
    session->count--;
    memmove(&session->replies[place], &session->replies[place + 1],
            (session->count - place) * sizeof session->replies[0]);
}

/* Replies up to `sequence` need not be kept, nor what was never applied there. */
static void raise_floor(struct client_session *session, uint64_t sequence)
{
    if (sequence <= session->floor) return;
    session->floor = sequence;
    while (session->count > 0 && session->replies[0].sequence <= sequence)
        remove_reply(session, 0);
}

static struct client_reply *insert_reply(struct client_session *session, uint64_t sequence)
{
    ASSERT(session->count < CLIENT_REPLIES_MAX);
    const uint32_t place = reply_place(session, sequence);
    struct client_reply *reply = &session->replies[place];
    const uint32_t offset = place == session->count ? session->bytes_used : reply->offset;
    memmove(reply + 1, reply, (session->count - place) * sizeof *reply);
    session->count++;
    session->pending++;
    *reply = (struct client_reply){.sequence = sequence, .offset = offset};
    return reply;
}

/* Taking it makes the session forget what must be there again if the machine pauses before that. */
static bool forgets(const struct client_session *session, const struct client_command *command)
{
    return command->acked > session->floor || session->count == CLIENT_REPLIES_MAX;
}

enum client_verdict client_table_admit(struct client_table *clients,
                                       const struct client_command *command,
                                       struct mortar_position position, uint64_t time_ms,
                                       const struct client_reply **out_reply)
{
    struct client_session *session = find(clients, command->session);
    if (session == NULL) {
        MARK(CLIENT_NOT_KNOWN);
        return CLIENT_UNKNOWN;
    }
    struct client_reply *reply = reply_find(session, command->sequence);
    if (reply != NULL && reply->state == CLIENT_REPLY_PENDING) {
        MARK(CLIENT_TWICE_IN_A_RUN);
        return CLIENT_WAITS;
    }
    if (session->pending > 0 && forgets(session, command) && !BUG(FORGETS_BEFORE_PAUSE)) {
        MARK(CLIENT_FORGETS_LATER);
        return CLIENT_WAITS;
    }
    touch(session, time_ms);
    raise_floor(session, command->acked);
    if (reply != NULL && !BUG(RETRY_APPLIED_TWICE)) {
        MARK(CLIENT_ANSWERED_AGAIN);
        *out_reply = reply;
        return CLIENT_DUPLICATE;
    }
    if (command->sequence <= session->floor) {
        MARK(CLIENT_BELOW_FLOOR);
        return CLIENT_GONE;
    }
    if (session->count == CLIENT_REPLIES_MAX) {
        const uint64_t lowest = session->replies[0].sequence;
        if (command->sequence < lowest) return CLIENT_GONE;
        raise_floor(session, lowest);
    }
    reply = insert_reply(session, command->sequence);
    reply->position = position;
    *out_reply = reply;
    return CLIENT_APPLY;
}

/* Bytes of older replies go first; a reply that finds no room so is dropped. */
static bool make_byte_room(struct client_session *session, const struct client_reply *reply,
                           size_t bytes)
{
    if (bytes > CLIENT_REPLY_BYTES_MAX) return false;
    for (struct client_reply *other = session->replies;
         session->bytes_used + bytes > CLIENT_REPLY_BYTES_MAX; other++) {
        if (other == reply || other->bytes == 0) continue;
        if (other > reply) return false;
        cut_bytes(session, other);
        other->state = CLIENT_REPLY_DROPPED;
    }
    return true;
}

void client_table_settle(struct client_table *clients, uint64_t session_id, uint64_t sequence,
                         struct mortar_bytes bytes)
{
    struct client_session *session = find(clients, session_id);
    if (session == NULL) return; /* It was closed behind it, in the same run. */
    struct client_reply *reply = reply_find(session, sequence);
    if (reply == NULL) return; /* Acknowledged behind it, likewise. */
    if (reply->state == CLIENT_REPLY_PENDING) session->pending--;
    cut_bytes(session, reply);
    if (!make_byte_room(session, reply, bytes.bytes)) {
        reply->state = CLIENT_REPLY_DROPPED;
        return;
    }
    memmove(session->bytes + reply->offset + bytes.bytes, session->bytes + reply->offset,
            session->bytes_used - reply->offset);
    if (bytes.bytes > 0) memcpy(session->bytes + reply->offset, bytes.data, bytes.bytes);
    session->bytes_used += (uint32_t)bytes.bytes;
    for (struct client_reply *later = reply + 1; later < session->replies + session->count; later++)
        later->offset += (uint32_t)bytes.bytes;
    reply->bytes = (uint32_t)bytes.bytes;
    reply->state = CLIENT_REPLY_KEPT;
}

void client_table_abandon(struct client_table *clients, uint64_t session_id, uint64_t sequence)
{
    struct client_session *session = find(clients, session_id);
    if (session == NULL) return;
    const struct client_reply *reply = reply_find(session, sequence);
    if (reply != NULL) remove_reply(session, (uint32_t)(reply - session->replies));
}

/* ---- Bytes ---- */

size_t client_table_encoded_bytes(const struct client_table *clients)
{
    size_t bytes = 4;
    for (uint32_t i = 0; i < clients->count; i++) {
        const struct client_session *session = clients->sessions[i];
        bytes += SESSION_HEAD_BYTES + session->count * REPLY_HEAD_BYTES + session->bytes_used;
    }
    return bytes;
}

static void encode_session(const struct client_session *session, struct writer *out)
{
    put_u64(out, session->id);
    put_u64(out, session->ttl_ms);
    put_u64(out, session->last_ms);
    put_u64(out, session->floor);
    put_u32(out, session->count);
    for (uint32_t i = 0; i < session->count; i++) {
        const struct client_reply *reply = &session->replies[i];
        ASSERT(reply->state != CLIENT_REPLY_PENDING); /* No run is under way. */
        put_u64(out, reply->sequence);
        put_position(out, reply->position);
        put_u8(out, (uint8_t)reply->state);
        put_u32(out, reply->bytes);
        put_bytes(out, client_reply_bytes(session, reply));
    }
}

void client_table_encode(const struct client_table *clients, struct writer *out)
{
    put_u32(out, clients->count);
    for (uint32_t i = 0; i < clients->count; i++)
        encode_session(clients->sessions[i], out);
}

static void decode_reply(struct reader *in, struct client_session *session, uint64_t before)
{
    struct client_reply *reply = &session->replies[session->count++];
    reply->sequence = get_u64(in);
    reply->position = get_position(in);
    const uint8_t state = get_u8(in);
    const uint32_t bytes = get_u32(in);
    const struct mortar_bytes data = get_bytes(in, bytes);
    const bool known = state == CLIENT_REPLY_KEPT || state == CLIENT_REPLY_DROPPED;
    if (!known || (state == CLIENT_REPLY_DROPPED && bytes > 0) || reply->sequence <= before ||
        reply->position.index < 1 || data.bytes > CLIENT_REPLY_BYTES_MAX - session->bytes_used) {
        in->failed = true;
        return;
    }
    reply->state = (enum client_reply_state)state;
    reply->offset = session->bytes_used;
    reply->bytes = (uint32_t)data.bytes;
    if (data.bytes > 0) memcpy(session->bytes + reply->offset, data.data, data.bytes);
    session->bytes_used += reply->bytes;
}

static void decode_replies(struct reader *in, struct client_session *session)
{
    const uint32_t count = get_u32(in);
    if (count > CLIENT_REPLIES_MAX) in->failed = true;
    uint64_t before = session->floor;
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        decode_reply(in, session, before);
        before = session->replies[i].sequence;
    }
}

/* The session is opened at its last log time: what is read behind that belongs to it. */
static enum mortar_status decode_session(struct reader *in, struct client_table *clients)
{
    const uint64_t id = get_u64(in);
    const uint64_t ttl_ms = get_u64(in);
    const uint64_t last_ms = get_u64(in);
    const uint64_t floor = get_u64(in);
    const uint64_t above = clients->count == 0 ? 0 : clients->sessions[clients->count - 1]->id;
    const bool sound = !in->failed && id > above && ttl_ms >= CLIENT_TTL_MS_MIN &&
                       ttl_ms <= CLIENT_TTL_MS_MAX && last_ms <= UINT64_MAX - ttl_ms;
    if (!sound) return MORTAR_E_CORRUPT;
    const enum mortar_status status = client_table_open(clients, id, ttl_ms, last_ms);
    if (status != MORTAR_OK) return status;
    struct client_session *session = clients->sessions[clients->count - 1];
    session->floor = floor;
    decode_replies(in, session);
    return in->failed ? MORTAR_E_CORRUPT : MORTAR_OK;
}

enum mortar_status client_table_decode(struct reader *in, struct client_table *clients)
{
    ASSERT(clients->count == 0);
    const uint32_t count = get_u32(in);
    enum mortar_status status = MORTAR_OK;
    if (in->failed || count > CLIENT_SESSIONS_MAX) status = MORTAR_E_CORRUPT;
    for (uint32_t i = 0; i < count && status == MORTAR_OK; i++)
        status = decode_session(in, clients);
    if (status != MORTAR_OK) client_table_deinit(clients);
    return status;
}
