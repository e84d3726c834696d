/* What comes from outside and is wrong: garbage, scans, lies, slow and damaged peers, copies,
 * broken directories. Each is refused by name and counted, and the group goes on. */
#include "integration/node_place.h"
#include "integration/raw_peer.h"
#include "unit/test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A founder, and a raw peer that has its keys. */
struct world {
    struct place place;
    struct member member;
    struct raw_peer raw;
};

static void world_begin_with(struct world *world, uint32_t handshake_ms, uint32_t half_open_max)
{
    place_begin(&world->place);
    struct mortar_node_options options = member_options(&world->member, &world->place, "a");
    options.handshake_ms = handshake_ms;
    options.half_open_max = half_open_max;
    member_open(&world->member, &options);
    member_found(&world->member);
    raw_begin(&world->raw, &world->place, &world->member);
}

static void expect_alive(struct member *member)
{
    struct mortar_result result;
    const struct mortar_bytes command = {(const uint8_t *)"x", 1};
    assert_int_equal(mortar_group_execute(member->group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);
}

static void world_end(struct world *world)
{
    expect_alive(&world->member);
    raw_end(&world->raw);
    assert_int_equal(atomic_load(&world->member.fatal_count), 0);
    member_close(&world->member);
    place_end(&world->place);
}

/* ---- Without TLS ---- */

static int connect_plain(const struct member *member)
{
    const char *const colon = strrchr(member->address, ':');
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address),
                     0);
    return fd;
}

static bool tls_was_refused(void *context)
{
    return member_metrics(context).refused_tls >= 20;
}

static void garbage_and_port_scans_are_counted_and_forgotten(void **state)
{
    (void)state;
    struct world world;
    world_begin_with(&world, 2000, 64);
    for (unsigned i = 0; i < 20; i++) {
        const int fd = connect_plain(&world.member);
        uint8_t garbage[512];
        memset(garbage, (int)(i * 13), sizeof garbage);
        if (i % 2 == 0) (void)send(fd, garbage, sizeof garbage, MSG_NOSIGNAL);
        (void)close(fd);
    }
    assert_true(soon(tls_was_refused, &world.member));
    assert_true(member_logged(&world.member, "refused"));
    raw_bond(&world.raw, MORTAR_LANE_CONTROL); /* Honest ones still come in. */
    world_end(&world);
}

static bool slow_ones_timed_out(void *context)
{
    return member_metrics(context).handshake_timeouts >= 4;
}

static bool one_was_turned_away(void *context)
{
    return member_metrics(context).refused_half_open >= 1;
}

/* Two say nothing at all, two say nothing after TLS; the limit is four. */
static void slow_handshakes_end_in_time_and_are_limited(void **state)
{
    (void)state;
    struct world world;
    struct raw_peer other;
    world_begin_with(&world, 800, 4);
    raw_begin(&other, &world.place, &world.member);
    const int first = connect_plain(&world.member);
    const int second = connect_plain(&world.member);
    raw_connect(&world.raw, MORTAR_LANE_CONTROL, true);
    raw_connect(&other, MORTAR_LANE_CONTROL, true);
    short_while(200);
    const int fifth = connect_plain(&world.member);
    assert_true(soon(one_was_turned_away, &world.member));
    raw_expect_closed(&world.raw, MORTAR_LANE_CONTROL);
    raw_expect_closed(&other, MORTAR_LANE_CONTROL);
    assert_true(soon(slow_ones_timed_out, &world.member));
    (void)close(first);
    (void)close(second);
    (void)close(fifth);
    raw_bond(&world.raw, MORTAR_LANE_CONTROL);
    raw_end(&other);
    world_end(&world);
}

/* ---- With the right key ---- */

/* Sends `bytes` on a lane that is bonded and expects the end, counted and named. */
static void expect_refused(struct world *world, enum mortar_lane lane, const void *data,
                           size_t bytes, const char *line)
{
    const uint64_t before = member_metrics(&world->member).refused_protocol;
    raw_bond(&world->raw, MORTAR_LANE_CONTROL);
    if (lane == MORTAR_LANE_BULK) raw_bond(&world->raw, MORTAR_LANE_BULK);
    raw_send(&world->raw, lane, data, bytes);
    raw_expect_closed(&world->raw, lane);
    expect_logged(&world->member, line);
    assert_true(atomic_load(&world->raw.links[lane].is_refused));
    assert_true(member_metrics(&world->member).refused_protocol > before);
    if (lane == MORTAR_LANE_CONTROL) return;
    /* The control link is not to blame; it is ended for the next case. */
    const uint8_t bad[FRAME_HEADER_BYTES] = {0};
    raw_send(&world->raw, MORTAR_LANE_CONTROL, bad, sizeof bad);
    raw_expect_closed(&world->raw, MORTAR_LANE_CONTROL);
    expect_bonds(&world->member, 0);
}

