/* sim/small/disk.h - the two logs of a replica, and the writes on their way to them.
 *
 * Writes are done in order. What is durable is what was done; a crash lets some first ones of those
 * under way survive, and no others.
 *
 * Memory: plain values. Threads: none. Errors: a write that does not fit is asserted.
 */
#ifndef SIM_SMALL_DISK_H
#define SIM_SMALL_DISK_H

#include "sim/small/model.h"

/* Does to the logs what the write does. */
void disk_apply(const struct small_op *op, struct small_log *log, struct small_log *tail);
/* The logs as they will be when all writes under way are done. */
void disk_logs(const struct small_mind *mind, struct small_log *out_main,
               struct small_log *out_tail);

#endif
