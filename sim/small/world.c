/* sim/small/world.c - see sim/small/world.h. */
#include "sim/small/world.h"

#include "base/assert.h"
#include "sim/small/disk.h"
#include "sim/small/rename.h"

#include <stdlib.h>
#include <string.h>

enum { MINDS, MESSAGES, HISTORIES };

/* ---- Numbers ---- */

static void look_at(struct small_world *world, uint32_t number, const struct small_mind *mind)
{
    if (number >= world->glance_capacity) {
        world->glance_capacity = number * 2;
        world->glances =
            small_grow(world->glances, world->glance_capacity, sizeof world->glances[0]);
    }
    struct small_log tail;
    struct small_glance *glance = &world->glances[number];
    memset(glance, 0, sizeof *glance);
    glance->self = mind->self;
    glance->role = mind->role;
    glance->term = mind->term;
    glance->commit = mind->commit_index;
    glance->saved_term = mind->saved.term;
    glance->saved_vote = mind->saved.vote;
    glance->session = mind->session;
    glance->queue_count = mind->queue_count;
    glance->disk = mind->disk;
    disk_logs(mind, &glance->main, &tail);
    glance->tail_open = tail.open;
    glance->tail_count = tail.count;
    const uint32_t slots = mind->uncommitted_count;
    glance->config_index = slots == 0 ? mind->committed.index : mind->uncommitted[slots - 1].index;
    glance->tail_base = (struct small_position){tail.base_index, tail.base_term};
}

static uint32_t mind_number(struct small_world *world, const struct small_mind *mind)
{
    uint8_t packed[MIND_PACKED_MAX];
    bool is_new;
    const uint32_t bytes = mind_pack(mind, packed);
    const uint32_t number =
        pool_number(&world->minds, (struct mortar_bytes){packed, bytes}, &is_new);
    if (is_new) look_at(world, number, mind);
    return number;
}

static uint32_t history_number(struct small_world *world, const struct small_history *history)
{
    return pool_number(&world->histories,
                       (struct mortar_bytes){(const uint8_t *)history, sizeof *history}, NULL);
}

static uint32_t message_number(struct small_world *world, const struct small_message *message)
{
    return pool_number(&world->messages,
                       (struct mortar_bytes){(const uint8_t *)message, sizeof *message}, NULL);
}

const struct small_glance *world_glance(const struct small_world *world, uint32_t mind)
{
    return &world->glances[mind];
}

/* Bytes have no alignment, and a message of bytes and even places needs two: the pool's places are
 * even, as every length in it is. */
const struct small_message *world_message(const struct small_world *world, uint32_t number)
{
    return (const void *)pool_bytes(&world->messages, number).data;
}

static uint8_t link_of(struct small_world *world, uint32_t number)
{
    if (number >= world->link_capacity) {
        const uint32_t before = world->link_capacity;
        world->link_capacity = number * 2;
        world->links = small_grow(world->links, world->link_capacity, 1);
        memset(world->links + before, 0, world->link_capacity - before);
    }
    if (world->links[number] == 0) {
        const struct small_message *message = world_message(world, number);
        world->links[number] = (uint8_t)(message->from << 4 | message->to);
    }
    return world->links[number];
}

/* ---- Steps ---- */

static bool wants_judging(const struct small_world *world, uint32_t before, uint32_t after,
                          const struct small_step *step)
{
    const struct small_facts *facts = &step->facts;
    const struct small_glance *a = &world->glances[before];
    const struct small_glance *b = &world->glances[after];
    if (facts->led_term || facts->commit || facts->round || facts->confirmed) return true;
    if (a->role != b->role || memcmp(&a->main, &b->main, sizeof a->main) != 0) return true;
    for (uint32_t i = 0; i < step->sent_count; i++) {
        const struct small_message *message = world_message(world, step->sent[i]);
        if (message->type == MESSAGE_VOTE_REQUEST || message->type == MESSAGE_VOTE_REPLY ||
            message->type == MESSAGE_TIMEOUT_NOW) {
            return true;
        }
    }
    return false;
}

static bool is_cut(const struct small_log *a, const struct small_log *b)
{
    const uint32_t common = a->count < b->count ? a->count : b->count;
    return b->count < a->count ||
           memcmp(a->entries, b->entries, common * sizeof a->entries[0]) != 0;
}

