/* The key file: what is written is read back, and nothing else is taken for one. */
#include "mortar/node.h"
#include "node/key_file.h"
#include "unit/temporary.h"
#include "unit/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define H64   "00112233445566778899aabbccddeeff00112233445566778899aabbccddee0f"
#define SOUND "mortar key 1\nbirth " H64 "\naccess 7 " H64 "\n"

static enum mortar_status parse(const char *text, struct key_file *out_key)
{
    return key_file_parse((struct mortar_bytes){(const uint8_t *)text, strlen(text)}, out_key);
}

static struct key_file sample(uint32_t count)
{
    struct key_file key = {.key_count = count};
    for (size_t i = 0; i < sizeof key.birth_hash; i++)
        key.birth_hash[i] = (uint8_t)(i * 7);
    for (uint32_t i = 0; i < count; i++) {
        key.keys[i].generation = UINT32_MAX - i;
        memset(key.keys[i].bytes, (int)(200 + i), sizeof key.keys[i].bytes);
    }
    return key;
}

static void what_is_formatted_parses_to_the_same(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= BOND_KEYS_MAX; count++) {
        const struct key_file key = sample(count);
        struct key_file back;
        char text[KEY_FILE_BYTES_MAX];
        const size_t bytes = key_file_format(&key, text);
        memset(&back, 0xee, sizeof back);
        assert_int_equal(key_file_parse((struct mortar_bytes){(uint8_t *)text, bytes}, &back),
                         MORTAR_OK);
        assert_int_equal(back.key_count, count);
        assert_memory_equal(back.birth_hash, key.birth_hash, sizeof key.birth_hash);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(back.keys[i].generation, key.keys[i].generation);
            assert_memory_equal(back.keys[i].bytes, key.keys[i].bytes, BOND_KEY_BYTES);
        }
    }
}

static void no_prefix_of_a_key_file_is_one(void **state)
{
    (void)state;
    const struct key_file key = sample(1);
    char text[KEY_FILE_BYTES_MAX];
    const size_t bytes = key_file_format(&key, text);
    for (size_t cut = 0; cut < bytes; cut++) {
        struct key_file out = {.key_count = 77};
        assert_int_equal(key_file_parse((struct mortar_bytes){(uint8_t *)text, cut}, &out),
                         MORTAR_E_CORRUPT);
        assert_int_equal(out.key_count, 77); /* Untouched. */
    }
}

static void a_text_that_breaks_a_rule_is_corrupt(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "mortar key 2\nbirth " H64 "\naccess 7 " H64 "\n",
        "mortar key 1\r\nbirth " H64 "\naccess 7 " H64 "\n",
        "mortar key 1\nbirth  " H64 "\naccess 7 " H64 "\n",
        "mortar key 1\nbirth " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess 0 " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess 07 " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess -7 " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess 4294967296 " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess  " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess 7 " H64 "\naccess 7 " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess 6 " H64 "\naccess 7 " H64 "\n",
        "mortar key 1\nbirth G" H64 "\naccess 7 " H64 "\n",
        "mortar key 1\nbirth " H64 "\naccess 7 A" H64 "\n",
        SOUND "\n",
        SOUND "access 5 " H64 "\naccess 4 " H64 "\naccess 3 " H64 "\naccess 2 " H64 "\n",
    };
    struct key_file out;
    assert_int_equal(parse(SOUND, &out), MORTAR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  case %zu\n", i);
        assert_int_equal(parse(cases[i], &out), MORTAR_E_CORRUPT);
    }
}

struct place {
    char folder[TEMPORARY_PATH_BYTES];
    char path[96];
};

static struct place place_new(void)
{
    struct place place;
    temporary_folder(place.folder);
    (void)snprintf(place.path, sizeof place.path, "%s/group.key", place.folder);
    return place;
}

static void place_end(const struct place *place)
{
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static void a_generated_file_is_private_sound_and_never_overwritten(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct key_file first;
    struct key_file again;
    struct detail detail;
    struct stat found;
    assert_int_equal(mortar_key_generate(place.path), MORTAR_OK);
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    assert_int_equal(key_file_read(place.path, &detail, &first), MORTAR_OK);
    assert_int_equal(first.key_count, 1);
    assert_int_equal(mortar_key_generate(place.path), MORTAR_E_EXISTS);
    assert_int_equal(key_file_read(place.path, &detail, &again), MORTAR_OK);
    assert_memory_equal(&first, &again, sizeof first);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(mortar_key_generate(place.path), MORTAR_OK);
    assert_int_equal(key_file_read(place.path, &detail, &again), MORTAR_OK);
    assert_memory_not_equal(first.birth_hash, again.birth_hash, sizeof first.birth_hash);
    assert_memory_not_equal(first.keys[0].bytes, again.keys[0].bytes, BOND_KEY_BYTES);
    place_end(&place);
}

static void a_file_that_cannot_be_trusted_is_refused_by_name(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct key_file key;
    struct detail detail;
    assert_int_equal(key_file_read(place.path, &detail, &key), MORTAR_E_NOT_FOUND);
    assert_non_null(strstr(detail.text, place.path));
    assert_int_equal(mortar_key_generate(place.path), MORTAR_OK);
    assert_int_equal(chmod(place.path, 0640), 0);
    assert_int_equal(key_file_read(place.path, &detail, &key), MORTAR_E_PERMISSION);
    assert_non_null(strstr(detail.text, place.path));
    assert_int_equal(chmod(place.path, 0600), 0);
    assert_int_equal(truncate(place.path, 100), 0);
    assert_int_equal(key_file_read(place.path, &detail, &key), MORTAR_E_CORRUPT);
    assert_int_equal(truncate(place.path, 100000), 0);
    assert_int_equal(key_file_read(place.path, &detail, &key), MORTAR_E_CORRUPT);
    assert_int_equal(key_file_read(place.folder, &detail, &key), MORTAR_E_CORRUPT);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(mkfifo(place.path, 0600), 0);
    assert_int_equal(key_file_read(place.path, &detail, &key), MORTAR_E_CORRUPT);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_formatted_parses_to_the_same),
        cmocka_unit_test(no_prefix_of_a_key_file_is_one),
        cmocka_unit_test(a_text_that_breaks_a_rule_is_corrupt),
        cmocka_unit_test(a_generated_file_is_private_sound_and_never_overwritten),
        cmocka_unit_test(a_file_that_cannot_be_trusted_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
