/* log/range.c - blocks of records in memory. The picture stands in range.h. */
#include "log/range.h"

#include "base/assert.h"
#include "wire/record.h"

#include <string.h>

/* Where a record's header keeps its payload's length (wire/record.h). */
#define PAYLOAD_BYTES_AT 40u

#define OFFSETS_CAPACITY_MIN 64u
#define BLOCKS_CAPACITY_MIN  16u

struct log_range log_range_init(const struct mortar_allocator *allocator,
                                const struct mortar_anchor_point *base)
{
    return (struct log_range){.allocator = allocator, .base = *base};
}

static struct log_block *block_at(const struct log_range *range, size_t place)
{
    ASSERT(place < range->count);
    return &range->blocks[range->head + place];
}

static uint64_t block_last(const struct log_block *block)
{
    return block->first + block->count - 1;
}

/* Where the record of `index` begins in its block; for the index after the last one, the end. */
static size_t block_offset(const struct log_block *block, uint64_t index)
{
    ASSERT(index >= block->first && index <= block->first + block->count);
    const uint64_t place = index - block->first;
    return place == block->count ? block->bytes : block->offsets[place];
}

static void block_release(struct log_range *range, struct log_block *block)
{
    const size_t offsets_bytes = (size_t)block->offsets_capacity * sizeof block->offsets[0];
    range->memory_bytes -= offsets_bytes + mortar_buffer_capacity(block->buffer);
    range->allocator->release(range->allocator->context, block->offsets, offsets_bytes);
    mortar_buffer_release(block->buffer);
}

static void release_all_blocks(struct log_range *range)
{
    for (size_t i = 0; i < range->count; i++)
        block_release(range, block_at(range, i));
    range->head = 0;
    range->count = 0;
}

void log_range_deinit(struct log_range *range)
{
    release_all_blocks(range);
    const size_t bytes = range->capacity * sizeof range->blocks[0];
    range->allocator->release(range->allocator->context, range->blocks, bytes);
    *range = (struct log_range){0};
}

