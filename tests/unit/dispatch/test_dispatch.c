// SPDX-License-Identifier: Apache-2.0
/* The whole of the room: who gets the work, drain, streams that end before or without their process, and its own end. */
#include "dispatch/internal.h"
#include "tests/unit/dispatch/harness.h"

#include <signal.h>

static void submit_many(struct harness *h, int n)
{
    for (int i = 0; i < n; i++)
        harness_submit(h, "function: 'echo'");
    harness_settle(h);
}

static void test_methods(void **state)
{
    const struct grpc_method *rows;
    struct harness h;
    size_t n;

    harness_init(&h);
    rows = dispatch_methods(h.dispatch, &n);
    assert_int_equal(n, 7);
    assert_string_equal(rows[0].path, "/futured.v1.Workers/Attach");
    assert_int_equal(rows[0].kind, GRPC_BIDI);
    for (size_t i = 1; i < n; i++)
        assert_int_equal(rows[i].kind, GRPC_UNARY);
    harness_deinit(&h);
}

/* No task waits behind another while a worker is idle. */
static void test_spread(void **state)
{
    static const int64_t means[] = {-1, 1000, NS_PER_S};

    for (size_t i = 0; i < ARRAY_LEN(means); i++) {
        struct child *w[4];
        struct harness h;

        harness_init(&h);
        engine_function_add(h.engine, SPAN_LIT("echo"), (struct span){0})->mean_run_ns = means[i];
        for (uint64_t k = 0; k < 4; k++) {
            w[k] = harness_spawn(&h, k + 1);
            harness_hello(w[k], "slots: 1", 32);
        }
        submit_many(&h, 4);
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(w[k]->n_items, 1);
        harness_deinit(&h);
    }
}

/* What is reserved ahead is shared, in rounds. */
static void test_share(void **state)
{
    struct child *a, *b;
    struct harness h;

    harness_init(&h);
    engine_function_add(h.engine, SPAN_LIT("echo"), (struct span){0})->mean_run_ns = 1000;
    a = harness_spawn(&h, 1);
    harness_hello(a, "slots: 1", 1000);
    b = harness_spawn(&h, 2);
    harness_hello(b, "slots: 1", 1000);
    submit_many(&h, 200);
    assert_int_equal(a->n_items + b->n_items, 200);
    assert_in_range(a->n_items, 100 - DISPATCH_ROUND - 1, 100 + DISPATCH_ROUND + 1);
    harness_deinit(&h);
}

/* A number that is configured holds for slow functions too: each worker has as many, and none beyond its credit. */
static void test_prefetch_by_number(void **state)
{
    struct child *w[3];
    struct harness h;

    harness_init(&h);
    h.dispatch->config.prefetch = 20;
    engine_function_add(h.engine, SPAN_LIT("echo"), (struct span){0})->mean_run_ns = NS_PER_S;
    for (uint64_t k = 0; k < 3; k++) {
        w[k] = harness_spawn(&h, k + 1);
        harness_hello(w[k], "slots: 1", k == 2 ? 5 : 1000);
    }
    submit_many(&h, 100);
    assert_int_equal(w[0]->n_items, 20);
    assert_int_equal(w[1]->n_items, 20);
    assert_int_equal(w[2]->n_items, 5);
    worker_runs(w[0], harness_take(w[0]));
    assert_int_equal(w[0]->n_items, 21);
    harness_deinit(&h);
}

/* Work that came before any worker, and a worker that came before any work. */
static void test_either_first(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    submit_many(&h, 2);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 0);
    assert_int_equal(w->n_items, 0);
    harness_say(w, "ready { credit: 5 }");
    harness_settle(&h);
    worker_runs(w, harness_take(w));
    worker_runs(w, harness_take(w));
    assert_int_equal(harness_n_open(w), 0);
    submit_many(&h, 1);
    assert_int_equal(harness_n_open(w), 1);
    harness_deinit(&h);
}

/* Only what it serves. */
static void test_functions(void **state)
{
    struct child *w, *other;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 5", 5);
    other = harness_spawn(&h, 2);
    harness_say(other, "hello { name: 'o' slots: 5 functions { name: 'only-mine' } } ready { credit: 5 }");
    harness_settle(&h);
    harness_submit(&h, "function: 'only-mine'");
    harness_submit(&h, "function: 'nobody-serves-it'");
    submit_many(&h, 2);
    assert_int_equal(w->n_items, 2);
    assert_int_equal(other->n_items, 1);
    harness_deinit(&h);
}

