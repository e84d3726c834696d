/* sim/machine.c - counter, lines, map. */
#include "sim/machine.h"

#include "mortar/machine.h"

#include <string.h>

/* ---- Hash ---- */

static uint64_t mix(uint64_t word)
{
    word ^= word >> 32;
    word *= 0xd6e8feb86659fd93u;
    word ^= word >> 32;
    word *= 0xd6e8feb86659fd93u;
    return word ^ (word >> 32);
}

static void hash_word(uint64_t state[2], uint64_t word)
{
    state[0] = mix(state[0] ^ word);
    state[1] = mix(state[1] + word * 0x9e3779b97f4a7c15u + state[0]);
}

static uint64_t word_of(const uint8_t *data, size_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, data, bytes);
    return word;
}

uint64_t sim_hash_once(struct mortar_bytes bytes)
{
    uint64_t hash = mix(bytes.bytes + 1);
    size_t at = 0;
    for (; at + 8 <= bytes.bytes; at += 8) {
        hash = (hash ^ word_of(bytes.data + at, 8)) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    if (at < bytes.bytes) hash ^= word_of(bytes.data + at, bytes.bytes - at);
    return mix(hash);
}

/* ---- The machines: each reads a command and writes its reply. ---- */

static uint64_t word_at(struct mortar_bytes bytes, size_t offset)
{
    uint64_t word = 0;
    if (offset + 8 <= bytes.bytes) memcpy(&word, bytes.data + offset, 8);
    return word;
}

static size_t apply_counter(struct sim_machine *machine, struct mortar_bytes command,
                            uint8_t reply[16])
{
    machine->value += word_at(command, 8);
    memcpy(reply, &machine->value, 8);
    return 8;
}

static size_t apply_lines(struct sim_machine *machine, struct mortar_bytes command,
                          uint8_t reply[16])
{
    (void)command;
    machine->value++;
    memcpy(reply, &machine->value, 8);
    return 8;
}

static size_t apply_map(struct sim_machine *machine, struct mortar_bytes command, uint8_t reply[16])
{
    if (command.bytes < MACHINE_COMMAND_BYTES_MIN) return 0;
    uint64_t *slot = &machine->map[command.data[8] % MACHINE_MAP_KEYS];
    const uint64_t before = *slot;
    const uint8_t operation = command.data[9];
    const bool happens = operation != 1 || before == word_at(command, 10);
    if (happens) *slot = operation == 2 ? 0 : word_at(command, 18);
    reply[0] = happens ? 1 : 0;
    memcpy(reply + 1, &before, 8);
    return 9;
}

static void apply_one(struct sim_machine *machine, struct mortar_apply *run, uint32_t i)
{
    const struct mortar_entry *entry = &run->commands[i];
    uint8_t reply[16] = {0};
    size_t reply_bytes = 0;
    switch (machine->kind) {
    case MACHINE_COUNTER:
        reply_bytes = apply_counter(machine, entry->bytes, reply);
        break;
    case MACHINE_LINES:
        reply_bytes = apply_lines(machine, entry->bytes, reply);
        break;
    case MACHINE_MAP:
    case MACHINE_KINDS:
        reply_bytes = apply_map(machine, entry->bytes, reply);
        break;
    }
    const struct mortar_bytes answer = {reply, reply_bytes};
    const uint64_t content = sim_hash_once(entry->bytes);
    const uint64_t reply_hash = sim_hash_once(answer);
    hash_word(machine->state, content);
    hash_word(machine->state, reply_hash);
    machine->last = entry->index;
    mortar_apply_reply(run, i, answer);
    const struct applied_command applied = {
        .index = entry->index,
        .term = entry->term,
        .command = word_at(entry->bytes, 0),
        .content = content,
        .reply = reply_hash,
        .state = {machine->state[0], machine->state[1]},
    };
    machine->applied(machine->context, &applied);
}

static void on_apply(void *self, struct mortar_apply *run)
{
    struct sim_machine *machine = self;
    uint32_t until = run->count;
    const bool pauses =
        machine->pause_permille > 0 && prng_chance(&machine->prng, machine->pause_permille, 1000);
    if (pauses) until = (uint32_t)prng_below(&machine->prng, run->count);
    for (uint32_t i = 0; i < until; i++)
        apply_one(machine, run, i);
    if (pauses) mortar_apply_pause(run, until);
}

static enum mortar_status on_query(void *self, struct mortar_bytes query,
                                   struct mortar_answer *answer)
{
    const struct sim_machine *machine = self;
    const bool has_keys = machine->kind == MACHINE_MAP && query.bytes > 0;
    const struct machine_answer seen = {
        .last = machine->last,
        .state = {machine->state[0], machine->state[1]},
        .value = has_keys ? machine->map[query.data[0] % MACHINE_MAP_KEYS] : machine->value,
    };
    return mortar_answer_write(answer, (struct mortar_bytes){(const uint8_t *)&seen, sizeof seen});
}

static const struct mortar_machine_ops machine_ops[MACHINE_KINDS] = {
    {MORTAR_MACHINE_OPS_INIT, .name = "counter", .epoch = 1, .apply = on_apply, .query = on_query},
    {MORTAR_MACHINE_OPS_INIT, .name = "lines", .epoch = 1, .apply = on_apply, .query = on_query},
    {MORTAR_MACHINE_OPS_INIT, .name = "map", .epoch = 1, .apply = on_apply, .query = on_query},
};

const struct mortar_machine_ops *sim_machine_ops(enum machine_kind kind)
{
    return &machine_ops[kind];
}

const char *sim_machine_name(enum machine_kind kind)
{
    return machine_ops[kind].name;
}

/* ---- Commands ---- */

void sim_machine_command(enum machine_kind kind, struct prng *prng, uint64_t number, uint8_t *out,
                         size_t bytes)
{
    memset(out, (int)('a' + number % 26), bytes);
    memcpy(out, &number, 8);
    if (kind == MACHINE_LINES) return;
    uint64_t value = prng_below(prng, 8);
    if (kind == MACHINE_COUNTER) {
        memcpy(out + 8, &value, 8);
        return;
    }
    out[8] = sim_machine_key(kind, prng);
    out[9] = (uint8_t)prng_below(prng, 3);
    memcpy(out + 10, &value, 8);
    /* Few values that a compare-and-set may hit, many that tell one writer from another. */
    value = prng_chance(prng, 1, 3) ? prng_below(prng, 8) : prng_next(prng);
    memcpy(out + 18, &value, 8);
}

/* Half of the clients want the same few keys. */
uint8_t sim_machine_key(enum machine_kind kind, struct prng *prng)
{
    if (kind != MACHINE_MAP) return 0;
    return (uint8_t)prng_below(prng, prng_chance(prng, 1, 2) ? 3 : MACHINE_MAP_KEYS);
}

void sim_machine_make_blind(enum machine_kind kind, uint8_t *command)
{
    const uint64_t one = 1;
    if (kind == MACHINE_COUNTER) memcpy(command + 8, &one, 8);
    if (kind != MACHINE_MAP) return;
    command[9] = 0;
    memcpy(command + 18, &one, 8);
}

struct deed sim_machine_deed(enum machine_kind kind, const uint8_t *command)
{
    struct deed deed = {.kind = DEED_ADD, .value = 1};
    if (kind == MACHINE_COUNTER) memcpy(&deed.value, command + 8, 8);
    if (kind != MACHINE_MAP) return deed;
    deed.kind = command[9] == 1 ? DEED_SWAP : DEED_PUT;
    deed.key = command[8];
    memcpy(&deed.expected, command + 10, 8);
    memcpy(&deed.value, command + 18, 8);
    if (command[9] == 2) deed.value = 0;
    if (deed.kind == DEED_PUT) deed.expected = 0;
    return deed;
}

bool sim_machine_got(enum machine_kind kind, struct mortar_bytes reply, bool *out_happened,
                     uint64_t *out_got)
{
    const size_t flag_bytes = kind == MACHINE_MAP ? 1 : 0;
    if (reply.bytes != flag_bytes + 8) return false;
    *out_happened = flag_bytes == 0 || reply.data[0] != 0;
    memcpy(out_got, reply.data + flag_bytes, 8);
    return true;
}
