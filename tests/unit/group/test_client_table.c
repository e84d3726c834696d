/* Client sessions: what is applied, what is answered again, what is forgotten (thesis 6.3). */
#include "group/client_table.h"
#include "unit/base/memory.h"
#include "unit/test.h"

#include <string.h>

#define TTL_MS 5000u

static struct counted_memory memory;
static struct mortar_allocator allocator;
static struct client_table table;

static void begin(void)
{
    memory = (struct counted_memory){.allowed = SIZE_MAX};
    allocator = counted_allocator(&memory);
    client_table_init(&table, &allocator);
}

static void end(void)
{
    client_table_deinit(&table);
    assert_int_equal(memory.bytes_out, 0);
}

static enum client_verdict admit(uint64_t session, uint64_t sequence, uint64_t acked,
                                 uint64_t time_ms)
{
    const struct client_command command = {
        .session = session, .sequence = sequence, .acked = acked};
    const struct client_reply *reply;
    const struct mortar_position position = {100 + sequence, 2};
    return client_table_admit(&table, &command, position, time_ms, &reply);
}

static void answer(uint64_t session, uint64_t sequence, const char *text, size_t bytes)
{
    client_table_settle(&table, session, sequence,
                        (struct mortar_bytes){(const uint8_t *)text, bytes});
}

/* Admits and answers with `bytes` bytes of the sequence's number. */
static void apply(uint64_t session, uint64_t sequence, size_t bytes)
{
    static char text[2 * CLIENT_REPLY_BYTES_MAX];
    memset(text, (int)sequence, sizeof text);
    assert_int_equal(admit(session, sequence, 0, 0), CLIENT_APPLY);
    answer(session, sequence, text, bytes);
}

static const struct client_reply *reply_of(uint64_t session, uint64_t sequence)
{
    const struct client_session *found = client_table_find(&table, session);
    return found == NULL ? NULL : client_reply_find(found, sequence);
}

static void a_command_is_applied_once_and_answered_again(void **state)
{
    (void)state;
    begin();
    assert_int_equal(client_table_open(&table, 7, TTL_MS, 0), MORTAR_OK);
    assert_int_equal(admit(7, 1, 0, 0), CLIENT_APPLY);
    assert_int_equal(admit(7, 1, 0, 0), CLIENT_WAITS); /* The machine has it. */
    answer(7, 1, "first", 5);
    assert_int_equal(admit(7, 1, 0, 0), CLIENT_DUPLICATE);
    const struct client_reply *reply = reply_of(7, 1);
    assert_int_equal(reply->position.index, 101);
    assert_int_equal(reply->bytes, 5);
    assert_memory_equal(client_reply_bytes(client_table_find(&table, 7), reply).data, "first", 5);
    assert_int_equal(admit(8, 1, 0, 0), CLIENT_UNKNOWN);
    end();
}

static void what_the_machine_did_not_apply_comes_again(void **state)
{
    (void)state;
    begin();
    assert_int_equal(client_table_open(&table, 7, TTL_MS, 0), MORTAR_OK);
    assert_int_equal(admit(7, 1, 0, 0), CLIENT_APPLY);
    client_table_abandon(&table, 7, 1);
    assert_null(reply_of(7, 1));
    assert_int_equal(admit(7, 1, 0, 0), CLIENT_APPLY);
    end();
}

static void what_is_acknowledged_is_forgotten_and_refused(void **state)
{
    (void)state;
    begin();
    assert_int_equal(client_table_open(&table, 7, TTL_MS, 0), MORTAR_OK);
    for (uint64_t sequence = 1; sequence <= 4; sequence++)
        apply(7, sequence, 10);
    assert_int_equal(admit(7, 5, 3, 0), CLIENT_APPLY);
    assert_null(reply_of(7, 3));
    assert_int_equal(admit(7, 3, 0, 0), CLIENT_GONE);
    assert_int_equal(admit(7, 4, 0, 0), CLIENT_DUPLICATE);
    assert_int_equal(reply_of(7, 4)->offset, 0); /* Its bytes moved up. */
    end();
}

