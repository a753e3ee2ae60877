// SPDX-License-Identifier: Apache-2.0
/* Pause, max_running and rate: what they hold, that it comes back in its old order, and that limits are never exceeded. */
#include "engine/gate.h"
#include "engine/restore.h"
#include "tests/unit/engine/stored.h"

static int claim(struct fixture *x, uint32_t max, struct lease **leases)
{
    int n = engine_claim(x->e, x->holder, CLOCK_NEVER, max, leases);

    engine_check(x->e);
    return n;
}

static void limit(struct fixture *x, struct function_limits limits, unsigned int which)
{
    assert_int_equal(engine_limit(x->e, x->fn, &limits, which, x->scope, SPAN_LIT("test")), 0);
    engine_check(x->e);
}

static void forget_work(struct fixture *x)
{
    while (list_pop_front(&x->e->effects.work))
        ;
}

static void test_pause(void **state)
{
    struct lease *leases[4];
    struct future *a, *b;
    struct fixture x;

    fixture_init(&x);
    a = fixture_submit(&x, NULL);
    assert_int_equal(engine_pause(x.e, x.fn, x.scope, SPAN_LIT("why not")), 0);
    b = fixture_submit(&x, NULL);
    assert_int_equal(claim(&x, 4, leases), 0);
    assert_int_equal(future_pending_reason(a), PENDING_PAUSED);
    assert_true(list_is_empty(&x.e->sched.rotation)); /* nobody looks at it */
    assert_true(span_eq(SPAN_OF_BYTES(x.fn->gate.paused->who), SPAN_LIT("alice")));
    assert_true(span_eq(SPAN_OF_BYTES(x.fn->gate.paused->why), SPAN_LIT("why not")));
    assert_int_equal(x.fn->gate.paused->time, x.wall);
    assert_int_equal(engine_pause(x.e, x.fn, x.scope, SPAN_LIT("")), 0);
    assert_null(x.fn->gate.paused->why);
    forget_work(&x);
    engine_resume(x.e, x.fn);
    engine_resume(x.e, x.fn);
    assert_int_equal(list_length(&x.e->effects.work), 1); /* whoever has room is told */
    assert_int_equal(future_pending_reason(b), PENDING_READY);
    assert_int_equal(claim(&x, 4, leases), 2);
    assert_ptr_equal(leases[0]->future, a);
    assert_ptr_equal(leases[1]->future, b);
    fixture_deinit(&x);
}

/* While nothing may be claimed at all every function is as if paused, also one that is new; its own pause is another matter. */
static void test_hold(void **state)
{
    struct lease *leases[4];
    struct function *late;
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    engine_hold(x.e, 1);
    late = engine_function_add(x.e, SPAN_LIT("late"), SPAN_LIT(""));
    assert_non_null(late);
    assert_true(late->gate.closed & GATE_PAUSED);
    assert_int_equal(claim(&x, 4, leases), 0);
    assert_int_equal(future_pending_reason(f), PENDING_PAUSED);
    assert_null(x.fn->gate.paused);
    assert_int_equal(engine_pause(x.e, x.fn, x.scope, SPAN_LIT("")), 0);
    engine_resume(x.e, x.fn);
    assert_int_equal(future_pending_reason(f), PENDING_PAUSED);
    forget_work(&x);
    engine_hold(x.e, 0);
    assert_int_equal(list_length(&x.e->effects.work), 1);
    assert_int_equal(late->gate.closed, 0);
    assert_int_equal(future_pending_reason(f), PENDING_READY);
    assert_int_equal(claim(&x, 4, leases), 1);
    fixture_deinit(&x);
}

/* What runs goes on while it is paused. */
static void test_pause_while_it_runs(void **state)
{
    struct lease *lease;
    struct fixture x;

    fixture_init(&x);
    fixture_submit(&x, NULL);
    lease = fixture_start(&x);
    assert_int_equal(engine_pause(x.e, x.fn, x.scope, SPAN_LIT("")), 0);
    fixture_succeed(&x, lease);
    engine_check(x.e);
    assert_int_equal(x.fn->n_succeeded, 1);
    fixture_deinit(&x);
}

