// SPDX-License-Identifier: Apache-2.0
/*
 * posix_spawn cannot set PR_SET_PDEATHSIG, and a plain fork of a process with threads copies locks that nobody will ever
 * release (and its page tables). So a child is made as posix_spawn makes one: by clone with CLONE_VM and CLONE_VFORK, on
 * a stack of its own, with all signals blocked. It shares our memory while this thread stands still; it makes system
 * calls only, leaves the result of a failed exec in our memory, and never returns from its function.
 *
 * The sanitizers keep books by function entry and exit and by stack; a function that never returns and runs on another
 * stack would confuse them, so they leave it alone.
 */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { STACK_BYTES = 64 * 1024, EXIT_NO_EXEC = 127, CPU_MORE_S = 2 };

/* clone by its other name: the thread sanitizer takes clone for a fork, and forgets in the shared memory what descriptors
 * have synchronised. */
int __clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...);

struct birth {
    const char *path;
    char *const *argv, *const *env;
    int in, out, err; /* the child's ends; all above 2 */
    struct child_setup *setup;
    pid_t parent;
    int error; /* of the child; 0 = the exec happened */
};

__attribute__((no_sanitize("address", "thread", "undefined"))) static int limit(int resource, uint64_t soft,
                                                                                uint64_t hard)
{
    const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};

    return soft ? setrlimit((__rlimit_resource_t)resource, &limit) : 0;
}

/* 0; -1 with errno. */
__attribute__((no_sanitize("address", "thread", "undefined"))) static int set_up(struct birth *b)
{
    struct child_setup *s = b->setup;

    if (s->cgroup_fd >= 0 && write(s->cgroup_fd, "0", 1) != 1)
        return -1;
    if (s->confine && confine_spaces(s->confine) < 0)
        return -1;
    if (s->directory && chdir(s->directory) < 0) {
        s->is_directory_bad = 1;
        return -1;
    }
    return limit(RLIMIT_CPU, s->cpu_seconds, s->cpu_seconds + s->cpu_seconds / 4 + CPU_MORE_S) ||
                           limit(RLIMIT_AS, s->memory_bytes, s->memory_bytes) ||
                           limit(RLIMIT_NOFILE, s->open_files, s->open_files)
                   ? -1
                   : 0;
}

__attribute__((no_sanitize("address", "thread", "undefined"))) static int born(void *arg)
{
    static const unsigned long standard[4]; /* as the kernel has it: SIG_DFL, no flags, an empty mask */
    const pid_t group = getpid();
    struct birth *b = arg;
    sigset_t none;

    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        /* What is ignored would stay so; some cannot be set. Not by sigaction(): the thread sanitizer notes in memory, which
         * is our parent's as well, that there are no handlers any more, and drops its signals. */
        syscall(SYS_rt_sigaction, i, standard, NULL, sizeof(uint64_t));
    if (b->setup->guard_fd >= 0)
        (void)!write(b->setup->guard_fd, &group, sizeof group);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setpgid(0, 0) < 0 || dup2(b->in, STDIN_FILENO) < 0 ||
        dup2(b->out, STDOUT_FILENO) < 0 || dup2(b->err, STDERR_FILENO) < 0 || set_up(b) < 0 ||
        close_range(STDERR_FILENO + 1, UINT_MAX, 0) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
        (b->setup->confine && confine_calls(b->setup->confine) < 0)) {
        b->error = errno;
        _exit(EXIT_NO_EXEC);
    }
    if (getppid() != b->parent) /* died before the prctl */
        _exit(EXIT_NO_EXEC);
    if (!b->path)
        _exit(0);
    execve(b->path, b->argv, b->env);
    b->error = errno;
    _exit(EXIT_NO_EXEC);
}

static pid_t give_birth(struct birth *b)
{
    sigset_t all, old;
    void *stack;
    pid_t pid;
    int r;

    stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid = __clone(born, (char *)stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, b);
    r = pid < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    munmap(stack, STACK_BYTES);
    if (pid < 0)
        return r;
    if (b->error) {
        waitpid(pid, NULL, 0);
        return -b->error;
    }
    return pid;
}

