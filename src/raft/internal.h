/* raft/internal.h - what the files of this folder share: the state of one replica, and the verbs.
 *
 * One idea per file; each non-static function is declared here under the file that holds it.
 *
 *   raft.c             open, step, inspection
 *   convert.c          the only place where roles change
 *   election.c         ticks, timers, campaigns
 *   vote.c             vote messages
 *   on_append.c        follower: entries
 *   tail.c             follower: entries while a session runs
 *   on_append_reply.c  leader: answers
 *   replicate.c        leader: what is sent, and when
 *   progress.c         leader: the gate per follower
 *   rounds.c           leader: which learners keep up
 *   commit.c           what is committed
 *   quorum.c           majorities, pure arithmetic
 *   members.c          table of members, and what a majority of them reaches
 *   membership.c       configurations
 *   read.c             read-index rounds
 *   transfer.c         a leader hands over
 *   log.c              the log, as far as raft knows it
 *   check.c            every invariant
 *
 * Effects are carried out after the step, so within a step the log view shows the log before it;
 * `last` below is ahead of the view by what this step appended.
 *
 * Memory: struct raft is the one block. Threads, errors: as raft.h.
 */
#ifndef RAFT_INTERNAL_H
#define RAFT_INTERNAL_H

#include "base/assert.h"
#include "base/bug.h"
#include "base/mark.h"
#include "base/prng.h"
#include "raft/raft.h"
#include "wire/found.h"
#include "wire/record.h"

/* Configurations above the commit index that a log may hold here. A correct leader makes two at
 * most; a lagging follower sees more until it learns the commit index, and takes a part then. */
#define RAFT_CONFIGS_MAX 8u
/* Members of the latest and of the committed configuration together. */
#define RAFT_TABLE_MAX (2u * MORTAR_MEMBERS_MAX)

/* Why a message or a part of it was ignored: the second number of the IGNORED trace. */
enum raft_ignored {
    RAFT_IGNORED_FROM_SELF = 1,
    RAFT_IGNORED_STALE_TERM = 2,
    RAFT_IGNORED_STICKY = 3,      /* A leader was heard a moment ago (thesis 4.2.3, 9.6). */
    RAFT_IGNORED_TWO_LEADERS = 4, /* Another member claims a term that has a leader. */
    RAFT_IGNORED_COMMITTED = 5,   /* It contradicts what is committed. */
    RAFT_IGNORED_MALFORMED = 6,   /* Records that are no run, or name no valid configuration. */
    RAFT_IGNORED_NOT_LEADER = 7,
    RAFT_IGNORED_NOT_MEMBER = 8,
    RAFT_IGNORED_STALE_EPISODE = 9, /* Answers an episode of SYNC that is over. */
    RAFT_IGNORED_BEYOND_LOG = 10,   /* Acknowledges what was never sent. */
    RAFT_IGNORED_ROLE = 11,         /* A vote that nobody asked for, or that came too late. */
    RAFT_IGNORED_TYPE = 12,         /* A message that is not for raft. */
    RAFT_IGNORED_CONTRADICTION = 13 /* The leader contradicts what it sent earlier in its term. */
};

/* Catch-up rounds (thesis 4.2.1): after so many that were slow a member rests, for so many of the
 * least election timeouts. */
#define RAFT_ROUNDS_MAX  10u
#define RAFT_ROUNDS_REST 5u
struct raft_rounds {
    uint64_t goal;  /* The round is over when so much matches. */
    uint64_t ticks; /* Since the round began, or the rest. */
    uint32_t slow;  /* Rounds in a row; at RAFT_ROUNDS_MAX it rests. */
    bool prompt;    /* The last round was. */
};

/* One member of the latest or the committed configuration, ourselves too. */
struct raft_member {
    struct mortar_member_id id;
    bool self;
    bool listed; /* In the latest configuration; the others only wait for its commit. */
    bool voter_old;
    bool voter_new;
    bool observer;
    bool linked;           /* True until a LINK event says otherwise. */
    bool granted;          /* Voted for us in the election that runs. */
    uint64_t silent_ticks; /* Since its last message, whatever it was. */

