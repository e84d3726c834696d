/* wire/config.c - configurations as bytes, and the rules by which they change (thesis 4.3).
 * The formats stand in config.h; one change is:
 *
 *   offset  size  field
 *        0     1  kind, 1..7
 *        1    48  member
 *       49    48  other: for kind 7 never zero nor the member, for kind 1 zero or another member,
 *                 else zero
 *       97     2  address bytes, <= MORTAR_ADDRESS_BYTES_MAX
 *       99        address, without zero bytes
 */
#include "wire/config.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/hash.h"
#include "wire/fields.h"

#define CONFIG_VERSION 2u

enum member_flag {
    FLAG_VOTER_OLD = 1,
    FLAG_VOTER_NEW = 2,
    FLAG_OBSERVER = 4,
    FLAG_LEAVING = 8,
    FLAG_REPLACES = 16,
    FLAGS_ALL = 31
};

uint64_t config_id_sum(const struct mortar_member_id *id)
{
    uint8_t bytes[MEMBER_ID_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    put_member_id(&out, id);
    return checksum_64((struct mortar_bytes){bytes, sizeof bytes}, 0);
}

bool config_has_removed(const struct config *config, const struct mortar_member_id *id)
{
    if (config->removed_count == 0) return false;
    const uint64_t sum = config_id_sum(id);
    for (uint32_t i = 0; i < config->removed_count; i++) {
        if (config->removed[i] == sum) return true;
    }
    return false;
}

static bool is_voter(const struct config_member *member)
{
    return member->voter_old || member->voter_new;
}

static bool replaces_somebody(const struct config_member *member)
{
    return !mortar_member_id_is_none(&member->replaces);
}

/* The rules for one member, given whether its configuration is joint. */
static bool member_is_sound(const struct config_member *member, bool joint)
{
    if (mortar_member_id_is_none(&member->id)) return false;
    if (member->observer && is_voter(member)) return false;
    if (replaces_somebody(member)) {
        if (member->observer || is_voter(member)) return false;
        if (mortar_member_id_equal(&member->replaces, &member->id)) return false;
    }
    if (member->leaving && (!member->voter_old || member->voter_new)) return false;
    return joint || !member->voter_old;
}

bool config_is_sound(const struct config *config)
{
    uint32_t old_count = 0;
    uint32_t new_count = 0;
    bool halves_differ = false;
    if (config->count < 1 || config->count > MORTAR_MEMBERS_MAX) return false;
    if (config->removed_count > CONFIG_REMOVED_MAX) return false;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct config_member *const member = &config->members[i];
        if (!member_is_sound(member, config->joint)) return false;
        if (config_has_removed(config, &member->id) && !BUG(REMOVED_COMES_BACK)) return false;
        if (i > 0 && mortar_member_id_compare(&member[-1].id, &member->id) >= 0) return false;
        if (member->voter_old) old_count++;
        if (member->voter_new) new_count++;
        if (member->voter_old != member->voter_new) halves_differ = true;
    }
    if (new_count == 0) return false;
    return !config->joint || (old_count > 0 && halves_differ);
}

void config_encode(const struct config *config, struct writer *out)
{
    ASSERT(config_is_sound(config));
    put_u8(out, CONFIG_VERSION);
    put_bool(out, config->joint);
    put_u16(out, (uint16_t)config->count);
    for (uint32_t i = 0; i < config->count; i++) {
        const struct config_member *const member = &config->members[i];
        const int flags =
            (member->voter_old ? FLAG_VOTER_OLD : 0) | (member->voter_new ? FLAG_VOTER_NEW : 0) |
            (member->observer ? FLAG_OBSERVER : 0) | (member->leaving ? FLAG_LEAVING : 0) |
            (replaces_somebody(member) ? FLAG_REPLACES : 0);
        put_member_id(out, &member->id);
        put_u8(out, (uint8_t)flags);
        put_text(out, member->address, MORTAR_ADDRESS_BYTES_MAX);
        if (replaces_somebody(member)) put_member_id(out, &member->replaces);
    }
    put_u16(out, (uint16_t)config->removed_count);
    for (uint32_t i = 0; i < config->removed_count; i++)
        put_u64(out, config->removed[i]);
}

static void get_member(struct reader *in, struct config_member *out_member)
{
    get_member_id(in, &out_member->id);
    const unsigned flags = get_u8(in);
    if (flags > FLAGS_ALL) in->failed = true;
    out_member->voter_old = (flags & FLAG_VOTER_OLD) != 0;
    out_member->voter_new = (flags & FLAG_VOTER_NEW) != 0;
    out_member->observer = (flags & FLAG_OBSERVER) != 0;
    out_member->leaving = (flags & FLAG_LEAVING) != 0;
    get_text(in, out_member->address, MORTAR_ADDRESS_BYTES_MAX);
    if ((flags & FLAG_REPLACES) == 0) return;
    get_member_id(in, &out_member->replaces);
    if (!replaces_somebody(out_member)) in->failed = true;
}

