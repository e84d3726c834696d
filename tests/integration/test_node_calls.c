/* The public calls of a node: each accepted one completes exactly once, in every form, whatever
 * happens meanwhile. */
#define _GNU_SOURCE
#include "integration/node_place.h"
#include "unit/test.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mortar_bytes command = {(const uint8_t *)"0123456789", 10};

/* What completions were told. Written on one thread of the node, read when `count` says so. */
struct told {
    atomic_uint count;
    atomic_uint ok;
    atomic_uint closed;
    atomic_int last_status;
    uint64_t last_index;
    bool in_order;
};

static void tell(void *argument, const struct mortar_result *result)
{
    struct told *const told = argument;
    if (result->status == MORTAR_OK) {
        if (result->first.index <= told->last_index) told->in_order = false;
        told->last_index = result->first.index;
        (void)atomic_fetch_add(&told->ok, 1);
    }
    if (result->status == MORTAR_E_CLOSED) (void)atomic_fetch_add(&told->closed, 1);
    atomic_store(&told->last_status, (int)result->status);
    (void)atomic_fetch_add(&told->count, 1);
}

static void found_alone(struct place *place, struct member *member,
                        enum mortar_completion_mode completions)
{
    place_begin(place);
    struct mortar_node_options options = member_options(member, place, "a");
    options.completions = completions;
    member_open(member, &options);
    member_found(member);
}

static uint64_t number(struct mortar_bytes reply)
{
    uint64_t value = 0;
    assert_int_equal(reply.bytes, sizeof value);
    memcpy(&value, reply.data, sizeof value);
    return value;
}

static void blocking_calls_answer_with_positions_and_replies(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct mortar_result result;
    struct mortar_result many;
    const struct mortar_bytes three[] = {command, {NULL, 0}, command};
    found_alone(&place, &member, MORTAR_COMPLETE_CALLBACK);
    assert_int_equal(mortar_group_execute(member.group, command, SOON_MS, &result), MORTAR_OK);
    assert_int_equal(result.count, 1);
    assert_true(mortar_position_equal(result.first, result.last));
    assert_int_equal(number(mortar_result_reply(&result, 0)), 10);
    assert_int_equal(mortar_group_execute_many(member.group, three, 3, SOON_MS, &many), MORTAR_OK);
    assert_int_equal(many.count, 3);
    assert_int_equal(many.first.index, result.last.index + 1);
    assert_int_equal(many.last.index, many.first.index + 2);
    assert_int_equal(number(mortar_result_reply(&many, 1)), 20);
    assert_int_equal(number(mortar_result_reply(&many, 2)), 30);
    assert_int_equal(mortar_result_reply(&many, 3).bytes, 0);
    mortar_result_release(&many);
    mortar_result_release(&result);
    for (unsigned mode = 0; mode < 2; mode++) {
        assert_int_equal(mortar_group_query(member.group, (struct mortar_bytes){NULL, 0},
                                            (enum mortar_read_mode)mode, SOON_MS, &result),
                         MORTAR_OK);
        assert_int_equal(number(mortar_result_reply(&result, 0)), 30);
        mortar_result_release(&result);
    }
    assert_int_equal(mortar_group_feed_many(member.group, three, 3, SOON_MS, &result), MORTAR_OK);
    assert_int_equal(result.last.index, result.first.index + 2);
    assert_int_equal(mortar_group_wait(member.group,
                                       (struct mortar_condition){.kind = MORTAR_UNTIL_APPLIED,
                                                                 .index = result.last.index},
                                       SOON_MS),
                     MORTAR_OK);
    mortar_result_release(&result);
    assert_int_equal(member.total, 50);
    member_close(&member);
    place_end(&place);
}

