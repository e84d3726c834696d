/* sim/small/pool.c - see sim/small/pool.h. */
#include "sim/small/pool.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_CHUNK_BYTES (1u << 22)
#define LENGTH_BYTES     2u

void *small_grow(void *block, size_t count, size_t item_bytes)
{
    void *grown = count <= SIZE_MAX / item_bytes ? realloc(block, count * item_bytes) : NULL;
    if (grown == NULL) {
        (void)fprintf(stderr, "small worlds: out of memory\n");
        exit(2);
    }
    return grown;
}

struct mortar_bytes pool_bytes(const struct pool *pool, uint32_t number)
{
    const uint64_t place = pool->places[number];
    const uint8_t *at = pool->chunks[place >> 32] + (place & UINT32_MAX);
    uint16_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return (struct mortar_bytes){at + LENGTH_BYTES, bytes};
}

static bool is_equal(struct mortar_bytes a, struct mortar_bytes b)
{
    return a.bytes == b.bytes && memcmp(a.data, b.data, a.bytes) == 0;
}

static void slots_double(struct pool *pool)
{
    const uint32_t count = pool->slot_count == 0 ? 1024 : pool->slot_count * 2;
    free(pool->slots);
    pool->slots = small_grow(NULL, count, sizeof pool->slots[0]);
    memset(pool->slots, 0, count * sizeof pool->slots[0]);
    pool->slot_count = count;
    for (uint32_t number = 1; number <= pool->count; number++) {
        uint64_t slot = checksum_64(pool_bytes(pool, number), 0);
        while (pool->slots[slot & (count - 1)] != 0)
            slot++;
        pool->slots[slot & (count - 1)] = number;
    }
}

static uint64_t store(struct pool *pool, struct mortar_bytes bytes)
{
    const uint32_t needed = LENGTH_BYTES + (uint32_t)bytes.bytes;
    if (pool->chunk_count == 0 || pool->chunk_used + needed > POOL_CHUNK_BYTES) {
        if (pool->chunk_count == POOL_CHUNKS_MAX) {
            (void)fprintf(stderr, "small worlds: a pool is full\n");
            exit(2);
        }
        pool->chunks[pool->chunk_count++] = small_grow(NULL, 1, POOL_CHUNK_BYTES);
        pool->chunk_used = 0;
    }
    const uint32_t chunk = pool->chunk_count - 1;
    uint8_t *at = pool->chunks[chunk] + pool->chunk_used;
    const uint16_t length = (uint16_t)bytes.bytes;
    memcpy(at, &length, sizeof length);
    memcpy(at + LENGTH_BYTES, bytes.data, bytes.bytes);
    const uint64_t place = (uint64_t)chunk << 32 | pool->chunk_used;
    pool->chunk_used += needed;
    return place;
}

uint32_t pool_number(struct pool *pool, struct mortar_bytes bytes, bool *out_is_new)
{
    if (pool->count >= pool->slot_count / 2) slots_double(pool);
    uint64_t slot = checksum_64(bytes, 0);
    for (;; slot++) {
        const uint32_t number = pool->slots[slot & (pool->slot_count - 1)];
        if (number == 0) break;
        if (!is_equal(pool_bytes(pool, number), bytes)) continue;
        if (out_is_new != NULL) *out_is_new = false;
        return number;
    }
    if (pool->count + 1 >= pool->capacity) {
        pool->capacity = pool->capacity == 0 ? 1024 : pool->capacity * 2;
        pool->places = small_grow(pool->places, pool->capacity, sizeof pool->places[0]);
    }
    const uint32_t number = ++pool->count;
    pool->places[number] = store(pool, bytes);
    pool->slots[slot & (pool->slot_count - 1)] = number;
    if (out_is_new != NULL) *out_is_new = true;
    return number;
}

void pool_deinit(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->chunk_count; i++)
        free(pool->chunks[i]);
    free(pool->places);
    free(pool->slots);
    *pool = (struct pool){0};
}

/* ---- Pairs ---- */

static uint64_t mixed(uint64_t key)
{
    key ^= key >> 31;
    key *= 0x9e3779b97f4a7c15u;
    key ^= key >> 29;
    key *= 0xbf58476d1ce4e5b9u;
    return key ^ key >> 32;
}

uint32_t pair_map_find(const struct pair_map *map, uint32_t first, uint32_t second)
{
    if (map->item_count == 0) return 0;
    const uint64_t key = (uint64_t)first << 32 | second;
    for (uint64_t slot = mixed(key);; slot++) {
        const struct pair_map_item *item = &map->items[slot & (map->item_count - 1)];
        if (item->value == 0 || item->key == key) return item->value;
    }
}

static void put(struct pair_map *map, uint64_t key, uint32_t value)
{
    uint64_t slot = mixed(key);
    while (map->items[slot & (map->item_count - 1)].value != 0)
        slot++;
    map->items[slot & (map->item_count - 1)] = (struct pair_map_item){.key = key, .value = value};
}

void pair_map_add(struct pair_map *map, uint32_t first, uint32_t second, uint32_t value)
{
    if (map->used >= map->item_count / 2) {
        struct pair_map_item *before = map->items;
        const uint32_t count = map->item_count;
        map->item_count = count == 0 ? 1024 : count * 2;
        map->items = small_grow(NULL, map->item_count, sizeof map->items[0]);
        memset(map->items, 0, map->item_count * sizeof map->items[0]);
        for (uint32_t i = 0; i < count; i++) {
            if (before[i].value != 0) put(map, before[i].key, before[i].value);
        }
        free(before);
    }
    put(map, (uint64_t)first << 32 | second, value);
    map->used++;
}

void pair_map_deinit(struct pair_map *map)
{
    free(map->items);
    *map = (struct pair_map){0};
}
