// SPDX-License-Identifier: Apache-2.0
/* Functions for a worker with several threads: that are at work at once, wait, and take the process with them. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <futured/plugin.h>
#include <sys/mman.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_come = PTHREAD_COND_INITIALIZER;
static int n_here, n_inits;

/* Once in each process, or the function is not served. */
static int init(const struct futured_host *host, void **ret_state)
{
    return n_inits++;
}

static int say_pid(const struct futured_host *host, struct futured_call *call, void *state)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d", (int)getpid());

    return host->set_result(call, text, (size_t)n);
}

/* Returns when as many calls as the argument says are in here. */
static int together(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n;
    const char *argument = host->argument(call, &n);
    int wanted = n ? argument[0] - '0' : 0;

    pthread_mutex_lock(&lock);
    n_here++;
    pthread_cond_broadcast(&has_come);
    while (n_here < wanted)
        pthread_cond_wait(&has_come, &lock);
    pthread_mutex_unlock(&lock);
    return say_pid(host, call, state);
}

/* As the command `gate` of the tests, in this process: logs, tells its ID, and returns when PATH has no writer any more. */
static int hold(const struct futured_host *host, struct futured_call *call, void *state)
{
    char path[256], started[300], id[64];
    size_t n;
    const char *argument = host->argument(call, &n);
    int fd;

    snprintf(path, sizeof path, "%.*s", (int)n, argument);
    snprintf(started, sizeof started, "%s.started", path);
    n = (size_t)snprintf(id, sizeof id, "%s\n", host->id(call));
    fd = open(started, O_WRONLY | O_CLOEXEC);
    if (host->log(call, "held\n") != 0 || fd < 0 || write(fd, id, n) != (ssize_t)n)
        return -1;
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && read(fd, id, sizeof id) > 0)
        ;
    close(fd);
    return say_pid(host, call, state);
}

static int fault(const struct futured_host *host, struct futured_call *call, void *state)
{
    volatile char *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *p = 1;
    return 0;
}

static int exhaust(volatile char *from)
{
    volatile char room[4096];

    room[0] = from ? *from : 0;
    return exhaust(room) + room[0];
}

static int overflow(const struct futured_host *host, struct futured_call *call, void *state)
{
    return exhaust(NULL);
}

static int abort_(const struct futured_host *host, struct futured_call *call, void *state)
{
    abort();
}

static int end_thread(const struct futured_host *host, struct futured_call *call, void *state)
{
    pthread_exit(NULL);
}

static int exit_3(const struct futured_host *host, struct futured_call *call, void *state)
{
    exit(3);
}

/* A child that ends by exit() is not the end of this process. */
static int fork_exit(const struct futured_host *host, struct futured_call *call, void *state)
{
    pid_t pid = fork();

    if (pid == 0)
        exit(3);
    return pid > 0 ? say_pid(host, call, state) : -1;
}

static int vanish(const struct futured_host *host, struct futured_call *call, void *state)
{
    _exit(4);
}

static int deaf(const struct futured_host *host, struct futured_call *call, void *state)
{
    for (;;)
        pause();
}

static const struct futured_plugin_function functions[] = {
        {"pid", NULL, NULL, init, say_pid, NULL, NULL},
        {"together", NULL, NULL, NULL, together, NULL, NULL},
        {"hold", NULL, NULL, NULL, hold, NULL, NULL},
        {"fault", NULL, NULL, NULL, fault, NULL, NULL},
        {"overflow", NULL, NULL, NULL, overflow, NULL, NULL},
        {"abort", NULL, NULL, NULL, abort_, NULL, NULL},
        {"exit_3", NULL, NULL, NULL, exit_3, NULL, NULL},
        {"end_thread", NULL, NULL, NULL, end_thread, NULL, NULL},
        {"fork_exit", NULL, NULL, NULL, fork_exit, NULL, NULL},
        {"vanish", NULL, NULL, NULL, vanish, NULL, NULL},
        {"deaf", NULL, NULL, NULL, deaf, NULL, NULL},
};

__attribute__((visibility("default"))) const struct futured_plugin futured_plugin = {
        FUTURED_PLUGIN_ABI,  sizeof(struct futured_plugin),          "threads", "1", functions,
        sizeof functions[0], sizeof functions / sizeof functions[0],
};
