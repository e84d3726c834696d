/* sim/world.h - a virtual world: replicas, a network, clients and judges under one clock and one
 * seed. The second host of the pure core (design 2, idea 1).
 *
 * Scenarios and the swarm drive it from outside: run it for a while, look, break something, run on.
 * Everything that happens follows from the options, the seed and those calls.
 *
 * Memory:  malloc(); ends with sim_close().
 * Threads: one. Nothing reads a real clock.
 * Errors:  the first broken promise ends all running: sim_failed() is true from then on.
 *
 *     struct sim *sim = sim_open(&options);
 *     sim_grow(sim, 3);                           A founds, B and C join and are promoted
 *     sim_isolate(sim, 2);
 *     sim_propose(sim, 0, 100, 64);
 *     sim_heal(sim);
 *     SIM_EXPECT(sim, sim_run_until(sim, sim_converged, 5000));
 *     assert_true(sim_close(sim, NULL));
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim/check/judges.h"
#include "sim/client.h"
#include "sim/heap.h"
#include "sim/network.h"
#include "sim/replica.h"
#include "sim/story.h"

#define SIM_REPLICAS_MAX JUDGES_REPLICAS_MAX

#ifdef MORTAR_WIRE_NEXT
#define SIM_FAULT_TABLE_NEXT(X)                                                                    \
    X(REBUILD, "rebuild", "a process speaks another wire version from its next links on")          \
    X(MIXED_VERSIONS, "mixed_versions", "a lane stands between two builds of different version")
#else
#define SIM_FAULT_TABLE_NEXT(X)
#endif

/* What is done to the world: counted under its name in the last line of mortar-sim, and explained
 * for people. FIGURE_8 stands last: it is not drawn by itself, and needs no bit in struct drawn. */
