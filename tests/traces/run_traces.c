/* traces/run_traces.c - plays protocol scripts on the virtual world and compares what happened,
 * word for word, with what stands in the script.
 *
 *   run_traces [--rewrite] FILE...
 *
 * A script is commands, a line of four dashes, and the story that they gave: trace events
 * (mortar/trace.h) and frames, in order. A script that changed on purpose is written anew by
 * --rewrite and reviewed as a diff. Commands, one a line; # begins a comment:
 *
 *   nodes A B C [target=N] [resend=N]   the founder and its joiners, as voters up to the target
 *   mute, unmute                        the story pauses, goes on
 *   isolate A, heal A                   cuts a node off, lets it back
 *   cut A B, mend A B                   the link between two nodes, both ways
 *   crash A                             its log is lost with it
 *   elect A                             the others wait until it leads
 *   propose A N [bytes]                 one request of N commands, answered
 *   write A N [bytes]                   the same, not waited for
 *   join A, promote A, remove A         membership, asked of the leader
 *   exchange A B                        promotes A and removes B in one change
 *   transfer A [to B]                   asks A for a transfer, and waits for its end
 *   latency N                           ms, both ways, from now on
 *   run N                               ms
 *   run-until idle | leader | syncing A | voter A
 *
 * Empty heartbeats, their answers and leases are left out: they are most of all frames, and say
 * nothing.
 */
#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS      60000u
#define WORDS_MAX    8u
#define LINE_BYTES   256u
#define OUTPUT_BYTES (1u << 20)

struct text {
    char *data;
    size_t bytes;
};

struct player {
    struct sim *sim;
    struct sim_options options;
    struct text out;
};

static bool is_noise(const char *line)
{
    const bool heartbeat = strstr(line, " append_request ") != NULL &&
                           strstr(line, " count=0 ") != NULL && strstr(line, " sync=") == NULL;
    return heartbeat || strstr(line, "append_reply matched") != NULL ||
           strstr(line, " lease bytes=") != NULL;
}

static void take_line(void *context, const char *line)
{
    struct text *out = context;
    const size_t bytes = strlen(line);
    if (is_noise(line) || out->bytes + bytes + 1 >= OUTPUT_BYTES) return;
    memcpy(out->data + out->bytes, line, bytes);
    out->data[out->bytes + bytes] = '\n';
    out->bytes += bytes + 1;
}

/* ---- Words ---- */

static uint32_t split(char *line, char *words[WORDS_MAX])
{
    uint32_t count = 0;
    char *at = line;
    while (*at != 0 && *at != '#' && count < WORDS_MAX) {
        at += strspn(at, " ");
        if (*at == 0 || *at == '#') break;
        words[count++] = at;
        at += strcspn(at, " ");
        if (*at == ' ') *at++ = 0;
    }
    return count;
}

static uint32_t node(const char *word)
{
    return word == NULL ? UINT32_MAX : (uint32_t)(word[0] - 'A');
}

/* NULL: no node has that name. */
static struct replica *named(struct sim *sim, const char *word)
{
    const uint32_t at = node(word);
    return at < sim->replica_count ? sim->replicas[at] : NULL;
}

static uint32_t number(const char *word, uint32_t otherwise)
{
    return word == NULL ? otherwise : (uint32_t)strtoul(word, NULL, 10);
}

static bool is(const char *word, const char *name)
{
    return word != NULL && strcmp(word, name) == 0;
}

/* ---- Commands: each says whether it did what it promises ---- */

static bool open_world(struct player *player, char **words, uint32_t count)
{
    uint32_t nodes = 0;
    player->options = sim_options_quiet(1);
    player->options.replica.core.target_voters = 0;
    for (uint32_t i = 1; i < count; i++) {
        struct mortar_core_options *core = &player->options.replica.core;
        if (strncmp(words[i], "target=", 7) == 0) {
            core->target_voters = number(words[i] + 7, 0);
        } else if (strncmp(words[i], "resend=", 7) == 0) {
            core->resend_bytes = number(words[i] + 7, 0);
        } else {
            nodes++;
        }
    }
    if (player->options.replica.core.target_voters == 0) {
        player->options.replica.core.target_voters = nodes < 3 ? 3 : nodes;
    }
    player->sim = sim_open(&player->options);
    player->sim->story.line = take_line;
    player->sim->story.context = &player->out;
    player->sim->story.frames = true;
    player->sim->story.muted = true;
    const bool grown = sim_grow(player->sim, nodes);
    player->sim->story.muted = false;
    return grown;
}

