// SPDX-License-Identifier: Apache-2.0
/* Claim, start, finish, release, lose: who gets what, in which order, and what the record says afterwards. */
#include "engine/lease.h"
#include "fixture.h"

static struct future *submit_to(struct fixture *x, const char *function, int32_t priority)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.function = span_of_string(function);
    in.priority = priority;
    return fixture_submit(x, &in);
}

static struct function *add(struct fixture *x, const char *name, int is_served)
{
    struct function *fn = engine_function_add(x->e, span_of_string(name), SPAN_LIT(""));

    assert_non_null(fn);
    if (is_served)
        assert_int_equal(engine_holder_serve(x->e, x->holder, fn), 0);
    return fn;
}

static void test_claim_order(void **state)
{
    struct fixture x;
    struct future *f[6];
    struct lease *leases[10];
    static const int32_t priority[] = {0, 5, 0, -2, 5, 0};
    static const int order[] = {1, 4, 0, 2, 5, 3};

    fixture_init(&x);
    for (int i = 0; i < 6; i++)
        f[i] = submit_to(&x, "echo", priority[i]);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 10, leases), 6);
    for (int i = 0; i < 6; i++) {
        assert_ptr_equal(leases[i]->future, f[order[i]]);
        assert_ptr_equal(leases[i]->holder, x.holder);
        assert_int_equal(leases[i]->attempt, 1);
        assert_int_equal(leases[i]->future->state, FUTURE_PENDING);
        assert_null(leases[i]->future->attempts);
    }
    assert_int_equal(x.fn->n_reserved, 6);
    assert_int_equal(x.fn->n_pending, 6);
    assert_int_equal(x.holder->n_leases, 6);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 10, leases), 0);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 0, leases), 0);
    engine_check(x.e);
    fixture_deinit(&x);
}

/* Functions take turns one task at a time, within a claim and from claim to claim. */
static void test_turns(void **state)
{
    struct fixture x;
    struct lease *leases[12];
    struct function *fn[3];
    uint32_t n[3] = {0};

    fixture_init(&x);
    fn[0] = x.fn;
    fn[1] = add(&x, "b", 1);
    fn[2] = add(&x, "c", 1);
    for (int i = 0; i < 10; i++)
        submit_to(&x, "echo", 100 - i); /* priority is a matter within a function */
    for (int i = 0; i < 10; i++)
        submit_to(&x, "b", 0);
    for (int i = 0; i < 3; i++)
        submit_to(&x, "c", 0);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 6, leases), 6);
    for (int i = 0; i < 6; i++)
        assert_ptr_equal(leases[i]->future->function, fn[i % 3]);
    for (int i = 0; i < 3; i++) { /* one by one it is the same */
        assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, leases), 1);
        assert_ptr_equal(leases[0]->future->function, fn[i]);
    }
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 12, leases), 12);
    for (int i = 0; i < 12; i++)
        for (int k = 0; k < 3; k++)
            n[k] += leases[i]->future->function == fn[k];
    assert_int_equal(n[0], 6);
    assert_int_equal(n[1], 6); /* c has no more */
    engine_check(x.e);
    fixture_deinit(&x);
}

/* A worker that does not serve a function neither gets its tasks nor costs it its turn. */
static void test_serves(void **state)
{
    struct fixture x;
    struct holder *other;
    struct lease *leases[4];
    struct function *b;

    fixture_init(&x);
    b = add(&x, "b", 0);
    for (int i = 0; i < 130; i++) { /* so that the sets have more than one word */
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        add(&x, name, 0);
    }
    assert_int_equal(engine_holder_new(x.e, SPAN_LIT("w2"), NULL, &other), 0);
    assert_int_equal(engine_holder_serve(x.e, other, engine_function_find(x.e, SPAN_LIT("f129"))), 0);
    assert_int_equal(engine_holder_serve(x.e, other, b), 0);
    submit_to(&x, "echo", 0);
    submit_to(&x, "b", 0);
    submit_to(&x, "f129", 0);
    submit_to(&x, "f5", 0);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 4, leases), 1);
    assert_ptr_equal(leases[0]->future->function, x.fn);
    assert_int_equal(engine_claim(x.e, other, CLOCK_NEVER, 4, leases), 2);
    assert_ptr_equal(leases[0]->future->function, b);
    assert_int_equal(b->n_holders, 1);
    engine_release(x.e, leases[0]);
    engine_release(x.e, leases[1]);
    assert_null(engine_holder_free(x.e, other));
    assert_int_equal(b->n_holders, 0);
    fixture_deinit(&x);
}