static void test_counts(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    assert_int_equal(dispatch_n_leases(h.dispatch), 0);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 3", 3);
    submit_many(&h, 5);
    assert_int_equal(dispatch_n_leases(h.dispatch), 3);
    assert_int_equal(dispatch_n_ready(h.dispatch), 1);
    worker_runs(w, harness_take(w));
    assert_int_equal(dispatch_n_leases(h.dispatch), 3);
    harness_deinit(&h);
}

/* Draining: what is assigned ends, nothing more is handed out. */
static void test_drain(void **state)
{
    const struct function *echo;
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 2", 10);
    submit_many(&h, 5);
    assert_int_equal(w->n_items, 2);
    echo = engine_function_find(h.engine, SPAN_LIT("echo"));
    dispatch_drain(h.dispatch);
    worker_runs(w, harness_take(w));
    worker_runs(w, harness_take(w));
    submit_many(&h, 1);
    assert_int_equal(w->n_items, 2);
    assert_int_equal(dispatch_n_leases(h.dispatch), 0);
    assert_true(dispatch_credit(h.dispatch, echo) == 0);
    assert_int_equal(future_pending_reason(engine_oldest(echo)), PENDING_PAUSED);
    dispatch_resume(h.dispatch);
    assert_true(dispatch_credit(h.dispatch, echo) > 0);
    harness_deinit(&h);
}

/* Its stream is gone and its process is not: it has a moment, then it is killed, once. */
static void test_outlives_its_stream(void **state)
{
    struct future *f;
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 1);
    f = harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    worker_starts(w, harness_take(w));
    harness_hang_up(w);
    harness_settle(&h);
    assert_true(h.next == h.now + DISPATCH_EXIT_GRACE_NS);
    assert_int_equal(w->n_kills, 0);
    harness_advance(&h, DISPATCH_EXIT_GRACE_NS - 1);
    assert_int_equal(w->n_kills, 0);
    harness_advance(&h, 1);
    assert_int_equal(w->n_kills, 1);
    assert_true(strlen(w->why) > 0);
    harness_advance(&h, 10 * NS_PER_S);
    assert_int_equal(w->n_kills, 1);
    assert_int_equal(dispatch_n_leases(h.dispatch), 1); /* until it has died */
    harness_die(w, SIGKILL, 1);
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    assert_int_equal(dispatch_n_leases(h.dispatch), 0);
    harness_deinit(&h);
}

/* It dies within that moment: its death tells what became of its task. */
static void test_dies_in_time(void **state)
{
    struct future *f;
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 1);
    f = harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    worker_starts(w, harness_take(w));
    harness_hang_up(w);
    harness_advance(&h, NS_PER_MS);
    harness_die(w, SIGBUS, 0);
    harness_settle(&h);
    assert_int_equal(w->n_kills, 0);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_CRASHED);
    assert_int_equal(f->attempts->signal, SIGBUS);
    harness_advance(&h, 10 * NS_PER_S);
    assert_int_equal(w->n_kills, 0);
    harness_deinit(&h);
}

/* A dead worker whose stream a grandchild holds open does not keep the daemon busy. */
static void test_dead_and_silent(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 1);
    harness_hello(w, "slots: 1", 1);
    submit_many(&h, 1);
    harness_die(w, SIGSEGV, 0);
    assert_true(dispatch_tick(h.dispatch, h.now) <= h.now);       /* one turn to read what there is ... */
    assert_true(dispatch_tick(h.dispatch, h.now) == CLOCK_NEVER); /* ... and that was it */
    assert_true(dispatch_tick(h.dispatch, h.now) == CLOCK_NEVER);
    harness_settle(&h);
    assert_true(w->call.is_done);
    assert_int_equal(dispatch_n_leases(h.dispatch), 0);
    harness_deinit(&h);
}

