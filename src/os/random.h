/* os/random.h - unguessable bytes: birth ids, store ids, boot nonces, seeds.
 *
 * From the kernel's generator. Pure layers never call this: they get a seed.
 *
 * Memory:  none.
 * Threads: any, at once.
 * Errors:  MORTAR_E_IO when the kernel gives no random bytes.
 */
#ifndef OS_RANDOM_H
#define OS_RANDOM_H

#include "mortar/types.h"

/* Fills `out` with `bytes` random bytes. */
MORTAR_NODISCARD enum mortar_status random_fill(void *out, size_t bytes);

#endif
