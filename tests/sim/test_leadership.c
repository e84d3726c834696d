/* sim/test_leadership.c - who leads, when links are bad on one side, and when a leader hands over
 * (thesis 3.10), as stories in a virtual world (sim/world.h). As in test_scenarios.c, the judges
 * look at all else.
 */
#include "sim/world.h"
#include "unit/test.h"

enum { A, B, C };

/* Longer than two election timeouts, and than it takes both ends to notice a broken link. */
#define LONG_MS 4000u

static struct sim *three(uint64_t seed)
{
    const struct sim_options options = sim_options_quiet(seed);
    struct sim *sim = sim_open(&options);
    SIM_EXPECT(sim, sim_grow(sim, 3));
    SIM_EXPECT(sim, sim_elect(sim, A));
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, LONG_MS));
    return sim;
}

static void line_to_stdout(void *context, const char *text)
{
    (void)context;
    print_message("%s\n", text);
}

static void finish(struct sim *sim)
{
    sim_heal(sim);
    SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 20000));
    if (sim_failed(sim)) story_last(sim, line_to_stdout, NULL);
    struct verdict verdict;
    if (!sim_failed(sim)) judge_history_end(&sim->judges);
    sim_close(sim, &verdict);
    if (verdict.failed) print_message("judge %s: %s\n", verdict.judge, verdict.text);
    assert_false(verdict.failed);
}

static uint64_t term_of(struct sim *sim, uint32_t replica)
{
    struct mortar_core_status status;
    sim_status(sim, replica, &status);
    return status.term;
}

static void hears(struct sim *sim, uint32_t replica, uint32_t other, bool does)
{
    network_cut(sim->network, sim->replicas[other], sim->replicas[replica], !does);
}

/* A led `term`, and leads it still. */
static void still_leads(struct sim *sim, uint64_t term)
{
    SIM_EXPECT(sim, sim_leader(sim) == A);
    SIM_EXPECT(sim, term_of(sim, A) == term);
    SIM_EXPECT(sim, sim_propose(sim, A, 1, 64));
}

static enum mortar_status ended(struct sim *sim, uint64_t op)
{
    enum mortar_status status = MORTAR_E_CLOSED;
    for (uint32_t i = 0; i < 2 * LONG_MS && op != 0; i++) {
        if (client_ended(sim, op, &status) || !sim_run_ms(sim, 1)) break;
    }
    return status;
}

/* ---- Bad links (thesis 4.2.3, 6.2, 9.6) ---- */

static void a_flapping_member_does_not_cost_the_leader_its_term(void **state)
{
    (void)state;
    struct sim *sim = three(1);
    const uint64_t term = term_of(sim, A);
    for (uint32_t i = 0; i < 12; i++) {
        sim_isolate(sim, C);
        SIM_EXPECT(sim, sim_run_ms(sim, 300 * (1 + i % 6)));
        sim_rejoin(sim, C);
        SIM_EXPECT(sim, sim_run_ms(sim, 100 * (1 + i % 4)));
        still_leads(sim, term);
    }
    finish(sim);
}

/* It campaigns again and again, and is heard. */
static void a_member_that_hears_nobody_does_not_cost_the_leader_its_term(void **state)
{
    (void)state;
    struct sim *sim = three(2);
    const uint64_t term = term_of(sim, A);
    hears(sim, C, A, false);
    hears(sim, C, B, false);
    SIM_EXPECT(sim, sim_run_ms(sim, LONG_MS));
    still_leads(sim, term);
    hears(sim, C, A, true);
    hears(sim, C, B, true);
    SIM_EXPECT(sim, sim_run_ms(sim, LONG_MS));
    still_leads(sim, term);
    finish(sim);
}

static void a_member_that_nobody_hears_does_not_cost_the_leader_its_term(void **state)
{
    (void)state;
    struct sim *sim = three(3);
    const uint64_t term = term_of(sim, A);
    hears(sim, A, C, false);
    hears(sim, B, C, false);
    SIM_EXPECT(sim, sim_run_ms(sim, LONG_MS));
    still_leads(sim, term);
    hears(sim, A, C, true);
    hears(sim, B, C, true);
    SIM_EXPECT(sim, sim_run_ms(sim, LONG_MS));
    still_leads(sim, term);
    finish(sim);
}

/* Its heartbeats would hold the others down for ever: it must give up by itself. */
static void a_leader_that_hears_nobody_makes_room(void **state)
{
    (void)state;
    struct sim *sim = three(4);
    const uint64_t term = term_of(sim, A);
    hears(sim, A, B, false);
    hears(sim, A, C, false);
    SIM_EXPECT(sim, sim_run_ms(sim, LONG_MS));
    SIM_EXPECT(sim, !sim_is_leader(sim, A));
    SIM_EXPECT(sim, sim_is_leader(sim, B) || sim_is_leader(sim, C));
    SIM_EXPECT(sim, term_of(sim, B) > term);
    finish(sim);
}

