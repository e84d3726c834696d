/* sim/network.c - channels, one for each ordered pair and lane.
 *
 *   connection   up ----break----> down, noticed by each end later --both know--> connecting
 *                 ^                                                                   |
 *                 +------------- nothing is cut, both run, both know -----------------+
 *
 * In the stream profile a channel is a queue, and an event at the time of arrival only says "one
 * more may come out": so frames can never overtake each other, whatever holds them back. */
#include "sim/network.h"

#include "sim/lie.h"
#include "sim/versions.h"
#include "sim/watch.h"
#include "sim/world.h"
#include "wire/frame.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

/* The latest frame is so many times later than the tail's least late one. */
#define TAIL_SPREAD 256u

struct frame_item {
    struct frame_item *next;
    struct mortar_buffer *frame;
    struct replica *from;
    enum mortar_lane lane;
    uint64_t epoch; /* Of the connection that carries it. */
};

/* Some frames of a channel are remembered, to come again in a later connection. */
#define KEPT_MAX 8u

struct kept_frame {
    uint8_t *data; /* NULL: none. */
    size_t bytes;
    uint64_t epoch;
};

struct channel {
    bool up;   /* The connection stands. */
    bool seen; /* The sender's core believes so. */
    bool connecting;
    bool torn;      /* The connection breaks in the middle of the next frame that arrives. */
    uint64_t epoch; /* Number of the connection; what belongs to an earlier one is ignored. */
    uint64_t free_us;
    uint64_t arrival_us; /* Of the last frame sent. */
    uint64_t stalled_us;
    uint64_t bytes_per_s;
    uint64_t held; /* Arrivals that a cut holds back. */
    struct frame_item *first;
    struct frame_item *last;
    struct kept_frame kept[KEPT_MAX];
};

struct network {
    struct sim *sim;
    struct network_options options;
    struct prng prng;
    struct channel channels[SIM_REPLICAS_MAX][SIM_REPLICAS_MAX][2];
    bool cut[SIM_REPLICAS_MAX][SIM_REPLICAS_MAX];
    bool lied[SIM_REPLICAS_MAX]; /* Its frames may be refused: it is no fault of the receiver. */
    struct liar liars[SIM_REPLICAS_MAX];
    /* Answers held back until the session that they are for is over. */
    struct frame_item *held_answers[SIM_REPLICAS_MAX][SIM_REPLICAS_MAX];
    struct sim_memory memory; /* Of frames that no replica made. */
    struct mortar_allocator allocator;
};

static struct channel *channel_of(struct network *network, const struct replica *from,
                                  const struct replica *to, enum mortar_lane lane)
{
    return &network->channels[from->number][to->number][lane];
}

struct network *network_open(struct sim *sim, const struct network_options *options, uint64_t seed)
{
    struct network *network = calloc(1, sizeof *network);
    if (network == NULL) abort();
    network->sim = sim;
    network->options = *options;
    network->prng = prng_seeded(seed);
    network->allocator = sim_memory_allocator(&network->memory);
    return network;
}

static void item_free(struct frame_item *item)
{
    if (item == NULL) return;
    item->from->under_way_bytes -= mortar_buffer_capacity(item->frame);
    mortar_buffer_release(item->frame);
    free(item);
}

static void channel_clear(struct channel *channel)
{
    while (channel->first != NULL) {
        struct frame_item *item = channel->first;
        channel->first = item->next;
        item_free(item);
    }
    channel->last = NULL;
    channel->held = 0;
    channel->torn = false;
    channel->epoch++;
}

static void channel_deinit(struct channel *channel)
{
    channel_clear(channel);
    for (uint32_t i = 0; i < KEPT_MAX; i++)
        free(channel->kept[i].data);
}

void network_close(struct network *network)
{
    for (uint32_t from = 0; from < SIM_REPLICAS_MAX; from++) {
        liar_deinit(&network->liars[from]);
        for (uint32_t to = 0; to < SIM_REPLICAS_MAX; to++) {
            item_free(network->held_answers[from][to]);
            channel_deinit(&network->channels[from][to][0]);
            channel_deinit(&network->channels[from][to][1]);
        }
    }
    free(network);
}

/* ---- Connections ---- */

static void connect_later(struct network *network, struct replica *a, struct replica *b,
                          enum mortar_lane lane);

