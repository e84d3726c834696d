/* bench/group.h - the group of processes that a benchmark measures, and the frame of its program.
 *
 * Memory:  malloc's.
 * Threads: one.
 * Errors:  false, with a line on stderr.
 */
#ifndef BENCH_GROUP_H
#define BENCH_GROUP_H

#include "bench/member.h"

enum { RUNS_MAX = 9, GROUP_MAX = 5, PATH_BYTES = 128 };

struct bench {
    char folder[PATH_BYTES];
    char key_file[PATH_BYTES];
    struct member members[GROUP_MAX];
    uint32_t member_count;
    uint32_t directories;
    uint32_t runs; /* BENCH_RUNS; 3. */
};

/* One process with nothing, which knows the members that stand. */
bool bench_start_member(struct bench *bench, struct member *member, uint32_t voters);
/* A leader and `count - 1` others, all with an empty log. */
bool bench_start_group(struct bench *bench, uint32_t count, uint32_t voters);
void bench_stop_group(struct bench *bench);

/* main() of a benchmark: obeys as a member if that is asked for, else makes a folder and a key,
 * calls `run` with the name of the part that is asked for, or NULL, and clears up. */
int bench_main(int count, char **words, const char *parts,
               bool (*run)(struct bench *bench, const char *only));

#endif
