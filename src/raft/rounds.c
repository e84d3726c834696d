/* raft/rounds.c - does a learner keep up? Catch-up rounds before promotion (thesis 4.2.1).
 *
 * Replication to a member is divided in rounds. A round is over when the member holds, durably,
 * what stood in the leader's log when the round began; the next one then begins.
 *
 *     round 1, slow    round 2, slow    round 3, prompt
 *     |-------------->|--------------->|------->| may be promoted while the next is no slower
 *
 * A round is prompt if it took less than the least election timeout: then what the group would
 * wait for, with the new voter in its quorum, is no longer than an election. After
 * RAFT_ROUNDS_MAX slow ones in a row the member rests, and begins anew.
 */
#include "raft/internal.h"

void raft_rounds_begin(const struct raft *raft, struct raft_member *member)
{
    member->rounds = (struct raft_rounds){.goal = raft->last.index};
}

static bool is_resting(const struct raft_rounds *rounds)
{
    return rounds->slow == RAFT_ROUNDS_MAX;
}

static uint64_t rest_ticks(const struct raft *raft)
{
    return RAFT_ROUNDS_REST * (uint64_t)raft->options.election_ticks_min;
}

void raft_rounds_tick(const struct raft *raft, struct raft_member *member)
{
    struct raft_rounds *rounds = &member->rounds;
    rounds->ticks++;
    if (!is_resting(rounds) || rounds->ticks < rest_ticks(raft)) return;
    MARK(ROUNDS_BEGIN_ANEW);
    raft_rounds_begin(raft, member);
}

void raft_rounds_matched(const struct raft *raft, struct raft_member *member)
{
    struct raft_rounds *rounds = &member->rounds;
    if (is_resting(rounds) || member->match < rounds->goal) return;
    rounds->prompt = rounds->ticks < raft->options.election_ticks_min;
    rounds->slow = rounds->prompt ? 0 : rounds->slow + 1;
    rounds->goal = raft->last.index;
    rounds->ticks = 0;
    if (!rounds->prompt) MARK(ROUND_SLOW);
    if (is_resting(rounds)) MARK(ROUNDS_REST);
}

/* The round that runs is not slower than the last: who stands still now does not keep up. */
bool raft_keeps_up(const struct raft *raft, const struct raft_member *member)
{
    return member->rounds.prompt && member->rounds.ticks < raft->options.election_ticks_min;
}