#define SIM_FAULT_TABLE(X)                                                                         \
    X(LOSS, "loss", "a frame is lost")                                                             \
    X(DUPLICATE, "duplicate", "a frame arrives twice")                                             \
    X(REORDER, "reorder", "a frame may be overtaken")                                              \
    X(DELAY, "delay", "a frame is late, some by very much")                                        \
    X(FLIP, "flip", "one bit of a frame is flipped; its checksum tells")                           \
    X(RESET, "reset", "a lane between two breaks, frames under way are lost")                      \
    X(TEAR, "tear", "a connection breaks in the middle of a frame")                                \
    X(REPLAY, "replay", "a frame of an earlier connection arrives again")                          \
    X(UNEVEN, "uneven", "one direction of one lane has a speed of its own")                        \
    X(PARTITION, "partition", "the members fall into two sides that do not hear each other")       \
    X(ONE_WAY, "one_way", "one side is not heard by the other, but hears it")                      \
    X(STALL, "stall", "a lane carries nothing for a while and stays up")                           \
    X(SLOW_LANE, "slow_lane", "one direction of one lane becomes slow")                            \
    X(CRASH, "crash", "a process ends, with it any part of the writes under way; it starts again") \
    X(CRASH_IN_STEP, "crash_in_step", "the same between two effects of one step")                  \
    X(POWER_LOSS, "power_loss", "all processes end at once")                                       \
    X(RETUNED_START, "retuned_start", "a process starts again with other tunables")                \
    X(WIPE, "wipe", "a disk is lost; another member takes the place")                              \
    X(COPY, "copy", "a second process starts with a copy of a directory; its peers refuse it")     \
    X(PAUSE, "pause", "a process stands still")                                                    \
    X(JOIN, "join", "a replica joins")                                                             \
    X(LEAVE, "leave", "a member is asked to leave")                                                \
    X(CHANGE, "change", "members are promoted, demoted, moved; several in one change")             \
    X(SLOW_MACHINE, "slow_machine", "work takes twenty times as long, or no more")                 \
    X(MACHINE_PAUSE, "machine_pause", "the machine asks to be called again later, or no more")     \
    X(SLOW_DISK, "slow_disk", "the storage becomes slow")                                          \
    X(DISK_FULL, "disk_full", "the storage refuses what takes room; the process fails with it")    \
    X(DISK_FAILURE, "disk_failure", "a write fails; the process fails with it")                    \
    X(LAG, "lag", "a follower is cut off for so long that it must catch up")                       \
    X(SOURCE_CRASH, "source_crash", "a member that may be a source ends while a session runs")     \
    X(SOURCE_STALL, "source_stall", "a lane of a source stalls while a session runs")              \
    X(NO_SOURCE, "no_source", "no bulk lane carries anything to a replica that catches up")        \
    X(TARGET_MOVES, "target_moves", "many commands at once while a session fetches")               \
    X(LAGGARDS, "laggards", "all that a majority can do without are away, and return together")    \
    X(LAGGARD_CRASH, "laggard_crash", "who catches up dies as a write becomes durable, and again") \
    X(LEADER_IN_MATCH, "leader_in_match", "the leader goes as a session looks where logs agree")   \
    X(LEADER_IN_PLAN, "leader_in_plan", "... as a session asks for the plan")                      \
    X(LEADER_IN_FETCH, "leader_in_fetch", "... as a session fetches")                              \
    X(LEADER_AT_END, "leader_at_end", "... as a session ends")                                     \
    X(PRUNE, "prune", "a log is pruned; one member keeps all of it")                               \
    X(LEASE_END, "lease_end", "a lease on the log ends before its session")                        \
    X(MEMORY, "memory", "a reservation of memory fails")                                           \
    X(LIAR, "liar", "a member begins to lie as a source")                                          \
    X(LIE_BYTES, "lie_bytes", "an answer of a source has wrong bytes, or its end is missing")      \
    X(LIE_SUMS, "lie_sums", "... wrong log sums, or wrong bytes under sums that fit them")         \
    X(LIE_TERMS, "lie_terms", "... wrong terms, under sums that fit them")                         \
    X(LIE_RANGE, "lie_range", "... the entries of another range")                                  \
    X(LIE_EMPTY, "lie_empty", "... no entries")                                                    \
    X(LIE_REFUSAL, "lie_refusal", "a source refuses what it holds, or gives a wrong reason")       \
    X(LIE_CLAIM, "lie_claim", "a source claims to hold more than it does")                         \
    X(LIE_PLAN, "lie_plan", "a source's plan below the leader's base has a wrong sum")             \
    X(LIE_LATE, "lie_late", "an answer of a source is seconds late")                               \
    X(LIE_TWICE, "lie_twice", "an answer of a source comes twice, as two messages")                \
    X(LIE_ENDED, "lie_ended", "an answer of a source comes when its session is over")              \
    X(CLOCK_JUMP, "clock_jump", "clock and calendar jump")                                         \
    X(CLOCK_STOP, "clock_stop", "clock and calendar stand still for a while")                      \
    X(TUNE, "tune", "a running core gets other tunables")                                          \
    X(LEADER_CUT, "leader_cut", "the leader is cut off")                                           \
    X(RACE, "race",                                                                                \
      "control lanes stand still for some election timeouts, then bring all at once")              \
    X(VOTER_CRASH, "voter_crash", "the same, and whoever grants a vote ends, and is back at once") \
    X(TRANSFER, "transfer",                                                                        \
      "a leader is asked to hand over, to someone who may not be fit for it")                      \
    X(SLOW_CHECK, "slow_check", "what a session fetched is checked seconds later")                 \
    SIM_FAULT_TABLE_NEXT(X)                                                                        \
    X(FIGURE_8, "figure_8",                                                                        \
      "leaders take turns, each with entries that only one other got (thesis figure 3.7)")         \
    X(ADD_REMOVED, "add_removed", "a member that was removed is to be added again under its id")   \
    X(REPLACE, "replace", "who comes for a lost disk names the member whose place it takes")

enum sim_fault {
#define SIM_FAULT_VALUE(name, text, what) SIM_FAULT_##name,
    SIM_FAULT_TABLE(SIM_FAULT_VALUE)
#undef SIM_FAULT_VALUE
        SIM_FAULTS
};
const char *sim_fault_name(enum sim_fault fault);
const char *sim_fault_text(enum sim_fault fault);

struct sim_options {
    uint64_t seed;
    struct replica_options replica; /* For those opened by sim_grow() and sim_add(). */
    struct network_options network;
    struct workload workload;
    bool quiet_clients;   /* The clients of the workload do not start by themselves. */
    uint32_t check_every; /* mortar_core_check() after every so-manieth event; 0: never. */
};

struct sim {
    struct sim_options options;
    struct prng prng;
    uint64_t now_us;
    struct heap heap;
    uint32_t replica_count;
    struct replica *replicas[SIM_REPLICAS_MAX];
    struct network *network;
    struct clients clients;
    struct judges judges;
    struct verdict verdict;
    struct story story;
    uint64_t faults[SIM_FAULTS];
    /* A replica is about to be started again: whoever runs the world may change its options. */
    void (*restarts)(void *context, struct replica *replica);
    void *restarts_context;
    /* A session of `replica` entered a phase of log replay. */
    void (*session_moves)(void *context, struct replica *replica, uint64_t phase);
    void *session_context;
    uint64_t counts[MORTAR_TRACE_KINDS]; /* Trace events of all replicas. */
    uint64_t events;
    struct mortar_group_id group;
};

/* Options of a quiet world: a stream network of 1 ms, quick disks, a counter. */
struct sim_options sim_options_quiet(uint64_t seed);

