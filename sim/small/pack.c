/* sim/small/pack.c - see sim/small/pack.h. */
#include "sim/small/pack.h"

#include <stdlib.h>
#include <string.h>

/* Bits of struct small_view. */
enum { VOTES_OLD = 1, VOTES_NEW = 2, VOTES_OBSERVER = 4, VOTES_LISTED = 8, VOTES_GRANTED = 16 };
enum { VIEW_WAITING = 1, VIEW_PROBING = 2, VIEW_DUE = 4, VIEW_WHOLE = 8 };

static uint8_t byte(uint64_t number)
{
    ASSERT(number <= UINT8_MAX);
    return (uint8_t)number;
}

struct mortar_log_sum small_sum(struct mortar_position position)
{
    return (struct mortar_log_sum){.low = position.index << 8 | position.term};
}

static unsigned bit(bool set, unsigned value)
{
    return set ? value : 0u;
}

static void pack_member(const struct raft_member *member, bool leads, struct small_view *view)
{
    view->member = small_number(&member->id);
    view->votes =
        (uint8_t)(bit(member->voter_old, VOTES_OLD) | bit(member->voter_new, VOTES_NEW) |
                  bit(member->observer, VOTES_OBSERVER) | bit(member->listed, VOTES_LISTED) |
                  bit(member->granted && !leads, VOTES_GRANTED));
    ASSERT(member->linked); /* Links do not break in small worlds. */
    if (!leads) return;
    view->flags =
        (uint8_t)(bit(member->waiting, VIEW_WAITING) | bit(member->tail_probing, VIEW_PROBING) |
                  bit(member->heartbeat_due, VIEW_DUE) | bit(member->whole, VIEW_WHOLE));
    view->state = (uint8_t)member->state;
    view->next = byte(member->next);
    view->match = byte(member->match);
    view->commit_sent = byte(member->commit_sent);
    view->round = byte(member->round);
    view->sync_id = byte(member->sync_id);
    view->tail_acked = byte(member->tail_acked);
    view->tail_base = small(member->tail_base.position);
}

static struct small_slot pack_slot(const struct raft_config_slot *slot, struct configs *configs)
{
    return (struct small_slot){.index = byte(slot->position.index),
                               .term = byte(slot->position.term),
                               .config = configs_number(configs, &slot->config)};
}

static void pack_configs(const struct raft *raft, struct configs *configs, struct small_mind *mind)
{
    mind->committed = pack_slot(&raft->committed, configs);
    ASSERT(raft->uncommitted_count <= SMALL_SLOTS);
    ASSERT(raft->member_count <= SMALL_MEMBERS);
    mind->uncommitted_count = (uint8_t)raft->uncommitted_count;
    for (uint32_t i = 0; i < raft->uncommitted_count; i++)
        mind->uncommitted[i] = pack_slot(&raft->uncommitted[i], configs);
    mind->member_count = (uint8_t)raft->member_count;
    for (uint32_t i = 0; i < raft->member_count; i++)
        pack_member(&raft->members[i], raft->role == MORTAR_LEADER, &mind->members[i]);
}

void pack_raft(const struct raft *raft, struct configs *configs, struct small_mind *mind)
{
    const bool leads = raft->role == MORTAR_LEADER;
    mind->self = small_number(&raft->options.self);
    mind->term = byte(raft->term);
    mind->voted_for = small_number(&raft->voted_for);
    mind->own_vote_stored = raft->own_vote_stored;
    mind->role = (uint8_t)raft->role;
    mind->leader = small_number(&raft->leader);
    ASSERT(mortar_member_id_is_none(&raft->transfer_to)); /* Nobody asks for one. */
    mind->last = small(raft->last);
    ASSERT(raft->base_index == 0); /* Nothing is pruned in small worlds. */
    mind->stored_index = byte(raft->stored_index);
    mind->commit_index = byte(raft->commit_index);
    mind->voting = small(raft->voting);
    mind->matched = byte(raft->matched);
    mind->reply_waiting = raft->reply_waiting;
    mind->round_seen = byte(raft->round_seen);
    mind->leader_sync_id = byte(raft->leader_sync_id);
    mind->tail_matched = byte(raft->tail_matched);
    mind->syncing = raft->syncing;
    ASSERT(!raft->tail_stalled); /* The tail has no bound here. */
    mind->term_start = leads ? byte(raft->term_start) : 0;
    mind->read_round = byte(raft->read_round);
    mind->read_sent = byte(raft->read_sent);
    mind->read_confirmed = byte(raft->read_confirmed);
    mind->sync_count = byte(raft->sync_count);
    pack_configs(raft, configs, mind);
}

