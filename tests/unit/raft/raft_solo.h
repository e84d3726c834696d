/* unit/raft/raft_solo.h - one real raft among made-up peers, for tests of single messages.
 *
 * The real one is number 0; peers are 1, 2, ... Entry 1 (term 1) is the committed configuration.
 * What it sends stays in the queue, and is forgotten by solo_forget().
 *
 * Memory, threads, errors: as unit/raft/raft_cluster.h.
 */
#ifndef MORTAR_TESTS_UNIT_RAFT_RAFT_SOLO_H
#define MORTAR_TESTS_UNIT_RAFT_RAFT_SOLO_H

#include "unit/raft/raft_play.h"

struct solo_append {
    uint32_t from;
    uint64_t term;
    struct mortar_position prev;
    uint64_t commit;
    const uint64_t *terms; /* Of the entries. */
    uint32_t count;
    uint64_t round;
    uint64_t sync_id;
    struct mortar_position tail_base;
    bool quiet;
};

static inline struct cluster_node *solo_open_with(const struct raft_options *options,
                                                  uint32_t peers)
{
    return &cluster_open(1, options, 1, 1, peers)->nodes[0];
}

static inline struct cluster_node *solo_open(uint32_t peers)
{
    const struct raft_options options = cluster_default_options();
    return solo_open_with(&options, peers);
}

static inline void solo_close(struct cluster_node *node)
{
    cluster_close(node->cluster);
}

static inline void solo_forget(struct cluster_node *node)
{
    cluster_drop_all(node->cluster);
}

static inline struct mortar_position at(uint64_t index, uint64_t term)
{
    return (struct mortar_position){.index = index, .term = term};
}

static inline void solo_append(struct cluster_node *node, const struct solo_append *append)
{
    static uint8_t bytes[1u << 16];
    struct writer writer = writer_over(bytes, sizeof bytes);
    for (uint32_t i = 0; i < append->count; i++) {
        const uint64_t payload[2] = {append->terms[i], append->prev.index + 1 + i};
        record_encode(&(struct mortar_entry){.index = append->prev.index + 1 + i,
                                             .term = append->terms[i],
                                             .kind = MORTAR_ENTRY_COMMAND,
                                             .bytes = {(const uint8_t *)payload, sizeof payload}},
                      &writer);
    }
    assert_false(writer.failed);
    const struct raft_event event = {.type = RAFT_RECEIVE,
                                     .from = cluster_id(append->from),
                                     .message = MESSAGE_APPEND_REQUEST,
                                     .append_request = {.term = append->term,
                                                        .prev = append->prev,
                                                        .commit_index = append->commit,
                                                        .round = append->round,
                                                        .sync_id = append->sync_id,
                                                        .tail_base.position = append->tail_base,
                                                        .quiet = append->quiet,
                                                        .count = append->count,
                                                        .entries = {bytes, writer.bytes}}};
    cluster_step(node, &event);
}

/* The latest append reply to `to`; fails when there is none. */
static inline const struct append_reply *solo_reply(struct cluster_node *node, uint32_t to)
{
    const struct cluster_message *message = cluster_sent(node->cluster, to, MESSAGE_APPEND_REPLY);
    assert_non_null(message);
    return &message->event.append_reply;
}

static inline bool solo_replied(struct cluster_node *node, uint32_t to)
{
    return cluster_sent(node->cluster, to, MESSAGE_APPEND_REPLY) != NULL;
}

/* The latest append to `to`; fails when there is none. */
static inline const struct append_request *solo_sent(struct cluster_node *node, uint32_t to)
{
    const struct cluster_message *message = cluster_sent(node->cluster, to, MESSAGE_APPEND_REQUEST);
    assert_non_null(message);
    return &message->event.append_request;
}

static inline uint32_t solo_sent_count(const struct cluster_node *node, uint32_t to,
                                       enum message_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->cluster->message_count; i++) {
        const struct cluster_message *message = &node->cluster->messages[i];
        if (message->to == to && message->event.message == type) count++;
    }
    return count;
}

