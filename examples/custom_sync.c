/* custom_sync.c - runs the sync method of custom_sync.h, and checks it.
 *
 * Six nodes in one process, over loopback. Three found a group and fill it. A fourth joins late,
 * when the beginning of the log is gone: it must start from a snapshot. Then all of the followers
 * that it could ask begin to lie, and a fifth joins: it must drop each liar that it asks, and still
 * end up with the state of the others. A sixth joins while commands go on.
 *
 *     custom_sync
 */
#define _GNU_SOURCE /* nftw() */
#include "examples/custom_sync.h"

#include "mortar/node.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NODES = 6,
    CELLS = 1 << 17, /* 1 MiB of state. */
    BATCH = 500,
    PATIENCE_MS = 10000,
    PATH_BYTES = 128
};

/* The machine: cells in which order matters. */
struct machine {
    uint64_t commands;
    uint64_t cells[CELLS];
};

struct command {
    uint32_t cell;
    uint32_t value;
};

struct place {
    struct custom custom;
    struct mortar_sync_method method;
    struct mortar_machine_ops ops;
    struct machine machine;
    char name[16];
    char directory[PATH_BYTES];
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    struct mortar_node *node;
    struct mortar_group *group;
};

static struct place places[NODES];
static char folder[] = "/tmp/mortar-custom-sync-XXXXXX";
static char key_file[PATH_BYTES];

static void machine_apply(void *state, struct mortar_apply *run)
{
    struct machine *machine = state;
    for (uint32_t i = 0; i < run->count; i++) {
        struct command command = {0};
        if (run->commands[i].bytes.bytes == sizeof command)
            memcpy(&command, run->commands[i].bytes.data, sizeof command);
        uint64_t *cell = &machine->cells[command.cell % CELLS];
        *cell = *cell * 31 + command.value + machine->commands;
        machine->commands++;
    }
}

/* The answer to any query: how many commands, and a digest of all cells. */
static enum mortar_status machine_query(void *state, struct mortar_bytes query,
                                        struct mortar_answer *answer)
{
    const struct machine *machine = state;
    uint64_t sums[2] = {machine->commands, 0};
    (void)query;
    for (size_t i = 0; i < CELLS; i++)
        sums[1] = sums[1] * 1099511628211u + machine->cells[i];
    return mortar_answer_write(answer, (struct mortar_bytes){(const uint8_t *)sums, sizeof sums});
}

static enum mortar_status machine_save(void *state, struct mortar_stream *to)
{
    return to->write(to, (struct mortar_bytes){state, sizeof(struct machine)});
}

static enum mortar_status machine_load(void *state, struct mortar_stream *from)
{
    struct machine *next = malloc(sizeof *next);
    size_t done = 0;
    size_t got = 1;
    enum mortar_status status = next ? MORTAR_OK : MORTAR_E_NO_MEMORY;
    while (status == MORTAR_OK && got > 0 && done < sizeof *next) {
        status = from->read(from, (uint8_t *)next + done, sizeof *next - done, &got);
        if (status == MORTAR_OK) done += got;
    }
    if (status == MORTAR_OK && done != sizeof *next) status = MORTAR_E_CORRUPT;
    if (status == MORTAR_OK) memcpy(state, next, sizeof *next);
    free(next);
    return status;
}

static bool good(enum mortar_status status, const char *what)
{
    if (status != MORTAR_OK) (void)fprintf(stderr, "%s: %s\n", what, mortar_status_text(status));
    return status == MORTAR_OK;
}

static bool wait_for(struct place *place, enum mortar_condition_kind kind, uint64_t index,
                     const char *what)
{
    const struct mortar_condition condition = {.kind = kind, .index = index};
    return good(mortar_group_wait(place->group, condition, PATIENCE_MS), what);
}

static void log_line(void *context, enum mortar_log_level level, const char *line)
{
    const struct place *place = context;
    if (level <= MORTAR_LOG_WARNING) (void)fprintf(stderr, "%s: %s\n", place->name, line);
}

static bool open_place(uint32_t number)
{
    struct place *place = &places[number];
    (void)snprintf(place->name, sizeof place->name, "node %u", number);
    (void)snprintf(place->directory, sizeof place->directory, "%s/%u", folder, number);
    place->custom.name = place->name;
    place->method = (struct mortar_sync_method){MORTAR_SYNC_METHOD_INIT,
                                                .name = "snapshot-at-marker",
                                                .epoch = 1,
                                                .provider = &custom_provider_ops,
                                                .session = &custom_session_ops,
                                                .context = &place->custom};
    place->ops = (struct mortar_machine_ops){
        MORTAR_MACHINE_OPS_INIT, .name = "cells",        .epoch = 1,
        .apply = machine_apply,  .query = machine_query, .save = machine_save,
        .load = machine_load,    .sync = &place->method};
    const struct mortar_node_options options = {
        MORTAR_NODE_OPTIONS_INIT, .directory = place->directory,
        .listen = "127.0.0.1:0",  .peers = number > 0 ? places[0].address : NULL,
        .key_file = key_file,     .log = log_line,
        .context = place};
    if (!good(mortar_node_open(&options, &place->node), "open")) {
        (void)fprintf(stderr, "%s\n", mortar_node_open_error());
        return false;
    }
    mortar_node_address(place->node, place->address);
    const struct mortar_group_options group = {MORTAR_GROUP_OPTIONS_INIT, .machine = &place->ops,
                                               .machine_state = &place->machine};
    return number == 0 ? good(mortar_group_found(place->node, &group, &place->group), "found")
                       : good(mortar_group_join(place->node, &group, &place->group), "join");
}

