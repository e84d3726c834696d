/* unit/raft/raft_cluster.h - several real rafts over toy logs and a message queue.
 *
 * What it is: the owner's duties of raft/raft.h in their plainest form, deterministic, with the
 * judges built in: after every step raft_check(), and over all members election safety, log
 * matching, leader completeness, state machine safety, and a commit index that never falls (thesis
 * figure 3.2). Log sums cover the whole prefix, so comparing one sum compares two logs.
 * It also plays the sessions: a session copies committed entries, then adopts the tail.
 *
 * A cluster of one node with made-up peers serves tests of single messages: what it sends stays in
 * the queue.
 *
 * Memory: malloc. Threads: one test. Errors: a failed check ends the test; cluster_running_seed
 * names its seed.
 */
#ifndef MORTAR_TESTS_UNIT_RAFT_RAFT_CLUSTER_H
#define MORTAR_TESTS_UNIT_RAFT_RAFT_CLUSTER_H

#include "base/hash.h"
#include "base/prng.h"
#include "raft/raft.h"
#include "unit/test.h"
#include "wire/record.h"

#include <stdlib.h>

#define CLUSTER_NODES_MAX    8u
#define CLUSTER_ENTRIES_MAX  4000u
#define CLUSTER_MESSAGES_MAX 4096u
#define CLUSTER_TERMS_MAX    4096u
#define CLUSTER_READS_MAX    64u

struct cluster;

struct cluster_log {
    struct mortar_entry *entries; /* [index]; below `base` only the sums and terms matter. */
    uint64_t base;
    uint64_t last;
};

struct cluster_read {
    uint64_t round;
    uint64_t index;
    uint64_t needed; /* What was committed anywhere when it began. */
};

struct cluster_node {
    struct cluster *cluster;
    struct mortar_member_id id;
    struct raft *raft; /* NULL: down, or made up. */
    struct cluster_log log;
    uint64_t stored;
    bool tail_open;
    struct cluster_log tail;
    struct mortar_log_sum tail_base_sum;
    uint64_t tail_bytes_max;
    bool session;
    uint64_t session_target;
    uint64_t session_count;
    /* Durable term and vote, and how many saves were asked for and are done. */
    uint64_t term;
    struct mortar_member_id vote;
    uint64_t saves_asked;
    uint64_t saves_done;
    uint64_t asked_term;
    struct mortar_member_id asked_vote;
    struct mortar_position voting;
    uint64_t commit;
    bool removed;
    uint64_t read_confirmed;
    uint32_t read_count;
    struct cluster_read reads[CLUSTER_READS_MAX];
};

struct cluster_message {
    uint32_t from; /* Node numbers; `to` may be a made-up peer. */
    uint32_t to;
    uint64_t hold; /* Leaves when the sender has done so many saves. */
    struct raft_event event;
    uint8_t *bytes;
};

struct cluster_block {
    struct cluster_block *next;
    max_align_t bytes[];
};

struct cluster {
    uint64_t seed;
    struct prng prng;
    struct raft_options options;
    uint32_t node_count;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    bool blocked[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX];
    uint32_t message_count;
    struct cluster_message messages[CLUSTER_MESSAGES_MAX];
    struct raft_effects effects; /* Of the latest step. */
    struct cluster_block *blocks;
    bool manual_store; /* STORED and VOTE_STORED come only when the test says so. */
    /* Judges. */
    uint32_t leaders[CLUSTER_TERMS_MAX]; /* Node number + 1 by term. */
    uint64_t committed_max;
    struct mortar_entry committed[CLUSTER_ENTRIES_MAX];
    uint64_t episodes; /* Of SYNC, over all. */
    uint64_t elections;
    uint64_t reads_confirmed;
    uint64_t changes;
    uint64_t adopted;
};

/* Of the cluster that runs; a teardown prints it when the test did not get to its end. */
static uint64_t cluster_running_seed;

