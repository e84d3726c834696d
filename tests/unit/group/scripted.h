/* group/scripted.h - a sync method that does what a test tells it, written with mortar/sync.h
 * alone.
 *
 * One per test program: the companions of all replicas share the script, and note which of them
 * was called last.
 *
 * Memory:  none of its own. Threads: one. Errors: none.
 */
#ifndef TESTS_UNIT_GROUP_SCRIPTED_H
#define TESTS_UNIT_GROUP_SCRIPTED_H

#include "mortar/sync.h"

#define SCRIPTED_BYTES_MAX 256u

struct scripted {
    /* What the companions answer. */
    enum mortar_sync_poll session_says;
    struct mortar_position ready_at;
    bool ready_at_end; /* READY names the end of the log, whatever it is. */
    enum mortar_status failed_with;
    enum mortar_status session_create_says;
    uint64_t prune_to;
    bool provider_handles;
    /* What they are to do, if anything. */
    void (*on_marker)(struct mortar_sync_provider *provider, struct mortar_position position,
                      struct mortar_bytes bytes);
    void (*on_session_receive)(struct mortar_sync_session *session);
    void (*on_buffer)(struct mortar_sync_session *session, uint64_t first, uint64_t last);
    void (*on_create)(struct mortar_sync_session *session);

    /* What happened. */
    struct mortar_sync_provider *provider; /* The last one created. */
    struct mortar_sync_session *session;   /* The one that lives; NULL: none. */
    struct mortar_sync_gap gap;
    uint32_t sessions_created;
    uint32_t sessions_destroyed;
    uint32_t session_polls;
    uint32_t provider_polls;
    uint32_t provider_received;
    uint32_t session_received;
    uint64_t received_session; /* Number of the last message that the session got. */
    uint8_t received[SCRIPTED_BYTES_MAX];
    size_t received_bytes;
    uint64_t buffered_first;
    uint64_t buffered_last;
    uint64_t committed;
};

extern struct scripted scripted;
extern const struct mortar_sync_method scripted_method;

/* Back to a method that never does anything. */
void scripted_reset(void);

#endif