static void what_is_out_of_range_is_refused_and_never_completes(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct told told = {0};
    const size_t large = 2u * 1024 * 1024;
    uint8_t *const bytes = calloc(1, large);
    const struct mortar_bytes too_large = {bytes, large};
    struct mortar_change change = {.kind = MORTAR_ADD_LEARNER};
    found_alone(&place, &member, MORTAR_COMPLETE_CALLBACK);
    struct mortar_group *const group = member.group;
    assert_int_equal(mortar_group_execute_async(group, too_large, 100, tell, &told),
                     MORTAR_E_TOO_LARGE);
    assert_int_equal(mortar_group_execute_many_async(group, NULL, 0, 100, tell, &told),
                     MORTAR_E_INVALID);
    assert_int_equal(mortar_group_change_async(group, &change, 0, 100, tell, &told),
                     MORTAR_E_INVALID);
    assert_int_equal(
        mortar_group_wait_async(group, (struct mortar_condition){.index = 1}, 100, tell, &told),
        MORTAR_E_INVALID);
    struct mortar_group *second;
    const struct mortar_group_options options = member_group_options(&member);
    assert_int_equal(mortar_group_join(member.node, &options, &second), MORTAR_E_NOT_SUPPORTED);
    member_close(&member);
    assert_int_equal(told.count, 0);
    free(bytes);
    place_end(&place);
}

static void many_small_calls_complete_once_each_and_in_order(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct place place;
    struct member member;
    struct told told = {.in_order = true};
    found_alone(&place, &member, MORTAR_COMPLETE_CALLBACK);
    unsigned accepted = 0;
    while (accepted < COUNT) {
        const enum mortar_status status =
            mortar_group_execute_async(member.group, command, SOON_MS, tell, &told);
        if (status == MORTAR_OK) {
            accepted++;
        } else {
            assert_int_equal(status, MORTAR_E_BUSY);
            short_while(1);
        }
    }
    for (unsigned i = 0; i < SOON_MS && atomic_load(&told.count) < COUNT; i++)
        short_while(1);
    assert_int_equal(told.count, COUNT);
    assert_int_equal(told.ok, COUNT);
    assert_true(told.in_order);
    member_close(&member);
    assert_int_equal(told.count, COUNT);
    place_end(&place);
}

static void a_full_queue_answers_busy_at_once(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct told told = {0};
    place_begin(&place);
    const struct mortar_node_options options = member_options(&member, &place, "a");
    member_open(&member, &options);
    struct mortar_group_options group = member_group_options(&member);
    group.core.requests_max = 3;
    assert_int_equal(mortar_group_found(member.node, &group, &member.group), MORTAR_OK);
    const struct mortar_condition never = {.kind = MORTAR_UNTIL_COMMITTED, .index = UINT64_MAX};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mortar_group_wait_async(member.group, never, UINT32_MAX, tell, &told),
                         MORTAR_OK);
    assert_int_equal(mortar_group_wait_async(member.group, never, UINT32_MAX, tell, &told),
                     MORTAR_E_BUSY);
    assert_int_equal(mortar_group_execute_async(member.group, command, 100, tell, &told),
                     MORTAR_E_BUSY);
    group.core.requests_max = 5; /* Tuned, it takes more at once. */
    assert_int_equal(mortar_group_tune(member.group, &group.core), MORTAR_OK);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(mortar_group_wait_async(member.group, never, UINT32_MAX, tell, &told),
                         MORTAR_OK);
    assert_int_equal(mortar_group_wait_async(member.group, never, UINT32_MAX, tell, &told),
                     MORTAR_E_BUSY);
    member_close(&member);
    assert_int_equal(told.count, 5);
    assert_int_equal(told.closed, 5);
    place_end(&place);
}

/* A member that never finds its group: nothing it is asked can be done. */
static void close_completes_everything_as_closed(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct told told = {0};
    const struct mortar_condition never = {.kind = MORTAR_UNTIL_LEADER_ELECTED};
    place_begin(&place);
    const struct mortar_node_options options = member_options(&member, &place, "a");
    member_open(&member, &options);
    member_join(&member);
    struct mortar_group *const group = member.group;
    const struct mortar_bytes none = {NULL, 0};
    assert_int_equal(mortar_group_execute_async(group, command, UINT32_MAX, tell, &told),
                     MORTAR_OK);
    assert_int_equal(mortar_group_feed_many_async(group, &command, 1, UINT32_MAX, tell, &told),
                     MORTAR_OK);
    assert_int_equal(
        mortar_group_query_async(group, none, MORTAR_READ_LINEARIZABLE, UINT32_MAX, tell, &told),
        MORTAR_OK);
    assert_int_equal(mortar_group_wait_async(group, never, UINT32_MAX, tell, &told), MORTAR_OK);
    short_while(50);
    assert_int_equal(mortar_group_close(group), MORTAR_OK);
    assert_int_equal(told.count, 4);
    assert_int_equal(told.closed, 4);
    member_join(&member); /* The node takes another group now. */
    member_close(&member);
    assert_int_equal(told.count, 4);
    place_end(&place);
}