/* Prefetch asks for short tasks only: of functions whose mean run time is known and small. */
static void test_short_only(void **state)
{
    struct fixture x;
    struct lease *lease, *leases[4];

    fixture_init(&x);
    for (int i = 0; i < 5; i++)
        submit_to(&x, "echo", 0);
    assert_int_equal(engine_claim(x.e, x.holder, 1000, 4, leases), 0); /* not known yet */
    lease = fixture_start(&x);
    engine_begin(x.e, x.mono += 999, x.wall);
    fixture_succeed(&x, lease);
    assert_int_equal(x.fn->mean_run_ns, 999);
    assert_int_equal(engine_claim(x.e, x.holder, 999, 1, leases), 0);
    assert_int_equal(engine_claim(x.e, x.holder, 1000, 1, leases), 1);
    fixture_deinit(&x);
}

/* Where the worker does not say how long an attempt took, or has died with that, it is the time since its start. */
static void test_wall(void **state)
{
    struct fixture x;
    struct finish finish;
    struct lease *lease;
    struct future *f;

    fixture_init(&x);
    f = submit_to(&x, "echo", 0);
    lease = fixture_start(&x);
    engine_begin(x.e, x.mono += 500, x.wall);
    assert_int_equal(engine_lose(x.e, lease), 0);
    assert_int_equal(f->attempts->usage.wall_ns, 500);
    fixture_turn(&x);
    lease = fixture_start(&x);
    engine_begin(x.e, x.mono += 700, x.wall);
    finish = fixture_error("no");
    assert_int_equal(engine_finish(x.e, lease, &finish), 0);
    assert_int_equal(f->attempts->usage.wall_ns, 700);
    assert_int_equal(f->attempts->usage.max_rss_bytes, -1);
    f = submit_to(&x, "echo", 0);
    fixture_succeed(&x, fixture_claim(&x)); /* when it began nobody knows */
    assert_int_equal(f->attempts->usage.wall_ns, -1);
    fixture_deinit(&x);
}

static void test_mean_run_time(void **state)
{
    struct fixture x;
    struct finish finish;

    fixture_init(&x);
    for (int i = 0; i < 4; i++)
        submit_to(&x, "echo", 0);
    finish = fixture_result("r");
    finish.usage.wall_ns = 8000; /* the worker knows best */
    assert_int_equal(engine_finish(x.e, fixture_start(&x), &finish), 0);
    assert_int_equal(x.fn->mean_run_ns, 8000);
    finish = fixture_error("r");
    finish.usage.wall_ns = 0;
    assert_int_equal(engine_finish(x.e, fixture_start(&x), &finish), 0);
    assert_int_equal(x.fn->mean_run_ns, 7000);
    fixture_succeed(&x, fixture_claim(&x)); /* when it began nobody knows */
    assert_int_equal(x.fn->mean_run_ns, 7000);
    fixture_deinit(&x);
}

static void test_start(void **state)
{
    struct fixture x;
    struct lease *lease;
    struct future *f;
    uint64_t revision;

    fixture_init(&x);
    f = submit_to(&x, "echo", 0);
    engine_begin(x.e, x.mono, T0 + 100);
    lease = fixture_claim(&x);
    assert_int_equal(engine_start(x.e, lease, T0 + 5), 0);
    assert_int_equal(f->state, FUTURE_RUNNING);
    assert_int_equal(future_start_time(f), T0 + 5);
    assert_true(span_eq(SPAN_OF_BYTES(f->attempts->worker), SPAN_LIT("worker-1")));
    assert_int_equal(f->attempts->number, 1);
    assert_int_equal(f->attempts->end_time, 0);
    revision = f->revision;
    assert_int_equal(engine_start(x.e, lease, T0 + 9), 0); /* twice is once */
    assert_int_equal(f->revision, revision);
    assert_int_equal(future_start_time(f), T0 + 5);
    assert_null(f->attempts->next);
    fixture_deinit(&x);
}

/* A worker's clock may differ: nothing starts before it was submitted, nor after it was heard of. */
static void test_start_by_another_clock(void **state)
{
    static const int64_t says[] = {-50, 0, 70, 100, 500}, is[] = {0, 0, 70, 100, 100};

    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        struct fixture x;
        struct future *f;

        fixture_init(&x);
        f = submit_to(&x, "echo", 0);
        engine_begin(x.e, x.mono, T0 + 100);
        assert_int_equal(engine_start(x.e, fixture_claim(&x), T0 + says[i]), 0);
        assert_int_equal(future_start_time(f), T0 + is[i]);
        fixture_deinit(&x);
    }
}

