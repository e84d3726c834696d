/* node/node_private.h - the inside of a node and of its group.
 *
 *     API threads --- calls, posted ---> control thread: core, mesh, control links
 *                                          |  work            ^ work done, frames
 *                                          v                  |
 *                                  apply worker, bulk thread (bulk links, bulk work)
 *
 *     node.c    opens and closes a node
 *     group.c   opens and closes a group
 *     host.c    hosts the core: ticks, batches, effects, work          (control thread)
 *     api.c     calls: copied, posted, waited for                      (any thread)
 *     watch.c   waits, status, bonds, metrics
 *
 * Memory:  one block per node and per group; see mortar/node.h.
 * Threads: marked at each member; "constant" ones are set before a second thread sees them.
 * Errors:  see mortar/node.h.
 */
#ifndef NODE_NODE_PRIVATE_H
#define NODE_NODE_PRIVATE_H

#include "node/calls.h"
#include "node/completions.h"
#include "node/group_identity.h"
#include "node/key_file.h"
#include "node/member_note.h"
#include "node/mesh.h"
#include "os/detail.h"
#include "os/directory.h"
#include "os/listener.h"
#include "os/worker.h"

#include <stdatomic.h>

struct mortar_node {
    /* Constant. */
    struct mortar_allocator allocator;
    struct mortar_node_options options; /* Its texts are not used after open. */
    char network[MORTAR_NAME_BYTES_MAX + 1];
    char listen_text[ADDRESS_TEXT_BYTES];
    char advertised[ADDRESS_TEXT_BYTES]; /* Empty: others cannot connect to us. */
    struct address listens;              /* With the real port. */
    struct address peers[MESH_PEERS_MAX];
    size_t peer_count;
    struct key_file keys;
    struct directory *directory;
    struct crypto *crypto;
    struct identity *identity;
    struct tls *tls;
    struct stream_options stream;
    struct mortar_peer_id id;
    uint8_t boot_nonce[BOND_NONCE_BYTES];
    struct listener *listener;
    struct loop *control;
    struct loop *bulk;
    struct worker *apply;

    struct completions completions;
    struct call_gate gate;
    atomic_int failed; /* A status; not MORTAR_OK once a storage failed. */

    pthread_mutex_t mutex;  /* Guards the next three, and the wake-up of closers. */
    pthread_cond_t changed; /* A group stopped. */
    bool has_group;
    struct mortar_group *opened; /* For mortar_node_close(); NULL when closed by the user. */
    struct mortar_group *closed; /* Handles of before: they answer CLOSED as long as we live. */

    struct mortar_group *group;        /* Control thread: who gets links and batches. */
    struct mortar_node_metrics before; /* Control thread: of groups that were closed. */
};

/* A piece of work of the core on its way to a thread and back. */
struct group_work;

struct mortar_group {
    /* Constant. */
    struct mortar_node *node;
    struct mortar_group_id id;
    struct mortar_member_id self;
    struct bond_names names;
    struct mortar_sync_method *own_method; /* NULL: the machine brought one. */
    struct mortar_member_id replaces;      /* Whose place we asked for; all zero: nobody's. */

    struct mortar_group *next_closed; /* In node->closed. */
    atomic_uint_fast32_t users;       /* API calls inside. */
    atomic_bool is_closing;
    atomic_uint_fast32_t command_bytes_max;
    atomic_uint_fast32_t hand_over_ms; /* So long may handing over take at close. */

    bool is_stopped; /* Guarded by node->mutex: nothing runs any longer. */

    /* Control thread. */
    struct mortar_core *core;
    struct mesh *mesh;
    struct mortar_storage storage;
    struct call_table table;
    struct call *waits;
    struct mortar_core_options core_options; /* As tuned last; its texts are not used. */
    struct loop_timer *tick;
    uint64_t ticked_ms;   /* Up to where ticks were given. */
    uint64_t wait_due_ms; /* Earliest deadline of a wait; UINT64_MAX: none. */
    uint32_t work_count;  /* Handed out, not back. */
    bool is_stopping;
    bool mesh_is_gone;
    bool is_dirty;      /* The core had an event since the last flush. */
    bool is_changed;    /* Waits are to be looked at. */
    bool status_is_old; /* The configuration may have changed. */
    bool has_held;      /* A WORK effect that found no memory waits in `held`. */
    bool note_is_due;   /* The directory's note does not name us yet. */
    struct worker_job note_job;
    struct loop_task note_task; /* Back from it. */
    struct mortar_effect held;
    uint64_t config_index_seen;
    struct mortar_core_status *status; /* Scratch: too large for a stack. */
};

/* node.c */
__attribute__((format(printf, 3, 4))) void
node_log(const struct mortar_node *node, enum mortar_log_level level, const char *format, ...);
/* Whether the calling thread is one of the node's. */
bool node_is_own_thread(const struct mortar_node *node);

/* group.c */
/* Closes the group from another thread. */
enum mortar_status group_close(struct mortar_group *group);
/* A leader hands over to anyone who is ready; all others, and what cannot be, do nothing. */
void group_hand_over(struct mortar_group *group, uint32_t timeout_ms);

/* host.c: all on the control thread. */
void host_on_tick(void *context);
/* Takes over an accepted call. */
void host_take_call(struct loop_task *task);
/* Gives the core's effects their turn. */
void host_batch(struct mortar_group *group);
/* Stops the core and says good-bye; group->is_stopped follows. */
void host_stop(struct mortar_group *group);
/* sessions.c: a call of it will complete. */
void session_call_ended(struct mortar_session *session, uint64_t sequence);
void host_complete(struct mortar_group *group, struct call *call);
extern const struct mesh_handler host_mesh_handler;

/* watch.c: all on the control thread. */
void watch_begin(struct mortar_group *group, struct call *call);
/* After changes: completes the waits that hold. */
void watch_look(struct mortar_group *group);
/* Completes the waits whose time is over. */
void watch_expire(struct mortar_group *group, uint64_t now_ms);
/* Completes all waits with `status`: nothing will change any longer. */
void watch_end_all(struct mortar_group *group, enum mortar_status status);
/* Adds what the group's core has counted. */
void watch_add_counters(struct mortar_group *group, struct mortar_core_counters *in_out);
/* Tells the mesh of a new configuration. */
void watch_configuration(struct mortar_group *group);
/* Whether our place is ours for good: we stand in a committed configuration, as a voter, or without
 * the one that we replace. */
bool watch_has_place(struct mortar_group *group);

/* api.c */
/* Begins and ends a use of the handle. MORTAR_E_CLOSED, MORTAR_E_FAILED: do not use it. */
MORTAR_NODISCARD enum mortar_status group_enter(struct mortar_group *group);
void group_leave_use(struct mortar_group *group);

#endif