/* Else what a paused machine puts off would find its floor raised when it comes again. */
static void nothing_is_forgotten_while_the_machine_has_some_of_it(void **state)
{
    (void)state;
    begin();
    assert_int_equal(client_table_open(&table, 7, TTL_MS, 0), MORTAR_OK);
    assert_int_equal(admit(7, 1, 0, 0), CLIENT_APPLY);
    assert_int_equal(admit(7, 2, 1, 0), CLIENT_WAITS);
    client_table_abandon(&table, 7, 1);
    assert_int_equal(admit(7, 1, 0, 0), CLIENT_APPLY);
    answer(7, 1, "", 0);
    assert_int_equal(admit(7, 2, 1, 0), CLIENT_APPLY);
    end();
}

/* In order or not, each is applied once. */
static void sequences_need_not_come_in_order(void **state)
{
    (void)state;
    begin();
    assert_int_equal(client_table_open(&table, 7, TTL_MS, 0), MORTAR_OK);
    static const uint64_t order[] = {3, 1, 5, 2, 4};
    for (size_t i = 0; i < 5; i++)
        apply(7, order[i], 10 + (size_t)order[i]);
    const struct client_session *session = client_table_find(&table, 7);
    for (uint64_t sequence = 1; sequence <= 5; sequence++) {
        assert_int_equal(admit(7, sequence, 0, 0), CLIENT_DUPLICATE);
        const struct mortar_bytes bytes = client_reply_bytes(session, reply_of(7, sequence));
        assert_int_equal(bytes.bytes, 10 + sequence);
        for (size_t k = 0; k < bytes.bytes; k++)
            assert_int_equal(bytes.data[k], sequence);
    }
    end();
}

static void replies_are_bounded_in_number_and_bytes(void **state)
{
    (void)state;
    begin();
    assert_int_equal(client_table_open(&table, 7, TTL_MS, 0), MORTAR_OK);
    for (uint64_t sequence = 1; sequence <= CLIENT_REPLIES_MAX + 2; sequence++)
        apply(7, sequence, 1);
    assert_int_equal(admit(7, 2, 0, 0), CLIENT_GONE);
    assert_int_equal(admit(7, 3, 0, 0), CLIENT_DUPLICATE);
    apply(7, 100, CLIENT_REPLY_BYTES_MAX); /* All others lose their bytes, */
    assert_int_equal(reply_of(7, 10)->state, CLIENT_REPLY_DROPPED);
    assert_int_equal(admit(7, 10, 0, 0), CLIENT_DUPLICATE); /* ... and are not applied again. */
    assert_int_equal(reply_of(7, 100)->state, CLIENT_REPLY_KEPT);
    apply(7, 101, CLIENT_REPLY_BYTES_MAX + 1);
    assert_int_equal(reply_of(7, 101)->state, CLIENT_REPLY_DROPPED);
    assert_int_equal(reply_of(7, 100)->bytes, CLIENT_REPLY_BYTES_MAX);
    end();
}

static void a_session_expires_by_log_time_unless_it_is_used(void **state)
{
    (void)state;
    begin();
    for (uint64_t id = 1; id <= 4; id++)
        assert_int_equal(client_table_open(&table, id, TTL_MS, 1000), MORTAR_OK);
    assert_false(client_table_due(&table, 1000 + TTL_MS));
    assert_true(client_table_due(&table, 1001 + TTL_MS));
    assert_true(client_table_keep(&table, 2, 3000));
    assert_int_equal(admit(3, 1, 0, 4000), CLIENT_APPLY);
    assert_true(client_table_close(&table, 4));
    assert_false(client_table_close(&table, 4));
    client_table_expire(&table, 1001 + TTL_MS);
    assert_int_equal(table.count, 2);
    assert_false(client_table_keep(&table, 1, 7000));
    assert_false(client_table_due(&table, 3000 + TTL_MS));
    client_table_expire(&table, 3001 + TTL_MS);
    assert_null(client_table_find(&table, 2));
    assert_non_null(client_table_find(&table, 3));
    end();
}

