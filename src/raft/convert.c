/* raft/convert.c - the only place where roles change (thesis figure 3.3, with 9.6).
 *
 *                 timeout            majority          majority, own vote durable
 *     FOLLOWER ------------> PRE_CANDIDATE -----> CANDIDATE -------------------------> LEADER
 *        ^                      |   ^  timeout       |                                   |
 *        |                      |   +----------------+                                   |
 *        +----------------------+--------------------+-----------------------------------+
 *          a leader is heard, a later term is seen, or (LEADER) no majority is heard
 *
 * A FOLLOWER whose leader hands over to it becomes a CANDIDATE at once (3.10).
 */
#include "raft/internal.h"

const struct mortar_member_id RAFT_NOBODY;

#define ROLES 4u
/* [from][to], in the order of enum mortar_role. */
static const bool ROLE_IS_LEGAL[ROLES][ROLES] = {
    {true, true, true, false},
    {true, true, true, false},
    {true, true, false, true},
    {true, false, false, false},
};

static void role_move(struct raft *raft, enum mortar_role to, const struct mortar_member_id *leader)
{
    ASSERT(ROLE_IS_LEGAL[raft->role][to]);
    const enum mortar_role from = raft->role;
    raft->role = to;
    raft->leader = *leader;
    if (from != to) RAFT_TRACE(raft, ROLE, NULL, from, to, raft->term, 0);
}

static void push_role(const struct raft *raft, struct raft_effects *out)
{
    struct raft_effect *effect = raft_push(out, RAFT_ROLE);
    effect->role.role = raft->role;
    effect->role.term = raft->term;
    effect->role.leader = raft->leader;
}

void raft_save_vote(const struct raft *raft, struct raft_effects *out)
{
    struct raft_effect *effect = raft_push(out, RAFT_SAVE_VOTE);
    effect->save_vote.term = raft->term;
    effect->save_vote.voted_for = raft->voted_for;
}

/* What a follower knows about its leader holds for one leader of one term. */
static void forget_term(struct raft *raft)
{
    raft->matched = raft->commit_index; /* All of it is in every later leader's log (3.6.3). */
    raft->reply_waiting = false;
    raft->round_seen = 0;
    raft->leader_sync_id = 0;
    raft->tail_matched = 0;
}

/* Becomes, or stays, a follower in `term`, with its vote there and the leader, where known. A term
 * without a vote is saved too: entries of a term are appended only after our own term is at least
 * that (C3), and a term never falls (thesis 3.3). */
void raft_convert_follower(struct raft *raft, uint64_t term, const struct mortar_member_id *vote,
                           const struct mortar_member_id *leader, struct raft_effects *out)
{
    ASSERT(term >= raft->term);
    const enum mortar_role role_before = raft->role;
    const bool term_changed = term > raft->term;
    const bool vote_changed = !mortar_member_id_equal(vote, &raft->voted_for);
    const bool leader_changed = !mortar_member_id_equal(leader, &raft->leader);
    if (!term_changed && vote_changed) ASSERT(mortar_member_id_is_none(&raft->voted_for));

    if (term_changed) RAFT_TRACE(raft, TERM, NULL, raft->term, term, 0, 0);
    raft->term = term;
    raft->voted_for = BUG(VOTE_TWICE) ? RAFT_NOBODY : *vote;
    raft->own_vote_stored = false;
    if (term_changed || vote_changed) raft_save_vote(raft, out);
    if (term_changed || leader_changed || role_before == MORTAR_LEADER) forget_term(raft);
    role_move(raft, MORTAR_FOLLOWER, leader);
    if (role_before == MORTAR_LEADER) MARK(LEADER_STEPS_DOWN);
    if (role_before == MORTAR_CANDIDATE) MARK(CANDIDATE_YIELDS);
    if (role_before == MORTAR_LEADER) raft_transfer_forget(raft);
    if (role_before == MORTAR_LEADER) raft_election_arm(raft);

    const bool leader_known = !mortar_member_id_is_none(leader);
    if (leader_known && leader_changed) RAFT_TRACE(raft, LEADER, leader, term, 0, 0, 0);
    if (!leader_known) raft->leader_silent = raft->options.election_ticks_min;
    if (term_changed || leader_changed || role_before != MORTAR_FOLLOWER) push_role(raft, out);
}

/* Nobody was heard for a whole timeout, and we may not campaign. */
void raft_forget_leader(struct raft *raft, struct raft_effects *out)
{
    if (raft->role == MORTAR_FOLLOWER && mortar_member_id_is_none(&raft->leader)) return;
    raft_convert_follower(raft, raft->term, &raft->voted_for, &RAFT_NOBODY, out);
}

static void forget_votes(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->member_count; i++) {
        raft->members[i].granted = false;
    }
}

/* Thesis 9.6: asks first, without touching its term, so that a member that cannot win disturbs
 * nobody. Its own consent needs no disk, as it promises nothing. */
void raft_convert_pre_candidate(struct raft *raft, struct raft_effects *out)
{
    const bool changed = raft->role != MORTAR_PRE_CANDIDATE;
    role_move(raft, MORTAR_PRE_CANDIDATE, &RAFT_NOBODY);
    raft->leader_silent = raft->options.election_ticks_min;
    forget_term(raft);
    forget_votes(raft);
    struct raft_member *self = raft_member_find(raft, &raft->options.self);
    if (self != NULL) self->granted = true;
    if (changed) push_role(raft, out);
}

/* Thesis 3.4: a new term, and a vote for itself, which counts once it is durable. */
void raft_convert_candidate(struct raft *raft, struct raft_effects *out)
{
    RAFT_TRACE(raft, TERM, NULL, raft->term, raft->term + 1, 0, 0);
    raft->term++;
    raft->voted_for = raft->options.self;
    raft->own_vote_stored = false;
    raft_save_vote(raft, out);
    role_move(raft, MORTAR_CANDIDATE, &RAFT_NOBODY);
    raft->leader_silent = raft->options.election_ticks_min;
    forget_term(raft);
    if (!BUG(PRE_VOTE_COUNTS)) forget_votes(raft);
    push_role(raft, out);
}

/* Thesis 3.4, 3.5: knows nothing of its followers yet; 6.4: opens its term with a no-op, so that
 * what earlier terms left is committed at once. A session of its own ends here: what the leader
 * holds is the log (the owner drops session and tail when it sees the role). */
void raft_convert_leader(struct raft *raft, struct raft_effects *out)
{
    ASSERT(raft->own_vote_stored);
    role_move(raft, MORTAR_LEADER, &raft->options.self);
    raft->leader_silent = 0;
    raft->heartbeat_elapsed = 0;
    raft->syncing = false;
    raft->tail_stalled = false;
    raft->term_start = raft->last.index + 1;
    raft->read_sent = raft->read_round;
    raft->read_confirmed = raft->read_round;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        raft_progress_start(raft, &raft->members[i]);
    }
    push_role(raft, out);
    if (!BUG(NO_NOOP)) raft_append_own(raft, MORTAR_ENTRY_NOOP, 1, out);
}
