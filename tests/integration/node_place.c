#include "integration/node_place.h"

#include "unit/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void place_begin(struct place *place)
{
    temporary_folder(place->folder);
    place_path(place, "group.key", place->key);
    assert_int_equal(mortar_key_generate(place->key), MORTAR_OK);
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *walk)
{
    (void)found;
    (void)kind;
    (void)walk;
    return remove(path);
}

void place_end(struct place *place)
{
    assert_int_equal(nftw(place->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void place_path(const struct place *place, const char *name, char out_path[PLACE_PATH_BYTES])
{
    (void)snprintf(out_path, PLACE_PATH_BYTES, "%s/%s", place->folder, name);
}

/* ---- Machine ---- */

static void count_apply(void *machine, struct mortar_apply *run)
{
    struct member *const member = machine;
    for (uint32_t i = 0; i < run->count; i++) {
        member->total += run->commands[i].bytes.bytes;
        mortar_apply_reply(
            run, i, (struct mortar_bytes){(const uint8_t *)&member->total, sizeof member->total});
    }
}

static enum mortar_status count_query(void *machine, struct mortar_bytes query,
                                      struct mortar_answer *answer)
{
    const struct member *const member = machine;
    (void)query;
    return mortar_answer_write(
        answer, (struct mortar_bytes){(const uint8_t *)&member->total, sizeof member->total});
}

const struct mortar_machine_ops counting_machine = {
    MORTAR_MACHINE_OPS_INIT, .name = "counting",   .epoch = 1,
    .apply = count_apply,    .query = count_query,
};

/* ---- Members ---- */

static void take_line(void *context, enum mortar_log_level level, const char *line)
{
    struct member *const member = context;
    const size_t bytes = strlen(line) + 3; /* Level, blank, newline. */
    (void)pthread_mutex_lock(&member->mutex);
    char *const more = realloc(member->lines, member->lines_bytes + bytes + 1);
    if (more) {
        (void)snprintf(more + member->lines_bytes, bytes + 1, "%d %s\n", (int)level, line);
        member->lines = more;
        member->lines_bytes += bytes;
    }
    (void)pthread_mutex_unlock(&member->mutex);
}

static void note_fatal(void *context, enum mortar_status status, const char *text)
{
    struct member *const member = context;
    (void)status;
    (void)text;
    (void)atomic_fetch_add(&member->fatal_count, 1);
}

struct mortar_node_options member_options(struct member *member, const struct place *place,
                                          const char *name)
{
    memset(member, 0, sizeof *member);
    (void)pthread_mutex_init(&member->mutex, NULL);
    place_path(place, name, member->directory);
    struct mortar_node_options options = {
        MORTAR_NODE_OPTIONS_INIT, .directory = member->directory,
        .listen = "127.0.0.1:0",  .key_file = place->key,
        .log = take_line,         .on_fatal = note_fatal,
        .context = member,
    };
    options.heartbeat_ms = 200;
    return options;
}

enum mortar_status member_try_open(struct member *member, const struct mortar_node_options *options)
{
    const enum mortar_status status = mortar_node_open(options, &member->node);
    if (status == MORTAR_OK) mortar_node_address(member->node, member->address);
    return status;
}

void member_open(struct member *member, const struct mortar_node_options *options)
{
    const enum mortar_status status = member_try_open(member, options);
    if (status != MORTAR_OK) print_error("%s\n", mortar_node_open_error());
    assert_int_equal(status, MORTAR_OK);
}

struct mortar_group_options member_group_options(struct member *member)
{
    return (struct mortar_group_options){
        MORTAR_GROUP_OPTIONS_INIT,
        .machine = &counting_machine,
        .machine_state = member,
    };
}

void member_found(struct member *member)
{
    const struct mortar_group_options options = member_group_options(member);
    assert_int_equal(mortar_group_found(member->node, &options, &member->group), MORTAR_OK);
}

void member_join(struct member *member)
{
    const struct mortar_group_options options = member_group_options(member);
    assert_int_equal(mortar_group_join(member->node, &options, &member->group), MORTAR_OK);
}

void members_form(struct member *members, unsigned count, const struct place *place)
{
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%u", i);
        struct mortar_node_options options = member_options(&members[i], place, name);
        options.peers = i > 0 ? members[0].address : NULL;
        member_open(&members[i], &options);
        if (i == 0) {
            member_found(&members[i]);
        } else {
            member_join(&members[i]);
        }
    }
    const struct mortar_condition whole = {.kind = MORTAR_UNTIL_VOTERS, .index = count};
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(mortar_group_wait(members[i].group, whole, SOON_MS), MORTAR_OK);
}

void member_close(struct member *member)
{
    assert_int_equal(mortar_node_close(member->node), MORTAR_OK);
    member->node = NULL;
    member->group = NULL;
    free(member->lines);
    member->lines = NULL;
    (void)pthread_mutex_destroy(&member->mutex);
}

bool member_logged(struct member *member, const char *text)
{
    (void)pthread_mutex_lock(&member->mutex);
    const bool found = member->lines && strstr(member->lines, text);
    (void)pthread_mutex_unlock(&member->mutex);
    return found;
}

uint32_t member_logged_count(struct member *member, const char *text)
{
    uint32_t count = 0;
    (void)pthread_mutex_lock(&member->mutex);
    for (const char *at = member->lines ? strstr(member->lines, text) : NULL; at;
         at = strstr(at + 1, text))
        count++;
    (void)pthread_mutex_unlock(&member->mutex);
    return count;
}

struct mortar_node_metrics member_metrics(const struct member *member)
{
    struct mortar_node_metrics metrics;
    mortar_node_metrics(member->node, &metrics);
    return metrics;
}

uint32_t member_bond_count(const struct member *member)
{
    struct mortar_bond_status bonds[MORTAR_MEMBERS_MAX];
    uint32_t whole = 0;
    const uint32_t count = mortar_node_bonds(member->node, bonds, MORTAR_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++)
        whole += bonds[i].control && bonds[i].bulk ? 1 : 0;
    return whole;
}

/* ---- Waiting ---- */

void short_while(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

bool soon(bool (*holds)(void *context), void *context)
{
    for (unsigned waited_ms = 0; waited_ms < SOON_MS; waited_ms += 5) {
        if (holds(context)) return true;
        short_while(5);
    }
    return holds(context);
}

struct expected {
    struct member *member;
    const char *text;
    uint32_t count;
};

static bool is_logged(void *context)
{
    const struct expected *const expected = context;
    return member_logged(expected->member, expected->text);
}

void expect_logged(struct member *member, const char *text)
{
    struct expected expected = {.member = member, .text = text};
    if (soon(is_logged, &expected)) return;
    fail_msg("no line with \"%s\" in:\n%s", text, member->lines ? member->lines : "");
}

static bool is_bonded(void *context)
{
    const struct expected *const expected = context;
    return member_bond_count(expected->member) == expected->count;
}

void expect_bonds(struct member *member, uint32_t count)
{
    struct expected expected = {.member = member, .count = count};
    if (soon(is_bonded, &expected)) return;
    fail_msg("%u bonds, expected %u:\n%s", member_bond_count(member), count,
             member->lines ? member->lines : "");
}
