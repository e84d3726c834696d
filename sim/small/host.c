/* sim/small/host.c - see sim/small/host.h. */
#include "sim/small/host.h"

#include "raft/internal.h"
#include "sim/small/disk.h"
#include "sim/small/judge.h"
#include "sim/small/pack.h"

#include <stdlib.h>
#include <string.h>

/* All entries count alike, so that options in bytes are numbers of entries. */
#define ENTRY_BYTES 100u

/* Packing is checked this often, and always at the beginning. */
#define CHECK_EACH  997u
#define CHECK_FIRST 3000u

static void drive(struct host *host, const struct raft_event *event);

/* ---- The log view ---- */

static struct mortar_position view_last(void *context)
{
    const struct host *host = context;
    return large(small_log_last(&host->main));
}

static struct mortar_anchor_point view_base(void *context)
{
    (void)context;
    return (struct mortar_anchor_point){0};
}

static bool term_in(const struct small_log *log, uint64_t index, uint64_t *out_term)
{
    uint8_t term;
    if (index > UINT8_MAX || !small_log_term(log, (uint32_t)index, &term)) return false;
    *out_term = term;
    return true;
}

static bool view_term_at(void *context, uint64_t index, uint64_t *out_term)
{
    const struct host *host = context;
    return term_in(&host->main, index, out_term);
}

static bool view_sum_at(void *context, uint64_t index, struct mortar_log_sum *out_sum)
{
    uint64_t term;
    if (!view_term_at(context, index, &term)) return false;
    *out_sum = small_sum((struct mortar_position){.index = index, .term = term});
    return true;
}

static uint64_t view_cut(void *context, uint64_t first, uint64_t last, uint64_t bytes)
{
    (void)context;
    const uint64_t most = first + bytes / ENTRY_BYTES - 1;
    return bytes < ENTRY_BYTES ? first : raft_min(last, most);
}

static uint64_t view_bytes(void *context, uint64_t first, uint64_t last)
{
    (void)context;
    return first > last ? 0 : (last - first + 1) * ENTRY_BYTES;
}

static bool view_tail(void *context, struct mortar_anchor_point *out_base,
                      struct mortar_position *out_last)
{
    const struct small_log *tail = &((const struct host *)context)->tail;
    if (!tail->open) return false;
    out_base->position = large((struct small_position){tail->base_index, tail->base_term});
    out_base->sum = small_sum(out_base->position);
    *out_last = large(small_log_last(tail));
    return true;
}

static bool view_tail_term_at(void *context, uint64_t index, uint64_t *out_term)
{
    const struct host *host = context;
    return host->tail.open && term_in(&host->tail, index, out_term);
}

static struct raft_log_view view_of(struct host *host)
{
    return (struct raft_log_view){
        .context = host,
        .last = view_last,
        .base = view_base,
        .term_at = view_term_at,
        .sum_at = view_sum_at,
        .cut = view_cut,
        .bytes = view_bytes,
        .tail = view_tail,
        .tail_term_at = view_tail_term_at,
    };
}

/* ---- The disk ---- */

static struct small_op *submit(struct host *host, enum small_write kind)
{
    struct small_mind *mind = &host->step->mind;
    ASSERT(mind->queue_count < SMALL_QUEUE);
    struct small_op *op = &mind->queue[mind->queue_count++];
    memset(op, 0, sizeof *op);
    op->kind = (uint8_t)kind;
    return op;
}

/* Carried out in the view at once (raft.h, duty 3). */
static void submitted(struct host *host, const struct small_op *op)
{
    disk_apply(op, &host->main, &host->tail);
    host->step->facts.beyond |= host->main.count > host->set->log_max;
}

static void append_to(struct host *host, enum small_write kind, const uint16_t *entries,
                      uint32_t count)
{
    struct small_op *op = submit(host, kind);
    op->count = (uint8_t)count;
    memcpy(op->entries, entries, count * sizeof entries[0]);
    submitted(host, op);
    if (kind == SMALL_APPEND) op->value = small_log_last(&host->main).index;
}

