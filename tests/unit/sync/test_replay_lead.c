/* What the leader is asked: where logs agree, the plan; and what lies below its base. */
#include "unit/sync/fake_runtime.h"

static struct fake_world *open_small(const struct fake_setup *given)
{
    struct fake_setup setup = *given;
    setup.options.batch_bytes = 4096;
    return fake_open(&setup);
}

/* C3: the search converges on the last common entry wherever that is, in few rounds. */
static bool count_rounds(struct fake_world *world, struct fake_message *message)
{
    if (fake_type(message) == REPLAY_MATCH_REQUEST) world->tampered++;
    return true;
}

static void the_last_common_entry_is_found_wherever_it_is(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(7);
    for (uint32_t i = 0; i < 40; i++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.seed = i;
        setup.entries = 6000;
        setup.lag_at = prng_below(&prng, 500);
        const uint64_t common = prng_between(&prng, setup.lag_at, 5800);
        struct fake_world *const world = open_small(&setup);
        fake_fill(world, 0, common);
        fake_diverge(world, 0, 14, 1 + (uint32_t)prng_below(&prng, 3000));
        world->tamper = count_rounds;
        fake_begin(world);
        fake_expect_ready(world, 6000);
        assert_int_equal(world->cut_from, common + 1);
        assert_true(world->tampered >= 1 && world->tampered <= 3); /* 64^3 is enough. */
        fake_close(world);
    }
}

/* Nonsense from the leader is asked again with back-off, and never believed. */
static bool agree_everywhere(struct fake_world *world, struct fake_message *message)
{
    if (fake_type(message) != REPLAY_MATCH) return true;
    world->tampered++;
    mortar_buffer_data(message->buffer)[78] ^= 0x20; /* `agreed`: an index not asked about. */
    return world->tampered < 20;
}

static void a_forged_match_is_not_believed(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 100};
    setup.options.give_up_ms = 4000;
    struct fake_world *const world = open_small(&setup);
    fake_diverge(world, 0, 3, 900);
    world->tamper = agree_everywhere;
    fake_begin(world);
    assert_true(fake_run(world, 6000));
    assert_int_equal(world->outcome, MORTAR_SYNC_FAILED);
    assert_int_equal(world->reason, MORTAR_E_STALLED);
    assert_int_equal(fake_last(&world->members[0]).index, 1000); /* Nothing was cut. */
    assert_true(world->tampered < 40);
    fake_close(world);
}

/* Below the leader's base another member gives plan and entries, and nothing is kept before the
 * whole closes on the leader's base. */
static void ranges_below_the_leaders_base_close_on_it(void **state)
{
    (void)state;
    static const struct {
        uint64_t lag_at;
        uint64_t extended;
        uint32_t conflicts;
        uint64_t base;
    } cases[] = {{0, 0, 0, 900},      {500, 500, 0, 900},   {100, 400, 0, 900},
                 {100, 400, 80, 900}, {100, 400, 700, 900}, {300, 300, 900, 301}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_setup setup = {FAKE_SETUP, .lag_at = cases[i].lag_at};
        struct fake_world *const world = open_small(&setup);
        fake_fill(world, 0, cases[i].extended);
        if (cases[i].conflicts > 0) fake_diverge(world, 0, 3, cases[i].conflicts);
        fake_prune(world, 1, cases[i].base);
        fake_prune(world, 3, 1000);
        for (uint32_t m = 1; m < 4; m++)
            world->members[m].latency_ms = 3;
        world->check_repeats = false; /* What had not closed may be asked for again. */
        fake_begin(world);
        while (!fake_run(world, 1)) {
            const uint64_t commit = world->members[0].commit;
            assert_true(commit <= cases[i].extended || commit >= cases[i].base ||
                        world->appends > 0);
        }
        fake_expect_ready(world, 2000);
        fake_close(world);
    }
}

/* The source of such a range lies, in its plan or in its data: it is dropped, another serves. */
static bool lie_in_plan(struct fake_world *world, struct fake_message *message)
{
    const bool plan = message->from == 2 && fake_type(message) == REPLAY_PLAN;
    if (plan) mortar_buffer_data(message->buffer)[message->bytes - 8] ^= 1;
    if (plan) world->tampered++;
    return true;
}

static bool lie_in_data(struct fake_world *world, struct fake_message *message)
{
    const bool data = message->from == 2 && fake_type(message) == REPLAY_ENTRIES;
    if (data) mortar_buffer_data(message->buffer)[message->bytes - 8] ^= 1;
    if (data) world->tampered++;
    return true;
}