struct sim *sim_open(const struct sim_options *options);
/* Ends the world and says how it went, leaks included. `out_verdict` may be NULL. */
bool sim_close(struct sim *sim, struct verdict *out_verdict);

/* Opens one more replica: the first founds the group, every other joins. Its number. */
uint32_t sim_add(struct sim *sim, const struct replica_options *options);
/* Opens `count` and waits until all are members, and voters as far as target_voters allows. */
bool sim_grow(struct sim *sim, uint32_t count);

/* Schedules; `target` as in struct sim_event. */
void sim_at(struct sim *sim, struct sim_event event);

/* Runs for a while of virtual time. False: a judge has spoken. */
bool sim_run_ms(struct sim *sim, uint64_t ms);
/* Runs until `holds`, asked every 5 ms; false: it never did, or a judge has spoken. */
bool sim_run_until(struct sim *sim, bool (*holds)(struct sim *sim), uint64_t ms);
/* The same about one replica. */
bool sim_run_until_of(struct sim *sim, bool (*holds)(struct sim *sim, uint32_t replica),
                      uint32_t replica, uint64_t ms);

static inline bool sim_failed(const struct sim *sim)
{
    return sim->verdict.failed;
}
/* A demand of a scenario. */
#define SIM_EXPECT(sim, condition)                                                                 \
    ((condition)                                                                                   \
         ? (void)0                                                                                 \
         : verdict_fail(&(sim)->verdict, "scenario", "%s:%d: %s", __FILE__, __LINE__, #condition))

/* ---- What can be asked; both forms of sim_run_until() take some of these. ---- */

/* The live leader of the highest term; UINT32_MAX: none. */
uint32_t sim_leader(struct sim *sim);
bool sim_has_leader(struct sim *sim);
/* Every live replica that belongs is a member, has applied all that is committed, all logs end
 * alike, no session runs, and nobody waits for an answer. */
bool sim_converged(struct sim *sim);
/* Nobody waits for an answer, and nothing was left to commit. */
bool sim_is_leader(struct sim *sim, uint32_t replica);
bool sim_is_member(struct sim *sim, uint32_t replica);
bool sim_is_voter(struct sim *sim, uint32_t replica);
bool sim_is_syncing(struct sim *sim, uint32_t replica);
bool sim_is_current(struct sim *sim, uint32_t replica); /* Has all that is committed anywhere. */
void sim_status(struct sim *sim, uint32_t replica, struct mortar_core_status *out_status);
/* Why sim_converged() does not hold, for people. */
void sim_unconverged_text(struct sim *sim, char *out_text, size_t capacity);

/* ---- What can be done. ---- */

/* Makes `replica` lead: others' timers stand still until it does. */
bool sim_elect(struct sim *sim, uint32_t replica);
/* Cuts off one replica both ways, from now on. */
void sim_isolate(struct sim *sim, uint32_t replica);
void sim_rejoin(struct sim *sim, uint32_t replica);
/* Mends the network, ends lies and slowness. Who is paused stays so until its time. */
void sim_heal(struct sim *sim);
/* Executes `count` commands in one request at `replica` and waits for the answer. */
bool sim_propose(struct sim *sim, uint32_t replica, uint32_t count, uint32_t command_bytes);
/* Many requests of up to 64 commands each, until `count` commands are acknowledged. */
bool sim_fill(struct sim *sim, uint32_t replica, uint32_t count, uint32_t command_bytes);
/* Ends its process; it comes back by sim_restart(), as the member that it was. */
void sim_crash(struct sim *sim, uint32_t replica, enum virtual_log_loss loss);
/* The process is gone, by itself or by sim_crash(): it is started again after a while that the seed
 * draws, or at healing. */
void sim_down(struct sim *sim, uint32_t replica);
/* Starts a crashed one again; nothing, if it runs or its disk is gone. */
void sim_restart(struct sim *sim, uint32_t replica);
/* The same at a later time. */
void sim_restart_at(struct sim *sim, uint32_t replica, uint64_t at_us);
/* Starts a second process with the identity of `replica` over a copy of its disk, and ends it at
 * `until_us`. False: it is a lone voter, and needs no peer who could refuse the copy. */
bool sim_copy(struct sim *sim, uint32_t replica, uint64_t until_us);
/* Its disk is gone: the operator removes it. Who takes its place is for the caller to say. */
void sim_wipe(struct sim *sim, uint32_t replica);
/* Asks the group to let it go, and closes it when it is out. */
void sim_leave(struct sim *sim, uint32_t replica);
/* True if the group can lose `replica` for ever: in every configuration that a live replica goes
 * by, a majority of the voters lives without it, and no change is under way. */
bool sim_can_lose(struct sim *sim, uint32_t replica);

#endif
