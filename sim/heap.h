/* sim/heap.h - what will happen, in order of virtual time; events of the same time come in the
 * order in which they were put in. That order, and the seed, are all that decides a run.
 *
 * Memory:  grows by realloc(); aborts when memory is short. Threads: one. Errors: none.
 */
#ifndef SIM_HEAP_H
#define SIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;
struct replica;

struct sim_event {
    uint64_t at_us;
    uint64_t order; /* Set by heap_push(). */
    /* NULL: the world. Waits while it is paused, is dropped once that process of it is gone. */
    struct replica *target;
    uint32_t life; /* Of the target; set by sim_at(). */
    void (*run)(struct sim *sim, struct sim_event *event);
    void (*drop)(struct sim_event *event); /* Frees `object` when it does not run; NULL: nothing. */
    void *object;
    uint64_t numbers[2];
};

struct heap {
    struct sim_event *events;
    size_t count;
    size_t capacity;
    uint64_t order;
};

void heap_push(struct heap *heap, struct sim_event event);
/* False: empty. */
bool heap_pop(struct heap *heap, struct sim_event *out_event);
/* Time of the next one; UINT64_MAX: empty. */
uint64_t heap_next_us(const struct heap *heap);
/* Drops all that is left. */
void heap_deinit(struct heap *heap);

#endif
