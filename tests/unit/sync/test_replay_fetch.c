/* Sources that lie, repeat themselves, come late, or not at all: what arrives is verified, what is
 * wrong is dropped, and the rest comes from elsewhere. */
#include "unit/sync/fake_runtime.h"

static struct fake_world *open_small(const struct fake_setup *given)
{
    struct fake_setup setup = *given;
    setup.options.batch_bytes = 4096;
    struct fake_world *const world = fake_open(&setup);
    world->liar = 2;
    return world;
}

static bool is_lie(struct fake_world *world, const struct fake_message *message)
{
    return message->from == world->liar && fake_type(message) == REPLAY_ENTRIES;
}

static uint8_t *data_of(const struct fake_message *message)
{
    return mortar_buffer_data(message->buffer);
}

static void add_u64(uint8_t *at, int64_t change)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    value += (uint64_t)change;
    memcpy(at, &value, sizeof value);
}

/* Where fields of ENTRIES lie: id 1, first 5, last 13, count 21, run 25. */
static bool flip_payload(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) data_of(message)[message->bytes - 9] ^= 4;
    return true;
}

static bool flip_sum(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) data_of(message)[REPLAY_ENTRIES_BYTES + 3] ^= 1;
    return true;
}

static bool raise_term(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) data_of(message)[REPLAY_ENTRIES_BYTES + 24] += 1;
    return true;
}

static bool claim_more_entries(struct fake_world *world, struct fake_message *message)
{
    if (!is_lie(world, message)) return true;
    add_u64(data_of(message) + 13, 1);
    data_of(message)[21]++;
    return true;
}

static bool claim_fewer_entries(struct fake_world *world, struct fake_message *message)
{
    if (!is_lie(world, message)) return true;
    add_u64(data_of(message) + 13, -1);
    data_of(message)[21]--;
    return true;
}

static bool contradict_count(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) data_of(message)[21]++;
    return true;
}

static bool shift_range(struct fake_world *world, struct fake_message *message)
{
    if (!is_lie(world, message)) return true;
    add_u64(data_of(message) + 5, 1);
    add_u64(data_of(message) + 13, 1);
    return true;
}

static bool cut_short(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) message->bytes -= 100;
    return true;
}

static bool send_nothing(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) message->bytes = REPLAY_ENTRIES_BYTES;
    return true;
}

static bool answer_what_was_not_asked(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) data_of(message)[3] = 0x7f; /* An id that was never given out. */
    return true;
}

static bool zero_range(struct fake_world *world, struct fake_message *message)
{
    if (!is_lie(world, message)) return true;
    memset(data_of(message) + 5, 0, 20);
    message->bytes = REPLAY_ENTRIES_BYTES;
    return true;
}

/* W-6, W-16, and the lying half of W-10 to W-12: data that is wrong in any way costs its source the
 * session, is named in the progress, and comes from another. */
static void w6_w16_wrong_data_drops_its_source_and_no_other(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        fake_tamper *tamper;
    } cases[] = {
        {"W-6: a bit of a payload", flip_payload},
        {"W-6: a bit of a log sum", flip_sum},
        {"W-6: another term", raise_term},
        {"W-16: more entries than there are", claim_more_entries},
        {"W-16: fewer entries than there are", claim_fewer_entries},
        {"W-16: count and range disagree", contradict_count},
        {"W-12: a range that overlaps the next", shift_range},
        {"W-12e: a run cut short", cut_short},
        {"W-11: no entries", send_nothing},
        {"W-11: the range 0..0", zero_range},
        {"an answer to no request", answer_what_was_not_asked},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct fake_world *const world = open_small(&(struct fake_setup){FAKE_SETUP});
        world->tamper = cases[i].tamper;
        fake_begin(world);
        fake_expect_ready(world, 2000);
        for (uint32_t m = 1; m < 4; m++) {
            assert_int_equal(fake_source(world, m)->dropped, m == world->liar);
        }
        assert_int_equal(fake_source(world, world->liar)->bytes, 0);
        assert_true(world->progress.bytes_discarded > 0);
        assert_true(world->members[2].fetches <= 4); /* Asked no more once it was found out. */
        fake_close(world);
    }
}

/* When all others lie the leader serves; when it lies too the session ends by itself. */
static bool all_but_leader_lie(struct fake_world *world, struct fake_message *message)
{
    (void)world;
    if (message->from > 1 && fake_type(message) == REPLAY_ENTRIES) data_of(message)[90] ^= 1;
    return true;
}

static bool all_lie(struct fake_world *world, struct fake_message *message)
{
    (void)world;
    if (fake_type(message) == REPLAY_ENTRIES) data_of(message)[90] ^= 1;
    return true;
}

