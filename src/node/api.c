/* node/api.c - the calls of mortar/node.h on a group: copied on the caller's thread, posted to the
 * control thread, and, in their blocking form, waited for. */
#include "base/assert.h"
#include "node/ask.h"
#include "node/node_private.h"
#include "node/wait.h"
#include "wire/message.h"

#include <string.h>

/* ---- The use of a handle ---- */

enum mortar_status group_enter(struct mortar_group *group)
{
    (void)atomic_fetch_add(&group->users, 1);
    enum mortar_status status = MORTAR_OK;
    if (atomic_load(&group->is_closing)) {
        status = MORTAR_E_CLOSED;
    } else if (atomic_load(&group->node->failed) != (int)MORTAR_OK) {
        status = MORTAR_E_FAILED;
    }
    if (status != MORTAR_OK) group_leave_use(group);
    return status;
}

void group_leave_use(struct mortar_group *group)
{
    const uint_fast32_t before = atomic_fetch_sub(&group->users, 1);
    ASSERT(before > 0); /* Group and node may be gone from now on. */
}

/* ---- Making calls ---- */

void ask_post(struct mortar_group *group, struct call *call, const struct asked *asked)
{
    call->owner = group;
    call->timeout_ms = asked->timeout_ms;
    call->is_direct = asked->is_direct;
    call->is_leave = asked->is_leave;
    call->is_own = asked->is_own;
    call->done = asked->done;
    call->argument = asked->argument;
    call->task.run = host_take_call;
    loop_post(group->node->control, &call->task);
}

/* Checks commands and counts the bytes that they take as items. */
static enum mortar_status measure_commands(const struct mortar_group *group,
                                           const struct mortar_bytes *commands, uint32_t count,
                                           size_t *out_bytes)
{
    const size_t command_max = atomic_load(&group->command_bytes_max);
    size_t bytes = 0;
    if (count == 0 || count > FORWARD_COUNT_MAX) return MORTAR_E_INVALID;
    for (uint32_t i = 0; i < count; i++) {
        if (commands[i].bytes > command_max) return MORTAR_E_TOO_LARGE;
        bytes += FORWARD_ITEM_BYTES + commands[i].bytes;
    }
    *out_bytes = bytes;
    return MORTAR_OK;
}

static void copy_commands(struct call *call, const struct mortar_bytes *commands, uint32_t count)
{
    struct writer out = writer_over(call->items, call->item_bytes);
    for (uint32_t i = 0; i < count; i++) {
        put_u32(&out, (uint32_t)commands[i].bytes);
        put_bytes(&out, commands[i]);
    }
    ASSERT(!out.failed && out.bytes == call->item_bytes);
    call->count = count;
}

static enum mortar_status ask_commands(struct mortar_group *group, enum call_kind kind,
                                       const struct mortar_bytes *commands, uint32_t count,
                                       const struct asked *asked)
{
    size_t bytes = 0;
    struct call *call = NULL;
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    status = measure_commands(group, commands, count, &bytes);
    if (status == MORTAR_OK) {
        status = call_new(&group->node->gate, &group->node->allocator, kind, bytes, &call);
    }
    if (status == MORTAR_OK) {
        copy_commands(call, commands, count);
        ask_post(group, call, asked);
    }
    group_leave_use(group);
    return status;
}

static enum mortar_status ask_query(struct mortar_group *group, struct mortar_bytes query,
                                    enum mortar_read_mode mode, const struct asked *asked)
{
    struct call *call = NULL;
    if (mode != MORTAR_READ_LINEARIZABLE && mode != MORTAR_READ_LOCAL) return MORTAR_E_INVALID;
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    if (query.bytes > atomic_load(&group->command_bytes_max)) status = MORTAR_E_TOO_LARGE;
    if (status == MORTAR_OK) {
        status =
            call_new(&group->node->gate, &group->node->allocator, CALL_QUERY, query.bytes, &call);
    }
    if (status == MORTAR_OK) {
        if (query.bytes > 0) memcpy(call->items, query.data, query.bytes);
        call->read_mode = mode;
        ask_post(group, call, asked);
    }
    group_leave_use(group);
    return status;
}

static enum mortar_status measure_changes(const struct mortar_change *changes, uint32_t count,
                                          size_t *out_bytes)
{
    if (count == 0 || count > MORTAR_MEMBERS_MAX) return MORTAR_E_INVALID;
    size_t bytes = count * sizeof *changes;
    for (uint32_t i = 0; i < count; i++) {
        if (changes[i].address == NULL) continue;
        const size_t text = strnlen(changes[i].address, MORTAR_ADDRESS_BYTES_MAX + 1);
        if (text > MORTAR_ADDRESS_BYTES_MAX) return MORTAR_E_INVALID;
        bytes += text + 1;
    }
    *out_bytes = bytes;
    return MORTAR_OK;
}

