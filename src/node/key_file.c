/* node/key_file.c - the file with a group's secrets. The format stands in key_file.h. */
#include "node/key_file.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "mortar/node.h"
#include "os/crypto.h"
#include "os/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic_line[] = "mortar key 1\n";
static const char hex_digits[] = "0123456789abcdef";

/* The longest file: magic, "birth " and "access 4294967295 ", hex digits and newlines. */
_Static_assert(sizeof magic_line + 6 + 65 + (size_t)BOND_KEYS_MAX * (18 + 65) <= KEY_FILE_BYTES_MAX,
               "a key file with all its keys fits");

/* Takes `word` from the front; a failure is remembered by the reader. */
static void take_word(struct reader *in, const char *word, size_t bytes)
{
    const struct mortar_bytes taken = get_bytes(in, bytes);
    if (!in->failed && memcmp(taken.data, word, bytes) != 0) in->failed = true;
}

/* 0..15, or 16 for what is no lower-case hex digit. */
static unsigned hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') return digit - (unsigned)'0';
    if (digit >= 'a' && digit <= 'f') return digit - (unsigned)'a' + 10u;
    return 16u;
}

static void take_hex(struct reader *in, uint8_t *out, size_t bytes)
{
    const struct mortar_bytes text = get_bytes(in, 2 * bytes);
    if (in->failed) return;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned high = hex_value(text.data[2 * i]);
        const unsigned low = hex_value(text.data[2 * i + 1]);
        if (high > 15 || low > 15) {
            in->failed = true;
            return;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
}

/* A decimal number and the blank behind it. */
static uint32_t take_generation(struct reader *in)
{
    uint64_t value = 0;
    for (unsigned digits = 0; digits < 11; digits++) {
        const uint8_t digit = get_u8(in);
        if (in->failed) return 0;
        if (digit == ' ' && digits > 0 && value <= UINT32_MAX) return (uint32_t)value;
        if (digit < '0' || digit > '9' || (digits == 0 && digit == '0')) break;
        value = value * 10 + (digit - (unsigned)'0');
    }
    in->failed = true;
    return 0;
}

enum mortar_status key_file_parse(struct mortar_bytes text, struct key_file *out_key)
{
    if (text.bytes > KEY_FILE_BYTES_MAX) return MORTAR_E_CORRUPT;
    struct reader in = reader_over(text);
    struct key_file key = {.key_count = 0};
    take_word(&in, magic_line, sizeof magic_line - 1);
    take_word(&in, "birth ", 6);
    take_hex(&in, key.birth_hash, sizeof key.birth_hash);
    take_word(&in, "\n", 1);
    while (!in.failed && in.bytes > 0 && key.key_count < BOND_KEYS_MAX) {
        struct bond_key *const next = &key.keys[key.key_count];
        take_word(&in, "access ", 7);
        next->generation = take_generation(&in);
        take_hex(&in, next->bytes, sizeof next->bytes);
        take_word(&in, "\n", 1);
        if (key.key_count > 0 && next->generation >= next[-1].generation) in.failed = true;
        key.key_count++;
    }
    const bool sound = reader_done(&in) && key.key_count > 0;
    if (sound) *out_key = key;
    crypto_cleanse(&key, sizeof key);
    return sound ? MORTAR_OK : MORTAR_E_CORRUPT;
}

static void put_hex(struct writer *out, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_u8(out, (uint8_t)hex_digits[bytes[i] >> 4]);
        put_u8(out, (uint8_t)hex_digits[bytes[i] & 15]);
    }
}

