/* sim/virtual_disk.c - a memory log that outlives its process. */
#include "sim/virtual_disk.h"

#include "log/range.h"
#include "wire/record.h"

#include <stdlib.h>
#include <string.h>

/* Many small logs live side by side here. */
#define DISK_BLOCK_BYTES (16u * 1024u)
#define COPY_BYTES       (1024u * 1024u)

/* Every write of ours succeeds at once. */
static void must(enum mortar_status status)
{
    if (status != MORTAR_OK) abort();
}

static const struct mortar_storage_ops *ops_of(const struct virtual_disk *disk)
{
    return disk->log.ops;
}

void virtual_disk_init(struct virtual_disk *disk)
{
    *disk = (struct virtual_disk){0};
    disk->allocator = sim_memory_allocator(&disk->memory);
    struct mortar_log_memory_options small = {MORTAR_LOG_MEMORY_OPTIONS_INIT};
    small.block_bytes = DISK_BLOCK_BYTES;
    must(mortar_log_memory_open(&disk->allocator, &small, &disk->log));
}

void virtual_disk_deinit(struct virtual_disk *disk)
{
    ops_of(disk)->close(disk->log.self);
}

void virtual_disk_wipe(struct virtual_disk *disk)
{
    const uint64_t writes = disk->writes + 1; /* A wipe is one, too. */
    virtual_disk_deinit(disk);
    virtual_disk_init(disk);
    disk->writes = writes;
}

static void reap_all(struct virtual_disk *disk)
{
    struct mortar_storage_completion done[16];
    while (ops_of(disk)->reap(disk->log.self, done, 16) > 0) {
    }
}

/* The log copies what is small into blocks of its own, and shares what is large: of that a copy is
 * made in the disk's memory, or it would count as the process'. */
static void append(struct virtual_disk *disk, const struct disk_write *write)
{
    struct mortar_log_run run = write->run;
    if (run.bytes < LOG_SHARE_BYTES_MIN) {
        must(ops_of(disk)->append(disk->log.self, write->range, &run, 0));
        return;
    }
    run.buffer = mortar_buffer_new(&disk->allocator, run.bytes);
    if (run.buffer == NULL) abort();
    memcpy(mortar_buffer_data(run.buffer),
           mortar_buffer_data(write->run.buffer) + write->run.offset, run.bytes);
    mortar_buffer_set_bytes(run.buffer, run.bytes);
    run.offset = 0;
    must(ops_of(disk)->append(disk->log.self, write->range, &run, 0));
    mortar_buffer_release(run.buffer);
}

void virtual_disk_write(struct virtual_disk *disk, struct disk_write *write)
{
    const struct mortar_storage_ops *ops = ops_of(disk);
    void *self = disk->log.self;
    disk->writes++;
    switch (write->kind) {
    case DISK_APPEND:
        append(disk, write);
        break;
    case DISK_TRUNCATE:
        must(ops->truncate(self, write->range, write->index, 0));
        break;
    case DISK_SAVE:
        must(ops->save(self, &write->state, 0));
        break;
    case DISK_PRUNE:
        must(ops->prune(self, write->index, 0));
        break;
    case DISK_RESET:
        must(ops->reset(self, &write->base, 0));
        break;
    case DISK_TAIL_OPEN:
        must(ops->tail_open(self, &write->base, 0));
        break;
    case DISK_TAIL_ADOPT:
        must(ops->tail_adopt(self, 0));
        break;
    case DISK_TAIL_DROP:
        must(ops->tail_drop(self, 0));
        break;
    case DISK_NOTHING:
        break;
    }
    reap_all(disk);
    virtual_disk_forget(write);
}

void virtual_disk_forget(struct disk_write *write)
{
    if (write->kind == DISK_APPEND) mortar_buffer_release(write->run.buffer);
    write->kind = DISK_NOTHING;
}

void virtual_disk_tear(struct disk_write *write, uint32_t records)
{
    struct mortar_log_run *run = &write->run;
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    struct mortar_entry entry;
    for (uint32_t i = 0; i < records; i++)
        must(record_decode(&in, &entry));
    run->bytes -= in.bytes;
    run->count = records;
}

static void copy_range(struct virtual_disk *from, struct virtual_disk *to)
{
    const struct mortar_position last = virtual_disk_last(from);
    uint64_t next = virtual_disk_base(from).index + 1;
    while (next <= last.index) {
        struct mortar_storage_completion read = {0};
        must(ops_of(from)->read(from->log.self, MORTAR_LOG_MAIN, next, last.index, COPY_BYTES, 0));
        if (ops_of(from)->reap(from->log.self, &read, 1) != 1) abort();
        must(read.status);
        next += read.run.count;
        struct disk_write write = {.kind = DISK_APPEND, .run = read.run};
        virtual_disk_write(to, &write);
    }
}

void virtual_disk_copy(struct virtual_disk *from, struct virtual_disk *to)
{
    struct mortar_storage_hard_state state;
    ops_of(from)->restored(from->log.self, &state);
    must(ops_of(to)->save(to->log.self, &state, 0));
    struct mortar_anchor_point base;
    if (!ops_of(from)->base(from->log.self, MORTAR_LOG_MAIN, &base)) abort();
    if (base.position.index != 0) must(ops_of(to)->reset(to->log.self, &base, 0));
    reap_all(to);
    copy_range(from, to);
}

struct mortar_position virtual_disk_last(const struct virtual_disk *disk)
{
    struct mortar_position last;
    if (!ops_of(disk)->last(disk->log.self, MORTAR_LOG_MAIN, &last)) abort();
    return last;
}

struct mortar_position virtual_disk_base(const struct virtual_disk *disk)
{
    struct mortar_anchor_point base;
    if (!ops_of(disk)->base(disk->log.self, MORTAR_LOG_MAIN, &base)) abort();
    return base.position;
}

bool virtual_disk_holds(const struct virtual_disk *disk, uint64_t index, uint64_t *out_term)
{
    return ops_of(disk)->term_at(disk->log.self, MORTAR_LOG_MAIN, index, out_term);
}

struct mortar_storage_hard_state virtual_disk_state(const struct virtual_disk *disk)
{
    struct mortar_storage_hard_state state;
    ops_of(disk)->restored(disk->log.self, &state);
    state.voting = virtual_disk_last(disk);
    return state;
}
