/* The in-memory log against a naive model: an array of entries per range. */
#include "mortar/storage.h"
#include "unit/log/counting.h"
#include "unit/log/records.h"

#define ENTRIES_MAX 20000u

struct model_entry {
    struct mortar_anchor_point point;
    uint32_t bytes;
    uint64_t content; /* Checksum of the record. */
};

struct model_range {
    struct mortar_anchor_point base;
    uint64_t last;
    struct model_entry entries[ENTRIES_MAX]; /* By index; those in (base, last] are held. */
};

struct model {
    struct model_range main;
    struct model_range tail;
    bool tail_open;
};

struct world {
    struct counting counting;
    struct mortar_allocator allocator;
    struct mortar_storage log;
    uint64_t token;
    uint64_t reaped;
};

static void world_open(struct world *world, uint32_t block_bytes)
{
    *world = (struct world){0};
    world->allocator = counting_allocator(&world->counting);
    const struct mortar_log_memory_options options = {MORTAR_LOG_MEMORY_OPTIONS_INIT};
    struct mortar_log_memory_options chosen = options;
    chosen.block_bytes = block_bytes;
    assert_int_equal(mortar_log_memory_open(&world->allocator, &chosen, &world->log), MORTAR_OK);
}

/* Takes all completions; each must be the next token and OK. */
static void world_reap(struct world *world)
{
    struct mortar_storage_completion done[8];
    uint32_t count;
    while ((count = world->log.ops->reap(world->log.self, done, 8)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(done[i].token, ++world->reaped);
            assert_int_equal(done[i].status, MORTAR_OK);
            assert_null(done[i].run.buffer);
        }
    }
    assert_int_equal(world->reaped, world->token);
}

static void world_close(struct world *world)
{
    world->log.ops->close(world->log.self);
    assert_int_equal(world->counting.blocks, 0);
    assert_int_equal(world->counting.bytes, 0);
}

/* Appends `count` records and releases the caller's reference at once. */
static void world_append(struct world *world, enum mortar_log_range range,
                         struct mortar_anchor_point *end, uint64_t term, uint32_t count,
                         size_t payload_bytes)
{
    const struct mortar_log_run run =
        run_make(&world->allocator, end, term, count, payload_bytes, 0, 0);
    assert_int_equal(world->log.ops->append(world->log.self, range, &run, ++world->token),
                     MORTAR_OK);
    mortar_buffer_release(run.buffer);
}

/* Reads once and gives the run; the caller releases it. */
static struct mortar_log_run world_read(struct world *world, enum mortar_log_range range,
                                        uint64_t first, uint64_t last, size_t bytes_max)
{
    world_reap(world);
    assert_int_equal(
        world->log.ops->read(world->log.self, range, first, last, bytes_max, ++world->token),
        MORTAR_OK);
    struct mortar_storage_completion done;
    assert_int_equal(world->log.ops->reap(world->log.self, &done, 1), 1);
    assert_int_equal(done.token, ++world->reaped);
    assert_int_equal(done.status, MORTAR_OK);
    return done.run;
}

static void model_note(struct model_range *range, const struct mortar_log_run *run)
{
    struct reader in = reader_over(
        (struct mortar_bytes){mortar_buffer_data(run->buffer) + run->offset, run->bytes});
    for (uint32_t i = 0; i < run->count; i++) {
        const uint8_t *const begin = in.data;
        struct mortar_entry entry;
        assert_int_equal(record_decode(&in, &entry), MORTAR_OK);
        assert_true(entry.index < ENTRIES_MAX);
        struct model_entry *const noted = &range->entries[entry.index];
        noted->point = (struct mortar_anchor_point){{entry.index, entry.term}, entry.sum};
        noted->bytes = (uint32_t)record_bytes(entry.bytes.bytes);
        noted->content = checksum_64((struct mortar_bytes){begin, noted->bytes}, 1);
    }
    range->last = run->first + run->count - 1;
}

