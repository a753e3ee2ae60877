// SPDX-License-Identifier: Apache-2.0
#include "engine/scope.h"
#include "tests/support/testing.h"

static const struct hash_seed SEED = {3, 4};

static void test_interned(void **state)
{
    struct scope_set s;
    struct scope *a, *b, *c;

    scope_set_init(&s, &SEED);
    a = scope_get(&s, SPAN_LIT("prod"), SPAN_LIT("alice"));
    b = scope_get(&s, SPAN_LIT("prod"), SPAN_LIT("bob"));
    c = scope_get(&s, SPAN_LIT(""), SPAN_LIT("alice"));
    assert_non_null(a);
    assert_ptr_equal(scope_get(&s, SPAN_LIT("prod"), SPAN_LIT("alice")), a);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_equal(a->realm, b->realm);
    assert_ptr_not_equal(a->realm, c->realm);
    assert_true(span_eq(SPAN_OF_BYTES(a->namespace), SPAN_LIT("prod")));
    assert_true(span_eq(SPAN_OF_BYTES(b->principal), SPAN_LIT("bob")));
    assert_true(span_eq(SPAN_OF_BYTES(c->namespace), SPAN_LIT("")));
    assert_int_equal(s.n, 3);
    scope_set_deinit(&s);
}

/* The border between the two names cannot be moved. */
static void test_no_confusion(void **state)
{
    struct scope_set s;

    scope_set_init(&s, &SEED);
    assert_ptr_not_equal(scope_get(&s, SPAN_LIT("ab"), SPAN_LIT("c")),
                         scope_get(&s, SPAN_LIT("a"), SPAN_LIT("bc")));
    scope_set_deinit(&s);
}

static void test_limit(void **state)
{
    struct scope_set s;
    struct scope *first;

    scope_set_init(&s, &SEED);
    first = scope_get(&s, SPAN_LIT("n"), SPAN_LIT("p"));
    for (uint32_t i = 1; i < SCOPE_MAX; i++)
        assert_non_null(scope_get(&s, SPAN_LIT("n"), (struct span){(const uint8_t *)&i, sizeof i}));
    assert_null(scope_get(&s, SPAN_LIT("n"), SPAN_LIT("one more")));
    assert_null(scope_get(&s, SPAN_LIT("another"), SPAN_LIT("p")));
    assert_int_equal(s.realms.n, 1);
    assert_ptr_equal(scope_get(&s, SPAN_LIT("n"), SPAN_LIT("p")), first);
    scope_set_deinit(&s);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct scope_set s;
        struct scope *a;

        scope_set_init(&s, &SEED);
        a = scope_get(&s, SPAN_LIT("prod"), SPAN_LIT("alice"));
        assert_int_equal(a == NULL, test_allocation_failed());
        if (!a) {
            assert_int_equal(s.n, 0);
            assert_non_null(scope_get(&s, SPAN_LIT("prod"), SPAN_LIT("alice")));
        }
        scope_set_deinit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_interned),
            cmocka_unit_test(test_no_confusion),
            cmocka_unit_test(test_limit),
            cmocka_unit_test(test_fail_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
