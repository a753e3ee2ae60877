// SPDX-License-Identifier: Apache-2.0
/* What is refused, what is charged, and that all of it is given back. */
#include "engine/limits.h"
#include "fixture.h"

static void test_admit(void **state)
{
    struct limits_account a = {.limits = {.max_futures = 2, .max_memory_bytes = 1000}};

    assert_int_equal(limits_admit(&a, 1000), 0);
    assert_int_equal(limits_admit(&a, 1001), ENGINE_E_FULL_MEMORY);
    a.n_bytes = 600;
    assert_int_equal(limits_admit(&a, 400), 0);
    assert_int_equal(limits_admit(&a, 401), ENGINE_E_FULL_MEMORY);
    assert_int_equal(limits_admit(&a, UINT64_MAX), ENGINE_E_FULL_MEMORY);
    a.n_bytes = 5000; /* results may have gone over it */
    assert_int_equal(limits_admit(&a, 0), ENGINE_E_FULL_MEMORY);
    a.n_bytes = 0;
    a.n_futures = 1;
    assert_int_equal(limits_admit(&a, 1), 0);
    a.n_futures = 2;
    assert_int_equal(limits_admit(&a, 1), ENGINE_E_FULL_FUTURES);
}

static void test_edges(void **state)
{
    struct limits_account a = {.limits = {.max_waiter_edges = 10}};

    assert_int_equal(limits_edges_take(&a, 0), 0);
    assert_int_equal(limits_edges_take(&a, 10), 0);
    assert_int_equal(limits_edges_take(&a, 0), 0);
    assert_int_equal(limits_edges_take(&a, 1), ENGINE_E_FULL_EDGES);
    limits_edges_give(&a, 4);
    assert_int_equal(limits_edges_take(&a, 5), ENGINE_E_FULL_EDGES);
    assert_int_equal(limits_edges_take(&a, 4), 0);
    assert_int_equal(a.n_edges, 10);
    assert_int_equal(limits_edges_take(&a, UINT64_MAX), ENGINE_E_FULL_EDGES);
}

static void give_too_many_edges(void *arg)
{
    struct limits_account a = {.n_edges = 1};

    limits_edges_give(&a, 2);
}

static void discharge_too_much(void *arg)
{
    struct limits_account a = {.n_bytes = 1};

    limits_discharge(&a, NULL, 2);
}

static void discharge_scope_too_much(void *arg)
{
    struct limits_account a = {.n_bytes = 10};
    struct scope scope = {.n_bytes = 1};

    limits_discharge(&a, &scope, 2);
}

static void test_misuse_aborts(void **state)
{
    test_aborts(give_too_many_edges, NULL, "a->n_edges >= n");
    test_aborts(discharge_too_much, NULL, "a->n_bytes >= bytes");
    test_aborts(discharge_scope_too_much, NULL, "scope->n_bytes >= bytes");
}

/* Each part of a future moves its charge by what it holds. */
static void test_parts(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct bytes *task = bytes_new(1000);
    struct future *f;
    struct lease *lease;
    struct finish finish;
    uint64_t n;

    fixture_init(&x);
    in = fixture_in(&x, task);
    f = fixture_submit(&x, &in);
    n = x.scope->n_bytes;
    assert_in_range(n, 1000 + sizeof *f, 1000 + sizeof *f + 100);
    assert_int_equal(n, limits_future(f));
    fixture_succeed(&x, fixture_start(&x));
    assert_true(x.scope->n_bytes >= n + sizeof(struct attempt) + sizeof(struct outcome) + strlen("result"));
    assert_int_equal(x.scope->n_bytes, limits_future(f));

    in.tag = SPAN_LIT("0123456789");
    in.traceparent = SPAN_LIT("00-1");
    in.group = SPAN_LIT("group");
    n = x.scope->n_bytes;
    f = fixture_submit(&x, &in);
    assert_true(x.scope->n_bytes - n >=
                1000 + sizeof *f + sizeof(struct future_rare) + 14 + sizeof *f->group);
    assert_true(x.e->account.n_bytes > x.scope->n_bytes); /* the group, and its level */
    lease = fixture_start(&x);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT("changed my mind"), -1), 0);
    n = x.scope->n_bytes;
    finish = fixture_error("a message of some length");
    assert_int_equal(engine_finish(x.e, lease, &finish), 0);
    assert_true(x.scope->n_bytes > n); /* the attempt's error; the outcome was charged with the request */
    engine_check(x.e);
    bytes_unref(task);
    fixture_deinit(&x);
}

static void test_labels(void **state)
{
    struct label label = {SPAN_LIT("key"), SPAN_LIT("value")};
    struct fixture x;
    struct future *f;
    uint64_t n;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    n = x.scope->n_bytes;
    assert_int_equal(engine_annotate(x.e, f, labels_new(&label, 1), NULL), 0);
    assert_true(x.scope->n_bytes >= n + f->labels->bytes);
    assert_int_equal(engine_annotate(x.e, f, NULL, NULL), 0);
    assert_int_equal(x.scope->n_bytes, n);
    fixture_deinit(&x);
}

/* The limits decide before anything is accepted; what has been accepted gets its result. */
static void test_full(void **state)
{
    struct fixture x;
    struct bytes *task = bytes_new(10000);
    struct label label = {SPAN_LIT("key"), SPAN_LIT("value")};
    struct labels *labels = labels_new(&label, 1);
    struct engine_submit in;
    struct future *f = NULL;
    uint64_t n = 0, bytes;

    fixture_init(&x);
    x.e->account.limits.max_memory_bytes = x.e->config.limits.max_memory_bytes = 100000;
    in = fixture_in(&x, task);
    while (fixture_try_submit(&x, &in, &f) == 0)
        n++;
    assert_int_equal(n, 9);
    bytes = x.e->account.n_bytes;
    assert_int_equal(fixture_try_submit(&x, &in, &f), ENGINE_E_FULL_MEMORY);
    assert_int_equal(x.e->account.n_bytes, bytes);
    assert_int_equal(x.e->account.n_futures, n);
    while (limits_admit(&x.e->account, 1) == 0) {
        struct finish finish = {.data = bytes_new(20000), .usage = {-1, -1, -1, -1}};

        assert_int_equal(engine_finish(x.e, fixture_start(&x), &finish), 0);
    }
    assert_int_equal(engine_annotate(x.e, f, labels, NULL), ENGINE_E_FULL_MEMORY);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
    assert_int_equal(engine_delete(x.e, f), 0);
    assert_int_equal(x.e->account.n_futures, n - 1);
    mem_free(labels);
    bytes_unref(task);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_admit), cmocka_unit_test(test_edges),  cmocka_unit_test(test_misuse_aborts),
            cmocka_unit_test(test_parts), cmocka_unit_test(test_labels), cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
