/* os/panic.h - the default end of a process that broke one of its own invariants.
 *
 * Prints one line on stderr and aborts. It runs only while the user has set no panic hook of its
 * own (mortar_set_panic_hook()).
 *
 * Memory:  none.
 * Threads: any.
 * Errors:  none.
 */
#ifndef OS_PANIC_H
#define OS_PANIC_H

/* Makes the printing hook the fallback. May be called any number of times. */
void panic_install(void);

#endif