#define CLUSTER_CHECK(cluster, condition)                                                          \
    ((condition) ? (void)0 : cluster_fail(cluster, #condition, __LINE__))

static inline void cluster_fail(const struct cluster *cluster, const char *condition, int line)
{
    print_message("seed %llu: %s\n", (unsigned long long)cluster->seed, condition);
    _fail(__FILE__, line);
}

static inline struct mortar_member_id cluster_id(uint32_t number)
{
    struct mortar_member_id id = {0};
    id.peer.bytes[0] = (uint8_t)(number + 1);
    return id;
}

static inline uint32_t cluster_number(const struct mortar_member_id *id)
{
    return (uint32_t)id->peer.bytes[0] - 1;
}

/* ---- Memory ---- */

static inline void *cluster_reserve(struct cluster *cluster, size_t bytes)
{
    struct cluster_block *block = malloc(sizeof *block + bytes);
    assert_non_null(block);
    block->next = cluster->blocks;
    cluster->blocks = block;
    return block->bytes;
}

static inline void *cluster_alloc(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static inline void *cluster_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return realloc(block, new_bytes);
}

static inline void cluster_release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

static const struct mortar_allocator CLUSTER_ALLOCATOR = {cluster_alloc, cluster_resize,
                                                          cluster_release, NULL};

/* ---- The toy log ---- */

static inline uint64_t cluster_log_bytes(const struct cluster_log *log, uint64_t first,
                                         uint64_t last)
{
    uint64_t bytes = 0;
    for (uint64_t i = first; i <= last; i++) {
        bytes += record_bytes(log->entries[i].bytes.bytes);
    }
    return bytes;
}

static inline struct mortar_position cluster_position(const struct cluster_log *log, uint64_t index)
{
    return (struct mortar_position){.index = index, .term = log->entries[index].term};
}

static inline struct mortar_position view_last(void *context)
{
    const struct cluster_node *node = context;
    return cluster_position(&node->log, node->log.last);
}

static inline struct mortar_anchor_point view_base(void *context)
{
    const struct cluster_node *node = context;
    return (struct mortar_anchor_point){
        .position = cluster_position(&node->log, node->log.base),
        .sum = node->log.entries[node->log.base].sum,
    };
}

static inline bool view_term_at(void *context, uint64_t index, uint64_t *out_term)
{
    const struct cluster_node *node = context;
    if (index < node->log.base || index > node->log.last) return false;
    *out_term = node->log.entries[index].term;
    return true;
}

static inline bool view_sum_at(void *context, uint64_t index, struct mortar_log_sum *out_sum)
{
    const struct cluster_node *node = context;
    if (index < node->log.base || index > node->log.last) return false;
    *out_sum = node->log.entries[index].sum;
    return true;
}

static inline uint64_t view_cut(void *context, uint64_t first, uint64_t last, uint64_t bytes)
{
    const struct cluster_node *node = context;
    CLUSTER_CHECK(node->cluster, first > node->log.base && last <= node->log.last);
    uint64_t end = first;
    while (end < last && cluster_log_bytes(&node->log, first, end + 1) <= bytes) {
        end++;
    }
    return end;
}

static inline uint64_t view_bytes(void *context, uint64_t first, uint64_t last)
{
    const struct cluster_node *node = context;
    if (first > last) return 0;
    CLUSTER_CHECK(node->cluster, first > node->log.base && last <= node->log.last);
    return cluster_log_bytes(&node->log, first, last);
}

static inline bool view_tail(void *context, struct mortar_anchor_point *out_base,
                             struct mortar_position *out_last)
{
    const struct cluster_node *node = context;
    if (!node->tail_open) return false;
    out_base->position = cluster_position(&node->tail, node->tail.base);
    out_base->sum = node->tail_base_sum;
    *out_last = cluster_position(&node->tail, node->tail.last);
    return true;
}

static inline bool view_tail_term_at(void *context, uint64_t index, uint64_t *out_term)
{
    const struct cluster_node *node = context;
    if (!node->tail_open || index <= node->tail.base || index > node->tail.last) return false;
    *out_term = node->tail.entries[index].term;
    return true;
}

static inline uint64_t view_tail_room(void *context)
{
    const struct cluster_node *node = context;
    if (!node->tail_open) return node->tail_bytes_max;
    const uint64_t held = cluster_log_bytes(&node->tail, node->tail.base + 1, node->tail.last);
    return held >= node->tail_bytes_max ? 0 : node->tail_bytes_max - held;
}

/* Thesis 3.5, log matching: sums are checked against what any member ever committed here. */
static inline void cluster_append(struct cluster_node *node, struct cluster_log *log,
                                  struct mortar_entry entry)
{
    struct cluster *cluster = node->cluster;
    CLUSTER_CHECK(cluster, log->last + 1 < CLUSTER_ENTRIES_MAX);
    CLUSTER_CHECK(cluster, entry.index == log->last + 1);
    CLUSTER_CHECK(cluster, entry.term >= log->entries[log->last].term);
    void *payload = cluster_reserve(cluster, entry.bytes.bytes);
    if (entry.bytes.bytes > 0) memcpy(payload, entry.bytes.data, entry.bytes.bytes);
    entry.bytes.data = payload;
    const struct mortar_log_sum before = log == &node->tail && log->last == log->base
                                             ? node->tail_base_sum
                                             : log->entries[log->last].sum;
    const struct mortar_log_sum sum = log_sum_next(before, &entry);
    if (entry.sum.low != 0 || entry.sum.high != 0) {
        CLUSTER_CHECK(cluster, mortar_log_sum_equal(sum, entry.sum));
    }
    entry.sum = sum;
    log->last++;
    log->entries[log->last] = entry;
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct cluster_log *other = &cluster->nodes[i].log;
        if (entry.index > other->last || entry.index < other->base) continue;
        if (other->entries[entry.index].term != entry.term) continue;
        CLUSTER_CHECK(cluster, mortar_log_sum_equal(other->entries[entry.index].sum, sum));
    }
}

static inline void cluster_append_payload(struct cluster_node *node, uint64_t term,
                                          enum mortar_entry_kind kind, struct mortar_bytes bytes)
{
    cluster_append(node, &node->log,
                   (struct mortar_entry){
                       .index = node->log.last + 1, .term = term, .kind = kind, .bytes = bytes});
}

static inline void cluster_append_config(struct cluster_node *node, uint64_t term,
                                         const struct config *config)
{
    static uint8_t bytes[CONFIG_ENCODED_BYTES_MAX];
    struct writer writer = writer_over(bytes, sizeof bytes);
    config_encode(config, &writer);
    assert_false(writer.failed);
    cluster_append_payload(node, term, MORTAR_ENTRY_CONFIG,
                           (struct mortar_bytes){bytes, writer.bytes});
}

/* ---- Judges ---- */

static inline void judge_leader(struct cluster_node *node)
{
    struct cluster *cluster = node->cluster;
    const uint64_t term = raft_term(node->raft);
    const uint32_t number = cluster_number(&node->id) + 1;
    CLUSTER_CHECK(cluster, term < CLUSTER_TERMS_MAX);
    CLUSTER_CHECK(cluster, cluster->leaders[term] == 0 || cluster->leaders[term] == number);
    if (cluster->leaders[term] == 0) cluster->elections++;
    cluster->leaders[term] = number;
    const uint64_t max = cluster->committed_max; /* Leader completeness (3.6.3). */
    CLUSTER_CHECK(cluster, node->log.last >= max);
    if (max > node->log.base) {
        CLUSTER_CHECK(
            cluster, mortar_log_sum_equal(node->log.entries[max].sum, cluster->committed[max].sum));
    }
}

static inline void judge_commit(struct cluster_node *node, struct mortar_position position)
{
    struct cluster *cluster = node->cluster;
    CLUSTER_CHECK(cluster, position.index > node->commit);
    CLUSTER_CHECK(cluster, position.index <= node->log.last);
    CLUSTER_CHECK(cluster, position.term == node->log.entries[position.index].term);
    for (uint64_t i = node->commit + 1; i <= position.index; i++) {
        const struct mortar_entry *entry = &node->log.entries[i];
        if (i <= cluster->committed_max) {
            CLUSTER_CHECK(cluster, mortar_log_sum_equal(entry->sum, cluster->committed[i].sum));
        } else {
            cluster->committed[i] = *entry;
            cluster->committed_max = i;
        }
    }
    node->commit = position.index;
}

static inline void judge_reads(struct cluster_node *node, uint64_t round)
{
    uint32_t kept = 0;
    node->read_confirmed = round;
    for (uint32_t i = 0; i < node->read_count; i++) {
        const struct cluster_read read = node->reads[i];
        if (read.round > round) {
            node->reads[kept++] = read;
            continue;
        }
        CLUSTER_CHECK(node->cluster, read.index >= read.needed); /* Thesis 6.4. */
        node->cluster->reads_confirmed++;
    }
    node->read_count = kept;
}

/* ---- Effects ---- */

static inline struct cluster_message *cluster_queue(struct cluster_node *node,
                                                    const struct mortar_member_id *to)
{
    struct cluster *cluster = node->cluster;
    CLUSTER_CHECK(cluster, cluster->message_count < CLUSTER_MESSAGES_MAX);
    struct cluster_message *message = &cluster->messages[cluster->message_count++];
    *message = (struct cluster_message){
        .from = cluster_number(&node->id), .to = cluster_number(to), .hold = node->saves_asked};
    message->event.type = RAFT_RECEIVE;
    message->event.from = node->id;
    return message;
}

static inline void effect_send(struct cluster_node *node, const struct raft_effect *effect)
{
    struct cluster_message *message = cluster_queue(node, &effect->send.to);
    message->event.message = effect->send.message;
    if (effect->send.message == MESSAGE_VOTE_REQUEST) {
        message->event.vote_request = effect->send.vote_request;
    } else if (effect->send.message == MESSAGE_VOTE_REPLY) {
        message->event.vote_reply = effect->send.vote_reply;
    } else {
        assert_int_equal(effect->send.message, MESSAGE_APPEND_REPLY);
        message->event.append_reply = effect->send.append_reply;
    }
}

static inline void effect_send_append(struct cluster_node *node, const struct raft_effect *effect)
{
    struct cluster_message *message = cluster_queue(node, &effect->send_append.to);
    struct append_request *append = &message->event.append_request;
    message->event.message = MESSAGE_APPEND_REQUEST;
    *append = effect->send_append.append;
    const uint64_t first = effect->send_append.first;
    const uint64_t last = effect->send_append.last;
    CLUSTER_CHECK(node->cluster, append->prev.index + 1 == first);
    CLUSTER_CHECK(node->cluster, append->prev.term == node->log.entries[first - 1].term);
    CLUSTER_CHECK(node->cluster, append->count == (first > last ? 0 : last - first + 1));
    if (first > last) return;
    CLUSTER_CHECK(node->cluster, first > node->log.base && last <= node->log.last);
    const size_t bytes = cluster_log_bytes(&node->log, first, last);
    message->bytes = malloc(bytes);
    assert_non_null(message->bytes);
    struct writer writer = writer_over(message->bytes, bytes);
    for (uint64_t i = first; i <= last; i++) {
        record_encode(&node->log.entries[i], &writer);
    }
    assert_false(writer.failed);
    append->entries = (struct mortar_bytes){message->bytes, bytes};
}

static inline void effect_append_own(struct cluster_node *node, const struct raft_effect *effect)
{
    const struct mortar_position first = effect->append_own.position;
    CLUSTER_CHECK(node->cluster, first.index == node->log.last + 1);
    CLUSTER_CHECK(node->cluster, raft_role(node->raft) == MORTAR_LEADER);
    for (uint32_t i = 0; i < effect->append_own.count; i++) {
        if (effect->append_own.kind == MORTAR_ENTRY_CONFIG) {
            cluster_append_config(node, first.term, effect->append_own.config);
            continue;
        }
        /* Content that no two leaders of a position share. */
        const uint64_t bytes[4] = {first.index + i, first.term, cluster_number(&node->id), 0};
        const size_t length = effect->append_own.kind == MORTAR_ENTRY_COMMAND ? sizeof bytes : 24;
        cluster_append_payload(node, first.term, effect->append_own.kind,
                               (struct mortar_bytes){(const uint8_t *)bytes, length});
    }
}

static inline void effect_append_foreign(struct cluster_node *node, struct cluster_log *log,
                                         const struct raft_effect *effect,
                                         const struct raft_event *event)
{
    struct mortar_bytes entries = event->append_request.entries;
    entries.data += effect->append_foreign.offset;
    entries.bytes -= effect->append_foreign.offset;
    struct reader reader = reader_over(entries);
    for (uint32_t i = 0; i < effect->append_foreign.count; i++) {
        struct mortar_entry entry;
        assert_int_equal(record_decode(&reader, &entry), MORTAR_OK);
        if (i == 0) assert_int_equal(entry.index, effect->append_foreign.first.index);
        CLUSTER_CHECK(node->cluster, entry.term <= node->asked_term); /* C3. */
        cluster_append(node, log, entry);
    }
}

static inline void effect_truncate(struct cluster_node *node, uint64_t index)
{
    CLUSTER_CHECK(node->cluster, index > node->commit && index <= node->log.last);
    node->log.last = index - 1;
    if (node->stored > node->log.last) node->stored = node->log.last;
}

static inline void effect_tail_open(struct cluster_node *node, struct mortar_anchor_point anchor)
{
    node->tail_open = true;
    node->tail.base = anchor.position.index;
    node->tail.last = anchor.position.index;
    node->tail.entries[anchor.position.index] =
        (struct mortar_entry){.index = anchor.position.index, .term = anchor.position.term};
    node->tail_base_sum = anchor.sum;
}

static inline void effect_role(struct cluster_node *node)
{
    if (raft_role(node->raft) == MORTAR_LEADER) {
        judge_leader(node);
        node->session = false;
        node->tail_open = false;
    } else {
        node->read_count = 0; /* Reads of an earlier leadership are void. */
    }
}

static inline void carry_out(struct cluster_node *node, const struct raft_event *event,
                             const struct raft_effect *effect)
{
    switch (effect->type) {
    case RAFT_SAVE_VOTE:
        node->saves_asked++;
        node->asked_term = effect->save_vote.term;
        node->asked_vote = effect->save_vote.voted_for;
        break;
    case RAFT_TRUNCATE:
        effect_truncate(node, effect->index);
        break;
    case RAFT_APPEND_OWN:
        effect_append_own(node, effect);
        break;
    case RAFT_APPEND_FOREIGN:
        CLUSTER_CHECK(node->cluster, !node->session);
        effect_append_foreign(node, &node->log, effect, event);
        break;
    case RAFT_SEND:
        effect_send(node, effect);
        break;
    case RAFT_SEND_APPEND:
        effect_send_append(node, effect);
        break;
    case RAFT_COMMIT:
        judge_commit(node, effect->position);
        break;
    case RAFT_ROLE:
        effect_role(node);
        break;
    case RAFT_CONFIG:
        break;
    case RAFT_READ_CONFIRMED:
        judge_reads(node, effect->round);
        break;
    case RAFT_SYNC_OPEN:
        node->session = true;
        node->session_count++;
        node->session_target = effect->sync_open.prev.index;
        node->cluster->episodes++;
        break;
    case RAFT_TAIL_OPEN:
        effect_tail_open(node, effect->anchor);
        break;
    case RAFT_TAIL_APPEND:
        CLUSTER_CHECK(node->cluster, node->session && node->tail_open);
        effect_append_foreign(node, &node->tail, effect, event);
        break;
    case RAFT_TAIL_TRUNCATE:
        CLUSTER_CHECK(node->cluster, effect->index > node->tail.base);
        node->tail.last = effect->index - 1;
        break;
    case RAFT_REMOVED:
        node->removed = true;
        break;
    }
}

static inline enum mortar_status cluster_step(struct cluster_node *node,
                                              const struct raft_event *event)
{
    struct cluster *cluster = node->cluster;
    cluster->effects.count = 0;
    const bool had_session = node->session;
    const enum mortar_status status = raft_step(node->raft, event, &cluster->effects);
    for (uint32_t i = 0; i < cluster->effects.count; i++) {
        carry_out(node, event, &cluster->effects.items[i]);
    }
    raft_check(node->raft);
    CLUSTER_CHECK(cluster, raft_commit_index(node->raft) == node->commit);
    node->voting = raft_voting_position(node->raft);
    if (!had_session && node->session) {
        const struct raft_effects kept = cluster->effects;
        cluster_step(node, &(struct raft_event){.type = RAFT_SYNC_BEGUN});
        cluster->effects = kept;
    }
    return status;
}

/* FLUSH until it yields nothing, as the owner must; what it sent is in the queue. */
static inline void cluster_flush(struct cluster_node *node)
{
    do {
        cluster_step(node, &(struct raft_event){.type = RAFT_FLUSH});
    } while (node->cluster->effects.count > 0);
}

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
        !cluster->blocked[message.from][message.to]) {
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
    CLUSTER_CHECK(cluster, !"it settles");
}

static inline void cluster_link(struct cluster *cluster, uint32_t a, uint32_t b, bool up)
{
    if (cluster->blocked[a][b] == !up) return;
    cluster->blocked[a][b] = !up;
    cluster->blocked[b][a] = !up;
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