static void copy_changes(struct call *call, const struct mortar_change *changes, uint32_t count)
{
    struct mortar_change *const copies = (struct mortar_change *)(void *)call->items;
    char *text = (char *)call->items + count * sizeof *copies;
    for (uint32_t i = 0; i < count; i++) {
        copies[i] = changes[i];
        if (changes[i].address == NULL) continue;
        const size_t bytes = strlen(changes[i].address) + 1;
        memcpy(text, changes[i].address, bytes);
        copies[i].address = text;
        text += bytes;
    }
    ASSERT(text == (char *)call->items + call->item_bytes);
    call->count = count;
}

static enum mortar_status ask_change(struct mortar_group *group,
                                     const struct mortar_change *changes, uint32_t count,
                                     const struct asked *asked)
{
    size_t bytes = 0;
    struct call *call = NULL;
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    status = measure_changes(changes, count, &bytes);
    if (status == MORTAR_OK) {
        status = call_new(&group->node->gate, &group->node->allocator, CALL_CHANGE, bytes, &call);
    }
    if (status == MORTAR_OK) {
        copy_changes(call, changes, count);
        ask_post(group, call, asked);
    }
    group_leave_use(group);
    return status;
}

static enum mortar_status ask_transfer(struct mortar_group *group,
                                       const struct mortar_member_id *target,
                                       const struct asked *asked)
{
    struct call *call = NULL;
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    status = call_new(&group->node->gate, &group->node->allocator, CALL_TRANSFER, 0, &call);
    if (status == MORTAR_OK) {
        if (target) call->target = *target;
        ask_post(group, call, asked);
    }
    group_leave_use(group);
    return status;
}

static enum mortar_status ask_wait(struct mortar_group *group,
                                   const struct mortar_condition *condition,
                                   const struct asked *asked)
{
    struct call *call = NULL;
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    status = wait_check(condition);
    if (status == MORTAR_OK) {
        status = call_new(&group->node->gate, &group->node->allocator, CALL_WAIT, 0, &call);
    }
    if (status == MORTAR_OK) {
        call->wait.condition = *condition;
        ask_post(group, call, asked);
    }
    group_leave_use(group);
    return status;
}

/* ---- Waiting for a completion ---- */

static void waiter_done(void *argument, const struct mortar_result *result)
{
    struct waiter *const waiter = argument;
    (void)pthread_mutex_lock(&waiter->mutex);
    waiter->result = *result;
    if (result->replies) (void)mortar_buffer_share(result->replies);
    waiter->is_done = true;
    (void)pthread_cond_signal(&waiter->changed);
    (void)pthread_mutex_unlock(&waiter->mutex);
}

struct asked waiter_begin(struct waiter *waiter, uint32_t timeout_ms)
{
    *waiter = (struct waiter){.is_done = false};
    (void)pthread_mutex_init(&waiter->mutex, NULL);
    (void)pthread_cond_init(&waiter->changed, NULL);
    return (struct asked){
        .timeout_ms = timeout_ms, .is_direct = true, .done = waiter_done, .argument = waiter};
}

enum mortar_status waiter_end(struct waiter *waiter, enum mortar_status status,
                              struct mortar_result *out_result)
{
    if (status == MORTAR_OK) {
        (void)pthread_mutex_lock(&waiter->mutex);
        while (!waiter->is_done)
            (void)pthread_cond_wait(&waiter->changed, &waiter->mutex);
        (void)pthread_mutex_unlock(&waiter->mutex);
        status = waiter->result.status;
    }
    if (status == MORTAR_OK && out_result) {
        *out_result = waiter->result;
    } else {
        mortar_buffer_release(waiter->result.replies);
    }
    (void)pthread_cond_destroy(&waiter->changed);
    (void)pthread_mutex_destroy(&waiter->mutex);
    return status;
}

/* ---- Results ---- */

struct mortar_bytes mortar_result_reply(const struct mortar_result *result, uint32_t i)
{
    if (result->replies == NULL || i >= result->count) return (struct mortar_bytes){0};
    struct reader in = reader_over((struct mortar_bytes){mortar_buffer_data(result->replies),
                                                         mortar_buffer_bytes(result->replies)});
    struct mortar_bytes reply = {0};
    for (uint32_t at = 0; at <= i; at++) {
        const uint32_t bytes = get_u32(&in);
        reply = get_bytes(&in, bytes);
    }
    return reply;
}

void mortar_result_release(struct mortar_result *result)
{
    mortar_buffer_release(result->replies);
    result->replies = NULL;
    result->count = 0;
}

/* ---- mortar/node.h ---- */

