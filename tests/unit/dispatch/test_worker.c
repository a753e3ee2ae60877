// SPDX-License-Identifier: Apache-2.0
/* Workers: who may attach, what Hello must say, and what becomes of their leases when their process has died. */
#include "dispatch/worker.h"
#include "tests/unit/dispatch/harness.h"

#include <signal.h>

enum { EXITED_3 = 3 << 8 };

static const struct attempt *last_attempt(const struct future *f)
{
    assert_non_null(f->attempts);
    return f->attempts;
}

static void expect_lost(const struct future *f)
{
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(last_attempt(f)->error->reason, REASON_WORKER_LOST);
    assert_false(last_attempt(f)->has_signal || last_attempt(f)->has_exit_code);
}

static void expect_untouched(const struct future *f)
{
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_null(f->attempts);
    assert_null(f->lease);
}

/* --- Attach and Hello */

static void test_welcome(void **state)
{
    struct child *a, *b;
    struct harness h;

    harness_init(&h);
    a = harness_spawn(&h, 5);
    assert_int_equal(dispatch_n_ready(h.dispatch), 0);
    harness_hello(a, "slots: 2 version: '1.0'", 0);
    assert_int_equal(a->n_welcomes, 1);
    assert_int_equal(a->welcome->epoch, HARNESS_EPOCH);
    assert_int_equal(a->welcome->max_message_bytes, 4 << 20);
    assert_int_equal(a->welcome->max_result_bytes, HARNESS_MAX_RESULT);
    assert_string_equal(a->welcome->version, FUTURED_VERSION);
    assert_null(a->welcome->heartbeat_interval); /* its leases end with its process */
    assert_int_equal(dispatch_n_ready(h.dispatch), 1);
    b = harness_spawn(&h, 6);
    harness_hello(b, "slots: 1", 0);
    assert_string_not_equal(a->welcome->worker_id, b->welcome->worker_id);
    assert_int_equal(dispatch_n_ready(h.dispatch), 2);
    assert_non_null(worker_find(h.dispatch, dispatch_key(5, 0)));
    assert_null(worker_find(h.dispatch, dispatch_key(7, 0)));
    harness_deinit(&h);
}

/* What it serves is known from then on, with its documentation; an attempt names it by its ID. */
static void test_functions(void **state)
{
    const struct function *echo;
    const struct future *f;
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    echo = engine_function_find(h.engine, SPAN_LIT("echo"));
    assert_non_null(echo);
    assert_int_equal(echo->n_holders, 1);
    assert_true(span_eq(SPAN_OF_BYTES(echo->doc), SPAN_LIT("the argument back")));
    f = harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    worker_runs(w, harness_take(w));
    assert_true(span_eq(SPAN_OF_BYTES(last_attempt(f)->worker), span_of_string(w->welcome->worker_id)));
    harness_die(w, EXITED_3, 0);
    harness_hang_up(w);
    harness_settle(&h);
    assert_int_equal(echo->n_holders, 0);
    assert_int_equal(dispatch_n_ready(h.dispatch), 0);
    harness_deinit(&h);
}

static void test_bad_hello(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
            {"functions { name: 'f' } slots: 1 name: x256", "hello.name"},
            {"functions { name: 'f' } slots: 1 version: x256", "hello.version"},
            {"functions { name: 'f' }", "hello.slots"},
            {"functions { name: 'f' } slots: 1025", "hello.slots"},
            {"slots: 1", "hello.functions"},
            {"slots: 1 10001 * functions { name: 'f$' }", "hello.functions"},
            {"slots: 1 functions {}", "hello.functions"},
            {"slots: 1 functions { name: 'a b' }", "hello.functions"},
            {"slots: 1 functions { name: x256 }", "hello.functions"},
            {"slots: 1 functions { name: 'f' } functions { name: 'é' }", "hello.functions"},
            {"slots: 1 functions { name: 'f' doc: #ff }", "hello.functions"},
            {"slots: 1 @3: 5", "hello.functions"},
            {"slots: 1 functions { name: 'f' } name: #ff", "hello.name"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct child *w;
        struct harness h;

        harness_init(&h);
        w = harness_spawn(&h, 5);
        harness_say(w, "hello { %s } ready { credit: 5 }", cases[i].text);
        harness_settle(&h);
        harness_expect_cut(w, GRPC_INVALID_ARGUMENT, cases[i].field);
        assert_string_equal(w->call.status.reason, "INVALID_FIELD");
        assert_string_equal(w->call.status.violations[0].field, cases[i].field);
        assert_int_equal(w->n_welcomes, 0);
        assert_int_equal(dispatch_n_ready(h.dispatch), 0);
        harness_die(w, EXITED_3, 0);
        harness_settle(&h);
        harness_deinit(&h);
    }
}

