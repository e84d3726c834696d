/* A member in a process of its own: stopped, thawed, killed, started again.
 *
 * The test starts its own program with `member DIRECTORY KEY PEER`. It joins, prints its address,
 * and then answers each line on stdin with what its machine holds, until the end of stdin. */
#include "integration/node_place.h"
#include "node/member_note.h"
#include "unit/test.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- The other process ---- */

static int child_main(char **words)
{
    static struct member member;
    struct place place;
    char line[16];
    (void)snprintf(place.folder, sizeof place.folder, "%s", "/");
    (void)snprintf(place.key, sizeof place.key, "%s", words[1]);
    struct mortar_node_options options = member_options(&member, &place, "");
    options.directory = words[0];
    options.peers = words[2];
    if (member_try_open(&member, &options) != MORTAR_OK) {
        (void)fprintf(stderr, "%s\n", mortar_node_open_error());
        return 1;
    }
    const struct mortar_group_options group = member_group_options(&member);
    if (mortar_group_join(member.node, &group, &member.group) != MORTAR_OK) return 1;
    (void)printf("%s\n", member.address);
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        struct mortar_result result;
        uint64_t total = 0;
        if (mortar_group_query(member.group, (struct mortar_bytes){NULL, 0}, MORTAR_READ_LOCAL,
                               SOON_MS, &result) == MORTAR_OK) {
            memcpy(&total, mortar_result_reply(&result, 0).data, sizeof total);
            mortar_result_release(&result);
        }
        (void)printf("%llu\n", (unsigned long long)total);
        (void)fflush(stdout);
    }
    return mortar_node_close(member.node) == MORTAR_OK ? 0 : 1;
}

/* ---- The test's side of it ---- */

struct child {
    pid_t process;
    FILE *to;
    FILE *from;
    char address[MORTAR_ADDRESS_BYTES_MAX + 2];
};

static void child_start(struct child *child, const char *directory, const char *key,
                        const char *peer)
{
    char words[4][PLACE_PATH_BYTES];
    int down[2];
    int up[2];
    (void)snprintf(words[0], PLACE_PATH_BYTES, "member");
    (void)snprintf(words[1], PLACE_PATH_BYTES, "%s", directory);
    (void)snprintf(words[2], PLACE_PATH_BYTES, "%s", key);
    (void)snprintf(words[3], PLACE_PATH_BYTES, "%s", peer);
    char self[] = "/proc/self/exe";
    char *arguments[] = {self, words[0], words[1], words[2], words[3], NULL};
    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, down[0], STDIN_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, up[1], STDOUT_FILENO), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(posix_spawn_file_actions_addclose(&actions, down[i]), 0);
        assert_int_equal(posix_spawn_file_actions_addclose(&actions, up[i]), 0);
    }
    assert_int_equal(posix_spawn(&child->process, self, &actions, NULL, arguments, environ), 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    (void)close(down[0]);
    (void)close(up[1]);
    child->to = fdopen(down[1], "w");
    child->from = fdopen(up[0], "r");
    assert_true(child->to && child->from);
    assert_non_null(fgets(child->address, sizeof child->address, child->from));
    child->address[strcspn(child->address, "\n")] = '\0';
}

/* Ends it by `signal`, or by the end of its stdin when that is 0. */
static void child_end(struct child *child, int signal)
{
    int status = 0;
    if (signal != 0) assert_int_equal(kill(child->process, signal), 0);
    (void)fclose(child->to);
    assert_int_equal(waitpid(child->process, &status, 0), child->process);
    (void)fclose(child->from);
    if (signal == 0) assert_int_equal(status, 0);
}

static unsigned long long child_total(const struct child *child)
{
    char line[32] = "";
    assert_true(fputs("total\n", child->to) >= 0);
    assert_int_equal(fflush(child->to), 0);
    assert_non_null(fgets(line, sizeof line, child->from));
    return strtoull(line, NULL, 10);
}

struct goal {
    const struct child *child;
    unsigned long long total;
};

static bool child_has_total(void *context)
{
    const struct goal *const goal = context;
    return child_total(goal->child) == goal->total;
}

/* Two members here, one there, all voters. */
struct trio {
    struct place place;
    struct member a;
    struct member b;
    struct child child;
    char directory[PLACE_PATH_BYTES];
};

static void wait_voters(const struct member *member, uint64_t count)
{
    const struct mortar_condition condition = {.kind = MORTAR_UNTIL_VOTERS, .index = count};
    assert_int_equal(mortar_group_wait(member->group, condition, SOON_MS), MORTAR_OK);
}

