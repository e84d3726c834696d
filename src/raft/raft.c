/* raft/raft.c - open, step, inspection. */
#include "raft/internal.h"

struct raft_effect *raft_push(struct raft_effects *out, enum raft_effect_type type)
{
    ASSERT(out->count < RAFT_EFFECTS_MAX);
    struct raft_effect *effect = &out->items[out->count++];
    effect->type = type;
    return effect;
}

void raft_trace(const struct raft *raft, enum mortar_trace_kind kind,
                const struct mortar_member_id *other, const uint64_t numbers[4])
{
    if (raft->options.trace.emit == NULL) return;
    struct mortar_trace_event event = {.kind = kind, .other = other};
    memcpy(event.numbers, numbers, sizeof event.numbers);
    raft->options.trace.emit(raft->options.trace.context, &event);
}

void raft_ignore(const struct raft *raft, const struct mortar_member_id *from,
                 enum message_type type, enum raft_ignored reason)
{
    RAFT_TRACE(raft, IGNORED, from, type, reason, raft->term, raft->commit_index);
}

static bool options_are_valid(const struct raft_options *options)
{
    return !mortar_member_id_is_none(&options->self) && options->heartbeat_ticks >= 1 &&
           options->heartbeat_ticks < options->election_ticks_min &&
           options->reluctant_factor >= 1 && options->append_bytes >= 1 &&
           options->window_bytes >= 1 && options->tail_window_bytes >= 1 &&
           options->uncommitted_bytes_max >= 1 && options->target_voters <= MORTAR_MEMBERS_MAX;
}

static bool restored_is_valid(const struct raft_restored *restored, struct mortar_position last,
                              struct mortar_position base)
{
    if (restored->config_index != 0 && restored->config.count == 0) return false;
    return restored->term >= last.term && restored->term >= restored->voting.term &&
           restored->commit_index >= base.index && restored->commit_index <= last.index &&
           restored->config_index <= last.index;
}

/* A configuration above the commit index may still be reverted; what was in force before it is
 * not known here, so we then wait for a leader. */
static void restore_config(struct raft *raft, const struct raft_restored *restored)
{
    if (restored->config_index == 0) return;
    struct raft_config_slot *slot = &raft->committed;
    if (restored->config_index > raft->commit_index) {
        slot = &raft->uncommitted[0];
        raft->uncommitted_count = 1;
    }
    slot->position.index = restored->config_index;
    (void)raft_term_at(raft, restored->config_index, &slot->position.term);
    slot->config = restored->config;
}

static void restore(struct raft *raft, const struct raft_restored *restored)
{
    raft->term = restored->term;
    raft->voted_for = restored->voted_for;
    raft->last = raft->log.last(raft->log.context);
    raft->base_index = raft->log.base(raft->log.context).position.index;
    raft->stored_index = raft->last.index; /* What is there after a start is durable. */
    raft->commit_index = restored->commit_index;
    raft->matched = restored->commit_index;
    raft->voting = restored->voting;
    raft->leader_silent = raft->options.election_ticks_min; /* Nobody was heard yet. */
    restore_config(raft, restored);
    struct raft_effects *nowhere = NULL; /* Only a leader says good-bye. */
    raft_members_rebuild(raft, nowhere);
    raft_election_arm(raft);
}

enum mortar_status raft_open(const struct mortar_allocator *allocator,
                             const struct raft_options *options, const struct raft_log_view *log,
                             const struct raft_restored *restored, struct raft **out_raft)
{
    const struct mortar_position last = log->last(log->context);
    const struct mortar_position base = log->base(log->context).position;
    if (!options_are_valid(options)) return MORTAR_E_INVALID;
    if (!restored_is_valid(restored, last, base)) return MORTAR_E_INVALID;
    struct raft *raft = allocator->reserve(allocator->context, sizeof *raft);
    if (raft == NULL) return MORTAR_E_NO_MEMORY;
    memset(raft, 0, sizeof *raft);
    raft->allocator = *allocator;
    raft->options = *options;
    raft->log = *log;
    raft->prng = prng_seeded(options->seed);
    restore(raft, restored);
    *out_raft = raft;
    return MORTAR_OK;
}

void raft_close(struct raft *raft)
{
    if (raft == NULL) return;
    const struct mortar_allocator allocator = raft->allocator;
    allocator.release(allocator.context, raft, sizeof *raft);
}

enum mortar_status raft_tune(struct raft *raft, const struct raft_options *options)
{
    if (!options_are_valid(options)) return MORTAR_E_INVALID;
    const struct mortar_member_id self = raft->options.self;
    raft->options = *options;
    raft->options.self = self;
    if (raft->role != MORTAR_LEADER) raft_election_arm(raft);
    return MORTAR_OK;
}

