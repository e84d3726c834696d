/* raft/on_append.c - the follower's side of replication (thesis 3.5, C3).
 *
 * Replies tell only what is durable: a MATCHED reply waits for STORED, except that a heartbeat is
 * answered at once with what is durable already, so that a slow disk does not look like a dead
 * member. Where it is quiet, word of a commit is not answered: what it matches was, or will be.
 */
#include "raft/internal.h"

struct append_reply *raft_reply(const struct raft *raft, enum append_outcome outcome,
                                struct raft_effects *out)
{
    struct raft_effect *effect = raft_push(out, RAFT_SEND);
    effect->send.to = raft->leader;
    effect->send.message = MESSAGE_APPEND_REPLY;
    effect->send.append_reply = (struct append_reply){
        .term = raft->term,
        .outcome = outcome,
        .last = raft->last,
        .round = raft->round_seen,
        .sync_id = raft->leader_sync_id,
        .commit_index = raft->commit_index,
        .whole = (!raft->syncing || BUG(HOLE_IS_WHOLE)) &&
                 mortar_position_compare(raft->last, raft->voting) >= 0,
    };
    return &effect->send.append_reply;
}

void raft_reply_matched(struct raft *raft, struct raft_effects *out)
{
    const uint64_t durable = BUG(ACK_BEFORE_DURABLE) ? raft->last.index : raft->stored_index;
    const uint64_t match = raft_min(durable, raft->matched);
    raft_voting_raise(raft, match); /* C12: from now on it is acknowledged. */
    raft->reply_waiting = match < raft->matched;
    raft_reply(raft, APPEND_MATCHED, out)->match_index = match;
}

void raft_reply_mismatch(const struct raft *raft, struct mortar_position hint,
                         struct raft_effects *out)
{
    struct append_reply *reply = raft_reply(raft, APPEND_MISMATCH, out);
    reply->hint = hint;
    reply->first_missing = raft->last.index + 1;
}

/* Thesis 3.3: a sender of an earlier term is told ours, and steps down. */
static void reply_stale(const struct raft *raft, const struct mortar_member_id *to,
                        struct raft_effects *out)
{
    struct append_reply *reply = raft_reply(raft, APPEND_MISMATCH, out);
    out->items[out->count - 1].send.to = *to;
    reply->round = 0;
    reply->sync_id = 0;
    reply->hint = raft->last;
    reply->first_missing = raft->last.index + 1;
}

/* Thesis 3.4: whoever sends appends in a term leads it, and there is only one. */
static bool follow(struct raft *raft, const struct mortar_member_id *from, uint64_t term,
                   struct raft_effects *out)
{
    const bool later = term > raft->term;
    if (!later && !mortar_member_id_is_none(&raft->leader) &&
        !mortar_member_id_equal(&raft->leader, from)) {
        raft_ignore(raft, from, MESSAGE_APPEND_REQUEST, RAFT_IGNORED_TWO_LEADERS);
        return false;
    }
    const struct mortar_member_id vote = later ? RAFT_NOBODY : raft->voted_for;
    raft_convert_follower(raft, term, &vote, from, out);
    raft->leader_silent = 0;
    raft->election_elapsed = 0; /* Thesis 3.4; the timeout itself is drawn when it is armed. */
    return true;
}

/* A long message occupies the lane for a while: its parts count as heartbeats of the leader that we
 * follow (C8), and are answered like them, once per heartbeat, so that the leader hears from its
 * majority too (6.2). */
void raft_on_heard(struct raft *raft, const struct mortar_member_id *from, uint64_t term,
                   struct raft_effects *out)
{
    if (raft->role != MORTAR_FOLLOWER || term != raft->term) return;
    if (mortar_member_id_is_none(from) || !mortar_member_id_equal(&raft->leader, from)) return;
    raft->leader_silent = 0;
    raft->election_elapsed = 0;
    if (raft->unanswered_ticks < raft->options.heartbeat_ticks) return;
    MARK(PART_ANSWERED);
    raft->unanswered_ticks = 0;
    if (raft->syncing) {
        raft_tail_answer(raft, out);
    } else {
        raft_reply_matched(raft, out);
    }
}