/* numbers[0] = a * SIM_REPLICAS_MAX + b, numbers[1] = lane. */
static void on_connect(struct sim *sim, struct sim_event *event)
{
    struct network *network = sim->network;
    struct replica *a = sim->replicas[event->numbers[0] / SIM_REPLICAS_MAX];
    struct replica *b = sim->replicas[event->numbers[0] % SIM_REPLICAS_MAX];
    const enum mortar_lane lane = (enum mortar_lane)event->numbers[1];
    struct channel *there = channel_of(network, a, b, lane);
    struct channel *back = channel_of(network, b, a, lane);
    there->connecting = false;
    if (!replica_is_live(a) || !replica_is_live(b) || there->up) return;
    const bool is_cut = network->cut[a->number][b->number] || network->cut[b->number][a->number];
    if (is_cut || there->seen || back->seen || replica_is_paused(a) || replica_is_paused(b)) {
        connect_later(network, a, b, lane);
        return;
    }
    there->up = back->up = true;
    there->seen = back->seen = true;
    versions_note_link(sim, a, b);
    const bool a_first = prng_chance(&network->prng, 1, 2);
    replica_link(a_first ? a : b, a_first ? b : a, lane, true);
    replica_link(a_first ? b : a, a_first ? a : b, lane, true);
    if (!network->options.replays || !prng_chance(&network->prng, 1, 4)) return;
    network_replay(network, a, b, lane);
    network_replay(network, b, a, lane);
}

static void connect_later(struct network *network, struct replica *a, struct replica *b,
                          enum mortar_lane lane)
{
    struct replica *low = a->number < b->number ? a : b;
    struct replica *high = low == a ? b : a;
    struct channel *channel = channel_of(network, low, high, lane);
    if (channel->connecting) return;
    channel->connecting = true;
    sim_at(network->sim, (struct sim_event){
                             .at_us = network->sim->now_us +
                                      prng_between(&network->prng, network->options.connect_us_min,
                                                   network->options.connect_us_max),
                             .run = on_connect,
                             .numbers = {low->number * SIM_REPLICAS_MAX + high->number, lane},
                         });
}

/* The target's core hears that its lane to numbers[0] broke. */
static void on_notice(struct sim *sim, struct sim_event *event)
{
    struct replica *self = event->target;
    struct replica *other = sim->replicas[event->numbers[0]];
    const enum mortar_lane lane = (enum mortar_lane)event->numbers[1];
    struct channel *channel = channel_of(sim->network, self, other, lane);
    if (!channel->seen || channel->up) return;
    channel->seen = false;
    replica_link(self, other, lane, false);
    if (!replica_is_live(other) || !replica_is_live(self)) return;
    if (!channel_of(sim->network, other, self, lane)->seen) {
        connect_later(sim->network, self, other, lane);
    }
}

static void notice_in(struct network *network, struct replica *self, const struct replica *other,
                      enum mortar_lane lane, uint64_t delay_us)
{
    if (!replica_is_live(self)) return;
    sim_at(network->sim, (struct sim_event){
                             .at_us = network->sim->now_us + delay_us,
                             .target = self,
                             .run = on_notice,
                             .numbers = {other->number, lane},
                         });
}

/* Ends a connection: frames under way are lost; each end notices after a time of its own, drawn up
 * to `notice_us`. */
static void break_lane(struct network *network, struct replica *a, struct replica *b,
                       enum mortar_lane lane, uint64_t notice_us)
{
    struct channel *there = channel_of(network, a, b, lane);
    struct channel *back = channel_of(network, b, a, lane);
    if (!there->up) return;
    there->up = back->up = false;
    channel_clear(there);
    channel_clear(back);
    notice_in(network, a, b, lane, prng_below(&network->prng, notice_us + 1));
    notice_in(network, b, a, lane, prng_below(&network->prng, notice_us + 1));
}

/* A lane has the speed of its kind, or one of its own. */
static uint64_t lane_speed(struct network *network, uint32_t lane)
{
    const uint64_t speed = network->options.bytes_per_s[lane];
    if (!network->options.uneven) return speed;
    network->sim->faults[SIM_FAULT_UNEVEN]++;
    if (speed == 0) return prng_chance(&network->prng, 1, 2) ? 0 : 5000000;
    return prng_between(&network->prng, speed / 4, speed * 4);
}

