#define _GNU_SOURCE
#include "os/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { RANDOM_CALL_BYTES = 256 }; /* Up to here getrandom() is never interrupted half-way. */

enum mortar_status random_fill(void *out, size_t bytes)
{
    uint8_t *cursor = out;
    while (bytes > 0) {
        uint8_t block[RANDOM_CALL_BYTES];
        const size_t want = bytes < sizeof block ? bytes : sizeof block;
        const ssize_t got = getrandom(block, want, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got != (ssize_t)want) return MORTAR_E_IO;
        memcpy(cursor, block, want);
        explicit_bzero(block, sizeof block);
        cursor += want;
        bytes -= want;
    }
    return MORTAR_OK;
}