static void meet(struct small_world *world, uint32_t before, uint32_t event,
                 const struct kept_step *kept)
{
    struct small_met *met = &world->met;
    const struct small_glance *a = &world->glances[before];
    const struct small_glance *b = &world->glances[kept->mind];
    const enum small_event kind = SMALL_EVENT_KIND(event);
    const bool crash = kind == SMALL_ON_CRASH;
    if (kept->facts.beyond) return;
    if (kept->facts.led_term != 0) met->leaders++;
    if (kept->facts.commit_led) met->commits++;
    if (!crash && is_cut(&a->main, &b->main)) met->cuts++;
    if (crash && SMALL_EVENT_ARGUMENT(event) < a->queue_count) met->lost++;
    if (!crash && a->config_index != b->config_index) met->changes++;
    if (kept->facts.confirmed != 0) met->reads++;
    if (!a->session && b->session) met->sessions++;
    if (a->tail_count < b->tail_count) met->tails++;
    if (kind == SMALL_ON_SESSION_DONE && a->tail_count > 0 && b->main.count > a->main.count)
        met->adopted++;
}

static uint32_t keep(struct small_world *world, uint32_t before, uint32_t event,
                     const struct small_step *step)
{
    if (world->step_count + 1 >= world->step_capacity) {
        world->step_capacity = world->step_capacity == 0 ? 1024 : world->step_capacity * 2;
        world->steps = small_grow(world->steps, world->step_capacity, sizeof world->steps[0]);
    }
    if (world->sent_count + SMALL_SENT > world->sent_capacity) {
        world->sent_capacity = world->sent_capacity == 0 ? 1024 : world->sent_capacity * 2;
        world->sent = small_grow(world->sent, world->sent_capacity, sizeof world->sent[0]);
    }
    struct kept_step *kept = &world->steps[++world->step_count];
    *kept = (struct kept_step){.mind = mind_number(world, &step->mind),
                               .sent_first = world->sent_count,
                               .sent_count = (uint8_t)step->sent_count,
                               .facts = step->facts};
    kept->judged = wants_judging(world, before, kept->mind, step);
    meet(world, before, event, kept);
    memcpy(world->sent + world->sent_count, step->sent, step->sent_count * sizeof step->sent[0]);
    world->sent_count += step->sent_count;
    if (step->verdict.failed) {
        world->verdicts =
            small_grow(world->verdicts, world->verdict_count + 1, sizeof world->verdicts[0]);
        world->verdicts[world->verdict_count] = step->verdict;
        kept->verdict = ++world->verdict_count;
    }
    return world->step_count;
}

const struct kept_step *world_step_known(const struct small_world *world, uint32_t mind,
                                         uint32_t event)
{
    const uint32_t place = pair_map_find(&world->step_places, mind, event);
    return place == 0 ? NULL : &world->steps[place];
}

const struct kept_step *world_step(struct small_world *world, uint32_t mind, uint32_t event)
{
    const struct kept_step *known = world_step_known(world, mind, event);
    if (known != NULL) return known;
    struct small_mind before;
    struct small_step step;
    mind_unpack(pool_bytes(&world->minds, mind), &before);
    host_step(world->host, &before, event, &step);
    const uint32_t place = keep(world, mind, event, &step);
    pair_map_add(&world->step_places, mind, event, place);
    return &world->steps[place];
}

/* ---- Moves ---- */

struct moves {
    struct small_world *world;
    const struct small_state *state;
    struct small_move *items;
    uint32_t count;
};

static void may(struct moves *moves, uint8_t actor, uint32_t event, uint8_t budget)
{
    if (budget < SMALL_BUDGETS &&
        moves->state->spent[budget] >= moves->world->set->budget[budget]) {
        return;
    }
    ASSERT(moves->count < SMALL_MOVES);
    moves->items[moves->count++] =
        (struct small_move){.actor = actor, .budget = budget, .slot = UINT8_MAX, .event = event};
}

static void message_moves(struct moves *moves)
{
    const struct small_state *state = moves->state;
    for (uint32_t i = 0; i < state->count; i++) {
        const uint8_t link = link_of(moves->world, state->messages[i]);
        const bool first = i == 0 || link_of(moves->world, state->messages[i - 1]) != link;
        const bool again = i > 0 && state->messages[i] == state->messages[i - 1];
        if (moves->world->set->in_order ? !first : again) continue;
        const uint32_t begin = moves->count;
        const uint32_t event = SMALL_EVENT(SMALL_ON_MESSAGE, state->messages[i]);
        may(moves, link & 15, event, SMALL_BUDGETS);
        may(moves, link & 15, event, SMALL_DUPLICATE);
        may(moves, 0, 0, SMALL_LOSS);
        for (uint32_t k = begin; k < moves->count; k++) {
            moves->items[k].slot = (uint8_t)i;
            moves->items[k].keeps = moves->items[k].budget == SMALL_DUPLICATE;
        }
    }
}

