/* own_loop.c - the pure core under an event loop of its own: poll(2), no threads.
 *
 * Three members in one process, joined by socket pairs, one pair per lane. The core asks for
 * frames to be sent and for work to be run, and this file does so; nothing else of the library is
 * used. It founds a group, lets two members join, cuts the third one off while commands are
 * executed, joins it again, and ends with 0 when all three machines agree.
 *
 *     own_loop
 */
#include "mortar/core.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MEMBERS = 3,
    LANES = 2,
    LANE_COUNT = MEMBERS * MEMBERS * LANES, /* A member's own are never used. */
    TICK_MS = 10,
    QUEUE_FRAMES = 1024, /* Of one lane towards one member; what is beyond gets lost. */
    PREFIX_BYTES = 4,    /* Length before each frame, little-endian. */
    FRAME_BYTES_MAX = 17 * 1024 * 1024,
    READ_BYTES_PER_TURN = 4 * 1024 * 1024,
    BATCHES = 200,
    BATCH_COMMANDS = 1000,
    COMMAND_BYTES = 100,
    PATIENCE_MS = 30000
};

/* One lane to another member. Frames go out in order; `sent` counts the prefix, too. */
struct lane {
    int fd; /* -1: cut. */
    struct mortar_buffer *queue[QUEUE_FRAMES];
    size_t head, count, sent;
    uint8_t prefix[PREFIX_BYTES];
    size_t received; /* Of the frame that is coming in, with its prefix. */
    struct mortar_buffer *incoming;
};

/* The machine: order matters to it, so equal sums mean equal histories. */
struct machine {
    uint64_t commands;
    uint64_t sum;
};

struct member {
    struct mortar_core *core;
    struct mortar_member_id id;
    struct machine machine;
    struct lane lanes[MEMBERS][LANES];
    uint32_t batches_done;
};

struct world {
    struct member members[MEMBERS];
    struct mortar_group_id group;
    struct mortar_sync_method *method;
    uint32_t batches_sent;
    uint64_t next_tick_ms;
    bool failed;
};

/* ---- What every host has to bring: a clock and memory. ---- */

static uint64_t now_ms(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now); /* These clocks cannot fail. */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void *heap_reserve(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void *heap_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return realloc(block, new_bytes);
}

static void heap_release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

static const struct mortar_allocator heap = {
    .reserve = heap_reserve, .resize = heap_resize, .release = heap_release};

static void machine_apply(void *state, struct mortar_apply *run)
{
    struct machine *machine = state;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct mortar_bytes command = run->commands[i].bytes;
        for (size_t at = 0; at < command.bytes; at++)
            machine->sum = machine->sum * 31 + command.data[at];
        machine->commands++;
    }
}

static const struct mortar_machine_ops machine_ops = {MORTAR_MACHINE_OPS_INIT, .name = "own-loop",
                                                      .epoch = 1, .apply = machine_apply};

/* ---- Links: frames over sockets. ---- */

static void lane_cut(struct lane *lane)
{
    if (lane->fd >= 0) (void)close(lane->fd);
    for (; lane->count > 0; lane->count--) {
        mortar_buffer_release(lane->queue[lane->head]);
        lane->head = (lane->head + 1) % QUEUE_FRAMES;
    }
    mortar_buffer_release(lane->incoming);
    *lane = (struct lane){.fd = -1};
}

static void lane_queue(struct lane *lane, struct mortar_buffer *frame)
{
    if (lane->fd < 0 || lane->count == QUEUE_FRAMES) {
        mortar_buffer_release(frame); /* The protocol lives with loss. */
        return;
    }
    lane->queue[(lane->head + lane->count) % QUEUE_FRAMES] = frame;
    lane->count++;
}

static void lane_write(struct lane *lane)
{
    while (lane->count > 0) {
        struct mortar_buffer *frame = lane->queue[lane->head];
        const uint32_t bytes = (uint32_t)mortar_buffer_bytes(frame);
        uint8_t prefix[PREFIX_BYTES];
        memcpy(prefix, &bytes, sizeof prefix); /* Mortar is little-endian throughout. */
        const bool in_prefix = lane->sent < PREFIX_BYTES;
        const uint8_t *from =
            in_prefix ? prefix + lane->sent : mortar_buffer_data(frame) + lane->sent - PREFIX_BYTES;
        const size_t left = (in_prefix ? PREFIX_BYTES : PREFIX_BYTES + (size_t)bytes) - lane->sent;
        const ssize_t written = send(lane->fd, from, left, MSG_NOSIGNAL);
        if (written < 0) return; /* Full; or broken, which the next read will say. */
        lane->sent += (size_t)written;
        if (lane->sent < PREFIX_BYTES + (size_t)bytes) continue;
        mortar_buffer_release(frame);
        lane->head = (lane->head + 1) % QUEUE_FRAMES;
        lane->count--;
        lane->sent = 0;
    }
}

