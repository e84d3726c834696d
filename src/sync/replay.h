/* sync/replay.h - log replay as a method: its options, which may change while it runs, and its two
 * companions (sync/replay_provider.c, sync/replay_session.c).
 *
 * Memory:  one block of the allocator given at the start, which is copied.
 * Threads: the options are atomics, written by any thread; a companion takes a copy at each poll.
 *          Two options changed together may be seen apart: no pair of them must fit together.
 * Errors:  as in mortar/sync.h.
 */
#ifndef SYNC_REPLAY_H
#define SYNC_REPLAY_H

#include "mortar/sync.h"

struct replay_method;

/* What mortar_sync_log_replay() does, under another name: 1..MORTAR_NAME_BYTES_MAX, kept. */
MORTAR_NODISCARD enum mortar_status replay_method_new(const struct mortar_allocator *allocator,
                                                      const struct mortar_replay_options *options,
                                                      const char *name,
                                                      struct mortar_sync_method **out_method);

/* The options of now. */
struct mortar_replay_options replay_method_options(const struct replay_method *method);

extern const struct mortar_sync_provider_ops replay_provider_ops;
extern const struct mortar_sync_session_ops replay_session_ops;

#endif
