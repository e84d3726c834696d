/* sim/jobs.h - many seeds, in several processes at once, so that a seed that panics ends only its
 * process, which is started again behind it.
 *
 * Memory:  of one world in each process. Threads: none. Errors: said on stderr and counted. */
#ifndef SIM_JOBS_H
#define SIM_JOBS_H

#include "sim/totals.h"

#define JOBS_MAX 64u

struct jobs_options {
    uint64_t first; /* Seeds first..last, */
    uint64_t last;
    uint32_t jobs;    /* in so many processes, 1..JOBS_MAX, */
    uint32_t minutes; /* begun within so much time; 0: no limit. */
    bool first_only;  /* A job ends at its first failure. */
    bool verbose;     /* A line for each seed. */
};

void jobs_run(const struct jobs_options *options, struct totals *out_totals);
/* Of the machine's clock. */
double jobs_wall_s(void);

#endif
