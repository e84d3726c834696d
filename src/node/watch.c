/* node/watch.c - what can be seen of a group and its bonds: waits, status, metrics. */
#include "node/node_private.h"
#include "node/wait.h"
#include "os/clock.h"

#include <string.h>

/* ---- Waits, on the control thread ---- */

static bool sum_at(void *context, uint64_t index, uint64_t *out_term,
                   struct mortar_log_sum *out_sum)
{
    return mortar_core_log_sum(context, index, out_term, out_sum);
}

/* How things are now; the status is taken anew. */
static struct wait_view look(struct mortar_group *group)
{
    mortar_core_status(group->core, group->status);
    return (struct wait_view){
        .status = group->status,
        .bonds_version = mesh_bonds_version(group->mesh),
        .sum_at = sum_at,
        .context = group->core,
    };
}

static void complete_wait(struct mortar_group *group, struct call *call, enum mortar_status status)
{
    call->next = NULL;
    call->result.status = status;
    if (status == MORTAR_OK) {
        call->result.first = group->status->committed;
        call->result.last = group->status->committed;
    }
    host_complete(group, call);
}

static void note_deadline(struct mortar_group *group, const struct call *call)
{
    if (call->wait.deadline_ms < group->wait_due_ms) group->wait_due_ms = call->wait.deadline_ms;
}

void watch_begin(struct mortar_group *group, struct call *call)
{
    const struct wait_view view = look(group);
    wait_begin(&call->wait, &view);
    if (wait_holds(&call->wait, &view)) {
        complete_wait(group, call, MORTAR_OK);
        return;
    }
    call->wait.deadline_ms =
        call->timeout_ms == UINT32_MAX ? UINT64_MAX : clock_monotonic_ms() + call->timeout_ms;
    note_deadline(group, call);
    call->next = group->waits;
    group->waits = call;
}

/* Puts the waits that are `over` into a list of their own, in order of their beginning. Those that
 * are completed may begin new ones, so nothing is completed while the list is walked. */
static struct call *take_waits(struct mortar_group *group,
                               bool (*over)(struct call *call, const void *context),
                               const void *context)
{
    struct call *taken = NULL;
    struct call **place = &group->waits;
    while (*place) {
        struct call *const call = *place;
        if (over(call, context)) {
            *place = call->next;
            call->next = taken;
            taken = call;
        } else {
            place = &call->next;
        }
    }
    return taken;
}

static void complete_waits(struct mortar_group *group, struct call *taken,
                           enum mortar_status status)
{
    while (taken) {
        struct call *const call = taken;
        taken = call->next;
        complete_wait(group, call, status);
    }
}

static bool over_by_view(struct call *call, const void *context)
{
    return wait_holds(&call->wait, context);
}

static bool over_by_time(struct call *call, const void *context)
{
    return call->wait.deadline_ms <= *(const uint64_t *)context;
}

static bool over_at_end(struct call *call, const void *context)
{
    (void)call;
    (void)context;
    return true;
}

void watch_look(struct mortar_group *group)
{
    const struct wait_view view = look(group);
    complete_waits(group, take_waits(group, over_by_view, &view), MORTAR_OK);
}

void watch_expire(struct mortar_group *group, uint64_t now_ms)
{
    struct call *const taken = take_waits(group, over_by_time, &now_ms);
    group->wait_due_ms = UINT64_MAX;
    for (const struct call *call = group->waits; call; call = call->next)
        note_deadline(group, call);
    complete_waits(group, taken, MORTAR_E_TIMEOUT);
}

void watch_end_all(struct mortar_group *group, enum mortar_status status)
{
    complete_waits(group, take_waits(group, over_at_end, NULL), status);
}

void watch_configuration(struct mortar_group *group)
{
    group->status_is_old = false;
    mortar_core_status(group->core, group->status);
    const struct mortar_core_status *const status = group->status;
    if (status->config_index == group->config_index_seen) return;
    group->config_index_seen = status->config_index;
    struct bond_member members[MORTAR_MEMBERS_MAX];
    for (uint32_t i = 0; i < status->member_count; i++) {
        members[i].id = status->members[i].id;
        memcpy(members[i].address, status->members[i].address, sizeof members[i].address);
    }
    mesh_set_members(group->mesh, members, status->member_count);
}