static void put_number(struct writer *out, uint32_t number)
{
    uint8_t digits[10];
    size_t first = sizeof digits;
    do {
        digits[--first] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_copy(out, digits + first, sizeof digits - first);
}

size_t key_file_format(const struct key_file *key, char *out)
{
    ASSERT(key->key_count >= 1 && key->key_count <= BOND_KEYS_MAX);
    struct writer text = writer_over(out, KEY_FILE_BYTES_MAX);
    put_copy(&text, magic_line, sizeof magic_line - 1);
    put_copy(&text, "birth ", 6);
    put_hex(&text, key->birth_hash, sizeof key->birth_hash);
    put_copy(&text, "\n", 1);
    for (uint32_t i = 0; i < key->key_count; i++) {
        put_copy(&text, "access ", 7);
        put_number(&text, key->keys[i].generation);
        put_copy(&text, " ", 1);
        put_hex(&text, key->keys[i].bytes, sizeof key->keys[i].bytes);
        put_copy(&text, "\n", 1);
    }
    ASSERT(!text.failed);
    return text.bytes;
}

static enum mortar_status errno_status(int number)
{
    if (number == ENOENT) return MORTAR_E_NOT_FOUND;
    if (number == EACCES || number == EPERM || number == EROFS) return MORTAR_E_PERMISSION;
    if (number == EEXIST) return MORTAR_E_EXISTS;
    return MORTAR_E_IO;
}

/* Whether the open file may hold a secret of ours. */
static enum mortar_status check_secret(int file, const char *path, struct detail *detail)
{
    struct stat found;
    if (fstat(file, &found) != 0) {
        detail_set_errno(detail, errno, "%s", path);
        return MORTAR_E_IO;
    }
    if (!S_ISREG(found.st_mode)) {
        detail_set(detail, "%s is not a regular file", path);
        return MORTAR_E_CORRUPT;
    }
    if (found.st_uid != geteuid() || (found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        detail_set(detail, "%s must belong to this user, with mode 0600", path);
        return MORTAR_E_PERMISSION;
    }
    return MORTAR_OK;
}

/* Reads up to `capacity` bytes; a longer file gives exactly `capacity`. */
static enum mortar_status read_all(int file, uint8_t *out, size_t capacity, size_t *out_bytes)
{
    size_t bytes = 0;
    while (bytes < capacity) {
        const ssize_t got = read(file, out + bytes, capacity - bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return MORTAR_E_IO;
        if (got == 0) break;
        bytes += (size_t)got;
    }
    *out_bytes = bytes;
    return MORTAR_OK;
}

enum mortar_status key_file_read(const char *path, struct detail *detail, struct key_file *out_key)
{
    /* Not blocking: the path may name a pipe. */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) {
        const int number = errno;
        detail_set_errno(detail, number, "key file %s", path);
        return errno_status(number);
    }
    uint8_t text[KEY_FILE_BYTES_MAX + 1];
    size_t bytes = 0;
    enum mortar_status status = check_secret(file, path, detail);
    if (status == MORTAR_OK) {
        status = read_all(file, text, sizeof text, &bytes);
        if (status != MORTAR_OK) detail_set_errno(detail, errno, "key file %s", path);
    }
    (void)close(file);
    if (status == MORTAR_OK) {
        status = key_file_parse((struct mortar_bytes){text, bytes}, out_key);
        if (status != MORTAR_OK) detail_set(detail, "%s is not a key file", path);
    }
    crypto_cleanse(text, sizeof text);
    return status;
}

static enum mortar_status write_all(int file, const char *text, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t wrote = write(file, text, bytes);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return MORTAR_E_IO;
        text += wrote;
        bytes -= (size_t)wrote;
    }
    return fsync(file) == 0 ? MORTAR_OK : MORTAR_E_IO;
}

/* The file must not be there; a write that fails leaves none behind. */
static enum mortar_status write_new(const char *path, const char *text, size_t bytes)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (file < 0) return errno == ENOENT ? MORTAR_E_IO : errno_status(errno);
    enum mortar_status status = write_all(file, text, bytes);
    if (close(file) != 0 && status == MORTAR_OK) status = MORTAR_E_IO;
    if (status != MORTAR_OK) (void)unlink(path);
    return status;
}

/* Draws the birth key and the first access key; of the birth key only the hash stays. */
static enum mortar_status draw_keys(struct key_file *key)
{
    uint8_t birth_key[32];
    struct crypto *crypto = NULL;
    enum mortar_status status = random_fill(birth_key, sizeof birth_key);
    key->key_count = 1;
    key->keys[0].generation = 1;
    if (status == MORTAR_OK) status = random_fill(key->keys[0].bytes, sizeof key->keys[0].bytes);
    if (status == MORTAR_OK) status = crypto_open(NULL, &crypto);
    if (status == MORTAR_OK) {
        const struct mortar_bytes part = {birth_key, sizeof birth_key};
        status = crypto_sha256(crypto, &part, 1, key->birth_hash);
    }
    crypto_close(crypto);
    crypto_cleanse(birth_key, sizeof birth_key);
    return status;
}

enum mortar_status mortar_key_generate(const char *path)
{
    struct key_file key = {.key_count = 0};
    char text[KEY_FILE_BYTES_MAX];
    enum mortar_status status = draw_keys(&key);
    if (status == MORTAR_OK) {
        const size_t bytes = key_file_format(&key, text);
        status = write_new(path, text, bytes);
    }
    crypto_cleanse(text, sizeof text);
    crypto_cleanse(&key, sizeof key);
    return status;
}