/* Options are handed on as they are said; who says wrong ones is cut off. */
static void test_default_options(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_say(w,
                "hello { slots: 1 functions { name: 'f' } functions { name: 'g' default_options { priority: "
                "1 } } functions { name: 'h' default_options {} } }");
    harness_settle(&h);
    assert_int_equal(w->n_welcomes, 1);
    assert_string_equal(h.said_options, "h: 0 bytes");
    h.refuses_options = 1;
    w = harness_spawn(&h, 6);
    harness_say(w, "hello { slots: 1 functions { name: 'g' default_options { priority: 1 } } }");
    harness_settle(&h);
    assert_string_equal(h.said_options, "g: 2 bytes");
    harness_expect_cut(w, GRPC_INVALID_ARGUMENT, "hello.functions.default_options");
    assert_int_equal(dispatch_n_ready(h.dispatch), 1);
    harness_die(w, EXITED_3, 0);
    harness_settle(&h);
    harness_deinit(&h);
}

static void test_longest_hello(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_say(
            w,
            "hello { name: x255 version: x255 slots: 1024 9000 * functions { name: 'f$' } functions { name: "
            "x255 } }");
    harness_settle(&h);
    assert_int_equal(w->n_welcomes, 1);
    harness_deinit(&h);
}

static void test_hello_twice(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    harness_hello(w, "slots: 1", 1);
    harness_expect_cut(w, GRPC_INVALID_ARGUMENT, "twice");
    harness_deinit(&h);
}

/* A second stream of the same child is refused; the first one goes on. */
static void test_second_attach(void **state)
{
    struct loopback lo;
    struct loopback_call c;
    const struct grpc_peer peer = {
            .address = "worker:1", .is_pool_worker = 1, .worker_key = dispatch_key(5, 0)};
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    loopback_init_as(&lo, h.server, &peer);
    loopback_call(&lo, &c, "/futured.v1.Workers/Attach", 0);
    loopback_pump(&lo);
    assert_int_equal(c.status.code, GRPC_FAILED_PRECONDITION);
    loopback_call_deinit(&c);
    loopback_deinit(&lo);
    harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    worker_runs(w, harness_take(w));
    harness_die(w, EXITED_3, 0); /* and its death finds it */
    harness_hang_up(w);
    harness_settle(&h);
    assert_null(worker_find(h.dispatch, dispatch_key(5, 0)));
    harness_deinit(&h);
}

/* Its stream is heard of after its death: it would be given work that nobody takes back. */
static void test_attach_after_death(void **state)
{
    const struct future *f;
    struct child *w;
    struct harness h;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    w = harness_spawn(&h, 5);
    harness_hang_up(w);
    loopback_call_deinit(&w->call);
    harness_die(w, SIGSEGV, 0);
    harness_settle(&h);
    assert_null(worker_find(h.dispatch, dispatch_key(5, 0)));
    harness_attach(&h, w, 1);
    harness_say(w, "hello { name: 'w' slots: 1 functions { name: 'echo' } } ready { credit: 1 }");
    harness_settle(&h);
    harness_expect_cut(w, GRPC_UNAVAILABLE, "ended");
    expect_untouched(f);
    assert_int_equal(dispatch_n_leases(h.dispatch), 0);
    harness_deinit(&h);
}

/* --- death */

struct scene {
    struct harness h;
    struct child *w;
    struct future *f[6];
    struct item *item[6];
};

