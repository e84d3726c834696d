/* group/client_requests.c - requests of client sessions (thesis 6.3, C1).
 *
 * The sessions remember what was applied, so such a request may be proposed or sent again until
 * there is a word on it: that makes a change of leader invisible to its caller. Only when its
 * session has ended meanwhile is there none.
 */
#include "base/assert.h"
#include "group/internal.h"

#include <string.h>

static bool is_of_client(const struct request *request)
{
    return request->kind == MORTAR_REQUEST_CLIENT;
}

static struct mortar_bytes only_item(struct mortar_bytes items)
{
    struct reader in = reader_over(items);
    const uint32_t bytes = get_u32(&in);
    return get_bytes(&in, bytes);
}

bool client_item_is_sound(enum mortar_entry_kind kind, struct mortar_bytes items)
{
    struct client_entry entry;
    struct client_command command;
    const struct mortar_bytes item = only_item(items);
    if (kind == MORTAR_ENTRY_CLIENT) return client_entry_decode(item, &entry) == MORTAR_OK;
    return client_command_decode(item, &command) == MORTAR_OK;
}

/* To open twice is to open two, so that is not sent again. */
bool client_request_goes_on(const struct request *request)
{
    struct client_entry entry;
    if (!is_of_client(request)) return false;
    if (request->entry_kind == MORTAR_ENTRY_CLIENT_COMMAND) return true;
    const struct mortar_bytes items = {mortar_buffer_data(request->items),
                                       mortar_buffer_bytes(request->items)};
    const enum mortar_status status = client_entry_decode(only_item(items), &entry);
    ASSERT(status == MORTAR_OK); /* Looked at when the request came in. */
    return entry.verb != CLIENT_OPEN;
}

/* ---- What became of it ---- */

/* What the sessions keep of the command; false: nothing. */
static bool find_reply(const struct mortar_core *core, const struct request *request,
                       const struct client_session **out_session,
                       const struct client_reply **out_reply)
{
    struct client_command command;
    const struct mortar_bytes items = {mortar_buffer_data(request->items),
                                       mortar_buffer_bytes(request->items)};
    if (request->entry_kind != MORTAR_ENTRY_CLIENT_COMMAND) return false;
    const enum mortar_status status = client_command_decode(only_item(items), &command);
    ASSERT(status == MORTAR_OK);
    *out_session = client_table_find(core->clients, command.session);
    if (*out_session == NULL) return false;
    *out_reply = client_reply_find(*out_session, command.sequence);
    return *out_reply != NULL;
}

static bool take_reply(struct mortar_core *core, struct request *request, struct mortar_bytes reply)
{
    request->replies = mortar_buffer_new(&core->allocator, 4u + reply.bytes);
    if (request->replies == NULL) return false;
    struct writer out = writer_over(mortar_buffer_data(request->replies), 4u + reply.bytes);
    put_u32(&out, (uint32_t)reply.bytes);
    put_bytes(&out, reply);
    ASSERT(!out.failed);
    mortar_buffer_set_bytes(request->replies, out.bytes);
    request->replies_count = 1;
    return true;
}

/* The position is that of the entry that was applied, maybe an earlier one. */
static void finish_from_sessions(struct mortar_core *core, struct request *request)
{
    const struct client_session *session;
    const struct client_reply *reply;
    const bool kept = find_reply(core, request, &session, &reply) &&
                      reply->state == CLIENT_REPLY_KEPT &&
                      take_reply(core, request, client_reply_bytes(session, reply));
    if (kept) request->first = request->last = reply->position;
    request_finish(core, request, kept ? MORTAR_OK : MORTAR_UNKNOWN);
}

/* Where it was sent before, an earlier try may have been applied, and its session have ended. */
enum mortar_status client_request_refusal(const struct request *request, enum mortar_status status)
{
    const bool again = is_of_client(request) && status != MORTAR_OK && request->sends > 1;
    return again && !BUG(EXPIRED_IS_NEVER) ? MORTAR_UNKNOWN : status;
}

