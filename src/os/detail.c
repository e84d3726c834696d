#define _GNU_SOURCE
#include "os/detail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void detail_set(struct detail *detail, const char *format, ...)
{
    if (!detail) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(detail->text, sizeof detail->text, format, arguments);
    va_end(arguments);
}

void detail_set_errno(struct detail *detail, int error_number, const char *format, ...)
{
    if (!detail) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(detail->text, sizeof detail->text, format, arguments);
    va_end(arguments);

    char text[96];
    const char *reason = strerror_r(error_number, text, sizeof text); /* GNU: gives a pointer. */
    const size_t used = strlen(detail->text);
    (void)snprintf(detail->text + used, sizeof detail->text - used, ": %s", reason);
}
