/* Requests and what they are told (C1), over a cluster and against a played leader. */
#include "group/internal.h"
#include "unit/group/cluster.h"
#include "unit/group/scripted.h"
#include "unit/group/solo.h"
#include "unit/test.h"
#include "wire/frame.h"
#include "wire/message.h"

#include <string.h>

static struct cluster cluster; /* Too big for the stack. */
static struct solo solo;

static enum mortar_status execute(uint64_t id, uint64_t number)
{
    uint8_t items[12] = {8};
    memcpy(items + 4, &number, sizeof number);
    return mortar_core_submit(solo.core, id, MORTAR_REQUEST_EXECUTE,
                              (struct mortar_bytes){items, sizeof items}, 1, 2000);
}

static void begin_follower(void)
{
    scripted_reset();
    solo_open(&solo);
    solo_follow(&solo);
}

static struct forward_request last_forward(void)
{
    struct mortar_bytes payload;
    struct forward_request message = {0};
    assert_true(solo_last_sent(&solo, SOLO_LEADER, MESSAGE_FORWARD_REQUEST, &payload));
    assert_int_equal(forward_request_decode(payload, &message), MORTAR_OK);
    return message;
}

static void answer(uint64_t forward_id, enum mortar_status status, uint32_t replies)
{
    static const uint8_t items[2][12] = {{8, 0, 0, 0, 11}, {8, 0, 0, 0, 22}};
    const struct forward_reply reply = {.id = forward_id,
                                        .status = status,
                                        .first = {3, 1},
                                        .last = {3, 1},
                                        .count = replies,
                                        .items = {items[0], 12u * replies}};
    (void)solo_receive(&solo, SOLO_LEADER, MESSAGE_FORWARD_REPLY, &reply);
}

/* ---- Forwarding ---- */

static void a_follower_sends_to_its_leader_and_passes_the_answer_on(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(execute(1, 5), MORTAR_OK);
    solo_run_effects(&solo);
    const struct forward_request sent = last_forward();
    assert_int_equal(sent.kind, FORWARD_EXECUTE);
    assert_int_equal(sent.count, 1);
    answer(sent.id, MORTAR_OK, 1);
    assert_int_equal(solo.done[1].result.status, MORTAR_OK);
    assert_int_equal(solo.done[1].result.first.index, 3);
    assert_int_equal(solo.done[1].reply, 11);
    answer(sent.id, MORTAR_OK, 1); /* A doubled answer finds nobody. */
    solo_close(&solo);
}

static void an_answer_from_another_member_or_of_another_shape_is_no_success(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(execute(1, 5), MORTAR_OK);
    solo_run_effects(&solo);
    const struct forward_reply reply = {.id = last_forward().id, .status = MORTAR_E_INVALID};
    (void)solo_receive(&solo, SOLO_OTHER, MESSAGE_FORWARD_REPLY, &reply);
    assert_false(solo.done[1].seen);
    answer(last_forward().id, MORTAR_OK, 2); /* One command has one reply. */
    assert_int_equal(solo.done[1].result.status, MORTAR_UNKNOWN);
    solo_close(&solo);
}

/* The process started again: what its leader answered the one before is not for this one. */
static void an_answer_to_an_earlier_process_is_no_answer(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(execute(1, 5), MORTAR_OK);
    solo_run_effects(&solo);
    const uint64_t earlier = last_forward().id;
    solo_close(&solo);
    solo.tune = (struct mortar_core_options){MORTAR_CORE_OPTIONS_INIT, .seed = 6};
    mortar_core_options_complete(&solo.tune);
    begin_follower();
    assert_int_equal(execute(1, 5), MORTAR_OK);
    solo_run_effects(&solo);
    answer(earlier, MORTAR_OK, 1);
    assert_false(solo.done[1].seen);
    answer(last_forward().id, MORTAR_OK, 1);
    assert_int_equal(solo.done[1].result.status, MORTAR_OK);
    solo_close(&solo);
}

static void a_leader_that_is_lost_leaves_it_unknown(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(execute(1, 5), MORTAR_OK);
    solo_run_effects(&solo);
    mortar_core_link(solo.core, &solo.peers[SOLO_LEADER], MORTAR_LANE_CONTROL, false);
    solo_run_effects(&solo);
    assert_int_equal(solo.done[1].result.status, MORTAR_UNKNOWN);
    solo_close(&solo);
}

/* What a member that does not lead refuses was not proposed: it is sent again, not at once and for
 * ever, and in the order of arrival. */
