// SPDX-License-Identifier: Apache-2.0
/* Futures in ID order against a sorted array. */
#include "engine/order.h"
#include "tests/support/testing.h"

static struct future *future_at(uint64_t key)
{
    struct future *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->id = id_make(key, key);
    return f;
}

/* The model: futures by index, NULL when out. Index i has key (i + 1) * 3. */
struct model {
    struct future **at;
    size_t n;
};

static uint64_t key_of(size_t i)
{
    return (i + 1) * 3;
}

static struct future *model_seek(const struct model *m, uint64_t key, int desc)
{
    if (desc) {
        for (size_t i = m->n; i > 0; i--)
            if (m->at[i - 1] && key_of(i - 1) < key)
                return m->at[i - 1];
    } else {
        for (size_t i = 0; i < m->n; i++)
            if (m->at[i] && key_of(i) > key)
                return m->at[i];
    }
    return NULL;
}

static void check_walks(const struct order *o, const struct model *m)
{
    struct order_place place;
    struct future *f = order_seek(o, 0, 0, &place);
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (!m->at[i])
            continue;
        assert_ptr_equal(f, m->at[i]);
        f = order_step(o, &place, 0);
        n++;
    }
    assert_null(f);
    assert_int_equal(n, o->n_futures);
    f = order_seek(o, UINT64_MAX, 1, &place);
    for (size_t i = m->n; i > 0; i--) {
        if (!m->at[i - 1])
            continue;
        assert_ptr_equal(f, m->at[i - 1]);
        f = order_step(o, &place, 1);
    }
    assert_null(f);
}

static void check_seeks(const struct order *o, const struct model *m, struct test_random *random, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t key = test_random_below(random, (m->n + 2) * 3);
        struct order_place place;

        assert_ptr_equal(order_seek(o, key, 0, &place), model_seek(m, key, 0));
        assert_ptr_equal(order_seek(o, key, 1, &place), model_seek(m, key, 1));
    }
}

static void take_out(struct order *o, struct model *m, size_t i)
{
    order_remove(o, m->at[i]);
    free(m->at[i]);
    m->at[i] = NULL;
}

static void fill(struct order *o, struct model *m, size_t n)
{
    order_init(o);
    m->at = calloc(n, sizeof(struct future *));
    m->n = n;
    for (size_t i = 0; i < n; i++) {
        m->at[i] = future_at(key_of(i));
        assert_int_equal(order_append(o, m->at[i]), 0);
    }
}

static void empty(struct order *o, struct model *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->at[i])
            take_out(o, m, i);
    assert_int_equal(o->n_futures, 0);
    assert_int_equal(o->n, 0);
    order_check(o);
    order_deinit(o);
    free(m->at);
}

static void test_empty(void **state)
{
    struct order_place place;
    struct order o;

    order_init(&o);
    assert_null(order_seek(&o, 0, 0, &place));
    assert_null(order_seek(&o, UINT64_MAX, 1, &place));
    order_check(&o);
    order_deinit(&o);
}

/* Every size around the leaf's, every seek. */
static void test_every_seek(void **state)
{
    static const size_t sizes[] = {1, 2, ORDER_LEAF - 1, ORDER_LEAF, ORDER_LEAF + 1, 2 * ORDER_LEAF + 1};

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct order o;
        struct model m;

        fill(&o, &m, sizes[s]);
        order_check(&o);
        check_walks(&o, &m);
        for (uint64_t key = 0; key <= key_of(m.n); key++) {
            struct order_place place;

            assert_ptr_equal(order_seek(&o, key, 0, &place), model_seek(&m, key, 0));
            assert_ptr_equal(order_seek(&o, key, 1, &place), model_seek(&m, key, 1));
        }
        assert_null(order_seek(&o, UINT64_MAX, 0, &(struct order_place){0}));
        empty(&o, &m);
    }
}

/* Take out from the front, from the back, at random, and all but every 500th: leaves merge. */
static void test_removal(void **state)
{
    enum { N = 20000 };
    struct test_random random = {test_seed()};

    for (int kind = 0; kind < 4; kind++) {
        struct order o;
        struct model m;

        fill(&o, &m, N);
        for (size_t step = 0; step < N; step++) {
            size_t i = kind == 0   ? step
                       : kind == 1 ? N - 1 - step
                       : kind == 2 ? test_random_below(&random, N)
                                   : step;

            if (m.at[i] && !(kind == 3 && i % 500 == 0))
                take_out(&o, &m, i);
            if (step % 1000 == 0) {
                order_check(&o);
                check_walks(&o, &m);
                check_seeks(&o, &m, &random, 5);
            }
        }
        assert_true(o.n <=
                    1 + o.n_futures * 4 / ORDER_LEAF); /* no leaf is left nearly empty for each future */
        empty(&o, &m);
    }
}

/* As in a daemon: new ones at the end, old ones out mostly in order. */
static void test_flow(void **state)
{
    enum { N = 100000, ALIVE = 3000 };
    struct test_random random = {test_seed()};
    struct order o;
    struct model m = {calloc(N, sizeof(struct future *)), 0};
    size_t oldest = 0;

    order_init(&o);
    for (size_t i = 0; i < N; i++) {
        m.at[i] = future_at(key_of(i));
        m.n = i + 1;
        assert_int_equal(order_append(&o, m.at[i]), 0);
        if (o.n_futures > ALIVE) {
            size_t out = oldest +
                         (test_random_below(&random, 10) == 0 ? test_random_below(&random, ALIVE / 2) : 0);

            if (m.at[out])
                take_out(&o, &m, out);
            while (!m.at[oldest])
                oldest++;
        }
        assert_true(o.n <= 4 * ALIVE / ORDER_LEAF + 4);
        if (i % 10007 == 0) {
            order_check(&o);
            check_walks(&o, &m);
            check_seeks(&o, &m, &random, 3);
        }
    }
    assert_true(o.cap <= 64);
    empty(&o, &m);
}

