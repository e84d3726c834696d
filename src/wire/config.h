/* wire/config.h - who the members of a group are, and in what role (thesis 4.3).
 *
 * A configuration is joint while old and new voters differ: then a majority of each half must
 * agree. A member counts in the old half when `voter_old`, in the new half when `voter_new`; in a
 * plain configuration only `voter_new` is ever set. A learner is neither; an observer is a learner
 * that refuses promotion. A member that only leaves (voter_old, not voter_new, `leaving`) goes
 * when the joint phase ends; one that steps down to learner has `leaving` false.
 *
 * It also remembers who went, so that nobody comes back under an id that was removed (design 7):
 * a member that missed its removal must stay out, or two would vote for one. Held is a sum of each
 * id, 8 bytes, of the CONFIG_REMOVED_MAX that went last; an older one is forgotten. A strange id
 * that happens to have the sum of a removed one (1 in 2^56, with the list full) is refused too: it
 * draws another.
 *
 * Encoded, version 2:
 *   offset  size  field
 *        0     1  version = 2
 *        1     1  joint, 0 or 1
 *        2     2  count, 1..MORTAR_MEMBERS_MAX
 *        4        members, sorted by id, no two alike:
 *                   48  id (peer 32, store 16)
 *                    1  flags: 1 voter_old, 2 voter_new, 4 observer, 8 leaving, 16 replaces
 *                    2  address bytes, <= MORTAR_ADDRESS_BYTES_MAX
 *                       address
 *                   48  with flag 16: the member that it is to replace (a learner's only)
 *              2  removed ids, <= CONFIG_REMOVED_MAX
 *                 their sums, 8 bytes each, the latest last; none of a member
 */
#ifndef WIRE_CONFIG_H
#define WIRE_CONFIG_H

#include "base/cursor.h"
#include "mortar/types.h"

struct config_member {
    struct mortar_member_id id;
    bool voter_old;
    bool voter_new;
    bool observer;
    bool leaving;
    struct mortar_member_id replaces; /* Of a learner: whose place it takes once it is whole. */
    char address[MORTAR_ADDRESS_BYTES_MAX + 1]; /* Zero-terminated; may be empty. */
};

/* Removed ids that are remembered. */
#define CONFIG_REMOVED_MAX 256u

struct config {
    bool joint;
    uint32_t count;
    struct config_member members[MORTAR_MEMBERS_MAX];
    uint32_t removed_count;
    uint64_t removed[CONFIG_REMOVED_MAX]; /* config_id_sum() of each, the latest last. */
};

#define CONFIG_ENCODED_BYTES_MAX                                                                   \
    (4u + MORTAR_MEMBERS_MAX * (48u + 1u + 2u + MORTAR_ADDRESS_BYTES_MAX) +                        \
     (MORTAR_MEMBERS_MAX - 1u) * 48u + 2u + /* A voter replaces nobody. */                         \
     8u * CONFIG_REMOVED_MAX)

void config_encode(const struct config *config, struct writer *out);
/* MORTAR_E_CORRUPT: breaks a rule of the table, or has no voter in a half that it needs. */
MORTAR_NODISCARD enum mortar_status config_decode(struct mortar_bytes in,
                                                  struct config *out_config);
/* NULL when `id` is no member. */
const struct config_member *config_find(const struct config *config,
                                        const struct mortar_member_id *id);
/* Whether `id` was removed, and is among those that are remembered. */
bool config_has_removed(const struct config *config, const struct mortar_member_id *id);
uint64_t config_id_sum(const struct mortar_member_id *id);
/* Whether `config` keeps every rule above: what config_encode() asserts and config_decode() asks.
 */
bool config_is_sound(const struct config *config);
uint32_t config_voter_count(const struct config *config); /* Of the new half. */
bool config_equal(const struct config *a, const struct config *b);

/* The rules of change, as pure functions; each leaves `config` sorted and asserts what it made.
 * All start from a plain (not joint) configuration unless said. */
enum config_change_kind {
    CONFIG_ADD_LEARNER = 1, /* No joint phase: the quorum does not change. */
    CONFIG_ADD_OBSERVER = 2,
    CONFIG_PROMOTE = 3, /* Learner to voter. */
    CONFIG_DEMOTE = 4,  /* Voter to learner. */
    CONFIG_REMOVE = 5,  /* Any member goes. */
    CONFIG_ADDRESS = 6, /* A member's address changes. */
    CONFIG_REPLACE = 7  /* A learner takes the role of `other`, which goes: one joint phase. */
};
struct config_change {
    enum config_change_kind kind;
    struct mortar_member_id member;
    struct mortar_member_id other; /* REPLACE: who goes. ADD_LEARNER: whom it is to replace, or
                                      nobody. Else nobody. */
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
};
/* Applies `count` changes at once. The result is joint exactly when the set of voters changes.
 *   MORTAR_E_CHANGING   `from` is joint.
 *   MORTAR_E_NOT_FOUND  a change names no member, or replaces none.
 *   MORTAR_E_EXISTS     an added member is one already; a promoted one is a voter already.
 *   MORTAR_E_REMOVED    an added member was removed before.
 *   MORTAR_E_INVALID    the result would have no voter, an observer would be promoted, a member
 * that is no voter would be demoted, or an added id is none. MORTAR_E_TOO_LARGE  more than
 * MORTAR_MEMBERS_MAX members. */
MORTAR_NODISCARD enum mortar_status config_apply(const struct config *from,
                                                 const struct config_change *changes,
                                                 uint32_t count, struct config *out_config);
/* The plain configuration that follows a joint one. Asserts that `from` is joint. */
void config_leave_joint(const struct config *from, struct config *out_config);

/* One change as bytes (in forwarded requests). */
void config_change_encode(const struct config_change *change, struct writer *out);
MORTAR_NODISCARD enum mortar_status config_change_decode(struct reader *in,
                                                         struct config_change *out_change);

#endif
