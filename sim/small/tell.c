/* sim/small/tell.c - see sim/small/tell.h. */
#include "sim/small/tell.h"

#include <stdarg.h>
#include <string.h>

/* A place in a text; what does not fit is left out. */
struct text {
    char bytes[300];
    size_t used;
};

static void say(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int bytes =
        vsnprintf(text->bytes + text->used, sizeof text->bytes - text->used, format, arguments);
    va_end(arguments);
    if (bytes > 0) text->used += (size_t)bytes;
    if (text->used >= sizeof text->bytes) text->used = sizeof text->bytes - 1;
}

static const char *kind_name(uint8_t kind)
{
    switch ((enum mortar_entry_kind)kind) {
    case MORTAR_ENTRY_COMMAND:
        return "command";
    case MORTAR_ENTRY_NOOP:
        return "no-op";
    case MORTAR_ENTRY_CONFIG:
        return "configuration";
    case MORTAR_ENTRY_FOUND:
    case MORTAR_ENTRY_TIME:
    case MORTAR_ENTRY_MARKER:
    case MORTAR_ENTRY_CLIENT:
    case MORTAR_ENTRY_CLIENT_COMMAND:
        break;
    }
    return "entry";
}

static void say_log(struct text *text, const struct small_log *log)
{
    for (uint32_t i = 0; i < log->count; i++) {
        say(text, "%s%u:%u%s", i == 0 ? "" : " ", log->base_index + i + 1,
            small_entry_term(log->entries[i]),
            small_entry_kind(log->entries[i]) == MORTAR_ENTRY_CONFIG ? "c" : "");
    }
}

static void say_reply(struct text *text, const struct small_message *message)
{
    switch ((enum append_outcome)message->reply.outcome) {
    case APPEND_MATCHED:
        say(text, "matched up to %u", message->reply.match);
        break;
    case APPEND_MISMATCH:
        say(text, "mismatch, hint %u:%u", message->reply.hint.index, message->reply.hint.term);
        break;
    case APPEND_SYNCING:
        say(text, "syncing, tail %u%s", message->reply.tail,
            message->reply.first_missing != 0 ? ", refused" : "");
        break;
    }
    say(text, " (term %u", message->reply.term);
    if (message->reply.round != 0) say(text, ", round %u", message->reply.round);
    if (message->reply.sync_id != 0) say(text, ", episode %u", message->reply.sync_id);
    say(text, ")");
}

static void say_append(struct text *text, const struct small_message *message)
{
    say(text, "append (term %u) after %u:%u, commit %u", message->append.term,
        message->append.prev.index, message->append.prev.term, message->append.commit);
    for (uint32_t i = 0; i < message->count; i++) {
        say(text, "%s %s of term %u", i == 0 ? ":" : ",",
            kind_name(small_entry_kind(message->entries[i])),
            small_entry_term(message->entries[i]));
    }
    if (message->append.round != 0) say(text, ", round %u", message->append.round);
    if (message->append.sync_id != 0) {
        say(text, ", episode %u from %u:%u", message->append.sync_id,
            message->append.tail_base.index, message->append.tail_base.term);
    }
}

static void say_message(struct text *text, const struct small_message *message)
{
    switch ((enum message_type)message->type) {
    case MESSAGE_VOTE_REQUEST:
        say(text, "%svote request%s for term %u, last %u:%u", message->ask.pre ? "pre-" : "",
            message->ask.transfer ? " to take over" : "", message->ask.term,
            message->ask.last.index, message->ask.last.term);
        return;
    case MESSAGE_VOTE_REPLY:
        say(text, "%svote %s in term %u", message->vote.pre ? "pre-" : "",
            message->vote.granted ? "granted" : "denied", message->vote.term);
        return;
    case MESSAGE_APPEND_REQUEST:
        say_append(text, message);
        return;
    case MESSAGE_APPEND_REPLY:
        say_reply(text, message);
        return;
    case MESSAGE_TIMEOUT_NOW:
        say(text, "timeout now, in term %u", message->term);
        return;
    case MESSAGE_READ_REQUEST:
    case MESSAGE_READ_REPLY:
    case MESSAGE_FORWARD_REQUEST:
    case MESSAGE_FORWARD_REPLY:
    case MESSAGE_JOIN_REQUEST:
    case MESSAGE_JOIN_REPLY:
    case MESSAGE_SYNC:
    case MESSAGE_LEASE:
    case MESSAGE_PART:
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
#endif
        return;
    }
}

