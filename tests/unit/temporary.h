/* unit/temporary.h - where tests put their files.
 *
 * Not part of the library. Whoever makes a folder removes it; `make test` sets TMPDIR to a place of
 * its own and looks whether anything stayed there.
 *
 * Memory:  none.
 * Threads: that of the test.
 * Errors:  failed checks.
 */
#ifndef MORTAR_TESTS_UNIT_TEMPORARY_H
#define MORTAR_TESTS_UNIT_TEMPORARY_H

#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#define TEMPORARY_PATH_BYTES 64

/* Makes a new, empty folder below TMPDIR, or /tmp. */
static inline void temporary_folder(char out_path[TEMPORARY_PATH_BYTES])
{
    const char *const parent = getenv("TMPDIR");
    const int length = snprintf(out_path, TEMPORARY_PATH_BYTES, "%s/mortar-test-XXXXXX",
                                parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    assert_in_range(length, 1, TEMPORARY_PATH_BYTES - 1);
    assert_non_null(mkdtemp(out_path));
}

#endif
