/* os/clock.h - the only place that reads a clock.
 *
 * Monotonic time for durations and deadlines, wall time for the log time of entries. The two are
 * never mixed: wall time may jump, monotonic time has no meaning outside this process.
 *
 * Memory:  none.
 * Threads: any, at once.
 * Errors:  none; both clocks exist on every supported system.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ns(void);
uint64_t clock_monotonic_us(void);
uint64_t clock_monotonic_ms(void);

/* Milliseconds since 1970-01-01 UTC. */
uint64_t clock_wall_ms(void);

#endif