    /* The rest is the leader's view, void in other roles. */
    enum raft_progress_state state; /* Changed by raft_progress_move() alone. */
    bool waiting;                   /* PROBE, or a tail that probes: the one append is under way. */
    bool tail_probing;              /* SYNC: one append at a time until the tail takes one. */
    bool heartbeat_due;
    bool whole; /* As the member reported. */
    struct raft_rounds rounds;
    uint64_t next;   /* First entry not sent yet; in SYNC, of the tail. */
    uint64_t match;  /* Durable there, equal to our log. Never falls within a term. */
    uint64_t commit; /* As the member reported. */
    uint64_t commit_sent;
    uint64_t round;      /* Highest read round that it echoed. */
    uint64_t sync_id;    /* Of the latest episode of SYNC; 0: none in this term. */
    uint64_t tail_acked; /* SYNC: what its tail range holds. */
    struct mortar_anchor_point tail_base;
};

struct raft_config_slot {
    struct mortar_position position; /* Of the entry. Index 0: none. */
    struct config config;
};

struct raft {
    struct mortar_allocator allocator;
    struct raft_options options;
    struct raft_log_view log;
    struct prng prng;

    /* Term, vote, role. Changed in convert.c and vote.c only. */
    uint64_t term;
    struct mortar_member_id voted_for;
    bool own_vote_stored; /* CANDIDATE: our vote for ourselves is durable, and counts. */
    enum mortar_role role;
    struct mortar_member_id leader; /* All zero: unknown. */

    /* The log as this step leaves it. */
    struct mortar_position last;
    uint64_t base_index;           /* When the view was last looked at. */
    uint64_t stored_index;         /* Durable up to here; <= last.index. */
    uint64_t commit_index;         /* Never falls. */
    struct mortar_position voting; /* C12: highest acknowledged, or counted as leader. */

    /* Ticks. */
    uint64_t election_elapsed;
    uint64_t election_timeout;
    uint64_t unanswered_ticks; /* Since a part of the leader's was last answered. */
    uint64_t leader_silent;    /* Since a leader was heard; >= election_ticks_min: none is near. */
    uint64_t heartbeat_elapsed;

    /* Follower, all of this term. */
    uint64_t matched;   /* Known to equal the leader's log; >= commit_index. */
    bool reply_waiting; /* A MATCHED reply is owed when more is durable. */
    uint64_t round_seen;
    uint64_t leader_sync_id; /* Of the leader's latest append. */
    uint64_t tail_matched;   /* The tail is known to equal the leader's log; 0: nothing known. */

    /* A session; outlives terms and leaders (C6). */
    bool syncing;
    bool tail_stalled;          /* The tail's budget cut the latest append short, */
    uint64_t tail_stalled_room; /* when so many bytes were left. */

    /* Leader. */
    uint64_t term_start; /* Index of the no-op that opened the term. */
    uint64_t read_round; /* Latest given out. */
    uint64_t read_sent;  /* Latest that left with appends. */
    uint64_t read_confirmed;
    uint64_t sync_count;                 /* Episodes of SYNC so far: their numbers. */
    struct mortar_member_id transfer_to; /* Hands over to this one; all zero: does not. */
    bool transfer_told;                  /* TIMEOUT_NOW has left. */
    uint64_t transfer_elapsed;

    /* Configurations: the committed one, and those above the commit index, oldest first. */
    struct raft_config_slot committed;
    uint32_t uncommitted_count;
    struct raft_config_slot uncommitted[RAFT_CONFIGS_MAX];

    uint32_t member_count;
    struct raft_member members[RAFT_TABLE_MAX]; /* Sorted by id. */

    /* Scratch, too large for a stack. */
    struct raft_member members_before[RAFT_TABLE_MAX];
    struct config config_scratch;
    struct found found_scratch;
    struct config_change changes_scratch[MORTAR_MEMBERS_MAX];
};

/* raft.c */
struct raft_effect *raft_push(struct raft_effects *out, enum raft_effect_type type);
void raft_trace(const struct raft *raft, enum mortar_trace_kind kind,
                const struct mortar_member_id *other, const uint64_t numbers[4]);