static void a_lie_below_the_leaders_base_is_found_before_anything_is_kept(void **state)
{
    (void)state;
    fake_tamper *const tampers[] = {lie_in_plan, lie_in_data};
    for (size_t i = 0; i < 2; i++) {
        struct fake_setup setup = {FAKE_SETUP, .lag_at = 200};
        struct fake_world *const world = open_small(&setup);
        fake_prune(world, 1, 700);
        world->tamper = tampers[i];
        world->check_repeats = false;
        fake_begin(world);
        fake_expect_ready(world, 2000);
        assert_true(world->tampered > 0);
        assert_false(fake_source(world, 3)->dropped);
        assert_true(fake_source(world, 2)->dropped);
        if (i == 0) assert_int_equal(world->members[2].fetches, 0);
        fake_close(world);
    }
}

/* What cannot be held until it closes is refused by name, and nothing was kept. */
static void more_below_the_base_than_the_window_fails_as_unverified(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 200};
    setup.options.window_bytes = 40000;
    struct fake_world *const world = open_small(&setup);
    fake_prune(world, 1, 1700);
    world->check_repeats = false;
    fake_begin(world);
    assert_true(fake_run(world, 3000));
    assert_int_equal(world->outcome, MORTAR_SYNC_FAILED);
    assert_int_equal(world->reason, MORTAR_E_UNVERIFIED);
    assert_int_equal(world->members[0].commit, 200);
    fake_close(world);
}

/* Nobody holds it: waits, says for what, and ends. */
static void what_nobody_holds_any_more_ends_as_stalled(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP, .lag_at = 200};
    setup.options.give_up_ms = 4000;
    struct fake_world *const world = open_small(&setup);
    for (uint32_t m = 1; m < 4; m++)
        fake_prune(world, m, 700);
    fake_begin(world);
    assert_false(fake_run(world, 1000));
    assert_string_equal(world->progress.waits_for,
                        "a member that holds what the leader has pruned");
    assert_true(fake_run(world, 4000));
    assert_int_equal(world->reason, MORTAR_E_STALLED);
    fake_close(world);
}

/* A leader that has pruned while the plan is under way: what is planned is fetched from others. */
static void a_leader_that_prunes_meanwhile_does_not_break_the_plan(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.source_window_bytes = 4096;
    struct fake_world *const world = open_small(&setup);
    for (uint32_t m = 1; m < 4; m++)
        world->members[m].latency_ms = 5;
    fake_begin(world);
    assert_false(fake_run(world, 50));
    fake_prune(world, 1, 1999);
    fake_expect_ready(world, 2000);
    fake_close(world);
}

/* An answer to a request from before the plan was cut is no conflict. Method: the target moves back
 * while the second plan is under way. */
static bool delay_second_plan(struct fake_world *world, struct fake_message *message)
{
    if (fake_type(message) != REPLAY_PLAN) return true;
    world->tampered++;
    if (world->tampered == 2) message->deliver_ms += 300;
    return true;
}

static void an_answer_from_before_the_plan_was_cut_is_asked_again(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.window_bytes = 8192;
    struct fake_world *const world = open_small(&setup);
    for (uint32_t m = 1; m < 4; m++)
        world->members[m].latency_ms = 10;
    world->tail_open = true;
    world->tail_base = world->points[1000];
    world->tamper = delay_second_plan;
    fake_begin(world);
    assert_false(fake_run(world, 60));
    world->tail_base = world->points[1900]; /* The plan is extended from 1000 ... */
    assert_false(fake_run(world, 30));
    assert_int_equal(world->tampered, 2);
    world->tail_base = world->points[901]; /* ... and cut to before that. */
    assert_false(fake_run(world, 20));
    world->tail_base = world->points[1950];
    fake_expect_ready(world, 1950);
    fake_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_common_entry_is_found_wherever_it_is),
        cmocka_unit_test(a_forged_match_is_not_believed),
        cmocka_unit_test(ranges_below_the_leaders_base_close_on_it),
        cmocka_unit_test(a_lie_below_the_leaders_base_is_found_before_anything_is_kept),
        cmocka_unit_test(more_below_the_base_than_the_window_fails_as_unverified),
        cmocka_unit_test(what_nobody_holds_any_more_ends_as_stalled),
        cmocka_unit_test(a_leader_that_prunes_meanwhile_does_not_break_the_plan),
        cmocka_unit_test(an_answer_from_before_the_plan_was_cut_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
