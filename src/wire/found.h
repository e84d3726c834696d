/* wire/found.h - the payload of entry 1, which founds a group (design 8).
 *
 *   offset  size  field
 *        0    16  birth id, not all zero
 *       16    16  fingerprint key, not all zero
 *       32        first configuration (wire/config.h): one voter, not joint
 */
#ifndef WIRE_FOUND_H
#define WIRE_FOUND_H

#include "wire/config.h"

struct found {
    struct mortar_birth_id birth;
    uint8_t fingerprint_key[16];
    struct config config;
};

#define FOUND_ENCODED_BYTES_MAX (32u + CONFIG_ENCODED_BYTES_MAX)

void found_encode(const struct found *found, struct writer *out);
MORTAR_NODISCARD enum mortar_status found_decode(struct mortar_bytes in, struct found *out_found);

#endif
