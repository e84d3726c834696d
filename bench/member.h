/* bench/member.h - one member of a benchmark's group, in a process of its own.
 *
 * The benchmark starts its own program again with MEMBER_WORD first; member_main() then obeys one
 * line after the other on stdin, and answers each with one line on stdout: "ok" and numbers, or
 * "error" and a text.
 *
 *   found | join                  ok                          (join does not wait)
 *   address                       ok HOST:PORT
 *   members N | voters N          ok                          when so many stand there
 *   applied INDEX                 ok                          when it is applied here
 *   committed                     ok INDEX
 *   load COUNT BYTES              ok SECONDS                  executes so many commands
 *   commit DEPTH BYTES MS         ok OPS P50_US P99_US        a closed loop with so many under way
 *   read DEPTH BYTES MS           ok OPS P50_US P99_US        the same with linearizable queries
 *   readlocal DEPTH BYTES MS      ok OPS P50_US P99_US        the same with local ones
 *   term                          ok TERM
 *   elections                     ok COUNT                    that this member stood for
 *   later TERM                    ok                          when a later term has committed
 *   keep COUNT                    ok                          prunes its log to about so many
 *   cap BYTES                     ok                          serves at most so many per second
 *   catchup INDEX                 ok MEMBER_CATCHUP_PRINT     joins, until INDEX is applied
 *   leave                         ok                          out of the configuration
 *   quit                          ends
 *
 * Memory:  malloc's.
 * Threads: a member has those of its node and one that obeys.
 * Errors:  the caller's functions answer false with a line on stderr.
 */
#ifndef BENCH_MEMBER_H
#define BENCH_MEMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define MEMBER_WORD            "--member"
#define MEMBER_ADDRESS_MAX     256
#define MEMBER_LINE_MAX        2048
#define MEMBER_CATCHUP_PRINT   "%.6f %.6f %.0f %.0f %.0f %.0f %.0f %.0f"
#define MEMBER_CATCHUP_NUMBERS 8

/* What a member measured of its own catch-up. */
struct member_catchup {
    double total_seconds;   /* From the call of join until everything is applied. */
    double seconds;         /* From the start of the session until everything is applied. */
    double bytes;           /* Fetched and verified, records included. */
    double sources;         /* That served any. */
    double leader_bytes;    /* Of them by the leader. */
    double discarded_bytes; /* Arrived, and not used. */
    double tail_bytes;      /* Came from the leader as live tail. */
    double extra_bytes;     /* Peak memory - memory before the join - log at the end. */
};

/* The process: `words` are its directory, its key file, how many voters the group wants, and its
 * peers, which may be empty. */
int member_main(int count, char **words);

struct member {
    pid_t process; /* 0: not running. */
    FILE *to;
    FILE *from;
    char address[MEMBER_ADDRESS_MAX];
};

/* Starts this very program as a member. */
bool member_start(struct member *member, const char *directory, const char *key_file,
                  uint32_t voters, const char *peers);
/* Sends a line and waits for its answer; `out_answer` holds MEMBER_LINE_MAX, without the "ok ". */
bool member_ask(struct member *member, char *out_answer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Reads `count` numbers, in words; false: there are fewer. */
bool member_numbers(const char *text, double *out_numbers, uint32_t count);
/* SIGKILL; answers when the process is gone. */
void member_kill(struct member *member);
/* Ends it, politely and then not. No-op for one that is not running. */
void member_stop(struct member *member);

#endif
