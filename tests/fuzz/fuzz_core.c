/* One replica on a memory log, its host and its peers played by the input: frames of every type
 * with whatever content, ticks, links, requests, works in any order, and a session that writes
 * what it likes. Nothing may break an invariant; every accepted request ends exactly once. */
#include "base/hash.h"
#include "fuzz/law.h"
#include "group/internal.h"
#include "unit/group/scripted.h"
#include "wire/record.h"

#include <stdlib.h>
#include <string.h>

#define PEERS       3u
#define REQUESTS    64u
#define WORKS_MAX   256u
#define STEPS_MAX   2000u
#define PAYLOAD_MAX 8192u

static const struct mortar_group_id group = {{7}};

static void *fuzz_reserve(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes == 0 ? 1 : bytes);
}

static void *fuzz_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return realloc(block, new_bytes);
}

static void fuzz_release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

static const struct mortar_allocator allocator = {
    .reserve = fuzz_reserve, .resize = fuzz_resize, .release = fuzz_release};

struct play {
    struct reader in;
    struct mortar_core *core;
    struct mortar_member_id peers[PEERS];
    uint64_t now_ms;
    uint64_t next_id;
    bool open[REQUESTS]; /* Accepted, not ended. */
    struct mortar_work *works[WORKS_MAX];
    uint32_t work_count;
    uint32_t pause; /* The machine pauses so many times. */
};
static struct play play;

/* ---- Numbers: mostly small, sometimes anything ---- */

static uint64_t number(void)
{
    const uint8_t small = get_u8(&play.in);
    if (small < 250) return small % 64;
    if (small < 253) return UINT64_MAX - small % 3;
    return get_u64(&play.in);
}

static struct mortar_position position(void)
{
    struct mortar_position at = {.index = number()};
    struct mortar_log_sum sum;
    if (get_u8(&play.in) % 4 != 0 && mortar_core_log_sum(play.core, at.index, &at.term, &sum)) {
        return at;
    }
    at.term = number();
    if (at.index == 0 || at.term == 0) return (struct mortar_position){0};
    return at;
}

static struct mortar_anchor_point anchor(void)
{
    struct mortar_anchor_point point = {.position = position()};
    uint64_t term;
    if (!mortar_core_log_sum(play.core, point.position.index, &term, &point.sum)) {
        if (point.position.index != 0) point.sum.low = number();
    }
    return point;
}

static uint64_t term(void)
{
    const uint64_t own = raft_term(play.core->raft);
    const uint8_t how = get_u8(&play.in);
    const uint64_t any = how < 240 ? own + how % 3 : number();
    return any == 0 ? 1 : any;
}

/* ---- The machine ---- */

static void machine_apply(void *machine, struct mortar_apply *run)
{
    (void)machine;
    for (uint32_t i = 0; i < run->count; i++) {
        if (play.pause > 0) {
            play.pause--;
            mortar_apply_pause(run, i);
            return;
        }
        mortar_apply_reply(run, i, run->commands[i].bytes);
    }
}

static enum mortar_status machine_query(void *machine, struct mortar_bytes query,
                                        struct mortar_answer *answer)
{
    (void)machine;
    return mortar_answer_write(answer, query);
}

static const struct mortar_machine_ops machine_ops = {MORTAR_MACHINE_OPS_INIT, .name = "fuzz",
                                                      .epoch = 1, .apply = machine_apply,
                                                      .query = machine_query};

/* ---- Effects ---- */

/* The oldest: works of one place run, and are handed back, in order. */
static void run_work(void)
{
    struct mortar_work *work = play.works[0];
    memmove(&play.works[0], &play.works[1], --play.work_count * sizeof play.works[0]);
    mortar_core_work_run(work);
    mortar_core_work_done(play.core, work);
}

static void take_effects(void)
{
    struct mortar_effect effect;
    while (mortar_core_next(play.core, &effect)) {
        if (effect.type == MORTAR_EFFECT_SEND) {
            const struct mortar_bytes frame = {mortar_buffer_data(effect.send.frame),
                                               mortar_buffer_bytes(effect.send.frame)};
            law(mortar_core_frame_check(frame, effect.send.lane, &group) == MORTAR_OK);
            mortar_buffer_release(effect.send.frame);
        } else if (effect.type == MORTAR_EFFECT_DONE) {
            law(effect.done.id < REQUESTS && play.open[effect.done.id]);
            play.open[effect.done.id] = false;
            mortar_buffer_release(effect.done.result.replies);
        } else if (effect.type == MORTAR_EFFECT_WORK) {
            law(play.work_count < WORKS_MAX);
            play.works[play.work_count++] = effect.work.work;
        }
        if (play.work_count > WORKS_MAX / 2) run_work();
    }
}

