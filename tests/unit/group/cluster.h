/* group/cluster.h - a few replicas in one process with a network that loses nothing, for unit
 * tests of the group. The faults are the simulator's.
 *
 * Memory:  malloc, counted: cluster_close() asserts that everything came back.
 * Threads: none. Errors: cmocka assertions.
 */
#ifndef TESTS_UNIT_GROUP_CLUSTER_H
#define TESTS_UNIT_GROUP_CLUSTER_H

#include "mortar/core.h"

#define CLUSTER_MAX       5u
#define CLUSTER_DONE_MAX  4096u
#define CLUSTER_WORKS_MAX 1024u

struct adder { /* The machine: sums the numbers it is given, and replies with the sum. */
    uint64_t sum;
    uint64_t applied;
    uint32_t pause_once_at; /* Pauses before its nth command, once; 0: never. */
};

#define NOT_ENDED MORTAR_E_LOCKED /* Status of a request that has no DONE yet: no core says it. */

struct done_record {
    bool seen;
    struct mortar_result result; /* Without the buffer. */
    uint64_t reply;              /* First reply, as a number. */
};

struct replica {
    bool open;
    struct mortar_core *core;
    struct mortar_member_id id;
    struct adder adder;
    bool failed;
    bool birth_seen;
    struct mortar_birth_id birth;
    struct mortar_work *apply_queue[CLUSTER_WORKS_MAX];
    uint32_t apply_queued;
    bool hold_apply; /* The machine's thread stands still. */
};

struct packet {
    struct packet *next;
    uint32_t from;
    uint32_t to;
    enum mortar_lane lane;
    struct mortar_buffer *frame;
};

struct cluster;
/* What a test does with a frame under way: its type, as on the wire. */
enum cluster_fate { CLUSTER_DELIVER, CLUSTER_DROP, CLUSTER_TWICE };
typedef enum cluster_fate cluster_filter(struct cluster *cluster, const struct packet *packet,
                                         uint8_t type);

struct cluster {
    struct replica replicas[CLUSTER_MAX];
    uint32_t count;
    bool cut[CLUSTER_MAX][CLUSTER_MAX]; /* No frames between the two. */
    struct packet *head;
    struct packet *tail;
    uint64_t now_ms;
    struct done_record done[CLUSTER_DONE_MAX]; /* By request id. */
    uint64_t frames;
    uint64_t bulk_bytes;
    struct mortar_sync_method *method;
    struct mortar_core_options tune; /* Applied to every replica opened; identity ignored. */
    const struct mortar_sync_method *other_method; /* Instead of log replay, if not NULL. */
    cluster_filter *filter;                        /* NULL: all is delivered. */
    uint64_t filter_state;                         /* The filter's own. */
    /* Puts something before a replica's storage. NULL: nothing. */
    struct mortar_storage (*wrap)(struct mortar_storage inner);
};

/* The allocation that fails, counted from now on, 1 being the next; 0: none. All after it succeed.
 * Gives how many were asked for since the last call. */
uint64_t cluster_fail_allocation(uint64_t number);
/* As above, but from that one on so many fail. */
void cluster_fail_allocations(uint64_t number, uint64_t count);
const struct mortar_allocator *cluster_allocator(void);
void cluster_count_anew(void); /* What a test that failed left behind is not the next one's. */
void cluster_assert_nothing_held(void);

void cluster_open(struct cluster *cluster);
void cluster_close(struct cluster *cluster);
/* Opens replica `i`; founds the group, or joins it. */
void cluster_found(struct cluster *cluster, uint32_t i);
void cluster_join(struct cluster *cluster, uint32_t i);
/* Founds with 0 and joins 1..count-1, until all are voters or `count` members stand. */
void cluster_start(struct cluster *cluster, uint32_t count);
/* Opens replica `i` and lets it ask for nothing. */
void cluster_open_replica(struct cluster *cluster, uint32_t i);
/* Ends replica `i` as a crash would. */
void cluster_kill(struct cluster *cluster, uint32_t i);
/* Breaks or mends the links between `i` and all others. */
void cluster_isolate(struct cluster *cluster, uint32_t i, bool cut);
/* Delivers and runs everything, advancing the clock by `ms`. */
void cluster_run(struct cluster *cluster, uint64_t ms);
/* Delivers and runs everything without advancing the clock. */
void cluster_settle(struct cluster *cluster);
int cluster_leader(struct cluster *cluster); /* -1: none, or two. */
struct mortar_core_status *cluster_status(struct cluster *cluster, uint32_t i);
/* Submits one number; answers the status of the submission. */
enum mortar_status cluster_add(struct cluster *cluster, uint32_t i, uint64_t id, uint64_t number,
                               enum mortar_request_kind kind);
/* Submits `count` commands of `bytes` bytes each as one request. */
enum mortar_status cluster_bulk(struct cluster *cluster, uint32_t i, uint64_t id, uint32_t count,
                                uint32_t bytes);

#endif