static void change_moves(struct moves *moves, uint8_t actor)
{
    for (uint32_t member = 1; member <= SMALL_MEMBERS; member++) {
        may(moves, actor, SMALL_EVENT(SMALL_ON_CHANGE, CONFIG_PROMOTE << 8 | member), SMALL_CHANGE);
        may(moves, actor, SMALL_EVENT(SMALL_ON_CHANGE, CONFIG_DEMOTE << 8 | member), SMALL_CHANGE);
        may(moves, actor, SMALL_EVENT(SMALL_ON_CHANGE, CONFIG_REMOVE << 8 | member), SMALL_CHANGE);
    }
}

/* A session takes from any other member what that knows to be committed. */
static void session_moves(struct moves *moves, uint8_t actor)
{
    const struct small_glance *self = world_glance(moves->world, moves->state->minds[actor]);
    for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
        const struct small_glance *other = world_glance(moves->world, moves->state->minds[i]);
        if (i == actor || other->commit <= self->commit) continue;
        uint8_t same = 0;
        while (same < other->commit && same < self->main.count &&
               self->main.entries[same] == other->main.entries[same])
            same++;
        const uint8_t last = self->main.count;
        if (same < last && same < other->commit) {
            may(moves, actor, SMALL_EVENT(SMALL_ON_SESSION_CUT, same + 1), SMALL_BUDGETS);
        } else if (last < other->commit) {
            may(moves, actor, SMALL_EVENT(SMALL_ON_SESSION_ENTRY, other->main.entries[last]),
                SMALL_BUDGETS);
        }
        if (same > self->commit) {
            may(moves, actor, SMALL_EVENT(SMALL_ON_SESSION_COMMITTED, same), SMALL_BUDGETS);
        }
    }
    if (self->tail_open && self->main.count >= self->tail_base.index) {
        may(moves, actor, SMALL_EVENT(SMALL_ON_SESSION_DONE, 0), SMALL_BUDGETS);
    }
    may(moves, actor, SMALL_EVENT(SMALL_ON_SESSION_FAILED, 0), SMALL_SESSION);
}

static void member_moves(struct moves *moves, uint8_t actor)
{
    const struct small_glance *self = world_glance(moves->world, moves->state->minds[actor]);
    if (self->queue_count > 0) {
        may(moves, actor, SMALL_EVENT(SMALL_ON_DISK, 0), SMALL_BUDGETS);
    }
    if (self->role == MORTAR_LEADER) {
        may(moves, actor, SMALL_EVENT(SMALL_ON_HEARTBEAT, 0), SMALL_HEARTBEAT);
        may(moves, actor, SMALL_EVENT(SMALL_ON_QUORUM_LOST, 0), SMALL_QUORUM);
        may(moves, actor, SMALL_EVENT(SMALL_ON_PROPOSE, 0), SMALL_PROPOSAL);
        may(moves, actor, SMALL_EVENT(SMALL_ON_READ, 0), SMALL_READ);
        change_moves(moves, actor);
    } else {
        may(moves, actor, SMALL_EVENT(SMALL_ON_TIMEOUT, 0), SMALL_TIMEOUT);
    }
    if (self->session) session_moves(moves, actor);
    for (uint32_t survivors = 0; survivors <= self->queue_count; survivors++)
        may(moves, actor, SMALL_EVENT(SMALL_ON_CRASH, survivors), SMALL_CRASH);
}

uint32_t world_moves(struct small_world *world, const struct small_state *state,
                     struct small_move out_moves[SMALL_MOVES])
{
    struct moves moves = {.world = world, .state = state, .items = out_moves};
    message_moves(&moves);
    for (uint8_t actor = 1; actor <= SMALL_MEMBERS; actor++)
        member_moves(&moves, actor);
    return moves.count;
}

static void take_out(struct small_state *state, uint32_t slot)
{
    state->count--;
    memmove(&state->messages[slot], &state->messages[slot + 1],
            (state->count - slot) * sizeof state->messages[0]);
    state->messages[state->count] = 0;
}

