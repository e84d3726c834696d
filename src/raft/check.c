/* raft/check.c - every invariant of one replica; the simulator calls it after each step. */
#include "raft/internal.h"

static void check_log(const struct raft *raft)
{
    uint64_t term = 0;
    ASSERT(raft->base_index <= raft->commit_index);
    ASSERT(raft->commit_index <= raft->matched);
    ASSERT(raft->matched <= raft->last.index || raft->role == MORTAR_LEADER);
    ASSERT(raft->commit_index <= raft->last.index);
    ASSERT(raft->stored_index <= raft->last.index);
    ASSERT(raft->last.term <= raft->term); /* Thesis 3.3, C3. */
    ASSERT(raft->voting.term <= raft->term);
    const bool known = raft_term_at(raft, raft->commit_index, &term);
    ASSERT(known && term <= raft->term);
}

static void check_role(const struct raft *raft)
{
    const bool leader_known = !mortar_member_id_is_none(&raft->leader);
    const bool leader_is_self = mortar_member_id_equal(&raft->leader, &raft->options.self);
    const bool voted_self = mortar_member_id_equal(&raft->voted_for, &raft->options.self);
    switch (raft->role) {
    case MORTAR_FOLLOWER:
        ASSERT(!leader_is_self);
        break;
    case MORTAR_PRE_CANDIDATE:
        ASSERT(!leader_known);
        break;
    case MORTAR_CANDIDATE:
        ASSERT(!leader_known);
        ASSERT(voted_self);
        break;
    case MORTAR_LEADER:
        ASSERT(leader_is_self);
        ASSERT(voted_self);
        ASSERT(raft->own_vote_stored);
        ASSERT(!raft->syncing);
        if (BUG(NO_NOOP)) break;
        ASSERT(raft->last.term == raft->term); /* The no-op at least. */
        ASSERT(raft->term_start <= raft->last.index);
        break;
    }
    ASSERT(raft->election_elapsed < raft->election_timeout || raft->role == MORTAR_LEADER);
}

static void check_reads(const struct raft *raft)
{
    ASSERT(raft->read_confirmed <= raft->read_sent);
    ASSERT(raft->read_sent <= raft->read_round);
    ASSERT(raft->read_round - raft->read_sent <= 1);
}

static void check_transfer(const struct raft *raft)
{
    const bool leads = raft->role == MORTAR_LEADER;
    ASSERT(leads || !raft_transferring(raft));
    ASSERT(raft_transferring(raft) || !raft->transfer_told);
    ASSERT(!mortar_member_id_equal(&raft->transfer_to, &raft->options.self));
}

static void check_configs(const struct raft *raft)
{
    ASSERT(raft->uncommitted_count <= RAFT_CONFIGS_MAX);
    ASSERT(raft->committed.position.index <= raft->commit_index);
    uint64_t before = raft->committed.position.index;
    for (uint32_t i = 0; i < raft->uncommitted_count; i++) {
        const struct raft_config_slot *slot = &raft->uncommitted[i];
        ASSERT(slot->position.index > before);
        ASSERT(slot->position.index > raft->commit_index);
        ASSERT(slot->position.index <= raft->last.index);
        before = slot->position.index;
    }
}

static void check_progress(const struct raft *raft, const struct raft_member *member)
{
    ASSERT(member->match <= raft->last.index);
    ASSERT(member->next >= 1 && member->next <= raft->last.index + 1);
    ASSERT(member->round <= raft->read_sent);
    ASSERT(member->rounds.goal <= raft->last.index);
    ASSERT(member->rounds.slow <= RAFT_ROUNDS_MAX);
    ASSERT(member->rounds.slow == 0 || !member->rounds.prompt);
    switch (member->state) {
    case RAFT_PROBE:
        ASSERT(member->next > member->match);
        ASSERT(!member->tail_probing);
        break;
    case RAFT_REPLICATE:
        ASSERT(member->next > member->match);
        ASSERT(!member->waiting);
        ASSERT(!member->tail_probing);
        break;
    case RAFT_SYNC:
        ASSERT(member->sync_id != 0 && member->sync_id <= raft->sync_count);
        ASSERT(member->tail_base.position.index <= raft->commit_index);
        ASSERT(member->next > member->tail_base.position.index);
        ASSERT(member->tail_acked < member->next);
        ASSERT(!member->waiting || member->tail_probing);
        break;
    }
}

static void check_members(const struct raft *raft)
{
    const struct raft_config_slot *latest = raft_config_latest(raft);
    uint32_t listed = 0;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (i > 0) ASSERT(mortar_member_id_compare(&raft->members[i - 1].id, &member->id) < 0);
        if (member->listed) listed++;
        ASSERT(member->self == mortar_member_id_equal(&member->id, &raft->options.self));
        ASSERT(!member->observer || !member->voter_new);
        if (raft->role == MORTAR_LEADER && !member->self) check_progress(raft, member);
    }
    ASSERT(listed == latest->config.count || BUG(COMMITTED_CONFIG_ONLY));
}

void raft_check(const struct raft *raft)
{
    check_log(raft);
    check_role(raft);
    check_reads(raft);
    check_transfer(raft);
    check_configs(raft);
    check_members(raft);
}
