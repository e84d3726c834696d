/* bench/report.h - where the numbers of a benchmark go: a table for people, and JSON lines.
 *
 * Each result is one row on stdout. With BENCH_JSON=file it is also appended to that file as one
 * JSON object: bench, case, value, unit, and of the other fields those that apply.
 *
 * Memory:  none.
 * Threads: one.
 * Errors:  a file that cannot be written ends the process with 1: numbers must not get lost.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdint.h>

/* A number below zero does not apply, and is left out. */
struct report {
    const char *bench;
    const char *name; /* Of the case. */
    const char *unit;
    double value; /* The median of `runs`. */
    double min;
    double max;
    double runs;
    double p50_us;
    double p99_us;
    double reference; /* The limit, or the peer, measured in the same run. */
    double ratio;
    double extra_bytes;
    double sources;
    double seconds;
    double join_seconds;
    double leader_bytes;
    double discarded_bytes;
    double rate_1src; /* Bytes per second, of the case `sources`. */
    double rate_3src;
};
#define REPORT_INIT                                                                                \
    .min = -1, .max = -1, .runs = -1, .p50_us = -1, .p99_us = -1, .reference = -1, .ratio = -1,    \
    .extra_bytes = -1, .sources = -1, .seconds = -1, .join_seconds = -1, .leader_bytes = -1,       \
    .discarded_bytes = -1, .rate_1src = -1, .rate_3src = -1

void report_heading(const char *bench);
void report_print(const struct report *report);

/* The middle one; sorts `values`. */
double report_median(double *values, uint32_t count);

#endif