/* What a link has no room for is lost. */
static void put_in(struct small_world *world, struct small_state *state, uint32_t number)
{
    const uint8_t link = link_of(world, number);
    uint32_t on_link = 0;
    uint32_t place = 0;
    for (uint32_t i = 0; i < state->count; i++) {
        const uint8_t other = link_of(world, state->messages[i]);
        if (other == link) on_link++;
        if (other < link ||
            (other == link && (world->set->in_order || state->messages[i] <= number)))
            place = i + 1;
    }
    if (on_link == world->set->link_messages) return;
    ASSERT(state->count < SMALL_FLYING);
    memmove(&state->messages[place + 1], &state->messages[place],
            (state->count - place) * sizeof state->messages[0]);
    state->messages[place] = number;
    state->count++;
}

static void judge(struct small_world *world, const struct small_state *before,
                  struct small_state *after, uint8_t actor, const struct kept_step *kept,
                  struct verdict *verdict)
{
    const struct small_glance *glances[SMALL_MEMBERS + 1] = {NULL};
    const struct small_message *sent[SMALL_SENT];
    for (uint32_t i = 1; i <= SMALL_MEMBERS; i++)
        glances[i] = world_glance(world, after->minds[i]);
    for (uint32_t i = 0; i < kept->sent_count; i++)
        sent[i] = world_message(world, world->sent[kept->sent_first + i]);
    struct small_history history;
    memcpy(&history, pool_bytes(&world->histories, before->history).data, sizeof history);
    const struct judged_step step = {.glances = glances,
                                     .before = world_glance(world, before->minds[actor]),
                                     .actor = actor,
                                     .facts = &kept->facts,
                                     .sent = sent,
                                     .sent_count = kept->sent_count,
                                     .configs = world->configs};
    judge_step(verdict, &step, &history);
    after->history = history_number(world, &history);
}

bool world_move(struct small_world *world, const struct small_state *state,
                const struct small_move *move, struct small_state *out_state,
                struct verdict *verdict)
{
    *out_state = *state;
    if (move->slot != UINT8_MAX && !move->keeps) take_out(out_state, move->slot);
    if (move->budget < SMALL_BUDGETS) out_state->spent[move->budget]++;
    if (move->actor == 0) return true;
    const struct kept_step kept = *world_step(world, state->minds[move->actor], move->event);
    if (kept.facts.beyond) return false;
    if (kept.facts.idle && (move->slot == UINT8_MAX || move->keeps)) return false;
    out_state->minds[move->actor] = kept.mind;
    for (uint32_t i = 0; i < kept.sent_count; i++)
        put_in(world, out_state, world->sent[kept.sent_first + i]);
    if (kept.verdict != 0) *verdict = world->verdicts[kept.verdict - 1];
    if (kept.judged) judge(world, state, out_state, move->actor, &kept, verdict);
    return true;
}

/* ---- Renaming ---- */

static void rename_held(struct small_world *world, struct small_mind *mind, const uint8_t *names)
{
    for (uint32_t i = 0; i < mind->held_count; i++) {
        const uint32_t number = mind->held[i][0] | (uint32_t)mind->held[i][1] << 16;
        struct small_message message = *world_message(world, number);
        rename_message(&message, names, world->configs);
        const uint32_t renamed = message_number(world, &message);
        uint32_t place = i;
        while (!world->set->in_order && place > 0 &&
               (mind->held[place - 1][0] | (uint32_t)mind->held[place - 1][1] << 16) > renamed) {
            memcpy(mind->held[place], mind->held[place - 1], sizeof mind->held[0]);
            place--;
        }
        mind->held[place][0] = (uint16_t)renamed;
        mind->held[place][1] = (uint16_t)(renamed >> 16);
    }
}

static uint32_t rename_now(struct small_world *world, uint32_t kind, const uint8_t *names,
                           uint32_t number)
{
    if (kind == MESSAGES) {
        struct small_message message = *world_message(world, number);
        rename_message(&message, names, world->configs);
        return message_number(world, &message);
    }
    if (kind == HISTORIES) {
        struct small_history history;
        memcpy(&history, pool_bytes(&world->histories, number).data, sizeof history);
        rename_history(&history, names, world->configs);
        return history_number(world, &history);
    }
    struct small_mind mind;
    mind_unpack(pool_bytes(&world->minds, number), &mind);
    rename_mind(&mind, names, world->configs);
    rename_held(world, &mind, names);
    return mind_number(world, &mind);
}