static void trio_begin(struct trio *trio)
{
    place_begin(&trio->place);
    struct mortar_node_options options = member_options(&trio->a, &trio->place, "a");
    member_open(&trio->a, &options);
    member_found(&trio->a);
    options = member_options(&trio->b, &trio->place, "b");
    options.peers = trio->a.address;
    member_open(&trio->b, &options);
    member_join(&trio->b);
    place_path(&trio->place, "child", trio->directory);
    child_start(&trio->child, trio->directory, trio->place.key, trio->a.address);
    wait_voters(&trio->a, 3);
}

static void trio_end(struct trio *trio, int signal)
{
    child_end(&trio->child, signal);
    member_close(&trio->b);
    member_close(&trio->a);
    place_end(&trio->place);
}

static void execute_some(const struct member *member, unsigned count)
{
    const struct mortar_bytes command = {(const uint8_t *)"0123456789", 10};
    for (unsigned i = 0; i < count; i++) {
        struct mortar_result result;
        assert_int_equal(mortar_group_execute(member->group, command, SOON_MS, &result), MORTAR_OK);
        mortar_result_release(&result);
    }
}

static struct mortar_core_counters counters_of(const struct member *member, uint64_t *out_term)
{
    struct mortar_core_status *const status = malloc(sizeof *status);
    assert_non_null(status);
    mortar_group_status(member->group, status);
    const struct mortar_core_counters counters = status->counters;
    *out_term = status->term;
    free(status);
    return counters;
}

