/* unit/test.h - the one way in which tests include cmocka.
 *
 * cmocka.h needs four headers before it, in no particular place of the alphabet, so only this file
 * includes it. Not part of the library.
 *
 * Memory:  none.
 * Threads: cmocka's checks belong to the thread that runs the test.
 * Errors:  a failed check ends its test.
 */
#ifndef MORTAR_TESTS_UNIT_TEST_H
#define MORTAR_TESTS_UNIT_TEST_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
