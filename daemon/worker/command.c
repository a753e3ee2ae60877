// SPDX-License-Identifier: Apache-2.0
/*
 * The pump: one poll over the three pipes, the child's pidfd and the eventfd of a cancel, so that a child that does not
 * read, or that writes before it reads, never blocks us. It ends when the child has died: then its group is killed, and
 * what is still in the pipes is read. A process of the group that outlives the child by itself is none we wait for.
 *
 * How an attempt ended is judged once, from the wait status and from what stopped it (enum stop), in judge().
 */
#include "worker/command.h"

#include "base/clock.h"
#include "base/limit.h"
#include "base/log.h"
#include "worker/child.h"
#include "worker/text.h"
#include "worker/upstream_dir.h"
#include "worker/words.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

enum {
    ENVIRONMENT_MAX = 256, /* entries that are handed on, labels not counted */
    READ_BYTES = 64 * 1024,
    DRAIN_READS = 32, /* more than a pipe holds */
};

/* Why we ended it. */
enum stop { STOP_NOT, STOP_CANCELLED, STOP_TOO_LARGE, STOP_NO_MEMORY };

struct run {
    struct futured_call *call;
    struct child child;
    struct span to_write;
    struct buf err; /* at least the last COMMAND_STDERR_BYTES */
    enum stop stop;
    mono_ns_t kill_at;
};

int command_init(struct command *c, struct arena *a, const char *line, int is_shell)
{
    static const char *const shell[] = {"/bin/sh", "-c"};

    if (!is_shell)
        return words_split(line, a, &c->words);
    c->words = arena_alloc(a, 4 * sizeof *c->words);
    if (!c->words)
        return -ENOMEM;
    for (size_t i = 0; i < 3; i++) {
        const char *word = i < 2 ? shell[i] : line;

        c->words[i] = arena_strndup(a, word, strlen(word));
        if (!c->words[i])
            return -ENOMEM;
    }
    c->words[3] = NULL;
    return 0;
}

/* --- what it runs with */

static int is_executable(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Where @name is, by PATH; @name itself when it is nowhere (the exec then says why) or has a slash. */
static const char *find_program(struct arena *a, const char *name)
{
    const char *path = getenv("PATH");
    size_t room = strlen(name) + 2;

    if (strchr(name, '/') || !path)
        return name;
    while (*path) {
        size_t n = strcspn(path, ":");
        char *candidate = arena_alloc(a, n + room);

        if (!candidate)
            break;
        snprintf(candidate, n + room, "%.*s/%s", (int)n, path, name);
        if (n && is_executable(candidate))
            return candidate;
        path += n + (path[n] == ':');
    }
    return name;
}

/* NAME=VALUE into @env[*n], unless there is no memory or VALUE has a NUL in it. */
static void put_env(struct arena *a, char **env, size_t *n, const char *name, struct span value)
{
    size_t name_len = strlen(name);
    char *entry;

    if (value.len && memchr(value.p, 0, value.len))
        return;
    entry = arena_alloc(a, name_len + value.len + 2);
    if (!entry)
        return;
    memcpy(entry, name, name_len);
    entry[name_len] = '=';
    if (value.len)
        memcpy(entry + name_len + 1, value.p, value.len);
    entry[name_len + 1 + value.len] = '\0';
    env[(*n)++] = entry;
}

/* FUTURED_LABEL_KEY: the key in upper case, what is no letter or digit as _. Of keys that become the same the first
 * counts. */
static void put_label(struct arena *a, char **env, size_t first, size_t *n, struct span key,
                      struct span value)
{
    static const char prefix[] = "FUTURED_LABEL_";
    char name[sizeof prefix + LIMIT_LABEL_KEY_BYTES];
    size_t at = sizeof prefix - 1;

    memcpy(name, prefix, at);
    for (size_t i = 0; i < key.len && at < sizeof name - 1; i++, at++)
        name[at] = isalnum(key.p[i]) && key.p[i] < 0x80 ? (char)toupper(key.p[i]) : '_';
    name[at] = '\0';
    for (size_t i = first; i < *n; i++)
        if (strncmp(env[i], name, at) == 0 && env[i][at] == '=')
            return;
    put_env(a, env, n, name, value);
}

static char **make_environment(struct futured_call *call, const char *upstream_dir)
{
    struct arena *a = &call->texts;
    struct wire_reader r = wire_reader(call->task_bytes);
    struct span key, value;
    size_t n = 0, labels;
    char number[16], **env;

    env = arena_alloc(a, (ENVIRONMENT_MAX + 9 + LIMIT_LABELS) * sizeof *env);
    if (!env)
        return NULL;
    for (char **e = environ; *e && n < ENVIRONMENT_MAX; e++)
        if (strncmp(*e, "FUTURED_", 8) != 0)
            env[n++] = *e;
    snprintf(number, sizeof number, "%u", call->lease.attempt);
    put_env(a, env, &n, "FUTURED_ID", span_of_string(attempt_host.id(call)));
    put_env(a, env, &n, "FUTURED_ATTEMPT", span_of_string(number));
    put_env(a, env, &n, "FUTURED_GROUP", call->group);
    put_env(a, env, &n, "FUTURED_FUNCTION", span_of_string(call->function));
    if (*upstream_dir)
        put_env(a, env, &n, "FUTURED_UPSTREAM_DIR", span_of_string(upstream_dir));
    labels = n;
    while (n < labels + LIMIT_LABELS && task_next_label(&r, TASK_LABELS, &key, &value) > 0)
        put_label(a, env, labels, &n, key, value);
    env[n] = NULL;
    return env;
}

/* --- the pump */

static void stop(struct run *run, enum stop why)
{
    if (run->stop == STOP_NOT)
        run->stop = why;
    run->kill_at = CLOCK_NEVER;
    child_signal(&run->child, SIGKILL);
}

static void write_input(struct run *run)
{
    ssize_t n = 0;

    if (run->to_write.len)
        n = write(run->child.in, run->to_write.p, run->to_write.len);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) /* it does not want the rest: that is its affair */
        run->to_write.len = 0;
    else
        run->to_write = (struct span){run->to_write.p + n, run->to_write.len - (size_t)n};
    if (run->to_write.len == 0)
        err_close(&run->child.in);
}

