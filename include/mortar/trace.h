/* mortar/trace.h - what happens inside, as events with numbers, not as text.
 *
 * The pure layers emit trace events through a hook that may be absent. Text is made from them in
 * one place (mortar_trace_text), and feeds the log, the story of the simulator, and the golden
 * traces of the tests alike.
 *
 * Memory:  events are borrowed for the call. Threads: the hook runs on the thread that owns the
 * group. Errors: none.
 */
#ifndef MORTAR_TRACE_H
#define MORTAR_TRACE_H

#include "mortar/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Name, text of the event, names of its up to four numbers. */
#define MORTAR_TRACE_TABLE(X)                                                                      \
    X(ROLE, "role", "from", "to", "term", "")                                                      \
    X(LEADER, "leader known", "term", "", "", "")                                                  \
    X(TERM, "term", "from", "to", "", "")                                                          \
    X(VOTE_GRANTED, "vote granted", "term", "pre", "", "")                                         \
    X(VOTE_DENIED, "vote denied", "term", "pre", "reason", "")                                     \
    X(ELECTION, "election", "term", "pre", "", "")                                                 \
    X(PROGRESS, "progress", "from", "to", "next", "match")                                         \
    X(COMMIT, "commit", "index", "term", "", "")                                                   \
    X(TRUNCATE, "truncate", "from", "last", "", "")                                                \
    X(APPEND, "append", "first", "count", "term", "")                                              \
    X(MISMATCH, "mismatch", "prev", "last", "hint", "")                                            \
    X(CONFIG, "config", "index", "voters", "members", "joint")                                     \
    X(CONFIG_REVERTED, "config reverted", "index", "", "", "")                                     \
    X(QUORUM_LOST, "quorum lost", "term", "", "", "")                                              \
    X(IGNORED, "ignored", "type", "reason", "a", "b")                                              \
    X(READ_ROUND, "read round", "round", "index", "", "")                                          \
    X(SYNC_OPEN, "sync open", "session", "from", "to", "")                                         \
    X(SYNC_PHASE, "sync phase", "session", "from", "to", "")                                       \
    X(SYNC_SOURCE, "sync source", "session", "first", "last", "")                                  \
    X(SYNC_CHUNK, "sync chunk", "session", "first", "last", "bytes")                               \
    X(SYNC_VERIFIED, "sync verified", "session", "first", "last", "bytes")                         \
    X(SYNC_REFUSED, "sync refused", "session", "reason", "first", "last")                          \
    X(SYNC_STALL, "sync stall", "session", "wait_ms", "", "")                                      \
    X(SYNC_DONE, "sync done", "session", "index", "term", "")                                      \
    X(SYNC_FAILED, "sync failed", "session", "reason", "", "")                                     \
    X(TAIL_OPEN, "tail open", "base", "term", "", "")                                              \
    X(TAIL_CUT, "tail cut", "from", "last", "", "")                                                \
    X(TAIL_DROP, "tail drop", "base", "last", "", "")                                              \
    X(TAIL_ADOPT, "tail adopt", "base", "last", "", "")                                            \
    X(LEASE, "lease", "session", "from", "bytes", "")                                              \
    X(LEASE_ENDED, "lease ended", "session", "reason", "", "")                                     \
    X(PRUNE, "prune", "to", "", "", "")                                                            \
    X(MARKER, "marker", "index", "bytes", "", "")                                                  \
    X(INSTALL, "install", "index", "term", "", "")                                                 \
    X(JOIN, "join", "status", "", "", "")                                                          \
    X(BUDGET, "budget exceeded", "call", "us", "", "")                                             \
    X(TRANSFER, "transfer begun", "last", "match", "", "")                                         \
    X(TRANSFER_TOLD, "transfer told", "last", "", "", "")                                          \
    X(TRANSFER_ENDED, "transfer given up", "told", "", "", "")

enum mortar_trace_kind {
#define MORTAR_TRACE_VALUE(name, text, a, b, c, d) MORTAR_TRACE_##name,
    MORTAR_TRACE_TABLE(MORTAR_TRACE_VALUE)
#undef MORTAR_TRACE_VALUE
        MORTAR_TRACE_KINDS
};

struct mortar_trace_event {
    enum mortar_trace_kind kind;
    const struct mortar_member_id *other; /* The member it is about; NULL: none. Borrowed. */
    uint64_t numbers[4];
};

struct mortar_trace {
    void (*emit)(void *context, const struct mortar_trace_event *event); /* NULL: no trace. */
    void *context;
};

/* Writes "role from=0 to=1 term=3" into `out`, cut to `capacity` with a closing zero; the other
 * member is written by `name`, or as the start of its id when `name` is NULL. */
MORTAR_API void mortar_trace_text(const struct mortar_trace_event *event, const char *other_name,
                                  char *out_text, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
