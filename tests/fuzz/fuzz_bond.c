/* The handshake against a peer without a key, who sees and may change all that an honest peer says.
 *
 * First byte: bit 0 whether the side under test opens the connection. Then steps:
 *   0           the honest peer's next frame comes over
 *   1           the same, but one bit is flipped: 2 bytes, which (modulo the payload)
 *   other       a frame of the fuzzer's: type = this byte, 2 bytes length, payload
 *
 * The machine stays within its states and its room, and shows its names only after a proof that the
 * honest peer made. */
#include "fuzz/law.h"
#include "unit/wire/bond_pair.h"

struct world {
    struct pair_side tested;
    struct pair_side honest;
    bool proof_came; /* The honest peer's proof was given to the tested side, whole. */
};

static struct world world;

/* Feeds one frame to the tested side and looks at all that it wrote. */
static void feed(uint8_t type, struct mortar_bytes payload)
{
    const size_t before = world.tested.out.bytes;
    (void)bond_handshake_receive(&world.tested.handshake, type, payload, &world.tested.out);
    law(world.tested.out.bytes - before <= BOND_STEP_BYTES_MAX);
    struct frame_header header;
    struct mortar_bytes sent;
    while (pair_take(&world.tested, &header, &sent)) {
        if (header.type == BOND_NAMES || header.type == BOND_WELCOME) law(world.proof_came);
        if (pair_side_ended(&world.honest)) continue;
        (void)bond_handshake_receive(&world.honest.handshake, header.type, sent, &world.honest.out);
    }
    law(world.tested.delivered == world.tested.out.bytes); /* All that it wrote were frames. */
    if (world.tested.handshake.state == BOND_DONE) law(world.proof_came);
}

static void honest_step(struct reader *in, bool flip)
{
    struct frame_header header;
    struct mortar_bytes payload;
    uint8_t changed[BOND_STEP_BYTES_MAX];
    const uint16_t bit = flip ? get_u16(in) : 0;
    if (!pair_take(&world.honest, &header, &payload)) return;
    memcpy(changed, payload.data, payload.bytes);
    if (flip) changed[bit / 8 % payload.bytes] ^= (uint8_t)(1u << bit % 8);
    if (header.type == BOND_PROOF && !flip) world.proof_came = true;
    feed(header.type, (struct mortar_bytes){changed, payload.bytes});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FUZZ_INPUT_BYTES_MAX) return 0;
    struct reader in = reader_over((struct mortar_bytes){data + 1, size - 1});
    const bool initiator = (data[0] & 1) != 0;
    const struct bond_handshake_options tested = pair_options(1, 2, initiator);
    const struct bond_handshake_options honest = pair_options(2, 1, !initiator);
    world.proof_came = false;
    pair_side_init(&world.tested, &tested);
    pair_side_init(&world.honest, &honest);
    if (initiator) (void)pair_deliver(&world.tested, &world.honest);
    while (in.bytes > 0 && !pair_side_ended(&world.tested)) {
        const uint8_t step = get_u8(&in);
        if (step <= 1) {
            honest_step(&in, step == 1);
            continue;
        }
        const uint16_t bytes = get_u16(&in);
        const struct mortar_bytes payload = get_bytes(&in, bytes);
        if (in.failed) break;
        feed(step, payload);
    }
    return 0;
}
