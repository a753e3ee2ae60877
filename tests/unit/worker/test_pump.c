// SPDX-License-Identifier: Apache-2.0
/* One process for one attempt: what its limits do, what they are said to be, and that nothing of it is left. (Pipes, cancels
 * and errors: test_command.c.) */
#include "base/orphans.h"
#include "tests/unit/worker/call.h"
#include "worker/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

enum { EXIT_SKIPPED = 77 };

static struct test_call t;

/* Whether it did not fail. */
static int run(const char *script, const struct pump_limits *limits)
{
    struct pump p = {.call = &t.call, .limits = limits, .max_output_bytes = 1000, .err = BUF_INIT};
    char sh[] = "sh", c[] = "-c", text[1024];
    char *const argv[] = {sh, c, text, NULL};
    int r;

    snprintf(text, sizeof text, "%s", script);
    test_call_begin(&t, SPAN_LIT(""), NULL, 1000);
    r = pump_run(&p, "/bin/sh", argv, environ, NULL);
    if (r == 0) {
        r = pump_judge(&p);
        t.call.n_result = buf_len(&t.call.result);
    }
    pump_deinit(&p);
    return r == 0;
}

static void test_plain(void **state)
{
    static const struct pump_limits none;

    assert_true(run("echo hello", &none));
    test_call_expect(&t, "hello\n");
    assert_false(run("echo why >&2; exit 3", &none));
    test_call_expect_failure(&t, "", GRPC_UNKNOWN, "EXIT_CODE", "exit code 3: why");
    assert_true(span_eq(t.call.failure.traceback, SPAN_LIT("why\n")));
    assert_false(run("yes", &none));
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "", "at most 1000 are allowed");
}

/* One that ends at SIGXCPU, and one that does not care. */
static void test_cpu_limit(void **state)
{
    static const struct pump_limits limits = {.cpu_seconds = 1};
    static const char *const scripts[] = {"while :; do :; done", "trap '' XCPU; while :; do :; done"};
    static const int signals[] = {SIGXCPU, SIGKILL};

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        assert_false(run(scripts[i], &limits));
        test_call_expect_failure(&t, "CPU_LIMIT", GRPC_RESOURCE_EXHAUSTED, "",
                                 "used the 1 s of processor time");
        assert_int_equal(t.call.signal.value, signals[i]);
        assert_true(t.call.usage.user_ns + t.call.usage.system_ns > 0);
    }
    /* the same signals from elsewhere are what they are */
    assert_false(run("kill -KILL $$", &limits));
    test_call_expect_failure(&t, "CRASHED", GRPC_INTERNAL, "", "killed by SIGKILL");
}

static void test_open_files(void **state)
{
    static const struct pump_limits limits = {.open_files = 20};

    assert_true(run("ulimit -n", &limits));
    test_call_expect(&t, "20\n");
}

/* Without a group of its own each process has its address space limited; what then happens is the process's own affair. */
static void test_memory_without_a_group(void **state)
{
    static const struct pump_limits limits = {.memory_bytes = 64 << 20};

    assert_true(run("ulimit -v", &limits));
    test_call_expect(&t, "65536\n");
    assert_false(run("exec tail /dev/zero", &limits));
    assert_string_not_equal(t.call.failure.reason, "MEMORY_LIMIT"); /* nobody has said so */
}

/* Where there are control groups the kernel ends it and says so, and the group is gone afterwards. */
static void test_memory_in_a_group(void **state)
{
    static const struct pump_limits limits = {.memory_bytes = 32 << 20};
    struct pump p = {.call = &t.call, .limits = &limits, .max_output_bytes = 1000, .err = BUF_INIT};
    char sh[] = "sh", c[] = "-c", text[] = "setsid sleep 1000 & echo up; exec tail /dev/zero";
    char *const argv[] = {sh, c, text, NULL};
    char own[CGROUP_OWN_BYTES];
    struct cgroup_home home;
    struct stat st;

    cgroup_own(own);
    cgroup_find(&home, "/sys/fs/cgroup", own);
    p.cgroups = &home;
    test_call_begin(&t, SPAN_LIT(""), NULL, 1000);
    assert_int_equal(pump_run(&p, "/bin/sh", argv, environ, NULL), 0);
    assert_int_equal(pump_judge(&p), -1);
    test_call_expect_failure(&t, "MEMORY_LIMIT", GRPC_RESOURCE_EXHAUSTED, "",
                             "used the 33554432 bytes of memory");
    assert_int_equal(t.call.signal.value, SIGKILL);
    assert_int_equal(home.n_made, 1);
    snprintf(home.path + strlen(home.path), 64, "/futured-call-%d-0", (int)getpid());
    assert_int_equal(stat(home.path, &st), -1);
    pump_deinit(&p);
}

/* It has left its group and its session, and its parent is gone: it comes to us, and goes. */
static void test_what_has_left(void **state)
{
    static const struct pump_limits none;
    struct pollfd end = {.events = POLLIN};
    char fifo[64], c;

    snprintf(fifo, sizeof fifo, "/tmp/futured-pump-%d", (int)getpid());
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    end.fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(setenv("FIFO", fifo, 1), 0);
    assert_true(run("exec 7>$FIFO; for i in 1 2 3; do (setsid sh -c 'setsid sleep 1000 & exec sleep 1000' "
                    ">/dev/null 2>&1 &); done; echo up",
                    &none));
    test_call_expect(&t, "up\n");
    while (read(end.fd, &c, 1) != 0) /* its end: nobody holds the other one */
        assert_int_equal(poll(&end, 1, -1), 1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    close(end.fd);
    unlink(fifo);
}

static int has_groups(void)
{
    char own[CGROUP_OWN_BYTES];
    struct cgroup_home home;

    cgroup_own(own);
    cgroup_find(&home, "/sys/fs/cgroup", own);
    return home.version != 0;
}

/* With the argument "group" only what needs control groups. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_plain),         cmocka_unit_test(test_cpu_limit),
            cmocka_unit_test(test_open_files),    cmocka_unit_test(test_memory_without_a_group),
            cmocka_unit_test(test_what_has_left),
    };
    const struct CMUnitTest group_tests[] = {cmocka_unit_test(test_memory_in_a_group)};
    int is_group = argc > 1 && strcmp(argv[1], "group") == 0, failed;

    if (is_group && !has_groups()) {
        puts("there is no control group that can be used");
        return EXIT_SKIPPED;
    }
    signal(SIGPIPE, SIG_IGN);
    ASSERT(orphans_adopt() == 0);
    test_call_init(&t);
    failed = is_group ? cmocka_run_group_tests(group_tests, NULL, NULL)
                      : cmocka_run_group_tests(tests, NULL, NULL);
    test_call_deinit(&t);
    return failed;
}
