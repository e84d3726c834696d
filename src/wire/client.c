/* wire/client.c - entries of client sessions. The formats stand in client.h. */
#include "wire/client.h"

#include "base/assert.h"

static bool entry_is_sound(const struct client_entry *entry)
{
    if (entry->verb < CLIENT_OPEN || entry->verb > CLIENT_CLOSE) return false;
    if (entry->verb != CLIENT_OPEN) return entry->session >= 1 && entry->ttl_ms == 0;
    return entry->session == 0 && entry->ttl_ms >= CLIENT_TTL_MS_MIN &&
           entry->ttl_ms <= CLIENT_TTL_MS_MAX;
}

void client_entry_encode(const struct client_entry *entry, struct writer *out)
{
    ASSERT(entry_is_sound(entry));
    put_u8(out, (uint8_t)entry->verb);
    put_u64(out, entry->session);
    put_u64(out, entry->ttl_ms);
}

enum mortar_status client_entry_decode(struct mortar_bytes in, struct client_entry *out_entry)
{
    struct reader reader = reader_over(in);
    struct client_entry entry = {.verb = CLIENT_OPEN};
    const uint8_t verb = get_u8(&reader);
    entry.session = get_u64(&reader);
    entry.ttl_ms = get_u64(&reader);
    if (!reader_done(&reader) || verb < CLIENT_OPEN || verb > CLIENT_CLOSE) return MORTAR_E_CORRUPT;
    entry.verb = (enum client_verb)verb;
    if (!entry_is_sound(&entry)) return MORTAR_E_CORRUPT;
    *out_entry = entry;
    return MORTAR_OK;
}

static bool command_is_sound(const struct client_command *command)
{
    return command->session >= 1 && command->sequence >= 1 && command->acked < command->sequence;
}

void client_command_encode(const struct client_command *command, struct writer *out)
{
    ASSERT(command_is_sound(command));
    put_u64(out, command->session);
    put_u64(out, command->sequence);
    put_u64(out, command->acked);
    put_bytes(out, command->command);
}

enum mortar_status client_command_decode(struct mortar_bytes in, struct client_command *out_command)
{
    struct reader reader = reader_over(in);
    struct client_command command = {0};
    command.session = get_u64(&reader);
    command.sequence = get_u64(&reader);
    command.acked = get_u64(&reader);
    command.command = get_bytes(&reader, reader.bytes);
    if (!reader_done(&reader) || !command_is_sound(&command)) return MORTAR_E_CORRUPT;
    *out_command = command;
    return MORTAR_OK;
}