void network_join(struct network *network, struct replica *replica)
{
    struct sim *sim = network->sim;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        struct replica *other = sim->replicas[i];
        if (other == replica || !replica_is_live(other) || other->copy) continue;
        for (uint32_t lane = 0; lane < 2; lane++) {
            channel_of(network, replica, other, lane)->bytes_per_s = lane_speed(network, lane);
            channel_of(network, other, replica, lane)->bytes_per_s = lane_speed(network, lane);
            connect_later(network, replica, other, (enum mortar_lane)lane);
        }
    }
}

void network_part(struct network *network, struct replica *replica)
{
    struct sim *sim = network->sim;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        struct replica *other = sim->replicas[i];
        if (other == replica) continue;
        break_lane(network, replica, other, MORTAR_LANE_CONTROL, network->options.notice_us_min);
        break_lane(network, replica, other, MORTAR_LANE_BULK, network->options.notice_us_min);
        channel_of(network, replica, other, MORTAR_LANE_CONTROL)->seen = false;
        channel_of(network, replica, other, MORTAR_LANE_BULK)->seen = false;
    }
}

bool network_is_up(const struct network *network, const struct replica *from,
                   const struct replica *to, enum mortar_lane lane)
{
    return network->channels[from->number][to->number][lane].seen;
}

/* ---- Arrival ---- */

/* What is told of a frame that its sender did not just send as it is. */
struct frame_damage {
    bool flipped;
    bool replayed;
};

/* Gives whole bytes to the receiver, as its host would. False: they must end the link. */
static bool hand_over(struct network *network, struct replica *from, struct replica *to,
                      enum mortar_lane lane, struct mortar_buffer *frame,
                      struct frame_damage damage)
{
    struct sim *sim = network->sim;
    const struct mortar_bytes whole = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    enum mortar_status status = mortar_core_frame_check(whole, lane, &sim->group);
    if (damage.flipped == (status == MORTAR_OK)) {
        verdict_fail(&sim->verdict, "frames", "a frame from %s to %s %s: %s", from->name, to->name,
                     damage.flipped ? "with a flipped bit passed" : "was refused",
                     mortar_status_name(status));
    }
    /* An answer of a liar may be one of an earlier connection. */
    const bool honest = !network->lied[from->number] && !damage.replayed && !damage.flipped;
    if (honest) versions_check_frame(sim, from, to, whole);
    if (status == MORTAR_OK) status = replica_frame(to, from, lane, frame);
    const bool refused = status == MORTAR_E_PROTOCOL || status == MORTAR_E_VERSION;
    if (refused && honest) {
        verdict_fail(&sim->verdict, "frames", "%s refuses an honest frame of %s: %s", to->name,
                     from->name, mortar_status_name(status));
    }
    return status == MORTAR_OK;
}

/* A copy in the receiver's memory; NULL: that is short. */
static struct mortar_buffer *receive(const struct replica *to, const uint8_t *sent, size_t bytes)
{
    struct mortar_buffer *frame = mortar_buffer_new(&to->allocator, bytes);
    if (frame == NULL) return NULL;
    memcpy(mortar_buffer_data(frame), sent, bytes);
    mortar_buffer_set_bytes(frame, bytes);
    return frame;
}

/* The connection breaks in the middle of a frame: what came of it is no frame. */
static void deliver_torn(struct network *network, struct replica *from, struct replica *to,
                         enum mortar_lane lane, struct mortar_buffer *sent)
{
    struct sim *sim = network->sim;
    const size_t came = (size_t)prng_below(&network->prng, mortar_buffer_bytes(sent));
    const struct mortar_bytes part = {mortar_buffer_data(sent), came};
    const enum mortar_status status = mortar_core_frame_check(part, lane, &sim->group);
    sim->faults[SIM_FAULT_TEAR]++;
    if (status != MORTAR_E_CORRUPT) {
        verdict_fail(&sim->verdict, "frames", "%zu of %zu bytes from %s to %s pass for a frame: %s",
                     came, mortar_buffer_bytes(sent), from->name, to->name,
                     mortar_status_name(status));
    }
    break_lane(network, from, to, lane, network->options.notice_us_min);
}

