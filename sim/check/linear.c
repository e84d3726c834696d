/* sim/check/linear.c - the search of Wing and Gong (1993) for an order that explains a history,
 * with Lowe's memory of where it has been (2017): a state is a set of operations that took effect
 * and the value after them, and needs no second look.
 *
 * Calls and answers stand in a list in order of time. Whatever was called before the first answer
 * that is left may come next; what is chosen leaves the list. At a dead end the last choice is
 * undone.
 *
 * Five thoughts keep it small; none changes the answer:
 *   - An operation that fits now and changes nothing may as well come now: no choice.
 *   - Operations without an answer that ask for the same are alike: of each kind, the one called
 *     first goes first, and one that would change nothing need not have happened.
 *   - One without an answer that nobody sees need not have happened: the next after it is one whose
 *     answer tells of its value, or that asks for a swap from it.
 *   - A value that is left behind, that an operation still needs, and that nothing left brings
 *     about again, is a dead end.
 *   - A value that is only added to never falls: an operation whose answer lies below it is a dead
 *     end, one that fits now cannot come later (after those that change nothing, if any is left).
 */
#include "sim/check/linear.h"

#include <stdlib.h>

#define NOTHING UINT32_MAX

struct event {
    uint64_t at;
    uint32_t op;
    bool answers;
    uint32_t next; /* In the list of what is left; NOTHING: the end. Event 0 is its head. */
    uint32_t before;
};

struct unknown {
    struct deed deed;
    uint32_t op;
};

/* Operations without an answer that ask for the same, in the order of their calls. */
struct group {
    uint32_t first; /* Into `unknown`. */
    uint32_t count;
    uint32_t used;
};

/* A set of operations, as the sum of a hash of each: 128 bits do not meet by chance. */
struct set {
    uint64_t low;
    uint64_t high;
};

struct state {
    struct set set;
    uint64_t value;
    bool unseen; /* The last operation has no answer. */
    bool taken;  /* The place in the memory is not free. */
};

/* Where the search looks for what to do next: at events, then at groups. */
struct place {
    uint32_t event; /* NOTHING: no event is left to look at. */
    uint32_t group;
};

struct step {
    uint32_t op;    /* NOTHING: of a group. */
    uint32_t group; /* place.group of what was taken. */
    bool forced;
    uint64_t value_before;
    uint32_t number_before; /* Of that value. */
    struct place rest;      /* What to try instead. */
};

struct search {
    const struct linear_op *ops;
    struct event *events;
    uint32_t *call_of; /* By op: its events. */
    uint32_t *answer_of;
    struct unknown *unknown;
    struct group *groups;
    uint32_t group_count;
    bool rises; /* The value is only added to. */
    /* Values have numbers, where none is added up. */
    uint64_t *values; /* By number, rising. */
    uint32_t value_count;
    uint32_t *needed; /* By op: number of the value that it got, or NOTHING. */
    uint32_t *made;   /* By op: number of the value that it may bring about, or NOTHING. */
    uint32_t *wants;  /* By number: operations left that need it. */
    uint32_t *makers; /* By number: operations left that may bring it about. */
    uint32_t *swaps;  /* By number: swaps from it without an answer. */
    uint32_t number;  /* Of the value now. */
    bool *done;       /* By op: those with an answer. */
    uint32_t left;
    uint64_t value;
    struct set set;
    struct step *steps;
    uint32_t step_count;
    struct state *memory;
    uint32_t memory_capacity;
    uint32_t memory_count;
};

static void *items_new(size_t count, size_t bytes)
{
    void *items = calloc(count + 1, bytes);
    if (items == NULL) abort();
    return items;
}

/* ---- The register ---- */

static uint64_t value_after(const struct deed *deed, uint64_t value)
{
    switch (deed->kind) {
    case DEED_PUT:
        return deed->value;
    case DEED_SWAP:
        return value == deed->expected ? deed->value : value;
    case DEED_ADD:
        return value + deed->value;
    case DEED_READ:
        break;
    }
    return value;
}

/* Whether the answer of `op` is that of a register that shows `value`. */
static bool fits(const struct linear_op *op, uint64_t value)
{
    if (op->deed.kind == DEED_ADD) return op->got == value + op->deed.value;
    if (op->got != value) return false;
    return op->deed.kind != DEED_SWAP || op->happened == (value == op->deed.expected);
}

