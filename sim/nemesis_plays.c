/* sim/nemesis_plays.c - a fault of several scenes, each played when its cue comes: chance alone
 * would hardly ever put them together.
 *
 * Thesis figure 3.7: leaders take turns, and each leaves entries that only one other got.
 *
 *   scene 0   A leads, and reaches B alone; it is asked for much.
 *   scene 1   A and B are away, each for itself, perhaps before B has got all of it.
 *   scene 2   One of the rest, C, leads in the next term: it reaches A alone.
 *   scene 3   C has cut from A's log what A proposed. B and the rest are together.
 *   scene 4   B leads: its log is the latest there. It reaches A.
 *   scene 5   What A proposed is in its log again, all or some of it, and committed.
 */
#include "sim/nemesis_private.h"

#define PLAYERS       5u
#define POLL_US       2000u
#define POLL_FAST_US  50u /* A leader's first words must not arrive. */
#define SCENE_MS_MAX  5000u
#define REST_MS_MAX   500u
#define PATIENCE_MS   20000u
#define REQUESTS_MAX  4u
#define LONG_SCENE_MS 200u

/* Who is in `together` reaches everyone else in it, and nobody else reaches anyone. */
static void let_reach(struct nemesis *nemesis, uint64_t together)
{
    struct sim *sim = nemesis->sim;
    for (uint32_t a = 0; a < sim->replica_count; a++) {
        for (uint32_t b = 0; b < sim->replica_count; b++) {
            const bool both = (together >> a & together >> b & 1) != 0;
            if (a != b) network_cut(sim->network, sim->replicas[a], sim->replicas[b], !both);
        }
    }
    story_say(sim, "---- together: %llx", (unsigned long long)together);
}

static uint64_t everyone(const struct nemesis *nemesis)
{
    return (1ull << nemesis->sim->replica_count) - 1;
}

/* Who leads in a later term than the play has seen; UINT32_MAX: nobody. */
static uint32_t new_leader(const struct nemesis *nemesis)
{
    const struct sim *sim = nemesis->sim;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *replica = sim->replicas[i];
        if (replica_is_live(replica) && replica->leads && replica->term_said > nemesis->play.term) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void take_the_lead(struct nemesis *nemesis, uint32_t leader)
{
    nemesis->play.leader = leader;
    nemesis->play.term = nemesis->sim->replicas[leader]->term_said;
}

static bool all_vote(struct sim *sim)
{
    uint32_t voters = 0;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (nemesis_is_up(sim->replicas[i]) && sim_is_voter(sim, i)) voters++;
    }
    return voters == PLAYERS && sim->replica_count == PLAYERS;
}

/* Commands, and in half of the plays a change of members between them. */
static void ask_for_much(struct nemesis *nemesis, struct replica *leader)
{
    struct sim *sim = nemesis->sim;
    const struct workload *workload = &sim->options.workload;
    const uint64_t requests = prng_between(&nemesis->prng, 1, REQUESTS_MAX);
    if (prng_chance(&nemesis->prng, 1, 2)) {
        struct mortar_change change = {.kind = MORTAR_CHANGE_ADDRESS, .member = leader->id};
        change.address = "elsewhere";
        nemesis->changed_us = sim->now_us;
        sim->faults[SIM_FAULT_CHANGE]++;
        (void)client_change(sim, leader, &change, 1, PATIENCE_MS);
    }
    for (uint64_t i = 0; i < requests && replica_is_live(leader); i++) {
        (void)client_write(sim, leader, MORTAR_REQUEST_EXECUTE, workload->batch_max,
                           workload->command_bytes_max, PATIENCE_MS);
    }
}

/* ---- Scenes: each is asked again and again if its cue has come, and true if it was played ---- */

static bool alone_with_one(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    struct play *play = &nemesis->play;
    const uint32_t leader = sim_leader(sim);
    if (leader == UINT32_MAX || !all_vote(sim)) return false;
    take_the_lead(nemesis, leader);
    play->first = leader;
    play->second = nemesis_pick_but(nemesis, leader)->number;
    let_reach(nemesis, 1ull << play->first | 1ull << play->second);
    ask_for_much(nemesis, sim->replicas[leader]);
    const uint32_t hop_us = sim->options.network.latency_us_max;
    const bool soon = prng_chance(&nemesis->prng, 1, 2);
    const uint64_t most_us = soon ? 8u * (uint64_t)hop_us : LONG_SCENE_MS * 1000;
    play->cue_us = sim->now_us + prng_below(&nemesis->prng, most_us);
    return true;
}

