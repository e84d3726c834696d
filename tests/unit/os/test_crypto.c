/* unit/os/test_crypto.c - hashes and proofs against published vectors. */
#include "os/crypto.h"
#include "unit/test.h"

#include <string.h>

static struct crypto *open_crypto(void)
{
    struct crypto *crypto;
    assert_int_equal(crypto_open(NULL, &crypto), MORTAR_OK);
    return crypto;
}

static struct mortar_bytes bytes_of(const char *text)
{
    return (struct mortar_bytes){.data = (const uint8_t *)text, .bytes = strlen(text)};
}

static void check_hex(const uint8_t *bytes, size_t count, const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    assert_int_equal(strlen(hex), 2 * count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(digits[bytes[i] >> 4], hex[2 * i]);
        assert_int_equal(digits[bytes[i] & 15], hex[2 * i + 1]);
    }
}

/* FIPS 180-2, appendix B. */
static void sha256_has_its_published_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    struct crypto *crypto = open_crypto();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mortar_bytes text = bytes_of(cases[i].text);
        for (size_t cut = 0; cut <= text.bytes; cut++) {
            const struct mortar_bytes parts[] = {{text.data, cut},
                                                 {text.data + cut, text.bytes - cut}};
            uint8_t digest[CRYPTO_DIGEST_BYTES];
            assert_int_equal(crypto_sha256(crypto, parts, 2, digest), MORTAR_OK);
            check_hex(digest, sizeof digest, cases[i].digest);
        }
    }
    crypto_close(crypto);
}

static void a_running_digest_goes_on_after_a_peek(void **state)
{
    (void)state;
    struct crypto *crypto = open_crypto();
    struct crypto_sha256 running = {0};
    crypto_sha256_end(&running); /* Never begun: a no-op. */
    assert_int_equal(crypto_sha256_begin(crypto, &running), MORTAR_OK);
    assert_int_equal(crypto_sha256_update(&running, bytes_of("a")), MORTAR_OK);
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    assert_int_equal(crypto_sha256_peek(&running, digest), MORTAR_OK);
    check_hex(digest, sizeof digest,
              "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    assert_int_equal(crypto_sha256_update(&running, bytes_of("bc")), MORTAR_OK);
    assert_int_equal(crypto_sha256_peek(&running, digest), MORTAR_OK);
    check_hex(digest, sizeof digest,
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256_end(&running);
    crypto_close(crypto);
}

/* RFC 4231, test case 2. */
static void hmac_has_its_published_value(void **state)
{
    (void)state;
    struct crypto *crypto = open_crypto();
    const struct mortar_bytes parts[] = {bytes_of("what do ya want "), bytes_of("for nothing?")};
    uint8_t code[CRYPTO_DIGEST_BYTES];
    assert_int_equal(crypto_hmac_sha256(crypto, bytes_of("Jefe"), parts, 2, code), MORTAR_OK);
    check_hex(code, sizeof code,
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    crypto_close(crypto);
}

/* RFC 5869, test case 3 (no salt, no info): the salt is then a string of zeros. */
static void hkdf_has_its_published_value(void **state)
{
    (void)state;
    struct crypto *crypto = open_crypto();
    uint8_t key[22];
    memset(key, 0x0b, sizeof key);
    uint8_t out[42];
    const struct mortar_bytes no_info = {.data = NULL, .bytes = 0};
    assert_int_equal(crypto_hkdf_sha256(crypto, (struct mortar_bytes){key, sizeof key}, no_info,
                                        out, sizeof out),
                     MORTAR_OK);
    check_hex(out, sizeof out,
              "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
              "9d201395faa4b61a96c8");
    uint8_t other[42];
    assert_int_equal(crypto_hkdf_sha256(crypto, (struct mortar_bytes){key, sizeof key},
                                        bytes_of("info"), other, sizeof other),
                     MORTAR_OK);
    assert_memory_not_equal(out, other, sizeof out);
    crypto_close(crypto);
}

static void secrets_are_compared_whole_and_cleansed(void **state)
{
    (void)state;
    uint8_t a[16];
    uint8_t b[16];
    memset(a, 7, sizeof a);
    memset(b, 7, sizeof b);
    assert_true(crypto_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 1;
        assert_false(crypto_equal(a, b, sizeof a));
        b[i] ^= 1;
    }
    crypto_cleanse(a, sizeof a);
    for (size_t i = 0; i < sizeof a; i++)
        assert_int_equal(a[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_has_its_published_values),
        cmocka_unit_test(a_running_digest_goes_on_after_a_peek),
        cmocka_unit_test(hmac_has_its_published_value),
        cmocka_unit_test(hkdf_has_its_published_value),
        cmocka_unit_test(secrets_are_compared_whole_and_cleansed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