/* One read of @fd, closed at its end, to the end of @to. Whether there may be more at once. */
static int read_some(int *fd, struct buf *to)
{
    ssize_t n = *fd >= 0 ? read(*fd, buf_tail(to), READ_BYTES) : 0;

    if (n > 0) {
        buf_commit(to, (size_t)n);
        return 1;
    }
    if (n == 0 || errno != EAGAIN)
        err_close(fd);
    return 0;
}

static int read_output(struct run *run)
{
    struct buf *result = &run->call->result;
    int more = 0;

    if (buf_reserve(result, READ_BYTES) < 0)
        stop(run, STOP_NO_MEMORY);
    else
        more = read_some(&run->child.out, result);
    if (buf_len(result) > run->call->max_result_bytes)
        stop(run, STOP_TOO_LARGE);
    if (run->stop == STOP_NO_MEMORY || run->stop == STOP_TOO_LARGE)
        err_close(&run->child.out);
    return more;
}

static int read_error(struct run *run)
{
    if (buf_len(&run->err) >= 2 * (size_t)COMMAND_STDERR_BYTES)
        buf_consume(&run->err, buf_len(&run->err) - COMMAND_STDERR_BYTES);
    if (buf_reserve(&run->err, READ_BYTES) < 0) {
        err_close(&run->child.err);
        return 0;
    }
    return read_some(&run->child.err, &run->err);
}

/* What is left in the pipes after the child's end. Bounded: somebody who left its group may still write. */
static void drain(struct run *run)
{
    for (int i = 0; i < DRAIN_READS && run->child.out >= 0 && read_output(run); i++)
        ;
    for (int i = 0; i < DRAIN_READS && run->child.err >= 0 && read_error(run); i++)
        ;
}

static void on_cancel(struct run *run)
{
    int64_t grace = atomic_load_explicit(&run->call->grace_ns, memory_order_relaxed);

    run->stop = STOP_CANCELLED;
    if (grace <= 0) {
        stop(run, STOP_CANCELLED);
        return;
    }
    child_signal(&run->child, SIGTERM);
    run->kill_at = clock_add(clock_mono(), grace / 8 * COMMAND_GRACE_PARTS);
}

static int poll_timeout(mono_ns_t until)
{
    mono_ns_t left;

    if (until == CLOCK_NEVER)
        return -1;
    left = until - clock_mono();
    return left <= 0 ? 0 : (int)MIN(left / NS_PER_MS + 1, (mono_ns_t)INT_MAX);
}

static void pump(struct run *run)
{
    struct futured_call *call = run->call;

    for (;;) {
        struct pollfd fds[] = {
                {.fd = run->child.pidfd, .events = POLLIN},
                {.fd = run->stop == STOP_NOT ? call->cancel_fd : -1, .events = POLLIN},
                {.fd = run->child.in, .events = POLLOUT},
                {.fd = run->child.out, .events = POLLIN},
                {.fd = run->child.err, .events = POLLIN},
        };

        if (poll(fds, ARRAY_LEN(fds), poll_timeout(run->kill_at)) < 0 && errno != EINTR)
            stop(run, STOP_NO_MEMORY); /* ENOMEM: the one other cause there can be */
        if (fds[1].revents)
            on_cancel(run);
        if (run->kill_at != CLOCK_NEVER && clock_mono() >= run->kill_at)
            stop(run, STOP_CANCELLED);
        if (fds[2].revents)
            write_input(run);
        if (fds[3].revents)
            read_output(run);
        if (fds[4].revents)
            read_error(run);
        if (fds[0].revents)
            return;
    }
}

