/* raft/on_append_reply.c - the leader's side of an answer (thesis 3.5, 6.2 of the design). */
#include "raft/internal.h"

/* Equal up to `match_index`, durably. In SYNC this says that the hole is closed. */
static void on_matched(struct raft *raft, struct raft_member *member,
                       const struct append_reply *message)
{
    member->match = raft_max(member->match, message->match_index);
    raft_rounds_matched(raft, member);
    const uint64_t next = raft_max(member->next, member->match + 1);
    switch (member->state) {
    case RAFT_PROBE:
        if (message->match_index + 1 < member->next) return; /* Not about this probe. */
        break;
    case RAFT_REPLICATE:
        member->next = next;
        return;
    case RAFT_SYNC:
        if (message->sync_id != member->sync_id) {
            member->next = next;
            member->tail_acked = raft_max(member->tail_acked, member->match);
            return;
        }
        break;
    }
    MARK(MATCHED_AGAIN);
    const bool too_far = raft_progress_too_far(raft, next);
    raft_progress_move(raft, member, too_far ? RAFT_SYNC : RAFT_REPLICATE, next);
}

/* The last index at which its log may still equal ours. Its hint is its last entry up to `prev`
 * whose term is not above that of `prev`: where we hold that very entry, it is the place; else the
 * last of ours whose term is not above the hint's (thesis 3.5, back-up by term). False: it lies
 * below our base. */
static bool back_up(const struct raft *raft, const struct raft_member *member,
                    struct mortar_position hint, uint64_t *out_index)
{
    uint64_t term = 0;
    if (raft_term_at(raft, hint.index, &term) && term == hint.term) {
        MARK(BACK_UP_TO_HINT);
        *out_index = raft_max(hint.index, member->match);
        return true;
    }
    if (hint.index < raft->base_index) return false;
    const uint64_t floor = raft_max(raft->base_index, member->match);
    const uint64_t high = raft_min(raft_min(hint.index, member->next - 1), raft->last.index);
    struct mortar_position place = {.index = floor};
    if (!raft_last_with_term(raft, floor, high, hint.term, &place) &&
        member->match < raft->base_index) {
        return false;
    }
    MARK(BACK_UP_BY_TERM);
    *out_index = raft_max(place.index, member->match);
    return true;
}

/* A mismatch in REPLICATE means that something was lost; in PROBE, that the place was wrong; in
 * SYNC, that the session ended. `match` never falls. */
static void on_mismatch(struct raft *raft, struct raft_member *member,
                        const struct append_reply *message)
{
    if (member->state == RAFT_SYNC && message->sync_id != member->sync_id) {
        raft_ignore(raft, &member->id, MESSAGE_APPEND_REPLY, RAFT_IGNORED_STALE_EPISODE);
        return;
    }
    uint64_t index = 0;
    if (!back_up(raft, member, message->hint, &index)) {
        raft_progress_move(raft, member, RAFT_SYNC, member->next);
        return;
    }
    const uint64_t next = index + 1;
    switch (member->state) {
    case RAFT_PROBE:
        if (next != member->next || raft_progress_too_far(raft, next)) {
            raft_progress_restart(raft, member, next);
        }
        break;
    case RAFT_REPLICATE:
        if (BUG(LOST_APPEND_FORGOTTEN)) return;
        if (next < member->next) MARK(MISMATCH_STREAMING);
        if (next < member->next) raft_progress_restart(raft, member, next);
        break;
    case RAFT_SYNC:
        raft_progress_restart(raft, member, next);
        break;
    }
}

/* The tail goes back to where it was refused, and then sends one append at a time until one is
 * taken. A second refusal at that place changes nothing: it holds until the next heartbeat. */
static void on_tail_refused(struct raft_member *member, uint64_t held)
{
    MARK(TAIL_REFUSED);
    const uint64_t next = raft_min(held + 1, member->next);
    member->tail_acked = next - 1;
    member->waiting = next == member->next;
    member->tail_probing = true;
    member->next = next;
}

static void on_tail_taken(struct raft_member *member, uint64_t tail_index, uint64_t held)
{
    member->waiting = false;
    member->tail_acked = raft_min(held, member->next - 1);
    if (tail_index == 0) return; /* The session has begun; the tail is not open yet. */
    if (member->tail_probing) {  /* What the probe carried is taken, or will be skipped. */
        member->next = raft_max(member->next, held + 1);
        member->tail_acked = held;
    }
    if (member->tail_probing) MARK(TAIL_PROBE_TAKEN);
    member->tail_probing = false;
}

static void on_syncing(struct raft *raft, struct raft_member *member,
                       const struct append_reply *message)
{
    if (member->state != RAFT_SYNC) {
        /* An answer to an ordinary append: a session runs there, opened by an earlier leader or
         * before the link broke. It gets the live tail too. */
        if (message->sync_id == 0) MARK(SESSION_OF_EARLIER_LEADER);
        if (message->sync_id == 0) raft_progress_move(raft, member, RAFT_SYNC, member->next);
        return;
    }
    if (message->sync_id != member->sync_id) {
        raft_ignore(raft, &member->id, MESSAGE_APPEND_REPLY, RAFT_IGNORED_STALE_EPISODE);
        return;
    }
    const uint64_t base = member->tail_base.position.index;
    const uint64_t held = raft_min(raft_max(message->tail_index, base), raft->last.index);
    if (message->first_missing != 0) {
        on_tail_refused(member, held);
    } else {
        on_tail_taken(member, message->tail_index, held);
    }
}

void raft_on_append_reply(struct raft *raft, const struct mortar_member_id *from,
                          const struct append_reply *message, struct raft_effects *out)
{
    if (message->term > raft->term && !BUG(TERM_NOT_ADOPTED)) { /* Thesis 3.3. */
        MARK(REPLY_LATER_TERM);
        raft_convert_follower(raft, message->term, &RAFT_NOBODY, &RAFT_NOBODY, out);
        return;
    }
    struct raft_member *member = raft_member_find(raft, from);
    if (raft->role != MORTAR_LEADER) {
        MARK(REPLY_NOT_LEADER);
        raft_ignore(raft, from, MESSAGE_APPEND_REPLY, RAFT_IGNORED_NOT_LEADER);
    } else if (message->term < raft->term && !BUG(STALE_ACK_COUNTS)) {
        MARK(REPLY_STALE_TERM);
        raft_ignore(raft, from, MESSAGE_APPEND_REPLY, RAFT_IGNORED_STALE_TERM);
    } else if (member == NULL) {
        MARK(REPLY_STRANGER);
        raft_ignore(raft, from, MESSAGE_APPEND_REPLY, RAFT_IGNORED_NOT_MEMBER);
    } else if (message->match_index > raft->last.index || message->round > raft->read_sent) {
        raft_ignore(raft, from, MESSAGE_APPEND_REPLY, RAFT_IGNORED_BEYOND_LOG);
    } else {
        member->whole = message->whole;
        member->commit = raft_max(member->commit, message->commit_index);
        member->round = raft_max(member->round, message->round);
        switch (message->outcome) {
        case APPEND_MATCHED:
            on_matched(raft, member, message);
            break;
        case APPEND_MISMATCH:
            on_mismatch(raft, member, message);
            break;
        case APPEND_SYNCING:
            on_syncing(raft, member, message);
            break;
        }
        raft_read_confirm(raft, out);
        raft_commit_by_counting(raft, out);
    }
}
