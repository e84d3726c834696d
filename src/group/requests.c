/* group/requests.c - who waits for what, and what they are told (C1).
 *
 * A request moves QUEUED -> PROPOSED (we lead) or FORWARDED (another leads). One that stands in the
 * log is answered by what is *committed* at its position: its own entry, success; another term's,
 * it can never happen any more. When its entries are cut from our log it is in LIMBO: a later
 * leader may still hold them, so only the entry committed there tells, or the timeout (UNKNOWN).
 */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/fields.h"

#include <string.h>

#define CHANGES_MAX MORTAR_MEMBERS_MAX

/* Replies of one request; one of the largest size fits, and an answer fits one message. */
#define REPLIES_BYTES_MAX (MORTAR_COMMAND_BYTES_LIMIT + 4u)
/* Bytes of one membership change: kind 1, member 48, other 48, address length 2, address. */
#define CHANGE_BYTES_MAX (1u + 48u + 48u + 2u + MORTAR_ADDRESS_BYTES_MAX)
/* Pause before asking a leader again that said it is none: by then we know better, or it leads. */
#define ROUTE_RETRY_MS 50u

/* ---- Lists ---- */

/* Inserts before `next`; NULL: at the end. */
static void list_insert(struct request_list *list, struct request *request, struct request *next)
{
    struct request *previous = next == NULL ? list->tail : next->previous;
    request->next = next;
    request->previous = previous;
    *(previous == NULL ? &list->head : &previous->next) = request;
    *(next == NULL ? &list->tail : &next->previous) = request;
    list->count++;
}

static void list_remove(struct request_list *list, struct request *request)
{
    ASSERT(list->count > 0);
    *(request->previous == NULL ? &list->head : &request->previous->next) = request->next;
    *(request->next == NULL ? &list->tail : &request->next->previous) = request->previous;
    request->next = NULL;
    request->previous = NULL;
    list->count--;
}

static struct request_list *list_of(struct mortar_core *core, const struct request *request)
{
    if (request->state == REQUEST_FORWARDED) return &core->forwarded;
    if (request->kind == MORTAR_REQUEST_CHANGE) return &core->changes;
    if (request->kind == MORTAR_REQUEST_TRANSFER) return &core->transfers;
    switch (request->state) {
    case REQUEST_QUEUED:
        return &core->queued;
    case REQUEST_PROPOSED:
        return &core->proposed;
    case REQUEST_LIMBO:
        return &core->limbo;
    case REQUEST_FORWARDED:
        break;
    }
    return &core->forwarded;
}

static struct request **bucket_of(struct mortar_core *core, uint64_t forward_id)
{
    return &core->forward_buckets[forward_id % FORWARD_BUCKETS];
}

static void bucket_remove(struct mortar_core *core, struct request *request)
{
    struct request **place = bucket_of(core, request->forward_id);
    while (*place != request) {
        ASSERT(*place != NULL);
        place = &(*place)->next_in_bucket;
    }
    *place = request->next_in_bucket;
    request->next_in_bucket = NULL;
}

static void request_detach(struct mortar_core *core, struct request *request)
{
    list_remove(list_of(core, request), request);
    if (request->state == REQUEST_FORWARDED) bucket_remove(core, request);
}

/* What goes back to the queue takes its old place in the order of arrival. What falls into limbo
 * comes newest first, so that the list rises like the one it came from. */
void request_move(struct mortar_core *core, struct request *request, enum request_state state)
{
    request_detach(core, request);
    request->state = state;
    struct request_list *list = list_of(core, request);
    struct request *next = NULL;
    if (state == REQUEST_LIMBO) next = list->head;
    if (state == REQUEST_QUEUED) {
        struct request *last = list->tail;
        while (last != NULL && last->serial > request->serial) {
            next = last;
            last = last->previous;
        }
    }
    list_insert(list, request, next);
    if (state != REQUEST_FORWARDED) return;
    struct request **bucket = bucket_of(core, request->forward_id);
    request->next_in_bucket = *bucket;
    *bucket = request;
}

/* ---- The end of a request ---- */

