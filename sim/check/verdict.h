/* sim/check/verdict.h - what the judges found: the first failure, and a few helpers they share.
 *
 * The judges share no code with what they judge: they see numbers from public headers only.
 *
 * Memory:  tables of the judges grow by realloc(); a judge that finds no memory aborts.
 * Threads: one run is judged on one thread.
 * Errors:  the first failure is kept, later ones are ignored: they tend to follow from it.
 */
#ifndef SIM_CHECK_VERDICT_H
#define SIM_CHECK_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERDICT_TEXT_BYTES 400

struct verdict {
    bool failed;
    const char *judge; /* Name of the judge that failed first; a literal. */
    char text[VERDICT_TEXT_BYTES];
};

/* Keeps the first failure. */
void verdict_fail(struct verdict *verdict, const char *judge, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A table of equal items, addressed by number; items never touched are all zero. */
struct table {
    size_t item_bytes;
    size_t count; /* Items that exist: one more than the highest ever asked for. */
    size_t capacity;
    uint8_t *items;
};

/* The item `number`, made (zeroed) when it is not there yet. Valid until the next such call. */
void *table_at(struct table *table, uint64_t number);
/* The item `number`, or NULL when it was never made. */
void *table_find(const struct table *table, uint64_t number);
void table_deinit(struct table *table);

#endif
