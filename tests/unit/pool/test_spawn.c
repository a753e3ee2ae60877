// SPDX-License-Identifier: Apache-2.0
/* What a child finds when it starts: descriptors, environment, signals, process group; and what is left here when it
 * cannot be started. */
#include "pool/spawn.h"
#include "tests/unit/pool/support.h"

#include <limits.h>

#include <sys/socket.h>

static void finish(struct spawn_child *child)
{
    close(child->sockets[0]);
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    close(child->pidfd);
    spawn_unmap(child->pages, child->n_threads);
}

static struct spawn_child start(struct script *script, const char *text, int spec)
{
    struct spawn_child child;

    script_init(script, text);
    assert_int_equal(spawn_worker(script->path, spec, 1, &child), 0);
    return child;
}

static void test_descriptors(void **state)
{
    int before = count_fds(), spec = new_spec_fd(), null = open("/dev/null", O_RDONLY);
    int leaked = fcntl(null, F_DUPFD, 50); /* without CLOEXEC */
    struct script script;
    struct spawn_child child = start(
            &script,
            "for fd in 3 4 5 6 7 8 9 50; do test -e /proc/$$/fd/$fd && printf \"$fd \" >&3; done; echo >&3\n"
            "readlink /proc/$$/fd/0 >&3\n"
            "test /proc/$$/fd/1 -ef /proc/$$/fd/2 && echo same >&3\n"
            "cat <&5 >&3\n"
            "printf '\\001' | dd of=/dev/fd/4 conv=notrunc 2>/dev/null; echo written >&3\n"
            "dd if=/dev/null of=/dev/fd/4 2>/dev/null || echo sealed >&3",
            spec);
    char line[256];

    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "3 4 5 ");
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "/dev/null");
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "same");
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "spec");
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "written");
    assert_int_equal(atomic_load(&child.pages[0].n_started), 1);
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "sealed");

    assert_true(fcntl(child.sockets[0], F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(child.sockets[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(child.pidfd, F_GETFD) & FD_CLOEXEC);
    finish(&child);
    close(leaked);
    close(null);
    close(spec);
    script_deinit(&script);
    assert_int_equal(count_fds(), before);
    assert_no_children();
}

static void test_child_number_is_in_use(void **state)
{
    /* the numbers that a child gives to its descriptors are taken here by those that it is made of */
    int low = new_spec_fd(), spec = fcntl(low, F_DUPFD_CLOEXEC, 60);
    struct script script;
    struct spawn_child child;
    char line[64];

    close(low);
    assert_int_equal(fcntl(3, F_GETFD), -1);
    child = start(&script, "cat <&5 >&3; echo end >&3", spec);
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "spec");
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "end");
    finish(&child);
    close(spec);
    script_deinit(&script);
}

static void test_signals_and_group(void **state)
{
    int spec = new_spec_fd();
    struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
    struct spawn_child child;
    struct script script;
    sigset_t block, old;
    char line[256];

    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &block, &old), 0);
    assert_int_equal(sigaction(SIGPIPE, &ignore, &was), 0);
    child = start(&script, "awk '/^Sig(Blk|Ign)/ {print $2}' /proc/self/status >&3; read line <&3", spec);
    assert_int_equal(sigaction(SIGPIPE, &was, NULL), 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);

    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "0000000000000000");
    read_line(child.sockets[0], line, sizeof line);
    /* 32 and 33 are of the C library itself, which lets a child ignore them */
    assert_int_equal(strtoull(line, NULL, 16) & ~UINT64_C(0x180000000), 0);
    assert_int_equal(getpgid(child.pid), child.pid);
    assert_int_not_equal(getpgid(0), child.pid);
    finish(&child);
    close(spec);
    script_deinit(&script);
}

static void test_environment(void **state)
{
    char path[] = "PATH=/x", secret[] = "SECRET=1", tz[] = "TZ=UTC", prefix[] = "TZDIR=/y",
         *to[SPAWN_ENVIRONMENT_MAX];
    char *const given[] = {secret, tz, path, prefix, NULL}, *const nothing[] = {NULL};

    spawn_environment(given, to);
    assert_ptr_equal(to[0], path);
    assert_ptr_equal(to[1], tz);
    assert_null(to[2]);
    spawn_environment(nothing, to);
    assert_string_equal(to[0], "PATH=/usr/local/bin:/usr/bin:/bin");
    assert_null(to[1]);
}

static void test_child_sees_that_environment(void **state)
{
    int spec = new_spec_fd();
    struct spawn_child child;
    struct script script;
    char line[256];

    assert_int_equal(setenv("FUTURED_SECRET", "1", 1), 0);
    child = start(&script, "echo \"${FUTURED_SECRET-none} ${PATH:+path}\" >&3", spec);
    assert_int_equal(unsetenv("FUTURED_SECRET"), 0);
    read_line(child.sockets[0], line, sizeof line);
    assert_string_equal(line, "none path");
    finish(&child);
    close(spec);
    script_deinit(&script);
}

static void test_cannot_start(void **state)
{
    int before = count_fds(), spec = new_spec_fd();
    struct spawn_child child;

    assert_int_equal(spawn_worker("/no/such/worker", spec, 1, &child), -ENOENT);
    assert_int_equal(spawn_worker("/dev/null", spec, 1, &child), -EACCES);
    close(spec);
    assert_int_equal(count_fds(), before);
    assert_no_children();
}

static void test_no_descriptors_left(void **state)
{
    int before = count_fds(), spec = new_spec_fd();
    struct rlimit old, few;
    struct script script;
    struct spawn_child child;
    int r, n_failed = 0;

    script_init(&script, "read line <&3");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    /* from too few for anything to just enough: each step fails, and gives back what it had */
    for (few.rlim_cur = (rlim_t)spec + 1;; few.rlim_cur++) {
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        r = spawn_worker(script.path, spec, 1, &child);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        if (r == 0)
            break;
        assert_true(r == -EMFILE || r == -EINVAL ||
                    r == -EBADF); /* EINVAL, EBADF: the limit is below the numbers */
        assert_int_equal(count_fds(), before + 1);
        assert_no_children();
        n_failed++;
    }
    assert_true(n_failed >= 5);
    finish(&child);
    close(spec);
    script_deinit(&script);
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_descriptors),
            cmocka_unit_test(test_child_number_is_in_use),
            cmocka_unit_test(test_signals_and_group),
            cmocka_unit_test(test_environment),
            cmocka_unit_test(test_child_sees_that_environment),
            cmocka_unit_test(test_cannot_start),
            cmocka_unit_test(test_no_descriptors_left),
    };

    ASSERT(close_range(3, UINT_MAX, 0) == 0); /* what ctest leaves open would be in the way of the numbers */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
