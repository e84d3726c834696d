/* cli/cli.h - the operator's command `mortar`: its subcommands.
 *
 * Each takes the arguments behind its name, prints results on stdout and complaints on stderr, and
 * answers the exit status of the process.
 *
 * Memory:  none kept.
 * Threads: one.
 * Errors:  CLI_FAILED after a line on stderr; CLI_USAGE for arguments that make no sense.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* mortar keygen FILE */
int cli_keygen(int count, char **arguments);

#endif