static void test_finish_says_everything(void **state)
{
    struct fixture x;
    struct future *f;
    struct bytes *type = bytes_dup("text/plain", 10);
    struct finish finish;

    fixture_init(&x);
    f = submit_to(&x, "echo", 0);
    engine_begin(x.e, x.mono, x.wall += 100);
    finish = fixture_result("hello");
    finish.content_type = type;
    finish.has_exit_code = 1;
    finish.exit_code = -3;
    finish.usage = (struct usage){1, 2, 3, 4};
    finish.start_time = T0 + 50; /* engine_start was never called */
    assert_int_equal(engine_finish(x.e, fixture_claim(&x), &finish), 0);
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    assert_true(span_eq(SPAN_OF_BYTES(f->outcome->data), SPAN_LIT("hello")));
    assert_ptr_equal(f->outcome->content_type, type);
    assert_int_equal(future_end_time(f), T0 + 100);
    assert_int_equal(future_start_time(f), T0 + 50);
    assert_true(f->attempts->has_exit_code && !f->attempts->has_signal);
    assert_int_equal(f->attempts->exit_code, -3);
    assert_int_equal(f->attempts->usage.max_rss_bytes, 4);
    assert_null(f->lease);

    f = submit_to(&x, "echo", 0);
    finish = fixture_error("boom");
    finish.has_signal = 1;
    finish.signal = 11;
    assert_int_equal(engine_finish(x.e, fixture_start(&x), &finish), 0);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_ptr_equal(f->outcome->error, f->attempts->error);
    assert_true(span_eq(f->outcome->error->message, SPAN_LIT("boom")));
    assert_int_equal(f->attempts->signal, 11);
    assert_int_equal(f->attempts->end_time, T0 + 100);
    fixture_deinit(&x);
}

/* A lease is known by future, number, epoch and holder; a claim that was given back leaves a gap. */
static void test_fence(void **state)
{
    struct fixture x;
    struct holder *other;
    struct lease *lease;
    struct future *f;
    struct id unknown = id_make(5, 5);
    uint32_t epoch;

    fixture_init(&x);
    epoch = (uint32_t)engine_epoch(x.e);
    assert_int_equal(engine_holder_new(x.e, SPAN_LIT("w2"), NULL, &other), 0);
    f = submit_to(&x, "echo", 0);
    lease = fixture_claim(&x);
    assert_ptr_equal(engine_lease_find(x.e, x.holder, &f->id, 1, epoch), lease);
    assert_null(engine_lease_find(x.e, other, &f->id, 1, epoch));
    assert_null(engine_lease_find(x.e, x.holder, &f->id, 0, epoch));
    assert_null(engine_lease_find(x.e, x.holder, &f->id, 2, epoch));
    assert_null(engine_lease_find(x.e, x.holder, &f->id, 1, epoch + 1));
    assert_null(engine_lease_find(x.e, x.holder, &unknown, 1, epoch));
    assert_int_equal(engine_stats(x.e).n_stale_finishes, 5);
    engine_release(x.e, lease);
    assert_null(engine_lease_find(x.e, x.holder, &f->id, 1, epoch));
    lease = fixture_claim(&x); /* the same worker, the same future: another lease all the same */
    assert_int_equal(lease->attempt, 2);
    assert_null(engine_lease_find(x.e, x.holder, &f->id, 1, epoch));
    assert_ptr_equal(engine_lease_find(x.e, x.holder, &f->id, 2, epoch), lease);
    fixture_succeed(&x, lease);
    assert_int_equal(f->attempts->number, 2);
    assert_null(engine_lease_find(x.e, x.holder, &f->id, 2, epoch));
    engine_holder_free(x.e, other);
    fixture_deinit(&x);
}

static void test_release(void **state)
{
    struct fixture x;
    struct future *a, *b, *c;
    struct lease *la, *lb;

    fixture_init(&x);
    a = submit_to(&x, "echo", 0);
    b = submit_to(&x, "echo", 0);
    c = submit_to(&x, "echo", 0);
    la = fixture_claim(&x);
    lb = fixture_claim(&x);
    assert_ptr_equal(lb->future, b);
    engine_release(x.e, lb);
    engine_release(x.e, la);
    assert_int_equal(a->state, FUTURE_PENDING);
    assert_null(a->attempts);
    assert_int_equal(x.fn->n_reserved, 0);
    assert_ptr_equal(fixture_claim(&x)->future, a); /* at the head, before what came later */
    assert_ptr_equal(fixture_claim(&x)->future, b);
    assert_ptr_equal(fixture_claim(&x)->future, c);
    fixture_deinit(&x);
}

static void release_started(void *arg)
{
    struct fixture *x = arg;

    engine_release(x->e, fixture_start(x));
}

