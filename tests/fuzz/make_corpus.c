/* fuzz/make_corpus.c - writes the first inputs of the fuzz targets of wire and group: one good
 * example of each format, so that the fuzzers begin behind the first checks.
 *
 * Usage: fuzz_make_corpus tests/fuzz/corpus
 *
 * Run it again when a format changes; what the fuzzers found themselves is kept beside. */
#include "group/internal.h"
#include "unit/wire/samples.h"
#include "wire/bond.h"
#include "wire/found.h"
#include "wire/frame.h"
#include "wire/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX 16384u

static const char *root;

static void make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return;
    perror(path);
    exit(EXIT_FAILURE);
}

static void save(const char *target, const char *name, const struct writer *input)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", root, target);
    make_directory(path);
    (void)snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    FILE *const file = fopen(path, "wb");
    if (input->failed || file == NULL ||
        fwrite(input->data, 1, input->bytes, file) != input->bytes || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

static uint8_t block[INPUT_BYTES_MAX];

static struct writer begin(uint8_t first)
{
    struct writer out = writer_over(block, sizeof block);
    put_u8(&out, first);
    return out;
}

static const struct mortar_anchor_point before = {{.index = 6, .term = 2}, {.low = 1, .high = 2}};

static void make_runs(void)
{
    static const uint32_t counts[] = {0, 1, 2, 7};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char name[16];
        struct writer out = begin(i == 2 ? 1 : 0);
        (void)sample_run(&out, before, 2, counts[i]);
        (void)snprintf(name, sizeof name, "run-%u", counts[i]);
        save("record_run", name, &out);
    }
}

static void make_frames(void)
{
    static const uint32_t payload_bytes[] = {0, 1, 100};
    for (size_t i = 0; i < sizeof payload_bytes / sizeof payload_bytes[0]; i++) {
        for (uint8_t lane = 0; lane < 2; lane++) {
            char name[32];
            struct writer out = begin((uint8_t)(lane | (i == 1 ? 2 : 0)));
            const size_t place = frame_begin(&out);
            for (uint32_t j = 0; j < payload_bytes[i]; j++)
                put_u8(&out, (uint8_t)j);
            frame_end(&out, place, WIRE_VERSION_MIN, (enum mortar_lane)lane, 3, 0x1234);
            (void)snprintf(name, sizeof name, "lane%u-%u", lane, payload_bytes[i]);
            save("frame", name, &out);
        }
    }
}

static void make_elections_and_appends(void)
{
    struct writer out = begin(MESSAGE_VOTE_REQUEST);
    vote_request_encode(
        &(struct vote_request){.term = 3, .last = {.index = 9, .term = 2}, .pre = true}, &out);
    save("message", "vote_request", &out);
    out = begin(MESSAGE_VOTE_REPLY);
    vote_reply_encode(&(struct vote_reply){.term = 3, .granted = true}, &out);
    save("message", "vote_reply", &out);

    static uint8_t run[1024];
    struct writer run_out = writer_over(run, sizeof run);
    (void)sample_run(&run_out, before, 2, 3);
    out = begin(MESSAGE_APPEND_REQUEST);
    append_request_encode(&(struct append_request){.term = 9,
                                                   .prev = before.position,
                                                   .commit_index = 5,
                                                   .vouched = before,
                                                   .sync_id = 2,
                                                   .tail_restart = true,
                                                   .tail_base = before,
                                                   .count = 3,
                                                   .entries = {run, run_out.bytes}},
                          &out);
    save("message", "append_request", &out);
    out = begin(MESSAGE_APPEND_REQUEST);
    append_request_encode(&(struct append_request){.term = 1}, &out);
    save("message", "heartbeat", &out);
    out = begin(MESSAGE_APPEND_REQUEST);
    append_request_encode(&(struct append_request){.term = 1, .quiet = true}, &out);
    save("message", "quiet", &out);
    out = begin(MESSAGE_APPEND_REPLY);
    append_reply_encode(&(struct append_reply){.term = 9,
                                               .outcome = APPEND_MISMATCH,
                                               .last = before.position,
                                               .hint = before.position},
                        WIRE_VERSION_MIN, &out);
    save("message", "append_reply", &out);
}

static void make_calls(void)
{
    struct writer out = begin(MESSAGE_READ_REQUEST);
    read_request_encode(&(struct read_request){.id = 4}, &out);
    save("message", "read_request", &out);
    out = begin(MESSAGE_READ_REPLY);
    read_reply_encode(&(struct read_reply){.id = 4, .status = MORTAR_E_BUSY, .index = 7}, &out);
    save("message", "read_reply", &out);

    uint8_t items[32];
    struct writer items_out = writer_over(items, sizeof items);
    forward_item_put(&items_out, (struct mortar_bytes){(const uint8_t *)"one", 3});
    forward_item_put(&items_out, (struct mortar_bytes){0});
    const struct mortar_bytes both = {items, items_out.bytes};
    out = begin(MESSAGE_FORWARD_REQUEST);
    forward_request_encode(
        &(struct forward_request){
            .id = 1, .kind = FORWARD_EXECUTE, .timeout_ms = 5, .count = 2, .items = both},
        &out);
    save("message", "forward_request", &out);
    out = begin(MESSAGE_FORWARD_REPLY);
    forward_reply_encode(
        &(struct forward_reply){
            .id = 1, .first = {8, 2}, .last = {9, 2}, .count = 2, .items = both},
        &out);
    save("message", "forward_reply", &out);
}

