// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/suggest.h"
#include "tests/support/testing.h"

static const char *best_of(const char *word)
{
    static const char *const names[] = {"run",        "result",       "resume", "retry",
                                        "reschedule", "as-completed", "get"};
    struct suggest s = suggest_for(word, strlen(word));

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        suggest_offer(&s, names[i]);
    return s.best ? s.best : "none";
}

static void test_best(void **state)
{
    assert_string_equal(best_of("rnu"), "run");
    assert_string_equal(best_of("gte"), "get");
    assert_string_equal(best_of("resutl"), "result");
    assert_string_equal(best_of("re-try"), "retry");
    assert_string_equal(best_of("resch"), "reschedule"); /* a beginning */
    assert_string_equal(best_of("ascompleted"), "as-completed");
    assert_string_equal(best_of("xyzzy"), "none");
    assert_string_equal(best_of("x"), "none");
    assert_string_equal(best_of(""), "none");
    assert_string_equal(best_of("a-word-that-is-much-longer-than-any-name-that-there-is"), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_best)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
