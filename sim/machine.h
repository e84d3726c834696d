/* sim/machine.h - three small machines that tell the judges what they do: a counter, lines (a
 * digest over all lines), and a map with compare-and-set.
 *
 * A command is the number that the client gave it (8 bytes), then what the machine wants:
 *   counter  8 bytes: what to add; reply: the new value
 *   lines    any text;             reply: the count of lines
 *   map      key 1, operation 1 (0 put, 1 compare-and-set, 2 remove), expected 8, new 8;
 *            reply: 1 if it happened, and the value before (8)
 * Whatever follows is padding, and counts in the digest. A query is one byte, the key, and is
 * answered by struct machine_answer; counter and lines are a single key.
 *
 * Memory:  plain values. Threads: one. Errors: a command that is too short changes nothing.
 */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "base/prng.h"
#include "sim/check/judges.h"

enum machine_kind { MACHINE_COUNTER = 0, MACHINE_LINES, MACHINE_MAP, MACHINE_KINDS };

#define MACHINE_MAP_KEYS          32u
#define MACHINE_COMMAND_BYTES_MIN 26u

struct sim_machine {
    enum machine_kind kind;
    uint64_t state[2];              /* Digest over all commands and replies so far. */
    uint64_t last;                  /* Index of the last command. */
    uint64_t value;                 /* The counter, or the count of lines. */
    uint64_t map[MACHINE_MAP_KEYS]; /* 0: absent. */
    struct prng prng;               /* For pauses, which are no part of the state. */
    uint32_t pause_permille;        /* So many runs in a thousand pause for want of memory. */
    void *context;
    void (*applied)(void *context, const struct applied_command *command);
};

struct machine_answer {
    uint64_t last;
    uint64_t state[2];
    uint64_t value; /* Of the key asked for. */
};

const struct mortar_machine_ops *sim_machine_ops(enum machine_kind kind);
const char *sim_machine_name(enum machine_kind kind);

/* Writes command `number` of `bytes` bytes (at least MACHINE_COMMAND_BYTES_MIN). */
void sim_machine_command(enum machine_kind kind, struct prng *prng, uint64_t number, uint8_t *out,
                         size_t bytes);
/* Makes a command one that nobody waits for. Those ask for the same in each key, so that who looks
 * at the history need not guess which of many took effect. */
void sim_machine_make_blind(enum machine_kind kind, uint8_t *command);
/* What a command asks for, and what its reply says, in terms of one key. */
struct deed sim_machine_deed(enum machine_kind kind, const uint8_t *command);
bool sim_machine_got(enum machine_kind kind, struct mortar_bytes reply, bool *out_happened,
                     uint64_t *out_got);
/* A key to ask for. */
uint8_t sim_machine_key(enum machine_kind kind, struct prng *prng);

/* A hash for comparing, never for storing: its values hold within one run only. */
uint64_t sim_hash_once(struct mortar_bytes bytes);

#endif