static struct mortar_anchor_point model_point(const struct model_range *range, uint64_t index)
{
    return index == range->base.position.index ? range->base : range->entries[index].point;
}

static uint64_t model_bytes(const struct model_range *range, uint64_t first, uint64_t last)
{
    uint64_t bytes = 0;
    for (uint64_t i = first; i <= last; i++)
        bytes += range->entries[i].bytes;
    return bytes;
}

static uint64_t model_cut(const struct model_range *range, uint64_t first, uint64_t last,
                          uint64_t bytes)
{
    uint64_t cut = first;
    uint64_t used = range->entries[first].bytes;
    while (cut < last && used + range->entries[cut + 1].bytes <= bytes) {
        used += range->entries[++cut].bytes;
    }
    return cut;
}

static void run_equals_model(const struct model_range *range, const struct mortar_log_run *run,
                             uint64_t first, uint64_t last, size_t bytes_max)
{
    assert_int_equal(run->first, first);
    assert_true(run->count >= 1);
    const uint64_t end = run->first + run->count - 1;
    assert_true(end <= last);
    assert_true(run->count == 1 || run->bytes <= bytes_max);
    assert_int_equal(run->bytes, model_bytes(range, first, end));
    const uint8_t *data = mortar_buffer_data(run->buffer) + run->offset;
    for (uint64_t i = first; i <= end; i++) {
        const struct mortar_bytes record = {data, range->entries[i].bytes};
        assert_int_equal(checksum_64(record, 1), range->entries[i].content);
        data += record.bytes;
    }
}

static void range_equals_model(struct world *world, enum mortar_log_range which,
                               const struct model_range *range, struct prng *prng)
{
    const struct mortar_storage_ops *const ops = world->log.ops;
    void *const self = world->log.self;
    struct mortar_position last;
    struct mortar_anchor_point base;
    assert_true(ops->last(self, which, &last));
    assert_true(mortar_position_equal(last, model_point(range, range->last).position));
    assert_true(ops->base(self, which, &base));
    assert_memory_equal(&base, &range->base, sizeof base);
    const uint64_t low = base.position.index;
    uint64_t term;
    struct mortar_log_sum sum;
    assert_false(ops->term_at(self, which, range->last + 1, &term));
    if (low > 0) assert_false(ops->sum_at(self, which, low - 1, &sum));
    for (int i = 0; i < 4; i++) {
        const uint64_t index = prng_between(prng, low, range->last);
        assert_true(ops->term_at(self, which, index, &term));
        assert_int_equal(term, model_point(range, index).position.term);
        assert_true(ops->sum_at(self, which, index, &sum));
        assert_true(mortar_log_sum_equal(sum, model_point(range, index).sum));
    }
    if (low == range->last) return;
    const uint64_t first = prng_between(prng, low + 1, range->last);
    const uint64_t end = prng_between(prng, first, range->last);
    assert_int_equal(ops->bytes(self, which, first, end), model_bytes(range, first, end));
    const uint64_t bytes = prng_below(prng, 20000);
    assert_int_equal(ops->cut(self, which, first, end, bytes), model_cut(range, first, end, bytes));
    const struct mortar_log_run run = world_read(world, which, first, end, (size_t)bytes);
    run_equals_model(range, &run, first, end, (size_t)bytes);
    mortar_buffer_release(run.buffer);
}

static void twin_append(struct world *world, struct model_range *range, enum mortar_log_range which,
                        struct prng *prng)
{
    struct mortar_anchor_point end = model_point(range, range->last);
    const bool big = prng_chance(prng, 1, 6);
    const uint32_t count = (uint32_t)prng_between(prng, 1, big ? 300 : 12);
    if (range->last + count >= ENTRIES_MAX) return;
    const size_t payload_bytes = (size_t)prng_below(prng, big ? 700 : 300);
    const size_t lead = (size_t)prng_below(prng, 90);
    const size_t spare = prng_chance(prng, 1, 3) ? 200000 : 0;
    const size_t capacity = lead + count * record_bytes(payload_bytes) + spare;
    const uint64_t term = end.position.term + prng_below(prng, 2) + (range->last == 0);
    const struct mortar_log_run run =
        run_make(&world->allocator, &end, term, count, payload_bytes, lead, capacity);
    assert_int_equal(world->log.ops->append(world->log.self, which, &run, ++world->token),
                     MORTAR_OK);
    model_note(range, &run);
    mortar_buffer_release(run.buffer);
}