/* The place of the block that holds `index`, which is held. */
static size_t block_find(const struct log_range *range, uint64_t index)
{
    size_t low = 0;
    size_t high = range->count - 1;
    if (block_at(range, high)->first <= index) return high; /* Most questions are about the end. */
    while (low < high) {
        const size_t middle = high - (high - low) / 2;
        if (block_at(range, middle)->first <= index) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static uint64_t last_index(const struct log_range *range)
{
    if (range->count == 0) return range->base.position.index;
    return block_last(block_at(range, range->count - 1));
}

bool log_range_point_at(const struct log_range *range, uint64_t index,
                        struct mortar_anchor_point *out_point)
{
    if (index == range->base.position.index) {
        *out_point = range->base;
        return true;
    }
    if (index < range->base.position.index || index > last_index(range)) return false;
    const struct log_block *const block = block_at(range, block_find(range, index));
    const uint8_t *const data =
        mortar_buffer_data(block->buffer) + block->begin + block_offset(block, index);
    struct reader header = reader_over((struct mortar_bytes){data, RECORD_HEADER_BYTES});
    struct mortar_anchor_point point;
    point.sum = get_log_sum(&header);
    point.position = get_position(&header);
    ASSERT(point.position.index == index);
    *out_point = point;
    return true;
}

struct mortar_position log_range_last(const struct log_range *range)
{
    if (range->count == 0) return range->base.position;
    const struct log_block *const block = block_at(range, range->count - 1);
    const uint64_t index = block_last(block);
    /* Asked more often than all else: only what is wanted of the record's header is read. */
    const uint8_t *const record =
        mortar_buffer_data(block->buffer) + block->begin + block_offset(block, index);
    struct reader header =
        reader_over((struct mortar_bytes){record + RECORD_POSITION_OFFSET, RECORD_POSITION_BYTES});
    const struct mortar_position last = get_position(&header);
    ASSERT(last.index == index);
    return last;
}

/* Bytes from the beginning of the first block ever to the record of `index`, which is held or the
 * first after the end. */
static uint64_t stream_offset(const struct log_range *range, uint64_t index)
{
    const uint64_t end = last_index(range);
    const struct log_block *const block =
        block_at(range, index > end ? range->count - 1 : block_find(range, index));
    return block->bytes_before + block_offset(block, index);
}

uint64_t log_range_bytes(const struct log_range *range, uint64_t first, uint64_t last)
{
    const bool held = first > range->base.position.index && last <= last_index(range);
    if (!held || first > last) return 0;
    return stream_offset(range, last + 1) - stream_offset(range, first);
}

/* The last index of `block` whose record ends at or before `end` bytes into the block; the index
 * before the block's first when even that one ends later. */
static uint64_t block_cut(const struct log_block *block, uint64_t end)
{
    uint64_t low = block->first; /* Records below `low` end in time. */
    uint64_t high = block->first + block->count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (block_offset(block, middle + 1) <= end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

/* The place of the last block that begins at or before the stream offset `end`, from `place` on. */
static size_t block_find_offset(const struct log_range *range, size_t place, uint64_t end)
{
    size_t low = place;
    size_t high = range->count - 1;
    while (low < high) {
        const size_t middle = high - (high - low) / 2;
        if (block_at(range, middle)->bytes_before <= end) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

uint64_t log_range_cut(const struct log_range *range, uint64_t first, uint64_t last, uint64_t bytes)
{
    ASSERT(first > range->base.position.index && first <= last && first <= last_index(range));
    const uint64_t begin = stream_offset(range, first);
    const uint64_t end = bytes > UINT64_MAX - begin ? UINT64_MAX : begin + bytes;
    const size_t place = block_find_offset(range, block_find(range, first), end);
    const struct log_block *const block = block_at(range, place);
    uint64_t cut = block_cut(block, end - block->bytes_before);
    if (cut > last) cut = last;
    return cut < first ? first : cut;
}

/* Room for `more` blocks behind those there. */
static enum mortar_status reserve_blocks(struct log_range *range, size_t more)
{
    if (range->head + range->count + more <= range->capacity) return MORTAR_OK;
    if (range->head >= range->count + more) { /* Moving costs less than what was dropped. */
        memmove(range->blocks, range->blocks + range->head, range->count * sizeof range->blocks[0]);
        range->head = 0;
        return MORTAR_OK;
    }
    size_t capacity = range->capacity < BLOCKS_CAPACITY_MIN ? BLOCKS_CAPACITY_MIN : range->capacity;
    while (capacity < range->head + range->count + more)
        capacity *= 2;
    const size_t old_bytes = range->capacity * sizeof range->blocks[0];
    const size_t new_bytes = capacity * sizeof range->blocks[0];
    struct log_block *const blocks =
        range->allocator->resize(range->allocator->context, range->blocks, old_bytes, new_bytes);
    if (blocks == NULL) return MORTAR_E_NO_MEMORY;
    range->blocks = blocks;
    range->capacity = capacity;
    range->memory_bytes += new_bytes - old_bytes;
    return MORTAR_OK;
}

/* Room for `more` offsets in `block`. */
static enum mortar_status reserve_offsets(struct log_range *range, struct log_block *block,
                                          uint32_t more)
{
    if (more <= block->offsets_capacity - block->count) return MORTAR_OK;
    uint64_t capacity = (uint64_t)block->count + more;
    if (capacity < 2 * (uint64_t)block->offsets_capacity) capacity = 2 * block->offsets_capacity;
    if (capacity > UINT32_MAX) return MORTAR_E_NO_MEMORY;
    const size_t old_bytes = (size_t)block->offsets_capacity * sizeof block->offsets[0];
    const size_t new_bytes = (size_t)capacity * sizeof block->offsets[0];
    uint32_t *const offsets =
        range->allocator->resize(range->allocator->context, block->offsets, old_bytes, new_bytes);
    if (offsets == NULL) return MORTAR_E_NO_MEMORY;
    block->offsets = offsets;
    block->offsets_capacity = (uint32_t)capacity;
    range->memory_bytes += new_bytes - old_bytes;
    return MORTAR_OK;
}

/* Notes where the records of a run lie that stands at offset block->bytes of the block. The run was
 * verified, so a shape that is wrong is our own mistake. */
static void index_records(struct log_block *block, const struct mortar_log_run *run)
{
    const uint8_t *const data = mortar_buffer_data(run->buffer) + run->offset;
    uint32_t *const offsets = block->offsets + block->count;
    size_t at = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        ASSERT(run->bytes - at >= RECORD_HEADER_BYTES);
        uint32_t payload_bytes;
        memcpy(&payload_bytes, data + at + PAYLOAD_BYTES_AT, sizeof payload_bytes);
        ASSERT(payload_bytes <= run->bytes - at - RECORD_HEADER_BYTES);
        offsets[i] = (uint32_t)(block->bytes + at);
        at += record_bytes(payload_bytes);
    }
    ASSERT(at == run->bytes);
    block->bytes += run->bytes;
    block->count += run->count;
}

/* Puts an empty block with room for `count` offsets behind the others; takes one reference of
 * `buffer` on success. */
static enum mortar_status push_block(struct log_range *range, struct mortar_buffer *buffer,
                                     size_t begin, uint32_t count, uint64_t first)
{
    struct log_block block = {.buffer = buffer, .begin = begin, .first = first};
    if (range->count > 0) {
        const struct log_block *const before = block_at(range, range->count - 1);
        block.bytes_before = before->bytes_before + before->bytes;
    }
    enum mortar_status status = reserve_blocks(range, 1);
    if (status == MORTAR_OK) status = reserve_offsets(range, &block, count);
    if (status != MORTAR_OK) return status;
    range->blocks[range->head + range->count] = block;
    range->count++;
    range->memory_bytes += mortar_buffer_capacity(buffer);
    return MORTAR_OK;
}

static enum mortar_status append_shared(struct log_range *range, const struct mortar_log_run *run)
{
    const enum mortar_status status =
        push_block(range, run->buffer, run->offset, run->count, run->first);
    if (status != MORTAR_OK) return status;
    mortar_buffer_share(run->buffer);
    index_records(block_at(range, range->count - 1), run);
    return MORTAR_OK;
}

static enum mortar_status push_open_block(struct log_range *range, const struct mortar_log_run *run,
                                          uint32_t block_bytes)
{
    const size_t capacity = run->bytes > block_bytes ? run->bytes : block_bytes;
    struct mortar_buffer *const buffer = mortar_buffer_new(range->allocator, capacity);
    if (buffer == NULL) return MORTAR_E_NO_MEMORY;
    const uint32_t places = run->count < OFFSETS_CAPACITY_MIN ? OFFSETS_CAPACITY_MIN : run->count;
    const enum mortar_status status = push_block(range, buffer, 0, places, run->first);
    if (status != MORTAR_OK) {
        mortar_buffer_release(buffer);
        return status;
    }
    mortar_buffer_set_bytes(buffer, capacity); /* Once, before a reader can hold it. */
    block_at(range, range->count - 1)->open = true;
    return MORTAR_OK;
}

/* The open block at the end if it has room for `bytes`, else NULL. */
static struct log_block *open_block_for(const struct log_range *range, size_t bytes)
{
    if (range->count == 0) return NULL;
    struct log_block *const block = block_at(range, range->count - 1);
    if (!block->open) return NULL;
    return bytes <= mortar_buffer_capacity(block->buffer) - block->bytes ? block : NULL;
}

static enum mortar_status append_copied(struct log_range *range, const struct mortar_log_run *run,
                                        uint32_t block_bytes)
{
    struct log_block *block = open_block_for(range, run->bytes);
    const enum mortar_status status = block == NULL ? push_open_block(range, run, block_bytes)
                                                    : reserve_offsets(range, block, run->count);
    if (status != MORTAR_OK) return status;
    block = block_at(range, range->count - 1);
    memcpy(mortar_buffer_data(block->buffer) + block->bytes,
           mortar_buffer_data(run->buffer) + run->offset, run->bytes);
    index_records(block, run);
    return MORTAR_OK;
}

enum mortar_status log_range_append(struct log_range *range, const struct mortar_log_run *run,
                                    uint32_t block_bytes)
{
    ASSERT(run->count >= 1);
    ASSERT(run->bytes <= UINT32_MAX);
    ASSERT(run->first == last_index(range) + 1);
    ASSERT(run->offset <= mortar_buffer_capacity(run->buffer));
    ASSERT(run->bytes <= mortar_buffer_capacity(run->buffer) - run->offset);
    const bool share =
        run->bytes >= LOG_SHARE_BYTES_MIN && run->bytes >= mortar_buffer_capacity(run->buffer) / 2;
    return share ? append_shared(range, run) : append_copied(range, run, block_bytes);
}

static void drop_last_block(struct log_range *range)
{
    block_release(range, block_at(range, range->count - 1));
    range->count--;
    if (range->count == 0) range->head = 0;
}

void log_range_truncate(struct log_range *range, uint64_t from)
{
    ASSERT(from > range->base.position.index && from <= last_index(range));
    while (range->count > 0 && block_at(range, range->count - 1)->first >= from) {
        drop_last_block(range);
    }
    if (range->count == 0) return;
    struct log_block *const block = block_at(range, range->count - 1);
    if (block_last(block) < from) return; /* `from` was the first record of the block after it. */
    block->bytes = block_offset(block, from);
    block->count = (uint32_t)(from - block->first);
    block->open = false; /* Readers may hold the bytes behind. */
    if (block_last(block) <= range->base.position.index) drop_last_block(range);
}

void log_range_prune(struct log_range *range, uint64_t to)
{
    struct mortar_anchor_point base;
    const bool held = log_range_point_at(range, to, &base);
    ASSERT(held);
    range->base = base;
    while (range->count > 0 && block_last(block_at(range, 0)) <= to) {
        block_release(range, block_at(range, 0));
        range->head++;
        range->count--;
    }
    if (range->count == 0) range->head = 0;
}

void log_range_reset(struct log_range *range, const struct mortar_anchor_point *base)
{
    release_all_blocks(range);
    range->base = *base;
}

enum mortar_status log_range_adopt(struct log_range *range, struct log_range *tail)
{
    ASSERT(mortar_position_equal(log_range_last(range), tail->base.position));
    const enum mortar_status status = reserve_blocks(range, tail->count);
    if (status != MORTAR_OK) return status;
    uint64_t bytes_before = range->count == 0 ? 0 : stream_offset(range, last_index(range) + 1);
    for (size_t i = 0; i < tail->count; i++) {
        struct log_block block = *block_at(tail, i);
        const uint64_t held = (uint64_t)block.offsets_capacity * sizeof block.offsets[0] +
                              mortar_buffer_capacity(block.buffer);
        block.bytes_before = bytes_before;
        bytes_before += block.bytes;
        range->blocks[range->head + range->count] = block;
        range->count++;
        range->memory_bytes += held;
        tail->memory_bytes -= held;
    }
    tail->head = 0;
    tail->count = 0;
    return MORTAR_OK;
}

bool log_range_read(const struct log_range *range, uint64_t first, uint64_t last, size_t bytes_max,
                    struct mortar_log_run *out_run)
{
    if (first <= range->base.position.index || first > last_index(range) || last < first) {
        return false;
    }
    const struct log_block *const block = block_at(range, block_find(range, first));
    const size_t begin = block_offset(block, first);
    uint64_t end = block_cut(block, bytes_max > SIZE_MAX - begin ? SIZE_MAX : begin + bytes_max);
    if (end > last) end = last;
    if (end < first) end = first;
    *out_run = (struct mortar_log_run){
        .buffer = mortar_buffer_share(block->buffer),
        .offset = block->begin + begin,
        .bytes = block_offset(block, end + 1) - begin,
        .first = first,
        .count = (uint32_t)(end - first + 1),
    };
    return true;
}