bool watch_has_place(struct mortar_group *group)
{
    bool stands = false;
    bool votes = false;
    bool is_free = true;
    mortar_core_status(group->core, group->status);
    const struct mortar_core_status *const status = group->status;
    for (uint32_t i = 0; i < status->member_count; i++) {
        const struct mortar_member_id *const id = &status->members[i].id;
        if (mortar_member_id_equal(id, &group->replaces)) is_free = false;
        if (!mortar_member_id_equal(id, &group->self)) continue;
        stands = true;
        votes = status->members[i].voter;
    }
    return stands && (votes || is_free) && status->config_index <= status->committed.index;
}

/* ---- Snapshots, from any thread ---- */

/* Runs `call` on the control thread and waits; at once when this is the control thread. */
static void on_control(const struct mortar_node *node, void (*call)(void *context), void *context)
{
    if (loop_is_current(node->control)) {
        call(context);
    } else {
        loop_call(node->control, call, context);
    }
}

struct status_question {
    struct mortar_group *group;
    struct mortar_core_status *out_status;
};

static void answer_status(void *context)
{
    const struct status_question *const question = context;
    if (question->group->is_stopping) {
        memset(question->out_status, 0, sizeof *question->out_status);
    } else {
        mortar_core_status(question->group->core, question->out_status);
    }
}

void mortar_group_status(struct mortar_group *group, struct mortar_core_status *out_status)
{
    struct status_question question = {group, out_status};
    on_control(group->node, answer_status, &question);
}

struct bonds_question {
    const struct mortar_node *node;
    struct mortar_bond_status *out_bonds;
    uint32_t capacity;
    uint32_t count;
};

static void answer_bonds(void *context)
{
    struct bonds_question *const question = context;
    const struct mortar_group *const group = question->node->group;
    if (group) question->count = mesh_bonds(group->mesh, question->out_bonds, question->capacity);
}

uint32_t mortar_node_bonds(struct mortar_node *node, struct mortar_bond_status *out_bonds,
                           uint32_t capacity)
{
    struct bonds_question question = {.node = node, .out_bonds = out_bonds, .capacity = capacity};
    on_control(node, answer_bonds, &question);
    return question.count;
}

struct metrics_question {
    const struct mortar_node *node;
    struct mortar_node_metrics *out_metrics;
};

void watch_add_counters(struct mortar_group *group, struct mortar_core_counters *in_out)
{
    enum { COUNT = sizeof *in_out / sizeof(uint64_t) };
    _Static_assert(sizeof *in_out == COUNT * sizeof(uint64_t), "counters are 64-bit numbers");
    uint64_t sum[COUNT];
    uint64_t more[COUNT];
    mortar_core_status(group->core, group->status);
    memcpy(sum, in_out, sizeof sum);
    memcpy(more, &group->status->counters, sizeof more);
    for (size_t i = 0; i < COUNT; i++)
        sum[i] += more[i];
    memcpy(in_out, sum, sizeof sum);
}

static void answer_metrics(void *context)
{
    const struct metrics_question *const question = context;
    const struct mortar_node *const node = question->node;
    struct mortar_node_metrics sum = node->before;
    if (node->group) {
        mesh_metrics(node->group->mesh, &sum);
        watch_add_counters(node->group, &sum.core);
    }
    const struct listener_counters door = listener_counters_now(node->listener);
    sum.refused_half_open += door.refused_half_open;
    sum.refused_tls += door.handshake_failed;
    sum.handshake_timeouts += door.handshake_timeouts;
    *question->out_metrics = sum;
}

void mortar_node_metrics(struct mortar_node *node, struct mortar_node_metrics *out_metrics)
{
    struct metrics_question question = {node, out_metrics};
    on_control(node, answer_metrics, &question);
}
