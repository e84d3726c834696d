#define _GNU_SOURCE
/* bench/bench_elections.c - how long a group is without a leader when its leader dies, and whether
 * load alone ever costs it one. bench/README.md says what a case measures.
 *
 * Every member is a process of its own (bench/member.h), with the default options.
 */
#include "bench/group.h"
#include "bench/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    FAILOVER_ROUNDS = 20,
    STORM_SECONDS = 600,
    STORM_SECONDS_MAX = 24 * 3600,
    STORM_MEMBERS = 5,
    STORM_DEPTH = 256,
    STORM_SLICE_SECONDS = 5, /* Then the members are asked for elections. */
    STORM_BYTES = 100,
    STORM_KEEP = 500000 /* Entries: memory would not hold the log of ten minutes. */
};

static double now_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* It cannot fail. */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- failover ---- */

/* A fresh group; its leader is killed, and a follower says when something is committed later. */
static bool fail_over(struct bench *bench, double *out_seconds)
{
    char term[MEMBER_LINE_MAX];
    char answer[MEMBER_LINE_MAX];
    if (!bench_start_group(bench, 3, 3) || !member_ask(&bench->members[0], term, "term") ||
        !member_ask(&bench->members[0], answer, "committed") ||
        !member_ask(&bench->members[1], answer, "applied %s", answer))
        return false;
    const double killed = now_seconds();
    member_kill(&bench->members[0]);
    if (!member_ask(&bench->members[1], answer, "later %s", term)) return false;
    *out_seconds = now_seconds() - killed;
    return true;
}

static bool bench_failover(struct bench *bench)
{
    double seconds[FAILOVER_ROUNDS];
    for (uint32_t round = 0; round < FAILOVER_ROUNDS; round++) {
        const bool good = fail_over(bench, &seconds[round]);
        bench_stop_group(bench);
        if (!good) return false;
    }
    struct report report = {REPORT_INIT, .bench = "elections", .name = "failover", .unit = "s"};
    report.value = report_median(seconds, FAILOVER_ROUNDS);
    report.min = seconds[0];
    report.max = seconds[FAILOVER_ROUNDS - 1];
    report.runs = FAILOVER_ROUNDS;
    report_print(&report);
    return true;
}

/* ---- election_storm ---- */

/* A number of the environment; 0: it is no number from `min` to `max`. */
static uint32_t number_of(const char *name, uint32_t usual, uint32_t min, uint32_t max)
{
    const char *text = getenv(name);
    if (!text || text[0] == '\0') return usual;
    const unsigned long number = strtoul(text, NULL, 10);
    if (number >= min && number <= max) return (uint32_t)number;
    (void)fprintf(stderr, "bench: %s must be %" PRIu32 "..%" PRIu32 "\n", name, min, max);
    return 0;
}

/* That the members have stood for since they began. */
static bool count_elections(struct bench *bench, double *out_count)
{
    char answer[MEMBER_LINE_MAX];
    double count = 0;
    for (uint32_t i = 0; i < bench->member_count; i++) {
        double one;
        if (!member_ask(&bench->members[i], answer, "elections") ||
            !member_numbers(answer, &one, 1))
            return false;
        count += one;
    }
    *out_count = count;
    return true;
}

static void tell_progress(double passed, uint32_t seconds, double rate, double elections)
{
    if (!isatty(STDERR_FILENO)) return;
    (void)fprintf(stderr, "\r%5.0f of %" PRIu32 " s  %8.0f commits/s  %.0f elections ", passed,
                  seconds, rate, elections);
    if (passed >= seconds || elections > 0) (void)fprintf(stderr, "\n");
}

/* Loads the group until the time is over or an election was held. */
static bool storm(struct bench *bench, uint32_t seconds, struct report *report)
{
    char answer[MEMBER_LINE_MAX];
    double before;
    double numbers[3];
    if (!count_elections(bench, &before)) return false;
    const double start = now_seconds();
    report->value = 0;
    while (report->value == 0 && now_seconds() - start < seconds) {
        /* Without its leadership the load may fail; the count says why. */
        const bool loaded = member_ask(&bench->members[0], answer, "commit %d %d %d", STORM_DEPTH,
                                       STORM_BYTES, STORM_SLICE_SECONDS * 1000) &&
                            member_numbers(answer, numbers, 3);
        if (!count_elections(bench, &report->value)) return false;
        report->value -= before;
        report->seconds = now_seconds() - start;
        if (!loaded && report->value == 0) return false;
        tell_progress(report->seconds, seconds, loaded ? numbers[0] : 0, report->value);
        if (loaded) {
            report->p50_us = numbers[1];
            report->p99_us = numbers[2];
        }
    }
    return true;
}

static bool bench_storm(struct bench *bench)
{
    char answer[MEMBER_LINE_MAX];
    const uint32_t seconds = number_of("BENCH_STORM_SECONDS", STORM_SECONDS, 1, STORM_SECONDS_MAX);
    const uint32_t members = number_of("BENCH_STORM_MEMBERS", STORM_MEMBERS, 3, GROUP_MAX);
    if (seconds == 0 || members == 0) return false;
    struct report report = {REPORT_INIT, .bench = "elections", .name = "election_storm"};
    report.unit = "count";
    const uint32_t voters = members % 2 == 1 ? members : members - 1;
    bool good = bench_start_group(bench, members, voters);
    for (uint32_t i = 0; good && i < members; i++)
        good = member_ask(&bench->members[i], answer, "keep %d", STORM_KEEP);
    good = good && storm(bench, seconds, &report);
    bench_stop_group(bench);
    if (good) report_print(&report);
    return good;
}

static bool run(struct bench *bench, const char *only)
{
    report_heading("elections");
    if ((!only || strcmp(only, "failover") == 0) && !bench_failover(bench)) return false;
    if ((!only || strcmp(only, "storm") == 0) && !bench_storm(bench)) return false;
    return true;
}

int main(int count, char **words)
{
    return bench_main(count, words, "failover|storm", run);
}
