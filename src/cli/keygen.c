#include "cli/cli.h"
#include "mortar/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: mortar keygen FILE\n"
    "\n"
    "Draws the keys of a new group and writes them to FILE (mode 0600), which must not exist.\n"
    "Every node of the group gets a copy, over a channel that keeps it secret.\n";

int cli_keygen(int count, char **arguments)
{
    if (count == 1 && strcmp(arguments[0], "--help") == 0) {
        (void)fputs(help, stdout);
        return CLI_OK;
    }
    if (count != 1 || arguments[0][0] == '-' || arguments[0][0] == '\0') {
        (void)fputs(help, stderr);
        return CLI_USAGE;
    }
    errno = 0;
    const enum mortar_status status = mortar_key_generate(arguments[0]);
    const int number = errno; /* Says more than MORTAR_E_IO does. */
    if (status == MORTAR_OK) return CLI_OK;
    const char *const why =
        status == MORTAR_E_IO && number != 0 ? strerror(number) : mortar_status_text(status);
    (void)fprintf(stderr, "mortar keygen: %s: %s\n", arguments[0], why);
    return CLI_FAILED;
}