static void answer_member(struct mortar_core *core, struct request *request,
                          enum mortar_status status)
{
    struct forward_reply reply = {.id = request->forward_id, .status = status};
    if (status == MORTAR_OK) {
        reply.first = request->first;
        reply.last = request->last;
        if (request->replies != NULL) {
            reply.count = request->replies_count;
            reply.items = (struct mortar_bytes){mortar_buffer_data(request->replies),
                                                mortar_buffer_bytes(request->replies)};
        }
    }
    outbox_send(core, &request->asker, MESSAGE_FORWARD_REPLY, &reply);
}

static void answer_caller(struct mortar_core *core, struct request *request,
                          enum mortar_status status)
{
    struct mortar_effect effect = {.type = MORTAR_EFFECT_DONE,
                                   .done = {.id = request->id, .result = {.status = status}}};
    struct mortar_result *result = &effect.done.result;
    if (status == MORTAR_OK) {
        result->first = request->first;
        result->last = request->last;
        result->count = request->replies_count;
        result->replies = request->replies;
        request->replies = NULL;
    }
    core_push_effect(core, &effect);
}

void request_finish(struct mortar_core *core, struct request *request, enum mortar_status status)
{
    request_detach(core, request);
    const bool silent = core->stopped || core->failure != MORTAR_OK;
    if (!request->remote && request->entry_kind != MORTAR_ENTRY_MARKER) {
        answer_caller(core, request, status); /* A marker has no caller. */
    } else if (request->remote && !silent) {
        answer_member(core, request, status);
    }
    mortar_buffer_release(request->items);
    mortar_buffer_release(request->replies);
    core_release(core, request, sizeof *request);
    core->requests_count--;
}

/* ---- Arrival ---- */

static bool items_add_up(struct mortar_bytes items, uint32_t count, uint32_t item_bytes_max,
                         enum mortar_status *out_status)
{
    struct reader in = reader_over(items);
    for (uint32_t i = 0; i < count && !in.failed; i++) {
        const uint32_t bytes = get_u32(&in);
        if (bytes > item_bytes_max) {
            *out_status = MORTAR_E_TOO_LARGE;
            return false;
        }
        (void)get_bytes(&in, bytes);
    }
    *out_status = MORTAR_E_INVALID;
    return reader_done(&in);
}

/* The option bounds the user's commands alone. */
static uint32_t item_bytes_max(const struct mortar_core *core, const struct request *like)
{
    if (like->kind == MORTAR_REQUEST_CHANGE) return CHANGE_BYTES_MAX;
    if (like->kind == MORTAR_REQUEST_TRANSFER) return MEMBER_ID_BYTES;
    if (like->entry_kind == MORTAR_ENTRY_MARKER) return MARKER_BYTES_MAX;
    if (like->entry_kind == MORTAR_ENTRY_CLIENT) return CLIENT_ENTRY_BYTES;
    if (like->entry_kind == MORTAR_ENTRY_CLIENT_COMMAND) {
        return core->options.command_bytes_max + CLIENT_COMMAND_BYTES;
    }
    return core->options.command_bytes_max;
}

static enum mortar_status check_request(const struct mortar_core *core, const struct request *like,
                                        struct mortar_bytes items)
{
    if (core->stopped) return MORTAR_E_CLOSED;
    if (core->failure != MORTAR_OK) return MORTAR_E_FAILED;
    if (core->removed) return MORTAR_E_REMOVED;
    if (core->requests_count >= core->options.requests_max) return MORTAR_E_BUSY;
    uint32_t count_max = FORWARD_COUNT_MAX;
    if (like->kind == MORTAR_REQUEST_CHANGE) count_max = CHANGES_MAX;
    if (like->kind == MORTAR_REQUEST_CLIENT || like->kind == MORTAR_REQUEST_TRANSFER) {
        count_max = 1;
    }
    if (like->count == 0 || like->count > count_max) return MORTAR_E_INVALID;
    if (items.bytes > MORTAR_COMMAND_BYTES_LIMIT + 4u) return MORTAR_E_TOO_LARGE;
    enum mortar_status status = MORTAR_OK;
    if (!items_add_up(items, like->count, item_bytes_max(core, like), &status)) return status;
    if (like->kind != MORTAR_REQUEST_CLIENT) return MORTAR_OK;
    return client_item_is_sound(like->entry_kind, items) ? MORTAR_OK : MORTAR_E_INVALID;
}

