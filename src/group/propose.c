/* group/propose.c - commands become entries: what waits is proposed together (group commit). */
#include "base/assert.h"
#include "base/hash.h"
#include "group/internal.h"
#include "wire/record.h"

/* Requests proposed in one go: bounds the run that is built, not what may wait. */
#define PROPOSE_BYTES_MAX (4u * 1024u * 1024u)

/* The leader's clock, monotone, at most time_gap_ms ahead of the entry before it (design 5.1). The
 * founding entry alone takes the clock as it is. */
uint64_t propose_clock(const struct mortar_core *core)
{
    const uint64_t before = core->log_time_ms;
    if (core->wall_ms <= before) {
        MARK(CLOCK_BEHIND);
        return before;
    }
    if (core->wall_ms - before > core->options.time_gap_ms) {
        MARK(CLOCK_CAPPED);
        return before + core->options.time_gap_ms;
    }
    return core->wall_ms;
}

static struct mortar_log_sum last_sum(const struct mortar_core *core)
{
    struct mortar_log_sum sum = {0};
    const bool known = log_sum_at(core, log_last(core).index, &sum);
    ASSERT(known);
    return sum;
}

/* ---- Entries of raft itself ---- */

void propose_own(struct mortar_core *core, enum mortar_entry_kind kind,
                 struct mortar_position position, const struct config *config)
{
    uint8_t payload[CONFIG_ENCODED_BYTES_MAX];
    struct writer out = writer_over(payload, sizeof payload);
    if (kind == MORTAR_ENTRY_CONFIG) config_encode(config, &out);
    ASSERT(!out.failed);
    struct mortar_entry entry = {.index = position.index,
                                 .term = position.term,
                                 .time_ms = propose_clock(core),
                                 .kind = kind,
                                 .bytes = {payload, out.bytes}};
    entry.sum = log_sum_next(last_sum(core), &entry);
    core->log_time_ms = entry.time_ms;
    if (!log_append_entry(core, &entry)) core_fail(core, MORTAR_E_NO_MEMORY);
}

/* An idle leader moves the log time before the gap to the clock exceeds its bound. */
void propose_time(struct mortar_core *core)
{
    if (raft_role(core->raft) != MORTAR_LEADER) return;
    if (core->wall_ms <= core->log_time_ms) return;
    if (core->wall_ms - core->log_time_ms < core->options.time_gap_ms / 2) return;
    const struct raft_event event = {
        .type = RAFT_PROPOSE,
        .propose = {.kind = MORTAR_ENTRY_TIME, .count = 1, .bytes = RECORD_HEADER_BYTES}};
    MARK(TIME_ENTRY);
    (void)drive(core, &event); /* Refused: the next tick asks again. */
}

/* ---- Requests ---- */

static uint64_t run_bytes_of(const struct request *request)
{
    const uint64_t items = mortar_buffer_bytes(request->items);
    return items - 4u * (uint64_t)request->count + (uint64_t)RECORD_HEADER_BYTES * request->count;
}

/* Writes the request's commands as records; *sum and *index move along. */
static void encode_request(const struct request *request, uint64_t term, uint64_t time_ms,
                           uint64_t *index, struct mortar_log_sum *sum, struct writer *out)
{
    struct reader items = reader_over((struct mortar_bytes){mortar_buffer_data(request->items),
                                                            mortar_buffer_bytes(request->items)});
    for (uint32_t i = 0; i < request->count; i++) {
        const uint32_t bytes = get_u32(&items);
        struct mortar_entry entry = {.index = *index,
                                     .term = term,
                                     .time_ms = time_ms,
                                     .kind = request->entry_kind,
                                     .bytes = get_bytes(&items, bytes)};
        ASSERT(!items.failed); /* Validated when the request came in. */
        entry.sum = log_sum_next(*sum, &entry);
        record_encode(&entry, out);
        *sum = entry.sum;
        (*index)++;
    }
}

/* The proposed requests, from the head of the queue, are now entries from `position` on. */
void propose_requests(struct mortar_core *core, struct mortar_position position, uint32_t count)
{
    struct mortar_buffer *records = core->proposal_records;
    const size_t bytes = mortar_buffer_capacity(records);
    const uint64_t time_ms = propose_clock(core);
    struct mortar_log_sum sum = last_sum(core);
    struct writer out = writer_over(mortar_buffer_data(records), bytes);
    uint64_t index = position.index;
    for (uint32_t i = 0; i < core->proposal_count; i++) {
        struct request *next = core->queued.head;
        next->first = (struct mortar_position){index, position.term};
        encode_request(next, position.term, time_ms, &index, &sum, &out);
        next->last = (struct mortar_position){index - 1, position.term};
        next->sends++;
        request_move(core, next, REQUEST_PROPOSED);
    }
    ASSERT(index == position.index + count);
    ASSERT(out.bytes == bytes);
    core->log_time_ms = time_ms;
    mortar_buffer_set_bytes(records, bytes);
    const struct mortar_log_run run = {
        .buffer = records, .bytes = bytes, .first = position.index, .count = count};
    log_append(core, MORTAR_LOG_MAIN, &run);
}

