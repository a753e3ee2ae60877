// SPDX-License-Identifier: Apache-2.0
/*
 * One poll over the three pipes, the child's pidfd and the eventfd of a cancel, so that a child that does not read, or that
 * writes before it reads, never blocks us. It ends when the child has died: then its group is killed, and what is still in
 * the pipes is read. What has left the group is ours then (leftovers.h), or in its control group, and killed as well; a
 * process that outlives the child is none we wait for.
 *
 * How an attempt ended is judged once, from the wait status, from what stopped it (enum pump_stop) and from what the kernel
 * says of limits.
 */
#include "worker/pump.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "worker/leftovers.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/wait.h>

enum {
    READ_BYTES = 64 * 1024,
    DRAIN_READS = 32, /* more than a pipe holds */
};

/* --- the pump */

static void stop(struct pump *p, enum pump_stop why)
{
    if (p->stop == PUMP_NOT_STOPPED)
        p->stop = why;
    p->kill_at = CLOCK_NEVER;
    child_signal(&p->child, SIGKILL);
}

static void write_input(struct pump *p)
{
    if (child_write(&p->child, &p->to_write) < 0) /* it does not want the rest: that is its affair */
        p->to_write_next = (struct span){0};
    if (p->to_write.len == 0) {
        p->to_write = p->to_write_next;
        p->to_write_next = (struct span){0};
    }
    if (p->to_write.len == 0)
        err_close(&p->child.in);
}

/* One read of @fd, closed at its end, to the end of @to. How much came. */
static size_t read_some(int *fd, struct buf *to)
{
    size_t n = child_read(fd, buf_tail(to), READ_BYTES);

    buf_commit(to, n);
    return n;
}

static int read_output(struct pump *p)
{
    struct buf *result = &p->call->result;
    size_t more = 0;

    if (buf_reserve(result, READ_BYTES) < 0)
        stop(p, PUMP_NO_MEMORY);
    else
        more = read_some(&p->child.out, result);
    if (more && p->on_output)
        p->on_output(p->call);
    if (buf_len(result) > p->max_output_bytes)
        stop(p, PUMP_TOO_LARGE);
    if (p->stop == PUMP_NO_MEMORY || p->stop == PUMP_TOO_LARGE)
        err_close(&p->child.out);
    return more > 0;
}

static int read_error(struct pump *p)
{
    size_t n;

    if (buf_len(&p->err) >=
        2 * (size_t)PUMP_STDERR_BYTES) /* one more is kept, so that it is seen that there were more */
        buf_consume(&p->err, buf_len(&p->err) - PUMP_STDERR_BYTES - 1);
    if (buf_reserve(&p->err, READ_BYTES) < 0) {
        err_close(&p->child.err);
        return 0;
    }
    n = read_some(&p->child.err, &p->err);
    p->n_err += n;
    if (n)
        attempt_log(p->call, TELLING_FROM_STDERR, (struct span){buf_tail(&p->err) - n, n});
    return n > 0;
}

/* What is left in the pipes after the child's end. Bounded: somebody who left its group may still write. */
static void drain(struct pump *p)
{
    for (int i = 0; i < DRAIN_READS && p->child.out >= 0 && read_output(p); i++)
        ;
    for (int i = 0; i < DRAIN_READS && p->child.err >= 0 && read_error(p); i++)
        ;
}

static void on_cancel(struct pump *p)
{
    int64_t grace = atomic_load_explicit(&p->call->grace_ns, memory_order_relaxed);

    p->stop = PUMP_CANCELLED;
    if (grace <= 0) {
        stop(p, PUMP_CANCELLED);
        return;
    }
    child_signal(&p->child, SIGTERM);
    p->kill_at = clock_add(clock_mono(), grace / 8 * PUMP_GRACE_PARTS);
}

static void pump(struct pump *p)
{
    struct child_events e;

    do {
        int cancel_fd = p->stop == PUMP_NOT_STOPPED ? p->call->cancel_fd : -1;

        if (child_poll(&p->child, cancel_fd, p->kill_at, &e) < 0)
            stop(p, PUMP_NO_MEMORY);
        if (e.is_cancelled)
            on_cancel(p);
        if (p->kill_at != CLOCK_NEVER && clock_mono() >= p->kill_at)
            stop(p, PUMP_CANCELLED);
        if (e.has_room)
            write_input(p);
        if (e.has_output)
            read_output(p);
        if (e.has_errors)
            read_error(p);
    } while (!e.has_died);
}

