/* sync/replay_serve.c - serves fetches. The picture stands in replay_serve.h. */
#include "sync/replay_serve.h"

#include "base/assert.h"
#include "base/mark.h"

#include <string.h>

/* How often something is tried again that found no memory or no room. */
#define RETRY_MS 5u
/* The rate cap lets this much time's worth go at once. */
#define BURST_MS 20u
/* Beyond it a cap is none; keeps the arithmetic within 64 bits. */
#define RATE_MAX (1ull << 40)
/* Idle time counted at most. */
#define IDLE_MS_MAX 10000u

enum serve_state {
    SERVE_QUEUED = 0,
    SERVE_READING = 1,  /* A read was submitted. */
    SERVE_GATHERED = 2, /* Runs are here; a copy, or the next read, found no room yet. */
    SERVE_COPYING = 3   /* A bulk thread works on it. */
};

struct replay_serve {
    struct replay_server *server; /* Not touched once the provider was destroyed. */
    const struct mortar_allocator *allocator;
    struct mortar_member_id to;
    uint64_t session;
    struct replay_fetch fetch;
    enum serve_state state;
    uint64_t next;      /* First index that is not in `runs` or the message yet. */
    size_t run_bytes;   /* Exact size of fetch.first..fetch.last. */
    size_t copied;      /* Bytes of it in the message. */
    uint32_t run_count; /* Of `runs`, whose buffers are ours. */
    struct mortar_log_run runs[SERVE_RUNS_MAX];
    struct mortar_sync_message *message;
};

void replay_server_init(struct replay_server *server, struct mortar_sync *sync,
                        const struct replay_method *method)
{
    memset(server, 0, sizeof *server);
    server->sync = sync;
    server->method = method;
    server->allowance_ms = mortar_sync_now_ms(sync);
}

static void release_runs(struct replay_serve *serve)
{
    for (uint32_t i = 0; i < serve->run_count; i++)
        mortar_buffer_release(serve->runs[i].buffer);
    serve->run_count = 0;
}

static void serve_free(struct replay_serve *serve)
{
    release_runs(serve);
    mortar_sync_message_discard(serve->message);
    serve->allocator->release(serve->allocator->context, serve, sizeof *serve);
}

void replay_server_deinit(struct replay_server *server)
{
    for (uint32_t i = 0; i < server->count; i++) {
        if (server->serves[i]->state != SERVE_COPYING) serve_free(server->serves[i]);
    }
    server->count = 0;
}

/* Takes the fetch out of the queue and frees it. */
static void serve_end(struct replay_serve *serve)
{
    struct replay_server *const server = serve->server;
    uint32_t place = 0;
    while (server->serves[place] != serve)
        place++;
    ASSERT(place < server->count);
    memmove(&server->serves[place], &server->serves[place + 1],
            (server->count - place - 1) * sizeof(struct replay_serve *));
    server->count--;
    if (serve->state != SERVE_QUEUED) server->active_bytes -= serve->run_bytes;
    serve_free(serve);
    if (server->count > 0) mortar_sync_wake(server->sync);
}

