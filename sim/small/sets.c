/* sim/small/sets.c - see sim/small/sets.h. */
#include "sim/small/sets.h"

#include <string.h>

#define NO_SESSIONS SMALL_LOG

static const struct small_set SETS[] = {
    {
        .name = "elections",
        .about = "who may lead, with messages in any order and slow disks",
        .voters = 3,
        .disk_waits = true,
        .resend_entries = NO_SESSIONS,
        .link_messages = 2,
        .term_max = 3,
        .log_max = 4,
        .budget = {[SMALL_TIMEOUT] = 2},
    },
};

uint32_t small_set_count(void)
{
    return sizeof SETS / sizeof SETS[0];
}

const struct small_set *small_set_at(uint32_t number)
{
    return &SETS[number];
}

const struct small_set *small_set_named(const char *name)
{
    for (uint32_t i = 0; i < small_set_count(); i++) {
        if (strcmp(SETS[i].name, name) == 0) return &SETS[i];
    }
    return NULL;
}