/* --- the end */

static void note_end(struct futured_call *call, int status, const struct rusage *usage)
{
    if (WIFSIGNALED(status))
        call->signal = (struct codec_number){.value = (uint64_t)WTERMSIG(status), .is_set = 1};
    else
        call->exit_code = (struct codec_number){.value = (uint64_t)WEXITSTATUS(status), .is_set = 1};
    call->usage.user_ns = clock_of(usage->ru_utime);
    call->usage.system_ns = clock_of(usage->ru_stime);
    call->usage.max_rss_bytes = child_max_rss(usage);
}

static int reap(struct pump *p)
{
    struct rusage usage = {0};
    int status = child_reap(&p->child, &usage);

    note_end(p->call, status, &usage);
    return status;
}

static int fail_to_start(struct pump *p, const char *path, const struct child_setup *setup, int error)
{
    static const struct cause {
        int error, code, is_retryable;
        const char *type;
    } causes[] = {
            {ENOENT, GRPC_NOT_FOUND, -1, "NOT_FOUND"},
            {EACCES, GRPC_PERMISSION_DENIED, -1, "PERMISSION_DENIED"},
            {ENOTDIR, GRPC_NOT_FOUND, -1, "NOT_FOUND"},
            {E2BIG, GRPC_INVALID_ARGUMENT, -1, "TOO_LONG"},
            {0, GRPC_UNAVAILABLE, 1, "CANNOT_START"},
    };
    const struct cause *cause = causes;

    while (cause->error && cause->error != error)
        cause++;
    if (setup->confine && setup->confine->failed) {
        attempt_fail(p->call, "", GRPC_UNAVAILABLE, "CANNOT_START", "cannot set up its sandbox: %s: %s",
                     setup->confine->failed, log_errno_text(error));
        return PUMP_E_NOT_STARTED;
    }
    if (setup->is_directory_bad)
        attempt_fail(p->call, "", cause->code, cause->type, "cannot enter the directory %s: %s",
                     setup->directory, log_errno_text(error));
    else
        attempt_fail(p->call, "", cause->code, cause->type, "cannot run %s: %s", path, log_errno_text(error));
    p->call->failure.is_retryable = cause->is_retryable;
    return PUMP_E_NOT_STARTED;
}

int pump_run(struct pump *p, const char *path, char *const *argv, char *const *env, const char *directory)
{
    const struct pump_limits *limits = p->limits;
    struct child_setup setup = {.directory = directory,
                                .cgroup_fd = -1,
                                .cpu_seconds = limits->cpu_seconds,
                                .open_files = limits->open_files};
    struct confine confine;
    struct cgroup cgroup = {0};
    struct leftovers leftovers;
    int r;

    if (limits->confine) {
        confine = *limits->confine;
        confine.keep = p->keep;
        setup.confine = &confine;
    }
    p->kill_at = CLOCK_NEVER;
    buf_clear(&p->call->result);
    if (limits->memory_bytes && p->cgroups && cgroup_make(p->cgroups, limits->memory_bytes, &cgroup) == 0)
        setup.cgroup_fd = cgroup.procs_fd;
    else
        setup.memory_bytes = limits->memory_bytes;
    setup.guard_fd = guard_clear(&p->call->guard);
    leftovers_begin(&leftovers);
    r = child_start(path, argv, env, &setup, &p->child);
    if (r == 0) {
        pump(p);
        drain(p);
        (void)guard_clear(&p->call->guard); /* while the number is still its group's */
        p->status = reap(p);
        p->n_memory_kills = cgroup.version ? cgroup_n_killed(&cgroup) : 0;
    }
    leftovers_end(&leftovers);
    cgroup_remove(&cgroup);
    return r == 0 ? 0 : fail_to_start(p, path, &setup, -r);
}

