/* sync/run.c - checks runs of entries for sync methods. */
#include "mortar/sync.h"
#include "wire/record.h"

enum mortar_status mortar_log_run_verify(struct mortar_bytes run,
                                         const struct mortar_anchor_point *after,
                                         uint32_t *out_count, struct mortar_anchor_point *out_last)
{
    struct record_run checked;
    const enum mortar_status status = record_run_verify(run, *after, 0, UINT32_MAX, NULL, &checked);
    if (status != MORTAR_OK) return status;
    *out_count = checked.count;
    *out_last = checked.last;
    return MORTAR_OK;
}
