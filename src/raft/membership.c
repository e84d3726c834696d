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

static bool is_learner(const struct raft_member *member)
{
    const bool observer = member->observer && !BUG(OBSERVER_PROMOTED);
    return member->listed && !observer && !raft_is_voter(member);
}

bool raft_is_whole(const struct raft *raft, const struct raft_member *member)
{
    return member->whole && member->state == RAFT_REPLICATE &&
           raft_log_bytes(raft, member->match + 1, raft->last.index) <= raft->options.resend_bytes;
}

static bool is_whole(const struct raft *raft, const struct raft_member *member)
{
    return raft_is_whole(raft, member) || BUG(PROMOTED_UNASKED);
}

/* What we ask for before we make a voter of it by ourselves; an operator may know better. */
static bool is_ready(const struct raft *raft, const struct raft_member *member)
{
    if (!is_whole(raft, member)) return false;
    if (raft_keeps_up(raft, member)) return true;
    if (BUG(PROMOTED_BEFORE_ROUNDS) || BUG(PROMOTED_UNASKED)) return true;
    MARK(WHOLE_BUT_SLOW);
    return false;
}

/* As long as check-quorum waits: who was not heard for so long is taken for gone. */
static bool is_heard(const struct raft *raft, const struct raft_member *member)
{
    return member->self || member->silent_ticks < 2 * (uint64_t)raft->options.election_ticks_min;
}

/* Nobody is pushed out while alive, and nobody takes a place before it can fill it (C11). */
static enum mortar_status check_replacement(struct raft *raft, const struct config_change *change)
{
    if (mortar_member_id_is_none(&change->other)) return MORTAR_OK;
    const struct raft_member *old = raft_member_find(raft, &change->other);
    if (old != NULL && is_heard(raft, old)) {
        MARK(REPLACE_LIVE);
        return MORTAR_E_ALIVE;
    }
    if (change->kind != CONFIG_REPLACE) return MORTAR_OK;
    const struct raft_member *member = raft_member_find(raft, &change->member);
    if (member == NULL || is_whole(raft, member)) return MORTAR_OK; /* config_apply() looks. */
    return MORTAR_E_INCOMPLETE;
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
    enum mortar_status status = MORTAR_OK;
    for (uint32_t i = 0; i < count && status == MORTAR_OK; i++)
        status = check_replacement(raft, &changes[i]);
    if (status != MORTAR_OK) return status;
    status = config_apply(&raft->committed.config, changes, count, &raft->config_scratch);
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

/* How many of `ready` learners become voters now, so that the number of voters is odd wherever it
 * can be: the largest odd number within reach first; an even one only when no other learner
 * stands by. */
static uint32_t promote_count(uint32_t voters, uint32_t target, uint32_t ready, uint32_t learners)
{
    if (voters >= target) return 0;
    const uint32_t room = target - voters;
    const uint32_t most = ready < room ? ready : room;
    if (most == 0 || (voters + most) % 2 == 1) return most;
    if (most >= 2) {
        MARK(PROMOTED_ODD);
        return most - 1;
    }
    return learners > most ? 0 : most;
}

/* Whom a learner is to replace, if that member is there still and not heard; NULL: nobody. */
static const struct raft_member *replaced_by(struct raft *raft, const struct raft_member *member)
{
    const struct config_member *listed = config_find(&raft->committed.config, &member->id);
    if (listed == NULL || mortar_member_id_is_none(&listed->replaces)) return NULL;
    const struct raft_member *old = raft_member_find(raft, &listed->replaces);
    return old == NULL || is_heard(raft, old) ? NULL : old;
}

static void plan(struct raft *raft, uint32_t place, enum config_change_kind kind,
                 const struct mortar_member_id *member, const struct mortar_member_id *other)
{
    raft->changes_scratch[place] =
        (struct config_change){.kind = kind, .member = *member, .other = *other};
}

static bool is_planned(const struct raft *raft, uint32_t count, const struct mortar_member_id *old)
{
    for (uint32_t i = 0; i < count; i++) {
        if (mortar_member_id_equal(&raft->changes_scratch[i].other, old)) return true;
    }
    return false;
}

/* Learners that came in the place of others: each swap is done whole, or not at all (thesis 4.3;
 * C11). */
static uint32_t plan_replacements(struct raft *raft)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < raft->member_count && count < MORTAR_MEMBERS_MAX; i++) {
        const struct raft_member *member = &raft->members[i];
        if (!is_learner(member) || !is_heard(raft, member)) continue;
        const struct raft_member *old = replaced_by(raft, member);
        if (old == NULL || is_planned(raft, count, &old->id)) continue;
        if (is_ready(raft, member)) {
            plan(raft, count++, CONFIG_REPLACE, &member->id, &old->id);
        } else if (BUG(REPLACED_IN_TWO_STEPS)) {
            plan(raft, count++, CONFIG_REMOVE, &old->id, &RAFT_NOBODY);
        }
    }
    return count;
}

