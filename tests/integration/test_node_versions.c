/* A node speaks with each peer the version that their handshake found, with the synthetic next
 * version as the newer one. */
#include "integration/node_place.h"
#include "integration/raw_peer.h"
#include "unit/test.h"
#include "wire/message.h"

static struct place place;
static struct member member;
static struct raw_peer raw;

static void begin(uint16_t version)
{
    place_begin(&place);
    const struct mortar_node_options options = member_options(&member, &place, "a");
    member_open(&member, &options);
    member_found(&member);
    raw_begin(&raw, &place, &member);
    raw.version_max = version;
    raw_bond(&raw, MORTAR_LANE_CONTROL);
}

static void end(void)
{
    raw_end(&raw);
    assert_int_equal(atomic_load(&member.fatal_count), 0);
    member_close(&member);
    place_end(&place);
}

/* The node answers it, in whatever version it thinks is spoken here. */
static void ask_to_join(void)
{
    uint8_t frame[FRAME_HEADER_BYTES + JOIN_REQUEST_BYTES + MORTAR_ADDRESS_BYTES_MAX];
    struct writer out = writer_over(frame, sizeof frame);
    const size_t start = frame_begin(&out);
    join_request_encode(&(struct join_request){.observer = true, .address = "127.0.0.1:1"}, &out);
    frame_end(&out, start, WIRE_VERSION_MIN, MORTAR_LANE_CONTROL, MESSAGE_JOIN_REQUEST,
              frame_group_tag(&raw.group));
    assert_false(out.failed);
    raw_send(&raw, MORTAR_LANE_CONTROL, frame, out.bytes);
}

static unsigned heard(uint16_t version)
{
    return atomic_load(&raw.links[MORTAR_LANE_CONTROL].heard[version]);
}

static bool is_heard(void *context)
{
    return heard(*(const uint16_t *)context) >= 1;
}

static void each_peer_hears_its_own_version(void **state)
{
    (void)state;
    for (uint16_t version = WIRE_VERSION_MIN; version <= WIRE_VERSION_NEXT; version++) {
        begin(version);
        ask_to_join();
        assert_true(soon(is_heard, &version));
        for (uint16_t other = 0; other < RAW_VERSIONS; other++) {
            if (other != version) assert_int_equal(heard(other), 0);
        }
        end();
    }
}

static void frame_above_the_version_of_its_link_ends_it(void **state)
{
    (void)state;
    uint8_t frame[FRAME_HEADER_BYTES + ECHO_BYTES];
    begin(WIRE_VERSION_MIN);
    struct writer out = writer_over(frame, sizeof frame);
    const size_t start = frame_begin(&out);
    echo_encode(&(struct echo){.number = 1}, &out);
    frame_end(&out, start, WIRE_VERSION_NEXT, MORTAR_LANE_CONTROL, MESSAGE_ECHO,
              frame_group_tag(&raw.group));
    raw_send(&raw, MORTAR_LANE_CONTROL, frame, out.bytes);
    raw_expect_closed(&raw, MORTAR_LANE_CONTROL);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_peer_hears_its_own_version),
        cmocka_unit_test(frame_above_the_version_of_its_link_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
