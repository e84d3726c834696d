/* wire/frame.h - the envelope of everything between two members, after TLS.
 *
 *   offset  size  field
 *        0     4  magic "MRTR"
 *        4     2  version of this frame's payload
 *        6     1  lane: 0 control, 1 bulk
 *        7     1  type (enum message_type, or a bond's type from 64 on)
 *        8     4  payload bytes, at most frame_payload_bytes_max(lane)
 *       12     4  zero
 *       16     8  group: first eight bytes of the group id; zero before the bond stands
 *       24     8  checksum: XXH3-64 of the payload, seeded with the XXH3-64 of bytes 0..23
 *       32        payload
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/cursor.h"
#include "mortar/types.h"

#define FRAME_HEADER_BYTES 32u
#define WIRE_VERSION_MIN   1u
#ifdef MORTAR_WIRE_NEXT
#define WIRE_VERSION_NEXT 2u /* Synthetic: -Dwire_next=true, for tests of mixed groups. */
#define WIRE_VERSION_MAX  WIRE_VERSION_NEXT
#else
#define WIRE_VERSION_MAX 1u
#endif
/* A bulk frame carries at most one run; the run may be one command of the largest size. */
#define BULK_FRAME_BYTES_MAX (MORTAR_COMMAND_BYTES_LIMIT + 64u * 1024u)

struct frame_header {
    uint16_t version;
    enum mortar_lane lane;
    uint8_t type;
    uint32_t payload_bytes;
    uint64_t group;
    uint64_t checksum;
};

/* The most payload that a frame of `lane` may announce; the header is not counted. */
uint32_t frame_payload_bytes_max(enum mortar_lane lane);

uint64_t frame_group_tag(const struct mortar_group_id *group);

/* Fills in the header at data[0..32) of a frame whose payload stands at data + 32 already. */
void frame_seal(uint8_t *data, uint16_t version, enum mortar_lane lane, uint8_t type,
                uint64_t group, uint32_t payload_bytes);

/* Builds a frame in place: leaves room for the header, then the caller writes the payload to `out`,
 * then frame_end() seals it. `place` is what frame_begin() gave. A writer that failed is left so.
 */
size_t frame_begin(struct writer *out);
void frame_end(struct writer *out, size_t place, uint16_t version, enum mortar_lane lane,
               uint8_t type, uint64_t group);

/* Reads a header; `in` holds at least FRAME_HEADER_BYTES. The payload length is within the bound
 * of `lane`, else MORTAR_E_TOO_LARGE.
 *   MORTAR_E_CORRUPT  magic, zero field or lane is wrong.
 *   MORTAR_E_VERSION  the version is outside WIRE_VERSION_MIN..MAX. */
MORTAR_NODISCARD enum mortar_status
frame_header_decode(struct mortar_bytes in, enum mortar_lane lane, struct frame_header *out_header);

/* Checks a whole frame (header and payload) and gives its payload, borrowed.
 *   as frame_header_decode, and MORTAR_E_CORRUPT when length or checksum disagree. */
MORTAR_NODISCARD enum mortar_status frame_open(struct mortar_bytes frame, enum mortar_lane lane,
                                               struct frame_header *out_header,
                                               struct mortar_bytes *out_payload);

#endif
