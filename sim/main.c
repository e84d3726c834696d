/* sim/main.c - mortar-sim: the command line. Explained in docs/internals/sim.md. */
#include "sim/bugs.h"
#include "sim/jobs.h"
#include "sim/marks.h"
#include "sim/small/small.h"
#include "sim/speed.h"

#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A campaign of --minutes alone takes the seeds from here on: so many for each second since 1970,
 * that no two campaigns share one. */
#define SEEDS_PER_SECOND 1000u
#define MMAP_BYTES_MIN   (32 * 1024 * 1024)

static const char USAGE[] =
    "mortar-sim: runs the core against a virtual network, disk and clock\n"
    "\n"
    "  --seed N [--story] [--frames]    one seed; told as it goes, with all messages\n"
    "  --seeds A..B [--jobs J] [--minutes M] [--verbose]\n"
    "                                   many, in J processes; no new one after M minutes\n"
    "  --minutes M [--jobs J]           a campaign: seeds that nobody ran before\n"
    "  --list FILE                      the seeds that lines of FILE begin with\n"
    "  --exhaustive [--set NAME] [--short] [--depth D] [--jobs J]\n"
    "                                   small worlds, every interleaving\n"
    "  --speed                          how much faster than real time this is\n"
    "  --faults                         what may be done to a world\n"
    "  --test                           ten times as many seeds if MORTAR_TEST_LONG is set\n"
    "  --first                          each job ends at its first failure\n"
    "\n"
    "In a build with -Dbugs=true:\n"
    "  --bug NAME | --bug list          plants a bug | names them\n"
    "  --marks [--marks-min N]          how often each branch was taken; fails below N\n"
    "\n"
    "Exit status: 0 if all held, 1 if something did not, 2 for a command that is none. The last\n"
    "line on stdout is one JSON object.\n";

struct command_line {
    struct jobs_options jobs;
    bool story;
    bool frames;
    bool test;
    bool faults;
    bool help;
    bool marks;
    uint64_t marks_min;
    const char *bug;  /* NULL: none. */
    const char *list; /* NULL: none. */
};

static void line_to_stdout(void *context, const char *text)
{
    (void)context;
    (void)printf("%s\n", text);
}

/* ---- One seed, in this process ---- */

static int run_one(const struct command_line *line)
{
    const double begin_s = jobs_wall_s();
    struct totals totals = {0};
    struct swarm_result result;
    const struct swarm_options options = {
        .seed = line->jobs.first,
        .line = line->story ? line_to_stdout : NULL,
        .frames = line->frames,
    };
    swarm_run(&options, &result);
    marks_gather();
    (void)printf("drawn: %s\n", result.shape);
    (void)fflush(stdout);
    if (result.verdict.failed) totals_report(&result);
    totals_add(&totals, &result);
    totals_print(&totals, jobs_wall_s() - begin_s);
    return result.verdict.failed ? 1 : 0;
}

static int run_many(const struct jobs_options *options)
{
    const double begin_s = jobs_wall_s();
    struct totals totals;
    jobs_run(options, &totals);
    totals_print(&totals, jobs_wall_s() - begin_s);
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
    bool held = true;
    bool any = false;
    while (fgets(text, sizeof text, file) != NULL) {
        char *end;
        struct jobs_options one = line->jobs;
        one.first = one.last = strtoull(text, &end, 0);
        if (end == text) continue;
        any = true;
        held &= run_many(&one) == 0;
    }
    (void)fclose(file);
    if (!any) (void)fprintf(stderr, "no line of %s begins with a seed\n", line->list);
    return held && any ? 0 : 1;
}

static int print_faults(void)
{
    for (uint32_t i = 0; i < SIM_FAULTS; i++) {
        (void)printf("%-16s %s\n", sim_fault_name((enum sim_fault)i),
                     sim_fault_text((enum sim_fault)i));
    }
    return 0;
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
    if (!number(text, &line->jobs.first, &end) || strncmp(end, "..", 2) != 0) return false;
    return number(end + 2, &line->jobs.last, &end) && *end == 0 &&
           line->jobs.last >= line->jobs.first;
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
        line->jobs.first = line->jobs.last = value;
    } else if (strcmp(name, "--jobs") == 0 && value >= 1 && value <= JOBS_MAX) {
        line->jobs.jobs = (uint32_t)value;
    } else if (strcmp(name, "--minutes") == 0 && value <= 100000) {
        line->jobs.minutes = (uint32_t)value;
    } else if (strcmp(name, "--marks-min") == 0) {
        line->marks = true;
        line->marks_min = value;
    } else {
        return false;
    }
    return true;
}

/* A word without a value. */
static bool parse_word(const char *word, struct command_line *line)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {
        {"--story", &line->story},   {"--frames", &line->frames},
        {"--test", &line->test},     {"--first", &line->jobs.first_only},
        {"--marks", &line->marks},   {"--verbose", &line->jobs.verbose},
        {"--faults", &line->faults}, {"--help", &line->help},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(word, flags[i].word) != 0) continue;
        *flags[i].flag = true;
        return true;
    }
    return false;
}

static bool parse(int count, char **words, struct command_line *line)
{
    for (int i = 1; i < count; i++) {
        if (parse_word(words[i], line)) continue;
        if (!parse_value(words[i], i + 1 < count ? words[i + 1] : NULL, line)) return false;
        i++;
    }
    struct jobs_options *jobs = &line->jobs;
    line->story |= line->frames;
    if (line->test && getenv("MORTAR_TEST_LONG") != NULL) {
        jobs->last = jobs->first + (jobs->last - jobs->first + 1) * 10 - 1;
    }
    const bool none_named = jobs->first > jobs->last;
    if (none_named && jobs->minutes > 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        jobs->first = (uint64_t)now.tv_sec * SEEDS_PER_SECOND;
        jobs->last = UINT64_MAX / 2;
        (void)printf("seeds from %" PRIu64 " on\n", jobs->first);
        return true;
    }
    return !none_named || line->list != NULL || line->bug != NULL || line->faults || line->help;
}

static int run(const struct command_line *line)
{
    if (line->faults) return print_faults();
    if (line->list != NULL) return run_list(line);
    return line->jobs.first == line->jobs.last ? run_one(line) : run_many(&line->jobs);
}

int main(int count, char **words)
{
    /* World after world needs the same memory: it is kept, not given back and asked for again. */
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES_MIN);
    if (count == 2 && strcmp(words[1], "--speed") == 0) return speed_run();
    if (count > 1 && strcmp(words[1], "--exhaustive") == 0) return small_main(count, words);
    struct command_line line = {.jobs = {.first = 1, .last = 0, .jobs = 1}};
    const bool understood = parse(count, words, &line);
    if (!understood || line.help) {
        (void)fputs(USAGE, understood ? stdout : stderr);
        return understood ? 0 : 2;
    }
    const int status = line.bug == NULL ? -1 : bugs_plant(line.bug);
    if (status >= 0) return status;
    if (line.marks && !marks_open()) return 2;
    const int held = run(&line);
    return held == 0 && marks_rare(line.marks_min) > 0 ? 1 : held;
}
