/* sim/heap.c - a binary heap by (at_us, order). */
#include "sim/heap.h"

#include <stdlib.h>

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void heap_push(struct heap *heap, struct sim_event event)
{
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity == 0 ? 256 : heap->capacity * 2;
        heap->events = realloc(heap->events, heap->capacity * sizeof *heap->events);
        if (heap->events == NULL) abort();
    }
    event.order = heap->order++;
    size_t place = heap->count++;
    while (place > 0) {
        const size_t parent = (place - 1) / 2;
        if (!before(&event, &heap->events[parent])) break;
        heap->events[place] = heap->events[parent];
        place = parent;
    }
    heap->events[place] = event;
}

bool heap_pop(struct heap *heap, struct sim_event *out_event)
{
    if (heap->count == 0) return false;
    *out_event = heap->events[0];
    const struct sim_event moved = heap->events[--heap->count];
    size_t place = 0;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && before(&heap->events[child + 1], &heap->events[child])) {
            child++;
        }
        if (!before(&heap->events[child], &moved)) break;
        heap->events[place] = heap->events[child];
        place = child;
    }
    if (heap->count > 0) heap->events[place] = moved;
    return true;
}

uint64_t heap_next_us(const struct heap *heap)
{
    return heap->count == 0 ? UINT64_MAX : heap->events[0].at_us;
}

void heap_deinit(struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        if (heap->events[i].drop != NULL) heap->events[i].drop(&heap->events[i]);
    }
    free(heap->events);
    *heap = (struct heap){0};
}
