/* A provider as a source: what it serves, what it refuses, and how fast. Method: requests are put
 * into the network by hand; a tamper collects the answers. */
#include "unit/sync/fake_runtime.h"

static struct {
    uint32_t count;
    uint64_t bytes;
    uint64_t last_ms;
    uint64_t entries;
    uint32_t refused[5]; /* By reason. */
    uint32_t to[32];     /* Whom the first answers were for. */
    uint64_t first[32];  /* What they began with. */
} seen;

static bool collect(struct fake_world *world, struct fake_message *message)
{
    const struct mortar_bytes bytes = {mortar_buffer_data(message->buffer), message->bytes};
    seen.count++;
    seen.last_ms = world->now_ms;
    if (fake_type(message) == REPLAY_REFUSED) {
        struct replay_refused refused;
        assert_int_equal(replay_refused_decode(bytes, &refused), MORTAR_OK);
        assert_int_equal(message->lane, MORTAR_LANE_CONTROL);
        seen.refused[refused.reason]++;
        return false;
    }
    if (fake_type(message) != REPLAY_ENTRIES) return false;
    struct replay_entries entries;
    assert_int_equal(replay_entries_decode(bytes, &entries), MORTAR_OK);
    struct mortar_anchor_point end;
    uint32_t count;
    assert_int_equal(
        mortar_log_run_verify(entries.run, &world->points[entries.first - 1], &count, &end),
        MORTAR_OK);
    assert_int_equal(count, entries.count);
    assert_memory_equal(&end, &world->points[entries.last], sizeof end);
    if (seen.count <= 32) {
        seen.to[seen.count - 1] = message->to;
        seen.first[seen.count - 1] = entries.first;
    }
    seen.entries += count;
    seen.bytes += entries.run.bytes;
    return false;
}

static struct fake_world *open_provider(const struct fake_setup *setup)
{
    struct fake_world *const world = fake_open(setup);
    memset(&seen, 0, sizeof seen);
    world->tamper = collect;
    return world;
}

/* A member sends `bytes` to member 1, whose answers are collected. */
static void request_of(struct fake_world *world, uint32_t from, uint64_t session,
                       struct mortar_bytes bytes)
{
    const struct fake_message message = {
        .from = from,
        .to = 1,
        .session = session,
        .buffer = mortar_buffer_new(&world->allocator, bytes.bytes + 1),
        .bytes = bytes.bytes,
        .deliver_ms = world->now_ms,
    };
    assert_non_null(message.buffer);
    if (bytes.bytes > 0) memcpy(mortar_buffer_data(message.buffer), bytes.data, bytes.bytes);
    fake_inject(world, message);
}

static void request_entries(struct fake_world *world, uint64_t first, uint64_t last, uint32_t bytes)
{
    uint8_t data[REPLAY_FETCH_BYTES];
    struct writer out = writer_over(data, sizeof data);
    replay_fetch_encode(&(struct replay_fetch){1, first, last, bytes}, &out);
    request_of(world, 0, 9, (struct mortar_bytes){data, out.bytes});
}

static uint32_t exact(const struct fake_world *world, uint64_t first, uint64_t last)
{
    return (uint32_t)(world->offsets[last + 1] - world->offsets[first]);
}

/* Fifty entries from `first` on. */
static void request_fifty(struct fake_world *world, uint32_t from, uint64_t session, uint32_t id,
                          uint64_t first)
{
    uint8_t data[REPLAY_FETCH_BYTES];
    struct writer out = writer_over(data, sizeof data);
    const uint32_t bytes = exact(world, first, first + 49);
    replay_fetch_encode(&(struct replay_fetch){id, first, first + 49, bytes}, &out);
    request_of(world, from, session, (struct mortar_bytes){data, out.bytes});
}

static void cancel(struct fake_world *world, uint32_t from, uint64_t session, uint64_t first,
                   uint64_t last)
{
    uint8_t data[REPLAY_CANCEL_BYTES];
    struct writer out = writer_over(data, sizeof data);
    replay_cancel_encode(&(struct replay_cancel){first, last}, &out);
    request_of(world, from, session, (struct mortar_bytes){data, out.bytes});
}

