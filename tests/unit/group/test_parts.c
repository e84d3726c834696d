/* Long messages arrive in parts (C8): a network that loses, doubles and delays them never makes
 * another message of them, and never ends the link for what is only late. */
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"

#include <string.h>

static struct solo solo; /* Too big for the stack. */

#define LONG_BYTES  3000u
#define PIECE_BYTES 1000u

/* An append of one long command, as a payload. */
static size_t long_append(uint8_t *out_bytes, size_t capacity)
{
    static uint8_t command[LONG_BYTES];
    memset(command, 0, sizeof command);
    command[0] = 5;
    solo_add(&solo, 1, MORTAR_ENTRY_COMMAND, (struct mortar_bytes){command, sizeof command});
    const struct append_request append = solo_append_of(&solo, solo.last, solo.last, solo.last, 0);
    struct writer out = writer_over(out_bytes, capacity);
    append_request_encode(&append, &out);
    assert_false(out.failed);
    return out.bytes;
}

static uint8_t payload[2 * LONG_BYTES];
static size_t payload_bytes;

static struct part piece(uint64_t number, uint32_t i)
{
    const size_t offset = (size_t)i * PIECE_BYTES;
    const size_t left = payload_bytes - offset;
    return (struct part){.term = 1,
                         .number = number,
                         .total_bytes = (uint32_t)payload_bytes,
                         .offset = (uint32_t)offset,
                         .inner_type = MESSAGE_APPEND_REQUEST,
                         .from_leader = true,
                         .bytes = {payload + offset, left < PIECE_BYTES ? left : PIECE_BYTES}};
}

#define PIECES 4u

struct step {
    uint64_t number;
    uint32_t piece;
};

static void begin(void)
{
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
    payload_bytes = long_append(payload, sizeof payload);
    assert_int_equal((payload_bytes + PIECE_BYTES - 1) / PIECE_BYTES, PIECES);
}

static enum mortar_status feed(struct step step)
{
    const struct part part = piece(step.number, step.piece);
    return solo_receive(&solo, SOLO_LEADER, MESSAGE_PART, &part);
}

static void parts_become_the_message_whatever_else_comes(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        bool whole;
        uint32_t count;
        struct step steps[10];
    } cases[] = {
        {"in order", true, 4, {{1, 0}, {1, 1}, {1, 2}, {1, 3}}},
        {"each one twice",
         true,
         8,
         {{1, 0}, {1, 0}, {1, 1}, {1, 1}, {1, 2}, {1, 2}, {1, 3}, {1, 3}}},
        {"the first again when little is left",
         true,
         6,
         {{1, 0}, {1, 1}, {1, 2}, {1, 0}, {1, 1}, {1, 3}}},
        {"a part is lost", false, 3, {{1, 0}, {1, 2}, {1, 3}}},
        {"the start is lost", false, 3, {{1, 1}, {1, 2}, {1, 3}}},
        {"lost, then sent as another message",
         true,
         7,
         {{1, 0}, {1, 2}, {1, 3}, {2, 0}, {2, 1}, {2, 2}, {2, 3}}},
        {"parts of an earlier message come late",
         true,
         7,
         {{1, 0}, {2, 0}, {1, 1}, {2, 1}, {1, 2}, {2, 2}, {2, 3}}},
        {"the first part of an earlier message comes late",
         true,
         5,
         {{2, 0}, {2, 1}, {1, 0}, {2, 2}, {2, 3}}},
        {"the end of one and the start of a later one", false, 4, {{1, 0}, {1, 1}, {2, 0}, {1, 2}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        begin();
        for (uint32_t j = 0; j < cases[i].count; j++)
            assert_int_equal(feed(cases[i].steps[j]), MORTAR_OK);
        assert_int_equal(solo_status(&solo)->last.index, cases[i].whole ? 3 : 2);
        assert_int_equal(solo.adder.sum, cases[i].whole ? 5 : 0);
        solo_close(&solo);
    }
}

static void one_message_with_two_sizes_breaks_the_protocol(void **state)
{
    (void)state;
    begin();
    assert_int_equal(feed((struct step){1, 0}), MORTAR_OK);
    struct part part = piece(1, 1);
    part.total_bytes++;
    assert_int_equal(solo_receive(&solo, SOLO_LEADER, MESSAGE_PART, &part), MORTAR_E_PROTOCOL);
    part = piece(2, 0);
    assert_int_equal(solo_receive(&solo, SOLO_LEADER, MESSAGE_PART, &part), MORTAR_OK);
    part = piece(2, 1);
    part.inner_type = MESSAGE_FORWARD_REQUEST;
    assert_int_equal(solo_receive(&solo, SOLO_LEADER, MESSAGE_PART, &part), MORTAR_E_PROTOCOL);
    assert_int_equal(solo_status(&solo)->last.index, 2);
    solo_close(&solo);
}

/* Its bytes would get past the check of the host's thread. */
static void a_sync_message_does_not_come_in_parts(void **state)
{
    (void)state;
    begin();
    struct part part = piece(1, 0);
    part.inner_type = MESSAGE_SYNC;
    assert_int_equal(solo_receive(&solo, SOLO_LEADER, MESSAGE_PART, &part), MORTAR_E_PROTOCOL);
    solo_close(&solo);
}

/* C8: a long message does not look like silence. */
static void a_part_of_the_leader_is_a_heartbeat(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 0; i < 20; i++) {
        solo_tick(&solo, 400); /* Less than the election timeout of 600. */
        const struct part part = piece(1, 0);
        assert_int_equal(solo_receive(&solo, SOLO_LEADER, MESSAGE_PART, &part), MORTAR_OK);
    }
    assert_int_equal(solo_status(&solo)->role, MORTAR_FOLLOWER);
    assert_int_equal(solo_count_sent(&solo, MESSAGE_VOTE_REQUEST), 0);
    solo_close(&solo);
}

static void a_link_that_breaks_forgets_what_came_by_half(void **state)
{
    (void)state;
    begin();
    assert_int_equal(feed((struct step){1, 0}), MORTAR_OK);
    mortar_core_link(solo.core, &solo.peers[SOLO_LEADER], MORTAR_LANE_CONTROL, false);
    mortar_core_link(solo.core, &solo.peers[SOLO_LEADER], MORTAR_LANE_CONTROL, true);
    for (uint32_t i = 1; i < PIECES; i++)
        assert_int_equal(feed((struct step){1, i}), MORTAR_OK);
    assert_int_equal(solo_status(&solo)->last.index, 2);
    /* Frames that arrive while no control lane stands leave nothing behind either. */
    mortar_core_link(solo.core, &solo.peers[SOLO_LEADER], MORTAR_LANE_CONTROL, false);
    assert_int_equal(feed((struct step){3, 0}), MORTAR_OK);
    mortar_core_link(solo.core, &solo.peers[SOLO_LEADER], MORTAR_LANE_BULK, false);
    mortar_core_link(solo.core, &solo.peers[SOLO_LEADER], MORTAR_LANE_BULK, true);
    solo_close(&solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_become_the_message_whatever_else_comes),
        cmocka_unit_test(one_message_with_two_sizes_breaks_the_protocol),
        cmocka_unit_test(a_sync_message_does_not_come_in_parts),
        cmocka_unit_test(a_part_of_the_leader_is_a_heartbeat),
        cmocka_unit_test(a_link_that_breaks_forgets_what_came_by_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