enum mortar_status mortar_group_execute_many_async(struct mortar_group *group,
                                                   const struct mortar_bytes *commands,
                                                   uint32_t count, uint32_t timeout_ms,
                                                   mortar_completion *done, void *argument)
{
    const struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_commands(group, CALL_EXECUTE, commands, count, &asked);
}

enum mortar_status mortar_group_execute_many(struct mortar_group *group,
                                             const struct mortar_bytes *commands, uint32_t count,
                                             uint32_t timeout_ms, struct mortar_result *out_result)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_commands(group, CALL_EXECUTE, commands, count, &asked),
                      out_result);
}

enum mortar_status mortar_group_execute_async(struct mortar_group *group,
                                              struct mortar_bytes command, uint32_t timeout_ms,
                                              mortar_completion *done, void *argument)
{
    return mortar_group_execute_many_async(group, &command, 1, timeout_ms, done, argument);
}

enum mortar_status mortar_group_execute(struct mortar_group *group, struct mortar_bytes command,
                                        uint32_t timeout_ms, struct mortar_result *out_result)
{
    return mortar_group_execute_many(group, &command, 1, timeout_ms, out_result);
}

enum mortar_status mortar_group_feed_many_async(struct mortar_group *group,
                                                const struct mortar_bytes *commands, uint32_t count,
                                                uint32_t timeout_ms, mortar_completion *done,
                                                void *argument)
{
    const struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_commands(group, CALL_FEED, commands, count, &asked);
}

enum mortar_status mortar_group_feed_many(struct mortar_group *group,
                                          const struct mortar_bytes *commands, uint32_t count,
                                          uint32_t timeout_ms, struct mortar_result *out_result)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_commands(group, CALL_FEED, commands, count, &asked), out_result);
}

enum mortar_status mortar_group_query_async(struct mortar_group *group, struct mortar_bytes query,
                                            enum mortar_read_mode mode, uint32_t timeout_ms,
                                            mortar_completion *done, void *argument)
{
    const struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_query(group, query, mode, &asked);
}

enum mortar_status mortar_group_query(struct mortar_group *group, struct mortar_bytes query,
                                      enum mortar_read_mode mode, uint32_t timeout_ms,
                                      struct mortar_result *out_result)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_query(group, query, mode, &asked), out_result);
}

enum mortar_status mortar_group_wait_async(struct mortar_group *group,
                                           struct mortar_condition condition, uint32_t timeout_ms,
                                           mortar_completion *done, void *argument)
{
    const struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_wait(group, &condition, &asked);
}

enum mortar_status mortar_group_wait(struct mortar_group *group, struct mortar_condition condition,
                                     uint32_t timeout_ms)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_wait(group, &condition, &asked), NULL);
}

enum mortar_status mortar_group_change_async(struct mortar_group *group,
                                             const struct mortar_change *changes, uint32_t count,
                                             uint32_t timeout_ms, mortar_completion *done,
                                             void *argument)
{
    const struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_change(group, changes, count, &asked);
}

enum mortar_status mortar_group_change(struct mortar_group *group,
                                       const struct mortar_change *changes, uint32_t count,
                                       uint32_t timeout_ms)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_change(group, changes, count, &asked), NULL);
}

enum mortar_status mortar_group_transfer_async(struct mortar_group *group,
                                               const struct mortar_member_id *target,
                                               uint32_t timeout_ms, mortar_completion *done,
                                               void *argument)
{
    const struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_transfer(group, target, &asked);
}

enum mortar_status mortar_group_transfer(struct mortar_group *group,
                                         const struct mortar_member_id *target, uint32_t timeout_ms)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    const struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_transfer(group, target, &asked), NULL);
}

void group_hand_over(struct mortar_group *group, uint32_t timeout_ms)
{
    struct waiter waiter;
    struct asked asked = waiter_begin(&waiter, timeout_ms);
    asked.is_own = true;
    (void)waiter_end(&waiter, ask_transfer(group, NULL, &asked), NULL);
}

static enum mortar_status ask_leave(struct mortar_group *group, struct asked *asked)
{
    const struct mortar_change change = {.kind = MORTAR_REMOVE, .member = group->self};
    asked->is_leave = true;
    return ask_change(group, &change, 1, asked);
}

enum mortar_status mortar_group_leave_async(struct mortar_group *group, uint32_t timeout_ms,
                                            mortar_completion *done, void *argument)
{
    struct asked asked = {.timeout_ms = timeout_ms, .done = done, .argument = argument};
    return ask_leave(group, &asked);
}

enum mortar_status mortar_group_leave(struct mortar_group *group, uint32_t timeout_ms)
{
    if (node_is_own_thread(group->node)) return MORTAR_E_WRONG_THREAD;
    struct waiter waiter;
    struct asked asked = waiter_begin(&waiter, timeout_ms);
    return waiter_end(&waiter, ask_leave(group, &asked), NULL);
}
