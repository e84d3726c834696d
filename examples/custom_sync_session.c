/* custom_sync_session.c - asks, fetches, loads, replays; one request is under way at a time. */
#include "examples/custom_sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum phase { ASKING, FETCHING, LOADING, COMPARING, REPLAYING, CHECKING, BROKEN };

struct have {
    struct mortar_member_id from;
    struct note note;
};

enum { HAVES_MAX = 2 * MORTAR_MEMBERS_MAX };

struct session {
    struct mortar_sync_session *runtime;
    struct mortar_sync *sync;
    struct custom *custom;
    enum phase phase;
    enum mortar_status reason; /* Of BROKEN. */
    bool waiting;              /* For an answer, until deadline_ms. */
    uint64_t deadline_ms;
    uint64_t progressed_ms;
    struct have haves[HAVES_MAX];
    uint32_t have_count;
    struct mortar_member_id source;
    uint32_t turn;  /* Whose turn it is among the sources. */
    uint32_t lacks; /* How many sources in a row did not hold what we want. */
    struct mortar_sync_source_progress sources[MORTAR_MEMBERS_MAX];
    uint32_t source_count;
    struct note wanted;             /* The snapshot chosen. */
    struct job *job;                /* Its bytes so far; while LOADING the job's. */
    uint64_t equal;                 /* COMPARING: our log is the leader's up to here, */
    uint64_t different;             /* and no more from here on, */
    uint64_t probe;                 /* and this one is asked for. */
    struct mortar_anchor_point end; /* The log is the group's up to here. */
    struct mortar_log_run run;      /* CHECKING: verified but for its end. */
    struct mortar_anchor_point run_last;
    uint64_t entries, bytes;
};

/* What the loading job works on; outlives the session if need be. */
struct job {
    struct session *session;
    struct snapshot snapshot;
    size_t core_bytes;
};

static void say(const struct session *session, const char *what, uint64_t number)
{
    (void)printf("%s: %s %" PRIu64 "\n", session->custom->name, what, number);
}

static void job_free(struct job *job)
{
    if (!job) return;
    free(job->snapshot.data);
    free(job);
}

static struct mortar_sync_source_progress *source_of(struct session *session,
                                                     const struct mortar_member_id *member)
{
    for (uint32_t i = 0; i < session->source_count; i++)
        if (mortar_member_id_equal(&session->sources[i].member, member))
            return &session->sources[i];
    if (session->source_count == MORTAR_MEMBERS_MAX) return NULL;
    struct mortar_sync_source_progress *source = &session->sources[session->source_count++];
    *source = (struct mortar_sync_source_progress){.member = *member};
    return source;
}

static void break_off(struct session *session, enum mortar_status reason)
{
    session->phase = BROKEN;
    session->reason = reason;
}

static void progressed(struct session *session, uint64_t entries, uint64_t bytes)
{
    struct mortar_sync_source_progress *source = source_of(session, &session->source);
    if (source) {
        source->entries += entries;
        source->bytes += bytes;
    }
    session->entries += entries;
    session->bytes += bytes;
    session->lacks = 0;
    session->progressed_ms = mortar_sync_now_ms(session->sync);
}

static void move(struct session *session, enum phase phase)
{
    session->phase = phase;
    session->waiting = false;
    session->lacks = 0;
}

/* Chooses who is asked: in turns, followers before the leader, nobody who lied. */
static bool choose_source(struct session *session)
{
    struct mortar_member_id bonds[MORTAR_MEMBERS_MAX];
    struct mortar_member_id leader = {0};
    const uint32_t count = mortar_sync_bonds(session->sync, bonds, MORTAR_MEMBERS_MAX);
    const bool led = mortar_sync_session_leader(session->runtime, &leader);
    uint32_t good = 0;
    for (uint32_t pass = 0; pass < 2 * count; pass++) {
        const struct mortar_member_id *bond = &bonds[(session->turn + pass) % count];
        struct mortar_sync_source_progress *source = source_of(session, bond);
        if (!source || source->dropped) continue;
        source->is_leader = led && mortar_member_id_equal(bond, &leader);
        good++;
        if (source->is_leader && pass < count && session->lacks + 1 < count) continue;
        session->source = *bond;
        return true;
    }
    if (count > 0 && good == 0) break_off(session, MORTAR_E_UNVERIFIED);
    return false;
}

