/* wire/message.h - what members of one group say to each other; one struct and codec each.
 *
 * Every message has its own file pair (wire/vote.c, wire/append.c, ...) that opens with its format
 * table. All messages of the control lane from a leader carry its term, so each counts as a
 * heartbeat (C8). The sender is the bond's peer and does not stand in the message.
 *
 * Memory:  encoders write to a bounded writer; decoded byte strings borrow from the input.
 * Errors:  decoders accept any bytes: MORTAR_E_CORRUPT, output untouched.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "base/cursor.h"
#include "mortar/types.h"

enum message_type {
    MESSAGE_VOTE_REQUEST = 1,
    MESSAGE_VOTE_REPLY = 2,
    MESSAGE_APPEND_REQUEST = 3,
    MESSAGE_APPEND_REPLY = 4,
    MESSAGE_READ_REQUEST = 5,
    MESSAGE_READ_REPLY = 6,
    MESSAGE_FORWARD_REQUEST = 7,
    MESSAGE_FORWARD_REPLY = 8,
    MESSAGE_JOIN_REQUEST = 9,
    MESSAGE_JOIN_REPLY = 10,
    MESSAGE_SYNC = 11,
    MESSAGE_LEASE = 12,
    MESSAGE_PART = 13,
#ifdef MORTAR_WIRE_NEXT
    MESSAGE_ECHO = 14, /* From WIRE_VERSION_NEXT on. */
#endif
    MESSAGE_TIMEOUT_NOW = 15
};

/* Thesis 3.4, 9.6 (pre-vote). 26 bytes: term 8, last 16 (index, term), pre 1, transfer 1. */
struct vote_request {
    uint64_t term;               /* Of the election; for a pre-vote the term that would follow. */
    struct mortar_position last; /* The candidate's voting position (C12). */
    bool pre;
    bool transfer; /* Asked for by a leader that hands over: stickiness does not apply. */
};

/* 10 bytes: term 8, pre 1, granted 1. */
struct vote_reply {
    uint64_t term; /* The voter's; for a granted pre-vote the term asked about. */
    bool pre;
    bool granted;
};

/* Thesis 3.10: the leader of `term` asks the receiver to stand for election at once. 8 bytes. */
struct timeout_now {
    uint64_t term;
};

/* Thesis 3.5. Header 125 bytes, then a run of records (wire/record.h), at most a frame's worth;
 * larger ones are cut into parts. An append without entries is a heartbeat. */
struct append_request {
    uint64_t term;
    struct mortar_position prev;
    uint64_t commit_index;
    struct mortar_anchor_point vouched; /* A committed position of the leader's log, and its sum. */
    uint64_t round;    /* Read-index rounds (6.4): the reply echoes the highest seen. */
    uint64_t sync_id;  /* 0, or the number of the episode: progress is SYNC (design 6.2). */
    bool tail_restart; /* In SYNC: prev is a new base of the tail. */
    bool quiet;        /* Without entries: only word of what is committed; asks for no answer. */
    struct mortar_anchor_point tail_base; /* In SYNC: where the live tail begins; else zero. */
    uint64_t sent_ms;                     /* The leader's log clock, for idle followers. */
    uint32_t count;                       /* Entries in `entries`; 0 for a heartbeat. */
    struct mortar_bytes entries;          /* Borrowed. */
};

enum append_outcome {
    APPEND_MATCHED = 1,  /* match_index is durable and equal to the leader's log. */
    APPEND_MISMATCH = 2, /* prev is not in the log: hint says where to try (fast back-up). */
    APPEND_SYNCING = 3   /* A session runs; tail_index is what the tail range holds. */
};

