/* sim/ask.c - what can be asked about a world, and what can be done to it. */
#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>

/* A disk that is well again completes within this time. */
#define HEALED_DISK_US 200u
/* A process that ended by itself is started again within this time. */
#define RESTART_US_MAX  2000000u
#define RESTART_SOON_US 20000u /* After the fault voter_crash. */
/* So much longer than one that is to be elected do the others wait. */
#define RELUCTANT_FACTOR 20u

/* ---- Questions ---- */

void sim_status(struct sim *sim, uint32_t replica, struct mortar_core_status *out_status)
{
    mortar_core_status(sim->replicas[replica]->core, out_status);
}

static bool status_of(struct sim *sim, uint32_t replica, struct mortar_core_status *out_status)
{
    if (!replica_is_live(sim->replicas[replica])) return false;
    sim_status(sim, replica, out_status);
    return true;
}

uint32_t sim_leader(struct sim *sim)
{
    uint32_t leader = UINT32_MAX;
    uint64_t term = 0;
    struct mortar_core_status status;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (!status_of(sim, i, &status)) continue;
        if (status.role != MORTAR_LEADER || status.term < term) continue;
        leader = i;
        term = status.term;
    }
    return leader;
}

bool sim_has_leader(struct sim *sim)
{
    return sim_leader(sim) != UINT32_MAX;
}

bool sim_is_leader(struct sim *sim, uint32_t replica)
{
    return sim_leader(sim) == replica;
}

bool sim_is_member(struct sim *sim, uint32_t replica)
{
    struct mortar_core_status status;
    return status_of(sim, replica, &status) && status.member;
}

bool sim_is_voter(struct sim *sim, uint32_t replica)
{
    struct mortar_core_status status;
    if (!status_of(sim, replica, &status) || status.joint) return false;
    for (uint32_t i = 0; i < status.member_count; i++) {
        const struct mortar_member_status *member = &status.members[i];
        if (!mortar_member_id_equal(&member->id, &status.self)) continue;
        return member->voter && !member->leaving;
    }
    return false;
}

bool sim_is_syncing(struct sim *sim, uint32_t replica)
{
    struct mortar_core_status status;
    return status_of(sim, replica, &status) && status.sync.active;
}

bool sim_is_current(struct sim *sim, uint32_t replica)
{
    struct mortar_core_status status;
    return status_of(sim, replica, &status) && status.applied >= sim->judges.committed_last &&
           !status.sync.active;
}

/* Whether `status` is that of a replica that has all there is; `reason` says why not. */
static bool is_whole(const struct mortar_core_status *status,
                     const struct mortar_core_status *leader, const char **reason)
{
    *reason = NULL;
    if (!status->member) *reason = "is no member";
    if (status->sync.active) *reason = "is in a session";
    if (status->applied != leader->last.index) *reason = "has not applied all";
    if (!mortar_position_equal(status->last, leader->last)) *reason = "has another log end";
    if (status->committed.index != leader->last.index) *reason = "has not committed all";
    if (status->joint) *reason = "is in a joint configuration";
    return *reason == NULL;
}

/* Whether the run ends only when this one is whole. */
static bool counts(const struct replica *replica)
{
    return replica_is_live(replica) && !replica->copy;
}

static bool unconverged(struct sim *sim, char *out_text, size_t capacity)
{
    struct mortar_core_status leader;
    struct mortar_core_status status;
    const char *reason = NULL;
    const uint32_t number = sim_leader(sim);
    if (number == UINT32_MAX) {
        (void)snprintf(out_text, capacity, "no leader");
        return true;
    }
    sim_status(sim, number, &leader);
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        const struct replica *replica = sim->replicas[i];
        const bool leaves = replica->leaving && !replica->forgotten;
        if (!leaves && (!counts(replica) || !status_of(sim, i, &status))) continue;
        if (leaves) reason = "is not out of the group yet";
        if (!leaves && is_whole(&status, &leader, &reason)) continue;
        const uint64_t applied = leaves ? 0 : status.applied;
        const uint64_t last = leaves ? 0 : status.last.index;
        (void)snprintf(out_text, capacity,
                       "%s %s (applied %" PRIu64 ", last %" PRIu64 "; leader %s last %" PRIu64
                       ", committed %" PRIu64 "%s%s)",
                       replica->name, reason, applied, last, sim->replicas[number]->name,
                       leader.last.index, leader.committed.index,
                       !leaves && status.sync.active ? "; waits for " : "",
                       !leaves && status.sync.active ? status.sync.progress.waits_for : "");
        return true;
    }
    if (sim->clients.open == 0) return false;
    (void)snprintf(out_text, capacity, "%" PRIu64 " requests are not answered", sim->clients.open);
    return true;
}