static bool ask_change(struct player *player, const struct mortar_change *changes, uint32_t count)
{
    struct sim *sim = player->sim;
    enum mortar_status status = MORTAR_UNKNOWN;
    const uint32_t leader = sim_leader(sim);
    if (leader == UINT32_MAX) return false;
    const uint64_t op = client_change(sim, sim->replicas[leader], changes, count, 10000);
    while (op != 0 && !client_ended(sim, op, &status)) {
        if (!sim_run_ms(sim, 1)) return false;
    }
    return status == MORTAR_OK;
}

static bool change_members(struct player *player, char **words)
{
    struct sim *sim = player->sim;
    const bool exchange = is(words[0], "exchange");
    const struct replica *first = named(sim, words[1]);
    const struct replica *second = exchange ? named(sim, words[2]) : first;
    if (first == NULL || second == NULL) return false;
    const struct mortar_change changes[2] = {
        {.kind = is(words[0], "remove") ? MORTAR_REMOVE : MORTAR_PROMOTE, .member = first->id},
        {.kind = MORTAR_REMOVE, .member = second->id},
    };
    return ask_change(player, changes, exchange ? 2 : 1);
}

static bool transfer(struct player *player, char **words)
{
    struct sim *sim = player->sim;
    enum mortar_status status = MORTAR_UNKNOWN;
    const uint64_t op = client_transfer(sim, named(sim, words[1]), named(sim, words[3]), WAIT_MS);
    while (op != 0 && !client_ended(sim, op, &status)) {
        if (!sim_run_ms(sim, 1)) return false;
    }
    story_say(sim, "---- transfer: %s", mortar_status_name(status));
    return op != 0;
}

static bool run_until(struct sim *sim, char **words)
{
    if (is(words[1], "idle")) return sim_run_until(sim, sim_converged, WAIT_MS);
    if (is(words[1], "leader")) return sim_run_until(sim, sim_has_leader, WAIT_MS);
    if (is(words[1], "syncing"))
        return sim_run_until_of(sim, sim_is_syncing, node(words[2]), WAIT_MS);
    if (is(words[1], "voter")) return sim_run_until_of(sim, sim_is_voter, node(words[2]), WAIT_MS);
    return false;
}

static bool set_latency(struct player *player, uint32_t ms)
{
    struct network_options *network = &player->options.network;
    network->latency_us_min = network->latency_us_max = ms * 1000;
    network_tune(player->sim->network, network);
    return true;
}

static bool write_commands(struct sim *sim, char **words, bool wait)
{
    const uint32_t count = number(words[2], 1);
    const uint32_t bytes = number(words[3], MACHINE_COMMAND_BYTES_MIN);
    if (wait) return sim_propose(sim, node(words[1]), count, bytes);
    return client_write(sim, sim->replicas[node(words[1])], MORTAR_REQUEST_EXECUTE, count, bytes,
                        5000) != 0;
}

/* Commands that name a node, done to it. */
static bool do_to_node(struct player *player, char **words)
{
    struct sim *sim = player->sim;
    const uint32_t replica = node(words[1]);
    if (is(words[0], "join")) return sim_add(sim, &player->options.replica) == replica;
    if (replica >= sim->replica_count) return false;
    if (is(words[0], "elect")) return sim_elect(sim, replica);
    if (is(words[0], "propose")) return write_commands(sim, words, true);
    if (is(words[0], "transfer")) return transfer(player, words);
    if (is(words[0], "write")) return write_commands(sim, words, false);
    if (is(words[0], "cut") || is(words[0], "mend")) {
        const struct replica *other = named(sim, words[2]);
        if (other == NULL) return false;
        network_cut(sim->network, sim->replicas[replica], other, is(words[0], "cut"));
        network_cut(sim->network, other, sim->replicas[replica], is(words[0], "cut"));
    } else if (is(words[0], "isolate")) {
        sim_isolate(sim, replica);
    } else if (is(words[0], "heal")) {
        sim_rejoin(sim, replica);
    } else if (is(words[0], "crash")) {
        sim_crash(sim, replica, VIRTUAL_LOG_LOSE_ALL);
    } else {
        return change_members(player, words);
    }
    return true;
}

