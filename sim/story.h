/* sim/story.h - a run told in text: trace events and frames, one line each.
 *
 * The last lines are kept for the case of a failure; a listener may take them all.
 *
 * Memory:  a fixed ring. Threads: one. Errors: none.
 */
#ifndef SIM_STORY_H
#define SIM_STORY_H

#include "mortar/trace.h"

struct sim;
struct replica;

#define STORY_EVENTS_KEPT 400u
#define STORY_LINE_BYTES  240u

/* One event as it happened; turned into text only when somebody reads it. */
struct story_event {
    uint64_t at_us;
    uint32_t replica;
    uint32_t other; /* UINT32_MAX: none. */
    struct mortar_trace_event event;
};

struct story {
    struct story_event kept[STORY_EVENTS_KEPT]; /* A ring. */
    uint64_t count;                             /* Ever. */
    /* Takes each line as it comes; NULL: nobody listens. */
    void (*line)(void *context, const char *text);
    void *context;
    bool frames; /* The listener wants frames too. */
    bool times;  /* Each line begins with the virtual time. */
    bool muted;
};

void story_event(struct sim *sim, struct replica *replica, const struct mortar_trace_event *event);
void story_frame(struct sim *sim, const struct replica *from, const struct replica *to,
                 struct mortar_bytes frame);
/* A word of the simulator itself: a fault, a phase. */
void story_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Gives the kept events, oldest first, to `line`. */
void story_last(struct sim *sim, void (*line)(void *context, const char *text), void *context);

#endif