/* Stopped for longer than its links live and any election takes; then it goes on where it was. */
static void a_member_that_was_stopped_comes_back_without_an_election(void **state)
{
    (void)state;
    static struct trio trio;
    uint64_t term_before;
    uint64_t term_after;
    trio_begin(&trio);
    execute_some(&trio.a, 5);
    (void)counters_of(&trio.a, &term_before);
    assert_int_equal(kill(trio.child.process, SIGSTOP), 0);
    execute_some(&trio.a, 5);
    expect_logged(&trio.a, "silent for too long");
    expect_bonds(&trio.a, 1);
    short_while(2000);
    execute_some(&trio.b, 5);
    assert_int_equal(kill(trio.child.process, SIGCONT), 0);
    expect_bonds(&trio.a, 2);
    struct goal goal = {.child = &trio.child, .total = 150};
    assert_true(soon(child_has_total, &goal));
    execute_some(&trio.a, 1);
    (void)counters_of(&trio.a, &term_after);
    assert_int_equal(term_after, term_before);
    trio_end(&trio, 0);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Nobody hears its good-bye. */
static void a_node_closes_soon_beside_a_peer_that_is_stopped(void **state)
{
    (void)state;
    static struct trio trio;
    trio_begin(&trio);
    assert_int_equal(kill(trio.child.process, SIGSTOP), 0);
    execute_some(&trio.a, 200);
    const uint64_t before_ms = now_ms();
    member_close(&trio.b);
    member_close(&trio.a);
    assert_true(now_ms() - before_ms < 4000); /* Half a second each; the machine may be busy. */
    child_end(&trio.child, SIGKILL);
    place_end(&trio.place);
}

/* Its log is gone with it, so it is another member of the same peer, and is let in soon. */
static void a_member_that_was_killed_returns_as_a_new_member_of_its_peer(void **state)
{
    (void)state;
    static struct trio trio;
    struct mortar_bond_status before[4];
    struct mortar_bond_status after[4];
    trio_begin(&trio);
    expect_bonds(&trio.a, 2);
    execute_some(&trio.a, 5);
    assert_int_equal(mortar_node_bonds(trio.a.node, before, 4), 2);
    child_end(&trio.child, SIGKILL);
    expect_bonds(&trio.a, 1);
    execute_some(&trio.b, 5);
    child_start(&trio.child, trio.directory, trio.place.key, trio.a.address);
    expect_bonds(&trio.a, 2);
    expect_bonds(&trio.b, 2);
    struct goal goal = {.child = &trio.child, .total = 100};
    assert_true(soon(child_has_total, &goal));
    assert_int_equal(mortar_node_bonds(trio.a.node, after, 4), 2);
    const struct mortar_peer_id b_id = mortar_node_id(trio.b.node);
    const unsigned old = memcmp(&before[0].peer, &b_id, sizeof b_id) == 0 ? 1 : 0;
    const unsigned now = memcmp(&after[0].peer, &b_id, sizeof b_id) == 0 ? 1 : 0;
    assert_memory_equal(&before[old].peer, &after[now].peer, sizeof b_id);
    assert_false(mortar_member_id_equal(&before[old].member, &after[now].member));
    trio_end(&trio, 0);
}

/* ---- The next member of a directory takes the place of the one before ---- */

/* The third voter, when no more than `members_max` stand in a configuration that is not joint; else
 * nobody. */
static struct mortar_member_id third_of(const struct trio *trio, uint32_t members_max)
{
    struct mortar_member_id third = {0};
    const struct mortar_member_id a = mortar_group_member_id(trio->a.group);
    const struct mortar_member_id b = mortar_group_member_id(trio->b.group);
    struct mortar_core_status *const status = malloc(sizeof *status);
    assert_non_null(status);
    mortar_group_status(trio->b.group, status);
    for (uint32_t i = 0; i < status->member_count; i++) {
        const struct mortar_member_status *const member = &status->members[i];
        const bool other =
            !mortar_member_id_equal(&member->id, &a) && !mortar_member_id_equal(&member->id, &b);
        if (other && member->voter) third = member->id;
    }
    const bool whole = status->member_count <= members_max && !status->joint;
    free(status);
    return whole ? third : (struct mortar_member_id){0};
}

struct swap {
    const struct trio *trio;
    struct mortar_member_id before;
    uint32_t members_max;
};

/* The child has noted who it is: the last bytes of its note. */
static bool is_noted(void *context)
{
    const struct swap *const swap = context;
    char path[PLACE_PATH_BYTES + 16];
    uint8_t bytes[MEMBER_NOTE_BYTES] = {0};
    (void)snprintf(path, sizeof path, "%s/%s", swap->trio->directory, MEMBER_NOTE_FILE);
    FILE *const file = fopen(path, "re");
    if (!file) return false;
    const size_t count = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    return count == sizeof bytes && memcmp(bytes + 48, &swap->before, sizeof swap->before) == 0;
}

static bool is_swapped(void *context)
{
    const struct swap *const swap = context;
    const struct mortar_member_id now = third_of(swap->trio, swap->members_max);
    return !mortar_member_id_is_none(&now) && !mortar_member_id_equal(&now, &swap->before);
}

static void expect_removed(const struct trio *trio, const struct mortar_member_id *id)
{
    const struct mortar_change change = {
        .kind = MORTAR_ADD_LEARNER, .member = *id, .address = "127.0.0.1:9"};
    assert_int_equal(mortar_group_change(trio->a.group, &change, 1, SOON_MS), MORTAR_E_REMOVED);
}

/* Twice: the one that took the place leaves a note of its own. */
static void a_member_that_was_killed_gets_its_place_back_under_a_new_id(void **state)
{
    (void)state;
    static struct trio trio;
    trio_begin(&trio);
    execute_some(&trio.a, 5);
    for (unsigned turn = 1; turn <= 2; turn++) {
        wait_voters(&trio.b, 3);
        struct swap swap = {.trio = &trio, .before = third_of(&trio, 3), .members_max = 3};
        assert_false(mortar_member_id_is_none(&swap.before));
        assert_true(soon(is_noted, &swap));
        child_end(&trio.child, SIGKILL);
        execute_some(&trio.b, 5);
        child_start(&trio.child, trio.directory, trio.place.key, trio.a.address);
        assert_true(soon(is_swapped, &swap));
        struct goal goal = {.child = &trio.child, .total = 50 + 50 * turn};
        assert_true(soon(child_has_total, &goal));
        expect_removed(&trio, &swap.before);
    }
    trio_end(&trio, 0);
}

/* It is not let in before the leader has missed its former self for a while, so the second one dies
 * without a place, and the third one takes that of the first. */
static void one_that_dies_before_it_has_its_place_leaves_the_older_note(void **state)
{
    (void)state;
    static struct trio trio;
    trio_begin(&trio);
    wait_voters(&trio.b, 3);
    struct swap swap = {.trio = &trio, .before = third_of(&trio, 3), .members_max = 4};
    assert_true(soon(is_noted, &swap));
    child_end(&trio.child, SIGKILL);
    child_start(&trio.child, trio.directory, trio.place.key, trio.a.address);
    child_end(&trio.child, SIGKILL);
    assert_true(is_noted(&swap));
    child_start(&trio.child, trio.directory, trio.place.key, trio.a.address);
    assert_true(soon(is_swapped, &swap));
    expect_removed(&trio, &swap.before);
    trio_end(&trio, 0);
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "member") == 0) return child_main(words + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_that_was_stopped_comes_back_without_an_election),
        cmocka_unit_test(a_node_closes_soon_beside_a_peer_that_is_stopped),
        cmocka_unit_test(a_member_that_was_killed_returns_as_a_new_member_of_its_peer),
        cmocka_unit_test(a_member_that_was_killed_gets_its_place_back_under_a_new_id),
        cmocka_unit_test(one_that_dies_before_it_has_its_place_leaves_the_older_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
