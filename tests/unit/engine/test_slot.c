// SPDX-License-Identifier: Apache-2.0
/* Concurrency keys: one at a time, in the old order, and nobody parked is forgotten. */
#include "engine/slot.h"
#include "tests/unit/engine/fixture.h"

static struct future *submit(struct fixture *x, const char *key, int32_t priority)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.concurrency_key = span_of_string(key);
    in.priority = priority;
    return fixture_submit(x, &in);
}

static int claim(struct fixture *x, uint32_t max, struct lease **leases)
{
    int n = engine_claim(x->e, x->holder, CLOCK_NEVER, max, leases);

    engine_check(x->e);
    return n;
}

static void test_one_at_a_time(void **state)
{
    struct lease *leases[8];
    struct future *a, *b, *c, *other;
    struct fixture x;

    fixture_init(&x);
    a = submit(&x, "k", 0);
    b = submit(&x, "k", 0);
    c = submit(&x, "k", 0);
    other = submit(&x, "l", 0);
    assert_int_equal(claim(&x, 8, leases), 2);
    assert_ptr_equal(leases[0]->future, a);
    assert_ptr_equal(leases[1]->future, other);
    assert_int_equal(b->place, PLACE_PARKED);
    assert_int_equal(future_pending_reason(b), PENDING_LIMITED);
    assert_int_equal(claim(&x, 8, leases + 2), 0);
    fixture_succeed(&x, leases[0]);
    engine_check(x.e);
    assert_int_equal(b->place, PLACE_READY);
    assert_int_equal(c->place, PLACE_PARKED);
    assert_int_equal(claim(&x, 8, leases), 1);
    assert_ptr_equal(leases[0]->future, b);
    engine_release(x.e, leases[0]); /* b is in front of c again */
    assert_int_equal(claim(&x, 8, leases), 1);
    assert_ptr_equal(leases[0]->future, b);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(claim(&x, 8, leases), 1);
    assert_ptr_equal(leases[0]->future, c);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(x.e->slots.table.n_items, 1); /* other's */
    fixture_deinit(&x);
}

/* A cancelled attempt has the slot until it has really ended. */
static void test_cancel_of_running(void **state)
{
    struct lease *leases[2];
    struct future *b;
    struct fixture x;

    fixture_init(&x);
    submit(&x, "k", 0);
    b = submit(&x, "k", 0);
    leases[0] = fixture_start(&x);
    assert_int_equal(engine_cancel(x.e, leases[0]->future, x.scope, SPAN_LIT(""), -1), 0);
    assert_int_equal(claim(&x, 2, leases + 1), 0);
    fixture_fail(&x, leases[0]);
    assert_int_equal(claim(&x, 2, leases), 1);
    assert_ptr_equal(leases[0]->future, b);
    fixture_deinit(&x);
}

/* The candidate is cancelled: the next one takes its part. The parked one is cancelled: nothing is left of it. */
static void test_cancel_of_waiting(void **state)
{
    struct lease *leases[2];
    struct future *b, *c, *d;
    struct fixture x;

    fixture_init(&x);
    submit(&x, "k", 0);
    b = submit(&x, "k", 0);
    c = submit(&x, "k", 0);
    d = submit(&x, "k", 0);
    assert_int_equal(claim(&x, 2, leases), 1);
    assert_int_equal(engine_cancel(x.e, c, x.scope, SPAN_LIT(""), -1), 0);
    engine_check(x.e);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(b->place, PLACE_READY);
    assert_int_equal(engine_cancel(x.e, b, x.scope, SPAN_LIT(""), -1), 0);
    engine_check(x.e);
    assert_int_equal(d->place, PLACE_READY);
    assert_int_equal(claim(&x, 2, leases), 1);
    assert_ptr_equal(leases[0]->future, d);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(x.e->slots.table.n_items, 0);
    fixture_deinit(&x);
}

/* Priority holds among the parked, and against the candidate, which is parked again in its old place. */
static void test_priority(void **state)
{
    struct lease *leases[2];
    struct future *low, *lower, *high, *newcomer;
    struct fixture x;

    fixture_init(&x);
    submit(&x, "k", 0);
    assert_int_equal(claim(&x, 2, leases), 1);
    low = submit(&x, "k", 1);
    lower = submit(&x, "k", 1);
    assert_int_equal(claim(&x, 2, leases + 1), 0);
    high = submit(&x, "k", 2);
    assert_int_equal(claim(&x, 2, leases + 1), 0);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(claim(&x, 2, leases), 1);
    assert_ptr_equal(leases[0]->future, high);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(low->place, PLACE_READY);
    newcomer = submit(&x, "k", 5);
    assert_int_equal(claim(&x, 2, leases), 1);
    assert_ptr_equal(leases[0]->future, newcomer);
    assert_int_equal(low->place, PLACE_PARKED);
    fixture_succeed(&x, leases[0]);
    assert_int_equal(claim(&x, 2, leases), 1);
    assert_ptr_equal(leases[0]->future, low);
    assert_int_equal(lower->place, PLACE_PARKED);
    fixture_deinit(&x);
}

