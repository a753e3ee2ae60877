// SPDX-License-Identifier: Apache-2.0
/* The two clocks are the ones they say they are, and the sum that does not overflow. */
#include "base/clock.h"
#include "tests/support/testing.h"

#include <time.h>

static int64_t read_direct(clockid_t id)
{
    struct timespec ts;

    assert_int_equal(clock_gettime(id, &ts), 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Between two direct readings of the same clock. The wall clock may be stepped back meanwhile: then again. */
static void test_each_reads_its_clock(void **state)
{
    for (int i = 0; i < 1000; i++) {
        int64_t before = read_direct(CLOCK_MONOTONIC), between = clock_mono();

        assert_true(before <= between && between <= read_direct(CLOCK_MONOTONIC));
    }
    for (int i = 0; i < 1000; i++) {
        int64_t before = read_direct(CLOCK_REALTIME), between = clock_wall(),
                after = read_direct(CLOCK_REALTIME);

        if (after >= before)
            assert_true(before <= between && between <= after);
    }
}

static void test_units(void **state)
{
    assert_int_equal(NS_PER_US * 1000, NS_PER_MS);
    assert_int_equal(NS_PER_MS * 1000, NS_PER_S);
    assert_int_equal(NS_PER_S, 1000000000);
}

static void test_add(void **state)
{
    assert_int_equal(clock_add(5, 7), 12);
    assert_int_equal(clock_add(-5, 7), 2);
    assert_int_equal(clock_add(0, 0), 0);
    assert_int_equal(clock_add(INT64_MIN, INT64_MAX), -1);
    assert_true(clock_add(INT64_MAX - 1, 1) == INT64_MAX);
    assert_true(clock_add(INT64_MAX - 1, 2) == CLOCK_NEVER);
    assert_true(clock_add(CLOCK_NEVER, 0) == CLOCK_NEVER);
    assert_true(clock_add(CLOCK_NEVER, 1) == CLOCK_NEVER);
    assert_true(clock_add(CLOCK_NEVER, CLOCK_NEVER) == CLOCK_NEVER);
    assert_true(clock_add(1, CLOCK_NEVER) == CLOCK_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_each_reads_its_clock),
            cmocka_unit_test(test_units),
            cmocka_unit_test(test_add),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
