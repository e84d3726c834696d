#define _GNU_SOURCE
#include "os/clock.h"

#include "base/assert.h"

#include <time.h>

static uint64_t clock_read_ns(clockid_t id)
{
    struct timespec now;
    const int result = clock_gettime(id, &now);
    ASSERT(result == 0);
    ASSERT(now.tv_sec >= 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_monotonic_us(void)
{
    return clock_monotonic_ns() / 1000u;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000u;
}

uint64_t clock_wall_ms(void)
{
    return clock_read_ns(CLOCK_REALTIME) / 1000000u;
}
