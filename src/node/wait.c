#include "node/wait.h"

enum mortar_status wait_check(const struct mortar_condition *condition)
{
    const unsigned kind = (unsigned)condition->kind;
    return kind >= MORTAR_UNTIL_LEADER_ELECTED && kind <= MORTAR_UNTIL_BONDS_CHANGED
               ? MORTAR_OK
               : MORTAR_E_INVALID;
}

static void see_log(struct call_wait *wait, const struct wait_view *view)
{
    uint64_t term;
    wait->seen_last = view->status->last;
    wait->seen_sum_known =
        view->sum_at(view->context, wait->seen_last.index, &term, &wait->seen_sum);
}

void wait_begin(struct call_wait *wait, const struct wait_view *view)
{
    const struct mortar_core_status *const status = view->status;
    wait->leader_known = status->leader_known;
    wait->leader = status->leader;
    wait->committed = status->committed.index;
    wait->bonds_version = view->bonds_version;
    wait->first_last = status->last;
    see_log(wait, view);
}

/* The log was cut when the entry that was its last is gone, or is another one. An entry that was
 * pruned since says nothing. */
static bool log_was_cut(struct call_wait *wait, const struct wait_view *view)
{
    const struct mortar_position seen = wait->seen_last;
    const struct mortar_log_sum seen_sum = wait->seen_sum;
    const bool seen_known = wait->seen_sum_known;
    see_log(wait, view);
    if (view->status->last.index < seen.index) return true;
    uint64_t term;
    struct mortar_log_sum sum;
    if (!view->sum_at(view->context, seen.index, &term, &sum)) return false;
    return term != seen.term || (seen_known && !mortar_log_sum_equal(sum, seen_sum));
}

static bool leader_is(const struct mortar_core_status *status, const struct mortar_member_id *id)
{
    return status->leader_known && mortar_member_id_equal(&status->leader, id);
}

static uint32_t voter_count(const struct mortar_core_status *status)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < status->member_count; i++)
        count += status->members[i].voter ? 1 : 0;
    return count;
}

static bool self_is_voter(const struct mortar_core_status *status)
{
    for (uint32_t i = 0; i < status->member_count; i++) {
        const struct mortar_member_status *const member = &status->members[i];
        if (mortar_member_id_equal(&member->id, &status->self)) return member->voter;
    }
    return false;
}

bool wait_holds(struct call_wait *wait, const struct wait_view *view)
{
    const struct mortar_core_status *const status = view->status;
    const struct mortar_condition *const condition = &wait->condition;
    switch (condition->kind) {
    case MORTAR_UNTIL_LEADER_ELECTED:
        return status->leader_known;
    case MORTAR_UNTIL_LEADER_CHANGED:
        return status->leader_known && !(wait->leader_known && leader_is(status, &wait->leader));
    case MORTAR_UNTIL_LEADER_IS:
        return leader_is(status, &condition->member);
    case MORTAR_UNTIL_IS_LEADER:
        return status->role == MORTAR_LEADER;
    case MORTAR_UNTIL_IS_FOLLOWER:
        return status->role != MORTAR_LEADER;
    case MORTAR_UNTIL_ONLINE:
        return status->online;
    case MORTAR_UNTIL_OFFLINE:
        return !status->online;
    case MORTAR_UNTIL_COMMITTED:
        return status->committed.index >= condition->index;
    case MORTAR_UNTIL_COMMIT_ADVANCED:
        return status->committed.index > wait->committed;
    case MORTAR_UNTIL_APPLIED:
        return status->applied >= condition->index;
    case MORTAR_UNTIL_LOG_REACHES:
        return status->last.index >= condition->index;
    case MORTAR_UNTIL_LOG_ADVANCED:
        return status->last.index > wait->first_last.index;
    case MORTAR_UNTIL_LOG_CHANGED:
        return !mortar_position_equal(status->last, wait->first_last);
    case MORTAR_UNTIL_LOG_REVERTED:
        return log_was_cut(wait, view);
    case MORTAR_UNTIL_VOTER:
        return self_is_voter(status);
    case MORTAR_UNTIL_MEMBERS:
        return status->member_count == condition->index;
    case MORTAR_UNTIL_VOTERS:
        return !status->joint && voter_count(status) == condition->index;
    case MORTAR_UNTIL_BONDS_CHANGED:
        return view->bonds_version != wait->bonds_version;
    }
    return false;
}