/* Policy: the voter that was silent for longest, if that is too long; NULL: none. */
static const struct raft_member *gone_voter(const struct raft *raft)
{
    const uint32_t limit = raft->options.remove_gone_ticks;
    const struct raft_member *gone = NULL;
    if (limit == 0) return NULL;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (!raft_is_voter(member) || is_heard(raft, member)) continue;
        if (member->silent_ticks < limit && !BUG(GONE_TOO_SOON)) continue;
        if (gone == NULL || member->silent_ticks > gone->silent_ticks) gone = member;
    }
    return gone;
}

/* Who came in the place of a member that is there still waits for that place. */
static bool stands_by(struct raft *raft, const struct raft_member *member)
{
    if (!is_learner(member) || !is_heard(raft, member) || !is_ready(raft, member)) return false;
    const struct config_member *listed = config_find(&raft->committed.config, &member->id);
    if (listed == NULL || mortar_member_id_is_none(&listed->replaces)) return listed != NULL;
    return raft_member_find(raft, &listed->replaces) == NULL;
}

/* One at a time: after each the group must commit the swap with whoever is left. */
static uint32_t plan_gone(struct raft *raft)
{
    const struct raft_member *gone = gone_voter(raft);
    if (gone == NULL) return 0;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (!stands_by(raft, member)) continue;
        MARK(GONE_REPLACED);
        plan(raft, 0, CONFIG_REPLACE, &member->id, &gone->id);
        return 1;
    }
    MARK(GONE_STAYS);
    return 0;
}

/* The others: learners that are ready become voters together, up to the target. One that was not
 * heard for as long as check-quorum waits does not stand by. */
static uint32_t plan_promotions(struct raft *raft)
{
    uint32_t ready = 0;
    uint32_t learners = 0;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (!is_learner(member) || !is_heard(raft, member)) continue;
        if (replaced_by(raft, member) != NULL) continue; /* It has a place to take. */
        learners++;
        if (!is_ready(raft, member) || ready == MORTAR_MEMBERS_MAX) continue;
        plan(raft, ready++, CONFIG_PROMOTE, &member->id, &RAFT_NOBODY);
    }
    return promote_count(config_voter_count(&raft->committed.config), raft->options.target_voters,
                         ready, learners);
}

bool raft_promote_whole(struct raft *raft, struct raft_effects *out)
{
    if (!raft_may_propose(raft) || raft->uncommitted_count > 0) return false;
    if (raft->committed.config.joint || raft_transferring(raft)) return false;
    uint32_t count = plan_replacements(raft);
    if (count > 0) MARK(REPLACED);
    if (count == 0) count = plan_gone(raft);
    if (count == 0) {
        count = plan_promotions(raft);
        if (count > 0) MARK(PROMOTED);
    }
    if (count == 0) return false;
    return raft_on_change(raft, raft->changes_scratch, count, out) == MORTAR_OK;
}