static void a_frame_of_4_gb_is_refused_before_anything_is_reserved(void **state)
{
    (void)state;
    struct world world;
    world_begin_with(&world, 5000, 64);
    for (unsigned lane = 0; lane < 2; lane++) {
        uint8_t header[FRAME_HEADER_BYTES];
        const uint32_t announced = UINT32_MAX;
        frame_seal(header, 1, (enum mortar_lane)lane, 11, frame_group_tag(&world.raw.group), 0);
        memcpy(header + 8, &announced, sizeof announced);
        expect_refused(&world, (enum mortar_lane)lane, header, sizeof header, "MORTAR_E_TOO_LARGE");
    }
    world_end(&world);
}

static void flipped_bits_and_other_groups_are_refused_by_name(void **state)
{
    (void)state;
    struct world world;
    world_begin_with(&world, 5000, 64);
    for (unsigned lane = 0; lane < 2; lane++) {
        uint8_t frame[FRAME_HEADER_BYTES + 26] = {0};
        const enum mortar_lane on = (enum mortar_lane)lane;
        frame_seal(frame, 1, on, 1, frame_group_tag(&world.raw.group), 26);
        frame[FRAME_HEADER_BYTES + 5] ^= 0x10;
        expect_refused(&world, on, frame, sizeof frame, "MORTAR_E_CORRUPT");
        frame[FRAME_HEADER_BYTES + 5] ^= 0x10;
        frame_seal(frame, 1, on, 1, frame_group_tag(&world.raw.group) + 1, 26);
        expect_refused(&world, on, frame, sizeof frame, "MORTAR_E_GROUP");
        frame_seal(frame, 1, on, 200, 0, 26); /* No such bond frame. */
        expect_refused(&world, on, frame, sizeof frame, "MORTAR_E_PROTOCOL");
    }
    world_end(&world);
}

static void truncated_frames_do_no_harm(void **state)
{
    (void)state;
    struct world world;
    world_begin_with(&world, 5000, 64);
    uint8_t frame[FRAME_HEADER_BYTES + 26] = {0};
    frame_seal(frame, 1, MORTAR_LANE_CONTROL, 1, frame_group_tag(&world.raw.group), 26);
    raw_bond(&world.raw, MORTAR_LANE_CONTROL);
    raw_send(&world.raw, MORTAR_LANE_CONTROL, frame, sizeof frame - 9);
    raw_end(&world.raw); /* In the middle of it. */
    expect_bonds(&world.member, 0);
    raw_begin(&world.raw, &world.place, &world.member);
    raw_bond(&world.raw, MORTAR_LANE_CONTROL);
    world_end(&world);
}

static bool control_stands(void *context)
{
    struct mortar_bond_status bond = {0};
    return mortar_node_bonds(((const struct member *)context)->node, &bond, 1) == 1 && bond.control;
}

static bool no_bond(void *context)
{
    return mortar_node_bonds(((const struct member *)context)->node, NULL, 0) == 0;
}

static void a_peer_that_falls_silent_is_given_up(void **state)
{
    (void)state;
    struct world world;
    world_begin_with(&world, 5000, 64);
    raw_bond(&world.raw, MORTAR_LANE_CONTROL); /* It answers no ping. */
    assert_true(soon(control_stands, &world.member));
    assert_true(soon(no_bond, &world.member)); /* 6 heartbeats of 200 ms. */
    expect_logged(&world.member, "silent for too long (MORTAR_E_TIMEOUT)");
    world_end(&world);
}

/* A lane that stands vouches for no other one. */
static void each_lane_is_proved_for_itself(void **state)
{
    (void)state;
    struct world world;
    world_begin_with(&world, 5000, 64);
    raw_bond(&world.raw, MORTAR_LANE_CONTROL);
    world.raw.keys.keys[0].bytes[7] ^= 1;
    raw_connect(&world.raw, MORTAR_LANE_BULK, false);
    raw_expect_closed(&world.raw, MORTAR_LANE_BULK);
    expect_logged(&world.member, "refused: key (MORTAR_E_KEY)");
    assert_int_equal(world.raw.links[MORTAR_LANE_BULK].refusal.status, MORTAR_E_KEY);
    assert_string_equal(world.raw.links[MORTAR_LANE_BULK].refusal.text, "key");
    assert_int_equal(member_metrics(&world.member).refused_key, 1);
    assert_int_equal(member_bond_count(&world.member), 0);
    world_end(&world);
}

/* The proof holds over the id of another group, and the names are the same: it is another birth
 * key's, and nobody is let in. */
static void a_wrong_group_id_or_member_id_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_begin_with(&world, 5000, 64);
    world.raw.group.bytes[3] ^= 1;
    raw_connect(&world.raw, MORTAR_LANE_CONTROL, false);
    raw_expect_closed(&world.raw, MORTAR_LANE_CONTROL);
    expect_logged(&world.member, "the group ids differ (MORTAR_E_KEY)");
    world.raw.group.bytes[3] ^= 1;
    world.raw.id.peer.bytes[3] ^= 1; /* Not the one that TLS shows. */
    raw_connect(&world.raw, MORTAR_LANE_CONTROL, false);
    raw_expect_closed(&world.raw, MORTAR_LANE_CONTROL);
    expect_logged(&world.member, "the member id is not of the TLS peer (MORTAR_E_PROTOCOL)");
    assert_int_equal(member_metrics(&world.member).refused_protocol, 1);
    assert_int_equal(mortar_node_bonds(world.member.node, NULL, 0), 0);
    world_end(&world);
}

