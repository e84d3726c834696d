/* wire/found.c - the payload of entry 1. The format stands in found.h. */
#include "wire/found.h"

#include "base/assert.h"

static bool is_zero(const uint8_t bytes[16])
{
    static const uint8_t zero[16] = {0};
    return memcmp(bytes, zero, sizeof zero) == 0;
}

/* One voter, and nobody else's vote under way: the group begins with its founder alone. */
static bool found_is_sound(const struct found *found)
{
    return !is_zero(found->birth.bytes) && !is_zero(found->fingerprint_key) &&
           !found->config.joint && config_voter_count(&found->config) == 1;
}

void found_encode(const struct found *found, struct writer *out)
{
    ASSERT(found_is_sound(found));
    put_copy(out, found->birth.bytes, sizeof found->birth.bytes);
    put_copy(out, found->fingerprint_key, sizeof found->fingerprint_key);
    config_encode(&found->config, out);
}

enum mortar_status found_decode(struct mortar_bytes in, struct found *out_found)
{
    struct reader reader = reader_over(in);
    struct found found = {0};
    get_copy(&reader, found.birth.bytes, sizeof found.birth.bytes);
    get_copy(&reader, found.fingerprint_key, sizeof found.fingerprint_key);
    const struct mortar_bytes config = get_bytes(&reader, reader.bytes);
    if (reader.failed) return MORTAR_E_CORRUPT;
    if (config_decode(config, &found.config) != MORTAR_OK) return MORTAR_E_CORRUPT;
    if (!found_is_sound(&found)) return MORTAR_E_CORRUPT;
    *out_found = found;
    return MORTAR_OK;
}
