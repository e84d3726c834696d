/* Calls: bounded at the gate, found by id, completed once. */
#include "node/calls.h"
#include "os/memory.h"
#include "unit/test.h"

struct told {
    uint32_t count;
    enum mortar_status status;
    size_t reply_bytes;
};

static void tell(void *argument, const struct mortar_result *result)
{
    struct told *const told = argument;
    told->count++;
    told->status = result->status;
    told->reply_bytes = result->replies ? mortar_buffer_bytes(result->replies) : 0;
}

static void the_gate_refuses_beyond_its_count_and_its_bytes(void **state)
{
    (void)state;
    struct call_gate gate;
    call_gate_init(&gate, 3, 100);
    assert_int_equal(call_gate_enter(&gate, 500), MORTAR_OK); /* One alone may be larger. */
    assert_int_equal(call_gate_enter(&gate, 1), MORTAR_E_BUSY);
    call_gate_leave(&gate, 500);
    assert_int_equal(call_gate_enter(&gate, 60), MORTAR_OK);
    assert_int_equal(call_gate_enter(&gate, 41), MORTAR_E_BUSY);
    assert_int_equal(call_gate_enter(&gate, 40), MORTAR_OK);
    assert_int_equal(call_gate_enter(&gate, 0), MORTAR_OK);
    assert_int_equal(call_gate_enter(&gate, 0), MORTAR_E_BUSY);
    call_gate_leave(&gate, 0);
    assert_int_equal(call_gate_enter(&gate, 0), MORTAR_OK);
    assert_int_equal(gate.count, 3);
    assert_int_equal(gate.bytes, 100);
}

static struct call *call_open(struct call_gate *gate, struct told *told)
{
    struct call *call;
    assert_int_equal(call_new(gate, &memory_default, CALL_EXECUTE, 10, &call), MORTAR_OK);
    call->done = tell;
    call->argument = told;
    return call;
}

static void an_id_finds_its_call_once_and_never_the_next_in_its_place(void **state)
{
    (void)state;
    struct call_gate gate;
    struct call_table table;
    struct told told = {0};
    call_gate_init(&gate, 8, 1000);
    assert_int_equal(call_table_init(&table, &memory_default, 2), MORTAR_OK);
    struct call *const first = call_open(&gate, &told);
    struct call *const second = call_open(&gate, &told);
    call_table_add(&table, first);
    call_table_add(&table, second);
    const uint64_t first_id = first->id;
    assert_int_not_equal(first_id, 0);
    assert_int_not_equal(first_id, second->id);
    assert_ptr_equal(call_table_take(&table, first_id), first);
    assert_null(call_table_take(&table, first_id));
    struct call *const third = call_open(&gate, &told);
    call_table_add(&table, third); /* In the place of the first. */
    assert_null(call_table_take(&table, first_id));
    assert_null(call_table_take(&table, UINT64_MAX));
    assert_ptr_equal(call_table_take(&table, third->id), third);
    assert_ptr_equal(call_table_take_any(&table), second);
    assert_null(call_table_take_any(&table));
    call_complete(first);
    call_complete(second);
    call_complete(third);
    assert_int_equal(told.count, 3);
    call_table_deinit(&table);
}

static void a_completion_is_called_once_with_the_replies_and_leaves_the_gate(void **state)
{
    (void)state;
    struct call_gate gate;
    struct told told = {0};
    call_gate_init(&gate, 1, 1000);
    struct call *const call = call_open(&gate, &told);
    call->result.status = MORTAR_E_LOST;
    call->result.replies = mortar_buffer_new(&memory_default, 5);
    mortar_buffer_set_bytes(call->result.replies, 5);
    call_complete(call);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.status, MORTAR_E_LOST);
    assert_int_equal(told.reply_bytes, 5);
    struct call *const other = call_open(&gate, &told); /* There is room again. */
    call_discard(other);
    assert_int_equal(told.count, 1);
    assert_int_equal(gate.count, 0);
    assert_int_equal(gate.bytes, 0);
}

static void *refuse(void *context, size_t bytes)
{
    (void)context;
    (void)bytes;
    return NULL;
}

static void a_call_that_finds_no_memory_leaves_the_gate_as_it_was(void **state)
{
    (void)state;
    struct mortar_allocator none = memory_default;
    struct call_gate gate;
    struct call *call = NULL;
    none.reserve = refuse;
    call_gate_init(&gate, 1, 1000);
    assert_int_equal(call_new(&gate, &none, CALL_QUERY, 10, &call), MORTAR_E_NO_MEMORY);
    assert_null(call);
    assert_int_equal(gate.count, 0);
    assert_int_equal(gate.bytes, 0);
}

static void a_table_has_a_sane_size(void **state)
{
    (void)state;
    struct call_table table;
    assert_int_equal(call_table_init(&table, &memory_default, 0), MORTAR_E_INVALID);
    assert_int_equal(call_table_init(&table, &memory_default, UINT32_MAX), MORTAR_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gate_refuses_beyond_its_count_and_its_bytes),
        cmocka_unit_test(an_id_finds_its_call_once_and_never_the_next_in_its_place),
        cmocka_unit_test(a_completion_is_called_once_with_the_replies_and_leaves_the_gate),
        cmocka_unit_test(a_call_that_finds_no_memory_leaves_the_gate_as_it_was),
        cmocka_unit_test(a_table_has_a_sane_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