/* --- the end */

static int64_t ns_of(struct timeval t)
{
    return (int64_t)t.tv_sec * NS_PER_S + (int64_t)t.tv_usec * NS_PER_US;
}

/* The kernel counts the memory of before the exec too, and that is ours: what a child has used is known only where it is
 * more. */
static int64_t max_rss_of(const struct rusage *usage)
{
    struct rusage own;

    if (getrusage(RUSAGE_SELF, &own) < 0 || usage->ru_maxrss <= own.ru_maxrss)
        return -1;
    return (int64_t)usage->ru_maxrss * 1024;
}

static void note_end(struct futured_call *call, int status, const struct rusage *usage)
{
    if (WIFSIGNALED(status))
        call->signal = (struct codec_number){.value = (uint64_t)WTERMSIG(status), .is_set = 1};
    else
        call->exit_code = (struct codec_number){.value = (uint64_t)WEXITSTATUS(status), .is_set = 1};
    call->usage.user_ns = ns_of(usage->ru_utime);
    call->usage.system_ns = ns_of(usage->ru_stime);
    call->usage.max_rss_bytes = max_rss_of(usage);
}

static void judge(const struct run *run, int status)
{
    struct futured_call *call = run->call;
    struct span said = {buf_head(&run->err), buf_len(&run->err)}, line;

    if (run->stop == STOP_TOO_LARGE) {
        attempt_fail(call, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "",
                     "the result has %zu bytes or more; at most %zu are allowed", buf_len(&call->result),
                     call->max_result_bytes);
    } else if (run->stop == STOP_NO_MEMORY) {
        attempt_fail(call, "", GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "the worker could not allocate memory");
    } else if (run->stop == STOP_CANCELLED && status != 0) {
        attempt_fail(call, "CANCELLED", GRPC_CANCELLED, "",
                     "the command was stopped because it was cancelled");
    } else if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));

        attempt_fail(call, "CRASHED", GRPC_INTERNAL, "", "killed by SIG%s", name ? name : "RT");
    } else if (status != 0) {
        line = text_clean(&call->texts, text_last_line(said), 512);
        attempt_fail(call, "", GRPC_UNKNOWN, "EXIT_CODE", "exit code %d%s%.*s", WEXITSTATUS(status),
                     line.len ? ": " : "", (int)line.len, line.len ? (const char *)line.p : "");
    } else {
        call->n_result = buf_len(&call->result);
        return;
    }
    if (said.len) {
        line = text_clean(&call->texts, text_tail(said, COMMAND_STDERR_BYTES), ATTEMPT_TEXT_MAX_BYTES);
        line.p = (const uint8_t *)arena_strndup(&call->texts, line.len ? (const char *)line.p : "", line.len);
        call->failure.traceback = line.p ? line : (struct span){0};
    }
}

static void fail_to_start(struct futured_call *call, const char *path, int r)
{
    const char *type = r == -ENOENT ? "NOT_FOUND" : r == -EACCES ? "PERMISSION_DENIED" : "CANNOT_START";

    attempt_fail(call, "",
                 r == -ENOENT   ? GRPC_NOT_FOUND
                 : r == -EACCES ? GRPC_PERMISSION_DENIED
                                : GRPC_UNAVAILABLE,
                 type, "cannot run %s: %s", path, log_errno_text(r));
    call->failure.is_retryable = r == -ENOENT || r == -EACCES ? -1 : 1;
}

void command_run(const struct command *c, struct futured_call *call)
{
    struct run run = {
            .call = call, .to_write = call->task.argument.data, .kill_at = CLOCK_NEVER, .err = BUF_INIT};
    char upstream_dir[UPSTREAM_DIR_BYTES] = "";
    int r = call->upstreams ? upstream_dir_make(call->upstreams, upstream_dir) : 0;
    char **env = make_environment(call, r == 0 ? upstream_dir : "");
    const char *path = find_program(&call->texts, c->words[0]);
    struct rusage usage = {0};
    int status;

    buf_clear(&call->result);
    if (r == 0)
        r = env ? child_start(path, c->words, env, guard_clear(&call->guard), &run.child) : -ENOMEM;
    if (r < 0) {
        fail_to_start(call, path, r);
        goto out;
    }
    pump(&run);
    drain(&run);
    (void)guard_clear(&call->guard); /* while the number is still its group's */
    status = child_reap(&run.child, &usage);
    note_end(call, status, &usage);
    judge(&run, status);
    buf_deinit(&run.err);
out:
    if (*upstream_dir)
        upstream_dir_remove(upstream_dir);
}
