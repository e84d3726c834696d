/* wire/bond.h - the frames by which two members make a bond and keep it up (design 8).
 *
 * The order of the first five is in wire/bond_handshake.h. All travel within TLS, in frames of
 * version BOND_FRAME_VERSION with group 0, so that peers of any two versions can refuse each other
 * by name. PING, PONG, DEPARTURE and MEMBERS are for a bond that stands.
 *
 * Memory:  plain values; nothing is borrowed.
 * Threads: plain values.
 * Errors:  decoders accept any bytes: MORTAR_E_CORRUPT, output untouched. Texts that go to a log
 *          hold printable ASCII only.
 */
#ifndef WIRE_BOND_H
#define WIRE_BOND_H

#include "base/cursor.h"
#include "mortar/types.h"

#define BOND_FRAME_VERSION  1u
#define BOND_KEYS_MAX       4u /* Generations of the access key that are accepted at once. */
#define BOND_KEY_BYTES      32u
#define BOND_CODE_BYTES     32u /* Of an HMAC. */
#define BOND_NONCE_BYTES    16u
#define BOND_TEXT_BYTES_MAX 255u

enum bond_type {
    BOND_HELLO = 64,
    BOND_PROOF = 65,
    BOND_NAMES = 66,
    BOND_WELCOME = 67,
    BOND_REFUSE = 68,
    BOND_PING = 69,
    BOND_PONG = 70,
    BOND_DEPARTURE = 71,
    BOND_MEMBERS = 72
};

/* 120 bytes. */
struct bond_hello {
    uint16_t version_min; /* Of the wire format; 1 <= min <= max. */
    uint16_t version_max;
    enum mortar_lane lane;
    struct mortar_group_id group;
    struct mortar_member_id member;
    uint8_t boot_nonce[BOND_NONCE_BYTES]; /* Drawn at each start of the process. */
    uint32_t key_count;                   /* 1..BOND_KEYS_MAX */
    uint32_t generations[BOND_KEYS_MAX];  /* Newest first, strictly falling. */
};

/* 36 bytes. */
struct bond_proof {
    uint32_t generation;
    uint8_t code[BOND_CODE_BYTES];
};

/* What the group id is made of, in words, and what may differ within it. */
struct bond_names {
    char network[MORTAR_NAME_BYTES_MAX + 1];
    char machine[MORTAR_NAME_BYTES_MAX + 1];
    uint32_t machine_epoch;
    uint32_t machine_version_min; /* min <= max */
    uint32_t machine_version_max;
    char sync[MORTAR_NAME_BYTES_MAX + 1];
    uint32_t sync_epoch;
    struct mortar_birth_id birth; /* All zero: not known yet. */
    uint32_t feature_level;
    char address[MORTAR_ADDRESS_BYTES_MAX + 1]; /* Advertised; may be empty. */
};

/* WELCOME (whom I know) and MEMBERS (whom I came to know). */
struct bond_member {
    struct mortar_member_id id;
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
};
struct bond_members {
    uint32_t count; /* 0..MORTAR_MEMBERS_MAX */
    struct bond_member members[MORTAR_MEMBERS_MAX];
};

struct bond_refuse {
    enum mortar_status status;          /* Never MORTAR_OK. */
    char text[BOND_TEXT_BYTES_MAX + 1]; /* As the receiver sees it: "here" is the receiver. */
};

/* PING, and the PONG that returns the same two numbers. 16 bytes. */
struct bond_ping {
    uint64_t sequence;
    uint64_t sent_us; /* The sender's own clock; means nothing to the other side. */
};

/* 2 bytes. */
struct bond_departure {
    enum mortar_status reason;
};

#define BOND_HELLO_BYTES 120u
#define BOND_PROOF_BYTES 36u
#define BOND_NAMES_BYTES_MAX                                                                       \
    (3u * (2u + MORTAR_NAME_BYTES_MAX) + 36u + 2u + MORTAR_ADDRESS_BYTES_MAX)
#define BOND_MEMBERS_BYTES_MAX (2u + MORTAR_MEMBERS_MAX * (48u + 2u + MORTAR_ADDRESS_BYTES_MAX))
#define BOND_REFUSE_BYTES_MAX  (4u + BOND_TEXT_BYTES_MAX)
#define BOND_PING_BYTES        16u
#define BOND_DEPARTURE_BYTES   2u

void bond_hello_encode(const struct bond_hello *message, struct writer *out);
/* The first four bytes, the versions, never change their place. Where these do not overlap with
 * ours the rest is in a format that we do not know, so they can be read alone. */
MORTAR_NODISCARD enum mortar_status bond_hello_versions(struct mortar_bytes in, uint16_t *out_min,
                                                        uint16_t *out_max);
MORTAR_NODISCARD enum mortar_status bond_hello_decode(struct mortar_bytes in,
                                                      struct bond_hello *out);
void bond_proof_encode(const struct bond_proof *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status bond_proof_decode(struct mortar_bytes in,
                                                      struct bond_proof *out);
void bond_names_encode(const struct bond_names *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status bond_names_decode(struct mortar_bytes in,
                                                      struct bond_names *out);
void bond_members_encode(const struct bond_members *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status bond_members_decode(struct mortar_bytes in,
                                                        struct bond_members *out);
/* Characters of the text that are not printable ASCII are sent as '?'. */
void bond_refuse_encode(const struct bond_refuse *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status bond_refuse_decode(struct mortar_bytes in,
                                                       struct bond_refuse *out);
void bond_ping_encode(const struct bond_ping *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status bond_ping_decode(struct mortar_bytes in, struct bond_ping *out);
void bond_departure_encode(const struct bond_departure *message, struct writer *out);
MORTAR_NODISCARD enum mortar_status bond_departure_decode(struct mortar_bytes in,
                                                          struct bond_departure *out);

const char *bond_type_name(enum bond_type type);

#endif