static void a_refusal_is_sent_again_after_a_pause_and_in_order(void **state)
{
    (void)state;
    begin_follower();
    uint64_t ids[4] = {0};
    for (uint64_t id = 1; id <= 3; id++) {
        assert_int_equal(execute(id, id), MORTAR_OK);
        solo_run_effects(&solo);
        ids[id] = last_forward().id;
    }
    answer(ids[1], MORTAR_E_NOT_LEADER, 0);
    assert_int_equal(execute(4, 4), MORTAR_OK);
    answer(ids[2], MORTAR_E_NOT_LEADER, 0);
    answer(ids[3], MORTAR_E_NOT_LEADER, 0);
    assert_int_equal(solo_count_sent(&solo, MESSAGE_FORWARD_REQUEST), 3);
    solo_forget_sent(&solo);
    solo_tick(&solo, 100);
    uint64_t expected = 1;
    for (uint32_t i = 0; i < solo.sent_count; i++) {
        if (solo.sent[i].type != MESSAGE_FORWARD_REQUEST) continue;
        struct forward_request message;
        const struct mortar_bytes payload = {mortar_buffer_data(solo.sent[i].frame) + 32,
                                             mortar_buffer_bytes(solo.sent[i].frame) - 32};
        assert_int_equal(forward_request_decode(payload, &message), MORTAR_OK);
        uint64_t number = 0;
        memcpy(&number, message.items.data + 4, sizeof number);
        assert_int_equal(number, expected++);
    }
    assert_int_equal(expected, 5);
    solo_close(&solo);
}

static void what_expires_is_told_whether_it_was_sent(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(execute(1, 5), MORTAR_OK);
    solo_run_effects(&solo);
    solo_tick(&solo, 1500); /* The leader falls silent, and is forgotten. */
    assert_int_equal(solo.done[1].result.status, MORTAR_UNKNOWN);
    assert_int_equal(execute(2, 5), MORTAR_OK);
    solo_tick(&solo, 2100);
    assert_int_equal(solo.done[2].result.status, MORTAR_E_NO_LEADER);
    solo_close(&solo);
}

static void a_cancelled_request_is_told_whether_it_was_sent(void **state)
{
    (void)state;
    begin_follower();
    assert_int_equal(execute(1, 5), MORTAR_OK);
    mortar_core_cancel(solo.core, 1);
    solo_run_effects(&solo);
    assert_int_equal(solo.done[1].result.status, MORTAR_E_CANCELLED);
    assert_int_equal(execute(2, 5), MORTAR_OK);
    solo_run_effects(&solo);
    mortar_core_cancel(solo.core, 2);
    solo_run_effects(&solo);
    assert_int_equal(solo.done[2].result.status, MORTAR_UNKNOWN);
    assert_int_equal(
        mortar_core_query(solo.core, 3, MORTAR_READ_LINEARIZABLE, (struct mortar_bytes){0}, 1000),
        MORTAR_OK);
    mortar_core_cancel(solo.core, 3);
    solo_run_effects(&solo);
    assert_int_equal(solo.done[3].result.status, MORTAR_E_CANCELLED);
    solo_close(&solo);
}

/* A network may double a frame; a command must not double. */
static enum cluster_fate twice(struct cluster *all, const struct packet *packet, uint8_t type)
{
    (void)all;
    (void)packet;
    (void)type;
    return CLUSTER_TWICE;
}

static void doubled_frames_apply_a_command_once(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster.filter = twice;
    for (uint64_t id = 1; id <= 20; id++) {
        assert_int_equal(cluster_add(&cluster, (uint32_t)(id % 3), id, 1, MORTAR_REQUEST_EXECUTE),
                         MORTAR_OK);
        cluster_run(&cluster, 20);
    }
    cluster_run(&cluster, 500);
    for (uint64_t id = 1; id <= 20; id++)
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.replicas[i].adder.sum, 20);
    cluster_close(&cluster);
}

/* ---- Limbo (C1) ---- */

static enum cluster_fate no_append_replies(struct cluster *all, const struct packet *packet,
                                           uint8_t type)
{
    (void)packet;
    return all->filter_state != 0 && type == MESSAGE_APPEND_REPLY ? CLUSTER_DROP : CLUSTER_DELIVER;
}

