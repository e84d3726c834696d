#include "unit/group/cluster.h"

#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

static size_t allocated;
static uint64_t allocations;
static uint64_t fail_first;
static uint64_t fail_count;

uint64_t cluster_fail_allocation(uint64_t number)
{
    const uint64_t asked = allocations;
    cluster_fail_allocations(number, 1);
    return asked;
}

void cluster_fail_allocations(uint64_t number, uint64_t count)
{
    allocations = 0;
    fail_first = number;
    fail_count = number == 0 ? 0 : count;
}

static bool fails(void)
{
    allocations++;
    return allocations >= fail_first && allocations < fail_first + fail_count;
}

static void *test_reserve(void *context, size_t bytes)
{
    (void)context;
    if (fails()) return NULL;
    allocated += bytes;
    return malloc(bytes == 0 ? 1 : bytes);
}

static void *test_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    if (fails()) return NULL;
    allocated = allocated - old_bytes + new_bytes;
    return realloc(block, new_bytes);
}

static void test_release(void *context, void *block, size_t bytes)
{
    (void)context;
    if (block == NULL) return;
    assert_true(allocated >= bytes);
    allocated -= bytes;
    free(block);
}

static const struct mortar_allocator allocator = {
    .reserve = test_reserve, .resize = test_resize, .release = test_release};

const struct mortar_allocator *cluster_allocator(void)
{
    return &allocator;
}

void cluster_count_anew(void)
{
    allocated = 0;
    cluster_fail_allocation(0);
}

void cluster_assert_nothing_held(void)
{
    assert_int_equal(allocated, 0);
}

/* ---- The machine ---- */

static void adder_apply(void *machine, struct mortar_apply *run)
{
    struct adder *adder = machine;
    for (uint32_t i = 0; i < run->count; i++) {
        if (adder->pause_once_at != 0 && adder->applied + 1 == adder->pause_once_at) {
            adder->pause_once_at = 0;
            mortar_apply_pause(run, i);
            return;
        }
        uint64_t number = 0;
        const struct mortar_bytes bytes = run->commands[i].bytes;
        memcpy(&number, bytes.data, bytes.bytes < sizeof number ? bytes.bytes : sizeof number);
        adder->sum += number;
        adder->applied++;
        mortar_apply_reply(run, i,
                           (struct mortar_bytes){(const uint8_t *)&adder->sum, sizeof adder->sum});
    }
}

static enum mortar_status adder_query(void *machine, struct mortar_bytes query,
                                      struct mortar_answer *answer)
{
    const struct adder *adder = machine;
    (void)query;
    return mortar_answer_write(
        answer, (struct mortar_bytes){(const uint8_t *)&adder->sum, sizeof adder->sum});
}

static const struct mortar_machine_ops adder_ops = {MORTAR_MACHINE_OPS_INIT, .name = "adder",
                                                    .epoch = 1, .apply = adder_apply,
                                                    .query = adder_query};

/* ---- The network ---- */

static void enqueue(struct cluster *cluster, const struct packet *like)
{
    struct packet *packet = malloc(sizeof *packet);
    assert_non_null(packet);
    *packet = *like;
    packet->next = NULL;
    if (cluster->tail != NULL) {
        cluster->tail->next = packet;
    } else {
        cluster->head = packet;
    }
    cluster->tail = packet;
}

static int replica_of(const struct cluster *cluster, const struct mortar_member_id *id)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (mortar_member_id_equal(&cluster->replicas[i].id, id)) return (int)i;
    }
    return -1;
}

static void send_effect(struct cluster *cluster, uint32_t from, const struct mortar_effect *effect)
{
    const int to = replica_of(cluster, &effect->send.to);
    if (to < 0) {
        mortar_buffer_release(effect->send.frame);
        return;
    }
    enqueue(cluster, &(struct packet){.from = from,
                                      .to = (uint32_t)to,
                                      .lane = effect->send.lane,
                                      .frame = effect->send.frame});
}

