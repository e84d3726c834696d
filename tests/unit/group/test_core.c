/* The group as a whole, on a network that loses nothing: founding, joining, commands, reads. */
#include "unit/group/cluster.h"
#include "unit/test.h"

static struct cluster cluster; /* Too big for the stack. */

static void a_founder_leads_and_commits_alone(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_found(&cluster, 0);
    cluster_run(&cluster, 2000);
    assert_int_equal(cluster_leader(&cluster), 0);
    assert_true(cluster.replicas[0].birth_seen);
    assert_int_equal(cluster_add(&cluster, 0, 1, 5, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_settle(&cluster);
    assert_true(cluster.done[1].seen);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    assert_int_equal(cluster.done[1].reply, 5);
    cluster_close(&cluster);
}

static void joiners_become_voters_and_apply_the_same(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    const struct mortar_core_status *status = cluster_status(&cluster, 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(status->members[i].voter);
    assert_false(status->joint);
    for (uint64_t id = 1; id <= 100; id++) {
        assert_int_equal(cluster_add(&cluster, (uint32_t)(id % 3), id, id, MORTAR_REQUEST_EXECUTE),
                         MORTAR_OK);
    }
    cluster_run(&cluster, 1000);
    for (uint64_t id = 1; id <= 100; id++) {
        assert_true(cluster.done[id].seen);
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cluster.replicas[i].adder.sum, 5050);
        assert_true(cluster.replicas[i].birth_seen);
    }
    cluster_close(&cluster);
}

static void the_group_survives_its_leader(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster_kill(&cluster, 0);
    cluster_run(&cluster, 5000);
    const int leader = cluster_leader(&cluster);
    assert_true(leader == 1 || leader == 2);
    assert_int_equal(cluster_add(&cluster, (uint32_t)(3 - leader), 1, 7, MORTAR_REQUEST_EXECUTE),
                     MORTAR_OK);
    cluster_run(&cluster, 200);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    assert_int_equal(cluster.done[1].reply, 7);
    cluster_close(&cluster);
}

static void a_command_on_a_cut_off_leader_is_never_a_false_success(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 0, true);
    assert_int_equal(cluster_add(&cluster, 0, 1, 7, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_run(&cluster, 3000);
    const int leader = cluster_leader(&cluster);
    assert_true(leader == 1 || leader == 2);
    assert_int_equal(cluster_add(&cluster, (uint32_t)leader, 2, 9, MORTAR_REQUEST_EXECUTE),
                     MORTAR_OK);
    cluster_run(&cluster, 200);
    cluster_isolate(&cluster, 0, false);
    cluster_run(&cluster, 3000);
    assert_int_equal(cluster.done[2].result.status, MORTAR_OK);
    assert_true(cluster.done[1].seen);
    assert_int_equal(cluster.done[1].result.status, MORTAR_E_LOST);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.replicas[i].adder.sum, 9);
    cluster_close(&cluster);
}

static void linearizable_queries_answer_on_every_member(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    assert_int_equal(cluster_add(&cluster, 1, 1, 11, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_run(&cluster, 100);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(mortar_core_query(cluster.replicas[i].core, 10 + i,
                                           MORTAR_READ_LINEARIZABLE, (struct mortar_bytes){0},
                                           1000),
                         MORTAR_OK);
    }
    cluster_run(&cluster, 300);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(cluster.done[10 + i].seen);
        assert_int_equal(cluster.done[10 + i].result.status, MORTAR_OK);
        assert_int_equal(cluster.done[10 + i].reply, 11);
    }
    cluster_close(&cluster);
}

static void a_linearizable_query_without_a_majority_fails_by_name(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 0, true);
    assert_int_equal(mortar_core_query(cluster.replicas[0].core, 1, MORTAR_READ_LINEARIZABLE,
                                       (struct mortar_bytes){0}, 400),
                     MORTAR_OK);
    cluster_run(&cluster, 2000);
    assert_true(cluster.done[1].seen);
    assert_int_not_equal(cluster.done[1].result.status, MORTAR_OK);
    cluster_close(&cluster);
}

static void a_paused_machine_gets_every_command_once(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster.replicas[1].adder.pause_once_at = 4;
    for (uint64_t id = 1; id <= 10; id++) {
        assert_int_equal(cluster_add(&cluster, 0, id, 1, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    }
    cluster_run(&cluster, 500);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cluster.replicas[i].adder.sum, 10);
        assert_int_equal(cluster.replicas[i].adder.applied, 10);
    }
    cluster_close(&cluster);
}

/* C8: a command longer than a control frame travels in parts. */
static void a_long_command_reaches_everyone(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    assert_int_equal(cluster_bulk(&cluster, 1, 1, 1, 900000), MORTAR_OK);
    cluster_run(&cluster, 1000);
    assert_true(cluster.done[1].seen);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.replicas[i].adder.applied, 1);
    cluster_close(&cluster);
}