static const char *change_name(uint32_t kind)
{
    if (kind == CONFIG_PROMOTE) return "promote";
    return kind == CONFIG_DEMOTE ? "demote" : "remove";
}

/* `names` gives the first names of the members of this state. */
static void say_event(struct text *text, const struct small_world *world,
                      const struct small_move *move, const uint8_t *names)
{
    const uint32_t argument = SMALL_EVENT_ARGUMENT(move->event);
    const struct small_message *message = NULL;
    switch (SMALL_EVENT_KIND(move->event)) {
    case SMALL_ON_MESSAGE:
        message = world_message(world, argument);
        say(text, "gets from S%u%s: ", names[message->from],
            move->keeps ? ", not for the last time" : "");
        say_message(text, message);
        return;
    case SMALL_ON_TIMEOUT:
        say(text, "its election timeout fires");
        return;
    case SMALL_ON_HEARTBEAT:
        say(text, "its heartbeat is due");
        return;
    case SMALL_ON_QUORUM_LOST:
        say(text, "hears no majority any more");
        return;
    case SMALL_ON_DISK:
        say(text, "its oldest write becomes durable");
        return;
    case SMALL_ON_CRASH:
        say(text, "crashes and starts again; %u of its unsynced writes survive", argument);
        return;
    case SMALL_ON_PROPOSE:
        say(text, "takes a command");
        return;
    case SMALL_ON_CHANGE:
        say(text, "is asked to %s S%u", change_name(argument >> 8), names[argument & 255]);
        return;
    case SMALL_ON_READ:
        say(text, "a read begins");
        return;
    case SMALL_ON_SESSION_ENTRY:
        say(text, "its session appends a committed entry of term %u", argument >> 12);
        return;
    case SMALL_ON_SESSION_CUT:
        say(text, "its session cuts its log from entry %u on", argument);
        return;
    case SMALL_ON_SESSION_COMMITTED:
        say(text, "its session vouches that entry %u is committed", argument);
        return;
    case SMALL_ON_SESSION_DONE:
        say(text, "its session is done");
        return;
    case SMALL_ON_SESSION_FAILED:
        say(text, "its session fails");
        return;
    }
}

static const char *role_name(uint8_t role)
{
    switch ((enum mortar_role)role) {
    case MORTAR_FOLLOWER:
        return "follower";
    case MORTAR_PRE_CANDIDATE:
        return "pre-candidate";
    case MORTAR_CANDIDATE:
        return "candidate";
    case MORTAR_LEADER:
        return "leader";
    }
    return "?";
}

static void tell_change(const struct small_glance *before, const struct small_glance *after,
                        FILE *out)
{
    struct text text = {.bytes = ""};
    if (before->role != after->role || before->term != after->term) {
        say(&text, " %s of term %u;", role_name(after->role), after->term);
    }
    if (memcmp(&before->main, &after->main, sizeof before->main) != 0) {
        say(&text, " log ");
        say_log(&text, &after->main);
        say(&text, ";");
    }
    if (before->commit != after->commit) say(&text, " committed %u;", after->commit);
    if (before->disk.count != after->disk.count) say(&text, " durable %u;", after->disk.count);
    if (before->session != after->session) {
        say(&text, " session %s;", after->session ? "opens" : "ends");
    }
    if (text.used > 0) (void)fprintf(out, "       now%.*s\n", (int)text.used - 1, text.bytes);
}

static void tell_sent(const struct small_world *world, const struct kept_step *kept,
                      const uint8_t *names, FILE *out)
{
    for (uint32_t i = 0; i < kept->sent_count; i++) {
        const struct small_message *message =
            world_message(world, world->sent[kept->sent_first + i]);
        struct text text = {.bytes = ""};
        say_message(&text, message);
        (void)fprintf(out, "       -> S%u: %s\n", names[message->to], text.bytes);
    }
}

