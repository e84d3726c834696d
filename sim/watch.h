/* sim/watch.h - shows the judges what happens inside a replica: reads its trace events and its log
 * after each event. Plain functions over struct replica. */
#ifndef SIM_WATCH_H
#define SIM_WATCH_H

#include "mortar/trace.h"

struct replica;

/* A trace event, in the middle of a step: noted, and judged where no look inside is needed. */
void watch_trace(struct replica *replica, const struct mortar_trace_event *event);
/* After a step: what is new in the log, what is committed, who leads. */
void watch_replica(struct replica *replica);
/* Its clock ticks. */
void watch_tick(struct replica *replica);
/* It sends a frame of the control lane. */
void watch_frame(struct replica *replica, const struct replica *to, struct mortar_bytes frame);
/* One arrives whole. */
void watch_arrival(struct replica *replica, struct mortar_bytes frame);

#endif