static void the_leader_serves_when_all_others_lie(void **state)
{
    (void)state;
    struct fake_world *world = open_small(&(struct fake_setup){FAKE_SETUP});
    world->tamper = all_but_leader_lie;
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_true(fake_source(world, 1)->entries == 2000);
    assert_true(fake_source(world, 1)->is_leader);
    fake_close(world);

    struct fake_setup setup = {FAKE_SETUP};
    setup.options.give_up_ms = 5000;
    world = open_small(&setup);
    world->tamper = all_lie;
    fake_begin(world);
    assert_true(fake_run(world, 6000));
    assert_int_equal(world->outcome, MORTAR_SYNC_FAILED);
    assert_int_equal(world->reason, MORTAR_E_STALLED);
    assert_int_equal(world->members[0].commit, 0);
    fake_close(world);
}

/* W-10: every answer comes twice, or later than the time-out, so that its range was given to
 * another and arrives from both. Nothing jams, nobody is dropped, what is of no use is counted. */
static bool twice(struct fake_world *world, struct fake_message *message)
{
    if (fake_type(message) != REPLAY_ENTRIES) return true;
    struct fake_message again = fake_copy(world, message);
    again.deliver_ms += 3;
    fake_inject(world, again);
    return true;
}

static bool late(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) message->deliver_ms += 700;
    return true;
}

static void w10_late_and_repeated_answers_are_counted_and_harm_nothing(void **state)
{
    (void)state;
    fake_tamper *const tampers[] = {twice, late};
    for (size_t i = 0; i < 2; i++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.options.fetch_timeout_ms = 400;
        setup.options.window_bytes = 30000;
        struct fake_world *const world = open_small(&setup);
        for (uint32_t m = 1; m < 4; m++)
            world->members[m].latency_ms = 40;
        world->tamper = tampers[i];
        fake_begin(world);
        fake_expect_ready(world, 2000);
        for (uint32_t m = 1; m < 4; m++)
            assert_false(fake_source(world, m)->dropped);
        assert_true(world->progress.bytes_discarded > 0);
        fake_close(world);
    }
}

/* An answer that comes after its time-out and before any other is used: a link slower than the
 * time-out still delivers. */
static void a_single_source_slower_than_the_timeout_still_delivers(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.members = 2;
    setup.entries = 300;
    setup.options.fetch_timeout_ms = 100;
    struct fake_world *const world = open_small(&setup);
    world->members[1].latency_ms = 170;
    fake_begin(world);
    fake_expect_ready(world, 300);
    print_message("  %lu fetches\n", (unsigned long)world->fetches);
    assert_true(world->fetches <= 13); /* For 11 ranges: late answers count, and teach. */
    fake_close(world);
}

/* W-11, W-12e: a source that says it holds all and then refuses is not asked in a loop. */
static bool refuse_all(struct fake_world *world, struct fake_message *message)
{
    const bool refuses = world->now_ms < 5000 && fake_type(message) == REPLAY_ENTRIES;
    if (!refuses) return true;
    uint8_t bytes[REPLAY_REFUSED_BYTES];
    uint32_t id;
    memcpy(&id, data_of(message) + 1, sizeof id);
    struct writer out = writer_over(bytes, sizeof bytes);
    replay_refused_encode(&(struct replay_refused){id, (enum replay_refusal)(1 + id % 4)}, &out);
    memcpy(data_of(message), bytes, sizeof bytes);
    message->bytes = sizeof bytes;
    message->lane = MORTAR_LANE_CONTROL;
    return true;
}

static void w11_w12e_sources_that_always_refuse_are_backed_off_from(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    struct fake_world *const world = open_small(&setup);
    world->tamper = refuse_all;
    fake_begin(world);
    assert_false(fake_run(world, 3900)); /* Each answers within 2 ms. */
    for (uint32_t m = 1; m < 4; m++)
        assert_in_range(world->members[m].fetches, 1, 60);
    assert_int_equal(world->members[0].commit, 0);
    fake_expect_ready(world, 2000); /* They have changed their mind. */
    for (uint32_t m = 1; m < 4; m++)
        assert_false(fake_source(world, m)->dropped);
    fake_close(world);
}

/* What a departed member was asked for is asked from another at once, not after a time-out. */
static void ranges_of_a_departed_member_are_free_at_once(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.members = 3;
    struct fake_world *const world = open_small(&setup);
    for (uint32_t m = 1; m < 3; m++)
        world->members[m].latency_ms = 10;
    fake_begin(world);
    assert_false(fake_run(world, 50));
    assert_true(world->members[2].fetches > 0);
    world->members[2].bonded = false;
    fake_expect_ready(world, 2000); /* From the leader, who is the only one left. */
    assert_true(world->now_ms - 1000 < 250);
    fake_close(world);
}

