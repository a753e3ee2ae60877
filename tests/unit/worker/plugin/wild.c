// SPDX-License-Identifier: Apache-2.0
/* Functions that do what a function must not. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <futured/plugin.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int exit_0(const struct futured_host *host, struct futured_call *call, void *state)
{
    exit(0);
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

static int hello(const struct futured_host *host, struct futured_call *call, void *state)
{
    return host->set_result(call, "hello", 5);
}

static const struct futured_plugin_function functions[] = {
        {.name = "exit_0", .run = exit_0}, {.name = "abort", .run = abort_},
        {.name = "segv", .run = segv},     {.name = "close_small", .run = close_small},
        {.name = "fork", .run = fork_},    {.name = "sandbox", .run = sandbox},
        {.name = "hello", .run = hello},
};

const struct futured_plugin futured_plugin = {.abi = FUTURED_PLUGIN_ABI,
                                              .size = sizeof(struct futured_plugin),
                                              .name = "wild",
                                              .functions = functions,
                                              .function_size = sizeof functions[0],
                                              .n_functions = sizeof functions / sizeof functions[0]};
