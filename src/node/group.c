/* node/group.c - opens and closes the group of a node. */
#include "mortar/sync.h"
#include "node/node_private.h"
#include "os/clock.h"
#include "os/crypto.h"
#include "os/memory.h"
#include "os/random.h"

#include <string.h>
#include <time.h>

#define REQUESTS_MAX_MAX (1u << 19) /* Twice in the table of calls: waits and the rest. */

/* What opening needs besides the group itself. */
struct opening {
    struct mortar_group *group;
    const struct mortar_group_options *options;
    bool found;
    bool core_is_open;
    enum mortar_status status;
};

static enum mortar_status check_options(const struct mortar_group_options *options)
{
    const struct mortar_core_options *const core = &options->core;
    const struct mortar_machine_ops *const machine = options->machine;
    if (core->tick_ms == 0 || core->election_ticks == 0) return MORTAR_E_INVALID;
    if (core->requests_max == 0 || core->requests_max > REQUESTS_MAX_MAX) return MORTAR_E_INVALID;
    if (core->command_bytes_max == 0 || core->command_bytes_max > MORTAR_COMMAND_BYTES_LIMIT) {
        return MORTAR_E_INVALID;
    }
    if (machine && (machine->struct_bytes == 0 || machine->apply == NULL)) return MORTAR_E_INVALID;
    return MORTAR_OK;
}

/* The options with defaults for what a shorter struct lacks. */
static void take_options(const struct mortar_group_options *given,
                         struct mortar_group_options *out_options)
{
    struct mortar_group_options taken = {MORTAR_GROUP_OPTIONS_INIT};
    const size_t known = sizeof taken;
    memcpy(&taken, given, given->struct_bytes < known ? given->struct_bytes : known);
    if (taken.core.struct_bytes < sizeof taken.core) {
        struct mortar_core_options core = {MORTAR_CORE_OPTIONS_INIT};
        memcpy(&core, &taken.core, taken.core.struct_bytes);
        taken.core = core;
    }
    mortar_core_options_complete(&taken.core);
    *out_options = taken;
}

static enum mortar_status draw_identity(struct mortar_group *group)
{
    struct mortar_node *const node = group->node;
    group->self.peer = node->id;
    enum mortar_status status = random_fill(group->self.store, sizeof group->self.store);
    if (status == MORTAR_OK) {
        status = group_identity_id(node->crypto, node->keys.birth_hash, &group->names, &group->id);
    }
    memcpy(group->names.address, node->advertised, sizeof group->names.address);
    return status;
}

/* ---- On the control thread ---- */

static void mesh_options_of(const struct mortar_group *group, struct mesh_options *out)
{
    const struct mortar_node *const node = group->node;
    const struct mortar_node_options *const options = &node->options;
    *out = (struct mesh_options){
        .allocator = &node->allocator,
        .control = node->control,
        .bulk = node->bulk,
        .stream = node->stream,
        .crypto = node->crypto,
        .keys = &node->keys,
        .group = group->id,
        .self = group->self,
        .names = group->names,
        .listens = node->listens,
        .peer_count = node->peer_count,
        .links_max = options->links_max,
        .heartbeat_ms = options->heartbeat_ms,
        .heartbeats_missed_max = options->heartbeats_missed_max,
        .reconnect_ms_min = options->reconnect_ms_min,
        .reconnect_ms_max = options->reconnect_ms_max,
        .seed = group->core_options.seed,
        .handler = &host_mesh_handler,
        .context = (void *)(uintptr_t)group,
    };
    memcpy(out->boot_nonce, node->boot_nonce, sizeof out->boot_nonce);
    memcpy(out->peers, node->peers, sizeof out->peers);
}

