/* The table of members and joint majorities (thesis 4.3), against a naive count of both halves. */
#include "raft/internal.h"
#include "unit/raft/raft_solo.h"

static uint64_t VALUES[RAFT_TABLE_MAX];

static uint64_t value_of(const struct raft *raft, const struct raft_member *member)
{
    (void)raft;
    return VALUES[cluster_number(&member->id)];
}

/* True when more than half of those in a half reach `value`, or nobody is in it. */
static bool half_reaches(const struct config *config, bool old_half, uint64_t value)
{
    uint32_t members = 0;
    uint32_t reached = 0;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct config_member *member = &config->members[i];
        if (old_half ? !member->voter_old : !member->voter_new) continue;
        members++;
        if (VALUES[cluster_number(&member->id)] >= value) reached++;
    }
    return members == 0 ? old_half : reached > members / 2;
}

static void a_joint_value_is_reached_by_a_majority_of_each_half(void **state)
{
    (void)state;
    struct prng prng = prng_seeded(9);
    struct raft *raft = calloc(1, sizeof *raft);
    assert_non_null(raft);
    for (uint32_t round = 0; round < 5000; round++) {
        struct config *config = &raft->committed.config;
        memset(config, 0, sizeof *config);
        config->count = 1 + (uint32_t)prng_below(&prng, 9);
        config->joint = prng_chance(&prng, 1, 2);
        for (uint32_t i = 0; i < config->count; i++) {
            struct config_member *member = &config->members[i];
            member->id = cluster_id(i);
            member->voter_new = i == 0 || prng_chance(&prng, 2, 3);
            member->voter_old = config->joint && (i == 0 || prng_chance(&prng, 2, 3));
            VALUES[i] = prng_below(&prng, 6);
        }
        raft_members_rebuild(raft, NULL);
        uint64_t naive = 0;
        for (uint64_t value = 1; value < 6; value++) {
            if (half_reaches(config, true, value) && half_reaches(config, false, value)) {
                naive = value;
            }
        }
        assert_int_equal(raft_members_reach(raft, value_of), naive);
    }
    free(raft);
}

static void nobody_reaches_anything_without_a_configuration(void **state)
{
    (void)state;
    struct raft *raft = calloc(1, sizeof *raft);
    assert_non_null(raft);
    assert_int_equal(raft_members_reach(raft, value_of), 0);
    free(raft);
}

/* Thesis 4.2.2 leaves a removed server in the dark; here it is told, once. */
static void a_member_that_drops_out_hears_of_its_commit(void **state)
{
    (void)state;
    struct raft_options options = cluster_default_options();
    struct cluster *cluster = cluster_open(3, &options, 3, 3, 0);
    cluster_elect(cluster, 0);
    assert_int_equal(cluster_change(&cluster->nodes[0], CONFIG_REMOVE, 2), MORTAR_OK);
    cluster_settle(cluster);
    assert_true(cluster->nodes[2].removed);
    assert_false(cluster->nodes[1].removed);
    assert_int_equal(raft_config(cluster->nodes[0].raft)->count, 2);
    cluster_close(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_joint_value_is_reached_by_a_majority_of_each_half),
        cmocka_unit_test(nobody_reaches_anything_without_a_configuration),
        cmocka_unit_test(a_member_that_drops_out_hears_of_its_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