/* Reads on; true: lane->incoming is a whole frame. *out_read is 0 when there was nothing. */
static bool lane_read(struct lane *lane, size_t *out_read)
{
    *out_read = 0;
    const bool in_prefix = lane->received < PREFIX_BYTES;
    const size_t end =
        in_prefix ? PREFIX_BYTES : PREFIX_BYTES + mortar_buffer_bytes(lane->incoming);
    uint8_t *to = in_prefix ? lane->prefix + lane->received
                            : mortar_buffer_data(lane->incoming) + lane->received - PREFIX_BYTES;
    const ssize_t got = recv(lane->fd, to, end - lane->received, 0);
    if (got <= 0) return false;
    *out_read = (size_t)got;
    lane->received += (size_t)got;
    if (lane->received < end) return false;
    if (!in_prefix) return true;

    uint32_t bytes = 0;
    memcpy(&bytes, lane->prefix, sizeof bytes);
    if (bytes == 0 || bytes > FRAME_BYTES_MAX) {
        *out_read = 0; /* Not ours: it is never read again. */
        return false;
    }
    lane->incoming = mortar_buffer_new(&heap, bytes);
    if (lane->incoming)
        mortar_buffer_set_bytes(lane->incoming, bytes);
    else
        lane->received = 0;
    return false;
}

static void member_read(struct world *world, uint32_t self, uint32_t other, enum mortar_lane which)
{
    struct member *member = &world->members[self];
    struct lane *lane = &member->lanes[other][which];
    size_t read = 0;
    for (size_t total = 0; total < READ_BYTES_PER_TURN; total += read) {
        const bool whole = lane_read(lane, &read);
        if (read == 0) return;
        if (!whole) continue;
        struct mortar_buffer *frame = lane->incoming;
        const struct mortar_bytes bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
        lane->incoming = NULL;
        lane->received = 0;
        enum mortar_status status = mortar_core_frame_check(bytes, which, &world->group);
        if (status == MORTAR_OK)
            status = mortar_core_frame(member->core, &world->members[other].id, which, frame);
        mortar_buffer_release(frame);
        if (status == MORTAR_OK) continue;
        (void)fprintf(stderr, "member %u: a frame of %u: %s\n", self, other,
                      mortar_status_text(status));
        world->failed = true;
        return;
    }
}

/* Joins or cuts the two members, both lanes. */
static void link_set(struct world *world, uint32_t a, uint32_t b, bool up)
{
    for (uint32_t which = 0; which < LANES; which++) {
        struct lane *there = &world->members[a].lanes[b][which];
        struct lane *back = &world->members[b].lanes[a][which];
        int pair[2] = {-1, -1};
        if (up && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
            perror("socketpair");
            world->failed = true;
            return;
        }
        lane_cut(there);
        lane_cut(back);
        there->fd = pair[0];
        back->fd = pair[1];
        const enum mortar_lane lane = (enum mortar_lane)which;
        mortar_core_link(world->members[a].core, &world->members[b].id, lane, up);
        mortar_core_link(world->members[b].core, &world->members[a].id, lane, up);
    }
}

/* ---- The core's wishes. ---- */

static void carry_out(struct world *world, struct member *member,
                      const struct mortar_effect *effect)
{
    switch (effect->type) {
    case MORTAR_EFFECT_SEND:
        for (uint32_t i = 0; i < MEMBERS; i++) {
            if (!mortar_member_id_equal(&world->members[i].id, &effect->send.to)) continue;
            lane_queue(&member->lanes[i][effect->send.lane], effect->send.frame);
            return;
        }
        mortar_buffer_release(effect->send.frame);
        break;
    case MORTAR_EFFECT_WORK: /* A host with threads would hand it to one. */
        mortar_core_work_run(effect->work.work);
        mortar_core_work_done(member->core, effect->work.work);
        break;
    case MORTAR_EFFECT_DONE:
        if (effect->done.result.status != MORTAR_OK &&
            effect->done.result.status != MORTAR_E_CLOSED) {
            (void)fprintf(stderr, "batch %" PRIu64 ": %s\n", effect->done.id,
                          mortar_status_text(effect->done.result.status));
            world->failed = true;
        }
        mortar_buffer_release(effect->done.result.replies);
        member->batches_done++;
        break;
    case MORTAR_EFFECT_FAILED:
        world->failed = true;
        break;
    case MORTAR_EFFECT_CHANGED: /* This host asks for the status whenever it wants to know. */
    case MORTAR_EFFECT_BIRTH:   /* It lives in no directory that would have to remember. */
        break;
    }
}

