/* wire/bond.c - the frames of bonds. Little-endian, version 1. A *text* is its length, 2 bytes, and
 * its bytes, none of them zero.
 *
 * HELLO, 120 bytes:
 *
 *   offset  size  field
 *        0     2  version_min, >= 1
 *        2     2  version_max, >= version_min
 *        4     1  lane, 0 or 1
 *        5     1  key_count, 1..4
 *        6     2  zero
 *        8    32  group
 *       40    48  member (peer 32, store 16), not zero
 *       88    16  boot_nonce
 *      104    16  generations, 4 each, strictly falling; zero from key_count on
 *
 * PROOF, 36 bytes:
 *
 *   offset  size  field
 *        0     4  generation
 *        4    32  code
 *
 * NAMES:
 *
 *    size  field
 *    text  network, <= MORTAR_NAME_BYTES_MAX
 *    text  machine, <= MORTAR_NAME_BYTES_MAX
 *       4  machine_epoch
 *       4  machine_version_min, <= max
 *       4  machine_version_max
 *    text  sync, <= MORTAR_NAME_BYTES_MAX
 *       4  sync_epoch
 *      16  birth, or zero
 *       4  feature_level
 *    text  address, <= MORTAR_ADDRESS_BYTES_MAX
 *
 * WELCOME, MEMBERS:
 *
 *    size  field
 *       2  count, 0..MORTAR_MEMBERS_MAX
 *          `count` times: id 48, not zero; text address, <= MORTAR_ADDRESS_BYTES_MAX
 *
 * REFUSE:
 *
 *   offset  size  field
 *        0     2  status (mortar/status.h), not MORTAR_OK
 *        2  text  printable ASCII, <= BOND_TEXT_BYTES_MAX
 *
 * PING, PONG, 16 bytes:
 *
 *   offset  size  field
 *        0     8  sequence
 *        8     8  sent_us
 *
 * DEPARTURE, 2 bytes:
 *
 *   offset  size  field
 *        0     2  reason (mortar/status.h)
 */
#include "wire/bond.h"

#include "wire/fields.h"

static bool hello_is_sound(const struct bond_hello *message)
{
    if (message->version_min < 1 || message->version_max < message->version_min) return false;
    if (message->key_count < 1 || message->key_count > BOND_KEYS_MAX) return false;
    for (uint32_t i = 1; i < BOND_KEYS_MAX; i++) {
        const uint32_t generation = message->generations[i];
        if (i >= message->key_count && generation != 0) return false;
        if (i < message->key_count && generation >= message->generations[i - 1]) return false;
    }
    return !mortar_member_id_is_none(&message->member);
}

void bond_hello_encode(const struct bond_hello *message, struct writer *out)
{
    ASSERT(hello_is_sound(message));
    put_u16(out, message->version_min);
    put_u16(out, message->version_max);
    put_u8(out, (uint8_t)message->lane);
    put_u8(out, (uint8_t)message->key_count);
    put_u16(out, 0);
    put_copy(out, message->group.bytes, sizeof message->group.bytes);
    put_member_id(out, &message->member);
    put_copy(out, message->boot_nonce, sizeof message->boot_nonce);
    for (uint32_t i = 0; i < BOND_KEYS_MAX; i++)
        put_u32(out, message->generations[i]);
}

enum mortar_status bond_hello_versions(struct mortar_bytes in, uint16_t *out_min, uint16_t *out_max)
{
    struct reader reader = reader_over(in);
    const uint16_t min = get_u16(&reader);
    const uint16_t max = get_u16(&reader);
    if (reader.failed || min < 1 || max < min) return MORTAR_E_CORRUPT;
    *out_min = min;
    *out_max = max;
    return MORTAR_OK;
}

