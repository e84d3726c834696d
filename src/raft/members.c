/* raft/members.c - the table of members, and what a majority of them reaches.
 *
 * The table holds the members of the latest configuration, and those of the committed one until
 * the latest is committed too: a member that leaves is told so first (thesis 4.2.2 leaves it in
 * the dark). Only members of the latest count (thesis 4.1: a server uses the latest
 * configuration in its log, committed or not).
 */
#include "raft/internal.h"

struct raft_member *raft_member_find(struct raft *raft, const struct mortar_member_id *id)
{
    for (uint32_t i = 0; i < raft->member_count; i++) {
        if (mortar_member_id_equal(&raft->members[i].id, id)) return &raft->members[i];
    }
    return NULL;
}

const struct raft_member *raft_self(const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->member_count; i++) {
        if (raft->members[i].self && raft->members[i].listed) return &raft->members[i];
    }
    return NULL;
}

bool raft_is_voter(const struct raft_member *member)
{
    return member->listed && (member->voter_old || member->voter_new);
}

/* A joint configuration needs a majority of each half (thesis 4.3); in a plain one nobody is in
 * the old half, which then asks for nothing. */
uint64_t raft_members_reach(const struct raft *raft, raft_member_value *value)
{
    uint64_t values_old[RAFT_TABLE_MAX];
    uint64_t values_new[RAFT_TABLE_MAX];
    uint32_t count_old = 0;
    uint32_t count_new = 0;
    for (uint32_t i = 0; i < raft->member_count; i++) {
        const struct raft_member *member = &raft->members[i];
        const bool voter = raft_is_voter(member);
        const bool planted = (BUG(REMOVED_LEADER_COUNTS) && member->self) ||
                             (BUG(LEARNER_COUNTS) && member->listed) ||
                             (BUG(REMOVED_VOTES) && !member->listed);
        if (!voter && !planted) continue;
        const uint64_t reached = value(raft, member);
        if (member->voter_old) values_old[count_old++] = reached;
        if (member->voter_new || !voter) values_new[count_new++] = reached;
    }
    if (count_new == 0) return 0;
    const uint64_t reach_new = raft_quorum_value(values_new, count_new);
    if (count_old == 0 || BUG(JOINT_ASKS_NEW_HALF)) return reach_new;
    MARK(JOINT_QUORUM);
    return raft_min(reach_new, raft_quorum_value(values_old, count_old));
}

static const struct raft_member *member_before(const struct raft *raft, uint32_t count,
                                               const struct mortar_member_id *id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (mortar_member_id_equal(&raft->members_before[i].id, id)) {
            return &raft->members_before[i];
        }
    }
    return NULL;
}

static void member_add(struct raft *raft, uint32_t count_before, const struct config_member *member,
                       bool listed)
{
    ASSERT(raft->member_count < RAFT_TABLE_MAX);
    struct raft_member *added = &raft->members[raft->member_count++];
    const struct raft_member *before = member_before(raft, count_before, &member->id);
    if (before != NULL) {
        *added = *before;
    } else {
        *added = (struct raft_member){.id = member->id, .linked = true};
        added->self = mortar_member_id_equal(&member->id, &raft->options.self);
        if (raft->role == MORTAR_LEADER) raft_progress_start(raft, added);
    }
    added->listed = listed;
    added->voter_old = member->voter_old;
    added->voter_new = member->voter_new;
    added->observer = member->observer;
}

/* A last append to those who drop out: with it they learn that their removal is committed. */
static void say_goodbye(struct raft *raft, uint32_t count_before, struct raft_effects *out)
{
    for (uint32_t i = 0; i < count_before; i++) {
        struct raft_member *before = &raft->members_before[i];
        if (before->self || raft_member_find(raft, &before->id) != NULL) continue;
        MARK(GOODBYE);
        raft_send_heartbeat(raft, before, out);
    }
}

void raft_members_rebuild(struct raft *raft, struct raft_effects *out)
{
    const struct config *committed = &raft->committed.config;
    const struct config *latest =
        BUG(COMMITTED_CONFIG_ONLY) ? committed : &raft_config_latest(raft)->config;
    const uint32_t count_before = raft->member_count;
    memcpy(raft->members_before, raft->members, count_before * sizeof raft->members[0]);

    raft->member_count = 0;
    uint32_t a = 0;
    uint32_t b = 0;
    while (a < latest->count || b < committed->count) { /* Both are sorted by id. */
        int order = 0;
        if (a == latest->count) {
            order = 1;
        } else if (b == committed->count) {
            order = -1;
        } else {
            order = mortar_member_id_compare(&latest->members[a].id, &committed->members[b].id);
        }
        if (order <= 0) {
            member_add(raft, count_before, &latest->members[a], true);
            a++;
            if (order == 0) b++;
        } else {
            member_add(raft, count_before, &committed->members[b], false);
            b++;
        }
    }
    if (raft->role == MORTAR_LEADER) say_goodbye(raft, count_before, out);
}
