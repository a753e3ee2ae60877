// SPDX-License-Identifier: Apache-2.0
/* Functions that do what a function must not. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <futured/plugin.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int exit_0(const struct futured_host *host, struct futured_call *call, void *state)
{
    exit(0);
}

static int end_thread(const struct futured_host *host, struct futured_call *call, void *state)
{
    pthread_exit(NULL);
}

static int abort_(const struct futured_host *host, struct futured_call *call, void *state)
{
    abort();
}

static int segv(const struct futured_host *host, struct futured_call *call, void *state)
{
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would make an exit of it */
    raise(SIGSEGV);
    return 0;
}

/* Small descriptors are closed and overwritten, as a careless daemonizing library does. */
static int close_small(const struct futured_host *host, struct futured_call *call, void *state)
{
    int null = open("/dev/null", O_RDWR);

    for (int fd = 3; fd < 10; fd++) {
        close(fd);
        dup2(null, fd);
    }
    close(null);
    return host->set_result(call, "closed", 6);
}

/* A child that comes back from the function, as a fork without exec or exit does. */
static int fork_(const struct futured_host *host, struct futured_call *call, void *state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        return host->set_result(call, "child", 5);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? host->set_result(call, "parent", 6) : -1;
}

/* What the sandbox has made of this process. */
static int sandbox(const struct futured_host *host, struct futured_call *call, void *state)
{
    struct rlimit core;
    int ok = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && getpgid(0) == getpid();

    return host->set_result(call, ok ? "ok" : "bad", ok ? 2 : 3);
}

static int forever(const struct futured_host *host, struct futured_call *call, void *state)
{
    for (volatile unsigned int i = 0;; i++)
        ;
}

static int deaf(const struct futured_host *host, struct futured_call *call, void *state)
{
    signal(SIGTERM, SIG_IGN);
    return forever(host, call, state);
}

/* Does not look up, whatever its time is. */
static int nap(const struct futured_host *host, struct futured_call *call, void *state)
{
    for (;;)
        pause();
}

/* Tells by the FIFO of its argument that it runs, and answers once it is told to end. */
static int answer_late(const struct futured_host *host, struct futured_call *call, void *state)
{
    char path[256];
    size_t n;
    const char *argument = host->argument(call, &n);
    int fd;

    snprintf(path, sizeof path, "%.*s", (int)n, argument);
    fd = open(path, O_WRONLY);
    if (fd < 0)
        return -1;
    close(fd);
    while (!host->cancelled(call))
        sched_yield();
    return host->set_result(call, "all the same", 12);
}

static int stop(const struct futured_host *host, struct futured_call *call, void *state)
{
    raise(SIGSTOP);
    return host->set_result(call, "went on", 7);
}

/* Two children that outlive the call: one in our group, one that has left it. */
static int children(const struct futured_host *host, struct futured_call *call, void *state)
{
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return -1;
        if (pid == 0) {
            if (i == 1)
                setsid();
            for (;;)
                pause();
        }
    }
    return host->set_result(call, "left", 4);
}

static int close_all(const struct futured_host *host, struct futured_call *call, void *state)
{
    close_range(0, ~0U, 0);
    return host->set_result(call, "closed", 6);
}

/* Into whatever is a socket here. */
static int write_sockets(const struct futured_host *host, struct futured_call *call, void *state)
{
    static const char nonsense[] = "this is no HTTP/2 frame at all, whoever reads it";
    struct stat st;

    for (int fd = 3; fd < 2000; fd++)
        if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && write(fd, nonsense, sizeof nonsense) < 0)
            return -1;
    return host->set_result(call, "written", 7);
}

/* Takes memory until there is none. */
static int leak(const struct futured_host *host, struct futured_call *call, void *state)
{
    enum { MIB = 1024 * 1024 };
    char *p;

    while ((p = malloc(MIB)) != NULL)
        memset(p, 1, MIB);
    return host->fail(call, "NO_MEMORY", "malloc answered NULL");
}

/* Fills standard output without end. */
static int flood(const struct futured_host *host, struct futured_call *call, void *state)
{
    static const char line[] = "there is no end to this\n";

    for (;;)
        if (write(STDOUT_FILENO, line, sizeof line - 1) < 0)
            return -1;
}

/* What became of them, in one line. */
static int upstreams(const struct futured_host *host, struct futured_call *call, void *state)
{
    char text[1000] = "";
    size_t at = 0;

    for (size_t i = 0; i < host->n_upstreams(call); i++) {
        struct futured_upstream u = {.size = sizeof u};

        if (host->upstream(call, i, &u) != 0)
            return -1;
        if (u.succeeded)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s:%.*s:%s;", u.id, (int)u.data_size,
                                   (const char *)u.data, u.content_type);
        else
            at += (size_t)snprintf(text + at, sizeof text - at, "%s:%s:%d;", u.id, u.reason, u.code);
    }
    return host->set_result(call, text, at);
}

static int which(const struct futured_host *host, struct futured_call *call, void *state)
{
    char text[32];

    snprintf(text, sizeof text, "%d", (int)getpid());
    return host->set_result(call, text, strlen(text));
}

static int hello(const struct futured_host *host, struct futured_call *call, void *state)
{
    return host->set_result(call, "hello", 5);
}

static const struct futured_plugin_function functions[] = {
        {.name = "exit_0", .run = exit_0},
        {.name = "abort", .run = abort_},
        {.name = "segv", .run = segv},
        {.name = "close_small", .run = close_small},
        {.name = "fork", .run = fork_},
        {.name = "sandbox", .run = sandbox},
        {.name = "hello", .run = hello},
        {.name = "forever", .run = forever},
        {.name = "deaf", .run = deaf},
        {.name = "nap", .run = nap},
        {.name = "answer_late", .run = answer_late},
        {.name = "stop", .run = stop},
        {.name = "children", .run = children},
        {.name = "close_all", .run = close_all},
        {.name = "write_sockets", .run = write_sockets},
        {.name = "leak", .run = leak},
        {.name = "flood", .run = flood},
        {.name = "which", .run = which},
        {.name = "upstreams", .run = upstreams},
        {.name = "end_thread", .run = end_thread},
        {.name = "end_alone", .run = end_thread},
};

const struct futured_plugin futured_plugin = {.abi = FUTURED_PLUGIN_ABI,
                                              .size = sizeof(struct futured_plugin),
                                              .name = "wild",
                                              .functions = functions,
                                              .function_size = sizeof functions[0],
                                              .n_functions = sizeof functions / sizeof functions[0]};
