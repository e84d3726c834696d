/* unit/os/test_directory.c - the node's directory, on a real file system. */
#define _GNU_SOURCE
#include "os/directory.h"
#include "unit/temporary.h"
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    char root[TEMPORARY_PATH_BYTES];
    char path[80];
};

static struct place place_new(void)
{
    struct place place;
    temporary_folder(place.root);
    (void)snprintf(place.path, sizeof place.path, "%s/node", place.root);
    return place;
}

static void place_remove(const struct place *place)
{
    static const char *const names[] = {"lock", "note", "note.tmp", "link", "folder", "fifo"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", place->path, names[i]);
        (void)remove(path);
    }
    (void)remove(place->path);
    assert_int_equal(remove(place->root), 0);
}

static struct directory *open_good(const struct place *place)
{
    struct directory *directory;
    struct detail detail = {{0}};
    assert_int_equal(directory_open(place->path, NULL, &detail, &directory), MORTAR_OK);
    return directory;
}

static struct mortar_bytes bytes_of(const char *text)
{
    return (struct mortar_bytes){.data = (const uint8_t *)text, .bytes = strlen(text)};
}

static void a_missing_directory_is_made_for_its_owner_only(void **state)
{
    (void)state;
    const struct place place = place_new();
    directory_close(open_good(&place));
    struct stat info;
    assert_int_equal(stat(place.path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    place_remove(&place);
}

static void a_directory_in_use_is_refused_with_the_owners_process(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct directory *first = open_good(&place);
    struct directory *second = NULL;
    struct detail detail;
    assert_int_equal(directory_open(place.path, NULL, &detail, &second), MORTAR_E_LOCKED);
    assert_null(second);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "in use by process %ld", (long)getpid());
    assert_non_null(strstr(detail.text, expected));

    const pid_t child = fork(); /* Another process is refused as well. */
    if (child == 0)
        _exit(directory_open(place.path, NULL, NULL, &second) == MORTAR_E_LOCKED ? 0 : 1);
    int exit_status = 1;
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);

    directory_close(first);
    directory_close(open_good(&place));
    place_remove(&place);
}

static void a_directory_that_others_may_write_to_is_refused(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        enum mortar_status status;
    } cases[] = {
        {0700, MORTAR_OK},
        {0755, MORTAR_OK},
        {0770, MORTAR_E_PERMISSION},
        {0702, MORTAR_E_PERMISSION},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct place place = place_new();
        assert_int_equal(mkdir(place.path, 0700), 0);
        assert_int_equal(chmod(place.path, cases[i].mode), 0);
        struct directory *directory = NULL;
        struct detail detail;
        assert_int_equal(directory_open(place.path, NULL, &detail, &directory), cases[i].status);
        directory_close(directory);
        place_remove(&place);
    }
}

static void a_path_that_is_no_directory_is_refused(void **state)
{
    (void)state;
    const struct place place = place_new();
    const int fd = open(place.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    struct directory *directory = NULL;
    struct detail detail;
    assert_int_equal(directory_open(place.path, NULL, &detail, &directory), MORTAR_E_INVALID);
    assert_int_equal(directory_open("", NULL, &detail, &directory), MORTAR_E_INVALID);
    assert_int_equal(directory_open("/nonexistent/a/b", NULL, &detail, &directory),
                     MORTAR_E_NOT_FOUND);
    assert_null(directory);
    place_remove(&place);
}

static void what_is_written_is_read_back_and_replaced_whole(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct directory *directory = open_good(&place);
    static const char *const texts[] = {"first", "", "a longer second text", "x"};
    struct detail detail;
    uint8_t out[32];
    size_t bytes = 99;
    assert_int_equal(directory_read(directory, "note", out, sizeof out, &detail, &bytes),
                     MORTAR_E_NOT_FOUND);
    assert_int_equal(bytes, 99);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(directory_write(directory, "note", bytes_of(texts[i]), &detail),
                         MORTAR_OK);
        assert_int_equal(directory_read_secret(directory, "note", out, sizeof out, &detail, &bytes),
                         MORTAR_OK);
        assert_int_equal(bytes, strlen(texts[i]));
        assert_memory_equal(out, texts[i], bytes);
    }
    assert_int_equal(directory_remove(directory, "note", &detail), MORTAR_OK);
    assert_int_equal(directory_remove(directory, "note", &detail), MORTAR_E_NOT_FOUND);
    directory_close(directory);
    place_remove(&place);
}

static void a_read_is_bounded_by_its_space(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct directory *directory = open_good(&place);
    uint8_t out[8];
    size_t bytes = 0;
    struct detail detail;
    assert_int_equal(directory_write(directory, "note", bytes_of("12345678"), &detail), MORTAR_OK);
    assert_int_equal(directory_read(directory, "note", out, 8, &detail, &bytes), MORTAR_OK);
    assert_int_equal(bytes, 8);
    assert_int_equal(directory_read(directory, "note", out, 7, &detail, &bytes),
                     MORTAR_E_TOO_LARGE);
    directory_close(directory);
    place_remove(&place);
}

static void only_regular_files_are_read(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct directory *directory = open_good(&place);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/link", place.path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    (void)snprintf(path, sizeof path, "%s/folder", place.path);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/fifo", place.path);
    assert_int_equal(mkfifo(path, 0600), 0);
    uint8_t out[8];
    size_t bytes;
    struct detail detail;
    assert_int_equal(directory_read(directory, "link", out, sizeof out, &detail, &bytes),
                     MORTAR_E_PERMISSION);
    assert_int_equal(directory_read(directory, "folder", out, sizeof out, &detail, &bytes),
                     MORTAR_E_CORRUPT);
    assert_int_equal(directory_read(directory, "fifo", out, sizeof out, &detail, &bytes),
                     MORTAR_E_CORRUPT); /* And does not hang. */
    directory_close(directory);
    place_remove(&place);
}

static void a_write_that_was_cut_short_leaves_the_old_file(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct directory *directory = open_good(&place);
    struct detail detail;
    assert_int_equal(directory_write(directory, "note", bytes_of("old"), &detail), MORTAR_OK);
    char path[128]; /* What a crash in the middle leaves. */
    (void)snprintf(path, sizeof path, "%s/note.tmp", place.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "half a ne");
    (void)fclose(file);
    uint8_t out[8];
    size_t bytes;
    assert_int_equal(directory_read(directory, "note", out, sizeof out, &detail, &bytes),
                     MORTAR_OK);
    assert_memory_equal(out, "old", 3);
    assert_int_equal(directory_write(directory, "note", bytes_of("new"), &detail), MORTAR_OK);
    assert_int_equal(directory_read(directory, "note", out, sizeof out, &detail, &bytes),
                     MORTAR_OK);
    assert_int_equal(bytes, 3);
    assert_memory_equal(out, "new", 3);
    assert_int_equal(access(path, F_OK), -1);
    directory_close(directory);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_directory_is_made_for_its_owner_only),
        cmocka_unit_test(a_directory_in_use_is_refused_with_the_owners_process),
        cmocka_unit_test(a_directory_that_others_may_write_to_is_refused),
        cmocka_unit_test(a_path_that_is_no_directory_is_refused),
        cmocka_unit_test(what_is_written_is_read_back_and_replaced_whole),
        cmocka_unit_test(a_read_is_bounded_by_its_space),
        cmocka_unit_test(only_regular_files_are_read),
        cmocka_unit_test(a_write_that_was_cut_short_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
