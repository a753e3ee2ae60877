// SPDX-License-Identifier: Apache-2.0
/* A child of the pool with several threads: so many workers of one slot each, that live and die together. */
#include "dispatch/child.h"
#include "tests/unit/dispatch/harness.h"

#include <signal.h>

enum { THREADS = 3, CHILD = 5 };

/* Each thread runs a task, and none has anything more. */
struct scene {
    struct harness h;
    struct child *w[THREADS];
    struct item *items[THREADS];
    struct future *f[THREADS];
};

static void set_scene(struct scene *s)
{
    harness_init(&s->h);
    for (uint32_t i = 0; i < THREADS; i++) {
        s->w[i] = harness_spawn_thread(&s->h, CHILD, i);
        harness_hello(s->w[i], "slots: 1", 1);
        s->f[i] = harness_submit(&s->h, "function: 'echo'");
        harness_settle(&s->h);
        s->items[i] = harness_take(s->w[i]);
        worker_starts(s->w[i], s->items[i]);
        harness_say(s->w[i], "started { %s }", harness_lease(s->items[i]));
        harness_settle(&s->h);
        assert_int_equal(s->f[i]->state, FUTURE_RUNNING);
    }
}

static void ends(struct scene *s, int i)
{
    worker_ends(s->w[i]);
    worker_finishes(s->w[i], s->items[i], "result { data: 'done' size_bytes: 4 }");
}

/* Its process has ended, and with it its streams. */
static void die(struct scene *s, int wait_status, int asked)
{
    harness_die(s->w[0], wait_status, asked);
    for (int i = 0; i < THREADS; i++)
        if (s->w[i]->has_stream)
            harness_hang_up(s->w[i]);
    harness_settle(&s->h);
    assert_int_equal(dispatch_n_leases(s->h.dispatch), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_null(worker_find(s->h.dispatch, dispatch_key(CHILD, i)));
}

static void expect_back(const struct future *f)
{
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_null(f->attempts);
}

static void expect_crashed(const struct future *f, const char *message)
{
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->attempts->error->reason, REASON_CRASHED);
    assert_int_equal(f->attempts->error->message.len, strlen(message));
    assert_memory_equal(f->attempts->error->message.p, message, strlen(message));
}

/* Who has taken the process down has crashed; the others have not begun. */
static void test_culprit(void **state)
{
    struct scene s;

    set_scene(&s);
    runpage_blame(&s.w[1]->page);
    die(&s, SIGSEGV, 0);
    expect_crashed(s.f[1], "the worker was killed by signal 11 (SIGSEGV) while it ran this task");
    expect_back(s.f[0]);
    expect_back(s.f[2]);
    assert_int_equal(dispatch_stats(s.h.dispatch).n_crashed, 1); /* a process */
    harness_deinit(&s.h);
}

static void test_nobody_is_blamed(void **state)
{
    struct scene s;

    set_scene(&s);
    ends(&s, 0);
    harness_settle(&s.h);
    die(&s, SIGKILL, 0);
    assert_int_equal(s.f[0]->state, FUTURE_SUCCEEDED);
    for (int i = 1; i < THREADS; i++)
        expect_crashed(
                s.f[i],
                "the worker was killed by signal 9 (SIGKILL) while it ran this task; its threads ran 1 "
                "others at the time, and it is not known which of them is to blame");
    harness_deinit(&s.h);
}

/* Who was alone in it is at fault as ever. */
static void test_one_was_running(void **state)
{
    struct scene s;

    set_scene(&s);
    assert_null(dispatch_running(s.h.dispatch, CHILD)); /* which of them would be at fault nobody knows */
    for (int i = 0; i < THREADS - 1; i++)
        ends(&s, i);
    harness_settle(&s.h);
    assert_ptr_equal(dispatch_running(s.h.dispatch, CHILD), s.f[2]);
    assert_null(dispatch_running(s.h.dispatch, CHILD + 1));
    die(&s, 0, 0);
    expect_crashed(s.f[2], "the worker ended with exit code 0 while it ran this task");
    harness_deinit(&s.h);
}