/* Design 6.2: more than resend_bytes is missing, so a session closes the gap. */
static void a_lagging_follower_catches_up_by_a_session(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 2, true);
    for (uint64_t id = 1; id <= 40; id++) {
        assert_int_equal(cluster_bulk(&cluster, 0, id, 1000, 100), MORTAR_OK);
        cluster_settle(&cluster);
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
    }
    cluster_isolate(&cluster, 2, false);
    cluster_run(&cluster, 5000);
    const struct mortar_core_status *status = cluster_status(&cluster, 2);
    assert_int_equal(cluster.replicas[2].adder.applied, 40000);
    assert_true(status->counters.sessions_done >= 1);
    assert_false(status->sync.active);
    assert_true(status->online);
    assert_true(cluster.bulk_bytes > 5000000);
    cluster_close(&cluster);
}

static void stopping_completes_every_request(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 0, true);
    assert_int_equal(cluster_add(&cluster, 0, 1, 1, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    assert_int_equal(mortar_core_query(cluster.replicas[0].core, 2, MORTAR_READ_LINEARIZABLE,
                                       (struct mortar_bytes){0}, 10000),
                     MORTAR_OK);
    cluster_settle(&cluster);
    cluster_kill(&cluster, 0);
    assert_int_equal(cluster.done[1].result.status, MORTAR_E_CLOSED);
    assert_int_equal(cluster.done[2].result.status, MORTAR_E_CLOSED);
    cluster_close(&cluster);
}

static void ask_change(uint32_t at, uint64_t id, enum mortar_change_kind kind, uint32_t member)
{
    const struct mortar_change change = {
        .kind = kind, .member = cluster.replicas[member].id, .address = NULL};
    assert_int_equal(mortar_core_change(cluster.replicas[at].core, id, &change, 1, 5000),
                     MORTAR_OK);
}

/* Nobody tells it: it was away. It asks when it has known no leader for long, and is told for good.
 */
static void a_member_that_missed_its_removal_learns_of_it(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 4);
    cluster_isolate(&cluster, 2, true);
    ask_change(0, 1, MORTAR_REMOVE, 2);
    cluster_run(&cluster, 1000);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    cluster_isolate(&cluster, 2, false);
    assert_false(cluster_status(&cluster, 2)->removed);
    cluster_run(&cluster, 8000);
    assert_true(cluster_status(&cluster, 2)->removed);
    assert_int_equal(cluster_add(&cluster, 2, 2, 5, MORTAR_REQUEST_EXECUTE), MORTAR_E_REMOVED);
    const uint64_t term = cluster_status(&cluster, 0)->term;
    cluster_run(&cluster, 3000);
    assert_int_equal(cluster_status(&cluster, 0)->term, term); /* It disturbs nobody. */
    assert_int_equal(cluster_status(&cluster, 0)->member_count, 3);
    cluster_close(&cluster);
}

/* A wiped node joins under a new id and names its old one: refused while that is heard, it takes
 * its place once the other is gone, in one joint change. */
