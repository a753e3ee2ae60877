// SPDX-License-Identifier: Apache-2.0
/* One child process: its pipes, its descriptors, its signals, its group, its death with ours, and its end. */
#include "base/child.h"
#include "tests/support/testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include <sys/prctl.h>

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static struct child_setup setup = {.guard_fd = -1, .cgroup_fd = -1};

static struct child start(const char *script)
{
    char sh[] = "sh", c[] = "-c", text[1024], path[] = "PATH=/usr/bin:/bin";
    char *const argv[] = {sh, c, text, NULL}, *const env[] = {path, NULL};
    struct child child;

    snprintf(text, sizeof text, "%s", script);
    assert_int_equal(child_start("/bin/sh", argv, env, &setup, &child), 0);
    return child;
}

/* All that comes from @fd until its end. */
static void read_all(int fd, char *text, size_t size)
{
    size_t n = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t r;

        assert_int_equal(poll(&p, 1, -1), 1);
        r = read(fd, text + n, size - 1 - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    text[n] = '\0';
}

static void wait_death(const struct child *c)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, -1), 1);
}

static void expect_output(const char *script, const char *expected)
{
    struct child c = start(script);
    char text[1024];
    struct rusage usage;

    read_all(c.out, text, sizeof text);
    assert_string_equal(text, expected);
    wait_death(&c);
    assert_int_equal(child_reap(&c, &usage), 0);
}

