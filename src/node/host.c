/* node/host.c - the host of the pure core: gives it events, carries out its effects.
 *
 * Everything here runs on the control thread, except the two functions that run a piece of work
 * where it belongs. Events only mark the core as dirty; after each batch of the loop it is flushed
 * once and its effects are taken, so that many small calls, frames and results cost one round.
 */
#include "base/assert.h"
#include "node/node_private.h"
#include "os/clock.h"
#include "os/memory.h"

/* A loop that was late gives the ticks that it missed, but not more than these at once. */
#define TICKS_AT_ONCE_MAX 5u
/* Effects may cause events, as when a full queue ends a link. More rounds wait for a tick. */
#define FLUSH_ROUNDS_MAX 16u

struct group_work {
    struct worker_job job;      /* To the apply worker. */
    struct loop_task task;      /* To the bulk thread. */
    struct loop_task done_task; /* Back. */
    struct mortar_group *group;
    struct mortar_work *work;
};

/* ---- Work ---- */

/* A piece of work that found no memory to travel with runs here, once it is its turn. */
static void finish_held(struct mortar_group *group)
{
    while (group->has_held && group->work_count == 0) {
        struct mortar_work *const work = group->held.work.work;
        ASSERT(group->held.type == MORTAR_EFFECT_WORK);
        group->has_held = false;
        mortar_core_work_run(work);
        mortar_core_work_done(group->core, work);
        group->is_dirty = true;
        host_batch(group);
    }
}

static void signal_if_stopped(struct mortar_group *group)
{
    if (group->is_stopping) finish_held(group);
    if (!group->is_stopping || !group->mesh_is_gone || group->work_count > 0) return;
    (void)pthread_mutex_lock(&group->node->mutex);
    group->is_stopped = true;
    (void)pthread_cond_broadcast(&group->node->changed);
    (void)pthread_mutex_unlock(&group->node->mutex);
}

static void work_is_done(struct loop_task *task)
{
    struct group_work *const item =
        (struct group_work *)(void *)((char *)task - offsetof(struct group_work, done_task));
    struct mortar_group *const group = item->group;
    struct mortar_work *const work = item->work;
    memory_release(&group->node->allocator, item, sizeof *item);
    ASSERT(group->work_count > 0);
    group->work_count--;
    mortar_core_work_done(group->core, work);
    group->is_dirty = true;
    if (group->is_stopping) {
        host_batch(group);
        signal_if_stopped(group);
    }
}

static void run_work(struct group_work *item)
{
    mortar_core_work_run(item->work);
    item->done_task.run = work_is_done;
    loop_post(item->group->node->control, &item->done_task);
}

static void run_on_worker(struct worker_job *job)
{
    run_work((struct group_work *)(void *)((char *)job - offsetof(struct group_work, job)));
}

static void run_on_bulk(struct loop_task *task)
{
    run_work((struct group_work *)(void *)((char *)task - offsetof(struct group_work, task)));
}

/* Hands a piece of work out. False: memory is short. */
static bool start_work(struct mortar_group *group, enum mortar_work_place place,
                       struct mortar_work *work)
{
    struct mortar_node *const node = group->node;
    struct group_work *const item = memory_reserve_zero(&node->allocator, sizeof *item);
    if (item == NULL) return false;
    item->group = group;
    item->work = work;
    group->work_count++;
    if (place == MORTAR_WORK_BULK) {
        item->task.run = run_on_bulk;
        loop_post(node->bulk, &item->task);
    } else {
        item->job.run = run_on_worker;
        const enum mortar_status status = worker_post(node->apply, &item->job);
        ASSERT(status == MORTAR_OK); /* It takes any number and is closed after the group. */
    }
    return true;
}

/* ---- The note of who we are ---- */

static void note_is_done(struct loop_task *task)
{
    struct mortar_group *const group =
        (struct mortar_group *)(void *)((char *)task - offsetof(struct mortar_group, note_task));
    ASSERT(group->work_count > 0);
    group->work_count--;
    signal_if_stopped(group);
}

/* On the apply worker: the disk may be slow. */
static void write_note(struct worker_job *job)
{
    struct mortar_group *const group =
        (struct mortar_group *)(void *)((char *)job - offsetof(struct mortar_group, note_job));
    struct mortar_node *const node = group->node;
    const struct member_note note = {.group = group->id, .member = group->self};
    struct detail detail;
    const enum mortar_status status = member_note_write(node->directory, &note, &detail);
    if (status != MORTAR_OK) {
        node_log(node, MORTAR_LOG_WARNING,
                 "no note of this member is kept, its next one takes nobody's place: %s (%s)",
                 detail.text, mortar_status_name(status));
    }
    group->note_task.run = note_is_done;
    loop_post(node->control, &group->note_task);
}

/* Not before our place is ours: who comes after a member that took none is to take the first
 * one's. */
