// SPDX-License-Identifier: Apache-2.0
/* The allocator seam: what each function returns, and that the planned allocation fails, once, in each of
 * them. */
#include "base/mem.h"
#include "tests/support/testing.h"

static void test_alloc_and_free(void **state)
{
    uint8_t *p = mem_alloc(100);

    assert_non_null(p);
    memset(p, 0xa5, 100);
    assert_null(mem_free(p));
    assert_null(mem_free(NULL));
}

static void test_zalloc_clears(void **state)
{
    static const uint8_t zero[4096];

    for (size_t n = 1; n <= sizeof zero; n = n * 2 + 1) {
        uint8_t *dirty = mem_alloc(n), *p;

        assert_non_null(dirty);
        memset(dirty, 0xff, n);
        mem_free(dirty); /* likely the memory that comes next */
        p = mem_zalloc(n);
        assert_non_null(p);
        assert_memory_equal(p, zero, n);
        mem_free(p);
    }
}

static void test_realloc_keeps(void **state)
{
    char *p = mem_realloc(NULL, 4);

    assert_non_null(p);
    memcpy(p, "abc", 4);
    p = mem_realloc(p, 100000);
    assert_non_null(p);
    assert_string_equal(p, "abc");
    p = mem_realloc(p, 4);
    assert_non_null(p);
    assert_string_equal(p, "abc");
    mem_free(p);
}

static void test_aligned(void **state)
{
    for (size_t align = sizeof(void *); align <= 65536; align *= 2) {
        for (size_t n = align - 1; n <= 4 * align; n += align) {
            uint8_t *p = mem_alloc_aligned(align, n);

            assert_non_null(p);
            assert_int_equal((uintptr_t)p % align, 0);
            memset(p, 0xa5, n);
            mem_free(p);
        }
    }
}

static void test_copies(void **state)
{
    static const char from[] = {'a', '\0', 'b', 'c'};
    char *p = mem_dup(from, sizeof from);

    assert_non_null(p);
    assert_ptr_not_equal(p, from);
    assert_memory_equal(p, from, sizeof from);
    mem_free(p);

    p = mem_strndup(from + 2, 2);
    assert_non_null(p);
    assert_string_equal(p, "bc");
    mem_free(p);

    p = mem_strndup(NULL, 0);
    assert_non_null(p);
    assert_string_equal(p, "");
    mem_free(p);
}

/* Each kind of allocation once; @ret_failed says which returned NULL (bit by bit). Frees all. */
static unsigned int allocate_each_kind(void)
{
    unsigned int failed = 0;
    void *p[7];

    p[0] = mem_alloc(1);
    p[1] = mem_zalloc(1);
    p[2] = mem_realloc(NULL, 1);
    p[3] = mem_dup("x", 1);
    p[4] = mem_strndup("x", 1);
    p[5] = mem_alloc_aligned(64, 64);
    p[6] = mem_fail_here() ? NULL : malloc(1); /* as another allocator does that is tied to the seam */
    for (unsigned int i = 0; i < ARRAY_LEN(p); i++) {
        failed |= p[i] ? 0 : 1U << i;
        free(p[i]);
    }
    return failed;
}

static void test_fail_at_each(void **state)
{
    assert_false(mem_fail_pending());
    assert_int_equal(allocate_each_kind(), 0);
    for (unsigned int nth = 1; nth <= 7; nth++) {
        mem_fail_at(nth);
        assert_true(mem_fail_pending());
        assert_int_equal(allocate_each_kind(), 1U << (nth - 1));
        assert_false(mem_fail_pending());
        assert_int_equal(allocate_each_kind(), 0); /* once only */
    }
}

static void test_fail_at_not_reached(void **state)
{
    mem_fail_at(8);
    assert_int_equal(allocate_each_kind(), 0);
    assert_true(mem_fail_pending());
    assert_int_equal(allocate_each_kind(), 1); /* the eighth in all */
    mem_fail_at(1);
    mem_fail_at(0); /* taken back */
    assert_false(mem_fail_pending());
    assert_int_equal(allocate_each_kind(), 0);
}

static void test_failed_realloc_keeps_the_old(void **state)
{
    char *p = mem_strndup("abc", 3);

    mem_fail_at(1);
    assert_null(mem_realloc(p, 1000));
    assert_string_equal(p, "abc");
    mem_free(p);
}

static void test_loop_over_each_allocation(void **state)
{
    uint64_t last = 0;
    unsigned int all = 0;

    FAIL_EACH_ALLOCATION(nth)
    {
        unsigned int failed = allocate_each_kind();

        assert_int_equal(nth, last + 1);
        last = nth;
        assert_int_equal(failed != 0, test_allocation_failed());
        assert_int_equal(all & failed, 0);
        all |= failed;
    }
    assert_int_equal(last, 8); /* seven that failed, and the run that was good */
    assert_int_equal(all, 0x7f);
    assert_false(mem_fail_pending());
}

static void alloc_nothing(void *arg)
{
    mem_free(mem_alloc(*(size_t *)arg));
}

static void zalloc_nothing(void *arg)
{
    mem_free(mem_zalloc(*(size_t *)arg));
}

static void realloc_nothing(void *arg)
{
    mem_free(mem_realloc(NULL, *(size_t *)arg));
}

static void align_nothing(void *arg)
{
    mem_free(mem_alloc_aligned(64, *(size_t *)arg));
}

static void align_to(void *arg)
{
    mem_free(mem_alloc_aligned(*(size_t *)arg, 64));
}

static void test_zero_bytes_is_a_bug(void **state)
{
    size_t n = 0;

    test_aborts(alloc_nothing, &n, "n > 0");
    test_aborts(zalloc_nothing, &n, "n > 0");
    test_aborts(realloc_nothing, &n, "n > 0");
    test_aborts(align_nothing, &n, "n > 0");
    test_aborts(align_to, &n, "align >= sizeof p");
    n = 24;
    test_aborts(align_to, &n, "(align & (align - 1)) == 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_alloc_and_free),
            cmocka_unit_test(test_zalloc_clears),
            cmocka_unit_test(test_realloc_keeps),
            cmocka_unit_test(test_aligned),
            cmocka_unit_test(test_copies),
            cmocka_unit_test(test_fail_at_each),
            cmocka_unit_test(test_fail_at_not_reached),
            cmocka_unit_test(test_failed_realloc_keeps_the_old),
            cmocka_unit_test(test_loop_over_each_allocation),
            cmocka_unit_test(test_zero_bytes_is_a_bug),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
