// SPDX-License-Identifier: Apache-2.0
/* How many workers the pool is to have, on virtual time. */
#include "pool/size.h"
#include "tests/support/testing.h"

static const struct size_limits limits = {.min = 2, .max = 16, .idle_ns = 10};

static struct size fresh(void)
{
    struct size s = {0};

    size_set(&s, &limits);
    return s;
}

static void test_no_need_no_change(void **state)
{
    struct size s = fresh();

    assert_int_equal(s.wanted, 2);
    for (mono_ns_t now = 0; now < 100; now++)
        assert_int_equal(size_look(&s, (uint64_t)now % 3, 1, now), CLOCK_NEVER);
    assert_int_equal(s.wanted, 2);
    assert_int_equal(s.n_grown + s.n_shrunk, 0);
}

/* Twice as many at a time, each time only once those before are at work. */
static void test_grows_while_work_waits(void **state)
{
    struct size s = fresh();

    assert_int_equal(size_look(&s, 1000, 1, 0), 10);
    assert_int_equal(s.wanted, 4);
    size_look(&s, 1000, 0, 1);
    assert_int_equal(s.wanted, 4);
    size_look(&s, 1000, 1, 2);
    assert_int_equal(s.wanted, 8);
    size_look(&s, 9, 1, 3);
    assert_int_equal(s.wanted, 9);
    size_look(&s, UINT64_MAX, 1, 4);
    assert_int_equal(s.wanted, 16);
    size_look(&s, UINT64_MAX, 1, 5);
    assert_int_equal(s.wanted, 16);
    assert_int_equal(s.n_grown, 14);
    assert_int_equal(s.n_shrunk, 0);
}

/* To as many as were needed at a time during a whole span, and then to the least. */
static void test_shrinks_when_not_needed(void **state)
{
    struct size s = fresh();

    size_look(&s, 1000, 1, 0);
    size_look(&s, 1000, 1, 0);
    assert_int_equal(s.wanted, 8);
    assert_int_equal(size_look(&s, 8, 1, 10), 20); /* it was full all the time */
    assert_int_equal(s.wanted, 8);
    size_look(&s, 3, 1, 12);
    assert_int_equal(size_look(&s, 5, 1, 20), 30); /* eight were needed when the span began */
    assert_int_equal(s.wanted, 8);
    size_look(&s, 0, 1, 25);
    assert_int_equal(size_look(&s, 0, 1, 30), 40);
    assert_int_equal(s.wanted, 5);
    size_look(&s, 3, 1, 39);
    size_look(&s, 0, 1, 40);
    assert_int_equal(s.wanted, 3);
    assert_int_equal(size_look(&s, 0, 1, 50), CLOCK_NEVER);
    assert_int_equal(s.wanted, 2);
    assert_int_equal(s.n_grown, 6);
    assert_int_equal(s.n_shrunk, 6);
}

static void test_other_limits(void **state)
{
    struct size s = fresh();

    size_look(&s, 1000, 1, 0);
    size_look(&s, 1000, 1, 0);
    size_set(&s, &(struct size_limits){.min = 1, .max = 3, .idle_ns = 5});
    assert_int_equal(s.wanted, 3);
    assert_int_equal(size_look(&s, 0, 1, 1), 6);
    assert_int_equal(size_look(&s, 0, 1, 6), CLOCK_NEVER);
    assert_int_equal(s.wanted, 1);
    size_set(&s, &(struct size_limits){.min = 4, .max = 4, .idle_ns = 5});
    assert_int_equal(s.wanted, 4);
    size_set(&s, &(struct size_limits){0});
    assert_int_equal(s.wanted, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_no_need_no_change),
            cmocka_unit_test(test_grows_while_work_waits),
            cmocka_unit_test(test_shrinks_when_not_needed),
            cmocka_unit_test(test_other_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