static void drop_source(struct session *session)
{
    struct mortar_sync_source_progress *source = source_of(session, &session->source);
    if (source) source->dropped = true;
    (void)printf("%s: a source sent what the group does not vouch for, and is dropped\n",
                 session->custom->name);
    session->turn++;
    session->waiting = false;
}

/* The source does not hold it, or does not answer: the next one's turn, and at last a new start. */
static void pass_on(struct session *session)
{
    struct mortar_member_id bonds[MORTAR_MEMBERS_MAX];
    session->turn++;
    session->waiting = false;
    if (++session->lacks > mortar_sync_bonds(session->sync, bonds, MORTAR_MEMBERS_MAX))
        move(session, ASKING);
}

static void ask_leader(struct session *session, uint64_t index)
{
    const struct note note = {.kind = NOTE_GET_SUM, .anchor.position.index = index};
    struct mortar_member_id leader;
    if (mortar_sync_session_leader(session->runtime, &leader))
        (void)mortar_sync_send_to(session->sync, &leader, 0,
                                  (struct mortar_bytes){(const uint8_t *)&note, sizeof note});
}

static void ask_source(struct session *session, const struct note *note)
{
    if (!choose_source(session)) return;
    (void)mortar_sync_send_to(session->sync, &session->source, 0,
                              (struct mortar_bytes){(const uint8_t *)note, sizeof *note});
}

static void ask_all(struct session *session)
{
    const struct note note = {.kind = NOTE_ASK};
    struct mortar_member_id reached[MORTAR_MEMBERS_MAX];
    session->have_count = 0;
    (void)mortar_sync_broadcast(session->sync, 0,
                                (struct mortar_bytes){(const uint8_t *)&note, sizeof note}, reached,
                                MORTAR_MEMBERS_MAX);
}

static uint32_t votes_for(const struct session *session, const struct note *note)
{
    uint32_t votes = 0;
    for (uint32_t i = 0; i < session->have_count; i++) {
        const struct note *other = &session->haves[i].note;
        if (other->bytes == note->bytes &&
            mortar_position_equal(other->anchor.position, note->anchor.position) &&
            mortar_log_sum_equal(other->anchor.sum, note->anchor.sum) &&
            memcmp(other->digest, note->digest, DIGEST_BYTES) == 0)
            votes++;
    }
    return votes;
}

/* From the log as it stands: compares its uncommitted end, then replays. */
static void begin_compare(struct session *session)
{
    session->equal = mortar_sync_committed(session->sync).index;
    session->probe = mortar_sync_log_last(session->sync).index;
    session->different = session->probe + 1;
    move(session, COMPARING);
}

static void begin_fetch(struct session *session, const struct note *chosen)
{
    job_free(session->job);
    session->job = calloc(1, sizeof *session->job);
    if (!session->job) {
        break_off(session, MORTAR_E_NO_MEMORY);
        return;
    }
    session->wanted = *chosen;
    mortar_sync_session_needs(session->runtime, chosen->anchor.position.index + 1);
    say(session, "fetches the snapshot at", chosen->anchor.position.index);
    say(session, "members that vouch for it:", votes_for(session, chosen));
    move(session, FETCHING);
}

/* Takes the newest snapshot that a majority reported alike; none, if a majority has none. One
 * answer is no majority: somebody else has to confirm it. */
static void decide(struct session *session)
{
    struct mortar_member_id bonds[MORTAR_MEMBERS_MAX];
    const uint32_t count = mortar_sync_bonds(session->sync, bonds, MORTAR_MEMBERS_MAX);
    const uint32_t majority = count / 2 + 1 < 2 ? 2 : count / 2 + 1;
    const struct note *best = NULL;
    for (uint32_t i = 0; i < session->have_count; i++) {
        const struct note *note = &session->haves[i].note;
        if (votes_for(session, note) < majority) continue;
        if (!best || note->anchor.position.index > best->anchor.position.index) best = note;
    }
    if (!best) return; /* The deadline asks again. */
    if (best->bytes == 0 ||
        best->anchor.position.index <= mortar_sync_committed(session->sync).index)
        begin_compare(session);
    else
        begin_fetch(session, best);
}

static uint32_t reporters_of(const struct session *session)
{
    uint32_t reporters = 0;
    for (uint32_t i = 0; i < session->have_count; i++) {
        bool first = true;
        for (uint32_t before = 0; before < i && first; before++)
            first = !mortar_member_id_equal(&session->haves[before].from, &session->haves[i].from);
        reporters += first ? 1 : 0;
    }
    return reporters;
}

