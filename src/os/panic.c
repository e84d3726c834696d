#define _GNU_SOURCE
#include "os/panic.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void panic_print(const char *file, int line, const char *message)
{
    char text[512];
    const int length = snprintf(text, sizeof text, "mortar: %s:%d: %s\n", file, line, message);
    if (length > 0) {
        const size_t bytes = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
        const ssize_t written = write(STDERR_FILENO, text, bytes); /* stdio may be locked. */
        (void)written; /* Nothing is left to tell. */
    }
    abort();
}

void panic_install(void) { panic_set_fallback(panic_print); }