enum place { PLACE_MATCHES, PLACE_MISSING, PLACE_FOREIGN };

/* Where the entries are to follow (thesis 3.5, the consistency check). Below the commit index
 * every leader agrees with us (3.6.3); one that does not is none. */
static enum place locate(const struct raft *raft, struct mortar_position prev)
{
    uint64_t term = 0;
    const bool known = raft_term_at(raft, prev.index, &term);
    if (known && term == prev.term) return PLACE_MATCHES;
    if (prev.index <= raft->commit_index) return known ? PLACE_FOREIGN : PLACE_MATCHES;
    return PLACE_MISSING;
}

/* Thesis 3.5, back-up by term: nothing of ours above the hint can be the leader's. */
static void mismatch(const struct raft *raft, struct mortar_position prev, struct raft_effects *out)
{
    struct mortar_position hint = raft_position_at(raft, raft->commit_index);
    const uint64_t high = raft_min(prev.index, raft->last.index);
    (void)raft_last_with_term(raft, raft->commit_index, high, prev.term, &hint);
    MARK(APPEND_MISMATCH);
    RAFT_TRACE(raft, MISMATCH, &raft->leader, prev.index, raft->last.index, hint.index, 0);
    raft_reply_mismatch(raft, hint, out);
}

/* The bytes were verified by the owner where it could; shape, order and terms are checked here. */
bool raft_next_record(struct reader *records, const struct append_request *message,
                      struct mortar_position *after, struct mortar_entry *out_entry)
{
    struct mortar_entry entry;
    if (record_decode(records, &entry) != MORTAR_OK) return false;
    if (entry.index != after->index + 1) return false;
    if (entry.term < after->term || entry.term > message->term) return false;
    *after = (struct mortar_position){.index = entry.index, .term = entry.term};
    *out_entry = entry;
    return true;
}

/* What to do with the entries of one append; decided before anything changes. */
struct intake {
    struct mortar_position end;   /* Of what is taken or was there already. */
    uint64_t cut_index;           /* First conflict; 0: none. */
    struct mortar_position first; /* First to append; index 0: none. */
    size_t offset;
    uint32_t count;
    uint32_t config_count;
    struct mortar_position commit; /* Last of `end` within the leader's commit index, or zero. */
};

/* How many configurations still fit above the commit index, once `cut_index` on is gone. */
static uint32_t config_room(const struct raft *raft, uint64_t cut_index)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < raft->uncommitted_count; i++) {
        if (cut_index == 0 || raft->uncommitted[i].position.index < cut_index) kept++;
    }
    return RAFT_CONFIGS_MAX - kept;
}

static bool is_config(const struct mortar_entry *entry)
{
    return entry->kind == MORTAR_ENTRY_CONFIG || entry->kind == MORTAR_ENTRY_FOUND;
}

/* 0: taken. RAFT_IGNORED_MALFORMED: names no valid configuration. `*out_full` ends the intake. */
static bool plan_new(struct raft *raft, const struct mortar_entry *entry, size_t offset,
                     struct intake *intake, bool *out_full)
{
    if (is_config(entry)) {
        if (!raft_config_decode(raft, entry)) return false;
        if (intake->config_count == config_room(raft, intake->cut_index)) {
            MARK(CONFIGS_FULL);
            *out_full = true;
            return true;
        }
        intake->config_count++;
    }
    if (intake->count == 0) {
        intake->first = (struct mortar_position){.index = entry->index, .term = entry->term};
        intake->offset = offset;
    }
    intake->count++;
    return true;
}

