// SPDX-License-Identifier: Apache-2.0
/* Reference-counted byte strings and borrowed spans. */
#include "base/bytes.h"
#include "tests/support/testing.h"

static void test_new_and_dup(void **state)
{
    static const char text[] = "a\0b";
    struct bytes *b = bytes_new(sizeof text);

    assert_non_null(b);
    assert_int_equal(b->refs, 1);
    assert_int_equal(b->len, sizeof text);
    memset(b->data, 0x11, b->len);
    assert_null(bytes_unref(b));

    b = bytes_dup(text, sizeof text);
    assert_non_null(b);
    assert_int_equal(b->len, sizeof text);
    assert_memory_equal(b->data, text, sizeof text);
    bytes_unref(b);

    b = bytes_dup(NULL, 0);
    assert_non_null(b);
    assert_int_equal(b->len, 0);
    bytes_unref(b);
}

/* The memory goes with the last reference and not before: the address sanitizer sees either mistake. */
static void test_references(void **state)
{
    struct bytes *b = bytes_dup("abc", 3);

    assert_ptr_equal(bytes_ref(b), b);
    assert_ptr_equal(bytes_ref(b), b);
    assert_int_equal(b->refs, 3);
    assert_null(bytes_unref(b));
    assert_null(bytes_unref(b));
    assert_int_equal(b->refs, 1);
    assert_memory_equal(b->data, "abc", 3);
    assert_null(bytes_unref(b));
    assert_null(bytes_ref(NULL));
    assert_null(bytes_unref(NULL));
}

static void test_length_limit(void **state)
{
    mem_fail_at(1);
    assert_null(bytes_new((size_t)UINT32_MAX + 1));
    assert_null(bytes_new(SIZE_MAX));
    assert_null(bytes_dup("", (size_t)UINT32_MAX + 1));
    assert_true(mem_fail_pending()); /* refused before it asked for memory */
    mem_fail_at(0);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct bytes *b = bytes_dup("abc", 3);

        assert_int_equal(b == NULL, test_allocation_failed());
        bytes_unref(b);
    }
    FAIL_EACH_ALLOCATION(nth)
    {
        struct bytes *b = bytes_new(0);

        assert_int_equal(b == NULL, test_allocation_failed());
        bytes_unref(b);
    }
}

static void test_spans(void **state)
{
    struct bytes *b = bytes_dup("abc", 3);
    struct span s = SPAN_OF_BYTES(b), lit = SPAN_LIT("abc"), text = span_of_string("abc");

    assert_ptr_equal(s.p, b->data);
    assert_int_equal(s.len, 3);
    assert_int_equal(lit.len, 3);
    assert_int_equal(text.len, 3);
    assert_true(span_eq(s, lit));
    assert_true(span_eq(lit, text));
    bytes_unref(b);

    b = NULL;
    s = SPAN_OF_BYTES(b);
    assert_null(s.p);
    assert_int_equal(s.len, 0);
    assert_true(span_eq(s, SPAN_LIT("")));
    assert_true(span_eq(s, span_of_string("")));
    assert_true(span_eq(s, s));
}

static void test_span_eq_looks_at_every_byte(void **state)
{
    static const uint8_t a[8] = {0};

    for (size_t n = 0; n <= sizeof a; n++) {
        for (size_t k = 0; k < n; k++) {
            uint8_t b[8] = {0};

            b[k] = 1;
            assert_false(span_eq((struct span){a, n}, (struct span){b, n}));
            assert_true(span_eq((struct span){a, k}, (struct span){b, k}));
        }
        for (size_t m = 0; m <= sizeof a; m++)
            assert_int_equal(!span_eq((struct span){a, n}, (struct span){a, m}), n != m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_new_and_dup),  cmocka_unit_test(test_references),
            cmocka_unit_test(test_length_limit), cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_spans),        cmocka_unit_test(test_span_eq_looks_at_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
