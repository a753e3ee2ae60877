// SPDX-License-Identifier: Apache-2.0
/* When a waiter is ready: every mode against every mixture of ends, duplicates, groups that are to grow. */
#include "engine/waiter.h"
#include "fixture.h"

enum { N = 4 };

/* Whether a waiter of @mode is ready, said again in plain words. */
static int should_be_ready(enum waiter_mode mode, uint32_t wanted, int n, int n_done, int n_failed,
                           int n_news)
{
    switch (mode) {
    case WAITER_ALL: return n_done == n;
    case WAITER_FIRST_EXCEPTION: return n_done == n || n_failed > 0;
    case WAITER_COUNT: return n_done == n || n_done >= (int)wanted;
    case WAITER_EACH:
    case WAITER_WATCH: return n_news > 0;
    }
    return -1;
}

/* End N futures in every order of ends (success, failure, cancel); after each the waiter is asked. */
static void run_ends(struct fixture *x, enum waiter_mode mode, uint32_t wanted, int ends)
{
    struct future *f[N];
    struct waiter w;
    int n_done = 0, n_failed = 0, was_ready = 0;

    waiter_init(&w, mode, wanted, NULL);
    for (int i = 0; i < N; i++) {
        f[i] = fixture_submit(x, NULL);
        assert_int_equal(engine_wait(x->e, &w, f[i], NULL, 0), 0);
    }
    assert_int_equal(!!waiter_is_ready(&w), should_be_ready(mode, wanted, N, 0, 0, 0));
    for (int i = 0; i < N; i++, ends /= 3) {
        struct effects *effects;
        int is_ready;

        if (ends % 3 == 2)
            assert_int_equal(engine_cancel(x->e, f[i], x->scope, SPAN_LIT(""), -1), 0);
        else if (ends % 3 == 1)
            fixture_fail(x, fixture_start(x));
        else
            fixture_succeed(x, fixture_start(x));
        n_done++;
        n_failed += ends % 3 == 1; /* cancelled is no exception */
        assert_int_equal(w.n_done, n_done);
        assert_int_equal(w.n_pending, N - n_done);
        assert_int_equal(w.n_failed, n_failed);
        is_ready = !!waiter_is_ready(&w);
        assert_int_equal(is_ready, should_be_ready(mode, wanted, N, n_done, n_failed, n_done));
        effects = fixture_turn(x);
        assert_int_equal(!list_is_empty(&effects->answers), is_ready);
        while (list_pop_front(&effects->answers))
            ;
        assert_true(is_ready >= was_ready);
        was_ready = is_ready;
    }
    assert_true(was_ready);
    for (int i = 0; i < N; i++) { /* in completion order */
        struct edge *edge = waiter_first_done(&w);

        assert_ptr_equal(edge->future, f[i]);
        engine_unwait(x->e, edge);
    }
    assert_null(waiter_first_done(&w));
    assert_int_equal(w.n_done + w.n_pending + w.n_failed, 0);
    engine_waiter_drop(x->e, &w);
    for (int i = 0; i < N; i++)
        assert_int_equal(engine_delete(x->e, f[i]), 0);
}

static void test_every_mode(void **state)
{
    static const struct {
        enum waiter_mode mode;
        uint32_t wanted;
    } cases[] = {
            {WAITER_ALL, 0},   {WAITER_FIRST_EXCEPTION, 0}, {WAITER_COUNT, 1}, {WAITER_COUNT, 2},
            {WAITER_COUNT, N}, {WAITER_COUNT, N + 5},       {WAITER_EACH, 0},  {WAITER_WATCH, 0},
    };
    struct fixture x;

    fixture_init(&x);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int ends = 0; ends < 3 * 3 * 3 * 3; ends++)
            run_ends(&x, cases[i].mode, cases[i].wanted, ends);
    fixture_deinit(&x);
}

static void test_without_edges(void **state)
{
    static const int ready[] = {[WAITER_ALL] = 1,
                                [WAITER_FIRST_EXCEPTION] = 1,
                                [WAITER_COUNT] = 1,
                                [WAITER_EACH] = 0,
                                [WAITER_WATCH] = 0};

    for (int mode = WAITER_ALL; mode <= WAITER_WATCH; mode++) {
        struct waiter w;

        waiter_init(&w, (enum waiter_mode)mode, 1, NULL);
        assert_int_equal(!!waiter_is_ready(&w), ready[mode]);
        assert_null(waiter_first_done(&w));
    }
}