/* As unstore() of group/log.c. */
static void truncate_main(struct host *host, uint8_t from)
{
    struct small_mind *mind = &host->step->mind;
    struct small_op *op = submit(host, SMALL_TRUNCATE);
    op->place.index = from;
    submitted(host, op);
    for (uint32_t i = 0; i < mind->queue_count; i++) {
        if (mind->queue[i].value >= from) mind->queue[i].value = (uint8_t)(from - 1);
    }
    if (mind->stored >= from) mind->stored = (uint8_t)(from - 1);
}

static bool saves_pending(const struct small_mind *mind)
{
    for (uint32_t i = 0; i < mind->queue_count; i++) {
        if (mind->queue[i].kind == SMALL_SAVE) return true;
    }
    return false;
}

/* ---- Sends ---- */

static void emit(struct host *host, uint32_t number)
{
    struct small_step *step = host->step;
    ASSERT(step->sent_count < SMALL_SENT);
    step->sent[step->sent_count++] = number;
}

/* Held behind saves, as push_frame() of group/outbox.c. They leave together, so that their order
 * says nothing: sorted, fewer replicas differ. */
static void send(struct host *host, const struct small_message *message)
{
    struct small_mind *mind = &host->step->mind;
    if (message->to == 0 || message->to == mind->self) return;
    const uint32_t number = pool_number(
        host->messages, (struct mortar_bytes){(const uint8_t *)message, sizeof *message}, NULL);
    if (!saves_pending(mind)) {
        emit(host, number);
        return;
    }
    ASSERT(mind->held_count < SMALL_HELD);
    uint32_t place = mind->held_count++;
    if (!host->set->in_order) {
        while (place > 0) {
            const uint32_t before = mind->held[place - 1][0] | (uint32_t)mind->held[place - 1][1]
                                                                   << 16;
            if (before <= number) break;
            memcpy(mind->held[place], mind->held[place - 1], sizeof mind->held[0]);
            place--;
        }
    }
    mind->held[place][0] = (uint16_t)number;
    mind->held[place][1] = (uint16_t)(number >> 16);
}

static void release_held(struct host *host)
{
    struct small_mind *mind = &host->step->mind;
    for (uint32_t i = 0; i < mind->held_count; i++)
        emit(host, mind->held[i][0] | (uint32_t)mind->held[i][1] << 16);
    memset(mind->held, 0, sizeof mind->held);
    mind->held_count = 0;
}

static void send_reply(struct host *host, const struct append_reply *reply,
                       struct small_message *message)
{
    message->reply.term = (uint8_t)reply->term;
    message->reply.outcome = (uint8_t)reply->outcome;
    message->reply.match = (uint8_t)reply->match_index;
    message->reply.last = small(reply->last);
    message->reply.hint = small(reply->hint);
    message->reply.first_missing = (uint8_t)reply->first_missing;
    message->reply.round = (uint8_t)reply->round;
    message->reply.sync_id = (uint8_t)reply->sync_id;
    message->reply.tail = (uint8_t)reply->tail_index;
    message->reply.commit = (uint8_t)reply->commit_index;
    message->reply.whole = reply->whole;
    judge_reply(&host->step->verdict, message, &host->main, &host->step->mind.disk,
                host->step->mind.session);
}

static void on_send(struct host *host, const struct raft_effect *effect)
{
    struct small_message message = {.from = host->step->mind.self,
                                    .to = small_number(&effect->send.to),
                                    .type = (uint8_t)effect->send.message};
    if (effect->send.message == MESSAGE_VOTE_REQUEST) {
        const struct vote_request *request = &effect->send.vote_request;
        message.ask.term = (uint8_t)request->term;
        message.ask.last = small(request->last);
        message.ask.pre = request->pre;
        message.ask.transfer = request->transfer;
        judge_request(&host->step->verdict, &message, &host->main);
    } else if (effect->send.message == MESSAGE_VOTE_REPLY) {
        message.vote.term = (uint8_t)effect->send.vote_reply.term;
        message.vote.pre = effect->send.vote_reply.pre;
        message.vote.granted = effect->send.vote_reply.granted;
    } else if (effect->send.message == MESSAGE_TIMEOUT_NOW) {
        message.term = (uint8_t)effect->send.timeout_now.term;
    } else {
        ASSERT(effect->send.message == MESSAGE_APPEND_REPLY);
        send_reply(host, &effect->send.append_reply, &message);
    }
    send(host, &message);
}