static void settle(void)
{
    mortar_core_check(play.core);
    mortar_core_flush(play.core);
    take_effects();
    mortar_core_check(play.core);
}

/* ---- Frames ---- */

static void receive(enum mortar_lane lane, uint8_t type, struct mortar_bytes payload)
{
    const struct mortar_member_id *from = &play.peers[get_u8(&play.in) % PEERS];
    const size_t bytes = FRAME_HEADER_BYTES + payload.bytes;
    struct mortar_buffer *frame = mortar_buffer_new(&allocator, bytes);
    law(frame != NULL);
    if (payload.bytes > 0) {
        memcpy(mortar_buffer_data(frame) + FRAME_HEADER_BYTES, payload.data, payload.bytes);
    }
    frame_seal(mortar_buffer_data(frame), WIRE_VERSION_MIN, lane, type, frame_group_tag(&group),
               (uint32_t)payload.bytes);
    mortar_buffer_set_bytes(frame, bytes);
    const struct mortar_bytes whole = {mortar_buffer_data(frame), bytes};
    if (mortar_core_frame_check(whole, lane, &group) == MORTAR_OK) {
        (void)mortar_core_frame(play.core, from, lane, frame);
    }
    mortar_buffer_release(frame);
}

static uint8_t payload_block[PAYLOAD_MAX];

static struct mortar_bytes some_bytes(void)
{
    return get_bytes(&play.in, get_u8(&play.in) % (play.in.bytes + 1));
}

/* Records behind `after`, each with the right sum: the shape of an honest leader's, with any
 * content. Returns their count. */
static uint32_t write_records(struct writer *out, struct mortar_anchor_point after,
                              uint64_t term_max)
{
    const uint32_t count = get_u8(&play.in) % 5;
    uint64_t time_ms = 1000;
    for (uint32_t i = 0; i < count; i++) {
        struct mortar_entry entry = {.index = after.position.index + 1,
                                     .term = after.position.term,
                                     .time_ms = time_ms++,
                                     .kind = (enum mortar_entry_kind)(1 + get_u8(&play.in) % 8)};
        if (entry.index == 0) return i;
        entry.term += get_u8(&play.in) % 2;
        if (entry.term == 0 || entry.term > term_max) entry.term = term_max;
        static uint8_t config_bytes[CONFIG_ENCODED_BYTES_MAX];
        if (entry.kind == MORTAR_ENTRY_CONFIG && get_u8(&play.in) % 8 != 0) {
            struct writer config_out = writer_over(config_bytes, sizeof config_bytes);
            static struct config config;
            config = (struct config){.count = 1 + get_u8(&play.in) % PEERS};
            for (uint32_t j = 0; j < config.count; j++) {
                config.members[j].id = play.peers[j];
                config.members[j].voter_new = true;
            }
            if (get_u8(&play.in) % 2 == 0) config.members[0].id = play.core->options.self;
            if (config_is_sound(&config)) config_encode(&config, &config_out);
            entry.bytes = (struct mortar_bytes){config_bytes, config_out.bytes};
        } else if (entry.kind == MORTAR_ENTRY_CLIENT && get_u8(&play.in) % 4 != 0) {
            static uint8_t client_bytes[CLIENT_ENTRY_BYTES];
            struct writer client_out = writer_over(client_bytes, sizeof client_bytes);
            client_entry_encode(&(struct client_entry){.verb = CLIENT_OPEN, .ttl_ms = 1000},
                                &client_out);
            entry.bytes = (struct mortar_bytes){client_bytes, client_out.bytes};
        } else if (entry.kind == MORTAR_ENTRY_CLIENT_COMMAND && get_u8(&play.in) % 4 != 0) {
            static uint8_t command_bytes[CLIENT_COMMAND_BYTES];
            struct writer command_out = writer_over(command_bytes, sizeof command_bytes);
            const uint64_t sequence = 1 + number() % 8;
            client_command_encode(&(struct client_command){.session = 1 + number() % 16,
                                                           .sequence = sequence,
                                                           .acked = number() % sequence},
                                  &command_out);
            entry.bytes = (struct mortar_bytes){command_bytes, command_out.bytes};
        } else {
            entry.bytes = get_bytes(&play.in, get_u8(&play.in) % (play.in.bytes / 4 + 1));
        }
        if (record_bytes(entry.bytes.bytes) > out->capacity - out->bytes) return i;
        entry.sum = log_sum_next(after.sum, &entry);
        record_encode(&entry, out);
        after = (struct mortar_anchor_point){{entry.index, entry.term}, entry.sum};
    }
    return count;
}

