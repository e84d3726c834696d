#define _GNU_SOURCE
/* os/panic.c - the end of a process that broke one of its own invariants.
 *
 * The pure layers only declare mortar_panic(), since printing is no business of theirs. The hook
 * is the one mutable global of the library: a broken invariant belongs to no node.
 */
#include "base/assert.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static _Atomic(mortar_panic_hook *) panic_hook; /* NULL: the default, a line on stderr. */

void mortar_set_panic_hook(mortar_panic_hook *hook)
{
    atomic_store(&panic_hook, hook);
}

static void panic_print(const char *file, int line, const char *message)
{
    char text[512];
    const int length = snprintf(text, sizeof text, "mortar: %s:%d: %s\n", file, line, message);
    if (length <= 0) return;
    const size_t bytes = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    const ssize_t written = write(STDERR_FILENO, text, bytes); /* stdio may be locked. */
    (void)written;                                             /* Nothing is left to tell. */
}

_Noreturn void mortar_panic(const char *file, int line, const char *message)
{
    mortar_panic_hook *const hook = atomic_load(&panic_hook);
    if (hook) {
        hook(file, line, message);
    } else {
        panic_print(file, line, message);
    }
    abort(); /* A hook must not return; whoever lets it does not go on either. */
}