/* What the value must be before `op`, where it only rises. */
static uint64_t needs(const struct linear_op *op)
{
    return op->deed.kind == DEED_ADD ? op->got - op->deed.value : op->got;
}

static bool deeds_alike(const struct deed *a, const struct deed *b)
{
    return a->kind == b->kind && a->expected == b->expected && a->value == b->value;
}

/* ---- The memory ---- */

static uint64_t scatter(uint64_t word)
{
    word += 0x9e3779b97f4a7c15u;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
}

static void set_toggle(struct set *set, uint32_t op)
{
    set->low ^= scatter(op);
    set->high ^= scatter(op + (UINT64_C(1) << 40));
}

static bool states_same(const struct state *a, const struct state *b)
{
    return a->set.low == b->set.low && a->set.high == b->set.high && a->value == b->value &&
           a->unseen == b->unseen;
}

static struct state *memory_find(const struct search *search, const struct state *wanted)
{
    const uint64_t hash = wanted->set.low ^ scatter(wanted->value + wanted->unseen);
    uint32_t at = (uint32_t)hash & (search->memory_capacity - 1);
    for (;; at = (at + 1) & (search->memory_capacity - 1)) {
        struct state *state = &search->memory[at];
        if (!state->taken || states_same(state, wanted)) return state;
    }
}

static void memory_grow(struct search *search)
{
    struct state *old = search->memory;
    const uint32_t old_capacity = search->memory_capacity;
    search->memory_capacity = old_capacity == 0 ? 64 : old_capacity * 2;
    search->memory = items_new(search->memory_capacity, sizeof(struct state));
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].taken) *memory_find(search, &old[i]) = old[i];
    }
    free(old);
}

/* False: the search was there before, with no fewer ways to go on. */
static bool memory_add(struct search *search, struct set set, uint64_t value, bool unseen)
{
    if (search->memory_count * 2 >= search->memory_capacity) memory_grow(search);
    struct state state = {.set = set, .value = value, .taken = true};
    if (unseen && memory_find(search, &state)->taken) return false;
    state.unseen = unseen;
    struct state *place = memory_find(search, &state);
    if (place->taken) return false;
    *place = state;
    search->memory_count++;
    return true;
}

/* ---- Doing and undoing ---- */

static void lift(struct search *search, uint32_t event)
{
    const struct event *self = &search->events[event];
    search->events[self->before].next = self->next;
    if (self->next != NOTHING) search->events[self->next].before = self->before;
}

static void put_back(struct search *search, uint32_t event)
{
    const struct event *self = &search->events[event];
    search->events[self->before].next = event;
    if (self->next != NOTHING) search->events[self->next].before = event;
}

static uint32_t step_op(const struct search *search, const struct step *step)
{
    if (step->op != NOTHING) return step->op;
    const struct group *group = &search->groups[step->group];
    return search->unknown[group->first + group->used].op;
}

/* Notes that `op` is not left any more or is again. */
static void count_op(struct search *search, uint32_t op, bool left)
{
    const uint32_t by = left ? 1 : UINT32_MAX; /* Wraps round: one less. */
    if (search->needed[op] != NOTHING) search->wants[search->needed[op]] += by;
    if (search->made[op] != NOTHING) search->makers[search->made[op]] += by;
}

static void take(struct search *search, struct step step)
{
    const uint32_t op = step_op(search, &step);
    step.value_before = search->value;
    step.number_before = search->number;
    count_op(search, op, false);
    if (search->value_count > 0 &&
        value_after(&search->ops[op].deed, search->value) != search->value) {
        search->number = search->made[op];
    }
    search->value = value_after(&search->ops[op].deed, search->value);
    set_toggle(&search->set, op);
    if (step.op != NOTHING) {
        lift(search, search->call_of[op]);
        lift(search, search->answer_of[op]);
        search->done[op] = true;
        search->left--;
    } else {
        search->groups[step.group].used++;
    }
    search->steps[search->step_count++] = step;
}

