/* raft/vote.c - vote requests and their replies (thesis 3.4, 3.6.1, 4.1, 9.6). */
#include "raft/internal.h"

/* Thesis 4.2.3, 6.2: who heard a leader less than the least election timeout ago does not help to
 * depose it, and does not even take the later term from the request. */
static bool is_sticky(const struct raft *raft, const struct vote_request *message)
{
    if (message->transfer) return false;
    return raft->role == MORTAR_LEADER || raft->leader_silent < raft->options.election_ticks_min;
}

/* Thesis 3.6.1, with C12: a candidate must hold all that we hold, and all that we ever
 * acknowledged, even where we have lost it since. */
static bool candidate_is_fresh(const struct raft *raft, struct mortar_position last)
{
    if (BUG(INDEX_BEFORE_TERM)) return last.index >= raft->last.index;
    return mortar_position_compare(last, raft->last) >= 0 &&
           mortar_position_compare(last, raft->voting) >= 0;
}

enum denied { DENIED_TERM = 1, DENIED_LOG = 2, DENIED_VOTED = 3 };

static void answer(const struct raft *raft, const struct mortar_member_id *to, uint64_t term,
                   bool pre, bool granted, struct raft_effects *out)
{
    struct raft_effect *effect = raft_push(out, RAFT_SEND);
    effect->send.to = *to;
    effect->send.message = MESSAGE_VOTE_REPLY;
    effect->send.vote_reply = (struct vote_reply){.term = term, .pre = pre, .granted = granted};
    if (granted) RAFT_TRACE(raft, VOTE_GRANTED, to, term, pre, 0, 0);
}

static void deny(const struct raft *raft, const struct mortar_member_id *to, bool pre,
                 enum denied reason, struct raft_effects *out)
{
    RAFT_TRACE(raft, VOTE_DENIED, to, raft->term, pre, reason, 0);
    answer(raft, to, raft->term, pre, false, out);
}

/* Thesis 9.6: would we vote, if it began that term? Nothing changes here. A pre-candidate whose
 * coming term is not beyond ours learns our term from the denial. */
static void on_pre_vote(struct raft *raft, const struct mortar_member_id *from,
                        const struct vote_request *message, struct raft_effects *out)
{
    if (message->term <= raft->term) {
        MARK(PRE_VOTE_OLD_TERM);
        deny(raft, from, true, DENIED_TERM, out);
    } else if (!candidate_is_fresh(raft, message->last)) {
        MARK(PRE_VOTE_OLD_LOG);
        deny(raft, from, true, DENIED_LOG, out);
    } else {
        MARK(PRE_VOTE_GRANTED);
        answer(raft, from, message->term, true, true, out);
    }
}

/* Thesis 3.4, figure 3.1: one vote per term, first come, first served. Whoever asks is answered,
 * also one whom our configuration does not name (4.1): it may have a newer one. The vote is
 * saved before it is told (3.8). */
static void on_vote(struct raft *raft, const struct mortar_member_id *from,
                    const struct vote_request *message, struct raft_effects *out)
{
    if (message->term < raft->term) {
        MARK(VOTE_OLD_TERM);
        deny(raft, from, false, DENIED_TERM, out);
        return;
    }
    const bool later = message->term > raft->term;
    const struct mortar_member_id voted = later ? RAFT_NOBODY : raft->voted_for;
    const bool again = mortar_member_id_equal(&voted, from);
    const bool fresh = candidate_is_fresh(raft, message->last);
    const bool granted = fresh && (again || mortar_member_id_is_none(&voted));

    const struct mortar_member_id *vote = granted ? from : &voted;
    if (later || (granted && !again)) {
        const struct mortar_member_id leader = later ? RAFT_NOBODY : raft->leader;
        raft_convert_follower(raft, message->term, vote, &leader, out);
    }
    if (!granted) {
        if (fresh) MARK(VOTE_GIVEN_AWAY);
        if (!fresh) MARK(VOTE_OLD_LOG);
        deny(raft, from, false, fresh ? DENIED_VOTED : DENIED_LOG, out);
        return;
    }
    if (again) MARK(VOTE_REPEATED);
    raft_election_arm(raft);
    answer(raft, from, raft->term, false, true, out);
}

void raft_on_vote_request(struct raft *raft, const struct mortar_member_id *from,
                          const struct vote_request *message, struct raft_effects *out)
{
    if (is_sticky(raft, message)) {
        MARK(VOTE_STICKY);
        raft_ignore(raft, from, MESSAGE_VOTE_REQUEST, RAFT_IGNORED_STICKY);
    } else if (message->pre) {
        on_pre_vote(raft, from, message, out);
    } else {
        on_vote(raft, from, message, out);
    }
}

/* A denial matters only for the term that it tells: a candidate that does not win waits for its
 * timeout (thesis 3.4). A granted pre-vote names the term asked about, which nobody is in yet. */
void raft_on_vote_reply(struct raft *raft, const struct mortar_member_id *from,
                        const struct vote_reply *message, struct raft_effects *out)
{
    if (!message->granted) {
        if (message->term > raft->term) {
            MARK(VOTE_REPLY_LATER_TERM);
            raft_convert_follower(raft, message->term, &RAFT_NOBODY, &RAFT_NOBODY, out);
        }
        return;
    }
    const enum mortar_role wanted = message->pre ? MORTAR_PRE_CANDIDATE : MORTAR_CANDIDATE;
    const uint64_t term = message->pre ? raft->term + 1 : raft->term;
    struct raft_member *member = raft_member_find(raft, from);
    if (raft->role != wanted || (message->term != term && !BUG(STALE_VOTE_COUNTS))) {
        MARK(VOTE_REPLY_LATE);
        raft_ignore(raft, from, MESSAGE_VOTE_REPLY, RAFT_IGNORED_ROLE);
    } else if (member == NULL) {
        raft_ignore(raft, from, MESSAGE_VOTE_REPLY, RAFT_IGNORED_NOT_MEMBER);
    } else {
        member->granted = true;
        raft_campaign_if_won(raft, out);
    }
}

/* Our vote for ourselves counts only now: without it a crash could let us vote twice (3.8). */
void raft_on_vote_stored(struct raft *raft, uint64_t term, struct raft_effects *out)
{
    if (raft->role != MORTAR_CANDIDATE || term != raft->term) return;
    raft->own_vote_stored = true;
    raft_campaign_if_won(raft, out);
}
