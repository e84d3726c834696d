/* node/mesh_private.h - the inside of a mesh, shared by the files that mesh.h names.
 *
 *     DIALLING --on_open--> HANDSHAKE --DONE, admitted--> UP --> ENDING --on_closed--> freed
 *                 accept -->    |                                  ^
 *                               +---- refused, timed out ----------+
 *
 * Memory:  see mesh.h.
 * Threads: the control thread, but for the members of struct bulk_link and struct bulk that are
 *          marked "bulk".
 * Errors:  see mesh.h.
 */
#ifndef NODE_MESH_PRIVATE_H
#define NODE_MESH_PRIVATE_H

#include "base/prng.h"
#include "node/assembler.h"
#include "node/key_file.h"
#include "node/mesh.h"
#include "wire/bond_handshake.h"

#include <stdatomic.h>

#define REFUSAL_QUIET_MS 60000u
#define REFUSAL_NOTES    32u
#define LANE_LINKS_MAX   4u /* Of one lane with one member, until the other side has chosen. */
#define TARGETS_MAX      128u
#define BONDS_MAX        64u
#define GOSSIP_TRIES_MAX 8u
/* Until an address that led back to us is tried again: a name may lead elsewhere by then. */
#define SELF_RETRY_MS 60000u
/* Received in bulk and not yet taken by the control thread, per link: beyond, reading pauses. */
#define BULK_POSTED_BYTES_MAX (UINT64_C(8) * 1024 * 1024)

struct bond;
struct target;

enum link_state { LINK_DIALLING, LINK_HANDSHAKE, LINK_UP, LINK_ENDING };

/* The part of a link that lives on the bulk thread from the end of its handshake on. */
struct bulk_link {
    struct link *next; /* bulk: among the attached ones. */
    struct link *previous;
    bool attached;                 /* bulk: on_closed has not come. */
    bool is_paused;                /* bulk: reading waits for the control thread. */
    enum mortar_status end_status; /* bulk, then control: how the stream ended. */
    char end_text[BOND_TEXT_BYTES_MAX + 1];
    bool close_posted;       /* control */
    struct loop_task attach; /* Posted to bulk, once each and in this order. */
    struct loop_task close;
    struct loop_task release;
    struct loop_task resume; /* Posted to bulk while resume_posted. */
    struct loop_task ended;  /* Posted to control once, last of all. */
    atomic_bool wants_resume;
    atomic_bool resume_posted;
    atomic_uint_fast64_t posted_in_bytes;  /* To control, not taken. */
    atomic_uint_fast64_t posted_out_bytes; /* To bulk, not taken. */
    atomic_uint_fast64_t queued_bytes;     /* In the stream, as of its last event. */
    atomic_uint_fast64_t bytes_in;
    atomic_uint_fast64_t bytes_out;
};

struct link {
    struct link *next; /* In mesh->links. */
    struct link *previous;
    struct mesh *mesh;
    struct stream *stream;
    enum link_state state;
    bool initiator;
    bool is_bulk; /* Known from the start when we dial, from the first header else. */
    bool moved;   /* The stream lives on the bulk loop. */
    bool was_up;
    struct target *target; /* That dialled it; NULL: accepted, or a bulk link. */
    struct bond *bond;     /* While UP. */
    struct link *next_in_lane;
    struct address address;           /* Dialled. */
    struct mortar_member_id member;   /* UP: the peer. A dialled bulk link: whom it is for. */
    struct bond_handshake *handshake; /* HANDSHAKE only. */
    struct assembler assembler;       /* Moves with the stream. */
    uint64_t up_ms;                   /* When it came up; 0: it did not. */
    uint64_t heard_ms;                /* Moves with the stream, as the next two. */
    uint64_t ping_sequence;
    uint64_t ping_sent_us;
    atomic_uint_fast64_t round_trip_us;
    enum mortar_status end_status; /* Why we ended it; OK: we did not. */
    char end_text[BOND_TEXT_BYTES_MAX + 1];
    struct bulk_link bulk;
};

/* All links with one process of one peer. */
struct bond {
    struct bond *next;
    struct mortar_member_id member;
    uint8_t boot_nonce[BOND_NONCE_BYTES];
    struct mortar_birth_id birth; /* As the peer said; all zero: not known. */
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    struct link *links[2];  /* By lane; the first is used for sending. */
    struct link *bulk_dial; /* A bulk link being made. */
    uint64_t bulk_due_ms;
    uint32_t bulk_wait_ms;
};

/* An address to connect to. */
struct target {
    struct target *next;
    struct address address;
    bool from_options;
    bool from_members; /* The configuration names it. */
    bool peer_known;
    struct mortar_peer_id peer; /* Who answered there last, or whom the configuration expects. */
    struct link *link;
    uint64_t due_ms;
    uint32_t wait_ms;
    uint32_t failures; /* In a row. */
};

struct refusal_note {
    uint64_t key;
    uint64_t until_ms;
};

/* The bulk thread's side of a mesh. */
struct bulk {
    struct link *links;           /* bulk */
    struct loop_timer *heartbeat; /* bulk */
    uint64_t beat_ms;             /* bulk: when the timer fired last. */
    atomic_uint_fast64_t frames_in;
    atomic_uint_fast64_t frames_out;
    atomic_uint_fast64_t frames_dropped;
};