/* W-12: members hold different parts, and one of them goes away in the middle. */
static void w12_unequal_ranges_and_a_departure_leave_no_hole(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.members = 6;
        setup.seed = seed;
        struct fake_world *const world = open_small(&setup);
        world->members[2].commit = 500 + 31 * seed;
        world->members[3].commit = 1100;
        fake_prune(world, 4, 400 + 17 * seed);
        fake_prune(world, 5, 900);
        for (uint32_t m = 1; m < 6; m++)
            world->members[m].latency_ms = 10;
        fake_begin(world);
        assert_false(fake_run(world, 35 + seed));
        world->members[2 + seed % 4].bonded = false;
        fake_expect_ready(world, 2000);
        assert_int_equal(world->progress.bytes_discarded, 0);
        fake_close(world);
    }
}

/* W-36b: several requests are under way to one source, and one slow source does not hold the rest
 * up. Method: 20 ms away, 8 KiB per request in lockstep would take 1.4 s and more. */
static void w36b_requests_are_pipelined_and_a_slow_source_is_passed_by(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.entries = 5000;
    struct fake_world *const world = open_small(&setup);
    for (uint32_t m = 1; m < 4; m++)
        world->members[m].latency_ms = 10;
    world->members[3].latency_ms = 300;
    fake_begin(world);
    fake_expect_ready(world, 5000);
    assert_true(world->now_ms - 1000 < 1400);
    assert_true(fake_source(world, 2)->bytes > 4 * fake_source(world, 3)->bytes);
    assert_true(fake_source(world, 2)->window_bytes > 8 * 4096);
    fake_close(world);
}

/* W-36i: a request that is lost is asked for elsewhere well within a second. */
static bool lose_first_fetches(struct fake_world *world, struct fake_message *message)
{
    if (fake_type(message) != REPLAY_FETCH || world->tampered >= 4) return true;
    world->tampered++;
    return false;
}

static void w36i_lost_requests_are_made_good_within_a_second_or_so(void **state)
{
    (void)state;
    struct fake_world *const world = open_small(&(struct fake_setup){FAKE_SETUP});
    world->tamper = lose_first_fetches;
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_int_equal(world->tampered, 4);
    assert_true(world->now_ms - 1000 < 900);
    fake_close(world);
}

/* A source that dies with requests in flight: they go elsewhere; one that bonds later helps. */
static void dead_sources_are_replaced_and_new_ones_used_at_once(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.members = 5;
    struct fake_world *const world = open_small(&setup);
    for (uint32_t m = 1; m < 5; m++)
        world->members[m].latency_ms = 8;
    world->members[4].bonded = false;
    fake_begin(world);
    assert_false(fake_run(world, 60));
    world->members[2].alive = false;
    world->members[4].bonded = true;
    fake_expect_ready(world, 2000);
    assert_true(fake_source(world, 4)->bytes > 0);
    assert_int_equal(fake_source(world, 1)->bytes, 0);
    fake_close(world);
}

/* W-34: ranges are cut by bytes: large values make no large messages, small ones no small ones. */
static bool measure(struct fake_world *world, struct fake_message *message)
{
    if (fake_type(message) != REPLAY_ENTRIES) return true;
    if (message->bytes > world->tampered) world->tampered = message->bytes;
    return true;
}

static void w34_batches_are_cut_by_bytes(void **state)
{
    (void)state;
    static const struct {
        uint64_t entries;
        size_t payload_min;
        size_t payload_max;
        size_t largest; /* Message, about. */
    } cases[] = {{4000, 1, 8, 65536}, {200, 20000, 60000, 65536}, {20, 200000, 300000, 300000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.entries = cases[i].entries;
        setup.payload_min = cases[i].payload_min;
        setup.payload_max = cases[i].payload_max;
        setup.options.batch_bytes = 65536;
        struct fake_world *const world = fake_open(&setup);
        world->tamper = measure;
        fake_begin(world);
        fake_expect_ready(world, cases[i].entries);
        assert_true(world->tampered <= cases[i].largest + 100);
        assert_true(world->tampered >= cases[i].largest / 2);
        assert_true(world->progress.bytes_held_max <= setup.options.window_bytes);
        fake_close(world);
    }
}

/* C9: a link so slow that the whole takes much longer than any time-out is asked for little at a
 * time, and the session converges at the link's pace. */
static void w36_requests_fit_what_a_slow_link_delivers(void **state)
{
    (void)state;
    static const uint64_t rates[] = {20, 50, 200}; /* Bytes in a millisecond. */
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.members = 2;
        setup.options.fetch_timeout_ms = 200;
        setup.options.stall_ms = 300;
        setup.options.give_up_ms = 4000;
        struct fake_world *const world = fake_open(&setup);
        world->members[1].bytes_per_ms = rates[i];
        fake_begin(world);
        fake_expect_ready(world, 2000);
        const uint64_t ideal_ms = world->offsets[2001] / rates[i];
        const uint64_t took_ms = world->now_ms - 1000;
        print_message("  %lu kB/s: %lu ms, at best %lu; %lu bytes in vain\n",
                      (unsigned long)rates[i], (unsigned long)took_ms, (unsigned long)ideal_ms,
                      (unsigned long)world->progress.bytes_discarded);
        assert_true(took_ms <= ideal_ms * 3 / 2);
        fake_close(world);
    }
}