/* A worker with six leases: 0 has finished and said so, 1 has finished unheard, 2 runs and says so, 3 .. 5 have not begun. */
static void set_scene(struct scene *s)
{
    harness_init(&s->h);
    s->w = harness_spawn(&s->h, 5);
    harness_hello(s->w, "slots: 6", 6);
    for (int i = 0; i < 6; i++)
        s->f[i] = harness_submit(&s->h, "function: 'echo' argument: '%d'", i);
    harness_settle(&s->h);
    for (int i = 0; i < 6; i++)
        s->item[i] = harness_take(s->w);
    worker_starts(s->w, s->item[0]);
    worker_ends(s->w);
    worker_finishes(s->w, s->item[0], "result { data: 'heard' size_bytes: 5 }");
    worker_starts(s->w, s->item[1]);
    worker_ends(s->w);
    worker_starts(s->w, s->item[2]);
    harness_settle(&s->h);
    assert_int_equal(s->f[0]->state, FUTURE_SUCCEEDED);
    assert_int_equal(dispatch_n_leases(s->h.dispatch), 5);
}

/* What went back is handed out again in its old order. */
static void expect_order(struct scene *s, const int *order, size_t n)
{
    struct child *w = harness_spawn(&s->h, 6);

    harness_hello(w, "slots: 10", 10);
    assert_int_equal(harness_n_open(w), n);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(&harness_take(w)->id, &s->f[order[i]]->id, sizeof(struct id));
}

static void check_crash(int wait_status, int signal, int exit_code, const char *text)
{
    static const int order[] = {1, 3, 4, 5};
    struct scene s;

    set_scene(&s);
    harness_die(s.w, wait_status, 0);
    harness_hang_up(s.w);
    harness_settle(&s.h);
    assert_int_equal(s.f[2]->state, FUTURE_FAILED);
    assert_int_equal(s.f[2]->outcome->error->reason, REASON_CRASHED);
    assert_int_equal(last_attempt(s.f[2])->has_signal, signal != 0);
    assert_int_equal(last_attempt(s.f[2])->signal, signal);
    assert_int_equal(last_attempt(s.f[2])->has_exit_code, signal == 0);
    assert_int_equal(last_attempt(s.f[2])->exit_code, exit_code);
    assert_int_equal(s.f[2]->outcome->error->message.len, strlen(text));
    assert_memory_equal(s.f[2]->outcome->error->message.p, text, strlen(text));
    expect_lost(s.f[1]); /* its result never came: not its fault */
    for (int i = 3; i < 6; i++)
        expect_untouched(s.f[i]);
    assert_int_equal(dispatch_n_leases(s.h.dispatch), 0);
    assert_null(worker_find(s.h.dispatch, dispatch_key(5, 0)));
    expect_order(&s, order, ARRAY_LEN(order));
    harness_deinit(&s.h);
}

static void test_crash(void **state)
{
    check_crash(SIGSEGV, SIGSEGV, 0, "the worker was killed by signal 11 (SIGSEGV) while it ran this task");
    check_crash(SIGABRT | 0x80, SIGABRT, 0,
                "the worker was killed by signal 6 (SIGABRT) while it ran this task");
    check_crash(SIGKILL, SIGKILL, 0, "the worker was killed by signal 9 (SIGKILL) while it ran this task");
    check_crash(40, 40, 0, "the worker was killed by signal 40 (SIG?) while it ran this task");
    check_crash(EXITED_3, 0, 3, "the worker ended with exit code 3 while it ran this task");
    check_crash(0, 0, 0, "the worker ended with exit code 0 while it ran this task");
}

/* Asked for: what ran is lost without fault. */
static void test_asked(void **state)
{
    static const int order[] = {1, 2, 3, 4, 5};
    struct scene s;

    set_scene(&s);
    harness_die(s.w, SIGKILL, 1);
    harness_hang_up(s.w);
    harness_settle(&s.h);
    expect_lost(s.f[1]);
    expect_lost(s.f[2]);
    for (int i = 3; i < 6; i++)
        expect_untouched(s.f[i]);
    expect_order(&s, order, ARRAY_LEN(order));
    harness_deinit(&s.h);
}