static void send_append_request(void)
{
    static uint8_t records[PAYLOAD_MAX / 2];
    struct writer run = writer_over(records, sizeof records);
    struct append_request append = {.term = term(), .round = number(), .sync_id = number() % 3};
    struct mortar_anchor_point prev = anchor();
    append.prev = prev.position;
    append.commit_index = number();
    append.vouched = anchor();
    if (append.prev.term > append.term) append.prev = (struct mortar_position){0};
    if (append.sync_id != 0) {
        append.tail_base = get_u8(&play.in) % 2 == 0 ? prev : anchor();
        append.tail_restart = get_u8(&play.in) % 2 == 0;
    }
    append.count = write_records(&run, prev, append.term);
    append.entries = (struct mortar_bytes){records, run.bytes};
    struct writer out = writer_over(payload_block, sizeof payload_block);
    append_request_encode(&append, &out);
    receive(MORTAR_LANE_CONTROL, MESSAGE_APPEND_REQUEST,
            (struct mortar_bytes){payload_block, out.bytes});
}

static void send_append_reply(void)
{
    const struct append_reply reply = {.term = term(),
                                       .outcome = (enum append_outcome)(1 + number() % 3),
                                       .match_index = number(),
                                       .last = position(),
                                       .hint = position(),
                                       .first_missing = number(),
                                       .round = number(),
                                       .sync_id = number(),
                                       .tail_index = number(),
                                       .commit_index = number(),
                                       .whole = number() % 2 == 0};
    struct writer out = writer_over(payload_block, sizeof payload_block);
    append_reply_encode(&reply, WIRE_VERSION_MIN, &out);
    receive(MORTAR_LANE_CONTROL, MESSAGE_APPEND_REPLY,
            (struct mortar_bytes){payload_block, out.bytes});
}

static void send_vote(void)
{
    struct writer out = writer_over(payload_block, sizeof payload_block);
    const bool asks = get_u8(&play.in) % 2 == 0;
    if (asks) {
        struct vote_request vote = {.term = term(),
                                    .last = position(),
                                    .pre = number() % 2 == 0,
                                    .transfer = number() % 4 == 0};
        if (vote.last.term >= vote.term) vote.last = (struct mortar_position){0};
        if (vote.pre) vote.transfer = false;
        vote_request_encode(&vote, &out);
    } else {
        const struct vote_reply vote = {
            .term = term(), .pre = number() % 2 == 0, .granted = number() % 4 != 0};
        vote_reply_encode(&vote, &out);
    }
    receive(MORTAR_LANE_CONTROL, asks ? MESSAGE_VOTE_REQUEST : MESSAGE_VOTE_REPLY,
            (struct mortar_bytes){payload_block, out.bytes});
}

static void send_timeout_now(void)
{
    struct timeout_now message = {.term = term()};
    if (message.term == 0) message.term = 1;
    struct writer out = writer_over(payload_block, sizeof payload_block);
    timeout_now_encode(&message, &out);
    receive(MORTAR_LANE_CONTROL, MESSAGE_TIMEOUT_NOW,
            (struct mortar_bytes){payload_block, out.bytes});
}

static void send_sync(void)
{
    const struct mortar_bytes bytes = some_bytes();
    const bool ours = play.core->session_open && get_u8(&play.in) % 2 == 0;
    const struct sync_message message = {.session = ours ? play.core->session.id : number(),
                                         .sequence = number(),
                                         .checksum = sync_message_checksum(bytes),
                                         .to_session = get_u8(&play.in) % 2 == 0,
                                         .bytes = bytes};
    struct writer out = writer_over(payload_block, sizeof payload_block);
    sync_message_encode(&message, &out);
    if (out.failed) return;
    const bool bulk = get_u8(&play.in) % 2 == 0;
    receive(bulk ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL, MESSAGE_SYNC,
            (struct mortar_bytes){payload_block, out.bytes});
}