/* The rules of thesis figure 3.1, AppendEntries 3 and 4: keep what is equal, cut from the first
 * conflict, append the rest. False: the message is foreign; `*out_reason` says why. */
static bool plan(struct raft *raft, const struct append_request *message, struct intake *intake,
                 enum raft_ignored *out_reason)
{
    struct reader records = reader_over(message->entries);
    struct mortar_position after = message->prev;
    *intake = (struct intake){.end = message->prev};
    bool full = false;
    for (uint32_t i = 0; i < message->count; i++) {
        const size_t offset = message->entries.bytes - records.bytes;
        struct mortar_entry entry;
        *out_reason = RAFT_IGNORED_MALFORMED;
        if (!raft_next_record(&records, message, &after, &entry)) return false;
        if (full) continue; /* Still read, so that a broken run is refused as a whole. */

        uint64_t term = 0;
        const bool known = intake->count == 0 && raft_term_at(raft, entry.index, &term);
        const bool committed = entry.index <= raft->commit_index;
        if (known && term != entry.term) {
            *out_reason = committed ? RAFT_IGNORED_COMMITTED : RAFT_IGNORED_CONTRADICTION;
            if (committed || entry.index <= raft->matched) return false;
            MARK(APPEND_CONFLICTS);
            intake->cut_index = entry.index;
        }
        const bool is_new = !committed && (!known || term != entry.term);
        *out_reason = RAFT_IGNORED_MALFORMED;
        if (is_new && !plan_new(raft, &entry, offset, intake, &full)) return false;
        if (full) continue;
        intake->end = after;
        if (entry.index <= message->commit_index) intake->commit = after;
    }
    *out_reason = RAFT_IGNORED_MALFORMED;
    return records.bytes == 0;
}

/* A configuration is in force as soon as it is in the log (thesis 4.1). */
static void push_configs(struct raft *raft, const struct append_request *message,
                         const struct intake *intake, struct raft_effects *out)
{
    struct reader records = reader_over((struct mortar_bytes){
        message->entries.data + intake->offset, message->entries.bytes - intake->offset});
    struct mortar_position after = {.index = intake->first.index - 1, .term = 0};
    for (uint32_t i = 0; i < intake->count; i++) {
        struct mortar_entry entry;
        const bool valid = raft_next_record(&records, message, &after, &entry);
        ASSERT(valid); /* plan() has read it. */
        if (!is_config(&entry)) continue;
        const bool decoded = raft_config_decode(raft, &entry);
        ASSERT(decoded);
        raft_config_push(raft, after, &raft->config_scratch, out);
    }
}

static void take(struct raft *raft, const struct append_request *message,
                 const struct intake *intake, struct raft_effects *out)
{
    if (intake->cut_index != 0) raft_truncate(raft, intake->cut_index, out);
    if (intake->count == 0) return;
    ASSERT(intake->first.index == raft->last.index + 1);
    ASSERT(raft->term >= intake->end.term); /* C3: our term was saved before. */
    struct raft_effect *effect = raft_push(out, RAFT_APPEND_FOREIGN);
    effect->append_foreign.first = intake->first;
    effect->append_foreign.offset = intake->offset;
    effect->append_foreign.count = intake->count;
    RAFT_TRACE(raft, APPEND, &raft->leader, intake->first.index, intake->count, raft->term, 0);
    raft->last = intake->end;
    if (intake->config_count > 0) push_configs(raft, message, intake, out);
}

/* Thesis figure 3.1, AppendEntries 5, sharpened: not beyond what is known to be the leader's. */
static void follow_commit(struct raft *raft, uint64_t leader_commit,
                          struct mortar_position in_message, struct raft_effects *out)
{
    const uint64_t known = BUG(COMMIT_BEYOND_MATCH) ? raft->last.index : raft->matched;
    const uint64_t index = raft_min(leader_commit, known);
    if (index <= raft->commit_index) {
        MARK(COMMIT_KNOWN);
        return;
    }
    const bool just_came = in_message.index == index;
    raft_commit_to(raft, just_came ? in_message : raft_position_at(raft, index), out);
}

