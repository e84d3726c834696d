/* sim/check/judges.h - all judges of one run.
 *
 * Each is told what happened, in numbers, and speaks up when a promise is broken. Replicas are
 * numbered by the order in which the simulator opened them; a number is never used twice.
 *
 *   judge        promise (design)                                          file
 *   leaders      at most one leader in a term (C11)                        judges.c
 *   logs         equal index and term, equal log before it (C11)           logs.c
 *   commits      what is committed never changes or vanishes, and stands
 *                in the log of every later leader (C3, C11)                commits.c
 *   applied      all machines agree at equal positions; nothing is applied
 *                twice or skipped (C11)                                    applied.c
 *   history      what was acknowledged is true (C1); reads are linearizable
 *                (C2)                                                      history.c
 *   linear       what clients saw of each key is what one register could
 *                have shown them, one request after the other (C1, C2)     deeds.c, linear.c
 *   votes        one vote in a term, whatever crashed (C11)                votes.c
 *   complete     nobody acknowledges what its disk does not hold, votes for
 *                one that lacks what it acknowledged, or leads in a session
 *                or without it (C12)                                       votes.c
 *   elections    a voter that hears no leader stands for election, in a
 *                session too (C12)                                         elections.c
 *   handovers    a leader that hands over takes nothing new, chooses nobody who
 *                lacks anything, and leads on if nothing comes of it
 *                (thesis 3.10)                                             handovers.c
 *   sync         what is verified stays and is not asked for again, what a
 *                session tells never falls, sessions end (C5, C6)          sync.c
 *                sessions are fair to sources, polite and thrifty (C4..C8) duties.c
 *   estimates    what a session says is left is left (C10)                 sync.c
 *   memory       a session holds no more than its window, and the replica
 *                no more than that and what its other options allow (C7)   memory.c
 *   members      a configuration is proposed when it may be (thesis 4.1),
 *                makes nobody a voter who is not whole (C12) or an
 *                observer, drops nobody before its replacement votes, and
 *                has nobody back who was removed                           duties.c
 *
 * Memory:  tables that grow with the run; see verdict.h.
 * Threads: one.
 * Errors:  the first failure stands in `verdict`.
 */
#ifndef SIM_CHECK_JUDGES_H
#define SIM_CHECK_JUDGES_H

#include "mortar/types.h"
#include "sim/check/linear.h"
#include "sim/check/verdict.h"

#define JUDGES_REPLICAS_MAX 64u

struct judges {
    struct verdict *verdict;
    struct table leaders;   /* By term: struct leader_seen. */
    struct table sums;      /* By index: struct sums_seen. */
    struct table committed; /* By index: struct committed_seen. */
    struct table applied;   /* By index: struct applied_seen. */
    struct table commands;  /* By command number: struct command_seen. */
    struct table ops;       /* By operation number: struct op_seen. */
    struct table deeds;     /* In the order in which they began: struct deed_seen. */
    uint64_t moment;        /* Of the last call or answer. */
    uint64_t undecided;     /* Keys whose history took too many states to judge. */
    uint64_t states_max;    /* Most that one key took. */
    uint64_t committed_last;
    uint64_t applied_last;
    uint64_t acked_index_max;      /* Of all writes acknowledged so far, and all reads answered. */
    struct replica_seen *replicas; /* JUDGES_REPLICAS_MAX of them. */
};

void judges_init(struct judges *judges, struct verdict *verdict);
void judges_deinit(struct judges *judges);

/* ---- leaders ---- */

void judge_leader(struct judges *judges, uint32_t replica, uint64_t term);

/* ---- logs: one call for each entry that stands in a replica's log, each time it is put there
 * ---- */

void judge_entry(struct judges *judges, uint32_t replica, uint64_t index, uint64_t term,
                 struct mortar_log_sum sum);

/* ---- commits ---- */

/* `replica` takes the entry at `index` for committed; called for each index in order. */
void judge_commit(struct judges *judges, uint32_t replica, uint64_t index, uint64_t term,
                  struct mortar_log_sum sum, uint64_t leader_term);
