#define _GNU_SOURCE
#include "os/directory.h"

#include "base/assert.h"
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIRECTORY_NAME_BYTES_MAX = 63, DIRECTORY_PATH_BYTES_MAX = 1023 };

static const char directory_lock_name[] = "lock";

struct directory {
    const struct mortar_allocator *allocator;
    int fd;      /* Of the directory; everything is opened relative to it. */
    int lock_fd; /* Holds the lock; closing it releases it. */
    char path[DIRECTORY_PATH_BYTES_MAX + 1];
};

/* The status that stands for a failed system call. */
static enum mortar_status status_of_errno(int error_number)
{
    switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP: /* O_NOFOLLOW met a symbolic link. */
        return MORTAR_E_PERMISSION;
    case ENOSPC:
    case EDQUOT:
        return MORTAR_E_NO_SPACE;
    case ENOENT:
        return MORTAR_E_NOT_FOUND;
    case ENOMEM:
        return MORTAR_E_NO_MEMORY;
    default: /* errno is an open set, not an enum of ours. */
        return MORTAR_E_IO;
    }
}

static void close_keep_errno(int fd)
{
    const int saved = errno;
    (void)close(fd);
    errno = saved;
}

/* Names come from our own code: a wrong one is a bug. */
static void check_name(const char *name)
{
    const size_t length = strlen(name);
    ASSERT(length > 0 && length <= DIRECTORY_NAME_BYTES_MAX);
    ASSERT(!strchr(name, '/'));
    ASSERT(name[0] != '.');
}

/* Makes the entry of a file in its directory durable. */
static enum mortar_status sync_entry(const struct directory *directory, struct detail *detail)
{
    if (fsync(directory->fd) == 0) return MORTAR_OK;
    detail_set_errno(detail, errno, "%s: fsync", directory->path);
    return MORTAR_E_IO;
}

/* Who holds the lock writes its process id into the file, for the message of the others. */
static void note_owner(int fd)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0) return;
    const ssize_t written = pwrite(fd, text, (size_t)length, 0);
    (void)written; /* Only a courtesy. */
}

static enum mortar_status describe_owner(const struct directory *directory, int fd,
                                         struct detail *detail)
{
    char text[32] = {0};
    const ssize_t got = pread(fd, text, sizeof text - 1, 0);
    size_t digits = 0;
    while (got > 0 && digits < (size_t)got && text[digits] >= '0' && text[digits] <= '9')
        digits++;
    text[digits] = '\0';
    detail_set(detail, "%s: in use by process %s", directory->path, digits > 0 ? text : "?");
    return MORTAR_E_LOCKED;
}

/* Takes an open-file-description lock: unlike a plain fcntl() lock it also excludes a second open
 * in the same process, and is not lost when some other descriptor of the file is closed. */
static enum mortar_status take_lock(struct directory *directory, struct detail *detail)
{
    const int fd = openat(directory->fd, directory_lock_name,
                          O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        detail_set_errno(detail, errno, "%s/%s", directory->path, directory_lock_name);
        return status_of_errno(errno);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        enum mortar_status status = MORTAR_E_IO;
        if (errno == EAGAIN || errno == EACCES) {
            status = describe_owner(directory, fd, detail);
        } else {
            detail_set_errno(detail, errno, "%s/%s: lock", directory->path, directory_lock_name);
        }
        (void)close(fd);
        return status;
    }
    note_owner(fd);
    directory->lock_fd = fd;
    return MORTAR_OK;
}

static enum mortar_status open_path(struct directory *directory, struct detail *detail)
{
    if (mkdir(directory->path, S_IRWXU) != 0 && errno != EEXIST) {
        detail_set_errno(detail, errno, "%s: cannot be made", directory->path);
        return status_of_errno(errno);
    }
    const int fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        detail_set_errno(detail, errno, "%s", directory->path);
        return errno == ENOTDIR ? MORTAR_E_INVALID : status_of_errno(errno);
    }
    directory->fd = fd;
    struct stat info;
    if (fstat(fd, &info) != 0) {
        detail_set_errno(detail, errno, "%s", directory->path);
        return MORTAR_E_IO;
    }
    if (info.st_uid != geteuid()) {
        detail_set(detail, "%s: belongs to another user", directory->path);
        return MORTAR_E_PERMISSION;
    }
    if (info.st_mode & (S_IWGRP | S_IWOTH)) {
        detail_set(detail, "%s: others may write to it; try chmod 700", directory->path);
        return MORTAR_E_PERMISSION;
    }
    return MORTAR_OK;
}

enum mortar_status directory_open(const char *path, const struct mortar_allocator *allocator,
                                  struct detail *detail, struct directory **out_directory)
{
    if (path[0] == '\0' || strlen(path) > DIRECTORY_PATH_BYTES_MAX) {
        detail_set(detail, "the path of the directory is empty or too long");
        return MORTAR_E_INVALID;
    }
    allocator = memory_or_default(allocator);
    struct directory *directory = memory_reserve_zero(allocator, sizeof *directory);
    if (!directory) return MORTAR_E_NO_MEMORY;
    directory->allocator = allocator;
    directory->fd = -1;
    directory->lock_fd = -1;
    (void)snprintf(directory->path, sizeof directory->path, "%s", path);

    enum mortar_status status = open_path(directory, detail);
    if (status == MORTAR_OK) status = take_lock(directory, detail);
    if (status != MORTAR_OK) {
        directory_close(directory);
        return status;
    }
    *out_directory = directory;
    return MORTAR_OK;
}

