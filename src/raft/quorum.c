/* raft/quorum.c - the arithmetic of majorities, pure. */
#include "raft/internal.h"

/* Insertion sort, largest first: at most MORTAR_MEMBERS_MAX values. The value in the middle, at
 * count / 2 from the top, is reached by count / 2 + 1 of them: a majority (thesis 3.5, 3.6). */
uint64_t raft_quorum_value(uint64_t *values, uint32_t count)
{
    ASSERT(count >= 1);
    for (uint32_t i = 1; i < count; i++) {
        const uint64_t value = values[i];
        uint32_t place = i;
        while (place > 0 && values[place - 1] < value) {
            values[place] = values[place - 1];
            place--;
        }
        values[place] = value;
    }
    return values[count / 2];
}
