/* The nth allocation fails, for every n of a scripted run: nothing breaks, every accepted request
 * ends exactly once, and what did not fail altogether goes on. */
#include "unit/group/cluster.h"
#include "unit/test.h"

static struct cluster cluster; /* Too big for the stack. */
static bool accepted[CLUSTER_DONE_MAX];
static uint64_t next_id;

static void note(enum mortar_status status)
{
    accepted[next_id++] = status == MORTAR_OK;
}

static void ask_everything(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        struct mortar_core *core = cluster.replicas[i].core;
        uint8_t items[24] = {8, [4] = 1, [12] = 8, [16] = 2};
        const struct mortar_bytes two = {items, sizeof items};
        note(mortar_core_submit(core, next_id, MORTAR_REQUEST_EXECUTE, two, 2, 900));
        note(mortar_core_submit(core, next_id, MORTAR_REQUEST_FEED, two, 2, 900));
        note(mortar_core_query(core, next_id, MORTAR_READ_LINEARIZABLE, two, 900));
        note(mortar_core_query(core, next_id, MORTAR_READ_LOCAL, two, 900));
        const struct mortar_change change = {.kind = MORTAR_CHANGE_ADDRESS,
                                             .member = cluster.replicas[i].id,
                                             .address = i == 0 ? "a:1" : "b:2"};
        note(mortar_core_change(core, next_id, &change, 1, 900));
    }
}

/* Three members; one lags by more than what is resent, so that a session runs as well. */
static void begin(void)
{
    cluster_open(&cluster);
    cluster.tune.resend_bytes = 16 * 1024;
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 2, true);
    assert_int_equal(cluster_bulk(&cluster, 0, 1, 100, 500), MORTAR_OK);
    cluster_run(&cluster, 50);
    cluster_isolate(&cluster, 2, false);
    next_id = 2;
}

static void script(void)
{
    ask_everything();
    cluster_run(&cluster, 60);
    ask_everything();
    cluster_run(&cluster, 300);
}

static void end(void)
{
    cluster_fail_allocation(0);
    cluster_run(&cluster, 1500);
    for (uint64_t id = 2; id < next_id; id++)
        assert_int_equal(cluster.done[id].seen, accepted[id]);
    uint64_t applied = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (!cluster.replicas[i].failed) applied++;
    }
    assert_true(applied >= 2); /* One failure harms one replica at most. */
    cluster_close(&cluster);
}

static void one_allocation_that_fails_loses_no_answer(void **state)
{
    (void)state;
    begin();
    (void)cluster_fail_allocation(0);
    script();
    const uint64_t count = cluster_fail_allocation(0);
    end();
    assert_true(count > 200);
    print_message("  %u allocations\n", (unsigned)count);
    for (uint64_t n = 1; n <= count; n++) {
        begin();
        (void)cluster_fail_allocation(n);
        script();
        end();
    }
}

/* Memory is short for a while, everywhere: replicas may fail, answers may not be lost. */
static void a_drought_loses_no_answer(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 400; n += 5) {
        begin();
        cluster_fail_allocations(n, 40 + n % 7);
        script();
        cluster_fail_allocation(0);
        cluster_run(&cluster, 1500);
        for (uint64_t id = 2; id < next_id; id++)
            assert_int_equal(cluster.done[id].seen, accepted[id]);
        cluster_close(&cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_that_fails_loses_no_answer),
        cmocka_unit_test(a_drought_loses_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
