/* counter.c - the smallest machine: a number, and commands that are added to it.
 *
 *     mortar keygen group.key
 *     counter found data1 127.0.0.1:7401
 *     counter join data2 127.0.0.1:7402 127.0.0.1:7401
 *
 * Each line on stdin is a number to add, on whichever member; the new value is printed. */
#include "mortar/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(void *machine, struct mortar_apply *run)
{
    uint64_t *value = machine;
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t number = 0; /* A command of another size adds nothing, on every member alike. */
        const struct mortar_bytes command = run->commands[i].bytes;
        if (command.bytes == sizeof number) memcpy(&number, command.data, sizeof number);
        *value += number;
        mortar_apply_reply(run, i, (struct mortar_bytes){(const uint8_t *)value, sizeof *value});
    }
}

int main(int count, char **words)
{
    if (count < 4) return fprintf(stderr, "counter found|join DIRECTORY LISTEN [PEER]\n") != 0;
    uint64_t value = 0;
    const struct mortar_machine_ops ops = {MORTAR_MACHINE_OPS_INIT, .name = "counter", .epoch = 1,
                                           .apply = add};
    const struct mortar_node_options options = {MORTAR_NODE_OPTIONS_INIT, .directory = words[2],
                                                .listen = words[3], .peers = words[4],
                                                .key_file = "group.key"};
    struct mortar_node *node = NULL;
    if (mortar_node_open(&options, &node) != MORTAR_OK)
        return fprintf(stderr, "%s\n", mortar_node_open_error()) != 0;

    const struct mortar_group_options place = {MORTAR_GROUP_OPTIONS_INIT, .machine = &ops,
                                               .machine_state = &value};
    struct mortar_group *group = NULL;
    const bool founds = strcmp(words[1], "found") == 0;
    enum mortar_status s = (founds ? mortar_group_found : mortar_group_join)(node, &place, &group);
    const struct mortar_condition online = {.kind = MORTAR_UNTIL_ONLINE};
    if (s == MORTAR_OK) s = mortar_group_wait(group, online, 10000);

    for (char line[64]; s == MORTAR_OK && fgets(line, sizeof line, stdin);) {
        uint64_t number = strtoull(line, NULL, 10); /* "-2" adds 2^64 - 2, which subtracts 2. */
        struct mortar_result result = {0};
        s = mortar_group_execute(group, (struct mortar_bytes){(uint8_t *)&number, sizeof number},
                                 9000, &result);
        if (s == MORTAR_OK) memcpy(&number, mortar_result_reply(&result, 0).data, sizeof number);
        if (s == MORTAR_OK) (void)printf("%" PRId64 "\n", (int64_t)number);
        mortar_result_release(&result);
    }
    if (s != MORTAR_OK) (void)fprintf(stderr, "%s\n", mortar_status_text(s));
    return mortar_node_close(node) != MORTAR_OK || s != MORTAR_OK; /* Closes the group, too. */
}
