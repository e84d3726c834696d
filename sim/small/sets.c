/* sim/small/sets.c - see sim/small/sets.h. */
#include "sim/small/sets.h"

#include <string.h>

#define NO_SESSIONS SMALL_LOG

static const struct small_set SETS[] = {
    {
        .name = "elections",
        .about = "who may lead: three elections, messages in any order, slow disks",
        .voters = 3,
        .disk_waits = true,
        .resend_entries = NO_SESSIONS,
        .link_messages = 2,
        .term_max = 3,
        .log_max = 4,
        .budget = {[SMALL_TIMEOUT] = 2, [SMALL_CRASH] = 1},
    },
    {
        .name = "crash",
        .about = "a crash at any write, with commands and two elections",
        .voters = 3,
        .disk_waits = true,
        .in_order = true,
        .has_leader = true,
        .resend_entries = NO_SESSIONS,
        .link_messages = 2,
        .term_max = 3,
        .log_max = 4,
        .budget =
            {[SMALL_TIMEOUT] = 1, [SMALL_HEARTBEAT] = 1, [SMALL_CRASH] = 1, [SMALL_PROPOSAL] = 1},
    },
    {
        .name = "replication",
        .about = "logs that part and meet again: commands, lost messages, two elections",
        .voters = 3,
        .has_leader = true,
        .in_order = true,
        .resend_entries = NO_SESSIONS,
        .link_messages = 2,
        .term_max = 4,
        .log_max = 5,
        .budget =
            {[SMALL_TIMEOUT] = 2, [SMALL_HEARTBEAT] = 1, [SMALL_PROPOSAL] = 2, [SMALL_LOSS] = 1},
    },
    {
        .name = "membership",
        .about = "a voter leaves or steps down, with elections meanwhile",
        .voters = 3,
        .has_leader = true,
        .in_order = true,
        .resend_entries = NO_SESSIONS,
        .link_messages = 2,
        .term_max = 3,
        .log_max = 6,
        .budget =
            {[SMALL_TIMEOUT] = 1, [SMALL_HEARTBEAT] = 1, [SMALL_CHANGE] = 1, [SMALL_LOSS] = 1},
    },
    {
        .name = "learner",
        .about = "a learner is promoted, with elections meanwhile",
        .voters = 2,
        .has_leader = true,
        .in_order = true,
        .resend_entries = NO_SESSIONS,
        .link_messages = 2,
        .term_max = 3,
        .log_max = 6,
        .budget =
            {[SMALL_TIMEOUT] = 1, [SMALL_HEARTBEAT] = 1, [SMALL_CHANGE] = 1, [SMALL_PROPOSAL] = 1},
    },
    {
        .name = "reads",
        .about = "reads by read index, with elections meanwhile",
        .voters = 3,
        .has_leader = true,
        .in_order = true,
        .resend_entries = NO_SESSIONS,
        .link_messages = 2,
        .term_max = 3,
        .log_max = 5,
        .budget = {[SMALL_TIMEOUT] = 1,
                   [SMALL_HEARTBEAT] = 1,
                   [SMALL_READ] = 1,
                   [SMALL_PROPOSAL] = 1,
                   [SMALL_QUORUM] = 1},
    },
    {
        .name = "hole",
        .about = "a member far behind: a session, the live tail, an election meanwhile",
        .voters = 3,
        .has_leader = true,
        .behind = 3,
        .proposed = 1,
        .in_order = true,
        .resend_entries = 1,
        .link_messages = 2,
        .term_max = 3,
        .log_max = 5,
        .budget = {[SMALL_TIMEOUT] = 1, [SMALL_HEARTBEAT] = 1, [SMALL_PROPOSAL] = 1},
    },
    {
        .name = "hole-crash",
        .about = "a member far behind: a session, the live tail, a crash at any write",
        .voters = 3,
        .has_leader = true,
        .behind = 3,
        .proposed = 1,
        .in_order = true,
        .disk_waits = true,
        .resend_entries = 1,
        .link_messages = 1,
        .term_max = 3,
        .log_max = 5,
        .budget =
            {[SMALL_TIMEOUT] = 1, [SMALL_HEARTBEAT] = 1, [SMALL_PROPOSAL] = 1, [SMALL_CRASH] = 1},
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
