/* sim/totals.c - adding and printing. */
#include "sim/totals.h"

#include "sim/bugs.h"
#include "sim/marks.h"

#include <inttypes.h>
#include <stdio.h>

void totals_report_again(uint64_t seed)
{
    (void)fprintf(stderr, "  again: mortar-sim --seed %" PRIu64 "%s --story\n", seed,
                  bugs_argument());
}

void totals_report(const struct swarm_result *result)
{
    (void)fprintf(stderr, "seed %" PRIu64 " FAILED: judge %s: %s\n", result->seed,
                  result->verdict.judge, result->verdict.text);
    (void)fprintf(stderr, "  drawn: %s\n", result->shape);
    totals_report_again(result->seed);
}

void totals_add(struct totals *totals, const struct swarm_result *result)
{
    totals->seeds++;
    if (result->verdict.failed) totals->failed++;
    totals->simulated_s += (double)result->simulated_us / 1e6;
    totals->events += result->events;
    totals->succeeded += result->succeeded;
    totals->requests += result->succeeded + result->failed;
    totals->sessions += result->sessions;
    totals->sessions_done += result->sessions_done;
    totals->committed += result->committed;
    totals->leaders += result->leaders;
    totals->undecided += result->undecided;
    for (uint32_t i = 0; i < SIM_FAULTS; i++)
        totals->faults[i] += result->faults[i];
}

void totals_print(const struct totals *totals, double wall_s)
{
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " of %" PRIu64
                 " requests succeeded, %" PRIu64 " entries committed, %" PRIu64 " of %" PRIu64
                 " sessions done, %" PRIu64 " terms; %.0f s simulated in %.1f s\n",
                 totals->seeds, totals->failed, totals->succeeded, totals->requests,
                 totals->committed, totals->sessions_done, totals->sessions, totals->leaders,
                 totals->simulated_s, wall_s);
    marks_print();
    (void)printf("{\"seeds\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"undecided\":%" PRIu64
                 ",\"simulated_s\":%.1f,\"wall_s\":%.2f,\"faults\":{",
                 totals->seeds, totals->failed, totals->undecided, totals->simulated_s, wall_s);
    for (uint32_t i = 0; i < SIM_FAULTS; i++) {
        (void)printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", sim_fault_name((enum sim_fault)i),
                     totals->faults[i]);
    }
    (void)printf("}");
    marks_print_json();
    (void)printf("}\n");
}
