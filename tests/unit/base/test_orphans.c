// SPDX-License-Identifier: Apache-2.0
/* Processes whose parents have gone come here and are ended, with all that they have started; our own children are not. */
#include "base/orphans.h"
#include "tests/support/testing.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <sys/wait.h>

static pid_t spawn(const char *script)
{
    char sh[] = "sh", c[] = "-c", text[512];
    char *const argv[] = {sh, c, text, NULL};
    pid_t pid;

    snprintf(text, sizeof text, "%s", script);
    assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
    return pid;
}

static void test_children(void **state)
{
    pid_t pids[ORPHANS_MAX], one, two;

    assert_int_equal(orphans_children(pids), 0);
    one = spawn("exec sleep 1000");
    two = spawn("exec sleep 1000");
    assert_int_equal(orphans_children(pids), 2);
    assert_true((pids[0] == one && pids[1] == two) || (pids[0] == two && pids[1] == one));
    assert_int_equal(orphans_sweep(&one, 1, ORPHANS_OF_ANY_AGE, 1), 0); /* all but that one */
    assert_int_equal(orphans_children(pids), 1);
    assert_int_equal(pids[0], one);
    assert_int_equal(waitpid(one, NULL, WNOHANG), 0);
    assert_int_equal(orphans_sweep(NULL, 0, ORPHANS_OF_ANY_AGE, 1), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_families(void **state)
{
    pid_t pids[ORPHANS_MAX];
    int status;

    for (int i = 0; i < 10; i++) {
        pid_t pid = spawn(
                "for i in 1 2 3; do (setsid sh -c 'setsid sleep 1000 & setsid sleep 1000 & wait' &); done");

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        if (i % 2 == 0) {
            assert_int_equal(orphans_sweep(NULL, 0, ORPHANS_OF_ANY_AGE, 1), 0);
        } else {
            while (orphans_sweep(NULL, 0, ORPHANS_OF_ANY_AGE, 0) > 0)
                ; /* as who must not wait */
        }
        assert_int_equal(orphans_children(pids), 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
}

/* Of an age: what was started before then, and nothing else. */
static void test_age(void **state)
{
    pid_t pids[ORPHANS_MAX], child;
    uint64_t began = orphans_now();

    child = spawn("exec sleep 1000");
    assert_int_equal(orphans_sweep(NULL, 0, began, 1), 0);
    assert_int_equal(orphans_children(pids), 1);
    assert_int_equal(pids[0], child);
    while (orphans_now() == began)
        ; /* a hundredth of a second at most */
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    began = orphans_now();
    while (orphans_now() == began)
        ;
    assert_int_equal(orphans_sweep(NULL, 0, orphans_now(), 1), 0);
    assert_int_equal(orphans_children(pids), 0);
}

static void test_many(void **state)
{
    pid_t pids[ORPHANS_MAX];

    for (int i = 0; i < 50; i++)
        spawn("exec sleep 1000");
    assert_int_equal(orphans_children(pids), 50);
    assert_int_equal(orphans_sweep(NULL, 0, ORPHANS_OF_ANY_AGE, 1), 0);
    assert_int_equal(orphans_children(pids), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_children),
            cmocka_unit_test(test_families),
            cmocka_unit_test(test_age),
            cmocka_unit_test(test_many),
    };

    ASSERT(orphans_adopt() == 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
