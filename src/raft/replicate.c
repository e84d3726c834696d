/* raft/replicate.c - what the leader sends to each follower, and when (thesis 3.5, 10.2.1).
 *
 * Everything leaves in a FLUSH: entries, heartbeats, read rounds, and word of what was committed,
 * each append carrying all of it. A heartbeat is an append without entries at `next - 1`, so an
 * append that was lost shows as a mismatch; it leaves even when the window is full. Word of a
 * commit alone has the same form and is quiet: who finds nothing else in it does not answer.
 */
#include "raft/internal.h"

/* The records first..last; none when first > last, and then first - 1 is where the follower is
 * thought to be. */
static void send_append(struct raft *raft, struct raft_member *member, uint64_t first,
                        uint64_t last, struct raft_effects *out)
{
    ASSERT(first > raft->base_index);
    struct mortar_log_sum commit_sum = {0};
    const bool known = raft->log.sum_at(raft->log.context, raft->commit_index, &commit_sum);
    ASSERT(known);
    const struct mortar_position prev = raft_position_at(raft, first - 1);
    const bool in_sync = member->state == RAFT_SYNC;
    struct raft_effect *effect = raft_push(out, RAFT_SEND_APPEND);
    effect->send_append.to = member->id;
    effect->send_append.first = first;
    effect->send_append.last = last;
    effect->send_append.append = (struct append_request){
        .term = raft->term,
        .prev = prev,
        .commit_index = raft->commit_index,
        .vouched = {.position = raft_position_at(raft, raft->commit_index), .sum = commit_sum},
        .round = raft->read_sent,
        .sync_id = in_sync ? member->sync_id : 0,
        .tail_restart = in_sync && mortar_position_equal(prev, member->tail_base.position),
        .count = first > last ? 0 : (uint32_t)(last - first + 1),
    };
    if (in_sync) effect->send_append.append.tail_base = member->tail_base;
    member->commit_sent = raft->commit_index;
    member->heartbeat_due = false;
}

/* Sends what is next and gives the last index of it. */
static uint64_t send_next(struct raft *raft, struct raft_member *member, struct raft_effects *out)
{
    const uint64_t last = raft->log.cut(raft->log.context, member->next, raft->last.index,
                                        raft->options.append_bytes);
    ASSERT(last >= member->next && last <= raft->last.index);
    send_append(raft, member, member->next, last, out);
    return last;
}

static bool is_full(const struct raft_effects *out)
{
    return out->count >= RAFT_EFFECTS_MAX;
}

/* One append, then silence until it is answered; heartbeats cover its loss. */
static void send_probe(struct raft *raft, struct raft_member *member, struct raft_effects *out)
{
    if (member->waiting || is_full(out)) return;
    member->waiting = true;
    if (member->next <= raft->last.index) {
        send_next(raft, member, out);
    } else {
        send_append(raft, member, member->next, member->next - 1, out);
    }
}

/* Thesis 10.2.1: does not wait for answers. The window bounds what may be lost, and what a slow
 * follower holds in memory. */
static void send_window(struct raft *raft, struct raft_member *member, uint64_t window_bytes,
                        struct raft_effects *out)
{
    while (member->next <= raft->last.index && !is_full(out) &&
           raft_progress_inflight(raft, member) < window_bytes) {
        member->next = send_next(raft, member, out) + 1;
    }
}

void raft_send_heartbeat(struct raft *raft, struct raft_member *member, struct raft_effects *out)
{
    if (member->self || !member->linked || member->next <= raft->base_index) return;
    send_append(raft, member, member->next, member->next - 1, out);
}

/* Nothing that was sent to it says how much is committed. */
static bool is_uninformed(const struct raft *raft, const struct raft_member *member)
{
    return member->state == RAFT_REPLICATE && member->commit_sent < raft->commit_index;
}

/* It has answered this place or is about to, and heartbeats ask whether it lives. */
static void send_commit(struct raft *raft, struct raft_member *member, struct raft_effects *out)
{
    raft_send_heartbeat(raft, member, out);
    out->items[out->count - 1].send_append.append.quiet = true;
}

static void replicate(struct raft *raft, struct raft_member *member, struct raft_effects *out)
{
    if (member->self || !member->linked) return;
    if (member->next <= raft->base_index) { /* The log was pruned under its feet. */
        raft_progress_move(raft, member, RAFT_SYNC, member->next);
    }
    switch (member->state) {
    case RAFT_PROBE:
        send_probe(raft, member, out);
        break;
    case RAFT_REPLICATE:
        send_window(raft, member, raft->options.window_bytes, out);
        if (member->next <= raft->last.index) MARK(WINDOW_FULL);
        break;
    case RAFT_SYNC:
        if (member->tail_probing) {
            send_probe(raft, member, out);
        } else {
            send_window(raft, member, raft->options.tail_window_bytes, out);
        }
        break;
    }
    if (is_full(out)) return;
    if (member->heartbeat_due) raft_send_heartbeat(raft, member, out);
    if (is_uninformed(raft, member)) send_commit(raft, member, out);
}

void raft_on_flush(struct raft *raft, struct raft_effects *out)
{
    if (raft->role != MORTAR_LEADER) return;
    if (raft_promote_whole(raft, out)) return; /* The next FLUSH sends it. */
    raft_read_depart(raft, out);
    for (uint32_t i = 0; i < raft->member_count && !is_full(out); i++) {
        replicate(raft, &raft->members[i], out);
    }
    if (!is_full(out)) raft_transfer_advance(raft, out);
}
