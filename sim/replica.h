/* sim/replica.h - one replica: a core with its log, machine, memory and clock, and the host that
 * carries out what it asks for.
 *
 * The host is as slow and as odd as the seed says: work takes time, ticks drift, clocks are off,
 * the whole process pauses. What it may not do is what the duties in mortar/core.h forbid.
 *
 * Memory:  the replica stays, as a record, when its process is gone: frames under way hold blocks
 * of
 *          its allocator. Threads: one.
 * Errors:  an open that fails fails the run; a core that says FAILED too.
 */
#ifndef SIM_REPLICA_H
#define SIM_REPLICA_H

#include "base/prng.h"
#include "mortar/core.h"
#include "sim/check/judges.h"
#include "sim/machine.h"
#include "sim/memory.h"
#include "sim/prune.h"
#include "sim/virtual_disk.h"
#include "sim/virtual_log.h"
#include "sim/watch_duty.h"

#define REPLICA_NAME_BYTES 8u

/*   LIVE --crash--> CRASHED --restart--> LIVE  (what its disk holds is there again)
 *                   CRASHED --wipe-----> LOST  (the disk is gone: it comes back as another member)
 *   LIVE --leave--> LEFT  (its removal is committed, its process ended) */
enum replica_state { REPLICA_LIVE = 0, REPLICA_CRASHED, REPLICA_LOST, REPLICA_LEFT };

struct replica_options {
    struct mortar_core_options core; /* self, seed, trace, group are filled in by the simulator. */
    struct mortar_replay_options replay;
    enum machine_kind machine;
    uint32_t machine_pause_permille;
    struct virtual_log_options log;
    uint32_t work_us_min[2]; /* By place: how long a piece of work takes. */
    uint32_t work_us_max[2];
    uint32_t hand_back_us_max; /* ... and until the core hears of it. */
    uint64_t clock_ms;         /* What its monotone clock shows at the start of the world. */
    uint64_t wall_ahead_ms;    /* How far its calendar is ahead of the slowest. */
    uint32_t drift_ppm;        /* Its ticks are longer by so many millionths. */
    uint16_t wire_version_max; /* It is a build that speaks no later one; 0: the newest. */
};

struct work_queue {
    struct mortar_work **items; /* A ring of `capacity`. */
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
    bool busy; /* The first is under way. */
    bool ran;  /* ... and has been run; what is left is to hand it back. */
};

struct replica {
    struct sim *sim;
    uint32_t number; /* From 0, in the order of opening; never used twice. */
    char name[REPLICA_NAME_BYTES];
    struct mortar_member_id id;
    enum replica_state state;
    uint32_t life;  /* How often its process was started. */
    bool leaving;   /* The operator wants it out of the group, or to forget it once it crashed. */
    bool copy;      /* A second process of another's identity: no peer bonds with it. */
    bool forgotten; /* ... and the group has said that it is out. */
    bool removal_asked;   /* The operator has asked for it. */
    uint32_t replaced_by; /* The member that named it, when its disk was lost; 0: none. */
    uint64_t removed_at;  /* What was committed by then; 0: nobody said that it was removed. */
    uint64_t change_open; /* The operator's request to remove it; 0: none. */
    uint64_t change_at_us;

