// SPDX-License-Identifier: Apache-2.0
/* What holds a future, where it stands, who is the oldest. */
#include "engine/explain.h"
#include "tests/unit/engine/fixture.h"

static void test_places(void **state)
{
    struct explanation got;
    struct future *f[4];
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < 4; i++)
        f[i] = fixture_submit(&x, NULL);
    for (uint64_t i = 0; i < 4; i++) {
        explain_future(x.e, f[i], &got);
        assert_true(got.has_position && !got.is_estimate && got.position == i && got.reason == PENDING_READY);
    }
    assert_ptr_equal(engine_oldest(x.fn), f[0]);
    fixture_claim(&x);
    explain_future(x.e, f[0], &got);
    assert_true(got.has_position && got.position == 0);
    assert_ptr_equal(engine_oldest(x.fn), f[1]);
    explain_function(x.e, x.fn, &got);
    assert_int_equal(got.reason, PENDING_READY);
    fixture_deinit(&x);
}

static void test_limits(void **state)
{
    struct explanation got;
    struct engine_submit in;
    struct future *a, *b;
    struct lease *lease;
    struct fixture x;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.concurrency_key = SPAN_LIT("k");
    a = fixture_submit(&x, &in);
    b = fixture_submit(&x, &in);
    lease = fixture_claim(&x);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease), 0);
    explain_future(x.e, b, &got);
    assert_int_equal(got.limit, EXPLAIN_CONCURRENCY_KEY);
    assert_ptr_equal(got.blocker, a);
    assert_ptr_equal(engine_oldest(x.fn), b);
    explain_function(x.e, x.fn, &got);
    assert_int_equal(got.limit, EXPLAIN_CONCURRENCY_KEY);
    assert_int_equal(engine_limit(x.e, x.fn, &(struct function_limits){.rate = 1}, FUNCTION_RATE, x.scope,
                                  SPAN_LIT("")),
                     0);
    fixture_succeed(&x, LIST_ENTRY(x.holder->leases.next, struct lease, of_holder));
    fixture_claim(&x);
    a = fixture_submit(&x, NULL);
    explain_future(x.e, a, &got);
    assert_int_equal(got.limit, EXPLAIN_RATE);
    assert_int_equal(got.next_start, x.wall + NS_PER_S);
    assert_int_equal(engine_pause(x.e, x.fn, x.scope, SPAN_LIT("")), 0);
    explain_function(x.e, x.fn, &got);
    assert_int_equal(got.reason, PENDING_PAUSED);
    assert_int_equal(got.limit, EXPLAIN_NO_LIMIT);
    fixture_deinit(&x);
}

/* One that comes to the front later may have been accepted before those that are held already. */
static void test_oldest_is_held(void **state)
{
    struct engine_submit in;
    struct future *old;
    struct lease *lease;
    struct fixture x;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.concurrency_key = SPAN_LIT("k");
    fixture_submit(&x, &in);
    fixture_claim(&x);
    old = fixture_submit(&x, &in);
    in.priority = 1;
    fixture_submit(&x, &in);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease), 0);
    assert_int_equal(x.fn->n_waiting, 2);
    assert_ptr_equal(engine_oldest(x.fn), old);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_oldest_is_held)};

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