/* What is reserved counts: a worker that is given tasks in advance gets no more than may run. */
static void test_max_running(void **state)
{
    struct lease *leases[8];
    struct future *f[5];
    struct fixture x;

    fixture_init(&x);
    limit(&x, (struct function_limits){.max_running = 2}, FUNCTION_MAX_RUNNING);
    for (int i = 0; i < 5; i++)
        f[i] = fixture_submit(&x, NULL);
    assert_int_equal(claim(&x, 8, leases), 2);
    assert_int_equal(claim(&x, 8, leases + 2), 0);
    assert_int_equal(future_pending_reason(f[0]), PENDING_READY);
    assert_int_equal(future_pending_reason(f[2]), PENDING_LIMITED);
    forget_work(&x);
    assert_int_equal(engine_start(x.e, leases[0], x.wall), 0);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(list_length(&x.e->effects.work), 1);
    assert_int_equal(claim(&x, 8, leases + 2), 1);
    assert_ptr_equal(leases[2]->future, f[2]);
    engine_release(x.e, leases[1]); /* it comes back in front of those that came later */
    assert_int_equal(claim(&x, 8, leases + 3), 1);
    assert_ptr_equal(leases[3]->future, f[1]);
    limit(&x, (struct function_limits){.max_running = 1}, FUNCTION_MAX_RUNNING);
    fixture_succeed(&x, leases[2]);
    assert_int_equal(claim(&x, 8, leases), 0); /* one still runs */
    limit(&x, (struct function_limits){0}, FUNCTION_MAX_RUNNING);
    assert_int_equal(claim(&x, 8, leases), 2);
    fixture_deinit(&x);
}

/* A task that waits for its mark to be durable is claimed; one that is cancelled holds its part until it has ended. */
static void test_max_running_armed_and_cancelled(void **state)
{
    struct engine_submit in;
    struct lease *leases[4];
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    limit(&x, (struct function_limits){.max_running = 1}, FUNCTION_MAX_RUNNING);
    in = fixture_in(&x, NULL);
    in.on_lost = ON_LOST_FAIL;
    fixture_submit(&x, &in);
    fixture_submit(&x, &in);
    assert_int_equal(claim(&x, 4, leases), 0);
    assert_int_equal(x.e->arm.n, 1);
    stored_turn(&x);
    assert_int_equal(claim(&x, 4, leases), 1);
    assert_int_equal(engine_start(x.e, leases[0], x.wall), 0);
    assert_int_equal(engine_cancel(x.e, leases[0]->future, x.scope, SPAN_LIT(""), -1), 0);
    stored_turn(&x);
    assert_int_equal(claim(&x, 4, leases + 1), 0);
    assert_int_equal(x.e->arm.n, 0);
    fixture_fail(&x, leases[0]);
    assert_int_equal(claim(&x, 4, leases), 0);
    assert_int_equal(x.e->arm.n, 1);
    fixture_deinit(&x);
}

static int claims_in(struct fixture *x, int64_t ns)
{
    struct lease *leases[100];
    int n;

    fixture_pass(x, ns);
    n = claim(x, 100, leases);
    for (int i = 0; i < n; i++)
        fixture_succeed(x, leases[i]);
    return n;
}

static void test_rate(void **state)
{
    struct effects *effects;
    struct fixture x;
    struct future *last;
    int n = 0;

    fixture_init(&x);
    limit(&x, (struct function_limits){.rate = 10}, FUNCTION_RATE);
    for (int i = 0; i < 100; i++)
        last = fixture_submit(&x, NULL);
    assert_int_equal(claims_in(&x, 0), 10); /* a second's worth */
    assert_int_equal(claims_in(&x, 0), 0);
    assert_int_equal(future_pending_reason(last), PENDING_LIMITED);
    effects = engine_end(x.e);
    assert_int_equal(effects->next, x.mono + NS_PER_S / 10);
    forget_work(&x);
    assert_int_equal(claims_in(&x, NS_PER_S / 10 - 1), 0);
    assert_true(list_is_empty(&x.e->effects.work));
    fixture_pass(&x, 1);
    assert_int_equal(list_length(&x.e->effects.work), 1);
    assert_int_equal(claims_in(&x, 0), 1);
    for (int i = 0; i < 50; i++)
        n += claims_in(&x, NS_PER_S / 50);
    assert_int_equal(n, 10);
    assert_int_equal(claims_in(&x, 60 * NS_PER_S), 10); /* no more than a second's worth is saved up */
    limit(&x, (struct function_limits){.rate = 0.5}, FUNCTION_RATE);
    assert_int_equal(claims_in(&x, 0), 0);
    assert_int_equal(claims_in(&x, 2 * NS_PER_S), 1);
    assert_int_equal(claims_in(&x, NS_PER_S), 0);
    limit(&x, (struct function_limits){0}, FUNCTION_RATE);
    assert_int_equal(claims_in(&x, 0), 68);
    assert_int_equal(engine_end(x.e)->next > x.mono + NS_PER_S, 1);
    fixture_deinit(&x);
}

