/* sim/small/judge.h - what must hold in every state and step of a small world.
 *
 * The judges share no code with src/raft: they see numbers, and the table of configurations. What
 * they must remember from earlier states is a struct small_history, part of the state of the world.
 *
 *   ack        MATCHED is said only of what is durable in the main log (thesis 3.8, C12).
 *   claim      a candidate claims the end of its main log, never of its tail (C12).
 *   whole      a replica with a session is not whole (C12).
 *   config     in force is the latest configuration of the log (thesis 4.1).
 *   vote       one vote per member and term, also across a crash (thesis 3.4).
 *   leader     one leader per term (thesis 3.2), by votes of a majority of each half (4.3).
 *   complete   a leader holds all that was committed in earlier terms (thesis 3.6.3).
 *   matching   equal index and term: equal logs up to there (thesis 3.5).
 *   commit     what is committed never changes, and a leader commits only what is durable at a
 *              majority of each half of its configuration, up to an entry of its own term (thesis
 *              3.6.2); others only what a leader committed.
 *   read       a confirmed read contains all that was committed when it began (thesis 6.4).
 *
 * Memory: plain values. Threads: none. Errors: the verdict.
 */
#ifndef SIM_SMALL_JUDGE_H
#define SIM_SMALL_JUDGE_H

#include "sim/check/verdict.h"
#include "sim/small/configs.h"
#include "sim/small/model.h"

struct small_history {
    uint8_t leader[SMALL_TERMS];
    uint8_t vote[SMALL_TERMS][SMALL_MEMBERS + 1]; /* By term and voter: whom it helped. */
    uint8_t count;
    uint8_t stale_member; /* A read that began too low, which must not be confirmed; 0: none. */
    uint8_t stale_round;
    uint8_t zero;
    uint16_t committed[SMALL_LOG];
    uint8_t commit_term[SMALL_LOG]; /* In which term each was committed. */
};

/* What judges and search see of a replica. */
struct small_glance {
    uint8_t self;
    uint8_t role; /* enum mortar_role */
    uint8_t term;
    uint8_t commit;
    uint8_t saved_term;
    uint8_t saved_vote;
    uint8_t session;
    uint8_t queue_count;
    struct small_position tail_base; /* index 0: no tail is open, or at 0. */
    uint8_t tail_open;
    uint8_t tail_count;
    uint8_t config_index; /* Of the latest configuration. */
    uint8_t zero;
    struct small_log main;
    struct small_log disk;
};

/* Of one replica, as it speaks. */
void judge_reply(struct verdict *verdict, const struct small_message *message,
                 const struct small_log *log, const struct small_log *disk, bool in_session);
void judge_request(struct verdict *verdict, const struct small_message *message,
                   const struct small_log *log);
/* Of one replica, after a step. */
void judge_replica(struct verdict *verdict, const struct small_mind *mind,
                   const struct small_log *log, const struct configs *configs);

/* Of the world: member `actor` has made a step. `glances` is by member, from 1 on. */
struct judged_step {
    const struct small_glance *const *glances;
    const struct small_glance *before; /* The actor before it. */
    uint8_t actor;
    const struct small_facts *facts;
    const struct small_message *const *sent;
    uint32_t sent_count;
    const struct configs *configs;
};
void judge_step(struct verdict *verdict, const struct judged_step *step,
                struct small_history *history);

#endif
