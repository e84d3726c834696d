/* raft/membership.c - configurations: in force, reverted, committed, changed (thesis 4).
 *
 * In force is the latest in the log, committed or not (4.1). A change of voters goes through a
 * joint configuration always (4.3); learners, observers and addresses change in one step, as no
 * quorum is touched. When a joint configuration is committed, its leader appends the plain one.
 */
#include "raft/internal.h"

const struct raft_config_slot *raft_config_latest(const struct raft *raft)
{
    if (raft->uncommitted_count == 0) return &raft->committed;
    return &raft->uncommitted[raft->uncommitted_count - 1];
}

static void trace_config(const struct raft *raft)
{
    const struct raft_config_slot *latest = raft_config_latest(raft);
    RAFT_TRACE(raft, CONFIG, NULL, latest->position.index, config_voter_count(&latest->config),
               latest->config.count, latest->config.joint);
}

static void announce(const struct raft *raft, struct raft_effects *out)
{
    raft_push(out, RAFT_CONFIG);
    trace_config(raft);
}

void raft_config_push(struct raft *raft, struct mortar_position position,
                      const struct config *config, struct raft_effects *out)
{
    ASSERT(raft->uncommitted_count < RAFT_CONFIGS_MAX);
    ASSERT(position.index > raft_config_latest(raft)->position.index);
    struct raft_config_slot *slot = &raft->uncommitted[raft->uncommitted_count++];
    slot->position = position;
    slot->config = *config;
    raft_members_rebuild(raft, out);
    announce(raft, out);
}

/* Thesis 4.1: what is cut from the log is no longer in force. */
void raft_config_revert(struct raft *raft, uint64_t index, struct raft_effects *out)
{
    const uint32_t before = raft->uncommitted_count;
    while (raft->uncommitted_count > 0 && raft_config_latest(raft)->position.index >= index) {
        raft->uncommitted_count--;
    }
    if (BUG(CONFIG_NOT_REVERTED)) raft->uncommitted_count = before;
    if (raft->uncommitted_count == before) return;
    MARK(CONFIG_REVERTED);
    RAFT_TRACE(raft, CONFIG_REVERTED, NULL, index, 0, 0, 0);
    raft_members_rebuild(raft, out);
    announce(raft, out);
}

static void commit_config(struct raft *raft, struct mortar_position position,
                          const struct config *config, struct raft_effects *out)
{
    const struct mortar_member_id *self = &raft->options.self;
    const bool was_member = config_find(&raft->committed.config, self) != NULL;
    raft->committed.position = position;
    raft->committed.config = *config;
    raft_members_rebuild(raft, out);
    raft_push(out, RAFT_CONFIG);
    if (config->joint || !was_member || config_find(config, self) != NULL) return;
    MARK(REMOVED);
    raft_push(out, RAFT_REMOVED);
}

static void commit_oldest(struct raft *raft, struct raft_effects *out)
{
    raft->config_scratch = raft->uncommitted[0].config;
    const struct mortar_position position = raft->uncommitted[0].position;
    raft->uncommitted_count--;
    memmove(&raft->uncommitted[0], &raft->uncommitted[1],
            raft->uncommitted_count * sizeof raft->uncommitted[0]);
    commit_config(raft, position, &raft->config_scratch, out);
}

void raft_config_commit(struct raft *raft, struct raft_effects *out)
{
    while (raft->uncommitted_count > 0 &&
           raft->uncommitted[0].position.index <= raft->commit_index) {
        commit_oldest(raft, out);
    }
}

bool raft_config_decode(struct raft *raft, const struct mortar_entry *entry)
{
    if (entry->kind == MORTAR_ENTRY_CONFIG) {
        return config_decode(entry->bytes, &raft->config_scratch) == MORTAR_OK;
    }
    if (found_decode(entry->bytes, &raft->found_scratch) != MORTAR_OK) return false;
    raft->config_scratch = raft->found_scratch.config;
    return true;
}

/* A tail that is adopted may hold more configurations than fit above the commit index. But each
 * was proposed when the one before it was committed (thesis 4.1), so the oldest is committed. */
void raft_on_sync_config(struct raft *raft, uint64_t index, const struct config *config,
                         struct raft_effects *out)
{
    if (raft->role == MORTAR_LEADER) return;
    raft_log_refresh(raft, out);
    ASSERT(index <= raft->last.index);
    if (index <= raft_config_latest(raft)->position.index) return;
    struct mortar_position position = {.index = index};
    (void)raft_term_at(raft, index, &position.term); /* Unknown below an installed base. */
    if (index <= raft->commit_index) {
        MARK(SESSION_CONFIG_COMMITTED);
        commit_config(raft, position, config, out);
        trace_config(raft);
        return;
    }
    if (raft->uncommitted_count == RAFT_CONFIGS_MAX) {
        MARK(TAIL_CONFIGS_FULL);
        raft_commit_to(raft, raft->uncommitted[0].position, out);
    }
    raft_config_push(raft, position, config, out);
}

