/* sim/small/pool.h - gives each distinct string of bytes a number, and finds it again by that.
 *
 * Small worlds meet the same replica, message or history millions of times: a state of the whole
 * world is then a few numbers. Numbers count up from 1 in the order of their first use, so they are
 * the same in every run.
 *
 * Memory:  grows by realloc(); a pool that finds no memory ends the process. Bytes stay where they
 *          are until the pool goes.
 * Threads: none.
 * Errors:  none.
 */
#ifndef SIM_SMALL_POOL_H
#define SIM_SMALL_POOL_H

#include "mortar/types.h"

#define POOL_CHUNKS_MAX 4096u

struct pool {
    uint8_t *chunks[POOL_CHUNKS_MAX]; /* Of POOL_CHUNK_BYTES each. */
    uint32_t chunk_count;
    uint32_t chunk_used;
    uint64_t *places; /* By number: chunk << 32 | offset of the length, which stands before. */
    uint32_t count;   /* Numbers given out. */
    uint32_t capacity;
    uint32_t *slots; /* Open addressing: numbers, 0 where none is. */
    uint32_t slot_count;
};

/* The number of `bytes` (at most 65535 of them); `*out_is_new`, if not NULL, says whether it was
 * given out just now. */
uint32_t pool_number(struct pool *pool, struct mortar_bytes bytes, bool *out_is_new);
/* Borrowed for as long as the pool lives. */
struct mortar_bytes pool_bytes(const struct pool *pool, uint32_t number);
void pool_deinit(struct pool *pool);

/* A map from pairs of numbers to numbers, none of them 0. */
struct pair_map {
    struct pair_map_item {
        uint64_t key;
        uint32_t value; /* 0: free. */
    } * items;
    uint32_t item_count;
    uint32_t used;
};

/* 0 when there is none. */
uint32_t pair_map_find(const struct pair_map *map, uint32_t first, uint32_t second);
void pair_map_add(struct pair_map *map, uint32_t first, uint32_t second, uint32_t value);
void pair_map_deinit(struct pair_map *map);

/* realloc() that ends the process when memory is short. */
void *small_grow(void *block, size_t count, size_t item_bytes);

#endif