/* What was given back unrun did not start; extreme rates do no harm. */
static void test_rate_unrun(void **state)
{
    struct lease *leases[4];
    struct fixture x;

    fixture_init(&x);
    limit(&x, (struct function_limits){.rate = 1}, FUNCTION_RATE);
    for (int i = 0; i < 4; i++)
        fixture_submit(&x, NULL);
    assert_int_equal(claim(&x, 4, leases), 1);
    engine_release(x.e, leases[0]);
    assert_int_equal(claim(&x, 4, leases), 1);
    limit(&x, (struct function_limits){.rate = 1e-300}, FUNCTION_RATE);
    assert_int_equal(claims_in(&x, 2 * NS_PER_S), 1);
    assert_int_equal(claims_in(&x, 3600 * NS_PER_S), 0);
    limit(&x, (struct function_limits){.rate = 1e300}, FUNCTION_RATE);
    assert_int_equal(claims_in(&x, NS_PER_S), 2);
    fixture_deinit(&x);
}

/* What is given back after others could start in its stead does not let one more start; nor what was claimed before there was
 * this rate. */
static void test_rate_unrun_late(void **state)
{
    struct lease *leases[8];
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < 8; i++)
        fixture_submit(&x, NULL);
    assert_int_equal(claim(&x, 1, leases), 1);
    limit(&x, (struct function_limits){.rate = 1}, FUNCTION_RATE);
    fixture_pass(&x, 1);
    assert_int_equal(claim(&x, 8, leases + 1), 1);
    engine_release(x.e, leases[0]);
    assert_int_equal(claim(&x, 8, leases), 0);
    fixture_pass(&x, 10 * NS_PER_S);
    assert_int_equal(claim(&x, 8, leases + 2), 1);
    engine_release(x.e, leases[1]);
    assert_int_equal(claim(&x, 8, leases), 0);
    engine_release(x.e, leases[2]); /* as if it had not been claimed */
    assert_int_equal(claim(&x, 8, leases), 1);
    assert_int_equal(claim(&x, 8, leases + 1), 0);
    assert_int_equal(engine_start(x.e, leases[0], x.wall), 0);
    fixture_pass(&x, NS_PER_S / 2);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(claim(&x, 8, leases), 0);
    fixture_pass(&x, NS_PER_S / 2);
    assert_int_equal(claim(&x, 8, leases), 1);
    fixture_deinit(&x);
}

static void test_max_pending(void **state)
{
    struct future *f = NULL;
    struct lease *lease;
    struct fixture x;

    fixture_init(&x);
    limit(&x, (struct function_limits){.max_pending = 2}, FUNCTION_MAX_PENDING);
    fixture_submit(&x, NULL);
    fixture_submit(&x, NULL);
    assert_int_equal(fixture_try_submit(&x, NULL, &f), ENGINE_E_FULL_FUNCTION);
    lease = fixture_claim(&x);
    assert_int_equal(fixture_try_submit(&x, NULL, &f),
                     ENGINE_E_FULL_FUNCTION); /* it is pending until it runs */
    assert_int_equal(engine_start(x.e, lease, x.wall), 0);
    fixture_submit(&x, NULL);
    engine_check(x.e);
    fixture_deinit(&x);
}

/* Those of the configuration hold where none are set, one by one. */
static void test_layers(void **state)
{
    struct fixture x;

    fixture_init(&x);
    assert_int_equal(
            engine_configure(x.e, x.fn,
                             &(struct function_limits){.max_running = 3, .max_pending = 4, .rate = 5}),
            0);
    limit(&x, (struct function_limits){.max_running = 7, .rate = 8}, FUNCTION_MAX_RUNNING);
    assert_int_equal(x.fn->gate.limits.max_running, 7);
    assert_int_equal(x.fn->gate.limits.max_pending, 4);
    assert_true(x.fn->gate.limits.rate == 5);
    limit(&x, (struct function_limits){.rate = 0}, FUNCTION_RATE);
    assert_int_equal(x.fn->gate.limits.max_running, 7);
    assert_true(x.fn->gate.limits.rate == 0);
    assert_int_equal(x.fn->gate.which, FUNCTION_MAX_RUNNING | FUNCTION_RATE);
    assert_non_null(x.fn->gate.limits_set);
    assert_int_equal(engine_configure(x.e, x.fn, &(struct function_limits){.max_pending = 9, .rate = 6}), 0);
    assert_int_equal(x.fn->gate.limits.max_pending, 9);
    assert_true(x.fn->gate.limits.rate == 0);
    limit(&x, (struct function_limits){0}, 0);
    assert_int_equal(x.fn->gate.limits.max_running, 0);
    assert_true(x.fn->gate.limits.rate == 6);
    assert_null(x.fn->gate.limits_set);
    fixture_deinit(&x);
}

