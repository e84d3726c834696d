/* sim/speed.h - how much faster than real time one core simulates: five members, default options,
 * clients that make two hundred requests a second, all judges on, nothing broken.
 *
 * Memory: that of one world. Threads: one. Errors: a judge that speaks up fails the run. */
#ifndef SIM_SPEED_H
#define SIM_SPEED_H

/* Prints what was measured, for people and as one JSON line. The exit status: 0, if all held. */
int speed_run(void);

#endif