static void make_membership_and_sync(void)
{
    struct writer out = begin(MESSAGE_JOIN_REQUEST);
    join_request_encode(&(struct join_request){.observer = true, .address = "a:7400"}, &out);
    save("message", "join_request", &out);
    out = begin(MESSAGE_JOIN_REQUEST);
    join_request_encode(&(struct join_request){.replaces = sample_member(3), .address = "a:7400"},
                        &out);
    save("message", "join_request_replaces", &out);
    out = begin(MESSAGE_JOIN_REPLY);
    join_reply_encode(
        &(struct join_reply){.status = MORTAR_E_NOT_LEADER, .leader = sample_member(2)}, &out);
    save("message", "join_reply", &out);

    const struct mortar_bytes words = {(const uint8_t *)"words", 5};
    out = begin(128 | MESSAGE_SYNC);
    sync_message_encode(&(struct sync_message){.session = 1,
                                               .sequence = 2,
                                               .checksum = sync_message_checksum(words),
                                               .to_session = true,
                                               .bytes = words},
                        &out);
    save("message", "sync", &out);
    out = begin(MESSAGE_LEASE);
    lease_encode(&(struct lease){.session = 1, .from_index = 2, .bytes_max = 3, .ended = true},
                 &out);
    save("message", "lease", &out);
    out = begin(MESSAGE_PART);
    part_encode(&(struct part){.term = 1,
                               .total_bytes = 9,
                               .offset = 4,
                               .inner_type = MESSAGE_APPEND_REQUEST,
                               .from_leader = true,
                               .bytes = words},
                &out);
    save("message", "part", &out);
    out = begin(MESSAGE_TIMEOUT_NOW);
    timeout_now_encode(&(struct timeout_now){.term = 1}, &out);
    save("message", "timeout_now", &out);
}

static void make_bond_frames(void)
{
    struct writer out = begin(BOND_HELLO);
    bond_hello_encode(&(struct bond_hello){.version_min = 1,
                                           .version_max = 1,
                                           .member = sample_member(1),
                                           .key_count = 2,
                                           .generations = {7, 3}},
                      &out);
    save("message", "hello", &out);
    out = begin(BOND_PROOF);
    bond_proof_encode(&(struct bond_proof){.generation = 7, .code = {1}}, &out);
    save("message", "proof", &out);
    out = begin(BOND_NAMES);
    bond_names_encode(&(struct bond_names){.network = "net",
                                           .machine = "lines",
                                           .machine_version_max = 2,
                                           .sync = "auto",
                                           .birth = {{1}},
                                           .address = "a:7400"},
                      &out);
    save("message", "names", &out);
    static struct bond_members members = {.count = 2};
    members.members[0] = (struct bond_member){.id = sample_member(1), .address = "a:7400"};
    members.members[1] = (struct bond_member){.id = sample_member(2)};
    out = begin(BOND_MEMBERS);
    bond_members_encode(&members, &out);
    save("message", "members", &out);
    out = begin(BOND_REFUSE);
    bond_refuse_encode(&(struct bond_refuse){.status = MORTAR_E_KEY, .text = "key"}, &out);
    save("message", "refuse", &out);
    out = begin(BOND_PING);
    bond_ping_encode(&(struct bond_ping){.sequence = 1, .sent_us = 2}, &out);
    save("message", "ping", &out);
    out = begin(BOND_DEPARTURE);
    bond_departure_encode(&(struct bond_departure){.reason = MORTAR_E_REMOVED}, &out);
    save("message", "departure", &out);
}

