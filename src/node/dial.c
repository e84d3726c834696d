/* node/dial.c - where to connect to, and when.
 *
 * A target is an address: from the options (for ever), from the configuration (while it stands
 * there), or from a peer's word (until it has failed GOSSIP_TRIES_MAX times). It is tried while no
 * bond stands with who lives there, after each failure half as often, at random moments. The name
 * is resolved anew each time.
 */
#include "base/assert.h"
#include "node/mesh_private.h"
#include "os/memory.h"

bool dial_is_refusal(enum mortar_status status)
{
    switch (status) {
    case MORTAR_E_PROTOCOL:
    case MORTAR_E_CORRUPT:
    case MORTAR_E_TOO_LARGE:
    case MORTAR_E_GROUP:
    case MORTAR_E_VERSION:
    case MORTAR_E_KEY:
    case MORTAR_E_NETWORK:
    case MORTAR_E_MACHINE:
    case MORTAR_E_SYNC:
    case MORTAR_E_BIRTH:
    case MORTAR_E_COPIED:
        return true;
    case MORTAR_OK:
    case MORTAR_E_INVALID:
    case MORTAR_E_NO_MEMORY:
    case MORTAR_E_BUSY:
    case MORTAR_E_TIMEOUT:
    case MORTAR_E_CLOSED:
    case MORTAR_E_FAILED:
    case MORTAR_E_NOT_SUPPORTED:
    case MORTAR_E_WRONG_THREAD:
    case MORTAR_E_NOT_FOUND:
    case MORTAR_E_EXISTS:
    case MORTAR_E_NO_LEADER:
    case MORTAR_E_NOT_LEADER:
    case MORTAR_E_LOST:
    case MORTAR_UNKNOWN:
    case MORTAR_E_INCOMPLETE:
    case MORTAR_E_CHANGING:
    case MORTAR_E_REMOVED:
    case MORTAR_E_PRUNED:
    case MORTAR_E_IO:
    case MORTAR_E_PERMISSION:
    case MORTAR_E_LOCKED:
    case MORTAR_E_ADDRESS_IN_USE:
    case MORTAR_E_ADDRESS:
    case MORTAR_E_NO_SPACE:
    case MORTAR_E_TLS:
    case MORTAR_E_SELF:
    case MORTAR_E_STALLED:
    case MORTAR_E_UNVERIFIED:
    case MORTAR_E_CANCELLED:
    case MORTAR_E_DEPARTED:
    case MORTAR_E_SESSION:
    case MORTAR_E_ALIVE:
        return false;
    }
    return false;
}

static bool is_own(const struct mesh *mesh, const struct address *address)
{
    if (address_equal(address, &mesh->options.listens)) return true;
    return mesh->self_known_address && address_equal(address, &mesh->advertised);
}

struct target *dial_add_address(struct mesh *mesh, const struct address *address)
{
    if (address->port == 0 || is_own(mesh, address)) return NULL;
    for (struct target *target = mesh->targets; target; target = target->next) {
        if (address_equal(&target->address, address)) return target;
    }
    if (mesh->target_count >= TARGETS_MAX) return NULL;
    struct target *const target = memory_reserve_zero(mesh->options.allocator, sizeof *target);
    if (target == NULL) return NULL;
    target->address = *address;
    target->next = mesh->targets;
    mesh->targets = target;
    mesh->target_count++;
    return target;
}

struct target *dial_add(struct mesh *mesh, const char *text)
{
    struct address address;
    const struct mortar_bytes bytes = {(const uint8_t *)text, strlen(text)};
    if (address_parse(bytes, &address) != MORTAR_OK) return NULL;
    return dial_add_address(mesh, &address);
}

/* Names a target that was reached through no bond yet. */
static void expect_peer(struct target *target, const struct mortar_peer_id *peer)
{
    if (target->peer_known) return;
    target->peer_known = true;
    target->peer = *peer;
}

void dial_set_members(struct mesh *mesh)
{
    for (struct target *target = mesh->targets; target; target = target->next)
        target->from_members = false;
    for (uint32_t i = 0; i < mesh->config.count; i++) {
        const struct bond_member *const member = &mesh->config.members[i];
        if (mortar_member_id_equal(&member->id, &mesh->options.self)) continue;
        struct target *const target = dial_add(mesh, member->address);
        if (target == NULL) continue;
        target->from_members = true;
        expect_peer(target, &member->id.peer);
    }
}

void dial_on_gossip(struct mesh *mesh, const struct bond_members *members)
{
    for (uint32_t i = 0; i < members->count; i++) {
        const struct bond_member *const member = &members->members[i];
        if (mortar_member_id_equal(&member->id, &mesh->options.self)) continue;
        struct target *const target = dial_add(mesh, member->address);
        if (target) expect_peer(target, &member->id.peer);
    }
}

static void target_delete(struct mesh *mesh, struct target *target)
{
    struct target **place = &mesh->targets;
    while (*place != target)
        place = &(*place)->next;
    *place = target->next;
    mesh->target_count--;
    if (target->link) target->link->target = NULL;
    memory_release(mesh->options.allocator, target, sizeof *target);
}

void dial_free_all(struct mesh *mesh)
{
    while (mesh->targets)
        target_delete(mesh, mesh->targets);
}