static void member_settle(struct world *world, struct member *member)
{
    for (bool busy = true; busy;) {
        struct mortar_effect effect;
        busy = false;
        mortar_core_flush(member->core);
        while (mortar_core_next(member->core, &effect)) {
            carry_out(world, member, &effect);
            busy = true;
        }
    }
}

/* One turn of the loop: waits for bytes or the next tick, feeds the cores, carries out. */
static void turn(struct world *world)
{
    struct pollfd fds[LANE_COUNT];
    for (uint32_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane =
            &world->members[i / LANES / MEMBERS].lanes[i / LANES % MEMBERS][i % LANES];
        if (lane->fd >= 0) lane_write(lane);
        fds[i] = (struct pollfd){.fd = lane->fd,
                                 .events = (short)(lane->count > 0 ? POLLIN | POLLOUT : POLLIN)};
    }
    const uint64_t now = now_ms(CLOCK_MONOTONIC);
    const int wait_ms = now < world->next_tick_ms ? (int)(world->next_tick_ms - now) : 0;
    if (poll(fds, LANE_COUNT, wait_ms) < 0 && errno != EINTR) {
        perror("poll");
        world->failed = true;
        return;
    }
    for (uint32_t i = 0; i < LANE_COUNT; i++)
        if (fds[i].revents & (POLLIN | POLLHUP))
            member_read(world, i / LANES / MEMBERS, i / LANES % MEMBERS,
                        (enum mortar_lane)(i % LANES));

    const uint64_t later = now_ms(CLOCK_MONOTONIC);
    const bool tick = later >= world->next_tick_ms;
    if (tick) world->next_tick_ms = later + TICK_MS;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (tick) mortar_core_tick(world->members[i].core, later, now_ms(CLOCK_REALTIME));
        member_settle(world, &world->members[i]);
    }
}

/* ---- The story. ---- */

static uint32_t voters_of(struct member *member)
{
    struct mortar_core_status status;
    uint32_t voters = 0;
    mortar_core_status(member->core, &status);
    for (uint32_t i = 0; i < status.member_count; i++)
        voters += status.members[i].voter ? 1 : 0;
    return status.joint ? 0 : voters;
}

static bool three_voters(struct world *world)
{
    for (uint32_t i = 0; i < MEMBERS; i++)
        if (voters_of(&world->members[i]) != MEMBERS) return false;
    return true;
}

/* Member 0 executes batches, a few at a time, until all are done. */
static bool batches_done(struct world *world)
{
    static uint8_t items[BATCH_COMMANDS * (4 + COMMAND_BYTES)];
    struct member *leader = &world->members[0];
    while (world->batches_sent < BATCHES && world->batches_sent - leader->batches_done < 8) {
        for (uint32_t i = 0; i < BATCH_COMMANDS; i++) {
            uint8_t *item = items + (size_t)i * (4 + COMMAND_BYTES);
            const uint32_t bytes = COMMAND_BYTES;
            memcpy(item, &bytes, 4);
            memset(item + 4, (int)('a' + (world->batches_sent + i) % 26), COMMAND_BYTES);
        }
        const enum mortar_status status = mortar_core_submit(
            leader->core, world->batches_sent + 1, MORTAR_REQUEST_EXECUTE,
            (struct mortar_bytes){items, sizeof items}, BATCH_COMMANDS, PATIENCE_MS);
        if (status == MORTAR_E_BUSY) break;
        if (status != MORTAR_OK) world->failed = true;
        if (world->failed) break;
        world->batches_sent++;
    }
    member_settle(world, leader);
    return leader->batches_done == BATCHES;
}

