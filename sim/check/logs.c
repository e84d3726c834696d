/* sim/check/logs.c - log matching (thesis 3.5): if two logs hold an entry with the same index and
 * term, they are equal up to there. The log sum digests all that is before, so equal sums at equal
 * positions are all there is to ask. */
#include "sim/check/seen.h"

#include <inttypes.h>

static bool sum_equal(struct mortar_log_sum a, struct mortar_log_sum b)
{
    return a.low == b.low && a.high == b.high;
}

void judge_entry(struct judges *judges, uint32_t replica, uint64_t index, uint64_t term,
                 struct mortar_log_sum sum)
{
    struct sums_seen *seen = table_at(&judges->sums, index);
    for (uint32_t i = 0; i < seen->count; i++) {
        if (seen->term[i] != term) continue;
        if (!sum_equal(seen->sum[i], sum)) {
            verdict_fail(judges->verdict, "logs",
                         "replicas %" PRIu32 " and %" PRIu32 " hold different logs up to %" PRIu64
                         "^%" PRIu64,
                         seen->replica[i], replica, index, term);
        }
        return;
    }
    const uint32_t place = seen->next;
    seen->term[place] = term;
    seen->sum[place] = sum;
    seen->replica[place] = replica;
    seen->next = (place + 1) % SUMS_PER_INDEX;
    if (seen->count < SUMS_PER_INDEX) seen->count++;
}
