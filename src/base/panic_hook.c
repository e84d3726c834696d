/* base/panic_hook.c - which function hears of a broken invariant.
 *
 * The two words below are the only mutable globals of the pure layers. They are no state of a
 * machine: nothing reads them before the process is already lost.
 */
#include "base/assert.h"

#include <stdatomic.h>

static _Atomic(mortar_panic_hook *) user_hook;
static _Atomic(mortar_panic_hook *) fallback_hook;

void mortar_set_panic_hook(mortar_panic_hook *hook)
{
    atomic_store(&user_hook, hook);
}

void panic_set_fallback(mortar_panic_hook *hook)
{
    atomic_store(&fallback_hook, hook);
}

mortar_panic_hook *panic_hook_now(void)
{
    mortar_panic_hook *const hook = atomic_load(&user_hook);
    return hook != NULL ? hook : atomic_load(&fallback_hook);
}