/* One does not end in time, and the process is killed for it. */
static void test_timeout(void **state)
{
    struct scene s;

    set_scene(&s);
    assert_int_equal(engine_cancel(s.h.engine, s.f[2], s.h.scope, SPAN_LIT("enough"), NS_PER_S), 0);
    harness_settle(&s.h);
    harness_advance(&s.h, NS_PER_S / 2);
    assert_int_equal(s.w[0]->n_terms, 1);
    harness_advance(&s.h, NS_PER_S / 2);
    assert_int_equal(s.w[0]->n_kills, 1);
    assert_string_equal(s.w[0]->why, "its attempt does not end");
    assert_ptr_equal(dispatch_running(s.h.dispatch, CHILD), s.f[2]);
    die(&s, SIGKILL, 1);
    assert_int_equal(s.f[2]->state, FUTURE_CANCELLED);
    expect_back(s.f[0]);
    expect_back(s.f[1]);
    harness_deinit(&s.h);
}

/* Somebody has it killed by the name of one thread: what that one ran is lost, the others go back. */
static void test_kill(void **state)
{
    struct scene s;

    set_scene(&s);
    child_kill(worker_find(s.h.dispatch, dispatch_key(CHILD, 0)), "so");
    die(&s, SIGKILL, 1);
    assert_int_equal(s.f[0]->state, FUTURE_PENDING);
    assert_int_equal(s.f[0]->attempts->error->reason, REASON_WORKER_LOST);
    expect_back(s.f[1]);
    expect_back(s.f[2]);
    harness_deinit(&s.h);
}

/* No thread is given anything more, and the process is stopped when the last one has ended what it ran. */
static void test_retire(void **state)
{
    struct scene s;

    set_scene(&s);
    assert_int_equal(dispatch_held(s.h.dispatch, CHILD), THREADS);
    assert_int_equal(dispatch_retire(s.h.dispatch, CHILD + 1, s.h.now), 0);
    assert_int_equal(dispatch_retire(s.h.dispatch, CHILD, s.h.now), 1);
    harness_submit(&s.h, "function: 'echo'");
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(s.w[0]->n_stops, 0);
        ends(&s, i);
        harness_say(s.w[i], "ready { credit: 1 }");
        harness_settle(&s.h);
        assert_int_equal(harness_n_open(s.w[i]), 0);
    }
    assert_true(s.w[0]->n_stops > 0);
    die(&s, 0, 1);
    harness_deinit(&s.h);
}

/* What was said of the process holds for a thread that comes later. */
static void test_late_thread(void **state)
{
    struct scene s;
    struct child *late;

    set_scene(&s);
    assert_int_equal(dispatch_retire(s.h.dispatch, CHILD, s.h.now), 1);
    late = harness_spawn_thread(&s.h, CHILD, THREADS);
    harness_hello(late, "slots: 1", 1);
    harness_submit(&s.h, "function: 'echo'");
    harness_settle(&s.h);
    assert_int_equal(harness_n_open(late), 0);
    harness_hang_up(late);
    die(&s, SIGKILL, 1);
    harness_deinit(&s.h);
}

/* A thread that has ended its stream in order waits for the others; one that has lost it does not. */
static void test_streams_end(void **state)
{
    struct scene s;

    set_scene(&s);
    ends(&s, 0);
    loopback_half_close(&s.w[0]->call);
    harness_settle(&s.h);
    harness_advance(&s.h, 60 * NS_PER_S);
    assert_int_equal(s.w[0]->n_kills, 0);
    harness_hang_up(s.w[1]);
    harness_advance(&s.h, 2 * NS_PER_S);
    assert_int_equal(s.w[0]->n_kills, 1);
    assert_string_equal(s.w[0]->why, "it outlives its stream");
    die(&s, SIGKILL, 1);
    assert_int_equal(s.f[1]->attempts->error->reason, REASON_WORKER_LOST);
    expect_back(s.f[2]);
    harness_deinit(&s.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_culprit),
            cmocka_unit_test(test_nobody_is_blamed),
            cmocka_unit_test(test_one_was_running),
            cmocka_unit_test(test_timeout),
            cmocka_unit_test(test_kill),
            cmocka_unit_test(test_retire),
            cmocka_unit_test(test_late_thread),
            cmocka_unit_test(test_streams_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
