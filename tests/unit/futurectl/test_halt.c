// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/halt.h"
#include "tests/support/testing.h"

static int due(const char *text, uint64_t n_succeeded, uint64_t n_failed)
{
    struct halt halt;

    if (halt_parse(text, &halt))
        fail_msg("`%s` is refused", text);
    return halt_is_due(&halt, n_succeeded, n_failed);
}

static void test_parse(void **state)
{
    static const char *const wrong[] = {
            "",           "now",          "now,fail",      "now,fail=",       "now,fail=0",  "now,fail=-1",
            "now,fail=x", "later,fail=1", "now,fail=101%", "soon,success=1x", "now,fail=1%%"};
    struct halt halt;

    assert_int_equal(halt_parse("now,fail=1", &halt), 0);
    assert_int_equal(halt.when, HALT_NOW);
    assert_int_equal(halt.on_success, 0);
    assert_int_equal(halt_parse("soon,success=10%", &halt), 0);
    assert_int_equal(halt.when, HALT_SOON);
    assert_int_equal(halt.on_success, 1);
    assert_int_equal(halt.is_percent, 1);
    assert_int_equal(halt.n, 10);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (halt_parse(wrong[i], &halt) != HALT_E_SYNTAX)
            fail_msg("`%s` is not refused", wrong[i]);
}

static void test_due(void **state)
{
    assert_false(due("never", 0, 1000));
    assert_false(due("now,fail=2", 100, 1));
    assert_true(due("now,fail=2", 0, 2));
    assert_false(due("soon,success=1", 0, 9));
    assert_true(due("soon,success=1", 1, 9));
    assert_false(due("now,fail=50%", 0, 2)); /* too few for a share */
    assert_true(due("now,fail=50%", 1, 2));
    assert_false(due("now,fail=50%", 6, 5));
    assert_true(due("now,success=50%", 5, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_due)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
