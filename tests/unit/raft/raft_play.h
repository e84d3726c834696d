/* unit/raft/raft_play.h - what one does with a cluster: disks, crashes, network, sessions.
 *
 * A session copies committed entries from the judges' record, then adopts the tail.
 *
 * Memory, threads, errors: as unit/raft/raft_cluster.h.
 */
#ifndef MORTAR_TESTS_UNIT_RAFT_RAFT_PLAY_H
#define MORTAR_TESTS_UNIT_RAFT_RAFT_PLAY_H

#include "unit/raft/raft_cluster.h"

/* ---- What a disk does ---- */

static inline void cluster_store_votes(struct cluster_node *node)
{
    if (node->saves_done == node->saves_asked) return;
    node->saves_done = node->saves_asked;
    node->term = node->asked_term;
    node->vote = node->asked_vote;
    cluster_step(node, &(struct raft_event){.type = RAFT_VOTE_STORED, .term = node->term});
}

static inline void cluster_store_log(struct cluster_node *node, uint64_t index)
{
    cluster_store_votes(node); /* The disk keeps the order: a term before its entries (C3). */
    if (index <= node->stored || index > node->log.last) return;
    node->stored = index;
    cluster_step(node, &(struct raft_event){.type = RAFT_STORED, .index = index});
}

static inline void cluster_store(struct cluster_node *node)
{
    if (node->raft == NULL) return;
    while (node->saves_done != node->saves_asked || node->stored != node->log.last) {
        cluster_store_votes(node);
        cluster_store_log(node, node->log.last);
    }
    cluster_flush(node);
}

/* ---- Start, crash ---- */

static inline bool entry_config(const struct mortar_entry *entry, struct config *out_config)
{
    return entry->kind == MORTAR_ENTRY_CONFIG &&
           config_decode(entry->bytes, out_config) == MORTAR_OK;
}

/* The entries below the base stay in memory here, so the configuration there can be found. */
static inline void cluster_start(struct cluster_node *node)
{
    const struct raft_log_view view = {
        .context = node,
        .last = view_last,
        .base = view_base,
        .term_at = view_term_at,
        .sum_at = view_sum_at,
        .cut = view_cut,
        .bytes = view_bytes,
        .tail = view_tail,
        .tail_term_at = view_tail_term_at,
        .tail_room = view_tail_room,
    };
    struct raft_options options = node->cluster->options;
    options.self = node->id;
    options.seed = prng_next(&node->cluster->prng);
    struct raft_restored *restored = calloc(1, sizeof *restored);
    assert_non_null(restored);
    restored->term = node->term;
    restored->voted_for = node->vote;
    restored->voting = node->voting;
    restored->commit_index = node->log.base;
    for (uint64_t i = 1; i <= node->log.base; i++) {
        if (entry_config(&node->log.entries[i], &restored->config)) restored->config_index = i;
    }
    node->commit = node->log.base;
    node->stored = node->log.last;
    node->saves_done = node->saves_asked;
    node->asked_term = node->term;
    node->asked_vote = node->vote;
    assert_int_equal(raft_open(&CLUSTER_ALLOCATOR, &options, &view, restored, &node->raft),
                     MORTAR_OK);
    for (uint64_t i = node->log.base + 1; i <= node->log.last; i++) {
        if (!entry_config(&node->log.entries[i], &restored->config)) continue;
        cluster_step(node,
                     &(struct raft_event){.type = RAFT_SYNC_CONFIG,
                                          .config = {.index = i, .config = &restored->config}});
    }
    free(restored);
}

static inline void message_drop(struct cluster *cluster, uint32_t place)
{
    free(cluster->messages[place].bytes);
    cluster->message_count--;
    memmove(&cluster->messages[place], &cluster->messages[place + 1],
            (cluster->message_count - place) * sizeof cluster->messages[0]);
}