static void record_done(struct cluster *cluster, const struct mortar_effect *effect)
{
    assert_true(effect->done.id < CLUSTER_DONE_MAX);
    struct done_record *record = &cluster->done[effect->done.id];
    assert_false(record->seen); /* Exactly once. */
    record->seen = true;
    record->result = effect->done.result;
    struct mortar_buffer *replies = effect->done.result.replies;
    if (replies != NULL && mortar_buffer_bytes(replies) >= 12) {
        memcpy(&record->reply, mortar_buffer_data(replies) + 4, sizeof record->reply);
    }
    mortar_buffer_release(replies);
    record->result.replies = NULL;
}

static void run_applies(struct replica *replica)
{
    while (replica->apply_queued > 0 && !replica->hold_apply) {
        struct mortar_work *work = replica->apply_queue[0];
        replica->apply_queued--;
        memmove(&replica->apply_queue[0], &replica->apply_queue[1],
                replica->apply_queued * sizeof replica->apply_queue[0]);
        mortar_core_work_run(work);
        mortar_core_work_done(replica->core, work);
    }
}

static bool drain(struct cluster *cluster, uint32_t i)
{
    struct replica *replica = &cluster->replicas[i];
    bool any = false;
    struct mortar_effect effect;
    mortar_core_flush(replica->core);
    while (mortar_core_next(replica->core, &effect)) {
        any = true;
        switch (effect.type) {
        case MORTAR_EFFECT_SEND:
            send_effect(cluster, i, &effect);
            break;
        case MORTAR_EFFECT_WORK:
            if (effect.work.place == MORTAR_WORK_APPLY) {
                assert_true(replica->apply_queued < CLUSTER_WORKS_MAX);
                replica->apply_queue[replica->apply_queued++] = effect.work.work;
            } else {
                mortar_core_work_run(effect.work.work);
                mortar_core_work_done(replica->core, effect.work.work);
            }
            break;
        case MORTAR_EFFECT_DONE:
            record_done(cluster, &effect);
            break;
        case MORTAR_EFFECT_BIRTH:
            replica->birth_seen = true;
            replica->birth = effect.birth;
            break;
        case MORTAR_EFFECT_FAILED:
            replica->failed = true;
            break;
        case MORTAR_EFFECT_CHANGED:
            break;
        }
    }
    run_applies(replica);
    mortar_core_check(replica->core);
    return any;
}

#define FRAME_TYPE_OFFSET 7u

static enum cluster_fate fate_of(struct cluster *cluster, const struct packet *packet)
{
    if (cluster->filter == NULL) return CLUSTER_DELIVER;
    return cluster->filter(cluster, packet, mortar_buffer_data(packet->frame)[FRAME_TYPE_OFFSET]);
}

static void deliver(struct cluster *cluster)
{
    struct packet *packet = cluster->head;
    cluster->head = packet->next;
    if (cluster->head == NULL) cluster->tail = NULL;
    struct replica *to = &cluster->replicas[packet->to];
    const bool arrives = to->open && !cluster->cut[packet->from][packet->to];
    const enum cluster_fate fate = arrives ? fate_of(cluster, packet) : CLUSTER_DROP;
    for (int i = 0; i < (fate == CLUSTER_TWICE ? 2 : 1) && fate != CLUSTER_DROP; i++) {
        const struct mortar_group_id group = {{7}};
        const struct mortar_bytes bytes = {mortar_buffer_data(packet->frame),
                                           mortar_buffer_bytes(packet->frame)};
        assert_int_equal(mortar_core_frame_check(bytes, packet->lane, &group), MORTAR_OK);
        assert_int_equal(mortar_core_frame(to->core, &cluster->replicas[packet->from].id,
                                           packet->lane, packet->frame),
                         MORTAR_OK);
        mortar_core_check(to->core);
        cluster->frames++;
        if (packet->lane == MORTAR_LANE_BULK) cluster->bulk_bytes += bytes.bytes;
    }
    mortar_buffer_release(packet->frame);
    free(packet);
}

void cluster_settle(struct cluster *cluster)
{
    for (uint32_t turn = 0; turn < 1000000; turn++) {
        bool any = false;
        for (uint32_t i = 0; i < cluster->count; i++) {
            if (cluster->replicas[i].open) any |= drain(cluster, i);
        }
        if (cluster->head == NULL && !any) return;
        if (cluster->head != NULL) deliver(cluster);
    }
    fail_msg("the cluster never comes to rest");
}

