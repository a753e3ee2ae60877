// SPDX-License-Identifier: Apache-2.0
/*
 * One poll over the three pipes, the child's pidfd and the flag of a cancel, so that a child that does not read, or that
 * writes before it reads, never blocks us. It ends when the child has died: its process group is killed then, and what is
 * still in the pipes is read. Cancelled, its group gets SIGTERM, and SIGKILL when seven eighths of the grace are over, so
 * that it has ended when the daemon would take the lease away.
 */
#include "client/futurectl/process.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

enum {
    READ_BYTES = 64 * 1024,
    DRAIN_READS = 32,       /* more than a pipe holds */
    SAID_BYTES = 16 * 1024, /* of standard error, the last of it: what a failure shows */
    OWN_VARIABLES = 5,
    VARIABLE_BYTES = 320,
};

struct process {
    struct futured_job *job;
    struct child child;
    struct span to_write;
    struct buf said;
    int is_cancelled, is_killed;
    mono_ns_t kill_at;
    char own[OWN_VARIABLES][VARIABLE_BYTES];
    uint8_t in[READ_BYTES];
};

/* --- before */

char *process_find(const char *name)
{
    const char *path = getenv("PATH");
    size_t n;

    if (strchr(name, '/'))
        return access(name, X_OK) < 0 ? NULL : mem_strndup(name, strlen(name));
    for (const char *p = path ? path : "/usr/bin:/bin"; *p; p += n + (p[n] == ':')) {
        char text[PATH_MAX];
        struct stat st;

        n = strcspn(p, ":");
        if (n == 0 || (size_t)snprintf(text, sizeof text, "%.*s/%s", (int)n, p, name) >= sizeof text)
            continue;
        if (stat(text, &st) == 0 && S_ISREG(st.st_mode) && access(text, X_OK) == 0)
            return mem_strndup(text, strlen(text));
    }
    errno = ENOENT;
    return NULL;
}

static int is_own(const char *variable)
{
    return strncmp(variable, "FUTURED_", 8) == 0 && strncmp(variable, "FUTURED_ADDRESS=", 16) != 0;
}

/* The environment of this process, and what the job is. Owns: the caller, the array only. */
static char **make_environment(struct process *p)
{
    size_t n = 0, to = 0;
    char **env;

    while (environ[n])
        n++;
    env = mem_alloc((n + OWN_VARIABLES + 1) * sizeof *env);
    if (!env)
        return NULL;
    snprintf(p->own[0], VARIABLE_BYTES, "FUTURED_ID=%s", futured_job_id(p->job));
    snprintf(p->own[1], VARIABLE_BYTES, "FUTURED_ATTEMPT=%u", futured_job_attempt(p->job));
    snprintf(p->own[2], VARIABLE_BYTES, "FUTURED_FUNCTION=%s", futured_job_function(p->job));
    snprintf(p->own[3], VARIABLE_BYTES, "FUTURED_GROUP=%s", futured_job_group(p->job));
    snprintf(p->own[4], VARIABLE_BYTES, "FUTURED_CONTENT_TYPE=%s", futured_job_content_type(p->job));
    for (size_t i = 0; i < n; i++)
        if (!is_own(environ[i]))
            env[to++] = environ[i];
    for (size_t i = 0; i < OWN_VARIABLES; i++)
        env[to++] = p->own[i];
    env[to] = NULL;
    return env;
}

/* --- while it runs */

static void kill_now(struct process *p)
{
    p->is_killed = 1;
    p->kill_at = CLOCK_NEVER;
    child_signal(&p->child, SIGKILL);
}

static void on_cancel(struct process *p)
{
    int64_t grace = futured_job_cancel_grace(p->job);

    p->is_cancelled = 1;
    if (grace <= 0) {
        kill_now(p);
        return;
    }
    child_signal(&p->child, SIGTERM);
    p->kill_at = clock_add(clock_mono(), grace / 8 * 7);
}

static void write_input(struct process *p)
{
    ssize_t n = p->to_write.len ? write(p->child.in, p->to_write.p, p->to_write.len) : 0;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) /* it does not want the rest: that is its affair */
        p->to_write.len = 0;
    else
        p->to_write = (struct span){p->to_write.p + n, p->to_write.len - (size_t)n};
    if (p->to_write.len == 0)
        err_close(&p->child.in);
}

/* One read of @fd, which is closed at its end. How much came. */
static size_t read_some(struct process *p, int *fd)
{
    ssize_t n = *fd >= 0 ? read(*fd, p->in, sizeof p->in) : 0;

    if (n > 0)
        return (size_t)n;
    if (n == 0 || errno != EAGAIN)
        err_close(fd);
    return 0;
}

static int read_output(struct process *p)
{
    size_t n = read_some(p, &p->child.out);

    if (n && futured_job_append_result(p->job, p->in, n) < 0) {
        kill_now(p);
        err_close(&p->child.out);
    }
    return n > 0;
}

static int read_error(struct process *p)
{
    size_t n = read_some(p, &p->child.err);

    if (n == 0)
        return 0;
    (void)futured_job_log(p->job, FUTURED_STREAM_STDERR, p->in,
                          n); /* in vain only where nobody wants it any more */
    if (buf_append(&p->said, p->in, n) == 0 && buf_len(&p->said) > SAID_BYTES)
        buf_consume(&p->said, buf_len(&p->said) - SAID_BYTES);
    return 1;
}

