/* sim/check/applied.c - all machines agree: at equal positions the same command was applied, with
 * the same reply and the same state after it; nothing is applied twice, nothing skipped (C11). */
#include "sim/check/seen.h"

#include <inttypes.h>

static bool command_equal(const struct applied_command *a, const struct applied_command *b)
{
    return a->index == b->index && a->term == b->term && a->command == b->command &&
           a->content == b->content && a->reply == b->reply && a->state[0] == b->state[0] &&
           a->state[1] == b->state[1];
}

static void note_command(struct judges *judges, const struct applied_command *command)
{
    struct command_seen *seen = table_at(&judges->commands, command->command);
    if (seen->index != 0 && seen->index != command->index) {
        verdict_fail(judges->verdict, "applied",
                     "command %" PRIu64 " is applied at %" PRIu64 " and at %" PRIu64,
                     command->command, seen->index, command->index);
    }
    seen->index = command->index;
}

void judge_applied(struct judges *judges, uint32_t replica, const struct applied_command *command)
{
    struct replica_seen *self = &judges->replicas[replica];
    if (command->index <= self->applied) {
        verdict_fail(judges->verdict, "applied",
                     "replica %" PRIu32 " applies %" PRIu64 " after %" PRIu64, replica,
                     command->index, self->applied);
    }
    const struct committed_seen *committed = table_find(&judges->committed, command->index);
    if (committed == NULL || !committed->known || committed->term != command->term) {
        verdict_fail(judges->verdict, "applied",
                     "replica %" PRIu32 " applies %" PRIu64 "^%" PRIu64 ", which nobody committed",
                     replica, command->index, command->term);
    }
    struct applied_seen *seen = table_at(&judges->applied, command->index);
    if (!seen->known) {
        *seen = (struct applied_seen){true, replica, self->applied, *command};
        if (command->index > judges->applied_last) judges->applied_last = command->index;
        note_command(judges, command);
    } else if (seen->before != self->applied) {
        verdict_fail(judges->verdict, "applied",
                     "before %" PRIu64 " replica %" PRIu32 " applied %" PRIu64 ", replica %" PRIu32
                     " applied %" PRIu64,
                     command->index, replica, self->applied, seen->replica, seen->before);
    } else if (!command_equal(&seen->command, command)) {
        verdict_fail(judges->verdict, "applied",
                     "replicas %" PRIu32 " and %" PRIu32 " differ after %" PRIu64 "^%" PRIu64
                     ": command %" PRIu64 " and %" PRIu64,
                     seen->replica, replica, command->index, command->term, seen->command.command,
                     command->command);
    }
    self->applied = command->index;
}
