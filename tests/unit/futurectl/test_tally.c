// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/tally.h"
#include "tests/support/testing.h"

static const struct futured_count_group first[] = {{"FAILED", 5, 100}, {"", 2, 50}},
                                        second[] = {{"SUCCEEDED", 6, 300}, {"FAILED", 1, 200}, {"A", 2, -1}};
static const struct futured_count pages[] = {
        {.count = 7, .oldest_age_ns = 100, .n_groups = 2, .groups = first},
        {.count = 9, .oldest_age_ns = 300, .n_groups = 3, .groups = second},
};

static void test_sum(void **state)
{
    const struct futured_count *total;
    struct tally t;

    tally_init(&t, 1);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(tally_add(&t, &pages[i]), 0);
    total = tally_total(&t);
    assert_int_equal(total->count, 16);
    assert_int_equal(total->oldest_age_ns, 300);
    assert_int_equal(total->n_groups, 4);
    assert_string_equal(total->groups[0].value, "FAILED"); /* the largest first, what is equal by value */
    assert_int_equal(total->groups[0].count, 6);
    assert_int_equal(total->groups[0].oldest_age_ns, 200);
    assert_string_equal(total->groups[1].value, "SUCCEEDED");
    assert_string_equal(total->groups[2].value, "");
    assert_string_equal(total->groups[3].value, "A");
    tally_deinit(&t);
}

static void test_nothing(void **state)
{
    const struct futured_count none = {.oldest_age_ns = FUTURED_NO_SPAN};
    struct tally t;

    for (int is_grouped = 0; is_grouped < 2; is_grouped++) {
        tally_init(&t, is_grouped);
        assert_int_equal(tally_add(&t, &none), 0);
        assert_int_equal(tally_total(&t)->count, 0);
        assert_int_equal(tally_total(&t)->oldest_age_ns, FUTURED_NO_SPAN);
        assert_int_equal(tally_total(&t)->n_groups, 0);
        assert_int_equal(tally_total(&t)->groups != NULL, is_grouped);
        tally_deinit(&t);
    }
}

static void test_many(void **state)
{
    char texts[100][16];
    struct tally t;

    tally_init(&t, 1);
    for (int i = 0; i < 100; i++) {
        struct futured_count_group g = {.value = texts[i], .count = (uint64_t)i};
        const struct futured_count page = {.count = (uint64_t)i, .n_groups = 1, .groups = &g};

        snprintf(texts[i], sizeof texts[i], "%d", i);
        assert_int_equal(tally_add(&t, &page), 0);
    }
    assert_int_equal(tally_total(&t)->n_groups, 100);
    assert_string_equal(tally_total(&t)->groups[0].value, "99");
    tally_deinit(&t);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct tally t;
        int r = 0;

        tally_init(&t, 1);
        for (size_t i = 0; i < 2 && r == 0; i++)
            r = tally_add(&t, &pages[i]);
        assert_true(r == 0 ? tally_total(&t)->n_groups == 4 : test_allocation_failed());
        tally_deinit(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_sum),
            cmocka_unit_test(test_nothing),
            cmocka_unit_test(test_many),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
