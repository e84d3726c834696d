/* raft/progress.c - the leader's gate per follower: what may be sent to it now.
 *
 *              matched                       too much is missing
 *     PROBE ------------> REPLICATE             PROBE, REPLICATE ---> SYNC
 *       ^                     |                                        |
 *       +---------------------+                matched, or a session ended
 *         mismatch, silence, link             SYNC ---> REPLICATE, PROBE, SYNC (again)
 *
 * PROBE      where does its log agree with ours? One append at a time (thesis 3.5).
 * REPLICATE  agreed; appends follow each other within a window (thesis 10.2.1).
 * SYNC       a session fetches what is committed; only the live tail is sent (design 6.2).
 */
#include "raft/internal.h"

#define STATES 3u
static const bool STATE_IS_LEGAL[STATES][STATES] = {
    {true, true, true},  /* PROBE: again at another place, when backing up */
    {true, false, true}, /* REPLICATE */
    {true, true, true},  /* SYNC: another episode, from a newer base */
};

bool raft_progress_is_legal(enum raft_progress_state from, enum raft_progress_state to)
{
    return STATE_IS_LEGAL[from][to];
}

/* Thesis 3.3, figure 3.1: nextIndex starts behind the leader's last entry, matchIndex at 0. */
void raft_progress_start(struct raft *raft, struct raft_member *member)
{
    member->state = RAFT_PROBE;
    member->waiting = false;
    member->tail_probing = false;
    member->heartbeat_due = true;
    member->whole = false;
    member->silent_ticks = 0;
    member->next = raft->last.index + 1;
    member->match = 0;
    member->commit = 0;
    member->commit_sent = 0;
    member->round = 0;
    member->sync_id = 0;
    member->tail_acked = 0;
    member->tail_base = (struct mortar_anchor_point){0};
    raft_rounds_begin(raft, member);
}

/* The live tail begins above what is committed now: all below it can be fetched from anybody. */
static void enter_sync(struct raft *raft, struct raft_member *member)
{
    const struct mortar_position base = raft_position_at(raft, raft->commit_index);
    struct mortar_log_sum sum = {0};
    const bool known = raft->log.sum_at(raft->log.context, base.index, &sum);
    ASSERT(known);
    MARK(PROGRESS_SYNC);
    raft->sync_count++;
    member->sync_id = raft->sync_count;
    member->tail_base = (struct mortar_anchor_point){.position = base, .sum = sum};
    member->tail_acked = base.index;
    member->tail_probing = true;
    member->next = base.index + 1;
}

void raft_progress_move(struct raft *raft, struct raft_member *member, enum raft_progress_state to,
                        uint64_t next)
{
    ASSERT(raft->role == MORTAR_LEADER);
    ASSERT(!member->self);
    ASSERT(raft_progress_is_legal(member->state, to));
    ASSERT(next > member->match || to == RAFT_SYNC);
    const enum raft_progress_state from = member->state;
    member->state = to;
    member->next = next;
    member->waiting = false;
    member->tail_probing = false;
    if (to == RAFT_SYNC) enter_sync(raft, member);
    if (from == RAFT_REPLICATE) raft_rounds_begin(raft, member);
    RAFT_TRACE(raft, PROGRESS, &member->id, from, to, member->next, member->match);
}

/* Only what is committed can be fetched from others, so only that counts; and below the base the
 * leader itself has nothing to send. */
bool raft_progress_too_far(const struct raft *raft, uint64_t next)
{
    if (next <= raft->base_index) return true;
    return raft_log_bytes(raft, next, raft->commit_index) > raft->options.resend_bytes;
}

void raft_progress_restart(struct raft *raft, struct raft_member *member, uint64_t next)
{
    const bool too_far = raft_progress_too_far(raft, next);
    if (!too_far) MARK(PROGRESS_PROBE);
    raft_progress_move(raft, member, too_far ? RAFT_SYNC : RAFT_PROBE, next);
}

uint64_t raft_progress_inflight(const struct raft *raft, const struct raft_member *member)
{
    const uint64_t acked = member->state == RAFT_SYNC ? member->tail_acked : member->match;
    return raft_log_bytes(raft, acked + 1, member->next - 1);
}
