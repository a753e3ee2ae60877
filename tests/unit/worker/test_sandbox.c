// SPDX-License-Identifier: Apache-2.0
/* What the worker does to itself, each case in a child of its own, for none of it can be undone. */
#include "tests/support/testing.h"
#include "worker/sandbox.h"

#include <fcntl.h>
#include <poll.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { SEEN_OK = 0, SEEN_ORPHAN = 40, SEEN_FDS, SEEN_OTHER };

/* Put what the pool gives to its numbers; @page_bytes of the page. */
static void give(int socket, size_t page_bytes)
{
    int page = memfd_create("page", 0), spec = memfd_create("spec", 0), high[3];

    ASSERT(ftruncate(page, (off_t)page_bytes) == 0 && write(spec, "s", 1) == 1);
    high[0] = fcntl(socket, F_DUPFD, 100);
    high[1] = fcntl(page, F_DUPFD, 100);
    high[2] = fcntl(spec, F_DUPFD, 100);
    for (int i = 0; i < 3; i++)
        ASSERT(dup2(high[i], 3 + i) == 3 + i);
}

static int enter(struct sandbox *s)
{
    switch (sandbox_enter(s)) {
    case 0: return SEEN_OK;
    case SANDBOX_E_ORPHAN: return SEEN_ORPHAN;
    case SANDBOX_E_FDS: return SEEN_FDS;
    default: return SEEN_OTHER;
    }
}

/* Run @fn in a child with one end of a socketpair of ours; its exit code. */
static int in_child(int (*fn)(int socket))
{
    int pair[2], status;
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(pair[1]));
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status))
        fail_msg("died with wait status 0x%x", (unsigned int)status);
    return WEXITSTATUS(status);
}

static int look_around(int socket)
{
    struct sigaction pipe_action;
    struct rlimit core;
    struct sandbox s;
    int signal_of_death;
    char c;

    give(socket, RUNPAGE_BYTES);
    ASSERT(enter(&s) == SEEN_OK);
    ASSERT(s.sockets[0] >= 50 && (fcntl(s.sockets[0], F_GETFD) & FD_CLOEXEC));
    ASSERT(s.spec_fd == 5 && (fcntl(5, F_GETFD) & FD_CLOEXEC) && read(5, &c, 1) == 0);
    ASSERT(fcntl(3, F_GETFD) < 0 && fcntl(4, F_GETFD) < 0);
    for (int fd = 6; fd < 2000; fd++)
        ASSERT(fd == s.sockets[0] || fcntl(fd, F_GETFD) < 0);
    atomic_store(&s.pages[0].n_started, 1);
    ASSERT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    ASSERT(prctl(PR_GET_PDEATHSIG, &signal_of_death) == 0 && signal_of_death == SIGKILL);
    ASSERT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
    ASSERT(sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_IGN);
    return 0;
}

static void test_enters(void **state)
{
    assert_int_equal(in_child(look_around), 0);
}

/* A page and a socket for each thread. */
static int with_threads(int socket)
{
    struct sandbox s;

    give(socket, 3 * RUNPAGE_BYTES);
    ASSERT(dup2(socket, 6) == 6 && dup2(socket, 7) == 7 && dup2(socket, 8) == 8);
    ASSERT(enter(&s) == SEEN_OK && s.n_threads == 3);
    for (int i = 0; i < 3; i++)
        ASSERT(s.sockets[i] >= 50 && (fcntl(s.sockets[i], F_GETFD) & FD_CLOEXEC));
    for (int fd = 6; fd < 50; fd++)
        ASSERT(fcntl(fd, F_GETFD) < 0);
    atomic_store(&s.pages[2].n_started, 1);
    return 0;
}

static void test_threads(void **state)
{
    assert_int_equal(in_child(with_threads), 0);
}

static int with_few_files(int socket)
{
    struct rlimit few = {64, 64};
    struct sandbox s;

    give(socket, RUNPAGE_BYTES);
    ASSERT(setrlimit(RLIMIT_NOFILE, &few) == 0);
    ASSERT(enter(&s) == SEEN_OK);
    return s.sockets[0] >= 50 && s.sockets[0] < 64 ? 0 : 1;
}

static void test_low_limit_on_files(void **state)
{
    assert_int_equal(in_child(with_few_files), 0);
}

static int with_small_page(int socket)
{
    struct sandbox s;

    give(socket, RUNPAGE_BYTES - 1);
    return enter(&s);
}

static int with_too_many_pages(int socket)
{
    struct sandbox s;

    give(socket, (RUNPAGE_PAGES_MAX + 1) * (size_t)RUNPAGE_BYTES);
    return enter(&s);
}

static int with_no_spec(int socket)
{
    struct sandbox s;

    give(socket, RUNPAGE_BYTES);
    close(5);
    return enter(&s);
}

static int with_no_socket(int socket)
{
    struct sandbox s;

    give(socket, RUNPAGE_BYTES);
    ASSERT(dup2(5, 3) == 3); /* a file */
    return enter(&s);
}

static int with_nothing(int socket)
{
    struct sandbox s;

    close(3);
    close(4);
    close(5);
    return enter(&s);
}

static void test_wrong_descriptors(void **state)
{
    assert_int_equal(in_child(with_small_page), SEEN_FDS);
    assert_int_equal(in_child(with_too_many_pages), SEEN_FDS);
    assert_int_equal(in_child(with_no_spec), SEEN_FDS);
    assert_int_equal(in_child(with_no_socket), SEEN_FDS);
    assert_int_equal(in_child(with_nothing), SEEN_FDS);
}

/* A grandchild: the socketpair is not its parent's. */
static int as_orphan(int socket)
{
    pid_t pid = fork();
    int status;

    ASSERT(pid >= 0);
    if (pid == 0) {
        struct sandbox s;

        give(socket, RUNPAGE_BYTES);
        _exit(enter(&s));
    }
    ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_orphan(void **state)
{
    assert_int_equal(in_child(as_orphan), SEEN_ORPHAN);
}

/* Its parent dies; that nobody holds the other end of its pipe any more says that it died too. */
static void test_dies_with_the_daemon(void **state)
{
    int alive[2], status;
    struct pollfd p;
    pid_t daemon;
    char c;

    assert_int_equal(pipe(alive), 0);
    fflush(NULL);
    daemon = fork();
    if (daemon == 0) {
        int pair[2];

        ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        if (fork() == 0) {
            struct sandbox s;
            int out = dup2(alive[1], STDOUT_FILENO); /* survives the closing of what is stray */

            give(pair[1], RUNPAGE_BYTES);
            ASSERT(enter(&s) == SEEN_OK);
            ASSERT(write(out, "r", 1) == 1);
            for (;;)
                pause();
        }
        close(alive[1]);
        ASSERT(read(alive[0], &c, 1) == 1); /* it is ready */
        _exit(0);
    }
    close(alive[1]);
    assert_int_equal(waitpid(daemon, &status, 0), daemon);
    p = (struct pollfd){.fd = alive[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, -1), 1);
    assert_int_equal(read(alive[0], &c, 1), 0);
    close(alive[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_enters),
            cmocka_unit_test(test_threads),
            cmocka_unit_test(test_low_limit_on_files),
            cmocka_unit_test(test_wrong_descriptors),
            cmocka_unit_test(test_orphan),
            cmocka_unit_test(test_dies_with_the_daemon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
