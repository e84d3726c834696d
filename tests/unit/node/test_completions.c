/* The completion queue: in order, at most as many as asked for, and a descriptor that is readable
 * exactly while something waits. */
#include "node/completions.h"
#include "os/memory.h"
#include "unit/test.h"

#include <poll.h>

static uint32_t order[8];
static uint32_t order_count;

static void note(void *argument, const struct mortar_result *result)
{
    (void)result;
    order[order_count++] = (uint32_t)(uintptr_t)argument;
}

static bool is_readable(const struct completions *completions)
{
    struct pollfd asked = {.fd = completions->descriptor, .events = POLLIN};
    return poll(&asked, 1, 0) == 1;
}

static void waiting_calls_complete_in_order_and_the_descriptor_tells(void **state)
{
    (void)state;
    struct completions completions;
    struct call_gate gate;
    order_count = 0;
    call_gate_init(&gate, 8, 1000);
    assert_int_equal(completions_init(&completions), MORTAR_OK);
    assert_false(is_readable(&completions));
    for (uintptr_t i = 0; i < 5; i++) {
        struct call *call;
        assert_int_equal(call_new(&gate, &memory_default, CALL_QUERY, 0, &call), MORTAR_OK);
        call->done = note;
        call->argument = (void *)i;
        completions_push(&completions, call);
        assert_true(is_readable(&completions));
    }
    assert_int_equal(gate.count, 5); /* What waits counts as open. */
    assert_int_equal(completions_dispatch(&completions, 2), 2);
    assert_true(is_readable(&completions));
    assert_int_equal(completions_dispatch(&completions, 9), 3);
    assert_false(is_readable(&completions));
    assert_int_equal(completions_dispatch(&completions, 9), 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(order[i], i);
    assert_int_equal(gate.count, 0);
    completions_deinit(&completions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_calls_complete_in_order_and_the_descriptor_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