/* Each change is told once, with a commit, and again when that was deferred; without a store it is nobody's business. */
static void test_settings(void **state)
{
    struct effects *effects;
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    stored_turn(&x);
    assert_int_equal(engine_pause(x.e, x.fn, x.scope, SPAN_LIT("")), 0);
    limit(&x, (struct function_limits){.max_running = 1}, FUNCTION_MAX_RUNNING);
    effects = engine_end(x.e);
    assert_true(effects->is_commit);
    assert_int_equal(list_length(&effects->settings), 1);
    engine_defer(x.e);
    stored_begin(&x);
    effects = engine_end(x.e);
    assert_true(effects->is_commit);
    assert_int_equal(list_length(&effects->settings), 1);
    engine_taken(x.e);
    assert_true(list_is_empty(&effects->settings));
    stored_begin(&x);
    assert_int_equal(engine_restore_pause(x.e, x.fn, 5, SPAN_LIT("bob"), SPAN_LIT("before")), 0);
    assert_int_equal(engine_restore_limits(x.e, x.fn, &(struct function_limits){.max_pending = 6},
                                           FUNCTION_MAX_PENDING, 7, SPAN_LIT("bob"), SPAN_LIT("")),
                     0);
    assert_int_equal(x.fn->gate.paused->time, 5);
    assert_int_equal(x.fn->gate.limits.max_pending, 6);
    assert_true(list_is_empty(&engine_end(x.e)->settings));
    fixture_deinit(&x);

    fixture_init(&x);
    assert_int_equal(engine_pause(x.e, x.fn, x.scope, SPAN_LIT("")), 0);
    assert_true(list_is_empty(&engine_end(x.e)->settings));
    fixture_deinit(&x);
}

/* The others get their turn while one is held. */
static void test_others_go_on(void **state)
{
    struct engine_submit in;
    struct lease *leases[10];
    struct function *other;
    struct fixture x;
    int n_echo = 0;

    fixture_init(&x);
    other = engine_function_add(x.e, SPAN_LIT("other"), SPAN_LIT(""));
    assert_int_equal(engine_holder_serve(x.e, x.holder, other), 0);
    limit(&x, (struct function_limits){.max_running = 1}, FUNCTION_MAX_RUNNING);
    in = fixture_in(&x, NULL);
    in.function = SPAN_LIT("other");
    for (int i = 0; i < 5; i++) {
        fixture_submit(&x, NULL);
        fixture_submit(&x, &in);
    }
    assert_int_equal(claim(&x, 10, leases), 6);
    for (int i = 0; i < 6; i++)
        n_echo += leases[i]->future->function == x.fn;
    assert_int_equal(n_echo, 1);
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    struct function_limits limits = {.max_running = 1, .rate = 3};

    FAIL_EACH_ALLOCATION(nth)
    {
        struct fixture x;
        int r;

        mem_fail_at(0);
        fixture_init(&x);
        mem_fail_at(nth);
        r = engine_pause(x.e, x.fn, x.scope, SPAN_LIT("why"));
        assert_int_equal(!!x.fn->gate.paused, r == 0);
        if (r == 0)
            r = engine_limit(x.e, x.fn, &limits, FUNCTION_RATE | FUNCTION_MAX_RUNNING, x.scope,
                             SPAN_LIT("why"));
        assert_int_equal(!!x.fn->gate.limits_set, r == 0);
        assert_int_equal(x.fn->gate.is_limited, r == 0);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        fixture_deinit(&x);
        if (r == 0)
            mem_fail_at(nth);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pause),
            cmocka_unit_test(test_hold),
            cmocka_unit_test(test_pause_while_it_runs),
            cmocka_unit_test(test_max_running),
            cmocka_unit_test(test_max_running_armed_and_cancelled),
            cmocka_unit_test(test_rate),
            cmocka_unit_test(test_rate_unrun),
            cmocka_unit_test(test_rate_unrun_late),
            cmocka_unit_test(test_max_pending),
            cmocka_unit_test(test_layers),
            cmocka_unit_test(test_settings),
            cmocka_unit_test(test_others_go_on),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