enum mortar_status config_decode(struct mortar_bytes in, struct config *out_config)
{
    struct reader reader = reader_over(in);
    struct config config = {0};
    const uint8_t version = get_u8(&reader);
    config.joint = get_bool(&reader);
    config.count = get_u16(&reader);
    if (version != CONFIG_VERSION || config.count > MORTAR_MEMBERS_MAX) return MORTAR_E_CORRUPT;
    for (uint32_t i = 0; i < config.count && !reader.failed; i++) {
        get_member(&reader, &config.members[i]);
    }
    config.removed_count = get_u16(&reader);
    if (config.removed_count > CONFIG_REMOVED_MAX) return MORTAR_E_CORRUPT;
    for (uint32_t i = 0; i < config.removed_count; i++)
        config.removed[i] = get_u64(&reader);
    if (!reader_done(&reader) || !config_is_sound(&config)) return MORTAR_E_CORRUPT;
    *out_config = config;
    return MORTAR_OK;
}

/* The place of `id`, or where it would stand: members are sorted. */
static uint32_t config_place(const struct config *config, const struct mortar_member_id *id)
{
    uint32_t place = 0;
    while (place < config->count && mortar_member_id_compare(&config->members[place].id, id) < 0) {
        place++;
    }
    return place;
}

const struct config_member *config_find(const struct config *config,
                                        const struct mortar_member_id *id)
{
    const uint32_t place = config_place(config, id);
    if (place == config->count) return NULL;
    const struct config_member *const member = &config->members[place];
    return mortar_member_id_equal(&member->id, id) ? member : NULL;
}

uint32_t config_voter_count(const struct config *config)
{
    uint32_t voters = 0;
    for (uint32_t i = 0; i < config->count; i++) {
        if (config->members[i].voter_new) voters++;
    }
    return voters;
}

static bool member_equal(const struct config_member *a, const struct config_member *b)
{
    return mortar_member_id_equal(&a->id, &b->id) && a->voter_old == b->voter_old &&
           a->voter_new == b->voter_new && a->observer == b->observer && a->leaving == b->leaving &&
           mortar_member_id_equal(&a->replaces, &b->replaces) &&
           strcmp(a->address, b->address) == 0;
}

bool config_equal(const struct config *a, const struct config *b)
{
    if (a->joint != b->joint || a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (!member_equal(&a->members[i], &b->members[i])) return false;
    }
    return a->removed_count == b->removed_count &&
           memcmp(a->removed, b->removed, a->removed_count * sizeof a->removed[0]) == 0;
}

static enum mortar_status config_add(struct config *config, const struct config_change *change,
                                     bool observer)
{
    if (mortar_member_id_is_none(&change->member)) return MORTAR_E_INVALID;
    if (config_find(config, &change->member) != NULL) return MORTAR_E_EXISTS;
    if (config_has_removed(config, &change->member) && !BUG(REMOVED_COMES_BACK)) {
        return MORTAR_E_REMOVED;
    }
    if (config->count == MORTAR_MEMBERS_MAX) return MORTAR_E_TOO_LARGE;
    const uint32_t place = config_place(config, &change->member);
    struct config_member *const member = &config->members[place];
    memmove(member + 1, member, (config->count - place) * sizeof *member);
    *member = (struct config_member){.id = change->member, .observer = observer};
    memcpy(member->address, change->address, strlen(change->address));
    if (!observer) member->replaces = change->other;
    config->count++;
    return MORTAR_OK;
}

/* The id goes for good. Of a full list the oldest is forgotten. */
static void config_remember(struct config *config, const struct mortar_member_id *id)
{
    if (config_has_removed(config, id)) return;
    if (config->removed_count == CONFIG_REMOVED_MAX) {
        config->removed_count--;
        memmove(&config->removed[0], &config->removed[1],
                config->removed_count * sizeof config->removed[0]);
    }
    config->removed[config->removed_count++] = config_id_sum(id);
}

static void config_drop(struct config *config, uint32_t place)
{
    struct config_member *const member = &config->members[place];
    config_remember(config, &member->id);
    config->count--;
    memmove(member, member + 1, (config->count - place) * sizeof *member);
    config->members[config->count] = (struct config_member){0};
}

/* A member that counts in the old half stays until the joint phase ends (thesis 4.3); one that does
 * not is in no quorum that decides now, and goes at once. */
static void config_remove(struct config *config, uint32_t place)
{
    struct config_member *const member = &config->members[place];
    if (!member->voter_old) {
        config_drop(config, place);
        return;
    }
    member->voter_new = false;
    member->leaving = true;
}

/* A learner in the place of another: as a voter where that is one. Neither stands without the other
 * in between, so no quorum is lost. */
static enum mortar_status config_replace(struct config *config, uint32_t place,
                                         const struct mortar_member_id *other)
{
    struct config_member *const member = &config->members[place];
    const struct config_member *const old = config_find(config, other);
    if (old == NULL || old == member || old->leaving) return MORTAR_E_NOT_FOUND;
    if (member->observer) return MORTAR_E_INVALID;
    if (member->voter_new) return MORTAR_E_EXISTS;
    member->replaces = (struct mortar_member_id){0};
    member->voter_new = old->voter_new;
    member->observer = old->observer && !member->voter_old;
    config_remove(config, config_place(config, other));
    return MORTAR_OK;
}