static void deliver(struct network *network, struct replica *from, struct replica *to,
                    enum mortar_lane lane, struct mortar_buffer *sent)
{
    if (channel_of(network, from, to, lane)->torn) {
        deliver_torn(network, from, to, lane, sent);
        return;
    }
    const size_t bytes = mortar_buffer_bytes(sent);
    struct mortar_buffer *frame = receive(to, mortar_buffer_data(sent), bytes);
    if (frame == NULL) {
        break_lane(network, from, to, lane,
                   0); /* A host without memory for a frame cannot go on. */
        return;
    }
    const struct frame_damage damage = {
        .flipped = network->options.flips_per_million > 0 &&
                   prng_chance(&network->prng, network->options.flips_per_million, 1000000),
    };
    if (damage.flipped) {
        network->sim->faults[SIM_FAULT_FLIP]++;
        mortar_buffer_data(frame)[prng_below(&network->prng, bytes)] ^=
            (uint8_t)(1u << prng_below(&network->prng, 8));
    }
    const bool taken = hand_over(network, from, to, lane, frame, damage);
    mortar_buffer_release(frame);
    if (!taken) break_lane(network, from, to, lane, 0);
}

/* Stream: one more frame of the channel numbers[0] (sender and lane) may come out at the target. */
static void on_arrival(struct sim *sim, struct sim_event *event)
{
    struct network *network = sim->network;
    struct replica *from = sim->replicas[event->numbers[0] / 2];
    const enum mortar_lane lane = (enum mortar_lane)(event->numbers[0] % 2);
    struct channel *channel = channel_of(network, from, event->target, lane);
    if (event->numbers[1] != channel->epoch || channel->first == NULL) return;
    if (network->cut[from->number][event->target->number]) {
        channel->held++;
        return;
    }
    struct frame_item *item = channel->first;
    channel->first = item->next;
    if (channel->first == NULL) channel->last = NULL;
    deliver(network, from, event->target, lane, item->frame);
    item_free(item);
}

static void on_datagram(struct sim *sim, struct sim_event *event)
{
    struct frame_item *item = event->object;
    struct network *network = sim->network;
    const struct channel *channel = channel_of(network, item->from, event->target, item->lane);
    if (network->cut[item->from->number][event->target->number] || item->epoch != channel->epoch) {
        sim->faults[SIM_FAULT_LOSS]++;
    } else {
        deliver(network, item->from, event->target, item->lane, item->frame);
    }
    item_free(item);
}

static void drop_datagram(struct sim_event *event)
{
    item_free(event->object);
}

/* ---- Frames of earlier connections ---- */

/* A request that was forwarded is told from its copies by what the connection remembers: that it
 * does not come again in the next one is for the host to see to. */
static bool is_forward(struct mortar_bytes frame)
{
    const uint8_t type = frame.data[7];
    return type == MESSAGE_FORWARD_REQUEST || type == MESSAGE_PART;
}

static void keep(struct network *network, struct channel *channel, struct mortar_bytes frame)
{
    if (is_forward(frame)) return;
    if (!network->options.replays || !prng_chance(&network->prng, 1, 8)) return;
    struct kept_frame *kept = &channel->kept[prng_below(&network->prng, KEPT_MAX)];
    free(kept->data);
    *kept = (struct kept_frame){malloc(frame.bytes), frame.bytes, channel->epoch};
    if (kept->data == NULL) abort();
    memcpy(kept->data, frame.data, frame.bytes);
}

void network_replay(struct network *network, struct replica *from, struct replica *to,
                    enum mortar_lane lane)
{
    struct channel *channel = channel_of(network, from, to, lane);
    uint32_t came = 0;
    const uint64_t epoch = channel->epoch;
    for (uint32_t i = 0; i < KEPT_MAX && channel->up && channel->epoch == epoch; i++) {
        struct kept_frame *kept = &channel->kept[i];
        if (kept->data == NULL || kept->epoch == epoch) continue;
        struct mortar_buffer *frame = receive(to, kept->data, kept->bytes);
        if (frame == NULL) continue;
        came++;
        const struct frame_damage damage = {.replayed = true};
        const bool taken = hand_over(network, from, to, lane, frame, damage);
        mortar_buffer_release(frame);
        if (!taken) break_lane(network, from, to, lane, 0);
    }
    network->sim->faults[SIM_FAULT_REPLAY] += came;
}

/* ---- Sending ---- */

/* A heavy tail: half as many frames are twice as late, up to the most. */
static uint64_t tail_us(struct network *network)
{
    return network->options.tail_us_max / prng_between(&network->prng, 1, TAIL_SPREAD);
}

