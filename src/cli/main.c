#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char help[] = "usage: mortar COMMAND [ARGUMENT...]\n"
                           "\n"
                           "commands:\n"
                           "  keygen FILE   make the key file of a new group\n"
                           "\n"
                           "options:\n"
                           "  --help        this text; `mortar COMMAND --help` for a command\n"
                           "  --version     the version\n";

int main(int count, char **arguments)
{
    if (count < 2) {
        (void)fputs(help, stderr);
        return CLI_USAGE;
    }
    const char *const command = arguments[1];
    if (strcmp(command, "keygen") == 0) return cli_keygen(count - 2, arguments + 2);
    if (strcmp(command, "--help") == 0) {
        (void)fputs(help, stdout);
        return CLI_OK;
    }
    if (strcmp(command, "--version") == 0) {
        (void)puts("mortar " MORTAR_VERSION);
        return CLI_OK;
    }
    (void)fprintf(stderr, "mortar: there is no command `%s`; see mortar --help\n", command);
    return CLI_USAGE;
}
