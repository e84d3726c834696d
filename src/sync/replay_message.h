/* sync/replay_message.h - what the companions of log replay say to each other.
 *
 * All little-endian, first byte the type. Requests go to providers, answers to the session that
 * asked. Formats, version 1 (point: index 8, term 8, log sum 16; position: index 8, term 8):
 *
 *   AVAILABILITY_REQUEST    1   type
 *   AVAILABILITY           66   type, leads 1, term 8, base position 16, end point 32, bytes 8
 *   MATCH_REQUEST       6 + n   type, id 4, count 1 (1..64), count x (index 8, log sum 16),
 *                               indexes rising
 *   MATCH                  86   type, id 4, leads 1, term 8, base point 32, last position 16,
 *                               commit position 16, agreed index 8 (0: none)
 *   PLAN_REQUEST           27   type, id 4, from 8, to 8, batch_bytes 4, count_max 2
 *   PLAN               96 + n   type, id 4, leads 1, term 8, base point 32, commit position 16,
 *                               after point 32 (zero: not held), count 2 (0..256),
 *                               count x (point 32, bytes 4), indexes rising, terms not falling
 *   FETCH                  25   type, id 4, first 8, last 8, bytes 4
 *   ENTRIES            25 + n   type, id 4, first 8, last 8, count 4, run (bulk lane)
 *   REFUSED                 6   type, id 4, reason 1
 *   CANCEL                 17   type, first 8, last 8
 *
 * Memory:  encoders write to a bounded writer; decoded lists and runs borrow from the input.
 * Threads: plain values.
 * Errors:  decoders accept any bytes: MORTAR_E_CORRUPT, output untouched.
 */
#ifndef SYNC_REPLAY_MESSAGE_H
#define SYNC_REPLAY_MESSAGE_H

#include "base/cursor.h"
#include "mortar/types.h"

enum replay_type {
    REPLAY_AVAILABILITY_REQUEST = 1,
    REPLAY_AVAILABILITY = 2,
    REPLAY_MATCH_REQUEST = 3,
    REPLAY_MATCH = 4,
    REPLAY_PLAN_REQUEST = 5,
    REPLAY_PLAN = 6,
    REPLAY_FETCH = 7,
    REPLAY_ENTRIES = 8,
    REPLAY_REFUSED = 9,
    REPLAY_CANCEL = 10
};

#define REPLAY_MATCH_POINTS_MAX 64u
#define REPLAY_PLAN_POINTS_MAX  256u

/* Sizes of the fixed parts, and of one element of the lists behind them. */
#define REPLAY_AVAILABILITY_REQUEST_BYTES 1u
#define REPLAY_AVAILABILITY_BYTES         66u
#define REPLAY_MATCH_REQUEST_BYTES        6u
#define REPLAY_MATCH_POINT_BYTES          24u
#define REPLAY_MATCH_BYTES                86u
#define REPLAY_PLAN_REQUEST_BYTES         27u
#define REPLAY_PLAN_BYTES                 96u
#define REPLAY_PLAN_POINT_BYTES           36u
#define REPLAY_FETCH_BYTES                25u
#define REPLAY_ENTRIES_BYTES              25u
#define REPLAY_REFUSED_BYTES              6u
#define REPLAY_CANCEL_BYTES               17u
/* Of any message of the control lane. */
#define REPLAY_CONTROL_BYTES_MAX                                                                   \
    (REPLAY_PLAN_BYTES + REPLAY_PLAN_POINTS_MAX * REPLAY_PLAN_POINT_BYTES)

/* What a member can serve: committed entries only. */
struct replay_availability {
    bool leads;
    uint64_t term;
    struct mortar_position base;    /* It holds what lies above. */
    struct mortar_anchor_point end; /* The last entry that it offers; not before `base`. */
    uint64_t bytes;                 /* Of all that it holds, about. */
};

/* Asks which of these places of the sender's log stand in the receiver's log too. */
struct replay_match_request {
    uint32_t id;
    uint8_t count;
    struct mortar_bytes points; /* count x REPLAY_MATCH_POINT_BYTES; replay_match_point(). */
};

struct replay_match {
    uint32_t id;
    bool leads;
    uint64_t term;
    struct mortar_anchor_point base;
    struct mortar_position last;
    struct mortar_position commit;
    uint64_t agreed; /* The highest index asked about whose sums agree; 0: none. */
};