static void refuse(struct replay_server *server, const struct mortar_member_id *to,
                   uint64_t session, uint32_t id, enum replay_refusal reason)
{
    uint8_t bytes[REPLAY_REFUSED_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_refused_encode(&(struct replay_refused){.id = id, .reason = reason}, &out);
    ASSERT(!out.failed);
    /* A refusal that is lost costs the asker its timeout, no more. */
    (void)mortar_sync_send_to(server->sync, to, session, (struct mortar_bytes){bytes, out.bytes});
}

static void serve_refuse(struct replay_serve *serve, enum replay_refusal reason)
{
    refuse(serve->server, &serve->to, serve->session, serve->fetch.id, reason);
    serve_end(serve);
}

static void serve_continue(struct replay_serve *serve);

/* What is known of its end; NULL: nothing. */
static struct replay_ended *find_ended(struct replay_server *server,
                                       const struct mortar_member_id *member, uint64_t session)
{
    const uint32_t kept =
        server->ended_count < SERVE_ENDED_MAX ? server->ended_count : SERVE_ENDED_MAX;
    for (uint32_t i = 0; i < kept; i++) {
        struct replay_ended *const ended = &server->ended[i];
        if (ended->session == session && mortar_member_id_equal(&ended->member, member)) {
            return ended;
        }
    }
    return NULL;
}

static void note_ended(struct replay_server *server, const struct mortar_member_id *member,
                       uint64_t session, bool said)
{
    struct replay_ended *ended = find_ended(server, member, session);
    if (ended == NULL) ended = &server->ended[server->ended_count++ % SERVE_ENDED_MAX];
    *ended = (struct replay_ended){.member = *member, .session = session, .said = said};
}

/* True if a fetch of this session came late. Where nobody but another session's fetch says that it
 * ended, that one may be the late one: then the next of this session is taken. */
static bool fetch_is_late(struct replay_server *server, const struct mortar_member_id *member,
                          uint64_t session)
{
    struct replay_ended *const ended = find_ended(server, member, session);
    if (ended == NULL) return false;
    MARK(FETCH_AFTER_END);
    if (!ended->said) *ended = (struct replay_ended){0};
    return true;
}

static void serve_send(struct replay_serve *serve)
{
    if (find_ended(serve->server, &serve->to, serve->session) != NULL) {
        MARK(SERVE_UNWANTED);
        serve_end(serve); /* It would only fill the lane before what is still wanted. */
        return;
    }
    struct mortar_sync_message *const message = serve->message;
    serve->message = NULL; /* Sending takes it, whatever it answers. */
    const enum mortar_status status = mortar_sync_send(serve->server->sync, &serve->to, message);
    /* NOT_FOUND: the asker's bulk lane comes up a moment after its control lane. */
    if (status == MORTAR_E_BUSY || status == MORTAR_E_NOT_FOUND) {
        serve_refuse(serve, REPLAY_BUSY);
    } else if (status == MORTAR_E_TOO_LARGE) {
        serve_refuse(serve, REPLAY_TOO_LARGE);
    } else {
        serve_end(serve);
    }
}

static void on_read(void *argument, enum mortar_status status, const struct mortar_log_run *run)
{
    struct replay_serve *const serve = argument;
    ASSERT(serve->state == SERVE_READING);
    serve->state = SERVE_GATHERED;
    if (status == MORTAR_E_BUSY || status == MORTAR_E_NO_MEMORY) {
        mortar_sync_wake_at(serve->server->sync,
                            mortar_sync_now_ms(serve->server->sync) + RETRY_MS);
        return;
    }
    if (status != MORTAR_OK) {
        serve_refuse(serve, REPLAY_NOT_HELD);
        return;
    }
    ASSERT(run->first == serve->next && run->count >= 1);
    ASSERT(run->first + run->count - 1 <= serve->fetch.last);
    serve->runs[serve->run_count++] = *run;
    serve->next = run->first + run->count;
    serve_continue(serve);
}

/* On a bulk thread. The last copy also seals: that reads all bytes once more. */
static void copy_run(void *argument, void *machine)
{
    (void)machine;
    struct replay_serve *const serve = argument;
    uint8_t *const data = mortar_sync_message_data(serve->message) + REPLAY_ENTRIES_BYTES;
    for (uint32_t i = 0; i < serve->run_count; i++) {
        const struct mortar_log_run *const run = &serve->runs[i];
        ASSERT(run->bytes <= serve->run_bytes - serve->copied);
        memcpy(data + serve->copied, mortar_buffer_data(run->buffer) + run->offset, run->bytes);
        serve->copied += run->bytes;
    }
    if (serve->next > serve->fetch.last) {
        ASSERT(serve->copied == serve->run_bytes);
        mortar_sync_message_seal(serve->message, REPLAY_ENTRIES_BYTES + serve->copied);
    }
}

static void copy_done(void *argument, bool destroyed)
{
    struct replay_serve *const serve = argument;
    if (destroyed) {
        serve_free(serve);
        return;
    }
    release_runs(serve);
    serve->state = SERVE_GATHERED;
    serve_continue(serve);
}

static void retry_soon(struct replay_serve *serve)
{
    struct mortar_sync *const sync = serve->server->sync;
    mortar_sync_wake_at(sync, mortar_sync_now_ms(sync) + RETRY_MS);
}

/* The next step of a fetch under way: reads on, copies what was gathered, or sends. */
static void serve_continue(struct replay_serve *serve)
{
    ASSERT(serve->state == SERVE_GATHERED);
    struct mortar_sync *const sync = serve->server->sync;
    const bool all = serve->next > serve->fetch.last;
    if (all && serve->run_count == 0) {
        serve_send(serve);
        return;
    }
    enum mortar_status status;
    if (all || serve->run_count == SERVE_RUNS_MAX) {
        serve->state = SERVE_COPYING;
        status = mortar_sync_offload(sync, MORTAR_ON_BULK, copy_run, copy_done, serve);
    } else {
        serve->state = SERVE_READING;
        status = mortar_sync_log_read(sync, serve->next, serve->fetch.last, serve->run_bytes,
                                      on_read, serve);
    }
    if (status == MORTAR_OK) return;
    serve->state = SERVE_GATHERED;
    if (status == MORTAR_E_BUSY || status == MORTAR_E_NO_MEMORY) {
        retry_soon(serve);
    } else {
        serve_refuse(serve, REPLAY_NOT_HELD);
    }
}

/* Reserves the message and begins to read. False: memory is short, it stays queued. */
static bool serve_begin(struct replay_serve *serve)
{
    serve->message = mortar_sync_message_new(serve->server->sync, serve->session, MORTAR_LANE_BULK,
                                             REPLAY_ENTRIES_BYTES + serve->run_bytes);
    if (serve->message == NULL) return false;
    const struct replay_entries head = {
        .id = serve->fetch.id,
        .first = serve->fetch.first,
        .last = serve->fetch.last,
        .count = (uint32_t)(serve->fetch.last - serve->fetch.first + 1),
    };
    struct writer out = writer_over(mortar_sync_message_data(serve->message), REPLAY_ENTRIES_BYTES);
    replay_entries_encode(&head, &out);
    ASSERT(!out.failed);
    serve->state = SERVE_GATHERED;
    serve->server->active_bytes += serve->run_bytes;
    serve_continue(serve);
    return true;
}

/* True if `member` may have `bytes` more queued or under way. */
static bool member_has_room(const struct replay_server *server,
                            const struct mortar_member_id *member, uint64_t bytes)
{
    uint64_t held = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->count; i++) {
        const struct replay_serve *const serve = server->serves[i];
        if (!mortar_member_id_equal(&serve->to, member)) continue;
        held += serve->run_bytes;
        count++;
    }
    return count == 0 || (count < SERVES_PER_MEMBER && held + bytes <= SERVE_BYTES_PER_MEMBER);
}