void cluster_run(struct cluster *cluster, uint64_t ms)
{
    const uint64_t until = cluster->now_ms + ms;
    while (cluster->now_ms < until) {
        cluster->now_ms += 10;
        for (uint32_t i = 0; i < cluster->count; i++) {
            struct replica *replica = &cluster->replicas[i];
            if (!replica->open) continue;
            mortar_core_tick(replica->core, cluster->now_ms, 1000000 + cluster->now_ms);
            mortar_core_reap(replica->core);
        }
        cluster_settle(cluster);
    }
}

/* ---- Life ---- */

void cluster_open(struct cluster *cluster)
{
    memset(cluster, 0, sizeof *cluster);
    cluster_count_anew();
    for (uint32_t i = 0; i < CLUSTER_DONE_MAX; i++)
        cluster->done[i].result.status = NOT_ENDED;
    cluster->tune = (struct mortar_core_options){MORTAR_CORE_OPTIONS_INIT};
    mortar_core_options_complete(&cluster->tune);
    const struct mortar_replay_options replay = {
        MORTAR_REPLAY_OPTIONS_INIT,
    };
    assert_int_equal(mortar_sync_log_replay(&allocator, &replay, &cluster->method), MORTAR_OK);
}

void cluster_open_replica(struct cluster *cluster, uint32_t i)
{
    struct replica *replica = &cluster->replicas[i];
    assert_false(replica->open);
    static uint8_t births = 1;
    replica->id = (struct mortar_member_id){0};
    replica->id.peer.bytes[0] = (uint8_t)(i + 1);
    replica->id.store[0] = births++;
    replica->adder = (struct adder){0};
    replica->failed = false;
    replica->apply_queued = 0;
    struct mortar_core_options options = cluster->tune;
    options.self = replica->id;
    options.group = (struct mortar_group_id){{7}};
    options.network = "test";
    options.address = "127.0.0.1:1";
    options.seed = 1000 + i + births;
    struct mortar_storage storage;
    assert_int_equal(mortar_log_memory_open(&allocator, NULL, &storage), MORTAR_OK);
    if (cluster->wrap != NULL) storage = cluster->wrap(storage);
    const struct mortar_sync_method *method =
        cluster->other_method != NULL ? cluster->other_method : cluster->method;
    assert_int_equal(mortar_core_open(&allocator, &options, &storage, &adder_ops, &replica->adder,
                                      method, &replica->core),
                     MORTAR_OK);
    replica->open = true;
    if (cluster->count < i + 1) cluster->count = i + 1;
    mortar_core_tick(replica->core, cluster->now_ms, 1000000 + cluster->now_ms);
}

static void link_pair(struct cluster *cluster, uint32_t a, uint32_t b, bool up)
{
    if (!cluster->replicas[a].open || !cluster->replicas[b].open) return;
    for (int lane = 0; lane < 2; lane++) {
        mortar_core_link(cluster->replicas[a].core, &cluster->replicas[b].id,
                         (enum mortar_lane)lane, up);
        mortar_core_link(cluster->replicas[b].core, &cluster->replicas[a].id,
                         (enum mortar_lane)lane, up);
    }
}

static void link_all(struct cluster *cluster, uint32_t i)
{
    for (uint32_t j = 0; j < cluster->count; j++) {
        if (j != i && !cluster->cut[i][j]) link_pair(cluster, i, j, true);
    }
}

void cluster_found(struct cluster *cluster, uint32_t i)
{
    cluster_open_replica(cluster, i);
    const struct mortar_birth_id birth = {{42}};
    const uint8_t key[16] = {1};
    assert_int_equal(mortar_core_found(cluster->replicas[i].core, &birth, key), MORTAR_OK);
    link_all(cluster, i);
}

void cluster_join(struct cluster *cluster, uint32_t i)
{
    cluster_open_replica(cluster, i);
    link_all(cluster, i);
    mortar_core_join(cluster->replicas[i].core);
}

