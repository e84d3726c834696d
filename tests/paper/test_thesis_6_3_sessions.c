/* Thesis 6.3, linearizable semantics: what each replica keeps of a client session, rule by rule.
 * That this holds through leaders, pauses and crashes is for tests/sim and the simulator. */
#include "group/client_table.h"
#include "unit/base/memory.h"
#include "unit/test.h"

#include <string.h>

static struct counted_memory memory;
static struct mortar_allocator allocator;
static struct client_table table;
static const struct client_reply *reply;

static void begin(void)
{
    memory = (struct counted_memory){.allowed = SIZE_MAX};
    allocator = counted_allocator(&memory);
    client_table_init(&table, &allocator);
    assert_int_equal(client_table_open(&table, 12, 5000, 0), MORTAR_OK);
}

static void end(void)
{
    client_table_deinit(&table);
    assert_int_equal(memory.bytes_out, 0);
}

static enum client_verdict admit(uint64_t sequence, uint64_t acked, uint64_t index)
{
    const struct client_command command = {.session = 12, .sequence = sequence, .acked = acked};
    return client_table_admit(&table, &command, (struct mortar_position){index, 1}, 0, &reply);
}

static void answer(uint64_t sequence, const char *text)
{
    client_table_settle(&table, 12, sequence,
                        (struct mortar_bytes){(const uint8_t *)text, strlen(text)});
}

/* What comes again gets the response of the first time. */
static void thesis_6_3_a_command_that_was_executed_is_not_executed_again(void **state)
{
    (void)state;
    begin();
    assert_int_equal(admit(1, 0, 20), CLIENT_APPLY);
    answer(1, "one");
    assert_int_equal(admit(1, 0, 33), CLIENT_DUPLICATE);
    assert_int_equal(reply->position.index, 20);
    assert_memory_equal(client_reply_bytes(client_table_find(&table, 12), reply).data, "one", 3);
    end();
}

/* Concurrent requests of one client: a reply for each, until the client says that it has them. */
static void thesis_6_3_replies_are_kept_until_the_client_has_them(void **state)
{
    (void)state;
    begin();
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        assert_int_equal(admit(sequence, 0, 20 + sequence), CLIENT_APPLY);
        answer(sequence, "reply");
    }
    assert_int_equal(admit(1, 0, 30), CLIENT_DUPLICATE);
    assert_int_equal(admit(4, 2, 31), CLIENT_APPLY); /* It has 1 and 2. */
    assert_int_equal(admit(3, 0, 32), CLIENT_DUPLICATE);
    assert_int_equal(admit(2, 0, 33), CLIENT_GONE);
    end();
}

/* Servers agree when to expire a session: by the leader's time in the entries. */
static void thesis_6_3_sessions_expire_by_the_time_of_entries(void **state)
{
    (void)state;
    begin();
    assert_false(client_table_due(&table, 5000));
    assert_true(client_table_due(&table, 5001));
    client_table_expire(&table, 5001);
    assert_null(client_table_find(&table, 12));
    end();
}

/* A command of a session that there is not, or not any more, is refused and never executed. */
static void thesis_6_3_a_command_of_no_session_is_refused(void **state)
{
    (void)state;
    begin();
    assert_true(client_table_close(&table, 12));
    assert_int_equal(admit(1, 0, 20), CLIENT_UNKNOWN);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thesis_6_3_a_command_that_was_executed_is_not_executed_again),
        cmocka_unit_test(thesis_6_3_replies_are_kept_until_the_client_has_them),
        cmocka_unit_test(thesis_6_3_sessions_expire_by_the_time_of_entries),
        cmocka_unit_test(thesis_6_3_a_command_of_no_session_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
