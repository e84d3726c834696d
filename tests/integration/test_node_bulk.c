/* Bulk work next to control: a fetch as fast as it can go disturbs no heartbeat. */
#define _GNU_SOURCE
#include "integration/node_place.h"
#include "integration/raw_peer.h"
#include "unit/test.h"
#include "wire/message.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Instrumented code is slow, and keeps freed memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOAD_MB 64u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOAD_MB 64u
#endif
#endif
#ifndef LOAD_MB
#define LOAD_MB 500u
#endif

enum { COMMAND_BYTES = 4096, COMMANDS_AT_ONCE = 256 }; /* 1 MiB per call. */

/* The nice value of this process's threads of that name; fails when there is none. */
static int nice_of(const char *name)
{
    int found = INT32_MAX;
    DIR *const tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *task = readdir(tasks); task; task = readdir(tasks)) {
        char path[300];
        char line[32] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *const file = fopen(path, "r");
        if (file == NULL) continue;
        const bool is_read = fgets(line, sizeof line, file) != NULL;
        (void)fclose(file);
        if (!is_read) continue;
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, name) != 0) continue;
        found = getpriority(PRIO_PROCESS, (id_t)strtoul(task->d_name, NULL, 10));
    }
    (void)closedir(tasks);
    assert_int_not_equal(found, INT32_MAX);
    return found;
}

static void open_member(struct member *member, struct place *place, const char *name,
                        const char *peer)
{
    struct mortar_node_options options = member_options(member, place, name);
    options.peers = peer;
    member_open(member, &options);
    if (peer) {
        member_join(member);
    } else {
        member_found(member);
    }
}

/* Feeds `LOAD_MB`; answers the last position. */
static uint64_t feed_load(const struct member *member)
{
    struct mortar_bytes commands[COMMANDS_AT_ONCE];
    uint8_t *const bytes = calloc(1, COMMAND_BYTES);
    uint64_t last = 0;
    assert_non_null(bytes);
    for (unsigned i = 0; i < COMMANDS_AT_ONCE; i++)
        commands[i] = (struct mortar_bytes){bytes, COMMAND_BYTES};
    for (unsigned fed = 0; fed < LOAD_MB;) {
        struct mortar_result result;
        const enum mortar_status status =
            mortar_group_feed_many(member->group, commands, COMMANDS_AT_ONCE - 1, SOON_MS, &result);
        if (status == MORTAR_E_BUSY) {
            short_while(1);
            continue;
        }
        assert_int_equal(status, MORTAR_OK);
        last = result.last.index;
        fed++;
    }
    free(bytes);
    return last;
}

struct seen {
    uint64_t term;
    uint64_t elections;
    uint64_t leader_changes;
    bool leads;
};

static struct seen see(const struct member *member)
{
    struct mortar_core_status *const status = malloc(sizeof *status);
    assert_non_null(status);
    mortar_group_status(member->group, status);
    const struct seen seen = {.term = status->term,
                              .elections = status->counters.elections,
                              .leader_changes = status->counters.leader_changes,
                              .leads = status->role == MORTAR_LEADER};
    free(status);
    return seen;
}

static uint64_t round_trip_max(const struct member *member)
{
    struct mortar_bond_status bonds[4];
    uint64_t most = 0;
    const uint32_t count = mortar_node_bonds(member->node, bonds, 4);
    for (uint32_t i = 0; i < count && i < 4; i++)
        most = bonds[i].round_trip_us > most ? bonds[i].round_trip_us : most;
    return most;
}

