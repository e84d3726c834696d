/* sim/small/search.c - see sim/small/search.h. */
#include "sim/small/search.h"

#include "base/hash.h"
#include "sim/small/tell.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRESS_S 10.0
/* Beyond this the bounds of the set are too wide for the memory of one process. */
#define STATES_MAX 80000000u

struct frontier {
    uint32_t *words;
    size_t count;
    size_t capacity;
    uint32_t first;  /* Number of the first state in it. */
    uint32_t states; /* In it. */
};

struct search {
    struct small_world world;
    uint64_t *seen; /* Open addressing; 0: free. */
    uint64_t seen_count;
    uint32_t *parents; /* By number of the state; the beginning is 1. */
    uint8_t *ordinals; /* Which of the parent's moves led to it. */
    uint32_t capacity;
    uint32_t states;
    uint64_t transitions;
    struct frontier now;
    struct frontier next;
    uint32_t depth;
    double begin_s;
    double told_s;
    FILE *out;
    struct search_result *result;
    /* What a panic has to know. */
    struct small_state beginning;
    uint32_t at;
    uint32_t ordinal;
};

static struct search *search_now; /* The panic looks at it. */

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- What was seen ---- */

static void seen_put(uint64_t *seen, uint64_t count, uint64_t hash)
{
    uint64_t slot = hash;
    while (seen[slot & (count - 1)] != 0)
        slot++;
    seen[slot & (count - 1)] = hash;
}

static void seen_grow(struct search *search)
{
    const uint64_t count = search->seen_count == 0 ? 1u << 16 : search->seen_count * 2;
    uint64_t *seen = small_grow(NULL, count, sizeof seen[0]);
    memset(seen, 0, count * sizeof seen[0]);
    for (uint64_t i = 0; i < search->seen_count; i++) {
        if (search->seen[i] != 0) seen_put(seen, count, search->seen[i]);
    }
    free(search->seen);
    search->seen = seen;
    search->seen_count = count;
}

/* True the first time. */
static bool seen_add(struct search *search, const uint32_t *words, uint32_t count)
{
    uint64_t hash =
        checksum_64((struct mortar_bytes){(const uint8_t *)words, count * sizeof words[0]}, 0);
    if (hash == 0) hash = 1;
    if (search->states * 8ull >= search->seen_count * 5ull) seen_grow(search);
    for (uint64_t slot = hash;; slot++) {
        const uint64_t there = search->seen[slot & (search->seen_count - 1)];
        if (there == hash) return false;
        if (there != 0) continue;
        search->seen[slot & (search->seen_count - 1)] = hash;
        return true;
    }
}

static void add_state(struct search *search, const struct small_state *state)
{
    uint32_t words[SMALL_WORDS];
    const uint32_t count = world_words(state, words);
    if (!seen_add(search, words, count)) return;
    struct frontier *next = &search->next;
    if (next->count + count > next->capacity) {
        next->capacity = next->capacity == 0 ? 1u << 16 : next->capacity * 2;
        next->words = small_grow(next->words, next->capacity, sizeof words[0]);
    }
    memcpy(next->words + next->count, words, count * sizeof words[0]);
    next->count += count;
    next->states++;
    const uint32_t number = ++search->states;
    if (number >= search->capacity) {
        search->capacity = search->capacity == 0 ? 1u << 16 : search->capacity * 2;
        search->parents = small_grow(search->parents, search->capacity, sizeof search->parents[0]);
        search->ordinals =
            small_grow(search->ordinals, search->capacity, sizeof search->ordinals[0]);
    }
    search->parents[number] = search->at;
    search->ordinals[number] = (uint8_t)search->ordinal;
}

/* ---- The way to a state ---- */

/* The moves from the beginning to `search->at`, and the one that was being made there. */
static void tell_way(struct search *search, const struct verdict *verdict, uint32_t *out_steps)
{
    uint32_t depth = 0;
    for (uint32_t at = search->at; at > 1; at = search->parents[at])
        depth++;
    uint8_t *way = small_grow(NULL, depth + 1, 1);
    way[depth] = (uint8_t)search->ordinal;
    uint32_t place = depth;
    for (uint32_t at = search->at; at > 1; at = search->parents[at])
        way[--place] = search->ordinals[at];
    tell_counter_example(&search->world, &search->beginning, way, depth + 1, verdict, search->out);
    *out_steps = depth + 1;
    free(way);
}

