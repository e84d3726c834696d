/* node/group_identity.c - the group id: SHA-256 over
 *
 *    size  field
 *      16  "mortar group id", with its closing zero
 *       4  epoch of this format = 1
 *    text  network
 *      32  SHA-256 of the birth key
 *    text  machine name
 *       4  machine epoch
 *    text  name of the sync method
 *       4  its epoch
 *
 * Numbers are little-endian; a text is its length, 2 bytes, and its bytes, so that no two lists of
 * names give the same bytes. What may change while a group lives (versions within an epoch, access
 * keys, tuning) is not in it.
 */
#include "node/group_identity.h"

#include "base/assert.h"
#include "mortar/sync.h"
#include "wire/fields.h"

#define GROUP_ID_FORMAT_EPOCH 1u
#define GROUP_ID_INPUT_MAX    (16u + 3u * (2u + MORTAR_NAME_BYTES_MAX) + 4u + 32u + 4u + 4u)

static const char group_id_domain[16] = "mortar group id";

static enum mortar_status take_name(const char *name, char out_name[MORTAR_NAME_BYTES_MAX + 1])
{
    if (name == NULL) return MORTAR_E_INVALID;
    const size_t bytes = strnlen(name, MORTAR_NAME_BYTES_MAX + 1);
    if (bytes == 0 || bytes > MORTAR_NAME_BYTES_MAX) return MORTAR_E_INVALID;
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] < ' ' || name[i] > '~') return MORTAR_E_INVALID;
    }
    memcpy(out_name, name, bytes + 1);
    return MORTAR_OK;
}

enum mortar_status group_identity_names(const char *network,
                                        const struct mortar_machine_ops *machine,
                                        struct bond_names *out_names)
{
    struct bond_names names = {
        .machine_epoch = 1, .machine_version_min = 1, .machine_version_max = 1, .sync_epoch = 1};
    const char *machine_name = "none";
    const char *sync_name = "auto";
    if (machine != NULL) {
        machine_name = machine->name;
        names.machine_epoch = machine->epoch;
        names.machine_version_min = machine->version_min;
        names.machine_version_max = machine->version_max;
        if (machine->sync != NULL) {
            sync_name = machine->sync->name;
            names.sync_epoch = machine->sync->epoch;
        }
    }
    if (names.machine_epoch == 0 || names.machine_version_min > names.machine_version_max) {
        return MORTAR_E_INVALID;
    }
    enum mortar_status status = take_name(network, names.network);
    if (status == MORTAR_OK) status = take_name(machine_name, names.machine);
    if (status == MORTAR_OK) status = take_name(sync_name, names.sync);
    if (status == MORTAR_OK) *out_names = names;
    return status;
}

enum mortar_status group_identity_id(struct crypto *crypto,
                                     const uint8_t birth_hash[KEY_FILE_HASH_BYTES],
                                     const struct bond_names *names, struct mortar_group_id *out_id)
{
    uint8_t input[GROUP_ID_INPUT_MAX];
    struct writer out = writer_over(input, sizeof input);
    put_copy(&out, group_id_domain, sizeof group_id_domain);
    put_u32(&out, GROUP_ID_FORMAT_EPOCH);
    put_text(&out, names->network, MORTAR_NAME_BYTES_MAX);
    put_copy(&out, birth_hash, KEY_FILE_HASH_BYTES);
    put_text(&out, names->machine, MORTAR_NAME_BYTES_MAX);
    put_u32(&out, names->machine_epoch);
    put_text(&out, names->sync, MORTAR_NAME_BYTES_MAX);
    put_u32(&out, names->sync_epoch);
    ASSERT(!out.failed);
    const struct mortar_bytes part = {input, out.bytes};
    return crypto_sha256(crypto, &part, 1, out_id->bytes);
}