static void on_have(struct session *session, const struct mortar_member_id *from,
                    const struct note *note)
{
    struct mortar_member_id bonds[MORTAR_MEMBERS_MAX];
    if (note->bytes > SNAPSHOT_BYTES_MAX || session->have_count == HAVES_MAX) return;
    for (uint32_t i = 0; i < session->have_count; i++) {
        const struct have *other = &session->haves[i];
        if (mortar_member_id_equal(&other->from, from) &&
            mortar_position_equal(other->note.anchor.position, note->anchor.position))
            return; /* Each has one vote. */
    }
    session->haves[session->have_count++] = (struct have){.from = *from, .note = *note};
    if (reporters_of(session) >= mortar_sync_bonds(session->sync, bonds, MORTAR_MEMBERS_MAX))
        decide(session);
}

/* On the machine's thread; nothing else runs there meanwhile. */
static void snapshot_load(void *argument, void *machine)
{
    struct job *job = argument;
    struct snapshot_stream from =
        snapshot_stream(&job->snapshot, sizeof(uint64_t) + job->core_bytes);
    job->snapshot.status = job->snapshot.ops->load(machine, &from.stream);
}

static void snapshot_loaded(void *argument, bool destroyed)
{
    struct job *job = argument;
    struct session *session = job->session;
    if (destroyed) {
        job_free(job);
        return;
    }
    const struct mortar_bytes core = {job->snapshot.data + sizeof(uint64_t), job->core_bytes};
    enum mortar_status status = job->snapshot.status;
    if (status != MORTAR_OK)
        mortar_sync_session_machine_unchanged(session->runtime); /* load() promises that. */
    else
        status = mortar_sync_session_install(session->runtime, &session->wanted.anchor, core);
    session->job = NULL;
    job_free(job);
    if (status != MORTAR_OK) {
        break_off(session, status);
    } else {
        say(session, "loaded the snapshot at", session->wanted.anchor.position.index);
        session->end = session->wanted.anchor;
        session->progressed_ms = mortar_sync_now_ms(session->sync);
        move(session, REPLAYING);
    }
    mortar_sync_wake(session->sync);
}

/* The whole snapshot is here: it is what the majority vouched for, or its source is dropped. */
static void snapshot_complete(struct session *session)
{
    struct snapshot *snapshot = &session->job->snapshot;
    uint8_t digest[DIGEST_BYTES];
    uint64_t core_bytes = 0;
    if (!snapshot_digest(snapshot, digest) ||
        memcmp(digest, session->wanted.digest, DIGEST_BYTES) != 0) {
        snapshot->bytes = 0;
        drop_source(session);
        return;
    }
    memcpy(&core_bytes, snapshot->data, sizeof core_bytes); /* Vouched for, with the rest. */
    snapshot->ops = mortar_sync_machine_ops(session->sync);
    if (!snapshot->ops || core_bytes > snapshot->bytes - sizeof core_bytes) {
        break_off(session, MORTAR_E_UNVERIFIED);
        return;
    }
    progressed(session, 0, snapshot->bytes);
    session->job->core_bytes = (size_t)core_bytes;
    session->job->session = session;
    move(session, LOADING);
}

static void on_part(struct session *session, const struct note *note, struct mortar_bytes data)
{
    struct snapshot *snapshot = &session->job->snapshot;
    if (!mortar_position_equal(note->anchor.position, session->wanted.anchor.position) ||
        note->offset != snapshot->bytes)
        return; /* A late one. */
    if (data.bytes == 0 || data.bytes > session->wanted.bytes - snapshot->bytes) {
        snapshot->bytes =
            0; /* All of a snapshot comes from one source: so we know whom to blame. */
        pass_on(session);
        return;
    }
    if (!snapshot_add(snapshot, data.data, data.bytes)) {
        break_off(session, MORTAR_E_NO_MEMORY);
        return;
    }
    session->waiting = false;
    if (snapshot->bytes == session->wanted.bytes) snapshot_complete(session);
}

