// SPDX-License-Identifier: Apache-2.0
/* What a command sees of the attempt and of this process, and where its program is. */
#include "tests/unit/worker/call.h"
#include "worker/environment.h"

static struct test_call t;

static const char *value_of(char **env, const char *name)
{
    size_t n = strlen(name);

    for (; *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

static void test_values(void **state)
{
    static const char *const labels[] = {"Key", "a", "key", "b", "x/y.z", "1", "bad", "", NULL};
    size_t n = 0, n_own = 0;
    char **env;

    assert_int_equal(setenv("FUTURED_ATTEMPT", "forged", 1), 0);
    assert_int_equal(setenv("TRACEPARENT", "forged", 1), 0);
    test_call_begin(&t, SPAN_LIT(""), labels, 100);
    env = environment_make(&t.call, "");
    assert_null(value_of(env, "TRACEPARENT"));
    assert_null(value_of(env, "FUTURED_UPSTREAM_DIR"));

    t.call.traceparent = SPAN_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    env = environment_make(&t.call, "/tmp/up");
    assert_string_equal(value_of(env, "FUTURED_ID"), attempt_host.id(&t.call));
    assert_string_equal(value_of(env, "FUTURED_ATTEMPT"), "2");
    assert_string_equal(value_of(env, "FUTURED_GROUP"), "group 1");
    assert_string_equal(value_of(env, "FUTURED_FUNCTION"), "f");
    assert_string_equal(value_of(env, "FUTURED_UPSTREAM_DIR"), "/tmp/up");
    assert_string_equal(value_of(env, "TRACEPARENT"),
                        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_string_equal(value_of(env, "FUTURED_LABEL_KEY"), "a");
    assert_string_equal(value_of(env, "FUTURED_LABEL_X_Y_Z"), "1");
    assert_string_equal(value_of(env, "FUTURED_LABEL_BAD"), "");
    assert_string_equal(value_of(env, "PATH"), getenv("PATH"));
    for (; env[n]; n++)
        n_own += strncmp(env[n], "FUTURED_", 8) == 0;
    assert_int_equal(n_own, 8);
    assert_int_equal(unsetenv("FUTURED_ATTEMPT"), 0);
    assert_int_equal(unsetenv("TRACEPARENT"), 0);
}

static void test_program(void **state)
{
    char was[4096];

    test_call_begin(&t, SPAN_LIT(""), NULL, 100);
    snprintf(was, sizeof was, "%s", getenv("PATH"));
    assert_int_equal(setenv("PATH", "/no/such::/proc:/bin:/usr/bin", 1), 0);
    assert_string_equal(environment_find_program(&t.call.texts, "sh"), "/bin/sh");
    assert_string_equal(environment_find_program(&t.call.texts, "passwd-no-such"), "passwd-no-such");
    assert_string_equal(environment_find_program(&t.call.texts, "version"), "version"); /* is no program */
    assert_string_equal(environment_find_program(&t.call.texts, "./sh"), "./sh");
    assert_int_equal(unsetenv("PATH"), 0);
    assert_string_equal(environment_find_program(&t.call.texts, "sh"), "sh");
    assert_int_equal(setenv("PATH", was, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_program)};
    int failed;

    test_call_init(&t);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_call_deinit(&t);
    return failed;
}