static void a_call_ends_by_its_timeout(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct mortar_result result;
    place_begin(&place);
    const struct mortar_node_options options = member_options(&member, &place, "a");
    member_open(&member, &options);
    member_join(&member); /* Alone: no leader ever. */
    const enum mortar_status status = mortar_group_execute(member.group, command, 100, &result);
    assert_true(status == MORTAR_E_NO_LEADER || status == MORTAR_E_TIMEOUT);
    assert_int_equal(
        mortar_group_wait(member.group,
                          (struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_ELECTED}, 100),
        MORTAR_E_TIMEOUT);
    member_close(&member);
    place_end(&place);
}

struct tries {
    struct member *member;
    enum mortar_status execute;
    enum mortar_status wait;
    enum mortar_status group_close;
    enum mortar_status node_close;
    enum mortar_status async;
    struct told inner;
    atomic_bool is_done;
};

/* Runs on the node's thread. */
static void try_blocking(void *argument, const struct mortar_result *result)
{
    struct tries *const tries = argument;
    struct mortar_group *const group = tries->member->group;
    struct mortar_result unused;
    struct mortar_core_status *const status = malloc(sizeof *status);
    (void)result;
    tries->execute = mortar_group_execute(group, command, 100, &unused);
    tries->wait =
        mortar_group_wait(group, (struct mortar_condition){.kind = MORTAR_UNTIL_IS_LEADER}, 100);
    tries->group_close = mortar_group_close(group);
    tries->node_close = mortar_node_close(tries->member->node);
    tries->async = mortar_group_execute_async(group, command, SOON_MS, tell, &tries->inner);
    mortar_group_status(group, status); /* Never blocks for long, so allowed anywhere. */
    free(status);
    atomic_store(&tries->is_done, true);
}

static bool tries_are_done(void *context)
{
    const struct tries *const tries = context;
    return atomic_load(&tries->is_done) && atomic_load(&tries->inner.count) == 1;
}

static void blocking_calls_on_the_nodes_own_thread_are_refused(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct tries tries = {.member = &member};
    found_alone(&place, &member, MORTAR_COMPLETE_CALLBACK);
    assert_int_equal(
        mortar_group_execute_async(member.group, command, SOON_MS, try_blocking, &tries),
        MORTAR_OK);
    assert_true(soon(tries_are_done, &tries));
    assert_int_equal(tries.execute, MORTAR_E_WRONG_THREAD);
    assert_int_equal(tries.wait, MORTAR_E_WRONG_THREAD);
    assert_int_equal(tries.group_close, MORTAR_E_WRONG_THREAD);
    assert_int_equal(tries.node_close, MORTAR_E_WRONG_THREAD);
    assert_int_equal(tries.async, MORTAR_OK);
    assert_int_equal(tries.inner.ok, 1);
    member_close(&member);
    place_end(&place);
}

/* What blocking calls said on the apply and the bulk thread. */
struct elsewhere {
    _Atomic(struct mortar_group *) group;
    atomic_int on_apply;
    atomic_int on_bulk;
};

static struct elsewhere elsewhere;

static enum mortar_status query_that_calls(void *machine, struct mortar_bytes query,
                                           struct mortar_answer *answer)
{
    struct mortar_result unused;
    (void)machine;
    (void)query;
    atomic_store(&elsewhere.on_apply,
                 (int)mortar_group_execute(atomic_load(&elsewhere.group), command, 100, &unused));
    return mortar_answer_write(answer, command);
}

/* The node's allocator is the one thing of the user's that its bulk thread is sure to call. */
static void *reserve_that_calls(void *context, size_t bytes)
{
    char name[16] = "";
    struct mortar_group *const group = atomic_load(&elsewhere.group);
    const struct mortar_condition now = {.kind = MORTAR_UNTIL_LEADER_ELECTED};
    (void)context;
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    if (group && strcmp(name, "mortar-bulk") == 0)
        atomic_store(&elsewhere.on_bulk, (int)mortar_group_wait(group, now, 100));
    return malloc(bytes);
}

static bool bulk_has_called(void *context)
{
    (void)context;
    return atomic_load(&elsewhere.on_bulk) >= 0;
}