/* A pipe whose end @ours (0 reads, 1 writes) is non-blocking, and whose other end is above 2. */
static int make_pipe(int ours, int *ret_ours, int *ret_child)
{
    int ends[2], child;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    child = fcntl(ends[!ours], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (child < 0 || fcntl(ends[ours], F_SETFL, O_NONBLOCK) < 0) {
        int r = -errno;

        err_close(&child);
        close(ends[0]);
        close(ends[1]);
        return r;
    }
    close(ends[!ours]);
    *ret_ours = ends[ours];
    *ret_child = child;
    return 0;
}

static void close_all(struct child *c)
{
    err_close(&c->pidfd);
    err_close(&c->in);
    err_close(&c->out);
    err_close(&c->err);
}

int child_start(const char *path, char *const *argv, char *const *env, struct child_setup *setup,
                struct child *ret)
{
    int in CLEANUP(err_close) = -1, out CLEANUP(err_close) = -1, err CLEANUP(err_close) = -1;
    struct child c = {.pidfd = -1, .in = -1, .out = -1, .err = -1};
    struct birth b = {.path = path, .argv = argv, .env = env, .setup = setup, .parent = getpid()};
    int r;

    r = make_pipe(1, &c.in, &in);
    if (r == 0)
        r = make_pipe(0, &c.out, &out);
    if (r == 0)
        r = make_pipe(0, &c.err, &err);
    if (r == 0) {
        b.in = in;
        b.out = out;
        b.err = err;
        c.pid = give_birth(&b);
        r = c.pid < 0 ? c.pid : 0;
    }
    if (r == 0) {
        c.pidfd = pidfd_open(c.pid, 0); /* nobody else reaps it */
        if (c.pidfd < 0) {
            r = -errno;
            child_signal(&c, SIGKILL);
            waitpid(c.pid, NULL, 0);
        }
    }
    if (r < 0) {
        close_all(&c);
        return r;
    }
    *ret = c;
    return 0;
}

int child_try(struct confine *confine)
{
    struct child_setup setup = {.guard_fd = -1, .cgroup_fd = -1, .confine = confine};
    struct rusage usage;
    struct child child;
    int r = child_start(NULL, NULL, NULL, &setup, &child);

    if (r == 0)
        (void)child_reap(&child, &usage);
    return r;
}

int child_poll(const struct child *c, int cancel_fd, mono_ns_t until, struct child_events *ret)
{
    struct pollfd fds[] = {
            {.fd = cancel_fd, .events = POLLIN}, {.fd = c->in, .events = POLLOUT},
            {.fd = c->out, .events = POLLIN},    {.fd = c->err, .events = POLLIN},
            {.fd = c->pidfd, .events = POLLIN},
    };
    int r = poll(fds, ARRAY_LEN(fds), clock_poll_ms(until)) < 0 && errno != EINTR ? -errno : 0;

    *ret = (struct child_events){
            .is_cancelled = fds[0].revents != 0,
            .has_room = fds[1].revents != 0,
            .has_output = fds[2].revents != 0,
            .has_errors = fds[3].revents != 0,
            .has_died = fds[4].revents != 0,
    };
    return r;
}

int child_write(const struct child *c, struct span *data)
{
    ssize_t n = data->len ? write(c->in, data->p, data->len) : 0;

    if (n < 0 && errno == EAGAIN)
        return 0;
    *data = n < 0 ? (struct span){0} : (struct span){data->p + n, data->len - (size_t)n};
    return n < 0 ? -1 : 0;
}

size_t child_read(int *fd, void *to, size_t n_max)
{
    ssize_t n = *fd >= 0 ? read(*fd, to, n_max) : 0;

    if (n > 0)
        return (size_t)n;
    if (n == 0 || errno != EAGAIN)
        err_close(fd);
    return 0;
}

void child_signal(const struct child *c, int signal)
{
    kill(-c->pid, signal);
}

/* The kernel counts the memory of before the exec too, and that is ours. */
int64_t child_max_rss(const struct rusage *usage)
{
    struct rusage own;

    if (getrusage(RUSAGE_SELF, &own) < 0 || usage->ru_maxrss <= own.ru_maxrss)
        return -1;
    return (int64_t)usage->ru_maxrss * 1024;
}

int child_reap(struct child *c, struct rusage *ret_usage)
{
    int status = 0;
    pid_t pid;

    child_signal(c, SIGKILL); /* while the number is still its group's */
    if (c->pidfd >= 0)
        pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0); /* it may have left the group */
    do
        pid = wait4(c->pid, &status, 0, ret_usage);
    while (pid < 0 && errno == EINTR);
    ASSERT(pid == c->pid);
    close_all(c);
    return status;
}