/* Only what is committed and held, and never more than was asked for. */
static void it_serves_committed_entries_and_refuses_the_rest_by_name(void **state)
{
    (void)state;
    enum { SERVED = 0 };
    static const struct {
        const char *why;
        uint64_t first;
        uint64_t last;
        int64_t extra;    /* Over the exact size. */
        uint32_t refusal; /* One of enum replay_refusal, or SERVED. */
    } cases[] = {
        {"held and committed", 101, 1500, 0, SERVED},
        {"one entry", 700, 700, 0, SERVED},
        {"the plan said more: still exact", 200, 300, 500, SERVED},
        {"pruned", 100, 300, 0, REPLAY_NOT_HELD},
        {"not committed yet", 1400, 1501, 0, REPLAY_TOO_FAR},
        {"takes more than was asked for", 200, 300, -1, REPLAY_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct fake_setup setup = {FAKE_SETUP};
        struct fake_world *const world = open_provider(&setup);
        fake_prune(world, 1, 100);
        world->members[1].commit = 1500;
        const uint32_t size = exact(world, cases[i].first, cases[i].last);
        request_entries(world, cases[i].first, cases[i].last,
                        (uint32_t)((int64_t)size + cases[i].extra));
        (void)fake_run(world, 50);
        assert_int_equal(seen.count, 1);
        if (cases[i].refusal == SERVED) {
            assert_int_equal(seen.entries, cases[i].last - cases[i].first + 1);
        } else {
            assert_int_equal(seen.refused[cases[i].refusal], 1);
        }
        fake_close(world);
    }
}

/* A range that lies in many blocks of the log is gathered into one message. */
static void a_range_over_many_blocks_is_one_answer(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.members = 2;
    setup.entries = 6000;
    setup.payload_min = 2000;
    setup.payload_max = 3000;
    struct fake_world *const world = open_provider(&setup);
    request_entries(world, 1, 6000, exact(world, 1, 6000)); /* 15 MB in blocks of 256 KiB. */
    (void)fake_run(world, 100);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.entries, 6000);
    fake_close(world);
}

/* W-30, W-36d: what one member may have under way is bounded; the rest is refused as BUSY. */
static void w30_w36d_one_member_cannot_flood_a_source(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    struct fake_world *const world = open_provider(&setup);
    for (uint32_t i = 0; i < 500; i++)
        request_entries(world, 1, 50, exact(world, 1, 50));
    (void)fake_run(world, 100);
    assert_int_equal(seen.count, 500);
    assert_true(seen.refused[REPLAY_BUSY] >= 300);
    assert_int_equal(seen.entries, 50 * (500 - seen.refused[REPLAY_BUSY]));
    fake_close(world);
}

/* The cap on what is served holds over any longer time, whatever the size of the requests. */
static void the_rate_cap_holds(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.serve_bytes_per_second = 100000;
    struct fake_world *const world = open_provider(&setup);
    for (uint32_t i = 0; i < 20; i++)
        request_entries(world, 1, 50, exact(world, 1, 50));
    const uint64_t begun_ms = world->now_ms;
    for (uint32_t i = 0; seen.count < 20 && i < 100; i++)
        (void)fake_run(world, 50);
    assert_int_equal(seen.entries, 1000);
    /* 148 000 bytes, of which one request and the burst go at once. */
    assert_true(seen.last_ms - begun_ms >= 1350);
    assert_true(seen.last_ms - begun_ms <= 1550);
    fake_close(world);
}

/* A world whose member 1 serves ten requests a second. */
static struct fake_world *open_capped(void)
{
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.serve_bytes_per_second = 74000;
    return open_provider(&setup);
}

