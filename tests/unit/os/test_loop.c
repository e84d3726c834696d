/* unit/os/test_loop.c - event loops on threads of their own. */
#define _GNU_SOURCE
#include "os/loop.h"
#include "unit/test.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { POSTERS = 4, POSTS = 20000 };

struct counted_task {
    struct loop_task task;
    struct poster *poster;
    uint32_t number;
};

struct poster {
    struct loop *loop;
    uint32_t next; /* Number that must run next. */
    bool in_order;
    struct counted_task tasks[POSTS];
};

static struct loop *open_plain(void)
{
    const struct loop_options options = {.name = "a name that is too long for a thread"};
    struct loop *loop;
    assert_int_equal(loop_open(&options, &loop), MORTAR_OK);
    return loop;
}

static void run_counted(struct loop_task *task)
{
    struct counted_task *counted = (struct counted_task *)task;
    struct poster *poster = counted->poster;
    if (counted->number != poster->next) poster->in_order = false;
    poster->next++;
}

static void *post_all(void *context)
{
    struct poster *poster = context;
    for (uint32_t i = 0; i < POSTS; i++) {
        poster->tasks[i].task.run = run_counted;
        poster->tasks[i].poster = poster;
        poster->tasks[i].number = i;
        loop_post(poster->loop, &poster->tasks[i].task);
    }
    return NULL;
}

static void tasks_of_each_thread_run_once_and_in_order(void **state)
{
    (void)state;
    struct loop *loop = open_plain();
    struct poster *posters[POSTERS];
    pthread_t threads[POSTERS];
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i] = calloc(1, sizeof *posters[i]);
        assert_non_null(posters[i]);
        posters[i]->loop = loop;
        posters[i]->in_order = true;
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, posters[i]), 0);
    }
    for (size_t i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    loop_close(loop); /* Runs what was posted. */
    for (size_t i = 0; i < POSTERS; i++) {
        assert_true(posters[i]->in_order);
        assert_int_equal(posters[i]->next, POSTS);
        free(posters[i]);
    }
}

/* What a loop's thread looks like from inside. */
struct inside {
    struct loop *loop;
    bool is_current;
    bool blocks_all;
    int nice_value;
};

static void look_inside(void *context)
{
    struct inside *inside = context;
    inside->is_current = loop_is_current(inside->loop);
    inside->nice_value = getpriority(PRIO_PROCESS, (id_t)gettid());
    sigset_t mask;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    inside->blocks_all = true;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGUSR1, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigismember(&mask, signals[i]) != 1) inside->blocks_all = false;
    }
}

static void the_thread_blocks_signals_and_knows_itself(void **state)
{
    (void)state;
    const int nice_here = getpriority(PRIO_PROCESS, (id_t)gettid());
    for (int low = 0; low < 2; low++) {
        const struct loop_options options = {.name = "inside", .low_priority = low == 1};
        struct inside inside = {0};
        assert_int_equal(loop_open(&options, &inside.loop), MORTAR_OK);
        loop_call(inside.loop, look_inside, &inside);
        assert_true(inside.is_current);
        assert_false(loop_is_current(inside.loop));
        assert_true(inside.blocks_all);
        const int lowered = nice_here + 10 < 19 ? nice_here + 10 : 19;
        assert_int_equal(inside.nice_value, low ? lowered : nice_here);
        loop_close(inside.loop);
    }
    sigset_t mask;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGINT), 0); /* Ours is as before. */
}

struct hooked {
    struct loop *loop;
    unsigned hooks;
    unsigned tasks;
    unsigned hooks_behind;     /* Tasks that no hook has followed yet. */
    unsigned hooks_behind_max; /* The most there ever were. */
    unsigned fires;
    struct loop_timer *timer;
    sem_t fired_thrice;
};

static void on_batch(void *context)
{
    struct hooked *hooked = context;
    hooked->hooks++;
    hooked->hooks_behind = 0;
}

static void count_task(void *context)
{
    struct hooked *hooked = context;
    hooked->tasks++;
    hooked->hooks_behind++;
    if (hooked->hooks_behind > hooked->hooks_behind_max)
        hooked->hooks_behind_max = hooked->hooks_behind;
}

static void the_hook_runs_after_each_batch(void **state)
{
    (void)state;
    struct hooked hooked = {0};
    const struct loop_options options = {
        .name = "hooked", .after_batch = on_batch, .context = &hooked};
    assert_int_equal(loop_open(&options, &hooked.loop), MORTAR_OK);
    for (int i = 0; i < 100; i++)
        loop_call(hooked.loop, count_task, &hooked);
    loop_close(hooked.loop);
    assert_int_equal(hooked.tasks, 100);
    /* A batch has one call, or two when the next came before the loop's last look. */
    assert_in_range(hooked.hooks_behind_max, 1, 2);
    assert_true(hooked.hooks >= 49);
}

static void on_fire(void *context)
{
    struct hooked *hooked = context;
    hooked->fires++;
    if (hooked->fires < 3) return;
    loop_timer_close(hooked->timer);
    (void)sem_post(&hooked->fired_thrice);
}

static void open_timer(void *context)
{
    struct hooked *hooked = context;
    assert_int_equal(loop_timer_open(hooked->loop, 1, 1, on_fire, hooked, &hooked->timer),
                     MORTAR_OK);
    struct loop_timer *never;
    assert_int_equal(loop_timer_open(hooked->loop, 1000000, 0, on_fire, hooked, &never),
                     MORTAR_OK); /* loop_close() ends it. */
}

static void a_timer_fires_until_it_is_closed(void **state)
{
    (void)state;
    struct hooked hooked = {0};
    assert_int_equal(sem_init(&hooked.fired_thrice, 0, 0), 0);
    hooked.loop = open_plain();
    loop_call(hooked.loop, open_timer, &hooked);
    while (sem_wait(&hooked.fired_thrice) != 0) {
    }
    loop_close(hooked.loop);
    assert_int_equal(hooked.fires, 3);
    (void)sem_destroy(&hooked.fired_thrice);
}

/* A task that posts itself again until it has run often enough. */
struct chain {
    struct loop_task task;
    struct loop *loop;
    unsigned left;
};

static void run_chain(struct loop_task *task)
{
    struct chain *chain = (struct chain *)task;
    if (chain->left-- > 1) loop_post(chain->loop, &chain->task);
}

static void closing_runs_what_tasks_post_meanwhile(void **state)
{
    (void)state;
    struct chain chain = {.task.run = run_chain, .left = 1000};
    chain.loop = open_plain();
    loop_post(chain.loop, &chain.task);
    loop_close(chain.loop);
    assert_int_equal(chain.left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_of_each_thread_run_once_and_in_order),
        cmocka_unit_test(the_thread_blocks_signals_and_knows_itself),
        cmocka_unit_test(the_hook_runs_after_each_batch),
        cmocka_unit_test(a_timer_fires_until_it_is_closed),
        cmocka_unit_test(closing_runs_what_tasks_post_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
