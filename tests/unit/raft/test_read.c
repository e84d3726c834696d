/* Read-index rounds beyond the paper test: sharing, lone voters, joint halves. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static void echo(struct cluster_node *node, uint32_t from, uint64_t round)
{
    solo_append_reply(
        node, from,
        (struct append_reply){.outcome = APPEND_MATCHED, .match_index = 1, .round = round});
}

static void reads_that_begin_before_the_round_leaves_share_it(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    uint64_t rounds[3];
    uint64_t index = 0;
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(raft_read_begin(node->raft, &rounds[i], &index), MORTAR_OK);
    }
    assert_int_equal(rounds[0], rounds[1]);
    cluster_flush(node);
    assert_int_equal(solo_sent(node, 1)->round, rounds[0]);
    assert_int_equal(raft_read_begin(node->raft, &rounds[2], &index), MORTAR_OK);
    assert_int_equal(rounds[2], rounds[0] + 1);
    echo(node, 1, rounds[0]);
    assert_int_equal(node->read_confirmed, rounds[0]);
    solo_close(node);
}

static void a_lone_voter_confirms_with_the_next_flush(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(0);
    uint64_t round = 0;
    uint64_t index = 0;
    solo_time_out(node);
    cluster_store(node);
    assert_int_equal(raft_read_begin(node->raft, &round, &index), MORTAR_OK);
    assert_int_equal(node->read_confirmed, 0);
    cluster_flush(node);
    assert_int_equal(node->read_confirmed, round);
    assert_int_equal(index, node->commit);
    solo_close(node);
}

static void a_joint_phase_asks_both_halves(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    uint64_t round = 0;
    uint64_t index = 0;
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    static struct config_change changes[2];
    changes[0] = (struct config_change){.kind = CONFIG_REMOVE, .member = cluster_id(1)};
    changes[1] = (struct config_change){.kind = CONFIG_REMOVE, .member = cluster_id(2)};
    assert_int_equal(
        cluster_step(node, &(struct raft_event){.type = RAFT_CHANGE, .change = {changes, 2}}),
        MORTAR_OK);
    assert_int_equal(raft_read_begin(node->raft, &round, &index), MORTAR_OK);
    cluster_flush(node);
    assert_int_equal(node->read_confirmed, 0); /* Enough for the new half, not for the old. */
    echo(node, 2, round);
    assert_int_equal(node->read_confirmed, round);
    solo_close(node);
}

static void any_answer_in_the_term_echoes_the_round(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    uint64_t round = 0;
    uint64_t index = 0;
    solo_lead(node, 2);
    solo_matched(node, 1, 2);
    assert_int_equal(raft_read_begin(node->raft, &round, &index), MORTAR_OK);
    cluster_flush(node);
    solo_append_reply(node, 2, (struct append_reply){.outcome = APPEND_SYNCING, .round = round});
    assert_int_equal(node->read_confirmed, round);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_that_begin_before_the_round_leaves_share_it),
        cmocka_unit_test(a_lone_voter_confirms_with_the_next_flush),
        cmocka_unit_test(a_joint_phase_asks_both_halves),
        cmocka_unit_test(any_answer_in_the_term_echoes_the_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
