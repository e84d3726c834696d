/* The whole of raft, at random: a seed draws sizes, options, faults and their order, and the judges
 * of raft_cluster.h look after every step; then faults end, and all members must become equal.
 *
 * Replay one seed: RAFT_SEED=<n> unit_raft_raft. More of them: RAFT_SEEDS=<count>.
 */
#include "unit/raft/raft_play.h"

#define SEEDS 300u
#define STEPS 4000u

struct story {
    struct cluster *cluster;
    struct prng *prng;
    uint32_t loss;    /* Of 100 messages. */
    uint32_t twice;   /* Of 100. */
    uint32_t reorder; /* How far from the front a message may be taken. */
    uint32_t target;  /* Nodes that may be members. */
};

static struct cluster_node *any_node(struct story *story)
{
    return &story->cluster->nodes[prng_below(story->prng, story->cluster->node_count)];
}

static struct cluster_node *any_leader(struct story *story)
{
    const uint32_t count = story->cluster->node_count;
    const uint32_t start = (uint32_t)prng_below(story->prng, count);
    for (uint32_t i = 0; i < count; i++) {
        struct cluster_node *node = &story->cluster->nodes[(start + i) % count];
        if (node->raft != NULL && raft_role(node->raft) == MORTAR_LEADER) return node;
    }
    return NULL;
}

static void copy_message(struct cluster *cluster, uint32_t place)
{
    if (cluster->message_count == CLUSTER_MESSAGES_MAX) return;
    struct cluster_message *copy = &cluster->messages[cluster->message_count++];
    *copy = cluster->messages[place];
    if (copy->bytes == NULL) return;
    const size_t bytes = copy->event.append_request.entries.bytes;
    copy->bytes = malloc(bytes);
    assert_non_null(copy->bytes);
    memcpy(copy->bytes, cluster->messages[place].bytes, bytes);
    copy->event.append_request.entries.data = copy->bytes;
}

static void deliver_some(struct story *story)
{
    struct cluster *cluster = story->cluster;
    for (uint32_t i = 0; i < 4 && cluster->message_count > 0; i++) {
        const uint32_t reach =
            cluster->message_count < story->reorder ? cluster->message_count : story->reorder;
        const uint32_t place = (uint32_t)prng_below(story->prng, reach);
        if (!message_ready(cluster, place)) continue;
        if (prng_chance(story->prng, story->loss, 100)) {
            message_drop(cluster, place);
            continue;
        }
        if (prng_chance(story->prng, story->twice, 100)) copy_message(cluster, place);
        message_deliver(cluster, place);
    }
    while (cluster->message_count > 600) {
        message_drop(cluster, (uint32_t)prng_below(story->prng, cluster->message_count));
    }
}

static void store_some(struct story *story, struct cluster_node *node)
{
    if (node->raft == NULL) return;
    if (prng_chance(story->prng, 1, 2)) cluster_store_votes(node);
    if (node->stored < node->log.last) {
        cluster_store_log(node, prng_between(story->prng, node->stored + 1, node->log.last));
    }
    cluster_flush(node);
}

static void begin_read(struct cluster_node *node)
{
    if (node == NULL || node->read_count == CLUSTER_READS_MAX) return;
    struct cluster_read *read = &node->reads[node->read_count];
    if (raft_read_begin(node->raft, &read->round, &read->index) != MORTAR_OK) return;
    read->needed = node->cluster->committed_max;
    node->read_count++;
    cluster_flush(node);
}

static void change_members(struct story *story, struct cluster_node *leader)
{
    /* Few removals: who was removed is never a member again. */
    static const enum config_change_kind kinds[] = {
        CONFIG_ADD_LEARNER, CONFIG_ADD_LEARNER, CONFIG_ADD_LEARNER, CONFIG_ADD_LEARNER,
        CONFIG_PROMOTE,     CONFIG_PROMOTE,     CONFIG_PROMOTE,     CONFIG_PROMOTE,
        CONFIG_DEMOTE,      CONFIG_DEMOTE,      CONFIG_DEMOTE,      CONFIG_DEMOTE,
        CONFIG_ADDRESS,     CONFIG_ADDRESS,     CONFIG_REMOVE,      CONFIG_REPLACE,
        CONFIG_ADD_OBSERVER};
    if (leader == NULL) return;
    static struct config_change changes[3];
    const uint32_t count = 1 + (uint32_t)prng_below(story->prng, 3);
    for (uint32_t i = 0; i < count; i++) {
        changes[i] = (struct config_change){
            .kind = kinds[prng_below(story->prng, sizeof kinds / sizeof kinds[0])],
            .member = any_node(story)->id};
        if (changes[i].kind == CONFIG_REPLACE) changes[i].other = any_node(story)->id;
    }
    const struct raft_event event = {.type = RAFT_CHANGE,
                                     .change = {.changes = changes, .count = count}};
    if (cluster_step(leader, &event) == MORTAR_OK) story->cluster->changes++;
}