static enum mortar_status open_core(struct opening *opening)
{
    struct mortar_group *const group = opening->group;
    const struct mortar_group_options *const options = opening->options;
    const struct mortar_sync_method *method = group->own_method;
    if (method == NULL) method = options->machine->sync;
    enum mortar_status status =
        mortar_core_open(&group->node->allocator, &group->core_options, &group->storage,
                         options->machine, options->machine_state, method, &group->core);
    if (status != MORTAR_OK) return status;
    opening->core_is_open = true; /* It has the storage now. */
    mortar_core_tick(group->core, clock_monotonic_ms(),
                     clock_wall_ms()); /* It knows no time yet. */
    if (!opening->found) {
        mortar_core_join(group->core);
        return MORTAR_OK;
    }
    struct mortar_birth_id birth;
    uint8_t fingerprint_key[16];
    status = random_fill(&birth, sizeof birth);
    if (status == MORTAR_OK) status = random_fill(fingerprint_key, sizeof fingerprint_key);
    if (status == MORTAR_OK) status = mortar_core_found(group->core, &birth, fingerprint_key);
    crypto_cleanse(fingerprint_key, sizeof fingerprint_key);
    return status;
}

/* Ends what control_open() made, in any state of it. */
static void control_finish(void *context)
{
    struct mortar_group *const group = context;
    struct mortar_node *const node = group->node;
    if (node->group == group) node->group = NULL;
    if (group->core) watch_add_counters(group, &node->before.core);
    if (group->mesh) {
        mesh_metrics(group->mesh, &node->before);
        mesh_free(group->mesh);
        group->mesh = NULL;
    }
    mortar_core_close(group->core);
    group->core = NULL;
}

static void control_open(void *context)
{
    struct opening *const opening = context;
    struct mortar_group *const group = opening->group;
    struct mesh_options options;
    mesh_options_of(group, &options);
    opening->status = mesh_open(&options, &group->mesh);
    if (opening->status == MORTAR_OK) opening->status = open_core(opening);
    if (opening->status == MORTAR_OK || group->core == NULL) return;
    mortar_core_stop(group->core);
    struct mortar_effect effect;
    while (mortar_core_next(group->core, &effect)) {
        if (effect.type == MORTAR_EFFECT_SEND) mortar_buffer_release(effect.send.frame);
    }
}

static void bulk_open(void *context)
{
    struct opening *const opening = context;
    opening->status = mesh_bulk_start(opening->group->mesh);
}

static void bulk_close_down(void *context)
{
    const struct mortar_group *const group = context;
    mesh_bulk_stop(group->mesh);
}

/* From here on events come. */
static void control_begin(void *context)
{
    struct opening *const opening = context;
    struct mortar_group *const group = opening->group;
    struct mortar_node *const node = group->node;
    const uint32_t tick_ms = group->core_options.tick_ms;
    opening->status =
        loop_timer_open(node->control, tick_ms, tick_ms, host_on_tick, group, &group->tick);
    if (opening->status != MORTAR_OK) return;
    group->ticked_ms = clock_monotonic_ms();
    group->is_dirty = true;
    group->status_is_old = true;
    node->group = group;
    mesh_tick(group->mesh);
}

static void control_stop(void *context)
{
    host_stop(context);
}

/* ---- On the caller's thread ---- */

/* Stops a group whose core and mesh are open, and waits until nothing of it runs. */
static void stop_and_wait(struct mortar_group *group)
{
    struct mortar_node *const node = group->node;
    loop_call(node->control, control_stop, group);
    (void)pthread_mutex_lock(&node->mutex);
    while (!group->is_stopped)
        (void)pthread_cond_wait(&node->changed, &node->mutex);
    (void)pthread_mutex_unlock(&node->mutex);
    loop_call(node->bulk, bulk_close_down, group);
}

static void end_mesh(void *context)
{
    const struct mortar_group *const group = context;
    if (group->mesh) mesh_end(group->mesh);
}

