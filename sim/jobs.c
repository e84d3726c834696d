/* sim/jobs.c - processes that run seeds, and what they tell over their pipes. */
#include "sim/jobs.h"

#include "sim/marks.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What a job tells: which seed it begins, then how that one went. */
struct job_word {
    bool begins;
    uint64_t seed;
    struct swarm_result result;
};

struct job {
    pid_t process;
    int pipe;
    uint64_t next;    /* First seed that it has not finished. */
    uint64_t running; /* Seed that it is at. */
    bool ended;
};

double jobs_wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void say(int pipe, const struct job_word *word)
{
    const uint8_t *at = (const uint8_t *)word;
    size_t left = sizeof *word;
    while (left > 0) {
        const ssize_t wrote = write(pipe, at, left);
        if (wrote <= 0) _exit(2);
        at += wrote;
        left -= (size_t)wrote;
    }
}

static bool hear(int pipe, struct job_word *word)
{
    uint8_t *at = (uint8_t *)word;
    size_t left = sizeof *word;
    while (left > 0) {
        const ssize_t got = read(pipe, at, left);
        if (got <= 0) return false;
        at += got;
        left -= (size_t)got;
    }
    return true;
}

_Noreturn static void job_main(const struct jobs_options *options, uint64_t first, int pipe,
                               double end_s)
{
    for (uint64_t seed = first; seed <= options->last; seed += options->jobs) {
        if (options->minutes > 0 && jobs_wall_s() > end_s) break;
        struct job_word word = {.begins = true, .seed = seed};
        say(pipe, &word);
        const struct swarm_options one = {.seed = seed};
        word.begins = false;
        swarm_run(&one, &word.result);
        marks_gather();
        if (word.result.verdict.failed) totals_report(&word.result);
        say(pipe, &word);
        if (options->first_only && word.result.verdict.failed) break;
    }
    _exit(0);
}

static bool job_start(struct job *job, const struct jobs_options *options, double end_s)
{
    int ends[2];
    if (job->next > options->last || pipe(ends) != 0) return false;
    (void)fflush(stdout);
    job->process = fork();
    if (job->process < 0) return false;
    if (job->process == 0) {
        close(ends[0]);
        job_main(options, job->next, ends[1], end_s);
    }
    close(ends[1]);
    job->pipe = ends[0];
    job->running = 0;
    return true;
}

/* The job's process is gone. Starts it again behind a seed that killed it. */
static bool job_ended(struct job *job, const struct jobs_options *options, struct totals *totals,
                      double end_s)
{
    int status = 0;
    close(job->pipe);
    waitpid(job->process, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return false;
    (void)fprintf(stderr, "seed %" PRIu64 " FAILED: its process ended by %s %d\n", job->running,
                  WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    totals_report_again(job->running);
    totals->seeds++;
    totals->failed++;
    job->next = job->running + options->jobs;
    if (options->first_only) return false;
    return job_start(job, options, end_s);
}

static void job_hear(struct job *job, const struct jobs_options *options, struct totals *totals,
                     double end_s)
{
    struct job_word word;
    if (!hear(job->pipe, &word)) {
        job->ended = !job_ended(job, options, totals, end_s);
    } else if (word.begins) {
        job->running = word.seed;
    } else {
        totals_add(totals, &word.result);
        job->next = word.seed + options->jobs;
        if (options->verbose) {
            (void)printf("seed %" PRIu64 ": %" PRIu64 " committed, %" PRIu64 " sessions, %.1f s\n",
                         word.seed, word.result.committed, word.result.sessions,
                         (double)word.result.simulated_us / 1e6);
        }
    }
}

/* Long work shows that it goes on: a line on a terminal, written over. */
static void show_progress(const struct jobs_options *options, const struct totals *totals,
                          double begin_s, double *next_s)
{
    const double now_s = jobs_wall_s();
    if (isatty(STDERR_FILENO) == 0 || now_s < *next_s) return;
    *next_s = now_s + 1.0;
    const double rate = (double)totals->seeds / (now_s - begin_s + 0.001);
    (void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed, %.1f a second ",
                  totals->seeds, options->last - options->first + 1, totals->failed, rate);
}

/* A job that could not begin, or ended too early without a word, must not look like success. */
static void count_missing(const struct jobs_options *options, struct totals *totals)
{
    const bool may_end_early = options->minutes > 0 || (options->first_only && totals->failed > 0);
    const uint64_t all = options->last - options->first + 1;
    if (may_end_early || totals->seeds == all) return;
    (void)fprintf(stderr, "%" PRIu64 " of %" PRIu64 " seeds were not run\n", all - totals->seeds,
                  all);
    totals->failed += all - totals->seeds;
}

void jobs_run(const struct jobs_options *options, struct totals *out_totals)
{
    const double begin_s = jobs_wall_s();
    const double end_s = begin_s + options->minutes * 60.0;
    double progress_s = begin_s + 2.0;
    struct totals totals = {0};
    struct job jobs[JOBS_MAX] = {0};
    for (uint32_t i = 0; i < options->jobs; i++) {
        jobs[i].next = options->first + i;
        jobs[i].ended = !job_start(&jobs[i], options, end_s);
    }
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < options->jobs; i++) {
            if (jobs[i].ended) continue;
            more = true;
            job_hear(&jobs[i], options, &totals, end_s);
        }
        show_progress(options, &totals, begin_s, &progress_s);
    }
    if (isatty(STDERR_FILENO) != 0) (void)fprintf(stderr, "\n");
    count_missing(options, &totals);
    *out_totals = totals;
}