static bool do_command(struct player *player, char **words, uint32_t count)
{
    if (is(words[0], "nodes")) return player->sim == NULL && open_world(player, words, count);
    if (player->sim == NULL) return false;
    if (is(words[0], "mute") || is(words[0], "unmute")) {
        player->sim->story.muted = is(words[0], "mute");
        return true;
    }
    if (is(words[0], "latency")) return set_latency(player, number(words[1], 1));
    if (is(words[0], "run")) return sim_run_ms(player->sim, number(words[1], 1));
    if (is(words[0], "run-until")) return run_until(player->sim, words);
    return count >= 2 && do_to_node(player, words);
}

/* ---- Files ---- */

static bool read_file(const char *path, struct text *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return false;
    out->data = calloc(1, OUTPUT_BYTES);
    if (out->data == NULL) abort();
    out->bytes = fread(out->data, 1, OUTPUT_BYTES - 1, file);
    (void)fclose(file);
    return true;
}

static bool play(struct player *player, const char *path, const char *script, size_t bytes)
{
    char line[LINE_BYTES];
    uint32_t line_number = 0;
    bool done = true;
    for (size_t at = 0; at < bytes && done;) {
        const size_t length = strcspn(script + at, "\n");
        char *words[WORDS_MAX] = {NULL};
        line_number++;
        if (length >= sizeof line) return false;
        memcpy(line, script + at, length);
        line[length] = 0;
        const uint32_t count = split(line, words);
        done = count == 0 || do_command(player, words, count);
        at += length + 1;
    }
    if (!done) (void)fprintf(stderr, "%s:%" PRIu32 ": this command failed\n", path, line_number);
    return done;
}

/* Shows the first line in which two texts differ. */
static void show_difference(const char *path, const char *expected, const char *got)
{
    uint32_t line = 1;
    while (*expected != 0 && *got != 0) {
        const size_t a = strcspn(expected, "\n");
        const size_t b = strcspn(got, "\n");
        if (a != b || memcmp(expected, got, a) != 0) break;
        expected += a + (expected[a] == '\n');
        got += b + (got[b] == '\n');
        line++;
    }
    (void)fprintf(stderr,
                  "%s: line %" PRIu32 " of the story differs\n  expected: %.*s\n  got:      %.*s\n",
                  path, line, (int)strcspn(expected, "\n"), expected, (int)strcspn(got, "\n"), got);
    (void)fprintf(stderr, "  to take the new story: run_traces --rewrite %s\n", path);
}

static bool rewrite(const char *path, const struct text *script, const struct text *story)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) return false;
    const bool wrote = fwrite(script->data, 1, script->bytes, file) == script->bytes &&
                       fputs("----\n", file) >= 0 &&
                       fwrite(story->data, 1, story->bytes, file) == story->bytes;
    return fclose(file) == 0 && wrote;
}

static bool run_file(const char *path, bool rewrites)
{
    struct text file = {0};
    struct player player = {.out = {.data = calloc(1, OUTPUT_BYTES)}};
    struct verdict verdict = {0};
    if (player.out.data == NULL) abort();
    if (!read_file(path, &file)) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        free(player.out.data);
        return false;
    }
    const char *border = strstr(file.data, "----\n");
    const char *expected = border == NULL ? "" : border + 5;
    if (border != NULL) file.bytes = (size_t)(border - file.data);
    bool good = play(&player, path, file.data, file.bytes);
    if (player.sim != NULL) {
        player.sim->story.line = NULL; /* The end is no part of the story. */
        good = sim_close(player.sim, &verdict) && good;
    }
    if (verdict.failed)
        (void)fprintf(stderr, "%s: judge %s: %s\n", path, verdict.judge, verdict.text);
    if (good && rewrites) {
        good = rewrite(path, &file, &player.out);
    } else if (good && strcmp(expected, player.out.data) != 0) {
        show_difference(path, expected, player.out.data);
        good = false;
    }
    free(file.data);
    free(player.out.data);
    return good;
}

int main(int count, char **words)
{
    const bool rewrites = count > 1 && strcmp(words[1], "--rewrite") == 0;
    int failed = 0;
    for (int i = rewrites ? 2 : 1; i < count; i++) {
        const bool good = run_file(words[i], rewrites);
        const char *name = strrchr(words[i], '/');
        (void)printf("%s %s\n", good ? "ok  " : "FAIL", name == NULL ? words[i] : name + 1);
        if (!good) failed++;
    }
    return failed == 0 && count > 1 ? 0 : 1;
}