static void twin_truncate(struct world *world, struct model_range *range,
                          enum mortar_log_range which, struct prng *prng)
{
    if (range->last == range->base.position.index) return;
    const uint64_t span = range->last - range->base.position.index;
    const uint64_t from = range->last + 1 - prng_between(prng, 1, span < 40 ? span : 40);
    assert_int_equal(world->log.ops->truncate(world->log.self, which, from, ++world->token),
                     MORTAR_OK);
    range->last = from - 1;
}

static void twin_prune(struct world *world, struct model *model, struct prng *prng)
{
    struct model_range *const range = &model->main;
    const uint64_t low = range->base.position.index;
    const uint64_t to = low + prng_below(prng, range->last - low + 1) / 3;
    assert_int_equal(world->log.ops->prune(world->log.self, to, ++world->token), MORTAR_OK);
    range->base = model_point(range, to);
}

static void twin_reset(struct world *world, struct model *model, struct prng *prng)
{
    const uint64_t index = prng_below(prng, 100);
    const struct mortar_anchor_point base = {{index, index}, {prng_next(prng), 7}};
    assert_int_equal(world->log.ops->reset(world->log.self, &base, ++world->token), MORTAR_OK);
    model->main.base = base;
    model->main.last = index;
}

static void twin_tail(struct world *world, struct model *model, struct prng *prng)
{
    const struct mortar_storage_ops *const ops = world->log.ops;
    if (!model->tail_open) {
        const struct mortar_anchor_point base = model_point(&model->main, model->main.last);
        assert_int_equal(ops->tail_open(world->log.self, &base, ++world->token), MORTAR_OK);
        model->tail.base = base;
        model->tail.last = base.position.index;
        model->tail_open = true;
        return;
    }
    const struct mortar_anchor_point end = model_point(&model->main, model->main.last);
    const bool joins = end.position.index == model->tail.base.position.index &&
                       mortar_log_sum_equal(end.sum, model->tail.base.sum);
    if (joins) {
        assert_int_equal(ops->tail_adopt(world->log.self, ++world->token), MORTAR_OK);
        for (uint64_t i = end.position.index + 1; i <= model->tail.last; i++) {
            model->main.entries[i] = model->tail.entries[i];
        }
        model->main.last = model->tail.last;
        model->tail_open = false;
    } else if (prng_chance(prng, 1, 2)) {
        assert_int_equal(ops->tail_drop(world->log.self, ++world->token), MORTAR_OK);
        model->tail_open = false;
    }
}

static void twin_step(struct world *world, struct model *model, struct prng *prng)
{
    const uint64_t choice = prng_below(prng, 100);
    if (choice < 45) {
        const bool main_may_grow = !model->tail_open || prng_chance(prng, 1, 2);
        if (main_may_grow) {
            twin_append(world, &model->main, MORTAR_LOG_MAIN, prng);
        } else {
            twin_append(world, &model->tail, MORTAR_LOG_TAIL, prng);
        }
    } else if (choice < 60) {
        twin_truncate(world, &model->main, MORTAR_LOG_MAIN, prng);
    } else if (choice < 65) {
        if (model->tail_open) twin_truncate(world, &model->tail, MORTAR_LOG_TAIL, prng);
    } else if (choice < 75) {
        twin_prune(world, model, prng);
    } else if (choice < 76) {
        twin_reset(world, model, prng);
    } else {
        twin_tail(world, model, prng);
    }
}