static void on_send_append(struct host *host, const struct raft_effect *effect)
{
    const struct append_request *append = &effect->send_append.append;
    struct small_message message = {.from = host->step->mind.self,
                                    .to = small_number(&effect->send_append.to),
                                    .type = MESSAGE_APPEND_REQUEST,
                                    .count = (uint8_t)append->count};
    message.append.term = (uint8_t)append->term;
    message.append.prev = small(append->prev);
    message.append.commit = (uint8_t)append->commit_index;
    message.append.round = (uint8_t)append->round;
    message.append.sync_id = (uint8_t)append->sync_id;
    message.append.tail_restart = append->tail_restart;
    message.append.quiet = append->quiet;
    message.append.tail_base = small(append->tail_base.position);
    if (append->count > 0) {
        ASSERT(effect->send_append.last <= host->main.count);
        memcpy(message.entries, &host->main.entries[effect->send_append.first - 1],
               append->count * sizeof message.entries[0]);
    }
    send(host, &message);
}

/* ---- Sessions (group/session.c) ---- */

static void session_open(struct host *host)
{
    if (host->step->mind.session) return;
    host->step->mind.session = 1;
    drive(host, &(struct raft_event){.type = RAFT_SYNC_BEGUN});
}

static void drop_tail(struct host *host)
{
    if (host->tail.open) submitted(host, submit(host, SMALL_TAIL_DROP));
}

static void session_end(struct host *host)
{
    host->step->mind.session = 0;
    drive(host, &(struct raft_event){.type = RAFT_SYNC_ENDED});
}

static void tell_config(struct host *host, uint8_t index, uint16_t entry)
{
    if (small_entry_kind(entry) != MORTAR_ENTRY_CONFIG) return;
    drive(host, &(struct raft_event){
                    .type = RAFT_SYNC_CONFIG,
                    .config = {.index = index,
                               .config = &host->configs->items[small_entry_config(entry)]}});
}

