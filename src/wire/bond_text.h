/* wire/bond_text.h - the one place where the reasons of a refused bond become words.
 *
 * Each function fills a text of BOND_TEXT_BYTES_MAX + 1 chars, cut where it would be longer. Bytes
 * of foreign names that are not printable ASCII become '?': the text goes to logs and terminals.
 *
 * Memory:  the caller's. Threads: plain functions. Errors: none.
 */
#ifndef WIRE_BOND_TEXT_H
#define WIRE_BOND_TEXT_H

#include "mortar/types.h"

struct bond_range {
    uint32_t min;
    uint32_t max;
};

struct bond_name {
    const char *name;
    uint32_t epoch;
};

/* `text` itself. */
void bond_text_plain(char *out_text, const char *text);
/* `unexpected frame 67 (welcome)` */
void bond_text_frame(char *out_text, const char *what, uint8_t type);
/* `network "a" here, "b" there` */
void bond_text_names(char *out_text, const char *subject, const char *here, const char *there);
/* `machine "a" epoch 1 here, "a" epoch 2 there` */
void bond_text_epochs(char *out_text, const char *subject, struct bond_name here,
                      struct bond_name there);
/* `wire format versions 1..1 here, 2..3 there` */
void bond_text_ranges(char *out_text, const char *subject, struct bond_range here,
                      struct bond_range there);
/* `birth 00112233 here, 44556677 there`: the first four bytes of each. */
void bond_text_births(char *out_text, const struct mortar_birth_id *here,
                      const struct mortar_birth_id *there);

#endif
