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
#include "base/text.h"
#include "base/variable.h"

#include <errno.h>
#include <limits.h>
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
    OWN_VARIABLES = 6,      /* labels not counted */
};

struct process {
    struct futured_job *job;
    struct child child;
    struct span to_write;
    struct buf said;
    int is_cancelled, is_killed;
    mono_ns_t kill_at;
    struct arena texts;
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
    return (strncmp(variable, "FUTURED_", 8) == 0 && strncmp(variable, "FUTURED_ADDRESS=", 16) != 0) ||
           strncmp(variable, "TRACEPARENT=", 12) == 0;
}

static void put(struct process *p, char **env, size_t *n, const char *name, const char *value)
{
    variable_put(&p->texts, env, n, name, span_of_string(value));
}

/* The environment of this process, and what the job is. Owns: the caller, the array only. */
static char **make_environment(struct process *p)
{
    size_t n = 0, to = 0, n_labels, first;
    const struct futured_label *labels = futured_job_labels(p->job, &n_labels);
    char attempt[16], **env;

    while (environ[n])
        n++;
    env = mem_alloc((n + OWN_VARIABLES + n_labels + 1) * sizeof *env);
    if (!env)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!is_own(environ[i]))
            env[to++] = environ[i];
    snprintf(attempt, sizeof attempt, "%u", futured_job_attempt(p->job));
    put(p, env, &to, "FUTURED_ID", futured_job_id(p->job));
    put(p, env, &to, "FUTURED_ATTEMPT", attempt);
    put(p, env, &to, "FUTURED_FUNCTION", futured_job_function(p->job));
    put(p, env, &to, "FUTURED_GROUP", futured_job_group(p->job));
    put(p, env, &to, "FUTURED_CONTENT_TYPE", futured_job_content_type(p->job));
    if (*futured_job_traceparent(p->job))
        put(p, env, &to, "TRACEPARENT", futured_job_traceparent(p->job));
    first = to;
    for (size_t i = 0; i < n_labels; i++)
        variable_put_label(&p->texts, env, first, &to, span_of_string(labels[i].key),
                           span_of_string(labels[i].value));
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
    (void)child_write(&p->child, &p->to_write); /* what it does not want is its affair */
    if (p->to_write.len == 0)
        err_close(&p->child.in);
}

static int read_output(struct process *p)
{
    size_t n = child_read(&p->child.out, p->in, sizeof p->in);

    if (n && futured_job_append_result(p->job, p->in, n) < 0) {
        kill_now(p);
        err_close(&p->child.out);
    }
    return n > 0;
}

static int read_error(struct process *p)
{
    size_t n = child_read(&p->child.err, p->in, sizeof p->in);

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

static void pump(struct process *p)
{
    struct child_events e;

    do {
        int cancel_fd = p->is_cancelled ? -1 : futured_job_cancel_fd(p->job);

        if (child_poll(&p->child, cancel_fd, p->kill_at, &e) < 0)
            kill_now(p);
        if (e.is_cancelled)
            on_cancel(p);
        if (p->kill_at != CLOCK_NEVER && clock_mono() >= p->kill_at)
            kill_now(p);
        if (e.has_room)
            write_input(p);
        if (e.has_output)
            read_output(p);
        if (e.has_errors)
            read_error(p);
    } while (!e.has_died);
}

/* --- after */

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
        struct span line = text_last_line((struct span){buf_head(&p->said), buf_len(&p->said)});

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
    futured_job_set_usage(p->job, clock_of(usage.ru_utime), clock_of(usage.ru_stime),
                          (uint64_t)MAX(child_max_rss(&usage), INT64_C(0)));
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
    arena_init(&p->texts, 0);
    p->to_write.p = futured_job_argument(job, &n);
    p->to_write.len = n;
    r = run(p, arg);
    buf_deinit(&p->said);
    arena_deinit(&p->texts);
    mem_free(p);
    return r;
}