/* A configuration of `count` members; every second a learner; joint with the last one leaving. */
static void make_config(const char *name, uint32_t count, bool joint)
{
    static struct config config;
    config = (struct config){.joint = joint, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        config.members[i].id = sample_member((uint8_t)(i + 1));
        config.members[i].voter_new = i % 2 == 0;
        config.members[i].voter_old = joint && i % 2 == 0;
        memcpy(config.members[i].address, "a:1", 4);
    }
    if (joint) {
        config.members[count - 1].voter_new = false;
        config.members[count - 1].voter_old = true;
        config.members[count - 1].leaving = true;
    }
    if (count > 1) config.removed[config.removed_count++] = 77; /* Nobody's here. */
    struct writer out = writer_over(block, sizeof block);
    put_u16(&out, 0);
    config_encode(&config, &out);
    const uint16_t bytes = (uint16_t)(out.bytes - sizeof bytes);
    memcpy(block, &bytes, sizeof bytes);
    static const enum config_change_kind kinds[] = {CONFIG_ADD_LEARNER, CONFIG_PROMOTE,
                                                    CONFIG_REMOVE, CONFIG_REPLACE};
    static const uint8_t members[] = {9, 2, 1, 9};
    for (size_t i = 0; i < 4; i++) {
        struct config_change change = {
            .kind = kinds[i], .member = sample_member(members[i]), .address = "b:2"};
        if (members[i] == 9) change.other = sample_member(3);
        config_change_encode(&change, &out);
    }
    save("config", name, &out);
}

static void make_handshakes(void)
{
    for (uint8_t initiator = 0; initiator < 2; initiator++) {
        struct writer out = begin(initiator);
        for (int i = 0; i < 4; i++)
            put_u8(&out, 0); /* All frames of an honest peer. */
        save("bond", initiator == 1 ? "initiator" : "responder", &out);
        out = begin(initiator);
        put_u8(&out, 0);
        put_u8(&out, 1); /* A proof with a flipped bit. */
        put_u16(&out, 77);
        save("bond", initiator == 1 ? "initiator-flip" : "responder-flip", &out);
        out = begin(initiator);
        put_u8(&out, 0);
        put_u8(&out, BOND_REFUSE);
        put_u16(&out, 7);
        bond_refuse_encode(&(struct bond_refuse){.status = MORTAR_E_KEY, .text = "key"}, &out);
        save("bond", initiator == 1 ? "initiator-refuse" : "responder-refuse", &out);
    }
}

static void *reserve(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void *resize(void *context, void *old, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return realloc(old, new_bytes);
}

static void release(void *context, void *old, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(old);
}

static const struct mortar_allocator allocator = {reserve, resize, release, NULL};

/* Two, the first with a reply and one that was dropped. */
static void make_sessions(struct client_table *clients)
{
    static const uint8_t large[CLIENT_REPLY_BYTES_MAX + 1];
    const struct client_reply *reply;
    for (uint64_t id = 7; id < 9; id++) {
        if (client_table_open(clients, id, 60000, id) != MORTAR_OK) exit(EXIT_FAILURE);
    }
    for (uint64_t sequence = 1; sequence < 3; sequence++) {
        const struct client_command command = {.session = 7, .sequence = sequence};
        const struct mortar_position position = {10 + sequence, 2};
        (void)client_table_admit(clients, &command, position, 9, &reply);
        client_table_settle(clients, 7, sequence,
                            (struct mortar_bytes){large, sequence == 1 ? 3 : sizeof large});
    }
}

static void make_clients(void)
{
    struct writer out = begin(126);
    client_entry_encode(&(struct client_entry){.verb = CLIENT_OPEN, .ttl_ms = 5000}, &out);
    save("message", "client_open", &out);
    out = begin(126);
    client_entry_encode(&(struct client_entry){.verb = CLIENT_CLOSE, .session = 7}, &out);
    save("message", "client_close", &out);
    out = begin(127);
    client_command_encode(
        &(struct client_command){
            .session = 7, .sequence = 2, .acked = 1, .command = {(const uint8_t *)"put", 3}},
        &out);
    save("message", "client_command", &out);
}

static void make_states(void)
{
    static struct found found;
    found = (struct found){.birth = {{1}}, .fingerprint_key = {2}, .config = {.count = 1}};
    found.config.members[0].id = sample_member(1);
    found.config.members[0].voter_new = true;
    struct writer out = writer_over(block, sizeof block);
    found_encode(&found, &out);
    save("found", "founder", &out);

    static struct core_state state;
    state = (struct core_state){.applied = {{.index = 70, .term = 3}, {.low = 1, .high = 2}},
                                .time_ms = 5,
                                .config_index = 60,
                                .config = found.config,
                                .birth = found.birth};
    out = writer_over(block, sizeof block);
    struct client_table clients;
    client_table_init(&clients, &allocator);
    out.bytes = core_state_encode(&state, &clients, block, sizeof block);
    save("core_state", "one", &out);
    make_sessions(&clients);
    out.bytes = core_state_encode(&state, &clients, block, sizeof block);
    save("core_state", "sessions", &out);
    client_table_deinit(&clients);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return EXIT_FAILURE;
    }
    root = argv[1];
    make_directory(root);
    make_runs();
    make_frames();
    make_elections_and_appends();
    make_calls();
    make_membership_and_sync();
    make_bond_frames();
    make_config("one", 1, false);
    make_config("plain", 3, false);
    make_config("joint", 3, true);
    make_handshakes();
    make_clients();
    make_states();
    return EXIT_SUCCESS;
}
