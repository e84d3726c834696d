/* wire/client.h - what client sessions put into the log (thesis 6.3).
 *
 * A client session is opened by an entry, whose index is its id from then on. A command of one
 * carries a sequence number that the client chose, and says up to where the client has replies.
 *
 * CLIENT entry, 17 bytes, little-endian:
 *
 *   offset  size  field
 *        0     1  verb: 1 open, 2 keep, 3 close
 *        1     8  session, >= 1; 0 to open
 *        9     8  ttl_ms to open, CLIENT_TTL_MS_MIN..CLIENT_TTL_MS_MAX; else 0
 *
 * CLIENT_COMMAND entry, 24 bytes and the command:
 *
 *   offset  size  field
 *        0     8  session, >= 1
 *        8     8  sequence, >= 1
 *       16     8  acked, < sequence: replies up to here need not be kept
 *       24        the command, as the machine sees it
 *
 * Memory:  borrows. Threads: plain values. Errors: MORTAR_E_CORRUPT.
 */
#ifndef WIRE_CLIENT_H
#define WIRE_CLIENT_H

#include "base/cursor.h"
#include "mortar/types.h"

#define CLIENT_ENTRY_BYTES   17u
#define CLIENT_COMMAND_BYTES 24u /* Before the command. */
#define CLIENT_TTL_MS_MIN    1000u
#define CLIENT_TTL_MS_MAX    86400000u

enum client_verb {
    CLIENT_OPEN = 1,
    CLIENT_KEEP = 2, /* Nothing but: it is still used. */
    CLIENT_CLOSE = 3
};

struct client_entry {
    enum client_verb verb;
    uint64_t session;
    uint64_t ttl_ms; /* By log time, after the last entry of the session. */
};

struct client_command {
    uint64_t session;
    uint64_t sequence;
    uint64_t acked;
    struct mortar_bytes command; /* Borrowed. */
};

void client_entry_encode(const struct client_entry *entry, struct writer *out);
MORTAR_NODISCARD enum mortar_status client_entry_decode(struct mortar_bytes in,
                                                        struct client_entry *out_entry);
void client_command_encode(const struct client_command *command, struct writer *out);
MORTAR_NODISCARD enum mortar_status client_command_decode(struct mortar_bytes in,
                                                          struct client_command *out_command);

#endif
