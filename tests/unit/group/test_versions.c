/* Each link speaks what its ends agreed on, with the synthetic next version as the newer one. */
#include "unit/group/slow_storage.h"
#include "unit/group/solo.h"
#include "unit/test.h"
#include "wire/frame.h"

static struct solo solo;
static struct mortar_storage storage;
static uint32_t delay;

static struct mortar_storage slow(struct mortar_storage inner)
{
    storage = slow_storage(inner, delay, 0, MORTAR_OK);
    return storage;
}

static void begin(uint32_t reaps)
{
    delay = reaps;
    solo.wrap = slow;
    solo_open(&solo);
}

static void link_again(uint32_t peer, uint16_t version)
{
    mortar_core_link(solo.core, &solo.peers[peer], MORTAR_LANE_CONTROL, false);
    mortar_core_link_up(solo.core, &solo.peers[peer], MORTAR_LANE_CONTROL, version);
}

/* How many frames went to `peer` in that version since the last solo_forget_sent(). */
static uint32_t count_of(uint32_t peer, uint8_t type, uint16_t version)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < solo.sent_count; i++) {
        struct frame_header header;
        const struct mortar_bytes frame = {mortar_buffer_data(solo.sent[i].frame),
                                           mortar_buffer_bytes(solo.sent[i].frame)};
        assert_int_equal(frame_header_decode(frame, solo.sent[i].lane, &header), MORTAR_OK);
        if (solo.sent[i].to != peer || header.type != type) continue;
        if (header.version == version) count++;
    }
    return count;
}

/* An echo from a peer, in a frame of `version`. */
static enum mortar_status receive_echo(uint32_t from, uint16_t version)
{
    const struct echo echo = {.number = 7};
    struct mortar_buffer *frame =
        mortar_buffer_new(cluster_allocator(), FRAME_HEADER_BYTES + ECHO_BYTES);
    assert_non_null(frame);
    struct writer out = writer_over(mortar_buffer_data(frame), mortar_buffer_capacity(frame));
    const size_t place = frame_begin(&out);
    echo_encode(&echo, &out);
    frame_end(&out, place, version, MORTAR_LANE_CONTROL, MESSAGE_ECHO,
              frame_group_tag(&(struct mortar_group_id){{0}}));
    mortar_buffer_set_bytes(frame, out.bytes);
    const enum mortar_status status =
        mortar_core_frame(solo.core, &solo.peers[from], MORTAR_LANE_CONTROL, frame);
    mortar_buffer_release(frame);
    solo_run_effects(&solo);
    return status;
}

static void ask_for_vote(uint32_t from, uint64_t term)
{
    const struct vote_request request = {.term = term, .last = {.index = 1, .term = 1}};
    assert_int_equal(solo_receive(&solo, from, MESSAGE_VOTE_REQUEST, &request), MORTAR_OK);
}

static void link_of_no_said_version_speaks_the_lowest(void **state)
{
    (void)state;
    begin(0);
    link_again(SOLO_OTHER, WIRE_VERSION_NEXT);
    ask_for_vote(SOLO_LEADER, 2);
    ask_for_vote(SOLO_OTHER, 3);
    assert_int_equal(count_of(SOLO_LEADER, MESSAGE_VOTE_REPLY, WIRE_VERSION_MIN), 1);
    assert_int_equal(count_of(SOLO_LEADER, MESSAGE_VOTE_REPLY, WIRE_VERSION_NEXT), 0);
    assert_int_equal(count_of(SOLO_OTHER, MESSAGE_VOTE_REPLY, WIRE_VERSION_MIN), 0);
    assert_int_equal(count_of(SOLO_OTHER, MESSAGE_VOTE_REPLY, WIRE_VERSION_NEXT), 1);
    solo_close(&solo);
}

static void frame_above_the_version_of_its_link_is_refused(void **state)
{
    (void)state;
    begin(0);
    link_again(SOLO_OTHER, WIRE_VERSION_NEXT);
    const uint64_t refused = solo_status(&solo)->counters.frames_refused;
    assert_int_equal(receive_echo(SOLO_LEADER, WIRE_VERSION_NEXT), MORTAR_E_VERSION);
    assert_int_equal(solo_status(&solo)->counters.frames_refused, refused + 1);
    assert_int_equal(receive_echo(SOLO_OTHER, WIRE_VERSION_NEXT), MORTAR_OK);
    assert_int_equal(count_of(SOLO_OTHER, MESSAGE_ECHO, WIRE_VERSION_NEXT), 1);
    /* The message is not in the old version, also where the new one may be spoken. */
    assert_int_equal(receive_echo(SOLO_OTHER, WIRE_VERSION_MIN), MORTAR_E_PROTOCOL);
    solo_close(&solo);
}

/* A vote waits for its save while the candidate comes back, with the same build or an older one. */
static void answer_that_waited_goes_only_to_a_build_that_can_read_it(void **state)
{
    (void)state;
    for (uint16_t version = WIRE_VERSION_MIN; version <= WIRE_VERSION_NEXT; version++) {
        begin(20);
        link_again(SOLO_OTHER, WIRE_VERSION_NEXT);
        ask_for_vote(SOLO_OTHER, 2);
        assert_int_equal(solo_count_sent(&solo, MESSAGE_VOTE_REPLY), 0);
        link_again(SOLO_OTHER, version);
        for (uint32_t i = 0; i < 50; i++) {
            mortar_core_reap(solo.core);
            solo_run_effects(&solo);
        }
        assert_int_equal(solo_status(&solo)->term, 2);
        assert_int_equal(count_of(SOLO_OTHER, MESSAGE_VOTE_REPLY, WIRE_VERSION_NEXT),
                         version == WIRE_VERSION_NEXT ? 1 : 0);
        assert_int_equal(count_of(SOLO_OTHER, MESSAGE_VOTE_REPLY, WIRE_VERSION_MIN), 0);
        solo_close(&solo);
    }
}

static void frame_that_the_host_has_not_taken_counts_too(void **state)
{
    (void)state;
    begin(0);
    link_again(SOLO_OTHER, WIRE_VERSION_NEXT);
    link_again(SOLO_LEADER, WIRE_VERSION_NEXT);
    solo_forget_sent(&solo);
    /* Ticks without a flush: the questions stand in the queue of effects. */
    for (uint32_t i = 0; i < 10; i++)
        mortar_core_tick(solo.core, solo.now_ms, solo.now_ms);
    link_again(SOLO_OTHER, WIRE_VERSION_MIN);
    solo_run_effects(&solo);
    assert_int_equal(count_of(SOLO_OTHER, MESSAGE_ECHO, WIRE_VERSION_NEXT), 0);
    assert_int_equal(count_of(SOLO_LEADER, MESSAGE_ECHO, WIRE_VERSION_NEXT), 1);
    solo_close(&solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_of_no_said_version_speaks_the_lowest),
        cmocka_unit_test(frame_above_the_version_of_its_link_is_refused),
        cmocka_unit_test(answer_that_waited_goes_only_to_a_build_that_can_read_it),
        cmocka_unit_test(frame_that_the_host_has_not_taken_counts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