enum mortar_status bond_hello_decode(struct mortar_bytes in, struct bond_hello *out)
{
    struct reader reader = reader_over(in);
    struct bond_hello message = {0};
    message.version_min = get_u16(&reader);
    message.version_max = get_u16(&reader);
    message.lane = get_bool(&reader) ? MORTAR_LANE_BULK : MORTAR_LANE_CONTROL;
    message.key_count = get_u8(&reader);
    const uint16_t zero = get_u16(&reader);
    get_copy(&reader, message.group.bytes, sizeof message.group.bytes);
    get_member_id(&reader, &message.member);
    get_copy(&reader, message.boot_nonce, sizeof message.boot_nonce);
    for (uint32_t i = 0; i < BOND_KEYS_MAX; i++)
        message.generations[i] = get_u32(&reader);
    if (!reader_done(&reader) || zero != 0 || !hello_is_sound(&message)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

void bond_proof_encode(const struct bond_proof *message, struct writer *out)
{
    put_u32(out, message->generation);
    put_copy(out, message->code, sizeof message->code);
}

enum mortar_status bond_proof_decode(struct mortar_bytes in, struct bond_proof *out)
{
    struct reader reader = reader_over(in);
    struct bond_proof message = {0};
    message.generation = get_u32(&reader);
    get_copy(&reader, message.code, sizeof message.code);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

void bond_names_encode(const struct bond_names *message, struct writer *out)
{
    ASSERT(message->machine_version_min <= message->machine_version_max);
    put_text(out, message->network, MORTAR_NAME_BYTES_MAX);
    put_text(out, message->machine, MORTAR_NAME_BYTES_MAX);
    put_u32(out, message->machine_epoch);
    put_u32(out, message->machine_version_min);
    put_u32(out, message->machine_version_max);
    put_text(out, message->sync, MORTAR_NAME_BYTES_MAX);
    put_u32(out, message->sync_epoch);
    put_copy(out, message->birth.bytes, sizeof message->birth.bytes);
    put_u32(out, message->feature_level);
    put_text(out, message->address, MORTAR_ADDRESS_BYTES_MAX);
}

enum mortar_status bond_names_decode(struct mortar_bytes in, struct bond_names *out)
{
    struct reader reader = reader_over(in);
    struct bond_names message = {0};
    get_text(&reader, message.network, MORTAR_NAME_BYTES_MAX);
    get_text(&reader, message.machine, MORTAR_NAME_BYTES_MAX);
    message.machine_epoch = get_u32(&reader);
    message.machine_version_min = get_u32(&reader);
    message.machine_version_max = get_u32(&reader);
    get_text(&reader, message.sync, MORTAR_NAME_BYTES_MAX);
    message.sync_epoch = get_u32(&reader);
    get_copy(&reader, message.birth.bytes, sizeof message.birth.bytes);
    message.feature_level = get_u32(&reader);
    get_text(&reader, message.address, MORTAR_ADDRESS_BYTES_MAX);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    if (message.machine_version_min > message.machine_version_max) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

void bond_members_encode(const struct bond_members *message, struct writer *out)
{
    ASSERT(message->count <= MORTAR_MEMBERS_MAX);
    put_u16(out, (uint16_t)message->count);
    for (uint32_t i = 0; i < message->count; i++) {
        ASSERT(!mortar_member_id_is_none(&message->members[i].id));
        put_member_id(out, &message->members[i].id);
        put_text(out, message->members[i].address, MORTAR_ADDRESS_BYTES_MAX);
    }
}

enum mortar_status bond_members_decode(struct mortar_bytes in, struct bond_members *out)
{
    struct reader reader = reader_over(in);
    struct bond_members message = {0};
    message.count = get_u16(&reader);
    if (message.count > MORTAR_MEMBERS_MAX) return MORTAR_E_CORRUPT;
    for (uint32_t i = 0; i < message.count && !reader.failed; i++) {
        struct bond_member *const member = &message.members[i];
        get_member_id(&reader, &member->id);
        get_text(&reader, member->address, MORTAR_ADDRESS_BYTES_MAX);
        if (mortar_member_id_is_none(&member->id)) reader.failed = true;
    }
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

static bool is_printable(char character)
{
    return character >= ' ' && character <= '~';
}

void bond_refuse_encode(const struct bond_refuse *message, struct writer *out)
{
    ASSERT(message->status != MORTAR_OK);
    struct bond_refuse plain = *message;
    for (char *at = plain.text; *at != '\0'; at++) {
        if (!is_printable(*at)) *at = '?';
    }
    put_status(out, plain.status);
    put_text(out, plain.text, BOND_TEXT_BYTES_MAX);
}

/* The text comes from somebody who has perhaps proved nothing, and goes to logs and terminals. */
enum mortar_status bond_refuse_decode(struct mortar_bytes in, struct bond_refuse *out)
{
    struct reader reader = reader_over(in);
    struct bond_refuse message = {.status = get_status(&reader)};
    get_text(&reader, message.text, BOND_TEXT_BYTES_MAX);
    if (!reader_done(&reader) || message.status == MORTAR_OK) return MORTAR_E_CORRUPT;
    for (const char *at = message.text; *at != '\0'; at++) {
        if (!is_printable(*at)) return MORTAR_E_CORRUPT;
    }
    *out = message;
    return MORTAR_OK;
}

void bond_ping_encode(const struct bond_ping *message, struct writer *out)
{
    put_u64(out, message->sequence);
    put_u64(out, message->sent_us);
}

enum mortar_status bond_ping_decode(struct mortar_bytes in, struct bond_ping *out)
{
    struct reader reader = reader_over(in);
    struct bond_ping message = {0};
    message.sequence = get_u64(&reader);
    message.sent_us = get_u64(&reader);
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

void bond_departure_encode(const struct bond_departure *message, struct writer *out)
{
    put_status(out, message->reason);
}

enum mortar_status bond_departure_decode(struct mortar_bytes in, struct bond_departure *out)
{
    struct reader reader = reader_over(in);
    const struct bond_departure message = {.reason = get_status(&reader)};
    if (!reader_done(&reader)) return MORTAR_E_CORRUPT;
    *out = message;
    return MORTAR_OK;
}

const char *bond_type_name(enum bond_type type)
{
    switch (type) {
    case BOND_HELLO:
        return "hello";
    case BOND_PROOF:
        return "proof";
    case BOND_NAMES:
        return "names";
    case BOND_WELCOME:
        return "welcome";
    case BOND_REFUSE:
        return "refuse";
    case BOND_PING:
        return "ping";
    case BOND_PONG:
        return "pong";
    case BOND_DEPARTURE:
        return "departure";
    case BOND_MEMBERS:
        return "members";
    }
    return "unknown frame";
}