static inline void cluster_drop_all(struct cluster *cluster)
{
    while (cluster->message_count > 0) {
        message_drop(cluster, cluster->message_count - 1);
    }
}

/* What was not durable is gone, with the messages that waited for it. */
static inline void cluster_crash(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    raft_close(node->raft);
    node->raft = NULL;
    node->session = false;
    node->tail_open = false;
    node->read_count = 0;
    node->log.last = node->stored;
    for (uint32_t i = cluster->message_count; i > 0; i--) {
        const struct cluster_message *message = &cluster->messages[i - 1];
        if (message->from != cluster_number(&node->id)) continue;
        if (message->hold > node->saves_done) message_drop(cluster, i - 1);
    }
    node->saves_asked = node->saves_done;
}

static inline void log_open(struct cluster_log *log)
{
    *log =
        (struct cluster_log){.entries = calloc(CLUSTER_ENTRIES_MAX, sizeof(struct mortar_entry))};
    assert_non_null(log->entries);
}

static inline struct raft_options cluster_default_options(void)
{
    return (struct raft_options){
        .election_ticks_min = 10,
        .heartbeat_ticks = 2,
        .reluctant_factor = 1,
        .append_bytes = 1000,
        .window_bytes = 4000,
        .resend_bytes = 100000,
        .tail_window_bytes = 4000,
        .uncommitted_bytes_max = 20000,
        .target_voters = 0,
    };
}

/* `nodes` real members, of which the first `voters` vote; `extra` made-up voters after them. All
 * begin with the same committed configuration as entry 1. */
static inline struct cluster *cluster_open(uint64_t seed, const struct raft_options *options,
                                           uint32_t nodes, uint32_t voters, uint32_t extra)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    assert_non_null(cluster);
    cluster_running_seed = seed;
    cluster->seed = seed;
    cluster->prng = prng_seeded(seed);
    cluster->options = *options;
    cluster->node_count = nodes;
    cluster->committed_max = 1;
    struct config *config = calloc(1, sizeof *config);
    assert_non_null(config);
    config->count = voters + extra;
    for (uint32_t i = 0; i < voters + extra; i++) {
        const uint32_t number = i < voters ? i : nodes + i - voters;
        config->members[i] = (struct config_member){.id = cluster_id(number), .voter_new = true};
    }
    for (uint32_t i = 0; i < nodes; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        node->cluster = cluster;
        node->id = cluster_id(i);
        node->tail_bytes_max = 1u << 20;
        log_open(&node->log);
        log_open(&node->tail);
        if (i < voters) {
            cluster_append_config(node, 1, config);
            node->log.base = 1;
            node->term = 1;
            cluster->committed[1] = node->log.entries[1];
        }
        cluster_start(node);
    }
    free(config);
    return cluster;
}

static inline void cluster_close(struct cluster *cluster)
{
    cluster_drop_all(cluster);
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        raft_close(cluster->nodes[i].raft);
        free(cluster->nodes[i].log.entries);
        free(cluster->nodes[i].tail.entries);
    }
    while (cluster->blocks != NULL) {
        struct cluster_block *next = cluster->blocks->next;
        free(cluster->blocks);
        cluster->blocks = next;
    }
    free(cluster);
    cluster_running_seed = 0;
}

/* ---- Network ---- */

static inline bool message_ready(const struct cluster *cluster, uint32_t place)
{
    const struct cluster_message *message = &cluster->messages[place];
    return message->hold <= cluster->nodes[message->from].saves_done;
}

static inline void message_deliver(struct cluster *cluster, uint32_t place)
{
    struct cluster_message message = cluster->messages[place];
    cluster->messages[place].bytes = NULL;
    message_drop(cluster, place);
    if (message.to < cluster->node_count && cluster->nodes[message.to].raft != NULL &&
        !cluster->down[message.from][message.to] && !cluster->blocked[message.from][message.to]) {
        cluster_step(&cluster->nodes[message.to], &message.event);
    }
    free(message.bytes);
}