/* Starts mesh and core; whatever was started is ended again on failure. */
static enum mortar_status start(struct opening *opening)
{
    struct mortar_group *const group = opening->group;
    struct mortar_node *const node = group->node;
    loop_call(node->control, control_open, opening);
    if (opening->status == MORTAR_OK) {
        loop_call(node->bulk, bulk_open, opening);
        if (opening->status == MORTAR_OK) {
            loop_call(node->control, control_begin, opening);
            if (opening->status == MORTAR_OK) return MORTAR_OK;
            stop_and_wait(group);
            loop_call(node->control, control_finish, group);
            return opening->status;
        }
    }
    const enum mortar_status status = opening->status;
    group->is_stopping = true; /* mesh_end() reports back at once: there are no links yet. */
    loop_call(node->control, end_mesh, group);
    loop_call(node->control, control_finish, group);
    return status;
}

/* Storage, method, tables: what needs no thread. */
static enum mortar_status prepare(struct mortar_group *group,
                                  const struct mortar_group_options *options)
{
    struct mortar_node *const node = group->node;
    const struct mortar_allocator *const allocator = &node->allocator;
    enum mortar_status status =
        group_identity_names(node->network, options->machine, &group->names);
    if (status == MORTAR_OK) status = draw_identity(group);
    if (status == MORTAR_OK && (options->machine == NULL || options->machine->sync == NULL)) {
        status = mortar_sync_log_replay(allocator, NULL, &group->own_method);
    }
    if (status == MORTAR_OK) {
        group->status = memory_reserve_zero(allocator, sizeof *group->status);
        if (group->status == NULL) status = MORTAR_E_NO_MEMORY;
    }
    if (status == MORTAR_OK) {
        status = call_table_init(&group->table, allocator, 2 * options->core.requests_max);
    }
    if (status == MORTAR_OK && options->storage == NULL) {
        status = mortar_log_memory_open(allocator, NULL, &group->storage);
    } else if (status == MORTAR_OK) {
        group->storage = *options->storage;
    }
    return status;
}

static enum mortar_status set_core_options(struct mortar_group *group,
                                           const struct mortar_core_options *given)
{
    const struct mortar_node *const node = group->node;
    struct mortar_core_options *const core = &group->core_options;
    *core = *given;
    core->struct_bytes = (uint32_t)sizeof *core;
    core->self = group->self;
    core->group = group->id;
    core->network = node->network;
    core->address = node->advertised;
    if (core->trace.emit == NULL) core->trace = node->options.trace;
    atomic_store(&group->command_bytes_max, core->command_bytes_max);
    return random_fill(&core->seed, sizeof core->seed);
}

/* Over the in-memory log we are a new member, and take the place of the one that this directory
 * held, unless the caller says whose. An observer takes nobody's. */
static enum mortar_status take_note(struct mortar_group *group)
{
    struct mortar_node *const node = group->node;
    struct mortar_core_options *const core = &group->core_options;
    struct member_note note;
    struct detail detail;
    if (!mortar_member_id_is_none(&core->replaces)) return MORTAR_OK;
    const enum mortar_status status = member_note_read(node->directory, &detail, &note);
    if (status == MORTAR_E_NOT_FOUND) return MORTAR_OK;
    if (status != MORTAR_OK) {
        node_log(node, MORTAR_LOG_ERROR, "%s (%s)", detail.text, mortar_status_name(status));
        return status;
    }
    if (memcmp(&note.group, &group->id, sizeof note.group) != 0) return MORTAR_OK;
    core->replaces = note.member;
    return MORTAR_OK;
}

static enum mortar_status set_notes(struct mortar_group *group,
                                    const struct mortar_group_options *options, bool found)
{
    enum mortar_status status = MORTAR_OK;
    group->note_is_due = options->storage == NULL && !options->core.observer;
    if (group->note_is_due && !found) status = take_note(group);
    group->replaces = group->core_options.replaces;
    return status;
}

/* Whatever the timeouts are, close does not take longer for it. */
#define HAND_OVER_MS_MAX 10000u