static struct frame_item *item_new(struct replica *from, enum mortar_lane lane,
                                   struct mortar_buffer *frame, uint64_t epoch)
{
    struct frame_item *item = calloc(1, sizeof *item);
    if (item == NULL) abort();
    *item = (struct frame_item){NULL, mortar_buffer_share(frame), from, lane, epoch};
    from->under_way_bytes += mortar_buffer_capacity(frame);
    return item;
}

/* When a frame that leaves now is there, were it alone: after all before it, at its speed. */
static uint64_t travel(struct network *network, struct channel *channel, size_t bytes)
{
    const struct network_options *options = &network->options;
    uint64_t start_us = network->sim->now_us;
    if (channel->free_us > start_us) start_us = channel->free_us;
    if (channel->stalled_us > start_us) start_us = channel->stalled_us;
    if (channel->bytes_per_s > 0) start_us += bytes * 1000000u / channel->bytes_per_s;
    channel->free_us = start_us;
    uint64_t latency_us =
        prng_between(&network->prng, options->latency_us_min, options->latency_us_max);
    if (options->tail_permille > 0 && prng_chance(&network->prng, options->tail_permille, 1000)) {
        latency_us += tail_us(network);
        network->sim->faults[SIM_FAULT_DELAY]++;
    }
    return start_us + latency_us;
}

static void send_stream(struct network *network, struct replica *from, struct replica *to,
                        enum mortar_lane lane, struct mortar_buffer *frame)
{
    struct channel *channel = channel_of(network, from, to, lane);
    uint64_t at_us = travel(network, channel, mortar_buffer_bytes(frame));
    if (at_us < channel->arrival_us) at_us = channel->arrival_us;
    channel->arrival_us = at_us;
    struct frame_item *item = item_new(from, lane, frame, channel->epoch);
    if (channel->last == NULL) {
        channel->first = item;
    } else {
        channel->last->next = item;
    }
    channel->last = item;
    sim_at(network->sim, (struct sim_event){
                             .at_us = at_us,
                             .target = to,
                             .run = on_arrival,
                             .numbers = {from->number * 2u + (uint32_t)lane, channel->epoch},
                         });
}

static void send_datagram(struct network *network, struct replica *from, struct replica *to,
                          enum mortar_lane lane, struct mortar_buffer *frame)
{
    const struct network_options *options = &network->options;
    uint64_t *faults = network->sim->faults;
    struct prng *prng = &network->prng;
    if (prng_chance(prng, options->loss_permille, 1000)) {
        faults[SIM_FAULT_LOSS]++;
        return;
    }
    struct channel *channel = channel_of(network, from, to, lane);
    uint64_t at_us = travel(network, channel, mortar_buffer_bytes(frame));
    if (prng_chance(prng, options->reorder_permille, 1000)) {
        faults[SIM_FAULT_REORDER]++;
        at_us += prng_below(prng, 10u * (uint64_t)options->latency_us_max + 1000);
    }
    const uint32_t copies = prng_chance(prng, options->duplicate_permille, 1000) ? 2 : 1;
    if (copies == 2) faults[SIM_FAULT_DUPLICATE]++;
    for (uint32_t i = 0; i < copies; i++) {
        sim_at(network->sim, (struct sim_event){
                                 .at_us = at_us + i * prng_below(prng, 50000),
                                 .target = to,
                                 .run = on_datagram,
                                 .drop = drop_datagram,
                                 .object = item_new(from, lane, frame, channel->epoch),
                             });
    }
}

static void send_frame(struct network *network, struct replica *from, struct replica *to,
                       enum mortar_lane lane, struct mortar_buffer *frame)
{
    if (network->options.datagrams) {
        send_datagram(network, from, to, lane, frame);
    } else {
        send_stream(network, from, to, lane, frame);
    }
}

/* ---- Lies ---- */

/* A liar keeps to the version of the connection of now. */
static bool is_spoken(const struct frame_item *item, const struct replica *to)
{
    struct frame_header header;
    const struct mortar_bytes whole = {mortar_buffer_data(item->frame),
                                       mortar_buffer_bytes(item->frame)};
    return frame_header_decode(whole, item->lane, &header) == MORTAR_OK &&
           header.version <= versions_common(item->from, to);
}

