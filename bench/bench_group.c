#define _GNU_SOURCE
/* bench/bench_group.c - what a group reaches over TLS on loopback: how fast it commits and answers
 * queries, and how fast a member with nothing catches up by log replay. bench/README.md says what a
 * case measures.
 *
 * Every member is a process of its own (bench/member.h). The text that is replayed is the same
 * for all cases of one entry size: a leader that alone votes, and three followers, are loaded once;
 * members with nothing join them one after the other, first with all three followers as sources,
 * then with one.
 */
#include "bench/group.h"
#include "bench/member.h"
#include "bench/report.h"
#include "bench/tls_reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPLAY_MEMBERS = 4, /* The leader and three followers. */
    COMMIT_BYTES = 100,
    COMMIT_MS = 2500,
    CAP_BYTES_PER_SECOND = 100000000
};

#define REFERENCE_BYTES (512ull * 1024 * 1024)

/* What several catch-ups alike came to; medians. */
struct outcome {
    double seconds;
    double rate; /* Entries per second. */
    double rate_min, rate_max;
    struct member_catchup middle; /* Field by field. */
};

struct replay_case {
    const char *name_1src;
    const char *name_3src;
    uint64_t entries;
    uint32_t entry_bytes;
    bool count_bytes; /* The value is bytes per second, not entries. */
    bool with_cap;    /* Measures the case `sources`, too. */
};

/* ---- commit ---- */

/* Fills in the medians of several closed loops at `member`. */
static bool measure_loop(const struct bench *bench, struct member *member, const char *word,
                         uint32_t depth, struct report *report)
{
    double rates[RUNS_MAX];
    double p50s[RUNS_MAX];
    double p99s[RUNS_MAX];
    char answer[MEMBER_LINE_MAX];
    for (uint32_t run = 0; run < bench->runs; run++) {
        double numbers[3];
        if (!member_ask(member, answer, "%s %u %u %u", word, depth, COMMIT_BYTES, COMMIT_MS) ||
            !member_numbers(answer, numbers, 3))
            return false;
        rates[run] = numbers[0];
        p50s[run] = numbers[1];
        p99s[run] = numbers[2];
    }
    report->value = report_median(rates, bench->runs);
    report->p50_us = report_median(p50s, bench->runs);
    report->p99_us = report_median(p99s, bench->runs);
    report->min = rates[0];
    report->max = rates[bench->runs - 1];
    report->runs = bench->runs;
    return true;
}

static bool bench_commit(struct bench *bench, uint32_t depth)
{
    char name[32];
    (void)snprintf(name, sizeof name, "commit_%u", depth);
    struct report report = {REPORT_INIT, .bench = "group", .name = name, .unit = "1/s"};
    if (!measure_loop(bench, &bench->members[0], "commit", depth, &report)) return false;
    report_print(&report);
    return true;
}

/* On a follower. The reference asks the same machine, and nobody else. */
static bool bench_read(struct bench *bench, uint32_t depth)
{
    char name[32];
    (void)snprintf(name, sizeof name, "read_%u", depth);
    struct report local = {REPORT_INIT};
    struct report report = {REPORT_INIT, .bench = "group", .name = name, .unit = "1/s"};
    if (!measure_loop(bench, &bench->members[1], "readlocal", depth, &local) ||
        !measure_loop(bench, &bench->members[1], "read", depth, &report))
        return false;
    report.reference = local.value;
    report.ratio = report.value / local.value;
    report_print(&report);
    return true;
}

static bool bench_commits(struct bench *bench)
{
    const bool good = bench_start_group(bench, 3, 3) && bench_commit(bench, 1) &&
                      bench_commit(bench, 64) && bench_commit(bench, 256);
    bench_stop_group(bench);
    return good;
}

static bool bench_reads(struct bench *bench)
{
    const bool good = bench_start_group(bench, 3, 3) && bench_read(bench, 64);
    bench_stop_group(bench);
    return good;
}

/* ---- replay ---- */