/* Asks for the log's sums about every batch_bytes from `from` (which is held) to `to`. */
struct replay_plan_request {
    uint32_t id;
    uint64_t from;
    uint64_t to;
    uint32_t batch_bytes;
    uint16_t count_max;
};

struct replay_plan {
    uint32_t id;
    bool leads; /* False: a source's word, not that of the leader. */
    uint64_t term;
    struct mortar_anchor_point base;
    struct mortar_position commit;
    struct mortar_anchor_point after; /* The point at `from`; zero when that is not held. */
    uint16_t count;
    struct mortar_bytes points; /* replay_plan_point(). */
};

/* The end of one range of a plan, and the bytes of its records. */
struct replay_plan_point {
    struct mortar_anchor_point end;
    uint32_t bytes;
};

struct replay_fetch {
    uint32_t id; /* Counted per source, from 1. */
    uint64_t first;
    uint64_t last;
    uint32_t bytes; /* What the records take, by the plan. */
};

struct replay_entries {
    uint32_t id;
    uint64_t first;
    uint64_t last;
    uint32_t count; /* last - first + 1 */
    struct mortar_bytes run;
};

enum replay_refusal {
    REPLAY_NOT_HELD = 1, /* Pruned, or never there. */
    REPLAY_BUSY = 2,     /* Too much is being served already. */
    REPLAY_TOO_FAR = 3,  /* Beyond what is known to be committed. */
    REPLAY_TOO_LARGE = 4 /* The range takes more bytes than were asked for. */
};

struct replay_refused {
    uint32_t id;
    enum replay_refusal reason;
};

/* What the session asked for within first..last it wants no more. All there is, from 1 to
 * UINT64_MAX: the session has ended, what still comes from it is late. */
struct replay_cancel {
    uint64_t first;
    uint64_t last;
};

/* The type of a message: its first byte; 0 for an empty one. Not validated. */
uint8_t replay_message_type(struct mortar_bytes message);

void replay_availability_request_encode(struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_availability_request_decode(struct mortar_bytes in);
void replay_availability_encode(const struct replay_availability *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_availability_decode(struct mortar_bytes in,
                                                               struct replay_availability *out);
/* Writes the fixed part; the caller writes message->count points behind it. */
void replay_match_request_encode(const struct replay_match_request *message, struct writer *out);
void replay_match_point_encode(uint64_t index, struct mortar_log_sum sum, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_match_request_decode(struct mortar_bytes in,
                                                                struct replay_match_request *out);
/* The point at `place` < count of a decoded request. */
void replay_match_point(const struct replay_match_request *message, uint32_t place,
                        uint64_t *out_index, struct mortar_log_sum *out_sum);
void replay_match_encode(const struct replay_match *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_match_decode(struct mortar_bytes in,
                                                        struct replay_match *out);
void replay_plan_request_encode(const struct replay_plan_request *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_plan_request_decode(struct mortar_bytes in,
                                                               struct replay_plan_request *out);
/* Writes the fixed part; the caller writes message->count points behind it. */
void replay_plan_encode(const struct replay_plan *message, struct writer *out);
void replay_plan_point_encode(const struct replay_plan_point *point, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_plan_decode(struct mortar_bytes in,
                                                       struct replay_plan *out);
/* The point at `place` < count of a decoded plan. */
struct replay_plan_point replay_plan_point(const struct replay_plan *message, uint32_t place);
void replay_fetch_encode(const struct replay_fetch *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_fetch_decode(struct mortar_bytes in,
                                                        struct replay_fetch *out);
/* Writes the fixed part; the caller writes the run behind it. */
void replay_entries_encode(const struct replay_entries *message, struct writer *out);
/* The run's records are not looked at: mortar_log_run_verify() does that. */
MORTAR_NODISCARD enum mortar_status replay_entries_decode(struct mortar_bytes in,
                                                          struct replay_entries *out);
void replay_refused_encode(const struct replay_refused *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_refused_decode(struct mortar_bytes in,
                                                          struct replay_refused *out);
void replay_cancel_encode(const struct replay_cancel *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status replay_cancel_decode(struct mortar_bytes in,
                                                         struct replay_cancel *out);

#endif
