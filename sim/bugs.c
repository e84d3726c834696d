/* sim/bugs.c - the planted bugs by name. */
#include "sim/bugs.h"

#include <stdio.h>

#ifdef MORTAR_BUGS
#include "base/bug.h"

#include <stdint.h>
#include <string.h>

struct bug_line {
    const char *name;
    const char *contract;
    const char *text;
    const char *argument;
};

static const struct bug_line BUG_LINES[BUGS] = {
#define BUG_LINE(name, contract, text) [BUG_##name] = {#name, contract, text, " --bug " #name},
    BUG_TABLE(BUG_LINE)
#undef BUG_LINE
};

int bugs_plant(const char *name)
{
    if (strcmp(name, "list") == 0) {
        for (uint32_t i = 1; i < BUGS; i++) {
            (void)printf("%-24s %-4s %s\n", BUG_LINES[i].name, BUG_LINES[i].contract,
                         BUG_LINES[i].text);
        }
        return 0;
    }
    for (uint32_t i = 1; i < BUGS; i++) {
        if (strcmp(BUG_LINES[i].name, name) != 0) continue;
        bug_planted = (enum bug)i;
        return -1;
    }
    (void)fprintf(stderr, "no bug %s; --bug list names them\n", name);
    return 2;
}

const char *bugs_argument(void)
{
    return bug_planted == BUG_NONE ? "" : BUG_LINES[bug_planted].argument;
}
#else
int bugs_plant(const char *name)
{
    (void)fprintf(stderr, "--bug %s: built without -Dbugs=true (tools/setup.sh bugs)\n", name);
    return 2;
}

const char *bugs_argument(void)
{
    return "";
}
#endif