/* Delivers in order, stores at once, until nothing is left to do. Messages to made-up peers
 * stay. */
static inline void cluster_settle(struct cluster *cluster)
{
    for (uint32_t round = 0; round < 100000; round++) {
        for (uint32_t i = 0; i < cluster->node_count; i++) {
            cluster_store(&cluster->nodes[i]);
        }
        uint32_t place = 0;
        while (place < cluster->message_count &&
               (cluster->messages[place].to >= cluster->node_count ||
                !message_ready(cluster, place))) {
            place++;
        }
        if (place == cluster->message_count) return;
        message_deliver(cluster, place);
    }
    cluster_fail(cluster, "it settles", __LINE__);
}

static inline void cluster_link(struct cluster *cluster, uint32_t a, uint32_t b, bool up)
{
    if (cluster->down[a][b] == !up) return;
    cluster->down[a][b] = !up;
    cluster->down[b][a] = !up;
    struct cluster_node *nodes[2] = {&cluster->nodes[a], &cluster->nodes[b]};
    for (uint32_t i = 0; i < 2; i++) {
        if (nodes[i]->raft == NULL) continue;
        cluster_step(nodes[i],
                     &(struct raft_event){.type = RAFT_LINK, .from = nodes[1 - i]->id, .up = up});
    }
}

static inline void cluster_isolate(struct cluster *cluster, uint32_t node, bool cut_off)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (i != node) cluster_link(cluster, node, i, !cut_off);
    }
}

/* ---- Sessions ---- */