static uint32_t renamed(struct small_world *world, uint32_t renaming, uint32_t kind,
                        uint32_t number)
{
    uint32_t *capacity = &world->renamed_capacity[renaming][kind];
    uint32_t **table = &world->renamed[renaming][kind];
    if (number >= *capacity) {
        *table = small_grow(*table, number * 2, sizeof **table);
        memset(*table + *capacity, 0, (number * 2 - *capacity) * sizeof **table);
        *capacity = number * 2;
    }
    uint32_t *place = &(*table)[number];
    if (*place == 0) *place = rename_now(world, kind, world->renamings[renaming], number);
    return *place;
}

static void put_in_order(struct small_world *world, struct small_state *state)
{
    for (uint32_t i = 1; i < state->count; i++) {
        const uint32_t number = state->messages[i];
        const uint8_t link = link_of(world, number);
        uint32_t place = i;
        for (; place > 0; place--) {
            const uint32_t before = state->messages[place - 1];
            const uint8_t other = link_of(world, before);
            if (other < link) break;
            if (other == link && (world->set->in_order || before <= number)) break;
            state->messages[place] = before;
        }
        state->messages[place] = number;
    }
}

static void rename_state(struct small_world *world, uint32_t renaming,
                         const struct small_state *state, struct small_state *out)
{
    const uint8_t *names = world->renamings[renaming];
    for (uint32_t i = 1; i <= SMALL_MEMBERS; i++)
        out->minds[names[i]] = renamed(world, renaming, MINDS, state->minds[i]);
    out->history = renamed(world, renaming, HISTORIES, state->history);
    for (uint32_t i = 0; i < state->count; i++)
        out->messages[i] = renamed(world, renaming, MESSAGES, state->messages[i]);
    put_in_order(world, out);
}

/* Replicas differ nearly always: they decide, and the rest need not be looked at. */
static int compare_minds(const struct small_state *a, const struct small_state *b)
{
    return memcmp(a->minds, b->minds, sizeof a->minds);
}

uint32_t world_settle(struct small_world *world, struct small_state *state)
{
    const struct small_state given = *state;
    uint32_t chosen = 0;
    for (uint32_t r = 1; r < world->renaming_count; r++) {
        struct small_state other = given;
        for (uint32_t i = 1; i <= SMALL_MEMBERS; i++)
            other.minds[world->renamings[r][i]] = renamed(world, r, MINDS, given.minds[i]);
        const int order = compare_minds(&other, state);
        if (order > 0) continue;
        rename_state(world, r, &given, &other);
        if (order == 0 && memcmp(&other, state, sizeof other) >= 0) continue;
        *state = other;
        chosen = r;
    }
    return chosen;
}

/* ---- Beginning ---- */

/* A move that must be possible. Costs nothing. */
static void do_now(struct small_world *world, struct small_state *state, struct small_move move,
                   struct verdict *verdict)
{
    struct small_state after;
    move.budget = SMALL_BUDGETS;
    if (world_move(world, state, &move, &after, verdict)) *state = after;
}

/* Until nothing is under way. What goes to or comes from the member behind is lost. */
static void calm_down(struct small_world *world, struct small_state *state, uint8_t behind,
                      struct verdict *verdict)
{
    bool again = true;
    while (again) {
        again = false;
        for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
            if (world_glance(world, state->minds[i])->queue_count == 0) continue;
            do_now(world, state,
                   (struct small_move){
                       .actor = i, .slot = UINT8_MAX, .event = SMALL_EVENT(SMALL_ON_DISK, 0)},
                   verdict);
            again = true;
        }
        if (state->count == 0) continue;
        const uint8_t link = link_of(world, state->messages[0]);
        const bool lost = (link & 15) == behind || link >> 4 == behind;
        do_now(world, state,
               (struct small_move){.actor = lost ? 0 : link & 15,
                                   .event = SMALL_EVENT(SMALL_ON_MESSAGE, state->messages[0])},
               verdict);
        again = true;
    }
}

static void happens_to_1(struct small_world *world, struct small_state *state,
                         enum small_event kind, uint8_t behind, struct verdict *verdict)
{
    do_now(world, state,
           (struct small_move){.actor = 1, .slot = UINT8_MAX, .event = SMALL_EVENT(kind, 0)},
           verdict);
    calm_down(world, state, behind, verdict);
}

static void lead_on(struct small_world *world, struct small_state *state, struct verdict *verdict)
{
    const uint8_t behind = world->set->behind;
    happens_to_1(world, state, SMALL_ON_TIMEOUT, behind, verdict);
    for (uint32_t i = 0; i < world->set->proposed; i++)
        happens_to_1(world, state, SMALL_ON_PROPOSE, behind, verdict);
    happens_to_1(world, state, SMALL_ON_HEARTBEAT, behind, verdict);
    if (!world->set->in_session) return;
    happens_to_1(world, state, SMALL_ON_HEARTBEAT, 0, verdict);
    happens_to_1(world, state, SMALL_ON_HEARTBEAT, 0, verdict);
}