/* A member has one session at a time: another one of it means that those before have ended, unless
 * its fetch is one of an earlier connection. */
static void supersede(struct replay_server *server, const struct mortar_member_id *member,
                      uint64_t session)
{
    for (uint32_t i = server->count; i > 0; i--) {
        struct replay_serve *const serve = server->serves[i - 1];
        const bool other = mortar_member_id_equal(&serve->to, member) && serve->session != session;
        if (!other) continue;
        MARK(SESSION_SUPERSEDED);
        note_ended(server, member, serve->session, false);
        if (serve->state == SERVE_QUEUED) serve_end(serve);
    }
}

/* The same range, asked for again while it still waits here: one answer will do for both, and it
 * keeps its place. */
static bool is_queued_already(struct replay_server *server, const struct mortar_member_id *member,
                              uint64_t session, const struct replay_fetch *fetch)
{
    for (uint32_t i = 0; i < server->count; i++) {
        struct replay_serve *const serve = server->serves[i];
        const bool same = serve->state == SERVE_QUEUED && serve->session == session &&
                          serve->fetch.first == fetch->first && serve->fetch.last == fetch->last &&
                          serve->fetch.id < fetch->id && mortar_member_id_equal(&serve->to, member);
        if (!same) continue;
        serve->fetch.id = fetch->id;
        return true;
    }
    return false;
}

void replay_server_on_cancel(struct replay_server *server, const struct mortar_member_id *from,
                             uint64_t session, const struct replay_cancel *cancel)
{
    if (cancel->first == 1 && cancel->last == UINT64_MAX) note_ended(server, from, session, true);
    for (uint32_t i = server->count; i > 0; i--) {
        struct replay_serve *const serve = server->serves[i - 1];
        const bool meant = serve->state == SERVE_QUEUED && serve->session == session &&
                           serve->fetch.first >= cancel->first &&
                           serve->fetch.last <= cancel->last &&
                           mortar_member_id_equal(&serve->to, from);
        if (meant) {
            MARK(FETCH_CANCELLED);
            serve_end(serve);
        }
    }
}

void replay_server_on_fetch(struct replay_server *server, const struct mortar_member_id *from,
                            uint64_t session, const struct replay_fetch *fetch)
{
    if (fetch_is_late(server, from, session)) return;
    supersede(server, from, session);
    if (is_queued_already(server, from, session, fetch)) {
        MARK(FETCH_TWICE);
        return;
    }
    const struct mortar_anchor_point base = mortar_sync_log_base(server->sync);
    const uint64_t commit = mortar_sync_committed(server->sync).index;
    if (fetch->first <= base.position.index) {
        refuse(server, from, session, fetch->id, REPLAY_NOT_HELD);
        return;
    }
    if (fetch->last > commit) {
        MARK(FETCH_TOO_FAR);
        refuse(server, from, session, fetch->id, REPLAY_TOO_FAR);
        return;
    }
    const uint64_t bytes = mortar_sync_log_bytes(server->sync, fetch->first, fetch->last);
    if (bytes > fetch->bytes) { /* Never more than was asked for. */
        MARK(FETCH_TOO_LARGE);
        refuse(server, from, session, fetch->id, REPLAY_TOO_LARGE);
        return;
    }
    const bool full = server->count == SERVES_MAX || !member_has_room(server, from, bytes);
    const struct mortar_allocator *const allocator = mortar_sync_allocator(server->sync);
    struct replay_serve *const serve =
        full ? NULL : allocator->reserve(allocator->context, sizeof *serve);
    if (serve == NULL) {
        MARK(FETCH_BUSY);
        refuse(server, from, session, fetch->id, REPLAY_BUSY);
        return;
    }
    memset(serve, 0, sizeof *serve);
    serve->server = server;
    serve->allocator = allocator;
    serve->to = *from;
    serve->session = session;
    serve->fetch = *fetch;
    serve->next = fetch->first;
    serve->run_bytes = (size_t)bytes;
    server->serves[server->count++] = serve;
    mortar_sync_wake(server->sync);
}