/* What may be open at once: as much as the core takes, the table holds and the queue bears. */
static void set_gate(struct mortar_group *group, const struct mortar_core_options *core)
{
    struct mortar_node *const node = group->node;
    const uint32_t queue_max = node->options.completions_max;
    uint32_t count_max = core->requests_max;
    if (count_max > group->table.capacity) count_max = group->table.capacity;
    if (node->options.completions == MORTAR_COMPLETE_QUEUE && queue_max < count_max) {
        count_max = queue_max;
    }
    call_gate_set(&node->gate, count_max, core->uncommitted_bytes_max);
    const uint64_t hand_over_ms = 2 * (uint64_t)core->election_ticks * core->tick_ms;
    const uint64_t most_ms = HAND_OVER_MS_MAX;
    atomic_store(&group->hand_over_ms, (uint32_t)(hand_over_ms < most_ms ? hand_over_ms : most_ms));
}

/* Gives back all but the handle. */
static void group_empty(struct mortar_group *group)
{
    const struct mortar_allocator *const allocator = &group->node->allocator;
    if (group->table.slots) call_table_deinit(&group->table);
    mortar_sync_log_replay_free(group->own_method);
    memory_release(allocator, group->status, sizeof *group->status);
    group->own_method = NULL;
    group->status = NULL;
}

/* One group at a time. */
static bool take_place(struct mortar_node *node)
{
    (void)pthread_mutex_lock(&node->mutex);
    const bool is_free = !node->has_group;
    node->has_group = true;
    (void)pthread_mutex_unlock(&node->mutex);
    return is_free;
}

/* NULL gives the place free again. */
static void set_place(struct mortar_node *node, struct mortar_group *group)
{
    (void)pthread_mutex_lock(&node->mutex);
    node->has_group = group != NULL;
    node->opened = group;
    (void)pthread_mutex_unlock(&node->mutex);
}

static enum mortar_status open_in_place(struct mortar_node *node,
                                        const struct mortar_group_options *options, bool found,
                                        struct mortar_group **out_group)
{
    struct mortar_group *const group = memory_reserve_zero(&node->allocator, sizeof *group);
    if (group == NULL) return MORTAR_E_NO_MEMORY;
    group->node = node;
    group->wait_due_ms = UINT64_MAX;
    struct opening opening = {.group = group, .options = options, .found = found};
    enum mortar_status status = prepare(group, options);
    if (status == MORTAR_OK) status = set_core_options(group, &options->core);
    if (status == MORTAR_OK) status = set_notes(group, options, found);
    if (status == MORTAR_OK) {
        set_gate(group, &options->core);
        status = start(&opening);
    }
    if (status != MORTAR_OK) {
        const bool ours = options->storage == NULL && group->storage.ops != NULL;
        if (ours && !opening.core_is_open) group->storage.ops->close(group->storage.self);
        group_empty(group);
        memory_release(&node->allocator, group, sizeof *group);
        return status;
    }
    *out_group = group;
    return MORTAR_OK;
}

static enum mortar_status group_open(struct mortar_node *node,
                                     const struct mortar_group_options *given, bool found,
                                     struct mortar_group **out_group)
{
    struct mortar_group_options options;
    struct mortar_group *group;
    if (node_is_own_thread(node)) return MORTAR_E_WRONG_THREAD;
    if (given->struct_bytes < offsetof(struct mortar_group_options, core)) return MORTAR_E_INVALID;
    take_options(given, &options);
    enum mortar_status status = check_options(&options);
    if (status != MORTAR_OK) return status;
    if (atomic_load(&node->failed) != (int)MORTAR_OK) return MORTAR_E_FAILED;
    if (!take_place(node)) return MORTAR_E_NOT_SUPPORTED;
    status = open_in_place(node, &options, found, &group);
    set_place(node, status == MORTAR_OK ? group : NULL);
    if (status == MORTAR_OK) *out_group = group;
    return status;
}

enum mortar_status mortar_group_found(struct mortar_node *node,
                                      const struct mortar_group_options *options,
                                      struct mortar_group **out_group)
{
    return group_open(node, options, true, out_group);
}

