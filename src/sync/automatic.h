/* sync/automatic.h - the method of machines that name none: chooses how to catch up.
 *
 * It enters the group id as "auto", epoch 1, whatever it grows into (design 6.1.3). While log
 * replay is the only way there is, it takes that one.
 *
 * Memory, threads, errors: as mortar_sync_log_replay(), whose tune and free serve for it too.
 */
#ifndef SYNC_AUTOMATIC_H
#define SYNC_AUTOMATIC_H

#include "mortar/sync.h"

MORTAR_NODISCARD enum mortar_status sync_automatic_new(const struct mortar_allocator *allocator,
                                                       const struct mortar_replay_options *options,
                                                       struct mortar_sync_method **out_method);

#endif
