/* base/assert.h - our own invariants, checked in release builds too.
 *
 * ASSERT is for what only a bug of ours can break. Bytes from disk, network or user are never
 * asserted: they are validated and answered with MORTAR_E_CORRUPT.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "mortar/types.h"

/* Calls the panic hook, then traps. Base does no I/O, so it prints nothing of its own. */
_Noreturn void mortar_panic(const char *file, int line, const char *message);

/* Sets what runs while the user has set no hook (NULL: nothing does, the trap comes at once). A
 * host that can print installs os/panic.h here when it opens. Any thread. */
void panic_set_fallback(mortar_panic_hook *hook);

/* The hook of now: the user's, else the fallback, else NULL. */
mortar_panic_hook *panic_hook_now(void);

#define ASSERT(condition)                                                                          \
    ((condition) ? (void)0 : mortar_panic(__FILE__, __LINE__, "broken invariant: " #condition))

#endif