/* What leads to the beginning of a set is no search, and has no shortest way. */
static void tell_early(const struct search *search, const struct verdict *verdict)
{
    (void)fprintf(search->out, "judge %s, on the way to the beginning: %s\n", verdict->judge,
                  verdict->text);
}

static void sum_up(const struct search *search)
{
    struct search_result *result = search->result;
    result->states = search->states;
    result->transitions = search->transitions;
    result->depth = search->depth;
    result->symmetry = search->world.renaming_count;
    result->steps = search->world.step_count;
    result->met = search->world.met;
    result->seconds = wall_s() - search->begin_s;
}

void search_panicked(const char *file, int line, const char *message)
{
    struct search *search = search_now;
    if (search == NULL) return;
    search_now = NULL;
    struct verdict verdict = {0};
    verdict_fail(&verdict, "assert", "%s:%d: %s", file, line, message);
    uint32_t steps = 0;
    if (search->at != 0) {
        tell_way(search, &verdict, &steps);
    } else {
        tell_early(search, &verdict);
    }
    search->result->verdict = verdict;
    search->result->violation_depth = steps;
    sum_up(search);
    (void)fflush(search->out);
    exit(1);
}

/* ---- The search ---- */

static void progress(struct search *search)
{
    const double now_s = wall_s();
    if (now_s - search->told_s < PROGRESS_S) return;
    search->told_s = now_s;
    (void)fprintf(stderr,
                  "%s: depth %u, %u states, %u at the edge, %" PRIu64
                  " transitions, %u replicas, %u steps, %.0f s\n",
                  search->world.set->name, search->depth, search->states, search->now.states,
                  search->transitions, search->world.minds.count, search->world.step_count,
                  now_s - search->begin_s);
}

/* False when a judge objects. */
static bool expand(struct search *search, const struct small_state *state, struct verdict *verdict)
{
    struct small_move moves[SMALL_MOVES];
    const uint32_t count = world_moves(&search->world, state, moves);
    for (uint32_t i = 0; i < count; i++) {
        struct small_state after;
        search->ordinal = i;
        if (!world_move(&search->world, state, &moves[i], &after, verdict)) continue;
        search->transitions++;
        if (verdict->failed) return false;
        (void)world_settle(&search->world, &after);
        add_state(search, &after);
    }
    return true;
}

static bool expand_level(struct search *search, struct verdict *verdict)
{
    const uint32_t *words = search->now.words;
    for (uint32_t i = 0; i < search->now.states; i++) {
        struct small_state state;
        world_from_words(words, &state);
        words += 7 + state.count;
        search->at = search->now.first + i;
        if (!expand(search, &state, verdict)) return false;
        if (i % 1024 == 0) progress(search);
    }
    return true;
}

static void next_level(struct search *search)
{
    const struct frontier done = search->now;
    search->now = search->next;
    search->next = (struct frontier){.words = done.words, .capacity = done.capacity};
    search->now.first = search->states - search->now.states + 1;
    search->depth++;
}

static void begin(struct search *search, struct verdict *verdict)
{
    world_begin(&search->world, &search->beginning, verdict);
    (void)world_settle(&search->world, &search->beginning);
    add_state(search, &search->beginning);
    search->now = search->next;
    search->next = (struct frontier){0};
    search->now.first = 1;
}

static void end(struct search *search)
{
    sum_up(search);
    world_deinit(&search->world);
    free(search->seen);
    free(search->parents);
    free(search->ordinals);
    free(search->now.words);
    free(search->next.words);
    free(search);
}

void search_run(const struct small_set *set, uint32_t depth_max, FILE *out,
                struct search_result *out_result)
{
    struct search *search = small_grow(NULL, 1, sizeof *search);
    memset(search, 0, sizeof *search);
    memset(out_result, 0, sizeof *out_result);
    search->out = out;
    search->result = out_result;
    search->begin_s = search->told_s = wall_s();
    search_now = search;
    world_init(&search->world, set);
    begin(search, &out_result->verdict);
    bool content = !out_result->verdict.failed;
    if (!content) tell_early(search, &out_result->verdict);
    while (content && search->now.states > 0 && search->states < STATES_MAX &&
           (depth_max == 0 || search->depth < depth_max)) {
        content = expand_level(search, &out_result->verdict);
        if (content) next_level(search);
    }
    out_result->complete = content && search->now.states == 0;
    if (!content && search->at != 0) {
        tell_way(search, &out_result->verdict, &out_result->violation_depth);
    }
    search_now = NULL;
    end(search);
}
