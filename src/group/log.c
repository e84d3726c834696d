/* group/log.c - the storage as the replica uses it: tokens, completions, and raft's view. */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/found.h"
#include "wire/record.h"

/* ---- Questions ---- */

struct mortar_position log_last(const struct mortar_core *core)
{
    struct mortar_position last = {0};
    const bool held = core->storage.ops->last(core->storage.self, MORTAR_LOG_MAIN, &last);
    ASSERT(held);
    return last;
}

struct mortar_anchor_point log_base(const struct mortar_core *core)
{
    struct mortar_anchor_point base = {0};
    const bool held = core->storage.ops->base(core->storage.self, MORTAR_LOG_MAIN, &base);
    ASSERT(held);
    return base;
}

bool log_term_at(const struct mortar_core *core, uint64_t index, uint64_t *out_term)
{
    return core->storage.ops->term_at(core->storage.self, MORTAR_LOG_MAIN, index, out_term);
}

bool log_sum_at(const struct mortar_core *core, uint64_t index, struct mortar_log_sum *out_sum)
{
    return core->storage.ops->sum_at(core->storage.self, MORTAR_LOG_MAIN, index, out_sum);
}

bool log_tail(const struct mortar_core *core, struct mortar_anchor_point *out_base,
              struct mortar_position *out_last)
{
    struct mortar_anchor_point base;
    struct mortar_position last;
    if (!core->storage.ops->base(core->storage.self, MORTAR_LOG_TAIL, &base)) return false;
    if (!core->storage.ops->last(core->storage.self, MORTAR_LOG_TAIL, &last)) return false;
    *out_base = base;
    *out_last = last;
    return true;
}

static struct mortar_position view_last(void *context)
{
    return log_last(context);
}

static struct mortar_anchor_point view_base(void *context)
{
    return log_base(context);
}

static bool view_term_at(void *context, uint64_t index, uint64_t *out_term)
{
    return log_term_at(context, index, out_term);
}

static bool view_sum_at(void *context, uint64_t index, struct mortar_log_sum *out_sum)
{
    return log_sum_at(context, index, out_sum);
}

static uint64_t view_cut(void *context, uint64_t first, uint64_t last, uint64_t bytes)
{
    const struct mortar_core *core = context;
    return core->storage.ops->cut(core->storage.self, MORTAR_LOG_MAIN, first, last, bytes);
}

static uint64_t view_bytes(void *context, uint64_t first, uint64_t last)
{
    const struct mortar_core *core = context;
    if (first > last) return 0;
    return core->storage.ops->bytes(core->storage.self, MORTAR_LOG_MAIN, first, last);
}

static bool view_tail(void *context, struct mortar_anchor_point *out_base,
                      struct mortar_position *out_last)
{
    return log_tail(context, out_base, out_last);
}

static bool view_tail_term_at(void *context, uint64_t index, uint64_t *out_term)
{
    const struct mortar_core *core = context;
    return core->storage.ops->term_at(core->storage.self, MORTAR_LOG_TAIL, index, out_term);
}

/* What the budget of the tail range still allows (idea 4). */
static uint64_t view_tail_room(void *context)
{
    const struct mortar_core *core = context;
    struct mortar_anchor_point base;
    struct mortar_position last;
    if (!log_tail(core, &base, &last)) return core->options.tail_bytes_max;
    if (last.index == base.position.index) return core->options.tail_bytes_max;
    const uint64_t held = core->storage.ops->bytes(core->storage.self, MORTAR_LOG_TAIL,
                                                   base.position.index + 1, last.index);
    if (BUG(TAIL_UNBOUNDED)) return UINT64_MAX;
    return held >= core->options.tail_bytes_max ? 0 : core->options.tail_bytes_max - held;
}

void log_view_of(struct mortar_core *core, struct raft_log_view *out_view)
{
    *out_view = (struct raft_log_view){
        .context = core,
        .last = view_last,
        .base = view_base,
        .term_at = view_term_at,
        .sum_at = view_sum_at,
        .cut = view_cut,
        .bytes = view_bytes,
        .tail = view_tail,
        .tail_term_at = view_tail_term_at,
        .tail_room = view_tail_room,
    };
}

