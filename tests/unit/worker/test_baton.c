// SPDX-License-Identifier: Apache-2.0
/* The hand-over between runner and monitor: who has the baton is proved by a plain counter that both write, which the
 * thread sanitizer watches. */
#include "tests/support/testing.h"
#include "worker/baton.h"

#include <poll.h>
#include <sched.h>

struct shared {
    struct baton baton;
    uint64_t counter; /* of who has the baton */
    atomic_int n_served, is_serving;
    pthread_t server;
};

static void serve(void *arg)
{
    struct shared *s = arg;
    struct pollfd p = {.fd = baton_fd(&s->baton), .events = POLLIN};

    s->server = pthread_self();
    s->counter++;
    atomic_fetch_add(&s->n_served, 1);
    atomic_store(&s->is_serving, 1);
    while (!baton_is_wanted(&s->baton))
        ASSERT(poll(&p, 1, -1) == 1 || errno == EINTR);
    s->counter++;
    atomic_store(&s->is_serving, 0);
}

static void wait_served(struct shared *s)
{
    while (!atomic_load(&s->is_serving))
        sched_yield();
}

static void test_long_task(void **state)
{
    struct shared s = {.counter = 0};

    assert_int_equal(baton_init(&s.baton, serve, &s), 0);
    for (int i = 1; i <= 20; i++) {
        s.counter++;
        baton_lend(&s.baton);
        wait_served(&s);
        baton_take(&s.baton);
        assert_int_equal(atomic_load(&s.is_serving), 0);
        assert_int_equal(s.counter, 3 * i);
        assert_int_equal(atomic_load(&s.n_served), i);
        assert_false(baton_is_wanted(&s.baton));
        assert_false(pthread_equal(s.server, pthread_self()));
    }
    baton_deinit(&s.baton);
}

/* Tasks short enough that the monitor comes to some of them, or to none: the counter adds up whatever it does. */
static void test_short_tasks(void **state)
{
    struct shared s = {.counter = 0};
    uint64_t n = 0;

    assert_int_equal(baton_init(&s.baton, serve, &s), 0);
    for (int i = 0; i < 20000; i++) {
        s.counter++;
        n++;
        baton_lend(&s.baton);
        if (i % 1000 == 0)
            wait_served(&s);
        else if (i % 7 == 0)
            sched_yield();
        baton_take(&s.baton);
    }
    assert_int_equal(s.counter, n + 2 * (uint64_t)atomic_load(&s.n_served));
    assert_true(atomic_load(&s.n_served) >= 20);
    baton_deinit(&s.baton);
}

/* The monitor goes to sleep for good while nothing runs, and is there again for the next long task. */
static void test_sleep(void **state)
{
    struct shared s = {.counter = 0};

    assert_int_equal(baton_init(&s.baton, serve, &s), 0);
    for (int i = 0; i < 3; i++) {
        while (!atomic_load(&s.baton.is_asleep))
            sched_yield();
        baton_lend(&s.baton);
        wait_served(&s);
        baton_take(&s.baton);
    }
    while (!atomic_load(&s.baton.is_asleep)) /* a short one wakes it too */
        sched_yield();
    baton_lend(&s.baton);
    baton_take(&s.baton);
    baton_deinit(&s.baton); /* whatever it is doing */
}

static void test_deinit_at_once(void **state)
{
    for (int i = 0; i < 50; i++) {
        struct shared s = {.counter = 0};

        assert_int_equal(baton_init(&s.baton, serve, &s), 0);
        if (i % 2) {
            baton_lend(&s.baton);
            baton_take(&s.baton);
        }
        baton_deinit(&s.baton);
    }
}

static void lend_twice(void *arg)
{
    struct shared *s = arg;

    baton_lend(&s->baton);
    baton_lend(&s->baton);
}

static void test_misuse_aborts(void **state)
{
    struct shared s = {.baton = {.word = 0}};

    test_aborts(lend_twice, &s, "OWNER_RUNNER");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_misuse_aborts), /* while there is one thread */
            cmocka_unit_test(test_long_task),     cmocka_unit_test(test_short_tasks),
            cmocka_unit_test(test_sleep),         cmocka_unit_test(test_deinit_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
