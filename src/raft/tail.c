/* raft/tail.c - the follower's side while a session runs: the live tail (design 6.2, C12).
 *
 * The leader sends every entry above `tail_base`, its commit position when the episode began. They
 * go to the tail range, above the hole that the session fills; the main log is the session's.
 * Entries in the tail are never acknowledged as matched, and never count in votes.
 *
 * A SYNCING reply tells what of the tail is known to equal the leader's log. It refuses
 * (`first_missing` is not 0) when the entries did not follow on it, or when the budget cut them
 * short; the leader then goes back to `tail_index` + 1, or to its base when that is 0.
 */
#include "raft/internal.h"

static void tail_reply(const struct raft *raft, uint64_t tail_index, uint64_t first_missing,
                       struct raft_effects *out)
{
    const bool acks = BUG(TAIL_ACKNOWLEDGED) && tail_index != 0 && first_missing == 0;
    struct append_reply *reply = raft_reply(raft, acks ? APPEND_MATCHED : APPEND_SYNCING, out);
    reply->match_index = acks ? tail_index : 0;
    reply->tail_index = tail_index;
    reply->first_missing = first_missing;
}

void raft_tail_answer(const struct raft *raft, struct raft_effects *out)
{
    tail_reply(raft, raft->tail_matched, 0, out);
}

void raft_tail_refuse(const struct raft *raft, uint64_t tail_index, struct raft_effects *out)
{
    const uint64_t held = tail_index != 0 ? tail_index : raft->last.index;
    tail_reply(raft, tail_index, held + 1, out);
}

struct tail {
    bool open;
    struct mortar_position base;
    struct mortar_position last;
};

static struct tail look_at_tail(const struct raft *raft)
{
    struct tail tail = {0};
    struct mortar_anchor_point base = {0};
    tail.open = raft->log.tail(raft->log.context, &base, &tail.last);
    tail.base = base.position;
    return tail;
}

bool raft_tail_last(const struct raft *raft, struct mortar_position *out_last)
{
    const struct tail tail = look_at_tail(raft);
    if (tail.open) *out_last = tail.last;
    return tail.open;
}

static bool tail_term_at(const struct raft *raft, const struct tail *tail, uint64_t index,
                         uint64_t *out_term)
{
    if (index < tail->base.index || index > tail->last.index) return false;
    if (index == tail->base.index) {
        *out_term = tail->base.term;
        return true;
    }
    return raft->log.tail_term_at(raft->log.context, index, out_term);
}

static bool tail_holds(const struct raft *raft, const struct tail *tail,
                       struct mortar_position position)
{
    uint64_t term = 0;
    return tail->open && tail_term_at(raft, tail, position.index, &term) && term == position.term;
}

static uint64_t tail_room(const struct raft *raft)
{
    if (raft->log.tail_room == NULL) return UINT64_MAX;
    return raft->log.tail_room(raft->log.context);
}

struct tail_intake {
    struct mortar_position end;
    uint64_t cut_index; /* First conflict; 0: none. */
    struct mortar_position first;
    size_t offset;
    uint32_t count;
    bool stalled;
    uint64_t room; /* Left when all of it is taken. */
};

/* As plan() of on_append.c, and no more than the budget of the tail allows: C9. */
static bool plan_tail(const struct raft *raft, const struct append_request *message,
                      const struct tail *tail, struct tail_intake *intake)
{
    struct reader records = reader_over(message->entries);
    struct mortar_position after = message->prev;
    *intake = (struct tail_intake){.end = message->prev};
    uint64_t room = tail_room(raft);
    for (uint32_t i = 0; i < message->count; i++) {
        const size_t left = records.bytes;
        struct mortar_entry entry;
        if (!raft_next_record(&records, message, &after, &entry)) return false;
        if (intake->stalled) continue;

        uint64_t term = 0;
        const bool known = intake->count == 0 && tail_term_at(raft, tail, entry.index, &term);
        if (known && term == entry.term) {
            intake->end = after;
            continue;
        }
        const size_t bytes = left - records.bytes;
        if (known) intake->cut_index = entry.index;
        if (bytes > room) {
            MARK(TAIL_BUDGET_SPENT);
            intake->stalled = true;
            continue;
        }
        room -= bytes;
        if (intake->count == 0) {
            intake->first = after;
            intake->offset = message->entries.bytes - left;
        }
        intake->count++;
        intake->end = after;
    }
    intake->room = room;
    return records.bytes == 0;
}

