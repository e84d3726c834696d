/* base/assert.c - the end of a process that broke one of its own invariants. */
#include "base/assert.h"

_Noreturn void mortar_panic(const char *file, int line, const char *message)
{
    mortar_panic_hook *const hook = panic_hook_now();
    if (hook != NULL) hook(file, line, message);
    __builtin_trap(); /* The hook must not return; whoever lets it does not go on either. */
}
