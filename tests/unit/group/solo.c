#include "unit/group/solo.h"

#include "base/hash.h"
#include "unit/group/scripted.h"
#include "unit/test.h"
#include "wire/found.h"
#include "wire/frame.h"
#include "wire/record.h"

#include <string.h>

static const struct mortar_group_id group = {{7}};

static void add_apply(void *machine, struct mortar_apply *run)
{
    struct adder *adder = machine;
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t number = 0;
        const struct mortar_bytes bytes = run->commands[i].bytes;
        memcpy(&number, bytes.data, bytes.bytes < sizeof number ? bytes.bytes : sizeof number);
        adder->sum += number;
        adder->applied++;
        mortar_apply_reply(run, i,
                           (struct mortar_bytes){(const uint8_t *)&adder->sum, sizeof adder->sum});
    }
}

static enum mortar_status add_query(void *machine, struct mortar_bytes query,
                                    struct mortar_answer *answer)
{
    const struct adder *adder = machine;
    (void)query;
    return mortar_answer_write(
        answer, (struct mortar_bytes){(const uint8_t *)&adder->sum, sizeof adder->sum});
}

static const struct mortar_machine_ops machine_ops = {
    MORTAR_MACHINE_OPS_INIT, .name = "adder", .epoch = 1, .apply = add_apply, .query = add_query};

/* ---- Life ---- */

void solo_open(struct solo *solo)
{
    const struct mortar_core_options tune = solo->tune;
    struct mortar_storage (*const wrap)(struct mortar_storage) = solo->wrap;
    memset(solo, 0, sizeof *solo);
    cluster_count_anew();
    for (uint32_t i = 0; i < SOLO_DONE_MAX; i++)
        solo->done[i].result.status = NOT_ENDED;
    solo->self.peer.bytes[0] = 9;
    solo->self.store[0] = 9;
    for (uint32_t i = 0; i < SOLO_PEERS; i++) {
        solo->peers[i].peer.bytes[0] = (uint8_t)(i + 1);
        solo->peers[i].store[0] = 1;
    }
    solo->term = 1;
    solo->now_ms = 1000;
    struct mortar_core_options options = {MORTAR_CORE_OPTIONS_INIT};
    mortar_core_options_complete(&options);
    if (tune.struct_bytes != 0) options = tune;
    options.self = solo->self;
    options.group = group;
    options.network = "test";
    options.address = "";
    if (tune.seed == 0) options.seed = 5;
    struct mortar_storage storage;
    assert_int_equal(mortar_log_memory_open(cluster_allocator(), NULL, &storage), MORTAR_OK);
    if (wrap != NULL) storage = wrap(storage);
    assert_int_equal(mortar_core_open(cluster_allocator(), &options, &storage, &machine_ops,
                                      &solo->adder, &scripted_method, &solo->core),
                     MORTAR_OK);
    mortar_core_tick(solo->core, solo->now_ms, solo->now_ms);
    for (uint32_t i = 0; i < SOLO_PEERS; i++) {
        mortar_core_link(solo->core, &solo->peers[i], MORTAR_LANE_CONTROL, true);
        mortar_core_link(solo->core, &solo->peers[i], MORTAR_LANE_BULK, true);
    }
    solo_run_effects(solo);
}

void solo_close(struct solo *solo)
{
    solo->hold_works = false;
    solo_run_works(solo);
    mortar_core_stop(solo->core);
    solo_run_effects(solo);
    mortar_core_close(solo->core);
    solo_forget_sent(solo);
    cluster_assert_nothing_held();
    memset(&solo->tune, 0, sizeof solo->tune);
    solo->wrap = NULL;
}

struct config solo_config(const struct solo *solo)
{
    struct config config = {.count = 3};
    config.members[0].id = solo->peers[SOLO_LEADER];
    config.members[1].id = solo->peers[SOLO_OTHER];
    config.members[2].id = solo->self;
    for (uint32_t i = 0; i < 3; i++)
        config.members[i].voter_new = true;
    return config;
}

