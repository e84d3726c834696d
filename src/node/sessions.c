/* node/sessions.c - handles of client sessions: sequence numbers, and what the client has. */
#include "base/assert.h"
#include "node/ask.h"
#include "os/clock.h"
#include "os/memory.h"

#include <string.h>

#define TTL_MS 60000u
/* So many replies does a session keep (mortar/core.h): more calls would not all be answered. */
#define CALLS_MAX 64u

struct mortar_session {
    struct mortar_group *group;
    uint64_t id;
    pthread_mutex_t mutex;
    uint64_t sequence; /* Last one given. */
    uint64_t acked;    /* All calls up to here have ended. */
    uint64_t ended;    /* Bit i: the call acked + 1 + i has ended, too. */
    uint32_t calls;    /* Under way. */
};

/* ---- Open and close ---- */

static enum mortar_status ask_session(struct mortar_group *group, enum call_kind kind,
                                      uint64_t number, const struct asked *asked)
{
    struct call *call = NULL;
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    status = call_new(&group->node->gate, &group->node->allocator, kind, 0, &call);
    if (status == MORTAR_OK) {
        call->session_number = number;
        ask_post(group, call, asked);
    }
    group_leave_use(group);
    return status;
}

static enum mortar_status ask_and_wait(struct mortar_group *group, enum call_kind kind,
                                       uint64_t number, uint32_t timeout_ms,
                                       struct mortar_result *out_result)
{
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_session(group, kind, number, &asked), out_result);
}

/* Where nobody knows if a session was opened another is: the first one expires. */
static enum mortar_status open_in_group(struct mortar_group *group, uint64_t ttl_ms,
                                        uint32_t timeout_ms, uint64_t *out_id)
{
    struct mortar_result result = {0};
    const uint64_t end_ms = clock_monotonic_ms() + timeout_ms;
    uint32_t left_ms = timeout_ms;
    for (;;) {
        const enum mortar_status status =
            ask_and_wait(group, CALL_SESSION_OPEN, ttl_ms, left_ms, &result);
        const uint64_t now_ms = clock_monotonic_ms();
        if (status == MORTAR_OK) *out_id = result.first.index;
        if (status != MORTAR_UNKNOWN || now_ms >= end_ms) return status;
        left_ms = (uint32_t)(end_ms - now_ms);
    }
}

enum mortar_status mortar_session_open(struct mortar_group *group, uint64_t ttl_ms,
                                       uint32_t timeout_ms, struct mortar_session **out_session)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    const struct mortar_allocator *const allocator = &group->node->allocator;
    struct mortar_session *const session = memory_reserve_zero(allocator, sizeof *session);
    if (session == NULL) return MORTAR_E_NO_MEMORY;
    const enum mortar_status status =
        open_in_group(group, ttl_ms == 0 ? TTL_MS : ttl_ms, timeout_ms, &session->id);
    if (status != MORTAR_OK) {
        memory_release(allocator, session, sizeof *session);
        return status;
    }
    session->group = group;
    (void)pthread_mutex_init(&session->mutex, NULL);
    *out_session = session;
    return MORTAR_OK;
}

uint64_t mortar_session_id(const struct mortar_session *session)
{
    return session->id;
}

enum mortar_status mortar_session_keep(struct mortar_session *session, uint32_t timeout_ms)
{
    if (node_is_own_thread(session->group->node)) return MORTAR_E_WRONG_THREAD;
    return ask_and_wait(session->group, CALL_SESSION_KEEP, session->id, timeout_ms, NULL);
}

enum mortar_status mortar_session_close(struct mortar_session *session, uint32_t timeout_ms)
{
    struct mortar_group *const group = session->group;
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    (void)pthread_mutex_lock(&session->mutex);
    const bool is_used = session->calls > 0;
    (void)pthread_mutex_unlock(&session->mutex);
    if (is_used) return MORTAR_E_BUSY;
    const enum mortar_status status =
        timeout_ms == 0 ? MORTAR_OK
                        : ask_and_wait(group, CALL_SESSION_CLOSE, session->id, timeout_ms, NULL);
    (void)pthread_mutex_destroy(&session->mutex);
    memory_release(&group->node->allocator, session, sizeof *session);
    return status;
}

/* ---- Commands ---- */

/* Gives the call its number and posts it: both under one lock, so that numbers and posts have one
 * order. False: too many are under way. */
static bool post_in_order(struct mortar_session *session, struct call *call,
                          const struct asked *asked)
{
    (void)pthread_mutex_lock(&session->mutex);
    const bool has_room = session->sequence - session->acked < CALLS_MAX;
    if (has_room) {
        session->calls++;
        call->session = session;
        call->session_number = session->id;
        call->session_sequence = ++session->sequence;
        call->session_acked = session->acked;
        ask_post(session->group, call, asked);
    }
    (void)pthread_mutex_unlock(&session->mutex);
    return has_room;
}

void session_call_ended(struct mortar_session *session, uint64_t sequence)
{
    (void)pthread_mutex_lock(&session->mutex);
    ASSERT(session->calls > 0 && sequence > session->acked);
    session->calls--;
    session->ended |= 1ull << (sequence - session->acked - 1);
    while ((session->ended & 1) != 0) {
        session->ended >>= 1;
        session->acked++;
    }
    (void)pthread_mutex_unlock(&session->mutex);
}

static enum mortar_status ask_execute(struct mortar_session *session, struct mortar_bytes command,
                                      const struct asked *asked)
{
    struct mortar_group *const group = session->group;
    struct call *call = NULL;
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    if (command.bytes > atomic_load(&group->command_bytes_max)) status = MORTAR_E_TOO_LARGE;
    if (status == MORTAR_OK) {
        status = call_new(&group->node->gate, &group->node->allocator, CALL_SESSION_EXECUTE,
                          command.bytes, &call);
    }
    if (status == MORTAR_OK) {
        if (command.bytes > 0) memcpy(call->items, command.data, command.bytes);
        if (!post_in_order(session, call, asked)) {
            call_discard(call);
            status = MORTAR_E_BUSY;
        }
    }
    group_leave_use(group);
    return status;
}

enum mortar_status mortar_session_execute_async(struct mortar_session *session,
                                                struct mortar_bytes command, uint32_t timeout_ms,
                                                mortar_completion *done, void *argument)
{
    const struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_execute(session, command, &asked);
}

enum mortar_status mortar_session_execute(struct mortar_session *session,
                                          struct mortar_bytes command, uint32_t timeout_ms,
                                          struct mortar_result *out_result)
{
    if (node_is_own_thread(session->group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_execute(session, command, &asked), out_result);
}
