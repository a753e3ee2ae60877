// SPDX-License-Identifier: Apache-2.0
/* Each kind of field under each operator, what has no value, and what it costs. */
#include "tests/unit/filter/sample.h"

static void test_table(void **state)
{
    static const struct {
        const char *text;
        int is;
    } cases[] = {
            {"*", 1},
            {"function = resize", 1},
            {"function = Resize", 0},
            {"function != resize", 0},
            {"function ~ siz", 1},
            {"function ~ \"\"", 1},
            {"function ~ resizes", 0},
            {"tag = \"\"", 1}, /* no value is empty text */
            {"tag != \"\"", 0},
            {"tag ~ a", 0},
            {"tag != a", 1},
            {"state = FAILED", 1},
            {"state != FAILED", 0},
            {"pending_reason = READY", 0},
            {"pending_reason != READY", 1},
            {"worker = w-1", 1}, /* any of them */
            {"worker = w-2", 1},
            {"worker = w-3", 0},
            {"worker != w-2", 0}, /* none of them */
            {"worker != w-3", 1},
            {"worker ~ w-", 1},
            {"attempts = 2", 1},
            {"attempts < 2", 0},
            {"attempts <= 2", 1},
            {"attempts > 1", 1},
            {"attempts >= 3", 0},
            {"priority != 7", 0},
            {"retried = true", 1},
            {"retried != true", 0},
            {"id = " SAMPLE_ID, 1},
            {"id != " SAMPLE_ID, 0},
            {"id < " SAMPLE_NEXT, 1},
            {"id > " SAMPLE_NEXT, 0},
            {"id >= " SAMPLE_ID, 1},
            {"id <= " SAMPLE_ID, 1},
            {"id ~ 0198c2f0", 1},
            {"id ~ ffff", 0},
            {"retry_of = " SAMPLE_ID, 0},
            {"retry_of != " SAMPLE_ID, 1},
            {"submit_time > -2h", 1},
            {"submit_time > -30m", 0},
            {"start_time > -2h", 0}, /* none */
            {"start_time < -2h", 0},
            {"start_time != -2h", 1},
            {"NOT start_time > -2h", 1},
            {"duration > 1m", 1},
            {"duration = 90s", 1},
            {"queue_time > 0s", 0},
            {"has customer", 1},
            {"has other", 0},
            {"labels.customer = \"a b\"", 1},
            {"labels.customer != \"a b\"", 0},
            {"labels.customer ~ b", 1},
            {"labels.customer > 1", 0}, /* no number */
            {"labels.other = \"\"", 0},
            {"labels.other != x", 1},
            {"argument ~ x.png", 1},
            {"error ~ \"no such file\"", 1},
            {"state = FAILED AND attempts = 2", 1},
            {"state = FAILED AND attempts = 3", 0},
            {"state = PENDING OR attempts = 2", 1},
            {"state = PENDING OR attempts = 3", 0},
            {"NOT (state = PENDING OR attempts = 3)", 1},
            {"state = FAILED attempts = 3 OR group = nightly", 1},
            {"state = FAILED (attempts = 3 OR group = nightly)", 1},
            {"state = PENDING (attempts = 3 OR group = nightly)", 0},
    };
    struct sample s = sample_new();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (sample_matches(&s, cases[i].text) != cases[i].is)
            fail_msg("%s: not %d", cases[i].text, cases[i].is);
}

static void test_labels_as_numbers(void **state)
{
    static const struct {
        const char *value, *text;
        int is;
    } cases[] = {
            {"10", "labels.customer > 9", 1},    {"10", "labels.customer > 9.5", 1},
            {"10", "labels.customer <= 1e1", 1}, {"-3", "labels.customer < -2", 1},
            {"10 ", "labels.customer > 9", 0},   {"inf", "labels.customer > 9", 0},
            {"0x10", "labels.customer > 9", 0},  {"", "labels.customer >= 0", 0},
            {"1.", "labels.customer >= 1", 1},
    };
    struct sample s = sample_new();
    char digits[100];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        s.label_value = cases[i].value;
        if (sample_matches(&s, cases[i].text) != cases[i].is)
            fail_msg("%s with %s: not %d", cases[i].text, cases[i].value, cases[i].is);
    }
    memset(digits, '1', sizeof digits - 1);
    digits[sizeof digits - 1] = '\0';
    s.label_value = digits;
    assert_false(sample_matches(&s, "labels.customer > 1"));
}

static void test_worker_without_attempts(void **state)
{
    struct sample s = sample_new();

    memset(s.workers, 0, sizeof s.workers);
    assert_true(sample_matches(&s, "worker = \"\""));
    assert_false(sample_matches(&s, "worker = w-1"));
}

static void test_what_is_searched_costs(void **state)
{
    struct sample s = sample_new();
    struct filter_subject subject = {sample_get, &s};
    struct filter *f = sample_parse("argument ~ y");
    static char text[10 * FILTER_COST_BYTES + 1];
    uint32_t cost = 0;

    memset(text, 'x', sizeof text - 1);
    s.texts[FILTER_ARGUMENT] = text;
    assert_false(filter_match(f, &subject, &cost));
    assert_int_equal(cost, 11);
    filter_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_table),
            cmocka_unit_test(test_labels_as_numbers),
            cmocka_unit_test(test_worker_without_attempts),
            cmocka_unit_test(test_what_is_searched_costs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
