/* sim/client.h - those who use the group: clients that execute, feed and read, and the operator who
 * removes members.
 *
 * A client has one request open at a time. What failed or is unknown it may ask for again, as any
 * client would; every command has a number of its own, so that the judges can tell them apart.
 *
 * Memory:  malloc(). Threads: one. Errors: a refusal by name ends the request at once.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "base/prng.h"
#include "mortar/core.h"
#include "sim/check/verdict.h"

struct sim;
struct replica;

struct workload {
    uint32_t clients;
    uint32_t think_us_min; /* Between the end of one request and the next. */
    uint32_t think_us_max;
    uint32_t command_bytes_min;
    uint32_t command_bytes_max;
    uint32_t big_permille; /* So many commands in a thousand are of big_bytes. */
    uint32_t big_bytes;
    uint32_t batch_max;    /* Commands in one request. */
    uint32_t feed_percent; /* Of the writes. */
    uint32_t read_percent;
    uint32_t local_percent; /* Of the reads. */
    uint32_t cancel_permille;
    uint32_t retry_percent; /* Of the writes that failed, or may have. */
    uint32_t timeout_ms_min;
    uint32_t timeout_ms_max;
    uint32_t session_clients; /* So many of the clients write in sessions. */
    uint32_t session_ttl_ms;  /* Longest. */
};

struct clients {
    struct workload workload;
    struct prng prng;
    bool running;
    uint64_t next_op;      /* Request ids of the cores, and numbers of the judges: one series. */
    uint64_t next_command; /* From 1. */
    uint64_t open;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t reads_succeeded;
    uint64_t retries;
    uint32_t largest;        /* Bytes of the largest command so far. */
    uint64_t bytes_open;     /* Of the commands in requests that are open, */
    uint64_t bytes_open_max; /* ... and the most so far. */
    uint64_t last_index;     /* Highest index acknowledged. */
    struct table owners;     /* By op: struct op_owner. */
    struct table wishes;     /* By client: struct wish. */
    struct table sessions;   /* By client: struct session_client. */
};

void clients_init(struct sim *sim, const struct workload *workload, uint64_t seed);
void clients_deinit(struct sim *sim);
/* Each client begins, and goes on until clients_stop(). */
void clients_start(struct sim *sim);
void clients_stop(struct sim *sim);

/* One request at `replica`, not of any client. Its number; 0: refused at once. */
uint64_t client_write(struct sim *sim, struct replica *replica, enum mortar_request_kind kind,
                      uint32_t count, uint32_t command_bytes, uint32_t timeout_ms);
uint64_t client_read(struct sim *sim, struct replica *replica, enum mortar_read_mode mode,
                     uint32_t timeout_ms);
uint64_t client_change(struct sim *sim, struct replica *replica,
                       const struct mortar_change *changes, uint32_t count, uint32_t timeout_ms);
/* For session_client.c: a request to the judges, of one command that gets a number, */
uint64_t client_op(struct sim *sim, struct replica *replica, uint64_t *out_command);
/* ... one try of it (or of `sequence` 0: of nothing that the judges know), */
uint64_t client_try(struct sim *sim, struct replica *replica, uint32_t client, uint64_t sequence,
                    uint32_t bytes);
/* ... that was refused at once, */
void client_refused(struct sim *sim, struct replica *replica, uint64_t attempt,
                    enum mortar_status status);
/* ... and its end. */
void client_judge(struct sim *sim, uint64_t op, const struct mortar_result *result);
/* Asks for `target` to lead; NULL: anyone. */
uint64_t client_transfer(struct sim *sim, struct replica *replica, struct replica *target,
                         uint32_t timeout_ms);
/* How a request ended; false: it has not. */
bool client_ended(const struct sim *sim, uint64_t op, enum mortar_status *out_status);

/* From the hosts: a request ended, or the replica that held it is gone. */
void client_done(struct sim *sim, struct replica *replica, uint64_t op,
                 const struct mortar_result *result);
void client_replica_gone(struct sim *sim, struct replica *replica);

/* Removes replicas that are to leave, again and again until the group says that they are out. */
void operator_start(struct sim *sim);

#endif
