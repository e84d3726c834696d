/* wire/bond_handshake.c - the machine of bond_handshake.h.
 *
 * What a proof is made of, 186 bytes:
 *
 *   offset  size  field
 *        0    20  label "mortar bond proof 1", with its closing zero
 *       20     1  role of who proves: 1 initiator, 2 responder
 *       21    32  peer id of the initiator
 *       53    32  peer id of the responder
 *       85    32  group id, as the initiator sent it
 *      117    32  group id, as the responder sent it
 *      149     1  lane
 *      150     4  generation of the key
 *      154    32  TLS exporter
 */
#include "wire/bond_handshake.h"

#include "base/assert.h"
#include "wire/bond_text.h"

#define PROOF_MESSAGE_BYTES 186u
#define ROLE_INITIATOR      1u
#define ROLE_RESPONDER      2u

static const char proof_label[] = "mortar bond proof 1";

_Static_assert(sizeof proof_label + 1 + 4 * 32 + 1 + 4 + BOND_EXPORTER_BYTES == PROOF_MESSAGE_BYTES,
               "the table above is the whole message");

void bond_handshake_init(struct bond_handshake *handshake,
                         const struct bond_handshake_options *options)
{
    ASSERT(options->key_count >= 1 && options->key_count <= BOND_KEYS_MAX);
    ASSERT(options->crypto.hmac != NULL);
    *handshake = (struct bond_handshake){.options = *options, .state = BOND_WAIT_HELLO};
    struct bond_handshake_options *const own = &handshake->options;
    if (own->version_min == 0) own->version_min = WIRE_VERSION_MIN;
    if (own->version_max == 0) own->version_max = WIRE_VERSION_MAX;
    ASSERT(own->version_min <= own->version_max);
}

static void end_frame(const struct bond_handshake *handshake, struct writer *out, size_t place,
                      enum bond_type type)
{
    frame_end(out, place, BOND_FRAME_VERSION, handshake->options.lane, (uint8_t)type, 0);
    ASSERT(!out->failed); /* The owner gives BOND_STEP_BYTES_MAX. */
}

static void send_hello(const struct bond_handshake *handshake, struct writer *out)
{
    const struct bond_handshake_options *const options = &handshake->options;
    struct bond_hello hello = {
        .version_min = options->version_min,
        .version_max = options->version_max,
        .lane = options->lane,
        .group = options->group,
        .member = options->self,
        .key_count = options->key_count,
    };
    memcpy(hello.boot_nonce, options->boot_nonce, sizeof hello.boot_nonce);
    for (uint32_t i = 0; i < options->key_count; i++) {
        hello.generations[i] = options->keys[i].generation;
    }
    const size_t place = frame_begin(out);
    bond_hello_encode(&hello, out);
    end_frame(handshake, out, place, BOND_HELLO);
}

static void send_proof(const struct bond_handshake *handshake, const struct bond_proof *proof,
                       struct writer *out)
{
    const size_t place = frame_begin(out);
    bond_proof_encode(proof, out);
    end_frame(handshake, out, place, BOND_PROOF);
}

static void send_names(const struct bond_handshake *handshake, struct writer *out)
{
    const size_t place = frame_begin(out);
    bond_names_encode(&handshake->options.names, out);
    end_frame(handshake, out, place, BOND_NAMES);
}

static void send_welcome(const struct bond_handshake *handshake, struct writer *out)
{
    const size_t place = frame_begin(out);
    bond_members_encode(&handshake->options.known, out);
    end_frame(handshake, out, place, BOND_WELCOME);
}

/* Ends the link with one reason, told to both sides: `here` is what this side logs. */
static void refuse(struct bond_handshake *handshake, const struct bond_refuse *here,
                   const struct bond_refuse *there, struct writer *out)
{
    handshake->state = BOND_REFUSED;
    handshake->refusal = *here;
    handshake->refused_there = false;
    const size_t place = frame_begin(out);
    bond_refuse_encode(there, out);
    end_frame(handshake, out, place, BOND_REFUSE);
}

/* As refuse(), for a text that both sides can read alike. */
static void refuse_alike(struct bond_handshake *handshake, enum mortar_status status,
                         const char *text, struct writer *out)
{
    struct bond_refuse refusal = {.status = status};
    bond_text_plain(refusal.text, text);
    refuse(handshake, &refusal, &refusal, out);
}

static void refuse_protocol(struct bond_handshake *handshake, const char *what, uint8_t type,
                            struct writer *out)
{
    struct bond_refuse refusal = {.status = MORTAR_E_PROTOCOL};
    bond_text_frame(refusal.text, what, type);
    refuse(handshake, &refusal, &refusal, out);
}

