/* unit/os/test_panic.c - a broken invariant ends the process, after one line or the user's hook.
 *
 * Method: each case runs in a child, as none of them returns. */
#include "base/assert.h"
#include "unit/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_OF_HOOK 7

static void leaving_hook(const char *file, int line, const char *message)
{
    const int right = strcmp(file, "file.c") == 0 && line == 12 && strcmp(message, "words") == 0;
    _exit(right ? EXIT_OF_HOOK : 1);
}

static void returning_hook(const char *file, int line, const char *message)
{
    (void)file;
    (void)line;
    (void)message;
}

/* Panics in a child with `hook`; gives its wait status, and what it wrote to stderr. */
static int panic_in_child(mortar_panic_hook *hook, char *out_text, size_t text_bytes)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        (void)signal(SIGABRT, SIG_DFL); /* Sanitizers and cmocka have handlers of their own. */
        (void)dup2(ends[1], STDERR_FILENO);
        mortar_set_panic_hook(hook);
        mortar_panic("file.c", 12, "words");
    }
    (void)close(ends[1]);
    size_t bytes = 0;
    ssize_t got = 1;
    while (got > 0 && bytes < text_bytes - 1) {
        got = read(ends[0], out_text + bytes, text_bytes - 1 - bytes);
        if (got > 0) bytes += (size_t)got;
    }
    out_text[bytes] = '\0';
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void without_a_hook_one_line_is_printed(void **state)
{
    (void)state;
    char text[1024];
    const int status = panic_in_child(NULL, text, sizeof text);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_string_equal(text, "mortar: file.c:12: words\n");
}

static void hook_hears_where_and_what(void **state)
{
    (void)state;
    char text[1024];
    const int status = panic_in_child(leaving_hook, text, sizeof text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_OF_HOOK);
    assert_string_equal(text, "");
}

static void hook_that_returns_does_not_save_the_process(void **state)
{
    (void)state;
    char text[1024];
    const int status = panic_in_child(returning_hook, text, sizeof text);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_hook_one_line_is_printed),
        cmocka_unit_test(hook_hears_where_and_what),
        cmocka_unit_test(hook_that_returns_does_not_save_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
