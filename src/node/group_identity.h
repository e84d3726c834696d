/* node/group_identity.h - what a group is called: its id, and the names that the id is made of.
 *
 * Two nodes whose group ids differ do not bond (design 8); the names let them say why.
 *
 * Memory:  plain values.
 * Threads: any.
 * Errors:  MORTAR_E_INVALID (a name is missing, too long, or not printable ASCII), those of
 *          os/crypto.h.
 */
#ifndef NODE_GROUP_IDENTITY_H
#define NODE_GROUP_IDENTITY_H

#include "mortar/machine.h"
#include "mortar/types.h"
#include "node/key_file.h"
#include "os/crypto.h"
#include "wire/bond.h"

/* Fills in network, machine and sync of `out_names`; the rest is zero. `machine` NULL: a group
 * that elects a leader and nothing else, which is called "none", epoch 1. A machine without a
 * sync method uses "auto", epoch 1. */
MORTAR_NODISCARD enum mortar_status group_identity_names(const char *network,
                                                         const struct mortar_machine_ops *machine,
                                                         struct bond_names *out_names);

MORTAR_NODISCARD enum mortar_status group_identity_id(struct crypto *crypto,
                                                      const uint8_t birth_hash[KEY_FILE_HASH_BYTES],
                                                      const struct bond_names *names,
                                                      struct mortar_group_id *out_id);

#endif
