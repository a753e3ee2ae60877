// SPDX-License-Identifier: Apache-2.0
#include "client/lib/backoff.h"
#include "tests/support/testing.h"

static void test_pauses_grow_to_a_limit(void **state)
{
    const int64_t min = 100, max = 1000, whole[] = {100, 200, 400, 800, 1000, 1000};
    struct futured_backoff b = {0};

    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
            int64_t pause = futured_backoff_next(&b, min, max);

            assert_true(pause >= whole[i] / 2 && pause <= whole[i]);
        }
        futured_backoff_reset(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pauses_grow_to_a_limit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
