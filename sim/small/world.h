/* sim/small/world.h - the state of a small world, and what can happen next.
 *
 * A state is a handful of numbers: the replica at each place, the messages under way, the history
 * that the judges remember, and what was spent. Replicas, messages and histories stand in pools.
 * A step of a replica is computed once and remembered, so that a search mostly looks up numbers.
 *
 * Symmetry: renaming the members of a state gives a state in which the same can happen under other
 * names, provided that the beginning is the same under that renaming. Of such states only one is
 * looked at: the least.
 *
 * Memory: pools that grow. Threads: none. Errors: as sim/small/pool.h.
 */
#ifndef SIM_SMALL_WORLD_H
#define SIM_SMALL_WORLD_H

#include "sim/small/host.h"
#include "sim/small/judge.h"

#define SMALL_RENAMINGS 6u  /* Of three members. */
#define SMALL_MOVES     96u /* From one state. */
#define SMALL_WORDS     (7u + SMALL_FLYING)

struct small_state {
    uint32_t minds[SMALL_MEMBERS + 1]; /* From 1 on. */
    uint32_t history;
    uint8_t spent[SMALL_SPENT]; /* By enum small_budget. */
    uint32_t count;
    uint32_t messages[SMALL_FLYING]; /* Link by link. */
};

/* One thing that can happen. */
struct small_move {
    uint8_t actor;  /* 0: a message is lost. */
    uint8_t budget; /* enum small_budget; SMALL_BUDGETS: costs nothing. */
    uint8_t slot;   /* Of the message that is delivered or lost. */
    bool keeps;     /* The message stays under way as well. */
    uint32_t event;
};

/* A step as it is remembered. */
struct kept_step {
    uint32_t mind;
    uint32_t sent_first;
    uint8_t sent_count;
    bool judged; /* The judges of the world want to see it. */
    struct small_facts facts;
    uint32_t verdict; /* Place in verdicts + 1; 0: the replica's own judges are content. */
};

/* How many of the different steps did what: a set in which something never happens says nothing
 * about it. */
struct small_met {
    uint32_t leaders;  /* Became leader. */
    uint32_t commits;  /* A leader committed. */
    uint32_t cuts;     /* Cut its log. */
    uint32_t lost;     /* Lost writes in a crash. */
    uint32_t changes;  /* Another configuration came into force. */
    uint32_t reads;    /* Reads were confirmed. */
    uint32_t sessions; /* A session opened. */
    uint32_t tails;    /* The tail range took entries. */
    uint32_t adopted;  /* And became part of the log. */
};

struct small_world {
    const struct small_set *set;
    struct configs *configs;
    struct pool minds;
    struct pool messages;
    struct pool histories;
    struct host *host;
    struct small_glance *glances; /* By number of the mind. */
    uint32_t glance_capacity;
    uint8_t *links; /* By number of the message: from << 4 | to. */
    uint32_t link_capacity;

    struct pair_map step_places; /* (mind, event) to a place in steps. */
    struct kept_step *steps;     /* From 1 on. */
    uint32_t step_count;
    uint32_t step_capacity;
    uint32_t *sent;
    uint32_t sent_count;
    uint32_t sent_capacity;
    struct verdict *verdicts;
    uint32_t verdict_count;

    struct small_met met;

    uint32_t renaming_count;
    uint8_t renamings[SMALL_RENAMINGS][SMALL_MEMBERS + 1];
    uint32_t *renamed[SMALL_RENAMINGS][3]; /* By number: minds, messages, histories; 0: not yet. */
    uint32_t renamed_capacity[SMALL_RENAMINGS][3];
};

void world_init(struct small_world *world, const struct small_set *set);
void world_deinit(struct small_world *world);

/* How the set begins. Judged like all else. */
void world_begin(struct small_world *world, struct small_state *out_state, struct verdict *verdict);
/* All that can happen, in a fixed order; the number of moves. */
uint32_t world_moves(struct small_world *world, const struct small_state *state,
                     struct small_move out_moves[SMALL_MOVES]);
/* False when the move leaves the bounds of the set, or nothing happens. */
bool world_move(struct small_world *world, const struct small_state *state,
                const struct small_move *move, struct small_state *out_state,
                struct verdict *verdict);
/* Takes the least of all renamings; returns the one that was chosen (0: the names as they are). */
uint32_t world_settle(struct small_world *world, struct small_state *state);

/* As words: how many. */
uint32_t world_words(const struct small_state *state, uint32_t out_words[SMALL_WORDS]);
void world_from_words(const uint32_t *words, struct small_state *out_state);

const struct small_glance *world_glance(const struct small_world *world, uint32_t mind);
const struct small_message *world_message(const struct small_world *world, uint32_t number);
const struct kept_step *world_step(struct small_world *world, uint32_t mind, uint32_t event);
/* NULL when it was not made yet: for those who may not call the core. */
const struct kept_step *world_step_known(const struct small_world *world, uint32_t mind,
                                         uint32_t event);

#endif