static void on_run(struct session *session, const struct note *note, struct mortar_bytes data,
                   const struct mortar_sync_incoming *message)
{
    uint32_t count = 0;
    if (note->anchor.position.index != session->end.position.index) return;
    if (data.bytes == 0) {
        pass_on(session);
        return;
    }
    if (mortar_log_run_verify(data, &session->end, &count, &session->run_last) != MORTAR_OK) {
        drop_source(session);
        return;
    }
    session->run =
        (struct mortar_log_run){.buffer = mortar_buffer_share(message->buffer),
                                .offset = (size_t)(data.data - mortar_buffer_data(message->buffer)),
                                .bytes = data.bytes,
                                .first = session->end.position.index + 1,
                                .count = count};
    move(session, CHECKING);
}

static void release_run(struct session *session)
{
    mortar_buffer_release(session->run.buffer);
    session->run = (struct mortar_log_run){0};
}

static void run_checked(struct session *session, const struct note *note)
{
    if (note->bytes < 2) return; /* The leader cannot tell yet: it is asked again. */
    if (!mortar_position_equal(note->anchor.position, session->run_last.position) ||
        !mortar_log_sum_equal(note->anchor.sum, session->run_last.sum)) {
        release_run(session);
        drop_source(session);
        move(session, REPLAYING);
        return;
    }
    enum mortar_status status = mortar_sync_session_append(session->runtime, &session->run, true);
    if (status == MORTAR_E_BUSY || status == MORTAR_E_NO_MEMORY) return;
    if (status == MORTAR_OK)
        status = mortar_sync_session_set_committed(session->runtime, session->run_last.position);
    if (status != MORTAR_OK) {
        break_off(session, status);
        return;
    }
    session->end = session->run_last;
    mortar_sync_session_needs(session->runtime, session->end.position.index + 1);
    progressed(session, session->run.count, session->run.bytes);
    release_run(session);
    move(session, REPLAYING);
}

/* Halves the stretch in which our log and the leader's part. What is not in conflict stays: it may
 * have been acknowledged (C3). */
static void compared(struct session *session, const struct note *note)
{
    struct mortar_log_sum own;
    if (note->anchor.position.index != session->probe) return;
    if (note->bytes > 0 && mortar_sync_log_sum_at(session->sync, session->probe, &own) &&
        mortar_log_sum_equal(own, note->anchor.sum))
        session->equal = session->probe;
    else
        session->different = session->probe;
    session->probe = session->equal + (session->different - session->equal) / 2;
    session->waiting = false;
}

static void on_sum(struct session *session, const struct mortar_member_id *from,
                   const struct note *note)
{
    struct mortar_member_id leader;
    if (!mortar_sync_session_leader(session->runtime, &leader) ||
        !mortar_member_id_equal(from, &leader))
        return;
    if (session->phase == COMPARING)
        compared(session, note);
    else if (session->phase == CHECKING &&
             note->anchor.position.index == session->run_last.position.index)
        run_checked(session, note);
}

static void session_receive(void *self, const struct mortar_sync_incoming *message)
{
    struct session *session = self;
    struct note note;
    struct mortar_bytes data;
    if (!note_read(message, &note, &data)) return;
    const bool from_source = mortar_member_id_equal(&message->from, &session->source);
    if (note.kind == NOTE_HAVE && session->phase == ASKING)
        on_have(session, &message->from, &note);
    else if (note.kind == NOTE_PART && session->phase == FETCHING && from_source)
        on_part(session, &note, data);
    else if (note.kind == NOTE_RUN && session->phase == REPLAYING && from_source)
        on_run(session, &note, data, message);
    else if (note.kind == NOTE_SUM)
        on_sum(session, &message->from, &note);
    mortar_sync_wake(session->sync);
}

/* The stretch is closed: cuts what conflicts, and replays from there. */
static void end_compare(struct session *session)
{
    struct mortar_anchor_point *end = &session->end;
    enum mortar_status status = MORTAR_OK;
    if (session->equal < mortar_sync_log_last(session->sync).index)
        status = mortar_sync_session_truncate(session->runtime, session->equal + 1);
    end->position.index = session->equal;
    if (status == MORTAR_OK &&
        (!mortar_sync_log_term_at(session->sync, session->equal, &end->position.term) ||
         !mortar_sync_log_sum_at(session->sync, session->equal, &end->sum)))
        status = MORTAR_E_NOT_FOUND;
    if (status != MORTAR_OK)
        break_off(session, status);
    else
        move(session, REPLAYING);
}

/* How far to replay: up to the tail that the leader sends, else to what it last vouched for. */
static bool goal_of(const struct session *session, uint64_t *out_index)
{
    struct mortar_anchor_point goal;
    struct mortar_position last;
    if (!mortar_sync_session_tail(session->runtime, &goal, &last) &&
        !mortar_sync_session_vouched(session->runtime, &goal))
        return false;
    *out_index = goal.position.index;
    return true;
}