static bool both_away(struct nemesis *nemesis)
{
    const struct play *play = &nemesis->play;
    if (nemesis->sim->now_us < play->cue_us) return false;
    let_reach(nemesis, everyone(nemesis) & ~(1ull << play->first | 1ull << play->second));
    return true;
}

static bool next_leader(struct nemesis *nemesis)
{
    struct sim *sim = nemesis->sim;
    const uint32_t leader = new_leader(nemesis);
    if (leader == UINT32_MAX) return false;
    take_the_lead(nemesis, leader);
    for (uint32_t i = 0; i < sim->replica_count; i++) { /* What it has just sent is lost. */
        if (i == leader) continue;
        network_reset(sim->network, sim->replicas[leader], sim->replicas[i], MORTAR_LANE_CONTROL);
    }
    let_reach(nemesis, 1ull << leader | 1ull << nemesis->play.first);
    return true;
}

static bool rest_together(struct nemesis *nemesis)
{
    struct mortar_core_status status;
    if (!replica_is_live(nemesis->sim->replicas[nemesis->play.first])) return false;
    sim_status(nemesis->sim, nemesis->play.first, &status);
    if (status.last.term != nemesis->play.term) return false;
    let_reach(nemesis,
              everyone(nemesis) & ~(1ull << nemesis->play.first | 1ull << nemesis->play.leader));
    return true;
}

static bool first_is_back(struct nemesis *nemesis)
{
    const uint64_t away = 1ull << nemesis->play.leader;
    const uint32_t leader = new_leader(nemesis);
    if (leader == UINT32_MAX) return false;
    take_the_lead(nemesis, leader);
    let_reach(nemesis, everyone(nemesis) & ~away);
    return true;
}

static bool first_agrees(struct nemesis *nemesis)
{
    struct mortar_core_status status;
    if (!replica_is_live(nemesis->sim->replicas[nemesis->play.first])) return false;
    sim_status(nemesis->sim, nemesis->play.first, &status);
    return status.last.term == nemesis->play.term && status.committed.term == nemesis->play.term;
}

static bool (*const scenes[])(struct nemesis *nemesis) = {
    alone_with_one, both_away, next_leader, rest_together, first_is_back, first_agrees,
};
#define SCENES (sizeof scenes / sizeof scenes[0])

/* ---- The play ---- */

static void next_look(struct nemesis *nemesis, uint64_t at_us);

static void curtain(struct nemesis *nemesis)
{
    let_reach(nemesis, everyone(nemesis));
    nemesis->play.scene = 0;
    nemesis->play.since_us = nemesis->sim->now_us;
}

static void on_look(struct sim *sim, struct sim_event *event)
{
    struct nemesis *nemesis = event->object;
    struct play *play = &nemesis->play;
    if (!nemesis->running) return; /* The world is being healed. */
    const bool late = play->scene > 0 && sim->now_us > play->since_us + SCENE_MS_MAX * 1000;
    if (late) {
        curtain(nemesis);
    } else if (scenes[play->scene](nemesis)) {
        play->scene++;
        play->since_us = sim->now_us;
    }
    if (play->scene == SCENES) {
        sim->faults[SIM_FAULT_FIGURE_8]++;
        curtain(nemesis);
    }
    const bool quick = play->scene == 1 || play->scene == 2;
    if (play->scene == 0) {
        next_look(nemesis, nemesis_in_ms(nemesis, 20, REST_MS_MAX));
    } else {
        next_look(nemesis, sim->now_us + (quick ? POLL_FAST_US : POLL_US));
    }
}

static void next_look(struct nemesis *nemesis, uint64_t at_us)
{
    sim_at(nemesis->sim, (struct sim_event){.at_us = at_us, .run = on_look, .object = nemesis});
}

void nemesis_play(struct nemesis *nemesis)
{
    if (nemesis->drawn.plays) next_look(nemesis, nemesis_in_ms(nemesis, 20, REST_MS_MAX));
}
