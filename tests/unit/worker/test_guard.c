// SPDX-License-Identifier: Apache-2.0
/* The guard: it kills the group that was noted last when the pipe ends, and nothing else; it is started again when it is
 * gone; signals that are meant for all do not end it. */
#include "tests/support/testing.h"
#include "worker/guard.h"

#include <fcntl.h>

#include <sys/ioctl.h>

/* A process in a group of its own that lives until it is killed; *ret_alive ends with it. */
static pid_t start_victim(int *ret_alive)
{
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        ASSERT(write(ends[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    close(ends[1]);
    char c;
    assert_int_equal(read(ends[0], &c, 1), 1);
    *ret_alive = ends[0];
    return pid;
}

static void expect_killed(pid_t pid, int alive)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    close(alive);
}

static void test_kills_what_is_noted_last(void **state)
{
    struct guard g;
    int first_alive, second_alive, fd;
    pid_t first = start_victim(&first_alive), second = start_victim(&second_alive);

    guard_init(&g, WORKER_PATH);
    fd = guard_clear(&g);
    assert_true(fd >= 0 && fd == g.fd);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(fd, &first, sizeof first), sizeof first);
    assert_int_equal(guard_clear(&g), fd); /* the same one */
    assert_int_equal(write(fd, &second, sizeof second), sizeof second);
    guard_deinit(&g);
    expect_killed(second, second_alive);
    assert_int_equal(waitpid(first, NULL, WNOHANG), 0); /* lives */
    kill(first, SIGKILL);
    expect_killed(first, first_alive);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no guard is left */
}

static void test_nothing_is_noted(void **state)
{
    struct guard g;
    int alive, fd;
    pid_t victim = start_victim(&alive);

    guard_init(&g, WORKER_PATH);
    fd = guard_clear(&g);
    assert_int_equal(write(fd, &victim, sizeof victim), sizeof victim);
    assert_int_equal(guard_clear(&g), fd); /* it has ended by itself, as far as we know */
    guard_deinit(&g);
    assert_int_equal(waitpid(victim, NULL, WNOHANG), 0);
    kill(victim, SIGKILL);
    expect_killed(victim, alive);
}

static void test_starts_again(void **state)
{
    struct guard g;
    int alive, fd;
    pid_t victim = start_victim(&alive), was;
    siginfo_t info;

    signal(SIGPIPE, SIG_IGN);
    guard_init(&g, WORKER_PATH);
    assert_true(guard_clear(&g) >= 0);
    was = g.pid;
    assert_int_equal(getpgid(was), was);
    kill(was, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)was, &info, WEXITED | WNOWAIT), 0);
    fd = guard_clear(&g);
    assert_true(fd >= 0);
    assert_int_not_equal(g.pid, was);
    assert_int_equal(write(fd, &victim, sizeof victim), sizeof victim);
    guard_deinit(&g);
    expect_killed(victim, alive);
}

static void test_no_guard(void **state)
{
    struct guard g;

    guard_init(&g, NULL);
    assert_int_equal(guard_clear(&g), -1);
    guard_deinit(&g);
    guard_init(&g, "/no/such/program");
    assert_int_equal(guard_clear(&g), -1);
    guard_deinit(&g);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* In a child: the guard itself, told to end by signals before its pipe does. */
static void test_signals_do_not_end_it(void **state)
{
    int ends[2], alive, status;
    pid_t victim = start_victim(&alive), guard;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    guard = fork();
    if (guard == 0) {
        close(ends[1]);
        _exit(guard_main(ends[0]));
    }
    close(ends[0]);
    assert_int_equal(write(ends[1], &victim, sizeof victim), sizeof victim);
    int unread;
    do /* until it reads, and so has set its signals */
        assert_int_equal(ioctl(ends[1], FIONREAD, &unread), 0);
    while (unread);
    kill(guard, SIGTERM);
    kill(guard, SIGINT);
    kill(guard, SIGHUP);
    close(ends[1]);
    expect_killed(victim, alive);
    assert_int_equal(waitpid(guard, &status, 0), guard);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_kills_what_is_noted_last),
            cmocka_unit_test(test_nothing_is_noted),
            cmocka_unit_test(test_starts_again),
            cmocka_unit_test(test_no_guard),
            cmocka_unit_test(test_signals_do_not_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