/* One member with nothing joins, catches up to `index`, and leaves. */
static bool catch_up_once(struct bench *bench, uint64_t index, struct member_catchup *out)
{
    struct member laggard = {0};
    char answer[MEMBER_LINE_MAX];
    double numbers[MEMBER_CATCHUP_NUMBERS];
    bool good = bench_start_member(bench, &laggard, 1) &&
                member_ask(&laggard, answer, "catchup %" PRIu64, index) &&
                member_numbers(answer, numbers, MEMBER_CATCHUP_NUMBERS);
    if (good)
        *out = (struct member_catchup){.total_seconds = numbers[0],
                                       .seconds = numbers[1],
                                       .bytes = numbers[2],
                                       .sources = numbers[3],
                                       .leader_bytes = numbers[4],
                                       .discarded_bytes = numbers[5],
                                       .tail_bytes = numbers[6],
                                       .extra_bytes = numbers[7]};
    good = good && member_ask(&laggard, answer, "leave");
    member_stop(&laggard);
    return good;
}

#define MEDIAN_OF(found, count, field)                                                             \
    do {                                                                                           \
        double values[RUNS_MAX];                                                                   \
        for (uint32_t i = 0; i < (count); i++)                                                     \
            values[i] = (found)[i].field;                                                          \
        outcome->middle.field = report_median(values, (count));                                    \
    } while (0)

static bool catch_up(struct bench *bench, uint32_t runs, uint64_t index, uint64_t entries,
                     struct outcome *outcome)
{
    struct member_catchup found[RUNS_MAX];
    double rates[RUNS_MAX];
    for (uint32_t run = 0; run < runs; run++) {
        if (!catch_up_once(bench, index, &found[run])) return false;
        rates[run] = (double)entries / found[run].seconds;
    }
    MEDIAN_OF(found, runs, total_seconds);
    MEDIAN_OF(found, runs, seconds);
    MEDIAN_OF(found, runs, sources);
    MEDIAN_OF(found, runs, leader_bytes);
    MEDIAN_OF(found, runs, discarded_bytes);
    MEDIAN_OF(found, runs, extra_bytes);
    outcome->rate = report_median(rates, runs);
    outcome->rate_min = rates[0];
    outcome->rate_max = rates[runs - 1];
    return true;
}

static void print_replay(const struct bench *bench, const struct replay_case *what,
                         const char *name, const struct outcome *outcome, double reference)
{
    const double scale = what->count_bytes ? what->entry_bytes : 1;
    const struct report report = {
        .bench = "group",
        .name = name,
        .unit = what->count_bytes ? "B/s" : "1/s",
        .value = outcome->rate * scale,
        .min = outcome->rate_min * scale,
        .max = outcome->rate_max * scale,
        .runs = bench->runs,
        .p50_us = -1,
        .p99_us = -1,
        .reference = reference,
        .ratio = outcome->rate * what->entry_bytes / reference,
        .extra_bytes = outcome->middle.extra_bytes > 0 ? outcome->middle.extra_bytes : 0,
        .sources = outcome->middle.sources,
        .seconds = outcome->middle.seconds,
        .join_seconds = outcome->middle.total_seconds - outcome->middle.seconds,
        .leader_bytes = outcome->middle.leader_bytes,
        .discarded_bytes = outcome->middle.discarded_bytes,
        .rate_1src = -1,
        .rate_3src = -1};
    report_print(&report);
}

static bool cap_all(struct bench *bench, uint64_t bytes_per_second)
{
    char answer[MEMBER_LINE_MAX];
    for (uint32_t i = 0; i < bench->member_count; i++)
        if (!member_ask(&bench->members[i], answer, "cap %" PRIu64, bytes_per_second)) return false;
    return true;
}

/* With each source capped; answers the rate in bytes. */
static bool capped_rate(struct bench *bench, const struct replay_case *what, uint64_t index,
                        uint32_t runs, double *out_rate)
{
    struct outcome outcome;
    const bool good = cap_all(bench, CAP_BYTES_PER_SECOND) &&
                      catch_up(bench, runs, index, what->entries, &outcome) && cap_all(bench, 0);
    if (good) *out_rate = outcome.rate * what->entry_bytes;
    return good;
}

