/* Client sessions over a cluster: once, whoever leads (C1, thesis 6.3). */
#include "unit/group/cluster.h"
#include "unit/test.h"

#include <string.h>

static struct cluster cluster; /* Too big for the stack. */

static uint64_t open_session(uint32_t at, uint64_t id)
{
    assert_int_equal(mortar_core_session_open(cluster.replicas[at].core, id, 60000, 5000),
                     MORTAR_OK);
    cluster_run(&cluster, 500);
    assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
    return cluster.done[id].result.first.index;
}

static enum mortar_status add(uint32_t at, uint64_t id, uint64_t session, uint64_t sequence,
                              uint64_t number)
{
    const struct mortar_session_command command = {
        .session = session,
        .sequence = sequence,
        .bytes = {(const uint8_t *)&number, sizeof number},
    };
    return mortar_core_session_execute(cluster.replicas[at].core, id, &command, 5000);
}

static void expect(uint64_t id, enum mortar_status status)
{
    assert_true(cluster.done[id].seen);
    assert_int_equal(cluster.done[id].result.status, status);
}

static void a_retry_anywhere_gets_the_first_reply_at_the_first_position(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    const uint64_t session = open_session(1, 1);
    assert_int_equal(add(0, 2, session, 1, 7), MORTAR_OK);
    cluster_run(&cluster, 300);
    expect(2, MORTAR_OK);
    for (uint32_t at = 0; at < 3; at++) {
        assert_int_equal(add(at, 10 + at, session, 1, 7), MORTAR_OK);
        cluster_run(&cluster, 300);
        expect(10 + at, MORTAR_OK);
        assert_int_equal(cluster.done[10 + at].reply, cluster.done[2].reply);
        assert_int_equal(cluster.done[10 + at].result.first.index,
                         cluster.done[2].result.first.index);
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.replicas[i].adder.sum, 7);
    cluster_close(&cluster);
}

/* The two stand in one run of entries. */
static void the_same_command_twice_at_once_is_applied_once(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    const uint64_t session = open_session(0, 1);
    for (uint64_t id = 2; id < 6; id++)
        assert_int_equal(add(0, id, session, 1, 5), MORTAR_OK);
    assert_int_equal(add(0, 6, session, 2, 6), MORTAR_OK);
    cluster_run(&cluster, 300);
    for (uint64_t id = 2; id < 7; id++)
        expect(id, MORTAR_OK);
    assert_int_equal(cluster.replicas[0].adder.sum, 11);
    cluster_close(&cluster);
}

static void a_lost_leader_is_not_noticed(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    const uint64_t session = open_session(1, 1);
    cluster_isolate(&cluster, 0, true);
    assert_int_equal(add(1, 2, session, 1, 7), MORTAR_OK); /* It still takes 0 for the leader. */
    assert_int_equal(add(0, 3, session, 2, 8), MORTAR_OK); /* Proposed, and cut later. */
    cluster_run(&cluster, 3000);
    cluster_isolate(&cluster, 0, false);
    cluster_run(&cluster, 2000);
    expect(2, MORTAR_OK);
    expect(3, MORTAR_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.replicas[i].adder.sum, 15);
    cluster_close(&cluster);
}

static void an_unknown_session_is_refused_by_name(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    const uint64_t session = open_session(2, 1);
    struct mortar_core *core = cluster.replicas[1].core;
    assert_int_equal(add(1, 2, session + 1, 1, 7), MORTAR_OK);
    assert_int_equal(mortar_core_session_keep(core, 3, session, 5000), MORTAR_OK);
    cluster_run(&cluster, 300);
    expect(2, MORTAR_E_SESSION);
    expect(3, MORTAR_OK);
    assert_int_equal(mortar_core_session_close(core, 4, session, 5000), MORTAR_OK);
    cluster_run(&cluster, 300);
    expect(4, MORTAR_OK);
    assert_int_equal(add(0, 5, session, 1, 7), MORTAR_OK);
    assert_int_equal(mortar_core_session_keep(core, 6, session, 5000), MORTAR_OK);
    cluster_run(&cluster, 300);
    expect(5, MORTAR_E_SESSION);
    expect(6, MORTAR_E_SESSION);
    assert_int_equal(cluster.replicas[0].adder.sum, 0);
    cluster_close(&cluster);
}

static void a_session_that_is_not_used_expires_on_all_members(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    struct mortar_core *core = cluster.replicas[0].core;
    assert_int_equal(mortar_core_session_open(core, 1, 1000, 5000), MORTAR_OK);
    cluster_run(&cluster, 500);
    expect(1, MORTAR_OK);
    const uint64_t session = cluster.done[1].result.first.index;
    assert_int_equal(add(0, 2, session, 1, 7), MORTAR_OK);
    cluster_run(&cluster, 500);
    expect(2, MORTAR_OK);
    cluster_run(&cluster, 3000); /* Nothing but the clock of the next entry. */
    assert_int_equal(add(2, 3, session, 2, 7), MORTAR_OK);
    cluster_run(&cluster, 500);
    expect(3, MORTAR_E_SESSION);
    assert_int_equal(cluster.replicas[0].adder.sum, 7);
    cluster_close(&cluster);
}

static void what_makes_no_sense_is_refused_at_once(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 1);
    struct mortar_core *core = cluster.replicas[0].core;
    assert_int_equal(mortar_core_session_open(core, 1, 999, 5000), MORTAR_E_INVALID);
    assert_int_equal(mortar_core_session_keep(core, 1, 0, 5000), MORTAR_E_INVALID);
    assert_int_equal(mortar_core_session_close(core, 1, 0, 5000), MORTAR_E_INVALID);
    assert_int_equal(add(0, 1, 5, 0, 7), MORTAR_E_INVALID);
    const struct mortar_session_command early = {.session = 5, .sequence = 3, .acked = 3};
    assert_int_equal(mortar_core_session_execute(core, 1, &early, 5000), MORTAR_E_INVALID);
    assert_int_equal(cluster_add(&cluster, 0, 1, 7, MORTAR_REQUEST_CLIENT), MORTAR_E_INVALID);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_anywhere_gets_the_first_reply_at_the_first_position),
        cmocka_unit_test(the_same_command_twice_at_once_is_applied_once),
        cmocka_unit_test(a_lost_leader_is_not_noticed),
        cmocka_unit_test(an_unknown_session_is_refused_by_name),
        cmocka_unit_test(a_session_that_is_not_used_expires_on_all_members),
        cmocka_unit_test(what_makes_no_sense_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