enum mortar_status requests_add(struct mortar_core *core, const struct request *like,
                                struct mortar_bytes items)
{
    const enum mortar_status status = check_request(core, like, items);
    if (status == MORTAR_E_BUSY) core->counters.requests_busy++;
    if (status != MORTAR_OK) return status;
    if (!core_reserve_effects(core, 1)) return MORTAR_E_NO_MEMORY; /* For its DONE. */
    struct mortar_buffer *copy = mortar_buffer_new(&core->allocator, items.bytes);
    struct request *request = core_reserve(core, sizeof *request);
    if (copy == NULL || request == NULL) {
        mortar_buffer_release(copy);
        core_release(core, request, sizeof *request);
        return MORTAR_E_NO_MEMORY;
    }
    memcpy(mortar_buffer_data(copy), items.data, items.bytes);
    mortar_buffer_set_bytes(copy, items.bytes);
    *request = *like;
    request->items = copy;
    request->state = REQUEST_QUEUED;
    request->serial = core->next_serial++;
    list_insert(list_of(core, request), request, NULL);
    core->requests_count++;
    return MORTAR_OK;
}

enum mortar_status mortar_core_submit(struct mortar_core *core, uint64_t id,
                                      enum mortar_request_kind kind, struct mortar_bytes items,
                                      uint32_t count, uint32_t timeout_ms)
{
    if (kind == MORTAR_REQUEST_CLIENT) return MORTAR_E_INVALID;
    const struct request request = {.id = id,
                                    .kind = kind,
                                    .entry_kind = MORTAR_ENTRY_COMMAND,
                                    .deadline_ms = core->now_ms + timeout_ms,
                                    .count = count};
    return requests_add(core, &request, items);
}

enum mortar_status requests_add_marker(struct mortar_core *core, struct mortar_bytes marker)
{
    uint8_t item[4 + MARKER_BYTES_MAX];
    struct writer out = writer_over(item, sizeof item);
    put_u32(&out, (uint32_t)marker.bytes);
    put_bytes(&out, marker);
    if (out.failed) return MORTAR_E_TOO_LARGE;
    const struct request request = {.kind = MORTAR_REQUEST_FEED,
                                    .entry_kind = MORTAR_ENTRY_MARKER,
                                    .deadline_ms = core->now_ms + 1000,
                                    .count = 1};
    return requests_add(core, &request, (struct mortar_bytes){item, out.bytes});
}

static enum config_change_kind wire_change_kind(enum mortar_change_kind kind)
{
    switch (kind) {
    case MORTAR_ADD_LEARNER:
        return CONFIG_ADD_LEARNER;
    case MORTAR_ADD_OBSERVER:
        return CONFIG_ADD_OBSERVER;
    case MORTAR_PROMOTE:
        return CONFIG_PROMOTE;
    case MORTAR_DEMOTE:
        return CONFIG_DEMOTE;
    case MORTAR_REMOVE:
        return CONFIG_REMOVE;
    case MORTAR_CHANGE_ADDRESS:
        return CONFIG_ADDRESS;
    case MORTAR_REPLACE:
        return CONFIG_REPLACE;
    }
    ASSERT_NEVER("checked by the caller");
    return CONFIG_ADDRESS;
}

static bool change_is_sound(const struct mortar_change *change)
{
    if (change->kind < MORTAR_ADD_LEARNER || change->kind > MORTAR_REPLACE) return false;
    if (mortar_member_id_is_none(&change->member)) return false;
    if (change->kind == MORTAR_REPLACE) {
        if (mortar_member_id_is_none(&change->replaced)) return false;
        if (mortar_member_id_equal(&change->replaced, &change->member)) return false;
    }
    return change->address == NULL || strlen(change->address) <= MORTAR_ADDRESS_BYTES_MAX;
}