/* `replica` cuts its log from `from` on. */
void judge_truncate(struct judges *judges, uint32_t replica, uint64_t from);
/* What a leader of `term` must hold: the last position that a leader of an earlier term
 * committed, and the sum there. False: nothing. */
bool judge_leader_must_hold(const struct judges *judges, uint64_t term, uint64_t *out_index,
                            struct mortar_log_sum *out_sum);
void judge_leader_lacks(struct judges *judges, uint32_t replica, uint64_t term, uint64_t index);

/* ---- applied ---- */

struct applied_command {
    uint64_t index;
    uint64_t term;
    uint64_t command;  /* Its number; each command that a client sends has another one. */
    uint64_t content;  /* Hash of its bytes. */
    uint64_t reply;    /* Hash of its reply. */
    uint64_t state[2]; /* Digest of the state after it. */
};
void judge_applied(struct judges *judges, uint32_t replica, const struct applied_command *command);

/* ---- history ---- */

enum op_kind {
    OP_EXECUTE = 1,
    OP_FEED,
    OP_READ_LINEARIZABLE,
    OP_READ_LOCAL,
    OP_CHANGE,
    OP_TRANSFER
};

/* `op` begins: an execute or feed of the commands first_command.. (`count` of them), or a read. */
void judge_invoke(struct judges *judges, uint64_t op, enum op_kind kind, uint32_t replica,
                  uint64_t first_command, uint32_t count);
/* How a write ended. `replies` are hashes, `count` of them for an execute that succeeded. */
void judge_write_done(struct judges *judges, uint64_t op, enum mortar_status status,
                      struct mortar_position first, struct mortar_position last,
                      const uint64_t *replies, uint32_t count);
/* How a read ended: it saw the state after the command at `seen` (0: none), digest `state`. */
void judge_read_done(struct judges *judges, uint64_t op, enum mortar_status status, uint64_t seen,
                     const uint64_t state[2]);
/* The replica that held the request is gone: it may or may not have happened. */
void judge_op_lost(struct judges *judges, uint64_t op);
/* At the end: what failed for certain was never applied, what was fed stands where it was said. */
void judge_history_end(struct judges *judges);
/* Operations that were never answered. */
uint64_t judge_ops_open(const struct judges *judges);

/* ---- linear: told by the client alone, in the order of calls and answers ---- */

/* Request `op`, which was invoked, asks for `deed` next: each command, and each read. */
void judge_deed(struct judges *judges, uint64_t op, const struct deed *deed);
/* What it got for its deed `number` (from 0), before judge_write_done() or judge_read_done(). */
void judge_deed_got(struct judges *judges, uint64_t op, uint32_t number, bool happened,
                    uint64_t got);
/* At the end: searches an order for each key. */
void judge_linear_end(struct judges *judges);

/* ---- votes, complete ---- */

/* A vote request of `replica` left: its log ends at `last`. */
void judge_asked(struct judges *judges, uint32_t replica, uint64_t term, bool pre,
                 struct mortar_position last);
/* A vote of `replica` left (no pre-vote), or it counts its own. */
void judge_vote(struct judges *judges, uint32_t replica, uint64_t term, uint32_t candidate);
/* It told a leader that it holds the entry at `position`; `durable`: its disk says so too. */
void judge_matched(struct judges *judges, uint32_t replica, struct mortar_position position,
                   bool durable);
/* It leads, and its disk holds the entry at `position`. */
void judge_counted(struct judges *judges, uint32_t replica, struct mortar_position position);
/* It cut what conflicts with the log of a later leader: what is left ends at `last`. */
void judge_cut(struct judges *judges, uint32_t replica, struct mortar_position last);
/* It leads `term`; its log ended at `last` before. */
void judge_leads(struct judges *judges, uint32_t replica, uint64_t term,
                 struct mortar_position last);

/* ---- elections: silence is counted in ticks of the replica ---- */

/* Heard of a leader, voted, changed its role, or what decides if it may stand for election. */
void judge_stirred(struct judges *judges, uint32_t replica);
/* A tick; `patience_ticks` is the longest that it may wait for a leader. True: say now whether it
 * may stand for election. */
