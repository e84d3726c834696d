/* group/echo.c - the synthetic next wire version at work: see group/echo.h. */
#include "group/echo.h"

#include "group/internal.h"

const struct echo_counts *echo_counts_of(struct mortar_core *core,
                                         const struct mortar_member_id *member)
{
    const struct peer *peer = peer_find(core, member);
    return peer != NULL && peer->up[MORTAR_LANE_CONTROL] ? &peer->echo : NULL;
}

void echo_on_link(struct peer *peer)
{
    peer->echo = (struct echo_counts){0};
}

void echo_on_frame(struct mortar_core *core, const struct mortar_member_id *from)
{
    struct peer *peer = peer_find(core, from);
    if (peer != NULL) peer->echo.heard++;
}

void echo_fill_reply(struct mortar_core *core, const struct mortar_member_id *to,
                     struct append_reply *reply)
{
    const struct peer *peer = peer_find(core, to);
    reply->heard = peer != NULL ? peer->echo.heard : 0;
}

void echo_on_reply(struct mortar_core *core, const struct mortar_member_id *from,
                   const struct append_reply *reply)
{
    struct peer *peer = peer_find(core, from);
    if (peer != NULL && reply->heard > peer->echo.heard_there) {
        peer->echo.heard_there = reply->heard;
    }
}

void echo_on_tick(struct mortar_core *core)
{
    if (core->ticks % core->options.heartbeat_ticks != 0) return;
    for (uint32_t i = 0; i < GROUP_PEERS_MAX; i++) {
        struct peer *peer = &core->peers[i];
        if (!peer->used || !peer->up[MORTAR_LANE_CONTROL]) continue;
        if (peer->version[MORTAR_LANE_CONTROL] < WIRE_VERSION_NEXT) continue;
        const struct echo question = {.number = ++peer->echo.asked};
        outbox_send(core, &peer->id, MESSAGE_ECHO, &question);
    }
}

enum mortar_status echo_on_message(struct mortar_core *core, const struct mortar_member_id *from,
                                   uint16_t version, struct mortar_bytes payload)
{
    struct echo echo;
    /* An old version does not have it: whoever sends it there takes us for another build. */
    if (version < WIRE_VERSION_NEXT) return MORTAR_E_PROTOCOL;
    if (echo_decode(payload, &echo) != MORTAR_OK) return MORTAR_E_PROTOCOL;
    struct peer *peer = peer_find(core, from);
    if (peer == NULL) return MORTAR_OK;
    if (!echo.answer) {
        const struct echo answer = {.number = echo.number, .answer = true};
        outbox_send(core, from, MESSAGE_ECHO, &answer);
    } else if (echo.number > peer->echo.answered && echo.number <= peer->echo.asked) {
        peer->echo.answered = echo.number;
    }
    return MORTAR_OK;
}
