// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "h2/mempool.h"
#include "tests/support/testing.h"

static void test_counts_live_bytes(void **state)
{
    struct mempool p;
    void *a, *b;

    mempool_init(&p);
    a = mempool_alloc(&p, 10);
    b = mempool_alloc(&p, 5000);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(p.live_bytes, 5010);
    memset(a, 1, 10);
    memset(b, 2, 5000);
    mempool_free(&p, a);
    mempool_free(&p, b);
    mempool_free(&p, NULL);
    assert_int_equal(p.live_bytes, 0);
    mempool_deinit(&p);
}

static void test_reuses_what_has_the_same_class(void **state)
{
    struct mempool p;
    void *a, *b;

    mempool_init(&p);
    a = mempool_alloc(&p, 65);
    mempool_free(&p, a);
    assert_int_equal(p.kept_bytes > 0, POOL_KEEPS);
    b = mempool_alloc(&p, 128);
    if (POOL_KEEPS)
        assert_ptr_equal(a, b);
    assert_int_equal(p.kept_bytes, 0);
    mempool_free(&p, b);
    b = mempool_alloc(&p, 64); /* the class below */
    if (POOL_KEEPS)
        assert_ptr_not_equal(a, b);
    mempool_free(&p, b);
    mempool_deinit(&p);
}

static void test_keeps_a_bounded_amount(void **state)
{
    enum { N = 1000 };
    void *at[N];
    struct mempool p;

    mempool_init(&p);
    for (int i = 0; i < N; i++)
        assert_non_null(at[i] = mempool_alloc(&p, 900));
    for (int i = 0; i < N; i++)
        mempool_free(&p, at[i]);
    assert_true(p.kept_bytes <= POOL_KEEP_BYTES);
    mempool_trim(&p);
    assert_int_equal(p.kept_bytes, 0);
    assert_non_null(at[0] = mempool_alloc(&p, 900));
    mempool_free(&p, at[0]);
    mempool_deinit(&p);
}

static void test_realloc_keeps_the_bytes(void **state)
{
    static const size_t sizes[] = {1, 64, 65, 100, 1024, 1025, 3000, 10, 2000, 63};
    struct mempool p;
    char *at = NULL;
    size_t had = 0;

    mempool_init(&p);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        at = mempool_realloc(&p, at, sizes[i]);
        assert_non_null(at);
        for (size_t k = 0; k < MIN(had, sizes[i]); k++)
            assert_int_equal(at[k], (char)k);
        for (size_t k = 0; k < sizes[i]; k++)
            at[k] = (char)k;
        had = sizes[i];
        assert_int_equal(p.live_bytes, had);
    }
    mempool_free(&p, at);
    mempool_deinit(&p);
}

static void test_what_nghttp2_calls(void **state)
{
    struct mempool p;
    nghttp2_mem *m = &p.mem;
    unsigned char *at;

    mempool_init(&p);
    at = m->malloc(200, m->mem_user_data);
    memset(at, 0xff, 200);
    m->free(at, m->mem_user_data);
    at = m->calloc(50, 4, m->mem_user_data);
    assert_non_null(at);
    for (int i = 0; i < 200; i++)
        assert_int_equal(at[i], 0);
    at = m->realloc(at, 400, m->mem_user_data);
    assert_non_null(at);
    m->free(at, m->mem_user_data);
    assert_null(m->calloc(SIZE_MAX / 2, 4, m->mem_user_data));
    assert_null(m->malloc(SIZE_MAX, m->mem_user_data));
    at = m->malloc(0, m->mem_user_data);
    assert_non_null(at);
    m->free(at, m->mem_user_data);
    assert_int_equal(p.live_bytes, 0);
    mempool_deinit(&p);
}

static void test_reset_takes_back_what_is_in_use(void **state)
{
    struct mempool p;
    void *spare;

    mempool_init(&p);
    assert_non_null(mempool_alloc(&p, 10));
    assert_non_null(mempool_alloc(&p, 10000));
    assert_non_null(spare = mempool_alloc(&p, 100));
    mempool_free(&p, spare);
    mempool_reset(&p);
    assert_int_equal(p.live_bytes, 0);
    mempool_deinit(&p); /* the sanitizer says what was left */
}

static void test_each_allocation_may_fail(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct mempool p;
        void *a, *b, *c;

        mempool_init(&p);
        a = mempool_alloc(&p, 100);
        b = mempool_realloc(&p, a, 2000);
        if (!b)
            b = a; /* as realloc: the old one stays */
        mempool_free(&p, b);
        c = mempool_alloc(&p, 100); /* from the free list, but counted */
        assert_int_equal(!a || b == a || !c, test_allocation_failed());
        mempool_free(&p, c);
        mempool_deinit(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_counts_live_bytes),
            cmocka_unit_test(test_reuses_what_has_the_same_class),
            cmocka_unit_test(test_keeps_a_bounded_amount),
            cmocka_unit_test(test_realloc_keeps_the_bytes),
            cmocka_unit_test(test_what_nghttp2_calls),
            cmocka_unit_test(test_reset_takes_back_what_is_in_use),
            cmocka_unit_test(test_each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
