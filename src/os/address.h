/* os/address.h - "host:port" texts.
 *
 *     a.example:7400    10.0.0.1:7400    [fe80::1%eth0]:7400    a:7400,b:7400 (a list)
 *
 * Texts only: names are resolved by os/stream.h, anew at each connect, so that a member may move.
 *
 * Memory:  plain values.
 * Threads: plain values.
 * Errors:  MORTAR_E_ADDRESS (breaks the format above), MORTAR_E_TOO_LARGE (more than a list may
 *          have).
 */
#ifndef OS_ADDRESS_H
#define OS_ADDRESS_H

#include "mortar/types.h"

#define ADDRESS_HOST_BYTES_MAX 247u /* With brackets, colon and port within 255. */
#define ADDRESS_TEXT_BYTES     (MORTAR_ADDRESS_BYTES_MAX + 1u)

struct address {
    char host[ADDRESS_HOST_BYTES_MAX + 1u]; /* A name or number, without brackets, not empty. */
    uint16_t port;                          /* 0 only where a free one is to be picked. */
};

/* Reads one address. An IPv6 number must be in brackets. The bytes may come from a peer. */
MORTAR_NODISCARD enum mortar_status address_parse(struct mortar_bytes text,
                                                  struct address *out_address);

/* Reads a list separated by commas, with blanks around them allowed; an empty text is an empty
 * list. A failure leaves `out_addresses` half written.
 *   MORTAR_E_TOO_LARGE  more than `max`. */
MORTAR_NODISCARD enum mortar_status
address_list_parse(const char *text, struct address *out_addresses, size_t max, size_t *out_count);

/* Writes `address` as text with a closing zero. */
void address_format(const struct address *address, char out_text[ADDRESS_TEXT_BYTES]);

bool address_equal(const struct address *a, const struct address *b);

#endif
