// SPDX-License-Identifier: Apache-2.0
/* Each production by what it becomes, each error by its column, and the limits. */
#include "tests/unit/filter/sample.h"

static void print(const struct filter *f, char *to, size_t size)
{
    struct buf out = BUF_INIT;

    assert_int_equal(filter_print(f, &out), 0);
    assert_true(buf_len(&out) < size);
    memcpy(to, buf_head(&out), buf_len(&out));
    to[buf_len(&out)] = '\0';
    buf_deinit(&out);
}

static void test_productions(void **state)
{
    static const struct {
        const char *text, *becomes;
    } cases[] = {
            {"*", "*"},
            {" * ", "*"},
            {"function=resize", "function = \"resize\""},
            {"function = \"a \\\"b\\\\\"", "function = \"a \\\"b\\\\\""},
            {"state = failed", "state = FAILED"},
            {"state!=SUCCEEDED", "state != SUCCEEDED"},
            {"pending_reason = no_worker", "pending_reason = NO_WORKER"},
            {"attempts >= 3", "attempts >= 3"},
            {"priority < -9223372036854775808", "priority < -9223372036854775808"},
            {"priority > 9223372036854775807", "priority > 9223372036854775807"},
            {"retried = true", "retried = true"},
            {"retried != false", "retried != false"},
            {"id = " SAMPLE_ID, "id = " SAMPLE_ID},
            {"id ~ 0198", "id ~ \"0198\""},
            {"retry_of = \"" SAMPLE_ID "\"", "retry_of = " SAMPLE_ID},
            {"submit_time > -2h", "submit_time > 2026-09-21T12:13:20Z"},
            {"end_time <= 2026-01-31T12:00:00.5+01:00", "end_time <= 2026-01-31T11:00:00.500000000Z"},
            {"start_time >= 2026-01-31", "start_time >= 2026-01-31T00:00:00Z"},
            {"duration > 90s", "duration > 90s"},
            {"queue_time < 1h30m", "queue_time < 90m"},
            {"labels.customer = x", "labels.\"customer\" = \"x\""},
            {"labels.\"any key\" ~ y", "labels.\"any key\" ~ \"y\""},
            {"labels.size > 1e3", "labels.\"size\" > \"1e3\""},
            {"labels.a.b/c-d != 1", "labels.\"a.b/c-d\" != \"1\""},
            {"has customer", "has \"customer\""},
            {"has \"any key\"", "has \"any key\""},
            {"NOT has x", "NOT has \"x\""},
            {"NOT NOT has x", "has \"x\""},
            {"group=a tag=b", "group = \"a\" AND tag = \"b\""},
            {"group=a AND tag=b AND has c", "group = \"a\" AND tag = \"b\" AND has \"c\""},
            {"group=a OR tag=b has c", "group = \"a\" OR (tag = \"b\" AND has \"c\")"},
            {"group=a tag=b OR has c", "(group = \"a\" AND tag = \"b\") OR has \"c\""},
            {"(group=a)", "group = \"a\""},
            {"(group=a OR tag=b) has c", "(group = \"a\" OR tag = \"b\") AND has \"c\""},
            {"NOT (group=a OR tag=b)", "NOT (group = \"a\" OR tag = \"b\")"},
            {"has c AND NOT (group=a tag=b)", "has \"c\" AND NOT (group = \"a\" AND tag = \"b\")"},
            {"NOT (NOT (NOT group=a))", "NOT group = \"a\""},
            {"function = \"AND\" OR function = \"OR\"", "function = \"AND\" OR function = \"OR\""},
            {"function=has", "function = \"has\""},
            {"error ~ \"\"", "error ~ \"\""},
            {"argument ~ \xc3\xa4", "argument ~ \"\xc3\xa4\""},
            {"\tgroup\n=\r a", "group = \"a\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter *f = sample_parse(cases[i].text);
        char text[400], again[400];

        print(f, text, sizeof text);
        filter_unref(f);
        assert_string_equal(text, cases[i].becomes);
        f = sample_parse(text);
        print(f, again, sizeof again);
        filter_unref(f);
        assert_string_equal(again, text);
    }
}

static void test_each_error_names_its_column(void **state)
{
    static const struct {
        const char *text;
        uint32_t column;
        const char *says;
    } cases[] = {
            {"", 1, "expected a field"},
            {"   ", 4, "expected a field"},
            {"* group=a", 3, "\"*\", which is all, stands alone"},
            {"group=a *", 9, "is not a field"},
            {"colour = red", 1, "\"colour\" is not a field"},
            {"state", 6, "expected an operator (= != ~ < > <= >=), not the end"},
            {"state FAILED", 7, "expected an operator"},
            {"state = ", 9, "expected a value, not the end"},
            {"state = )", 9, "expected a value"},
            {"state = AND", 9, "expected a value, not \"AND\"; a value that is a keyword"},
            {"state = DONE", 9, "expected one of PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED"},
            {"pending_reason = LATE", 18, "expected one of READY, DELAYED, BLOCKED, BACKOFF, NO_WORKER"},
            {"state ~ FAIL", 7, "expected = or != behind state"},
            {"retried < true", 9, "expected = or !="},
            {"retried = maybe", 11, "expected true or false"},
            {"function > a", 10, "expected =, != or ~: function is text"},
            {"attempts ~ 1", 10, "expected =, !=, <, >, <= or >=: attempts is not text"},
            {"attempts = 1x", 12, "expected a whole number"},
            {"attempts = -", 12, "expected a whole number"},
            {"priority = 9223372036854775808", 12, "expected a whole number"},
            {"submit_time > tomorrow", 15, "expected a time"},
            {"submit_time > 2026-02-30", 15, "expected a time"},
            {"duration > 3", 12, "expected a duration"},
            {"id = 12", 6, "expected the ID of a future"},
            {"labels.size > big", 15, "expected a number"},
            {"labels. = x", 8, "expected the key of a label"},
            {"labels.\"\" = x", 10, "expected the key of a label"},
            {"has", 4, "expected the key of a label behind \"has\", not the end"},
            {"has = 3", 5, "expected the key of a label"},
            {"has \"\"", 5, "expected the key of a label"},
            {"(group=a", 9, "expected \")\", not the end"},
            {"group=a)", 8, "expected AND, OR or the end, not \")\""},
            {"()", 2, "expected a field"},
            {"group=a AND", 12, "expected a term behind AND, not the end"},
            {"group=a AND OR tag=b", 13, "expected a term behind AND"},
            {"group=a OR", 11, "expected a field"},
            {"AND group=a", 1, "expected a field, \"has\" or \"(\", not \"AND\""},
            {"NOT", 4, "expected a field"},
            {"group=\"a", 7, "this quote is not closed"},
            {"group=\"a\\n\"", 9, "a backslash stands before a quote"},
            {"group ! a", 7, "expected \"!=\""},
            {"= a", 1, "expected a field, \"has\", NOT or \"(\""},
            {"\"group\" = a", 1, "expected a field"},
            {"tag=\"\xc3\xa4\xc3\xb6\" state=x", 16, "expected one of PENDING"}, /* characters, not bytes */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter_problem problem = {0};
        struct filter *f;

        if (filter_parse(&f, span_of_string(cases[i].text), NOW, &problem) != FILTER_E_SYNTAX)
            fail_msg("%s: accepted", cases[i].text);
        if (problem.column != cases[i].column || !strstr(problem.text, cases[i].says))
            fail_msg("%s: column %u: %s", cases[i].text, problem.column, problem.text);
    }
}

/* @n times @part, with @before and @behind around it. */
static int parse_many(const char *before, const char *part, size_t n, const char *behind,
                      struct filter_problem *problem)
{
    struct buf text = BUF_INIT;
    struct filter *f;
    int r;

    assert_int_equal(buf_append(&text, before, strlen(before)), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_append(&text, part, strlen(part)), 0);
    assert_int_equal(buf_append(&text, behind, strlen(behind)), 0);
    r = filter_parse(&f, (struct span){buf_head(&text), buf_len(&text)}, NOW, problem);
    if (r == 0)
        filter_unref(f);
    buf_deinit(&text);
    return r;
}

static void test_limits(void **state)
{
    struct filter_problem problem;

    assert_int_equal(parse_many("", "tag=a ", FILTER_TERMS_MAX, "", &problem), 0);
    assert_int_equal(parse_many("", "tag=a ", FILTER_TERMS_MAX + 1, "", &problem), FILTER_E_SYNTAX);
    assert_int_equal(problem.column, 6 * FILTER_TERMS_MAX + 1);
    assert_int_equal(parse_many("", "NOT ", FILTER_DEPTH_MAX, "tag=a", &problem), 0);
    assert_int_equal(parse_many("", "NOT ", FILTER_DEPTH_MAX + 1, "tag=a", &problem), FILTER_E_SYNTAX);
    assert_int_equal(parse_many("", "(", FILTER_DEPTH_MAX + 1, "tag=a", &problem), FILTER_E_SYNTAX);
    assert_non_null(strstr(problem.text, "at most 32"));
    assert_int_equal(parse_many("tag=\"", "x", FILTER_BYTES_MAX - 6, "\"", &problem), 0);
    assert_int_equal(parse_many("tag=\"", "x", FILTER_BYTES_MAX - 5, "\"", &problem), FILTER_E_SYNTAX);
    assert_int_equal(problem.column, 1);
    assert_int_equal(parse_many("", "(", FILTER_BYTES_MAX, "", &problem), FILTER_E_SYNTAX);
    assert_int_equal(parse_many("", "id~x or ", 500, "", &problem), FILTER_E_SYNTAX);
    /* The most nodes: every term shortest, in brackets of its own with another. */
    assert_int_equal(parse_many("has x", " OR id~x id~x", 99, "", &problem), 0);
}

static void test_no_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct filter_problem problem;
        struct filter *f = NULL;
        int r = filter_parse(&f, SPAN_LIT("group = a AND has b"), NOW, &problem);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        filter_unref(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_productions),
            cmocka_unit_test(test_each_error_names_its_column),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