static void too_many_sessions_and_no_memory_are_told_by_name(void **state)
{
    (void)state;
    begin();
    for (uint64_t id = 1; id <= CLIENT_SESSIONS_MAX; id++)
        assert_int_equal(client_table_open(&table, id, TTL_MS, 0), MORTAR_OK);
    assert_int_equal(client_table_open(&table, 5000, TTL_MS, 0), MORTAR_E_BUSY);
    assert_true(client_table_close(&table, 9));
    memory.allowed = 0;
    assert_int_equal(client_table_open(&table, 5000, TTL_MS, 0), MORTAR_E_NO_MEMORY);
    assert_int_equal(table.count, CLIENT_SESSIONS_MAX - 1);
    end();
}

static size_t encode(uint8_t *out, size_t capacity)
{
    struct writer writer = writer_over(out, capacity);
    client_table_encode(&table, &writer);
    assert_false(writer.failed);
    assert_int_equal(writer.bytes, client_table_encoded_bytes(&table));
    return writer.bytes;
}

static enum mortar_status decode(const uint8_t *bytes, size_t count, struct client_table *out)
{
    struct reader reader = reader_over((struct mortar_bytes){bytes, count});
    client_table_init(out, &allocator);
    const enum mortar_status status = client_table_decode(&reader, out);
    if (status == MORTAR_OK && !reader_done(&reader)) {
        client_table_deinit(out);
        return MORTAR_E_CORRUPT;
    }
    return status;
}

static void fill_two(void)
{
    assert_int_equal(client_table_open(&table, 7, TTL_MS, 100), MORTAR_OK);
    assert_int_equal(client_table_open(&table, 9, 2 * TTL_MS, 200), MORTAR_OK);
    apply(7, 2, 5);
    apply(7, 1, 3);
    assert_int_equal(admit(9, 4, 3, 300), CLIENT_APPLY);
    answer(9, 4, "", 0);
    apply(9, 5, CLIENT_REPLY_BYTES_MAX + 1);
}

static void bytes_bring_the_same_sessions_back(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    static uint8_t again[4096];
    begin();
    fill_two();
    const size_t size = encode(bytes, sizeof bytes);
    struct client_table other;
    assert_int_equal(decode(bytes, size, &other), MORTAR_OK);
    client_table_deinit(&table);
    table = other;
    assert_int_equal(encode(again, sizeof again), size);
    assert_memory_equal(again, bytes, size);
    assert_int_equal(admit(7, 2, 0, 300), CLIENT_DUPLICATE);
    assert_int_equal(admit(9, 3, 0, 300), CLIENT_GONE);
    assert_true(client_table_due(&table, 101 + TTL_MS + 300));
    end();
}

static void other_bytes_are_refused_or_read_as_they_stand(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    static uint8_t again[4096];
    begin();
    fill_two();
    const size_t size = encode(bytes, sizeof bytes);
    client_table_deinit(&table);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(decode(bytes, cut, &table), MORTAR_E_CORRUPT);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (decode(bytes, size, &table) == MORTAR_OK) {
            assert_int_equal(encode(again, sizeof again), size);
            assert_memory_equal(again, bytes, size);
            client_table_deinit(&table);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memory.allowed = 1;
    assert_int_equal(decode(bytes, size, &table), MORTAR_E_NO_MEMORY);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_applied_once_and_answered_again),
        cmocka_unit_test(what_the_machine_did_not_apply_comes_again),
        cmocka_unit_test(what_is_acknowledged_is_forgotten_and_refused),
        cmocka_unit_test(nothing_is_forgotten_while_the_machine_has_some_of_it),
        cmocka_unit_test(sequences_need_not_come_in_order),
        cmocka_unit_test(replies_are_bounded_in_number_and_bytes),
        cmocka_unit_test(a_session_expires_by_log_time_unless_it_is_used),
        cmocka_unit_test(too_many_sessions_and_no_memory_are_told_by_name),
        cmocka_unit_test(bytes_bring_the_same_sessions_back),
        cmocka_unit_test(other_bytes_are_refused_or_read_as_they_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
