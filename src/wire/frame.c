/* wire/frame.c - the envelope of everything between two members. The format stands in frame.h. */
#include "wire/frame.h"

#include "base/assert.h"
#include "base/hash.h"

#define FRAME_MAGIC_BYTES  4u
#define FRAME_SEALED_BYTES 24u /* All before the checksum. */

_Static_assert(FRAME_SEALED_BYTES + sizeof(uint64_t) == FRAME_HEADER_BYTES,
               "the checksum ends the header");

static const uint8_t frame_magic[FRAME_MAGIC_BYTES] = {'M', 'R', 'T', 'R'};

uint64_t frame_group_tag(const struct mortar_group_id *group)
{
    uint64_t tag;
    memcpy(&tag, group->bytes, sizeof tag);
    return tag;
}

uint32_t frame_payload_bytes_max(enum mortar_lane lane)
{
    return lane == MORTAR_LANE_CONTROL ? MORTAR_CONTROL_FRAME_BYTES_MAX : BULK_FRAME_BYTES_MAX;
}

/* The header seeds the payload's sum, so that a payload never passes under another header. */
static uint64_t frame_checksum(const uint8_t *data, uint32_t payload_bytes)
{
    const uint64_t seed = checksum_64((struct mortar_bytes){data, FRAME_SEALED_BYTES}, 0);
    return checksum_64((struct mortar_bytes){data + FRAME_HEADER_BYTES, payload_bytes}, seed);
}

void frame_seal(uint8_t *data, uint16_t version, enum mortar_lane lane, uint8_t type,
                uint64_t group, uint32_t payload_bytes)
{
    ASSERT(payload_bytes <= frame_payload_bytes_max(lane));
    struct writer out = writer_over(data, FRAME_HEADER_BYTES);
    put_copy(&out, frame_magic, sizeof frame_magic);
    put_u16(&out, version);
    put_u8(&out, (uint8_t)lane);
    put_u8(&out, type);
    put_u32(&out, payload_bytes);
    put_u32(&out, 0);
    put_u64(&out, group);
    put_u64(&out, frame_checksum(data, payload_bytes));
    ASSERT(!out.failed);
}

size_t frame_begin(struct writer *out)
{
    static const uint8_t room[FRAME_HEADER_BYTES] = {0};
    const size_t place = out->bytes;
    put_copy(out, room, sizeof room);
    return place;
}

void frame_end(struct writer *out, size_t place, uint16_t version, enum mortar_lane lane,
               uint8_t type, uint64_t group)
{
    if (out->failed) return;
    ASSERT(out->bytes >= place + FRAME_HEADER_BYTES);
    const size_t payload_bytes = out->bytes - place - FRAME_HEADER_BYTES;
    ASSERT(payload_bytes <= UINT32_MAX);
    frame_seal(out->data + place, version, lane, type, group, (uint32_t)payload_bytes);
}

enum mortar_status frame_header_decode(struct mortar_bytes in, enum mortar_lane lane,
                                       struct frame_header *out_header)
{
    struct reader reader = reader_over(in);
    struct frame_header header = {.lane = lane};
    const struct mortar_bytes magic = get_bytes(&reader, FRAME_MAGIC_BYTES);
    header.version = get_u16(&reader);
    const uint8_t lane_number = get_u8(&reader);
    header.type = get_u8(&reader);
    header.payload_bytes = get_u32(&reader);
    const uint32_t zero = get_u32(&reader);
    header.group = get_u64(&reader);
    header.checksum = get_u64(&reader);

    if (reader.failed) return MORTAR_E_CORRUPT;
    if (memcmp(magic.data, frame_magic, sizeof frame_magic) != 0) return MORTAR_E_CORRUPT;
    if (header.version < WIRE_VERSION_MIN || header.version > WIRE_VERSION_MAX) {
        return MORTAR_E_VERSION;
    }
    if (lane_number != (uint8_t)lane || zero != 0) return MORTAR_E_CORRUPT;
    if (header.payload_bytes > frame_payload_bytes_max(lane)) return MORTAR_E_TOO_LARGE;
    *out_header = header;
    return MORTAR_OK;
}

enum mortar_status frame_open(struct mortar_bytes frame, enum mortar_lane lane,
                              struct frame_header *out_header, struct mortar_bytes *out_payload)
{
    struct frame_header header;
    const enum mortar_status status = frame_header_decode(frame, lane, &header);
    if (status != MORTAR_OK) return status;
    if (frame.bytes - FRAME_HEADER_BYTES != header.payload_bytes) return MORTAR_E_CORRUPT;
    if (frame_checksum(frame.data, header.payload_bytes) != header.checksum) {
        return MORTAR_E_CORRUPT;
    }
    *out_header = header;
    *out_payload = (struct mortar_bytes){frame.data + FRAME_HEADER_BYTES, header.payload_bytes};
    return MORTAR_OK;
}