static void tell_step(struct small_world *world, const struct small_state *state,
                      const struct small_move *move, uint32_t number, const uint8_t *names,
                      FILE *out)
{
    struct text text = {.bytes = ""};
    if (move->actor == 0) {
        const struct small_message *message = world_message(world, state->messages[move->slot]);
        say_message(&text, message);
        (void)fprintf(out, "  %2u. lost, S%u to S%u: %s\n", number, names[message->from],
                      names[message->to], text.bytes);
        return;
    }
    say_event(&text, world, move, names);
    (void)fprintf(out, "  %2u. S%u %s\n", number, names[move->actor], text.bytes);
    const struct kept_step *kept = world_step_known(world, state->minds[move->actor], move->event);
    if (kept == NULL) return; /* It broke an invariant. */
    tell_change(world_glance(world, state->minds[move->actor]), world_glance(world, kept->mind),
                out);
    tell_sent(world, kept, names, out);
}

static void tell_beginning(const struct small_world *world, const struct small_state *state,
                           FILE *out)
{
    (void)fprintf(out, "  beginning:\n");
    for (uint32_t i = 1; i <= SMALL_MEMBERS; i++) {
        const struct small_glance *glance = world_glance(world, state->minds[i]);
        struct text text = {.bytes = ""};
        say_log(&text, &glance->main);
        (void)fprintf(out, "       S%u %s of term %u, log (index:term) %s, committed %u\n", i,
                      role_name(glance->role), glance->term, text.bytes, glance->commit);
    }
}

void tell_counter_example(struct small_world *world, const struct small_state *beginning,
                          const uint8_t *way, uint32_t steps, const struct verdict *verdict,
                          FILE *out)
{
    struct small_state state = *beginning;
    uint8_t names[SMALL_MEMBERS + 1] = {0, 1, 2, 3};
    (void)fprintf(out, "set %s: judge %s after %u steps\n", world->set->name, verdict->judge,
                  steps);
    tell_beginning(world, &state, out);
    for (uint32_t i = 0; i < steps; i++) {
        struct small_move moves[SMALL_MOVES];
        (void)world_moves(world, &state, moves);
        tell_step(world, &state, &moves[way[i]], i + 1, names, out);
        if (i + 1 == steps) break; /* The last may have no end. */
        struct small_state after;
        struct verdict ignored = {0};
        (void)world_move(world, &state, &moves[way[i]], &after, &ignored);
        const uint32_t chosen = world_settle(world, &after);
        uint8_t renamed[SMALL_MEMBERS + 1] = {0};
        for (uint32_t m = 1; m <= SMALL_MEMBERS; m++)
            renamed[world->renamings[chosen][m]] = names[m];
        memcpy(names, renamed, sizeof names);
        state = after;
    }
    (void)fprintf(out, "  judge %s: %s\n", verdict->judge, verdict->text);
    (void)fprintf(out, "  (in the judge's words members have the names of the last state:");
    for (uint32_t m = 1; m <= SMALL_MEMBERS; m++)
        (void)fprintf(out, " S%u is S%u above%s", m, names[m], m < SMALL_MEMBERS ? "," : ")\n");
}

static const char *const BUDGET_NAMES[SMALL_BUDGETS] = {
    "election timeouts", "heartbeats", "lost quorums", "losses", "duplicates",
    "crashes",           "commands",   "changes",      "reads",  "failed sessions"};

void tell_bounds(const struct small_set *set, FILE *out)
{
    (void)fprintf(out, "set %s: %s\n  %u members, %u of them voters", set->name, set->about,
                  SMALL_MEMBERS, set->voters);
    if (set->has_leader) (void)fprintf(out, "; begins with a leader of term 2");
    if (set->behind != 0) (void)fprintf(out, " that S%u has not heard", set->behind);
    if (set->in_session) (void)fprintf(out, " before its session began");
    if (set->proposed != 0) (void)fprintf(out, ", %u commands committed", set->proposed);
    (void)fprintf(out, "\n  bounds: terms up to %u, logs of %u entries, %u messages on a link %s",
                  set->term_max, set->log_max, set->link_messages,
                  set->in_order ? "in order" : "in any order");
    (void)fprintf(out, "; writes %s", set->disk_waits ? "wait for the disk" : "complete at once");
    if (set->resend_entries < SMALL_LOG)
        (void)fprintf(out, "; a session for more than %u missing", set->resend_entries);
    (void)fprintf(out, "\n  at most:");
    const char *before = " ";
    for (uint32_t i = 0; i < SMALL_BUDGETS; i++) {
        if (set->budget[i] == 0) continue;
        (void)fprintf(out, "%s%u %s", before, set->budget[i], BUDGET_NAMES[i]);
        before = ", ";
    }
    (void)fprintf(out, "\n");
}
