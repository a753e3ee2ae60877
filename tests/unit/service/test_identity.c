// SPDX-License-Identifier: Apache-2.0
/* What a principal may: every right against every other, and patterns of functions. */
#include "service/identity.h"
#include "tests/support/testing.h"

static void test_rights(void **state)
{
    for (int has = RIGHT_SUBMIT; has <= RIGHT_ADMIN; has++) {
        const struct identity who = {.rights = 1U << has};

        for (int right = RIGHT_UNNAMED; right <= RIGHT_ADMIN; right++) {
            int may = right == has || has == RIGHT_ADMIN || right == RIGHT_NONE || right == RIGHT_KNOWN ||
                      (right == RIGHT_READ && has == RIGHT_READ_ALL);

            assert_int_equal(identity_may(&who, (enum right)right), may);
        }
    }
}

static void test_nobody(void **state)
{
    const struct identity gone = {0};

    for (int right = RIGHT_UNNAMED; right <= RIGHT_ADMIN; right++) {
        assert_int_equal(identity_may(NULL, (enum right)right), right == RIGHT_NONE);
        assert_int_equal(identity_may(&gone, (enum right)right), right == RIGHT_NONE);
    }
    assert_true(identity_may_submit(NULL, SPAN_LIT("f"))); /* where there are no principals */
}

static void test_words(void **state)
{
    for (int right = RIGHT_SUBMIT; right <= RIGHT_ADMIN; right++)
        assert_int_equal(identity_right(span_of_string(identity_right_word((enum right)right))), right);
    assert_int_equal(identity_right(SPAN_LIT("")), RIGHT_UNNAMED);
    assert_int_equal(identity_right(SPAN_LIT("Submit")), RIGHT_UNNAMED);
    assert_int_equal(identity_right(SPAN_LIT("none")), RIGHT_UNNAMED);
    assert_int_equal(identity_right(SPAN_LIT("read-")), RIGHT_UNNAMED);
    assert_string_equal(identity_right_word(RIGHT_UNNAMED), "none");
}

static void test_patterns(void **state)
{
    const struct span patterns[] = {SPAN_LIT("echo"), SPAN_LIT("thumb.*")};
    const struct identity some = {.patterns = patterns, .n_patterns = 2}, all = {0};
    const struct span every = SPAN_LIT("*");
    const struct identity star = {.patterns = &every, .n_patterns = 1};

    assert_true(identity_may_submit(&some, SPAN_LIT("echo")));
    assert_true(identity_may_submit(&some, SPAN_LIT("thumb.")));
    assert_true(identity_may_submit(&some, SPAN_LIT("thumb.small")));
    assert_false(identity_may_submit(&some, SPAN_LIT("thumb")));
    assert_false(identity_may_submit(&some, SPAN_LIT("echo2")));
    assert_false(identity_may_submit(&some, SPAN_LIT("ech")));
    assert_false(identity_may_submit(&some, SPAN_LIT("")));
    assert_true(identity_may_submit(&all, SPAN_LIT("anything")));
    assert_true(identity_may_submit(&star, SPAN_LIT("anything")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_rights),
            cmocka_unit_test(test_nobody),
            cmocka_unit_test(test_words),
            cmocka_unit_test(test_patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
