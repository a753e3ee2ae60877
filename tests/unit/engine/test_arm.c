// SPDX-License-Identifier: Apache-2.0
/* What must not run twice is claimed when its mark is durable, and not before. */
#include "engine/arm.h"
#include "tests/unit/engine/stored.h"

static struct future *submit_fail(struct fixture *x)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.on_lost = ON_LOST_FAIL;
    return fixture_submit(x, &in);
}

static int claim(struct fixture *x, uint32_t max, struct lease **leases)
{
    int n = engine_claim(x->e, x->holder, CLOCK_NEVER, max, leases);

    engine_check(x->e);
    return n;
}

static void test_two_commits_before_the_start(void **state)
{
    struct lease *lease;
    struct effects *effects;
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    f = submit_fail(&x);
    assert_int_equal(claim(&x, 1, &lease), 0);
    assert_int_equal(f->armed, ARMED_WAITING);
    assert_int_equal(claim(&x, 1, &lease), 0);
    effects = stored_end(&x);
    assert_int_equal(effects->n_facts, 1);
    while (list_pop_front(&effects->work))
        ;
    stored_begin(&x);
    assert_int_equal(claim(&x, 1, &lease), 0);
    engine_durable(x.e, effects->commit_seq);
    assert_int_equal(list_length(&x.e->effects.work), 1); /* whoever has room is told */
    assert_int_equal(claim(&x, 1, &lease), 1);
    assert_ptr_equal(lease->future, f);
    fixture_deinit(&x);
}

/* Others go past it, and it comes back to its place. */
static void test_place_in_the_queue(void **state)
{
    struct lease *leases[4];
    struct fixture x;
    struct future *a, *b, *c, *d;

    stored_init(&x, UINT64_MAX);
    a = submit_fail(&x);
    b = submit_fail(&x);
    c = fixture_submit(&x, NULL);
    d = fixture_submit(&x, NULL);
    assert_int_equal(claim(&x, 3, leases), 1);
    assert_ptr_equal(leases[0]->future, c);
    stored_turn(&x);
    assert_int_equal(claim(&x, 4, leases), 3);
    assert_ptr_equal(leases[0]->future, a);
    assert_ptr_equal(leases[1]->future, b);
    assert_ptr_equal(leases[2]->future, d);
    fixture_deinit(&x);
}

static void test_cancel_while_it_waits(void **state)
{
    struct lease *lease;
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    f = submit_fail(&x);
    assert_int_equal(claim(&x, 1, &lease), 0);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT("no"), -1), 0);
    engine_check(x.e);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    stored_turn(&x);
    assert_int_equal(claim(&x, 1, &lease), 0);
    fixture_deinit(&x);
}

/* Given back unrun, it has no mark any more; the next claim makes a new one. */
static void test_release(void **state)
{
    struct lease *lease;
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    f = submit_fail(&x);
    assert_int_equal(claim(&x, 1, &lease), 0);
    stored_turn(&x);
    assert_int_equal(claim(&x, 1, &lease), 1);
    engine_release(x.e, lease);
    engine_check(x.e);
    assert_int_equal(f->armed, ARMED_NOT);
    assert_int_equal(f->fact, FACT_LAZY);
    assert_int_equal(claim(&x, 1, &lease), 0);
    stored_turn(&x);
    assert_int_equal(claim(&x, 1, &lease), 1);
    fixture_deinit(&x);
}

/* An annotation while it waits does not make it start earlier. */
static void test_annotated_while_it_waits(void **state)
{
    struct lease *lease;
    struct fixture x;
    struct future *f;
    uint64_t first;

    stored_init(&x, UINT64_MAX);
    f = submit_fail(&x);
    assert_int_equal(claim(&x, 1, &lease), 0);
    first = stored_end(&x)->commit_seq;
    stored_begin(&x);
    assert_int_equal(engine_annotate(x.e, f, NULL, NULL), 0);
    engine_durable(x.e, first);
    assert_int_equal(claim(&x, 1, &lease), 0);
    stored_turn(&x);
    assert_int_equal(claim(&x, 1, &lease), 1);
    fixture_deinit(&x);
}

/* So many at a time; other functions are served meanwhile. */
static void test_bounded(void **state)
{
    struct lease *leases[4];
    struct engine_submit in;
    struct function *other;
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    for (int i = 0; i < ARM_MAX + 5; i++)
        submit_fail(&x);
    for (int i = 0; i < ARM_MAX + 5; i++)
        assert_int_equal(claim(&x, 1, leases), 0);
    assert_int_equal(x.e->arm.n, ARM_MAX);
    assert_int_equal(x.fn->ready.n, 5);
    other = engine_function_add(x.e, SPAN_LIT("other"), (struct span){0});
    assert_int_equal(engine_holder_serve(x.e, x.holder, other), 0);
    in = fixture_in(&x, NULL);
    in.function = SPAN_LIT("other");
    f = fixture_submit(&x, &in);
    assert_int_equal(claim(&x, 4, leases), 1);
    assert_ptr_equal(leases[0]->future, f);
    stored_turn(&x);
    assert_int_equal(x.e->arm.n, 0);
    assert_int_equal(claim(&x, 4, leases), 4);
    fixture_deinit(&x);
}

/* Memory only, or no store: nothing would be left to be marked. */
static void test_not_needed(void **state)
{
    struct engine_submit in;
    struct lease *lease;
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    in = fixture_in(&x, NULL);
    in.on_lost = ON_LOST_FAIL;
    in.durability = DURABILITY_EPHEMERAL;
    fixture_submit(&x, &in);
    assert_int_equal(claim(&x, 1, &lease), 1);
    fixture_deinit(&x);
    fixture_init(&x);
    submit_fail(&x);
    assert_int_equal(claim(&x, 1, &lease), 1);
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    int has_failed = 1;

    for (uint64_t nth = 1; has_failed; nth++) {
        struct lease *lease;
        struct fixture x;
        struct future *f;
        int r;

        stored_init(&x, UINT64_MAX);
        f = submit_fail(&x);
        for (int i = 1; i < 64; i++) /* the list of facts is full: the mark needs memory */
            fixture_submit(&x, NULL);
        stored_turn(&x);
        for (int i = 0; i < 64; i++)
            fixture_submit(&x, NULL);
        mem_fail_at(nth);
        r = engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease);
        has_failed = test_allocation_failed();
        mem_fail_at(0);
        assert_true(nth > 1 || has_failed);
        engine_check(x.e);
        if (has_failed) {
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(f->armed, ARMED_NOT);
            r = engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease);
        }
        assert_int_equal(r, 0);
        assert_int_equal(f->armed, ARMED_WAITING);
        fixture_deinit(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_two_commits_before_the_start),
            cmocka_unit_test(test_place_in_the_queue),
            cmocka_unit_test(test_cancel_while_it_waits),
            cmocka_unit_test(test_release),
            cmocka_unit_test(test_annotated_while_it_waits),
            cmocka_unit_test(test_bounded),
            cmocka_unit_test(test_not_needed),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