/* Counts what the rate cap allows since the last time. */
static void allowance_count(struct replay_server *server, uint64_t rate)
{
    const uint64_t now_ms = mortar_sync_now_ms(server->sync);
    uint64_t idle_ms = now_ms - server->allowance_ms;
    if (idle_ms > IDLE_MS_MAX) idle_ms = IDLE_MS_MAX;
    const int64_t burst = (int64_t)(rate * BURST_MS / 1000) + 1;
    const uint64_t earned = rate * idle_ms / 1000;
    if (earned == 0 && idle_ms < IDLE_MS_MAX) return; /* Fractions must not be lost. */
    server->allowance += (int64_t)earned;
    if (server->allowance > burst) server->allowance = burst;
    server->allowance_ms = now_ms;
}

/* When the debt is paid at `rate` bytes a second. */
static uint64_t allowance_due_ms(const struct replay_server *server, uint64_t rate)
{
    const uint64_t debt = server->allowance > 0 ? 0 : (uint64_t)-server->allowance + 1;
    return server->allowance_ms + debt * 1000 / rate + 1;
}

static int compare(const struct mortar_member_id *a, const struct mortar_member_id *b)
{
    return memcmp(a, b, sizeof *a);
}

/* The oldest fetch that has not begun, of the member whose turn it is: the next after the one
 * served last, in the order of ids. NULL: none. */
static struct replay_serve *next_queued(const struct replay_server *server)
{
    struct replay_serve *first = NULL; /* Of the lowest id. */
    struct replay_serve *next = NULL;  /* Of the lowest id above the last one's. */
    for (uint32_t i = 0; i < server->count; i++) {
        struct replay_serve *const serve = server->serves[i];
        if (serve->state != SERVE_QUEUED) continue;
        if (first == NULL || compare(&serve->to, &first->to) < 0) first = serve;
        if (compare(&serve->to, &server->turn) <= 0) continue;
        if (next == NULL || compare(&serve->to, &next->to) < 0) next = serve;
    }
    return next != NULL ? next : first;
}

/* Nothing is prepared for a member that cannot be reached. */
static void drop_departed(struct replay_server *server)
{
    if (server->count == 0) return;
    struct mortar_member_id bonds[MORTAR_MEMBERS_MAX];
    const uint32_t count = mortar_sync_bonds(server->sync, bonds, MORTAR_MEMBERS_MAX);
    for (uint32_t i = server->count; i > 0; i--) {
        struct replay_serve *const serve = server->serves[i - 1];
        bool bonded = serve->state != SERVE_QUEUED;
        for (uint32_t k = 0; k < count && !bonded; k++)
            bonded = mortar_member_id_equal(&bonds[k], &serve->to);
        if (!bonded) serve_end(serve);
    }
}

static void begin_queued(struct replay_server *server)
{
    uint64_t rate = replay_method_options(server->method).serve_bytes_per_second;
    if (rate > RATE_MAX) rate = RATE_MAX;
    if (rate > 0) allowance_count(server, rate);
    struct replay_serve *serve;
    while ((serve = next_queued(server)) != NULL) {
        if (rate > 0 && server->allowance <= 0) {
            MARK(SERVE_CAPPED);
            mortar_sync_wake_at(server->sync, allowance_due_ms(server, rate));
            return;
        }
        const bool room = server->active_bytes == 0 ||
                          server->active_bytes + serve->run_bytes <= SERVE_BYTES_ACTIVE;
        if (!room) return; /* The end of one under way wakes us. */
        const int64_t cost = (int64_t)serve->run_bytes;
        const struct mortar_member_id turn = serve->to;
        if (!serve_begin(serve)) {
            retry_soon(serve);
            return;
        }
        server->turn = turn;
        if (rate > 0) server->allowance -= cost;
    }
}

void replay_server_poll(struct replay_server *server)
{
    drop_departed(server);
    for (uint32_t i = server->count; i > 0; i--) { /* Backwards: an end takes the last ones up. */
        struct replay_serve *const serve = server->serves[i - 1];
        if (serve->state == SERVE_GATHERED) serve_continue(serve);
    }
    begin_queued(server);
}