struct mesh {
    struct mesh_options options;
    struct key_file keys;
    uint64_t group_tag;
    bool self_known_address; /* options.names.address could be parsed into: */
    struct address advertised;
    bool is_ending;
    struct link *links;
    uint32_t link_count;
    struct bond *bonds;
    uint32_t bond_count;
    uint64_t bonds_version;
    struct target *targets;
    uint32_t target_count;
    struct loop_timer *heartbeat;
    uint64_t beat_ms;
    struct prng jitter;
    struct bond_members config; /* Members of the configuration. */
    struct refusal_note notes[REFUSAL_NOTES];
    uint32_t note_next;
    struct mortar_node_metrics counted; /* `core` is not used. */
    struct bulk bulk;
};

/* ---- mesh.c ---- */

__attribute__((format(printf, 3, 4))) void
mesh_log(const struct mesh *mesh, enum mortar_log_level level, const char *format, ...);
/* Counts a refusal by its name. */
void mesh_count_refusal(struct mesh *mesh, enum mortar_status status);
/* Whether a refusal of `who` is news: false when it was logged a moment ago. */
bool mesh_is_news(struct mesh *mesh, struct mortar_bytes who, enum mortar_status status);
void mesh_on_link_gone(struct mesh *mesh);

/* ---- link.c ---- */

/* Begins to connect. MORTAR_E_BUSY: links_max. MORTAR_E_NO_MEMORY. */
MORTAR_NODISCARD enum mortar_status link_dial(struct mesh *mesh, const struct address *address,
                                              bool is_bulk, struct link **out_link);
void link_accept(struct mesh *mesh, struct stream *stream);
/* Ends a link of any state: leaves its bond at once, tells the peer why when `status` is not
 * CANCELLED, and closes. Again: a no-op. */
void link_end(struct link *link, enum mortar_status status, const char *text);
/* As link_end() for a peer to whom we say good-bye. */
void link_depart(struct link *link, enum mortar_status reason);
/* Its stream is closed: accounts for it and gives it back. Of a moved link: the bulk part is done,
 * too. */
void link_gone(struct link *link, enum mortar_status reason, const char *detail);
/* Heartbeat of a control link that is UP. */
void link_beat(struct link *link, uint64_t now_ms);
/* Queues news of members, if there is room: what is lost here a welcome makes up for. */
void link_send_members(struct link *link, const struct bond_members *members);
uint64_t link_bytes_in(const struct link *link);
uint64_t link_bytes_out(const struct link *link);
uint64_t link_queued_bytes(const struct link *link);

/* A frame of a bond that stands, on the thread of its lane. False: the link must end, for
 * `out_reason`. */
bool link_on_bond_frame(struct link *link, struct stream *stream, const struct frame_header *header,
                        struct mortar_bytes payload, struct bond_refuse *out_reason);
/* As stream_write(); nothing is lost for good when a ping finds no room. */
enum mortar_status link_write_ping(struct link *link, struct stream *stream, enum mortar_lane lane);
/* The last word, as far as there is room for it. */
void link_write_refusal(struct stream *stream, enum mortar_lane lane, enum mortar_status status,
                        const char *text);

/* ---- bulk.c ---- */

/* Gives the detached stream of a link that is UP to the bulk thread. */
void bulk_attach(struct link *link);
void bulk_send(struct link *link, struct mortar_buffer *frame);
/* Asks for the end, for the reason in link->end_status and end_text; link_gone() follows. */
void bulk_close(struct link *link);
/* Frees the link on the bulk thread, after all that was posted there. */
void bulk_release(struct link *link);

/* ---- bonds.c ---- */

struct bond *bonds_find(const struct mesh *mesh, const struct mortar_member_id *member);
struct bond *bonds_find_peer(const struct mesh *mesh, const struct mortar_peer_id *peer);
/* Whether a link whose handshake is done may come in. False: `out_refuse` says why not. May end
 * another link that it replaces. */
bool bonds_admit(struct link *link, const struct bond_peer *peer, struct bond_refuse *out_refuse);
/* Adds an admitted link that is UP. False: memory is short. */
bool bonds_add(struct link *link, const struct bond_peer *peer);
/* Takes a link out of its bond, and the bond down with its last control link. */
void bonds_remove(struct link *link);

/* ---- dial.c ---- */

/* Adds or finds the target of `text`; NULL: no room, no address, or our own. */
struct target *dial_add(struct mesh *mesh, const char *text);
struct target *dial_add_address(struct mesh *mesh, const struct address *address);
void dial_set_members(struct mesh *mesh);
void dial_on_gossip(struct mesh *mesh, const struct bond_members *members);
void dial_tick(struct mesh *mesh, uint64_t now_ms);
/* A control link that we dialled is up, or a link that we dialled ended with `status`. */
void dial_on_up(struct link *link);
void dial_on_end(struct link *link, enum mortar_status status);
/* Whether that status will not change by trying again soon. */
bool dial_is_refusal(enum mortar_status status);
void dial_free_all(struct mesh *mesh);

#endif
