/* sim/marks.h - the branch marks (base/mark.h) of all jobs: summed, printed, held to a minimum.
 *
 * Memory:  one shared mapping, as long as the program runs.
 * Threads: one in each process. Errors: said on stderr. */
#ifndef SIM_MARKS_H
#define SIM_MARKS_H

#include <stdbool.h>
#include <stdint.h>

/* Before the jobs start. False: this build has no marks, or no memory. */
bool marks_open(void);
/* Adds what this process counted since to the sum of all. Without marks_open(): nothing. */
void marks_gather(void);
/* Prints each mark with its count. Without marks_open(), this and the next print nothing. */
void marks_print(void);
/* Prints `,"marks":{...}`. */
void marks_print_json(void);
/* How many marks were hit fewer than `min` times; stderr names them. */
uint32_t marks_rare(uint64_t min);

#endif