static void blocking_calls_on_the_apply_and_bulk_threads_are_refused(void **state)
{
    (void)state;
    struct place place;
    struct member a;
    struct member b;
    struct mortar_result result;
    struct mortar_allocator allocator = *mortar_default_allocator();
    struct mortar_machine_ops machine = counting_machine;
    allocator.reserve = reserve_that_calls;
    machine.query = query_that_calls;
    atomic_store(&elsewhere.group, NULL);
    atomic_store(&elsewhere.on_apply, -1);
    atomic_store(&elsewhere.on_bulk, -1);
    place_begin(&place);
    struct mortar_node_options options = member_options(&a, &place, "a");
    options.allocator = &allocator;
    member_open(&a, &options);
    struct mortar_group_options group = member_group_options(&a);
    group.machine = &machine;
    assert_int_equal(mortar_group_found(a.node, &group, &a.group), MORTAR_OK);
    atomic_store(&elsewhere.group, a.group);
    assert_int_equal(mortar_group_query(a.group, command, MORTAR_READ_LOCAL, SOON_MS, &result),
                     MORTAR_OK);
    mortar_result_release(&result);
    assert_int_equal(atomic_load(&elsewhere.on_apply), MORTAR_E_WRONG_THREAD);

    options = member_options(&b, &place, "b");
    options.peers = a.address;
    member_open(&b, &options);
    member_join(&b);
    assert_true(soon(bulk_has_called, NULL)); /* For a heartbeat's frame, at the latest. */
    assert_int_equal(atomic_load(&elsewhere.on_bulk), MORTAR_E_WRONG_THREAD);
    member_close(&b);
    member_close(&a);
    place_end(&place);
}

static pthread_t told_on;

static void tell_thread(void *argument, const struct mortar_result *result)
{
    told_on = pthread_self();
    tell(argument, result);
}