/* Where no time passes, everybody keeps up. */
#define ROUNDS ((struct raft_rounds){.prompt = true})

static void unpack_member(const struct small_view *view, const struct small_mind *mind,
                          struct raft_member *member)
{
    *member = (struct raft_member){
        .id = small_id(view->member),
        .self = view->member == mind->self,
        .listed = (view->votes & VOTES_LISTED) != 0,
        .voter_old = (view->votes & VOTES_OLD) != 0,
        .voter_new = (view->votes & VOTES_NEW) != 0,
        .observer = (view->votes & VOTES_OBSERVER) != 0,
        .linked = true,
        .granted = (view->votes & VOTES_GRANTED) != 0,
        .state = (enum raft_progress_state)view->state,
        .waiting = (view->flags & VIEW_WAITING) != 0,
        .tail_probing = (view->flags & VIEW_PROBING) != 0,
        .heartbeat_due = (view->flags & VIEW_DUE) != 0,
        .whole = (view->flags & VIEW_WHOLE) != 0,
        .rounds = ROUNDS,
        .next = view->next,
        .match = view->match,
        .commit_sent = view->commit_sent,
        .round = view->round,
        .sync_id = view->sync_id,
        .tail_acked = view->tail_acked,
    };
    member->tail_base.position = large(view->tail_base);
    member->tail_base.sum = small_sum(member->tail_base.position);
}

static void unpack_slot(const struct small_slot *slot, const struct configs *configs,
                        struct raft_config_slot *out)
{
    out->position = (struct mortar_position){.index = slot->index, .term = slot->term};
    const struct config *config = &configs->items[slot->config];
    out->config.joint = config->joint;
    out->config.count = config->count;
    memcpy(out->config.members, config->members, config->count * sizeof config->members[0]);
    out->config.removed_count = config->removed_count;
    memcpy(out->config.removed, config->removed, config->removed_count * sizeof config->removed[0]);
}

static void unpack_time(struct raft *raft)
{
    raft->prng = prng_seeded(0);
    raft->election_elapsed = 0;
    raft->election_timeout = SMALL_TICKS;
    raft->unanswered_ticks = 0;
    raft->leader_silent = SMALL_TICKS;
    raft->heartbeat_elapsed = 0;
}

void unpack_raft(const struct small_mind *mind, const struct configs *configs, struct raft *raft)
{
    raft->term = mind->term;
    raft->voted_for = small_id(mind->voted_for);
    raft->own_vote_stored = mind->own_vote_stored;
    raft->role = (enum mortar_role)mind->role;
    raft->leader = small_id(mind->leader);
    raft->last = large(mind->last);
    raft->base_index = 0;
    raft->stored_index = mind->stored_index;
    raft->commit_index = mind->commit_index;
    raft->voting = large(mind->voting);
    unpack_time(raft);
    raft->matched = mind->matched;
    raft->reply_waiting = mind->reply_waiting;
    raft->round_seen = mind->round_seen;
    raft->leader_sync_id = mind->leader_sync_id;
    raft->tail_matched = mind->tail_matched;
    raft->syncing = mind->syncing;
    raft->tail_stalled = false;
    raft->tail_stalled_room = 0;
    raft->term_start = mind->term_start;
    raft->read_round = mind->read_round;
    raft->read_sent = mind->read_sent;
    raft->read_confirmed = mind->read_confirmed;
    raft->sync_count = mind->sync_count;
    unpack_slot(&mind->committed, configs, &raft->committed);
    raft->uncommitted_count = mind->uncommitted_count;
    for (uint32_t i = 0; i < raft->uncommitted_count; i++)
        unpack_slot(&mind->uncommitted[i], configs, &raft->uncommitted[i]);
    raft->member_count = mind->member_count;
    for (uint32_t i = 0; i < raft->member_count; i++)
        unpack_member(&mind->members[i], mind, &raft->members[i]);
}