static void on_match(struct raft *raft, const struct append_request *message,
                     struct raft_effects *out)
{
    struct intake intake;
    enum raft_ignored reason = RAFT_IGNORED_MALFORMED;
    if (!plan(raft, message, &intake, &reason)) {
        raft_ignore(raft, &raft->leader, MESSAGE_APPEND_REQUEST, reason);
        return;
    }
    take(raft, message, &intake, out);
    const bool news = intake.end.index > raft->matched;
    raft->matched = raft_max(raft->matched, intake.end.index);
    if (BUG(ACK_UNMATCHED)) raft->matched = raft->last.index;
    follow_commit(raft, message->commit_index, intake.commit, out);
    if (message->quiet && !news) {
        MARK(QUIET_UNANSWERED);
        return;
    }
    raft->reply_waiting = true;
    if (raft->stored_index < intake.end.index && message->count == 0) MARK(HEARTBEAT_BEFORE_STORED);
    const bool stored = raft->stored_index >= intake.end.index || BUG(ACK_BEFORE_DURABLE);
    if (message->count == 0 || stored) {
        raft_reply_matched(raft, out);
    }
}

/* While a session runs, entries never go to the main log: it belongs to the session. What is known
 * about the leader's commit index still holds. */
static void on_append_in_session(struct raft *raft, const struct append_request *message,
                                 enum place place, struct raft_effects *out)
{
    if (place == PLACE_MATCHES) {
        raft->matched = raft_max(raft->matched, message->prev.index);
        follow_commit(raft, message->commit_index, (struct mortar_position){0}, out);
    }
    if (message->sync_id != 0) {
        if (place == PLACE_MATCHES) MARK(TAIL_WHERE_LOG_MATCHES);
        raft_tail_on_append(raft, message, out);
    } else if (place == PLACE_MATCHES) {
        raft_tail_refuse(raft, 0, out);
    } else {
        mismatch(raft, message->prev, out);
    }
}

/* The refusal goes first: the owner may begin the session while it carries out SYNC_OPEN, and what
 * is said then must be the last word. Only at the leader's base: that is committed, and all below
 * it can be fetched; elsewhere the refusal brings the leader back to its base. */
static void open_session(struct raft *raft, const struct append_request *message,
                         struct raft_effects *out)
{
    raft_tail_refuse(raft, 0, out);
    if (!mortar_position_equal(message->prev, message->tail_base.position)) {
        MARK(SESSION_NOT_AT_BASE);
        return;
    }
    MARK(SESSION_WANTED);
    struct raft_effect *effect = raft_push(out, RAFT_SYNC_OPEN);
    effect->sync_open.prev = message->prev;
    effect->sync_open.leader_commit = message->commit_index;
    effect->sync_open.sync_id = message->sync_id;
}

void raft_on_append_request(struct raft *raft, const struct mortar_member_id *from,
                            const struct append_request *message, struct raft_effects *out)
{
    if (message->term < raft->term) {
        MARK(APPEND_STALE);
        reply_stale(raft, from, out);
        return;
    }
    if (!follow(raft, from, message->term, out)) return;
    raft->round_seen = raft_max(raft->round_seen, message->round);
    raft->leader_sync_id = message->sync_id;

    const enum place place = locate(raft, message->prev);
    if (place == PLACE_FOREIGN) {
        raft_ignore(raft, from, MESSAGE_APPEND_REQUEST, RAFT_IGNORED_COMMITTED);
    } else if (raft->syncing) {
        on_append_in_session(raft, message, place, out);
    } else if (place == PLACE_MATCHES) {
        on_match(raft, message, out);
    } else if (message->sync_id != 0) {
        open_session(raft, message, out);
    } else {
        mismatch(raft, message->prev, out);
    }
}