/* The next pause after a failure: doubled up to the maximum, at a random moment of its second
 * half, so that two that failed together do not try together again. */
static uint32_t next_wait(struct mesh *mesh, uint32_t wait_ms)
{
    const struct mesh_options *const options = &mesh->options;
    if (wait_ms == 0) return options->reconnect_ms_min;
    const uint64_t doubled = (uint64_t)wait_ms * 2;
    return doubled > options->reconnect_ms_max ? options->reconnect_ms_max : (uint32_t)doubled;
}

/* Whether it was worth the effort. One that ends as soon as it is up is as good as a failure: else
 * a peer that lets us in and then sends us away would be asked again many times a second. */
static bool has_lasted(const struct link *link, uint64_t now_ms)
{
    return link->was_up && now_ms >= link->up_ms + link->mesh->options.reconnect_ms_max;
}

static uint64_t due_after(struct mesh *mesh, uint64_t now_ms, uint32_t wait_ms)
{
    return now_ms + prng_between(&mesh->jitter, wait_ms / 2, wait_ms);
}

static void dial_target(struct mesh *mesh, struct target *target, uint64_t now_ms)
{
    struct link *link;
    if (link_dial(mesh, &target->address, false, &link) == MORTAR_OK) {
        link->target = target;
        target->link = link;
    } else {
        target->wait_ms = next_wait(mesh, target->wait_ms);
        target->due_ms = due_after(mesh, now_ms, target->wait_ms);
    }
}

/* Who initiated the control link makes the bulk link, by the same way. */
static void dial_bulk(struct mesh *mesh, struct bond *bond, uint64_t now_ms)
{
    const struct link *const control = bond->links[MORTAR_LANE_CONTROL];
    if (control == NULL || !control->initiator) return;
    if (bond->links[MORTAR_LANE_BULK] || bond->bulk_dial || now_ms < bond->bulk_due_ms) return;
    struct link *link;
    if (link_dial(mesh, &control->address, true, &link) == MORTAR_OK) {
        link->member = bond->member;
        bond->bulk_dial = link;
    } else {
        bond->bulk_wait_ms = next_wait(mesh, bond->bulk_wait_ms);
        bond->bulk_due_ms = due_after(mesh, now_ms, bond->bulk_wait_ms);
    }
}

void dial_tick(struct mesh *mesh, uint64_t now_ms)
{
    struct target *next;
    for (struct target *target = mesh->targets; target; target = next) {
        next = target->next;
        if (target->link || now_ms < target->due_ms) continue;
        if (target->peer_known && bonds_find_peer(mesh, &target->peer)) continue;
        const bool is_wanted = target->from_options || target->from_members;
        if (!is_wanted && target->failures >= GOSSIP_TRIES_MAX) {
            target_delete(mesh, target);
        } else {
            dial_target(mesh, target, now_ms);
        }
    }
    for (struct bond *bond = mesh->bonds; bond; bond = bond->next)
        dial_bulk(mesh, bond, now_ms);
}

void dial_on_up(struct link *link)
{
    struct mesh *const mesh = link->mesh;
    if (link->target) link->target->failures = 0;
    /* At once: whoever catches up begins now, and needs it. */
    if (!mesh->is_ending) dial_bulk(mesh, link->bond, loop_now_ms(mesh->options.control));
}

/* A dialled bulk link ended; the bond may be gone as well. */
static void on_bulk_end(struct link *link, uint64_t now_ms)
{
    struct mesh *const mesh = link->mesh;
    struct bond *const bond = bonds_find(mesh, &link->member);
    if (bond == NULL) return;
    if (bond->bulk_dial == link) bond->bulk_dial = NULL;
    if (has_lasted(link, now_ms)) bond->bulk_wait_ms = 0;
    bond->bulk_wait_ms = next_wait(mesh, bond->bulk_wait_ms);
    bond->bulk_due_ms = due_after(mesh, now_ms, bond->bulk_wait_ms);
}

static uint32_t wait_after(struct mesh *mesh, const struct target *target,
                           enum mortar_status status)
{
    const struct mortar_peer_id *const self = &mesh->options.self.peer;
    /* Anybody can say that we talk to ourselves; TLS has shown whether it is so. */
    const bool is_self = status == MORTAR_E_SELF && target->peer_known &&
                         memcmp(target->peer.bytes, self->bytes, sizeof self->bytes) == 0;
    if (is_self) return SELF_RETRY_MS;
    if (dial_is_refusal(status)) return mesh->options.reconnect_ms_max;
    return next_wait(mesh, target->wait_ms);
}

void dial_on_end(struct link *link, enum mortar_status status)
{
    struct mesh *const mesh = link->mesh;
    const uint64_t now_ms = loop_now_ms(mesh->options.control);
    struct target *const target = link->target;
    if (link->is_bulk) {
        on_bulk_end(link, now_ms);
        return;
    }
    if (target == NULL) return;
    ASSERT(target->link == link);
    target->link = NULL;
    link->target = NULL;
    target->failures++;
    if (has_lasted(link, now_ms)) target->wait_ms = 0;
    target->wait_ms = wait_after(mesh, target, status);
    target->due_ms = due_after(mesh, now_ms, target->wait_ms);
}
