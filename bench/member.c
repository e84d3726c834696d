#define _GNU_SOURCE
#include "bench/member.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MS = 120000, END_MS = 3000 };

bool member_start(struct member *member, const char *directory, const char *key_file,
                  uint32_t voters, const char *peers)
{
    int to[2];
    int from[2];
    char answer[MEMBER_LINE_MAX];
    char count[16];
    (void)snprintf(count, sizeof count, "%u", voters);
    if (pipe2(to, O_CLOEXEC) != 0) return false;
    if (pipe2(from, O_CLOEXEC) != 0) return false;
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        char *const words[] = {(char[]){"bench"},
                               (char[]){MEMBER_WORD},
                               strdup(directory),
                               strdup(key_file),
                               count,
                               strdup(peers),
                               NULL};
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* A benchmark that dies leaves nothing behind. */
        if (getppid() != parent || dup2(to[0], STDIN_FILENO) < 0 ||
            dup2(from[1], STDOUT_FILENO) < 0)
            _exit(1);
        (void)execv("/proc/self/exe", words);
        _exit(1);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    member->process = child > 0 ? child : 0;
    member->to = fdopen(to[1], "w");
    member->from = fdopen(from[0], "r");
    if (child < 0 || !member->to || !member->from) return false;
    if (!member_ask(member, answer, "address")) return false;
    (void)snprintf(member->address, sizeof member->address, "%.255s", answer);
    return true;
}

bool member_ask(struct member *member, char *out_answer, const char *format, ...)
{
    char line[MEMBER_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false for the second program. */
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (fprintf(member->to, "%s\n", line) < 0 || fflush(member->to) != 0) {
        (void)fprintf(stderr, "bench: a member ended before '%s'\n", line);
        return false;
    }
    struct pollfd waiting = {.fd = fileno(member->from), .events = POLLIN};
    char answer[MEMBER_LINE_MAX] = "";
    if (poll(&waiting, 1, ANSWER_MS) != 1 || !fgets(answer, sizeof answer, member->from)) {
        (void)fprintf(stderr, "bench: a member does not answer '%s'\n", line);
        return false;
    }
    answer[strcspn(answer, "\n")] = '\0';
    if (strncmp(answer, "ok", 2) != 0) {
        (void)fprintf(stderr, "bench: '%s': %s\n", line, answer);
        return false;
    }
    const char *rest = answer[2] == ' ' ? answer + 3 : answer + 2;
    memcpy(out_answer, rest, strlen(rest) + 1);
    return true;
}

bool member_numbers(const char *text, double *out_numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char *end = NULL;
        out_numbers[i] = strtod(text, &end);
        if (end == text) return false;
        text = end;
    }
    return true;
}

void member_kill(struct member *member)
{
    int status = 0;
    (void)kill(member->process, SIGKILL);
    (void)waitpid(member->process, &status, 0);
    member->process = 0;
    member_stop(member);
}

void member_stop(struct member *member)
{
    int status = 0;
    if (member->to) (void)fclose(member->to); /* The end of its stdin is "quit". */
    for (int ms = 0; member->process > 0 && ms < END_MS; ms += 10) {
        const struct timespec pause = {.tv_nsec = 10000000};
        if (waitpid(member->process, &status, WNOHANG) != 0)
            member->process = 0;
        else
            (void)nanosleep(&pause, NULL);
    }
    if (member->process > 0) {
        (void)fprintf(stderr, "bench: a member did not end by itself\n");
        (void)kill(member->process, SIGKILL);
        (void)waitpid(member->process, &status, 0);
    }
    if (member->from) (void)fclose(member->from);
    *member = (struct member){0};
}
