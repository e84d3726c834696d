/* Which member is asked: the leader last, new ones at once, resting ones not. */
#include "unit/sync/fake_runtime.h"

static struct fake_world *open_small(const struct fake_setup *given)
{
    struct fake_setup setup = *given;
    setup.options.batch_bytes = 4096;
    return fake_open(&setup);
}

/* C8: the leader serves only what no other live member holds. */
static void the_leader_serves_only_what_no_other_holds(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint64_t commits[2]; /* Of members 2 and 3. */
        uint64_t bases[2];
        uint64_t leader_entries_max;
    } cases[] = {
        {"both hold all", {2000, 2000}, {0, 0}, 0},
        {"one lags", {2000, 300}, {0, 0}, 0},
        {"both lag for good", {1500, 1200}, {0, 0}, 540},
        {"both have pruned the beginning", {2000, 2000}, {400, 700}, 440},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct fake_world *const world = open_small(&(struct fake_setup){FAKE_SETUP});
        for (uint32_t k = 0; k < 2; k++) {
            world->members[2 + k].commit = cases[i].commits[k];
            if (cases[i].bases[k] > 0) fake_prune(world, 2 + k, cases[i].bases[k]);
        }
        fake_begin(world);
        fake_expect_ready(world, 2000);
        assert_true(fake_source(world, 1)->entries <= cases[i].leader_entries_max);
        fake_close(world);
    }
}

/* Followers that learn of the commit a little later than the leader are waited for. */
static void followers_that_are_about_to_commit_spare_the_leader(void **state)
{
    (void)state;
    struct fake_world *const world = open_small(&(struct fake_setup){FAKE_SETUP});
    world->members[2].commit = 1900;
    world->members[3].commit = 1950;
    fake_begin(world);
    assert_false(fake_run(world, 150));
    world->members[2].commit = 2000;
    world->members[3].commit = 2000;
    fake_expect_ready(world, 2000);
    assert_int_equal(fake_source(world, 1)->bytes, 0);
    fake_close(world);
}

/* Each hopes that another, which is on its way up as slowly as itself, will soon have what is
 * missing: once in vain is enough. Each chunk used to wait for that. */
static void laggards_do_not_wait_for_each_other_again_and_again(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.window_bytes = 4096; /* Few chunks are planned ahead. */
    struct fake_world *const world = open_small(&setup);
    fake_begin(world);
    uint64_t waited_ms = 0;
    bool ready = false;
    for (; !ready && waited_ms < 30000; waited_ms += 5) {
        world->members[2].commit = fake_last(&world->members[0]).index;
        world->members[3].commit = fake_last(&world->members[0]).index;
        ready = fake_run(world, 5);
    }
    assert_true(ready);
    assert_true(waited_ms < 3000);
    fake_close(world);
}

static void alone_with_the_leader_it_serves_everything(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.members = 2;
    struct fake_world *const world = open_small(&setup);
    fake_begin(world);
    fake_expect_ready(world, 2000);
    assert_int_equal(fake_source(world, 1)->entries, 2000);
    assert_true(world->now_ms - 1000 < 300);
    fake_close(world);
}

/* Bonds that form one by one while the session begins: the leader, bonded first, is not hurried. */
static void members_that_bond_a_moment_later_still_spare_the_leader(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    struct fake_world *const world = open_small(&setup);
    world->members[2].bonded = false;
    world->members[3].bonded = false;
    fake_begin(world);
    assert_false(fake_run(world, 15));
    world->members[2].bonded = true;
    world->members[3].bonded = true;
    fake_expect_ready(world, 2000);
    assert_int_equal(fake_source(world, 1)->bytes, 0);
    fake_close(world);
}

/* Each member gets its share: three equal sources of limited rate are about three times as fast as
 * one. */
static void three_capped_sources_are_about_three_times_as_fast(void **state)
{
    (void)state;
    uint64_t took_ms[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct fake_setup setup = {FAKE_SETUP};
        setup.members = i == 0 ? 3 : 5;
        setup.entries = 6000;
        setup.payload_min = 400;
        setup.payload_max = 400;
        setup.options.batch_bytes = 8192;
        struct fake_world *const world = fake_open(&setup);
        for (uint32_t m = 1; m < setup.members; m++)
            world->members[m].bytes_per_ms = 2000;
        fake_begin(world);
        fake_expect_ready(world, 6000);
        took_ms[i] = world->now_ms - 1000;
        assert_int_equal(fake_source(world, 1)->bytes, 0);
        fake_close(world);
    }
    print_message("  one %lu ms, three %lu ms\n", (unsigned long)took_ms[0],
                  (unsigned long)took_ms[1]);
    assert_true(took_ms[0] * 10 > took_ms[1] * 25);
}

/* C10: the progress names what was given by whom, and what it waits for. */
static void progress_names_sources_and_what_is_left(void **state)
{
    (void)state;
    struct fake_setup setup = {FAKE_SETUP};
    setup.options.window_bytes = 8192;
    struct fake_world *const world = open_small(&setup);
    for (uint32_t m = 1; m < 4; m++)
        world->members[m].latency_ms = 20;
    fake_begin(world);
    assert_false(fake_run(world, 300));
    const struct mortar_sync_progress *const progress = &world->progress;
    assert_true(progress->entries_done > 0);
    assert_int_equal(progress->entries_done + progress->entries_left, 2000);
    assert_int_equal(progress->bytes_done + progress->bytes_left, world->offsets[2001]);
    assert_int_equal(fake_source(world, 2)->entries + fake_source(world, 3)->entries,
                     progress->entries_done);
    assert_true(fake_source(world, 2)->latency_us >= 40000);
    assert_string_equal(progress->waits_for, "");
    for (uint32_t m = 2; m < 4; m++)
        world->members[m].bonded = false;
    world->members[1].alive = false;
    assert_false(fake_run(world, 700));
    assert_true(strlen(world->progress.waits_for) > 0);
    world->members[1].alive = true;
    fake_expect_ready(world, 2000);
    fake_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_leader_serves_only_what_no_other_holds),
        cmocka_unit_test(followers_that_are_about_to_commit_spare_the_leader),
        cmocka_unit_test(laggards_do_not_wait_for_each_other_again_and_again),
        cmocka_unit_test(alone_with_the_leader_it_serves_everything),
        cmocka_unit_test(members_that_bond_a_moment_later_still_spare_the_leader),
        cmocka_unit_test(three_capped_sources_are_about_three_times_as_fast),
        cmocka_unit_test(progress_names_sources_and_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
