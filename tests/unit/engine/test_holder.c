// SPDX-License-Identifier: Apache-2.0
/* What workers serve, and how many serve a function. */
#include "tests/unit/engine/fixture.h"

static int holder_failing(uint64_t nth)
{
    struct holder *h = NULL;
    struct fixture x;
    int r, failed;

    fixture_init(&x);
    mem_fail_at(nth);
    r = engine_holder_new(x.e, SPAN_LIT("w"), NULL, &h);
    if (r == 0)
        r = engine_holder_serve(x.e, h, x.fn);
    failed = !mem_fail_pending();
    mem_fail_at(0);
    assert_int_equal(r, failed ? -ENOMEM : 0);
    assert_int_equal(x.fn->n_holders, 1 + (r == 0));
    engine_holder_free(x.e, h);
    assert_int_equal(x.fn->n_holders, 1);
    fixture_deinit(&x);
    return failed;
}

static void test_holder_fails_each_allocation(void **state)
{
    uint64_t nth = 1;

    while (holder_failing(nth))
        nth++;
    assert_int_equal(nth, 4);
}

static void test_serve(void **state)
{
    struct function *other[200];
    struct holder *h;
    struct fixture x;

    fixture_init(&x);
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        char name[16];

        snprintf(name, sizeof name, "f%zu", i);
        other[i] = engine_function_add(x.e, span_of_string(name), (struct span){0});
        assert_non_null(other[i]);
    }
    assert_int_equal(engine_holder_new(x.e, SPAN_LIT("w"), NULL, &h), 0);
    assert_int_equal(engine_holder_serve(x.e, h, other[150]), 0);
    assert_int_equal(engine_holder_serve(x.e, h, other[3]), 0);
    assert_int_equal(engine_holder_serve(x.e, h, other[3]), 0); /* once */
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        assert_int_equal(other[i]->n_holders, i == 3 || i == 150);
        assert_int_equal(holder_serves(h, other[i]) != 0, i == 3 || i == 150);
    }
    assert_null(engine_holder_free(x.e, h));
    assert_int_equal(other[3]->n_holders + other[150]->n_holders, 0);
    assert_null(engine_holder_free(x.e, NULL));
    fixture_deinit(&x);
}

/* A worker that serves nothing any more keeps what it holds, gets nothing, and what waits says why. */
static void test_serve_none(void **state)
{
    struct future *held, *waiting;
    struct lease *lease, *none;
    struct fixture x;

    fixture_init(&x);
    held = fixture_submit(&x, NULL);
    lease = fixture_claim(&x);
    assert_ptr_equal(lease->future, held);
    engine_holder_serve_none(x.e, x.holder);
    engine_holder_serve_none(x.e, x.holder);
    waiting = fixture_submit(&x, NULL);
    assert_int_equal(x.fn->n_holders, 0);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &none), 0);
    assert_int_equal(future_pending_reason(waiting), PENDING_NO_WORKER);
    fixture_succeed(&x, lease);
    assert_int_equal(held->state, FUTURE_SUCCEEDED);
    assert_int_equal(engine_holder_serve(x.e, x.holder, x.fn), 0);
    assert_int_equal(future_pending_reason(waiting), PENDING_READY);
    assert_ptr_equal(fixture_claim(&x)->future, waiting);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_holder_fails_each_allocation),
            cmocka_unit_test(test_serve),
            cmocka_unit_test(test_serve_none),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
