/* sim/check/verdict.c - keeping the first failure, and tables that grow. */
#include "sim/check/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void verdict_fail(struct verdict *verdict, const char *judge, const char *format, ...)
{
    if (verdict->failed) return;
    verdict->failed = true;
    verdict->judge = judge;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(verdict->text, sizeof verdict->text, format, arguments);
    va_end(arguments);
}

void *table_at(struct table *table, uint64_t number)
{
    if (number >= table->capacity) {
        size_t capacity = table->capacity == 0 ? 64 : table->capacity;
        while (capacity <= number)
            capacity *= 2;
        uint8_t *items = realloc(table->items, capacity * table->item_bytes);
        if (items == NULL) abort();
        memset(items + table->capacity * table->item_bytes, 0,
               (capacity - table->capacity) * table->item_bytes);
        table->items = items;
        table->capacity = capacity;
    }
    if (number >= table->count) table->count = number + 1;
    return table->items + number * table->item_bytes;
}

void *table_find(const struct table *table, uint64_t number)
{
    return number < table->count ? table->items + number * table->item_bytes : NULL;
}

void table_deinit(struct table *table)
{
    free(table->items);
    table->items = NULL;
    table->count = 0;
    table->capacity = 0;
}