static void note_alive(struct raft *raft, const struct mortar_member_id *id)
{
    struct raft_member *member = raft_member_find(raft, id);
    if (member != NULL) member->silent_ticks = 0;
}

/* Terms and indexes rise one by one: none ever comes near, and sums of them do not overflow. */
#define RAFT_NUMBER_MAX (UINT64_MAX / 4)

/* The largest of the numbers that a message would have us count on from. */
static uint64_t largest_number(const struct raft_event *event)
{
    switch (event->message) {
    case MESSAGE_VOTE_REQUEST:
        return event->vote_request.term;
    case MESSAGE_VOTE_REPLY:
        return event->vote_reply.term;
    case MESSAGE_APPEND_REQUEST:
        return raft_max(event->append_request.term,
                        raft_max(event->append_request.prev.index,
                                 event->append_request.tail_base.position.index));
    case MESSAGE_APPEND_REPLY:
        return event->append_reply.term;
    case MESSAGE_TIMEOUT_NOW:
        return event->timeout_now.term;
    case MESSAGE_READ_REQUEST:
    case MESSAGE_READ_REPLY:
    case MESSAGE_FORWARD_REQUEST:
    case MESSAGE_FORWARD_REPLY:
    case MESSAGE_JOIN_REQUEST:
    case MESSAGE_JOIN_REPLY:
    case MESSAGE_SYNC:
    case MESSAGE_LEASE:
    case MESSAGE_PART:
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
#endif
        break;
    }
    return 0;
}

static void on_receive(struct raft *raft, const struct raft_event *event, struct raft_effects *out)
{
    const struct mortar_member_id *from = &event->from;
    if (mortar_member_id_equal(from, &raft->options.self)) {
        raft_ignore(raft, from, event->message, RAFT_IGNORED_FROM_SELF);
        return;
    }
    if (largest_number(event) > RAFT_NUMBER_MAX) {
        raft_ignore(raft, from, event->message, RAFT_IGNORED_MALFORMED);
        return;
    }
    note_alive(raft, from);
    switch (event->message) {
    case MESSAGE_VOTE_REQUEST:
        raft_on_vote_request(raft, from, &event->vote_request, out);
        break;
    case MESSAGE_VOTE_REPLY:
        raft_on_vote_reply(raft, from, &event->vote_reply, out);
        break;
    case MESSAGE_APPEND_REQUEST:
        raft_on_append_request(raft, from, &event->append_request, out);
        break;
    case MESSAGE_APPEND_REPLY:
        raft_on_append_reply(raft, from, &event->append_reply, out);
        break;
    case MESSAGE_TIMEOUT_NOW:
        raft_on_timeout_now(raft, from, &event->timeout_now, out);
        break;
    case MESSAGE_READ_REQUEST:
    case MESSAGE_READ_REPLY:
    case MESSAGE_FORWARD_REQUEST:
    case MESSAGE_FORWARD_REPLY:
    case MESSAGE_JOIN_REQUEST:
    case MESSAGE_JOIN_REPLY:
    case MESSAGE_SYNC:
    case MESSAGE_LEASE:
    case MESSAGE_PART:
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
#endif
        raft_ignore(raft, from, event->message, RAFT_IGNORED_TYPE);
        break;
    }
}

/* Thesis 3.5, step 1 of the leader: appends at once, sends with the next FLUSH. One batch is taken
 * however large when nothing else is uncommitted, so that the bound cannot stop it for ever. */
static enum mortar_status on_propose(struct raft *raft, const struct raft_event *event,
                                     struct raft_effects *out)
{
    if (raft->role != MORTAR_LEADER) return MORTAR_E_NOT_LEADER;
    const struct raft_member *self = raft_self(raft);
    if (self == NULL || !raft_is_voter(self)) { /* Steps down soon (4.2.2). */
        MARK(PROPOSE_LEAVING);
        return MORTAR_E_BUSY;
    }
    if (raft_transferring(raft) && !BUG(TRANSFER_KEEPS_PROPOSING)) { /* Thesis 3.10. */
        MARK(PROPOSE_HANDING_OVER);
        return MORTAR_E_BUSY;
    }
    ASSERT(event->propose.kind != MORTAR_ENTRY_CONFIG);
    const uint64_t held = raft_log_bytes(raft, raft->commit_index + 1, raft->last.index);
    const uint64_t max = raft->options.uncommitted_bytes_max;
    if (held > 0 && (held >= max || event->propose.bytes > max - held)) {
        MARK(PROPOSE_FULL);
        return MORTAR_E_BUSY;
    }
    raft_append_own(raft, event->propose.kind, event->propose.count, out);
    return MORTAR_OK;
}