/* An entry of the term is committed (thesis 4.1 as corrected: before that, a leader must not
 * change the configuration), and we are not on our way out. */
bool raft_may_propose(const struct raft *raft)
{
    return raft->role == MORTAR_LEADER && raft->commit_index >= raft->term_start;
}

enum mortar_status raft_on_change(struct raft *raft, const struct config_change *changes,
                                  uint32_t count, struct raft_effects *out)
{
    if (raft->role != MORTAR_LEADER) return MORTAR_E_NOT_LEADER;
    if (count == 0 || count > MORTAR_MEMBERS_MAX) return MORTAR_E_INVALID;
    const bool may = raft_may_propose(raft) || BUG(CONFIG_BEFORE_NOOP);
    if (!may || (raft->uncommitted_count > 0 && !BUG(CONFIG_ON_CONFIG))) return MORTAR_E_CHANGING;
    if (raft_transferring(raft)) return MORTAR_E_BUSY;
    const enum mortar_status status =
        config_apply(&raft->committed.config, changes, count, &raft->config_scratch);
    if (status != MORTAR_OK) return status;
    raft_append_own(raft, MORTAR_ENTRY_CONFIG, 1, out);
    return MORTAR_OK;
}

static void tell_commit(struct raft *raft, struct raft_effects *out)
{
    for (uint32_t i = 0; i < raft->member_count; i++) {
        raft_send_heartbeat(raft, &raft->members[i], out);
    }
}

/* 1. A committed joint configuration is left (thesis 4.3).
 * 2. A leader that is no voter of the committed plain configuration steps down, once it has told
 *    the others how far that is committed, and one of them to follow it (thesis 4.2.2). */
bool raft_membership_advance(struct raft *raft, struct raft_effects *out)
{
    if (!raft_may_propose(raft) || raft->uncommitted_count > 0) return false;
    if (raft->committed.config.joint) {
        if (raft_transferring(raft)) return false; /* Our successor does it, or we do, later. */
        MARK(JOINT_LEFT);
        config_leave_joint(&raft->committed.config, &raft->config_scratch);
        raft_append_own(raft, MORTAR_ENTRY_CONFIG, 1, out);
        return true;
    }
    const struct raft_member *self = raft_self(raft);
    if ((self != NULL && raft_is_voter(self)) || BUG(REMOVED_LEADER_STAYS)) return false;
    MARK(LEADER_LEAVES);
    tell_commit(raft, out);
    raft_transfer_leaving(raft, out);
    raft_convert_follower(raft, raft->term, &raft->voted_for, &RAFT_NOBODY, out);
    return false;
}

static bool is_learner(const struct raft_member *member)
{
    return member->listed && !member->observer && !raft_is_voter(member);
}

bool raft_is_whole(const struct raft *raft, const struct raft_member *member)
{
    return member->whole && member->state == RAFT_REPLICATE &&
           raft_log_bytes(raft, member->match + 1, raft->last.index) <= raft->options.resend_bytes;
}

/* How many of `whole` learners become voters now, so that the number of voters is odd wherever it
 * can be: the largest odd number within reach first; an even one only when no other learner
 * stands by. */
static uint32_t promote_count(uint32_t voters, uint32_t target, uint32_t whole, uint32_t learners)
{
    if (voters >= target) return 0;
    const uint32_t room = target - voters;
    const uint32_t most = whole < room ? whole : room;
    if (most == 0 || (voters + most) % 2 == 1) return most;
    if (most >= 2) {
        MARK(PROMOTED_ODD);
        return most - 1;
    }
    return learners > most ? 0 : most;
}

/* Whole learners become voters together, up to the target. One that was not heard for as long as
 * check-quorum waits does not stand by. */
bool raft_promote_whole(struct raft *raft, struct raft_effects *out)
{
    if (!raft_may_propose(raft) || raft->uncommitted_count > 0) return false;
    if (raft->committed.config.joint || raft_transferring(raft)) return false;
    const uint64_t silent_max = 2 * (uint64_t)raft->options.election_ticks_min;
    uint32_t whole = 0;
    uint32_t learners = 0;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (!is_learner(member) || member->silent_ticks >= silent_max) continue;
        learners++;
        const bool is_whole = raft_is_whole(raft, member) || BUG(PROMOTED_UNASKED);
        if (!is_whole || whole == MORTAR_MEMBERS_MAX) continue;
        raft->changes_scratch[whole].kind = CONFIG_PROMOTE;
        raft->changes_scratch[whole].member = member->id;
        raft->changes_scratch[whole].address[0] = 0;
        whole++;
    }
    const uint32_t count = promote_count(config_voter_count(&raft->committed.config),
                                         raft->options.target_voters, whole, learners);
    if (count == 0) return false;
    MARK(PROMOTED);
    return raft_on_change(raft, raft->changes_scratch, count, out) == MORTAR_OK;
}
