// SPDX-License-Identifier: Apache-2.0
/* The threads of the store: their signals, their names, their end; and by which clock they wait. */
#include "base/clock.h"
#include "store/thread.h"
#include "tests/support/testing.h"

#include <time.h>

/* What a thread saw; read after it has been joined. */
struct seen {
    int gate[2]; /* it goes on when a byte comes */
    sigset_t blocked;
    pthread_t self;
    int has_ended;
};

static void *look(void *arg)
{
    struct seen *seen = arg;
    char c;

    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    seen->self = pthread_self();
    seen->has_ended = read(seen->gate[0], &c, 1) == 1;
    return NULL;
}

static void seen_init(struct seen *seen)
{
    *seen = (struct seen){0};
    assert_int_equal(pipe(seen->gate), 0);
}

/* Let it go, and wait for its end. */
static void seen_end(struct seen *seen, pthread_t thread)
{
    assert_int_equal(write(seen->gate[1], "x", 1), 1);
    thread_join(thread);
    err_close(&seen->gate[0]);
    err_close(&seen->gate[1]);
}

static void block_only(int signal)
{
    sigset_t set;

    sigemptyset(&set);
    if (signal)
        sigaddset(&set, signal);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &set, NULL), 0);
}

/* Exactly @signal is blocked in this thread; 0: none. */
static void assert_blocked_only(int signal)
{
    sigset_t now;

    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    for (int i = 1; i <= SIGRTMAX; i++)
        if (i < SIGSYS || i >= SIGRTMIN)
            assert_int_equal(sigismember(&now, i) == 1, i == signal);
}

static void test_a_thread_takes_no_signals(void **state)
{
    static const int own[] = {0, SIGUSR1};
    struct seen seen;
    pthread_t thread;

    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        seen_init(&seen);
        block_only(own[i]);
        assert_int_equal(thread_start(&thread, "looker", look, &seen), 0);
        assert_blocked_only(own[i]); /* the starter's are as they were */
        seen_end(&seen, thread);
        for (int n = 1; n <= SIGRTMAX; n++)
            if (n != SIGKILL && n != SIGSTOP && (n <= SIGSYS || n >= SIGRTMIN))
                assert_int_equal(sigismember(&seen.blocked, n), 1);
    }
    block_only(0);
}

static void test_it_has_its_name_and_argument(void **state)
{
    static const char *const names[] = {"a", "fifteen-letters"};
    struct seen seen;
    pthread_t thread;
    char name[16];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        seen_init(&seen);
        assert_int_equal(thread_start(&thread, names[i], look, &seen), 0);
        assert_int_equal(pthread_getname_np(thread, name, sizeof name), 0);
        assert_string_equal(name, names[i]);
        seen_end(&seen, thread);
        assert_true(pthread_equal(seen.self, thread));
    }
}

static void test_join_waits_for_the_end(void **state)
{
    struct seen seen;
    pthread_t thread;

    for (int i = 0; i < 100; i++) {
        seen_init(&seen);
        assert_int_equal(thread_start(&thread, "looker", look, &seen), 0);
        seen_end(&seen, thread);
        assert_true(seen.has_ended);
    }
}

static void join_self(void *arg)
{
    thread_join(pthread_self());
}

static void test_what_cannot_be_joined_aborts(void **state)
{
    test_aborts(join_self, NULL, "pthread_join");
}

/* No address space has room for such a stack. */
static void test_no_thread_can_be_made(void **state)
{
    struct seen seen;
    pthread_attr_t attr, old;
    pthread_t thread;
    int r;

    seen_init(&seen);
    block_only(SIGUSR2);
    assert_int_equal(pthread_getattr_default_np(&old), 0);
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 60), 0);
    assert_int_equal(pthread_setattr_default_np(&attr), 0);
    r = thread_start(&thread, "looker", look, &seen);
    assert_int_equal(pthread_setattr_default_np(&old), 0);
    assert_int_equal(r, -EAGAIN);
    assert_blocked_only(SIGUSR2);
    block_only(0);
    assert_int_equal(pthread_attr_destroy(&attr), 0);
    assert_int_equal(pthread_attr_destroy(&old), 0);
    assert_int_equal(thread_start(&thread, "looker", look, &seen), 0);
    seen_end(&seen, thread);
    assert_true(seen.has_ended);
}

/* --- conditions */

struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int is_there;
};

static void *arrive(void *arg)
{
    struct meeting *m = arg;

    pthread_mutex_lock(&m->lock);
    m->is_there = 1;
    pthread_cond_signal(&m->cond);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static struct timespec monotonic_in(int64_t ns)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    ns += t.tv_nsec;
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    return t;
}

/* By any other clock a time of this one is long over, or never comes. */
static void test_timed_waits_are_by_the_monotonic_clock(void **state)
{
    struct meeting m = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct timespec until, now;
    int r;

    thread_cond_init(&m.cond);
    until = monotonic_in(20 * NS_PER_MS);
    pthread_mutex_lock(&m.lock);
    while ((r = pthread_cond_timedwait(&m.cond, &m.lock, &until)) == 0)
        ;
    pthread_mutex_unlock(&m.lock);
    now = monotonic_in(0);
    assert_int_equal(r, ETIMEDOUT);
    assert_true(now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
    assert_int_equal(pthread_cond_destroy(&m.cond), 0);
}

static void test_a_signal_ends_the_wait(void **state)
{
    struct meeting m = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct timespec until = monotonic_in(3600 * NS_PER_S);
    pthread_t thread;
    int r = 0;

    thread_cond_init(&m.cond);
    pthread_mutex_lock(&m.lock);
    assert_int_equal(thread_start(&thread, "arrives", arrive, &m), 0);
    while (r == 0 && !m.is_there)
        r = pthread_cond_timedwait(&m.cond, &m.lock, &until);
    pthread_mutex_unlock(&m.lock);
    thread_join(thread);
    assert_int_equal(r, 0);
    assert_true(m.is_there);
    assert_int_equal(pthread_cond_destroy(&m.cond), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_thread_takes_no_signals),
            cmocka_unit_test(test_it_has_its_name_and_argument),
            cmocka_unit_test(test_join_waits_for_the_end),
            cmocka_unit_test(test_what_cannot_be_joined_aborts),
            cmocka_unit_test(test_no_thread_can_be_made),
            cmocka_unit_test(test_timed_waits_are_by_the_monotonic_clock),
            cmocka_unit_test(test_a_signal_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
