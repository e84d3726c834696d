/* integration/node_place.h - nodes of a test: a folder with keys, members with a machine that
 * counts, and their log lines.
 *
 * Not part of the library. Failures end the test by cmocka.
 *
 * Memory:  malloc's; each begin has its end.
 * Threads: the test's; log lines are taken from any.
 * Errors:  failed checks.
 */
#ifndef INTEGRATION_NODE_PLACE_H
#define INTEGRATION_NODE_PLACE_H

#include "mortar/node.h"
#include "unit/temporary.h"

#include <pthread.h>
#include <stdatomic.h>

#define PLACE_PATH_BYTES 160
#define SOON_MS          10000 /* For what is expected to happen; a failing test waits so long. */

/* A folder of its own with the key file `group.key`. */
struct place {
    char folder[TEMPORARY_PATH_BYTES];
    char key[PLACE_PATH_BYTES];
};

void place_begin(struct place *place);
/* Removes the folder with all that is in it. */
void place_end(struct place *place);
void place_path(const struct place *place, const char *name, char out_path[PLACE_PATH_BYTES]);

struct member {
    struct mortar_node *node;
    struct mortar_group *group;
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    char directory[PLACE_PATH_BYTES];
    uint64_t total;        /* The machine: bytes of all commands. */
    pthread_mutex_t mutex; /* Guards the lines. */
    char *lines;
    size_t lines_bytes;
    atomic_uint fatal_count;
};

/* Options of a member: the directory <place>/<name>, any free port, a quick heartbeat. The caller
 * changes what it likes before member_open(). `member` must stay where it is. */
struct mortar_node_options member_options(struct member *member, const struct place *place,
                                          const char *name);
enum mortar_status member_try_open(struct member *member,
                                   const struct mortar_node_options *options);
void member_open(struct member *member, const struct mortar_node_options *options);
/* Options of a group with the counting machine. */
struct mortar_group_options member_group_options(struct member *member);
void member_found(struct member *member);
void member_join(struct member *member);
/* Opens `count` members as m0, m1, ... in the place; the first founds, the others join it. Returns
 * when all are voters, and all know it. */
void members_form(struct member *members, unsigned count, const struct place *place);
/* Closes what is open and frees the lines. */
void member_close(struct member *member);

/* The counting machine: each command adds its length, the reply is the new total. */
extern const struct mortar_machine_ops counting_machine;

/* Lines are kept with their level in front: "1 bond with ...". */
bool member_logged(struct member *member, const char *text);
uint32_t member_logged_count(struct member *member, const char *text);
struct mortar_node_metrics member_metrics(const struct member *member);
/* Bonds that stand with both lanes. */
uint32_t member_bond_count(const struct member *member);

/* Checks again and again, for at most SOON_MS, that it holds. */
bool soon(bool (*holds)(void *context), void *context);
/* Fails the test unless the line comes, or so many whole bonds. */
void expect_logged(struct member *member, const char *text);
void expect_bonds(struct member *member, uint32_t count);
/* Waits a moment in which nothing is expected to happen. */
void short_while(unsigned ms);

#endif