static void prune(struct story *story, struct cluster_node *node)
{
    const uint64_t most = node->commit < node->stored ? node->commit : node->stored;
    if (node->raft == NULL || node->session || most <= node->log.base) return;
    node->log.base = prng_between(story->prng, node->log.base, most);
    cluster_flush(node);
}

static void break_or_mend_link(struct story *story)
{
    struct cluster *cluster = story->cluster;
    const uint32_t a = (uint32_t)prng_below(story->prng, cluster->node_count);
    const uint32_t b = (uint32_t)prng_below(story->prng, cluster->node_count);
    if (a != b) cluster_link(cluster, a, b, prng_chance(story->prng, 2, 3));
}

/* Two sides that hear nothing of each other, and are not told so by their links. */
static void split(struct story *story)
{
    struct cluster *cluster = story->cluster;
    bool side[CLUSTER_NODES_MAX];
    const bool whole = prng_chance(story->prng, 1, 3);
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        side[i] = !whole && prng_chance(story->prng, 1, 2);
    }
    for (uint32_t a = 0; a < cluster->node_count; a++) {
        for (uint32_t b = 0; b < cluster->node_count; b++) {
            cluster->blocked[a][b] = side[a] != side[b];
        }
    }
}

static void crash_or_start(struct cluster_node *node)
{
    if (node->raft == NULL) {
        cluster_start(node);
    } else {
        cluster_crash(node);
    }
}

static void one_step(struct story *story)
{
    struct cluster_node *node = any_node(story);
    struct cluster_node *leader = any_leader(story);
    const uint64_t what = prng_below(story->prng, 1000);
    if (what < 400) {
        deliver_some(story);
    } else if (what < 620) {
        cluster_tick(node, 1);
    } else if (what < 750) {
        store_some(story, node);
    } else if (what < 820) {
        if (leader != NULL && leader->log.last + 100 < CLUSTER_ENTRIES_MAX) {
            cluster_propose(leader, 1 + (uint32_t)prng_below(story->prng, 8));
            cluster_flush(leader);
        }
    } else if (what < 860) {
        begin_read(leader);
    } else if (what < 920) {
        cluster_session(node, (uint32_t)prng_below(story->prng, 20));
    } else if (what < 965) {
        change_members(story, leader);
    } else if (what < 980) {
        break_or_mend_link(story);
    } else if (what < 985) {
        cluster_isolate(story->cluster, cluster_number(&node->id), prng_chance(story->prng, 1, 2));
    } else if (what < 990) {
        split(story);
    } else if (what < 995) {
        prune(story, node);
    } else {
        crash_or_start(node);
    }
}

static bool is_member(const struct cluster_node *leader, const struct cluster_node *node)
{
    return config_find(raft_config(leader->raft), &node->id) != NULL;
}

static bool converged(struct story *story)
{
    const struct cluster_node *leader = any_leader(story);
    if (leader == NULL || leader->commit != leader->log.last) return false;
    if (raft_config(leader->raft)->joint) return false;
    for (uint32_t i = 0; i < story->cluster->node_count; i++) {
        const struct cluster_node *node = &story->cluster->nodes[i];
        if (!is_member(leader, node)) continue;
        if (node->session || node->commit != leader->commit) return false;
        if (node->log.last != leader->log.last) return false;
        if (raft_term(node->raft) != raft_term(leader->raft)) return false;
    }
    return true;
}

static void print_members(const struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        const struct mortar_position voting = raft_voting_position(node->raft);
        const struct mortar_member_id leader = raft_leader(node->raft);
        print_message("  n%u role %d term %llu leader n%u log %llu..%llu^%llu stored %llu commit "
                      "%llu voting %llu^%llu session %d tail %d config %llu\n",
                      i + 1, (int)raft_role(node->raft), (unsigned long long)raft_term(node->raft),
                      leader.peer.bytes[0], (unsigned long long)node->log.base,
                      (unsigned long long)node->log.last,
                      (unsigned long long)node->log.entries[node->log.last].term,
                      (unsigned long long)node->stored, (unsigned long long)node->commit,
                      (unsigned long long)voting.index, (unsigned long long)voting.term,
                      node->session, node->tail_open,
                      (unsigned long long)raft_config_index(node->raft));
        for (uint32_t j = 0; j < cluster->node_count; j++) {
            struct raft_progress_view view;
            if (!raft_progress(node->raft, &cluster->nodes[j].id, &view)) continue;
            print_message("    n%u state %d next %llu match %llu silent %llu whole %d\n", j + 1,
                          (int)view.state, (unsigned long long)view.next,
                          (unsigned long long)view.match, (unsigned long long)view.silent_ticks,
                          view.whole);
        }
    }
}