#define RAFT_TRACE(raft, kind, other, ...)                                                         \
    raft_trace(raft, MORTAR_TRACE_##kind, other, (const uint64_t[4]){__VA_ARGS__})
void raft_ignore(const struct raft *raft, const struct mortar_member_id *from,
                 enum message_type type, enum raft_ignored reason);
static inline uint64_t raft_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint64_t raft_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* log.c */
bool raft_term_at(const struct raft *raft, uint64_t index, uint64_t *out_term);
struct mortar_position raft_position_at(const struct raft *raft, uint64_t index);
uint64_t raft_log_bytes(const struct raft *raft, uint64_t first, uint64_t last);
/* The last index in floor..high whose term is at most `term`; false when none is. Both ends are
 * in the log. */
bool raft_last_with_term(const struct raft *raft, uint64_t floor, uint64_t high, uint64_t term,
                         struct mortar_position *out_position);
void raft_truncate(struct raft *raft, uint64_t index, struct raft_effects *out);
/* Appends `count` entries of ours; the configuration is in config_scratch for kind CONFIG. */
void raft_append_own(struct raft *raft, enum mortar_entry_kind kind, uint32_t count,
                     struct raft_effects *out);
void raft_on_stored(struct raft *raft, uint64_t index, struct raft_effects *out);
/* A session changed the log: look at the view again. */
void raft_log_refresh(struct raft *raft, struct raft_effects *out);
void raft_voting_raise(struct raft *raft, uint64_t index);

/* convert.c */
void raft_convert_follower(struct raft *raft, uint64_t term, const struct mortar_member_id *vote,
                           const struct mortar_member_id *leader, struct raft_effects *out);
void raft_convert_pre_candidate(struct raft *raft, struct raft_effects *out);
void raft_convert_candidate(struct raft *raft, struct raft_effects *out);
void raft_convert_leader(struct raft *raft, struct raft_effects *out);
void raft_forget_leader(struct raft *raft, struct raft_effects *out);
void raft_save_vote(const struct raft *raft, struct raft_effects *out);
extern const struct mortar_member_id RAFT_NOBODY;

/* election.c */
void raft_election_arm(struct raft *raft);
void raft_on_tick(struct raft *raft, struct raft_effects *out);
void raft_campaign_if_won(struct raft *raft, struct raft_effects *out);
bool raft_electable(const struct raft *raft);
/* Stands for election without a pre-vote (thesis 3.10). */
void raft_campaign_now(struct raft *raft, struct raft_effects *out);

/* vote.c */
void raft_on_vote_request(struct raft *raft, const struct mortar_member_id *from,
                          const struct vote_request *message, struct raft_effects *out);
void raft_on_vote_reply(struct raft *raft, const struct mortar_member_id *from,
                        const struct vote_reply *message, struct raft_effects *out);
void raft_on_vote_stored(struct raft *raft, uint64_t term, struct raft_effects *out);

/* on_append.c */
void raft_on_append_request(struct raft *raft, const struct mortar_member_id *from,
                            const struct append_request *message, struct raft_effects *out);
/* One record of an append: false when it breaks the run after `*after`, which moves forward. */
bool raft_next_record(struct reader *records, const struct append_request *message,
                      struct mortar_position *after, struct mortar_entry *out_entry);
struct append_reply *raft_reply(const struct raft *raft, enum append_outcome outcome,
                                struct raft_effects *out);
void raft_reply_matched(struct raft *raft, struct raft_effects *out);
void raft_reply_mismatch(const struct raft *raft, struct mortar_position hint,
                         struct raft_effects *out);

/* tail.c */
void raft_tail_on_append(struct raft *raft, const struct append_request *message,
                         struct raft_effects *out);
/* Where the tail ends; false: none is open. */
bool raft_tail_last(const struct raft *raft, struct mortar_position *out_last);
void raft_tail_refuse(const struct raft *raft, uint64_t tail_index, struct raft_effects *out);
void raft_on_sync_begun(struct raft *raft, struct raft_effects *out);
void raft_on_sync_ended(struct raft *raft, struct raft_effects *out);
void raft_on_sync_committed(struct raft *raft, uint64_t index, struct raft_effects *out);

/* on_append_reply.c */
void raft_on_append_reply(struct raft *raft, const struct mortar_member_id *from,
                          const struct append_reply *message, struct raft_effects *out);

/* replicate.c */
void raft_on_flush(struct raft *raft, struct raft_effects *out);
void raft_send_heartbeat(struct raft *raft, struct raft_member *member, struct raft_effects *out);

/* progress.c */
void raft_progress_start(struct raft *raft, struct raft_member *member);
void raft_progress_move(struct raft *raft, struct raft_member *member, enum raft_progress_state to,
                        uint64_t next);
/* PROBE at `next`, or SYNC when too much is missing from there for the leader to resend. */
void raft_progress_restart(struct raft *raft, struct raft_member *member, uint64_t next);
bool raft_progress_too_far(const struct raft *raft, uint64_t next);
uint64_t raft_progress_inflight(const struct raft *raft, const struct raft_member *member);
bool raft_progress_is_legal(enum raft_progress_state from, enum raft_progress_state to);

/* rounds.c: begun with the leader's term, and anew when the link breaks or REPLICATE is left. */
void raft_rounds_begin(const struct raft *raft, struct raft_member *member);
void raft_rounds_tick(const struct raft *raft, struct raft_member *member);
/* `match` may have risen. */
void raft_rounds_matched(const struct raft *raft, struct raft_member *member);
/* Its last round was prompt, and the one that runs may be yet. */
bool raft_keeps_up(const struct raft *raft, const struct raft_member *member);

/* commit.c */
void raft_commit_to(struct raft *raft, struct mortar_position position, struct raft_effects *out);
void raft_commit_by_counting(struct raft *raft, struct raft_effects *out);

/* quorum.c: the largest value that a majority of `count` values reach. Sorts them; count >= 1. */
uint64_t raft_quorum_value(uint64_t *values, uint32_t count);

/* members.c */
struct raft_member *raft_member_find(struct raft *raft, const struct mortar_member_id *id);
const struct raft_member *raft_self(const struct raft *raft);
typedef uint64_t raft_member_value(const struct raft *raft, const struct raft_member *member);
/* What a majority of each half reaches (thesis 4.3); 0 without a configuration. */
uint64_t raft_members_reach(const struct raft *raft, raft_member_value *value);
bool raft_is_voter(const struct raft_member *member);
/* Fits the table to the configurations; says good-bye to those who drop out. */
void raft_members_rebuild(struct raft *raft, struct raft_effects *out);

/* membership.c */
const struct raft_config_slot *raft_config_latest(const struct raft *raft);
void raft_config_push(struct raft *raft, struct mortar_position position,
                      const struct config *config, struct raft_effects *out);
void raft_config_revert(struct raft *raft, uint64_t index, struct raft_effects *out);
void raft_config_commit(struct raft *raft, struct raft_effects *out);
/* The configuration in an entry of kind CONFIG or FOUND, into config_scratch. */
bool raft_config_decode(struct raft *raft, const struct mortar_entry *entry);
enum mortar_status raft_on_change(struct raft *raft, const struct config_change *changes,
                                  uint32_t count, struct raft_effects *out);
void raft_on_sync_config(struct raft *raft, uint64_t index, const struct config *config,
                         struct raft_effects *out);
/* Leader: what follows by itself from what is committed. True when something was appended. */
bool raft_membership_advance(struct raft *raft, struct raft_effects *out);
bool raft_promote_whole(struct raft *raft, struct raft_effects *out);
bool raft_may_propose(const struct raft *raft);
/* Complete by its own word, and within resend_bytes of our end (design 7). */
bool raft_is_whole(const struct raft *raft, const struct raft_member *member);

/* read.c */
void raft_read_depart(struct raft *raft, struct raft_effects *out);
void raft_read_confirm(struct raft *raft, struct raft_effects *out);

/* transfer.c */
enum mortar_status raft_on_transfer(struct raft *raft, const struct mortar_member_id *target);
bool raft_transferring(const struct raft *raft);
void raft_transfer_forget(struct raft *raft);
/* Tells the target, once it holds all of our log. */
void raft_transfer_advance(struct raft *raft, struct raft_effects *out);
/* Asks one to follow a leader that steps down now, where one holds all of its log. */
void raft_transfer_leaving(const struct raft *raft, struct raft_effects *out);
void raft_transfer_tick(struct raft *raft, struct raft_effects *out);
void raft_on_timeout_now(struct raft *raft, const struct mortar_member_id *from,
                         const struct timeout_now *message, struct raft_effects *out);

/* A part of the leader's longer message came. */
void raft_on_heard(struct raft *raft, const struct mortar_member_id *from, uint64_t term,
                   struct raft_effects *out);
/* Tells the leader what of the tail is held, without a request of its. */
void raft_tail_answer(const struct raft *raft, struct raft_effects *out);

#endif
