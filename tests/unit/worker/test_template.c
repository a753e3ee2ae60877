// SPDX-License-Identifier: Apache-2.0
/* What is put into the words of a command, by a table, and what cannot be. */
#include "tests/unit/worker/call.h"
#include "worker/template.h"

static struct test_call t;

static void expect(const char *word, const char *wanted)
{
    char *got;

    assert_int_equal(template_expand(word, &t.call, &got), 0);
    assert_string_equal(got, wanted);
}

static void test_expand(void **state)
{
    static const char *const labels[] = {"a", "one", "a.b/c-d", "{id}", NULL};
    static const struct {
        const char *word, *wanted;
        int is_template, has_argument;
    } cases[] = {
            {"plain", "plain", 0, 0},
            {"", "", 0, 0},
            {"{argument}", "the argument", 1, 1},
            {"-{argument}-{argument}-", "-the argument-the argument-", 1, 1},
            {"{group}{function}{attempt}", "group 1f2", 1, 0},
            {"{content_type}", "text/plain", 1, 0},
            {"{label.a}", "one", 1, 0},
            {"{label.a.b/c-d}", "{id}", 1, 0}, /* is not looked at again */
            {"{label.none}", "", 1, 0},
            {"{{argument}}", "{argument}", 1, 0},
            {"{{{argument}}}", "{{argument}}", 1, 0},
            {"{argument", "{argument", 0, 0},
            {"argument}", "argument}", 0, 0},
            {"{}", "{}", 0, 0},
            {"{label.}", "{label.}", 0, 0},
            {"{Argument}", "{Argument}", 0, 0},
            {"{arguments}", "{arguments}", 0, 0},
            {"{{{{", "{{{{", 0, 0},
            {"{print $1}", "{print $1}", 0, 0},
            {"{ argument }", "{ argument }", 0, 0},
            {"${argument}", "$the argument", 1, 1},
    };
    char id[64];

    test_call_begin(&t, SPAN_LIT("the argument"), labels, 100);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int has_argument;

        expect(cases[i].word, cases[i].wanted);
        if (template_is(cases[i].word, &has_argument) != cases[i].is_template ||
            has_argument != cases[i].has_argument)
            fail_msg("<%s> is judged wrong", cases[i].word);
    }
    snprintf(id, sizeof id, "x%s", attempt_host.id(&t.call));
    expect("x{id}", id);
    test_call_begin(&t, SPAN_LIT(""), NULL, 100);
    expect("<{argument}>", "<>");
}

static void test_what_no_word_can_hold(void **state)
{
    size_t n = TEMPLATE_WORD_BYTES;
    char *long_argument = malloc(n), *got;

    test_call_begin(&t, SPAN_LIT("a\0b"), NULL, 100);
    assert_int_equal(template_expand("x{argument}", &t.call, &got), TEMPLATE_E_FAILED);
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT", "{argument} has a NUL byte");
    assert_true(t.call.failure.is_retryable < 0);

    memset(long_argument, 'x', n);
    test_call_begin(&t, (struct span){(uint8_t *)long_argument, n}, NULL, 100);
    assert_int_equal(template_expand("{argument}", &t.call, &got), 0);
    assert_int_equal(strlen(got), n);
    assert_int_equal(template_expand("{argument}y", &t.call, &got), TEMPLATE_E_FAILED);
    free(long_argument);
}

static void test_too_large(void **state)
{
    size_t n = TEMPLATE_WORD_BYTES;
    char *long_argument = malloc(n), *got;

    memset(long_argument, 'x', n);
    test_call_begin(&t, (struct span){(uint8_t *)long_argument, n}, NULL, 100);
    assert_int_equal(template_expand("y{argument}", &t.call, &got), TEMPLATE_E_FAILED);
    test_call_expect_failure(&t, "ARGUMENT_TOO_LARGE", GRPC_INVALID_ARGUMENT, "",
                             "{argument} makes a word of over 131,071");
    assert_true(t.call.failure.is_retryable < 0);
    free(long_argument);
}

static void test_without_memory(void **state)
{
    char *got;

    test_call_begin(&t, SPAN_LIT("abc"), NULL, 100);
    FAIL_EACH_ALLOCATION(nth)
    {
        t.call.has_failed = 0;
        if (template_expand("x{argument}", &t.call, &got) == 0)
            assert_string_equal(got, "xabc");
        else
            assert_true(test_allocation_failed());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_expand),
            cmocka_unit_test(test_what_no_word_can_hold),
            cmocka_unit_test(test_too_large),
            cmocka_unit_test(test_without_memory),
    };
    int failed;

    test_call_init(&t);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_call_deinit(&t);
    return failed;
}