static void take_tail(const struct raft *raft, const struct tail *tail,
                      const struct tail_intake *intake, struct raft_effects *out)
{
    if (intake->cut_index != 0) {
        MARK(TAIL_CUT);
        RAFT_TRACE(raft, TAIL_CUT, NULL, intake->cut_index, tail->last.index, 0, 0);
        raft_push(out, RAFT_TAIL_TRUNCATE)->index = intake->cut_index;
    }
    if (intake->count == 0) return;
    struct raft_effect *effect = raft_push(out, RAFT_TAIL_APPEND);
    effect->append_foreign.first = intake->first;
    effect->append_foreign.offset = intake->offset;
    effect->append_foreign.count = intake->count;
}

/* A heartbeat is refused while the budget has not grown since it cut an append short: else the
 * leader would send the same entries again for nothing. */
static bool still_stalled(struct raft *raft, const struct append_request *message,
                          const struct tail_intake *intake)
{
    if (intake->stalled) {
        raft->tail_stalled = true;
        raft->tail_stalled_room = intake->room;
    } else if (message->count > 0 || intake->room > raft->tail_stalled_room) {
        MARK(TAIL_TAKES);
        raft->tail_stalled = false;
    }
    if (raft->tail_stalled && message->count == 0) MARK(TAIL_STILL_STALLED);
    return raft->tail_stalled;
}

/* 1. prev is in the tail, whoever sent that: it goes on from there (C6).
 * 2. prev is the leader's base: the tail is opened there; what an open one held was no use.
 * 3. Neither: the leader is told where to go on. */
void raft_tail_on_append(struct raft *raft, const struct append_request *message,
                         struct raft_effects *out)
{
    ASSERT(raft->syncing);
    struct tail tail = look_at_tail(raft);
    if (!tail.open) raft->tail_matched = 0;
    const bool holds = tail_holds(raft, &tail, message->prev);
    const bool at_base = mortar_position_equal(message->prev, message->tail_base.position);
    if (!holds && !at_base) {
        MARK(TAIL_ELSEWHERE);
        raft_tail_refuse(raft, raft->tail_matched, out);
        return;
    }
    const struct tail fresh = {.open = true, .base = message->prev, .last = message->prev};
    struct tail_intake intake;
    if (!plan_tail(raft, message, holds ? &tail : &fresh, &intake)) {
        raft_ignore(raft, &raft->leader, MESSAGE_APPEND_REQUEST, RAFT_IGNORED_MALFORMED);
        return;
    }
    if (!holds) {
        raft->tail_matched = 0;
        MARK(TAIL_OPENED);
        raft_push(out, RAFT_TAIL_OPEN)->anchor = message->tail_base;
    }
    if (holds && raft->tail_matched == 0) MARK(TAIL_GOES_ON);
    take_tail(raft, holds ? &tail : &fresh, &intake, out);
    raft->tail_matched = raft_max(raft->tail_matched, intake.end.index);
    if (still_stalled(raft, message, &intake)) {
        raft_tail_refuse(raft, raft->tail_matched, out);
    } else {
        tail_reply(raft, raft->tail_matched, 0, out);
    }
}

/* The leader may send the tail now. */
void raft_on_sync_begun(struct raft *raft, struct raft_effects *out)
{
    if (raft->role == MORTAR_LEADER) return; /* It was elected meanwhile; what it holds is it. */
    raft->syncing = true;
    raft->reply_waiting = false;
    raft->tail_stalled = false;
    raft->tail_matched = 0;
    if (mortar_member_id_is_none(&raft->leader) || raft->leader_sync_id == 0) return;
    tail_reply(raft, 0, 0, out);
}

/* The log is whole up to its end, tail adopted or not: the leader goes on from there at once. */
void raft_on_sync_ended(struct raft *raft, struct raft_effects *out)
{
    if (raft->role == MORTAR_LEADER) return;
    raft_log_refresh(raft, out);
    raft->syncing = false;
    raft->tail_stalled = false;
    raft->tail_matched = 0;
    if (mortar_member_id_is_none(&raft->leader)) return;
    raft_reply_mismatch(raft, raft->last, out);
}

/* The session vouches for it: its entries were verified against what the group committed (C4). */
void raft_on_sync_committed(struct raft *raft, uint64_t index, struct raft_effects *out)
{
    if (raft->role == MORTAR_LEADER) return;
    raft_log_refresh(raft, out);
    const uint64_t within = raft_min(index, raft->last.index);
    if (within > raft->commit_index) raft_commit_to(raft, raft_position_at(raft, within), out);
}