static void session_entry(struct host *host, uint16_t entry)
{
    append_to(host, SMALL_APPEND, &entry, 1);
    drive(host, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    tell_config(host, host->main.count, entry);
}

static void session_cut(struct host *host, uint8_t from)
{
    truncate_main(host, from);
    drive(host, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    drive(host, &(struct raft_event){.type = RAFT_STORED, .index = host->step->mind.stored});
}

/* Only asked for where the log reaches the base of the tail. */
static void session_done(struct host *host)
{
    const struct small_position last = small_log_last(&host->main);
    if (last.index != host->tail.base_index || last.term != host->tail.base_term) {
        drop_tail(host);
        session_end(host);
        return;
    }
    const struct small_log tail = host->tail;
    struct small_op *op = submit(host, SMALL_TAIL_ADOPT);
    submitted(host, op);
    op->value = host->main.count;
    drive(host, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    for (uint8_t i = 0; i < tail.count; i++)
        tell_config(host, (uint8_t)(tail.base_index + i + 1), tail.entries[i]);
    session_end(host);
}

/* ---- Effects (group/drive.c) ---- */

static void append_own(struct host *host, const struct raft_effect *effect)
{
    const uint8_t config = effect->append_own.kind == MORTAR_ENTRY_CONFIG
                               ? configs_number(host->configs, effect->append_own.config)
                               : 0;
    const uint16_t entry =
        SMALL_ENTRY(effect->append_own.position.term, effect->append_own.kind, config);
    for (uint32_t i = 0; i < effect->append_own.count; i++)
        append_to(host, SMALL_APPEND, &entry, 1);
}

static void append_foreign(struct host *host, const struct raft_effect *effect,
                           enum small_write kind)
{
    const uint64_t skipped =
        effect->append_foreign.first.index - host->message->append.prev.index - 1;
    ASSERT(skipped + effect->append_foreign.count <= host->message->count);
    append_to(host, kind, &host->message->entries[skipped], effect->append_foreign.count);
}

static void on_role(struct host *host, const struct raft_effect *effect)
{
    host->leads = effect->role.role == MORTAR_LEADER;
    if (!host->leads) return;
    host->step->facts.led_term = (uint8_t)effect->role.term;
    if (!host->step->mind.session) return;
    drop_tail(host);
    session_end(host);
}

static void save_vote(struct host *host, const struct raft_effect *effect)
{
    const struct raft *raft = host->rafts[host->step->mind.self];
    struct small_op *op = submit(host, SMALL_SAVE);
    op->saved.term = (uint8_t)effect->save_vote.term;
    op->saved.vote = small_number(&effect->save_vote.voted_for);
    op->saved.voting = small(raft_voting_position(raft));
    op->saved.commit.index = (uint8_t)raft_commit_index(raft);
    (void)small_log_term(&host->main, op->saved.commit.index, &op->saved.commit.term);
    host->step->facts.beyond |= effect->save_vote.term > host->set->term_max;
}

static void tail_open(struct host *host, const struct mortar_anchor_point *anchor)
{
    drop_tail(host);
    struct small_op *op = submit(host, SMALL_TAIL_OPEN);
    op->place = small(anchor->position);
    submitted(host, op);
}

static void tail_truncate(struct host *host, uint64_t from)
{
    struct small_op *op = submit(host, SMALL_TAIL_TRUNCATE);
    op->place.index = (uint8_t)from;
    submitted(host, op);
}

static void note_commit(struct host *host, uint8_t index)
{
    struct small_facts *facts = &host->step->facts;
    facts->commit_before = facts->commit;
    facts->commit_before_log = facts->commit_log;
    facts->commit = index;
    facts->commit_led = host->leads;
    facts->commit_log = host->main.count;
}

static void carry_out(struct host *host, const struct raft_effect *effect)
{
    switch (effect->type) {
    case RAFT_SAVE_VOTE:
        save_vote(host, effect);
        return;
    case RAFT_TRUNCATE:
        truncate_main(host, (uint8_t)effect->index);
        return;
    case RAFT_APPEND_OWN:
        append_own(host, effect);
        return;
    case RAFT_APPEND_FOREIGN:
        append_foreign(host, effect, SMALL_APPEND);
        return;
    case RAFT_SEND:
        on_send(host, effect);
        return;
    case RAFT_SEND_APPEND:
        on_send_append(host, effect);
        return;
    case RAFT_COMMIT:
        note_commit(host, (uint8_t)effect->position.index);
        return;
    case RAFT_ROLE:
        on_role(host, effect);
        return;
    case RAFT_READ_CONFIRMED:
        host->step->facts.confirmed = (uint8_t)effect->round;
        return;
    case RAFT_SYNC_OPEN:
        session_open(host);
        return;
    case RAFT_TAIL_OPEN:
        tail_open(host, &effect->anchor);
        return;
    case RAFT_TAIL_APPEND:
        append_foreign(host, effect, SMALL_TAIL_APPEND);
        return;
    case RAFT_TAIL_TRUNCATE:
        tail_truncate(host, effect->index);
        return;
    case RAFT_CONFIG:
    case RAFT_REMOVED:
    case RAFT_TRANSFER_ENDED: /* Nobody asks for one. */
        return;
    }
}

static void drive(struct host *host, const struct raft_event *event)
{
    ASSERT(host->depth < HOST_DEPTH);
    struct raft_effects *effects = &host->effects[host->depth++];
    struct raft *raft = host->rafts[host->step->mind.self];
    do {
        effects->count = 0;
        (void)raft_step(raft, event, effects); /* A refused proposal changes nothing. */
        for (uint32_t i = 0; i < effects->count; i++)
            carry_out(host, &effects->items[i]);
    } while (event->type == RAFT_FLUSH && effects->count > 0);
    host->depth--;
}

/* ---- Events ---- */

static void disk_completes(struct host *host)
{
    struct small_mind *mind = &host->step->mind;
    const struct small_op op = mind->queue[0];
    ASSERT(mind->queue_count > 0);
    mind->queue_count--;
    memmove(&mind->queue[0], &mind->queue[1], mind->queue_count * sizeof op);
    memset(&mind->queue[mind->queue_count], 0, sizeof op);
    disk_apply(&op, &mind->disk, &mind->disk_tail);
    if (op.kind == SMALL_SAVE) {
        mind->saved = op.saved;
        if (!saves_pending(mind)) release_held(host);
        drive(host, &(struct raft_event){.type = RAFT_VOTE_STORED, .term = op.saved.term});
    } else if (op.value > mind->stored) {
        mind->stored = op.value;
        drive(host, &(struct raft_event){.type = RAFT_STORED, .index = op.value});
    }
}

/* The records of an append, as raft decodes them. */
static struct mortar_bytes records_of(const struct host *host, const struct small_message *message,
                                      struct writer *out)
{
    for (uint32_t i = 0; i < message->count; i++) {
        uint8_t payload[512];
        struct writer bytes = writer_over(payload, sizeof payload);
        const uint16_t entry = message->entries[i];
        if (small_entry_kind(entry) == MORTAR_ENTRY_CONFIG) {
            config_encode(&host->configs->items[small_entry_config(entry)], &bytes);
        }
        ASSERT(!bytes.failed);
        record_encode(
            &(struct mortar_entry){.index = message->append.prev.index + i + 1u,
                                   .term = small_entry_term(entry),
                                   .kind = (enum mortar_entry_kind)small_entry_kind(entry),
                                   .bytes = {payload, bytes.bytes}},
            out);
    }
    ASSERT(!out->failed);
    return (struct mortar_bytes){out->data, out->bytes};
}

static void receive_append(struct host *host, const struct small_message *message)
{
    uint8_t records[SMALL_LOG * 600];
    struct writer out = writer_over(records, sizeof records);
    struct raft_event event = {
        .type = RAFT_RECEIVE, .from = small_id(message->from), .message = MESSAGE_APPEND_REQUEST};
    struct append_request *append = &event.append_request;
    *append = (struct append_request){
        .term = message->append.term,
        .prev = large(message->append.prev),
        .commit_index = message->append.commit,
        .round = message->append.round,
        .sync_id = message->append.sync_id,
        .tail_restart = message->append.tail_restart,
        .quiet = message->append.quiet,
        .tail_base = {.position = large(message->append.tail_base)},
        .count = message->count,
    };
    append->tail_base.sum = small_sum(append->tail_base.position);
    if (message->count > 0) append->entries = records_of(host, message, &out);
    host->message = message;
    drive(host, &event);
    host->message = NULL;
}

static void receive(struct host *host, uint32_t number)
{
    struct small_message message;
    memcpy(&message, pool_bytes(host->messages, number).data, sizeof message);
    struct raft_event event = {.type = RAFT_RECEIVE,
                               .from = small_id(message.from),
                               .message = (enum message_type)message.type};
    if (message.type == MESSAGE_APPEND_REQUEST) {
        receive_append(host, &message);
        return;
    }
    if (message.type == MESSAGE_VOTE_REQUEST) {
        event.vote_request = (struct vote_request){.term = message.ask.term,
                                                   .last = large(message.ask.last),
                                                   .pre = message.ask.pre,
                                                   .transfer = message.ask.transfer};
    } else if (message.type == MESSAGE_VOTE_REPLY) {
        event.vote_reply = (struct vote_reply){
            .term = message.vote.term, .pre = message.vote.pre, .granted = message.vote.granted};
    } else if (message.type == MESSAGE_TIMEOUT_NOW) {
        event.timeout_now.term = message.term;
    } else {
        event.append_reply =
            (struct append_reply){.term = message.reply.term,
                                  .outcome = (enum append_outcome)message.reply.outcome,
                                  .match_index = message.reply.match,
                                  .last = large(message.reply.last),
                                  .hint = large(message.reply.hint),
                                  .first_missing = message.reply.first_missing,
                                  .round = message.reply.round,
                                  .sync_id = message.reply.sync_id,
                                  .tail_index = message.reply.tail,
                                  .commit_index = message.reply.commit,
                                  .whole = message.reply.whole};
    }
    drive(host, &event);
}

/* Time passes up to one tick before what is to happen, then that tick comes. */
static void time_passes(struct host *host, enum small_event kind)
{
    struct raft *raft = host->rafts[host->step->mind.self];
    if (kind == SMALL_ON_TIMEOUT) raft->election_elapsed = raft->election_timeout - 1;
    if (kind == SMALL_ON_HEARTBEAT) raft->heartbeat_elapsed = raft->options.heartbeat_ticks - 1;
    if (kind == SMALL_ON_QUORUM_LOST) {
        for (uint32_t i = 0; i < raft->member_count; i++)
            raft->members[i].silent_ticks = 2 * SMALL_TICKS;
    }
    drive(host, &(struct raft_event){.type = RAFT_TICK});
}

static void change(struct host *host, uint32_t argument)
{
    const struct config_change changes = {.kind = (enum config_change_kind)(argument >> 8),
                                          .member = small_id((uint8_t)(argument & 255))};
    drive(host,
          &(struct raft_event){.type = RAFT_CHANGE, .change = {.changes = &changes, .count = 1}});
}

static void read_begins(struct host *host)
{
    uint64_t round;
    uint64_t index;
    if (raft_read_begin(host->rafts[host->step->mind.self], &round, &index) != MORTAR_OK) return;
    host->step->facts.round = (uint8_t)round;
    host->step->facts.read_index = (uint8_t)index;
}

/* ---- Start and restart ---- */

static void *reserve(void *context, size_t bytes)
{
    (void)context;
    return small_grow(NULL, 1, bytes);
}

static void *resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return small_grow(block, 1, new_bytes);
}

static void release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

static struct raft_options options_of(const struct small_set *set, uint8_t member)
{
    return (struct raft_options){
        .self = small_id(member),
        .election_ticks_min = SMALL_TICKS,
        .heartbeat_ticks = 2,
        .reluctant_factor = 1,
        .append_bytes = SMALL_LOG * ENTRY_BYTES,
        .window_bytes = SMALL_LOG * ENTRY_BYTES,
        .resend_bytes = (uint64_t)set->resend_entries * ENTRY_BYTES,
        .tail_window_bytes = SMALL_LOG * ENTRY_BYTES,
        .uncommitted_bytes_max = SMALL_LOG * ENTRY_BYTES,
        .target_voters = set->target_voters,
    };
}

/* As restore_hard_state() and restore_begin() of group/restore.c, and what reading the log through
 * then tells of configurations. Until that is done a replica neither hears nor speaks, so that all
 * of it may be one step. */
static void start(struct host *host, struct small_mind *mind)
{
    host->main = mind->disk;
    host->tail = mind->disk_tail;
    uint8_t term;
    struct raft_restored restored = {.term = mind->saved.term,
                                     .voted_for = small_id(mind->saved.vote),
                                     .voting = large(mind->saved.voting)};
    if (small_log_term(&mind->disk, mind->saved.commit.index, &term) &&
        term == mind->saved.commit.term) {
        restored.commit_index = mind->saved.commit.index;
    }
    const struct raft_options options = options_of(host->set, mind->self);
    const struct raft_log_view view = view_of(host);
    const struct mortar_allocator allocator = {reserve, resize, release, NULL};
    raft_close(host->rafts[mind->self]);
    const enum mortar_status status =
        raft_open(&allocator, &options, &view, &restored, &host->rafts[mind->self]);
    ASSERT(status == MORTAR_OK);
    drop_tail(host);
    mind->stored = host->main.count;
    for (uint8_t i = 0; i < host->main.count; i++)
        tell_config(host, (uint8_t)(i + 1), host->main.entries[i]);
}

/* The first writes under way survive; the rest, memory and session are gone. */
static void crash(struct host *host, uint32_t survivors)
{
    const struct small_mind before = host->step->mind;
    struct small_mind *mind = &host->step->mind;
    memset(mind, 0, sizeof *mind);
    mind->self = before.self;
    mind->saved = before.saved;
    mind->disk = before.disk;
    mind->disk_tail = before.disk_tail;
    for (uint32_t i = 0; i < survivors; i++) {
        disk_apply(&before.queue[i], &mind->disk, &mind->disk_tail);
        if (before.queue[i].kind == SMALL_SAVE) mind->saved = before.queue[i].saved;
    }
    start(host, mind);
}

static void happen(struct host *host, uint32_t event)
{
    const uint32_t argument = SMALL_EVENT_ARGUMENT(event);
    switch (SMALL_EVENT_KIND(event)) {
    case SMALL_ON_MESSAGE:
        receive(host, argument);
        return;
    case SMALL_ON_TIMEOUT:
    case SMALL_ON_HEARTBEAT:
    case SMALL_ON_QUORUM_LOST:
        time_passes(host, SMALL_EVENT_KIND(event));
        return;
    case SMALL_ON_DISK:
        disk_completes(host);
        return;
    case SMALL_ON_CRASH:
        crash(host, argument);
        return;
    case SMALL_ON_PROPOSE:
        drive(host,
              &(struct raft_event){
                  .type = RAFT_PROPOSE,
                  .propose = {.kind = MORTAR_ENTRY_COMMAND, .count = 1, .bytes = ENTRY_BYTES}});
        return;
    case SMALL_ON_CHANGE:
        change(host, argument);
        return;
    case SMALL_ON_READ:
        read_begins(host);
        return;
    case SMALL_ON_SESSION_ENTRY:
        session_entry(host, (uint16_t)argument);
        return;
    case SMALL_ON_SESSION_CUT:
        session_cut(host, (uint8_t)argument);
        return;
    case SMALL_ON_SESSION_COMMITTED:
        drive(host, &(struct raft_event){.type = RAFT_SYNC_COMMITTED, .index = argument});
        return;
    case SMALL_ON_SESSION_DONE:
        session_done(host);
        return;
    case SMALL_ON_SESSION_FAILED:
        drop_tail(host);
        session_end(host);
        return;
    }
}

/* ---- A step ---- */

static void finish(struct host *host, const struct small_mind *before)
{
    struct small_step *step = host->step;
    struct raft *raft = host->rafts[step->mind.self];
    drive(host, &(struct raft_event){.type = RAFT_FLUSH});
    while (!host->set->disk_waits && step->mind.queue_count > 0) {
        disk_completes(host);
        drive(host, &(struct raft_event){.type = RAFT_FLUSH});
    }
    raft_check(raft);
    if (host->steps++ < CHECK_FIRST || host->steps % CHECK_EACH == 0)
        pack_check(raft, host->configs);
    memset(&step->mind.self, 0, offsetof(struct small_mind, stored));
    pack_raft(raft, host->configs, &step->mind);
    const struct small_facts *facts = &step->facts;
    step->facts.idle = step->sent_count == 0 && facts->round == 0 && facts->confirmed == 0 &&
                       memcmp(before, &step->mind, sizeof *before) == 0;
    judge_replica(&step->verdict, &step->mind, &host->main, host->configs);
}

void host_step(struct host *host, const struct small_mind *before, uint32_t event,
               struct small_step *out_step)
{
    memset(out_step, 0, sizeof *out_step);
    out_step->mind = *before;
    host->step = out_step;
    host->depth = 0;
    host->leads = before->role == MORTAR_LEADER;
    disk_logs(before, &host->main, &host->tail);
    unpack_raft(before, host->configs, host->rafts[before->self]);
    happen(host, event);
    finish(host, before);
}

void host_found(struct host *host, uint8_t member, struct small_step *out_step)
{
    struct config config = {.count = SMALL_MEMBERS};
    for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
        config.members[i - 1].id = small_id(i);
        config.members[i - 1].voter_new = i <= host->set->voters;
    }
    memset(out_step, 0, sizeof *out_step);
    struct small_mind *mind = &out_step->mind;
    mind->self = member;
    mind->saved = (struct small_hard_state){.term = 1, .voting = {1, 1}, .commit = {1, 1}};
    mind->disk.count = 1;
    mind->disk.entries[0] =
        SMALL_ENTRY(1, MORTAR_ENTRY_CONFIG, configs_number(host->configs, &config));
    host->step = out_step;
    start(host, mind);
    const struct small_mind before = *mind;
    finish(host, &before);
}

void host_init(struct host *host, const struct small_set *set, struct configs *configs,
               struct pool *messages)
{
    memset(host, 0, sizeof *host);
    host->set = set;
    host->configs = configs;
    host->messages = messages;
}

void host_deinit(struct host *host)
{
    for (uint32_t i = 0; i <= SMALL_MEMBERS; i++)
        raft_close(host->rafts[i]);
}
