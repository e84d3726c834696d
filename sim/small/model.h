/* sim/small/model.h - a small world in numbers: sets and their bounds, replicas, messages, events.
 *
 * Members are numbered from 1; 0 is nobody. All numbers of a small world fit into bytes, as terms
 * and indexes stay below 16. Structs that are pooled consist of bytes and even places only, hold no
 * padding, and are zero where nothing is said.
 *
 * Memory:  plain values. Threads: none. Errors: none.
 */
#ifndef SIM_SMALL_MODEL_H
#define SIM_SMALL_MODEL_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define SMALL_MEMBERS 3u
#define SMALL_TERMS   8u  /* Terms 1..7. */
#define SMALL_LOG     10u /* Entries in one log. */
#define SMALL_QUEUE   8u  /* Writes on their way to one disk. */
#define SMALL_HELD    10u /* Messages that wait behind a save. */
#define SMALL_SLOTS   3u  /* Configurations above the commit index. */
#define SMALL_SENT    24u /* Messages of one step. */
#define SMALL_FLYING  24u /* Messages under way in the world. */

/* What a set spends; each state of the world holds what was spent so far. */
enum small_budget {
    SMALL_TIMEOUT,   /* An election timeout fires. */
    SMALL_HEARTBEAT, /* A leader's heartbeat is due. */
    SMALL_QUORUM,    /* A leader finds that it hears no majority. */
    SMALL_LOSS,      /* A message is lost. */
    SMALL_DUPLICATE, /* A message arrives, and will arrive again. */
    SMALL_CRASH,     /* A replica loses its memory and any last part of its unsynced writes. */
    SMALL_PROPOSAL,
    SMALL_CHANGE,
    SMALL_READ,
    SMALL_SESSION, /* A session fails. */
    SMALL_BUDGETS
};
#define SMALL_SPENT 12u /* SMALL_BUDGETS, and no padding. */

/* One named world: how it begins, and what may happen in it. */
struct small_set {
    const char *name;
    const char *about;
    bool is_short;          /* For every test run; the others are the default list. */
    bool all_names;         /* Looks at states that differ by names alone, too. */
    uint8_t voters;         /* Members 1..voters vote; the others are learners. */
    bool disk_waits;        /* Writes complete by an event of their own; else within the step. */
    bool in_order;          /* Links deliver in order; else any message may be next. */
    bool has_leader;        /* Begins with member 1 leading term 2, heard by all. */
    uint8_t behind;         /* has_leader: a member that heard nothing of it; 0: none. */
    bool in_session;        /* behind: a session has just begun there, its tail is open. */
    uint8_t proposed;       /* has_leader: commands that are committed already. */
    uint8_t resend_entries; /* More missing than this: a session. */
    uint8_t target_voters;
    uint8_t link_messages; /* Under way on one link; what is sent beyond is lost. */
    uint8_t term_max;
    uint8_t log_max;
    uint8_t budget[SMALL_BUDGETS];
};

/* An entry: term << 12 | kind << 8 | configuration. All commands are alike: what tells entries of
 * one index apart is their term (thesis 3.5), and that no term has two leaders is judged. */
#define SMALL_ENTRY(term, kind, config)                                                            \
    ((uint16_t)((uint32_t)(term) << 12 | (uint32_t)(kind) << 8 | (uint32_t)(config)))
static inline uint8_t small_entry_term(uint16_t entry)
{
    return (uint8_t)(entry >> 12);
}
static inline uint8_t small_entry_kind(uint16_t entry)
{
    return (uint8_t)(entry >> 8 & 15);
}
static inline uint8_t small_entry_config(uint16_t entry)
{
    return (uint8_t)(entry & 255);
}

struct small_log {
    uint8_t open; /* Tail range only. */
    uint8_t base_index;
    uint8_t base_term;
    uint8_t count;
    uint16_t entries[SMALL_LOG];
};

struct small_position {
    uint8_t index;
    uint8_t term;
};

static inline struct small_position small_log_last(const struct small_log *log)
{
    if (log->count == 0) return (struct small_position){log->base_index, log->base_term};
    return (struct small_position){(uint8_t)(log->base_index + log->count),
                                   small_entry_term(log->entries[log->count - 1])};
}

/* True for base <= index <= last. */
static inline bool small_log_term(const struct small_log *log, uint32_t index, uint8_t *out_term)
{
    if (index < log->base_index || index > (uint32_t)log->base_index + log->count) return false;
    *out_term = index == log->base_index
                    ? log->base_term
                    : small_entry_term(log->entries[index - log->base_index - 1]);
    return true;
}

/* A write on its way to the disk. */
enum small_write {
    SMALL_SAVE = 1,
    SMALL_APPEND,
    SMALL_TRUNCATE,
    SMALL_TAIL_OPEN,
    SMALL_TAIL_APPEND,
    SMALL_TAIL_TRUNCATE,
    SMALL_TAIL_ADOPT,
    SMALL_TAIL_DROP
};

struct small_hard_state {
    uint8_t term;
    uint8_t vote;
    struct small_position voting;
    struct small_position commit;
};

struct small_op {
    uint8_t kind;
    uint8_t value; /* As struct pending of group: durable up to here when it is done. */
    struct small_position place; /* Tail base; index: first to cut. */
    struct small_hard_state saved;
    uint8_t count;
    uint8_t zero;
    uint16_t entries[SMALL_LOG];
};

