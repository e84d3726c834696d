/* raft/commit.c - what is committed (thesis 3.5, 3.6.2). */
#include "raft/internal.h"

/* The commit index never falls; configurations up to it are committed with it. */
void raft_commit_to(struct raft *raft, struct mortar_position position, struct raft_effects *out)
{
    ASSERT(position.index > raft->commit_index);
    ASSERT(position.index <= raft->last.index);
    ASSERT(position.term <= raft->term);
    raft->commit_index = position.index;
    raft->matched = raft_max(raft->matched, position.index);
    RAFT_TRACE(raft, COMMIT, NULL, position.index, position.term, 0, 0);
    raft_push(out, RAFT_COMMIT)->position = position;
    raft_config_commit(raft, out);
}

static uint64_t match_value(const struct raft *raft, const struct raft_member *member)
{
    if (member->self && BUG(LEADER_COUNTS_UNSTORED)) return raft->last.index;
    return member->self ? raft->stored_index : member->match;
}

/* Thesis 3.6.2: only an entry of the current term is committed by counting; those before it are
 * committed with it (log matching). */
void raft_commit_by_counting(struct raft *raft, struct raft_effects *out)
{
    ASSERT(raft->role == MORTAR_LEADER);
    const uint64_t reached = raft_members_reach(raft, match_value);
    if (reached <= raft->commit_index) return;
    if (reached < raft->term_start && !BUG(COMMIT_OLD_TERM)) {
        MARK(COMMIT_WAITS_FOR_TERM);
        return;
    }
    ASSERT(reached <= raft->last.index);
    const struct mortar_position position = raft_position_at(raft, reached);
    ASSERT(position.term == raft->term || BUG(COMMIT_OLD_TERM));
    raft_commit_to(raft, position, out);
    raft_membership_advance(raft, out);
}
