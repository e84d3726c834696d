/* sim/check/seen.h - what the judges remember. Private to sim/check. Plain values. */
#ifndef SIM_CHECK_SEEN_H
#define SIM_CHECK_SEEN_H

#include "sim/check/judges.h"

struct leader_seen {
    bool known;
    uint32_t replica;
};

struct deed_seen {
    struct deed deed;
    uint64_t op;
    bool told; /* Got: */
    bool happened;
    uint64_t got;
};

/* The entries that were ever seen at one index, one for each term: few, so a short list. More
 * than fit are forgotten, the oldest first. */
#define SUMS_PER_INDEX 6u
struct sums_seen {
    uint32_t count;
    uint32_t next;
    uint32_t replica[SUMS_PER_INDEX];
    uint64_t term[SUMS_PER_INDEX];
    struct mortar_log_sum sum[SUMS_PER_INDEX];
};

struct committed_seen {
    bool known;
    uint32_t replica; /* Who said so first. */
    uint64_t term;
    uint64_t leader_term; /* Of the leader that committed it. */
    struct mortar_log_sum sum;
};

struct applied_seen {
    bool known;
    uint32_t replica;
    uint64_t before; /* Index of the command applied before it. */
    struct applied_command command;
};

struct command_seen {
    uint64_t index; /* Where it was applied; 0: nowhere. */
};

/* VERIFIED_WAITS lasts as long as its session. */
enum verified { VERIFIED_NOT, VERIFIED_WAITS, VERIFIED_IN_LOG };

enum op_state { OP_OPEN = 1, OP_DONE, OP_GONE };

struct op_seen {
    enum op_state state; /* 0: never invoked. */
    enum op_kind kind;
    uint32_t replica;
    uint64_t first_command;
    uint32_t count;
    enum mortar_status status;
    struct mortar_position first;
    struct mortar_position last;
    uint64_t floor; /* A linearizable read must see at least this index. */
    uint64_t first_deed;
    uint32_t deed_count;
    uint64_t invoked; /* Moments. */
    uint64_t ended;
};

/* Whether `status` leaves it open if a command happened. */
bool status_is_open(enum mortar_status status);

#endif