bool sim_converged(struct sim *sim)
{
    char text[VERDICT_TEXT_BYTES];
    return !unconverged(sim, text, sizeof text);
}

void sim_unconverged_text(struct sim *sim, char *out_text, size_t capacity)
{
    if (!unconverged(sim, out_text, capacity)) (void)snprintf(out_text, capacity, "converged");
}

/* Whether the voters of the configuration that `status` shows keep a majority without `lost`. */
static bool majority_lives(struct sim *sim, const struct mortar_core_status *status, uint32_t lost)
{
    uint32_t voters = 0;
    uint32_t alive = 0;
    for (uint32_t i = 0; i < status->member_count; i++) {
        if (!status->members[i].voter) continue;
        const struct replica *voter = sim->replicas[status->members[i].id.store[15]];
        voters++;
        if (voter->number != lost && replica_keeps_disk(voter) && !voter->leaving) alive++;
    }
    return !status->joint && (voters == 0 || 2 * alive > voters);
}

/* It has just started, and has not read its configuration back: nobody can say what it is. */
static bool is_reading_back(struct sim *sim, uint32_t replica,
                            const struct mortar_core_status *status)
{
    return status->member_count == 0 && virtual_disk_last(&sim->replicas[replica]->disk).index > 0;
}

bool sim_can_lose(struct sim *sim, uint32_t replica)
{
    struct mortar_core_status status;
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (i == replica || !status_of(sim, i, &status)) continue;
        if (is_reading_back(sim, i, &status) || !majority_lives(sim, &status, replica))
            return false;
    }
    return status_of(sim, replica, &status) && !is_reading_back(sim, replica, &status) &&
           majority_lives(sim, &status, replica);
}

/* ---- Deeds ---- */

/* Tunes all but `replica`: reluctant so many times over, or with a factor of 0 as they were. */
static bool tune_others(struct sim *sim, uint32_t replica, uint32_t reluctant_factor)
{
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        struct replica *other = sim->replicas[i];
        if (i == replica || !replica_is_live(other)) continue;
        struct mortar_core_options options = other->options.core;
        if (reluctant_factor > 0) {
            options.reluctant_factor = reluctant_factor;
            other->reluctance = reluctant_factor;
        }
        if (mortar_core_tune(other->core, &options) != MORTAR_OK) return false;
    }
    return true;
}

bool sim_elect(struct sim *sim, uint32_t replica)
{
    /* The others' patience grows, so that this one is the first to run out of it. The leader of
     * now, if there is another, is cut off meanwhile. */
    const uint32_t old = sim_leader(sim);
    if (old == replica) return true;
    if (old != UINT32_MAX) sim_isolate(sim, old);
    if (!tune_others(sim, replica, RELUCTANT_FACTOR)) return false;
    const bool elected = sim_run_until_of(sim, sim_is_leader, replica, 60000);
    if (!tune_others(sim, replica, 0)) return false;
    if (old != UINT32_MAX) sim_rejoin(sim, old);
    return elected;
}

static void cut_all(struct sim *sim, uint32_t replica, bool cut)
{
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        if (i == replica) continue;
        network_cut(sim->network, sim->replicas[i], sim->replicas[replica], cut);
        network_cut(sim->network, sim->replicas[replica], sim->replicas[i], cut);
    }
}

void sim_isolate(struct sim *sim, uint32_t replica)
{
    story_say(sim, "---- %s is cut off", sim->replicas[replica]->name);
    cut_all(sim, replica, true);
}

void sim_rejoin(struct sim *sim, uint32_t replica)
{
    story_say(sim, "---- %s is back", sim->replicas[replica]->name);
    cut_all(sim, replica, false);
}