static bool shrink(struct bench *bench, uint32_t count)
{
    char answer[MEMBER_LINE_MAX];
    while (bench->member_count > count) {
        struct member *last = &bench->members[bench->member_count - 1];
        const bool left = member_ask(last, answer, "leave");
        member_stop(last);
        bench->member_count--;
        if (!left) return false;
    }
    return true;
}

static bool load(struct bench *bench, const struct replay_case *what, uint64_t *out_index)
{
    char answer[MEMBER_LINE_MAX];
    if (!member_ask(&bench->members[0], answer, "load %" PRIu64 " %u", what->entries,
                    what->entry_bytes) ||
        !member_ask(&bench->members[0], answer, "committed"))
        return false;
    *out_index = strtoull(answer, NULL, 10);
    for (uint32_t i = 0; i < bench->member_count; i++)
        if (!member_ask(&bench->members[i], answer, "applied %" PRIu64, *out_index)) return false;
    return true;
}

static bool reference_measure(const struct bench *bench, double *out_rate)
{
    double rates[RUNS_MAX];
    for (uint32_t run = 0; run < bench->runs; run++)
        if (!tls_reference_measure(REFERENCE_BYTES, &rates[run])) return false;
    *out_rate = report_median(rates, bench->runs);
    return true;
}

static bool measure_replay(struct bench *bench, const struct replay_case *what)
{
    uint64_t index = 0;
    double reference = 0;
    double rate_1src = 0;
    double rate_3src = 0;
    struct outcome outcome = {0};
    if (!reference_measure(bench, &reference)) return false;
    if (!bench_start_group(bench, REPLAY_MEMBERS, 1) || !load(bench, what, &index)) return false;
    /* Uncounted: on a virtual machine memory that the guest never had is made by its host at the
     * first touch, several times slower than after it. */
    if (!catch_up(bench, 1, index, what->entries, &outcome)) return false;
    if (!catch_up(bench, bench->runs, index, what->entries, &outcome)) return false;
    print_replay(bench, what, what->name_3src, &outcome, reference);
    if (what->with_cap && !capped_rate(bench, what, index, bench->runs, &rate_3src)) return false;

    if (!shrink(bench, 2)) return false;
    if (!catch_up(bench, bench->runs, index, what->entries, &outcome)) return false;
    print_replay(bench, what, what->name_1src, &outcome, reference);
    if (!what->with_cap) return true;
    /* Once: the cap alone decides how long that takes. */
    if (!capped_rate(bench, what, index, 1, &rate_1src)) return false;
    struct report report = {REPORT_INIT, .bench = "group", .name = "sources", .unit = "x"};
    report.value = rate_3src / rate_1src;
    report.rate_1src = rate_1src;
    report.rate_3src = rate_3src;
    report_print(&report);
    return true;
}

static bool bench_replay(struct bench *bench, const struct replay_case *what)
{
    const bool good = measure_replay(bench, what);
    bench_stop_group(bench);
    return good;
}

/* ---- all ---- */

static bool run(struct bench *bench, const char *only)
{
    static const struct replay_case small = {.name_1src = "replay_100b_1src",
                                             .name_3src = "replay_100b_3src",
                                             .entries = 2000000,
                                             .entry_bytes = 100};
    static const struct replay_case large = {.name_1src = "replay_4k_1src",
                                             .name_3src = "replay_4k_3src",
                                             .entries = 262144, /* 1 GiB */
                                             .entry_bytes = 4096,
                                             .count_bytes = true,
                                             .with_cap = true};
    report_heading("group");
    if ((!only || strcmp(only, "commit") == 0) && !bench_commits(bench)) return false;
    if ((!only || strcmp(only, "read") == 0) && !bench_reads(bench)) return false;
    if ((!only || strcmp(only, "replay_100b") == 0) && !bench_replay(bench, &small)) return false;
    if ((!only || strcmp(only, "replay_4k") == 0) && !bench_replay(bench, &large)) return false;
    return true;
}

int main(int count, char **words)
{
    return bench_main(count, words, "commit|read|replay_100b|replay_4k", run);
}