/* What nobody knows counts as done, for those who want a number of them. */
static void test_missing(void **state)
{
    struct fixture x;
    struct waiter w;

    fixture_init(&x);
    waiter_init(&w, WAITER_COUNT, 2, NULL);
    w.n_missing = 1;
    for (int i = 0; i < 2; i++)
        assert_int_equal(engine_wait(x.e, &w, fixture_submit(&x, NULL), NULL, 0), 0);
    assert_false(waiter_is_ready(&w));
    fixture_succeed(&x, fixture_start(&x));
    assert_true(waiter_is_ready(&w));
    engine_waiter_drop(x.e, &w);
    fixture_deinit(&x);
}

/* Two edges to one future are two edges. */
static void test_duplicates(void **state)
{
    struct bytes *tag = bytes_dup("t", 1);
    struct fixture x;
    struct waiter w;
    struct future *f;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    waiter_init(&w, WAITER_EACH, 0, NULL);
    assert_int_equal(engine_wait(x.e, &w, f, tag, 17), 0);
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 18), 0);
    assert_int_equal(f->n_pins, 2);
    fixture_succeed(&x, fixture_start(&x));
    assert_int_equal(w.n_done, 2);
    assert_int_equal(list_length(&fixture_turn(&x)->answers), 1); /* once, however much has happened */
    for (int i = 0; i < 2; i++) {
        struct edge *edge = waiter_first_done(&w);

        assert_ptr_equal(edge->future, f);
        assert_ptr_equal(edge->tag, edge->cookie == 17 ? tag : NULL);
        engine_unwait(x.e, edge);
    }
    assert_int_equal(tag->refs, 1);
    bytes_unref(tag);
    engine_waiter_drop(x.e, &w);
    fixture_deinit(&x);
}

/* Those already finished are done at once and come first. */
static void test_already_done(void **state)
{
    struct fixture x;
    struct waiter w;
    struct future *f[3];

    fixture_init(&x);
    for (int i = 0; i < 3; i++)
        f[i] = fixture_submit(&x, NULL);
    fixture_succeed(&x, fixture_start(&x));
    fixture_fail(&x, fixture_start(&x));
    waiter_init(&w, WAITER_FIRST_EXCEPTION, 0, NULL);
    assert_int_equal(engine_wait(x.e, &w, f[0], NULL, 0), 0);
    assert_true(waiter_is_ready(&w)); /* all there are */
    assert_int_equal(engine_wait(x.e, &w, f[2], NULL, 0), 0);
    assert_false(waiter_is_ready(&w));
    assert_int_equal(engine_wait(x.e, &w, f[1], NULL, 0), 0);
    assert_true(waiter_is_ready(&w));
    assert_int_equal(w.n_failed, 1);
    assert_ptr_equal(waiter_first_done(&w)->future, f[0]);
    engine_unwait(x.e, LIST_ENTRY(w.done.prev, struct edge, of_waiter)); /* the failed one */
    assert_int_equal(w.n_failed, 0);
    assert_false(waiter_is_ready(&w));
    engine_waiter_drop(x.e, &w);
    assert_int_equal(engine_stats(x.e).n_edges, 0);
    fixture_deinit(&x);
}

static void test_watch(void **state)
{
    struct label label = {SPAN_LIT("k"), SPAN_LIT("v")};
    struct fixture x;
    struct waiter w, all;
    struct future *f;
    struct lease *lease;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    waiter_init(&w, WAITER_WATCH, 0, NULL);
    waiter_init(&all, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 0), 0);
    assert_int_equal(engine_wait(x.e, &all, f, NULL, 0), 0);
    assert_false(waiter_is_ready(&w));
    lease = fixture_start(&x);
    for (int i = 0; i < 4; i++) {
        struct effects *effects = fixture_turn(&x);
        struct edge *edge = waiter_first_done(&w);

        assert_true(waiter_is_ready(&w));
        assert_int_equal(!!waiter_is_ready(&all), i >= 2);
        while (list_pop_front(&effects->answers))
            ;
        assert_ptr_equal(edge->future, f);
        assert_int_equal(w.n_done, i >= 2); /* counts tell the ends, not the news */
        waiter_seen(edge);
        assert_false(waiter_is_ready(&w));
        assert_true(list_is_empty(&fixture_turn(&x)->answers));
        if (i == 0)
            assert_int_equal(engine_annotate(x.e, f, labels_new(&label, 1), NULL), 0);
        else if (i == 1)
            fixture_fail(&x, lease);
        else
            assert_int_equal(engine_annotate(x.e, f, NULL, NULL), 0); /* terminal ones have labels too */
    }
    engine_waiter_drop(x.e, &w);
    engine_waiter_drop(x.e, &all);
    fixture_deinit(&x);
}