void bond_handshake_start(struct bond_handshake *handshake, struct writer *out)
{
    ASSERT(handshake->state == BOND_WAIT_HELLO);
    if (handshake->options.initiator) send_hello(handshake, out);
}

/* The newest key that both sides hold; NULL when there is none. */
static const struct bond_key *common_key(const struct bond_handshake *handshake)
{
    const struct bond_hello *const there = &handshake->hello_there;
    for (uint32_t i = 0; i < handshake->options.key_count; i++) {
        for (uint32_t j = 0; j < there->key_count; j++) {
            const struct bond_key *const key = &handshake->options.keys[i];
            if (key->generation == there->generations[j]) return key;
        }
    }
    return NULL;
}

/* The code by which the initiator (else the responder) proves that it knows `key`. */
static enum mortar_status proof_code(const struct bond_handshake *handshake,
                                     const struct bond_key *key, bool of_initiator,
                                     uint8_t out_code[BOND_CODE_BYTES])
{
    const struct bond_handshake_options *const here = &handshake->options;
    const struct bond_hello *const there = &handshake->hello_there;
    const bool first = here->initiator; /* Whether the initiator's fields are ours. */
    const uint8_t *const peers[2] = {here->self.peer.bytes, there->member.peer.bytes};
    const uint8_t *const groups[2] = {here->group.bytes, there->group.bytes};
    uint8_t message[PROOF_MESSAGE_BYTES];
    struct writer out = writer_over(message, sizeof message);
    put_copy(&out, proof_label, sizeof proof_label);
    put_u8(&out, of_initiator ? ROLE_INITIATOR : ROLE_RESPONDER);
    put_copy(&out, peers[first ? 0 : 1], 32);
    put_copy(&out, peers[first ? 1 : 0], 32);
    put_copy(&out, groups[first ? 0 : 1], 32);
    put_copy(&out, groups[first ? 1 : 0], 32);
    put_u8(&out, (uint8_t)here->lane);
    put_u32(&out, key->generation);
    put_copy(&out, here->exporter, sizeof here->exporter);
    ASSERT(!out.failed && out.bytes == sizeof message);
    return here->crypto.hmac(here->crypto.context,
                             (struct mortar_bytes){key->bytes, sizeof key->bytes},
                             (struct mortar_bytes){message, sizeof message}, out_code);
}

/* In a time that does not depend on where they differ. */
static bool codes_equal(const uint8_t *a, const uint8_t *b)
{
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < BOND_CODE_BYTES; i++)
        difference |= (uint8_t)(a[i] ^ b[i]);
    return difference == 0;
}

/* Writes our proof, by the newest common key. False: the link was refused instead. */
static bool prove(struct bond_handshake *handshake, struct writer *out)
{
    const struct bond_key *const key = common_key(handshake);
    if (key == NULL) {
        refuse_alike(handshake, MORTAR_E_KEY, "key", out);
        return false;
    }
    struct bond_proof proof = {.generation = key->generation};
    const enum mortar_status status =
        proof_code(handshake, key, handshake->options.initiator, proof.code);
    if (status != MORTAR_OK) {
        refuse_alike(handshake, status, "the proof could not be computed", out);
        return false;
    }
    send_proof(handshake, &proof, out);
    return true;
}

/* What can be said of a HELLO before any proof: whether it is this node's own, and whether it
 * agrees with what TLS and the connection have shown. True: nothing is wrong. */
static bool hello_agrees(struct bond_handshake *handshake, const struct bond_hello *hello,
                         struct writer *out)
{
    const struct bond_handshake_options *const here = &handshake->options;
    const struct mortar_peer_id *const peer = &hello->member.peer;
    if (memcmp(peer->bytes, here->tls_peer.bytes, sizeof peer->bytes) != 0) {
        refuse_alike(handshake, MORTAR_E_PROTOCOL, "the member id is not of the TLS peer", out);
        return false;
    }
    if (hello->lane != here->lane) {
        refuse_alike(handshake, MORTAR_E_PROTOCOL, "the hello is for another lane", out);
        return false;
    }
    if (memcmp(peer->bytes, here->self.peer.bytes, sizeof peer->bytes) != 0) return true;
    const bool same_process =
        mortar_member_id_equal(&hello->member, &here->self) &&
        memcmp(hello->boot_nonce, here->boot_nonce, sizeof hello->boot_nonce) == 0;
    if (same_process) {
        refuse_alike(handshake, MORTAR_E_SELF, "the address leads back to this node", out);
    } else {
        refuse_alike(handshake, MORTAR_E_COPIED, "both ends use the same identity", out);
    }
    return false;
}

