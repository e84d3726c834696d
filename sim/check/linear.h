/* sim/check/linear.h - whether what clients saw of one key is what a single register, touched by
 * one client at a time, could have shown them. Knows no replica and no log.
 *
 * Memory:  malloc() during a call. Threads: one. Errors: too many states: LINEAR_UNDECIDED.
 */
#ifndef SIM_CHECK_LINEAR_H
#define SIM_CHECK_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

/* What a client asks of a key, whose value is 0 at first. */
enum deed_kind {
    DEED_READ, /* Got: the value. */
    DEED_PUT,  /* Got: the value before. */
    DEED_SWAP, /* Puts `value` if `expected` stands there. Got: if it did, and the value before. */
    DEED_ADD   /* Got: the new value. */
};
struct deed {
    enum deed_kind kind;
    uint32_t key;
    uint64_t expected;
    uint64_t value;
};

#define LINEAR_NEVER UINT64_MAX

/* One deed that was not refused for certain. Moments are numbers of one series; no call and answer
 * share one, and calls may, when they came in one request. */
struct linear_op {
    struct deed deed;
    uint64_t called;
    uint64_t answered; /* LINEAR_NEVER: it took effect at any time after the call, or did not. */
    bool happened;     /* Got, when answered. */
    uint64_t got;
    bool in_order; /* It comes after the one before it here: both were answered, in one request. */
};

enum linear_answer { LINEAR_YES, LINEAR_NO, LINEAR_UNDECIDED };

/* `ops` are of one key, in the order of their calls. Gives up beyond `states_max` states at which
 * there was a choice. `out_states` says how many there were. */
enum linear_answer linear_check(const struct linear_op *ops, uint32_t count, uint32_t states_max,
                                uint32_t *out_states);

#endif