static void seen_by_another_mode(void *arg)
{
    struct waiter w;
    struct edge edge = {.waiter = &w};

    waiter_init(&w, WAITER_EACH, 0, NULL);
    waiter_seen(&edge);
}

static void test_misuse_aborts(void **state)
{
    test_aborts(seen_by_another_mode, NULL, "WAITER_WATCH");
}

/* A group is taken at the call; with @expect those who join later count until there are enough. */
static void test_group(void **state)
{
    for (uint32_t expect = 0; expect <= 4; expect++) {
        struct fixture x;
        struct waiter w;

        fixture_init(&x);
        fixture_submit_group(&x, "g");
        fixture_submit_group(&x, "g");
        fixture_submit_group(&x, "another");
        waiter_init(&w, WAITER_ALL, 0, NULL);
        assert_int_equal(engine_wait_group(x.e, &w, x.scope, SPAN_LIT("g"), expect), 0);
        assert_int_equal(w.n_pending, 2);
        fixture_succeed(&x, fixture_start(&x));
        fixture_succeed(&x, fixture_start(&x));
        assert_int_equal(!!waiter_is_ready(&w), expect <= 2);
        assert_int_equal(list_length(&fixture_turn(&x)->answers), expect <= 2);
        for (uint32_t n = 3; n <= 5; n++) {
            fixture_submit_group(&x, "g");
            assert_int_equal(w.n_pending + w.n_done, MIN(n, MAX(expect, 2U)));
            fixture_turn(&x);
        }
        fixture_succeed(&x, fixture_start(&x)); /* of another group */
        assert_int_equal(!!waiter_is_ready(&w), expect <= 2);
        fixture_succeed(&x, fixture_start(&x));
        assert_int_equal(!!waiter_is_ready(&w), expect <= 3);
        fixture_succeed(&x, fixture_start(&x));
        assert_true(waiter_is_ready(&w));
        engine_waiter_drop(x.e, &w);
        assert_int_equal(engine_stats(x.e).n_edges, 0);
        fixture_deinit(&x);
    }
}

/* Nobody is in the group yet. */
static void test_group_of_none(void **state)
{
    struct fixture x;
    struct waiter all, some, dropped;

    fixture_init(&x);
    waiter_init(&all, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait_group(x.e, &all, x.scope, SPAN_LIT("g"), 0), 0);
    assert_true(waiter_is_ready(&all));
    waiter_init(&some, WAITER_COUNT, 1, NULL);
    waiter_init(&dropped, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait_group(x.e, &some, x.scope, SPAN_LIT("g"), 2), 0);
    assert_int_equal(engine_wait_group(x.e, &dropped, x.scope, SPAN_LIT("g"), 3), 0);
    assert_int_equal(engine_stats(x.e).n_edges, 5); /* of those to come */
    assert_false(waiter_is_ready(&some));
    engine_waiter_drop(x.e, &dropped);
    assert_int_equal(engine_stats(x.e).n_edges, 2);
    fixture_submit_group(&x, "g");
    fixture_succeed(&x, fixture_start(&x));
    assert_true(waiter_is_ready(&some)); /* one of the two is done, and one was wanted */
    engine_waiter_drop(x.e, &some);
    engine_waiter_drop(x.e, &all);
    assert_int_equal(engine_stats(x.e).n_edges, 0);
    fixture_deinit(&x);
}

/* Members that are done, taken and forgotten have been there all the same: no more of them come than were expected. */
static void test_group_forgets(void **state)
{
    struct fixture x;
    struct waiter w;

    fixture_init(&x);
    waiter_init(&w, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait_group(x.e, &w, x.scope, SPAN_LIT("g"), 3), 0);
    for (int i = 0; i < 5; i++) {
        struct future *f = fixture_submit_group(&x, "g");

        assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
        if (waiter_first_done(&w))
            engine_unwait(x.e, waiter_first_done(&w));
        assert_int_equal(engine_delete(x.e, f), 0);
        assert_int_equal(!!waiter_is_ready(&w), i >= 2);
        engine_check(x.e);
    }
    engine_waiter_drop(x.e, &w);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_mode), cmocka_unit_test(test_without_edges),
            cmocka_unit_test(test_duplicates), cmocka_unit_test(test_already_done),
            cmocka_unit_test(test_watch),      cmocka_unit_test(test_misuse_aborts),
            cmocka_unit_test(test_group),      cmocka_unit_test(test_group_of_none),
            cmocka_unit_test(test_missing),    cmocka_unit_test(test_group_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
