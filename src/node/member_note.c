/* node/member_note.c - the note of 96 bytes:
 *
 *  offset  size  field
 *       0    16  "mortar member 1", with its closing zero
 *      16    32  group id
 *      48    48  member id, not all zero
 *
 * Nothing follows. A flipped bit in an id gives one that stands in no configuration: nobody is
 * replaced then.
 */
#include "node/member_note.h"

#include "base/assert.h"
#include "wire/fields.h"

static const char magic[16] = "mortar member 1";

_Static_assert(sizeof magic + sizeof(struct member_note) == MEMBER_NOTE_BYTES,
               "the note is its magic and two ids");

enum mortar_status member_note_decode(struct mortar_bytes bytes, struct member_note *out_note)
{
    struct reader in = reader_over(bytes);
    struct member_note note;
    char start[sizeof magic];
    get_copy(&in, start, sizeof start);
    get_copy(&in, note.group.bytes, sizeof note.group.bytes);
    get_member_id(&in, &note.member);
    if (!reader_done(&in) || memcmp(start, magic, sizeof magic) != 0) return MORTAR_E_CORRUPT;
    if (mortar_member_id_is_none(&note.member)) return MORTAR_E_CORRUPT;
    *out_note = note;
    return MORTAR_OK;
}

void member_note_encode(const struct member_note *note, uint8_t out[MEMBER_NOTE_BYTES])
{
    ASSERT(!mortar_member_id_is_none(&note->member));
    struct writer writer = writer_over(out, MEMBER_NOTE_BYTES);
    put_copy(&writer, magic, sizeof magic);
    put_copy(&writer, note->group.bytes, sizeof note->group.bytes);
    put_member_id(&writer, &note->member);
    ASSERT(!writer.failed && writer.bytes == MEMBER_NOTE_BYTES);
}

enum mortar_status member_note_read(struct directory *directory, struct detail *detail,
                                    struct member_note *out_note)
{
    uint8_t bytes[MEMBER_NOTE_BYTES];
    size_t count = 0;
    enum mortar_status status =
        directory_read_secret(directory, MEMBER_NOTE_FILE, bytes, sizeof bytes, detail, &count);
    if (status == MORTAR_E_TOO_LARGE) status = MORTAR_E_CORRUPT;
    if (status == MORTAR_OK) {
        status = member_note_decode((struct mortar_bytes){bytes, count}, out_note);
    }
    if (status == MORTAR_E_CORRUPT) {
        detail_set(detail, "%s/%s is no note of a member", directory_path(directory),
                   MEMBER_NOTE_FILE);
    }
    return status;
}

enum mortar_status member_note_write(struct directory *directory, const struct member_note *note,
                                     struct detail *detail)
{
    uint8_t bytes[MEMBER_NOTE_BYTES];
    member_note_encode(note, bytes);
    return directory_write(directory, MEMBER_NOTE_FILE, (struct mortar_bytes){bytes, sizeof bytes},
                           detail);
}