static void add_renaming(struct small_world *world, const struct small_state *state,
                         const uint8_t names[SMALL_MEMBERS + 1])
{
    const uint32_t place = world->renaming_count;
    struct small_state other = *state;
    memcpy(world->renamings[place], names, SMALL_MEMBERS + 1);
    rename_state(world, place, state, &other);
    if (memcmp(&other, state, sizeof other) == 0) world->renaming_count++;
}

/* Those that leave the beginning as it is; first the one that changes nothing. */
static void find_renamings(struct small_world *world, const struct small_state *state)
{
    static_assert(SMALL_MEMBERS == 3, "the table below");
    static const uint8_t NAMES[SMALL_RENAMINGS][SMALL_MEMBERS + 1] = {
        {0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1}};
    const uint32_t tried = world->set->all_names ? 1 : SMALL_RENAMINGS;
    for (uint32_t i = 0; i < tried; i++)
        add_renaming(world, state, NAMES[i]);
    for (uint32_t i = 0; i < SMALL_RENAMINGS; i++) { /* What the trials left. */
        for (uint32_t kind = 0; kind < 3; kind++) {
            free(world->renamed[i][kind]);
            world->renamed[i][kind] = NULL;
            world->renamed_capacity[i][kind] = 0;
        }
    }
}

void world_begin(struct small_world *world, struct small_state *out_state, struct verdict *verdict)
{
    memset(out_state, 0, sizeof *out_state);
    struct small_history history = {.count = 1};
    for (uint8_t i = 1; i <= SMALL_MEMBERS; i++) {
        struct small_step step;
        host_found(world->host, i, &step);
        out_state->minds[i] = mind_number(world, &step.mind);
        history.committed[0] = step.mind.disk.entries[0];
    }
    out_state->history = history_number(world, &history);
    if (world->set->has_leader) lead_on(world, out_state, verdict);
    find_renamings(world, out_state);
}

void world_init(struct small_world *world, const struct small_set *set)
{
    memset(world, 0, sizeof *world);
    world->set = set;
    world->configs = small_grow(NULL, 1, sizeof *world->configs);
    memset(world->configs, 0, sizeof *world->configs);
    world->host = small_grow(NULL, 1, sizeof *world->host);
    host_init(world->host, set, world->configs, &world->messages);
}

void world_deinit(struct small_world *world)
{
    host_deinit(world->host);
    free(world->host);
    free(world->configs);
    pool_deinit(&world->minds);
    pool_deinit(&world->messages);
    pool_deinit(&world->histories);
    pair_map_deinit(&world->step_places);
    free(world->glances);
    free(world->links);
    free(world->steps);
    free(world->sent);
    free(world->verdicts);
    for (uint32_t i = 0; i < SMALL_RENAMINGS; i++) {
        for (uint32_t kind = 0; kind < 3; kind++)
            free(world->renamed[i][kind]);
    }
}

/* ---- Words ---- */

uint32_t world_words(const struct small_state *state, uint32_t out_words[SMALL_WORDS])
{
    uint64_t spent = 0;
    for (uint32_t i = 0; i < SMALL_BUDGETS; i++)
        spent = spent << 4 | state->spent[i];
    out_words[0] = state->count;
    memcpy(&out_words[1], &state->minds[1], SMALL_MEMBERS * sizeof out_words[0]);
    out_words[4] = state->history;
    memcpy(&out_words[5], &spent, sizeof spent);
    memcpy(&out_words[7], state->messages, state->count * sizeof out_words[0]);
    return 7 + state->count;
}

void world_from_words(const uint32_t *words, struct small_state *out_state)
{
    memset(out_state, 0, sizeof *out_state);
    uint64_t spent;
    out_state->count = words[0];
    memcpy(&out_state->minds[1], &words[1], SMALL_MEMBERS * sizeof words[0]);
    out_state->history = words[4];
    memcpy(&spent, &words[5], sizeof spent);
    memcpy(out_state->messages, &words[7], words[0] * sizeof words[0]);
    for (uint32_t i = SMALL_BUDGETS; i > 0; i--, spent >>= 4)
        out_state->spent[i - 1] = spent & 15;
}