struct small_slot {
    uint8_t index;
    uint8_t term;
    uint8_t config; /* Number of a configuration; 0: the empty one. */
};

/* A leader's view of a member; `flags` holds the booleans of struct raft_member. */
struct small_view {
    uint8_t member;
    uint8_t votes;
    uint8_t flags;
    uint8_t state;
    uint8_t next;
    uint8_t match;
    uint8_t commit_sent;
    uint8_t round;
    uint8_t sync_id;
    uint8_t tail_acked;
    struct small_position tail_base;
};

/* A replica: struct raft and what its host keeps for it. */
struct small_mind {
    /* struct raft */
    uint8_t self;
    uint8_t term;
    uint8_t voted_for;
    uint8_t own_vote_stored;
    uint8_t role;
    uint8_t leader;
    struct small_position last;
    uint8_t stored_index;
    uint8_t commit_index;
    struct small_position voting;
    uint8_t matched;
    uint8_t reply_waiting;
    uint8_t round_seen;
    uint8_t leader_sync_id;
    uint8_t tail_matched;
    uint8_t syncing;
    uint8_t term_start;
    uint8_t read_round;
    uint8_t read_sent;
    uint8_t read_confirmed;
    uint8_t sync_count;
    struct small_slot committed;
    uint8_t uncommitted_count;
    struct small_slot uncommitted[SMALL_SLOTS];
    uint8_t member_count;
    struct small_view members[SMALL_MEMBERS];
    /* The host */
    uint8_t stored;
    uint8_t session;
    uint8_t queue_count;
    uint8_t held_count;
    struct small_hard_state saved; /* Durable, as the two logs. */
    uint8_t zero;
    struct small_log disk;
    struct small_log disk_tail;
    struct small_op queue[SMALL_QUEUE];
    uint16_t held[SMALL_HELD][2]; /* Numbers of messages, low half first. */
};

/* A message; the first byte of each kind is the sender's term. */
struct small_message {
    uint8_t from;
    uint8_t to;
    uint8_t type; /* enum message_type */
    uint8_t count;
    union {
        uint8_t term; /* MESSAGE_TIMEOUT_NOW: all of it. */
        struct {
            uint8_t term;
            struct small_position last;
            uint8_t pre;
            uint8_t transfer;
        } ask;
        struct {
            uint8_t term;
            uint8_t pre;
            uint8_t granted;
        } vote;
        struct {
            uint8_t term;
            struct small_position prev;
            uint8_t commit;
            uint8_t round;
            uint8_t sync_id;
            uint8_t tail_restart;
            uint8_t quiet;
            struct small_position tail_base;
        } append;
        struct {
            uint8_t term;
            uint8_t outcome;
            uint8_t match;
            struct small_position last;
            struct small_position hint;
            uint8_t first_missing;
            uint8_t round;
            uint8_t sync_id;
            uint8_t tail;
            uint8_t commit;
            uint8_t whole;
        } reply;
        uint8_t bytes[14];
    };
    uint16_t entries[SMALL_LOG];
};
static_assert(sizeof(struct small_message) == 4 + 14 + 2 * SMALL_LOG, "no padding");

/* What can happen to one replica: kind << 24 | argument. */
enum small_event {
    SMALL_ON_MESSAGE = 1,   /* Number of the message. */
    SMALL_ON_TIMEOUT,       /* */
    SMALL_ON_HEARTBEAT,     /* */
    SMALL_ON_QUORUM_LOST,   /* */
    SMALL_ON_DISK,          /* The oldest write is durable. */
    SMALL_ON_CRASH,         /* So many of the writes under way survive. */
    SMALL_ON_PROPOSE,       /* */
    SMALL_ON_CHANGE,        /* enum config_change_kind << 8 | member. */
    SMALL_ON_READ,          /* */
    SMALL_ON_SESSION_ENTRY, /* A committed entry, fetched from another member. */
    SMALL_ON_SESSION_CUT,   /* First index that contradicts what is committed. */
    SMALL_ON_SESSION_COMMITTED,
    SMALL_ON_SESSION_DONE,
    SMALL_ON_SESSION_FAILED
};
#define SMALL_EVENT(kind, argument) ((uint32_t)(kind) << 24 | (uint32_t)(argument))
#define SMALL_EVENT_KIND(event)     ((enum small_event)((event) >> 24))
#define SMALL_EVENT_ARGUMENT(event) ((event)&0xffffffu)

/* What others should know of a step, for judges and bounds. */
struct small_facts {
    uint8_t led_term;          /* It became leader of this term; 0: it did not. */
    uint8_t commit;            /* It learnt, or decided, that this is committed; 0: nothing new. */
    uint8_t commit_led;        /* It did so as the leader, */
    uint8_t commit_log;        /* when its log ended here. */
    uint8_t commit_before;     /* As `commit`, of a decision before that in one step; else 0. */
    uint8_t commit_before_log; /* And its log then. */
    uint8_t round;             /* A read began in this round, */
    uint8_t read_index;        /* from this index. */
    uint8_t confirmed;         /* Reads up to this round were confirmed. */
    uint8_t beyond;            /* It left the bounds of the set: not followed. */
    uint8_t idle;              /* Nothing changed, nothing was sent. */
};

#endif
