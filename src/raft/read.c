/* raft/read.c - linearizable reads without entries: read-index rounds (thesis 6.4).
 *
 * A read takes the commit index of its moment, and a round number that leaves with the appends of
 * the next FLUSH. Once a majority of each half has echoed that round in our term, nobody had
 * replaced us when the read began, so that index held all that was acknowledged by then. Reads
 * that begin before the round leaves share it.
 */
#include "raft/internal.h"

/* Thesis 6.4, step 1: before an entry of its term is committed, a leader does not know how far
 * its predecessors committed. */
enum mortar_status raft_read_begin(struct raft *raft, uint64_t *out_round, uint64_t *out_index)
{
    if (raft->role != MORTAR_LEADER) return MORTAR_E_NOT_LEADER;
    if (!raft_may_propose(raft) && !BUG(READ_BEFORE_NOOP)) {
        MARK(READ_WAITS_FOR_TERM);
        return MORTAR_E_BUSY;
    }
    if (raft->read_round == raft->read_sent) raft->read_round++;
    *out_round = raft->read_round;
    *out_index = raft->commit_index;
    RAFT_TRACE(raft, READ_ROUND, NULL, raft->read_round, raft->commit_index, 0, 0);
    return MORTAR_OK;
}

void raft_read_depart(struct raft *raft, struct raft_effects *out)
{
    if (raft->read_sent == raft->read_round) return;
    raft->read_sent = raft->read_round;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        if (raft_is_voter(&raft->members[i])) raft->members[i].heartbeat_due = true;
    }
    raft_read_confirm(raft, out); /* A lone voter asks nobody. */
}

static uint64_t round_value(const struct raft *raft, const struct raft_member *member)
{
    return member->self || BUG(READ_ASKS_NOBODY) ? raft->read_sent : member->round;
}

void raft_read_confirm(struct raft *raft, struct raft_effects *out)
{
    ASSERT(raft->role == MORTAR_LEADER);
    const uint64_t round = raft_members_reach(raft, round_value);
    if (round <= raft->read_confirmed) return;
    ASSERT(round <= raft->read_sent);
    MARK(READ_CONFIRMED);
    raft->read_confirmed = round;
    raft_push(out, RAFT_READ_CONFIRMED)->round = round;
}
