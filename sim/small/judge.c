/* sim/small/judge.c - see sim/small/judge.h. */
#include "sim/small/judge.h"

#include "mortar/types.h"
#include "wire/message.h"

#include <string.h>

/* ---- One replica ---- */

void judge_reply(struct verdict *verdict, const struct small_message *message,
                 const struct small_log *log, const struct small_log *disk, bool in_session)
{
    if (in_session && message->reply.whole) {
        verdict_fail(verdict, "whole", "S%u says that it is whole while a session runs",
                     message->from);
    }
    if (message->reply.outcome != APPEND_MATCHED) return;
    const uint8_t match = message->reply.match;
    if (match > disk->count || match > log->count ||
        memcmp(disk->entries, log->entries, match * sizeof disk->entries[0]) != 0) {
        verdict_fail(verdict, "ack", "S%u acknowledges entry %u, durable are %u", message->from,
                     match, disk->count);
    }
}

void judge_request(struct verdict *verdict, const struct small_message *message,
                   const struct small_log *log)
{
    const struct small_position last = small_log_last(log);
    if (message->ask.last.index != last.index || message->ask.last.term != last.term) {
        verdict_fail(verdict, "claim", "S%u asks for votes by entry %u of term %u, has %u of %u",
                     message->from, message->ask.last.index, message->ask.last.term, last.index,
                     last.term);
    }
}

/* The configuration that a log puts in force; 0: none. */
static uint8_t config_in(const struct small_log *log)
{
    for (uint32_t i = log->count; i > 0; i--) {
        if (small_entry_kind(log->entries[i - 1]) == MORTAR_ENTRY_CONFIG) {
            return small_entry_config(log->entries[i - 1]);
        }
    }
    return 0;
}

void judge_replica(struct verdict *verdict, const struct small_mind *mind,
                   const struct small_log *log, const struct configs *configs)
{
    (void)configs;
    const uint32_t count = mind->uncommitted_count;
    const uint8_t force = count == 0 ? mind->committed.config : mind->uncommitted[count - 1].config;
    const uint8_t wanted = config_in(log);
    if (force != wanted) {
        verdict_fail(verdict, "config", "S%u follows configuration %u, its log says %u", mind->self,
                     force, wanted);
    }
}

/* ---- Majorities ---- */

typedef bool agrees(const struct judged_step *step, const struct small_history *history,
                    uint8_t member, uint8_t number);

/* More than half of each half agrees. A configuration without voters is nobody's. */
static bool majority(const struct judged_step *step, const struct small_history *history,
                     uint8_t config, agrees *asked, uint8_t number)
{
    uint32_t votes[2] = {0};
    uint32_t voters[2] = {0};
    const struct config *in_force = &step->configs->items[config];
    for (uint32_t i = 0; i < in_force->count; i++) {
        const struct config_member *member = &in_force->members[i];
        const bool yes = asked(step, history, small_number(&member->id), number);
        voters[0] += member->voter_old ? 1 : 0;
        votes[0] += member->voter_old && yes ? 1 : 0;
        voters[1] += member->voter_new ? 1 : 0;
        votes[1] += member->voter_new && yes ? 1 : 0;
    }
    const bool old_agrees = !in_force->joint || votes[0] * 2 > voters[0];
    return old_agrees && votes[1] * 2 > voters[1];
}

static bool has_voted(const struct judged_step *step, const struct small_history *history,
                      uint8_t member, uint8_t number)
{
    const struct small_glance *self = step->glances[member];
    if (member == step->actor) return self->saved_term == number && self->saved_vote == member;
    return history->vote[number][member] == step->actor;
}

/* Durably holds the actor's log up to `number`. */
static bool has_stored(const struct judged_step *step, const struct small_history *history,
                       uint8_t member, uint8_t number)
{
    (void)history;
    const struct small_log *disk = &step->glances[member]->disk;
    const struct small_log *log = &step->glances[step->actor]->main;
    return disk->count >= number &&
           memcmp(disk->entries, log->entries, number * sizeof disk->entries[0]) == 0;
}

/* ---- Votes and leaders ---- */

static void help(struct verdict *verdict, struct small_history *history, uint8_t term,
                 uint8_t voter, uint8_t candidate)
{
    uint8_t *vote = &history->vote[term][voter];
    if (*vote != 0 && *vote != candidate) {
        verdict_fail(verdict, "vote", "S%u voted for S%u in term %u, and now for S%u", voter, *vote,
                     term, candidate);
    }
    *vote = candidate;
}

static void judge_votes(struct verdict *verdict, const struct judged_step *step,
                        struct small_history *history)
{
    for (uint32_t i = 0; i < step->sent_count; i++) {
        const struct small_message *message = step->sent[i];
        if (message->term >= SMALL_TERMS) continue;
        if (message->type == MESSAGE_VOTE_REQUEST && !message->ask.pre) {
            help(verdict, history, message->term, message->from, message->from);
        }
        if (message->type == MESSAGE_VOTE_REPLY && message->vote.granted && !message->vote.pre) {
            help(verdict, history, message->term, message->from, message->to);
        }
    }
}