bool judge_tick(struct judges *judges, uint32_t replica, uint64_t patience_ticks);
void judge_may_stand(struct judges *judges, uint32_t replica, bool voter,
                     struct mortar_position last);

/* ---- handovers ---- */

/* As leader it begins to hand over, or does so no more. */
void judge_handover(struct judges *judges, uint32_t replica, bool runs);
/* It put an entry of its own into its log, as leader. */
void judge_own_entry(struct judges *judges, uint32_t replica, uint64_t index);
/* A tick of it; handing over must not take more than so many. */
void judge_handover_tick(struct judges *judges, uint32_t replica, uint64_t timeout_ticks);
/* The leader, whose log ends at `last`, asks `target` to lead; whether that one's disk holds it. */
void judge_takes_over(struct judges *judges, uint32_t leader, uint32_t target,
                      struct mortar_position last, bool holds);
/* A leader's request to lead, of `term`, came to it. */
void judge_asked_to_lead(struct judges *judges, uint32_t replica, uint64_t term);
/* It stands for election in `term` without having asked who would vote. */
void judge_stands_at_once(struct judges *judges, uint32_t replica, uint64_t term);
/* A caller was told that `target` leads now: the last term that it led, and that of before. */
void judge_handed_over(struct judges *judges, uint32_t target, uint64_t led, uint64_t led_before);

/* ---- sync ---- */

void judge_session_open(struct judges *judges, uint32_t replica, uint64_t session);
void judge_session_end(struct judges *judges, uint32_t replica, uint64_t session);
/* The replica asks a source for first..last. What it holds beyond its commit index, and no session
 * verified, it may ask for: only a leader that still has those positions can say if they match. */
void judge_requested(struct judges *judges, uint32_t replica, uint64_t first, uint64_t last);
/* The session verified first..last, which wait for those before them: once, as well (C6). */
void judge_session_verified(struct judges *judges, uint32_t replica, uint64_t session,
                            uint64_t first, uint64_t last);
/* The session verified first..last and put them into the log: once, whatever happens (C6). */
void judge_session_chunk(struct judges *judges, uint32_t replica, uint64_t session, uint64_t first,
                         uint64_t last);
/* The entry at `index` came into the replica's log; counts as verified when a session runs. */
void judge_session_entry(struct judges *judges, uint32_t replica, uint64_t index);
/* A session has dropped `source`. */
void judge_source_dropped(struct judges *judges, uint32_t replica, uint32_t source, bool ever_lied);
/* The first range that a young session asks for; so many others than the leader were linked. */
void judge_first_fetch(struct judges *judges, uint32_t replica, bool from_leader, uint32_t others);
/* A session is done: it verified so many entries, and so many went into the log. */
void judge_verified(struct judges *judges, uint32_t replica, uint64_t verified, uint64_t appended);
/* A session is done with its log at `last`, after it dropped the tail that began at `base`. */
void judge_tail_dropped(struct judges *judges, uint32_t replica, uint64_t base, uint64_t last);
/* A session failed for want of progress. `idle`: it knew what was missing, and asked nobody for it
 * after it had called a stall; so many `sources` that hold it are linked, and never lied. */
void judge_stalled(struct judges *judges, uint32_t replica, bool idle, uint32_t sources);
/* Its tail range takes so many bytes of its budget (C9). */
void judge_tail_bytes(struct judges *judges, uint32_t replica, uint64_t bytes, uint64_t budget);
/* The leader of `term` has put a configuration into its log. */
void judge_config(struct judges *judges, uint32_t replica, uint64_t term, uint64_t committed_term);
/* The leader makes a voter of `member`, whose disk misses so many bytes of the leader's log. */
void judge_promoted(struct judges *judges, uint32_t leader, uint32_t member, uint64_t missing,
                    uint64_t resend_bytes);
/* ... and holds its log up to `held`; the leader's ended at `must` two election timeouts ago. */
void judge_keeps_up(struct judges *judges, uint32_t leader, uint32_t member, uint64_t held,
                    uint64_t must);
