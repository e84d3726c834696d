/* os/detail.h - one sentence for people about why an operating-system call failed.
 *
 * A status names the kind of failure for programs; the detail names the file, address or errno.
 * It is the one output that is written on failure, and only then. A NULL detail is allowed
 * everywhere and keeps silent.
 *
 * Memory:  plain value, always closed by a zero.
 * Threads: plain value.
 * Errors:  none; a text that is too long is cut.
 */
#ifndef OS_DETAIL_H
#define OS_DETAIL_H

#define DETAIL_BYTES 256

struct detail {
    char text[DETAIL_BYTES];
};

/* Formats like printf() into `detail`. */
__attribute__((format(printf, 2, 3))) void detail_set(struct detail *detail, const char *format,
                                                      ...);

/* As detail_set(), followed by ": " and the text of `error_number`. */
__attribute__((format(printf, 3, 4))) void detail_set_errno(struct detail *detail, int error_number,
                                                            const char *format, ...);

#endif