static void must_be_complete(struct verdict *verdict, const struct small_glance *leader,
                             const struct small_history *history)
{
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->commit_term[i] >= leader->term) continue;
        if (i < leader->main.count && leader->main.entries[i] == history->committed[i]) continue;
        verdict_fail(verdict, "complete", "S%u leads term %u without the committed entry %u",
                     leader->self, leader->term, i + 1);
        return;
    }
}

static void judge_leader(struct verdict *verdict, const struct judged_step *step,
                         struct small_history *history)
{
    const uint8_t term = step->facts->led_term;
    const struct small_glance *self = step->glances[step->actor];
    if (term == 0) return;
    if (history->leader[term] != 0 && history->leader[term] != step->actor) {
        verdict_fail(verdict, "leader", "S%u and S%u lead term %u", history->leader[term],
                     step->actor, term);
    }
    history->leader[term] = step->actor;
    help(verdict, history, term, step->actor, step->actor);
    must_be_complete(verdict, self, history);
    if (!majority(step, history, config_in(&step->before->main), has_voted, term)) {
        verdict_fail(verdict, "leader", "S%u leads term %u without a majority", step->actor, term);
    }
}

/* ---- Logs ---- */

static void judge_matching(struct verdict *verdict, const struct small_glance *a,
                           const struct small_glance *b)
{
    uint32_t common = a->main.count < b->main.count ? a->main.count : b->main.count;
    while (common > 0 && small_entry_term(a->main.entries[common - 1]) !=
                             small_entry_term(b->main.entries[common - 1]))
        common--;
    if (memcmp(a->main.entries, b->main.entries, common * sizeof a->main.entries[0]) == 0) return;
    verdict_fail(verdict, "matching", "S%u and S%u agree on entry %u, and not before it", a->self,
                 b->self, common);
}

/* Other leaders of later terms hold it too (thesis 3.6.3). */
static void judge_later_leaders(struct verdict *verdict, const struct judged_step *step,
                                const struct small_history *history)
{
    for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
        const struct small_glance *other = step->glances[i];
        if (other->role != MORTAR_LEADER || other->term <= step->glances[step->actor]->term)
            continue;
        must_be_complete(verdict, other, history);
    }
}

/* What counts is the configuration of the log as it was then: its first `log` entries. */
static void judge_quorum(struct verdict *verdict, const struct judged_step *step,
                         const struct small_history *history, uint8_t commit, uint8_t log)
{
    struct small_log then = step->glances[step->actor]->main;
    if (log < then.count) then.count = log;
    const struct small_glance *self = step->glances[step->actor];
    if (commit == 0 || commit > then.count ||
        small_entry_term(then.entries[commit - 1]) != self->term) {
        verdict_fail(verdict, "commit", "S%u commits entry %u, not of its term %u, by counting",
                     self->self, commit, self->term);
    }
    if (majority(step, history, config_in(&then), has_stored, commit)) return;
    verdict_fail(verdict, "commit", "S%u commits entry %u without a majority", step->actor, commit);
}

static void judge_commit(struct verdict *verdict, const struct judged_step *step,
                         struct small_history *history)
{
    const struct small_glance *self = step->glances[step->actor];
    const uint8_t commit = step->facts->commit;
    for (uint32_t i = 0; i < commit; i++) {
        const uint16_t entry = i < self->main.count ? self->main.entries[i] : 0;
        if (i >= history->count) {
            if (!step->facts->commit_led) {
                verdict_fail(verdict, "commit", "S%u takes entry %u for committed: no leader did",
                             step->actor, i + 1);
            }
            history->committed[i] = entry;
            history->commit_term[i] = self->term;
            history->count = (uint8_t)(i + 1);
        } else if (history->committed[i] != entry) {
            verdict_fail(verdict, "commit", "entry %u was committed with term %u, at S%u with %u",
                         i + 1, small_entry_term(history->committed[i]), step->actor,
                         small_entry_term(entry));
        }
    }
    if (commit == 0 || !step->facts->commit_led) return;
    judge_quorum(verdict, step, history, commit, step->facts->commit_log);
    if (step->facts->commit_before != 0) {
        judge_quorum(verdict, step, history, step->facts->commit_before,
                     step->facts->commit_before_log);
    }
    judge_later_leaders(verdict, step, history);
}

static void judge_reads(struct verdict *verdict, const struct judged_step *step,
                        struct small_history *history)
{
    const struct small_facts *facts = step->facts;
    if (facts->round != 0 && facts->read_index < history->count) {
        history->stale_member = step->actor;
        history->stale_round = facts->round;
    }
    if (history->stale_member != step->actor) return;
    if (facts->confirmed != 0 && facts->confirmed >= history->stale_round) {
        verdict_fail(verdict, "read", "S%u answers a read that misses what was committed before",
                     step->actor);
    }
    if (step->glances[step->actor]->role == MORTAR_LEADER) return;
    history->stale_member = 0; /* Nobody answers it any more. */
    history->stale_round = 0;
}

void judge_step(struct verdict *verdict, const struct judged_step *step,
                struct small_history *history)
{
    judge_reads(verdict, step, history);
    judge_votes(verdict, step, history);
    judge_leader(verdict, step, history);
    judge_commit(verdict, step, history);
    for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
        if (i != step->actor) judge_matching(verdict, step->glances[i], step->glances[step->actor]);
    }
}