static void execute_one(const struct member *member)
{
    struct mortar_result result;
    const struct mortar_bytes command = {(const uint8_t *)"x", 1};
    assert_int_equal(mortar_group_execute(member->group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);
}

/* What the status of a fetch showed at some moment, and at its end. */
struct shown {
    struct mortar_sync_status most; /* Each number as large as it was seen. */
    uint32_t sources;
    uint32_t leases;
    bool leader_saw_sync;
};

static void keep_larger(uint64_t *kept, uint64_t seen)
{
    if (seen > *kept) *kept = seen;
}

static void look_at(struct shown *shown, const struct member *leader, const struct member *joiner)
{
    struct mortar_core_status *const status = malloc(sizeof *status);
    assert_non_null(status);
    mortar_group_status(joiner->group, status);
    const struct mortar_sync_status *const sync = &status->sync;
    if (sync->active) {
        shown->most.active = true;
        keep_larger(&shown->most.session, sync->session);
        keep_larger(&shown->most.started_ms, sync->started_ms);
        keep_larger(&shown->most.elapsed_ms, sync->elapsed_ms);
        keep_larger(&shown->most.bytes_per_second, sync->bytes_per_second);
        keep_larger(&shown->most.progress.entries_done, sync->progress.entries_done);
        keep_larger(&shown->most.progress.bytes_done, sync->progress.bytes_done);
        keep_larger(&shown->most.progress.bytes_left, sync->progress.bytes_left);
        keep_larger(&shown->most.progress.bytes_held_max, sync->progress.bytes_held_max);
        if (sync->progress.source_count > shown->sources)
            shown->sources = sync->progress.source_count;
    }
    mortar_group_status(leader->group, status);
    if (status->lease_count > shown->leases) shown->leases = status->lease_count;
    for (uint32_t i = 0; i < status->member_count; i++)
        shown->leader_saw_sync = shown->leader_saw_sync || status->members[i].progress == 2;
    free(status);
}

static void check_shown(const struct shown *shown, const struct member *joiner)
{
    const struct mortar_sync_status *const most = &shown->most;
    assert_true(most->active);
    assert_true(most->session > 0 && most->started_ms > 0 && most->elapsed_ms > 0);
    assert_true(most->bytes_per_second > 0);
    assert_true(most->progress.entries_done > 0 && most->progress.bytes_done > 0);
    assert_true(most->progress.bytes_left > 0 && most->progress.bytes_held_max > 0);
    assert_int_equal(shown->sources, 2);
    assert_true(shown->leases > 0);
    assert_true(shown->leader_saw_sync);
    struct mortar_core_status *const status = malloc(sizeof *status);
    assert_non_null(status);
    mortar_group_status(joiner->group, status);
    assert_int_equal(status->sync_ended, MORTAR_OK);
    assert_int_equal(status->counters.sessions_started, status->counters.sessions_done);
    assert_true(status->counters.sessions_done > 0);
    assert_true(status->log_bytes > (LOAD_MB - 1) * 1000u * 1000u);
    assert_true(status->memory_bytes >= status->log_bytes);
    assert_true(status->birth_known && status->member && status->online);
    free(status);
}

static void a_fetch_at_full_speed_delays_no_heartbeat(void **state)
{
    (void)state;
    struct place place;
    static struct member a;
    static struct member b;
    static struct member joiner;
    place_begin(&place);
    open_member(&a, &place, "a", NULL);
    open_member(&b, &place, "b", a.address);
    const struct mortar_condition two = {.kind = MORTAR_UNTIL_VOTERS, .index = 2};
    assert_int_equal(mortar_group_wait(a.group, two, SOON_MS), MORTAR_OK);
    assert_int_equal(nice_of("mortar-bulk"), nice_of("mortar-control") + 10);
    const struct mortar_condition fed = {.kind = MORTAR_UNTIL_APPLIED, .index = feed_load(&a)};
    assert_int_equal(mortar_group_wait(b.group, fed, 6 * SOON_MS), MORTAR_OK);

    const struct seen before = see(&a);
    assert_true(before.leads);
    uint64_t slowest_us = 0;
    unsigned rounds = 0;
    static struct shown shown;
    open_member(&joiner, &place, "joiner", a.address);
    while (mortar_group_wait(joiner.group, fed, 20) == MORTAR_E_TIMEOUT) {
        execute_one(&b); /* Forwarded, committed by both. */
        const uint64_t round_trip = round_trip_max(&a);
        if (round_trip > slowest_us) slowest_us = round_trip;
        look_at(&shown, &a, &joiner);
        rounds++;
        assert_true(rounds < 3000);
    }
    const struct seen after = see(&a);
    print_message("  %u MB fetched in %u rounds of 20 ms; slowest heartbeat %llu us\n", LOAD_MB,
                  rounds, (unsigned long long)slowest_us);
    assert_true(after.leads);
    assert_int_equal(after.term, before.term);
    assert_int_equal(after.elections, before.elections);
    assert_int_equal(after.leader_changes, before.leader_changes);
    assert_true(slowest_us < 600000); /* The shortest election timeout. */
    assert_int_equal(member_metrics(&a).links_lost, 0);
    assert_int_equal(member_metrics(&b).links_lost, 0);
    assert_int_equal(member_metrics(&joiner).links_lost, 0);
    const struct mortar_condition online = {.kind = MORTAR_UNTIL_ONLINE};
    assert_int_equal(mortar_group_wait(joiner.group, online, SOON_MS), MORTAR_OK);
    check_shown(&shown, &joiner);
    assert_true(member_metrics(&a).core.sync_bytes_served > 0);
    assert_true(member_metrics(&b).core.sync_bytes_served > 0);
    assert_true(member_metrics(&joiner).core.sync_bytes_received > (LOAD_MB - 1) * 1000u * 1000u);
    member_close(&joiner);
    member_close(&b);
    member_close(&a);
    place_end(&place);
}

/* ---- A peer that sends faster than the core takes ---- */

enum { FLOOD_BYTES = 1024 * 1024, FLOOD_COUNT = 96 };

/* Sound frames for a session that is not there: each is taken, looked at and dropped. */
static void flood(struct raw_peer *raw)
{
    static uint8_t frame[FRAME_HEADER_BYTES + FLOOD_BYTES];
    static const uint8_t bytes[FLOOD_BYTES - 25];
    const struct mortar_bytes content = {bytes, sizeof bytes};
    for (unsigned i = 0; i < FLOOD_COUNT; i++) {
        struct writer out = writer_over(frame + FRAME_HEADER_BYTES, FLOOD_BYTES);
        const struct sync_message message = {.session = 999,
                                             .sequence = i + 1,
                                             .checksum = sync_message_checksum(content),
                                             .to_session = true,
                                             .bytes = content};
        sync_message_encode(&message, &out);
        assert_false(out.failed);
        frame_seal(frame, WIRE_VERSION_MAX, MORTAR_LANE_BULK, MESSAGE_SYNC,
                   frame_group_tag(&raw->group), (uint32_t)out.bytes);
        raw_send(raw, MORTAR_LANE_BULK, frame, FRAME_HEADER_BYTES + out.bytes);
    }
}

static atomic_bool is_held;
static atomic_bool may_go;

/* Holds the control thread, as no completion should. */
static void hold(void *argument, const struct mortar_result *result)
{
    (void)argument;
    (void)result;
    atomic_store(&is_held, true);
    while (!atomic_load(&may_go))
        short_while(1);
}

static bool holds_now(void *context)
{
    (void)context;
    return atomic_load(&is_held);
}

static bool flood_has_come(void *context)
{
    return member_metrics(context).bytes_in > (uint64_t)FLOOD_COUNT * FLOOD_BYTES;
}

static void what_the_core_cannot_take_stays_with_its_sender(void **state)
{
    (void)state;
    struct place place;
    struct member a;
    static struct raw_peer raw;
    place_begin(&place);
    struct mortar_node_options options = member_options(&a, &place, "a");
    options.heartbeat_ms = 10000; /* The raw peer answers none. */
    member_open(&a, &options);
    member_found(&a);
    raw_begin(&raw, &place, &a);
    raw_bond(&raw, MORTAR_LANE_CONTROL);
    raw_bond(&raw, MORTAR_LANE_BULK);
    expect_bonds(&a, 1);
    const struct mortar_condition now = {.kind = MORTAR_UNTIL_LEADER_ELECTED};
    assert_int_equal(mortar_group_wait_async(a.group, now, SOON_MS, hold, NULL), MORTAR_OK);
    assert_true(soon(holds_now, NULL));
    flood(&raw);
    uint64_t before;
    uint64_t after = 0;
    do { /* Until nothing moves any longer. */
        before = after;
        short_while(200);
        after = raw_wire_out_bytes(&raw, MORTAR_LANE_BULK);
    } while (after != before || after == 0);
    print_message("  %llu bytes left the sender\n", (unsigned long long)after);
    /* 8 MiB on their way to the core, a frame, and what two kernel buffers hold. */
    assert_true(after < 48u * 1024 * 1024);
    atomic_store(&may_go, true);
    assert_true(soon(flood_has_come, &a));
    assert_int_equal(member_bond_count(&a), 1);
    assert_int_equal(member_metrics(&a).links_lost, 0);
    raw_end(&raw);
    member_close(&a);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_core_cannot_take_stays_with_its_sender),
        cmocka_unit_test(a_fetch_at_full_speed_delays_no_heartbeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