static void a_wiped_member_takes_its_own_place(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster.tune.replaces = cluster.replicas[2].id;
    cluster_join(&cluster, 3);
    cluster_run(&cluster, 3000);
    assert_int_equal(cluster_status(&cluster, 0)->member_count, 3); /* It is alive. */
    cluster_kill(&cluster, 2);
    cluster_run(&cluster, 6000);
    const struct mortar_core_status *status = cluster_status(&cluster, 0);
    assert_int_equal(status->member_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(status->members[i].voter);
        assert_false(mortar_member_id_equal(&status->members[i].id, &cluster.tune.replaces));
    }
    cluster.tune.replaces = (struct mortar_member_id){0};
    cluster_close(&cluster);
}

static void a_change_asks_for_a_replacement(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 4);
    struct mortar_change change = {.kind = MORTAR_REPLACE,
                                   .member = cluster.replicas[3].id,
                                   .replaced = cluster.replicas[3].id};
    struct mortar_core *core = cluster.replicas[1].core;
    assert_int_equal(mortar_core_change(core, 1, &change, 1, 5000), MORTAR_E_INVALID);
    change.replaced = (struct mortar_member_id){0};
    assert_int_equal(mortar_core_change(core, 1, &change, 1, 5000), MORTAR_E_INVALID);
    change.replaced = cluster.replicas[2].id;
    assert_int_equal(mortar_core_change(core, 1, &change, 1, 5000), MORTAR_OK);
    cluster_run(&cluster, 1000);
    assert_int_equal(cluster.done[1].result.status, MORTAR_E_ALIVE);
    cluster_isolate(&cluster, 2, true);
    cluster_run(&cluster, 3000);
    assert_int_equal(mortar_core_change(core, 2, &change, 1, 5000), MORTAR_OK);
    cluster_run(&cluster, 1000);
    assert_int_equal(cluster.done[2].result.status, MORTAR_OK);
    cluster_isolate(&cluster, 2, false); /* It was not dead: now it is out, and is told. */
    cluster_run(&cluster, 8000);
    assert_true(cluster_status(&cluster, 2)->removed);
    const struct mortar_core_status *status = cluster_status(&cluster, 0);
    assert_int_equal(status->member_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(status->members[i].voter);
    cluster_close(&cluster);
}

static void a_removed_id_is_not_added_again(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    ask_change(1, 1, MORTAR_REMOVE, 2);
    cluster_run(&cluster, 1000);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    assert_true(cluster_status(&cluster, 2)->removed); /* It was told. */
    mortar_core_join(cluster.replicas[2].core);        /* It takes the word, and does not ask. */
    cluster_run(&cluster, 3000);
    assert_true(cluster_status(&cluster, 2)->removed);
    ask_change(1, 2, MORTAR_ADD_LEARNER, 2);
    cluster_run(&cluster, 1000);
    assert_int_equal(cluster.done[2].result.status, MORTAR_E_REMOVED);
    assert_int_equal(cluster_status(&cluster, 0)->member_count, 2);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_founder_leads_and_commits_alone),
        cmocka_unit_test(joiners_become_voters_and_apply_the_same),
        cmocka_unit_test(a_member_that_missed_its_removal_learns_of_it),
        cmocka_unit_test(a_wiped_member_takes_its_own_place),
        cmocka_unit_test(a_change_asks_for_a_replacement),
        cmocka_unit_test(a_removed_id_is_not_added_again),
        cmocka_unit_test(the_group_survives_its_leader),
        cmocka_unit_test(a_command_on_a_cut_off_leader_is_never_a_false_success),
        cmocka_unit_test(linearizable_queries_answer_on_every_member),
        cmocka_unit_test(a_linearizable_query_without_a_majority_fails_by_name),
        cmocka_unit_test(a_paused_machine_gets_every_command_once),
        cmocka_unit_test(a_long_command_reaches_everyone),
        cmocka_unit_test(a_lagging_follower_catches_up_by_a_session),
        cmocka_unit_test(stopping_completes_every_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
