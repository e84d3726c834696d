/* Runs of records. First byte: bit 0 whether to put the log sums right first, so that the fuzzer
 * gets past them. A run that verifies encodes again to the same bytes, and a run with good sums is
 * never called unverified. */
#include "base/hash.h"
#include "fuzz/law.h"
#include "wire/record.h"

#include <stdlib.h>

#define COUNT_MAX 64u

static const struct mortar_anchor_point before = {{.index = 6, .term = 2}, {.low = 1, .high = 2}};

/* As far as the records can be read. */
static void put_sums_right(uint8_t *run, size_t bytes)
{
    struct reader in = reader_over((struct mortar_bytes){run, bytes});
    struct mortar_log_sum sum = before.sum;
    struct mortar_entry entry;
    while (in.bytes > 0) {
        uint8_t *const place = run + (bytes - in.bytes);
        if (record_decode(&in, &entry) != MORTAR_OK) return;
        sum = log_sum_next(sum, &entry);
        memcpy(place, &sum.low, 8);
        memcpy(place + 8, &sum.high, 8);
    }
}

static void encodes_again(const uint8_t *run, size_t bytes, const struct record_run *result,
                          const uint32_t *offsets)
{
    uint8_t *const again = malloc(bytes + 1);
    law(again != NULL);
    struct reader in = reader_over((struct mortar_bytes){run, bytes});
    struct writer out = writer_over(again, bytes);
    for (uint32_t i = 0; i < result->count; i++) {
        struct mortar_entry entry;
        law(offsets[i] == bytes - in.bytes);
        law(record_decode(&in, &entry) == MORTAR_OK);
        law(entry.index == before.position.index + 1 + i);
        record_encode(&entry, &out);
    }
    law(reader_done(&in) && !out.failed && out.bytes == bytes);
    law(bytes == 0 || memcmp(run, again, bytes) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FUZZ_INPUT_BYTES_MAX) return 0;
    const size_t bytes = size - 1;
    uint8_t *const run = malloc(size);
    law(run != NULL);
    memcpy(run, data + 1, bytes);
    if ((data[0] & 1) != 0) put_sums_right(run, bytes);
    uint32_t offsets[COUNT_MAX];
    struct record_run result = {.count = UINT32_MAX};
    const enum mortar_status status = record_run_verify((struct mortar_bytes){run, bytes}, before,
                                                        3, COUNT_MAX, offsets, &result);
    law(status == MORTAR_OK || status == MORTAR_E_CORRUPT || status == MORTAR_E_UNVERIFIED);
    law((status == MORTAR_OK) == (result.count <= COUNT_MAX));
    if ((data[0] & 1) != 0) law(status != MORTAR_E_UNVERIFIED);
    if (status == MORTAR_OK) encodes_again(run, bytes, &result, offsets);
    free(run);
    return 0;
}
