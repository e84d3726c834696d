/* base/assert.h - our own invariants, checked in release builds too.
 *
 * ASSERT is for what only a bug of ours can break. Bytes from disk, network or user are never
 * asserted: they are validated and answered with MORTAR_E_CORRUPT.
 *
 * The pure layers do no I/O and hold no globals, so they only declare the panic: the host defines
 * it (os/panic.c, with the user's hook; unit tests and the simulator may bring their own).
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "mortar/types.h"

/* Calls the panic hook, then aborts. */
_Noreturn void mortar_panic(const char *file, int line, const char *message);

#define ASSERT(condition)                                                                          \
    ((condition) ? (void)0 : mortar_panic(__FILE__, __LINE__, "broken invariant: " #condition))

/* Where our own logic never comes. */
#define ASSERT_NEVER(reason) mortar_panic(__FILE__, __LINE__, "broken invariant: " reason)

#endif
