/* raft/log.c - the log, as far as raft knows it: its end, what of it is durable, the voting
 * position. The entries are the owner's. */
#include "raft/internal.h"

bool raft_term_at(const struct raft *raft, uint64_t index, uint64_t *out_term)
{
    if (index > raft->last.index) return false;
    if (index == raft->last.index) {
        *out_term = raft->last.term;
        return true;
    }
    return raft->log.term_at(raft->log.context, index, out_term);
}

struct mortar_position raft_position_at(const struct raft *raft, uint64_t index)
{
    uint64_t term = 0;
    const bool known = raft_term_at(raft, index, &term);
    ASSERT(known);
    return (struct mortar_position){.index = index, .term = term};
}

uint64_t raft_log_bytes(const struct raft *raft, uint64_t first, uint64_t last)
{
    const uint64_t from = raft_max(first, raft->base_index + 1);
    return from > last ? 0 : raft->log.bytes(raft->log.context, from, last);
}

/* Terms never fall along a log (thesis 3.5), so the place is found by halving. */
bool raft_last_with_term(const struct raft *raft, uint64_t floor, uint64_t high, uint64_t term,
                         struct mortar_position *out_position)
{
    if (floor > high || raft_position_at(raft, floor).term > term) return false;
    uint64_t low = floor; /* Its term is at most `term`. */
    while (low < high) {
        const uint64_t middle = high - (high - low) / 2;
        if (raft_position_at(raft, middle).term <= term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    *out_position = raft_position_at(raft, low);
    return true;
}

/* C12: the highest position that was acknowledged, or counted as leader. */
void raft_voting_raise(struct raft *raft, uint64_t index)
{
    uint64_t term = 0;
    if (!raft_term_at(raft, index, &term)) return; /* Below the base: it was raised before. */
    const struct mortar_position position = {.index = index, .term = term};
    if (mortar_position_compare(position, raft->voting) > 0) raft->voting = position;
}

/* Thesis 3.5: what conflicts with the leader goes, never what is committed. This alone lowers the
 * voting position (C12): the leader of a later term does not hold what is cut, so it was never
 * committed. */
void raft_truncate(struct raft *raft, uint64_t index, struct raft_effects *out)
{
    ASSERT(index > raft->commit_index);
    ASSERT(index > raft->matched);
    ASSERT(index <= raft->last.index);
    MARK(LOG_CUT);
    RAFT_TRACE(raft, TRUNCATE, NULL, index, raft->last.index, 0, 0);
    raft_push(out, RAFT_TRUNCATE)->index = index;
    raft->last = raft_position_at(raft, index - 1);
    raft->stored_index = raft_min(raft->stored_index, raft->last.index);
    if (raft->voting.index >= index) {
        MARK(VOTING_LOWERED);
        raft->voting = raft->last;
    }
    raft_config_revert(raft, index, out);
}

void raft_append_own(struct raft *raft, enum mortar_entry_kind kind, uint32_t count,
                     struct raft_effects *out)
{
    ASSERT(raft->role == MORTAR_LEADER);
    ASSERT(count >= 1);
    const struct mortar_position first = {.index = raft->last.index + 1, .term = raft->term};
    struct raft_effect *effect = raft_push(out, RAFT_APPEND_OWN);
    effect->append_own.kind = kind;
    effect->append_own.position = first;
    effect->append_own.count = count;
    RAFT_TRACE(raft, APPEND, NULL, first.index, count, raft->term, 0);
    raft->last = (struct mortar_position){.index = first.index + count - 1, .term = raft->term};
    if (kind != MORTAR_ENTRY_CONFIG) return;
    ASSERT(count == 1);
    raft_config_push(raft, first, &raft->config_scratch, out);
    effect->append_own.config = &raft_config_latest(raft)->config;
}

/* Thesis 3.8, 10.2.1: a leader counts itself, and a follower acknowledges, only what is durable. */
void raft_on_stored(struct raft *raft, uint64_t index, struct raft_effects *out)
{
    ASSERT(index <= raft->last.index);
    if (index <= raft->stored_index) return;
    raft->stored_index = index;
    if (raft->role == MORTAR_LEADER) {
        raft_voting_raise(raft, index);
        raft_commit_by_counting(raft, out);
    } else if (raft->reply_waiting && !raft->syncing) {
        raft_reply_matched(raft, out);
    }
}

static bool view_holds(const struct raft *raft, struct mortar_position position)
{
    uint64_t term = 0;
    return position.index <= raft->log.last(raft->log.context).index &&
           raft->log.term_at(raft->log.context, position.index, &term) && term == position.term;
}

static void revert_lost_configs(struct raft *raft, uint64_t base_index, struct raft_effects *out)
{
    for (uint32_t i = 0; i < raft->uncommitted_count; i++) {
        const struct mortar_position position = raft->uncommitted[i].position;
        if (position.index <= base_index || view_holds(raft, position)) continue;
        raft_config_revert(raft, position.index, out);
        return;
    }
}

/* A session cuts only a suffix that conflicts with what the group committed, or replaces all by
 * a state, which moves the base. The first lowers the voting position as raft_truncate() does; the
 * second does not: what was acknowledged above the new base has yet to come back (C12). What was
 * appended after a cut is durable when the owner says so, not before. */
void raft_log_refresh(struct raft *raft, struct raft_effects *out)
{
    ASSERT(raft->role != MORTAR_LEADER);
    const struct mortar_position view_last = raft->log.last(raft->log.context);
    const struct mortar_position base = raft->log.base(raft->log.context).position;
    ASSERT(base.index >= raft->base_index);
    ASSERT(view_last.index >= raft->commit_index);
    const bool cut = base.index <= raft->last.index && !view_holds(raft, raft->last);
    const bool voting_was_held = raft->voting.index <= raft->last.index;
    if (cut && base.index == raft->base_index && voting_was_held &&
        !view_holds(raft, raft->voting) && mortar_position_compare(view_last, raft->voting) < 0) {
        MARK(VOTING_LOWERED_BY_SESSION);
        raft->voting = view_last;
    }
    /* An installed state brings its own configuration: what stood above the commit index is not
     * known to be any of the group's. */
    if (base.index > raft->commit_index) raft_config_revert(raft, 0, out);
    revert_lost_configs(raft, base.index, out);
    raft->last = view_last;
    raft->base_index = base.index;
    if (cut) raft->stored_index = raft_min(raft->stored_index, raft->commit_index);
    if (cut) {
        MARK(LOG_CUT_BY_SESSION);
        raft->matched = raft->commit_index;
    }
    if (view_last.term > raft->term) { /* Thesis 3.3; a founder's first entry, too. */
        raft_convert_follower(raft, view_last.term, &RAFT_NOBODY, &RAFT_NOBODY, out);
    }
    if (base.index > raft->commit_index) raft_commit_to(raft, base, out);
}