void pump_deinit(struct pump *p)
{
    buf_deinit(&p->err);
}

/* --- what came of it */

static int64_t cpu_ns(const struct futured_call *call)
{
    return MAX(call->usage.user_ns, (int64_t)0) + MAX(call->usage.system_ns, (int64_t)0);
}

/* The kernel has ended it at its limit: by SIGXCPU, or, where it went on, by SIGKILL. What SIGKILL was for is known by the time
 * that it has used: the kernel keeps the limit by counting ticks, which may be some more than that. */
static int is_over_cpu(const struct pump *p)
{
    if (!p->limits->cpu_seconds || !WIFSIGNALED(p->status))
        return 0;
    return WTERMSIG(p->status) == SIGXCPU || (WTERMSIG(p->status) == SIGKILL && p->stop == PUMP_NOT_STOPPED &&
                                              cpu_ns(p->call) / NS_PER_S >= (int64_t)p->limits->cpu_seconds);
}

static void fail_by_status(struct pump *p)
{
    struct futured_call *call = p->call;
    struct span said = {buf_head(&p->err), buf_len(&p->err)}, line;

    if (WIFSIGNALED(p->status)) {
        const char *name = sigabbrev_np(WTERMSIG(p->status));

        attempt_fail(call, "CRASHED", GRPC_INTERNAL, "", "killed by SIG%s", name ? name : "RT");
    } else if (p->is_plugin) {
        attempt_fail(call, "CRASHED", GRPC_INTERNAL, "", "its process ended with exit code %d",
                     WEXITSTATUS(p->status));
    } else {
        line = text_clean(&call->texts, text_last_line(said), 512);
        attempt_fail(call, "", GRPC_UNKNOWN, "EXIT_CODE", "exit code %d%s%.*s", WEXITSTATUS(p->status),
                     line.len ? ": " : "", (int)line.len, line.len ? (const char *)line.p : "");
    }
}

/* What it said, or the end of that with a note before it. */
static void keep_said(struct pump *p)
{
    struct futured_call *call = p->call;
    struct span all = {buf_head(&p->err), buf_len(&p->err)}, tail = text_tail(all, PUMP_STDERR_BYTES), text;
    char note[80] = "", *to;
    int n = 0;

    text = text_clean(&call->texts, tail, PUMP_STDERR_BYTES);
    if (p->n_err > tail.len)
        n = snprintf(note, sizeof note, "(%" PRIu64 " bytes of standard error before this are left out)\n",
                     p->n_err - tail.len);
    to = text.len ? arena_alloc(&call->texts, (size_t)n + text.len) : NULL;
    if (!to)
        return;
    memcpy(to, note, (size_t)n);
    memcpy(to + n, text.p, text.len);
    call->failure.traceback = (struct span){(const uint8_t *)to, (size_t)n + text.len};
}

int pump_judge(struct pump *p)
{
    struct futured_call *call = p->call;

    if (p->stop == PUMP_TOO_LARGE)
        attempt_fail(call, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "",
                     "the result has %zu bytes or more; at most %zu are allowed", buf_len(&call->result),
                     p->max_output_bytes);
    else if (p->stop == PUMP_NO_MEMORY)
        attempt_fail(call, "", GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "the worker could not allocate memory");
    else if (p->status != 0 && p->n_memory_kills)
        attempt_fail(call, "MEMORY_LIMIT", GRPC_RESOURCE_EXHAUSTED, "",
                     "the kernel has ended it because it used the %" PRIu64
                     " bytes of memory that it may have",
                     p->limits->memory_bytes);
    else if (p->stop == PUMP_CANCELLED && p->status != 0)
        attempt_fail(call, "CANCELLED", GRPC_CANCELLED, "",
                     "the command was stopped because it was cancelled");
    else if (is_over_cpu(p))
        attempt_fail(call, "CPU_LIMIT", GRPC_RESOURCE_EXHAUSTED, "",
                     "the kernel has ended it because it used the %" PRIu64
                     " s of processor time that it may have",
                     p->limits->cpu_seconds);
    else if (p->status != 0 || p->is_plugin)
        fail_by_status(p);
    else
        return 0;
    keep_said(p);
    return -1;
}