/* What was under way is lost with the link; what was answered over it holds. */
static void on_link(struct raft *raft, const struct mortar_member_id *id, bool up)
{
    struct raft_member *member = raft_member_find(raft, id);
    if (member == NULL) return;
    member->linked = up;
    if (raft->role != MORTAR_LEADER || member->self) return;
    member->heartbeat_due = true;
    if (member->state == RAFT_PROBE) member->waiting = false;
    raft_rounds_begin(raft, member);
    if (!up && member->state != RAFT_PROBE) {
        MARK(LINK_LOST_PROBES);
        raft_progress_move(raft, member, RAFT_PROBE, member->match + 1);
    }
}

/* Between steps the owner may have pruned; nothing else changes the log behind our back. The events
 * of a session look for themselves, and may come while the effects of another step are carried
 * out. */
static void look_at_log(struct raft *raft, enum raft_event_type type)
{
    if (raft->syncing || type >= RAFT_SYNC_BEGUN) return;
    raft->base_index = raft->log.base(raft->log.context).position.index;
    ASSERT(raft->base_index <= raft->commit_index);
    ASSERT(mortar_position_equal(raft->last, raft->log.last(raft->log.context)));
}

enum mortar_status raft_step(struct raft *raft, const struct raft_event *event,
                             struct raft_effects *out)
{
    ASSERT(out->count == 0);
    look_at_log(raft, event->type);
    switch (event->type) {
    case RAFT_TICK:
        raft_on_tick(raft, out);
        break;
    case RAFT_RECEIVE:
        on_receive(raft, event, out);
        break;
    case RAFT_PROPOSE:
        return on_propose(raft, event, out);
    case RAFT_CHANGE:
        return raft_on_change(raft, event->change.changes, event->change.count, out);
    case RAFT_STORED:
        raft_on_stored(raft, event->index, out);
        break;
    case RAFT_VOTE_STORED:
        raft_on_vote_stored(raft, event->term, out);
        break;
    case RAFT_FLUSH:
        raft_on_flush(raft, out);
        break;
    case RAFT_HEARD:
        note_alive(raft, &event->from);
        raft_on_heard(raft, &event->from, event->term, out);
        break;
    case RAFT_TRANSFER:
        return raft_on_transfer(raft, &event->from);
    case RAFT_LINK:
        on_link(raft, &event->from, event->up);
        break;
    case RAFT_SYNC_BEGUN:
        raft_on_sync_begun(raft, out);
        break;
    case RAFT_SYNC_APPENDED:
        if (raft->role != MORTAR_LEADER) raft_log_refresh(raft, out);
        break;
    case RAFT_SYNC_CONFIG:
        raft_on_sync_config(raft, event->config.index, event->config.config, out);
        break;
    case RAFT_SYNC_COMMITTED:
        raft_on_sync_committed(raft, event->index, out);
        break;
    case RAFT_SYNC_ENDED:
        raft_on_sync_ended(raft, out);
        break;
    }
    return MORTAR_OK;
}

enum mortar_role raft_role(const struct raft *raft)
{
    return raft->role;
}

uint64_t raft_term(const struct raft *raft)
{
    return raft->term;
}

struct mortar_member_id raft_voted_for(const struct raft *raft)
{
    return raft->voted_for;
}

struct mortar_member_id raft_leader(const struct raft *raft)
{
    return raft->leader;
}

uint64_t raft_commit_index(const struct raft *raft)
{
    return raft->commit_index;
}

struct mortar_position raft_voting_position(const struct raft *raft)
{
    return raft->voting;
}

const struct config *raft_config(const struct raft *raft)
{
    return &raft_config_latest(raft)->config;
}

uint64_t raft_config_index(const struct raft *raft)
{
    return raft_config_latest(raft)->position.index;
}

const struct config *raft_committed_config(const struct raft *raft)
{
    return &raft->committed.config;
}

bool raft_syncing(const struct raft *raft)
{
    return raft->syncing;
}

uint64_t raft_sync_id(const struct raft *raft)
{
    return raft->leader_sync_id;
}

bool raft_progress(const struct raft *raft, const struct mortar_member_id *id,
                   struct raft_progress_view *out_view)
{
    if (raft->role != MORTAR_LEADER) return false;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (member->self || !mortar_member_id_equal(&member->id, id)) continue;
        *out_view = (struct raft_progress_view){
            .id = member->id,
            .state = member->state,
            .next = member->next,
            .match = member->match,
            .commit = member->commit,
            .inflight_bytes = raft_progress_inflight(raft, member),
            .silent_ticks = member->silent_ticks,
            .whole = member->whole,
            .sync_id = member->state == RAFT_SYNC ? member->sync_id : 0,
        };
        return true;
    }
    return false;
}
