/* The method's names, defaults and bounds. */
#include "sync/automatic.h"
#include "sync/replay.h"
#include "unit/log/counting.h"

static void methods_carry_their_name_and_epoch(void **state)
{
    (void)state;
    struct counting counting = {0};
    const struct mortar_allocator allocator = counting_allocator(&counting);
    struct mortar_sync_method *method;
    assert_int_equal(mortar_sync_log_replay(&allocator, NULL, &method), MORTAR_OK);
    assert_string_equal(method->name, "log-replay");
    assert_int_equal(method->epoch, 1);
    assert_true(method->message_bytes_max > MORTAR_COMMAND_BYTES_LIMIT);
    mortar_sync_log_replay_free(method);
    assert_int_equal(sync_automatic_new(&allocator, NULL, &method), MORTAR_OK);
    assert_string_equal(method->name, "auto");
    assert_int_equal(method->epoch, 1);
    mortar_sync_log_replay_free(method);
    mortar_sync_log_replay_free(NULL);
    assert_int_equal(counting.blocks, 0);
}

static void shorter_options_get_defaults_and_wrong_ones_are_refused(void **state)
{
    (void)state;
    struct counting counting = {0};
    const struct mortar_allocator allocator = counting_allocator(&counting);
    const struct mortar_replay_options good = {MORTAR_REPLAY_OPTIONS_INIT, .batch_bytes = 1u << 20,
                                               .stall_ms = 3000};
    struct {
        const char *why;
        struct mortar_replay_options options;
        enum mortar_status status;
    } cases[] = {
        {"defaults", good, MORTAR_OK},
        {"no size", good, MORTAR_E_INVALID},
        {"a size from the future", good, MORTAR_E_INVALID},
        {"batches too small", good, MORTAR_E_INVALID},
        {"batches beyond a message", good, MORTAR_E_INVALID},
        {"a window below one batch", good, MORTAR_E_INVALID},
        {"a source's window below one batch", good, MORTAR_E_INVALID},
        {"gives up before it stalls", good, MORTAR_E_INVALID},
        {"hardly any time", good, MORTAR_E_INVALID},
    };
    cases[1].options.struct_bytes = 0;
    cases[2].options.struct_bytes++;
    cases[3].options.batch_bytes = 1023;
    cases[4].options.batch_bytes = (16u << 20) + 1;
    cases[5].options.window_bytes = good.batch_bytes - 1;
    cases[6].options.source_window_bytes = good.batch_bytes - 1;
    cases[7].options.give_up_ms = good.stall_ms - 1;
    cases[8].options.fetch_timeout_ms = 1;
    struct mortar_sync_method *tuned;
    assert_int_equal(mortar_sync_log_replay(&allocator, NULL, &tuned), MORTAR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("  %s\n", cases[i].why);
        struct mortar_sync_method *method = NULL;
        assert_int_equal(mortar_sync_log_replay(&allocator, &cases[i].options, &method),
                         cases[i].status);
        assert_int_equal(mortar_sync_log_replay_tune(tuned, &cases[i].options), cases[i].status);
        assert_int_equal(method != NULL, cases[i].status == MORTAR_OK);
        mortar_sync_log_replay_free(method);
    }
    struct mortar_replay_options shorter = good;
    shorter.struct_bytes = 8; /* Batch bytes, and nothing after it. */
    shorter.batch_bytes = 2048;
    shorter.stall_ms = 0;
    assert_int_equal(mortar_sync_log_replay_tune(tuned, &shorter), MORTAR_OK);
    const struct mortar_replay_options now = replay_method_options(tuned->context);
    assert_int_equal(now.batch_bytes, 2048);
    assert_int_equal(now.stall_ms, good.stall_ms);
    mortar_sync_log_replay_free(tuned);
    counting.fail_at = counting.calls + 1;
    assert_int_equal(mortar_sync_log_replay(&allocator, NULL, &tuned), MORTAR_E_NO_MEMORY);
    assert_int_equal(counting.blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_carry_their_name_and_epoch),
        cmocka_unit_test(shorter_options_get_defaults_and_wrong_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