    struct replica_options options;
    struct mortar_core *core; /* NULL once it is gone. */
    struct sim_memory memory;
    struct mortar_allocator allocator;
    uint64_t under_way_bytes; /* Of frames that left it and have not arrived, */
    uint64_t arriving_bytes;  /* ... and of the one that is being handed over. */
    struct virtual_disk disk;
    struct virtual_log *log; /* The core's; gone with it. */
    struct sim_machine machine;
    struct mortar_sync_method *method;
    struct prune prune; /* Around it. */
    struct work_queue works[2];
    struct prng prng;
    uint64_t opened_us;
    uint64_t paused_until_us; /* Not after now: it runs. */
    bool tick_held;           /* Its timer does not run: for directed scenarios. */
    bool dying;               /* Crashed within a step: the process goes with the next event. */
    uint32_t crash_in; /* It crashes before its so-manieth effect from now; 0: it does not. */
    bool dies_by_vote; /* It crashes a few effects after it granted a vote. */
    uint64_t ticks;    /* So many it was told of. */
    uint64_t heard[JUDGES_REPLICAS_MAX]; /* Its ticks when a control frame of that one came last. */
    uint64_t clock_stood_ms;             /* So far its clock is behind by stopping. */
    uint64_t clock_stops_us;             /* Its clock stands still until then. */
    bool disk_sick;          /* Its disk was told to fail: a core that fails is no surprise. */
    uint32_t durable_deaths; /* So often it dies yet as a write becomes durable in a session. */
    bool memory_short;       /* Reservations were told to fail: the same. */
    bool closing;            /* What it still says is not heard. */
    bool config_said;        /* Its configuration changed in this step. */
    uint64_t config_index;   /* Of the latest configuration, until it was judged; 0: none. */
    uint64_t writes_seen;    /* Of its disk. */
    uint64_t voters_seen;    /* Of its latest configuration: a bit by number. */
    bool lied;               /* It ever did what follows. */
    bool lying;              /* Its answers to sessions are rewritten on the way... */
    uint32_t lies_only;      /* ... into this kind (enum sim_fault) alone; 0: into any. */
    uint32_t work_factor;    /* Slow machine: work takes so many times as long. */
    uint32_t bulk_late_us;   /* Each piece of bulk work may take so much longer. */

    /* For the judges: what they have seen of this replica's log. */
    uint64_t entries_seen;
    uint64_t committed_seen;
    uint64_t commit_said; /* By its last trace event. */
    uint64_t led_term;    /* Highest term that it led and that was judged. */
    uint64_t lead_said;
    uint64_t term_said;
    bool leads;
    bool awake;          /* This life of it took part: it is not reading its log any more. */
    uint32_t reluctance; /* Highest reluctant_factor that it was ever given. */
    bool sync_said;      /* A session ended: look at what it held. */
    struct duty duty;
    uint64_t counts[MORTAR_TRACE_KINDS];
};

/* Opens a replica in `replica`, whose sim, number, name, id and options are set. It founds the
 * group or joins it. */
void replica_open(struct replica *replica, bool founds);
/* Starts its process again, over what its disk holds. It must have CRASHED. */
void replica_restart(struct replica *replica);
/* Ends its process in good order. Requests that it held are lost. */
void replica_close(struct replica *replica, enum replica_state state);
/* Ends its process at once; `loss` says what its disk keeps of the writes under way. */
void replica_crash(struct replica *replica, enum virtual_log_loss loss);
/* True if it is the same member when it comes back: it runs, or its disk waits for it. */
bool replica_keeps_disk(const struct replica *replica);
/* Stops its clock until then, and lets it fall behind for good. */
void replica_stop_clock(struct replica *replica, uint64_t until_us);
/* Frees what is left; all frames are gone by now. Blocks still in use fail the run. */
void replica_deinit(struct replica *replica);

/* Flushes, carries out all effects, and lets the judges look. After each event. */
void replica_settle(struct replica *replica);

void replica_link(struct replica *replica, const struct replica *other, enum mortar_lane lane,
                  bool up);
/* A frame arrived whole; `frame` is borrowed. What the core answered. */
enum mortar_status replica_frame(struct replica *replica, const struct replica *from,
                                 enum mortar_lane lane, struct mortar_buffer *frame);

uint64_t replica_now_ms(const struct replica *replica);
bool replica_is_paused(const struct replica *replica);
/* Pauses the whole process until then: what is for it waits in the order in which it came. */
void replica_pause(struct replica *replica, uint64_t until_us);

static inline bool replica_is_live(const struct replica *replica)
{
    return replica->state == REPLICA_LIVE;
}

#endif
