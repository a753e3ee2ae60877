// SPDX-License-Identifier: Apache-2.0
/* What a child takes away from itself: what it then sees and may, that nothing of it is left, and that what cannot be done is
 * named. Where there are no user namespaces only that is tested, and the program says so by its exit code. */
#include "base/child.h"
#include "tests/support/testing.h"

#include <limits.h>
#include <poll.h>

#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { EXIT_SKIPPED = 77, TMP_BYTES = 1 << 20 };

static int has_spaces;

/* What @script says in such a child; its exit code. */
static int run(const struct confine *confine, const char *script, char *said, size_t size)
{
    char sh[] = "sh", c[] = "-c", text[1024], path[] = "PATH=/usr/bin:/bin:/usr/sbin:/sbin";
    char *const argv[] = {sh, c, text, NULL}, *const env[] = {path, NULL};
    struct confine own = *confine;
    struct child_setup setup = {.guard_fd = -1, .cgroup_fd = -1, .confine = &own};
    struct child child;
    struct rusage usage;
    size_t n = 0, more = 1;
    int status;

    snprintf(text, sizeof text, "exec 2>&1; %s", script);
    assert_int_equal(child_start("/bin/sh", argv, env, &setup, &child), 0);
    while (more && n < size - 1) {
        struct pollfd p = {.fd = child.out, .events = POLLIN};

        assert_int_equal(poll(&p, 1, -1), 1);
        more = child_read(&child.out, said + n, size - 1 - n);
        n += more;
    }
    said[n] = '\0';
    struct pollfd p = {.fd = child.pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, -1), 1);
    status = child_reap(&child, &usage);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const struct confine *confine, const char *script, const char *wanted)
{
    char said[4096];

    (void)run(confine, script, said, sizeof said);
    assert_string_equal(said, wanted);
}

static void test_tmp(void **state)
{
    char path[] = "/tmp/test-confine-XXXXXX", script[512], said[4096];
    struct confine c;
    struct stat st;

    assert_non_null(mkdtemp(path));
    confine_init(&c, CONFINE_TMP, TMP_BYTES);
    expect(&c, "ls -A /tmp; echo here >/tmp/test-confine; cat /var/tmp/test-confine /dev/shm/test-confine",
           "here\nhere\n");
    expect(&c, "ls -A /tmp /var/tmp | grep -c test-confine", "0\n");
    assert_int_equal(stat("/tmp/test-confine", &st), -1);
    assert_int_not_equal(run(&c, "head -c 2000000 /dev/zero >/tmp/x", said, sizeof said), 0);
    assert_non_null(strstr(said, "No space left"));
    /* what is kept is seen, and nothing beside it */
    snprintf(script, sizeof script, "echo there >%s/0", path);
    assert_int_equal(system(script), 0);
    c.keep = path;
    snprintf(script, sizeof script, "cat %s/0; ls -A /tmp | wc -l", path);
    expect(&c, script, "there\n1\n");
    c.keep = "/no/such";
    assert_int_equal(child_try(&c), -ENOENT);
    assert_non_null(strstr(c.failed, "upstreams"));
    snprintf(script, sizeof script, "rm -r %s", path);
    assert_int_equal(system(script), 0);
}

/* $TMPDIR is the same place, also where it is in /tmp. */
static void test_tmpdir(void **state)
{
    char path[] = "/tmp/test-confine-XXXXXX", script[512];
    struct confine c;

    assert_non_null(mkdtemp(path));
    assert_int_equal(setenv("TMPDIR", path, 1), 0);
    confine_init(&c, CONFINE_TMP, TMP_BYTES);
    snprintf(script, sizeof script, "echo a >/tmp/a; cat %s/a", path);
    expect(&c, script, "a\n");
    c.tmp_also = "/no/such/place";
    assert_int_equal(child_try(&c), -ENOENT);
    assert_string_equal(c.failed, "a private $TMPDIR");
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_int_equal(rmdir(path), 0);
}

static void test_network(void **state)
{
    struct confine c;

    confine_init(&c, CONFINE_NETWORK, 0);
    expect(&c, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /proc/net/unix | wc -l", "lo\n1\n");
}

static void test_files(void **state)
{
    struct confine c;
    char said[4096];

    confine_init(&c, CONFINE_FILES, 0);
    assert_int_not_equal(run(&c, "echo >/tmp/test-confine", said, sizeof said), 0);
    assert_non_null(strstr(said, "Read-only file system"));
    assert_int_not_equal(run(&c, "mount -o remount,rw /", said, sizeof said), 0);
    expect(&c, "echo to >/dev/null && echo fine", "fine\n");
    confine_init(&c, CONFINE_FILES | CONFINE_TMP, TMP_BYTES);
    expect(&c, "echo here >/tmp/x; cat /tmp/x", "here\n");
}

/* Who it is, and what it may: as before, and nothing. */
static void test_user(void **state)
{
    struct confine c;
    char wanted[128];

    confine_init(&c, CONFINE_NETWORK, 0);
    snprintf(wanted, sizeof wanted, "%u\n%u\n0000000000000000\n0000000000000000\n0000000000000000\n",
             geteuid(), getegid());
    expect(&c, "id -u; id -g; awk '/^Cap(Prm|Eff|Bnd)/ {print $2}' /proc/self/status", wanted);
}

/* A filter that refuses one call. */
static void test_calls(void **state)
{
    struct sock_filter refuse_chdir[] = {
            {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_chdir},
            {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
            {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct confine c;

    confine_init(&c, CONFINE_CALLS, 0);
    c.calls = (struct sock_fprog){.len = 4, .filter = refuse_chdir};
    assert_int_equal(child_try(&c), 0);
    expect(&c, "cd / 2>/dev/null || echo refused", "refused\n");
    c.calls.len = 3; /* it does not end */
    c.calls.filter[2] = (struct sock_filter){BPF_LD | BPF_W | BPF_ABS, 0, 0, 0};
    assert_int_equal(child_try(&c), -EINVAL);
    assert_string_equal(c.failed, "a filter of system calls");
}

/* This program as `without`, in a user namespace in which there may be no other. */
static int without(void)
{
    struct confine c;

    confine_init(&c, CONFINE_NETWORK, 0);
    return child_try(&c) < 0 && c.failed && strcmp(c.failed, "a user namespace") == 0 ? 0 : 1;
}

static void test_not_allowed(void **state)
{
    char self[PATH_MAX] = "", command[2 * PATH_MAX];

    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(command, sizeof command, "%s '%s' without",
             has_spaces ? "unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"' sh"
                        : "",
             self);
    assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest anywhere[] = {cmocka_unit_test(test_calls), cmocka_unit_test(test_not_allowed)};
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_tmp),   cmocka_unit_test(test_tmpdir), cmocka_unit_test(test_network),
            cmocka_unit_test(test_files), cmocka_unit_test(test_user),
    };
    struct confine c;
    int r;

    if (argc > 1)
        return without();
    confine_init(&c, CONFINE_SPACES, TMP_BYTES);
    has_spaces = child_try(&c) == 0;
    r = cmocka_run_group_tests_name("confine, anywhere", anywhere, NULL, NULL);
    if (r != 0)
        return r;
    if (!has_spaces) {
        printf("skipped: this machine does not let us have %s\n", c.failed);
        return EXIT_SKIPPED;
    }
    return cmocka_run_group_tests_name("confine", tests, NULL, NULL);
}