static void a_leader_that_nobody_hears_is_replaced(void **state)
{
    (void)state;
    struct sim *sim = three(5);
    const uint64_t term = term_of(sim, A);
    hears(sim, B, A, false);
    hears(sim, C, A, false);
    SIM_EXPECT(sim, sim_run_ms(sim, LONG_MS));
    SIM_EXPECT(sim, sim_is_leader(sim, B) || sim_is_leader(sim, C));
    SIM_EXPECT(sim, term_of(sim, B) > term);
    finish(sim);
}

/* ---- Handing over ---- */

static void a_refused_transfer_changes_nothing(void **state)
{
    (void)state;
    struct sim *sim = three(6);
    const uint64_t term = term_of(sim, A);
    const uint32_t learner = sim_add(sim, &sim->options.replica);
    SIM_EXPECT(sim, sim_run_until_of(sim, sim_is_member, learner, LONG_MS));
    uint64_t op = client_transfer(sim, sim->replicas[B], sim->replicas[learner], LONG_MS);
    SIM_EXPECT(sim, ended(sim, op) == MORTAR_E_INVALID);
    sim_isolate(sim, C);
    SIM_EXPECT(sim, sim_run_ms(sim, LONG_MS));
    op = client_transfer(sim, sim->replicas[A], sim->replicas[C], LONG_MS);
    SIM_EXPECT(sim, ended(sim, op) == MORTAR_E_BUSY);
    SIM_EXPECT(sim, sim->counts[MORTAR_TRACE_TRANSFER] == 0);
    still_leads(sim, term);
    finish(sim);
}

/* Asked for elsewhere, with writes before and after it at the old leader: all of them happen. */
static void what_waits_at_a_leader_that_hands_over_goes_to_its_successor(void **state)
{
    (void)state;
    struct sim *sim = three(7);
    const uint64_t term = term_of(sim, A);
    const uint64_t before =
        client_write(sim, sim->replicas[A], MORTAR_REQUEST_EXECUTE, 20, 2000, LONG_MS);
    const uint64_t op = client_transfer(sim, sim->replicas[A], sim->replicas[B], LONG_MS);
    const uint64_t after =
        client_write(sim, sim->replicas[A], MORTAR_REQUEST_EXECUTE, 20, 64, LONG_MS);
    SIM_EXPECT(sim, ended(sim, op) == MORTAR_OK);
    SIM_EXPECT(sim, ended(sim, before) == MORTAR_OK);
    SIM_EXPECT(sim, ended(sim, after) == MORTAR_OK);
    SIM_EXPECT(sim, sim_is_leader(sim, B));
    SIM_EXPECT(sim, term_of(sim, B) == term + 1);
    const uint64_t back = client_transfer(sim, sim->replicas[C], sim->replicas[A], LONG_MS);
    SIM_EXPECT(sim, ended(sim, back) == MORTAR_OK);
    SIM_EXPECT(sim, sim_is_leader(sim, A));
    finish(sim);
}

/* Its TIMEOUT_NOW is lost, and nobody has noticed yet that the link is gone. */
static void after_a_transfer_that_came_to_nothing_the_leader_serves_again(void **state)
{
    (void)state;
    struct sim *sim = three(8);
    const uint64_t term = term_of(sim, A);
    hears(sim, B, A, false);
    const uint64_t op = client_transfer(sim, sim->replicas[A], sim->replicas[B], LONG_MS);
    const uint64_t write =
        client_write(sim, sim->replicas[A], MORTAR_REQUEST_EXECUTE, 1, 64, LONG_MS);
    SIM_EXPECT(sim, ended(sim, op) == MORTAR_UNKNOWN);
    SIM_EXPECT(sim, sim->counts[MORTAR_TRACE_TRANSFER_ENDED] == 1);
    SIM_EXPECT(sim, ended(sim, write) == MORTAR_OK);
    still_leads(sim, term);
    finish(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flapping_member_does_not_cost_the_leader_its_term),
        cmocka_unit_test(a_member_that_hears_nobody_does_not_cost_the_leader_its_term),
        cmocka_unit_test(a_member_that_nobody_hears_does_not_cost_the_leader_its_term),
        cmocka_unit_test(a_leader_that_hears_nobody_makes_room),
        cmocka_unit_test(a_leader_that_nobody_hears_is_replaced),
        cmocka_unit_test(a_refused_transfer_changes_nothing),
        cmocka_unit_test(what_waits_at_a_leader_that_hands_over_goes_to_its_successor),
        cmocka_unit_test(after_a_transfer_that_came_to_nothing_the_leader_serves_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
