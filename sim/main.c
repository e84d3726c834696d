/* sim/main.c - mortar-sim: runs seeds, several at a time, and sums them up.
 *
 *   mortar-sim --seed N [--story] [--frames]
 *   mortar-sim --seeds A..B [--jobs J] [--minutes M] [--verbose]
 *   mortar-sim --list FILE      the seeds that lines of FILE begin with
 *   mortar-sim --speed          how much faster than real time this is
 *
 * --first ends each job at its first seed that fails. In a build with -Dbugs=true, --bug NAME
 * plants a bug (list: names them), --marks prints how often each branch mark was hit, and
 * --marks-min N fails when one was hit less often.
 *
 * --test takes ten times as many seeds when MORTAR_TEST_LONG is set.
 *
 * Each job is a process of its own, so that a seed that panics ends only its job, which is started
 * again behind it. The exit status is 0 only if all held. The last line on stdout is one JSON
 * object.
 */
#include "sim/bugs.h"
#include "sim/marks.h"
#include "sim/small/small.h"
#include "sim/speed.h"
#include "sim/swarm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64u

struct command_line {
    uint64_t first;
    uint64_t last;
    uint32_t jobs;
    uint32_t minutes; /* 0: no limit. */
    bool story;
    bool frames;
    bool verbose;
    bool test;
    bool first_only; /* A job ends at its first failure. */
    bool marks;
    uint64_t marks_min;
    const char *bug;  /* NULL: none. */
    const char *list; /* NULL: none. */
};

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

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void line_to_stdout(void *context, const char *text)
{
    (void)context;
    (void)printf("%s\n", text);
}

static void report(const struct swarm_result *result)
{
    (void)fprintf(stderr, "seed %" PRIu64 " FAILED: judge %s: %s\n", result->seed,
                  result->verdict.judge, result->verdict.text);
    (void)fprintf(stderr, "  drawn: %s\n", result->shape);
    (void)fprintf(stderr, "  again: mortar-sim --seed %" PRIu64 "%s --story\n", result->seed,
                  bugs_argument());
}

static void add(struct totals *totals, const struct swarm_result *result)
{
    totals->seeds++;
    if (result->verdict.failed) totals->failed++;
    totals->simulated_s += (double)result->simulated_us / 1e6;
    totals->events += result->events;
    totals->succeeded += result->succeeded;
    totals->requests += result->succeeded + result->failed;
    totals->sessions += result->sessions;
    totals->sessions_done += result->sessions_done;
    totals->committed += result->committed;
    totals->leaders += result->leaders;
    totals->undecided += result->undecided;
    for (uint32_t i = 0; i < SIM_FAULTS; i++)
        totals->faults[i] += result->faults[i];
}

static void print_totals(const struct totals *totals, double seconds)
{
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " of %" PRIu64
                 " requests succeeded, %" PRIu64 " entries committed, %" PRIu64 " of %" PRIu64
                 " sessions done, %" PRIu64 " terms; %.0f s simulated in %.1f s\n",
                 totals->seeds, totals->failed, totals->succeeded, totals->requests,
                 totals->committed, totals->sessions_done, totals->sessions, totals->leaders,
                 totals->simulated_s, seconds);
    marks_print();
    (void)printf("{\"seeds\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"undecided\":%" PRIu64
                 ",\"simulated_s\":%.1f,\"wall_s\":%.2f,\"faults\":{",
                 totals->seeds, totals->failed, totals->undecided, totals->simulated_s, seconds);
    for (uint32_t i = 0; i < SIM_FAULTS; i++) {
        (void)printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", sim_fault_name((enum sim_fault)i),
                     totals->faults[i]);
    }
    (void)printf("}");
    marks_print_json();
    (void)printf("}\n");
}

/* ---- One seed, in this process ---- */

