// SPDX-License-Identifier: Apache-2.0
/* Tying, dropping and firing edges in any order, against counts; limits and memory. */
#include "engine/edge.h"
#include "fixture.h"

/* Random edges between some waiters and some futures, of which some end; dropped one by one or with their waiter. */
static void test_model(void **state)
{
    enum { WAITERS = 10, FUTURES = 30 };
    struct test_random random = {test_seed()};
    struct fixture x;
    struct waiter w[WAITERS];
    struct future *f[FUTURES];
    uint32_t edges[WAITERS][FUTURES] = {0};

    fixture_init(&x);
    for (int i = 0; i < WAITERS; i++)
        waiter_init(&w[i], (enum waiter_mode)(i % 5), 2, NULL);
    for (int i = 0; i < FUTURES; i++)
        f[i] = fixture_submit(&x, NULL);
    for (int step = 0; step < 4000; step++) {
        size_t i = test_random_below(&random, WAITERS), k = test_random_below(&random, FUTURES);
        uint64_t what = test_random_below(&random, 100);

        if (what < 60) {
            assert_int_equal(engine_wait(x.e, &w[i], f[k], NULL, (uint32_t)k), 0);
            edges[i][k]++;
        } else if (what < 90) {
            struct list *l = list_first(what % 2 ? &w[i].pending : &w[i].done);

            if (l) {
                edges[i][LIST_ENTRY(l, struct edge, of_waiter)->cookie]--;
                engine_unwait(x.e, LIST_ENTRY(l, struct edge, of_waiter));
            }
        } else if (what < 91) {
            engine_waiter_drop(x.e, &w[i]);
            memset(edges[i], 0, sizeof edges[i]);
        } else if (what < 93) {
            assert_int_equal(engine_cancel(x.e, f[k], x.scope, SPAN_LIT(""), -1), 0);
        } else {
            while (list_pop_front(&fixture_turn(&x)->answers))
                ;
        }
        for (size_t a = 0; a < WAITERS; a++) {
            uint32_t n_done = 0, n_pending = 0;

            for (size_t b = 0; b < FUTURES; b++)
                *(future_is_terminal(f[b]) ? &n_done : &n_pending) += edges[a][b];
            assert_int_equal(w[a].n_done, n_done);
            assert_int_equal(w[a].n_pending, n_pending);
            if (w[a].mode != WAITER_WATCH)
                assert_int_equal(list_length(&w[a].done), n_done);
        }
    }
    for (int i = 0; i < WAITERS; i++)
        engine_waiter_drop(x.e, &w[i]);
    assert_int_equal(engine_stats(x.e).n_edges, 0);
    fixture_deinit(&x);
}

/* Who joins while the members are looked for elsewhere, and how many of those are needed then. */
static void test_joiners(void **state)
{
    enum { EXPECTED = 5 };

    for (uint32_t n_joined = 0; n_joined <= EXPECTED + 1; n_joined++)
        for (uint32_t n = 0; n <= EXPECTED; n++) {
            uint32_t n_now = MIN(n_joined, (uint32_t)EXPECTED), n_tied = n == 0 ? 0 : MAX(n_now, n);
            struct fixture x;
            struct waiter w;

            fixture_init(&x);
            fixture_submit_group(&x, "g"); /* there before: not tied */
            waiter_init(&w, WAITER_ALL, 0, NULL);
            assert_int_equal(engine_wait_joiners(x.e, &w, x.scope, SPAN_LIT("g"), EXPECTED), 0);
            for (uint32_t i = 0; i < n_joined; i++)
                fixture_submit_group(&x, "g");
            assert_int_equal(w.n_pending, n_now);
            engine_wait_settle(x.e, &w, n);
            engine_check(x.e);
            assert_int_equal(w.n_pending, n == 0 ? 0 : n_now);
            assert_int_equal(list_is_linked(&w.expecting) != 0, n_now < n);
            assert_int_equal(engine_stats(x.e).n_edges, n_tied);
            for (uint32_t i = 0; i < EXPECTED; i++)
                fixture_submit_group(&x, "g");
            assert_int_equal(w.n_pending, n_tied);
            assert_false(list_is_linked(&w.expecting));
            engine_waiter_drop(x.e, &w);
            assert_int_equal(engine_stats(x.e).n_edges, 0);
            fixture_deinit(&x);
        }
}

static void test_limit(void **state)
{
    struct fixture x;
    struct waiter w;
    struct future *f;

    fixture_init(&x);
    x.e->account.limits.max_waiter_edges = 3;
    f = fixture_submit_group(&x, "g");
    fixture_submit_group(&x, "g");
    waiter_init(&w, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 0), 0);
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 0), 0);
    assert_int_equal(engine_wait_group(x.e, &w, x.scope, SPAN_LIT("g"), 0), ENGINE_E_FULL_EDGES);
    assert_int_equal(engine_wait_group(x.e, &w, x.scope, SPAN_LIT("h"), 2), ENGINE_E_FULL_EDGES);
    assert_int_equal(w.n_pending, 2);
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 0), 0);
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 0), ENGINE_E_FULL_EDGES);
    engine_unwait(x.e, LIST_ENTRY(list_first(&w.pending), struct edge, of_waiter));
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 0), 0);
    engine_waiter_drop(x.e, &w);
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    struct bytes *tag = bytes_dup("t", 1);
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < 5; i++)
        fixture_submit_group(&x, "g");
    FAIL_EACH_ALLOCATION(nth)
    {
        struct waiter w;
        int r;

        waiter_init(&w, WAITER_ALL, 0, NULL);
        r = engine_wait(x.e, &w, engine_group_first(x.e, x.scope, SPAN_LIT("g")), tag, 0);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(w.n_pending, r == 0);
        assert_int_equal(tag->refs, 1 + (r == 0));
        engine_waiter_drop(x.e, &w);
        assert_int_equal(engine_stats(x.e).n_edges, 0);
    }
    FAIL_EACH_ALLOCATION(nth)
    {
        struct waiter w;
        int r;

        waiter_init(&w, WAITER_ALL, 0, NULL);
        r = engine_wait_group(x.e, &w, x.scope, SPAN_LIT("g"), 7);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(w.n_pending, r == 0 ? 5 : 0);
        assert_int_equal(engine_stats(x.e).n_edges, r == 0 ? 7 : 0);
        engine_check(x.e);
        engine_waiter_drop(x.e, &w);
        assert_int_equal(engine_stats(x.e).n_edges, 0);
    }
    FAIL_EACH_ALLOCATION(nth) /* a group that is not there yet */
    {
        struct waiter w;
        int r;

        waiter_init(&w, WAITER_ALL, 0, NULL);
        r = engine_wait_group(x.e, &w, x.scope, SPAN_LIT("new"), 2);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        engine_check(x.e);
        engine_waiter_drop(x.e, &w);
        assert_int_equal(engine_stats(x.e).n_edges, 0);
        assert_int_equal(x.e->groups.table.n_items, 1);
    }
    assert_int_equal(tag->refs, 1);
    bytes_unref(tag);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_model),
            cmocka_unit_test(test_joiners),
            cmocka_unit_test(test_limit),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
