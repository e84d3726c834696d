/* Every message and bond frame. The first byte picks the type, as on the wire; for a sync message
 * with bit 7 set the checksum is put right first. What decodes encodes to the same bytes; what does
 * not leaves the output alone. */
#include "fuzz/law.h"
#include "unit/wire/codec.h"
#include "wire/bond.h"
#include "wire/client.h"
#include "wire/frame.h"
#include "wire/message.h"

#include <stdlib.h>

CODEC(vote_request);
CODEC(vote_reply);
CODEC(timeout_now);
CODEC(append_request);
CODEC_OF_VERSION(append_reply, append_reply, WIRE_VERSION_MIN);
CODEC(read_request);
CODEC(read_reply);
CODEC(forward_request);
CODEC(forward_reply);
CODEC(join_request);
CODEC(join_reply);
CODEC(sync_message);
CODEC(lease);
CODEC(part);
CODEC(bond_hello);
CODEC(bond_proof);
CODEC(bond_names);
CODEC(bond_members);
CODEC(bond_refuse);
CODEC(bond_ping);
CODEC(bond_departure);
CODEC(client_entry);
CODEC(client_command);

/* They travel in entries, and have no type on the wire. */
#define TYPE_CLIENT_ENTRY   126u
#define TYPE_CLIENT_COMMAND 127u

#define SYNC_CHECKSUM_OFFSET 16u

static const struct codec *const codecs[128] = {
    [MESSAGE_VOTE_REQUEST] = &vote_request_codec,
    [MESSAGE_VOTE_REPLY] = &vote_reply_codec,
    [MESSAGE_APPEND_REQUEST] = &append_request_codec,
    [MESSAGE_APPEND_REPLY] = &append_reply_codec,
    [MESSAGE_READ_REQUEST] = &read_request_codec,
    [MESSAGE_READ_REPLY] = &read_reply_codec,
    [MESSAGE_FORWARD_REQUEST] = &forward_request_codec,
    [MESSAGE_FORWARD_REPLY] = &forward_reply_codec,
    [MESSAGE_JOIN_REQUEST] = &join_request_codec,
    [MESSAGE_JOIN_REPLY] = &join_reply_codec,
    [MESSAGE_SYNC] = &sync_message_codec,
    [MESSAGE_LEASE] = &lease_codec,
    [MESSAGE_PART] = &part_codec,
    [MESSAGE_TIMEOUT_NOW] = &timeout_now_codec,
    [BOND_HELLO] = &bond_hello_codec,
    [BOND_PROOF] = &bond_proof_codec,
    [BOND_NAMES] = &bond_names_codec,
    [BOND_WELCOME] = &bond_members_codec,
    [BOND_REFUSE] = &bond_refuse_codec,
    [BOND_PING] = &bond_ping_codec,
    [BOND_PONG] = &bond_ping_codec,
    [BOND_DEPARTURE] = &bond_departure_codec,
    [BOND_MEMBERS] = &bond_members_codec,
    [TYPE_CLIENT_ENTRY] = &client_entry_codec,
    [TYPE_CLIENT_COMMAND] = &client_command_codec,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[FUZZ_INPUT_BYTES_MAX];
    if (size < 1 || size > FUZZ_INPUT_BYTES_MAX) return 0;
    const struct codec *const codec = codecs[data[0] & 127];
    if (codec == NULL) return 0;
    const size_t bytes = size - 1;
    uint8_t *const message = malloc(size); /* One byte more than needed: malloc(0) may be NULL. */
    law(message != NULL);
    memcpy(message, data + 1, bytes);
    if (data[0] == (128 | MESSAGE_SYNC) && bytes >= SYNC_MESSAGE_BYTES) {
        const uint64_t checksum = sync_message_checksum(
            (struct mortar_bytes){message + SYNC_MESSAGE_BYTES, bytes - SYNC_MESSAGE_BYTES});
        memcpy(message + SYNC_CHECKSUM_OFFSET, &checksum, sizeof checksum);
    }
    bool accepted = false;
    law(codec_is_lawful(codec, (struct mortar_bytes){message, bytes}, room, &accepted));
    free(message);
    return 0;
}
