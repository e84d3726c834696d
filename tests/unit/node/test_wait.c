/* Conditions: each holds exactly when it says, compared with how things were when it began. */
#include "node/wait.h"
#include "unit/test.h"

#include <string.h>

/* A log of up to 16 entries: their terms by index; the sum is made of the term. */
struct log {
    uint64_t terms[16];
};

static bool sum_at(void *context, uint64_t index, uint64_t *out_term,
                   struct mortar_log_sum *out_sum)
{
    const struct log *const log = context;
    if (index >= 16 || (index > 0 && log->terms[index] == 0)) return false;
    *out_term = log->terms[index];
    *out_sum = (struct mortar_log_sum){.low = log->terms[index], .high = index};
    return true;
}

static struct mortar_core_status base_status(void)
{
    struct mortar_core_status status;
    memset(&status, 0, sizeof status);
    status.role = MORTAR_FOLLOWER;
    status.self.store[0] = 1;
    status.leader_known = true;
    status.leader.store[0] = 2;
    status.committed = (struct mortar_position){3, 1};
    status.applied = 3;
    status.last = (struct mortar_position){4, 1};
    status.member_count = 2;
    status.members[0].id.store[0] = 1;
    status.members[1].id.store[0] = 2;
    status.members[1].voter = true;
    return status;
}

static struct mortar_core_status before;
static struct mortar_core_status after;
static struct log log_of = {.terms = {0, 1, 1, 1, 1}};

/* Whether a wait that began with `before` holds at once, and with `after`. */
static void try_wait(struct mortar_condition condition, bool at_once, bool then)
{
    struct call_wait wait = {.condition = condition};
    struct wait_view view = {
        .status = &before, .bonds_version = 7, .sum_at = sum_at, .context = &log_of};
    print_message("  kind %d index %llu\n", (int)condition.kind,
                  (unsigned long long)condition.index);
    assert_int_equal(wait_check(&condition), MORTAR_OK);
    wait_begin(&wait, &view);
    assert_int_equal(wait_holds(&wait, &view), at_once);
    view.status = &after;
    view.bonds_version = 8;
    assert_int_equal(wait_holds(&wait, &view), then);
}

static void each_condition_holds_when_it_says(void **state)
{
    (void)state;
    before = base_status();
    before.leader_known = false;
    after = base_status();
    after.online = true;
    after.role = MORTAR_LEADER;
    after.leader = after.self;
    after.committed.index = 4;
    after.applied = 4;
    after.last.index = 5;
    after.member_count = 2;
    after.members[0].voter = true;
    log_of.terms[5] = 1;
    const struct mortar_member_id self = after.self;
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_ELECTED}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_CHANGED}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_IS, .member = self}, false,
             true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_IS_LEADER}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_IS_FOLLOWER}, true, false);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_ONLINE}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_OFFLINE}, true, false);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_COMMITTED, .index = 3}, true, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_COMMITTED, .index = 4}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_COMMIT_ADVANCED}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_APPLIED, .index = 4}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_APPLIED, .index = 5}, false, false);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LOG_REACHES, .index = 5}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LOG_ADVANCED}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LOG_CHANGED}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LOG_REVERTED}, false, false);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_VOTER}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_MEMBERS, .index = 2}, true, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_VOTERS, .index = 2}, false, true);
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_BONDS_CHANGED}, false, true);
    after.joint = true;
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_VOTERS, .index = 2}, false, false);
    log_of.terms[5] = 0;
}

static void a_leader_that_stays_has_not_changed(void **state)
{
    (void)state;
    before = base_status();
    after = base_status();
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_CHANGED}, false, false);
    after.leader_known = false;
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_CHANGED}, false, false);
    after = base_status();
    after.leader.store[0] = 9;
    try_wait((struct mortar_condition){.kind = MORTAR_UNTIL_LEADER_CHANGED}, false, true);
}

static void a_cut_log_is_noticed_even_when_it_is_longer_again(void **state)
{
    (void)state;
    struct log log = {.terms = {0, 1, 1, 1, 1}};
    struct mortar_core_status status = base_status();
    struct call_wait wait = {.condition = {.kind = MORTAR_UNTIL_LOG_REVERTED}};
    const struct wait_view view = {.status = &status, .sum_at = sum_at, .context = &log};
    wait_begin(&wait, &view);
    assert_false(wait_holds(&wait, &view));
    log.terms[5] = 1; /* It grows, */
    status.last = (struct mortar_position){5, 1};
    assert_false(wait_holds(&wait, &view));
    log.terms[5] = 2; /* is cut, and grows again. */
    log.terms[6] = 2;
    status.last = (struct mortar_position){6, 2};
    assert_true(wait_holds(&wait, &view));
    log.terms[5] = 0;
    log.terms[6] = 0;
    status.last = (struct mortar_position){4, 1};
    assert_true(wait_holds(&wait, &view));
}

static void a_kind_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    struct mortar_condition condition;
    memset(&condition, 0, sizeof condition);
    assert_int_equal(wait_check(&condition), MORTAR_E_INVALID);
    memset(&condition, 0x7f, sizeof condition);
    assert_int_equal(wait_check(&condition), MORTAR_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition_holds_when_it_says),
        cmocka_unit_test(a_leader_that_stays_has_not_changed),
        cmocka_unit_test(a_cut_log_is_noticed_even_when_it_is_longer_again),
        cmocka_unit_test(a_kind_that_does_not_exist_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
