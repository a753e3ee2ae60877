// SPDX-License-Identifier: Apache-2.0
/*
 * posix_spawn and what goes into it. The three descriptors of a child are first moved out of the way of the numbers
 * that they will have (a dup2 must not close the source of the next one), everything above is closed in the child even
 * where somebody forgot CLOEXEC, and signals start as in a fresh process: a daemon blocks and ignores some.
 *
 * The runpage is sealed against resizing: a worker that shrinks it could kill the daemon with SIGBUS.
 */
#include "pool/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { ABOVE_CHILD_FDS = 10 };

/* What a worker sees of the daemon's environment. The options of the sanitizers do nothing in other builds. No
 * LD_LIBRARY_PATH: a plugin names its libraries by its run path. */
static const char *const allowed[] = {
        "PATH",     "HOME", "USER",   "LOGNAME",      "SHELL",         "LANG",         "LC_ALL",
        "LC_CTYPE", "TZ",   "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
};
_Static_assert(ARRAY_LEN(allowed) + 2 <= SPAWN_ENVIRONMENT_MAX, "room for a default PATH and the end");

static int is_named(const char *entry, const char *name)
{
    size_t n = strlen(name);

    return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

void spawn_environment(char *const *from, char *to[static SPAWN_ENVIRONMENT_MAX])
{
    static char default_path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        char *const *entry = from;

        while (*entry && !is_named(*entry, allowed[i]))
            entry++;
        if (*entry)
            to[n++] = *entry;
        else if (i == 0)
            to[n++] = default_path;
    }
    to[n] = NULL;
}

static int above(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);

    return moved < 0 ? -errno : moved;
}

/* Make the page, its mapping here and a descriptor for the child. */
static int make_page(struct runpage **ret_page, int *ret_fd)
{
    int fd CLEANUP(err_close) = memfd_create("futured-runpage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *page;
    int child_fd;

    if (fd < 0 || ftruncate(fd, RUNPAGE_BYTES) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    child_fd = above(fd);
    if (child_fd < 0)
        return child_fd;
    page = mmap(NULL, RUNPAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        int r = -errno;

        close(child_fd);
        return r;
    }
    *ret_page = page;
    *ret_fd = child_fd;
    return 0;
}

static int make_sockets(int *ret_ours, int *ret_child)
{
    int pair[2], child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    child = fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : above(pair[1]);
    close(pair[1]);
    if (child < 0) {
        close(pair[0]);
        return child;
    }
    *ret_ours = pair[0];
    *ret_child = child;
    return 0;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;

    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    sigemptyset(&none);
    return posix_spawnattr_setflags(attributes,
                                    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) ||
           posix_spawnattr_setpgroup(attributes, 0) || posix_spawnattr_setsigmask(attributes, &none) ||
           posix_spawnattr_setsigdefault(attributes, &all);
}

/* Run @path with the given descriptors. The pid, or -errno. */
static pid_t run(const char *path, int socket, int page, int spec)
{
    char *environment[SPAWN_ENVIRONMENT_MAX];
    char name[] = "futured-worker";
    char *const arguments[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;
    int r;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    spawn_environment(environ, environment);
    if (set_attributes(&attributes) ||
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ||
        posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO) ||
        posix_spawn_file_actions_adddup2(&actions, socket, SPAWN_SOCKET_FD) ||
        posix_spawn_file_actions_adddup2(&actions, page, SPAWN_PAGE_FD) ||
        posix_spawn_file_actions_adddup2(&actions, spec, SPAWN_SPEC_FD) ||
        posix_spawn_file_actions_addclosefrom_np(&actions, SPAWN_SPEC_FD + 1))
        r = ENOMEM;
    else
        r = posix_spawn(&pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r ? -r : pid;
}

int spawn_worker(const char *path, int spec_fd, struct spawn_child *ret)
{
    int ours CLEANUP(err_close) = -1, socket CLEANUP(err_close) = -1;
    int page_fd CLEANUP(err_close) = -1, spec CLEANUP(err_close) = -1;
    struct runpage *page = NULL;
    pid_t pid;
    int pidfd, r;

    r = make_sockets(&ours, &socket);
    if (r < 0)
        return r;
    spec = above(spec_fd);
    if (spec < 0)
        return spec;
    r = make_page(&page, &page_fd);
    if (r < 0)
        return r;
    pid = run(path, socket, page_fd, spec);
    if (pid < 0) {
        spawn_unmap(page);
        return pid;
    }
    pidfd = pidfd_open(pid, 0);         /* still ours: nobody else reaps it */
    if (pidfd < 0 && errno != ENOSYS) { /* without the call (valgrind) the pool has to ask */
        r = -errno;
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
        spawn_unmap(page);
        return r;
    }
    *ret = (struct spawn_child){.pid = pid, .pidfd = pidfd, .socket = ours, .page = page};
    ours = -1;
    return 0;
}

void spawn_unmap(struct runpage *page)
{
    if (page)
        munmap(page, RUNPAGE_BYTES);
}