void solo_follow(struct solo *solo)
{
    struct found found = {.birth = {{42}}, .fingerprint_key = {1}, .config = {.count = 1}};
    found.config.members[0].id = solo->peers[SOLO_LEADER];
    found.config.members[0].voter_new = true;
    static uint8_t bytes[FOUND_ENCODED_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    found_encode(&found, &out);
    solo_add(solo, 1, MORTAR_ENTRY_FOUND, (struct mortar_bytes){bytes, out.bytes});
    const struct config config = solo_config(solo);
    solo_add_config(solo, 1, &config);
    solo_append(solo, 1, 2, 2, 0);
    assert_int_equal(solo_status(solo)->committed.index, 2);
    solo_forget_sent(solo);
}

/* ---- The leader's log ---- */

void solo_add(struct solo *solo, uint64_t term, enum mortar_entry_kind kind,
              struct mortar_bytes bytes)
{
    const uint64_t before = solo->last++;
    assert_true(solo->last < SOLO_LOG_MAX);
    struct mortar_entry entry = {.index = solo->last,
                                 .term = term,
                                 .time_ms = 1000 + solo->last,
                                 .kind = kind,
                                 .bytes = bytes};
    entry.sum = log_sum_next(solo->points[before].sum, &entry);
    struct writer out = writer_over(solo->records, sizeof solo->records);
    out.bytes = solo->ends[before];
    record_encode(&entry, &out);
    assert_false(out.failed);
    solo->ends[solo->last] = out.bytes;
    solo->points[solo->last] = (struct mortar_anchor_point){{entry.index, term}, entry.sum};
}

void solo_add_number(struct solo *solo, uint64_t term, uint64_t number)
{
    solo_add(solo, term, MORTAR_ENTRY_COMMAND,
             (struct mortar_bytes){(const uint8_t *)&number, sizeof number});
}

void solo_fill(struct solo *solo, uint64_t term, uint64_t last)
{
    while (solo->last < last)
        solo_add_number(solo, term, solo->last + 1);
}

void solo_add_config(struct solo *solo, uint64_t term, const struct config *config)
{
    static uint8_t bytes[CONFIG_ENCODED_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    config_encode(config, &out);
    solo_add(solo, term, MORTAR_ENTRY_CONFIG, (struct mortar_bytes){bytes, out.bytes});
}

static struct mortar_bytes records_of(const struct solo *solo, uint64_t first, uint64_t last)
{
    if (first > last) return (struct mortar_bytes){0};
    const size_t begin = solo->ends[first - 1];
    return (struct mortar_bytes){solo->records + begin, solo->ends[last] - begin};
}

struct mortar_log_run solo_run(const struct solo *solo, uint64_t first, uint64_t last)
{
    const struct mortar_bytes records = records_of(solo, first, last);
    struct mortar_buffer *buffer = mortar_buffer_new(cluster_allocator(), records.bytes);
    assert_non_null(buffer);
    memcpy(mortar_buffer_data(buffer), records.data, records.bytes);
    mortar_buffer_set_bytes(buffer, records.bytes);
    return (struct mortar_log_run){.buffer = buffer,
                                   .bytes = records.bytes,
                                   .first = first,
                                   .count = (uint32_t)(last - first + 1)};
}

/* ---- Frames in ---- */

enum mortar_status solo_receive_payload(struct solo *solo, uint32_t from, enum mortar_lane lane,
                                        uint8_t type, struct mortar_bytes payload)
{
    const size_t bytes = FRAME_HEADER_BYTES + payload.bytes;
    struct mortar_buffer *frame = mortar_buffer_new(cluster_allocator(), bytes);
    assert_non_null(frame);
    if (payload.bytes > 0) {
        memcpy(mortar_buffer_data(frame) + FRAME_HEADER_BYTES, payload.data, payload.bytes);
    }
    frame_seal(mortar_buffer_data(frame), WIRE_VERSION_MIN, lane, type, frame_group_tag(&group),
               (uint32_t)payload.bytes);
    mortar_buffer_set_bytes(frame, bytes);
    enum mortar_status status = mortar_core_frame_check(
        (struct mortar_bytes){mortar_buffer_data(frame), bytes}, lane, &group);
    if (status == MORTAR_OK) {
        status = mortar_core_frame(solo->core, &solo->peers[from], lane, frame);
    }
    mortar_buffer_release(frame);
    mortar_core_check(solo->core);
    solo_run_effects(solo);
    return status;
}

enum mortar_status solo_receive(struct solo *solo, uint32_t from, enum message_type type,
                                const void *message)
{
    static uint8_t bytes[SOLO_LOG_BYTES];
    struct writer out = writer_over(bytes, sizeof bytes);
    switch (type) {
    case MESSAGE_VOTE_REQUEST:
        vote_request_encode(message, &out);
        break;
    case MESSAGE_VOTE_REPLY:
        vote_reply_encode(message, &out);
        break;
    case MESSAGE_APPEND_REQUEST:
        append_request_encode(message, &out);
        break;
    case MESSAGE_APPEND_REPLY:
        append_reply_encode(message, WIRE_VERSION_MIN, &out);
        break;
    case MESSAGE_READ_REQUEST:
        read_request_encode(message, &out);
        break;
    case MESSAGE_READ_REPLY:
        read_reply_encode(message, &out);
        break;
    case MESSAGE_FORWARD_REQUEST:
        forward_request_encode(message, &out);
        break;
    case MESSAGE_FORWARD_REPLY:
        forward_reply_encode(message, &out);
        break;
    case MESSAGE_JOIN_REQUEST:
        join_request_encode(message, &out);
        break;
    case MESSAGE_JOIN_REPLY:
        join_reply_encode(message, &out);
        break;
    case MESSAGE_SYNC:
        sync_message_encode(message, &out);
        break;
    case MESSAGE_LEASE:
        lease_encode(message, &out);
        break;
    case MESSAGE_TIMEOUT_NOW:
        timeout_now_encode(message, &out);
        break;
    case MESSAGE_PART:
        part_encode(message, &out);
        break;
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
        echo_encode(message, &out);
        break;
#endif
    }
    assert_false(out.failed);
    return solo_receive_payload(solo, from, MORTAR_LANE_CONTROL, (uint8_t)type,
                                (struct mortar_bytes){bytes, out.bytes});
}

enum mortar_status solo_receive_sync(struct solo *solo, uint32_t from, uint64_t session,
                                     uint64_t sequence, bool to_session, const char *text)
{
    const struct mortar_bytes bytes = {(const uint8_t *)text, strlen(text)};
    const struct sync_message message = {.session = session,
                                         .sequence = sequence,
                                         .checksum = sync_message_checksum(bytes),
                                         .to_session = to_session,
                                         .bytes = bytes};
    return solo_receive(solo, from, MESSAGE_SYNC, &message);
}

struct append_request solo_append_of(const struct solo *solo, uint64_t first, uint64_t last,
                                     uint64_t commit, uint64_t sync_base)
{
    struct append_request append = {
        .term = solo->term,
        .prev = solo->points[first - 1].position,
        .commit_index = commit,
        .vouched = solo->points[commit],
        .count = first > last ? 0 : (uint32_t)(last - first + 1),
        .entries = records_of(solo, first, last),
    };
    if (sync_base != 0) {
        append.sync_id = 1;
        append.tail_base = solo->points[sync_base];
        append.tail_restart = first - 1 == sync_base;
    }
    return append;
}

void solo_append(struct solo *solo, uint64_t first, uint64_t last, uint64_t commit,
                 uint64_t sync_base)
{
    const struct append_request append = solo_append_of(solo, first, last, commit, sync_base);
    assert_int_equal(solo_receive(solo, SOLO_LEADER, MESSAGE_APPEND_REQUEST, &append), MORTAR_OK);
}

/* ---- Effects ---- */

static void take_send(struct solo *solo, const struct mortar_effect *effect)
{
    for (uint32_t i = 0; i < SOLO_PEERS; i++) {
        if (!mortar_member_id_equal(&solo->peers[i], &effect->send.to)) continue;
        assert_true(solo->sent_count < SOLO_SENT_MAX);
        solo->sent[solo->sent_count++] =
            (struct solo_sent){.to = i,
                               .type = mortar_buffer_data(effect->send.frame)[7],
                               .lane = effect->send.lane,
                               .frame = effect->send.frame};
        return;
    }
    fail_msg("sent to nobody known");
}

static void take_done(struct solo *solo, const struct mortar_effect *effect)
{
    assert_true(effect->done.id < SOLO_DONE_MAX);
    struct done_record *record = &solo->done[effect->done.id];
    assert_false(record->seen);
    record->seen = true;
    record->result = effect->done.result;
    struct mortar_buffer *replies = effect->done.result.replies;
    if (replies != NULL && mortar_buffer_bytes(replies) >= 12) {
        memcpy(&record->reply, mortar_buffer_data(replies) + 4, sizeof record->reply);
    }
    mortar_buffer_release(replies);
    record->result.replies = NULL;
}

void solo_run_works(struct solo *solo)
{
    for (uint32_t i = 0; i < solo->held_count; i++) {
        mortar_core_work_run(solo->held[i]);
        mortar_core_work_done(solo->core, solo->held[i]);
    }
    solo->held_count = 0;
    solo_run_effects(solo);
}

void solo_run_effects(struct solo *solo)
{
    struct mortar_effect effect;
    bool any = true;
    while (any) {
        any = false;
        mortar_core_flush(solo->core);
        while (mortar_core_next(solo->core, &effect)) {
            any = true;
            switch (effect.type) {
            case MORTAR_EFFECT_SEND:
                take_send(solo, &effect);
                break;
            case MORTAR_EFFECT_WORK:
                if (solo->hold_works) {
                    assert_true(solo->held_count < 64);
                    solo->held[solo->held_count++] = effect.work.work;
                    break;
                }
                mortar_core_work_run(effect.work.work);
                mortar_core_work_done(solo->core, effect.work.work);
                break;
            case MORTAR_EFFECT_DONE:
                take_done(solo, &effect);
                break;
            case MORTAR_EFFECT_FAILED:
                solo->failed = true;
                break;
            case MORTAR_EFFECT_CHANGED:
            case MORTAR_EFFECT_BIRTH:
                break;
            }
        }
    }
    mortar_core_check(solo->core);
}

void solo_tick(struct solo *solo, uint64_t ms)
{
    for (const uint64_t until = solo->now_ms + ms; solo->now_ms < until;) {
        solo->now_ms += 10;
        mortar_core_tick(solo->core, solo->now_ms, solo->now_ms);
        solo_run_effects(solo);
    }
}

bool solo_last_sent(const struct solo *solo, uint32_t to, enum message_type type,
                    struct mortar_bytes *out_payload)
{
    for (uint32_t i = solo->sent_count; i > 0; i--) {
        const struct solo_sent *sent = &solo->sent[i - 1];
        if (sent->to != to || sent->type != (uint8_t)type) continue;
        *out_payload = (struct mortar_bytes){mortar_buffer_data(sent->frame) + FRAME_HEADER_BYTES,
                                             mortar_buffer_bytes(sent->frame) - FRAME_HEADER_BYTES};
        return true;
    }
    return false;
}

uint32_t solo_count_sent(const struct solo *solo, enum message_type type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < solo->sent_count; i++) {
        if (solo->sent[i].type == (uint8_t)type) count++;
    }
    return count;
}

void solo_forget_sent(struct solo *solo)
{
    for (uint32_t i = 0; i < solo->sent_count; i++)
        mortar_buffer_release(solo->sent[i].frame);
    solo->sent_count = 0;
}

struct mortar_core_status *solo_status(struct solo *solo)
{
    static struct mortar_core_status status;
    mortar_core_status(solo->core, &status);
    return &status;
}
