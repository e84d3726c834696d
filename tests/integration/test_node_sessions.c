/* Client sessions over real nodes: each command is applied once, while leaders come and go. */
#include "integration/node_place.h"
#include "unit/test.h"

#include <string.h>

#define MEMBERS  3u
#define COMMANDS 300u

static const struct mortar_bytes command = {(const uint8_t *)"0123456789", 10};

struct group {
    struct place place;
    struct member members[MEMBERS];
    struct mortar_member_id ids[MEMBERS];
};

static struct group group;

static void begin(void)
{
    place_begin(&group.place);
    members_form(group.members, MEMBERS, &group.place);
    for (unsigned i = 0; i < MEMBERS; i++)
        group.ids[i] = mortar_group_member_id(group.members[i].group);
}

static void end(void)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        member_close(&group.members[i]);
    place_end(&group.place);
}

struct told {
    atomic_uint ok;
    atomic_uint other;
    uint64_t last_index;
    bool in_order;
};

static void tell(void *argument, const struct mortar_result *result)
{
    struct told *const told = argument;
    if (result->status == MORTAR_OK && result->first.index <= told->last_index) {
        told->in_order = false;
    }
    if (result->status == MORTAR_OK) told->last_index = result->first.index;
    (void)atomic_fetch_add(result->status == MORTAR_OK ? &told->ok : &told->other, 1);
}

static bool all_were_told(void *context)
{
    const struct told *const told = context;
    return atomic_load(&told->ok) + atomic_load(&told->other) == COMMANDS;
}

static void execute_many(struct mortar_session *session, struct told *told)
{
    for (unsigned sent = 0; sent < COMMANDS;) {
        const enum mortar_status status =
            mortar_session_execute_async(session, command, SOON_MS, tell, told);
        assert_true(status == MORTAR_OK || status == MORTAR_E_BUSY);
        if (status == MORTAR_OK) sent++;
        if (status == MORTAR_E_BUSY) short_while(1);  /* 64 are under way. */
        if (sent % 60 == 30 && status == MORTAR_OK) { /* Whoever leads, the next one is to. */
            const unsigned next = sent / 60 % MEMBERS;
            const enum mortar_status moved =
                mortar_group_transfer(group.members[next].group, &group.ids[next], SOON_MS);
            assert_true(moved == MORTAR_OK || moved == MORTAR_E_BUSY || moved == MORTAR_UNKNOWN);
        }
    }
}

static uint64_t total_at(struct member *member)
{
    struct mortar_result result;
    uint64_t total = 0;
    assert_int_equal(mortar_group_query(member->group, (struct mortar_bytes){0},
                                        MORTAR_READ_LINEARIZABLE, SOON_MS, &result),
                     MORTAR_OK);
    const struct mortar_bytes reply = mortar_result_reply(&result, 0);
    assert_int_equal(reply.bytes, sizeof total);
    memcpy(&total, reply.data, sizeof total);
    mortar_result_release(&result);
    return total;
}

static void each_command_is_applied_once_while_leaders_change(void **state)
{
    (void)state;
    begin();
    struct mortar_session *session;
    assert_int_equal(mortar_session_open(group.members[1].group, 0, SOON_MS, &session), MORTAR_OK);
    assert_true(mortar_session_id(session) > 0);
    struct told told = {.in_order = true};
    execute_many(session, &told);
    assert_true(soon(all_were_told, &told));
    assert_int_equal(atomic_load(&told.ok), COMMANDS);
    assert_true(told.in_order);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(total_at(&group.members[i]), COMMANDS * command.bytes);
    assert_int_equal(mortar_session_close(session, SOON_MS), MORTAR_OK);
    end();
}

static void a_session_is_used_kept_closed_and_expires(void **state)
{
    (void)state;
    begin();
    struct mortar_session *session;
    struct mortar_session *brief;
    struct mortar_result result;
    struct mortar_group *at = group.members[2].group;
    assert_int_equal(mortar_session_open(at, 999, SOON_MS, &session), MORTAR_E_INVALID);
    assert_int_equal(mortar_session_open(at, 0, SOON_MS, &session), MORTAR_OK);
    assert_int_equal(mortar_session_open(at, 1000, SOON_MS, &brief), MORTAR_OK);
    assert_int_equal(mortar_session_execute(session, command, SOON_MS, &result), MORTAR_OK);
    assert_int_equal(result.count, 1);
    mortar_result_release(&result);
    assert_int_equal(mortar_session_keep(brief, SOON_MS), MORTAR_OK);
    short_while(1500); /* Of log time: the next entry brings it. */
    assert_int_equal(mortar_session_keep(session, SOON_MS), MORTAR_OK);
    assert_int_equal(mortar_session_execute(brief, command, SOON_MS, &result), MORTAR_E_SESSION);
    assert_int_equal(mortar_session_keep(brief, SOON_MS), MORTAR_E_SESSION);
    assert_int_equal(mortar_session_close(brief, SOON_MS), MORTAR_E_SESSION); /* And is gone. */
    assert_int_equal(mortar_session_close(session, SOON_MS), MORTAR_OK);
    assert_int_equal(total_at(&group.members[0]), command.bytes);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_is_applied_once_while_leaders_change),
        cmocka_unit_test(a_session_is_used_kept_closed_and_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