static void finish_with_both(void *arg)
{
    struct fixture *x = arg;
    struct finish finish = fixture_result("r"), error = fixture_error("e");

    finish.error = error.error;
    (void)!engine_finish(x->e, fixture_start(x), &finish);
}

static void finish_with_nothing(void *arg)
{
    struct fixture *x = arg;
    struct finish finish = {0};

    (void)!engine_finish(x->e, fixture_start(x), &finish);
}

static void free_holder_with_leases(void *arg)
{
    struct fixture *x = arg;

    fixture_claim(x);
    engine_holder_free(x->e, x->holder);
}

static void test_misuse_aborts(void **state)
{
    struct fixture x;

    fixture_init(&x);
    submit_to(&x, "echo", 0);
    test_aborts(release_started, &x, "!lease->is_started");
    test_aborts(finish_with_both, &x, "finish->data");
    test_aborts(finish_with_nothing, &x, "finish->data");
    test_aborts(free_holder_with_leases, &x, "n_leases == 0");
    fixture_deinit(&x);
}

/* Three losses send it back, the fourth ends it. */
static void test_lose(void **state)
{
    struct fixture x;
    struct future *f, *later;
    int n = 0;

    fixture_init(&x);
    f = submit_to(&x, "echo", 0);
    later = submit_to(&x, "echo", 0);
    for (; n < 3; n++) {
        struct lease *lease = fixture_start(&x);

        assert_ptr_equal(lease->future, f); /* from the head of its queue each time */
        assert_int_equal(engine_lose(x.e, lease), 0);
        assert_int_equal(f->state, FUTURE_PENDING);
        assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
        assert_int_equal(f->attempts->end_time, T0);
        fixture_turn(&x);
    }
    assert_int_equal(engine_lose(x.e, fixture_start(&x)), 0);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_WORKER_LOST);
    assert_true(f->outcome->error->message.len > 0);
    n = 0;
    for (const struct attempt *a = f->attempts; a; a = a->next)
        n++;
    assert_int_equal(n, 4);
    assert_ptr_equal(fixture_claim(&x)->future, later);
    fixture_deinit(&x);
}

/* By the end of the daemon, however often: each is an attempt, and none counts. */
static void test_lose_by_end(void **state)
{
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = submit_to(&x, "echo", 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(engine_lose_by_end(x.e, fixture_start(&x)), 0);
        assert_int_equal(f->state, FUTURE_PENDING);
        assert_int_equal(f->attempts->error->reason, REASON_SHUTDOWN);
        assert_int_equal(f->attempts->end_time, T0);
        fixture_turn(&x);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(engine_lose(x.e, fixture_start(&x)), 0);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(engine_lose(x.e, fixture_start(&x)), 0);
    assert_int_equal(f->state, FUTURE_FAILED);
    fixture_deinit(&x);
}

static void lose_beside(int was_killed, int n_back)
{
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = submit_to(&x, "echo", 0);
    submit_to(&x, "echo", 0);
    for (int i = 0; i < n_back; i++) {
        struct lease *lease = fixture_start(&x);

        assert_ptr_equal(lease->future, f); /* from the head of its queue each time */
        assert_int_equal(engine_lose_beside(x.e, lease, was_killed), 0);
        assert_int_equal(f->state, FUTURE_PENDING);
        assert_null(f->attempts);
        fixture_turn(&x);
    }
    assert_int_equal(engine_lose(x.e, fixture_start(&x)), 0); /* by itself */
    assert_int_equal(f->state, was_killed ? FUTURE_PENDING : FUTURE_FAILED);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    assert_null(f->attempts->next);
    fixture_deinit(&x);
}

/* By the fault of another task in the same process: without an attempt. Its crash counts as a loss all the same, since they
 * share their memory; the daemon's kill does not. */
static void test_lose_beside(void **state)
{
    lose_beside(0, 3);
    lose_beside(1, 10);
}

/* What does not go back has an attempt, which was lost. */
static void test_lose_beside_must_fail(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct future *f;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.on_lost = ON_LOST_FAIL;
    f = fixture_submit(&x, &in);
    assert_int_equal(engine_lose_beside(x.e, fixture_start(&x), 1), 0);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_OUTCOME_UNKNOWN);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    fixture_deinit(&x);
}