enum mortar_status mortar_group_join(struct mortar_node *node,
                                     const struct mortar_group_options *options,
                                     struct mortar_group **out_group)
{
    return group_open(node, options, false, out_group);
}

/* Calls that are inside the handle still post; those that come later are refused. None stays for
 * long, and one that leaves must not touch what the closer frees: so nobody is woken, we look. */
static void wait_for_users(const struct mortar_group *group)
{
    const struct timespec moment = {.tv_nsec = 50000};
    while (atomic_load(&group->users) > 0)
        (void)nanosleep(&moment, NULL);
}

/* So that the others need not wait for an election timeout (thesis 3.10). The leader gives up after
 * the least timeout; what is longer waits for the first word of its successor. */
static void hand_over(struct mortar_group *group)
{
    group_hand_over(group, (uint32_t)atomic_load(&group->hand_over_ms));
}

enum mortar_status group_close(struct mortar_group *group)
{
    struct mortar_node *const node = group->node;
    if (node_is_own_thread(node)) return MORTAR_E_WRONG_THREAD;
    hand_over(group);
    if (atomic_exchange(&group->is_closing, true)) return MORTAR_E_CLOSED;
    wait_for_users(group);
    stop_and_wait(group);
    loop_call(node->control, control_finish, group);
    group_empty(group);
    (void)pthread_mutex_lock(&node->mutex);
    group->next_closed = node->closed; /* Other threads may still try the handle. */
    node->closed = group;
    node->has_group = false;
    node->opened = NULL;
    (void)pthread_mutex_unlock(&node->mutex);
    return MORTAR_OK;
}

enum mortar_status mortar_group_close(struct mortar_group *group)
{
    return group_close(group);
}

struct mortar_group_id mortar_group_id(const struct mortar_group *group)
{
    return group->id;
}

struct mortar_member_id mortar_group_member_id(const struct mortar_group *group)
{
    return group->self;
}

/* ---- Tuning ---- */

struct tuning {
    struct mortar_group *group;
    struct mortar_core_options options;
    enum mortar_status status;
};

static void control_tune(void *context)
{
    struct tuning *const tuning = context;
    struct mortar_group *const group = tuning->group;
    const uint32_t tick_ms = tuning->options.tick_ms;
    tuning->status = mortar_core_tune(group->core, &tuning->options);
    if (tuning->status != MORTAR_OK) return;
    if (tick_ms != group->core_options.tick_ms) {
        loop_timer_restart(group->tick, tick_ms, tick_ms);
        group->ticked_ms = clock_monotonic_ms();
    }
    group->core_options = tuning->options;
    atomic_store(&group->command_bytes_max, tuning->options.command_bytes_max);
    set_gate(group, &tuning->options);
    group->is_dirty = true;
}

enum mortar_status mortar_group_tune(struct mortar_group *group,
                                     const struct mortar_core_options *options)
{
    struct tuning tuning = {.group = group, .options = {MORTAR_CORE_OPTIONS_INIT}};
    struct mortar_core_options *const taken = &tuning.options;
    const size_t known = sizeof *taken;
    if (options->struct_bytes < sizeof options->struct_bytes) return MORTAR_E_INVALID;
    memcpy(taken, options, options->struct_bytes < known ? options->struct_bytes : known);
    mortar_core_options_complete(taken);
    enum mortar_status status = group_enter(group);
    if (status != MORTAR_OK) return status;
    taken->struct_bytes = (uint32_t)known;
    taken->self = group->self;
    taken->group = group->id;
    taken->network = group->node->network;
    taken->address = group->node->advertised;
    if (taken->trace.emit == NULL) taken->trace = group->node->options.trace;
    if (loop_is_current(group->node->control)) {
        control_tune(&tuning);
    } else {
        loop_call(group->node->control, control_tune, &tuning);
    }
    group_leave_use(group);
    return tuning.status;
}