/* In every order of coming: backwards, from both ends, at random between others that leave. */
static void test_insertion(void **state)
{
    enum { N = 6000, STEPS = 60000 };
    struct test_random random = {test_seed()};

    for (int kind = 0; kind < 4; kind++) {
        struct order o;
        struct model m = {calloc(N, sizeof(struct future *)), N};

        order_init(&o);
        for (size_t step = 0; step < (kind == 3 ? STEPS : N); step++) {
            size_t i = kind == 0   ? N - 1 - step
                       : kind == 1 ? (step % 2 ? N - 1 - step / 2 : step / 2)
                       : kind == 2 ? step
                                   : test_random_below(&random, N);

            if (m.at[i]) {
                take_out(&o, &m, i);
            } else {
                m.at[i] = future_at(key_of(i));
                assert_int_equal(order_insert(&o, m.at[i]), 0);
            }
            if (step % 500 == 0) {
                order_check(&o);
                check_walks(&o, &m);
                check_seeks(&o, &m, &random, 5);
            }
        }
        assert_true(o.n <= 2 + o.n_futures * 4 / ORDER_LEAF);
        empty(&o, &m);
    }
}

/* Between two others, with every size of a leaf, at every place: what was there stays. */
static void test_insert_everywhere(void **state)
{
    static const size_t sizes[] = {1, 2, 3, ORDER_LEAF - 1, ORDER_LEAF, ORDER_LEAF + 1};

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
        for (size_t at = 0; at <= sizes[s]; at++) {
            struct future *between = future_at(key_of(at) - 1);
            struct order_place place;
            struct order o;
            struct model m;

            fill(&o, &m, sizes[s]);
            assert_int_equal(order_insert(&o, between), 0);
            order_check(&o);
            assert_ptr_equal(order_seek(&o, key_of(at) - 2, 0, &place), between);
            assert_ptr_equal(order_step(&o, &place, 0), at < m.n ? m.at[at] : NULL);
            order_remove(&o, between);
            free(between);
            check_walks(&o, &m);
            empty(&o, &m);
        }
}

static void test_insert_fails_each_allocation(void **state)
{
    enum { N = ORDER_LEAF * 30 };
    static struct future *futures[N];

    for (size_t i = 0; i < N; i++)
        futures[i] = future_at(key_of(i));
    FAIL_EACH_ALLOCATION(nth)
    {
        struct order o;
        size_t n_in = 0, n_failed = 0;

        order_init(&o);
        for (size_t i = N; i > 0; i--)
            if (order_insert(&o, futures[i - 1]) == 0)
                n_in++;
            else
                n_failed++;
        assert_int_equal(o.n_futures, n_in);
        assert_int_equal(n_failed, test_allocation_failed());
        order_check(&o);
        order_deinit(&o);
    }
    for (size_t i = 0; i < N; i++)
        free(futures[i]);
}

static void test_fail_each_allocation(void **state)
{
    enum { N = ORDER_LEAF * 40 };
    static struct future *futures[N];

    for (size_t i = 0; i < N; i++)
        futures[i] = future_at(key_of(i));
    FAIL_EACH_ALLOCATION(nth)
    {
        struct order o;
        size_t n_in = 0, n_failed = 0;

        order_init(&o);
        for (size_t i = 0; i < N; i++)
            if (order_append(&o, futures[i]) == 0)
                n_in++;
            else
                n_failed++;
        assert_int_equal(o.n_futures, n_in);
        assert_int_equal(n_failed, test_allocation_failed());
        order_check(&o);
        order_deinit(&o);
    }
    for (size_t i = 0; i < N; i++)
        free(futures[i]);
}

static void append_out_of_order(void *arg)
{
    struct order o;

    order_init(&o);
    ASSERT(order_append(&o, future_at(5)) == 0);
    ASSERT(order_append(&o, future_at(5)) == 0);
}

static void insert_twice(void *arg)
{
    struct order o;

    order_init(&o);
    ASSERT(order_insert(&o, future_at(5)) == 0);
    ASSERT(order_insert(&o, future_at(5)) == 0);
}

static void remove_what_is_not_in(void *arg)
{
    struct order o;

    order_init(&o);
    ASSERT(order_append(&o, future_at(5)) == 0);
    order_remove(&o, future_at(5));
}

static void test_misuse_aborts(void **state)
{
    test_aborts(append_out_of_order, NULL, "key > id_key");
    test_aborts(insert_twice, NULL, "!= key");
    test_aborts(remove_what_is_not_in, NULL, "leaf_get(leaf, at) == f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_every_seek),
            cmocka_unit_test(test_removal),
            cmocka_unit_test(test_flow),
            cmocka_unit_test(test_insertion),
            cmocka_unit_test(test_insert_everywhere),
            cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_insert_fails_each_allocation),
            cmocka_unit_test(test_misuse_aborts),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