static void test_pipes(void **state)
{
    struct child c = start("read line; echo \"out $line\"; echo err >&2; exit 7");
    char text[64];
    struct rusage usage;
    int status;

    assert_true(fcntl(c.in, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(c.out, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(c.err, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(c.in, F_GETFD) & fcntl(c.out, F_GETFD) & fcntl(c.err, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(c.in, "in\n", 3), 3);
    read_all(c.out, text, sizeof text);
    assert_string_equal(text, "out in\n");
    read_all(c.err, text, sizeof text);
    assert_string_equal(text, "err\n");
    wait_death(&c);
    status = child_reap(&c, &usage);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_true(c.in == -1 && c.out == -1 && c.err == -1 && c.pidfd == -1);
}

static void test_sees_nothing_else(void **state)
{
    int null = open("/dev/null", O_RDONLY), leaked = fcntl(null, F_DUPFD, 50); /* without CLOEXEC */
    struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
    sigset_t block, old;

    assert_int_equal(leaked, 50);
    expect_output("for fd in 3 4 5 6 7 8 9 50; do test -e /proc/$$/fd/$fd && echo $fd; done; echo end",
                  "end\n");
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_BLOCK, &block, &old), 0);
    assert_int_equal(sigaction(SIGPIPE, &ignore, &was), 0);
    /* 32 and 33 are of the C library; sh ignores none of its own here */
    expect_output("awk '/^SigBlk/ {print $2} /^SigIgn/ {print substr($2, 9)}' /proc/self/status",
                  "0000000000000000\n00000000\n");
    assert_int_equal(sigaction(SIGPIPE, NULL, &was), 0);
    assert_ptr_equal(was.sa_handler, SIG_IGN); /* ours is as it was */
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    signal(SIGPIPE, SIG_DFL);
    expect_output("echo $FOO${PATH}", "/usr/bin:/bin\n");
    close(leaked);
    close(null);
}

static void test_cannot_start(void **state)
{
    char name[] = "x";
    char *const argv[] = {name, NULL}, *const env[] = {NULL};
    int before = count_fds();
    struct child c;

    assert_int_equal(child_start("/no/such/program", argv, env, &setup, &c), -ENOENT);
    assert_int_equal(child_start("/dev/null", argv, env, &setup, &c), -EACCES);
    assert_int_equal(child_start("/", argv, env, &setup, &c), -EACCES);
    assert_int_equal(count_fds(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Its directory, its limits, and its name in a file of a control group. */
static void test_setup(void **state)
{
    char *text = NULL, said[512], wanted[512];
    struct rusage usage;
    int cgroup[2];
    struct child c;

    assert_int_equal(pipe(cgroup), 0);
    setup = (struct child_setup){.directory = "/usr/bin",
                                 .guard_fd = -1,
                                 .cgroup_fd = cgroup[1],
                                 .cpu_seconds = 7,
                                 .memory_bytes = (uint64_t)1 << 30,
                                 .open_files = 33};
    c = start("pwd; ulimit -t; ulimit -v; ulimit -n; ulimit -H -t");
    read_all(c.out, said, sizeof said);
    assert_string_equal(said, "/usr/bin\n7\n1048576\n33\n10\n");
    wait_death(&c);
    assert_int_equal(child_reap(&c, &usage), 0);
    assert_int_equal(read(cgroup[0], wanted, sizeof wanted), 1);
    assert_int_equal(wanted[0], '0');
    setup = (struct child_setup){.directory = "/no/such", .guard_fd = -1, .cgroup_fd = -1};
    assert_int_equal(child_start("/bin/true", &text, &text, &setup, &c), -ENOENT);
    assert_true(setup.is_directory_bad);
    setup = (struct child_setup){.guard_fd = -1, .cgroup_fd = cgroup[0]}; /* cannot be written to */
    assert_int_equal(child_start("/bin/true", &text, &text, &setup, &c), -EBADF);
    assert_false(setup.is_directory_bad);
    setup = (struct child_setup){.guard_fd = -1, .cgroup_fd = -1};
    close(cgroup[0]);
    close(cgroup[1]);
}

static void test_no_descriptors_left(void **state)
{
    char name[] = "true";
    char *const argv[] = {name, NULL}, *const env[] = {NULL};
    int before = count_fds(), n_failed = 0, r = -1;
    struct rlimit old, few;
    struct rusage usage;
    struct child c;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    for (few.rlim_cur = 4; r < 0; few.rlim_cur++) {
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        r = child_start("/bin/true", argv, env, &setup, &c);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        if (r < 0) {
            assert_true(r == -EMFILE || r == -EINVAL);
            assert_int_equal(count_fds(), before);
            assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
            n_failed++;
        }
    }
    assert_true(n_failed >= 5);
    wait_death(&c);
    assert_int_equal(child_reap(&c, &usage), 0);
    assert_int_equal(count_fds(), before);
}

/* The grandchild keeps standard output open: its end says that the whole group is gone. */
static void test_group_is_killed(void **state)
{
    struct child c = start("(trap '' TERM HUP; exec tail -f /dev/null) & echo up; trap '' TERM; read line");
    struct rusage usage;
    char text[16];
    int status, out;

    assert_int_equal(getpgid(c.pid), c.pid);
    struct pollfd p = {.fd = c.out, .events = POLLIN};
    assert_int_equal(poll(&p, 1, -1), 1);
    assert_int_equal(read(c.out, text, sizeof text), 3);
    out = dup(c.out);
    status = child_reap(&c, &usage);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    p = (struct pollfd){.fd = out, .events = POLLIN};
    while (read(out, text, sizeof text) != 0)
        assert_int_equal(poll(&p, 1, -1), 1);
    close(out);
}

static void test_group_is_signalled(void **state)
{
    struct child c =
            start("sh -c 'trap \"echo inner; exit\" TERM; echo up; while :; do read line; done' & wait");
    struct rusage usage;
    char text[64];
    int out = dup(c.out);

    struct pollfd p = {.fd = c.out, .events = POLLIN};
    assert_int_equal(poll(&p, 1, -1), 1);
    child_signal(&c, SIGTERM);
    wait_death(&c);
    read_all(out, text, sizeof text); /* until the inner one has ended too */
    assert_non_null(strstr(text, "up\ninner\n"));
    assert_int_equal(WTERMSIG(child_reap(&c, &usage)), SIGTERM);
    close(out);
}

static void *start_and_leave(void *arg)
{
    *(struct child *)arg = start("read line");
    return NULL;
}

static void test_dies_with_its_thread(void **state)
{
    pthread_t thread;
    struct child c;
    struct rusage usage;

    assert_int_equal(pthread_create(&thread, NULL, start_and_leave, &c), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    wait_death(&c); /* although nothing was written to it */
    assert_int_equal(WTERMSIG(child_reap(&c, &usage)), SIGKILL);
}

static void test_usage(void **state)
{
    struct child c = start("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    struct rusage usage = {0};

    wait_death(&c);
    assert_int_equal(child_reap(&c, &usage), 0);
    assert_true(usage.ru_utime.tv_sec + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 0);
    assert_true(usage.ru_maxrss > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pipes),
            cmocka_unit_test(test_sees_nothing_else),
            cmocka_unit_test(test_cannot_start),
            cmocka_unit_test(test_setup),
            cmocka_unit_test(test_no_descriptors_left),
            cmocka_unit_test(test_group_is_killed),
            cmocka_unit_test(test_group_is_signalled),
            cmocka_unit_test(test_dies_with_its_thread),
            cmocka_unit_test(test_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