/* Undoes steps back to the last that was a choice. False: there was none. */
static bool back(struct search *search, struct place *out_rest)
{
    while (search->step_count > 0) {
        const struct step *step = &search->steps[--search->step_count];
        if (step->op == NOTHING) search->groups[step->group].used--;
        const uint32_t op = step_op(search, step);
        if (step->op != NOTHING) {
            put_back(search, search->answer_of[op]);
            put_back(search, search->call_of[op]);
            search->done[op] = false;
            search->left++;
        }
        set_toggle(&search->set, op);
        count_op(search, op, true);
        search->value = step->value_before;
        search->number = step->number_before;
        *out_rest = step->rest;
        if (!step->forced) return true;
    }
    return false;
}

/* ---- Choosing ---- */

/* Whether `op` may come now: its turn in its request, and an answer that fits. */
static bool may_come(const struct search *search, uint32_t op)
{
    if (search->ops[op].in_order && !search->done[op - 1]) return false;
    return fits(&search->ops[op], search->value);
}

enum look { LOOK_DEAD, LOOK_FORCED, LOOK_FREE };

/* Whether the last step left a value behind for ever that something still needs. */
static bool left_behind(const struct search *search)
{
    if (search->value_count == 0 || search->step_count == 0) return false;
    const uint32_t before = search->steps[search->step_count - 1].number_before;
    return before != search->number && search->wants[before] > 0 && search->makers[before] == 0;
}

/* What may come next, at a glance. What changes nothing goes before what does. */
static enum look look(const struct search *search, uint32_t *out_op)
{
    *out_op = NOTHING;
    if (left_behind(search)) return LOOK_DEAD;
    for (uint32_t i = search->events[0].next; !search->events[i].answers;
         i = search->events[i].next) {
        const struct linear_op *op = &search->ops[search->events[i].op];
        if (search->rises && needs(op) < search->value) return LOOK_DEAD;
        if (!may_come(search, search->events[i].op)) continue;
        const bool changes = value_after(&op->deed, search->value) != search->value;
        if (!changes || (search->rises && *out_op == NOTHING)) *out_op = search->events[i].op;
        if (!changes && !search->rises) break;
    }
    return *out_op == NOTHING ? LOOK_FREE : LOOK_FORCED;
}

/* When the first answer comes that is left: whatever was not called before it must wait. */
static uint64_t horizon(const struct search *search)
{
    uint32_t i = search->events[0].next;
    while (!search->events[i].answers)
        i = search->events[i].next;
    return search->events[i].at;
}

static bool last_is_unseen(const struct search *search)
{
    return search->step_count > 0 && search->steps[search->step_count - 1].op == NOTHING;
}

/* Whether one that may come next would tell of `value`, which has `number`. */
static bool is_seen_next(const struct search *search, uint32_t number, uint64_t value)
{
    if (search->swaps[number] > 0) return true;
    if (search->wants[number] == 0) return false;
    for (uint32_t i = search->events[0].next; !search->events[i].answers;
         i = search->events[i].next) {
        const uint32_t op = search->events[i].op;
        const bool waits = search->ops[op].in_order && !search->done[op - 1];
        if (!waits && fits(&search->ops[op], value)) return true;
    }
    return false;
}

static bool group_offers(const struct search *search, uint32_t number, uint64_t until)
{
    const struct group *group = &search->groups[number];
    if (group->used == group->count) return false;
    const uint32_t unknown = search->unknown[group->first + group->used].op;
    const struct linear_op *op = &search->ops[unknown];
    const uint64_t value = value_after(&op->deed, search->value);
    if (op->called >= until || value == search->value) return false;
    if (op->deed.kind == DEED_PUT && last_is_unseen(search)) return false;
    return search->value_count == 0 || is_seen_next(search, search->made[unknown], value);
}

/* The next choice from `place` on, and what is left behind it. False: none. */
static bool choose(const struct search *search, struct place place, struct step *out_step)
{
    while (place.event != NOTHING && !search->events[place.event].answers) {
        const struct event *event = &search->events[place.event];
        place.event = event->next;
        if (!may_come(search, event->op)) continue;
        *out_step = (struct step){.op = event->op, .rest = place};
        return true;
    }
    place.event = NOTHING;
    const uint64_t until = horizon(search);
    while (place.group < search->group_count) {
        const uint32_t number = place.group++;
        if (!group_offers(search, number, until)) continue;
        *out_step = (struct step){.op = NOTHING, .group = number, .rest = place};
        return true;
    }
    return false;
}

