/* unit/raft/raft_cluster.h - several real rafts over toy logs and a message queue.
 *
 * What it is: the owner's duties of raft/raft.h in their plainest form, deterministic, with the
 * judges built in: after every step raft_check(), and over all members election safety, log
 * matching, leader completeness, state machine safety, and a commit index that never falls (thesis
 * figure 3.2). Log sums cover the whole prefix, so comparing one sum compares two logs.
 * unit/raft/raft_play.h has what one does with a cluster: disks, crashes, network, sessions.
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
    bool down[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX];    /* Both sides were told by LINK. */
    bool blocked[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX]; /* Nobody was told. */
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
    } else if (effect->send.message == MESSAGE_TIMEOUT_NOW) {
        message->event.timeout_now = effect->send.timeout_now;
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
    case RAFT_TRANSFER_ENDED:
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

#endif
