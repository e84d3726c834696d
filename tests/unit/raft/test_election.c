/* Timers and who may campaign. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static uint32_t ticks_to_campaign(struct cluster_node *node)
{
    uint32_t ticks = 0;
    while (raft_role(node->raft) == MORTAR_FOLLOWER && ticks < 1000) {
        cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
        ticks++;
    }
    return ticks;
}

/* Uniform in [min, 2 * min) times the factor: both ends occur, nothing outside does. */
static void timeouts_lie_within_their_bounds_and_vary(void **state)
{
    (void)state;
    for (uint32_t factor = 1; factor <= 3; factor++) {
        uint32_t least = 1000;
        uint32_t most = 0;
        for (uint64_t seed = 1; seed <= 200; seed++) {
            struct raft_options options = cluster_default_options();
            options.reluctant_factor = factor;
            struct cluster *cluster = cluster_open(seed, &options, 1, 1, 2);
            const uint32_t ticks = ticks_to_campaign(&cluster->nodes[0]);
            if (ticks < least) least = ticks;
            if (ticks > most) most = ticks;
            cluster_close(cluster);
        }
        assert_int_equal(least, 10 * factor);
        assert_int_equal(most, 19 * factor);
    }
}

static void a_member_without_configuration_never_campaigns(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, 2, 1, 0);
    cluster_tick(&cluster->nodes[1], 200);
    assert_int_equal(raft_role(cluster->nodes[1].raft), MORTAR_FOLLOWER);
    assert_int_equal(raft_term(cluster->nodes[1].raft), 0);
    cluster_close(cluster);
}

static void learners_and_observers_never_campaign(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(1, &options, 3, 1, 0);
    cluster_elect(cluster, 0);
    assert_int_equal(cluster_change(&cluster->nodes[0], CONFIG_ADD_LEARNER, 1), MORTAR_OK);
    cluster_settle(cluster);
    assert_int_equal(cluster_change(&cluster->nodes[0], CONFIG_ADD_OBSERVER, 2), MORTAR_OK);
    cluster_run(cluster, 5);
    for (uint32_t i = 1; i < 3; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        assert_int_equal(node->commit, cluster->nodes[0].commit);
        const struct mortar_member_id known = raft_leader(node->raft);
        assert_int_equal(cluster_number(&known), 0);
        cluster_tick(node, 100);
        assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
        const struct mortar_member_id leader = raft_leader(node->raft);
        assert_true(mortar_member_id_is_none(&leader)); /* Forgotten after a whole timeout. */
    }
    cluster_close(cluster);
}

static void a_lone_voter_leads_once_its_vote_is_durable(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(0);
    solo_time_out(node);
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
    cluster_store_votes(node);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    assert_int_equal(node->commit, 1);
    cluster_store(node);
    assert_int_equal(node->commit, 2); /* Its no-op, by its own disk alone. */
    solo_close(node);
}

/* Thesis 6.2. The window is twice the least election timeout. */
static void a_leader_that_hears_no_majority_steps_down(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(4);
    solo_lead(node, 4);
    for (uint32_t i = 0; i < 100; i++) { /* Two answer: with itself, a majority of five. */
        cluster_tick(node, 1);
        solo_matched(node, 1, 1);
        solo_matched(node, 2, 1);
        solo_forget(node);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    for (uint32_t i = 0; i < 19; i++) { /* One does not suffice. */
        cluster_tick(node, 1);
        solo_matched(node, 1, 1);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    cluster_tick(node, 1);
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
    solo_close(node);
}

/* Answers how many replies to the leader it led to. */
static uint32_t heard(struct cluster_node *node, const struct mortar_member_id *from, uint64_t term)
{
    static struct raft_effects effects;
    effects.count = 0;
    const struct raft_event event = {.type = RAFT_HEARD, .from = *from, .term = term};
    (void)raft_step(node->raft, &event, &effects);
    for (uint32_t i = 0; i < effects.count; i++) {
        assert_int_equal(effects.items[i].type, RAFT_SEND);
        assert_int_equal(effects.items[i].send.message, MESSAGE_APPEND_REPLY);
        assert_true(mortar_member_id_equal(&effects.items[i].send.to, from));
    }
    return effects.count;
}

/* C8, thesis 6.2: a long message must not look like silence, to either side. */
static void parts_are_answered_once_per_heartbeat(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_append(node, &(struct solo_append){.from = 1, .term = 2, .prev = at(1, 1)});
    const struct mortar_member_id leader = cluster_id(1);
    uint32_t replies = 0;
    for (uint32_t i = 0; i < 60; i++) {
        cluster_tick(node, 1);
        for (uint32_t part = 0; part < 5; part++)
            replies += heard(node, &leader, 2);
    }
    assert_in_range(replies, 5, 60);
    assert_int_equal(heard(node, &leader, 1), 0); /* Of an earlier term: not our leader's. */
    solo_close(node);
}

static void parts_of_the_leaders_messages_count_as_heartbeats(void **state)
{
    (void)state;
    struct cluster_node *node = solo_open(2);
    solo_append(node, &(struct solo_append){.from = 1, .term = 2, .prev = at(1, 1)});
    const struct mortar_member_id leader = cluster_id(1);
    const struct mortar_member_id other = cluster_id(2);
    for (uint32_t i = 0; i < 60; i++) {
        cluster_tick(node, 1);
        heard(node, &leader, 2);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_FOLLOWER);
    for (uint32_t i = 0; i < 60; i++) {
        cluster_tick(node, 1);
        heard(node, &other, 2);
        heard(node, &leader, 1);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_PRE_CANDIDATE);
    solo_close(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeouts_lie_within_their_bounds_and_vary),
        cmocka_unit_test(a_member_without_configuration_never_campaigns),
        cmocka_unit_test(learners_and_observers_never_campaign),
        cmocka_unit_test(a_lone_voter_leads_once_its_vote_is_durable),
        cmocka_unit_test(a_leader_that_hears_no_majority_steps_down),
        cmocka_unit_test(parts_of_the_leaders_messages_count_as_heartbeats),
        cmocka_unit_test(parts_are_answered_once_per_heartbeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
