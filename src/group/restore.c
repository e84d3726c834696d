/* group/restore.c - a replica that comes back with the log that survived its process.
 *
 *   open --log held--> RESTORING: reads the log once --end--> runs
 *
 * Term, vote and voting position are there at once (thesis 3.8). Configurations, birth and log time
 * stand in entries, and a storage gives entries later: until all were read the replica hears and
 * says nothing, as if its process had not started yet. The machine begins anew, and is given all
 * that is committed again.
 *
 * A tail range is dropped: what lies above a hole was never acknowledged (C12), and the leader
 * sends it again.
 */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/found.h"
#include "wire/record.h"

/* Bytes of one read while the log is gone through. */
#define RESTORE_BYTES (1024u * 1024u)

/* The position that was noted as committed, where the log holds that very entry. It need not: the
 * note is older than a cut, or younger than what was lost. */
static struct mortar_position committed_here(const struct mortar_core *core,
                                             struct mortar_position noted)
{
    const struct mortar_position nothing = log_base(core).position;
    uint64_t term;
    if (noted.index <= nothing.index) return nothing;
    if (!log_term_at(core, noted.index, &term) || term != noted.term) return nothing;
    return noted;
}

struct raft_restored restore_hard_state(struct mortar_core *core)
{
    struct mortar_storage_hard_state state = {0};
    core->storage.ops->restored(core->storage.self, &state);
    core->committed = committed_here(core, state.commit);
    return (struct raft_restored){
        .term = state.term,
        .voted_for = state.voted_for,
        .voting = state.voting,
        .commit_index = core->committed.index,
    };
}

void restore_begin(struct mortar_core *core)
{
    struct mortar_anchor_point base;
    struct mortar_position tail_last;
    if (log_tail(core, &base, &tail_last)) {
        MARK(RESTORE_DROPS_TAIL);
        log_tail_drop(core);
    }
    core->stored = log_last(core).index; /* What is there after a start is durable. */
    core->restored = log_base(core).position.index;
    core->restoring = core->restored < core->stored;
}

/* Foreign bytes, as all that a disk gives back. False: not to be understood. */
static bool note(struct mortar_core *core, const struct mortar_entry *entry)
{
    struct found found;
    if (entry->index != core->restored + 1 || entry->time_ms < core->log_time_ms) return false;
    core->restored = entry->index;
    core->log_time_ms = entry->time_ms;
    if (entry->kind == MORTAR_ENTRY_FOUND) {
        if (found_decode(entry->bytes, &found) != MORTAR_OK) return false;
        core_learn_found(core, entry->bytes);
    } else if (entry->kind == MORTAR_ENTRY_CONFIG) {
        if (config_decode(entry->bytes, &found.config) != MORTAR_OK) return false;
    } else {
        return true;
    }
    drive(core, &(struct raft_event){.type = RAFT_SYNC_CONFIG,
                                     .config = {.index = entry->index, .config = &found.config}});
    return true;
}

static void on_read(struct mortar_core *core, void *argument, enum mortar_status status,
                    const struct mortar_log_run *run)
{
    (void)argument;
    core->restore_reading = false;
    if (core->stopped || core->failure != MORTAR_OK) return;
    if (status != MORTAR_OK) {
        core_fail(core, status);
        return;
    }
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    while (in.bytes > 0) {
        struct mortar_entry entry;
        if (record_decode(&in, &entry) == MORTAR_OK && note(core, &entry)) continue;
        core_fail(core, MORTAR_E_CORRUPT);
        return;
    }
    if (core->restored < core->stored) return;
    MARK(RESTORED);
    core->restoring = false;
    core->changed = true;
}

void restore_more(struct mortar_core *core)
{
    while (core->restoring && !core->restore_reading && core->failure == MORTAR_OK) {
        core->restore_reading = true;
        const enum mortar_status status =
            log_read(core, core->restored + 1, core->stored, RESTORE_BYTES, on_read, NULL);
        if (status != MORTAR_OK) {
            core->restore_reading = false; /* Short of memory: the next flush tries again. */
            return;
        }
        drive_settle(core); /* A storage that answers at once. */
    }
}