/* numbers: to. */
static void on_late_answer(struct sim *sim, struct sim_event *event)
{
    struct frame_item *item = event->object;
    struct network *network = sim->network;
    struct replica *to = sim->replicas[event->numbers[0]];
    const bool stands = replica_is_live(item->from) && replica_is_live(to) &&
                        channel_of(network, item->from, to, item->lane)->up;
    if (stands && is_spoken(item, to)) send_frame(network, item->from, to, item->lane, item->frame);
    item_free(item);
}

static void answer_later(struct network *network, struct frame_item *item, struct replica *to,
                         uint64_t delay_us)
{
    sim_at(network->sim, (struct sim_event){
                             .at_us = network->sim->now_us + delay_us,
                             .run = on_late_answer,
                             .drop = drop_datagram,
                             .object = item,
                             .numbers = {to->number},
                         });
}

/* The content is right, the time is wrong. True: nothing is to be sent now. */
static bool answer_badly_timed(struct network *network, struct replica *from, struct replica *to,
                               enum mortar_lane lane, struct mortar_bytes frame)
{
    struct prng *prng = &network->prng;
    struct mortar_buffer *again = lie_again(frame, lane, &network->allocator, prng);
    if (again == NULL) return false;
    struct frame_item *item = item_new(from, lane, again, 0);
    mortar_buffer_release(again);
    struct frame_item **held = &network->held_answers[from->number][to->number];
    uint64_t choice = prng_below(prng, 3);
    if (from->lies_only == SIM_FAULT_LIE_TWICE) choice = 0;
    if (from->lies_only == SIM_FAULT_LIE_LATE) choice = 1;
    if (from->lies_only == SIM_FAULT_LIE_ENDED) choice = 2;
    if (choice == 0) {
        network->sim->faults[SIM_FAULT_LIE_TWICE]++;
        answer_later(network, item, to, prng_below(prng, 300000));
    } else if (choice == 1 || *held != NULL) {
        network->sim->faults[SIM_FAULT_LIE_LATE]++;
        answer_later(network, item, to, prng_between(prng, 200000, 5000000));
    } else {
        *held = item;
    }
    return choice != 0;
}

void network_session_ended(struct network *network, struct replica *to)
{
    for (uint32_t from = 0; from < network->sim->replica_count; from++) {
        struct frame_item **held = &network->held_answers[from][to->number];
        if (*held == NULL) continue;
        network->sim->faults[SIM_FAULT_LIE_ENDED]++;
        answer_later(network, *held, to, prng_below(&network->prng, 2000000));
        *held = NULL;
    }
}

/* Of three bad answers one has the wrong time only. */
static bool is_badly_timed(struct network *network, const struct replica *from)
{
    const uint32_t only = from->lies_only;
    if (only == 0) return prng_chance(&network->prng, 1, 3);
    return only == SIM_FAULT_LIE_TWICE || only == SIM_FAULT_LIE_LATE || only == SIM_FAULT_LIE_ENDED;
}

/* True: it took care of the frame. */
static bool send_lie(struct network *network, struct replica *from, struct replica *to,
                     enum mortar_lane lane, struct mortar_bytes frame)
{
    if (!from->lying || !lie_is_possible(frame, lane)) return false;
    if (from->lies_only == 0 && !prng_chance(&network->prng, 2, 3)) return false;
    if (is_badly_timed(network, from)) return answer_badly_timed(network, from, to, lane, frame);
    enum sim_fault kind;
    const struct lie_order order = {
        .liar = &network->liars[from->number],
        .only = from->lies_only,
        .allocator = &network->allocator,
        .prng = &network->prng,
    };
    struct mortar_buffer *lie = lie_about(&order, frame, lane, &kind);
    if (lie == NULL) return false;
    network->sim->faults[kind]++;
    network->lied[from->number] = true;
    from->lied = true;
    send_frame(network, from, to, lane, lie);
    mortar_buffer_release(lie);
    return true;
}

void network_send(struct network *network, struct replica *from, struct replica *to,
                  enum mortar_lane lane, struct mortar_buffer *frame)
{
    const struct mortar_bytes whole = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    story_frame(network->sim, from, to, whole);
    if (lane == MORTAR_LANE_CONTROL) watch_frame(from, to, whole);
    if (!replica_is_live(to) || !channel_of(network, from, to, lane)->up) return;
    keep(network, channel_of(network, from, to, lane), whole);
    if (!send_lie(network, from, to, lane, whole)) send_frame(network, from, to, lane, frame);
}

/* ---- Faults ---- */