/* Twin: any order of operations leaves what the array model has. */
static void log_equals_the_array_model_after_any_operations(void **state)
{
    (void)state;
    static struct model model;
    static const uint32_t sizes[] = {4096, 16384, 262144};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world world;
        world_open(&world, sizes[seed % 3]);
        struct prng prng = prng_seeded(seed);
        memset(&model, 0, sizeof model);
        for (int step = 0; step < 400; step++) {
            twin_step(&world, &model, &prng);
            range_equals_model(&world, MORTAR_LOG_MAIN, &model.main, &prng);
            struct mortar_position ignored;
            assert_int_equal(world.log.ops->last(world.log.self, MORTAR_LOG_TAIL, &ignored),
                             model.tail_open);
            if (model.tail_open) range_equals_model(&world, MORTAR_LOG_TAIL, &model.tail, &prng);
        }
        world_close(&world);
    }
}

/* A reader keeps what it was given, whatever happens to the log afterwards. Method: hold a run of
 * the open block, then append, cut, append others in its place, prune, close. */
static void pinned_bytes_never_change(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 262144);
    struct mortar_anchor_point end = {0};
    world_append(&world, MORTAR_LOG_MAIN, &end, 1, 10, 100);
    const struct mortar_anchor_point kept = end;
    world_append(&world, MORTAR_LOG_MAIN, &end, 1, 10, 100);
    const struct mortar_log_run run = world_read(&world, MORTAR_LOG_MAIN, 1, 20, 1u << 20);
    assert_int_equal(run.count, 20);
    uint8_t copy[20 * 148];
    assert_int_equal(run.bytes, sizeof copy);
    memcpy(copy, mortar_buffer_data(run.buffer) + run.offset, sizeof copy);

    world_append(&world, MORTAR_LOG_MAIN, &end, 1, 5, 100);
    assert_int_equal(world.log.ops->truncate(world.log.self, MORTAR_LOG_MAIN, 11, ++world.token),
                     MORTAR_OK);
    end = kept;
    world_append(&world, MORTAR_LOG_MAIN, &end, 2, 30, 100);
    assert_memory_equal(mortar_buffer_data(run.buffer) + run.offset, copy, sizeof copy);
    assert_int_equal(world.log.ops->prune(world.log.self, 40, ++world.token), MORTAR_OK);
    assert_memory_equal(mortar_buffer_data(run.buffer) + run.offset, copy, sizeof copy);
    world.log.ops->close(world.log.self);
    assert_memory_equal(mortar_buffer_data(run.buffer) + run.offset, copy, sizeof copy);
    mortar_buffer_release(run.buffer);
    assert_int_equal(world.counting.blocks, 0);
}

/* A run of 64 KiB or more that fills half of its buffer is shared; any other is copied. */
static void big_runs_are_shared_and_small_ones_copied(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t count;
        size_t lead;
        size_t spare;
        bool shared;
    } cases[] = {
        {"big, alone in its buffer", 500, 0, 0, true},
        {"big, behind a message's header", 500, 77, 0, true},
        {"big, but the buffer is mostly something else", 500, 0, 100000, false},
        {"small", 100, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct world world;
        world_open(&world, 262144);
        struct mortar_anchor_point end = {0};
        const size_t capacity = cases[i].lead + cases[i].count * 148 + cases[i].spare;
        const struct mortar_log_run run =
            run_make(&world.allocator, &end, 1, cases[i].count, 100, cases[i].lead, capacity);
        assert_int_equal(
            world.log.ops->append(world.log.self, MORTAR_LOG_MAIN, &run, ++world.token), MORTAR_OK);
        const struct mortar_log_run read =
            world_read(&world, MORTAR_LOG_MAIN, 1, cases[i].count, SIZE_MAX);
        assert_int_equal(read.buffer == run.buffer, cases[i].shared);
        assert_int_equal(read.bytes, run.bytes);
        mortar_buffer_release(read.buffer);
        mortar_buffer_release(run.buffer);
        world_close(&world);
    }
}

