/* custom_sync_provider.c - takes snapshots at markers, serves them, and the log. */
#include "examples/custom_sync.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct log_read {
    struct provider *owner; /* NULL: free. */
    struct mortar_member_id to;
    uint64_t session;
    struct mortar_anchor_point after;
};

struct provider {
    struct mortar_sync_provider *runtime;
    struct mortar_sync *sync;
    struct custom *custom;
    uint64_t marked_index;         /* Where a marker was proposed or seen last. */
    struct snapshot *snapshots[2]; /* The newest, and the one before. */
    struct log_read reads[READS_MAX];
};

static void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot) return;
    free(snapshot->data);
    free(snapshot);
}

bool snapshot_add(struct snapshot *snapshot, const void *data, size_t bytes)
{
    if (bytes > SNAPSHOT_BYTES_MAX - snapshot->bytes) return false;
    if (snapshot->bytes + bytes > snapshot->capacity) {
        const size_t capacity = (snapshot->bytes + bytes) * 2;
        uint8_t *grown = realloc(snapshot->data, capacity);
        if (!grown) return false;
        snapshot->data = grown;
        snapshot->capacity = capacity;
    }
    if (bytes > 0) memcpy(snapshot->data + snapshot->bytes, data, bytes);
    snapshot->bytes += bytes;
    return true;
}

static enum mortar_status stream_write(struct mortar_stream *stream, struct mortar_bytes bytes)
{
    struct snapshot_stream *self = (struct snapshot_stream *)(void *)stream;
    return snapshot_add(self->snapshot, bytes.data, bytes.bytes) ? MORTAR_OK : MORTAR_E_NO_MEMORY;
}

static enum mortar_status stream_read(struct mortar_stream *stream, void *buffer, size_t capacity,
                                      size_t *out_bytes)
{
    struct snapshot_stream *self = (struct snapshot_stream *)(void *)stream;
    const size_t left = self->snapshot->bytes - self->at;
    const size_t bytes = left < capacity ? left : capacity;
    if (bytes > 0) memcpy(buffer, self->snapshot->data + self->at, bytes);
    self->at += bytes;
    *out_bytes = bytes;
    return MORTAR_OK;
}

struct snapshot_stream snapshot_stream(struct snapshot *snapshot, size_t at)
{
    return (struct snapshot_stream){
        .stream = {.write = stream_write, .read = stream_read}, .snapshot = snapshot, .at = at};
}

bool snapshot_digest(const struct snapshot *snapshot, uint8_t out_digest[DIGEST_BYTES])
{
    return EVP_Digest(snapshot->data, snapshot->bytes, out_digest, NULL, EVP_sha256(), NULL) == 1;
}

/* On the machine's thread, exactly at the marker. */
static void snapshot_take(void *argument, void *machine)
{
    struct snapshot *snapshot = argument;
    struct snapshot_stream to = snapshot_stream(snapshot, 0);
    snapshot->status = snapshot->ops->save(machine, &to.stream);
    if (snapshot->status == MORTAR_OK && !snapshot_digest(snapshot, snapshot->digest))
        snapshot->status = MORTAR_E_NO_MEMORY;
}

static void snapshot_taken(void *argument, bool destroyed)
{
    struct snapshot *snapshot = argument;
    struct provider *provider = snapshot->owner;
    if (destroyed || snapshot->status != MORTAR_OK) {
        snapshot_free(snapshot); /* There will be another marker. */
        return;
    }
    snapshot_free(provider->snapshots[1]);
    provider->snapshots[1] = provider->snapshots[0];
    provider->snapshots[0] = snapshot;
}

static bool add_core_state(struct provider *provider, struct snapshot *snapshot)
{
    size_t bytes = 0;
    (void)mortar_sync_core_state(provider->sync, NULL, 0, &bytes); /* Says how much it takes. */
    const uint64_t prefix = bytes;
    uint8_t *core = malloc(bytes > 0 ? bytes : 1);
    const bool good = core &&
                      mortar_sync_core_state(provider->sync, core, bytes, &bytes) == MORTAR_OK &&
                      bytes == prefix && snapshot_add(snapshot, &prefix, sizeof prefix) &&
                      snapshot_add(snapshot, core, bytes);
    free(core);
    return good;
}

