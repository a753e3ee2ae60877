// SPDX-License-Identifier: Apache-2.0
/* The filter of system calls: what a process in it can do, and what not. (Sandboxes as a whole: integration/sandbox.) */
#include "base/child.h"
#include "tests/support/testing.h"
#include "worker/calls.h"

#include <poll.h>
#include <sched.h>

#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static struct arena arena;
static struct sock_fprog filter;

static long clone_(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(0);
    return pid;
}

/* Each line: what is called, and whether it is refused with EPERM. In the process that has the filter; 0, or the line. */
static int check(void)
{
    int line = 0;

#define REFUSED(call)                                  \
    if (line == 0 && ((call) != -1 || errno != EPERM)) \
    line = __LINE__
#define ALLOWED(call)            \
    if (line == 0 && (call) < 0) \
    line = __LINE__
    REFUSED(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
    REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    REFUSED(unshare(CLONE_NEWUSER));
    REFUSED(clone_(CLONE_NEWUSER));
    REFUSED(clone_(CLONE_NEWNS | CLONE_NEWPID));
    REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
    REFUSED(syscall(SYS_bpf, 0, NULL, 0));
    REFUSED(syscall(SYS_keyctl, 0, 0));
    REFUSED(syscall(SYS_personality, 0));
    REFUSED(socket(AF_PACKET, SOCK_RAW, 0));
    REFUSED(socket(AF_VSOCK, SOCK_STREAM, 0));
    REFUSED(socket(AF_UNSPEC, SOCK_STREAM, 0));
    REFUSED(ioctl(0, 0x5412 /* TIOCSTI */, ""));
    ALLOWED(socket(AF_UNIX, SOCK_STREAM, 0));
    ALLOWED(socket(AF_INET, SOCK_DGRAM, 0));
    ALLOWED(socket(AF_NETLINK, SOCK_RAW, 0));
    ALLOWED(clone_(0));

    if (line == 0 && (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS))
        line = __LINE__;
    return line;
}

static void test_what_is_refused(void **state)
{
    assert_int_equal(calls_filter(&arena, &filter), 0);
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, 2, &filter, NULL, NULL) < 0)
            _exit(1);
        _exit(check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 0)
        fail_msg("line %d (modulo 256) of check()", WEXITSTATUS(status));
}

/* As in the unit, where systemd's own filter refuses the call seccomp: in a process that has not asked the kernel before. */
static int make_and_enter_without_seccomp(void)
{
    struct sock_filter refuse_seccomp[] = {
            {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_seccomp},
            {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
            {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const struct sock_fprog around = {.len = ARRAY_LEN(refuse_seccomp), .filter = refuse_seccomp};
    struct confine c;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &around, NULL, NULL) < 0)
        return 1;
    confine_init(&c, CONFINE_CALLS, 0);
    if (calls_filter(&arena, &c.calls) != 0)
        return 2;
    return confine_calls(&c) == 0 ? 0 : 3;
}

static void test_without_seccomp(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(make_and_enter_without_seccomp());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_no_memory(void **state)
{
    struct arena small;
    struct sock_fprog none;

    arena_init(&small, 64);
    assert_int_equal(calls_filter(&small, &none), -ENOMEM);
    arena_deinit(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_without_seccomp),
                                       cmocka_unit_test(test_what_is_refused),
                                       cmocka_unit_test(test_no_memory)};
    int r;

    arena_init(&arena, 0);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return r;
}