void sim_heal(struct sim *sim)
{
    story_say(sim, "---- healed");
    network_heal(sim->network);
    for (uint32_t i = 0; i < sim->replica_count; i++) {
        struct replica *replica = sim->replicas[i];
        if (replica->copy) replica_close(replica, REPLICA_LEFT);
        sim_restart(sim, i);
        replica->lying = false;
        replica->crash_in = 0;
        replica->durable_deaths = 0;
        replica->memory.fail_in = replica->memory.fail_more = 0;
        replica->dies_by_vote = false;
        replica->work_factor = 1;
        replica->bulk_late_us = 0;
        replica->tick_held = false;
        replica->machine.pause_permille = 0;
        if (!replica_is_live(replica)) continue;
        virtual_log_set_delay(replica->log, 0, HEALED_DISK_US);
        virtual_log_set_refusal(replica->log, MORTAR_OK);
        virtual_log_fail_next(replica->log, MORTAR_OK);
    }
}

bool sim_propose(struct sim *sim, uint32_t replica, uint32_t count, uint32_t command_bytes)
{
    enum mortar_status status = MORTAR_UNKNOWN;
    const uint64_t op = client_write(sim, sim->replicas[replica], MORTAR_REQUEST_EXECUTE, count,
                                     command_bytes, 5000);
    if (op == 0) return false;
    while (!client_ended(sim, op, &status)) {
        if (!sim_run_ms(sim, 1)) return false;
    }
    return status == MORTAR_OK;
}

bool sim_fill(struct sim *sim, uint32_t replica, uint32_t count, uint32_t command_bytes)
{
    for (uint32_t done = 0; done < count;) {
        const uint32_t left = count - done;
        const uint32_t batch = left < 64 ? left : 64;
        if (!sim_propose(sim, replica, batch, command_bytes)) return false;
        done += batch;
    }
    return true;
}

static void on_restart(struct sim *sim, struct sim_event *event)
{
    sim_restart(sim, (uint32_t)event->numbers[0]);
}

void sim_down(struct sim *sim, uint32_t number)
{
    struct replica *replica = sim->replicas[number];
    story_say(sim, "---- %s is down; its disk ends at %" PRIu64, replica->name,
              virtual_disk_last(&replica->disk).index);
    sim->faults[SIM_FAULT_CRASH]++;
    replica_close(replica, REPLICA_CRASHED);
    const uint64_t most_us = replica->dies_by_vote ? RESTART_SOON_US : RESTART_US_MAX;
    sim_restart_at(sim, number, sim->now_us + prng_below(&replica->prng, most_us));
}

void sim_restart_at(struct sim *sim, uint32_t number, uint64_t at_us)
{
    sim_at(sim, (struct sim_event){.at_us = at_us, .run = on_restart, .numbers = {number}});
}

void sim_crash(struct sim *sim, uint32_t number, enum virtual_log_loss loss)
{
    struct replica *replica = sim->replicas[number];
    if (!replica_is_live(replica)) return;
    story_say(sim, "---- %s crashes, %" PRIu32 " writes of its log under way", replica->name,
              virtual_log_unsynced(replica->log));
    sim->faults[SIM_FAULT_CRASH]++;
    replica_crash(replica, loss);
}

/* A log that was pruned needs a snapshot, which part 4 brings: its disk is as good as lost. */
void sim_restart(struct sim *sim, uint32_t number)
{
    struct replica *replica = sim->replicas[number];
    if (replica->state != REPLICA_CRASHED || replica->forgotten || replica->copy) return;
    if (virtual_disk_base(&replica->disk).index != 0) {
        sim_wipe(sim, number);
        return;
    }
    story_say(sim, "---- %s starts again, log up to %" PRIu64, replica->name,
              virtual_disk_last(&replica->disk).index);
    if (sim->restarts != NULL) sim->restarts(sim->restarts_context, replica);
    replica_restart(replica);
    if (replica->core != NULL) network_join(sim->network, replica);
}

void sim_wipe(struct sim *sim, uint32_t number)
{
    struct replica *replica = sim->replicas[number];
    if (replica_is_live(replica)) sim_crash(sim, number, VIRTUAL_LOG_LOSE_ALL);
    if (replica->state != REPLICA_CRASHED) return;
    story_say(sim, "---- the disk of %s is gone", replica->name);
    virtual_disk_wipe(&replica->disk);
    replica->state = REPLICA_LOST;
    replica->leaving = true;
}

void sim_leave(struct sim *sim, uint32_t replica)
{
    story_say(sim, "---- %s is to leave", sim->replicas[replica]->name);
    sim->faults[SIM_FAULT_LEAVE]++;
    sim->replicas[replica]->leaving = true;
}