/* The leader has a voter that joined as an observer. */
void judge_observer_votes(struct judges *judges, uint32_t leader, uint32_t member);
/* The leader drops the voter `lost`, and `next`, which came for it, is no voter. */
void judge_dropped(struct judges *judges, uint32_t leader, uint32_t lost, uint32_t next);
/* The leader gives the place of a voter to another, by the policy; it was silent for so long. */
void judge_gone(struct judges *judges, uint32_t leader, uint32_t gone, uint64_t silent_ms,
                uint64_t remove_gone_ms);
/* The configuration committed at `index` names `member`, which was removed before. */
void judge_came_back(struct judges *judges, uint32_t replica, uint32_t member, uint64_t index);
/* What a session tells of itself while it runs. */
struct session_told {
    uint64_t entries_done;
    uint64_t bytes_done;
    uint64_t now_ms;     /* By the clock of its replica. */
    uint64_t give_up_ms; /* Without progress for so long it must end. */
};
void judge_session_told(struct judges *judges, uint32_t replica, const struct session_told *told);
/* What it says of the rest (C10), beside what is so. */
struct session_left {
    uint64_t log_end; /* What the replica has, */
    uint64_t waiting; /* ... and so many entries are verified above, */
    uint64_t entries; /* ... and so many are still to come, it says. */
    uint64_t bytes;
    uint64_t bytes_per_second;
    uint64_t ms;         /* UINT64_MAX: it cannot tell. */
    uint64_t must_reach; /* What was committed as it began; 0: that may hold no more. */
};
void judge_session_left(struct judges *judges, uint32_t replica, const struct session_left *left);
bool judge_session_runs(const struct judges *judges, uint32_t replica);
/* The replica is gone: its session needs not end. */
void judge_replica_gone(struct judges *judges, uint32_t replica);
/* True if that entry is known to be committed. */
bool judge_is_committed(const struct judges *judges, uint64_t index, uint64_t term);
/* Its process runs again, with a machine that begins anew and a log that is the group's up to
 * `last`: what was verified up to there still is. */
void judge_restarted(struct judges *judges, uint32_t replica, uint64_t last);
uint32_t judge_sessions_open(const struct judges *judges);

/* ---- memory ---- */

/* What the session held at most, against its window. */
void judge_held(struct judges *judges, uint32_t replica, uint64_t held_max, uint64_t window);
/* While a session runs: what the replica has in memory beside its log, against what its options
 * allow. */
struct memory_used {
    uint64_t total;
    uint64_t log;       /* Of it: the log and the tail, */
    uint64_t disk;      /* ... what waits for the disk, */
    uint64_t under_way; /* ... frames on their way to others, and the one that arrives, */
    uint64_t held;      /* ... and what the session says that it holds. */
};
struct memory_allowed {
    uint64_t served;   /* Answers to the sessions of others, being put together. */
    uint64_t applied;  /* What the machine is given, and replies. */
    uint64_t requests; /* Those that wait, here or passed on. */
    uint64_t fixed;
};
void judge_memory(struct judges *judges, uint32_t replica, const struct memory_used *used,
                  const struct memory_allowed *allowed);

/* What the judges remember of one replica. */
struct replica_seen {
    uint64_t committed;
    uint64_t applied;      /* Index of the last command applied. */
    uint64_t session;      /* Open one; 0: none. */
    uint64_t sessions;     /* Opened so far. */
    struct table verified; /* By index: uint8_t, enum verified: by a session, and not cut since. */
    struct session_told told; /* Last, by the session; now_ms: when its progress last rose. */
    bool gone;
    /* What the member promised, which no crash takes back: */
    struct table votes;           /* By term: uint32_t, the candidate and 1; 0: none. */
    struct table asked;           /* By term: struct mortar_position of its vote request. */
    struct mortar_position acked; /* Highest acknowledged, or counted, and not cut since. */
    uint64_t told_term;           /* The latest in which a leader asked it to lead. */
    bool hands_over;
    uint64_t handover_ticks;
    uint64_t silent;   /* Ticks without a leader or an election. */
    uint64_t patience; /* Longest that it may take. */
};

#endif