enum mortar_status mortar_core_change(struct mortar_core *core, uint64_t id,
                                      const struct mortar_change *changes, uint32_t count,
                                      uint32_t timeout_ms)
{
    uint8_t items[CHANGES_MAX * (4u + CHANGE_BYTES_MAX)];
    if (count == 0 || count > CHANGES_MAX) return MORTAR_E_INVALID;
    struct writer out = writer_over(items, sizeof items);
    for (uint32_t i = 0; i < count; i++) {
        if (!change_is_sound(&changes[i])) return MORTAR_E_INVALID;
        struct config_change change = {.kind = wire_change_kind(changes[i].kind),
                                       .member = changes[i].member};
        if (changes[i].kind == MORTAR_REPLACE) change.other = changes[i].replaced;
        if (changes[i].address != NULL) {
            memcpy(change.address, changes[i].address, strlen(changes[i].address) + 1);
        }
        const size_t place = out.bytes;
        put_u32(&out, 0);
        config_change_encode(&change, &out);
        ASSERT(!out.failed);
        struct writer length = writer_over(items + place, 4);
        put_u32(&length, (uint32_t)(out.bytes - place - 4));
    }
    const struct request request = {.id = id,
                                    .kind = MORTAR_REQUEST_CHANGE,
                                    .entry_kind = MORTAR_ENTRY_COMMAND,
                                    .deadline_ms = core->now_ms + timeout_ms,
                                    .count = count};
    return requests_add(core, &request, (struct mortar_bytes){items, out.bytes});
}

/* ---- Forwarding ---- */

static enum forward_kind forward_kind_of(const struct request *request)
{
    switch (request->kind) {
    case MORTAR_REQUEST_EXECUTE:
        return FORWARD_EXECUTE;
    case MORTAR_REQUEST_FEED:
        return FORWARD_FEED;
    case MORTAR_REQUEST_CHANGE:
        return FORWARD_CHANGE;
    case MORTAR_REQUEST_CLIENT:
        return request->entry_kind == MORTAR_ENTRY_CLIENT ? FORWARD_CLIENT : FORWARD_CLIENT_COMMAND;
    case MORTAR_REQUEST_TRANSFER:
        return FORWARD_TRANSFER;
    }
    ASSERT_NEVER("checked at arrival");
    return FORWARD_EXECUTE;
}

static void forward(struct mortar_core *core, struct request *request,
                    const struct mortar_member_id *leader)
{
    const uint64_t left =
        request->deadline_ms > core->now_ms ? request->deadline_ms - core->now_ms : 0;
    const struct forward_request message = {
        .id = core->next_forward_id++,
        .kind = forward_kind_of(request),
        .timeout_ms = left > UINT32_MAX ? UINT32_MAX : (uint32_t)left,
        .count = request->count,
        .items = {mortar_buffer_data(request->items), mortar_buffer_bytes(request->items)},
    };
    MARK(FORWARDED);
    request->sends++;
    request->forward_id = message.id;
    request->forwarded_to = *leader;
    request_move(core, request, REQUEST_FORWARDED);
    outbox_send(core, leader, MESSAGE_FORWARD_REQUEST, &message);
}

static void route_list(struct mortar_core *core, struct request_list *list,
                       const struct mortar_member_id *leader, bool reachable)
{
    struct request *next;
    for (struct request *request = list->head; request != NULL; request = next) {
        next = request->next;
        if (request->state != REQUEST_QUEUED) continue;
        if (request->remote || request->entry_kind == MORTAR_ENTRY_MARKER) {
            /* One of a client session that was proposed may stand in another's log. */
            const bool proposed = request->sends > 0;
            MARK(SENT_BACK);
            request_finish(core, request, proposed ? MORTAR_E_LOST : MORTAR_E_NOT_LEADER);
        } else if (core->removed) {
            /* As those that come from now on, unless it was sent before. */
            request_finish(core, request, request->sends > 0 ? MORTAR_UNKNOWN : MORTAR_E_REMOVED);
        } else if (reachable) {
            forward(core, request, leader);
        }
    }
}

/* Sends what waits here to the leader, when another leads. What others forwarded to us is sent
 * back: they know better where to ask. */