static void note_member(struct mortar_group *group)
{
    if (!watch_has_place(group)) return;
    group->note_is_due = false;
    group->work_count++;
    group->note_job.run = write_note;
    const enum mortar_status status = worker_post(group->node->apply, &group->note_job);
    ASSERT(status == MORTAR_OK); /* As for other work. */
}

/* ---- Effects ---- */

void host_complete(struct mortar_group *group, struct call *call)
{
    if (call->is_leave && call->result.status == MORTAR_E_REMOVED) call->result.status = MORTAR_OK;
    if (call->session) session_call_ended(call->session, call->session_sequence);
    if (group->node->options.completions == MORTAR_COMPLETE_QUEUE && !call->is_direct) {
        completions_push(&group->node->completions, call);
    } else {
        call_complete(call);
    }
}

static void on_done(struct mortar_group *group, uint64_t id, const struct mortar_result *result)
{
    struct call *const call = call_table_take(&group->table, id);
    ASSERT(call != NULL); /* The core answers each id once. */
    call->result = *result;
    host_complete(group, call);
}

static void on_failed(struct mortar_group *group, enum mortar_status status)
{
    struct mortar_node *const node = group->node;
    atomic_store(&node->failed, (int)status);
    node_log(node, MORTAR_LOG_ERROR, "the storage failed: %s (%s)", mortar_status_text(status),
             mortar_status_name(status));
    if (node->options.on_fatal) {
        node->options.on_fatal(node->options.context, status, "the storage failed");
    }
    watch_end_all(group, MORTAR_E_FAILED);
}

/* False: the effect must wait for memory. */
static bool carry_out(struct mortar_group *group, const struct mortar_effect *effect)
{
    switch (effect->type) {
    case MORTAR_EFFECT_SEND:
        mesh_send(group->mesh, &effect->send.to, effect->send.lane, effect->send.frame);
        return true;
    case MORTAR_EFFECT_WORK:
        return start_work(group, effect->work.place, effect->work.work);
    case MORTAR_EFFECT_DONE:
        on_done(group, effect->done.id, &effect->done.result);
        return true;
    case MORTAR_EFFECT_CHANGED:
        group->is_changed = true;
        group->status_is_old = true;
        return true;
    case MORTAR_EFFECT_BIRTH:
        mesh_set_birth(group->mesh, &effect->birth);
        return true;
    case MORTAR_EFFECT_FAILED:
        on_failed(group, effect->failed);
        return true;
    }
    return true;
}

static void take_effects(struct mortar_group *group)
{
    struct mortar_effect effect;
    if (group->has_held) {
        if (!carry_out(group, &group->held)) return;
        group->has_held = false;
    }
    while (mortar_core_next(group->core, &effect)) {
        if (carry_out(group, &effect)) continue;
        group->held = effect;
        group->has_held = true;
        return;
    }
}

void host_batch(struct mortar_group *group)
{
    for (uint32_t round = 0; group->is_dirty && round < FLUSH_ROUNDS_MAX; round++) {
        group->is_dirty = false;
        mortar_core_flush(group->core);
        take_effects(group);
    }
    if (group->is_changed && !group->is_stopping) {
        group->is_changed = false;
        if (group->waits) watch_look(group);
    }
}

/* ---- Events: time ---- */

void host_on_tick(void *context)
{
    struct mortar_group *const group = context;
    const uint64_t now_ms = clock_monotonic_ms();
    const uint32_t tick_ms = group->core_options.tick_ms;
    const uint64_t late_ms = now_ms - group->ticked_ms;
    uint64_t ticks = late_ms / tick_ms;
    if (ticks > TICKS_AT_ONCE_MAX) {
        /* After a pause longer than an election (SIGSTOP, suspend) what the others said meanwhile
         * is still to be read: time begins anew, so that we do not stand for election first. */
        const bool was_paused = ticks > group->core_options.election_ticks;
        ticks = was_paused ? 1 : TICKS_AT_ONCE_MAX;
        group->ticked_ms = now_ms;
    } else {
        group->ticked_ms += ticks * tick_ms;
    }
    const uint64_t wall_ms = clock_wall_ms();
    for (uint64_t i = 0; i < ticks; i++)
        mortar_core_tick(group->core, now_ms, wall_ms);
    if (group->storage.ops->reap) mortar_core_reap(group->core);
    group->is_dirty = true;
    mesh_tick(group->mesh);
    if (group->status_is_old) watch_configuration(group);
    if (group->note_is_due) note_member(group);
    if (now_ms >= group->wait_due_ms) watch_expire(group, now_ms);
}

/* ---- Events: links and frames ---- */

static void host_on_link(void *context, const struct mortar_member_id *member,
                         enum mortar_lane lane, uint16_t version)
{
    struct mortar_group *const group = context;
    if (group->is_stopping) return;
    if (version != 0) {
        mortar_core_link_up(group->core, member, lane, version);
    } else {
        mortar_core_link(group->core, member, lane, false);
    }
    group->is_dirty = true;
    group->is_changed = true;
}

