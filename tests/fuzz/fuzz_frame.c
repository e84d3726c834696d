/* Frames. First byte: bit 0 the lane, bit 1 whether to seal the rest first, so that the fuzzer gets
 * past the checksum. What opens is sealed again to the same bytes. */
#include "fuzz/law.h"
#include "wire/frame.h"

#include <stdlib.h>

static void try_frame(uint8_t *data, size_t size, enum mortar_lane lane, bool must_open)
{
    struct frame_header header;
    struct mortar_bytes payload;
    const enum mortar_status status =
        frame_open((struct mortar_bytes){data, size}, lane, &header, &payload);
    if (status != MORTAR_OK) {
        law(!must_open);
        law(status == MORTAR_E_CORRUPT || status == MORTAR_E_VERSION ||
            status == MORTAR_E_TOO_LARGE);
        return;
    }
    law(payload.data == data + FRAME_HEADER_BYTES);
    law(payload.bytes == size - FRAME_HEADER_BYTES);
    uint8_t before[FRAME_HEADER_BYTES];
    memcpy(before, data, sizeof before);
    frame_seal(data, header.version, header.lane, header.type, header.group, header.payload_bytes);
    law(memcmp(before, data, sizeof before) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MORTAR_CONTROL_FRAME_BYTES_MAX) return 0;
    const enum mortar_lane lane = (data[0] & 1) != 0 ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
    const bool seal = (data[0] & 2) != 0 && size - 1 >= FRAME_HEADER_BYTES;
    uint8_t *const frame = malloc(size); /* Of the exact size, so that ASan sees one byte more. */
    law(frame != NULL);
    memcpy(frame, data + 1, size - 1);
    if (seal) {
        uint64_t group;
        memcpy(&group, frame + 16, sizeof group);
        frame_seal(frame, WIRE_VERSION_MIN, lane, frame[7], group,
                   (uint32_t)(size - 1 - FRAME_HEADER_BYTES));
    }
    try_frame(frame, size - 1, lane, seal);
    free(frame);
    return 0;
}