bool log_configs_are_sound(struct mortar_bytes records)
{
    struct reader in = reader_over(records);
    struct mortar_entry entry;
    while (in.bytes > 0 && record_decode(&in, &entry) == MORTAR_OK) {
        struct config config;
        struct found found;
        const bool founds = entry.kind == MORTAR_ENTRY_FOUND;
        if (entry.kind == MORTAR_ENTRY_CONFIG && config_decode(entry.bytes, &config) != MORTAR_OK) {
            return false;
        }
        if (founds && (entry.index != 1 || found_decode(entry.bytes, &found) != MORTAR_OK)) {
            return false;
        }
    }
    return true;
}

/* ---- Submissions ---- */

/* A place for the completion, found before the storage is asked: then nothing can be lost. */
static bool expect(struct mortar_core *core)
{
    if (core->failure != MORTAR_OK) return false;
    if (ring_reserve(&core->pending, 1)) return true;
    core_fail(core, MORTAR_E_NO_MEMORY);
    return false;
}

static void submitted(struct mortar_core *core, enum mortar_status status, enum pending_kind kind,
                      uint64_t value)
{
    if (status != MORTAR_OK) {
        core_fail(core, status);
        return;
    }
    const struct pending pending = {.token = core->next_token++, .kind = kind, .value = value};
    const bool kept = ring_push(&core->pending, &pending);
    ASSERT(kept);
}

void log_append(struct mortar_core *core, enum mortar_log_range range,
                const struct mortar_log_run *run)
{
    ASSERT(run->count > 0);
    if (!expect(core)) return;
    const enum mortar_status status =
        core->storage.ops->append(core->storage.self, range, run, core->next_token);
    const bool is_main = range == MORTAR_LOG_MAIN;
    submitted(core, status, is_main ? PENDING_APPEND : PENDING_WRITE, run->first + run->count - 1);
    core->changed = true;
}

bool log_append_entry(struct mortar_core *core, const struct mortar_entry *entry)
{
    const size_t bytes = record_bytes(entry->bytes.bytes);
    struct mortar_buffer *buffer = mortar_buffer_new(&core->allocator, bytes);
    if (buffer == NULL) return false;
    struct writer out = writer_over(mortar_buffer_data(buffer), bytes);
    record_encode(entry, &out);
    ASSERT(out.bytes == bytes);
    mortar_buffer_set_bytes(buffer, bytes);
    const struct mortar_log_run run = {
        .buffer = buffer, .bytes = bytes, .first = entry->index, .count = 1};
    log_append(core, MORTAR_LOG_MAIN, &run);
    mortar_buffer_release(buffer);
    return true;
}

/* Nothing from `from` on is durable any more, nor will be when what is under way ends. */
static void unstore(struct mortar_core *core, uint64_t from)
{
    if (BUG(CUT_STAYS_STORED)) return;
    for (uint32_t i = 0; i < core->pending.count; i++) {
        struct pending *pending = ring_at(&core->pending, i);
        if (pending->kind == PENDING_APPEND && pending->value >= from) {
            MARK(CUT_UNDER_WAY);
            pending->value = from - 1;
        }
    }
    if (core->stored >= from) core->stored = from - 1;
}

void log_truncate(struct mortar_core *core, enum mortar_log_range range, uint64_t from)
{
    if (!expect(core)) return;
    const enum mortar_status status =
        core->storage.ops->truncate(core->storage.self, range, from, core->next_token);
    submitted(core, status, PENDING_WRITE, 0);
    core->changed = true;
    if (range == MORTAR_LOG_MAIN) unstore(core, from);
}

static struct mortar_storage_hard_state hard_state(const struct mortar_core *core)
{
    return (struct mortar_storage_hard_state){
        .term = raft_term(core->raft),
        .voted_for = raft_voted_for(core->raft),
        .voting = raft_voting_position(core->raft),
        .commit = core->committed,
    };
}

void log_save_vote(struct mortar_core *core, uint64_t term,
                   const struct mortar_member_id *voted_for)
{
    if (!expect(core)) return;
    struct mortar_storage_hard_state state = hard_state(core);
    state.term = term;
    state.voted_for = BUG(VOTE_NOT_SAVED) ? (struct mortar_member_id){0} : *voted_for;
    const struct mortar_member_id nobody = {0};
    if (BUG(TERM_NOT_SAVED) && mortar_member_id_equal(voted_for, &nobody)) state.term--;
    const enum mortar_status status =
        core->storage.ops->save(core->storage.self, &state, core->next_token);
    submitted(core, status, PENDING_SAVE, term);
    if (core->failure == MORTAR_OK) core->saves_pending++;
}