static inline void session_append(struct cluster_node *node, const struct mortar_entry *entry)
{
    struct config *config = calloc(1, sizeof *config);
    assert_non_null(config);
    cluster_append(node, &node->log, *entry);
    cluster_step(node, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    if (entry_config(entry, config)) {
        cluster_step(node,
                     &(struct raft_event){.type = RAFT_SYNC_CONFIG,
                                          .config = {.index = entry->index, .config = config}});
    }
    free(config);
}

static inline void session_cut(struct cluster_node *node, uint64_t index)
{
    effect_truncate(node, index);
    cluster_step(node, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
}

/* As a follower takes an append: keeps what is equal, cuts what conflicts. */
static inline void session_adopt(struct cluster_node *node)
{
    node->cluster->adopted++;
    for (uint64_t i = node->tail.base + 1; i <= node->tail.last && node->session; i++) {
        const struct mortar_entry *entry = &node->tail.entries[i];
        if (i <= node->log.last && node->log.entries[i].term == entry->term) continue;
        if (i <= node->log.last) session_cut(node, i);
        session_append(node, entry);
    }
}

static inline void session_end(struct cluster_node *node)
{
    node->session = false;
    node->tail_open = false;
    cluster_step(node, &(struct raft_event){.type = RAFT_SYNC_ENDED});
}

/* Copies up to `count` committed entries; ends when the hole is closed. */
static inline void cluster_session(struct cluster_node *node, uint32_t count)
{
    struct cluster *cluster = node->cluster;
    if (node->raft == NULL || !node->session) return;
    const uint64_t target = node->tail_open ? node->tail.base : node->session_target;
    CLUSTER_CHECK(cluster, target <= cluster->committed_max);
    for (uint64_t i = node->commit + 1; i <= node->log.last && i <= target; i++) {
        if (mortar_log_sum_equal(node->log.entries[i].sum, cluster->committed[i].sum)) continue;
        session_cut(node, i);
    }
    while (count > 0 && node->log.last < target) {
        session_append(node, &cluster->committed[node->log.last + 1]);
        count--;
    }
    const uint64_t vouched = node->log.last < target ? node->log.last : target;
    cluster_step(node, &(struct raft_event){.type = RAFT_SYNC_COMMITTED, .index = vouched});
    if (node->log.last < target) return;
    if (node->tail_open) session_adopt(node);
    session_end(node);
}

/* ---- Short cuts for tests ---- */

static inline enum mortar_status cluster_propose(struct cluster_node *node, uint32_t count)
{
    return cluster_step(node, &(struct raft_event){.type = RAFT_PROPOSE,
                                                   .propose = {.kind = MORTAR_ENTRY_COMMAND,
                                                               .count = count,
                                                               .bytes = 80ull * count}});
}

static inline enum mortar_status cluster_change(struct cluster_node *node,
                                                enum config_change_kind kind, uint32_t number)
{
    static struct config_change change;
    change = (struct config_change){.kind = kind, .member = cluster_id(number)};
    return cluster_step(node, &(struct raft_event){.type = RAFT_CHANGE,
                                                   .change = {.changes = &change, .count = 1}});
}

static inline enum mortar_status cluster_transfer(struct cluster_node *node,
                                                  const struct mortar_member_id *target)
{
    return cluster_step(node, &(struct raft_event){.type = RAFT_TRANSFER, .from = *target});
}

static inline void cluster_tick(struct cluster_node *node, uint32_t ticks)
{
    for (uint32_t i = 0; i < ticks && node->raft != NULL; i++) {
        cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
        cluster_flush(node);
    }
}

/* Ticks all of them, and lets everything settle between ticks. */
static inline void cluster_run(struct cluster *cluster, uint32_t ticks)
{
    for (uint32_t i = 0; i < ticks; i++) {
        for (uint32_t n = 0; n < cluster->node_count; n++) {
            cluster_tick(&cluster->nodes[n], 1);
            cluster_session(&cluster->nodes[n], 20);
        }
        cluster_settle(cluster);
    }
}

/* The only one that ticks wins, when it can. */
static inline void cluster_elect(struct cluster *cluster, uint32_t number)
{
    struct cluster_node *node = &cluster->nodes[number];
    for (uint32_t n = 0; n < cluster->node_count; n++) {
        if (n == number || cluster->nodes[n].raft == NULL) continue;
        /* A silent leader is forgotten, and stickiness with it, just before it would campaign. */
        if (raft_role(cluster->nodes[n].raft) != MORTAR_LEADER) {
            cluster_tick(&cluster->nodes[n], cluster->options.election_ticks_min - 1);
        }
    }
    for (uint32_t i = 0; i < 400 && raft_role(node->raft) != MORTAR_LEADER; i++) {
        cluster_tick(node, 1);
        cluster_settle(cluster);
        if (raft_role(node->raft) == MORTAR_LEADER) break;
        for (uint32_t n = 0; n < cluster->node_count; n++) {
            if (n != number && cluster->nodes[n].raft != NULL && i % 8 == 0) {
                cluster_tick(&cluster->nodes[n], 1);
                cluster_settle(cluster);
            }
        }
    }
    CLUSTER_CHECK(cluster, raft_role(node->raft) == MORTAR_LEADER);
    cluster_settle(cluster);
}

/* The latest message to `to` of a type, or NULL. */
static inline struct cluster_message *cluster_sent(struct cluster *cluster, uint32_t to,
                                                   enum message_type type)
{
    for (uint32_t i = cluster->message_count; i > 0; i--) {
        struct cluster_message *message = &cluster->messages[i - 1];
        if (message->to == to && message->event.message == type) return message;
    }
    return NULL;
}

static inline const struct raft_effect *cluster_effect(const struct cluster *cluster,
                                                       enum raft_effect_type type)
{
    for (uint32_t i = 0; i < cluster->effects.count; i++) {
        if (cluster->effects.items[i].type == type) return &cluster->effects.items[i];
    }
    return NULL;
}

static inline int cluster_teardown(void **state)
{
    (void)state;
    if (cluster_running_seed != 0) {
        print_message("failed with seed %llu\n", (unsigned long long)cluster_running_seed);
        cluster_running_seed = 0;
    }
    return 0;
}

#endif