static void test_lose_unstarted(void **state)
{
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = submit_to(&x, "echo", 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(engine_lose(x.e, fixture_claim(&x)), 0);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_null(f->attempts);
    fixture_deinit(&x);
}

/* on_lost FAIL: a task that may have run is not run again. */
static void test_lose_must_fail(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct future *f;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.on_lost = ON_LOST_FAIL;
    f = fixture_submit(&x, &in);
    engine_release(x.e, fixture_claim(&x)); /* not started: not run */
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(engine_lose(x.e, fixture_start(&x)), 0);
    assert_int_equal(f->state, FUTURE_FAILED);
    assert_int_equal(f->outcome->error->reason, REASON_OUTCOME_UNKNOWN);
    assert_int_equal(f->attempts->error->reason, REASON_WORKER_LOST);
    fixture_deinit(&x);
}

/* Cancelled while reserved or running: what ends the lease decides. */
static void test_cancelled(void **state)
{
    static const struct {
        int is_started;
        char end; /* s success, e error, r release, l lose */
        enum future_state becomes;
    } cases[] = {
            {0, 's', FUTURE_SUCCEEDED}, {0, 'e', FUTURE_CANCELLED}, {0, 'r', FUTURE_CANCELLED},
            {0, 'l', FUTURE_CANCELLED}, {1, 's', FUTURE_SUCCEEDED}, {1, 'e', FUTURE_CANCELLED},
            {1, 'l', FUTURE_CANCELLED},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture x;
        struct lease *lease;
        struct future *f;

        fixture_init(&x);
        f = submit_to(&x, "echo", 0);
        lease = cases[i].is_started ? fixture_start(&x) : fixture_claim(&x);
        assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT("enough"), -1), 0);
        assert_int_equal(f->state, cases[i].is_started ? FUTURE_RUNNING : FUTURE_PENDING);
        assert_true(span_eq(SPAN_OF_BYTES(f->rare->cancel_requested->reason), SPAN_LIT("enough")));
        assert_true(span_eq(SPAN_OF_BYTES(f->rare->cancel_requested->principal), SPAN_LIT("alice")));
        assert_int_equal(f->rare->cancel_requested->time, T0);
        switch (cases[i].end) {
        case 's': fixture_succeed(&x, lease); break;
        case 'e': fixture_fail(&x, lease); break;
        case 'r': engine_release(x.e, lease); break;
        default: assert_int_equal(engine_lose(x.e, lease), 0);
        }
        assert_int_equal(f->state, cases[i].becomes);
        if (f->state == FUTURE_CANCELLED) {
            assert_int_equal(f->outcome->error->reason, REASON_CANCELLED);
            assert_int_equal(f->outcome->error->code, 1);
            assert_true(span_eq(f->outcome->error->message, SPAN_LIT("enough")));
        }
        if (cases[i].end == 'e')
            assert_int_equal(f->attempts->error->reason, REASON_FUNCTION_ERROR); /* what happened to it */
        assert_int_equal(!!f->attempts, cases[i].is_started || cases[i].end == 's' || cases[i].end == 'e');
        fixture_turn(&x);
        fixture_deinit(&x);
    }
}

/* What one claim cannot take for lack of memory stays where it is, in its order. */
static void test_claim_without_memory(void **state)
{
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < 6; i++)
        submit_to(&x, "echo", i % 2);
    engine_release(x.e, fixture_claim(&x)); /* the pool of leases has its first chunk */
    FAIL_EACH_ALLOCATION(nth)
    {
        struct lease *leases[6];
        int n = engine_claim(x.e, x.holder, CLOCK_NEVER, 6, leases);

        if (test_allocation_failed())
            assert_int_equal(n, nth == 1 ? -ENOMEM : (int)nth - 1);
        else
            assert_int_equal(n, 6);
        engine_check(x.e);
        for (int i = n; i > 0; i--)
            engine_release(x.e, leases[i - 1]);
        assert_int_equal(x.fn->n_reserved, 0);
    }
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_claim_order),
            cmocka_unit_test(test_turns),
            cmocka_unit_test(test_serves),
            cmocka_unit_test(test_short_only),
            cmocka_unit_test(test_wall),
            cmocka_unit_test(test_mean_run_time),
            cmocka_unit_test(test_start),
            cmocka_unit_test(test_start_by_another_clock),
            cmocka_unit_test(test_finish_says_everything),
            cmocka_unit_test(test_fence),
            cmocka_unit_test(test_release),
            cmocka_unit_test(test_misuse_aborts),
            cmocka_unit_test(test_lose),
            cmocka_unit_test(test_lose_by_end),
            cmocka_unit_test(test_lose_beside),
            cmocka_unit_test(test_lose_beside_must_fail),
            cmocka_unit_test(test_lose_unstarted),
            cmocka_unit_test(test_lose_must_fail),
            cmocka_unit_test(test_cancelled),
            cmocka_unit_test(test_claim_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
