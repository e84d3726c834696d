#define _GNU_SOURCE
#include "bench/group.h"

#include "mortar/node.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool bench_start_member(struct bench *bench, struct member *member, uint32_t voters)
{
    char directory[PATH_BYTES + 16];
    char peers[GROUP_MAX * MEMBER_ADDRESS_MAX] = "";
    size_t used = 0;
    (void)snprintf(directory, sizeof directory, "%s/%u", bench->folder, bench->directories++);
    for (uint32_t i = 0; i < bench->member_count; i++)
        used += (size_t)snprintf(peers + used, sizeof peers - used, "%s%s", i > 0 ? "," : "",
                                 bench->members[i].address);
    return member_start(member, directory, bench->key_file, voters, peers);
}

void bench_stop_group(struct bench *bench)
{
    while (bench->member_count > 0)
        member_stop(&bench->members[--bench->member_count]);
}

bool bench_start_group(struct bench *bench, uint32_t count, uint32_t voters)
{
    char answer[MEMBER_LINE_MAX];
    while (bench->member_count < count) {
        struct member *member = &bench->members[bench->member_count];
        if (!bench_start_member(bench, member, voters)) return false;
        bench->member_count++;
        if (!member_ask(member, answer, bench->member_count == 1 ? "found" : "join")) return false;
    }
    return member_ask(&bench->members[0], answer, "members %u", count) &&
           member_ask(&bench->members[0], answer, "voters %u", voters);
}

static int remove_one(const char *path, const struct stat *what, int type, struct FTW *place)
{
    (void)what;
    (void)type;
    (void)place;
    return remove(path);
}

int bench_main(int count, char **words, const char *parts,
               bool (*run)(struct bench *bench, const char *only))
{
    if (count > 2 && strcmp(words[1], MEMBER_WORD) == 0) return member_main(count - 2, words + 2);
    struct bench bench = {.folder = "/tmp/mortar-bench-XXXXXX", .runs = 3};
    const char *runs = getenv("BENCH_RUNS");
    if (runs) bench.runs = (uint32_t)strtoul(runs, NULL, 10);
    if (bench.runs < 1 || bench.runs > RUNS_MAX || count > 2) {
        (void)fprintf(stderr, "usage: %s [%s]; BENCH_RUNS=1..%d\n", words[0], parts, RUNS_MAX);
        return 2;
    }
    if (!mkdtemp(bench.folder)) {
        perror("mkdtemp");
        return EXIT_FAILURE;
    }
    (void)snprintf(bench.key_file, sizeof bench.key_file, "%.100s/group.key", bench.folder);
    const enum mortar_status key = mortar_key_generate(bench.key_file);
    if (key != MORTAR_OK) (void)fprintf(stderr, "bench: %s\n", mortar_status_text(key));
    const bool good = key == MORTAR_OK && run(&bench, count > 1 ? words[1] : NULL);
    bench_stop_group(&bench);
    if (nftw(bench.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0) perror(bench.folder);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
