/* sim/test_versions.c - groups of two builds, the newer of which speaks the synthetic next wire
 * version. What each may say to whom is judged with every frame (sim/versions.h). */
#include "group/echo.h"
#include "sim/versions.h"
#include "sim/world.h"
#include "unit/test.h"
#include "wire/frame.h"

enum { A, B, C, D };

#define ENTRIES 2000u
#define BYTES   200u

static void expect_held(struct sim *sim)
{
    struct verdict verdict;
    if (!sim_failed(sim)) judge_history_end(&sim->judges);
    sim_close(sim, &verdict);
    if (verdict.failed) print_message("judge %s: %s\n", verdict.judge, verdict.text);
    assert_false(verdict.failed);
}

static struct sim_options options_of(uint64_t seed)
{
    struct sim_options options = sim_options_quiet(seed);
    options.replica.core.target_voters = 3;
    options.replica.core.resend_bytes = 20000;
    options.replica.replay.batch_bytes = 16384;
    options.replica.wire_version_max = WIRE_VERSION_MIN;
    return options;
}

static uint64_t answered(struct sim *sim, uint32_t self, uint32_t other)
{
    const struct echo_counts *counts =
        echo_counts_of(sim->replicas[self]->core, &sim->replicas[other]->id);
    return counts == NULL ? 0 : counts->answered;
}

/* Stops a member and starts it as another build, over the same disk. */
static void change_build(struct sim *sim, uint32_t replica, uint16_t version)
{
    sim_crash(sim, replica, VIRTUAL_LOG_LOSE_SOME);
    SIM_EXPECT(sim, sim_run_ms(sim, 500));
    sim->replicas[replica]->options.wire_version_max = version;
    sim_restart(sim, replica);
    SIM_EXPECT(sim, sim_run_until(sim, sim_has_leader, 10000));
    SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), 100, BYTES));
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 30000));
    SIM_EXPECT(sim, sim_run_until(sim, versions_work, 5000));
}

static void a_group_is_upgraded_member_by_member_and_rolled_back(void **state)
{
    (void)state;
    const struct sim_options options = options_of(1);
    struct sim *sim = sim_open(&options);
    SIM_EXPECT(sim, sim_grow(sim, 3));
    SIM_EXPECT(sim, answered(sim, A, B) == 0);
    change_build(sim, A, WIRE_VERSION_NEXT);
    SIM_EXPECT(sim, answered(sim, A, B) == 0 && answered(sim, B, A) == 0);
    change_build(sim, B, WIRE_VERSION_NEXT);
    SIM_EXPECT(sim, answered(sim, A, B) > 0 && answered(sim, B, A) > 0);
    SIM_EXPECT(sim, answered(sim, B, C) == 0 && answered(sim, C, B) == 0);
    change_build(sim, C, WIRE_VERSION_NEXT);
    SIM_EXPECT(sim, answered(sim, C, A) > 0 && answered(sim, B, C) > 0);
    change_build(sim, B, WIRE_VERSION_MIN);
    SIM_EXPECT(sim, answered(sim, A, B) == 0 && answered(sim, C, B) == 0);
    SIM_EXPECT(sim, answered(sim, A, C) > 0);
    SIM_EXPECT(sim, sim->faults[SIM_FAULT_MIXED_VERSIONS] > 0);
    expect_held(sim);
}

/* Whichever of source and target is the older build: a message of a method is the same in both. */
static void a_session_crosses_builds(void **state)
{
    (void)state;
    for (uint16_t laggard = WIRE_VERSION_MIN; laggard <= WIRE_VERSION_NEXT; laggard++) {
        struct sim_options options = options_of(laggard);
        struct sim *sim = sim_open(&options);
        for (uint32_t i = 0; i < 4; i++) {
            /* C and D are of one build, A and B of the other: D has sources of both. */
            const bool as_laggard = i == C || i == D;
            options.replica.wire_version_max =
                as_laggard ? laggard : (uint16_t)(WIRE_VERSION_MIN + WIRE_VERSION_NEXT - laggard);
            sim_add(sim, &options.replica);
        }
        SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
        sim_isolate(sim, D);
        SIM_EXPECT(sim, sim_run_ms(sim, 500));
        SIM_EXPECT(sim, sim_fill(sim, sim_leader(sim), ENTRIES, BYTES));
        sim_rejoin(sim, D);
        SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_syncing, D, 5000));
        SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 60000));
        SIM_EXPECT(sim, sim_run_until(sim, versions_work, 5000));
        struct mortar_core_status status;
        sim_status(sim, D, &status);
        uint64_t of_others = 0;
        for (uint32_t i = 0; i < status.sync.progress.source_count; i++) {
            const struct mortar_sync_source_progress *source = &status.sync.progress.sources[i];
            const struct replica *const c = sim->replicas[C];
            if (!mortar_member_id_equal(&source->member, &c->id)) of_others += source->bytes;
        }
        SIM_EXPECT(sim, of_others > 0);
        expect_held(sim);
    }
}

/* The judge itself: a frame of the new version on its way to an old build. */
static void a_frame_above_its_receiver_is_judged(void **state)
{
    (void)state;
    for (uint16_t version = WIRE_VERSION_MIN; version <= WIRE_VERSION_NEXT; version++) {
        struct sim_options options = options_of(4);
        options.replica.wire_version_max = version;
        struct sim *sim = sim_open(&options);
        SIM_EXPECT(sim, sim_grow(sim, 2));
        assert_false(sim_failed(sim));
        uint8_t frame[FRAME_HEADER_BYTES];
        frame_seal(frame, WIRE_VERSION_NEXT, MORTAR_LANE_CONTROL, 1, 0, 0);
        versions_check_frame(sim, sim->replicas[A], sim->replicas[B],
                             (struct mortar_bytes){frame, sizeof frame});
        assert_int_equal(sim_failed(sim), version < WIRE_VERSION_NEXT);
        if (sim_failed(sim)) assert_string_equal(sim->verdict.judge, "versions");
        sim_close(sim, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_upgraded_member_by_member_and_rolled_back),
        cmocka_unit_test(a_session_crosses_builds),
        cmocka_unit_test(a_frame_above_its_receiver_is_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
