/* group/session.c - the session's side of mortar/sync.h: opening, writing the log, the end. */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/found.h"
#include "wire/record.h"

#include <string.h>

#define SESSION_RETRY_MS 1000u /* After a session that failed. */

/* ---- Life ---- */

void session_open(struct mortar_core *core, struct mortar_position prev, uint64_t leader_commit,
                  struct mortar_bytes entries, uint32_t count)
{
    if (!core->session_open && core->now_ms < core->session_retry_ms) MARK(SESSION_RESTS);
    if (core->session_open || core->stopped || core->now_ms < core->session_retry_ms) return;
    /* Not one configuration of the tail may be missed, so their places are found before. */
    if (!ring_reserve(&core->tail_configs, TAIL_CONFIGS_MAX)) return; /* The next append asks. */
    const struct mortar_sync_gap gap = {.last = log_last(core),
                                        .prev = prev,
                                        .leader_commit = leader_commit,
                                        .entries = entries,
                                        .entries_count = count};
    core->session = (struct mortar_sync_session){
        .base = {.core = core,
                 .is_session = true,
                 .alive = true,
                 .wake = true,
                 .generation = core->next_generation++},
        .id = prng_next(&core->prng) | 1u,
        .started_ms = core->now_ms,
        .sample_ms = core->now_ms,
    };
    const enum mortar_status status = core->method->session->create(
        core->method->context, &core->session, &gap, &core->session.self);
    if (status != MORTAR_OK) {
        core->session.base.alive = false;
        core->session_retry_ms = core->now_ms + SESSION_RETRY_MS;
        core->sync_ended = status;
        core->counters.sessions_failed++;
        return;
    }
    core->session_open = true;
    core->changed = true;
    core->counters.sessions_started++;
    TRACE(core, SYNC_OPEN, NULL, core->session.id, gap.last.index, prev.index);
    drive(core, &(struct raft_event){.type = RAFT_SYNC_BEGUN});
    lease_renew(core);
}

static void drop_tail(struct mortar_core *core)
{
    struct mortar_anchor_point base;
    struct mortar_position last;
    session_cut_tail_configs(core, 0);
    if (log_tail(core, &base, &last)) log_tail_drop(core);
}

static void end_session(struct mortar_core *core, enum mortar_status reason)
{
    ASSERT(core->session_open);
    status_sync(core, &core->last_sync);
    core->last_sync.active = false;
    core->last_sync.left_ms = 0;
    core->sync_ended = reason;
    lease_send_end(core);
    core->session_open = false;
    core->session.base.alive = false;
    core->method->session->destroy(core->session.self);
    core->changed = true;
    core->provider.base.wake = true;
    if (reason == MORTAR_OK) {
        core->counters.sessions_done++;
        const struct mortar_position last = log_last(core);
        TRACE(core, SYNC_DONE, NULL, core->session.id, last.index, last.term);
    } else {
        core->counters.sessions_failed++;
        core->session_retry_ms = core->now_ms + SESSION_RETRY_MS;
        TRACE(core, SYNC_FAILED, NULL, core->session.id, (uint64_t)reason);
    }
    core->counters.sync_bytes_received += core->last_sync.progress.bytes_done;
    if (core->failure == MORTAR_OK && !core->stopped) {
        drive(core, &(struct raft_event){.type = RAFT_SYNC_ENDED});
    }
}

void session_close(struct mortar_core *core, enum mortar_status reason)
{
    drop_tail(core);
    end_session(core, reason);
}

static void tell_config(struct mortar_core *core, uint64_t index, const struct config *config)
{
    drive(core, &(struct raft_event){.type = RAFT_SYNC_CONFIG,
                                     .config = {.index = index, .config = config}});
}

/* Every configuration of the tail is told in order, though only the last two may still count. The
 * tail stands right behind the log, and both agree on the log before it: they become one. */