/* Sends what the phase asks for. */
static void request(struct session *session)
{
    struct note note = {.anchor = session->end};
    switch (session->phase) {
    case ASKING:
        ask_all(session);
        break;
    case FETCHING:
        note.kind = NOTE_GET;
        note.anchor = session->wanted.anchor;
        note.offset = session->job->snapshot.bytes;
        ask_source(session, &note);
        break;
    case LOADING:
        if (mortar_sync_offload(session->sync, MORTAR_ON_MACHINE_EXCLUSIVE, snapshot_load,
                                snapshot_loaded, session->job) != MORTAR_OK)
            session->waiting = false;
        break;
    case COMPARING:
        ask_leader(session, session->probe);
        break;
    case REPLAYING:
        note.kind = NOTE_GET_RUN;
        if (goal_of(session, &note.offset)) ask_source(session, &note);
        break;
    case CHECKING:
        ask_leader(session, session->run_last.position.index);
        break;
    case BROKEN:
        break;
    }
}

/* The deadline passed without an answer that was of use. */
static void time_out(struct session *session)
{
    session->waiting = false;
    if (session->phase == ASKING) decide(session);
    if (session->phase == FETCHING) session->job->snapshot.bytes = 0;
    if (session->phase == FETCHING || session->phase == REPLAYING) pass_on(session);
}

static enum mortar_sync_poll session_poll(void *self, struct mortar_position *out_position,
                                          enum mortar_status *out_reason)
{
    struct session *session = self;
    const uint64_t now = mortar_sync_now_ms(session->sync);
    uint64_t goal = 0;
    if (session->phase != LOADING && now - session->progressed_ms > GIVE_UP_MS)
        break_off(session, MORTAR_E_STALLED);
    if (session->waiting && session->phase != LOADING && now >= session->deadline_ms)
        time_out(session);
    if (session->phase == COMPARING && session->different == session->equal + 1)
        end_compare(session);
    if (session->phase == BROKEN) {
        *out_reason = session->reason;
        return MORTAR_SYNC_FAILED;
    }
    if (session->phase == REPLAYING && goal_of(session, &goal) &&
        session->end.position.index >= goal) {
        say(session, "is caught up at", session->end.position.index);
        *out_position = session->end.position;
        return MORTAR_SYNC_READY;
    }
    if (!session->waiting) {
        session->waiting = true;
        session->deadline_ms = now + ANSWER_MS;
        request(session);
    }
    /* A job that runs wakes us by itself. */
    if (session->phase != LOADING || !session->waiting)
        mortar_sync_wake_at(session->sync, session->deadline_ms);
    return MORTAR_SYNC_PENDING;
}

static enum mortar_status session_create(void *method, struct mortar_sync_session *runtime,
                                         const struct mortar_sync_gap *gap, void **out_session)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session) return MORTAR_E_NO_MEMORY;
    session->runtime = runtime;
    session->sync = mortar_sync_of_session(runtime);
    session->custom = method;
    session->progressed_ms = mortar_sync_now_ms(session->sync);
    say(session, "lags; its log ends at", gap->last.index);
    *out_session = session;
    return MORTAR_OK;
}

static void session_destroy(void *self)
{
    struct session *session = self;
    release_run(session);
    /* While it loads the job is the runtime's, which gives it to snapshot_loaded(). */
    if (session->phase != LOADING || !session->waiting) job_free(session->job);
    free(session);
}

static void session_progress(void *self, struct mortar_sync_progress *out_progress)
{
    const struct session *session = self;
    uint64_t goal = 0;
    out_progress->entries_done = session->entries;
    out_progress->bytes_done = session->bytes;
    if (goal_of(session, &goal) && goal > session->end.position.index)
        out_progress->entries_left = goal - session->end.position.index;
    out_progress->bytes_held =
        session->run.bytes + (session->job ? session->job->snapshot.bytes : 0);
    out_progress->source_count = session->source_count;
    memcpy(out_progress->sources, session->sources, sizeof session->sources);
}

const struct mortar_sync_session_ops custom_session_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_sync_session_ops),
    .create = session_create,
    .destroy = session_destroy,
    .poll = session_poll,
    .receive = session_receive,
    .progress = session_progress,
};