/* Entries after entry 1, durable, brought by peer 1 as the leader of `term`. */
static inline void solo_fill(struct cluster_node *node, uint64_t term, const uint64_t *terms,
                             uint32_t count)
{
    solo_append(node, &(struct solo_append){.from = 1,
                                            .term = term,
                                            .prev = at(1, 1),
                                            .commit = 1,
                                            .terms = terms,
                                            .count = count});
    assert_int_equal(node->log.last, 1 + count);
    cluster_store(node);
    solo_forget(node);
}

static inline void solo_terms(const struct cluster_node *node, const uint64_t *terms,
                              uint32_t count)
{
    assert_int_equal(node->log.last, 1 + count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(node->log.entries[2 + i].term, terms[i]);
    }
}

static inline void solo_vote_request(struct cluster_node *node, uint32_t from,
                                     struct vote_request request)
{
    cluster_step(node, &(struct raft_event){.type = RAFT_RECEIVE,
                                            .from = cluster_id(from),
                                            .message = MESSAGE_VOTE_REQUEST,
                                            .vote_request = request});
}

/* The answer to the latest vote request of `to`; NULL: none. */
static inline const struct vote_reply *solo_vote(struct cluster_node *node, uint32_t to)
{
    const struct cluster_message *message = cluster_sent(node->cluster, to, MESSAGE_VOTE_REPLY);
    return message == NULL ? NULL : &message->event.vote_reply;
}

static inline void solo_vote_reply(struct cluster_node *node, uint32_t from, uint64_t term,
                                   bool pre, bool granted)
{
    cluster_step(
        node, &(struct raft_event){.type = RAFT_RECEIVE,
                                   .from = cluster_id(from),
                                   .message = MESSAGE_VOTE_REPLY,
                                   .vote_reply = {.term = term, .pre = pre, .granted = granted}});
}

static inline void solo_append_reply(struct cluster_node *node, uint32_t from,
                                     struct append_reply reply)
{
    if (reply.term == 0) reply.term = raft_term(node->raft);
    cluster_step(node, &(struct raft_event){.type = RAFT_RECEIVE,
                                            .from = cluster_id(from),
                                            .message = MESSAGE_APPEND_REPLY,
                                            .append_reply = reply});
}

static inline void solo_matched(struct cluster_node *node, uint32_t from, uint64_t index)
{
    solo_append_reply(node, from,
                      (struct append_reply){.outcome = APPEND_MATCHED, .match_index = index});
}

static inline void solo_mismatch(struct cluster_node *node, uint32_t from,
                                 struct mortar_position hint)
{
    solo_append_reply(node, from,
                      (struct append_reply){.outcome = APPEND_MISMATCH,
                                            .last = hint,
                                            .hint = hint,
                                            .first_missing = hint.index + 1});
}

static inline void solo_time_out(struct cluster_node *node)
{
    for (uint32_t i = 0; i < 100 && raft_role(node->raft) == MORTAR_FOLLOWER; i++) {
        cluster_step(node, &(struct raft_event){.type = RAFT_TICK});
    }
}

/* Up to the point where only its own vote is missing on disk. */
static inline void solo_campaign(struct cluster_node *node, uint32_t peers)
{
    solo_time_out(node);
    for (uint32_t i = 1; i <= peers; i++) {
        if (raft_role(node->raft) != MORTAR_PRE_CANDIDATE) break;
        solo_vote_reply(node, i, raft_term(node->raft) + 1, true, true);
    }
    assert_int_equal(raft_role(node->raft), MORTAR_CANDIDATE);
}

/* Leads a new term; its no-op is durable here, and nowhere else. */
static inline void solo_lead(struct cluster_node *node, uint32_t peers)
{
    solo_campaign(node, peers);
    for (uint32_t i = 1; i <= peers; i++) {
        solo_vote_reply(node, i, raft_term(node->raft), false, true);
    }
    cluster_store(node);
    assert_int_equal(raft_role(node->raft), MORTAR_LEADER);
    solo_forget(node);
}

static inline struct raft_progress_view solo_progress(const struct cluster_node *node,
                                                      uint32_t peer)
{
    struct raft_progress_view view = {0};
    const struct mortar_member_id id = cluster_id(peer);
    assert_true(raft_progress(node->raft, &id, &view));
    return view;
}

#endif
