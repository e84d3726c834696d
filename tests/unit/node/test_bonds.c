/* Which of two links stays: both sides must come to the same answer, whatever they saw first. */
#include "node/mesh.h"
#include "unit/test.h"

/* Two nodes connect at the same time; each sees the two links in either order. */
static void both_sides_keep_the_link_that_the_smaller_id_made(void **state)
{
    (void)state;
    for (unsigned self_is_smaller = 0; self_is_smaller < 2; self_is_smaller++) {
        const bool own_stays = self_is_smaller == 1;
        /* Ours came first, then the other's; then the other way round. */
        assert_int_equal(mesh_newer_stays(self_is_smaller == 1, true, false), !own_stays);
        assert_int_equal(mesh_newer_stays(self_is_smaller == 1, false, true), own_stays);
    }
}

static void who_connects_again_holds_the_older_link_for_dead(void **state)
{
    (void)state;
    for (unsigned self_is_smaller = 0; self_is_smaller < 2; self_is_smaller++) {
        assert_true(mesh_newer_stays(self_is_smaller == 1, true, true));
        assert_true(mesh_newer_stays(self_is_smaller == 1, false, false));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_keep_the_link_that_the_smaller_id_made),
        cmocka_unit_test(who_connects_again_holds_the_older_link_for_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