/* Feeds are answered once they have positions; walks back from the newest. */
static void finish_feeds(struct mortar_core *core, uint32_t count)
{
    struct request *request = core->proposed.tail;
    for (uint32_t i = 0; i < count && request != NULL; i++) {
        struct request *previous = request->previous;
        if (request->kind == MORTAR_REQUEST_FEED) {
            MARK(FEED_ANSWERED);
            request_finish(core, request, MORTAR_OK);
        }
        request = previous;
    }
}

/* Proposes the commands at the head of the queue; false when raft wants no more now, or memory is
 * short: they stay queued. */
static bool propose_commands(struct mortar_core *core)
{
    const struct request *first = core->queued.head;
    struct raft_event event = {.type = RAFT_PROPOSE, .propose = {.kind = first->entry_kind}};
    uint32_t requests = 0;
    for (const struct request *next = first; next != NULL && next->entry_kind == first->entry_kind;
         next = next->next) {
        const uint64_t bytes = run_bytes_of(next);
        if (requests > 0 && event.propose.bytes + bytes > PROPOSE_BYTES_MAX) break;
        event.propose.count += next->count;
        event.propose.bytes += bytes;
        requests++;
    }
    core->proposal_records = mortar_buffer_new(&core->allocator, (size_t)event.propose.bytes);
    if (core->proposal_records == NULL) return false;
    core->proposal_count = requests;
    const enum mortar_status status = drive(core, &event);
    if (status == MORTAR_OK && core->failure == MORTAR_OK) finish_feeds(core, requests);
    if (status != MORTAR_OK) MARK(PROPOSAL_WAITS);
    core->proposal_count = 0;
    mortar_buffer_release(core->proposal_records);
    core->proposal_records = NULL;
    return status == MORTAR_OK && core->failure == MORTAR_OK;
}

/* ---- Membership changes ---- */

static enum mortar_status decode_changes(const struct request *request,
                                         struct config_change *changes)
{
    struct reader items = reader_over((struct mortar_bytes){mortar_buffer_data(request->items),
                                                            mortar_buffer_bytes(request->items)});
    for (uint32_t i = 0; i < request->count; i++) {
        const uint32_t bytes = get_u32(&items);
        struct reader item = reader_over(get_bytes(&items, bytes));
        const enum mortar_status status = config_change_decode(&item, &changes[i]);
        if (status != MORTAR_OK) return status;
        if (!reader_done(&item)) return MORTAR_E_CORRUPT;
    }
    return MORTAR_OK;
}

/* False when it, and all behind it, must wait: another is in progress. Any other refusal answers
 * it. */
static bool propose_change(struct mortar_core *core, struct request *request)
{
    struct config_change changes[MORTAR_MEMBERS_MAX];
    enum mortar_status status = decode_changes(request, changes);
    if (status == MORTAR_OK) {
        status = drive(
            core, &(struct raft_event){.type = RAFT_CHANGE,
                                       .change = {.changes = changes, .count = request->count}});
    }
    if (core->failure != MORTAR_OK) return false;
    if (status == MORTAR_E_CHANGING || status == MORTAR_E_BUSY || status == MORTAR_E_NOT_LEADER) {
        MARK(CHANGE_WAITS);
        return false;
    }
    if (status != MORTAR_OK) {
        MARK(CHANGE_REFUSED);
        request_finish(core, request, status);
        return true;
    }
    request->first = log_last(core);
    request->last = request->first;
    request_move(core, request, REQUEST_PROPOSED);
    return true;
}

static void propose_changes(struct mortar_core *core)
{
    struct request *next;
    for (struct request *request = core->changes.head; request != NULL; request = next) {
        next = request->next;
        if (request->state == REQUEST_QUEUED && !propose_change(core, request)) return;
    }
}

/* ---- Transfers of leadership ---- */

/* True: it is answered, or under way. */
static bool begin_transfer(struct mortar_core *core, struct request *request)
{
    struct mortar_member_id target;
    if (!request_target(request, &target)) {
        request_finish(core, request, MORTAR_E_CORRUPT);
        return true;
    }
    if (mortar_member_id_equal(&target, &core->options.self)) {
        MARK(TRANSFER_TO_THE_LEADER);
        request_finish(core, request, MORTAR_OK);
        return true;
    }
    const enum mortar_status status =
        drive(core, &(struct raft_event){.type = RAFT_TRANSFER, .from = target});
    if (core->failure != MORTAR_OK) return false;
    if (status != MORTAR_OK) {
        MARK(TRANSFER_REFUSED);
        request_finish(core, request, status);
        return true;
    }
    request->forwarded_to = core->options.self;
    request_move(core, request, REQUEST_PROPOSED);
    return true;
}

static void begin_transfers(struct mortar_core *core)
{
    struct request *next;
    for (struct request *request = core->transfers.head; request != NULL; request = next) {
        next = request->next;
        if (request->state == REQUEST_QUEUED && !begin_transfer(core, request)) return;
    }
}

/* Commands do not wait for membership changes: those may take as long as a new member needs. */
void propose_queued(struct mortar_core *core)
{
    if (raft_role(core->raft) != MORTAR_LEADER) return;
    begin_transfers(core);
    propose_changes(core);
    while (core->queued.head != NULL && core->failure == MORTAR_OK) {
        if (!propose_commands(core)) return;
    }
}
