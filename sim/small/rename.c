/* sim/small/rename.c - see sim/small/rename.h. */
#include "sim/small/rename.h"

#include <string.h>

static void rename_entries(uint16_t *entries, uint32_t count, const uint8_t *names,
                           struct configs *configs)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t config = small_entry_config(entries[i]);
        if (config == 0) continue;
        entries[i] = SMALL_ENTRY(small_entry_term(entries[i]), small_entry_kind(entries[i]),
                                 configs_rename(configs, config, names));
    }
}

void rename_message(struct small_message *message, const uint8_t *names, struct configs *configs)
{
    message->from = names[message->from];
    message->to = names[message->to];
    rename_entries(message->entries, message->count, names, configs);
}

void rename_history(struct small_history *history, const uint8_t *names, struct configs *configs)
{
    const struct small_history before = *history;
    for (uint32_t term = 0; term < SMALL_TERMS; term++) {
        history->leader[term] = names[before.leader[term]];
        for (uint32_t voter = 1; voter <= SMALL_MEMBERS; voter++)
            history->vote[term][names[voter]] = names[before.vote[term][voter]];
    }
    history->stale_member = names[before.stale_member];
    rename_entries(history->committed, history->count, names, configs);
}

static void rename_members(struct small_mind *mind, const uint8_t *names)
{
    for (uint32_t i = 0; i < mind->member_count; i++) {
        struct small_view view = mind->members[i];
        view.member = names[view.member];
        uint32_t place = i;
        while (place > 0 && mind->members[place - 1].member > view.member) {
            mind->members[place] = mind->members[place - 1];
            place--;
        }
        mind->members[place] = view;
    }
}

void rename_mind(struct small_mind *mind, const uint8_t *names, struct configs *configs)
{
    mind->self = names[mind->self];
    mind->voted_for = names[mind->voted_for];
    mind->leader = names[mind->leader];
    mind->saved.vote = names[mind->saved.vote];
    if (mind->committed.config != 0)
        mind->committed.config = configs_rename(configs, mind->committed.config, names);
    for (uint32_t i = 0; i < mind->uncommitted_count; i++) {
        uint8_t *config = &mind->uncommitted[i].config;
        *config = configs_rename(configs, *config, names);
    }
    rename_members(mind, names);
    rename_entries(mind->disk.entries, mind->disk.count, names, configs);
    rename_entries(mind->disk_tail.entries, mind->disk_tail.count, names, configs);
    for (uint32_t i = 0; i < mind->queue_count; i++) {
        mind->queue[i].saved.vote = names[mind->queue[i].saved.vote];
        rename_entries(mind->queue[i].entries, mind->queue[i].count, names, configs);
    }
}

uint32_t mind_pack(const struct small_mind *mind, uint8_t out_bytes[MIND_PACKED_MAX])
{
    const uint8_t *in = (const uint8_t *)mind;
    uint32_t at = 0;
    uint32_t out = 0;
    while (at < sizeof *mind) {
        out_bytes[out++] = in[at];
        if (in[at++] != 0) continue;
        uint8_t more = 0;
        while (at < sizeof *mind && in[at] == 0 && more < UINT8_MAX) {
            at++;
            more++;
        }
        out_bytes[out++] = more;
    }
    return out;
}

void mind_unpack(struct mortar_bytes bytes, struct small_mind *out_mind)
{
    uint8_t *out = (uint8_t *)out_mind;
    memset(out_mind, 0, sizeof *out_mind);
    size_t at = 0;
    for (size_t i = 0; i < bytes.bytes; i++) {
        if (bytes.data[i] != 0) {
            out[at++] = bytes.data[i];
        } else {
            at += 1u + bytes.data[++i];
        }
    }
}