static bool all_equal(struct world *world)
{
    const struct machine *first = &world->members[0].machine;
    for (uint32_t i = 1; i < MEMBERS; i++) {
        const struct machine *other = &world->members[i].machine;
        if (other->commands != first->commands || other->sum != first->sum) return false;
    }
    return true;
}

static bool until(struct world *world, const char *what, bool (*holds)(struct world *world))
{
    const uint64_t start = now_ms(CLOCK_MONOTONIC);
    while (!world->failed && now_ms(CLOCK_MONOTONIC) - start < PATIENCE_MS) {
        turn(world);
        if (!holds(world)) continue;
        (void)printf("%-52s %5" PRIu64 " ms\n", what, now_ms(CLOCK_MONOTONIC) - start);
        return true;
    }
    (void)fprintf(stderr, "not reached: %s\n", what);
    return false;
}

static enum mortar_status world_open(struct world *world)
{
    memset(&world->group, 'g', sizeof world->group);
    enum mortar_status status = mortar_sync_log_replay(&heap, NULL, &world->method);
    for (uint32_t i = 0; i < MEMBERS && status == MORTAR_OK; i++) {
        struct member *member = &world->members[i];
        for (uint32_t other = 0; other < MEMBERS; other++)
            for (uint32_t which = 0; which < LANES; which++)
                member->lanes[other][which].fd = -1;
        memset(&member->id, (int)i + 1, sizeof member->id);
        struct mortar_storage storage;
        status = mortar_log_memory_open(&heap, NULL, &storage);
        if (status != MORTAR_OK) break;
        const struct mortar_core_options options = {
            MORTAR_CORE_OPTIONS_INIT, .self = member->id, .group = world->group,
            .network = "own-loop",    .address = "",      .seed = i + 1};
        status = mortar_core_open(&heap, &options, &storage, &machine_ops, &member->machine,
                                  world->method, &member->core);
        if (status != MORTAR_OK) storage.ops->close(storage.self);
    }
    return status;
}

static void world_close(struct world *world)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct member *member = &world->members[i];
        if (!member->core) continue;
        mortar_core_stop(member->core);
        member_settle(world, member);
        for (uint32_t lane = 0; lane < MEMBERS * LANES; lane++)
            lane_cut(&member->lanes[lane / LANES][lane % LANES]);
        mortar_core_close(member->core);
    }
    mortar_sync_log_replay_free(world->method);
}

static bool story(struct world *world)
{
    struct mortar_birth_id birth;
    uint8_t key[16];
    if (getrandom(&birth, sizeof birth, 0) < 0 || getrandom(key, sizeof key, 0) < 0) return false;
    turn(world); /* The first tick: the founding entry carries the time. */
    if (mortar_core_found(world->members[0].core, &birth, key) != MORTAR_OK) return false;
    for (uint32_t i = 0; i < MEMBERS; i++)
        for (uint32_t other = 0; other < i; other++)
            link_set(world, i, other, true);
    for (uint32_t i = 1; i < MEMBERS; i++)
        mortar_core_join(world->members[i].core);
    if (!until(world, "founded, joined: three voters", three_voters)) return false;

    link_set(world, 2, 0, false);
    link_set(world, 2, 1, false);
    if (!until(world, "member 2 is cut off: commands commit without it", batches_done))
        return false;
    link_set(world, 2, 0, true);
    link_set(world, 2, 1, true);
    if (!until(world, "member 2 is back: all machines are equal", all_equal)) return false;

    struct mortar_core_status status;
    mortar_core_status(world->members[2].core, &status);
    (void)printf("member 2 fetched %" PRIu64 " entries:", status.sync.progress.entries_done);
    for (uint32_t i = 0; i < status.sync.progress.source_count; i++)
        (void)printf(" %" PRIu64 " from member %u%s", status.sync.progress.sources[i].entries,
                     (unsigned)status.sync.progress.sources[i].member.peer.bytes[0] - 1,
                     status.sync.progress.sources[i].is_leader ? " (leader)" : "");
    (void)printf("\n%" PRIu64 " commands, sum %016" PRIx64 " on all three\n",
                 world->members[2].machine.commands, world->members[2].machine.sum);
    return status.counters.sessions_done > 0;
}

int main(void)
{
    static struct world world;
    const enum mortar_status status = world_open(&world);
    if (status != MORTAR_OK) (void)fprintf(stderr, "open: %s\n", mortar_status_text(status));
    const bool good = status == MORTAR_OK && story(&world) && !world.failed;
    world_close(&world);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
