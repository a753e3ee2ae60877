// SPDX-License-Identifier: Apache-2.0
/* Where a future without a lease waits: one place, a lane kept wherever it is, and no failure on the way back. */
#include "engine/place.h"
#include "tests/unit/engine/fixture.h"

static struct lane *lane_of(const struct future *f)
{
    return f->function->ready.last; /* there is no other */
}

static void test_to_the_end_and_to_the_head(void **state)
{
    struct fixture x;
    struct future *a, *b;

    fixture_init(&x);
    a = fixture_submit(&x, NULL);
    b = fixture_submit(&x, NULL);
    assert_int_equal(a->place, PLACE_READY);
    assert_int_equal(place_keep(x.e, a), 0);
    place_take(x.e, a);
    assert_int_equal(a->place, PLACE_NONE);
    assert_int_equal(lane_of(a)->n_kept, 1);
    place_put(x.e, a, 0);
    assert_ptr_equal(sched_peek(&x.fn->ready), b);
    assert_int_equal(place_keep(x.e, a), 0);
    place_take(x.e, a);
    place_put(x.e, a, 1);
    assert_ptr_equal(sched_peek(&x.fn->ready), a);
    engine_check(x.e);
    fixture_deinit(&x);
}

static void test_work_is_told(void **state)
{
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    while (list_pop_front(&x.e->effects.work))
        ;
    assert_int_equal(place_keep(x.e, f), 0);
    place_take(x.e, f);
    assert_true(list_is_empty(&x.e->effects.work));
    place_put(x.e, f, 0);
    assert_false(list_is_empty(&x.e->effects.work));
    fixture_deinit(&x);
}

/* A lease and its end: nowhere, then back; the end drops the lane. */
static void test_with_leases(void **state)
{
    struct fixture x;
    struct lease *lease;
    struct future *f;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    lease = fixture_claim(&x);
    assert_int_equal(f->place, PLACE_NONE);
    assert_int_equal(lane_of(f)->n_kept, 1);
    place_again(x.e, f); /* it has a lease: nothing happens */
    assert_int_equal(f->place, PLACE_NONE);
    engine_release(x.e, lease);
    assert_int_equal(f->place, PLACE_READY);
    place_again(x.e, f); /* it is there */
    assert_int_equal(x.fn->ready.n, 1);
    fixture_succeed(&x, fixture_start(&x));
    assert_int_equal(f->place, PLACE_NONE);
    engine_check(x.e);
    fixture_deinit(&x);
}

static void take_twice(void *arg)
{
    struct fixture *x = arg;
    struct future *f = fixture_submit(x, NULL);

    place_take(x->e, f);
    place_take(x->e, f);
}

static void test_once(void **state)
{
    struct fixture x;

    fixture_init(&x);
    test_aborts(take_twice, &x, "place != PLACE_NONE");
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    struct future f = {.priority = 0};
    struct fixture x;

    fixture_init(&x);
    f.function = x.fn;
    f.scope = x.scope;
    FAIL_EACH_ALLOCATION(nth)
    {
        int r;

        f.priority++; /* one whose level is not there */
        r = place_keep(x.e, &f);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0)
            place_drop(x.e, &f);
    }
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_to_the_end_and_to_the_head),
            cmocka_unit_test(test_work_is_told),
            cmocka_unit_test(test_with_leases),
            cmocka_unit_test(test_once),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