static int run_one(const struct command_line *line)
{
    const double begin_s = wall_s();
    struct totals totals = {0};
    struct swarm_result result;
    const struct swarm_options options = {
        .seed = line->first,
        .line = line->story ? line_to_stdout : NULL,
        .frames = line->frames,
    };
    swarm_run(&options, &result);
    marks_gather();
    (void)printf("drawn: %s\n", result.shape);
    (void)fflush(stdout);
    if (result.verdict.failed) report(&result);
    add(&totals, &result);
    print_totals(&totals, wall_s() - begin_s);
    return result.verdict.failed ? 1 : 0;
}

/* ---- Many seeds, in several processes ---- */

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

_Noreturn static void job_main(const struct command_line *line, uint64_t first, int pipe,
                               double end_s)
{
    for (uint64_t seed = first; seed <= line->last; seed += line->jobs) {
        if (line->minutes > 0 && wall_s() > end_s) break;
        struct job_word word = {.begins = true, .seed = seed};
        say(pipe, &word);
        const struct swarm_options options = {.seed = seed};
        word.begins = false;
        swarm_run(&options, &word.result);
        marks_gather();
        if (word.result.verdict.failed) report(&word.result);
        say(pipe, &word);
        if (line->first_only && word.result.verdict.failed) break;
    }
    _exit(0);
}

static bool job_start(struct job *job, const struct command_line *line, double end_s)
{
    int ends[2];
    if (job->next > line->last || pipe(ends) != 0) return false;
    (void)fflush(stdout);
    job->process = fork();
    if (job->process < 0) return false;
    if (job->process == 0) {
        close(ends[0]);
        job_main(line, job->next, ends[1], end_s);
    }
    close(ends[1]);
    job->pipe = ends[0];
    job->running = 0;
    return true;
}

/* The job's process is gone. Starts it again behind a seed that killed it. */
static bool job_ended(struct job *job, const struct command_line *line, struct totals *totals,
                      double end_s)
{
    int status = 0;
    close(job->pipe);
    waitpid(job->process, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return false;
    (void)fprintf(stderr, "seed %" PRIu64 " FAILED: its process ended by %s %d\n", job->running,
                  WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    (void)fprintf(stderr, "  again: mortar-sim --seed %" PRIu64 "%s --story\n", job->running,
                  bugs_argument());
    totals->seeds++;
    totals->failed++;
    job->next = job->running + line->jobs;
    if (line->first_only) return false;
    return job_start(job, line, end_s);
}

static void job_hear(struct job *job, const struct command_line *line, struct totals *totals,
                     double end_s)
{
    struct job_word word;
    if (!hear(job->pipe, &word)) {
        job->ended = !job_ended(job, line, totals, end_s);
    } else if (word.begins) {
        job->running = word.seed;
    } else {
        add(totals, &word.result);
        job->next = word.seed + line->jobs;
        if (line->verbose) {
            (void)printf("seed %" PRIu64 ": %" PRIu64 " committed, %" PRIu64 " sessions, %.1f s\n",
                         word.seed, word.result.committed, word.result.sessions,
                         (double)word.result.simulated_us / 1e6);
        }
    }
}

static int run_many(const struct command_line *line)
{
    const double begin_s = wall_s();
    const double end_s = begin_s + line->minutes * 60.0;
    struct totals totals = {0};
    struct job jobs[JOBS_MAX] = {0};
    for (uint32_t i = 0; i < line->jobs; i++) {
        jobs[i].next = line->first + i;
        jobs[i].ended = !job_start(&jobs[i], line, end_s);
    }
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < line->jobs; i++) {
            if (jobs[i].ended) continue;
            more = true;
            job_hear(&jobs[i], line, &totals, end_s);
        }
    }
    print_totals(&totals, wall_s() - begin_s);
    return totals.failed == 0 && totals.seeds > 0 ? 0 : 1;
}

/* ---- The seeds of a file ---- */