/* A cut that lasts is noticed: a stream without answers ends. numbers: from, to. */
static void on_cut_noticed(struct sim *sim, struct sim_event *event)
{
    struct network *network = sim->network;
    struct replica *from = sim->replicas[event->numbers[0]];
    struct replica *to = sim->replicas[event->numbers[1]];
    if (!network->cut[from->number][to->number]) return;
    const uint64_t notice_us = network->options.notice_us_min;
    break_lane(network, from, to, MORTAR_LANE_CONTROL, notice_us);
    break_lane(network, from, to, MORTAR_LANE_BULK, notice_us);
}

/* Lets `count` more frames of a channel come out at once. */
static void let_out(struct network *network, const struct replica *from, struct replica *to,
                    enum mortar_lane lane, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        sim_at(network->sim, (struct sim_event){
                                 .at_us = network->sim->now_us,
                                 .target = to,
                                 .run = on_arrival,
                                 .numbers = {from->number * 2u + lane,
                                             channel_of(network, from, to, lane)->epoch},
                             });
    }
}

static void release_held(struct network *network, const struct replica *from, struct replica *to)
{
    for (uint32_t lane = 0; lane < 2; lane++) {
        struct channel *channel = channel_of(network, from, to, (enum mortar_lane)lane);
        let_out(network, from, to, (enum mortar_lane)lane, channel->held);
        channel->held = 0;
    }
}

/* Whatever holds frames of a channel back ends: all that are under way come out now. The arrivals
 * that were meant for them may hurry later frames, in order. */
static void heal_channel(struct network *network, const struct replica *from, struct replica *to,
                         enum mortar_lane lane)
{
    struct channel *channel = channel_of(network, from, to, lane);
    uint64_t queued = 0;
    for (const struct frame_item *item = channel->first; item != NULL; item = item->next)
        queued++;
    let_out(network, from, to, lane, queued);
    channel->held = 0;
    channel->torn = false;
    channel->stalled_us = 0;
    channel->bytes_per_s = 0;
    channel->free_us = channel->arrival_us = network->sim->now_us;
}

void network_cut(struct network *network, const struct replica *from, const struct replica *to,
                 bool cut)
{
    struct sim *sim = network->sim;
    bool *is_cut = &network->cut[from->number][to->number];
    if (*is_cut == cut) return;
    *is_cut = cut;
    if (!cut) {
        release_held(network, from, sim->replicas[to->number]);
        return;
    }
    if (network->options.datagrams) return;
    sim_at(sim,
           (struct sim_event){
               .at_us = sim->now_us + prng_between(&network->prng, network->options.notice_us_min,
                                                   network->options.notice_us_max),
               .run = on_cut_noticed,
               .numbers = {from->number, to->number},
           });
}

void network_reset(struct network *network, struct replica *a, struct replica *b,
                   enum mortar_lane lane)
{
    break_lane(network, a, b, lane, 0);
}

void network_tear(struct network *network, const struct replica *from, const struct replica *to,
                  enum mortar_lane lane)
{
    channel_of(network, from, to, lane)->torn = true;
}

void network_stall(struct network *network, const struct replica *from, const struct replica *to,
                   enum mortar_lane lane, uint64_t until_us)
{
    channel_of(network, from, to, lane)->stalled_us = until_us;
}

void network_set_speed(struct network *network, const struct replica *from,
                       const struct replica *to, enum mortar_lane lane, uint64_t bytes_per_s)
{
    channel_of(network, from, to, lane)->bytes_per_s = bytes_per_s;
}

void network_tune(struct network *network, const struct network_options *options)
{
    network->options = *options;
}

void network_heal(struct network *network)
{
    struct sim *sim = network->sim;
    struct network_options *options = &network->options;
    options->tail_permille = 0;
    options->loss_permille = 0;
    options->duplicate_permille = 0;
    options->reorder_permille = 0;
    options->flips_per_million = 0;
    options->bytes_per_s[0] = options->bytes_per_s[1] = 0;
    for (uint32_t from = 0; from < sim->replica_count; from++) {
        for (uint32_t to = 0; to < sim->replica_count; to++) {
            network_cut(network, sim->replicas[from], sim->replicas[to], false);
            for (uint32_t lane = 0; lane < 2; lane++) {
                heal_channel(network, sim->replicas[from], sim->replicas[to],
                             (enum mortar_lane)lane);
            }
        }
    }
}