void directory_close(struct directory *directory)
{
    if (!directory) return;
    if (directory->lock_fd >= 0) (void)close(directory->lock_fd);
    if (directory->fd >= 0) (void)close(directory->fd);
    memory_release(directory->allocator, directory, sizeof *directory);
}

const char *directory_path(const struct directory *directory)
{
    return directory->path;
}

/* Writes all bytes and syncs; false with errno set. */
static bool write_all(int fd, struct mortar_bytes bytes)
{
    while (bytes.bytes > 0) {
        const ssize_t written = write(fd, bytes.data, bytes.bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        bytes.data += written;
        bytes.bytes -= (size_t)written;
    }
    return fsync(fd) == 0;
}

enum mortar_status directory_write(struct directory *directory, const char *name,
                                   struct mortar_bytes bytes, struct detail *detail)
{
    check_name(name);
    if (bytes.bytes > DIRECTORY_FILE_BYTES_MAX) return MORTAR_E_TOO_LARGE;
    char temporary[DIRECTORY_NAME_BYTES_MAX + 8];
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", name);

    (void)unlinkat(directory->fd, temporary, 0); /* Left by a crash, perhaps with another mode. */
    const int fd = openat(directory->fd, temporary,
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        detail_set_errno(detail, errno, "%s/%s", directory->path, temporary);
        return status_of_errno(errno);
    }
    bool good = write_all(fd, bytes);
    close_keep_errno(fd);
    good = good && renameat(directory->fd, temporary, directory->fd, name) == 0;
    if (!good) {
        const enum mortar_status status = status_of_errno(errno);
        detail_set_errno(detail, errno, "%s/%s: write", directory->path, name);
        (void)unlinkat(directory->fd, temporary, 0);
        return status;
    }
    return sync_entry(directory, detail);
}

/* Checks kind and, for a secret, owner and mode of an open file. */
static enum mortar_status check_file(const struct directory *directory, const char *name, int fd,
                                     bool is_secret, struct detail *detail)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        detail_set_errno(detail, errno, "%s/%s", directory->path, name);
        return MORTAR_E_IO;
    }
    if (!S_ISREG(info.st_mode)) {
        detail_set(detail, "%s/%s: is not a regular file", directory->path, name);
        return MORTAR_E_CORRUPT;
    }
    if (!is_secret) return MORTAR_OK;
    if (info.st_uid != geteuid()) {
        detail_set(detail, "%s/%s: belongs to another user", directory->path, name);
        return MORTAR_E_PERMISSION;
    }
    if (info.st_mode & (S_IRWXG | S_IRWXO)) {
        detail_set(detail, "%s/%s: mode %03o lets others in; try chmod 600", directory->path, name,
                   (unsigned)(info.st_mode & 0777));
        return MORTAR_E_PERMISSION;
    }
    return MORTAR_OK;
}

/* Reads to the end of the file, at most `capacity` bytes. */
static enum mortar_status read_all(int fd, uint8_t *out, size_t capacity, size_t *out_bytes)
{
    size_t used = 0;
    for (;;) {
        uint8_t beyond;
        const bool full = used == capacity;
        const ssize_t got = full ? read(fd, &beyond, 1) : read(fd, out + used, capacity - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return status_of_errno(errno);
        if (got == 0) break;
        if (full) {
            errno = EFBIG;
            return MORTAR_E_TOO_LARGE;
        }
        used += (size_t)got;
    }
    *out_bytes = used;
    return MORTAR_OK;
}

/* Where a file is to be read to. */
struct file_space {
    uint8_t *data;
    size_t capacity;
    bool is_secret; /* Then owner and mode are checked. */
};

static enum mortar_status read_file(struct directory *directory, const char *name,
                                    struct file_space space, struct detail *detail,
                                    size_t *out_bytes)
{
    check_name(name);
    /* O_NONBLOCK: a FIFO in place of the file must not hang the open. */
    const int fd =
        openat(directory->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        const enum mortar_status status = status_of_errno(errno);
        detail_set_errno(detail, errno, "%s/%s", directory->path, name);
        return status;
    }
    enum mortar_status status = check_file(directory, name, fd, space.is_secret, detail);
    if (status == MORTAR_OK) {
        status = read_all(fd, space.data, space.capacity, out_bytes);
        if (status != MORTAR_OK)
            detail_set_errno(detail, errno, "%s/%s: read", directory->path, name);
    }
    (void)close(fd);
    return status;
}

enum mortar_status directory_read(struct directory *directory, const char *name, uint8_t *out,
                                  size_t capacity, struct detail *detail, size_t *out_bytes)
{
    const struct file_space space = {.data = out, .capacity = capacity, .is_secret = false};
    return read_file(directory, name, space, detail, out_bytes);
}

enum mortar_status directory_read_secret(struct directory *directory, const char *name,
                                         uint8_t *out, size_t capacity, struct detail *detail,
                                         size_t *out_bytes)
{
    const struct file_space space = {.data = out, .capacity = capacity, .is_secret = true};
    return read_file(directory, name, space, detail, out_bytes);
}

enum mortar_status directory_remove(struct directory *directory, const char *name,
                                    struct detail *detail)
{
    check_name(name);
    if (unlinkat(directory->fd, name, 0) != 0) {
        const enum mortar_status status = status_of_errno(errno);
        detail_set_errno(detail, errno, "%s/%s: remove", directory->path, name);
        return status;
    }
    return sync_entry(directory, detail);
}
