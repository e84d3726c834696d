/* The note of the member that a directory held: read back as written, and nothing else is taken. */
#include "node/member_note.h"
#include "unit/temporary.h"
#include "unit/test.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct member_note sample(void)
{
    struct member_note note;
    memset(&note.group, 0x11, sizeof note.group);
    memset(&note.member.peer, 0x22, sizeof note.member.peer);
    memset(note.member.store, 0x33, sizeof note.member.store);
    return note;
}

static enum mortar_status decode(const uint8_t *bytes, size_t count)
{
    struct member_note note;
    return member_note_decode((struct mortar_bytes){bytes, count}, &note);
}

static void only_the_whole_note_is_one(void **state)
{
    (void)state;
    const struct member_note note = sample();
    uint8_t bytes[MEMBER_NOTE_BYTES + 1] = {0};
    struct member_note back;
    member_note_encode(&note, bytes);
    assert_int_equal(member_note_decode((struct mortar_bytes){bytes, MEMBER_NOTE_BYTES}, &back),
                     MORTAR_OK);
    assert_memory_equal(&back, &note, sizeof note);
    for (size_t cut = 0; cut < MEMBER_NOTE_BYTES; cut++)
        assert_int_equal(decode(bytes, cut), MORTAR_E_CORRUPT);
    assert_int_equal(decode(bytes, MEMBER_NOTE_BYTES + 1), MORTAR_E_CORRUPT);
    for (size_t place = 0; place < 16; place++) {
        bytes[place] ^= 1;
        assert_int_equal(decode(bytes, MEMBER_NOTE_BYTES), MORTAR_E_CORRUPT);
        bytes[place] ^= 1;
    }
    memset(bytes + 48, 0, 48);
    assert_int_equal(decode(bytes, MEMBER_NOTE_BYTES), MORTAR_E_CORRUPT);
}

struct place {
    char folder[TEMPORARY_PATH_BYTES];
    char file[TEMPORARY_PATH_BYTES + 16];
    struct directory *directory;
};

static void place_begin(struct place *place)
{
    struct detail detail;
    temporary_folder(place->folder);
    (void)snprintf(place->file, sizeof place->file, "%s/%s", place->folder, MEMBER_NOTE_FILE);
    assert_int_equal(directory_open(place->folder, NULL, &detail, &place->directory), MORTAR_OK);
}

static void place_end(struct place *place)
{
    char lock[TEMPORARY_PATH_BYTES + 16];
    directory_close(place->directory);
    (void)snprintf(lock, sizeof lock, "%s/lock", place->folder);
    (void)unlink(place->file);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(place->folder), 0);
}

static void a_file_that_cannot_be_trusted_is_refused_by_name(void **state)
{
    (void)state;
    struct place place;
    struct detail detail;
    struct stat found;
    struct member_note back;
    const struct member_note note = sample();
    place_begin(&place);
    assert_int_equal(member_note_read(place.directory, &detail, &back), MORTAR_E_NOT_FOUND);
    assert_int_equal(member_note_write(place.directory, &note, &detail), MORTAR_OK);
    assert_int_equal(stat(place.file, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    assert_int_equal(member_note_read(place.directory, &detail, &back), MORTAR_OK);
    assert_memory_equal(&back, &note, sizeof note);
    assert_int_equal(chmod(place.file, 0640), 0);
    assert_int_equal(member_note_read(place.directory, &detail, &back), MORTAR_E_PERMISSION);
    assert_int_equal(chmod(place.file, 0600), 0);
    assert_int_equal(truncate(place.file, MEMBER_NOTE_BYTES + 1), 0);
    assert_int_equal(member_note_read(place.directory, &detail, &back), MORTAR_E_CORRUPT);
    assert_int_equal(truncate(place.file, MEMBER_NOTE_BYTES - 1), 0);
    assert_int_equal(member_note_read(place.directory, &detail, &back), MORTAR_E_CORRUPT);
    assert_non_null(strstr(detail.text, place.file));
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_whole_note_is_one),
        cmocka_unit_test(a_file_that_cannot_be_trusted_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
