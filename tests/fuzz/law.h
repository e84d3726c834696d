/* fuzz/law.h - how a fuzz target says that a property does not hold.
 *
 * Memory: none. Threads: one. Errors: ends the process, which libFuzzer reports with the input.
 */
#ifndef MORTAR_TESTS_FUZZ_LAW_H
#define MORTAR_TESTS_FUZZ_LAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void law(bool holds)
{
    if (!holds) __builtin_trap();
}

#endif
