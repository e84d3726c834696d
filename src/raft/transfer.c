/* raft/transfer.c - a leader hands over to another voter (thesis 3.10).
 *
 * 1. The leader takes no new entries.
 * 2. It brings the target up to date, by the appends that it sends anyway.
 * 3. When the target holds all of its log, durably, it sends TIMEOUT_NOW.
 * 4. The target stands for election at once. Its requests say that the leader wanted it, so that
 *    those who hear that leader vote too (4.2.3); with the later term the leader steps down.
 * 5. A leader that still leads after an election timeout gives up, and takes entries again. The
 *    target may stand for election yet: an election like any other, at worst in vain.
 *
 * Safety rests on none of this: who wins holds all that is committed, as always (3.6.1).
 */
#include "raft/internal.h"

bool raft_transferring(const struct raft *raft)
{
    return !mortar_member_id_is_none(&raft->transfer_to);
}

void raft_transfer_forget(struct raft *raft)
{
    raft->transfer_to = RAFT_NOBODY;
    raft->transfer_told = false;
    raft->transfer_elapsed = 0;
}

/* A voter that stays one: it must not be on its way out of a joint configuration. */
static bool may_lead(const struct raft_member *member)
{
    return !member->self && raft_is_voter(member) && member->voter_new;
}

/* It can be brought up to date within the time that there is. */
static bool is_ready(const struct raft *raft, const struct raft_member *member)
{
    return member->linked && member->silent_ticks < raft->options.election_ticks_min &&
           raft_is_whole(raft, member);
}

/* The one that lacks least; among equals the one heard last. NULL: none is ready. */
static const struct raft_member *best_target(const struct raft *raft)
{
    const struct raft_member *best = NULL;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        if (!may_lead(member) || !is_ready(raft, member)) continue;
        const bool better =
            best == NULL || member->match > best->match ||
            (member->match == best->match && member->silent_ticks < best->silent_ticks);
        if (better) best = member;
    }
    return best;
}

static bool anyone_may_lead(const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->member_count; i++) {
        if (may_lead(&raft->members[i])) return true;
    }
    return false;
}

/* A refusal changes nothing. */
enum mortar_status raft_on_transfer(struct raft *raft, const struct mortar_member_id *target)
{
    if (raft->role != MORTAR_LEADER) return MORTAR_E_NOT_LEADER;
    const bool anyone = mortar_member_id_is_none(target);
    const struct raft_member *member = anyone ? best_target(raft) : raft_member_find(raft, target);
    if (anyone && !anyone_may_lead(raft)) return MORTAR_E_INVALID;
    if (!anyone && (member == NULL || !may_lead(member))) {
        MARK(TRANSFER_TO_NO_VOTER);
        return MORTAR_E_INVALID;
    }
    if (raft_transferring(raft) || member == NULL || !is_ready(raft, member)) {
        MARK(TRANSFER_NOT_READY);
        return MORTAR_E_BUSY;
    }
    MARK(TRANSFER_BEGUN);
    raft->transfer_to = member->id;
    raft->transfer_told = false;
    raft->transfer_elapsed = 0;
    RAFT_TRACE(raft, TRANSFER, &member->id, raft->last.index, member->match, 0, 0);
    return MORTAR_OK;
}

static void tell(const struct raft *raft, const struct raft_member *member,
                 struct raft_effects *out)
{
    RAFT_TRACE(raft, TRANSFER_TOLD, &member->id, raft->last.index, 0, 0, 0);
    struct raft_effect *effect = raft_push(out, RAFT_SEND);
    effect->send.to = member->id;
    effect->send.message = MESSAGE_TIMEOUT_NOW;
    effect->send.timeout_now = (struct timeout_now){.term = raft->term};
}

void raft_transfer_advance(struct raft *raft, struct raft_effects *out)
{
    if (!raft_transferring(raft) || raft->transfer_told) return;
    const struct raft_member *member = raft_member_find(raft, &raft->transfer_to);
    if (member == NULL || !member->linked) return; /* Given up in time, unless it comes back. */
    if (member->match < raft->last.index && !BUG(TRANSFER_TO_LAGGING)) {
        MARK(TRANSFER_CATCHES_UP);
        return;
    }
    MARK(TRANSFER_TOLD);
    raft->transfer_told = true;
    tell(raft, member, out);
}

/* Thesis 4.2.2: a leader that was removed steps down in any case, and waits for nobody. The others
 * need not wait for an election timeout where one of them is there already. */
void raft_transfer_leaving(const struct raft *raft, struct raft_effects *out)
{
    const struct raft_member *member = best_target(raft);
    if (member == NULL || member->match < raft->last.index) return;
    MARK(TRANSFER_LEAVING);
    tell(raft, member, out);
}

/* Thesis 3.10: "if leadership transfer does not complete after about an election timeout". */
void raft_transfer_tick(struct raft *raft, struct raft_effects *out)
{
    if (!raft_transferring(raft)) return;
    raft->transfer_elapsed++;
    if (raft->transfer_elapsed < raft->options.election_ticks_min) return;
    if (BUG(TRANSFER_NEVER_ENDS)) return;
    MARK(TRANSFER_GIVEN_UP);
    RAFT_TRACE(raft, TRANSFER_ENDED, &raft->transfer_to, raft->transfer_told, 0, 0, 0);
    raft_push(out, RAFT_TRANSFER_ENDED)->told = raft->transfer_told;
    raft_transfer_forget(raft);
    raft_membership_advance(raft, out); /* What waited meanwhile. */
}

/* Only what the leader of our term asks for counts: one that was overtaken, or a message that was
 * held up on its way, must not cost a leader that is well its term. */
void raft_on_timeout_now(struct raft *raft, const struct mortar_member_id *from,
                         const struct timeout_now *message, struct raft_effects *out)
{
    const bool stale = message->term != raft->term;
    const bool from_leader = mortar_member_id_equal(&raft->leader, from);
    if ((stale || !from_leader) && !BUG(OLD_TIMEOUT_NOW)) {
        MARK(TIMEOUT_NOW_STALE);
        raft_ignore(raft, from, MESSAGE_TIMEOUT_NOW, RAFT_IGNORED_STALE_TERM);
    } else if (raft->role != MORTAR_FOLLOWER || !raft_electable(raft)) {
        raft_ignore(raft, from, MESSAGE_TIMEOUT_NOW, RAFT_IGNORED_ROLE);
    } else {
        MARK(TIMEOUT_NOW_OBEYED);
        raft_campaign_now(raft, out);
    }
}