static enum mortar_status host_on_frame(void *context, const struct mortar_member_id *from,
                                        enum mortar_lane lane, struct mortar_buffer *frame)
{
    struct mortar_group *const group = context;
    if (group->is_stopping) return MORTAR_OK;
    group->is_dirty = true;
    return mortar_core_frame(group->core, from, lane, frame);
}

static void host_log(void *context, enum mortar_log_level level, const char *line)
{
    const struct mortar_group *const group = context;
    const struct mortar_node_options *const options = &group->node->options;
    if (options->log) options->log(options->context, level, line);
}

static void host_on_gone(void *context)
{
    struct mortar_group *const group = context;
    group->mesh_is_gone = true;
    signal_if_stopped(group);
}

const struct mesh_handler host_mesh_handler = {
    .on_link = host_on_link,
    .on_frame = host_on_frame,
    .log = host_log,
    .on_gone = host_on_gone,
};

/* ---- Events: calls ---- */

static enum mortar_status submit_transfer(struct mortar_group *group, const struct call *call)
{
    const bool anyone = mortar_member_id_is_none(&call->target);
    if (call->is_own && mortar_core_role(group->core) != MORTAR_LEADER) return MORTAR_E_NOT_LEADER;
    return mortar_core_transfer(group->core, call->id, anyone ? NULL : &call->target,
                                call->timeout_ms);
}

static enum mortar_status submit_session(struct mortar_group *group, const struct call *call)
{
    struct mortar_core *const core = group->core;
    const uint64_t number = call->session_number;
    if (call->kind == CALL_SESSION_OPEN) {
        return mortar_core_session_open(core, call->id, number, call->timeout_ms);
    }
    if (call->kind == CALL_SESSION_KEEP) {
        return mortar_core_session_keep(core, call->id, number, call->timeout_ms);
    }
    if (call->kind == CALL_SESSION_CLOSE) {
        return mortar_core_session_close(core, call->id, number, call->timeout_ms);
    }
    const struct mortar_session_command command = {.session = number,
                                                   .sequence = call->session_sequence,
                                                   .acked = call->session_acked,
                                                   .bytes = {call->items, call->item_bytes}};
    return mortar_core_session_execute(core, call->id, &command, call->timeout_ms);
}

static enum mortar_status submit(struct mortar_group *group, const struct call *call)
{
    const struct mortar_bytes items = {call->items, call->item_bytes};
    switch (call->kind) {
    case CALL_EXECUTE:
        return mortar_core_submit(group->core, call->id, MORTAR_REQUEST_EXECUTE, items, call->count,
                                  call->timeout_ms);
    case CALL_FEED:
        return mortar_core_submit(group->core, call->id, MORTAR_REQUEST_FEED, items, call->count,
                                  call->timeout_ms);
    case CALL_QUERY:
        return mortar_core_query(group->core, call->id, call->read_mode, items, call->timeout_ms);
    case CALL_CHANGE:
        return mortar_core_change(group->core, call->id,
                                  (const struct mortar_change *)(const void *)call->items,
                                  call->count, call->timeout_ms);
    case CALL_TRANSFER:
        return submit_transfer(group, call);
    case CALL_SESSION_OPEN:
    case CALL_SESSION_EXECUTE:
    case CALL_SESSION_KEEP:
    case CALL_SESSION_CLOSE:
        return submit_session(group, call);
    case CALL_WAIT:
        break;
    }
    return MORTAR_E_INVALID;
}

void host_take_call(struct loop_task *task)
{
    struct call *const call = (struct call *)(void *)task;
    struct mortar_group *const group = call->owner;
    const bool is_wait = call->kind == CALL_WAIT;
    const bool is_failed = atomic_load(&group->node->failed) != (int)MORTAR_OK;
    if (group->is_stopping || (is_wait && is_failed)) {
        call->result.status = group->is_stopping ? MORTAR_E_CLOSED : MORTAR_E_FAILED;
        host_complete(group, call);
        return;
    }
    if (is_wait) {
        watch_begin(group, call);
        return;
    }
    call_table_add(&group->table, call);
    const enum mortar_status status = submit(group, call);
    group->is_dirty = true;
    if (status == MORTAR_OK) return;
    /* The core refused what we had accepted: it was not done, and its end says why. */
    struct call *const taken = call_table_take(&group->table, call->id);
    ASSERT(taken == call);
    call->result.status = status;
    host_complete(group, call);
}

/* ---- End ---- */

void host_stop(struct mortar_group *group)
{
    loop_timer_close(group->tick);
    group->tick = NULL;
    mortar_core_stop(group->core);
    group->is_dirty = true;
    host_batch(group); /* DONE for all, and last words to the others. */
    group->is_stopping = true;
    watch_end_all(group, MORTAR_E_CLOSED);
    mesh_end(group->mesh);
    signal_if_stopped(group);
}