/* Submits twice: first with the nth reservation failing, then, if that one did fail, again. A
 * failure must leave the end of the range where it was. Answers whether it failed. */
static bool append_despite_failure(struct world *world, enum mortar_log_range which,
                                   const struct mortar_log_run *run, uint64_t nth)
{
    const struct mortar_storage_ops *const ops = world->log.ops;
    world->counting.fail_at = world->counting.calls + nth;
    enum mortar_status status = ops->append(world->log.self, which, run, world->token + 1);
    world->counting.fail_at = 0;
    const bool failed = status != MORTAR_OK;
    if (failed) {
        struct mortar_position last;
        assert_int_equal(status, MORTAR_E_NO_MEMORY);
        assert_true(ops->last(world->log.self, which, &last));
        assert_int_equal(last.index, run->first - 1);
        status = ops->append(world->log.self, which, run, world->token + 1);
    }
    assert_int_equal(status, MORTAR_OK);
    world->token++;
    return failed;
}

/* The nth reservation of a submission fails: it answers NO_MEMORY and nothing has changed; tried
 * again it succeeds. Every reservation of an append is met, and that of joining the tail. */
static void failed_reservation_leaves_the_log_as_it_was(void **state)
{
    (void)state;
    uint32_t failures[5] = {0};
    for (uint64_t nth = 1; nth <= 4; nth++) {
        struct world world;
        world_open(&world, 4096);
        struct mortar_anchor_point end = {0};
        for (uint32_t step = 0; step < 120; step++) {
            const enum mortar_log_range which = step < 60 ? MORTAR_LOG_MAIN : MORTAR_LOG_TAIL;
            if (step == 60) {
                assert_int_equal(world.log.ops->tail_open(world.log.self, &end, ++world.token),
                                 MORTAR_OK);
            }
            const struct mortar_log_run run =
                run_make(&world.allocator, &end, 1, step % 7 == 0 ? 600 : 9, 80, 0, 0);
            failures[nth] += append_despite_failure(&world, which, &run, nth);
            mortar_buffer_release(run.buffer);
        }
        world_reap(&world);
        world.counting.fail_at = world.counting.calls + 1;
        assert_int_equal(world.log.ops->tail_adopt(world.log.self, 999), MORTAR_E_NO_MEMORY);
        world.counting.fail_at = 0;
        assert_int_equal(world.log.ops->tail_adopt(world.log.self, ++world.token), MORTAR_OK);
        struct mortar_position last;
        assert_true(world.log.ops->last(world.log.self, MORTAR_LOG_MAIN, &last));
        assert_true(mortar_position_equal(last, end.position));
        world_reap(&world);
        world_close(&world);
    }
    assert_true(failures[1] > 0 && failures[2] > 0 && failures[3] > 0);
}

/* memory_bytes() is what the allocator gave, except the heads of the buffers. */
static void memory_account_is_exact(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 8192);
    struct mortar_buffer *const probe = mortar_buffer_new(&world.allocator, 0);
    const uint64_t held = world.counting.bytes;
    mortar_buffer_release(probe);
    const uint64_t head_bytes = held - world.counting.bytes;

    struct mortar_anchor_point end = {0};
    for (uint32_t step = 0; step < 300; step++) {
        world_append(&world, MORTAR_LOG_MAIN, &end, 1, 1 + step % 13, 10 * (step % 40));
        if (step % 50 == 49) world_append(&world, MORTAR_LOG_MAIN, &end, 1, 1000, 100);
        if (step == 120) {
            assert_int_equal(world.log.ops->prune(world.log.self, 700, ++world.token), MORTAR_OK);
        }
        world_reap(&world);
        const uint64_t account = world.log.ops->memory_bytes(world.log.self);
        const uint64_t heads = world.counting.bytes - account;
        assert_int_equal(heads % head_bytes, 0); /* A whole number of buffers. */
        assert_true(heads / head_bytes < 200);
    }
    world_close(&world);
}

