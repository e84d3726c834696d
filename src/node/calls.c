#include "node/calls.h"

#include "base/assert.h"
#include "os/memory.h"

#include <string.h>

/* An id is sequence << SLOT_BITS | slot: the slot is found at once, and an answer that comes late
 * never meets the next call in the same slot. */
#define SLOT_BITS     20u
#define SLOT_MASK     ((UINT64_C(1) << SLOT_BITS) - 1)
#define SEQUENCE_MASK ((UINT64_C(1) << (64 - SLOT_BITS)) - 1)

void call_gate_init(struct call_gate *gate, uint32_t count_max, uint64_t bytes_max)
{
    atomic_init(&gate->count_max, count_max);
    atomic_init(&gate->bytes_max, bytes_max);
    atomic_init(&gate->count, 0);
    atomic_init(&gate->bytes, 0);
}

void call_gate_set(struct call_gate *gate, uint32_t count_max, uint64_t bytes_max)
{
    atomic_store(&gate->count_max, count_max);
    atomic_store(&gate->bytes_max, bytes_max);
}

enum mortar_status call_gate_enter(struct call_gate *gate, size_t bytes)
{
    if (atomic_fetch_add(&gate->count, 1) >= atomic_load(&gate->count_max)) {
        (void)atomic_fetch_sub(&gate->count, 1);
        return MORTAR_E_BUSY;
    }
    const uint64_t before = atomic_fetch_add(&gate->bytes, bytes);
    if (before > 0 && before + bytes > atomic_load(&gate->bytes_max)) {
        call_gate_leave(gate, bytes);
        return MORTAR_E_BUSY;
    }
    return MORTAR_OK;
}

void call_gate_leave(struct call_gate *gate, size_t bytes)
{
    const uint64_t bytes_before = atomic_fetch_sub(&gate->bytes, bytes);
    ASSERT(bytes_before >= bytes);
    const uint64_t count_before = atomic_fetch_sub(&gate->count, 1);
    ASSERT(count_before >= 1);
}

enum mortar_status call_new(struct call_gate *gate, const struct mortar_allocator *allocator,
                            enum call_kind kind, size_t item_bytes, struct call **out_call)
{
    const enum mortar_status status = call_gate_enter(gate, item_bytes);
    if (status != MORTAR_OK) return status;
    struct call *const call = allocator->reserve(allocator->context, sizeof *call + item_bytes);
    if (call == NULL) {
        call_gate_leave(gate, item_bytes);
        return MORTAR_E_NO_MEMORY;
    }
    memset(call, 0, sizeof *call); /* The items are for the caller to write. */
    call->allocator = allocator;
    call->gate = gate;
    call->kind = kind;
    call->item_bytes = item_bytes;
    *out_call = call;
    return MORTAR_OK;
}

static void call_free(struct call *call)
{
    memory_release(call->allocator, call, sizeof *call + call->item_bytes);
}

void call_discard(struct call *call)
{
    call_gate_leave(call->gate, call->item_bytes);
    call_free(call);
}

void call_complete(struct call *call)
{
    call_gate_leave(call->gate, call->item_bytes);
    if (call->done) call->done(call->argument, &call->result);
    mortar_buffer_release(call->result.replies);
    call_free(call);
}

enum mortar_status call_table_init(struct call_table *table,
                                   const struct mortar_allocator *allocator, uint32_t capacity)
{
    if (capacity == 0 || capacity > SLOT_MASK) return MORTAR_E_INVALID;
    struct call_slot *const slots =
        allocator->reserve(allocator->context, capacity * sizeof *slots);
    if (slots == NULL) return MORTAR_E_NO_MEMORY;
    for (uint32_t i = 0; i < capacity; i++)
        slots[i] = (struct call_slot){.call = NULL, .next_free = i + 1};
    *table = (struct call_table){.allocator = allocator, .slots = slots, .capacity = capacity};
    return MORTAR_OK;
}

void call_table_deinit(struct call_table *table)
{
    ASSERT(table->count == 0);
    memory_release(table->allocator, table->slots, table->capacity * sizeof *table->slots);
    table->slots = NULL;
}

void call_table_add(struct call_table *table, struct call *call)
{
    ASSERT(table->first_free < table->capacity);
    ASSERT(call->id == 0);
    const uint32_t place = table->first_free;
    struct call_slot *const slot = &table->slots[place];
    table->first_free = slot->next_free;
    table->sequence = (table->sequence + 1) & SEQUENCE_MASK;
    if (table->sequence == 0) table->sequence = 1; /* After 2^44 calls. */
    slot->call = call;
    call->id = table->sequence << SLOT_BITS | place;
    table->count++;
}

static struct call *table_clear(struct call_table *table, uint32_t place)
{
    struct call_slot *const slot = &table->slots[place];
    struct call *const call = slot->call;
    ASSERT(table->count > 0);
    slot->call = NULL;
    slot->next_free = table->first_free;
    table->first_free = place;
    table->count--;
    return call;
}

struct call *call_table_take(struct call_table *table, uint64_t id)
{
    const uint64_t place = id & SLOT_MASK;
    if (place >= table->capacity) return NULL;
    const struct call *const found = table->slots[place].call;
    if (found == NULL || found->id != id) return NULL;
    return table_clear(table, (uint32_t)place);
}

struct call *call_table_take_any(struct call_table *table)
{
    for (uint32_t i = 0; table->count > 0 && i < table->capacity; i++) {
        if (table->slots[i].call != NULL) return table_clear(table, i);
    }
    return NULL;
}
