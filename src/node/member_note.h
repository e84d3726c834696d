/* node/member_note.h - which member a directory held last, so that its next one can name it.
 *
 * Over the in-memory log a process that ends loses its log, and comes back as a new member. The
 * note lets that one take the place of the other (docs/internals/raft.md, membership 6). It is a
 * hint and no proof: the leader replaces nobody that it hears.
 *
 * Memory:  plain values.
 * Threads: as os/directory.h: one at a time per directory; reading and writing block on the disk.
 * Errors:  by name at each call.
 */
#ifndef NODE_MEMBER_NOTE_H
#define NODE_MEMBER_NOTE_H

#include "mortar/types.h"
#include "os/detail.h"
#include "os/directory.h"

#define MEMBER_NOTE_FILE  "member"
#define MEMBER_NOTE_BYTES 96u

struct member_note {
    struct mortar_group_id group;
    struct mortar_member_id member;
};

/* Any bytes may come. MORTAR_E_CORRUPT: they are no note. */
MORTAR_NODISCARD enum mortar_status member_note_decode(struct mortar_bytes bytes,
                                                       struct member_note *out_note);
void member_note_encode(const struct member_note *note, uint8_t out[MEMBER_NOTE_BYTES]);

/*   MORTAR_E_NOT_FOUND   there is none.
 *   MORTAR_E_PERMISSION  it belongs to somebody else, or others have any right to it.
 *   MORTAR_E_CORRUPT     it is no note.
 *   MORTAR_E_IO */
MORTAR_NODISCARD enum mortar_status
member_note_read(struct directory *directory, struct detail *detail, struct member_note *out_note);
/* Replaces it as a whole; durable after MORTAR_OK. Errors: directory_write(). */
MORTAR_NODISCARD enum mortar_status member_note_write(struct directory *directory,
                                                      const struct member_note *note,
                                                      struct detail *detail);

#endif
