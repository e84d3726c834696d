/* raft/election.c - ticks, timers and campaigns (thesis 3.4, 6.2, 9.6). */
#include "raft/internal.h"

/* Thesis 3.4: drawn anew each time, uniform in [min, 2 * min), so that split votes are rare. A
 * reluctant member waits a multiple of that. */
void raft_election_arm(struct raft *raft)
{
    const uint64_t min = raft->options.election_ticks_min;
    const uint64_t ticks = min + prng_below(&raft->prng, min);
    raft->election_timeout = ticks * raft->options.reluctant_factor;
    raft->election_elapsed = 0;
}

static bool votes_in(const struct raft *raft, const struct raft_config_slot *slot)
{
    const struct config_member *self = config_find(&slot->config, &raft->options.self);
    return self != NULL && (self->voter_old || self->voter_new);
}

/* Learners do not campaign (thesis 4.2.1). A voter that its latest configuration leaves out still
 * does until that is committed, as nobody else may hold the entry (4.2.2, figure 4.6); its own
 * vote does not count then. And only a log that reaches what it once acknowledged will do (C12). */
bool raft_electable(const struct raft *raft)
{
    bool voter = votes_in(raft, &raft->committed);
    for (uint32_t i = 0; i < raft->uncommitted_count; i++) {
        if (votes_in(raft, &raft->uncommitted[i])) voter = true;
    }
    return voter && mortar_position_compare(raft->last, raft->voting) >= 0;
}

/* What it sends is the end of its log, which is not below its voting position: entries that a
 * session brought count for a candidate though it never acknowledged them. */
static void ask_for_votes(const struct raft *raft, bool pre, bool transfer,
                          struct raft_effects *out)
{
    const uint64_t term = pre ? raft->term + 1 : raft->term;
    RAFT_TRACE(raft, ELECTION, NULL, term, pre, 0, 0);
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (member->self || !raft_is_voter(member)) continue;
        struct raft_effect *effect = raft_push(out, RAFT_SEND);
        effect->send.to = member->id;
        effect->send.message = MESSAGE_VOTE_REQUEST;
        effect->send.vote_request = (struct vote_request){
            .term = term, .last = raft->last, .pre = pre, .transfer = transfer};
        if (BUG(HOLE_VOTES_BY_TAIL)) (void)raft_tail_last(raft, &effect->send.vote_request.last);
    }
}

static uint64_t granted_value(const struct raft *raft, const struct raft_member *member)
{
    if (!member->self) return member->granted;
    return raft->role == MORTAR_CANDIDATE ? raft->own_vote_stored : member->granted;
}

/* Goes on when a majority of each half consents (thesis 3.4, 4.3). A lone voter passes both gates
 * in one call, except that its vote must first be durable. */
void raft_campaign_if_won(struct raft *raft, struct raft_effects *out)
{
    if (raft->role == MORTAR_PRE_CANDIDATE && raft_members_reach(raft, granted_value) == 1) {
        raft_convert_candidate(raft, out);
        ask_for_votes(raft, false, false, out);
    }
    if (raft->role == MORTAR_CANDIDATE && raft->own_vote_stored &&
        raft_members_reach(raft, granted_value) == 1) {
        raft_convert_leader(raft, out);
    }
}

/* Thesis 3.10, 4.2.3: the leader itself asked for it, so nobody need be asked first, and those who
 * hear that leader may vote. */
void raft_campaign_now(struct raft *raft, struct raft_effects *out)
{
    raft_election_arm(raft);
    raft_convert_candidate(raft, out);
    ask_for_votes(raft, false, true, out);
}

static void on_election_timeout(struct raft *raft, struct raft_effects *out)
{
    raft_election_arm(raft);
    if (!raft_electable(raft)) {
        MARK(NOT_ELECTABLE);
        raft_forget_leader(raft, out);
        return;
    }
    raft_convert_pre_candidate(raft, out);
    ask_for_votes(raft, true, false, out);
    raft_campaign_if_won(raft, out);
}

/* Two timeouts of the most patient ordinary follower: a leader that hears from no majority for
 * so long has been replaced, or may be at any moment (thesis 6.2). */
static uint64_t quorum_ticks(const struct raft *raft)
{
    return 2 * (uint64_t)raft->options.election_ticks_min;
}

static uint64_t heard_value(const struct raft *raft, const struct raft_member *member)
{
    return member->self || member->silent_ticks < quorum_ticks(raft);
}

/* What was in flight to a member that fell silent is taken for lost; when it speaks again, it is
 * asked where it stands before more is sent. */
static void probe_the_silent(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->member_count; i++) {
        struct raft_member *member = &raft->members[i];
        if (member->self || member->state != RAFT_REPLICATE) continue;
        if (member->silent_ticks < raft->options.election_ticks_min) continue;
        MARK(SILENT_PROBED);
        raft_progress_move(raft, member, RAFT_PROBE, member->match + 1);
    }
}

static void leader_tick(struct raft *raft, struct raft_effects *out)
{
    if (raft_members_reach(raft, heard_value) == 0) {
        MARK(QUORUM_LOST);
        RAFT_TRACE(raft, QUORUM_LOST, NULL, raft->term, 0, 0, 0);
        raft_convert_follower(raft, raft->term, &raft->voted_for, &RAFT_NOBODY, out);
        return;
    }
    raft_transfer_tick(raft, out);
    if (raft->role != MORTAR_LEADER) return;
    for (uint32_t i = 0; i < raft->member_count; i++)
        raft_rounds_tick(raft, &raft->members[i]);
    probe_the_silent(raft);
    raft->heartbeat_elapsed++;
    if (raft->heartbeat_elapsed < raft->options.heartbeat_ticks) return;
    raft->heartbeat_elapsed = 0;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        raft->members[i].heartbeat_due = true;
    }
}

void raft_on_tick(struct raft *raft, struct raft_effects *out)
{
    for (uint32_t i = 0; i < raft->member_count; i++) {
        raft->members[i].silent_ticks++;
    }
    if (raft->role == MORTAR_LEADER) {
        leader_tick(raft, out);
        return;
    }
    raft->leader_silent++;
    raft->unanswered_ticks++;
    if (!raft->syncing || !BUG(SESSION_STOPS_TIMER)) raft->election_elapsed++;
    if (raft->election_elapsed >= raft->election_timeout) on_election_timeout(raft, out);
}
