/* node/key_file.h - the file with a group's secrets, as text.
 *
 *     mortar key 1
 *     birth <64 hex digits>
 *     access <generation> <64 hex digits>
 *     access ...
 *
 * `birth` is the SHA-256 of the birth key, which itself is kept nowhere; it enters the group id.
 * There are 1..BOND_KEYS_MAX access keys, newest first, their generations (1..2^32-1, decimal,
 * without leading zeros) strictly falling. Each line ends with a newline, fields are separated by
 * one blank, hex digits are lower case; nothing else may stand in the file.
 *
 * Memory:  plain values; a struct key_file holds secrets: overwrite it when done.
 * Threads: plain values; reading and writing may block on the disk.
 * Errors:  by name at each call.
 */
#ifndef NODE_KEY_FILE_H
#define NODE_KEY_FILE_H

#include "mortar/types.h"
#include "os/detail.h"
#include "wire/bond_handshake.h"

#define KEY_FILE_HASH_BYTES 32u
#define KEY_FILE_BYTES_MAX  1024u /* All lines at their longest, and to spare. */

struct key_file {
    uint8_t birth_hash[KEY_FILE_HASH_BYTES];
    uint32_t key_count;
    struct bond_key keys[BOND_KEYS_MAX];
};

/* Any bytes may come. MORTAR_E_CORRUPT: the text breaks a rule above. */
MORTAR_NODISCARD enum mortar_status key_file_parse(struct mortar_bytes text,
                                                   struct key_file *out_key);

/* Writes the text of a sound `key` to `out`, of KEY_FILE_BYTES_MAX bytes; answers its length. */
size_t key_file_format(const struct key_file *key, char *out);

/* Reads the file at `path`.
 *   MORTAR_E_NOT_FOUND   there is none.
 *   MORTAR_E_PERMISSION  it cannot be read, belongs to somebody else, or others have any right.
 *   MORTAR_E_CORRUPT     it is no regular file, or no key file.
 *   MORTAR_E_IO */
MORTAR_NODISCARD enum mortar_status key_file_read(const char *path, struct detail *detail,
                                                  struct key_file *out_key);

#endif