/* Any bytes under any type: what the decoders let through. */
static void send_raw(void)
{
    const uint8_t type = get_u8(&play.in) % 20;
    const enum mortar_lane lane = (enum mortar_lane)(get_u8(&play.in) % 8 == 0);
    receive(lane, type, some_bytes());
}

/* ---- The host ---- */

static void submit(void)
{
    if (play.next_id >= REQUESTS) return;
    const uint64_t id = play.next_id++;
    const uint8_t kind = get_u8(&play.in);
    enum mortar_status status = MORTAR_E_INVALID;
    play.open[id] = true;
    const uint32_t timeout_ms = (uint32_t)number() * 20;
    if (kind % 4 == 0) {
        status = mortar_core_query(play.core, id, (enum mortar_read_mode)(kind / 4 % 2),
                                   some_bytes(), timeout_ms);
    } else if (kind % 4 == 1) {
        const struct mortar_change change = {.kind = (enum mortar_change_kind)(kind / 4 % 8),
                                             .member = play.peers[number() % PEERS],
                                             .address = kind % 3 == 0 ? NULL : "a:1"};
        status = mortar_core_change(play.core, id, &change, 1, timeout_ms);
    } else {
        const enum mortar_request_kind what =
            kind % 4 == 2 ? MORTAR_REQUEST_EXECUTE : MORTAR_REQUEST_FEED;
        struct writer items = writer_over(payload_block, 512);
        const uint32_t count = 1 + kind / 4 % 4;
        for (uint32_t i = 0; i < count; i++)
            forward_item_put(&items, get_bytes(&play.in, play.in.bytes > 9 ? 9 : 0));
        status = mortar_core_submit(play.core, id, what,
                                    (struct mortar_bytes){payload_block, items.bytes}, count,
                                    timeout_ms);
    }
    if (status != MORTAR_OK) play.open[id] = false;
    if (get_u8(&play.in) % 16 == 0) mortar_core_cancel(play.core, number() % REQUESTS);
}

static void tick(void)
{
    const uint8_t how = get_u8(&play.in);
    const uint32_t count = how < 200 ? 1 + how % 16 : how;
    for (uint32_t i = 0; i < count; i++) {
        play.now_ms += 10;
        mortar_core_tick(play.core, play.now_ms, play.now_ms + number() * 1000);
        settle();
    }
}

static void link_or_break(void)
{
    const uint8_t what = get_u8(&play.in);
    mortar_core_link(play.core, &play.peers[what / 4 % PEERS], (enum mortar_lane)(what % 2),
                     what / 2 % 2 == 0);
}

/* ---- The session ---- */

static void append_to_log(void)
{
    struct mortar_anchor_point after = {.position = log_last(play.core)};
    (void)log_sum_at(play.core, after.position.index, &after.sum);
    static uint8_t records[PAYLOAD_MAX / 2];
    struct writer out = writer_over(records, sizeof records);
    const uint64_t first = after.position.index + 1;
    const uint64_t term_max = after.position.term + number() % 3;
    const uint32_t count = write_records(&out, after, term_max == 0 ? 1 : term_max);
    struct mortar_buffer *buffer = mortar_buffer_new(&allocator, out.bytes);
    law(buffer != NULL);
    if (out.bytes > 0) memcpy(mortar_buffer_data(buffer), records, out.bytes);
    mortar_buffer_set_bytes(buffer, out.bytes);
    const struct mortar_log_run run = {
        .buffer = buffer, .bytes = out.bytes, .first = first, .count = count};
    (void)mortar_sync_session_append(scripted.session, &run, number() % 2 == 0);
    mortar_buffer_release(buffer);
}

static void install(void)
{
    static uint8_t bytes[256 + CONFIG_ENCODED_BYTES_MAX];
    static struct core_state state;
    const struct client_table none = {.due_ms = UINT64_MAX};
    state = play.core->state;
    state.applied = anchor();
    if (state.config_index == 0) return;
    const size_t size = core_state_encode(&state, &none, bytes, sizeof bytes);
    (void)mortar_sync_session_install(scripted.session, &state.applied,
                                      (struct mortar_bytes){bytes, size});
}

static void nothing_run(void *argument, void *machine)
{
    (void)argument;
    (void)machine;
}

