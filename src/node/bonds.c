/* node/bonds.c - which links make a bond, and which of two stays.
 *
 * A bond stands with its first control link and falls with its last; bulk links come and go in
 * between. Of one lane there may be several links for a moment: the side with the smaller peer id
 * closes what is too much, the other one waits for that and sends on the one that will stay.
 */
#include "base/assert.h"
#include "node/mesh_private.h"
#include "os/memory.h"

#include <stdio.h>

static bool peer_equal(const struct mortar_peer_id *a, const struct mortar_peer_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct bond *bonds_find(const struct mesh *mesh, const struct mortar_member_id *member)
{
    for (struct bond *bond = mesh->bonds; bond; bond = bond->next) {
        if (mortar_member_id_equal(&bond->member, member)) return bond;
    }
    return NULL;
}

struct bond *bonds_find_peer(const struct mesh *mesh, const struct mortar_peer_id *peer)
{
    for (struct bond *bond = mesh->bonds; bond; bond = bond->next) {
        if (peer_equal(&bond->member.peer, peer)) return bond;
    }
    return NULL;
}

bool mesh_newer_stays(bool self_is_smaller, bool older_is_ours, bool newer_is_ours)
{
    if (older_is_ours == newer_is_ours) return true;
    return newer_is_ours == self_is_smaller;
}

static bool self_is_smaller(const struct mesh *mesh, const struct mortar_member_id *peer)
{
    return memcmp(mesh->options.self.peer.bytes, peer->peer.bytes, sizeof peer->peer.bytes) < 0;
}

static enum mortar_lane lane_of(const struct link *link)
{
    return link->is_bulk ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
}

static uint32_t lane_count(const struct bond *bond, enum mortar_lane lane)
{
    uint32_t count = 0;
    for (const struct link *link = bond->links[lane]; link; link = link->next_in_lane)
        count++;
    return count;
}

static bool refuse(struct bond_refuse *out, enum mortar_status status, const char *text)
{
    *out = (struct bond_refuse){.status = status};
    (void)snprintf(out->text, sizeof out->text, "%s", text);
    return false;
}

/* The smaller side chooses between what stands and what comes. */
static bool admit_beside(struct link *link, const struct bond *bond, struct bond_refuse *out_refuse)
{
    struct link *const older = bond->links[lane_of(link)];
    if (older == NULL) return true;
    if (!self_is_smaller(link->mesh, &bond->member)) {
        if (lane_count(bond, lane_of(link)) < LANE_LINKS_MAX) return true;
        return refuse(out_refuse, MORTAR_E_BUSY, "too many links of one lane");
    }
    if (!mesh_newer_stays(true, older->initiator, link->initiator)) {
        return refuse(out_refuse, MORTAR_E_EXISTS, "a link of this lane stands");
    }
    return true;
}

bool bonds_admit(struct link *link, const struct bond_peer *peer, struct bond_refuse *out_refuse)
{
    const struct mesh *const mesh = link->mesh;
    const struct bond *const bond = bonds_find_peer(mesh, &peer->member.peer);
    if (mesh->is_ending) return refuse(out_refuse, MORTAR_E_CLOSED, "the group is being closed");
    if (bond == NULL) {
        if (link->is_bulk) return refuse(out_refuse, MORTAR_E_NOT_FOUND, "no control link stands");
        if (mesh->bond_count < BONDS_MAX) return true;
        return refuse(out_refuse, MORTAR_E_BUSY, "too many bonds");
    }
    const bool same_process =
        mortar_member_id_equal(&bond->member, &peer->member) &&
        memcmp(bond->boot_nonce, peer->boot_nonce, sizeof bond->boot_nonce) == 0;
    if (!same_process) {
        return refuse(out_refuse, MORTAR_E_COPIED,
                      "another process with this identity is linked: a copied directory, or the "
                      "last run of this one, whose death is not noticed yet");
    }
    return admit_beside(link, bond, out_refuse);
}

static struct bond *bond_new(struct mesh *mesh, const struct bond_peer *peer)
{
    struct bond *const bond = memory_reserve_zero(mesh->options.allocator, sizeof *bond);
    if (bond == NULL) return NULL;
    bond->member = peer->member;
    bond->birth = peer->names.birth;
    memcpy(bond->boot_nonce, peer->boot_nonce, sizeof bond->boot_nonce);
    memcpy(bond->address, peer->names.address, sizeof bond->address);
    bond->next = mesh->bonds;
    mesh->bonds = bond;
    mesh->bond_count++;
    return bond;
}

static void bond_delete(struct mesh *mesh, struct bond *bond)
{
    struct bond **place = &mesh->bonds;
    while (*place != bond)
        place = &(*place)->next;
    *place = bond->next;
    mesh->bond_count--;
    memory_release(mesh->options.allocator, bond, sizeof *bond);
}

/* Puts the link that will stay first; only the first is used for sending. */
static void lane_insert(struct bond *bond, struct link *link, bool smaller)
{
    struct link **const first = &bond->links[lane_of(link)];
    if (*first == NULL || mesh_newer_stays(smaller, (*first)->initiator, link->initiator)) {
        link->next_in_lane = *first;
        *first = link;
    } else {
        link->next_in_lane = (*first)->next_in_lane;
        (*first)->next_in_lane = link;
    }
}

static void tell_link(const struct mesh *mesh, const struct mortar_member_id *member,
                      enum mortar_lane lane, uint16_t version)
{
    mesh->options.handler->on_link(mesh->options.context, member, lane, version);
}

/* Tells all others of a bond that was made, so that the mesh closes quickly. */
static void gossip(struct mesh *mesh, const struct bond *about)
{
    struct bond_members news = {.count = 1};
    news.members[0].id = about->member;
    memcpy(news.members[0].address, about->address, sizeof news.members[0].address);
    for (struct bond *bond = mesh->bonds; bond; bond = bond->next) {
        struct link *const link = bond->links[MORTAR_LANE_CONTROL];
        if (bond == about || link == NULL) continue;
        link_send_members(link, &news);
    }
}

static void on_bond(struct mesh *mesh, struct bond *bond)
{
    char name[MORTAR_ID_TEXT_BYTES];
    mortar_member_id_text(&bond->member, name);
    mesh->bonds_version++;
    mesh_log(mesh, MORTAR_LOG_INFO, "bond with %s (%s) stands", name, bond->address);
    gossip(mesh, bond);
}

/* Ends the links of the lane that the new one, which is first, replaces. */
static void end_replaced(struct bond *bond, struct link *stays)
{
    while (stays->next_in_lane) {
        struct link *const older = stays->next_in_lane;
        ASSERT(older->bond == bond);
        link_end(older, MORTAR_E_EXISTS, "another link of this lane replaces it");
    }
}

bool bonds_add(struct link *link, const struct bond_peer *peer)
{
    struct mesh *const mesh = link->mesh;
    struct bond *bond = bonds_find(mesh, &peer->member);
    const bool is_new = bond == NULL;
    const enum mortar_lane lane = lane_of(link);
    if (is_new) bond = bond_new(mesh, peer);
    if (bond == NULL) return false;
    const bool was_down = bond->links[lane] == NULL;
    const bool smaller = self_is_smaller(mesh, &bond->member);
    link->bond = bond;
    lane_insert(bond, link, smaller);
    if (link->is_bulk) {
        if (bond->bulk_dial == link) bond->bulk_dial = NULL;
    } else if (link->initiator) {
        dial_on_up(link);
    }
    if (smaller && bond->links[lane] == link) end_replaced(bond, link);
    if (was_down) {
        char name[MORTAR_ID_TEXT_BYTES];
        mortar_member_id_text(&bond->member, name);
        mesh_log(mesh, MORTAR_LOG_DEBUG, "%s lane with %s stands",
                 link->is_bulk ? "bulk" : "control", name);
        tell_link(mesh, &bond->member, lane, peer->version);
    }
    if (is_new) on_bond(mesh, bond);
    return true;
}

static void lane_take(struct bond *bond, struct link *link)
{
    struct link **place = &bond->links[lane_of(link)];
    while (*place != link)
        place = &(*place)->next_in_lane;
    *place = link->next_in_lane;
    link->next_in_lane = NULL;
    link->bond = NULL;
}

void bonds_remove(struct link *link)
{
    struct mesh *const mesh = link->mesh;
    struct bond *const bond = link->bond;
    const enum mortar_lane lane = lane_of(link);
    lane_take(bond, link);
    if (bond->links[lane] != NULL) return;
    if (lane == MORTAR_LANE_CONTROL) {
        /* No bond without control; ending a bulk link comes back here. */
        while (bond->links[MORTAR_LANE_BULK]) {
            link_end(bond->links[MORTAR_LANE_BULK], MORTAR_E_CANCELLED, "the control link ended");
        }
        if (bond->bulk_dial) {
            link_end(bond->bulk_dial, MORTAR_E_CANCELLED, "the control link ended");
        }
    }
    tell_link(mesh, &bond->member, lane, 0);
    if (lane == MORTAR_LANE_BULK) return;
    mesh->bonds_version++;
    bond_delete(mesh, bond);
}
