/* unit/os/test_identity.c - the node's key and the file that keeps it. */
#define _GNU_SOURCE
#include "os/identity.h"
#include "unit/temporary.h"
#include "unit/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct home {
    char path[TEMPORARY_PATH_BYTES];
    char file[96];
    struct crypto *crypto;
    struct directory *directory;
};

static struct home home_open(void)
{
    struct home home;
    temporary_folder(home.path);
    (void)snprintf(home.file, sizeof home.file, "%s/%s", home.path, IDENTITY_FILE);
    assert_int_equal(crypto_open(NULL, &home.crypto), MORTAR_OK);
    assert_int_equal(directory_open(home.path, NULL, NULL, &home.directory), MORTAR_OK);
    return home;
}

static void home_close(struct home *home)
{
    directory_close(home->directory);
    crypto_close(home->crypto);
    (void)remove(home->file);
    char lock[96];
    (void)snprintf(lock, sizeof lock, "%s/lock", home->path);
    (void)remove(lock);
    assert_int_equal(remove(home->path), 0);
}

static struct mortar_peer_id open_once(const struct home *home)
{
    struct identity *identity;
    struct detail detail = {{0}};
    assert_int_equal(identity_open(home->crypto, home->directory, &detail, &identity), MORTAR_OK);
    const struct mortar_peer_id peer_id = identity_peer_id(identity);
    identity_close(identity);
    return peer_id;
}

static void the_key_is_made_once_and_kept(void **state)
{
    (void)state;
    struct home home = home_open();
    const struct mortar_peer_id first = open_once(&home);
    struct stat info;
    assert_int_equal(stat(home.file, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    const struct mortar_peer_id second = open_once(&home);
    assert_memory_equal(&first, &second, sizeof first);
    struct home other = home_open();
    const struct mortar_peer_id third = open_once(&other);
    assert_memory_not_equal(&first, &third, sizeof first);
    home_close(&other);
    home_close(&home);
}

static void a_key_file_that_lets_others_in_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0660, 0610, 0601, 0644, 0777};
    struct home home = home_open();
    const struct mortar_peer_id first = open_once(&home);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(home.file, modes[i]), 0);
        struct identity *identity = NULL;
        struct detail detail;
        assert_int_equal(identity_open(home.crypto, home.directory, &detail, &identity),
                         MORTAR_E_PERMISSION);
        assert_null(identity);
        assert_non_null(strstr(detail.text, IDENTITY_FILE));
        assert_non_null(strstr(detail.text, "chmod 600"));
    }
    assert_int_equal(chmod(home.file, 0600), 0);
    const struct mortar_peer_id again = open_once(&home);
    assert_memory_equal(&first, &again, sizeof first);
    home_close(&home);
}

static void a_damaged_key_file_is_refused_and_never_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *content;
    } cases[] = {
        {"empty", ""},
        {"no PEM", "hello\n"},
        {"cut short", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n"},
        {"no key in it", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        {"encrypted", /* Of a key made for this test; must not ask for a password. */
         "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
         "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhSTUCybGr4+QICCAAw\n"
         "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECxkBGH8sgqQz1f0Vk9OTnEEQEmi\n"
         "cMhZ4H0lpFj/5/0b3rhbhVoqe7RyEvA3EMfhYM2FIEsS+SQhnjZqpOYo0a+Hy2yJ\n"
         "swaFo6pvf+LvM0GG8Fo=\n"
         "-----END ENCRYPTED PRIVATE KEY-----\n"},
        {"another kind of key (X25519)",
         "-----BEGIN PRIVATE KEY-----\n"
         "MC4CAQAwBQYDK2VuBCIEIEC5WmeQ6Sc6uBei8tTjBzz2s9BfXoH2lJdtHNMkhp5Z\n"
         "-----END PRIVATE KEY-----\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct home home = home_open();
        const struct mortar_bytes content = {.data = (const uint8_t *)cases[i].content,
                                             .bytes = strlen(cases[i].content)};
        assert_int_equal(directory_write(home.directory, IDENTITY_FILE, content, NULL), MORTAR_OK);
        struct identity *identity = NULL;
        struct detail detail;
        assert_int_equal(identity_open(home.crypto, home.directory, &detail, &identity),
                         MORTAR_E_CORRUPT);
        assert_null(identity);
        assert_non_null(strstr(detail.text, IDENTITY_FILE));
        uint8_t kept[1024];
        size_t bytes;
        assert_int_equal(
            directory_read(home.directory, IDENTITY_FILE, kept, sizeof kept, NULL, &bytes),
            MORTAR_OK);
        assert_int_equal(bytes, content.bytes);
        home_close(&home);
    }
}

static void a_known_key_has_its_known_public_half(void **state)
{
    (void)state;
    /* RFC 8032 7.1, test 1, in the PKCS#8 form of RFC 8410. */
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                              "-----END PRIVATE KEY-----\n";
    static const uint8_t expected[32] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                         0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                         0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                         0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
    struct home home = home_open();
    const struct mortar_bytes content = {.data = (const uint8_t *)pem, .bytes = sizeof pem - 1};
    assert_int_equal(directory_write(home.directory, IDENTITY_FILE, content, NULL), MORTAR_OK);
    const struct mortar_peer_id peer_id = open_once(&home);
    assert_memory_equal(peer_id.bytes, expected, sizeof expected);
    home_close(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_made_once_and_kept),
        cmocka_unit_test(a_key_file_that_lets_others_in_is_refused),
        cmocka_unit_test(a_damaged_key_file_is_refused_and_never_replaced),
        cmocka_unit_test(a_known_key_has_its_known_public_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