/* One that asks for much does not hold up another. */
static void members_take_turns(void **state)
{
    (void)state;
    struct fake_world *const world = open_capped();
    for (uint32_t i = 0; i < 10; i++)
        request_fifty(world, 0, 9, 1 + i, 1 + 50 * (uint64_t)i);
    for (uint32_t i = 0; i < 2; i++)
        request_fifty(world, 3, 7, 1 + i, 1 + 50 * (uint64_t)i);
    for (uint32_t i = 0; seen.count < 12 && i < 100; i++)
        (void)fake_run(world, 50);
    assert_int_equal(seen.count, 12);
    static const uint32_t turns[] = {0, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_memory_equal(seen.to, turns, sizeof turns);
    fake_close(world);
}

/* What nobody waits for any more does not stand before what is wanted. */
static void what_is_no_longer_wanted_is_not_served(void **state)
{
    (void)state;
    enum { CANCELLED, ENDED, SUPERSEDED, GOES_ON, DEPARTED };
    static const struct {
        const char *why;
        int what;
        uint32_t answers;
    } cases[] = {
        {"half of it was cancelled", CANCELLED, 5},
        {"its session ended, and asks once more, late", ENDED, 1},
        {"another session of that member asks", SUPERSEDED, 3},
        {"a fetch of an earlier session comes, and this one goes on", GOES_ON, 2},
        {"the member's bond is gone", DEPARTED, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct fake_world *const world = open_capped();
        for (uint32_t k = 0; k < 10; k++)
            request_fifty(world, 0, 9, 1 + k, 1 + 50 * (uint64_t)k);
        (void)fake_run(world, 20); /* The first is served at once. */
        assert_int_equal(seen.count, 1);
        if (cases[i].what == CANCELLED) cancel(world, 0, 9, 51, 300);
        if (cases[i].what == ENDED) {
            cancel(world, 0, 9, 1, UINT64_MAX);
            request_fifty(world, 0, 9, 11, 701);
        }
        if (cases[i].what == SUPERSEDED) {
            request_fifty(world, 0, 10, 1, 801);
            request_fifty(world, 0, 9, 11, 701); /* Late: that session is known to have ended. */
            request_fifty(world, 0, 10, 2, 851);
        }
        if (cases[i].what == GOES_ON) {
            request_fifty(world, 0, 8, 1, 801);
            request_fifty(world, 0, 9, 11, 701); /* By what is known here it may be late itself. */
            request_fifty(world, 0, 9, 12, 751);
        }
        world->members[1].bonded = cases[i].what != DEPARTED;
        (void)fake_run(world, 3000);
        assert_int_equal(seen.count, cases[i].answers);
        if (cases[i].what == CANCELLED) assert_int_equal(seen.first[1], 301);
        if (cases[i].what == SUPERSEDED) assert_int_equal(seen.first[1], 801);
        if (cases[i].what == GOES_ON) assert_int_equal(seen.first[1], 751);
        fake_close(world);
    }
}

/* A range that is asked for again while it waits keeps its place, and is sent once. */
static void a_request_that_is_repeated_is_answered_once(void **state)
{
    (void)state;
    struct fake_world *const world = open_capped();
    for (uint32_t k = 0; k < 10; k++)
        request_fifty(world, 0, 9, 1 + k, 1 + 50 * (uint64_t)k);
    (void)fake_run(world, 20);
    for (uint32_t k = 1; k < 10; k++)
        request_fifty(world, 0, 9, 11 + k, 1 + 50 * (uint64_t)k);
    (void)fake_run(world, 3000);
    assert_int_equal(seen.count, 10);
    assert_int_equal(seen.first[1], 51);
    fake_close(world);
}

/* A provider that is destroyed with reads and copies under way leaks nothing. */
static void destroying_it_in_the_middle_leaks_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.seed = seed;
        setup.entries = 6000;
        setup.payload_max = 400;
        struct fake_world *const world = open_provider(&setup);
        for (uint32_t i = 0; i < 30; i++)
            request_entries(world, 1, 5000, exact(world, 1, 5000));
        for (uint64_t i = 0; i < 40 + seed; i++) {
            if (!fake_do_due(world)) (void)fake_poll_due(world);
        }
        fake_close(world);
    }
}

/* Short of memory it refuses, or serves later, and serves on. */
static void failing_reservations_lose_no_request_for_ever(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        struct fake_setup setup = {FAKE_SETUP};
        struct fake_world *const world = open_provider(&setup);
        request_entries(world, 1, 1999, exact(world, 1, 1999));
        world->counting.fail_at = world->counting.calls + n;
        (void)fake_run(world, 200);
        const bool answered = seen.entries == 1999 || seen.refused[REPLAY_BUSY] == 1;
        assert_true(answered || world->counting.failures == 1); /* Lost in the network's memory. */
        world->counting.fail_at = 0;
        memset(&seen, 0, sizeof seen);
        request_entries(world, 1, 1999, exact(world, 1, 1999));
        (void)fake_run(world, 200);
        assert_int_equal(seen.entries, 1999);
        fake_close(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_serves_committed_entries_and_refuses_the_rest_by_name),
        cmocka_unit_test(a_range_over_many_blocks_is_one_answer),
        cmocka_unit_test(w30_w36d_one_member_cannot_flood_a_source),
        cmocka_unit_test(the_rate_cap_holds),
        cmocka_unit_test(members_take_turns),
        cmocka_unit_test(what_is_no_longer_wanted_is_not_served),
        cmocka_unit_test(a_request_that_is_repeated_is_answered_once),
        cmocka_unit_test(destroying_it_in_the_middle_leaks_nothing),
        cmocka_unit_test(failing_reservations_lose_no_request_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
