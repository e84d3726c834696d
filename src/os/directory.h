/* os/directory.h - the directory of one node: made, locked, and small files written atomically.
 *
 * Holds the node's identity and notes; one process at a time. Not for logs or checkpoints: files
 * here are small and written whole.
 *
 *     lock            held (open file description lock) while the directory is open
 *     <name>          one small file
 *     <name>.tmp      a write that did not end; ignored, replaced by the next write
 *
 * Memory:  one block per open directory.
 * Threads: one at a time per directory. All calls may block on the disk.
 * Errors:  MORTAR_E_LOCKED (another process, or this one, has it open), MORTAR_E_PERMISSION,
 *          MORTAR_E_IO, MORTAR_E_NO_SPACE, MORTAR_E_NO_MEMORY; details name the file.
 */
#ifndef OS_DIRECTORY_H
#define OS_DIRECTORY_H

#include "mortar/types.h"
#include "os/detail.h"

#define DIRECTORY_FILE_BYTES_MAX (1024u * 1024u) /* Of one file read or written here. */

struct directory;

/* Makes `path` (mode 0700) if it is missing and takes its lock. Parents must exist.
 *   MORTAR_E_LOCKED      it is open elsewhere; the detail names the process.
 *   MORTAR_E_PERMISSION  not ours, or others may write to it.
 *   MORTAR_E_INVALID     `path` is not a directory. */
MORTAR_NODISCARD enum mortar_status directory_open(const char *path,
                                                   const struct mortar_allocator *allocator,
                                                   struct detail *detail,
                                                   struct directory **out_directory);

/* Releases the lock. NULL is a no-op. */
void directory_close(struct directory *directory);

const char *directory_path(const struct directory *directory);

/* Replaces file `name` by `bytes`, with mode 0600; after MORTAR_OK the new content is durable,
 * after a failure or crash the file is either the old or the new one. */
MORTAR_NODISCARD enum mortar_status directory_write(struct directory *directory, const char *name,
                                                    struct mortar_bytes bytes,
                                                    struct detail *detail);

/* Reads file `name` whole into `out` (of `capacity` bytes).
 *   MORTAR_E_NOT_FOUND   there is no such file.
 *   MORTAR_E_TOO_LARGE   it is larger than `capacity`.
 *   MORTAR_E_CORRUPT     it is not a regular file. */
MORTAR_NODISCARD enum mortar_status directory_read(struct directory *directory, const char *name,
                                                   uint8_t *out, size_t capacity,
                                                   struct detail *detail, size_t *out_bytes);

/* As directory_read(), for a file with a secret in it.
 *   MORTAR_E_PERMISSION  it belongs to someone else, or group or others have any right to it. */
MORTAR_NODISCARD enum mortar_status directory_read_secret(struct directory *directory,
                                                          const char *name, uint8_t *out,
                                                          size_t capacity, struct detail *detail,
                                                          size_t *out_bytes);

/* Removes file `name` durably. MORTAR_E_NOT_FOUND: there is none. */
MORTAR_NODISCARD enum mortar_status directory_remove(struct directory *directory, const char *name,
                                                     struct detail *detail);

#endif
