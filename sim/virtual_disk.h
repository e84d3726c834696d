/* sim/virtual_disk.h - what is left of a replica when its process is gone: the writes that became
 * durable, in the order in which they were submitted.
 *
 * A virtual log (sim/virtual_log.h) puts each write on the disk when it hands out its completion.
 * At a crash it may put any part of the others there too, within the rules below; the next process
 * begins with what the disk then holds.
 *
 *   1. A record that is lost ends the log: what was written behind it cannot be found (design 9).
 *   2. A save that is lost takes all later writes with it: an entry of a term is durable only after
 *      the term is (C3).
 *   3. Of a run any number of records may be lost, from its end.
 *
 * This is the seam for part 4: its durable log runs over a disk of sectors instead, and is damaged
 * there; a replica, and all that crashes and restarts it, knows only the calls below.
 *
 * Memory:  malloc(): a disk is no memory of the process. Threads: one.
 * Errors:  none; it aborts when memory is short.
 */
#ifndef SIM_VIRTUAL_DISK_H
#define SIM_VIRTUAL_DISK_H

#include "base/prng.h"
#include "mortar/storage.h"
#include "sim/memory.h"

enum disk_write_kind {
    DISK_APPEND,
    DISK_TRUNCATE,
    DISK_SAVE,
    DISK_PRUNE,
    DISK_RESET,
    DISK_TAIL_OPEN,
    DISK_TAIL_ADOPT,
    DISK_TAIL_DROP,
    DISK_NOTHING /* A read: changes nothing. */
};

struct disk_write {
    enum disk_write_kind kind;
    enum mortar_log_range range;
    struct mortar_log_run run; /* APPEND: one reference of run.buffer is the write's. */
    uint64_t index;            /* TRUNCATE: from; PRUNE: to. */
    struct mortar_anchor_point base;
    struct mortar_storage_hard_state state;
};

struct virtual_disk {
    struct sim_memory memory;
    struct mortar_allocator allocator;
    struct mortar_storage log; /* A memory log. */
    uint64_t writes;           /* So far. */
};

/* An empty disk; it stays where it is. */
void virtual_disk_init(struct virtual_disk *disk);
void virtual_disk_deinit(struct virtual_disk *disk);
/* Another, empty disk in its place. */
void virtual_disk_wipe(struct virtual_disk *disk);
/* Makes `to`, which is empty, hold what `from` holds. */
void virtual_disk_copy(struct virtual_disk *from, struct virtual_disk *to);

/* Carries out a write, and gives back what it holds. */
void virtual_disk_write(struct virtual_disk *disk, struct disk_write *write);
/* Gives back what a write holds. */
void virtual_disk_forget(struct disk_write *write);
/* Of `write`, an append of several records, only the first so many reach the disk. */
void virtual_disk_tear(struct disk_write *write, uint32_t records);

/* The end of the main range. */
struct mortar_position virtual_disk_last(const struct virtual_disk *disk);
/* The position before the main range: index 0 where nothing was pruned. */
struct mortar_position virtual_disk_base(const struct virtual_disk *disk);
/* The entry that the main range durably holds at `index`. False: none. */
bool virtual_disk_holds(const struct virtual_disk *disk, uint64_t index, uint64_t *out_term);
/* Term and vote as a process that starts now finds them; the voting position is the log's end. */
struct mortar_storage_hard_state virtual_disk_state(const struct virtual_disk *disk);

#endif
