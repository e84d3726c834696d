/* node/assembler.h - cuts a stream of bytes into frames, each in a shared buffer of its own.
 *
 * The stream asks where to put its next bytes: first a header's 32 bytes, then, once the header has
 * been found sound and its length within the bound, the payload's place in the frame itself, so
 * that no byte is copied twice. Checks the header only; the checksum is for whoever takes the
 * frame.
 *
 * Memory:  one mortar_buffer per frame, reserved after its header was checked. An unproved peer can
 *          make it reserve ASSEMBLER_UNPROVED_BYTES_MAX at most.
 * Threads: one at a time.
 * Errors:  MORTAR_E_CORRUPT, MORTAR_E_TOO_LARGE, MORTAR_E_VERSION, MORTAR_E_GROUP,
 *          MORTAR_E_NO_MEMORY. After one the stream is of no more use.
 */
#ifndef NODE_ASSEMBLER_H
#define NODE_ASSEMBLER_H

#include "mortar/types.h"
#include "wire/bond.h"
#include "wire/frame.h"

/* The longest payload of a handshake. */
#define ASSEMBLER_UNPROVED_BYTES_MAX BOND_MEMBERS_BYTES_MAX

struct assembler {
    const struct mortar_allocator *allocator;
    bool lane_known; /* An accepting side learns the lane from the first header. */
    bool proved;     /* Frames of the group may come, of any length that the lane allows. */
    enum mortar_lane lane;
    uint64_t group_tag;
    uint8_t header[FRAME_HEADER_BYTES];
    size_t bytes;                /* Of the frame so far, header included. */
    struct mortar_buffer *frame; /* NULL while the header is incomplete. */
};

/* Keeps `allocator`. */
void assembler_init(struct assembler *assembler, const struct mortar_allocator *allocator,
                    uint64_t group_tag);
/* Drops a frame that is incomplete. */
void assembler_deinit(struct assembler *assembler);

/* Where the next bytes go; never empty. */
void assembler_space(struct assembler *assembler, uint8_t **out_data, size_t *out_capacity);

/* `bytes` were put there. `out_frame` gets a whole frame, which the caller owns, or NULL. */
MORTAR_NODISCARD enum mortar_status assembler_took(struct assembler *assembler, size_t bytes,
                                                   struct mortar_buffer **out_frame);

/* The type of a whole frame. */
static inline uint8_t assembler_frame_type(struct mortar_buffer *frame)
{
    return mortar_buffer_data(frame)[7];
}

#endif