static int run_list(const struct command_line *line)
{
    FILE *file = fopen(line->list, "r");
    if (file == NULL) {
        (void)fprintf(stderr, "cannot read %s\n", line->list);
        return 2;
    }
    char text[512];
    int worst = 0;
    while (fgets(text, sizeof text, file) != NULL) {
        char *end;
        struct command_line one = *line;
        one.first = one.last = strtoull(text, &end, 0);
        if (end != text && run_many(&one) != 0) worst = 1;
    }
    (void)fclose(file);
    return worst;
}

/* ---- Command line ---- */

static bool number(const char *text, uint64_t *out_number, const char **out_end)
{
    char *end;
    *out_number = strtoull(text, &end, 0);
    *out_end = end;
    return end != text;
}

static bool parse_seeds(const char *text, struct command_line *line)
{
    const char *end;
    if (!number(text, &line->first, &end) || strncmp(end, "..", 2) != 0) return false;
    return number(end + 2, &line->last, &end) && *end == 0 && line->last >= line->first;
}

static bool parse_value(const char *name, const char *text, struct command_line *line)
{
    uint64_t value;
    const char *end;
    if (text == NULL) return false;
    if (strcmp(name, "--list") == 0) {
        line->list = text;
        return true;
    }
    if (strcmp(name, "--bug") == 0) {
        line->bug = text;
        return true;
    }
    if (strcmp(name, "--seeds") == 0) return parse_seeds(text, line);
    if (!number(text, &value, &end) || *end != 0) return false;
    if (strcmp(name, "--seed") == 0) {
        line->first = line->last = value;
    } else if (strcmp(name, "--jobs") == 0 && value >= 1 && value <= JOBS_MAX) {
        line->jobs = (uint32_t)value;
    } else if (strcmp(name, "--minutes") == 0 && value <= 100000) {
        line->minutes = (uint32_t)value;
    } else if (strcmp(name, "--marks-min") == 0) {
        line->marks = true;
        line->marks_min = value;
    } else {
        return false;
    }
    return true;
}

static bool parse(int count, char **words, struct command_line *line)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--story") == 0) {
            line->story = true;
        } else if (strcmp(words[i], "--frames") == 0) {
            line->story = line->frames = true;
        } else if (strcmp(words[i], "--verbose") == 0) {
            line->verbose = true;
        } else if (strcmp(words[i], "--test") == 0) {
            line->test = true;
        } else if (strcmp(words[i], "--first") == 0) {
            line->first_only = true;
        } else if (strcmp(words[i], "--marks") == 0) {
            line->marks = true;
        } else if (parse_value(words[i], i + 1 < count ? words[i + 1] : NULL, line)) {
            i++;
        } else {
            return false;
        }
    }
    if (line->test && getenv("MORTAR_TEST_LONG") != NULL) {
        line->last = line->first + (line->last - line->first + 1) * 10 - 1;
    }
    return line->list != NULL || line->bug != NULL || line->first <= line->last;
}

static int run(const struct command_line *line)
{
    if (line->list != NULL) return run_list(line);
    return line->first == line->last ? run_one(line) : run_many(line);
}

int main(int count, char **words)
{
    if (count == 2 && strcmp(words[1], "--speed") == 0) return speed_run();
    struct command_line line = {.first = 1, .last = 0, .jobs = 1};
    if (count > 1 && strcmp(words[1], "--exhaustive") == 0) return small_main(count, words);
    if (!parse(count, words, &line)) {
        (void)fprintf(stderr,
                      "mortar-sim --seed N [--story] [--frames]\n"
                      "mortar-sim --seeds A..B [--jobs J] [--minutes M] [--verbose] [--test]\n"
                      "mortar-sim --list FILE\n"
                      "mortar-sim --bug NAME|list, --marks, --marks-min N, --first with the above\n"
                      "mortar-sim --exhaustive [--set NAME] [--short] [--depth D] [--jobs J]\n");
        return 2;
    }
    const int status = line.bug == NULL ? -1 : bugs_plant(line.bug);
    if (status >= 0) return status;
    if (line.marks && !marks_open()) return 2;
    const int held = run(&line);
    return held == 0 && marks_rare(line.marks_min) > 0 ? 1 : held;
}
