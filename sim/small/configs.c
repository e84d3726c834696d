/* sim/small/configs.c - see sim/small/configs.h. */
#include "sim/small/configs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mortar_member_id small_id(uint8_t member)
{
    struct mortar_member_id id = {0};
    id.peer.bytes[0] = member;
    return id;
}

uint8_t small_number(const struct mortar_member_id *id)
{
    return id->peer.bytes[0];
}

static bool is_equal(const struct config *a, const struct config *b)
{
    if (a->joint != b->joint || a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct config_member *x = &a->members[i];
        const struct config_member *y = &b->members[i];
        if (small_number(&x->id) != small_number(&y->id)) return false;
        if (x->voter_old != y->voter_old || x->voter_new != y->voter_new) return false;
        if (x->observer != y->observer || x->leaving != y->leaving) return false;
    }
    return a->removed_count == b->removed_count &&
           memcmp(a->removed, b->removed, a->removed_count * sizeof a->removed[0]) == 0;
}

static void copy_removed(struct config *to, const struct config *from)
{
    to->removed_count = from->removed_count;
    memcpy(to->removed, from->removed, from->removed_count * sizeof from->removed[0]);
}

uint8_t configs_number(struct configs *configs, const struct config *config)
{
    if (config->count == 0) return 0;
    for (uint32_t i = 1; i <= configs->count; i++) {
        if (is_equal(&configs->items[i], config)) return (uint8_t)i;
    }
    if (configs->count + 1 == SMALL_CONFIGS) {
        (void)fprintf(stderr, "small worlds: too many configurations\n");
        exit(2);
    }
    struct config *added = &configs->items[++configs->count];
    *added = (struct config){.joint = config->joint, .count = config->count};
    memcpy(added->members, config->members, config->count * sizeof config->members[0]);
    copy_removed(added, config);
    return (uint8_t)configs->count;
}

static void rename_removed(struct config *config, const uint8_t *names)
{
    for (uint32_t i = 0; i < config->removed_count; i++) {
        const uint64_t sum = config->removed[i];
        for (uint8_t member = 1; member <= SMALL_MEMBERS; member++) {
            const struct mortar_member_id id = small_id(member);
            const struct mortar_member_id renamed = small_id(names[member]);
            if (config_id_sum(&id) == sum) config->removed[i] = config_id_sum(&renamed);
        }
    }
}

uint8_t configs_rename(struct configs *configs, uint8_t number, const uint8_t *names)
{
    struct config renamed = {.joint = configs->items[number].joint,
                             .count = configs->items[number].count};
    for (uint32_t i = 0; i < renamed.count; i++) {
        struct config_member member = configs->items[number].members[i];
        member.id = small_id(names[small_number(&member.id)]);
        uint32_t place = i;
        while (place > 0 &&
               small_number(&renamed.members[place - 1].id) > small_number(&member.id)) {
            renamed.members[place] = renamed.members[place - 1];
            place--;
        }
        renamed.members[place] = member;
    }
    copy_removed(&renamed, &configs->items[number]);
    rename_removed(&renamed, names);
    return configs_number(configs, &renamed);
}
