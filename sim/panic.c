/* sim/panic.c - a broken invariant in the simulator: what it was, what went before, and the command
 * that shows it again. */
#include "base/assert.h"
#include "sim/bugs.h"
#include "sim/small/search.h"
#include "sim/swarm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void line_to_stderr(void *context, const char *text)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", text);
}

_Noreturn void mortar_panic(const char *file, int line, const char *message)
{
    search_panicked(file, line, message);
    struct sim *sim = swarm_now();
    if (sim != NULL) story_last(sim, line_to_stderr, NULL);
    (void)fprintf(stderr, "panic at %s:%d: %s\n", file, line, message);
    if (sim != NULL && sim->verdict.failed) { /* The step was not over yet. */
        (void)fprintf(stderr, "judge %s: %s\n", sim->verdict.judge, sim->verdict.text);
    }
    if (sim != NULL) {
        (void)fprintf(stderr, "again: mortar-sim --seed %" PRIu64 "%s --story\n", sim->options.seed,
                      bugs_argument());
    }
    abort();
}
