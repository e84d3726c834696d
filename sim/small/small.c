/* sim/small/small.c - see sim/small/small.h. */
#include "sim/small/small.h"

#include "sim/bugs.h"
#include "sim/small/search.h"
#include "sim/small/sets.h"
#include "sim/small/tell.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SETS_MAX 64u
#define JOBS_MAX 16u

struct command {
    const char *bug; /* NULL: none is planted. */
    const char *set; /* NULL: all of the list. */
    bool is_short;
    uint32_t depth; /* 0: to the end. */
    uint32_t jobs;
};

/* A set that runs, or ran. */
struct job {
    const struct small_set *set;
    pid_t process; /* 0: not yet started. */
    FILE *out;     /* What it says; copied to stdout when it has ended. */
    bool ended;
    bool failed;
};

struct run {
    const struct command *command;
    uint32_t count;
    struct job jobs[SETS_MAX];
    struct search_result *results; /* Shared with the processes. */
};

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- One set, in a process of its own ---- */

static void tell_met(const struct small_met *met, FILE *out)
{
    (void)fprintf(
        out,
        "  different steps that made a leader %u, committed %u, cut a log %u, lost writes "
        "%u, changed members %u, confirmed reads %u, opened sessions %u, grew a tail %u, "
        "adopted one %u\n",
        met->leaders, met->commits, met->cuts, met->lost, met->changes, met->reads, met->sessions,
        met->tails, met->adopted);
}

static void tell_result(const struct search_result *result, FILE *out)
{
    tell_met(&result->met, out);
    (void)fprintf(out,
                  "  %" PRIu64 " states, %" PRIu64 " transitions, depth %u, %u renamings, %" PRIu64
                  " different steps, %.1f s: %s\n",
                  result->states, result->transitions, result->depth, result->symmetry,
                  result->steps, result->seconds,
                  result->verdict.failed ? "VIOLATION"
                  : result->complete     ? "all seen, all held"
                                         : "all held, not all seen");
}

static int job_main(const struct job *job, const struct command *command,
                    struct search_result *result)
{
    tell_bounds(job->set, job->out);
    search_run(job->set, command->depth, job->out, result);
    tell_result(result, job->out);
    (void)fflush(job->out);
    const bool cut_short = !result->complete && command->depth == 0;
    return result->verdict.failed || cut_short ? 1 : 0;
}

static bool job_start(struct run *run, struct job *job)
{
    (void)fflush(stdout);
    job->out = tmpfile();
    if (job->out == NULL) return false;
    job->process = fork();
    if (job->process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* Nobody would hear it. */
        exit(job_main(job, run->command, &run->results[job - run->jobs]));
    }
    return job->process > 0;
}

static void copy_to_stdout(FILE *from)
{
    char text[4096];
    rewind(from);
    for (size_t bytes; (bytes = fread(text, 1, sizeof text, from)) > 0;)
        (void)fwrite(text, 1, bytes, stdout);
    (void)fclose(from);
    (void)fflush(stdout);
}

static void job_ended(struct job *job, int status)
{
    job->ended = true;
    job->failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    copy_to_stdout(job->out);
    if (!WIFEXITED(status)) {
        (void)printf("set %s: its process ended by signal %d\n", job->set->name, WTERMSIG(status));
    }
}

/* ---- All of them ---- */

static bool run_all(struct run *run)
{
    uint32_t started = 0;
    uint32_t ended = 0;
    while (ended < run->count) {
        while (started < run->count && started - ended < run->command->jobs) {
            if (!job_start(run, &run->jobs[started])) return false;
            started++;
        }
        int status;
        const pid_t process = wait(&status);
        if (process < 0) return false;
        for (uint32_t i = 0; i < started; i++) {
            if (run->jobs[i].process == process) job_ended(&run->jobs[i], status);
        }
        ended++;
    }
    return true;
}

static int sum_up(const struct run *run, double seconds)
{
    uint64_t states = 0;
    uint64_t transitions = 0;
    uint32_t failed = 0;
    uint32_t complete = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        states += run->results[i].states;
        transitions += run->results[i].transitions;
        failed += run->jobs[i].failed ? 1 : 0;
        complete += run->results[i].complete ? 1 : 0;
    }
    const struct search_result *first = &run->results[0];
    (void)printf("{\"sets\":%u,\"failed\":%u,\"complete\":%u,\"states\":%" PRIu64
                 ",\"transitions\":%" PRIu64 ",\"wall_s\":%.1f",
                 run->count, failed, complete, states, transitions, seconds);
    if (run->count == 1 && first->verdict.failed) {
        (void)printf(",\"judge\":\"%s\",\"steps\":%u", first->verdict.judge,
                     first->violation_depth);
    }
    (void)printf("}\n");
    return failed == 0 ? 0 : 1;
}

static bool is_wanted(const struct command *command, const struct small_set *set)
{
    if (command->set != NULL) return strcmp(command->set, set->name) == 0;
    return set->is_short == command->is_short;
}

static int run_command(const struct command *command)
{
    struct run run = {.command = command};
    for (uint32_t i = 0; i < small_set_count() && run.count < SETS_MAX; i++) {
        if (!is_wanted(command, small_set_at(i))) continue;
        run.jobs[run.count++].set = small_set_at(i);
    }
    if (run.count == 0) {
        (void)fprintf(stderr, "no such set; there are:\n");
        for (uint32_t i = 0; i < small_set_count(); i++)
            (void)fprintf(stderr, "  %-14s %s\n", small_set_at(i)->name, small_set_at(i)->about);
        return 2;
    }
    const size_t bytes = SETS_MAX * sizeof run.results[0];
    run.results = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.results == MAP_FAILED) return 2;
    const double begin_s = wall_s();
    const int status = run_all(&run) ? sum_up(&run, wall_s() - begin_s) : 2;
    (void)munmap(run.results, bytes);
    return status;
}

/* ---- Command line ---- */

static bool number(const char *text, uint32_t most, uint32_t *out_number)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != 0 || value == 0 || value > most) return false;
    *out_number = (uint32_t)value;
    return true;
}

static bool parse_value(const char *name, const char *text, struct command *command)
{
    if (text == NULL) return false;
    if (strcmp(name, "--set") == 0) {
        command->set = text;
        return true;
    }
    if (strcmp(name, "--bug") == 0) {
        command->bug = text;
        return true;
    }
    if (strcmp(name, "--depth") == 0) return number(text, 1000, &command->depth);
    if (strcmp(name, "--jobs") == 0) return number(text, JOBS_MAX, &command->jobs);
    return false;
}

int small_main(int count, char **words)
{
    struct command command = {.jobs = 2};
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--exhaustive") == 0) continue;
        if (strcmp(words[i], "--short") == 0) {
            command.is_short = true;
        } else if (parse_value(words[i], i + 1 < count ? words[i + 1] : NULL, &command)) {
            i++;
        } else {
            (void)fprintf(stderr, "mortar-sim --exhaustive [--set NAME] [--short] [--depth D] "
                                  "[--jobs J] [--bug NAME]\n");
            return 2;
        }
    }
    const int status = command.bug == NULL ? -1 : bugs_plant(command.bug);
    return status >= 0 ? status : run_command(&command);
}