/* The old leader does not learn that its entry was taken; another leader commits it. */
static void an_entry_that_another_leader_commits_is_a_success(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster.filter = no_append_replies;
    cluster.filter_state = 1;
    assert_int_equal(cluster_add(&cluster, 0, 1, 7, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_settle(&cluster);
    assert_false(cluster.done[1].seen);
    cluster_isolate(&cluster, 0, true);
    cluster.filter_state = 0;
    cluster_run(&cluster, 3000);
    cluster_isolate(&cluster, 0, false);
    cluster_run(&cluster, 1000);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    assert_int_equal(cluster.done[1].reply, 7);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.replicas[i].adder.sum, 7);
    cluster_close(&cluster);
}

/* A batch falls into limbo: none of it was committed, so the answer is definite for all of it. */
static void a_batch_whose_place_another_takes_is_lost(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 0, true);
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(cluster_bulk(&cluster, 0, id, 10, 20), MORTAR_OK);
    cluster_run(&cluster, 3000);
    const uint32_t leader = (uint32_t)cluster_leader(&cluster);
    assert_int_equal(cluster_bulk(&cluster, leader, 4, 50, 20), MORTAR_OK);
    cluster_run(&cluster, 100);
    cluster_isolate(&cluster, 0, false);
    cluster_run(&cluster, 2000);
    for (uint64_t id = 1; id <= 3; id++)
        assert_int_equal(cluster.done[id].result.status, MORTAR_E_LOST);
    assert_int_equal(cluster.done[4].result.status, MORTAR_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(cluster.replicas[i].adder.applied, 50);
    cluster_close(&cluster);
}

/* Only the first append behind the log's end, `filter_state`, arrives, and no answer. */
static enum cluster_fate first_append_only(struct cluster *all, const struct packet *packet,
                                           uint8_t type)
{
    struct append_request append;
    if (all->filter_state == 0 || packet->from != 0) return no_append_replies(all, packet, type);
    if (type != MESSAGE_APPEND_REQUEST) return CLUSTER_DELIVER;
    const struct mortar_bytes payload = {mortar_buffer_data(packet->frame) + FRAME_HEADER_BYTES,
                                         mortar_buffer_bytes(packet->frame) - FRAME_HEADER_BYTES};
    assert_int_equal(append_request_decode(payload, &append), MORTAR_OK);
    return append.prev.index > all->filter_state ? CLUSTER_DROP : CLUSTER_DELIVER;
}

/* A batch that left in several appends, of which one arrived: the next leader commits that part,
 * and its own entries in the place of the rest. */
static void a_batch_that_happened_in_part_is_unknown(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster.filter = first_append_only;
    cluster.filter_state = cluster_status(&cluster, 0)->last.index;
    assert_int_equal(cluster_bulk(&cluster, 0, 1, 40, 3000), MORTAR_OK);
    cluster_settle(&cluster);
    cluster_isolate(&cluster, 0, true);
    cluster.filter_state = 0;
    cluster_run(&cluster, 3000);
    cluster_isolate(&cluster, 0, false);
    cluster_run(&cluster, 1000);
    assert_true(cluster.replicas[0].adder.applied > 0);
    assert_true(cluster.replicas[0].adder.applied < 40);
    assert_int_equal(cluster.done[1].result.status, MORTAR_UNKNOWN);
    cluster_close(&cluster);
}

static void a_request_without_a_majority_ends_as_unknown(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 0, true);
    assert_int_equal(cluster_add(&cluster, 0, 1, 7, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_run(&cluster, 6000);
    assert_int_equal(cluster.done[1].result.status, MORTAR_UNKNOWN);
    cluster_close(&cluster);
}

/* ---- Batches, order, bounds ---- */

static void every_command_of_a_batch_has_its_reply(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster.tune.apply_bytes = 1000; /* Many runs for one batch. */
    cluster_start(&cluster, 3);
    assert_int_equal(cluster_bulk(&cluster, 1, 1, 3000, 100), MORTAR_OK);
    assert_int_equal(cluster_bulk(&cluster, 0, 2, 3000, 100), MORTAR_OK);
    cluster_run(&cluster, 500);
    for (uint64_t id = 1; id <= 2; id++) {
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
        assert_int_equal(cluster.done[id].result.count, 3000);
        assert_int_equal(cluster.done[id].result.last.index - cluster.done[id].result.first.index,
                         2999);
    }
    cluster_close(&cluster);
}

static void feeds_get_rising_positions_in_the_order_of_their_arrival(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    for (uint64_t id = 1; id <= 50; id++)
        assert_int_equal(cluster_add(&cluster, 1, id, id, MORTAR_REQUEST_FEED), MORTAR_OK);
    cluster_run(&cluster, 200);
    for (uint64_t id = 1; id <= 50; id++) {
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
        assert_int_equal(cluster.done[id].result.count, 0);
        if (id == 1) continue;
        assert_true(cluster.done[id].result.first.index > cluster.done[id - 1].result.last.index);
    }
    cluster_close(&cluster);
}

static void what_cannot_be_taken_is_refused_by_name_and_never_answered(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster.tune.command_bytes_max = 64;
    cluster.tune.requests_max = 4;
    cluster_start(&cluster, 1);
    struct mortar_core *core = cluster.replicas[0].core;
    static const uint8_t items[8] = {4};
    const struct {
        const char *why;
        struct mortar_bytes items;
        uint32_t count;
        enum mortar_status status;
    } cases[] = {
        {"no command", {items, 8}, 0, MORTAR_E_INVALID},
        {"fewer bytes than said", {items, 7}, 1, MORTAR_E_INVALID},
        {"more bytes than said", {items, 8}, 2, MORTAR_E_INVALID},
        {"too many", {items, 8}, 65537, MORTAR_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        assert_int_equal(mortar_core_submit(core, 1, MORTAR_REQUEST_EXECUTE, cases[i].items,
                                            cases[i].count, 100),
                         cases[i].status);
    }
    assert_int_equal(cluster_bulk(&cluster, 0, 1, 1, 65), MORTAR_E_TOO_LARGE);
    for (uint64_t id = 2; id < 6; id++)
        assert_int_equal(cluster_bulk(&cluster, 0, id, 1, 64), MORTAR_OK);
    assert_int_equal(cluster_bulk(&cluster, 0, 6, 1, 64), MORTAR_E_BUSY);
    cluster_run(&cluster, 100);
    assert_false(cluster.done[1].seen);
    assert_false(cluster.done[6].seen);
    assert_int_equal(cluster_status(&cluster, 0)->counters.requests_busy, 1);
    /* The bound is on commands: a membership change is longer, and taken. */
    const struct mortar_change change = {.kind = MORTAR_CHANGE_ADDRESS,
                                         .member = cluster.replicas[0].id,
                                         .address =
                                             "a-rather-long-name-of-a-host.example.org:7400"};
    assert_int_equal(mortar_core_change(core, 7, &change, 1, 1000), MORTAR_OK);
    cluster_run(&cluster, 100);
    assert_int_equal(cluster.done[7].result.status, MORTAR_OK);
    assert_string_equal(cluster_status(&cluster, 0)->members[0].address, change.address);
    cluster_close(&cluster);
}

/* ---- Membership changes ---- */

static void a_change_waits_for_another_but_no_command_waits_for_it(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    const struct mortar_change demote = {.kind = MORTAR_DEMOTE, .member = cluster.replicas[2].id};
    const struct mortar_change remove = {.kind = MORTAR_REMOVE, .member = cluster.replicas[2].id};
    struct mortar_core *core = cluster.replicas[0].core;
    /* The demoted one is not to be promoted again. */
    cluster.tune.target_voters = MORTAR_PROMOTE_NOBODY;
    cluster.tune.self = cluster.replicas[0].id;
    cluster.tune.network = "test";
    cluster.tune.address = "";
    assert_int_equal(mortar_core_tune(core, &cluster.tune), MORTAR_OK);
    cluster_isolate(&cluster, 1, true);
    cluster_isolate(&cluster, 2, true);
    assert_int_equal(mortar_core_change(core, 1, &demote, 1, 5000), MORTAR_OK);
    assert_int_equal(mortar_core_change(core, 2, &remove, 1, 5000), MORTAR_OK);
    assert_int_equal(cluster_add(&cluster, 0, 3, 7, MORTAR_REQUEST_FEED), MORTAR_OK);
    cluster_run(&cluster, 10);
    assert_false(cluster.done[1].seen);
    assert_int_equal(cluster.done[3].result.status, MORTAR_OK); /* It has its position. */
    cluster_isolate(&cluster, 1, false);
    cluster_isolate(&cluster, 2, false);
    cluster_run(&cluster, 1000);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    assert_int_equal(cluster.done[2].result.status, MORTAR_OK);
    assert_int_equal(cluster_status(&cluster, 0)->member_count, 2);
    assert_true(cluster_status(&cluster, 2)->removed);
    assert_int_equal(cluster_add(&cluster, 2, 4, 7, MORTAR_REQUEST_EXECUTE), MORTAR_E_REMOVED);
    cluster_close(&cluster);
}

static void a_change_that_makes_no_sense_is_answered_by_name(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    const struct mortar_member_id nobody = {{{99}}, {99}};
    const struct mortar_change promote = {.kind = MORTAR_PROMOTE, .member = nobody};
    for (uint32_t i = 0; i < 2; i++) /* Here, and forwarded. */
        assert_int_equal(mortar_core_change(cluster.replicas[i].core, 1 + i, &promote, 1, 1000),
                         MORTAR_OK);
    cluster_run(&cluster, 100);
    assert_int_equal(cluster.done[1].result.status, MORTAR_E_NOT_FOUND);
    assert_int_equal(cluster.done[2].result.status, MORTAR_E_NOT_FOUND);
    const struct mortar_change bad = {.kind = (enum mortar_change_kind)99, .member = nobody};
    assert_int_equal(mortar_core_change(cluster.replicas[0].core, 3, &bad, 1, 1000),
                     MORTAR_E_INVALID);
    cluster_close(&cluster);
}

/* A new process numbers from elsewhere, and its bulk lane may break later than the other. */
static void what_a_member_forwards_after_it_came_back_is_not_old(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    struct mortar_core *leader = cluster.replicas[0].core;
    struct mortar_core *follower = cluster.replicas[1].core;
    assert_int_equal(cluster_add(&cluster, 1, 1, 7, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_run(&cluster, 500);
    assert_int_equal(cluster.done[1].result.status, MORTAR_OK);
    follower->next_forward_id -= 1000;
    for (int up = 0; up < 2; up++) {
        mortar_core_link(leader, &cluster.replicas[1].id, MORTAR_LANE_CONTROL, up == 1);
        mortar_core_link(follower, &cluster.replicas[0].id, MORTAR_LANE_CONTROL, up == 1);
    }
    assert_int_equal(cluster_add(&cluster, 1, 2, 7, MORTAR_REQUEST_EXECUTE), MORTAR_OK);
    cluster_run(&cluster, 500);
    assert_int_equal(cluster.done[2].result.status, MORTAR_OK);
    cluster_close(&cluster);
}

/* Tens of thousands wait: finding each answer must not walk them all. */
static void many_forwarded_requests_are_answered_each_once(void **state)
{
    (void)state;
    cluster_open(&cluster);
    cluster_start(&cluster, 3);
    for (uint64_t id = 1; id < CLUSTER_DONE_MAX; id++)
        assert_int_equal(
            cluster_add(&cluster, 1 + (uint32_t)(id % 2), id, 1, MORTAR_REQUEST_EXECUTE),
            MORTAR_OK);
    cluster_run(&cluster, 1000);
    for (uint64_t id = 1; id < CLUSTER_DONE_MAX; id++)
        assert_int_equal(cluster.done[id].result.status, MORTAR_OK);
    assert_int_equal(cluster.replicas[0].adder.sum, CLUSTER_DONE_MAX - 1);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_follower_sends_to_its_leader_and_passes_the_answer_on),
        cmocka_unit_test(an_answer_from_another_member_or_of_another_shape_is_no_success),
        cmocka_unit_test(an_answer_to_an_earlier_process_is_no_answer),
        cmocka_unit_test(a_leader_that_is_lost_leaves_it_unknown),
        cmocka_unit_test(a_refusal_is_sent_again_after_a_pause_and_in_order),
        cmocka_unit_test(what_expires_is_told_whether_it_was_sent),
        cmocka_unit_test(a_cancelled_request_is_told_whether_it_was_sent),
        cmocka_unit_test(doubled_frames_apply_a_command_once),
        cmocka_unit_test(an_entry_that_another_leader_commits_is_a_success),
        cmocka_unit_test(a_batch_whose_place_another_takes_is_lost),
        cmocka_unit_test(a_batch_that_happened_in_part_is_unknown),
        cmocka_unit_test(a_request_without_a_majority_ends_as_unknown),
        cmocka_unit_test(every_command_of_a_batch_has_its_reply),
        cmocka_unit_test(feeds_get_rising_positions_in_the_order_of_their_arrival),
        cmocka_unit_test(what_cannot_be_taken_is_refused_by_name_and_never_answered),
        cmocka_unit_test(a_change_waits_for_another_but_no_command_waits_for_it),
        cmocka_unit_test(a_change_that_makes_no_sense_is_answered_by_name),
        cmocka_unit_test(what_a_member_forwards_after_it_came_back_is_not_old),
        cmocka_unit_test(many_forwarded_requests_are_answered_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