/* 90 bytes; 98 from WIRE_VERSION_NEXT on. */
struct append_reply {
    uint64_t term;
    enum append_outcome outcome;
    uint64_t match_index;        /* MATCHED: durable up to here. */
    struct mortar_position last; /* End of the follower's log. */
    struct mortar_position hint; /* MISMATCH: its last entry with index <= prev.index and
                                    term <= prev.term (thesis 3.5, back-up by term). */
    uint64_t first_missing;      /* Index of the first entry that it lacks, as far as it knows. */
    uint64_t round;
    uint64_t sync_id;
    uint64_t tail_index; /* SYNCING: last index in the tail range; 0: no tail yet. */
    uint64_t commit_index;
    bool whole; /* Complete, with no session running (design 7). */
#ifdef MORTAR_WIRE_NEXT
    uint64_t heard; /* Control frames that came over this link. Versions before it: 0. */
#endif
};

/* 8 bytes. A follower asks the leader for a read index (thesis 6.4). */
struct read_request {
    uint64_t id;
};

/* 18 bytes: id 8, status 2, index 8. */
struct read_reply {
    uint64_t id;
    enum mortar_status status; /* OK, NOT_LEADER, BUSY, TIMEOUT. */
    uint64_t index;
};

enum forward_kind {
    FORWARD_EXECUTE = 1,        /* Commands; answered when the last of them is applied. */
    FORWARD_FEED = 2,           /* Commands; answered when positions are assigned. */
    FORWARD_CHANGE = 3,         /* config_change records. */
    FORWARD_CLIENT = 4,         /* A client_entry (wire/client.h); answered when it is applied. */
    FORWARD_CLIENT_COMMAND = 5, /* A client_command; likewise. */
    FORWARD_TRANSFER = 6 /* One member id: whom the leader is to hand over to; zero: anyone. */
};

/* 17 bytes, then `count` items, each 4 bytes length and the bytes. */
struct forward_request {
    uint64_t id;
    enum forward_kind kind;
    uint32_t timeout_ms;
    uint32_t count;            /* 1..FORWARD_COUNT_MAX */
    struct mortar_bytes items; /* Borrowed; validated: exactly `count` items. */
};
#define FORWARD_COUNT_MAX 65536u

/* 46 bytes, then `count` replies in the same shape (EXECUTE; 0 for the others). */
struct forward_reply {
    uint64_t id;
    enum mortar_status status;
    struct mortar_position first;
    struct mortar_position last;
    uint32_t count;
    struct mortar_bytes items;
};

/* A node with the group's key asks to become a learner. 52 bytes, then the address. */
struct join_request {
    bool observer;
    struct mortar_member_id replaces; /* Whose place it is to take; all zero: nobody's. */
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
};

/* 4 bytes and a leader id (48), zero when unknown. OK: the member stands in the leader's
 * configuration; NOT_LEADER: ask `leader`; REMOVED: refused for ever. */
struct join_reply {
    enum mortar_status status;
    struct mortar_member_id leader;
};

/* A message of a sync method. 25 bytes, then the method's bytes (left out when bytes.data is NULL:
 * the caller sends them behind). The encoder writes `checksum` as given, the decoder checks it. */
struct sync_message {
    uint64_t session;  /* The session that asked, or is answered; 0: neither. */
    uint64_t sequence; /* Per sender; the receiver refuses duplicates. */
    uint64_t checksum; /* sync_message_checksum(bytes). */
    bool to_session;   /* An answer; else for the provider first. */
    struct mortar_bytes bytes;
};

/* The session's heartbeat to all members (C9): keeps the log from `from_index` on. 41 bytes. */
struct lease {
    uint64_t session;
    uint64_t from_index; /* First entry that must not be pruned. */
    uint64_t bytes_max;  /* Most that the lease may hold back. */
    uint64_t duration_ms;
    uint64_t term; /* The sender's; for the story only. */
    bool ended;
};

/* A piece of a message too long for one control frame (C8). 26 bytes, then the piece (left out when
 * bytes.data is NULL: the caller sends it behind). */
struct part {
    uint64_t term;   /* The sender's current term, so that parts count as heartbeats. */
    uint64_t number; /* Of the whole message; parts of one message come in order. */
    uint32_t total_bytes;
    uint32_t offset;
    uint8_t inner_type;
    bool from_leader; /* The sender leads `term`. */
    struct mortar_bytes bytes;
};