void requests_route(struct mortar_core *core)
{
    if (raft_role(core->raft) == MORTAR_LEADER) return;
    const struct mortar_member_id leader = raft_leader(core->raft);
    const struct peer *peer = peer_find(core, &leader);
    const bool reachable =
        peer != NULL && peer->up[MORTAR_LANE_CONTROL] && core->route_retry_ms <= core->now_ms;
    route_list(core, &core->queued, &leader, reachable);
    route_list(core, &core->changes, &leader, reachable);
    route_list(core, &core->transfers, &leader, reachable);
}

static enum mortar_request_kind request_kind_of(enum forward_kind kind)
{
    switch (kind) {
    case FORWARD_EXECUTE:
        return MORTAR_REQUEST_EXECUTE;
    case FORWARD_FEED:
        return MORTAR_REQUEST_FEED;
    case FORWARD_CHANGE:
        return MORTAR_REQUEST_CHANGE;
    case FORWARD_CLIENT:
    case FORWARD_CLIENT_COMMAND:
        return MORTAR_REQUEST_CLIENT;
    case FORWARD_TRANSFER:
        return MORTAR_REQUEST_TRANSFER;
    }
    ASSERT_NEVER("checked by the decoder");
    return MORTAR_REQUEST_EXECUTE;
}

static enum mortar_entry_kind entry_kind_of(enum forward_kind kind)
{
    if (kind == FORWARD_CLIENT) return MORTAR_ENTRY_CLIENT;
    if (kind == FORWARD_CLIENT_COMMAND) return MORTAR_ENTRY_CLIENT_COMMAND;
    return MORTAR_ENTRY_COMMAND;
}

/* True when the request with this number came from that member before, or may have come: a network
 * that doubles a frame must not double a command (C1). Numbers of one member rise. */
static bool is_forwarded_again(struct peer *peer, uint64_t number)
{
    if (number > peer->forward_top) {
        const uint64_t rise = number - peer->forward_top;
        peer->forward_window = rise < 64 ? peer->forward_window << rise : 0;
        peer->forward_window |= 1;
        peer->forward_top = number;
        return false;
    }
    const uint64_t age = peer->forward_top - number;
    if (age >= 64 || (peer->forward_window >> age & 1) != 0) {
        MARK(FORWARD_TWICE);
        return true;
    }
    peer->forward_window |= (uint64_t)1 << age;
    return false;
}

void requests_on_forward(struct mortar_core *core, const struct mortar_member_id *from,
                         const struct forward_request *message)
{
    struct peer *peer = peer_find(core, from);
    if (peer == NULL) return;
    if (is_forwarded_again(peer, message->id) && !BUG(FORWARDED_TWICE)) return;
    const struct request request = {.remote = true,
                                    .asker = *from,
                                    .forward_id = message->id,
                                    .kind = request_kind_of(message->kind),
                                    .entry_kind = entry_kind_of(message->kind),
                                    .deadline_ms = core->now_ms + message->timeout_ms,
                                    .count = message->count};
    enum mortar_status status = MORTAR_E_NOT_LEADER;
    if (raft_role(core->raft) == MORTAR_LEADER) {
        status = requests_add(core, &request, message->items);
    }
    if (status == MORTAR_OK) return;
    const struct forward_reply reply = {.id = message->id, .status = status};
    outbox_send(core, from, MESSAGE_FORWARD_REPLY, &reply);
}

static bool take_replies(struct mortar_core *core, struct request *request,
                         const struct forward_reply *message)
{
    if (message->count == 0) return true;
    request->replies = mortar_buffer_new(&core->allocator, message->items.bytes);
    if (request->replies == NULL) return false;
    memcpy(mortar_buffer_data(request->replies), message->items.data, message->items.bytes);
    mortar_buffer_set_bytes(request->replies, message->items.bytes);
    request->replies_count = message->count;
    return true;
}

static struct request *find_forwarded(struct mortar_core *core, uint64_t forward_id)
{
    struct request *request = *bucket_of(core, forward_id);
    while (request != NULL && request->forward_id != forward_id)
        request = request->next_in_bucket;
    return request;
}