/* Finds the version to speak. False: refused. */
static bool agree_on_version(struct bond_handshake *handshake, struct mortar_bytes payload,
                             struct writer *out)
{
    const struct bond_handshake_options *const here = &handshake->options;
    const struct bond_range ours = {here->version_min, here->version_max};
    uint16_t min;
    uint16_t max;
    if (bond_hello_versions(payload, &min, &max) != MORTAR_OK) {
        refuse_protocol(handshake, "malformed", BOND_HELLO, out);
        return false;
    }
    const struct bond_range theirs = {min, max};
    if (theirs.max < ours.min || theirs.min > ours.max) {
        struct bond_refuse at_us = {.status = MORTAR_E_VERSION};
        struct bond_refuse at_them = {.status = MORTAR_E_VERSION};
        bond_text_ranges(at_us.text, "wire format", ours, theirs);
        bond_text_ranges(at_them.text, "wire format", theirs, ours);
        refuse(handshake, &at_us, &at_them, out);
        return false;
    }
    handshake->peer.version = max < here->version_max ? max : here->version_max;
    return true;
}

static void on_hello(struct bond_handshake *handshake, struct mortar_bytes payload,
                     struct writer *out)
{
    struct bond_hello hello;
    if (!agree_on_version(handshake, payload, out)) return;
    if (bond_hello_decode(payload, &hello) != MORTAR_OK) {
        refuse_protocol(handshake, "malformed", BOND_HELLO, out);
        return;
    }
    if (!hello_agrees(handshake, &hello, out)) return;
    handshake->hello_there = hello;
    handshake->peer.member = hello.member;
    memcpy(handshake->peer.boot_nonce, hello.boot_nonce, sizeof hello.boot_nonce);
    if (!handshake->options.initiator) {
        send_hello(handshake, out);
    } else if (!prove(handshake, out)) {
        return;
    }
    handshake->state = BOND_WAIT_PROOF;
}

/* Whether `proof` holds. False: refused, with no word but "key" for a proof that does not. */
static bool proof_holds(struct bond_handshake *handshake, const struct bond_proof *proof,
                        struct writer *out)
{
    const struct bond_key *key = NULL;
    for (uint32_t i = 0; i < handshake->options.key_count; i++) {
        if (handshake->options.keys[i].generation == proof->generation) {
            key = &handshake->options.keys[i];
        }
    }
    uint8_t expected[BOND_CODE_BYTES] = {0};
    const enum mortar_status status =
        key == NULL ? MORTAR_E_KEY
                    : proof_code(handshake, key, !handshake->options.initiator, expected);
    if (status != MORTAR_OK && status != MORTAR_E_KEY) {
        refuse_alike(handshake, status, "the proof could not be computed", out);
        return false;
    }
    if (status == MORTAR_E_KEY || !codes_equal(expected, proof->code)) {
        refuse_alike(handshake, MORTAR_E_KEY, "key", out);
        return false;
    }
    return true;
}

static void on_proof(struct bond_handshake *handshake, struct mortar_bytes payload,
                     struct writer *out)
{
    struct bond_proof proof;
    if (bond_proof_decode(payload, &proof) != MORTAR_OK) {
        refuse_protocol(handshake, "malformed", BOND_PROOF, out);
        return;
    }
    if (!proof_holds(handshake, &proof, out)) return;
    handshake->peer.generation = proof.generation;
    if (!handshake->options.initiator && !prove(handshake, out)) return;
    send_names(handshake, out);
    handshake->state = BOND_WAIT_NAMES;
}

static bool bytes_are_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

/* Why two groups are not one, as `here` sees it; MORTAR_OK when they are. The names come first, as
 * they say most; the id is asked in the end for what no name shows. */