void cluster_isolate(struct cluster *cluster, uint32_t i, bool cut)
{
    for (uint32_t j = 0; j < cluster->count; j++) {
        if (j == i) continue;
        cluster->cut[i][j] = cut;
        cluster->cut[j][i] = cut;
        link_pair(cluster, i, j, !cut);
    }
}

static void drop_done(struct cluster *cluster, uint32_t i)
{
    struct mortar_effect effect;
    while (mortar_core_next(cluster->replicas[i].core, &effect)) {
        if (effect.type == MORTAR_EFFECT_SEND) mortar_buffer_release(effect.send.frame);
        if (effect.type == MORTAR_EFFECT_DONE) record_done(cluster, &effect);
        if (effect.type == MORTAR_EFFECT_WORK) {
            mortar_core_work_done(cluster->replicas[i].core, effect.work.work);
        }
    }
}

void cluster_kill(struct cluster *cluster, uint32_t i)
{
    struct replica *replica = &cluster->replicas[i];
    if (!replica->open) return;
    replica->hold_apply = false;
    for (uint32_t j = 0; j < cluster->count; j++) {
        if (j == i || !cluster->replicas[j].open) continue;
        for (int lane = 0; lane < 2; lane++) {
            mortar_core_link(cluster->replicas[j].core, &replica->id, (enum mortar_lane)lane,
                             false);
        }
    }
    run_applies(replica);
    mortar_core_stop(replica->core);
    drop_done(cluster, i);
    mortar_core_close(replica->core);
    replica->open = false;
    struct packet *next;
    struct packet *kept = NULL;
    struct packet **end = &kept;
    cluster->tail = NULL;
    for (struct packet *packet = cluster->head; packet != NULL; packet = next) {
        next = packet->next;
        packet->next = NULL;
        if (packet->to == i || packet->from == i) {
            mortar_buffer_release(packet->frame);
            free(packet);
            continue;
        }
        *end = packet;
        end = &packet->next;
        cluster->tail = packet;
    }
    cluster->head = kept;
}

void cluster_close(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        cluster_kill(cluster, i);
    mortar_sync_log_replay_free(cluster->method);
    cluster_assert_nothing_held();
}

int cluster_leader(struct cluster *cluster)
{
    int leader = -1;
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (!cluster->replicas[i].open) continue;
        if (cluster_status(cluster, i)->role != MORTAR_LEADER) continue;
        if (leader >= 0) return -1;
        leader = (int)i;
    }
    return leader;
}

struct mortar_core_status *cluster_status(struct cluster *cluster, uint32_t i)
{
    static struct mortar_core_status status;
    mortar_core_status(cluster->replicas[i].core, &status);
    return &status;
}

void cluster_start(struct cluster *cluster, uint32_t count)
{
    cluster_found(cluster, 0);
    cluster_run(cluster, 2000);
    assert_int_equal(cluster_leader(cluster), 0);
    for (uint32_t i = 1; i < count; i++) {
        cluster_join(cluster, i);
        cluster_run(cluster, 3000);
        assert_int_equal(cluster_status(cluster, 0)->member_count, i + 1);
    }
}

enum mortar_status cluster_add(struct cluster *cluster, uint32_t i, uint64_t id, uint64_t number,
                               enum mortar_request_kind kind)
{
    uint8_t items[12] = {8};
    memcpy(items + 4, &number, sizeof number);
    return mortar_core_submit(cluster->replicas[i].core, id, kind,
                              (struct mortar_bytes){items, sizeof items}, 1, 5000);
}

enum mortar_status cluster_bulk(struct cluster *cluster, uint32_t i, uint64_t id, uint32_t count,
                                uint32_t bytes)
{
    const size_t total = (size_t)count * (4u + bytes);
    uint8_t *items = calloc(1, total);
    assert_non_null(items);
    for (uint32_t k = 0; k < count; k++) {
        memcpy(items + (size_t)k * (4u + bytes), &bytes, sizeof bytes);
        items[(size_t)k * (4u + bytes) + 4] = 1;
    }
    const enum mortar_status status =
        mortar_core_submit(cluster->replicas[i].core, id, MORTAR_REQUEST_EXECUTE,
                           (struct mortar_bytes){items, total}, count, 20000);
    free(items);
    return status;
}
