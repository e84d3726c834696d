#include "node/assembler.h"

#include "base/assert.h"

#define LANE_OFFSET 6u /* Of a frame's header (wire/frame.h). */

void assembler_init(struct assembler *assembler, const struct mortar_allocator *allocator,
                    uint64_t group_tag)
{
    *assembler = (struct assembler){.allocator = allocator, .group_tag = group_tag};
}

void assembler_deinit(struct assembler *assembler)
{
    mortar_buffer_release(assembler->frame);
    assembler->frame = NULL;
}

void assembler_space(struct assembler *assembler, uint8_t **out_data, size_t *out_capacity)
{
    if (assembler->frame == NULL) {
        *out_data = assembler->header + assembler->bytes;
        *out_capacity = FRAME_HEADER_BYTES - assembler->bytes;
    } else {
        *out_data = mortar_buffer_data(assembler->frame) + assembler->bytes;
        *out_capacity = mortar_buffer_capacity(assembler->frame) - assembler->bytes;
    }
    ASSERT(*out_capacity > 0);
}

/* Whether a frame with this header may come now. */
static enum mortar_status check_header(const struct assembler *assembler,
                                       const struct frame_header *header)
{
    const bool is_bond = header->type >= BOND_HELLO;
    if (!assembler->proved && !is_bond) return MORTAR_E_CORRUPT;
    if (is_bond && header->payload_bytes > ASSEMBLER_UNPROVED_BYTES_MAX) return MORTAR_E_TOO_LARGE;
    if (header->group != (is_bond ? 0 : assembler->group_tag)) return MORTAR_E_GROUP;
    return MORTAR_OK;
}

static enum mortar_status on_header(struct assembler *assembler)
{
    const struct mortar_bytes bytes = {assembler->header, FRAME_HEADER_BYTES};
    if (!assembler->lane_known) {
        if (assembler->header[LANE_OFFSET] > MORTAR_LANE_BULK) return MORTAR_E_CORRUPT;
        assembler->lane = (enum mortar_lane)assembler->header[LANE_OFFSET];
        assembler->lane_known = true;
    }
    struct frame_header header;
    enum mortar_status status = frame_header_decode(bytes, assembler->lane, &header);
    if (status == MORTAR_OK) status = check_header(assembler, &header);
    if (status != MORTAR_OK) return status;
    const size_t frame_bytes = (size_t)FRAME_HEADER_BYTES + header.payload_bytes;
    assembler->frame = mortar_buffer_new(assembler->allocator, frame_bytes);
    if (assembler->frame == NULL) return MORTAR_E_NO_MEMORY;
    memcpy(mortar_buffer_data(assembler->frame), assembler->header, FRAME_HEADER_BYTES);
    mortar_buffer_set_bytes(assembler->frame, frame_bytes);
    return MORTAR_OK;
}

enum mortar_status assembler_took(struct assembler *assembler, size_t bytes,
                                  struct mortar_buffer **out_frame)
{
    assembler->bytes += bytes;
    if (assembler->frame == NULL && assembler->bytes == FRAME_HEADER_BYTES) {
        const enum mortar_status status = on_header(assembler);
        if (status != MORTAR_OK) return status;
    }
    struct mortar_buffer *whole = NULL;
    if (assembler->frame != NULL) {
        const size_t frame_bytes = mortar_buffer_capacity(assembler->frame);
        ASSERT(assembler->bytes <= frame_bytes);
        if (assembler->bytes == frame_bytes) {
            whole = assembler->frame;
            assembler->frame = NULL;
            assembler->bytes = 0;
        }
    }
    *out_frame = whole;
    return MORTAR_OK;
}