/* ---- Identities and directories ---- */

static void copy_file(const char *from, const char *to)
{
    uint8_t bytes[4096];
    FILE *const in = fopen(from, "rb");
    FILE *const out = fopen(to, "wb");
    assert_true(in && out);
    const size_t count = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(to, 0600), 0);
}

/* The first runs; a copy of its directory is started elsewhere and finds the founder. */
static void a_copied_directory_is_refused_and_named(void **state)
{
    (void)state;
    struct world world;
    struct member first;
    struct member copy;
    char from[PLACE_PATH_BYTES];
    char to[PLACE_PATH_BYTES];
    world_begin_with(&world, 5000, 64);
    struct mortar_node_options options = member_options(&first, &world.place, "first");
    options.peers = world.member.address;
    member_open(&first, &options);
    member_join(&first);
    expect_bonds(&world.member, 1);

    options = member_options(&copy, &world.place, "copy");
    options.peers = world.member.address;
    assert_int_equal(mkdir(copy.directory, 0700), 0);
    place_path(&world.place, "first/identity.pem", from);
    place_path(&world.place, "copy/identity.pem", to);
    copy_file(from, to);
    member_open(&copy, &options);
    member_join(&copy);
    expect_logged(&world.member, "MORTAR_E_COPIED");
    expect_logged(&copy, "MORTAR_E_COPIED");
    assert_true(member_metrics(&world.member).refused_copied >= 1);
    assert_true(member_metrics(&copy).refused_copied >= 1);
    expect_bonds(&first, 1); /* Not disturbed. */
    assert_int_equal(member_metrics(&first).links_lost, 0);
    member_close(&copy);
    member_close(&first);
    world_end(&world);
}

static void what_a_node_cannot_open_it_says(void **state)
{
    (void)state;
    struct world world;
    struct member other;
    char path[PLACE_PATH_BYTES];
    world_begin_with(&world, 5000, 64);

    struct mortar_node_options options = member_options(&other, &world.place, "a");
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_LOCKED);
    assert_non_null(strstr(mortar_node_open_error(), world.member.directory));

    options = member_options(&other, &world.place, "other");
    options.listen = world.member.address;
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_ADDRESS_IN_USE);
    assert_non_null(strstr(mortar_node_open_error(), world.member.address));
    options.listen = "nowhere";
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_ADDRESS);
    options.listen = "127.0.0.1:0";
    options.peers = "127.0.0.1:1,,";
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_ADDRESS);
    options.peers = NULL;

    place_path(&world.place, "other/identity.pem", path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_PERMISSION);
    assert_non_null(strstr(mortar_node_open_error(), "identity.pem"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_CORRUPT);
    assert_int_equal(unlink(path), 0);

    options.advertise = "a.example:0";
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_INVALID);
    assert_non_null(strstr(mortar_node_open_error(), "advertise"));
    options.advertise = NULL;
    options.key_file = "/tmp/mortar-no-such-key";
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_NOT_FOUND);
    assert_non_null(strstr(mortar_node_open_error(), "/tmp/mortar-no-such-key"));
    options.key_file = NULL;
    assert_int_equal(member_try_open(&other, &options), MORTAR_E_INVALID);
    assert_non_null(strstr(mortar_node_open_error(), "key_file"));
    world_end(&world);
}

/* A damaged note is not passed over: the member that it should name would stay for good. */
static void a_damaged_note_stops_a_join_until_it_is_gone(void **state)
{
    (void)state;
    struct member other;
    char path[PLACE_PATH_BYTES];
    struct world world;
    world_begin_with(&world, 5000, 64);
    struct mortar_node_options options = member_options(&other, &world.place, "other");
    options.peers = world.member.address;
    member_open(&other, &options);
    const struct mortar_group_options group = member_group_options(&other);
    place_path(&world.place, "other/member", path);
    FILE *const file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(mortar_group_join(other.node, &group, &other.group), MORTAR_E_PERMISSION);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(mortar_group_join(other.node, &group, &other.group), MORTAR_E_CORRUPT);
    expect_logged(&other, "other/member");
    assert_int_equal(unlink(path), 0);
    member_join(&other);
    member_close(&other);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_and_port_scans_are_counted_and_forgotten),
        cmocka_unit_test(slow_handshakes_end_in_time_and_are_limited),
        cmocka_unit_test(a_frame_of_4_gb_is_refused_before_anything_is_reserved),
        cmocka_unit_test(flipped_bits_and_other_groups_are_refused_by_name),
        cmocka_unit_test(truncated_frames_do_no_harm),
        cmocka_unit_test(a_peer_that_falls_silent_is_given_up),
        cmocka_unit_test(each_lane_is_proved_for_itself),
        cmocka_unit_test(a_wrong_group_id_or_member_id_is_refused),
        cmocka_unit_test(a_copied_directory_is_refused_and_named),
        cmocka_unit_test(what_a_node_cannot_open_it_says),
        cmocka_unit_test(a_damaged_note_stops_a_join_until_it_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