/* Executes `count` commands on node 0, a batch at a time. */
static bool fill(uint32_t count)
{
    static uint32_t next;
    struct command commands[BATCH];
    struct mortar_bytes items[BATCH];
    for (uint32_t done = 0; done < count; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            next = next * 1664525u + 1013904223u; /* Any sequence will do. */
            commands[i] = (struct command){.cell = next >> 8, .value = next};
            items[i] = (struct mortar_bytes){(const uint8_t *)&commands[i], sizeof commands[i]};
        }
        struct mortar_result result = {0};
        const enum mortar_status status =
            mortar_group_execute_many(places[0].group, items, BATCH, PATIENCE_MS, &result);
        mortar_result_release(&result);
        if (!good(status, "execute")) return false;
    }
    return true;
}

/* All nodes up to `count` answer alike once they have applied what node 0 has committed. */
static bool states_are_equal(uint32_t count)
{
    struct mortar_core_status status;
    uint64_t first[2] = {0, 0};
    mortar_group_status(places[0].group, &status);
    for (uint32_t i = 0; i < count; i++) {
        struct mortar_result result = {0};
        uint64_t sums[2] = {0, 0};
        if (!wait_for(&places[i], MORTAR_UNTIL_APPLIED, status.committed.index, "wait for apply") ||
            !good(mortar_group_query(places[i].group, (struct mortar_bytes){NULL, 0},
                                     MORTAR_READ_LOCAL, PATIENCE_MS, &result),
                  "query"))
            return false;
        const struct mortar_bytes reply = mortar_result_reply(&result, 0);
        if (reply.bytes == sizeof sums) memcpy(sums, reply.data, sizeof sums);
        mortar_result_release(&result);
        if (i == 0) memcpy(first, sums, sizeof first);
        if (sums[0] == 0 || memcmp(first, sums, sizeof first) != 0) {
            (void)fprintf(stderr, "%s: its state differs from that of node 0\n", places[i].name);
            return false;
        }
    }
    (void)printf("%u nodes agree: %" PRIu64 " commands, digest %016" PRIx64 "\n", count, first[0],
                 first[1]);
    return true;
}

/* It came in by way of a snapshot: its log begins behind one. */
static bool came_by_snapshot(uint32_t number, uint32_t dropped_min)
{
    struct mortar_core_status status;
    uint32_t dropped = 0;
    /* The states may be equal a moment before the session ends. */
    if (!wait_for(&places[number], MORTAR_UNTIL_ONLINE, 0, "wait for the end of its session"))
        return false;
    mortar_group_status(places[number].group, &status);
    for (uint32_t i = 0; i < status.sync.progress.source_count; i++)
        dropped += status.sync.progress.sources[i].dropped ? 1 : 0;
    (void)printf("%s: its log begins at %" PRIu64 ", %u sources dropped\n", places[number].name,
                 status.base.position.index, dropped);
    if (status.counters.sessions_done > 0 && status.base.position.index >= SNAPSHOT_ENTRIES &&
        dropped >= dropped_min)
        return true;
    (void)fprintf(stderr, "%s: did not come by a snapshot as it should\n", places[number].name);
    return false;
}

static bool story(void)
{
    struct mortar_core_status status;
    if (!open_place(0) || !wait_for(&places[0], MORTAR_UNTIL_IS_LEADER, 0, "wait for a leader"))
        return false;
    if (!open_place(1) || !open_place(2) ||
        !wait_for(&places[0], MORTAR_UNTIL_VOTERS, 3, "wait for three voters"))
        return false;
    if (!fill(3 * SNAPSHOT_ENTRIES + 5000) || !states_are_equal(3)) return false;
    mortar_group_status(places[0].group, &status);
    (void)printf("node 0: its log begins at %" PRIu64 "\n", status.base.position.index);
    if (status.base.position.index == 0) {
        (void)fprintf(stderr, "nothing was pruned\n");
        return false;
    }

    if (!open_place(3) || !states_are_equal(4) || !came_by_snapshot(3, 0)) return false;

    for (uint32_t i = 1; i < 4; i++)
        atomic_store(&places[i].custom.lies, true);
    if (!open_place(4) || !states_are_equal(5) || !came_by_snapshot(4, 1)) return false;
    for (uint32_t i = 1; i < 4; i++)
        atomic_store(&places[i].custom.lies, false);

    return open_place(5) && fill(2 * SNAPSHOT_ENTRIES) && states_are_equal(6) &&
           came_by_snapshot(5, 0);
}

static int remove_one(const char *path, const struct stat *what, int type, struct FTW *place)
{
    (void)what;
    (void)type;
    (void)place;
    return remove(path);
}

int main(void)
{
    if (!mkdtemp(folder)) {
        perror("mkdtemp");
        return EXIT_FAILURE;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)snprintf(key_file, sizeof key_file, "%s/group.key", folder);
    bool all_good = good(mortar_key_generate(key_file), "key") && story();
    for (uint32_t i = NODES; i-- > 0;)
        if (mortar_node_close(places[i].node) != MORTAR_OK) all_good = false;
    if (nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0) perror(folder);
    (void)printf("%s\n", all_good ? "all is as it should be" : "FAILED");
    return all_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