/* The same key of another namespace, or of another function, is another one. */
static void test_scopes(void **state)
{
    struct engine_submit in;
    struct lease *leases[8];
    struct function *other;
    struct fixture x;

    fixture_init(&x);
    other = engine_function_add(x.e, SPAN_LIT("other"), SPAN_LIT(""));
    assert_int_equal(engine_holder_serve(x.e, x.holder, other), 0);
    in = fixture_in(&x, NULL);
    in.concurrency_key = SPAN_LIT("k");
    fixture_submit(&x, &in);
    in.scope = engine_scope(x.e, SPAN_LIT("elsewhere"), SPAN_LIT("alice"));
    fixture_submit(&x, &in);
    in.scope = engine_scope(x.e, SPAN_LIT("ns"), SPAN_LIT("bob"));
    fixture_submit(&x, &in);
    in.function = SPAN_LIT("other");
    fixture_submit(&x, &in);
    assert_int_equal(claim(&x, 8, leases), 3);
    assert_int_equal(x.fn->n_waiting, 1);
    fixture_deinit(&x);
}

/* Very many with one key are parked some at a time, and the next turn goes on. */
static void test_bounded_work(void **state)
{
    enum { N = 2 * STATE_PARK_PER_CLAIM + 10 };
    struct engine_submit in;
    struct lease *leases[2];
    struct future *free;
    struct fixture x;
    int n = 0;

    fixture_init(&x);
    submit(&x, "k", 0);
    assert_int_equal(claim(&x, 1, leases), 1);
    for (int i = 0; i < N; i++)
        submit(&x, "k", 0);
    in = fixture_in(&x, NULL);
    free = fixture_submit(&x, &in);
    do {
        while (list_pop_front(&x.e->effects.work))
            ;
        assert_int_equal(claim(&x, 1, leases + 1), n == 2);
        assert_true(x.fn->n_waiting <= (uint64_t)(n + 1) * STATE_PARK_PER_CLAIM);
        assert_int_equal(list_is_empty(&x.e->effects.work), n == 2);
    } while (++n < 3);
    assert_ptr_equal(leases[1]->future, free);
    fixture_deinit(&x);
}

/* Random lives: no key is ever claimed twice, a limit is never exceeded, and in the end everything has run. */
static void test_random(void **state)
{
    enum { N = 4000, KEYS = 4, MAX = 5 };
    struct test_random random = {test_seed()};
    struct lease *leases[16], *held[64];
    struct future *waiting[N];
    uint32_t n_held = 0, n_submitted = 0;
    struct fixture x;

    fixture_init(&x);
    assert_int_equal(engine_limit(x.e, x.fn, &(struct function_limits){.max_running = MAX},
                                  FUNCTION_MAX_RUNNING, x.scope, SPAN_LIT("")),
                     0);
    for (int step = 0; step < 20000 || x.fn->n_pending + x.fn->n_running > 0; step++) {
        uint32_t what = (uint32_t)test_random_below(&random, 10), i;

        if (what < 4 && n_submitted < N && step < 20000) {
            const char *keys[] = {"", "a", "b", "c", "d"};

            waiting[n_submitted++] = submit(&x, keys[test_random_below(&random, KEYS + 1)],
                                            (int32_t)test_random_below(&random, 3));
        } else if (what < 7) {
            int n = engine_claim(x.e, x.holder, CLOCK_NEVER, (uint32_t)test_random_below(&random, 4) + 1,
                                 leases);

            assert_true(n >= 0);
            for (int k = 0; k < n; k++)
                held[n_held++] = leases[k];
        } else if (what < 9 && n_held > 0) {
            i = (uint32_t)test_random_below(&random, n_held);
            if (test_random_below(&random, 3) == 0)
                engine_release(x.e, held[i]);
            else
                fixture_succeed(&x, held[i]);
            held[i] = held[--n_held];
        } else if (n_submitted > 0) {
            i = (uint32_t)test_random_below(&random, n_submitted);
            if (!future_is_terminal(waiting[i]))
                assert_int_equal(engine_cancel(x.e, waiting[i], x.scope, SPAN_LIT(""), -1), 0);
        }
        assert_true(n_held <= MAX);
        for (uint32_t a = 0; a < n_held; a++)
            for (uint32_t b = 0; b < a; b++)
                assert_true(!held[a]->future->rare || !held[b]->future->rare ||
                            !held[a]->future->rare->slot ||
                            held[a]->future->rare->slot != held[b]->future->rare->slot);
        if (step % 64 == 0)
            fixture_turn(&x);
        assert_true(step < 200000); /* somebody has been forgotten */
    }
    assert_int_equal(x.e->slots.table.n_items, 0);
    assert_int_equal(x.fn->n_succeeded + x.fn->n_cancelled, n_submitted);
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct future *f = NULL;
        struct engine_submit in;
        struct fixture x;
        int r;

        mem_fail_at(0);
        fixture_init(&x);
        in = fixture_in(&x, NULL);
        in.concurrency_key = SPAN_LIT("k");
        in.fairness_key = SPAN_LIT("f");
        mem_fail_at(nth);
        r = fixture_try_submit(&x, &in, &f);
        if (r == 0)
            r = fixture_try_submit(&x, &in, &f);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        engine_check(x.e);
        fixture_deinit(&x);
        if (r == 0)
            mem_fail_at(nth);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_one_at_a_time),
            cmocka_unit_test(test_cancel_of_running),
            cmocka_unit_test(test_cancel_of_waiting),
            cmocka_unit_test(test_priority),
            cmocka_unit_test(test_scopes),
            cmocka_unit_test(test_bounded_work),
            cmocka_unit_test(test_random),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