void requests_on_reply(struct mortar_core *core, const struct mortar_member_id *from,
                       const struct forward_reply *message)
{
    struct request *request = find_forwarded(core, message->id);
    if (request == NULL || !mortar_member_id_equal(from, &request->forwarded_to)) return;
    const bool lost = message->status == MORTAR_E_LOST && client_request_goes_on(request);
    if (message->status == MORTAR_E_NOT_LEADER || lost) {
        MARK(FORWARD_REFUSED);
        /* It was not proposed, or does no harm twice, so it may be sent again: a moment later, or
         * to the next leader. */
        core->route_retry_ms = core->now_ms + ROUTE_RETRY_MS;
        if (!lost) request->sends--;
        request_move(core, request, REQUEST_QUEUED);
        return;
    }
    enum mortar_status status = client_request_refusal(request, message->status);
    const bool answers = request->kind == MORTAR_REQUEST_EXECUTE ||
                         request->entry_kind == MORTAR_ENTRY_CLIENT_COMMAND;
    const uint32_t replies = answers ? request->count : 0;
    if (status == MORTAR_OK) {
        request->first = message->first;
        request->last = message->last;
        if (message->count != replies || !take_replies(core, request, message)) {
            status = MORTAR_UNKNOWN; /* It happened, but the replies are lost. */
        }
    }
    request_finish(core, request, status);
}

/* What was sent to a leader that is gone may or may not have happened (C1). That it is gone may be
 * all that a transfer was about: who follows it will tell. */
void requests_on_leader_lost(struct mortar_core *core)
{
    core->route_retry_ms = 0;
    while (core->forwarded.head != NULL) {
        struct request *request = core->forwarded.head;
        if (client_request_goes_on(request)) {
            MARK(CLIENT_SENT_AGAIN);
            request_move(core, request, REQUEST_QUEUED);
            continue;
        }
        if (request->kind == MORTAR_REQUEST_TRANSFER) {
            MARK(FORWARDED_TRANSFER_WAITS);
            request_move(core, request, REQUEST_PROPOSED);
            continue;
        }
        MARK(FORWARD_UNKNOWN);
        request_finish(core, request, BUG(UNKNOWN_IS_LOST) ? MORTAR_E_LOST : MORTAR_UNKNOWN);
    }
}

/* ---- Truncation, application ---- */

void requests_on_truncate(struct mortar_core *core, uint64_t from)
{
    struct request *request = core->proposed.tail;
    while (request != NULL && request->last.index >= from) {
        struct request *previous = request->previous;
        const bool goes_on = client_request_goes_on(request);
        if (goes_on) MARK(CLIENT_CUT_GOES_ON);
        if (!goes_on) MARK(LIMBO);
        request_move(core, request, goes_on ? REQUEST_QUEUED : REQUEST_LIMBO);
        request = previous;
    }
    for (request = core->changes.head; request != NULL; request = request->next) {
        if (request->state != REQUEST_PROPOSED || request->last.index < from) continue;
        MARK(CHANGE_LIMBO);
        request->state = REQUEST_LIMBO; /* The same list. */
    }
}

bool requests_wait_for_replies(const struct mortar_core *core)
{
    return core->proposed.head != NULL || core->limbo.head != NULL;
}

/* Appends the replies of `count` commands to the request's own. */
static void gather_replies(struct mortar_core *core, struct request *request,
                           struct mortar_bytes replies, uint32_t count)
{
    if (request->replies_lost) return;
    const size_t before = request->replies == NULL ? 0 : mortar_buffer_bytes(request->replies);
    struct mortar_buffer *grown = NULL;
    if (replies.bytes <= REPLIES_BYTES_MAX - before) {
        grown = mortar_buffer_new(&core->allocator, before + replies.bytes);
    }
    if (grown == NULL) {
        request->replies_lost = true;
        return;
    }
    if (before > 0) {
        memcpy(mortar_buffer_data(grown), mortar_buffer_data(request->replies), before);
    }
    memcpy(mortar_buffer_data(grown) + before, replies.data, replies.bytes);
    mortar_buffer_set_bytes(grown, before + replies.bytes);
    mortar_buffer_release(request->replies);
    request->replies = grown;
    request->replies_count += count;
}

