// SPDX-License-Identifier: Apache-2.0
/*
 * posix_spawn and what goes into it. The descriptors of a child are first moved out of the way of the numbers
 * that they will have (a dup2 must not close the source of the next one), everything above is closed in the child even
 * where somebody forgot CLOEXEC, and signals start as in a fresh process: a daemon blocks and ignores some.
 *
 * The runpages are sealed against resizing: a worker that shrinks it could kill the daemon with SIGBUS.
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

/* What a child of @n_threads gets, before it has its numbers there; -1: not made yet. */
struct parts {
    uint32_t n_threads;
    int sockets[RUNPAGE_PAGES_MAX], page, spec;
    int ours[RUNPAGE_PAGES_MAX];
    struct runpage *pages;
};

static int above(const struct parts *p, int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_MORE_FD + (int)p->n_threads);

    return moved < 0 ? -errno : moved;
}

/* Make the pages, their mapping here and a descriptor for the child. */
static int make_pages(struct parts *p)
{
    int fd CLEANUP(err_close) = memfd_create("futured-runpage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t n_bytes = p->n_threads * sizeof *p->pages;
    void *pages;

    if (fd < 0 || ftruncate(fd, (off_t)n_bytes) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    p->page = above(p, fd);
    if (p->page < 0)
        return p->page;
    pages = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return -errno;
    p->pages = pages;
    return 0;
}

static int make_sockets(struct parts *p, uint32_t i)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    p->ours[i] = pair[0];
    p->sockets[i] = fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : above(p, pair[1]);
    close(pair[1]);
    return MIN(p->sockets[i], 0);
}

static int make_parts(struct parts *p, int spec_fd, uint32_t n_threads)
{
    int r = 0;

    *p = (struct parts){.n_threads = n_threads, .page = -1};
    for (uint32_t i = 0; i < n_threads; i++)
        p->sockets[i] = p->ours[i] = -1;
    p->spec = above(p, spec_fd);
    if (p->spec < 0)
        return p->spec;
    for (uint32_t i = 0; r == 0 && i < n_threads; i++)
        r = make_sockets(p, i);
    return r == 0 ? make_pages(p) : r;
}

/* Also what is for the daemon, unless *@p has forgotten it. */
static void drop_parts(struct parts *p)
{
    for (uint32_t i = 0; i < p->n_threads; i++) {
        err_close(&p->sockets[i]);
        err_close(&p->ours[i]);
    }
    err_close(&p->page);
    err_close(&p->spec);
    spawn_unmap(p->pages, p->n_threads);
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

/* 0; another: no memory. */
static int set_descriptors(posix_spawn_file_actions_t *actions, const struct parts *p)
{
    int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ||
            posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO) ||
            posix_spawn_file_actions_adddup2(actions, p->sockets[0], SPAWN_SOCKET_FD) ||
            posix_spawn_file_actions_adddup2(actions, p->page, SPAWN_PAGE_FD) ||
            posix_spawn_file_actions_adddup2(actions, p->spec, SPAWN_SPEC_FD);

    for (int i = 1; !r && i < (int)p->n_threads; i++)
        r = posix_spawn_file_actions_adddup2(actions, p->sockets[i], SPAWN_MORE_FD + i - 1);
    return r || posix_spawn_file_actions_addclosefrom_np(actions, SPAWN_MORE_FD + (int)p->n_threads - 1);
}

/* Run @path with the given descriptors. The pid, or -errno. */
static pid_t run(const char *path, const struct parts *p)
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
    if (set_attributes(&attributes) || set_descriptors(&actions, p))
        r = ENOMEM;
    else
        r = posix_spawn(&pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r ? -r : pid;
}

int spawn_worker(const char *path, int spec_fd, uint32_t n_threads, struct spawn_child *ret)
{
    CLEANUP(drop_parts) struct parts p;
    int r = make_parts(&p, spec_fd, n_threads), pidfd;
    pid_t pid;

    if (r < 0)
        return r;
    pid = run(path, &p);
    if (pid < 0)
        return pid;
    pidfd = pidfd_open(pid, 0);         /* still ours: nobody else reaps it */
    if (pidfd < 0 && errno != ENOSYS) { /* without the call (valgrind) the pool has to ask */
        r = -errno;
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    *ret = (struct spawn_child){
            .pid = pid, .pidfd = pidfd, .n_threads = n_threads, .pages = TAKE_PTR(p.pages)};
    for (uint32_t i = 0; i < n_threads; i++) {
        ret->sockets[i] = p.ours[i];
        p.ours[i] = -1;
    }
    return 0;
}

void spawn_unmap(struct runpage *pages, uint32_t n_threads)
{
    if (pages)
        munmap(pages, n_threads * sizeof *pages);
}