void log_prune(struct mortar_core *core, uint64_t to)
{
    if (!expect(core)) return;
    submitted(core, core->storage.ops->prune(core->storage.self, to, core->next_token),
              PENDING_WRITE, 0);
}

void log_reset(struct mortar_core *core, const struct mortar_anchor_point *base)
{
    if (!expect(core)) return;
    unstore(core, 1);
    submitted(core, core->storage.ops->reset(core->storage.self, base, core->next_token),
              PENDING_APPEND, base->position.index);
    core->changed = true;
}

void log_tail_open(struct mortar_core *core, const struct mortar_anchor_point *base)
{
    if (!expect(core)) return;
    submitted(core, core->storage.ops->tail_open(core->storage.self, base, core->next_token),
              PENDING_WRITE, 0);
    TRACE(core, TAIL_OPEN, NULL, base->position.index, base->position.term);
}

void log_tail_adopt(struct mortar_core *core)
{
    struct mortar_anchor_point base = {0};
    struct mortar_position last = {0};
    const bool open = log_tail(core, &base, &last);
    ASSERT(open);
    if (!expect(core)) return;
    submitted(core, core->storage.ops->tail_adopt(core->storage.self, core->next_token),
              PENDING_APPEND, last.index);
    TRACE(core, TAIL_ADOPT, NULL, base.position.index, last.index);
    core->changed = true;
}

void log_tail_drop(struct mortar_core *core)
{
    struct mortar_anchor_point base = {0};
    struct mortar_position last = {0};
    const bool open = log_tail(core, &base, &last);
    ASSERT(open);
    if (!expect(core)) return;
    submitted(core, core->storage.ops->tail_drop(core->storage.self, core->next_token),
              PENDING_WRITE, 0);
    TRACE(core, TAIL_DROP, NULL, base.position.index, last.index);
}

enum mortar_status log_read(struct mortar_core *core, uint64_t first, uint64_t last,
                            size_t bytes_max, pending_read_done *done, void *argument)
{
    if (core->failure != MORTAR_OK) return MORTAR_E_FAILED;
    if (!ring_reserve(&core->pending, 1)) return MORTAR_E_NO_MEMORY;
    const enum mortar_status status = core->storage.ops->read(
        core->storage.self, MORTAR_LOG_MAIN, first, last, bytes_max, core->next_token);
    if (status != MORTAR_OK) return status;
    const struct pending pending = {
        .token = core->next_token++, .kind = PENDING_READ, .done = done, .argument = argument};
    const bool kept = ring_push(&core->pending, &pending);
    ASSERT(kept);
    return MORTAR_OK;
}

/* ---- Completions ---- */

static void on_write(struct mortar_core *core, const struct pending *pending,
                     enum mortar_status status)
{
    if (status != MORTAR_OK) {
        core_fail(core, status);
        return;
    }
    if (pending->kind == PENDING_APPEND && pending->value > core->stored) {
        core->stored = pending->value;
        core->changed = true;
        drive(core, &(struct raft_event){.type = RAFT_STORED, .index = core->stored});
    }
    if (pending->kind == PENDING_SAVE) {
        ASSERT(core->saves_pending > 0);
        core->saves_pending--;
        outbox_release_held(core);
        drive(core, &(struct raft_event){.type = RAFT_VOTE_STORED, .term = pending->value});
    }
}

static void on_completion(struct mortar_core *core,
                          const struct mortar_storage_completion *completion)
{
    struct pending pending;
    const bool known = ring_pop(&core->pending, &pending);
    ASSERT(known);
    ASSERT(pending.token == completion->token); /* In order of submission. */
    if (pending.kind != PENDING_READ) {
        on_write(core, &pending, completion->status);
        return;
    }
    pending.done(core, pending.argument, completion->status, &completion->run);
    mortar_buffer_release(completion->run.buffer);
}

#define REAP_AT_ONCE 64u

bool log_reap(struct mortar_core *core)
{
    struct mortar_storage_completion completions[REAP_AT_ONCE];
    const uint32_t count = core->storage.ops->reap(core->storage.self, completions, REAP_AT_ONCE);
    for (uint32_t i = 0; i < count; i++)
        on_completion(core, &completions[i]);
    return count > 0;
}
