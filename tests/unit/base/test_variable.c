// SPDX-License-Identifier: Apache-2.0
/* What a command finds in its environment, as text. */
#include "base/variable.h"
#include "tests/support/testing.h"

static void test_put(void **state)
{
    struct arena a;
    char *env[3];
    size_t n = 0;

    arena_init(&a, 0);
    variable_put(&a, env, &n, "NAME", SPAN_LIT("a value=b"));
    variable_put(&a, env, &n, "NONE", (struct span){0});
    variable_put(&a, env, &n, "NUL", (struct span){(const uint8_t *)"a\0b", 3}); /* no variable can have it */
    assert_int_equal(n, 2);
    assert_string_equal(env[0], "NAME=a value=b");
    assert_string_equal(env[1], "NONE=");
    arena_deinit(&a);
}

static void test_labels(void **state)
{
    struct arena a;
    char *env[4];
    size_t n = 0;

    arena_init(&a, 0);
    variable_put(&a, env, &n, "FUTURED_LABEL_X", SPAN_LIT("before them"));
    variable_put_label(&a, env, 1, &n, SPAN_LIT("a-b.\xc3\xa9\x39"), SPAN_LIT("1"));
    variable_put_label(&a, env, 1, &n, SPAN_LIT("A_B___9"), SPAN_LIT("2")); /* the same name */
    variable_put_label(&a, env, 1, &n, SPAN_LIT("x"), SPAN_LIT("3"));
    assert_int_equal(n, 3);
    assert_string_equal(env[1], "FUTURED_LABEL_A_B___9=1");
    assert_string_equal(env[2], "FUTURED_LABEL_X=3");
    arena_deinit(&a);
}

static void test_no_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct arena a;
        char *env[1];
        size_t n = 0;

        arena_init(&a, 0);
        variable_put(&a, env, &n, "NAME", SPAN_LIT("value"));
        assert_int_equal(n, !test_allocation_failed());
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_put),
            cmocka_unit_test(test_labels),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