/* The end of the daemon with workers in every state: nothing is left, nothing hangs. */
static void test_the_end(void **state)
{
    struct child *running, *hung_up, *silent;
    struct future *f;
    struct harness h;

    harness_init(&h);
    running = harness_spawn(&h, 1);
    harness_hello(running, "slots: 2", 2);
    hung_up = harness_spawn(&h, 2);
    harness_hello(hung_up, "slots: 2", 2);
    silent = harness_spawn(&h, 3);
    submit_many(&h, 4);
    worker_starts(running, harness_take(running));
    harness_say(running, "started { %s }", harness_lease(&running->items[0]));
    worker_starts(hung_up, harness_take(hung_up));
    harness_settle(&h);
    harness_hang_up(hung_up);
    f = harness_submit(&h, "function: 'echo'");
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_false(silent->call.is_done);
    harness_deinit(&h);
    assert_null(dispatch_free(NULL));
}

/* Every way at once, by chance: nothing is lost, nothing runs twice at a time, everything ends. */
static void test_storm(void **state)
{
    struct test_random rnd = {test_seed()};

    for (int round = 0; round < 40; round++) {
        enum { N = 60 };
        struct future *f[N];
        struct child *w;
        struct harness h;
        int n_open = N;

        harness_init(&h);
        for (int i = 0; i < N; i++)
            f[i] = harness_submit(&h, "function: 'echo' argument: '%d'", i);
        for (uint64_t key = 1; key < HARNESS_WORKERS; key++) { /* each of them dies, but the last one */
            w = harness_spawn(&h, key);
            harness_hello(w, "slots: 3", (uint32_t)test_random_below(&rnd, 10));
            for (int step = 0; step < 30; step++) {
                struct item *item;

                harness_say(w, "ready { credit: %d }", (int)test_random_below(&rnd, 3));
                harness_settle(&h);
                if (harness_n_open(w) == 0)
                    continue;
                item = harness_take(w);
                switch (test_random_below(&rnd, 4)) {
                case 0: harness_say(w, "release { %s }", harness_lease(item)); break;
                default:
                    worker_starts(w, item);
                    worker_ends(w);
                    worker_finishes(w, item, "result {}");
                    break;
                }
            }
            if (key + 1 == HARNESS_WORKERS)
                break;
            if (harness_n_open(w))
                worker_starts(w, harness_take(w));
            if (test_random_below(&rnd, 2))
                harness_hang_up(w);
            harness_die(w, test_random_below(&rnd, 2) ? SIGSEGV : 256, test_random_below(&rnd, 2) == 0);
            harness_settle(&h);
            if (w->has_stream)
                harness_hang_up(w);
        }
        for (int turn = 0; n_open && turn < 1000; turn++) { /* the last one works through the rest */
            harness_say(w, "ready { credit: 3 }");
            harness_settle(&h);
            while (harness_n_open(w)) {
                struct item *item = harness_take(w);

                worker_starts(w, item);
                worker_ends(w);
                worker_finishes(w, item, "result {}");
            }
            harness_settle(&h);
            n_open = 0;
            for (int i = 0; i < N; i++)
                n_open += !future_is_terminal(f[i]);
        }
        assert_int_equal(n_open, 0);
        for (int i = 0; i < N; i++)
            assert_true(f[i]->state == FUTURE_SUCCEEDED || f[i]->outcome->error->reason == REASON_CRASHED ||
                        f[i]->outcome->error->reason == REASON_WORKER_LOST);
        assert_int_equal(dispatch_n_leases(h.dispatch), 0);
        harness_deinit(&h);
    }
}

static void test_no_memory(void **state)
{
    const struct dispatch_config config = {.max_message_bytes = 1 << 20, .max_result_bytes = 1 << 20};
    struct dispatch *d;
    struct harness h;

    harness_init(&h);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = dispatch_new(&d, h.engine, &config);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (!test_allocation_failed())
            assert_null(dispatch_free(d));
    }
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_methods),
            cmocka_unit_test(test_spread),
            cmocka_unit_test(test_share),
            cmocka_unit_test(test_prefetch_by_number),
            cmocka_unit_test(test_either_first),
            cmocka_unit_test(test_functions),
            cmocka_unit_test(test_counts),
            cmocka_unit_test(test_drain),
            cmocka_unit_test(test_outlives_its_stream),
            cmocka_unit_test(test_dies_in_time),
            cmocka_unit_test(test_dead_and_silent),
            cmocka_unit_test(test_the_end),
            cmocka_unit_test(test_storm),
            cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests_name("dispatch/dispatch", tests, NULL, NULL);
}
