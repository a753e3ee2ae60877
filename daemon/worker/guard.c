// SPDX-License-Identifier: Apache-2.0
#include "worker/guard.h"

#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <sys/wait.h>

void guard_init(struct guard *g, const char *program)
{
    *g = (struct guard){.program = program, .fd = -1};
}

void guard_deinit(struct guard *g)
{
    err_close(&g->fd);
    if (g->pid > 0)
        while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    g->pid = 0;
}

static int spawn(struct guard *g, int pipe_end)
{
    char name[] = "futured-worker", option[] = "--guard";
    char *const arguments[] = {name, option, NULL}, *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int r;

    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -1;
    }
    r = posix_spawn_file_actions_adddup2(&actions, pipe_end, STDIN_FILENO) ||
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1) ||
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK) ||
        posix_spawnattr_setpgroup(&attributes, 0) || posix_spawnattr_setsigmask(&attributes, &none) ||
        posix_spawn(&g->pid, g->program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r ? -1 : 0;
}

/* A pipe and a reader of it. Without one commands run all the same: PR_SET_PDEATHSIG is left. */
static void start(struct guard *g)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    if (spawn(g, ends[0]) < 0)
        close(ends[1]);
    else
        g->fd = sandbox_hide(ends[1]);
    close(ends[0]);
}

static int note_none(const struct guard *g)
{
    const pid_t none = 0;

    return g->fd >= 0 && write(g->fd, &none, sizeof none) == (ssize_t)sizeof none ? 0 : -1;
}

int guard_clear(struct guard *g)
{
    if (note_none(g) == 0)
        return g->fd;
    guard_deinit(g);
    if (g->program)
        start(g);
    return g->fd;
}

int guard_main(int fd)
{
    pid_t group = 0, next;
    ssize_t n;

    signal(SIGTERM, SIG_IGN); /* may be meant for all of a service; the worker's end is ours */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    do {
        n = read(fd, &next, sizeof next);
        if (n == (ssize_t)sizeof next)
            group = next;
    } while (n == (ssize_t)sizeof next || (n < 0 && errno == EINTR));
    if (group > 1)
        kill(-group, SIGKILL);
    return 0;
}