static void adopt_tail(struct mortar_core *core)
{
    log_tail_adopt(core);
    drive(core, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    struct tail_config found;
    while (ring_pop(&core->tail_configs, &found) && !BUG(TAIL_CONFIG_FORGOTTEN))
        tell_config(core, found.index, &found.config);
}

/* What the log must reach before a session can be done: the tail, or else what the leader vouches
 * for. */
static uint64_t least_end(const struct mortar_core *core)
{
    struct mortar_anchor_point point;
    struct mortar_position last;
    if (log_tail(core, &point, &last)) return point.position.index;
    return mortar_sync_session_vouched(&core->session, &point) ? point.position.index : 0;
}

void session_ready(struct mortar_core *core, struct mortar_position position)
{
    const struct mortar_position last = log_last(core);
    struct mortar_anchor_point base;
    struct mortar_position tail_last;
    struct mortar_log_sum sum;
    if (!mortar_position_equal(position, last) || core->machine_held ||
        last.index < least_end(core)) {
        /* The method says what is not so: its word is not taken (C4). */
        session_close(core, MORTAR_E_UNVERIFIED);
        return;
    }
    if (!log_tail(core, &base, &tail_last)) {
        end_session(core, MORTAR_OK);
        return;
    }
    const bool meets = mortar_position_equal(base.position, last) &&
                       log_sum_at(core, last.index, &sum) && mortar_log_sum_equal(base.sum, sum);
    if (meets && !BUG(TAIL_DROPPED)) {
        MARK(TAIL_ADOPTED);
        adopt_tail(core);
    } else {
        MARK(TAIL_UNMET);
        drop_tail(core);
    }
    end_session(core, MORTAR_OK);
}

/* The configuration in an entry; false: it holds none. The founding entry says more. */
static bool read_config(struct mortar_core *core, const struct mortar_entry *entry,
                        struct config *out_config)
{
    struct found found;
    enum mortar_status status = MORTAR_OK;
    if (entry->kind == MORTAR_ENTRY_FOUND) {
        status = found_decode(entry->bytes, &found);
        *out_config = found.config;
        core_learn_found(core, entry->bytes);
    } else if (entry->kind == MORTAR_ENTRY_CONFIG) {
        status = config_decode(entry->bytes, out_config);
    } else {
        return false;
    }
    ASSERT(status == MORTAR_OK); /* log_configs_are_sound() was asked. */
    return true;
}

/* ---- The live tail ---- */

void session_buffer(struct mortar_core *core, struct mortar_position before, uint64_t first,
                    uint64_t last, uint64_t bytes)
{
    if (!core->session_open) return;
    core->session.tail_bytes += bytes;
    core->session.tail_entries += last - first + 1;
    core->counters.tail_bytes_received += bytes;
    if (core->method->session->buffer == NULL) return;
    core->method->session->buffer(core->session.self, before, first, last);
    core->session.base.wake = true;
}

void session_note_tail(struct mortar_core *core, const struct mortar_log_run *run)
{
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    struct mortar_entry entry;
    while (in.bytes > 0 && record_decode(&in, &entry) == MORTAR_OK) {
        if (entry.time_ms > core->log_time_ms) core->log_time_ms = entry.time_ms;
        struct tail_config kept = {.index = entry.index};
        if (!read_config(core, &entry, &kept.config)) continue;
        /* Each was proposed when the one before it was committed (thesis 4.1), so a few of the
         * newest say all: the oldest goes. */
        struct tail_config oldest;
        if (core->tail_configs.count == TAIL_CONFIGS_MAX)
            (void)ring_pop(&core->tail_configs, &oldest);
        const bool pushed = ring_push(&core->tail_configs, &kept);
        ASSERT(pushed); /* Reserved when the session began. */
    }
}

void session_cut_tail_configs(struct mortar_core *core, uint64_t from)
{
    while (core->tail_configs.count > 0) {
        const uint32_t newest = core->tail_configs.count - 1;
        const struct tail_config *found = ring_at(&core->tail_configs, newest);
        if (found->index < from) return;
        ring_remove(&core->tail_configs, newest);
    }
}

/* ---- What a session may ask and do ---- */

uint64_t mortar_sync_session_id(const struct mortar_sync_session *session)
{
    return session->id;
}

bool mortar_sync_session_leader(const struct mortar_sync_session *session,
                                struct mortar_member_id *out_leader)
{
    const struct mortar_member_id leader = raft_leader(session->base.core->raft);
    if (mortar_member_id_is_none(&leader)) return false;
    *out_leader = leader;
    return true;
}

bool mortar_sync_session_vouched(const struct mortar_sync_session *session,
                                 struct mortar_anchor_point *out_point)
{
    const struct mortar_core *core = session->base.core;
    if (core->vouched_term == 0 || core->vouched_term != raft_term(core->raft)) return false;
    *out_point = core->vouched;
    return true;
}

bool mortar_sync_session_tail(const struct mortar_sync_session *session,
                              struct mortar_anchor_point *out_base,
                              struct mortar_position *out_last)
{
    return log_tail(session->base.core, out_base, out_last);
}

void mortar_sync_session_needs(struct mortar_sync_session *session, uint64_t index)
{
    session->needs = index;
}

/* The log belongs to the session that runs, and to no other. */
static enum mortar_status may_write(const struct mortar_core *core)
{
    if (core->failure != MORTAR_OK || core->stopped) return MORTAR_E_FAILED;
    return core->session_open ? MORTAR_OK : MORTAR_E_INVALID;
}

/* Tells raft of the configurations in a run that joined the log. */
static void tell_configs(struct mortar_core *core, struct mortar_bytes records)
{
    struct reader in = reader_over(records);
    struct mortar_entry entry;
    while (in.bytes > 0 && record_decode(&in, &entry) == MORTAR_OK) {
        struct config config;
        if (read_config(core, &entry, &config)) tell_config(core, entry.index, &config);
    }
}

struct run_facts {
    uint64_t last_term;
    uint64_t last_time_ms;
    bool has_config;
};

/* Walks the headers: shape and order, whatever the caller says of the sums. */
static bool inspect(const struct mortar_log_run *run, uint64_t term_before,
                    struct run_facts *out_facts)
{
    const struct mortar_bytes records = {mortar_buffer_data(run->buffer) + run->offset, run->bytes};
    struct reader in = reader_over(records);
    struct run_facts facts = {.last_term = term_before};
    for (uint32_t i = 0; i < run->count; i++) {
        struct mortar_entry entry;
        if (record_decode(&in, &entry) != MORTAR_OK || entry.index != run->first + i) return false;
        if (entry.term < facts.last_term || entry.time_ms < facts.last_time_ms) return false;
        facts.last_term = entry.term;
        facts.last_time_ms = entry.time_ms;
        facts.has_config |= entry.kind == MORTAR_ENTRY_CONFIG || entry.kind == MORTAR_ENTRY_FOUND;
    }
    if (in.bytes != 0 || (facts.has_config && !log_configs_are_sound(records))) return false;
    *out_facts = facts;
    return true;
}

enum mortar_status mortar_sync_session_append(struct mortar_sync_session *session,
                                              const struct mortar_log_run *run, bool verified)
{
    struct mortar_core *core = session->base.core;
    const struct mortar_bytes records = {mortar_buffer_data(run->buffer) + run->offset, run->bytes};
    const enum mortar_status open = may_write(core);
    if (open != MORTAR_OK) return open;
    struct mortar_anchor_point end = {.position = log_last(core)};
    const bool sum_known = log_sum_at(core, end.position.index, &end.sum);
    ASSERT(sum_known);
    if (run->count == 0 || run->first != end.position.index + 1) return MORTAR_E_INVALID;
    if (!verified) {
        struct record_run checked;
        const enum mortar_status status =
            record_run_verify(records, end, 0, run->count, NULL, &checked);
        if (status != MORTAR_OK) return status;
    }
    struct run_facts facts;
    if (!inspect(run, end.position.term, &facts)) return MORTAR_E_CORRUPT;
    /* C3: our own term is at least that of every entry; the group's term is. */
    if (facts.last_term > raft_term(core->raft)) return MORTAR_E_INVALID;
    log_append(core, MORTAR_LOG_MAIN, run);
    if (core->failure != MORTAR_OK) return MORTAR_E_FAILED;
    if (facts.last_time_ms > core->log_time_ms) core->log_time_ms = facts.last_time_ms;
    drive(core, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    if (facts.has_config) tell_configs(core, records);
    return core->failure == MORTAR_OK ? MORTAR_OK : MORTAR_E_FAILED;
}

enum mortar_status mortar_sync_session_truncate(struct mortar_sync_session *session, uint64_t from)
{
    struct mortar_core *core = session->base.core;
    const enum mortar_status open = may_write(core);
    if (open != MORTAR_OK) return open;
    if (from <= core->committed.index && !BUG(CUT_COMMITTED)) return MORTAR_E_INVALID;
    if (from > log_last(core).index) return MORTAR_E_INVALID;
    TRACE(core, TRUNCATE, NULL, from, log_last(core).index);
    log_truncate(core, MORTAR_LOG_MAIN, from);
    requests_on_truncate(core, from);
    drive(core, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    /* Raft sees a cut and forgets what was durable; below the cut it still is. */
    drive(core, &(struct raft_event){.type = RAFT_STORED, .index = core->stored});
    return core->failure == MORTAR_OK ? MORTAR_OK : MORTAR_E_FAILED;
}

/* Whether the state is that of the anchor, and one that may stand here. */
static enum mortar_status may_install(const struct mortar_core *core,
                                      const struct mortar_anchor_point *anchor,
                                      const struct core_state *state)
{
    if (!mortar_position_equal(state->applied.position, anchor->position) ||
        !mortar_log_sum_equal(state->applied.sum, anchor->sum)) {
        return MORTAR_E_CORRUPT;
    }
    if (anchor->position.index < core->committed.index) return MORTAR_E_INVALID;
    if (anchor->position.index == core->committed.index &&
        anchor->position.term != core->committed.term) {
        return MORTAR_E_INVALID;
    }
    if (anchor->position.term > raft_term(core->raft)) return MORTAR_E_INVALID;
    if (core->state.birth_known &&
        memcmp(&core->state.birth, &state->birth, sizeof state->birth) != 0) {
        return MORTAR_E_BIRTH;
    }
    return MORTAR_OK;
}

/* A run under way keeps the sessions that it began with until it is over. */
static void replace_clients(struct mortar_core *core, struct client_table *clients)
{
    struct client_table *before = core->clients;
    core->clients = clients;
    if (core->apply_running && core->clients_retired == NULL) {
        core->clients_retired = before;
    } else {
        core_client_table_free(core, before);
    }
}

/* Machine, log base, core state and commit move in one step (C12); the caller has put the
 * machine's state in place with an exclusive job, so apply has waited since then. */
enum mortar_status mortar_sync_session_install(struct mortar_sync_session *session,
                                               const struct mortar_anchor_point *anchor,
                                               struct mortar_bytes core_state)
{
    struct mortar_core *core = session->base.core;
    struct core_state state;
    enum mortar_status status = may_write(core);
    struct client_table *clients = core_client_table_new(core);
    if (status == MORTAR_OK && clients == NULL) status = MORTAR_E_NO_MEMORY;
    if (status == MORTAR_OK) status = core_state_decode(core_state, &state, clients);
    if (status == MORTAR_OK) status = may_install(core, anchor, &state);
    if (status != MORTAR_OK) {
        core_client_table_free(core, clients);
        return status;
    }
    log_reset(core, anchor);
    if (core->failure != MORTAR_OK) {
        core_client_table_free(core, clients);
        return MORTAR_E_FAILED;
    }
    const bool birth_was_known = core->state.birth_known;
    core->state = state;
    replace_clients(core, clients);
    core->machine_held = false;
    core->installs++;
    requests_on_installed(core, anchor->position.index);
    requests_on_truncate(core, anchor->position.index + 1); /* The reset cut all of them. */
    if (state.time_ms > core->log_time_ms) core->log_time_ms = state.time_ms;
    TRACE(core, INSTALL, NULL, anchor->position.index, anchor->position.term);
    drive(core, &(struct raft_event){.type = RAFT_SYNC_APPENDED});
    tell_config(core, state.config_index, &state.config);
    drive(core, &(struct raft_event){.type = RAFT_SYNC_COMMITTED, .index = anchor->position.index});
    if (!birth_was_known) {
        core_push_effect(
            core, &(struct mortar_effect){.type = MORTAR_EFFECT_BIRTH, .birth = state.birth});
    }
    return core->failure == MORTAR_OK ? MORTAR_OK : MORTAR_E_FAILED;
}

void mortar_sync_session_machine_unchanged(struct mortar_sync_session *session)
{
    if (session->base.alive) session->base.core->machine_held = false;
}

enum mortar_status mortar_sync_session_set_committed(struct mortar_sync_session *session,
                                                     struct mortar_position position)
{
    struct mortar_core *core = session->base.core;
    uint64_t term;
    const enum mortar_status open = may_write(core);
    if (open != MORTAR_OK) return open;
    if (position.index < core->committed.index) return MORTAR_E_INVALID;
    if (!log_term_at(core, position.index, &term) || term != position.term) {
        return MORTAR_E_INVALID;
    }
    drive(core, &(struct raft_event){.type = RAFT_SYNC_COMMITTED, .index = position.index});
    return core->failure == MORTAR_OK ? MORTAR_OK : MORTAR_E_FAILED;
}