void client_request_settle(struct mortar_core *core, struct request *request,
                           struct mortar_bytes reply, bool lost)
{
    struct reader in = reader_over(reply);
    const uint32_t head = lost ? 0 : get_u32(&in);
    if (!lost && head >= REPLY_STATUS) {
        const enum mortar_status status = (enum mortar_status)(head & ~REPLY_STATUS);
        request_finish(core, request, client_request_refusal(request, status));
        return;
    }
    if (request->entry_kind == MORTAR_ENTRY_CLIENT) {
        request_finish(core, request, lost ? MORTAR_UNKNOWN : MORTAR_OK);
        return;
    }
    const bool repeated = !lost && (head & REPLY_REPEATED) != 0;
    if (repeated) request->first = request->last = get_position(&in);
    if (lost || !take_reply(core, request, get_bytes(&in, head & ~REPLY_REPEATED))) {
        MARK(CLIENT_REPLY_FOUND_AGAIN);
        finish_from_sessions(core, request);
        return;
    }
    request_finish(core, request, MORTAR_OK);
}

bool client_request_installed(struct mortar_core *core, struct request *request)
{
    const struct client_session *session;
    const struct client_reply *reply;
    if (!is_of_client(request) || !find_reply(core, request, &session, &reply)) return false;
    finish_from_sessions(core, request);
    return true;
}

/* ---- From the host ---- */

static enum mortar_status submit(struct mortar_core *core, uint64_t id, enum mortar_entry_kind kind,
                                 struct mortar_bytes item, uint32_t timeout_ms)
{
    const struct request request = {.id = id,
                                    .kind = MORTAR_REQUEST_CLIENT,
                                    .entry_kind = kind,
                                    .deadline_ms = core->now_ms + timeout_ms,
                                    .count = 1};
    return requests_add(core, &request, item);
}

static enum mortar_status submit_entry(struct mortar_core *core, uint64_t id,
                                       const struct client_entry *entry, uint32_t timeout_ms)
{
    uint8_t item[4 + CLIENT_ENTRY_BYTES];
    struct writer out = writer_over(item, sizeof item);
    put_u32(&out, CLIENT_ENTRY_BYTES);
    client_entry_encode(entry, &out);
    ASSERT(!out.failed);
    return submit(core, id, MORTAR_ENTRY_CLIENT, (struct mortar_bytes){item, out.bytes},
                  timeout_ms);
}

enum mortar_status mortar_core_session_open(struct mortar_core *core, uint64_t id, uint64_t ttl_ms,
                                            uint32_t timeout_ms)
{
    if (ttl_ms < CLIENT_TTL_MS_MIN || ttl_ms > CLIENT_TTL_MS_MAX) return MORTAR_E_INVALID;
    return submit_entry(core, id, &(struct client_entry){.verb = CLIENT_OPEN, .ttl_ms = ttl_ms},
                        timeout_ms);
}

enum mortar_status mortar_core_session_keep(struct mortar_core *core, uint64_t id, uint64_t session,
                                            uint32_t timeout_ms)
{
    if (session == 0) return MORTAR_E_INVALID;
    return submit_entry(core, id, &(struct client_entry){.verb = CLIENT_KEEP, .session = session},
                        timeout_ms);
}

enum mortar_status mortar_core_session_close(struct mortar_core *core, uint64_t id,
                                             uint64_t session, uint32_t timeout_ms)
{
    if (session == 0) return MORTAR_E_INVALID;
    return submit_entry(core, id, &(struct client_entry){.verb = CLIENT_CLOSE, .session = session},
                        timeout_ms);
}

enum mortar_status mortar_core_session_execute(struct mortar_core *core, uint64_t id,
                                               const struct mortar_session_command *command,
                                               uint32_t timeout_ms)
{
    if (command->session == 0 || command->sequence == 0 || command->acked >= command->sequence) {
        return MORTAR_E_INVALID;
    }
    if (command->bytes.bytes > core->options.command_bytes_max) return MORTAR_E_TOO_LARGE;
    const size_t bytes = 4u + CLIENT_COMMAND_BYTES + command->bytes.bytes;
    uint8_t *item = core_reserve(core, bytes);
    if (item == NULL) return MORTAR_E_NO_MEMORY;
    struct writer out = writer_over(item, bytes);
    put_u32(&out, (uint32_t)(bytes - 4u));
    client_command_encode(&(struct client_command){.session = command->session,
                                                   .sequence = command->sequence,
                                                   .acked = command->acked,
                                                   .command = command->bytes},
                          &out);
    ASSERT(!out.failed);
    const enum mortar_status status = submit(core, id, MORTAR_ENTRY_CLIENT_COMMAND,
                                             (struct mortar_bytes){item, bytes}, timeout_ms);
    core_release(core, item, bytes);
    return status;
}
