/* node/calls.h - calls that were accepted and are not complete yet.
 *
 * A call is copied on the caller's thread, with a copy of everything that it needs; the control
 * thread takes it over, gives it an id in the table, and finds it again by that id when the core
 * answers. It completes exactly once: in a callback, or through the completion queue.
 *
 *     caller: gate_enter, call_new, post --> control: table_add ... table_take --> complete
 *
 * Memory:  one block per call; the table is reserved at open. The gate bounds both the number
 *          and the bytes of what is open.
 * Threads: gate: any. Table: one. A call belongs to one thread at a time.
 * Errors:  MORTAR_E_BUSY (the gate is full), MORTAR_E_NO_MEMORY, MORTAR_E_INVALID.
 */
#ifndef NODE_CALLS_H
#define NODE_CALLS_H

#include "mortar/node.h"
#include "os/loop.h"

#include <stdatomic.h>

/* ---- How many may be open ---- */

struct call_gate {
    atomic_uint_fast32_t count_max;
    atomic_uint_fast64_t bytes_max; /* One call alone may exceed it. */
    atomic_uint_fast32_t count;
    atomic_uint_fast64_t bytes;
};

void call_gate_init(struct call_gate *gate, uint32_t count_max, uint64_t bytes_max);
/* Changes the bounds; what is inside stays. */
void call_gate_set(struct call_gate *gate, uint32_t count_max, uint64_t bytes_max);
/* MORTAR_E_BUSY: full; nothing was counted. */
MORTAR_NODISCARD enum mortar_status call_gate_enter(struct call_gate *gate, size_t bytes);
void call_gate_leave(struct call_gate *gate, size_t bytes);

/* ---- One call ---- */

enum call_kind {
    CALL_EXECUTE,
    CALL_FEED,
    CALL_QUERY,
    CALL_CHANGE,
    CALL_TRANSFER,
    CALL_SESSION_OPEN,
    CALL_SESSION_EXECUTE,
    CALL_SESSION_KEEP,
    CALL_SESSION_CLOSE,
    CALL_WAIT
};

/* What a wait compares with; written and read by node/wait.c. */
struct call_wait {
    struct mortar_condition condition;
    uint64_t deadline_ms; /* UINT64_MAX: for ever. */
    bool leader_known;    /* When the wait began, as the rest here. */
    struct mortar_member_id leader;
    uint64_t committed;
    uint64_t bonds_version;
    struct mortar_position first_last; /* End of the log when the wait began. */
    struct mortar_position seen_last;  /* At the last look, to notice a cut. */
    struct mortar_log_sum seen_sum;
    bool seen_sum_known;
};

struct call {
    struct loop_task task; /* First: on its way to the control thread. */
    struct call *next;     /* In the completion queue, or among the waits. */
    const struct mortar_allocator *allocator;
    struct call_gate *gate;
    void *owner; /* The group. */
    enum call_kind kind;
    bool is_direct; /* Completes on the control thread, whatever the node's mode is. */
    bool is_leave;  /* A change that removes us: to be out already is a success. */
    uint64_t id;    /* Given by the table; 0 before. */
    mortar_completion *done;
    void *argument;
    uint32_t timeout_ms;
    uint32_t count; /* Commands, or changes. */
    enum mortar_read_mode read_mode;
    struct mortar_member_id target; /* TRANSFER; all zero: anyone. */
    bool is_own;                    /* TRANSFER: only if we lead, else NOT_LEADER at once. */
    uint64_t session_number;        /* SESSION_OPEN: its ttl; else its id. */
    uint64_t session_sequence;      /* SESSION_EXECUTE, as the next two. */
    uint64_t session_acked;
    struct mortar_session *session; /* To be told when the call has ended. */
    struct call_wait wait;
    struct mortar_result result;
    size_t item_bytes;
    /* EXECUTE, FEED: `count` times length 4 and bytes. QUERY: the query. SESSION_EXECUTE: the
     * command. CHANGE: an array of struct
     * mortar_change, then the addresses that they point to. */
    _Alignas(16) uint8_t items[];
};

/* Enters the gate and reserves a call with room for `item_bytes`; all else is zero. The caller
 * fills it in.
 *   MORTAR_E_BUSY, MORTAR_E_NO_MEMORY. */
MORTAR_NODISCARD enum mortar_status call_new(struct call_gate *gate,
                                             const struct mortar_allocator *allocator,
                                             enum call_kind kind, size_t item_bytes,
                                             struct call **out_call);

/* Gives up a call that was never handed on; nothing is called. */
void call_discard(struct call *call);

/* Calls `done` with call->result, releases replies and call, and leaves the gate before the
 * call, so that `done` may submit anew. */
void call_complete(struct call *call);

/* ---- Who waits for which id ---- */

struct call_slot {
    struct call *call; /* NULL: free. */
    uint32_t next_free;
};

struct call_table {
    const struct mortar_allocator *allocator;
    struct call_slot *slots;
    uint32_t capacity;
    uint32_t count;
    uint32_t first_free; /* capacity: none. */
    uint64_t sequence;   /* Of the last id; ids are never given twice. */
};

/* Reserves room for `capacity` (1..2^20) calls. MORTAR_E_INVALID, MORTAR_E_NO_MEMORY. */
MORTAR_NODISCARD enum mortar_status call_table_init(struct call_table *table,
                                                    const struct mortar_allocator *allocator,
                                                    uint32_t capacity);
/* Asserts that the table is empty. */
void call_table_deinit(struct call_table *table);

/* Gives the call its id, never 0. Asserts that there is room: the gate saw to it. */
void call_table_add(struct call_table *table, struct call *call);

/* Takes the call of `id` out; NULL: there is none (any longer). */
struct call *call_table_take(struct call_table *table, uint64_t id);

/* Takes any call out; NULL: the table is empty. For the end only: it searches. */
struct call *call_table_take_any(struct call_table *table);

#endif