static void provider_marker(void *self, struct mortar_position position, struct mortar_bytes bytes)
{
    struct provider *provider = self;
    (void)bytes; /* This method has one kind of marker. */
    provider->marked_index = position.index;
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) return;
    snapshot->owner = provider;
    snapshot->ops = mortar_sync_machine_ops(provider->sync);
    snapshot->anchor.position = position;
    const bool good =
        snapshot->ops && snapshot->ops->save &&
        mortar_sync_log_sum_at(provider->sync, position.index, &snapshot->anchor.sum) &&
        add_core_state(provider, snapshot) &&
        mortar_sync_offload(provider->sync, MORTAR_ON_MACHINE_SHARED, snapshot_take, snapshot_taken,
                            snapshot) == MORTAR_OK;
    if (!good) snapshot_free(snapshot);
}

static enum mortar_status provider_create(void *method, struct mortar_sync_provider *runtime,
                                          void **out_provider)
{
    struct provider *provider = calloc(1, sizeof *provider);
    if (!provider) return MORTAR_E_NO_MEMORY;
    provider->runtime = runtime;
    provider->sync = mortar_sync_of_provider(runtime);
    provider->custom = method;
    *out_provider = provider;
    return MORTAR_OK;
}

static void provider_destroy(void *self)
{
    struct provider *provider = self;
    snapshot_free(provider->snapshots[0]);
    snapshot_free(provider->snapshots[1]);
    free(provider);
}

static enum mortar_sync_poll provider_poll(void *self)
{
    (void)self; /* All is done when something happens. */
    return MORTAR_SYNC_PENDING;
}

static void provider_committed(void *self, struct mortar_position position)
{
    struct provider *provider = self;
    static const uint8_t text[] = "snapshot";
    if (!mortar_sync_provider_is_leader(provider->runtime)) return;
    if (position.index < provider->marked_index + SNAPSHOT_ENTRIES) return;
    /* Best effort: what gets lost with its leader is fed again by the next one. */
    if (mortar_sync_provider_feed_command(
            provider->runtime, (struct mortar_bytes){text, sizeof text - 1}) == MORTAR_OK)
        provider->marked_index = position.index;
}

static uint64_t provider_safe_to_prune(void *self)
{
    const struct provider *provider = self;
    const struct snapshot *older = provider->snapshots[1];
    return older ? older->anchor.position.index : MORTAR_SYNC_NO_PRUNE;
}

/* Sends a note and `bytes` of data behind it, on the bulk lane when there are any. */
static void provider_answer(struct provider *provider, const struct mortar_member_id *to,
                            uint64_t session, const struct note *note, struct mortar_bytes data)
{
    const enum mortar_lane lane = data.bytes > 0 ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
    struct mortar_sync_message *message =
        mortar_sync_message_new(provider->sync, session, lane, sizeof *note + data.bytes);
    if (!message) return; /* The session asks again, or asks another. */
    uint8_t *out = mortar_sync_message_data(message);
    memcpy(out, note, sizeof *note);
    if (data.bytes > 0) memcpy(out + sizeof *note, data.data, data.bytes);
    if (note->kind == NOTE_PART && data.bytes > 0 && atomic_load(&provider->custom->lies))
        out[sizeof *note] ^= 1;
    mortar_sync_message_seal(message, sizeof *note + data.bytes);
    (void)mortar_sync_send(provider->sync, to, message);
}

static void serve_snapshots(struct provider *provider, const struct mortar_sync_incoming *message)
{
    const struct mortar_bytes nothing = {NULL, 0};
    for (uint32_t i = 0; i < 2; i++) {
        const struct snapshot *snapshot = provider->snapshots[i];
        struct note have = {.kind = NOTE_HAVE};
        if (i > 0 && !snapshot) break;
        if (snapshot) {
            have.bytes = snapshot->bytes;
            have.anchor = snapshot->anchor;
            memcpy(have.digest, snapshot->digest, sizeof have.digest);
        }
        provider_answer(provider, &message->from, message->session, &have, nothing);
    }
}

