/* sim/bugs.h - chooses which planted bug (base/bug.h) acts, by name.
 *
 * Memory: none. Threads: one; before anything runs. Errors: said on stderr. */
#ifndef SIM_BUGS_H
#define SIM_BUGS_H

/* Plants the bug of that name; "list" prints them all instead. The exit status to end with, or -1:
 * go on and run. */
int bugs_plant(const char *name);
/* " --bug NAME", for the command that shows a failure again; "" when none is planted. */
const char *bugs_argument(void);

#endif
