/* sync/automatic.c - log replay under the name that stays. */
#include "sync/automatic.h"

#include "sync/replay.h"

enum mortar_status sync_automatic_new(const struct mortar_allocator *allocator,
                                      const struct mortar_replay_options *options,
                                      struct mortar_sync_method **out_method)
{
    return replay_method_new(allocator, options, "auto", out_method);
}