static void serve_part(struct provider *provider, const struct mortar_sync_incoming *message,
                       const struct note *get)
{
    struct note part = {.kind = NOTE_PART, .offset = get->offset, .anchor = get->anchor};
    struct mortar_bytes data = {NULL, 0};
    for (uint32_t i = 0; i < 2; i++) {
        const struct snapshot *snapshot = provider->snapshots[i];
        if (!snapshot || get->offset >= snapshot->bytes ||
            !mortar_position_equal(snapshot->anchor.position, get->anchor.position))
            continue;
        const size_t left = snapshot->bytes - (size_t)get->offset;
        data.data = snapshot->data + get->offset;
        data.bytes = left < PART_BYTES ? left : PART_BYTES;
        part.bytes = snapshot->bytes;
    }
    provider_answer(provider, &message->from, message->session, &part, data);
}

static void run_was_read(void *argument, enum mortar_status status,
                         const struct mortar_log_run *run)
{
    struct log_read *read = argument;
    const struct note note = {.kind = NOTE_RUN, .anchor = read->after};
    struct mortar_bytes data = {NULL, 0};
    if (status == MORTAR_OK)
        data = (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes};
    provider_answer(read->owner, &read->to, read->session, &note, data);
    if (status == MORTAR_OK) mortar_buffer_release(run->buffer);
    read->owner = NULL;
}

static void serve_run(struct provider *provider, const struct mortar_sync_incoming *message,
                      const struct note *get)
{
    const uint64_t after = get->anchor.position.index;
    const uint64_t committed = mortar_sync_committed(provider->sync).index;
    const struct note not_held = {.kind = NOTE_RUN, .anchor = get->anchor};
    for (uint32_t i = 0; i < READS_MAX; i++) {
        struct log_read *read = &provider->reads[i];
        if (read->owner) continue;
        *read = (struct log_read){.owner = provider,
                                  .to = message->from,
                                  .session = message->session,
                                  .after = get->anchor};
        /* `offset` is the last index wanted. */
        const uint64_t last = get->offset < committed ? get->offset : committed;
        if (after < last && after >= mortar_sync_log_base(provider->sync).position.index &&
            mortar_sync_log_read(provider->sync, after + 1, last, RUN_BYTES, run_was_read, read) ==
                MORTAR_OK)
            return;
        read->owner = NULL;
        provider_answer(provider, &message->from, message->session, &not_held,
                        (struct mortar_bytes){NULL, 0});
        return;
    }
}

/* Only the leader's word counts: its log holds all that is committed. */
static void serve_sum(struct provider *provider, const struct mortar_sync_incoming *message,
                      const struct note *get)
{
    const uint64_t index = get->anchor.position.index;
    struct note sum = {.kind = NOTE_SUM, .anchor.position.index = index};
    if (!mortar_sync_provider_is_leader(provider->runtime)) return;
    if (mortar_sync_log_sum_at(provider->sync, index, &sum.anchor.sum) &&
        mortar_sync_log_term_at(provider->sync, index, &sum.anchor.position.term))
        sum.bytes = index <= mortar_sync_committed(provider->sync).index ? 2 : 1;
    provider_answer(provider, &message->from, message->session, &sum,
                    (struct mortar_bytes){NULL, 0});
}

bool note_read(const struct mortar_sync_incoming *message, struct note *out_note,
               struct mortar_bytes *out_data)
{
    if (message->bytes.bytes < sizeof *out_note) return false;
    memcpy(out_note, message->bytes.data, sizeof *out_note);
    out_data->data = message->bytes.data + sizeof *out_note;
    out_data->bytes = message->bytes.bytes - sizeof *out_note;
    return true;
}

static bool provider_receive(void *self, const struct mortar_sync_incoming *message)
{
    struct note note;
    struct mortar_bytes data;
    if (!note_read(message, &note, &data)) return false;
    if (note.kind == NOTE_ASK)
        serve_snapshots(self, message);
    else if (note.kind == NOTE_GET)
        serve_part(self, message, &note);
    else if (note.kind == NOTE_GET_RUN)
        serve_run(self, message, &note);
    else if (note.kind == NOTE_GET_SUM)
        serve_sum(self, message, &note);
    else
        return false; /* An answer: the session's. */
    return true;
}

const struct mortar_sync_provider_ops custom_provider_ops = {
    .struct_bytes = (uint32_t)sizeof(struct mortar_sync_provider_ops),
    .create = provider_create,
    .destroy = provider_destroy,
    .receive = provider_receive,
    .poll = provider_poll,
    .safe_to_prune_prefix = provider_safe_to_prune,
    .committed = provider_committed,
    .marker = provider_marker,
};