/* One change to a member of a configuration under way: voter_old says who voted before the first
 * change, voter_new who will. */
static enum mortar_status config_apply_one(struct config *config,
                                           const struct config_change *change)
{
    ASSERT(memchr(change->address, 0, sizeof change->address) != NULL);
    if (change->kind == CONFIG_ADD_LEARNER) return config_add(config, change, false);
    if (change->kind == CONFIG_ADD_OBSERVER) return config_add(config, change, true);

    const uint32_t place = config_place(config, &change->member);
    struct config_member *const member = &config->members[place];
    if (config_find(config, &change->member) == NULL || member->leaving) return MORTAR_E_NOT_FOUND;
    switch (change->kind) {
    case CONFIG_ADD_LEARNER:
    case CONFIG_ADD_OBSERVER:
        break;
    case CONFIG_PROMOTE:
        if (BUG(OBSERVER_PROMOTED)) member->observer = false;
        if (member->observer) return MORTAR_E_INVALID;
        if (member->voter_new) return MORTAR_E_EXISTS;
        member->voter_new = true;
        member->replaces = (struct mortar_member_id){0};
        break;
    case CONFIG_DEMOTE:
        if (!member->voter_new) return MORTAR_E_INVALID;
        member->voter_new = false;
        break;
    case CONFIG_REMOVE:
        config_remove(config, place);
        break;
    case CONFIG_REPLACE:
        return config_replace(config, place, &change->other);
    case CONFIG_ADDRESS:
        memset(member->address, 0, sizeof member->address);
        memcpy(member->address, change->address, strlen(change->address));
        break;
    }
    return MORTAR_OK;
}

/* Decides between joint and plain: joint only where the voters differ. */
static void config_settle(struct config *config)
{
    config->joint = false;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct config_member *const member = &config->members[i];
        if (member->voter_old != member->voter_new) config->joint = true;
    }
    if (config->joint) return;
    for (uint32_t i = 0; i < config->count; i++)
        config->members[i].voter_old = false;
}

enum mortar_status config_apply(const struct config *from, const struct config_change *changes,
                                uint32_t count, struct config *out_config)
{
    ASSERT(config_is_sound(from));
    if (from->joint) return MORTAR_E_CHANGING;
    struct config next = *from;
    for (uint32_t i = 0; i < next.count; i++) {
        next.members[i].voter_old = next.members[i].voter_new;
    }
    for (uint32_t i = 0; i < count; i++) {
        const enum mortar_status status = config_apply_one(&next, &changes[i]);
        if (status != MORTAR_OK) return status;
    }
    if (config_voter_count(&next) == 0) return MORTAR_E_INVALID;
    config_settle(&next);
    ASSERT(config_is_sound(&next));
    *out_config = next;
    return MORTAR_OK;
}

void config_leave_joint(const struct config *from, struct config *out_config)
{
    ASSERT(from->joint);
    ASSERT(config_is_sound(from));
    struct config next = {.joint = false, .removed_count = from->removed_count};
    memcpy(next.removed, from->removed, sizeof next.removed);
    for (uint32_t i = 0; i < from->count; i++) {
        if (from->members[i].leaving) {
            config_remember(&next, &from->members[i].id);
            continue;
        }
        next.members[next.count] = from->members[i];
        next.members[next.count].voter_old = false;
        next.count++;
    }
    ASSERT(config_is_sound(&next));
    *out_config = next;
}

static bool change_is_sound(const struct config_change *change)
{
    if (change->kind < CONFIG_ADD_LEARNER || change->kind > CONFIG_REPLACE) return false;
    if (mortar_member_id_is_none(&change->member)) return false;
    if (mortar_member_id_is_none(&change->other)) return change->kind != CONFIG_REPLACE;
    if (mortar_member_id_equal(&change->member, &change->other)) return false;
    return change->kind == CONFIG_REPLACE || change->kind == CONFIG_ADD_LEARNER;
}

void config_change_encode(const struct config_change *change, struct writer *out)
{
    ASSERT(change_is_sound(change));
    put_u8(out, (uint8_t)change->kind);
    put_member_id(out, &change->member);
    put_member_id(out, &change->other);
    put_text(out, change->address, MORTAR_ADDRESS_BYTES_MAX);
}

enum mortar_status config_change_decode(struct reader *in, struct config_change *out_change)
{
    struct config_change change = {.kind = CONFIG_ADD_LEARNER};
    const uint8_t kind = get_u8(in);
    get_member_id(in, &change.member);
    get_member_id(in, &change.other);
    get_text(in, change.address, MORTAR_ADDRESS_BYTES_MAX);
    if (kind < CONFIG_ADD_LEARNER || kind > CONFIG_REPLACE) in->failed = true;
    if (in->failed) return MORTAR_E_CORRUPT;
    change.kind = (enum config_change_kind)kind;
    if (!change_is_sound(&change)) {
        in->failed = true;
        return MORTAR_E_CORRUPT;
    }
    *out_change = change;
    return MORTAR_OK;
}
