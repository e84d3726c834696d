/* group/check.c - what must hold between any two events. */
#include "base/assert.h"
#include "group/internal.h"

static void check_positions(const struct mortar_core *core)
{
    const struct mortar_anchor_point base = log_base(core);
    const struct mortar_position last = log_last(core);
    ASSERT(base.position.index <= last.index);
    ASSERT(core->committed.index <= last.index);
    ASSERT(core->committed.index >= base.position.index);
    ASSERT(core->state.applied.position.index <= core->committed.index);
    ASSERT(core->stored <= last.index);
    ASSERT(raft_commit_index(core->raft) == core->committed.index);
    ASSERT(raft_term(core->raft) >= last.term); /* C3 */
    uint64_t term;
    if (log_term_at(core, core->committed.index, &term)) ASSERT(term == core->committed.term);
}

static void check_applied(const struct mortar_core *core)
{
    const struct mortar_anchor_point *applied = &core->state.applied;
    struct mortar_log_sum sum;
    if (!log_sum_at(core, applied->position.index, &sum)) return;
    ASSERT(mortar_log_sum_equal(sum, applied->sum));
}

static void check_sync(const struct mortar_core *core)
{
    struct mortar_anchor_point base;
    struct mortar_position last;
    const bool tail = log_tail(core, &base, &last);
    if (tail) ASSERT(core->session_open); /* Without a session nothing would ever adopt it. */
    if (tail) ASSERT(last.index >= base.position.index);
    if (core->session_open) ASSERT(raft_syncing(core->raft));
    if (raft_syncing(core->raft)) ASSERT(core->session_open);
    ASSERT(core->lease_count <= MORTAR_MEMBERS_MAX);
}

static void check_requests(const struct mortar_core *core)
{
    const uint32_t listed = core->queued.count + core->proposed.count + core->forwarded.count +
                            core->limbo.count + core->changes.count + core->transfers.count;
    ASSERT(listed == core->requests_count);
    uint64_t index = 0;
    for (const struct request *next = core->proposed.head; next != NULL; next = next->next) {
        ASSERT(next->first.index > index);
        ASSERT(next->last.index >= next->first.index);
        index = next->last.index;
    }
}

void mortar_core_check(struct mortar_core *core)
{
    if (core->failure != MORTAR_OK) return;
    raft_check(core->raft);
    check_positions(core);
    check_applied(core);
    check_sync(core);
    check_requests(core);
    ASSERT(core->saves_pending > 0 || core->held.count == 0);
}