/* Takes the next choice from `place` on that leads where the search has not been. */
static bool advance(struct search *search, struct place place)
{
    struct step step;
    while (choose(search, place, &step)) {
        const uint32_t op = step_op(search, &step);
        struct set set = search->set;
        set_toggle(&set, op);
        const uint64_t value = value_after(&search->ops[op].deed, search->value);
        if (memory_add(search, set, value, step.op == NOTHING)) {
            take(search, step);
            return true;
        }
        place = step.rest;
    }
    return false;
}

static enum linear_answer search_run(struct search *search, uint32_t states_max)
{
    struct place place = {search->events[0].next, 0};
    bool returned = false; /* To a state that was looked at before. */
    while (search->left > 0) {
        uint32_t op = NOTHING;
        const enum look seen = returned ? LOOK_FREE : look(search, &op);
        if (search->memory_count > states_max) return LINEAR_UNDECIDED;
        bool goes_on = seen != LOOK_DEAD;
        if (seen == LOOK_FORCED) {
            take(search, (struct step){.op = op, .forced = true});
        } else if (seen == LOOK_FREE) {
            goes_on = advance(search, place);
        }
        returned = !goes_on;
        if (!goes_on && !back(search, &place)) return LINEAR_NO;
        if (goes_on) place = (struct place){search->events[0].next, 0};
    }
    return LINEAR_YES;
}

/* ---- Preparing ---- */

static int compare_events(const void *left, const void *right)
{
    const struct event *a = left;
    const struct event *b = right;
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    if (a->answers != b->answers) return a->answers ? 1 : -1;
    return a->op < b->op ? -1 : a->op > b->op;
}

static void prepare_events(struct search *search, uint32_t count)
{
    uint32_t used = 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct linear_op *op = &search->ops[i];
        if (op->answered == LINEAR_NEVER) continue;
        search->events[used++] = (struct event){.at = op->called, .op = i};
        search->events[used++] = (struct event){.at = op->answered, .op = i, .answers = true};
        search->left++;
    }
    qsort(search->events + 1, used - 1, sizeof(struct event), compare_events);
    for (uint32_t i = 0; i < used; i++) {
        struct event *event = &search->events[i];
        event->next = i + 1 < used ? i + 1 : NOTHING;
        event->before = i == 0 ? 0 : i - 1;
        if (i > 0)
            *(event->answers ? &search->answer_of[event->op] : &search->call_of[event->op]) = i;
    }
}

/* Like ones side by side, in the order of their calls; of steps that only add, large ones first:
 * small ones are left to fill gaps. */
static int compare_unknown(const void *left, const void *right)
{
    const struct unknown *a = left;
    const struct unknown *b = right;
    if (a->deed.kind != b->deed.kind) return a->deed.kind < b->deed.kind ? -1 : 1;
    if (a->deed.value != b->deed.value) return a->deed.value > b->deed.value ? -1 : 1;
    if (a->deed.expected != b->deed.expected) return a->deed.expected < b->deed.expected ? -1 : 1;
    return a->op < b->op ? -1 : a->op > b->op;
}