/* Finds the replies of a work by walking them in step with the requests, both in the order of
 * their entries: once for a list that rises. */
struct reply_walk {
    struct mortar_bytes replies;
    uint64_t first; /* Index of the entry whose reply is the first. */
    uint64_t index; /* Of the entry whose reply stands at offset. */
    size_t offset;
};

static size_t walk_to(struct reply_walk *walk, uint64_t index)
{
    if (index < walk->index) {
        walk->index = walk->first;
        walk->offset = 0;
    }
    while (walk->index < index) {
        struct reader in = reader_over((struct mortar_bytes){walk->replies.data + walk->offset,
                                                             walk->replies.bytes - walk->offset});
        const uint32_t bytes = reply_rest(get_u32(&in));
        (void)get_bytes(&in, bytes);
        ASSERT(!in.failed); /* Every entry applied left one. */
        walk->offset += 4u + (size_t)bytes;
        walk->index++;
    }
    return walk->offset;
}

/* The request's entries that the work applied: its own term means its own commands. */
static void settle_request(struct mortar_core *core, struct request *request,
                           const struct mortar_work *work, struct reply_walk *walk)
{
    const uint64_t applied = work->apply.outcome.applied;
    const uint64_t first = request->first.index > walk->first ? request->first.index : walk->first;
    uint64_t term = 0;
    if (first > applied || request->last.index < first) return;
    if (!log_term_at(core, first, &term)) {
        request_finish(core, request, MORTAR_UNKNOWN); /* Nobody can tell any more. */
        return;
    }
    if (term != request->first.term && !BUG(REPLY_OF_ANOTHER)) {
        /* Another entry is committed there. If an earlier one of ours was applied the batch
         * happened in part, and no definite word is true of all of it. */
        if (client_request_goes_on(request)) {
            request_move(core, request, REQUEST_QUEUED);
            return;
        }
        if (!request->touched) MARK(LIMBO_LOST);
        request_finish(core, request, request->touched ? MORTAR_UNKNOWN : MORTAR_E_LOST);
        return;
    }
    if (request->kind == MORTAR_REQUEST_CLIENT) {
        const bool lost = work->apply.replies_lost;
        struct mortar_bytes reply = {0};
        if (!lost) {
            const size_t begin = walk_to(walk, first);
            const size_t end = walk_to(walk, first + 1);
            reply = (struct mortar_bytes){walk->replies.data + begin, end - begin};
        }
        client_request_settle(core, request, reply, lost);
        return;
    }
    request->touched = true;
    const uint64_t last = request->last.index < applied ? request->last.index : applied;
    /* Terms never fall along a log, so the last of ours speaks for all before it. */
    const bool whole = log_term_at(core, last, &term) && term == request->first.term;
    if (!whole && !BUG(REPLY_OF_ANOTHER)) {
        MARK(LIMBO_HAPPENED_IN_PART);
        request_finish(core, request, MORTAR_UNKNOWN);
        return;
    }
    if (work->apply.replies_lost) {
        request->replies_lost = true;
    } else {
        const size_t begin = walk_to(walk, first);
        const size_t end = walk_to(walk, last + 1);
        gather_replies(core, request,
                       (struct mortar_bytes){walk->replies.data + begin, end - begin},
                       (uint32_t)(last - first + 1));
    }
    if (last < request->last.index) {
        MARK(SETTLED_IN_PART);
        return;
    }
    if (request->state == REQUEST_LIMBO) MARK(LIMBO_HAPPENED);
    request_finish(core, request, request->replies_lost ? MORTAR_UNKNOWN : MORTAR_OK);
}

void requests_on_applied(struct mortar_core *core, const struct mortar_work *work)
{
    if (!work->apply.collect) return;
    const uint64_t first = work->apply.run.first;
    struct reply_walk walk = {.replies = {work->apply.replies, work->apply.replies_bytes},
                              .first = first,
                              .index = first};
    struct request *next;
    for (struct request *request = core->proposed.head; request != NULL; request = next) {
        next = request->next;
        if (request->first.index > work->apply.outcome.applied) break;
        settle_request(core, request, work, &walk);
    }
    for (struct request *request = core->limbo.head; request != NULL; request = next) {
        next = request->next;
        settle_request(core, request, work, &walk);
    }
}

