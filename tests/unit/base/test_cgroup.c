// SPDX-License-Identifier: Apache-2.0
/* Where control groups may be made and what is written into them, in a folder that looks like the kernel's; the kernel's own
 * are used by unit/worker/pump. */
#include "base/cgroup.h"
#include "tests/support/testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

static char root[] = "/tmp/futured-cgroup-XXXXXX";

static const char *at(const char *path)
{
    static char text[8][1024];
    static int n;
    char *to = text[n++ % 8];

    assert_in_range(snprintf(to, sizeof text[0], "%s%s", root, path), 1, (int)sizeof text[0] - 1);
    return to;
}

static void make(const char *path)
{
    assert_true(mkdir(at(path), 0755) == 0 || errno == EEXIST);
}

static void put(const char *path, const char *text)
{
    int fd = open(at(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void expect(const char *path, const char *wanted)
{
    char text[512];
    int fd = open(at(path), O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);

    if (n < 0)
        fail_msg("%s: %s", path, strerror(errno));
    text[n] = '\0';
    close(fd);
    assert_string_equal(text, wanted);
}

static int is_there(const char *path)
{
    return access(at(path), F_OK) == 0;
}

/* Version 2 with a subtree of ours; as the daemon, then as a worker. */
static void test_version_2(void **state)
{
    struct cgroup_home home;
    struct cgroup c = {0};
    char path[512];

    make("/system.slice");
    make("/system.slice/futured.service");
    put("/system.slice/futured.service/cgroup.controllers", "cpu memory pids\n");
    put("/system.slice/futured.service/cgroup.subtree_control", "");
    make("/system.slice/futured.service/futured-daemon");
    put("/system.slice/futured.service/futured-daemon/cgroup.procs", "");
    assert_int_equal(cgroup_delegate(root, "0::/system.slice/futured.service\n"), 0);
    expect("/system.slice/futured.service/futured-daemon/cgroup.procs", "0");
    expect("/system.slice/futured.service/cgroup.subtree_control", "+memory");

    /* again, after a reload: from where it is now, which is not delegated once more */
    put("/system.slice/futured.service/futured-daemon/cgroup.controllers", "memory\n");
    put("/system.slice/futured.service/cgroup.subtree_control", "");
    assert_int_equal(cgroup_delegate(root, "0::/system.slice/futured.service/futured-daemon\n"), 0);
    expect("/system.slice/futured.service/cgroup.subtree_control", "+memory");
    assert_false(is_there("/system.slice/futured.service/futured-daemon/futured-daemon"));

    cgroup_find(&home, root, "0::/system.slice/futured.service/futured-daemon\n");
    assert_int_equal(home.version, 0); /* the kernel says "memory" where this file has "+memory" */
    put("/system.slice/futured.service/cgroup.subtree_control", "memory\n");
    make("/system.slice/futured.service/futured-call-999999999-0");
    snprintf(path, sizeof path, "/system.slice/futured.service/futured-call-%d-9", (int)getpid());
    make(path);
    cgroup_find(&home, root, "0::/system.slice/futured.service/futured-daemon\n");
    assert_int_equal(home.version, 2);
    assert_string_equal(home.path, at("/system.slice/futured.service"));
    assert_false(
            is_there("/system.slice/futured.service/futured-call-999999999-0")); /* of one that is gone */
    assert_true(is_there(path));
    assert_int_equal(rmdir(at(path)), 0);

    assert_int_equal(cgroup_make(&home, 12345, &c),
                     -ENOENT); /* there is no memory.max: the kernel would make it */
    snprintf(path, sizeof path, "/system.slice/futured.service/futured-call-%d-0", (int)getpid());
    assert_false(is_there(path));
    assert_int_equal(c.version, 0);
    cgroup_remove(&c); /* of one that was not made */
}

/* Files that stand for the kernel's must be there before: so the second group of this process is made by hand. */
static void test_what_is_said(void **state)
{
    char path[512], file[600];
    struct cgroup c = {.version = 2, .procs_fd = -1};

    snprintf(path, sizeof path, "/group");
    make(path);
    snprintf(c.path, sizeof c.path, "%s", at(path));
    snprintf(file, sizeof file, "%s/memory.events", path);
    put(file, "low 0\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_int_equal(cgroup_n_killed(&c), 2);
    c.version = 1;
    assert_int_equal(cgroup_n_killed(&c), 0); /* there is no such file */
    snprintf(file, sizeof file, "%s/memory.oom_control", path);
    put(file, "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
    assert_int_equal(cgroup_n_killed(&c), 5);
}

static void test_version_1(void **state)
{
    struct cgroup_home home;

    make("/memory");
    make("/memory/a");
    make("/memory/a/b");
    cgroup_find(&home, root, "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/x\n");
    assert_int_equal(home.version, 1);
    assert_string_equal(home.path, at("/memory/a/b"));
    cgroup_find(&home, root, "4:memory:/\n0::/\n");
    assert_int_equal(home.version, 1);
    assert_string_equal(home.path, at("/memory"));
    cgroup_find(&home, root, "4:memory:/no/such\n0::/\n");
    assert_int_equal(home.version, 0);
    cgroup_find(&home, root, "4:memory2:/a/b\n0::/\n");
    assert_int_equal(home.version, 0);
}

static void test_nothing(void **state)
{
    struct cgroup_home home;
    char own[CGROUP_OWN_BYTES];
    struct cgroup c;

    cgroup_find(&home, root, "");
    assert_int_equal(home.version, 0);
    assert_int_equal(cgroup_make(&home, 1, &c), -ENOENT);
    assert_int_equal(cgroup_delegate(root, ""), -ENOENT);
    assert_int_equal(cgroup_delegate(root, "0::/no/such\n"), -ENOENT);
    assert_int_equal(cgroup_delegate(root, "nonsense\n0:\n::\n"), -ENOENT);
    put("/system.slice/futured.service/cgroup.controllers", "cpu memory_not pids\n");
    assert_int_equal(cgroup_delegate(root, "0::/system.slice/futured.service\n"), -ENOENT);
    cgroup_own(own);
    assert_true(strlen(own) < sizeof own);

    /* what others are in is left as it was */
    make("/session.scope");
    put("/session.scope/cgroup.controllers", "memory\n");
    put("/session.scope/cgroup.procs", "");
    make("/session.scope/cgroup.subtree_control"); /* cannot be written */
    assert_true(cgroup_delegate(root, "0::/session.scope\n") < 0);
    expect("/session.scope/cgroup.procs", "0");
    assert_false(is_there("/session.scope/futured-daemon"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_version_2),
            cmocka_unit_test(test_what_is_said),
            cmocka_unit_test(test_version_1),
            cmocka_unit_test(test_nothing),
    };
    char command[600];
    int failed;

    ASSERT(mkdtemp(root));
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command) == 0 ? failed : 1;
}