static void drain(struct process *p)
{
    for (int i = 0; i < DRAIN_READS && p->child.out >= 0 && read_output(p); i++)
        ;
    for (int i = 0; i < DRAIN_READS && p->child.err >= 0 && read_error(p); i++)
        ;
}

static int poll_timeout(mono_ns_t until)
{
    mono_ns_t left;

    if (until == CLOCK_NEVER)
        return -1;
    left = until - clock_mono();
    return left <= 0 ? 0 : (int)MIN(left / NS_PER_MS + 1, (mono_ns_t)INT_MAX);
}

static void pump(struct process *p)
{
    for (;;) {
        struct pollfd fds[] = {
                {.fd = p->child.pidfd, .events = POLLIN},
                {.fd = p->is_cancelled ? -1 : futured_job_cancel_fd(p->job), .events = POLLIN},
                {.fd = p->child.in, .events = POLLOUT},
                {.fd = p->child.out, .events = POLLIN},
                {.fd = p->child.err, .events = POLLIN},
        };

        if (poll(fds, ARRAY_LEN(fds), poll_timeout(p->kill_at)) < 0 && errno != EINTR)
            kill_now(p);
        if (fds[1].revents)
            on_cancel(p);
        if (p->kill_at != CLOCK_NEVER && clock_mono() >= p->kill_at)
            kill_now(p);
        if (fds[2].revents)
            write_input(p);
        if (fds[3].revents)
            read_output(p);
        if (fds[4].revents)
            read_error(p);
        if (fds[0].revents)
            return;
    }
}

/* --- after */

static int64_t ns_of(struct timeval t)
{
    return (int64_t)t.tv_sec * NS_PER_S + (int64_t)t.tv_usec * NS_PER_US;
}

/* The last line of what it said, without its newline. */
static struct span last_line(const struct buf *said)
{
    const char *p = (const char *)buf_head(said);
    size_t end = buf_len(said), begin;

    while (end && (p[end - 1] == '\n' || p[end - 1] == ' '))
        end--;
    for (begin = end; begin && p[begin - 1] != '\n';)
        begin--;
    return (struct span){(const uint8_t *)p + begin, end - begin};
}

static int judge(struct process *p, int status)
{
    struct futured_job_failure failure = {.size = sizeof failure};
    char message[600];

    if (status == 0)
        return 0;
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));

        futured_job_set_signal(p->job, WTERMSIG(status));
        snprintf(message, sizeof message, "killed by SIG%s", name ? name : "RT");
        failure.type = "SIGNAL";
    } else {
        struct span line = last_line(&p->said);

        snprintf(message, sizeof message, "exit code %d%s%.*s", WEXITSTATUS(status), line.len ? ": " : "",
                 (int)MIN(line.len, (size_t)512), line.len ? (const char *)line.p : "");
        failure.type = "EXIT_CODE";
    }
    if (p->is_cancelled)
        failure.code = FUTURED_CANCELLED;
    failure.message = message;
    if (buf_append(&p->said, "", 1) == 0)
        failure.traceback = (const char *)buf_head(&p->said);
    return futured_job_fail_with(p->job, &failure);
}

static int fail_to_start(struct futured_job *job, const char *path, int error)
{
    struct futured_job_failure failure = {
            .size = sizeof failure, .type = "CANNOT_START", .code = FUTURED_UNAVAILABLE};
    char message[600];

    snprintf(message, sizeof message, "cannot run %s: %s", path, strerror(error));
    failure.message = message;
    return futured_job_fail_with(job, &failure);
}

static int run(struct process *p, const struct process_command *command)
{
    struct child_setup setup = {.guard_fd = -1, .cgroup_fd = -1};
    struct rusage usage = {0};
    char **env = make_environment(p);
    int status, r;

    if (!env)
        return fail_to_start(p->job, command->path, ENOMEM);
    r = child_start(command->path, command->argv, env, &setup, &p->child);
    mem_free(env);
    if (r < 0)
        return fail_to_start(p->job, command->path, -r);
    pump(p);
    child_signal(&p->child, SIGKILL); /* what it has left in its group, while the number is still theirs */
    drain(p);
    status = child_reap(&p->child, &usage);
    if (WIFEXITED(status))
        futured_job_set_exit_code(p->job, WEXITSTATUS(status));
    futured_job_set_usage(p->job, ns_of(usage.ru_utime), ns_of(usage.ru_stime), 0);
    return judge(p, status);
}

int process_run(struct futured_job *job, void *arg)
{
    struct process *p = mem_zalloc(sizeof *p);
    size_t n;
    int r;

    if (!p)
        return futured_job_fail(job, "NO_MEMORY", "the worker is out of memory");
    p->job = job;
    p->kill_at = CLOCK_NEVER;
    p->to_write.p = futured_job_argument(job, &n);
    p->to_write.len = n;
    r = run(p, arg);
    buf_deinit(&p->said);
    mem_free(p);
    return r;
}
