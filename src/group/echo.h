/* group/echo.h - what a replica does with the synthetic next wire version (-Dwire_next=true):
 * counts, and nothing that consensus, reads or sync depend on. It is there so that groups of mixed
 * builds can be tried before there is a second version worth having. Other builds have empty hooks.
 *
 * Memory:  in struct mortar_core. Threads: the core's. Errors: echo_on_message, as inbox.c.
 */
#ifndef GROUP_ECHO_H
#define GROUP_ECHO_H

#include "mortar/core.h"
#include "wire/message.h"

struct peer;

#ifdef MORTAR_WIRE_NEXT

/* Of one peer, since its control lane stands. */
struct echo_counts {
    uint64_t heard;       /* Control frames from it. */
    uint64_t heard_there; /* As many, it says, came from us: the new field of append_reply. */
    uint64_t asked;       /* The number of our last echo to it, */
    uint64_t answered;    /* and of the last that came back: the new message. */
};

/* NULL: the control lane with that member is down. */
const struct echo_counts *echo_counts_of(struct mortar_core *core,
                                         const struct mortar_member_id *member);

void echo_on_link(struct peer *peer);
void echo_on_frame(struct mortar_core *core, const struct mortar_member_id *from);
/* Puts the new field into a reply that is about to leave; takes it from one that came. */
void echo_fill_reply(struct mortar_core *core, const struct mortar_member_id *to,
                     struct append_reply *reply);
void echo_on_reply(struct mortar_core *core, const struct mortar_member_id *from,
                   const struct append_reply *reply);
void echo_on_tick(struct mortar_core *core);
MORTAR_NODISCARD enum mortar_status echo_on_message(struct mortar_core *core,
                                                    const struct mortar_member_id *from,
                                                    uint16_t version, struct mortar_bytes payload);

#else

static inline void echo_on_link(struct peer *peer)
{
    (void)peer;
}

static inline void echo_on_frame(struct mortar_core *core, const struct mortar_member_id *from)
{
    (void)core;
    (void)from;
}

static inline void echo_fill_reply(struct mortar_core *core, const struct mortar_member_id *to,
                                   struct append_reply *reply)
{
    (void)core;
    (void)to;
    (void)reply;
}

static inline void echo_on_reply(struct mortar_core *core, const struct mortar_member_id *from,
                                 const struct append_reply *reply)
{
    (void)core;
    (void)from;
    (void)reply;
}

static inline void echo_on_tick(struct mortar_core *core)
{
    (void)core;
}

#endif
#endif
