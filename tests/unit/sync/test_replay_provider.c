/* What a provider says of its log: only what is committed, and as leader where logs agree. */
#include "unit/sync/fake_runtime.h"

static struct {
    uint32_t count;
    size_t bytes;
    uint8_t data[REPLAY_CONTROL_BYTES_MAX];
} answer;

static bool collect(struct fake_world *world, struct fake_message *message)
{
    (void)world;
    assert_int_equal(message->session, 9); /* The one that asked. */
    assert_true(message->bytes <= sizeof answer.data);
    answer.count++;
    answer.bytes = message->bytes;
    memcpy(answer.data, mortar_buffer_data(message->buffer), message->bytes);
    return false;
}

static struct fake_world *open_provider(void)
{
    struct fake_setup setup = {FAKE_SETUP};
    struct fake_world *const world = fake_open(&setup);
    memset(&answer, 0, sizeof answer);
    world->tamper = collect;
    for (uint32_t m = 1; m < 3; m++) {
        fake_prune(world, m, 100);
        world->members[m].commit = 1500;
    }
    return world;
}

/* Asks a provider and gives its answer; true if it took the message for its own. */
static bool ask(struct fake_world *world, uint32_t member, const struct writer *request)
{
    answer.count = 0;
    struct mortar_buffer *const buffer = mortar_buffer_new(&world->allocator, request->bytes + 1);
    assert_non_null(buffer);
    memcpy(mortar_buffer_data(buffer), request->data, request->bytes);
    const struct mortar_sync_incoming incoming = {
        .from = fake_id(0),
        .session = 9,
        .bytes = {mortar_buffer_data(buffer), request->bytes},
        .buffer = buffer,
    };
    const bool handled =
        world->method->provider->receive(world->members[member].provider, &incoming);
    mortar_buffer_release(buffer);
    return handled;
}

static void availability_offers_only_committed_entries(void **state)
{
    (void)state;
    struct fake_world *const world = open_provider();
    uint8_t data[1];
    struct writer request = writer_over(data, sizeof data);
    replay_availability_request_encode(&request);
    for (uint32_t m = 1; m < 3; m++) {
        assert_true(ask(world, m, &request));
        struct replay_availability word;
        const struct mortar_bytes bytes = {answer.data, answer.bytes};
        assert_int_equal(answer.count, 1);
        assert_int_equal(replay_availability_decode(bytes, &word), MORTAR_OK);
        assert_int_equal(word.leads, m == 1);
        assert_int_equal(word.base.index, 100);
        assert_memory_equal(&word.end, &world->points[1500], sizeof word.end);
        assert_int_equal(word.bytes, world->offsets[1501] - world->offsets[101]);
    }
    fake_close(world);
}

/* Each range of a plan ends on the log's own point and is cut by bytes; none is uncommitted. */
static void plans_are_cut_by_bytes_and_end_at_the_commit_index(void **state)
{
    (void)state;
    static const struct {
        uint64_t from;
        uint64_t to;
        uint16_t count_max;
        uint64_t last; /* Of the plan; 0: no points. */
        bool after;    /* `from` is held. */
    } cases[] = {
        {100, 1500, 256, 1500, true},       {700, 1101, 256, 1101, true}, {100, 1500, 3, 180, true},
        {100, UINT64_MAX, 256, 1500, true}, {1500, 1900, 256, 0, true},   {99, 1500, 256, 0, false},
        {1501, 1900, 256, 0, false},
    };
    struct fake_world *const world = open_provider();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t data[REPLAY_PLAN_REQUEST_BYTES];
        struct writer request = writer_over(data, sizeof data);
        const struct replay_plan_request asked = {3, cases[i].from, cases[i].to, 4096,
                                                  cases[i].count_max};
        replay_plan_request_encode(&asked, &request);
        assert_true(ask(world, 1, &request));
        struct replay_plan plan;
        const struct mortar_bytes bytes = {answer.data, answer.bytes};
        assert_int_equal(replay_plan_decode(bytes, &plan), MORTAR_OK);
        assert_int_equal(plan.id, 3);
        assert_true(plan.leads);
        assert_int_equal(plan.term, world->term);
        assert_int_equal(plan.base.position.index, 100);
        assert_int_equal(plan.commit.index, 1500);
        assert_int_equal(plan.after.position.index, cases[i].after ? cases[i].from : 0);
        uint64_t at = cases[i].from;
        for (uint32_t k = 0; k < plan.count; k++) {
            const struct replay_plan_point point = replay_plan_point(&plan, k);
            const uint64_t end = point.end.position.index;
            assert_memory_equal(&point.end, &world->points[end], sizeof point.end);
            assert_int_equal(point.bytes, world->offsets[end + 1] - world->offsets[at + 1]);
            assert_true(point.bytes <= 4096);
            at = end;
        }
        assert_int_equal(plan.count == 0 ? 0 : at, cases[i].last == 180 ? at : cases[i].last);
        if (cases[i].count_max == 3) assert_int_equal(plan.count, 3);
    }
    fake_close(world);
}

