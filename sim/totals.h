/* sim/totals.h - what came of many seeds, summed up for people and as one line of JSON.
 *
 * Memory: plain values. Threads: one. Errors: none. */
#ifndef SIM_TOTALS_H
#define SIM_TOTALS_H

#include "sim/swarm.h"

struct totals {
    uint64_t seeds;
    uint64_t failed;
    double simulated_s;
    uint64_t events;
    uint64_t succeeded;
    uint64_t requests;
    uint64_t sessions;
    uint64_t sessions_done;
    uint64_t committed;
    uint64_t leaders;
    uint64_t undecided;
    uint64_t faults[SIM_FAULTS];
};

void totals_add(struct totals *totals, const struct swarm_result *result);
/* The JSON object is the last line. */
void totals_print(const struct totals *totals, double wall_s);
/* Says on stderr what failed, and the command that shows it again. */
void totals_report(const struct swarm_result *result);
void totals_report_again(uint64_t seed);

#endif