/* The stream has ended before: only its own death tells how. */
static void test_stream_first(void **state)
{
    struct scene s;

    set_scene(&s);
    harness_hang_up(s.w);
    harness_settle(&s.h);
    assert_int_equal(dispatch_n_leases(s.h.dispatch), 5); /* its leases end with its process */
    assert_int_equal(s.w->n_kills, 0);
    harness_die(s.w, SIGSEGV, 0);
    assert_int_equal(s.f[2]->state, FUTURE_FAILED); /* at once: there is nothing more to read */
    assert_int_equal(dispatch_n_leases(s.h.dispatch), 0);
    harness_settle(&s.h);
    harness_deinit(&s.h);
}

/* What its stream still holds is read before it is buried. */
static void test_last_words(void **state)
{
    struct scene s;

    set_scene(&s);
    worker_finishes(s.w, s.item[1], "result { data: 'last' size_bytes: 4 }"); /* sent, not read by us */
    harness_die(s.w, SIGSEGV, 0);
    assert_int_equal(dispatch_n_leases(s.h.dispatch), 5);
    harness_turn(&s.h);
    assert_int_equal(s.f[1]->state, FUTURE_SUCCEEDED);
    harness_settle(&s.h); /* the stream stays silent: it is cut, and that is that */
    assert_true(s.w->call.is_done);
    assert_int_equal(s.f[2]->state, FUTURE_FAILED);
    assert_int_equal(dispatch_n_leases(s.h.dispatch), 0);
    assert_null(worker_find(s.h.dispatch, dispatch_key(5, 0)));
    harness_deinit(&s.h);
}

/* Nothing new is given to who is dead. */
static void test_nothing_for_the_dead(void **state)
{
    struct scene s;

    set_scene(&s);
    harness_say(s.w, "ready { credit: 10 }");
    harness_die(s.w, SIGSEGV, 0);
    harness_submit(&s.h, "function: 'echo'");
    harness_settle(&s.h);
    assert_int_equal(harness_n_open(s.w), 0);
    harness_deinit(&s.h);
}

static void test_on_lost_fail(void **state)
{
    struct future *f;
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    f = harness_submit(&h, "function: 'echo' options { on_lost: ON_LOST_FAIL }");
    harness_settle(&h);
    worker_starts(w, harness_take(w));
    harness_die(w, SIGKILL, 1);
    harness_hang_up(w);
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_OUTCOME_UNKNOWN);
    harness_deinit(&h);
}

static void test_lost_too_often(void **state)
{
    struct future *f;
    struct harness h;

    harness_init(&h);
    f = harness_submit(&h, "function: 'echo'");
    for (uint64_t key = 1; key <= 4; key++) {
        struct child *w = harness_spawn(&h, key);

        assert_int_equal(f->state, FUTURE_PENDING);
        harness_hello(w, "slots: 1", 1);
        worker_starts(w, harness_take(w));
        harness_die(w, SIGKILL, 1);
        harness_hang_up(w);
        harness_settle(&h);
    }
    assert_int_equal(f->state, FUTURE_FAILED); /* re-queued three times at most */
    assert_int_equal(f->outcome->error->reason, REASON_WORKER_LOST);
    harness_deinit(&h);
}

/* Without Hello, without a stream, never attached. */
static void test_early_deaths(void **state)
{
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_die(w, EXITED_3, 0);
    harness_hang_up(w);
    harness_settle(&h);
    assert_null(worker_find(h.dispatch, dispatch_key(5, 0)));
    assert_true(dispatch_worker_died(h.dispatch, 77, EXITED_3, 0)); /* nobody we know */
    assert_true(dispatch_worker_died(h.dispatch, 78, 0, 0));        /* it never came so far */
    harness_settle(&h);
    harness_deinit(&h);
}