static void nothing_done(void *argument, bool destroyed)
{
    (void)argument;
    (void)destroyed;
}

static void act_in_session(void)
{
    const uint8_t what = get_u8(&play.in);
    scripted.prune_to = what % 8 == 7 ? number() : MORTAR_SYNC_NO_PRUNE;
    struct mortar_sync *provider = mortar_sync_of_provider(scripted.provider);
    if (what % 16 == 8) {
        (void)mortar_sync_provider_feed_command(scripted.provider, some_bytes());
        (void)mortar_sync_offload(provider, (enum mortar_sync_where)(what / 16 % 3), nothing_run,
                                  nothing_done, NULL);
    }
    if (scripted.session == NULL) return;
    struct mortar_sync *sync = mortar_sync_of_session(scripted.session);
    if (what % 8 < 2) append_to_log();
    if (what % 8 == 2) (void)mortar_sync_session_truncate(scripted.session, number());
    if (what % 8 == 3) (void)mortar_sync_session_set_committed(scripted.session, position());
    if (what % 8 == 4) install();
    if (what % 32 == 5) {
        (void)mortar_sync_offload(sync, MORTAR_ON_MACHINE_EXCLUSIVE, nothing_run, nothing_done,
                                  NULL);
    }
    if (what % 8 == 6) {
        scripted.session_says = (enum mortar_sync_poll)(what / 8 % 4);
        scripted.failed_with = MORTAR_E_STALLED;
        scripted.ready_at_end = what / 32 % 2 == 0;
        scripted.ready_at = position();
        mortar_sync_wake(sync);
        settle();
        scripted.session_says = MORTAR_SYNC_PENDING;
    }
}

/* ---- */

static void one_step(void)
{
    switch (get_u8(&play.in) % 13) {
    case 0:
        tick();
        break;
    case 1:
        link_or_break();
        break;
    case 2:
        submit();
        break;
    case 3:
        send_raw();
        break;
    case 4:
    case 5:
        send_append_request();
        break;
    case 6:
        send_append_reply();
        break;
    case 7:
        send_vote();
        break;
    case 8:
        send_sync();
        break;
    case 9:
        act_in_session();
        break;
    case 10:
        if (play.work_count > 0) run_work();
        break;
    case 11:
        send_timeout_now();
        break;
    case 12:
        play.pause = get_u8(&play.in) % 4;
        break;
    }
}

static void open_core(bool founds)
{
    scripted_reset();
    struct mortar_core_options options = {MORTAR_CORE_OPTIONS_INIT};
    options.self = (struct mortar_member_id){{{2}}, {2}};
    options.group = group;
    options.network = "fuzz";
    options.address = "";
    options.seed = 1;
    options.election_ticks = 12;
    options.resend_bytes = 200;
    options.tail_bytes_max = 4096;
    options.lease_bytes_max = 2048;
    for (uint32_t i = 0; i < PEERS; i++)
        play.peers[i] = (struct mortar_member_id){{{(uint8_t)(2 * i + 1)}}, {1}};
    struct mortar_storage storage;
    law(mortar_log_memory_open(&allocator, NULL, &storage) == MORTAR_OK);
    law(mortar_core_open(&allocator, &options, &storage, &machine_ops, NULL, &scripted_method,
                         &play.core) == MORTAR_OK);
    for (uint32_t i = 0; i < PEERS; i++) {
        mortar_core_link(play.core, &play.peers[i], MORTAR_LANE_CONTROL, true);
        mortar_core_link(play.core, &play.peers[i], MORTAR_LANE_BULK, true);
    }
    const struct mortar_birth_id birth = {{1}};
    const uint8_t key[16] = {1};
    if (founds) {
        law(mortar_core_found(play.core, &birth, key) == MORTAR_OK);
    } else {
        mortar_core_join(play.core);
    }
    settle();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    play = (struct play){.in = reader_over((struct mortar_bytes){data, size}), .now_ms = 1000};
    open_core(get_u8(&play.in) % 2 == 0);
    for (uint32_t i = 0; i < STEPS_MAX && play.in.bytes > 0; i++) {
        one_step();
        settle();
    }
    while (play.work_count > 0)
        run_work();
    mortar_core_stop(play.core);
    take_effects();
    while (play.work_count > 0)
        run_work();
    for (uint32_t i = 0; i < REQUESTS; i++)
        law(!play.open[i]);
    mortar_core_close(play.core);
    return 0;
}
