/* sim/network.h - frames between replicas, lane by lane, and everything that can happen to them.
 *
 * Two profiles:
 *   stream     what the real host gives: each lane in order; a frame is lost only when its
 *              connection breaks, and then so are all behind it. A cut holds frames back; when it
 *              lasts, both ends notice after a while, each at its own time, and connect again
 *              once the cut is gone.
 *   datagrams  each frame fares alone: lost, doubled, overtaken, late. Connections stand
 *              throughout.
 * Bit flips, slow and stalled lanes, resets and lies happen in both.
 *
 * Memory:  frames under way hold their sender's buffer; the receiver gets a copy of its own.
 * Threads: one. Errors: none; what is lost is counted in struct sim_faults.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include "mortar/types.h"

struct sim;
struct replica;
struct network;

struct network_options {
    bool datagrams;
    uint32_t latency_us_min;
    uint32_t latency_us_max;
    uint32_t tail_permille; /* So many frames in a thousand are later still, few of them by... */
    uint32_t tail_us_max;
    uint32_t loss_permille; /* Datagrams only, as the next two. */
    uint32_t duplicate_permille;
    uint32_t reorder_permille; /* Sent so that later frames may overtake it. */
    uint32_t flips_per_million;
    uint64_t bytes_per_s[2]; /* By lane; 0: no limit. */
    bool uneven;             /* Each lane has a speed of its own, each way. */
    bool replays;            /* Frames are kept for network_replay(). */
    uint32_t notice_us_min;  /* After this long a cut or a death is noticed. */
    uint32_t notice_us_max;
    uint32_t connect_us_min;
    uint32_t connect_us_max;
};

struct network *network_open(struct sim *sim, const struct network_options *options, uint64_t seed);
void network_close(struct network *network);

/* Takes a reference of `frame`. */
void network_send(struct network *network, struct replica *from, struct replica *to,
                  enum mortar_lane lane, struct mortar_buffer *frame);

/* A replica began to run, or runs no more: bonds are made with all that run, or break. */
void network_join(struct network *network, struct replica *replica);
void network_part(struct network *network, struct replica *replica);

/* Whether a lane stands as `from` sees it. */
bool network_is_up(const struct network *network, const struct replica *from,
                   const struct replica *to, enum mortar_lane lane);

/* ---- Faults; each holds until undone. ---- */

/* Cuts (or mends) what goes from `from` to `to`, both lanes. */
void network_cut(struct network *network, const struct replica *from, const struct replica *to,
                 bool cut);
/* Mends all cuts, ends all stalls and slowness, takes random faults back to none. */
void network_heal(struct network *network);
/* Breaks one lane between two: frames under way are lost, both ends notice at once. */
void network_reset(struct network *network, struct replica *a, struct replica *b,
                   enum mortar_lane lane);
/* Breaks a lane in the middle of the next frame that arrives at `to`. */
void network_tear(struct network *network, const struct replica *from, const struct replica *to,
                  enum mortar_lane lane);
/* Frames of earlier connections, if any were kept, arrive again in this one. In the real host TLS
 * forbids it; the core must live with it all the same. */
void network_replay(struct network *network, struct replica *from, struct replica *to,
                    enum mortar_lane lane);
/* The session of `to` is over: answers that liars held back for it are on their way now. */
void network_session_ended(struct network *network, struct replica *to);
/* What is sent from now on arrives after `until_us` at the earliest; the lane stays up. */
void network_stall(struct network *network, const struct replica *from, const struct replica *to,
                   enum mortar_lane lane, uint64_t until_us);
/* 0: no limit. */
void network_set_speed(struct network *network, const struct replica *from,
                       const struct replica *to, enum mortar_lane lane, uint64_t bytes_per_s);
/* Changes the random faults; speeds of single lanes stay. */
void network_tune(struct network *network, const struct network_options *options);

#endif