/* ---- Nothing forgotten ---- */

/* Zero wherever packing is allowed to lose something: time, what is void, scratch. */
static void forget(struct raft *raft)
{
    unpack_time(raft);
    if (raft->role != MORTAR_LEADER) raft->term_start = 0;
    for (uint32_t i = 0; i < RAFT_TABLE_MAX; i++) {
        struct raft_member *member = &raft->members[i];
        if (i >= raft->member_count) memset(member, 0, sizeof *member);
        member->silent_ticks = 0;
        member->rounds = (struct raft_rounds){0};
        member->commit = 0; /* For status reports alone. */
        if (raft->role == MORTAR_LEADER) {
            member->granted = false; /* It has what it was for. */
            continue;
        }
        memset(&member->state, 0, sizeof *member - offsetof(struct raft_member, state));
    }
    for (uint32_t i = 0; i < RAFT_CONFIGS_MAX; i++) {
        if (i >= raft->uncommitted_count)
            memset(&raft->uncommitted[i], 0, sizeof raft->uncommitted[i]);
    }
    memset(raft->members_before, 0, sizeof *raft - offsetof(struct raft, members_before));
}

static void compare_slots(const struct raft_config_slot *a, const struct raft_config_slot *b)
{
    ASSERT(mortar_position_equal(a->position, b->position));
    ASSERT(config_equal(&a->config, &b->config));
}

static void compare_members(const struct raft_member *a, const struct raft_member *b)
{
    static_assert(sizeof(struct raft_member) == 184, "a new field is to be packed");
    ASSERT(mortar_member_id_equal(&a->id, &b->id));
    ASSERT(a->self == b->self && a->listed == b->listed && a->observer == b->observer);
    ASSERT(a->voter_old == b->voter_old && a->voter_new == b->voter_new);
    ASSERT(a->linked == b->linked && a->granted == b->granted);
    ASSERT(a->state == b->state && a->waiting == b->waiting);
    ASSERT(a->tail_probing == b->tail_probing && a->heartbeat_due == b->heartbeat_due);
    ASSERT(a->whole == b->whole);
    ASSERT(memcmp(&a->next, &b->next, sizeof *a - offsetof(struct raft_member, next)) == 0);
}

/* Everything before the configurations is compared as it lies in memory. */
void pack_check(const struct raft *raft, struct configs *configs)
{
    struct raft *before = malloc(sizeof *before);
    struct raft *after = malloc(sizeof *after);
    ASSERT(before != NULL && after != NULL);
    *before = *raft;
    *after = *raft;
    struct small_mind mind = {0};
    pack_raft(raft, configs, &mind);
    memset(&after->term, 0, offsetof(struct raft, members_before) - offsetof(struct raft, term));
    unpack_raft(&mind, configs, after);
    forget(before);
    const size_t begin = offsetof(struct raft, prng);
    const size_t end = offsetof(struct raft, committed);
    ASSERT(memcmp((const uint8_t *)before + begin, (const uint8_t *)after + begin, end - begin) ==
           0);
    compare_slots(&before->committed, &after->committed);
    ASSERT(before->uncommitted_count == after->uncommitted_count);
    for (uint32_t i = 0; i < before->uncommitted_count; i++)
        compare_slots(&before->uncommitted[i], &after->uncommitted[i]);
    ASSERT(before->member_count == after->member_count);
    for (uint32_t i = 0; i < before->member_count; i++)
        compare_members(&before->members[i], &after->members[i]);
    free(before);
    free(after);
}
