/* unit/os/test_worker.c - one thread that works off jobs in order. */
#include "os/worker.h"
#include "unit/test.h"

#include <semaphore.h>
#include <string.h>

enum { JOBS = 64 };

struct numbered {
    struct worker_job job;
    struct sequence *sequence;
    unsigned number;
};

struct sequence {
    struct worker *worker;
    unsigned next;
    bool in_order;
    bool was_current;
    struct numbered jobs[JOBS];
};

static void run_numbered(struct worker_job *job)
{
    struct numbered *numbered = (struct numbered *)job;
    struct sequence *sequence = numbered->sequence;
    if (numbered->number != sequence->next) sequence->in_order = false;
    if (!worker_is_current(sequence->worker)) sequence->was_current = false;
    sequence->next++;
}

struct gate {
    struct worker_job job;
    sem_t entered;
    sem_t open;
};

static void run_gate(struct worker_job *job)
{
    struct gate *gate = (struct gate *)job;
    (void)sem_post(&gate->entered);
    while (sem_wait(&gate->open) != 0) {
    }
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
    }
}

static void jobs_run_in_order_and_closing_drains_them(void **state)
{
    (void)state;
    const struct worker_options options = {.name = "worker", .jobs_max = JOBS};
    struct sequence sequence = {.in_order = true, .was_current = true};
    assert_int_equal(worker_open(&options, &sequence.worker), MORTAR_OK);
    assert_false(worker_is_current(sequence.worker));
    for (unsigned i = 0; i < JOBS; i++) {
        sequence.jobs[i].job.run = run_numbered;
        sequence.jobs[i].sequence = &sequence;
        sequence.jobs[i].number = i;
        assert_int_equal(worker_post(sequence.worker, &sequence.jobs[i].job), MORTAR_OK);
    }
    worker_close(sequence.worker);
    assert_int_equal(sequence.next, JOBS);
    assert_true(sequence.in_order);
    assert_true(sequence.was_current);
}

static void a_full_queue_answers_busy_and_takes_nothing(void **state)
{
    (void)state;
    const struct worker_options options = {.name = "full", .jobs_max = 2, .low_priority = true};
    struct sequence sequence = {.in_order = true};
    struct gate gate = {.job.run = run_gate};
    assert_int_equal(sem_init(&gate.entered, 0, 0), 0);
    assert_int_equal(sem_init(&gate.open, 0, 0), 0);
    assert_int_equal(worker_open(&options, &sequence.worker), MORTAR_OK);
    assert_int_equal(worker_post(sequence.worker, &gate.job), MORTAR_OK);
    wait_for(&gate.entered); /* It runs, so it is in the queue no more. */
    for (unsigned i = 0; i < 3; i++) {
        sequence.jobs[i].job.run = run_numbered;
        sequence.jobs[i].sequence = &sequence;
        sequence.jobs[i].number = i;
        assert_int_equal(worker_post(sequence.worker, &sequence.jobs[i].job),
                         i < 2 ? MORTAR_OK : MORTAR_E_BUSY);
    }
    assert_int_equal(worker_queued(sequence.worker), 2);
    (void)sem_post(&gate.open);
    worker_close(sequence.worker);
    assert_int_equal(sequence.next, 2);
    (void)sem_destroy(&gate.entered);
    (void)sem_destroy(&gate.open);
}

struct late {
    struct gate gate; /* First: its job is the one that is posted. */
    struct worker *worker;
    struct worker_job refused;
    enum mortar_status answer;
};

/* Posts into the full queue until worker_close(), on the other thread, has begun. */
static void run_late(struct worker_job *job)
{
    struct late *late = (struct late *)job;
    run_gate(job);
    late->answer = MORTAR_E_BUSY;
    while (late->answer == MORTAR_E_BUSY)
        late->answer = worker_post(late->worker, &late->refused);
}

static void a_closing_worker_refuses_jobs(void **state)
{
    (void)state;
    const struct worker_options options = {.name = "late", .jobs_max = 1};
    struct late late = {.gate.job.run = run_late, .refused.run = run_late};
    struct sequence filler = {.in_order = true, .was_current = true};
    assert_int_equal(sem_init(&late.gate.entered, 0, 0), 0);
    assert_int_equal(sem_init(&late.gate.open, 0, 0), 0);
    assert_int_equal(worker_open(&options, &late.worker), MORTAR_OK);
    filler.worker = late.worker;
    filler.jobs[0] = (struct numbered){.job.run = run_numbered, .sequence = &filler};
    assert_int_equal(worker_post(late.worker, &late.gate.job), MORTAR_OK);
    wait_for(&late.gate.entered);
    assert_int_equal(worker_post(late.worker, &filler.jobs[0].job), MORTAR_OK);
    (void)sem_post(&late.gate.open);
    worker_close(late.worker);
    assert_int_equal(late.answer, MORTAR_E_CLOSED);
    assert_int_equal(filler.next, 1); /* What was queued before ran. */
    (void)sem_destroy(&late.gate.entered);
    (void)sem_destroy(&late.gate.open);
}

static void a_queue_of_no_jobs_is_invalid(void **state)
{
    (void)state;
    const struct worker_options options = {.name = "none", .jobs_max = 0};
    struct worker *worker = NULL;
    assert_int_equal(worker_open(&options, &worker), MORTAR_E_INVALID);
    assert_null(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order_and_closing_drains_them),
        cmocka_unit_test(a_full_queue_answers_busy_and_takes_nothing),
        cmocka_unit_test(a_closing_worker_refuses_jobs),
        cmocka_unit_test(a_queue_of_no_jobs_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