/* And a fast link carries full batches, whatever it began with. */
static void fast_links_carry_full_batches(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.entries = 6000;
    setup.payload_min = 3000;
    setup.payload_max = 3000;
    struct fake_world *const world = fake_open(&setup);
    world->tamper = measure;
    fake_begin(world);
    fake_expect_ready(world, 6000);
    assert_true(world->tampered > setup.options.batch_bytes * 9 / 10);
    assert_true(world->fetches < 80); /* 18 MB: 32 small requests, 16 large ones and a few more. */
    fake_close(world);
}

/* A second source answered first, or the session is over: the first is told. */
static bool watch_cancels(struct fake_world *world, struct fake_message *message)
{
    if (is_lie(world, message)) message->deliver_ms += 900;
    if (fake_type(message) != REPLAY_CANCEL) return true;
    struct replay_cancel cancel;
    const struct mortar_bytes bytes = {data_of(message), message->bytes};
    assert_int_equal(replay_cancel_decode(bytes, &cancel), MORTAR_OK);
    world->tampered += cancel.last == UINT64_MAX ? 1000 : 1;
    return true;
}

static void sources_are_told_what_is_wanted_no_more(void **state)
{
    (void)state;
    struct fake_world *const world = open_small(&(struct fake_setup){FAKE_SETUP});
    world->tamper = watch_cancels;
    fake_begin(world);
    assert_false(fake_run(world, 20));
    fake_end(world);
    assert_true(world->tampered >= 1000); /* What it owed is called off with the session. */
    world->tampered = 0;
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_in_range(world->tampered, 1, 999);
    fake_close(world);
}

/* Each step of a session is in the trace. */
static void the_trace_tells_phases_sources_chunks_refusals_and_stalls(void **state)
{
    (void)state;
    struct fake_world *const world = open_small(&(struct fake_setup){FAKE_SETUP});
    world->tamper = refuse_all;
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_int_equal(world->traced[MORTAR_TRACE_SYNC_PHASE], 3); /* Plan, fetch, done. */
    assert_true(world->traced[MORTAR_TRACE_SYNC_SOURCE] >= 3);
    assert_in_range(world->traced[MORTAR_TRACE_SYNC_CHUNK], 60, world->appends);
    assert_int_equal(world->traced[MORTAR_TRACE_SYNC_CHUNK], world->appends);
    assert_true(world->traced[MORTAR_TRACE_SYNC_REFUSED] > 0);
    assert_true(world->traced[MORTAR_TRACE_SYNC_STALL] > 0);
    fake_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(w6_w16_wrong_data_drops_its_source_and_no_other),
        cmocka_unit_test(the_leader_serves_when_all_others_lie),
        cmocka_unit_test(w10_late_and_repeated_answers_are_counted_and_harm_nothing),
        cmocka_unit_test(a_single_source_slower_than_the_timeout_still_delivers),
        cmocka_unit_test(w11_w12e_sources_that_always_refuse_are_backed_off_from),
        cmocka_unit_test(ranges_of_a_departed_member_are_free_at_once),
        cmocka_unit_test(w12_unequal_ranges_and_a_departure_leave_no_hole),
        cmocka_unit_test(w36b_requests_are_pipelined_and_a_slow_source_is_passed_by),
        cmocka_unit_test(w36i_lost_requests_are_made_good_within_a_second_or_so),
        cmocka_unit_test(dead_sources_are_replaced_and_new_ones_used_at_once),
        cmocka_unit_test(w34_batches_are_cut_by_bytes),
        cmocka_unit_test(w36_requests_fit_what_a_slow_link_delivers),
        cmocka_unit_test(fast_links_carry_full_batches),
        cmocka_unit_test(sources_are_told_what_is_wanted_no_more),
        cmocka_unit_test(the_trace_tells_phases_sources_chunks_refusals_and_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
