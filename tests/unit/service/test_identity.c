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

static void test_quotas(void **state)
{
    struct identity_quota quota = {.max_futures = 2};
    struct scope scope = {.is_confined = 0};
    const struct identity who = {.scope = &scope, .quota = &quota}, free = {.scope = &scope};
    int64_t retry_ms;

    assert_int_equal(identity_spend(&free, 1, &retry_ms), QUOTA_NONE);
    scope.n_live = 1;
    assert_int_equal(identity_spend(&who, 1, &retry_ms), QUOTA_NONE);
    scope.n_live = 2;
    assert_int_equal(identity_spend(&who, 1, &retry_ms), QUOTA_FUTURES);
    assert_int_equal(retry_ms, 1000);
    quota = (struct identity_quota){.max_memory_bytes = 4096};
    scope.n_bytes = 4095;
    assert_int_equal(identity_spend(&who, 1, &retry_ms), QUOTA_NONE);
    scope.n_bytes = 4096;
    assert_int_equal(identity_spend(&who, 1, &retry_ms), QUOTA_MEMORY);
}

static void test_refusals(void **state)
{
    struct identity_quota quota = {0};
    const struct identity who = {.name = SPAN_LIT("alice"), .quota = &quota};

    for (int i = QUOTA_NONE + 1; i < QUOTA_N; i++) {
        enum quota q = (enum quota)i;
        struct grpc_status st;

        assert_ptr_equal(identity_refuse(&who, q, 7, &st), &st);
        assert_int_equal(st.code, GRPC_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(st.message, "\"alice\" has used up its"));
        assert_non_null(strstr(st.message, identity_quota_word(q)));
        assert_int_equal(quota.n_refused[q], 1);
    }
}

static void test_rate(void **state)
{
    struct identity_quota quota = {.rate = 2};
    const struct identity who = {.quota = &quota, .scope = &(struct scope){.is_confined = 0}};
    wall_ns_t now = 1000 * NS_PER_S;
    int64_t retry_ms;

    for (int i = 0; i < 2; i++)
        assert_int_equal(identity_spend(&who, now, &retry_ms), QUOTA_NONE);
    assert_int_equal(identity_spend(&who, now, &retry_ms), QUOTA_RATE);
    assert_in_range(retry_ms, 500, 502);
    now -= 100 * NS_PER_S; /* a clock that is set back gives nothing, and takes nothing */
    assert_int_equal(identity_spend(&who, now, &retry_ms), QUOTA_RATE);
    now += NS_PER_S / 2;
    assert_int_equal(identity_spend(&who, now, &retry_ms), QUOTA_NONE);
    assert_int_equal(identity_spend(&who, now, &retry_ms), QUOTA_RATE);
    now += 1000 * NS_PER_S;
    for (int i = 0; i < 2; i++)
        assert_int_equal(identity_spend(&who, now, &retry_ms), QUOTA_NONE);
    assert_int_equal(identity_spend(&who, now, &retry_ms), QUOTA_RATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_rights),   cmocka_unit_test(test_nobody), cmocka_unit_test(test_words),
            cmocka_unit_test(test_patterns), cmocka_unit_test(test_quotas), cmocka_unit_test(test_rate),
            cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