/* A page full of nonsense tells nothing that is believed beyond its own leases. */
static void test_scribbled_page(void **state)
{
    struct test_random rnd = {test_seed()};

    for (int round = 0; round < 200; round++) {
        struct scene s;

        set_scene(&s);
        for (size_t i = 0; i < sizeof s.w->page; i++)
            ((uint8_t *)&s.w->page)[i] = (uint8_t)test_random_next(&rnd);
        harness_die(s.w, SIGSEGV, 0);
        harness_hang_up(s.w);
        harness_settle(&s.h);
        assert_int_equal(dispatch_n_leases(s.h.dispatch), 0);
        assert_int_equal(s.f[0]->state, FUTURE_SUCCEEDED);
        for (int i = 1; i < 6; i++)
            assert_true(s.f[i]->state == FUTURE_PENDING || s.f[i]->state == FUTURE_FAILED);
        harness_deinit(&s.h);
    }
}

/* --- no memory */

static void death_without_memory(struct harness *h)
{
    struct child *w;

    harness_init(h);
    w = harness_spawn(h, 5);
    harness_hello(w, "slots: 3", 3);
    for (int i = 0; i < 3; i++)
        harness_submit(h, "function: 'echo'");
    harness_settle(h);
    worker_starts(w, harness_take(w));
    harness_arm(h);
    harness_die(w, SIGSEGV, 0);
    harness_hang_up(w);
    harness_advance(h, NS_PER_S); /* what could not be settled is settled at a later turn */
    assert_int_equal(dispatch_n_leases(h->dispatch), 0);
    assert_null(worker_find(h->dispatch, dispatch_key(5, 0)));
}

static void attach_without_memory(struct harness *h)
{
    struct child *w;

    harness_init(h);
    harness_submit(h, "function: 'echo'");
    harness_arm(h);
    w = harness_spawn(h, 5);
    harness_hello(w, "slots: 1", 1);
    h->fail_nth = 0;
    if (!w->call.is_done)
        harness_hang_up(w);
    harness_die(w, EXITED_3, 0);
    harness_settle(h);
    assert_null(worker_find(h->dispatch, dispatch_key(5, 0)));
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(death_without_memory, 2);
    harness_fail_allocations(attach_without_memory, 6);
}

/* One that has begun and cannot say so, because it has stopped itself: its page tells, so that its time
 * runs. */
static void test_begun_in_silence(void **state)
{
    const struct future *f;
    struct item *item;
    struct child *w;
    struct harness h;

    harness_init(&h);
    w = harness_spawn(&h, 5);
    harness_hello(w, "slots: 1", 1);
    f = harness_submit(&h, "function: 'echo'");
    harness_settle(&h);
    item = harness_take(w);
    harness_advance(&h, NS_PER_S);
    assert_int_equal(f->state, FUTURE_PENDING);
    worker_starts(w, item); /* and nothing is heard of it */
    harness_advance(&h, NS_PER_S);
    assert_int_equal(f->state, FUTURE_RUNNING);
    assert_true(h.next == CLOCK_NEVER); /* there is nothing more to look for */
    harness_die(w, SIGKILL, 0);
    harness_hang_up(w);
    harness_settle(&h);
    assert_int_equal(f->state, FUTURE_FAILED);
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_welcome),
            cmocka_unit_test(test_functions),
            cmocka_unit_test(test_bad_hello),
            cmocka_unit_test(test_default_options),
            cmocka_unit_test(test_longest_hello),
            cmocka_unit_test(test_hello_twice),
            cmocka_unit_test(test_second_attach),
            cmocka_unit_test(test_attach_after_death),
            cmocka_unit_test(test_begun_in_silence),
            cmocka_unit_test(test_crash),
            cmocka_unit_test(test_asked),
            cmocka_unit_test(test_stream_first),
            cmocka_unit_test(test_last_words),
            cmocka_unit_test(test_nothing_for_the_dead),
            cmocka_unit_test(test_on_lost_fail),
            cmocka_unit_test(test_lost_too_often),
            cmocka_unit_test(test_early_deaths),
            cmocka_unit_test(test_scribbled_page),
            cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests_name("dispatch/worker", tests, NULL, NULL);
}
