/* unit/panic.c - a broken invariant ends the test that broke it, not the whole program.
 *
 * A test that wants to see one writes expect_assert_failure(call). The definition is weak: where
 * src/os is linked too and its own panic is needed, that one holds.
 */
#include "unit/test.h"

__attribute__((weak, noreturn)) void mortar_panic(const char *file, int line, const char *message);

void mortar_panic(const char *file, int line, const char *message)
{
    mock_assert(0, message, file, line); /* Leaves by longjmp, in either outcome. */
    __builtin_unreachable();
}
