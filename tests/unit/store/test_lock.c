// SPDX-License-Identifier: Apache-2.0
#include "store/lock.h"
#include "tests/unit/store/fixture.h"

static void test_alone(void **state)
{
    struct fixture fx;
    char pid[40];
    int one, two = -1;

    fixture_init(&fx, NULL);
    assert_int_equal(lock_take(fx.directory, 0, &one, &fx.problem), -ENOENT); /* not even the directory */
    assert_int_equal(mkdir(fx.directory, 0700), 0);
    assert_int_equal(lock_take(fx.directory, 0, &one, &fx.problem), 0);
    assert_int_equal(lock_take(fx.directory, 0, &two, &fx.problem), STORE_E_LOCKED);
    assert_int_equal(two, -1);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(fx.problem.text, pid));
    err_close(&one);
    assert_int_equal(lock_take(fx.directory, 0, &one, &fx.problem), 0);
    err_close(&one);
    fixture_end(&fx);
}

static void test_readers_together(void **state)
{
    struct fixture fx;
    int one, two;

    fixture_init(&fx, NULL);
    assert_int_equal(mkdir(fx.directory, 0700), 0);
    assert_int_equal(lock_take(fx.directory, 1, &one, &fx.problem), -ENOENT);
    fixture_open(&fx);
    assert_int_equal(lock_take(fx.directory, 1, &one, &fx.problem), STORE_E_LOCKED);
    fixture_close(&fx);
    assert_int_equal(lock_take(fx.directory, 1, &one, &fx.problem), 0);
    assert_int_equal(lock_take(fx.directory, 1, &two, &fx.problem), 0);
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_LOCKED);
    err_close(&one);
    err_close(&two);
    fixture_open(&fx);
    fixture_end(&fx);
}

/* A process that dies leaves no lock behind, whatever its number says. */
static void test_the_dead_hold_nothing(void **state)
{
    struct fixture fx;
    int fd, status;
    pid_t pid;

    fixture_init(&fx, NULL);
    assert_int_equal(mkdir(fx.directory, 0700), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(lock_take(fx.directory, 0, &fd, &fx.problem) == 0 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(lock_take(fx.directory, 0, &fd, &fx.problem), 0);
    err_close(&fd);
    fixture_end(&fx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_alone),
            cmocka_unit_test(test_readers_together),
            cmocka_unit_test(test_the_dead_hold_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
