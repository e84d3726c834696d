/* mortar/machine.h - the state that is replicated: what a user writes (design 5.1).
 *
 * Every member applies the same commands in the same order, so apply() must depend on nothing but
 * the state and the commands: no clock (the entry carries a time), no randomness, no addresses.
 *
 *     static void add(void *machine, struct mortar_apply *run)
 *     {
 *         struct counter *counter = machine;
 *         for (uint32_t i = 0; i < run->count; i++) counter->value += run->commands[i].bytes.bytes;
 *     }
 *     static const struct mortar_machine_ops ops = {
 *         MORTAR_MACHINE_OPS_INIT, .name = "counter", .epoch = 1, .apply = add, .query = answer};
 *
 * Memory:  the machine belongs to the user and outlives the group.
 * Threads: one thread of the node, the same for all members of the vtable, except a frozen view
 *          (see save). Never two calls at once.
 * Errors:  apply() cannot fail; see mortar_apply_pause().
 */
#ifndef MORTAR_MACHINE_H
#define MORTAR_MACHINE_H

#include "mortar/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A run of committed commands of one term, in order. */
struct mortar_apply {
    const struct mortar_entry *commands; /* `count` of them, all of kind COMMAND, borrowed. */
    uint32_t count;
    uint64_t term;
    uint64_t committed; /* The commit index known when the run was cut. */
    struct mortar_group_id group;
};

/* Sets the reply of commands[i]; copies. Without it the reply is empty. A reply that finds no
 * memory is lost, the command is not: its caller gets MORTAR_UNKNOWN. */
MORTAR_API void mortar_apply_reply(struct mortar_apply *run, uint32_t i, struct mortar_bytes reply);

/* For lack of memory only: commands from i on were not applied; they come again later, here,
 * before anything after them. Return after calling it. */
MORTAR_API void mortar_apply_pause(struct mortar_apply *run, uint32_t i);

/* Where a query's answer goes. */
struct mortar_answer;
/* Appends bytes to the answer; MORTAR_E_NO_MEMORY, MORTAR_E_TOO_LARGE (16 MiB): the query then
 * fails with that status, whatever query() does next. */
MORTAR_API enum mortar_status mortar_answer_write(struct mortar_answer *answer,
                                                  struct mortar_bytes bytes);

/* A stream of bytes, out of or into a machine. Both return the stream's status; the machine stops
 * at the first that is not OK. read() gives at most `capacity` bytes; 0 bytes is the end. */
struct mortar_stream {
    enum mortar_status (*write)(struct mortar_stream *stream, struct mortar_bytes bytes);
    enum mortar_status (*read)(struct mortar_stream *stream, void *buffer, size_t capacity,
                               size_t *out_bytes);
};

struct mortar_sync_method;

struct mortar_machine_ops {
    uint32_t struct_bytes;
    const char *name;     /* Required. Stable, chosen by the author, 1..MORTAR_NAME_BYTES_MAX. */
    uint32_t epoch;       /* Required, >= 1. Changes when old and new commands do not mix. */
    uint32_t version_min; /* Range of command versions understood within the epoch. */
    uint32_t version_max;

    /* Required. */
    void (*apply)(void *machine, struct mortar_apply *run);
    /* Optional: reads only. MORTAR_E_NOT_SUPPORTED is answered without it. */
    enum mortar_status (*query)(void *machine, struct mortar_bytes query,
                                struct mortar_answer *answer);
    /* Optional, both or none: the whole state as a stream, the same bytes on every member at the
     * same position; load replaces the whole state, or leaves it as it was and fails. */
    enum mortar_status (*save)(void *machine, struct mortar_stream *to);
    enum mortar_status (*load)(void *machine, struct mortar_stream *from);
    /* Optional, both or none: a frozen view that save() may read on the background thread while
     * apply goes on. `save` is then given the view in place of the machine. */
    void *(*freeze)(void *machine);
    void (*thaw)(void *machine, void *view);

    /* How a lagging replica of this machine catches up; NULL: automatic. Part of the group id. */
    const struct mortar_sync_method *sync;
};
#define MORTAR_MACHINE_OPS_INIT                                                                    \
    .struct_bytes = (uint32_t)sizeof(struct mortar_machine_ops), .version_min = 1, .version_max = 1

#ifdef __cplusplus
}
#endif
#endif
