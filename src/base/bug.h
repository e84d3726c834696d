/* base/bug.h - planted bugs: faults such as a competent author could write, for the simulator to
 * find. They are there only in a build with -Dbugs=true, and only the one that is planted acts;
 * in every other build BUG() is the constant false.
 *
 * BUG(NAME) stands where the fault would be: `if (stale && !BUG(OLD_SESSION_ANSWER)) return;`
 */
#ifndef BASE_BUG_H
#define BASE_BUG_H

#include <stdbool.h>

/* Name, the contract that it breaks (design 4; "-": a rule of the thesis), what the author did. */
#define BUG_TABLE(X)                                                                               \
    X(VOTE_TWICE, "-", "a voter forgets its vote, and grants each who asks in a term")             \
    X(VOTE_NOT_SAVED, "-", "the term is saved without the vote: it is forgotten with the process") \
    X(TERM_NOT_SAVED, "-", "a term without a vote is saved as the one before it")                  \
    X(VOTE_TOLD_BEFORE_SAVED, "-", "what depends on a vote leaves before the vote is durable")     \
    X(INDEX_BEFORE_TERM, "-",                                                                      \
      "a voter compares the candidate's last index, and not its last term")                        \
    X(STALE_VOTE_COUNTS, "-", "a vote of an earlier term counts in this one")                      \
    X(PRE_VOTE_COUNTS, "-", "consent to a pre-vote counts as a vote in the election after it")     \
    X(NO_NOOP, "-", "a new leader opens its term without an entry of its own")                     \
    X(COMMIT_OLD_TERM, "-", "an entry of an earlier term is committed by counting")                \
    X(ACK_BEFORE_DURABLE, "C3", "a follower acknowledges entries when it submits them to its log") \
    X(LEADER_COUNTS_UNSTORED, "C3", "a leader counts its own entries before they are durable")     \
    X(ACK_UNMATCHED, "C3", "a follower acknowledges up to its log's end, known to match or not")   \
    X(COMMIT_BEYOND_MATCH, "C3",                                                                   \
      "a follower takes the leader's commit index beyond what is known to match")                  \
    X(STALE_ACK_COUNTS, "-", "a leader counts an answer of an earlier term")                       \
    X(TERM_NOT_ADOPTED, "-", "a leader does not step down when an answer tells a later term")      \
    X(LOST_APPEND_FORGOTTEN, "-",                                                                  \
      "a mismatch while streaming is ignored: what was lost is not sent again")                    \
    X(LEARNER_COUNTS, "-", "learners count in every quorum")                                       \
    X(REMOVED_LEADER_COUNTS, "-", "a leader that is on its way out goes on counting itself")       \
    X(REMOVED_VOTES, "-", "who is on its way out counts in quorums until that is committed")       \
    X(REMOVED_LEADER_STAYS, "-", "a leader that was removed does not step down")                   \
    X(JOINT_ASKS_NEW_HALF, "-", "a joint configuration asks its new half only")                    \
    X(COMMITTED_CONFIG_ONLY, "-",                                                                  \
      "quorums go by the committed configuration, not the latest in the log")                      \
    X(CONFIG_NOT_REVERTED, "-", "a configuration stays in force when its entry is cut")            \
    X(CONFIG_BEFORE_NOOP, "-",                                                                     \
      "a leader proposes a configuration before an entry of its term is committed")                \
    X(CONFIG_ON_CONFIG, "-", "a configuration is proposed while another is not committed")         \
    X(REMOVED_COMES_BACK, "-", "a member that was removed is added again under its old id")        \
    X(REPLACED_IN_TWO_STEPS, "C11",                                                                \
      "a member is removed before the one that takes its place is whole")                          \
    X(OBSERVER_PROMOTED, "-", "an observer is promoted like any learner")                          \
    X(PROMOTED_UNASKED, "C12", "a learner is promoted whether it is whole or not")                 \
    X(PROMOTED_BEFORE_ROUNDS, "-",                                                                 \
      "a learner is promoted when it is whole, whether it keeps up or not")                        \
    X(GONE_TOO_SOON, "-", "a voter loses its place as soon as check-quorum does not hear it")      \
    X(READ_BEFORE_NOOP, "C2", "a leader serves reads before an entry of its term is committed")    \
    X(READ_ASKS_NOBODY, "C2", "a read index is taken without a round of heartbeats")               \
    X(READ_BEFORE_APPLIED, "C2", "a query does not wait until its read index is applied")          \
    X(OLD_READ_ANSWER, "C2",                                                                       \
      "a read takes the answer to a question that was asked before it began")                      \
    X(QUESTION_OF_ANOTHER, "C2",                                                                   \
      "queries that wait together are all asked what the first one asks")                          \
    X(PAUSE_SKIPS, "C11", "a command at which the machine paused counts as applied")               \
    X(APPLY_UNCOMMITTED, "C11", "entries are applied as soon as they are in the log")              \
    X(FORWARDED_TWICE, "C1", "a forwarded request that the network doubled is proposed twice")     \
    X(UNKNOWN_IS_LOST, "C1", "a request at a leader that is gone is reported as lost")             \
    X(UNKNOWN_IS_TIMEOUT, "C1", "a request that was proposed ends as a timeout, not as unknown")   \
    X(REPLY_OF_ANOTHER, "C1", "a request takes the reply of whatever was applied at its index")    \
    X(CUT_STAYS_STORED, "C3",                                                                      \
      "what was durable still counts as durable after the log was cut and grew again")             \
    X(LONG_FRAME, "C8", "a long message leaves in one frame instead of in parts")                  \
    X(PARTS_MIXED, "C8", "parts of different messages are put together")                           \
    X(HOLE_VOTES_BY_TAIL, "C12", "a replica with a hole campaigns by the end of its tail")         \
    X(HOLE_IS_WHOLE, "C12", "a replica says that it is whole while a session runs")                \
    X(TAIL_ACKNOWLEDGED, "C12", "entries above a hole are acknowledged")                           \
    X(TAIL_CONFIG_FORGOTTEN, "C3", "configurations of an adopted tail are not told to raft")       \
    X(TAIL_DROPPED, "C6", "the tail is dropped though it meets the log")                           \
    X(TAIL_UNBOUNDED, "C9", "the tail takes more bytes than its budget")                           \
    X(SESSION_STOPS_TIMER, "C5", "the election timer stands still while a session runs")           \
    X(NEVER_GIVES_UP, "C5", "a session without progress never fails")                              \
    X(LOST_RANGE_FORGOTTEN, "C5", "a range whose request was lost is not asked for again")         \
    X(OLD_SESSION_ANSWER, "C5", "an answer to an earlier session is taken for one to this")        \
    X(LEADER_CHANGE_RESETS, "C6", "a session throws away what it has when the leader changes")     \
    X(TRUSTS_LOCAL_TAIL, "C3",                                                                     \
      "a session keeps its own uncommitted entries without matching them")                         \
    X(MATCH_BY_INDEX, "C3", "the leader says that logs agree wherever it has an entry")            \
    X(CUT_COMMITTED, "C3", "a session goes back to what is applied, and cuts what is committed")   \
    X(CHUNK_UNVERIFIED, "C4", "a chunk is taken as it comes")                                      \
    X(CHUNK_SUM_SKIPPED, "C4",                                                                     \
      "a chunk is compared in itself, and not with the leader's sum at its end")                   \
    X(WINDOW_IGNORED, "C7", "a session asks for all that is planned, whatever its window")         \
    X(LEADER_FIRST, "C8", "a session asks the leader as it asks others")                           \
    X(RETRY_APPLIED_TWICE, "C1",                                                                   \
      "a command of a client session that comes again is applied again")                           \
    X(FORGETS_BEFORE_PAUSE, "C1",                                                                  \
      "a session forgets replies for a command that the machine then puts off")                    \
    X(REPLY_KEPT_BY_ONE, "C1", "only the member that is asked keeps the reply of a session")       \
    X(EXPIRED_BY_OWN_CLOCK, "C11", "a session expires by the clock of each member")                \
    X(EXPIRED_IS_NEVER, "C1",                                                                      \
      "a request sent twice is said never to have happened when its session is gone")              \
    X(LEFT_IS_THE_PLAN, "C10", "what lies beyond the plan is not counted in what is left")         \
    X(LEFT_COUNTS_VERIFIED, "C10", "what is verified and waits for the log is counted as left")    \
    X(LEFT_IN_SECONDS, "C10", "the time that is left is told in seconds, not in milliseconds")     \
    X(CHECK_LEAKED, "C7", "a check that outlives its session is not given back")                   \
    X(TRANSFER_TO_LAGGING, "-", "a leader hands over before the target holds all of its log")      \
    X(TRANSFER_KEEPS_PROPOSING, "-", "a leader that hands over takes new entries")                 \
    X(TRANSFER_NEVER_ENDS, "-", "a leader that could not hand over takes no entries any more")     \
    X(OLD_TIMEOUT_NOW, "-",                                                                        \
      "a follower stands for election as asked by a leader of an earlier term")

enum bug {
    BUG_NONE,
#define BUG_VALUE(name, contract, text) BUG_##name,
    BUG_TABLE(BUG_VALUE)
#undef BUG_VALUE
        BUGS
};

#ifdef MORTAR_BUGS
/* Set by the simulator before anything runs. */
extern enum bug bug_planted;
#define BUG(name) (bug_planted == BUG_##name)
#else
#define BUG(name) false
#endif

#endif