static int compare_values(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* NOTHING: it is none of them. */
static uint32_t number_of(const struct search *search, uint64_t value)
{
    const uint64_t *at =
        bsearch(&value, search->values, search->value_count, sizeof value, compare_values);
    return at == NULL ? NOTHING : (uint32_t)(at - search->values);
}

/* What changes nothing by its own answer, or by what it asks for, brings nothing about. */
static bool makes_value(const struct linear_op *op)
{
    const bool answered = op->answered != LINEAR_NEVER;
    if (op->deed.kind == DEED_READ) return false;
    if (answered && op->got == op->deed.value) return false;
    if (op->deed.kind != DEED_SWAP) return true;
    return op->deed.expected != op->deed.value && (!answered || op->happened);
}

static void prepare_values(struct search *search, uint32_t count)
{
    uint32_t used = 1; /* 0 is the first value. */
    bool adds = false;
    for (uint32_t i = 0; i < count; i++) {
        search->needed[i] = search->made[i] = NOTHING;
        if (search->ops[i].deed.kind == DEED_ADD) adds = true;
    }
    if (adds) return;
    for (uint32_t i = 0; i < count; i++) {
        const struct linear_op *op = &search->ops[i];
        if (op->answered != LINEAR_NEVER) search->values[used++] = op->got;
        if (makes_value(op)) search->values[used++] = op->deed.value;
    }
    qsort(search->values, used, sizeof(uint64_t), compare_values);
    for (uint32_t i = 0; i < used; i++) {
        if (i > 0 && search->values[i] == search->values[i - 1]) continue;
        search->values[search->value_count++] = search->values[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct linear_op *op = &search->ops[i];
        if (op->answered != LINEAR_NEVER) search->needed[i] = number_of(search, op->got);
        if (makes_value(op)) search->made[i] = number_of(search, op->deed.value);
        if (op->answered == LINEAR_NEVER && op->deed.kind == DEED_SWAP) {
            const uint32_t from = number_of(search, op->deed.expected);
            if (from != NOTHING) search->swaps[from]++;
        }
        count_op(search, i, true);
    }
    search->number = number_of(search, 0);
}

/* Whether anyone may tell of what the operation `op`, without an answer, brings about. */
static bool may_be_seen(const struct search *search, uint32_t op)
{
    if (search->value_count == 0) return true;
    const uint32_t number = search->made[op];
    return number != NOTHING && search->wants[number] + search->swaps[number] > 0;
}

static void prepare_groups(struct search *search, uint32_t count)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct linear_op *op = &search->ops[i];
        if (op->answered != LINEAR_NEVER || op->deed.kind == DEED_READ) continue;
        if (!may_be_seen(search, i)) continue;
        search->unknown[used++] = (struct unknown){op->deed, i};
    }
    qsort(search->unknown, used, sizeof(struct unknown), compare_unknown);
    for (uint32_t i = 0; i < used; i++) {
        const struct unknown *at = &search->unknown[i];
        if (i == 0 || !deeds_alike(&at[-1].deed, &at->deed)) {
            search->groups[search->group_count++] = (struct group){.first = i};
        }
        search->groups[search->group_count - 1].count++;
    }
}

static bool only_adds(const struct linear_op *ops, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ops[i].deed.kind == DEED_PUT || ops[i].deed.kind == DEED_SWAP) return false;
    }
    return true;
}

enum linear_answer linear_check(const struct linear_op *ops, uint32_t count, uint32_t states_max,
                                uint32_t *out_states)
{
    struct search search = {
        .ops = ops,
        .events = items_new(2 * (size_t)count, sizeof(struct event)),
        .call_of = items_new(count, sizeof(uint32_t)),
        .answer_of = items_new(count, sizeof(uint32_t)),
        .values = items_new(2 * (size_t)count, sizeof(uint64_t)),
        .needed = items_new(count, sizeof(uint32_t)),
        .made = items_new(count, sizeof(uint32_t)),
        .wants = items_new(2 * (size_t)count, sizeof(uint32_t)),
        .makers = items_new(2 * (size_t)count, sizeof(uint32_t)),
        .swaps = items_new(2 * (size_t)count, sizeof(uint32_t)),
        .done = items_new(count, sizeof(bool)),
        .unknown = items_new(count, sizeof(struct unknown)),
        .groups = items_new(count, sizeof(struct group)),
        .steps = items_new(count, sizeof(struct step)),
        .rises = only_adds(ops, count),
    };
    search.events[0].next = NOTHING;
    prepare_events(&search, count);
    prepare_values(&search, count);
    prepare_groups(&search, count);
    const enum linear_answer answer = search_run(&search, states_max);
    *out_states = search.memory_count;
    free(search.events);
    free(search.call_of);
    free(search.answer_of);
    free(search.values);
    free(search.needed);
    free(search.made);
    free(search.wants);
    free(search.makers);
    free(search.swaps);
    free(search.done);
    free(search.unknown);
    free(search.groups);
    free(search.steps);
    free(search.memory);
    return answer;
}