#ifdef MORTAR_WIRE_NEXT
/* 9 bytes. Asks for the same number back. */
struct echo {
    uint64_t number;
    bool answer;
};
void echo_encode(const struct echo *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status echo_decode(struct mortar_bytes in, struct echo *out);
#define ECHO_BYTES 9u
#endif

/* `version` is the one of the frame, where a format depends on it. */
void vote_request_encode(const struct vote_request *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status vote_request_decode(struct mortar_bytes in,
                                                        struct vote_request *out);
void vote_reply_encode(const struct vote_reply *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status vote_reply_decode(struct mortar_bytes in,
                                                      struct vote_reply *out);
void timeout_now_encode(const struct timeout_now *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status timeout_now_decode(struct mortar_bytes in,
                                                       struct timeout_now *out);
/* Writes the fixed part and, when entries.data is not NULL, the entries. */
void append_request_encode(const struct append_request *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status append_request_decode(struct mortar_bytes in,
                                                          struct append_request *out);
void append_reply_encode(const struct append_reply *message, uint16_t version, struct writer *out);
MORTAR_NODISCARD enum mortar_status append_reply_decode(struct mortar_bytes in, uint16_t version,
                                                        struct append_reply *out);
void read_request_encode(const struct read_request *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status read_request_decode(struct mortar_bytes in,
                                                        struct read_request *out);
void read_reply_encode(const struct read_reply *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status read_reply_decode(struct mortar_bytes in,
                                                      struct read_reply *out);
void forward_request_encode(const struct forward_request *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status forward_request_decode(struct mortar_bytes in,
                                                           struct forward_request *out);
void forward_reply_encode(const struct forward_reply *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status forward_reply_decode(struct mortar_bytes in,
                                                         struct forward_reply *out);
/* One item of a forwarded call: 4 bytes length and the bytes. forward_item_get() fails the reader
 * at a length beyond what is left; it never does so on items that a decoder has let through. */
void forward_item_put(struct writer *out, struct mortar_bytes item);
struct mortar_bytes forward_item_get(struct reader *items);
void join_request_encode(const struct join_request *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status join_request_decode(struct mortar_bytes in,
                                                        struct join_request *out);
void join_reply_encode(const struct join_reply *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status join_reply_decode(struct mortar_bytes in,
                                                      struct join_reply *out);
uint64_t sync_message_checksum(struct mortar_bytes bytes);
void sync_message_encode(const struct sync_message *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status sync_message_decode(struct mortar_bytes in,
                                                        struct sync_message *out);
/* The same, without the checksum: for bytes that were decoded once already. */
MORTAR_NODISCARD enum mortar_status sync_message_view(struct mortar_bytes in,
                                                      struct sync_message *out);
void lease_encode(const struct lease *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status lease_decode(struct mortar_bytes in, struct lease *out);
void part_encode(const struct part *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status part_decode(struct mortar_bytes in, struct part *out);

/* Bytes of the fixed part of each, for reserving the frame. */
#define VOTE_REQUEST_BYTES   26u
#define VOTE_REPLY_BYTES     10u
#define TIMEOUT_NOW_BYTES    8u
#define APPEND_REQUEST_BYTES 125u
#define APPEND_REPLY_BYTES   90u
#ifdef MORTAR_WIRE_NEXT
#define APPEND_REPLY_BYTES_MAX (APPEND_REPLY_BYTES + 8u)
#else
#define APPEND_REPLY_BYTES_MAX APPEND_REPLY_BYTES
#endif
#define READ_REQUEST_BYTES    8u
#define READ_REPLY_BYTES      18u
#define FORWARD_REQUEST_BYTES 17u
#define FORWARD_REPLY_BYTES   46u
#define FORWARD_ITEM_BYTES    4u
#define JOIN_REQUEST_BYTES    52u
#define JOIN_REPLY_BYTES      52u
#define SYNC_MESSAGE_BYTES    25u
#define LEASE_BYTES           41u
#define PART_BYTES            26u

const char *message_type_name(enum message_type type);

#endif