/* No more faults: a leader, and all members equal, within a bounded time. */
static void heal_and_converge(struct story *story)
{
    struct cluster *cluster = story->cluster;
    for (uint32_t a = 0; a < cluster->node_count; a++) {
        for (uint32_t b = 0; b < a; b++) {
            cluster_link(cluster, a, b, true);
            cluster->blocked[a][b] = false;
            cluster->blocked[b][a] = false;
        }
        if (cluster->nodes[a].raft == NULL) cluster_start(&cluster->nodes[a]);
        cluster->nodes[a].tail_bytes_max = 1u << 20;
    }
    for (uint32_t i = 0; i < 1500 && !converged(story); i++) {
        cluster_run(cluster, 1);
    }
    if (!converged(story)) print_members(cluster);
    CLUSTER_CHECK(cluster, converged(story));
    struct cluster_node *leader = any_leader(story);
    const uint64_t before = leader->commit;
    assert_int_equal(cluster_propose(leader, 1), MORTAR_OK);
    cluster_run(cluster, 5);
    CLUSTER_CHECK(cluster, leader->commit > before);
}

struct totals {
    uint64_t episodes, elections, reads, changes, adopted, committed;
};

static void tell(uint64_t seed, struct totals *totals)
{
    struct prng prng = prng_seeded(seed * 7919);
    struct raft_options options = cluster_default_options();
    options.heartbeat_ticks = 1 + (uint32_t)prng_below(&prng, 4);
    options.append_bytes = 50 + (uint32_t)prng_below(&prng, 1000);
    options.window_bytes = 100 + prng_below(&prng, 4000);
    options.tail_window_bytes = 100 + prng_below(&prng, 4000);
    options.resend_bytes = prng_chance(&prng, 1, 2) ? 300 : 100000;
    options.uncommitted_bytes_max = 2000 + prng_below(&prng, 20000);
    options.target_voters = prng_chance(&prng, 1, 2) ? 5 : 0;
    const uint32_t nodes = 1 + (uint32_t)prng_below(&prng, 7);
    const uint32_t voters = 1 + (uint32_t)prng_below(&prng, nodes);
    struct cluster *cluster = cluster_open(seed, &options, nodes, voters, 0);
    struct story story = {.cluster = cluster, .prng = &prng};
    const bool calm = prng_chance(&prng, 1, 4); /* Ordered and reliable, as real links are. */
    story.loss = calm ? 0 : (uint32_t)prng_below(&prng, 20);
    story.twice = calm ? 0 : (uint32_t)prng_below(&prng, 20);
    story.reorder = calm ? 1 : 1 + (uint32_t)prng_below(&prng, 30);
    for (uint32_t i = 0; i < nodes; i++) {
        if (prng_chance(&prng, 1, 3)) cluster->nodes[i].tail_bytes_max = prng_below(&prng, 2000);
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        one_step(&story);
    }
    heal_and_converge(&story);
    totals->episodes += cluster->episodes;
    totals->elections += cluster->elections;
    totals->reads += cluster->reads_confirmed;
    totals->changes += cluster->changes;
    totals->adopted += cluster->adopted;
    totals->committed += cluster->committed_max;
    cluster_close(cluster);
}

static void members_stay_safe_under_faults_and_become_equal_after_them(void **state)
{
    (void)state;
    struct totals totals = {0};
    const char *one = getenv("RAFT_SEED");
    if (one != NULL) {
        tell(strtoull(one, NULL, 10), &totals);
        return;
    }
    const char *many = getenv("RAFT_SEEDS");
    const uint64_t seeds = many != NULL ? strtoull(many, NULL, 10) : SEEDS;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        tell(seed, &totals);
    }
    print_message("  %llu entries, %llu elections, %llu reads, %llu changes, %llu sessions, %llu "
                  "tails adopted\n",
                  (unsigned long long)totals.committed, (unsigned long long)totals.elections,
                  (unsigned long long)totals.reads, (unsigned long long)totals.changes,
                  (unsigned long long)totals.episodes, (unsigned long long)totals.adopted);
    /* The faults and features that it is for did occur. */
    assert_true(totals.elections > SEEDS);
    assert_true(totals.reads > SEEDS);
    assert_true(totals.changes > SEEDS);
    assert_true(totals.episodes > SEEDS / 2);
    assert_true(totals.adopted > SEEDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(members_stay_safe_under_faults_and_become_equal_after_them,
                                  cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