/* Completions come in the order of submission, however many wait, up to the stated bound. */
static void completions_are_bounded_and_keep_their_order(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 4096);
    const struct mortar_storage_hard_state saved = {.term = 9};
    enum mortar_status status;
    while ((status = world.log.ops->save(world.log.self, &saved, world.token + 1)) == MORTAR_OK) {
        world.token++;
        assert_true(world.token <= 65536);
    }
    assert_int_equal(status, MORTAR_E_BUSY);
    assert_int_equal(world.token, 65536);
    world_reap(&world);
    struct mortar_storage_hard_state restored;
    world.log.ops->restored(world.log.self, &restored);
    assert_int_equal(restored.term, 9);
    world_close(&world);
}

/* A read of what is not held completes with NOT_FOUND, and one that nobody reaped is given back. */
static void reads_of_absent_entries_end_as_not_found(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 4096);
    struct mortar_anchor_point end = {0};
    world_append(&world, MORTAR_LOG_MAIN, &end, 1, 20, 50);
    assert_int_equal(world.log.ops->prune(world.log.self, 5, ++world.token), MORTAR_OK);
    world_reap(&world);
    static const struct {
        enum mortar_log_range range;
        uint64_t first;
        uint64_t last;
        enum mortar_status status;
    } cases[] = {
        {MORTAR_LOG_MAIN, 5, 9, MORTAR_E_NOT_FOUND}, {MORTAR_LOG_MAIN, 21, 30, MORTAR_E_NOT_FOUND},
        {MORTAR_LOG_MAIN, 9, 8, MORTAR_E_NOT_FOUND}, {MORTAR_LOG_TAIL, 6, 7, MORTAR_E_NOT_FOUND},
        {MORTAR_LOG_MAIN, 6, 900, MORTAR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(world.log.ops->read(world.log.self, cases[i].range, cases[i].first,
                                             cases[i].last, 100000, i),
                         MORTAR_OK);
        struct mortar_storage_completion done;
        assert_int_equal(world.log.ops->reap(world.log.self, &done, 1), 1);
        assert_int_equal(done.status, cases[i].status);
        mortar_buffer_release(done.run.buffer);
    }
    assert_int_equal(world.log.ops->read(world.log.self, MORTAR_LOG_MAIN, 6, 9, 100000, 99),
                     MORTAR_OK);
    world_close(&world);
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct counting counting = {0};
    const struct mortar_allocator allocator = counting_allocator(&counting);
    static const struct {
        uint32_t struct_bytes;
        uint32_t block_bytes;
        enum mortar_status status;
    } cases[] = {
        {8, 4095, MORTAR_E_INVALID},      {8, (64u << 20) + 1, MORTAR_E_INVALID},
        {0, 4096, MORTAR_E_INVALID},      {12, 4096, MORTAR_E_INVALID},
        {4, 0 /* not read */, MORTAR_OK}, {8, 4096, MORTAR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mortar_log_memory_options options = {cases[i].struct_bytes,
                                                          cases[i].block_bytes};
        struct mortar_storage log = {0};
        assert_int_equal(mortar_log_memory_open(&allocator, &options, &log), cases[i].status);
        if (cases[i].status == MORTAR_OK) log.ops->close(log.self);
    }
    counting.fail_at = counting.calls + 1;
    struct mortar_storage log = {0};
    assert_int_equal(mortar_log_memory_open(&allocator, NULL, &log), MORTAR_E_NO_MEMORY);
    assert_null(log.self);
    assert_int_equal(counting.blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_equals_the_array_model_after_any_operations),
        cmocka_unit_test(pinned_bytes_never_change),
        cmocka_unit_test(big_runs_are_shared_and_small_ones_copied),
        cmocka_unit_test(failed_reservation_leaves_the_log_as_it_was),
        cmocka_unit_test(memory_account_is_exact),
        cmocka_unit_test(completions_are_bounded_and_keep_their_order),
        cmocka_unit_test(reads_of_absent_entries_end_as_not_found),
        cmocka_unit_test(options_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