/* The highest index asked about whose sums agree: the leader looks beyond its commit index, a
 * follower does not. */
static void match_answers_the_highest_index_that_agrees(void **state)
{
    (void)state;
    static const struct {
        uint32_t member;
        uint64_t asked[3];
        uint64_t wrong_from; /* Sums from here on are another history's. */
        uint64_t agreed;
    } cases[] = {
        {1, {200, 300, 400}, 9999, 400},     {1, {200, 300, 400}, 301, 300},
        {1, {200, 300, 400}, 1, 0},          {1, {1400, 1800, 2500}, 9999, 1800},
        {2, {1400, 1800, 2500}, 9999, 1400}, {1, {50, 60, 90}, 9999, 0},
    };
    struct fake_world *const world = open_provider();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t data[REPLAY_MATCH_REQUEST_BYTES + 3 * REPLAY_MATCH_POINT_BYTES];
        struct writer request = writer_over(data, sizeof data);
        replay_match_request_encode(&(struct replay_match_request){.id = 5, .count = 3}, &request);
        for (uint32_t k = 0; k < 3; k++) {
            const uint64_t index = cases[i].asked[k];
            struct mortar_log_sum sum = {1, 2};
            if (index <= 2000) sum = world->points[index].sum;
            if (index >= cases[i].wrong_from) sum.low ^= 1;
            replay_match_point_encode(index, sum, &request);
        }
        assert_true(ask(world, cases[i].member, &request));
        struct replay_match match;
        const struct mortar_bytes bytes = {answer.data, answer.bytes};
        assert_int_equal(replay_match_decode(bytes, &match), MORTAR_OK);
        assert_int_equal(match.agreed, cases[i].agreed);
        assert_int_equal(match.leads, cases[i].member == 1);
        assert_int_equal(match.last.index, cases[i].member == 1 ? 2000 : 1500);
    }
    fake_close(world);
}

/* Requests that make no sense are its own and get no answer; all else is for the session. */
static void requests_are_its_own_and_answers_are_not(void **state)
{
    (void)state;
    struct fake_world *const world = open_provider();
    for (unsigned type = 0; type < 256; type++) {
        uint8_t data[40] = {(uint8_t)type, 1, 2, 3};
        struct writer request = {.data = data, .capacity = sizeof data, .bytes = sizeof data};
        const bool is_request = type == REPLAY_AVAILABILITY_REQUEST ||
                                type == REPLAY_MATCH_REQUEST || type == REPLAY_PLAN_REQUEST ||
                                type == REPLAY_FETCH || type == REPLAY_CANCEL;
        assert_int_equal(ask(world, 1, &request), is_request);
        assert_int_equal(answer.count, 0);
    }
    fake_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(availability_offers_only_committed_entries),
        cmocka_unit_test(plans_are_cut_by_bytes_and_end_at_the_commit_index),
        cmocka_unit_test(match_answers_the_highest_index_that_agrees),
        cmocka_unit_test(requests_are_its_own_and_answers_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
