/* group/transfers.c - requests that a leader hand over (thesis 3.10), and what they are told. */
#include "base/assert.h"
#include "group/internal.h"
#include "wire/fields.h"

#include <string.h>

enum mortar_status mortar_core_transfer(struct mortar_core *core, uint64_t id,
                                        const struct mortar_member_id *target, uint32_t timeout_ms)
{
    static const struct mortar_member_id anyone;
    uint8_t item[4 + MEMBER_ID_BYTES];
    struct writer out = writer_over(item, sizeof item);
    put_u32(&out, MEMBER_ID_BYTES);
    put_member_id(&out, target == NULL ? &anyone : target);
    const struct request request = {.id = id,
                                    .kind = MORTAR_REQUEST_TRANSFER,
                                    .entry_kind = MORTAR_ENTRY_COMMAND,
                                    .deadline_ms = core->now_ms + timeout_ms,
                                    .count = 1};
    return requests_add(core, &request, (struct mortar_bytes){item, out.bytes});
}

bool request_target(const struct request *request, struct mortar_member_id *out_target)
{
    struct reader item = reader_over((struct mortar_bytes){mortar_buffer_data(request->items),
                                                           mortar_buffer_bytes(request->items)});
    struct mortar_member_id target = {0};
    const uint32_t bytes = get_u32(&item);
    get_member_id(&item, &target);
    if (bytes != MEMBER_ID_BYTES || !reader_done(&item)) return false;
    *out_target = target;
    return true;
}

/* Where the asked leader leads on, in another term or ours to know again, it came to nothing; where
 * somebody else does than who was to, the target may have led in between. */
void requests_on_leader(struct mortar_core *core, const struct mortar_member_id *leader)
{
    if (mortar_member_id_is_none(leader)) return;
    struct request *next;
    for (struct request *request = core->transfers.head; request != NULL; request = next) {
        next = request->next;
        if (request->state != REQUEST_PROPOSED) continue;
        struct mortar_member_id target = {0};
        (void)request_target(request, &target); /* The asked leader has read it, or refused. */
        const bool anyone = mortar_member_id_is_none(&target);
        const bool moved = !mortar_member_id_equal(leader, &request->forwarded_to);
        const bool reached = anyone ? moved : mortar_member_id_equal(leader, &target);
        if (reached) MARK(TRANSFER_DONE);
        if (!reached) MARK(TRANSFER_ELSEWHERE);
        request_finish(core, request, reached ? MORTAR_OK : MORTAR_UNKNOWN);
    }
}

void requests_on_transfer_ended(struct mortar_core *core, bool told)
{
    struct request *next;
    for (struct request *request = core->transfers.head; request != NULL; request = next) {
        next = request->next;
        if (request->state != REQUEST_PROPOSED) continue;
        request_finish(core, request, told ? MORTAR_UNKNOWN : MORTAR_E_TIMEOUT);
    }
}