/* State was installed past them: their replies were never made here (C1). */
void requests_on_installed(struct mortar_core *core, uint64_t index)
{
    struct request_list *lists[3] = {&core->proposed, &core->limbo, &core->changes};
    for (uint32_t i = 0; i < 3; i++) {
        struct request *next;
        for (struct request *request = lists[i]->head; request != NULL; request = next) {
            next = request->next;
            if (request->state == REQUEST_QUEUED || request->first.index > index) continue;
            if (client_request_installed(core, request)) continue;
            request_finish(core, request, MORTAR_UNKNOWN);
        }
    }
}

/* Membership changes are complete when their entry is committed and the joint phase is over. */
void requests_on_committed(struct mortar_core *core)
{
    struct request *next;
    for (struct request *request = core->changes.head; request != NULL; request = next) {
        next = request->next;
        uint64_t term;
        if (request->state == REQUEST_QUEUED) continue;
        if (request->first.index > core->committed.index) continue;
        if (!log_term_at(core, request->first.index, &term)) continue;
        if (term != request->first.term) {
            request_finish(core, request, MORTAR_E_LOST);
        } else if (!raft_committed_config(core->raft)->joint) {
            request_finish(core, request, MORTAR_OK);
        }
    }
}

/* ---- Time and the end ---- */

/* A request that was not proposed, nor sent, ends with a definite word. */
static void expire_list(struct mortar_core *core, struct request_list *list)
{
    const bool leader_known = !mortar_member_id_is_none(&core->last_leader);
    struct request *next;
    for (struct request *request = list->head; request != NULL; request = next) {
        next = request->next;
        if (request->deadline_ms > core->now_ms) continue;
        enum mortar_status status = leader_known ? MORTAR_E_TIMEOUT : MORTAR_E_NO_LEADER;
        const bool sent = request->state != REQUEST_QUEUED || request->sends > 0;
        if (sent && !BUG(UNKNOWN_IS_TIMEOUT)) status = MORTAR_UNKNOWN;
        if (!sent) MARK(EXPIRED_QUEUED);
        request_finish(core, request, status);
    }
}

#define REQUEST_LISTS 6u

static void all_lists(struct mortar_core *core, struct request_list *out_lists[REQUEST_LISTS])
{
    out_lists[0] = &core->queued;
    out_lists[1] = &core->forwarded;
    out_lists[2] = &core->proposed;
    out_lists[3] = &core->limbo;
    out_lists[4] = &core->changes;
    out_lists[5] = &core->transfers;
}

void requests_expire(struct mortar_core *core)
{
    struct request_list *lists[REQUEST_LISTS];
    all_lists(core, lists);
    for (uint32_t i = 0; i < REQUEST_LISTS; i++)
        expire_list(core, lists[i]);
}

void requests_end_all(struct mortar_core *core, enum mortar_status status)
{
    struct request_list *lists[REQUEST_LISTS];
    all_lists(core, lists);
    for (uint32_t i = 0; i < REQUEST_LISTS; i++) {
        while (lists[i]->head != NULL)
            request_finish(core, lists[i]->head, status);
    }
}

static bool cancel_in(struct mortar_core *core, struct request_list *list, uint64_t id)
{
    for (struct request *request = list->head; request != NULL; request = request->next) {
        if (request->remote || request->id != id) continue;
        if (request->entry_kind == MORTAR_ENTRY_MARKER) continue;
        const bool sent = request->state != REQUEST_QUEUED || request->sends > 0;
        if (sent) MARK(CANCELLED_UNKNOWN);
        request_finish(core, request, sent ? MORTAR_UNKNOWN : MORTAR_E_CANCELLED);
        return true;
    }
    return false;
}

void mortar_core_cancel(struct mortar_core *core, uint64_t id)
{
    struct request_list *lists[REQUEST_LISTS];
    all_lists(core, lists);
    for (uint32_t i = 0; i < REQUEST_LISTS; i++) {
        if (cancel_in(core, lists[i], id)) return;
    }
    reads_cancel(core, id);
}
