/* A storage that fails: the node says so once, every call is answered, nothing hangs. */
#include "integration/node_place.h"
#include "os/memory.h"
#include "unit/test.h"

/* The in-memory log with a switch that makes every append fail. */
struct broken {
    struct mortar_storage inner;
    struct mortar_storage_ops ops;
    atomic_bool fails;
};

static struct broken broken;

static enum mortar_status broken_append(void *storage, enum mortar_log_range range,
                                        const struct mortar_log_run *run, uint64_t token)
{
    if (atomic_load(&broken.fails)) return MORTAR_E_FAILED;
    return broken.inner.ops->append(storage, range, run, token);
}

static bool is_fatal(void *context)
{
    struct member *const member = context;
    return atomic_load(&member->fatal_count) > 0;
}

static void note_status(void *argument, const struct mortar_result *result)
{
    atomic_store((atomic_int *)argument, (int)result->status);
}

static void a_storage_that_fails_ends_every_call_and_is_told_once(void **state)
{
    (void)state;
    struct place place;
    struct member member;
    struct mortar_result result;
    const struct mortar_bytes command = {(const uint8_t *)"x", 1};
    place_begin(&place);
    assert_int_equal(mortar_log_memory_open(&memory_default, NULL, &broken.inner), MORTAR_OK);
    broken.ops = *broken.inner.ops;
    broken.ops.append = broken_append;
    const struct mortar_storage storage = {.ops = &broken.ops, .self = broken.inner.self};
    const struct mortar_node_options options = member_options(&member, &place, "a");
    member_open(&member, &options);
    struct mortar_group_options group = member_group_options(&member);
    group.storage = &storage;
    assert_int_equal(mortar_group_found(member.node, &group, &member.group), MORTAR_OK);
    assert_int_equal(mortar_group_execute(member.group, command, SOON_MS, &result), MORTAR_OK);
    mortar_result_release(&result);
    const struct mortar_condition never = {.kind = MORTAR_UNTIL_COMMITTED, .index = UINT64_MAX};
    atomic_int waited = -1;
    assert_int_equal(mortar_group_wait_async(member.group, never, UINT32_MAX, note_status, &waited),
                     MORTAR_OK);

    atomic_store(&broken.fails, true);
    const enum mortar_status status = mortar_group_execute(member.group, command, SOON_MS, &result);
    assert_true(status == MORTAR_E_FAILED || status == MORTAR_UNKNOWN || status == MORTAR_E_LOST);
    assert_true(soon(is_fatal, &member));
    assert_true(member_logged(&member, "the storage failed"));
    /* Completions come in order on one thread, and one of a later call is there. */
    (void)mortar_node_bonds(member.node, NULL, 0);
    assert_int_equal(atomic_load(&waited), MORTAR_E_FAILED);
    assert_int_equal(mortar_group_execute(member.group, command, SOON_MS, &result),
                     MORTAR_E_FAILED);
    assert_int_equal(
        mortar_group_wait(member.group,
                          (struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_ELECTED}, 100),
        MORTAR_E_FAILED);
    assert_int_equal(mortar_group_close(member.group), MORTAR_OK);
    assert_int_equal(mortar_group_join(member.node, &group, &member.group), MORTAR_E_FAILED);
    assert_int_equal(member.fatal_count, 1);
    member_close(&member);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storage_that_fails_ends_every_call_and_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