static void queued_completions_come_by_dispatch_on_the_callers_thread(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct told told = {.in_order = true};
    struct mortar_result result;
    found_alone(&place, &member, MORTAR_COMPLETE_QUEUE);
    struct pollfd waits = {.fd = mortar_node_fd(member.node), .events = POLLIN};
    assert_int_equal(poll(&waits, 1, 0), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(
            mortar_group_execute_async(member.group, command, SOON_MS, tell_thread, &told),
            MORTAR_OK);
    assert_int_equal(poll(&waits, 1, SOON_MS), 1);
    while (atomic_load(&told.count) < 3) {
        assert_int_equal(poll(&waits, 1, SOON_MS), 1);
        (void)mortar_node_dispatch(member.node, 1);
    }
    assert_int_equal(told.ok, 3);
    assert_true(told.in_order);
    assert_true(pthread_equal(told_on, pthread_self()));
    assert_int_equal(poll(&waits, 1, 0), 0);
    /* A blocking call waits for no dispatch. */
    assert_int_equal(mortar_group_execute(member.group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);
    /* What is not dispatched completes at close, here. */
    assert_int_equal(mortar_group_execute_async(member.group, command, SOON_MS, tell, &told),
                     MORTAR_OK);
    member_close(&member);
    assert_int_equal(told.count, 4);
    place_end(&place);
}

/* Asks the node whatever may be asked from outside. */
struct curious {
    struct member *member;
    enum mortar_status execute;
    enum mortar_status join;
    atomic_uint count;
};

static void tell_curious(void *argument, const struct mortar_result *result)
{
    struct curious *const curious = argument;
    struct mortar_core_status *const status = malloc(sizeof *status);
    struct mortar_result unused;
    (void)result;
    mortar_group_status(curious->member->group, status);
    (void)member_metrics(curious->member);
    (void)mortar_node_bonds(curious->member->node, NULL, 0);
    curious->execute = mortar_group_execute(curious->member->group, command, 100, &unused);
    struct mortar_group *another;
    const struct mortar_group_options options = member_group_options(curious->member);
    curious->join = mortar_group_join(curious->member->node, &options, &another);
    free(status);
    (void)atomic_fetch_add(&curious->count, 1);
}

static void what_was_not_dispatched_completes_at_close_on_a_node_that_answers(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct mortar_result result;
    struct curious curious = {.member = &member};
    found_alone(&place, &member, MORTAR_COMPLETE_QUEUE);
    assert_int_equal(
        mortar_group_execute_async(member.group, command, SOON_MS, tell_curious, &curious),
        MORTAR_OK);
    assert_int_equal(mortar_group_execute(member.group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);
    assert_int_equal(atomic_load(&curious.count), 0);
    member_close(&member);
    assert_int_equal(atomic_load(&curious.count), 1);
    assert_int_equal(curious.execute, MORTAR_E_CLOSED);
    assert_int_equal(curious.join, MORTAR_E_NOT_SUPPORTED);
    place_end(&place);
}

/* ---- Several threads, several members ---- */

struct worker_thread {
    struct member *member;
    atomic_uint executed; /* Watched by the test while the thread runs. */
    unsigned closed;
    unsigned other;
};

static void *execute_until_closed(void *argument)
{
    struct worker_thread *const worker = argument;
    for (;;) {
        struct mortar_result result;
        const enum mortar_status status =
            mortar_group_execute(worker->member->group, command, SOON_MS, &result);
        if (status == MORTAR_OK) {
            (void)atomic_fetch_add(&worker->executed, 1);
            mortar_result_release(&result);
        } else {
            worker->closed += status == MORTAR_E_CLOSED ? 1 : 0;
            worker->other += status != MORTAR_E_CLOSED ? 1 : 0;
            return NULL;
        }
    }
}

static bool has_executed(void *argument)
{
    const struct worker_thread *const worker = argument;
    return atomic_load(&worker->executed) > 0;
}

/* Those that are inside and those that come later: the handle answers until the node is closed. */
static void threads_that_call_while_the_group_closes_get_closed(void **state)
{
    (void)state;
    enum { COUNT = 4 };
    struct place place;
    struct member member;
    struct worker_thread workers[COUNT] = {{0}};
    pthread_t threads[COUNT];
    struct mortar_core_status *const status = malloc(sizeof *status);
    found_alone(&place, &member, MORTAR_COMPLETE_CALLBACK);
    assert_int_equal(mortar_group_wait(member.group,
                                       (struct mortar_condition){.kind = MORTAR_UNTIL_IS_LEADER},
                                       SOON_MS),
                     MORTAR_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        workers[i].member = &member;
        assert_int_equal(pthread_create(&threads[i], NULL, execute_until_closed, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        mortar_group_status(member.group, status);
        (void)member_metrics(&member);
        short_while(5);
    }
    assert_true(status->applied > 0);
    const struct mortar_change nobody = {.kind = MORTAR_PROMOTE, .member = {.store = {9}}};
    assert_int_equal(mortar_group_change(member.group, &nobody, 1, SOON_MS), MORTAR_E_NOT_FOUND);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(soon(has_executed, &workers[i]));
    assert_int_equal(mortar_group_close(member.group), MORTAR_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].closed, 1);
        assert_int_equal(workers[i].other, 0);
    }
    free(status);
    member_close(&member);
    place_end(&place);
}

static void every_member_serves_calls_and_any_can_leave(void **state)
{
    (void)state;
    enum { COUNT = 3 };
    struct place place;
    static struct member members[COUNT];
    struct mortar_result result;
    place_begin(&place);
    members_form(members, COUNT, &place);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(mortar_group_execute(members[i].group, command, SOON_MS, &result),
                         MORTAR_OK);
        assert_int_equal(number(mortar_result_reply(&result, 0)), 10 * (i + 1));
        mortar_result_release(&result);
        /* Another member's linearizable query sees it. */
        assert_int_equal(mortar_group_query(members[(i + 1) % COUNT].group,
                                            (struct mortar_bytes){NULL, 0},
                                            MORTAR_READ_LINEARIZABLE, SOON_MS, &result),
                         MORTAR_OK);
        assert_int_equal(number(mortar_result_reply(&result, 0)), 10 * (i + 1));
        mortar_result_release(&result);
    }
    assert_int_equal(mortar_group_leave(members[2].group, SOON_MS), MORTAR_OK);
    assert_int_equal(
        mortar_group_wait(members[0].group,
                          (struct mortar_condition){.kind = MORTAR_UNTIL_MEMBERS, .index = 2},
                          SOON_MS),
        MORTAR_OK);
    member_close(&members[2]);
    assert_int_equal(mortar_group_execute(members[1].group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);
    /* The leader leaves, too, once with a completion and once more; who is left leads alone. */
    struct told told = {.in_order = true};
    assert_int_equal(mortar_group_leave_async(members[0].group, SOON_MS, tell, &told), MORTAR_OK);
    assert_int_equal(mortar_group_leave(members[0].group, SOON_MS), MORTAR_OK);
    assert_int_equal(atomic_load(&told.ok), 1);
    const uint64_t applied = member_metrics(&members[0]).core.commands_applied;
    assert_true(applied > 0);
    assert_int_equal(mortar_group_close(members[0].group), MORTAR_OK);
    assert_true(member_metrics(&members[0]).core.commands_applied >= applied); /* Stays counted. */
    member_close(&members[0]);
    assert_int_equal(mortar_group_wait(members[1].group,
                                       (struct mortar_condition){.kind = MORTAR_UNTIL_IS_LEADER},
                                       SOON_MS),
                     MORTAR_OK);
    assert_int_equal(mortar_group_execute(members[1].group, command, SOON_MS, &result), MORTAR_OK);
    assert_int_equal(number(mortar_result_reply(&result, 0)), 50);
    mortar_result_release(&result);
    member_close(&members[1]);
    place_end(&place);
}

static void wait_for_leader(struct member *at, const struct mortar_member_id *leader)
{
    const struct mortar_condition condition = {.kind = MORTAR_UNTIL_LEADER_IS, .member = *leader};
    assert_int_equal(mortar_group_wait(at->group, condition, SOON_MS), MORTAR_OK);
}

/* Thesis 3.10. Any member may be asked; a leader that closes has seen its successor. */
static void a_leader_hands_over_when_asked_and_when_it_closes(void **state)
{
    (void)state;
    enum { COUNT = 3 };
    struct place place;
    static struct member members[COUNT];
    struct mortar_member_id ids[COUNT];
    struct mortar_result result;
    place_begin(&place);
    members_form(members, COUNT, &place);
    for (unsigned i = 0; i < COUNT; i++)
        ids[i] = mortar_group_member_id(members[i].group);
    assert_int_equal(mortar_group_execute(members[2].group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);

    const struct mortar_member_id stranger = {.store = {9}};
    assert_int_equal(mortar_group_transfer(members[1].group, &stranger, SOON_MS), MORTAR_E_INVALID);
    assert_int_equal(mortar_group_transfer(members[1].group, &ids[2], SOON_MS), MORTAR_OK);
    for (unsigned i = 0; i < COUNT; i++)
        wait_for_leader(&members[i], &ids[2]);
    struct told told = {.in_order = true};
    assert_int_equal(mortar_group_transfer_async(members[2].group, &ids[0], SOON_MS, tell, &told),
                     MORTAR_OK);
    wait_for_leader(&members[1], &ids[0]);
    wait_for_leader(&members[0], &ids[0]);
    assert_int_equal(mortar_group_execute(members[0].group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);

    const uint64_t changes = member_metrics(&members[0]).core.leader_changes;
    assert_int_equal(mortar_group_close(members[0].group), MORTAR_OK);
    assert_int_equal(member_metrics(&members[0]).core.leader_changes, changes + 1);
    member_close(&members[0]);
    assert_int_equal(mortar_group_execute(members[1].group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);
    member_close(&members[1]);
    member_close(&members[2]);
    assert_int_equal(atomic_load(&told.ok), 1);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocking_calls_answer_with_positions_and_replies),
        cmocka_unit_test(what_is_out_of_range_is_refused_and_never_completes),
        cmocka_unit_test(many_small_calls_complete_once_each_and_in_order),
        cmocka_unit_test(a_full_queue_answers_busy_at_once),
        cmocka_unit_test(close_completes_everything_as_closed),
        cmocka_unit_test(a_call_ends_by_its_timeout),
        cmocka_unit_test(blocking_calls_on_the_nodes_own_thread_are_refused),
        cmocka_unit_test(blocking_calls_on_the_apply_and_bulk_threads_are_refused),
        cmocka_unit_test(queued_completions_come_by_dispatch_on_the_callers_thread),
        cmocka_unit_test(what_was_not_dispatched_completes_at_close_on_a_node_that_answers),
        cmocka_unit_test(threads_that_call_while_the_group_closes_get_closed),
        cmocka_unit_test(every_member_serves_calls_and_any_can_leave),
        cmocka_unit_test(a_leader_hands_over_when_asked_and_when_it_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