static enum mortar_status names_differ(const struct bond_names *here,
                                       const struct bond_names *there, bool groups_equal,
                                       char *out_text)
{
    const struct bond_range versions_here = {here->machine_version_min, here->machine_version_max};
    const struct bond_range versions_there = {there->machine_version_min,
                                              there->machine_version_max};
    if (strcmp(here->network, there->network) != 0) {
        bond_text_names(out_text, "network", here->network, there->network);
        return MORTAR_E_NETWORK;
    }
    if (strcmp(here->machine, there->machine) != 0 || here->machine_epoch != there->machine_epoch) {
        bond_text_epochs(out_text, "machine",
                         (struct bond_name){here->machine, here->machine_epoch},
                         (struct bond_name){there->machine, there->machine_epoch});
        return MORTAR_E_MACHINE;
    }
    if (strcmp(here->sync, there->sync) != 0 || here->sync_epoch != there->sync_epoch) {
        bond_text_epochs(out_text, "sync", (struct bond_name){here->sync, here->sync_epoch},
                         (struct bond_name){there->sync, there->sync_epoch});
        return MORTAR_E_SYNC;
    }
    if (!groups_equal) {
        bond_text_plain(out_text, "birth key: all names are equal, the group ids differ");
        return MORTAR_E_KEY;
    }
    if (versions_there.max < versions_here.min || versions_there.min > versions_here.max) {
        bond_text_ranges(out_text, "machine", versions_here, versions_there);
        return MORTAR_E_VERSION;
    }
    if (!bytes_are_zero(here->birth.bytes, sizeof here->birth.bytes) &&
        !bytes_are_zero(there->birth.bytes, sizeof there->birth.bytes) &&
        memcmp(here->birth.bytes, there->birth.bytes, sizeof here->birth.bytes) != 0) {
        bond_text_births(out_text, &here->birth, &there->birth);
        return MORTAR_E_BIRTH;
    }
    return MORTAR_OK;
}

static void on_names(struct bond_handshake *handshake, struct mortar_bytes payload,
                     struct writer *out)
{
    const struct bond_names *const here = &handshake->options.names;
    struct bond_names *const there = &handshake->peer.names;
    if (bond_names_decode(payload, there) != MORTAR_OK) {
        refuse_protocol(handshake, "malformed", BOND_NAMES, out);
        return;
    }
    const bool groups_equal =
        memcmp(handshake->options.group.bytes, handshake->hello_there.group.bytes,
               sizeof handshake->options.group.bytes) == 0;
    struct bond_refuse at_us = {.status = MORTAR_OK};
    struct bond_refuse at_them = {.status = MORTAR_OK};
    at_us.status = names_differ(here, there, groups_equal, at_us.text);
    at_them.status = names_differ(there, here, groups_equal, at_them.text);
    ASSERT(at_us.status == at_them.status);
    if (at_us.status != MORTAR_OK) {
        refuse(handshake, &at_us, &at_them, out);
        return;
    }
    send_welcome(handshake, out);
    handshake->state = BOND_WAIT_WELCOME;
}

static void on_welcome(struct bond_handshake *handshake, struct mortar_bytes payload,
                       struct writer *out)
{
    if (bond_members_decode(payload, &handshake->peer.known) != MORTAR_OK) {
        refuse_protocol(handshake, "malformed", BOND_WELCOME, out);
        return;
    }
    handshake->state = BOND_DONE;
}

/* The peer ends it. Nothing is answered: the link closes. */
static void on_refuse(struct bond_handshake *handshake, struct mortar_bytes payload,
                      struct writer *out)
{
    struct bond_refuse refusal;
    if (bond_refuse_decode(payload, &refusal) != MORTAR_OK) {
        refuse_protocol(handshake, "malformed", BOND_REFUSE, out);
        return;
    }
    handshake->state = BOND_REFUSED;
    handshake->refusal = refusal;
    handshake->refused_there = true;
}

enum bond_state bond_handshake_receive(struct bond_handshake *handshake, uint8_t type,
                                       struct mortar_bytes payload, struct writer *out)
{
    const enum bond_state state = handshake->state;
    ASSERT(state != BOND_DONE && state != BOND_REFUSED);
    if (type == BOND_REFUSE) {
        on_refuse(handshake, payload, out);
    } else if (state == BOND_WAIT_HELLO && type == BOND_HELLO) {
        on_hello(handshake, payload, out);
    } else if (state == BOND_WAIT_PROOF && type == BOND_PROOF) {
        on_proof(handshake, payload, out);
    } else if (state == BOND_WAIT_NAMES && type == BOND_NAMES) {
        on_names(handshake, payload, out);
    } else if (state == BOND_WAIT_WELCOME && type == BOND_WELCOME) {
        on_welcome(handshake, payload, out);
    } else {
        refuse_protocol(handshake, "unexpected", type, out);
    }
    return handshake->state;
}

void bond_handshake_refuse(struct bond_handshake *handshake, enum mortar_status status,
                           const char *text, struct writer *out)
{
    ASSERT(handshake->state != BOND_REFUSED);
    refuse_alike(handshake, status, text, out);
}
