/* sim/small/small.h - mortar-sim --exhaustive: every interleaving of the real consensus core in
 * small worlds (docs/internals/small-worlds.md).
 *
 *   mortar-sim --exhaustive [--set NAME] [--short] [--depth D] [--jobs J] [--bug NAME]
 *
 * Each set runs in a process of its own, J at once. Exit status: 0 when all held, 1 when something
 * did not, or a set was not searched to its end though no --depth was asked for, 2 for a command
 * that is none. The last line on stdout is one JSON object.
 *
 * Memory: of the searches. Threads: none. Errors: the exit status.
 */
#ifndef SIM_SMALL_SMALL_H
#define SIM_SMALL_SMALL_H

/* The words of main(), `--exhaustive` among them. */
int small_main(int count, char **words);

#endif
